//! Certificates: load or make them, renew them while running, and hand the same one to TCP and QUIC.
//!
//! Owns: the certificate of the moment, behind one resolver that both listeners ask at every
//! handshake, and the files of the development certificate.
//!
//! A development certificate is ECDSA P-256 and valid for 13 days, because browsers accept a
//! certificate by its hash (WebTransport's `serverCertificateHashes`) only if it is so and valid for
//! at most 14.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig, version};

use crate::config::Config;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Whether a request came over TLS: an extension of each, by the listener that took it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Secure(pub bool);

/// Life of a development certificate, with an hour before now for clocks that are behind.
const LIFE: Duration = Duration::from_secs(13 * 24 * 60 * 60);
const BEFORE: Duration = Duration::from_secs(60 * 60);
/// A development certificate that has less than this left is made anew.
const RENEW_BEFORE: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// What keeps a certificate from being had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is no PEM of what it should be.
    #[error("{path} holds no usable {what}: {reason}", path = path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// A certificate chain, or a key.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The certificate and the key do not go together, or are of a kind that is not supported.
    #[error("the certificate and its key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// A development certificate could not be made.
    #[error("a development certificate could not be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// The certificate of this server, wherever it comes from. Clones are the same.
#[derive(Clone)]
pub struct Certificates(Arc<Inner>);

struct Inner {
    source: Source,
    current: Arc<Resolver>,
    /// When the files were last changed, as far as they have been loaded.
    loaded: Mutex<SystemTime>,
}

enum Source {
    Own { certificate: PathBuf, key: PathBuf },
    Development { folder: PathBuf },
}

/// Hands out whatever certificate is current.
#[derive(Debug)]
struct Resolver(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }
}

impl Resolver {
    fn get(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read().expect("no code panics while it holds this lock"))
    }
}

impl Certificates {
    /// Loads the configured certificate, or the development one, which is made where it is missing,
    /// unreadable or near its end.
    ///
    /// # Errors
    /// A configured certificate that cannot be used; a folder that cannot be written to.
    pub fn open(config: &Config, now: SystemTime) -> Result<Self, Error> {
        let source = match &config.tls.own {
            Some((certificate, key)) => Source::Own { certificate: certificate.clone(), key: key.clone() },
            None => Source::Development { folder: config.tls.folder.clone() },
        };
        if let Source::Development { folder } = &source
            && is_due(folder, now)
        {
            make(folder, now)?;
        }
        let (key, changed) = source.load()?;
        let current = Arc::new(Resolver(RwLock::new(Arc::new(key))));
        Ok(Self(Arc::new(Inner { source, current, loaded: Mutex::new(changed) })))
    }

    /// Makes a new development certificate when the old one is near its end; loads a configured one
    /// again when its files have changed. True: connections from now on get a new one.
    ///
    /// # Errors
    /// As [`open`](Self::open); the old certificate stays in use.
    pub fn renew_if_due(&self, now: SystemTime) -> Result<bool, Error> {
        let Inner { source, current, loaded } = &*self.0;
        if let Source::Development { folder } = source
            && is_due(folder, now)
        {
            make(folder, now)?;
        }
        let changed = source.changed()?;
        let mut loaded = loaded.lock().expect("no code panics while it holds this lock");
        if changed == *loaded {
            return Ok(false);
        }
        let (key, changed) = source.load()?;
        *current.0.write().expect("no code panics while it holds this lock") = Arc::new(key);
        *loaded = changed;
        Ok(true)
    }

    /// The SHA-256 of the development certificate, for browsers; `None` with a configured one.
    pub fn sha256(&self) -> Option<[u8; 32]> {
        let Source::Development { .. } = self.0.source else { return None };
        let key = self.0.current.get();
        digest::digest(&digest::SHA256, key.cert.first()?).as_ref().try_into().ok()
    }

    /// For HTTPS: TLS 1.2 and 1.3, HTTP/1.1.
    pub fn tcp_config(&self) -> Arc<ServerConfig> {
        let mut config = self.config(&[&version::TLS13, &version::TLS12]);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// For QUIC: TLS 1.3, HTTP/3, and no early data, which could be replayed.
    pub fn quic_config(&self) -> Arc<ServerConfig> {
        let mut config = self.config(&[&version::TLS13]);
        config.alpn_protocols = vec![b"h3".to_vec()];
        config.max_early_data_size = 0;
        Arc::new(config)
    }

    fn config(&self, versions: &[&'static rustls::SupportedProtocolVersion]) -> ServerConfig {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(&self.0.current) as _;
        ServerConfig::builder_with_provider(crypto())
            .with_protocol_versions(versions)
            .expect("aws-lc-rs offers these versions")
            .with_no_client_auth()
            .with_cert_resolver(resolver)
    }
}

impl Source {
    fn files(&self) -> (PathBuf, PathBuf) {
        match self {
            Self::Own { certificate, key } => (certificate.clone(), key.clone()),
            Self::Development { folder } => (folder.join("dev-cert.pem"), folder.join("dev-key.pem")),
        }
    }

    fn changed(&self) -> Result<SystemTime, Error> {
        let (certificate, key) = self.files();
        Ok(modified(&certificate)?.max(modified(&key)?))
    }

    fn load(&self) -> Result<(CertifiedKey, SystemTime), Error> {
        let changed = self.changed()?;
        let (certificate, key) = self.files();
        Ok((load(&certificate, &key)?, changed))
    }
}

/// The one crypto provider of the process.
fn crypto() -> Arc<CryptoProvider> {
    Arc::new(provider::default_provider())
}

/// TLS for our own clients: the system's authorities are trusted.
pub fn client_config() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    // A system without authorities trusts no server, and the handshake then says so.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    ClientConfig::builder_with_provider(crypto())
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

fn load(certificate: &Path, key: &Path) -> Result<CertifiedKey, Error> {
    let pem = |path: &Path, what, reason: rustls::pki_types::pem::Error| Error::Pem {
        path: path.to_owned(),
        what,
        reason: reason.to_string(),
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| pem(certificate, "certificate chain", error))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| pem(key, "private key", error))?;
    if chain.is_empty() {
        let reason = "it has no CERTIFICATE section".to_owned();
        return Err(Error::Pem { path: certificate.to_owned(), what: "certificate chain", reason });
    }
    Ok(CertifiedKey::from_der(chain, private, &crypto())?)
}

fn modified(path: &Path) -> Result<SystemTime, Error> {
    let time = fs::metadata(path).and_then(|metadata| metadata.modified());
    time.map_err(|source| Error::File { path: path.to_owned(), source })
}

/// Whether the development certificate is missing, unusable, or near its end. Its age is that of its
/// file: it is written at once when made, and by nobody else.
fn is_due(folder: &Path, now: SystemTime) -> bool {
    let source = Source::Development { folder: folder.to_owned() };
    match source.load() {
        Ok((_, made)) => {
            let age = now.duration_since(made).unwrap_or_default();
            let ahead = made.duration_since(now).unwrap_or_default();
            age > LIFE - RENEW_BEFORE || ahead > DAY
        }
        Err(_) => true,
    }
}

fn make(folder: &Path, now: SystemTime) -> Result<(), Error> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut params = CertificateParams::new(names)?;
    params.not_before = (now - BEFORE).into();
    params.not_after = (now - BEFORE + LIFE).into();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Duologue development");
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = params.self_signed(&key)?;
    let source = Source::Development { folder: folder.to_owned() };
    let (certificate_file, key_file) = source.files();
    let file = |path: &Path, source| Error::File { path: path.to_owned(), source };
    write_secret(&key_file, key.serialize_pem().as_bytes()).map_err(|error| file(&key_file, error))?;
    fs::write(&certificate_file, certificate.pem()).map_err(|error| file(&certificate_file, error))
}

/// Writes a file that only its owner may read, with the folder it stands in.
///
/// # Errors
/// What the system said.
pub fn write_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(folder: &Path) -> Config {
        let data = folder.join("data").display().to_string();
        let certs = folder.join("certs").display().to_string();
        let variables = [("DUOLOGUE_SERVER_DATA", data), ("DUOLOGUE_TLS_FOLDER", certs)];
        crate::config::load(None, variables.map(|(name, value)| (name.to_owned(), value))).unwrap()
    }

    #[test]
    fn a_development_certificate_is_kept_and_renewed_before_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let now = SystemTime::now();
        let first = Certificates::open(&config, now).unwrap();
        let again = Certificates::open(&config, now + 5 * DAY).unwrap();
        assert_eq!(first.sha256(), again.sha256(), "kept from start to start");
        let hash = first.sha256();
        assert!(!first.renew_if_due(now + 9 * DAY).unwrap());
        assert_eq!(first.sha256(), hash);
        assert!(first.renew_if_due(now + 11 * DAY).unwrap());
        assert_ne!(first.sha256(), hash, "a new one, while running");
    }

    #[test]
    fn an_unreadable_development_certificate_is_made_anew_and_an_own_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        Certificates::open(&config, SystemTime::now()).unwrap();
        let file = config.tls.folder.join("dev-cert.pem");
        fs::write(&file, "no PEM").unwrap();
        assert!(Certificates::open(&config, SystemTime::now()).is_ok());
        fs::write(&file, "no PEM").unwrap();
        config.tls.own = Some((file, config.tls.folder.join("dev-key.pem")));
        let error = Certificates::open(&config, SystemTime::now()).err().unwrap().to_string();
        assert!(error.contains("dev-cert.pem holds no usable certificate chain"), "{error}");
    }

    #[test]
    fn an_own_certificate_is_loaded_again_when_its_files_change() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        make(&config.tls.folder, SystemTime::now()).unwrap();
        let files = Source::Development { folder: config.tls.folder.clone() }.files();
        config.tls.own = Some(files.clone());
        let certificates = Certificates::open(&config, SystemTime::now()).unwrap();
        assert_eq!(certificates.sha256(), None, "browsers are told a hash in development only");
        let before = certificates.0.current.get();
        make(&config.tls.folder, SystemTime::now()).unwrap();
        let later = SystemTime::now() + Duration::from_secs(5);
        fs::File::options().write(true).open(&files.0).unwrap().set_modified(later).unwrap();
        assert!(certificates.renew_if_due(SystemTime::now()).unwrap());
        assert_ne!(before.cert, certificates.0.current.get().cert);
    }
}
