//! Who another node is: TLS 1.3 with a certificate on both sides, each made by its node at its start and
//! known by its SHA-256.

use std::sync::Arc;

use aws_lc_rs::digest;
use quinn::Connection;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
    version,
};

use crate::protocol::Sha256;

/// The name that all certificates of nodes have; who is who, their hash says.
pub(super) const NAME: &str = "node.duologue";
/// What nodes say to each other (RFC 7301): no door of clients speaks it.
const ALPN: &[u8] = b"duologue-node/1";

/// This node's certificate.
pub(super) struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
}

impl Identity {
    pub(super) fn make() -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = CertificateParams::new(vec![NAME.to_owned()])?.self_signed(&key)?;
        Ok(Self { certificate: certificate.der().clone(), key: PrivatePkcs8KeyDer::from(key.serialize_der()) })
    }

    pub(super) fn fingerprint(&self) -> Sha256 {
        fingerprint(&self.certificate)
    }

    /// Whoever comes must show a certificate; whether it is a node's is looked at after the handshake.
    pub(super) fn server_config(&self) -> ServerConfig {
        let mut config = ServerConfig::builder_with_provider(crypto())
            .with_protocol_versions(&[&version::TLS13])
            .expect("aws-lc-rs offers TLS 1.3")
            .with_client_cert_verifier(Arc::new(Anyone))
            .with_single_cert(vec![self.certificate.clone()], self.key())
            .expect("the certificate was made for this key");
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.max_early_data_size = 0;
        config
    }

    /// Whoever is dialled must show the certificate of this fingerprint.
    pub(super) fn client_config(&self, expected: Sha256) -> ClientConfig {
        let mut config = ClientConfig::builder_with_provider(crypto())
            .with_protocol_versions(&[&version::TLS13])
            .expect("aws-lc-rs offers TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Pinned(expected)))
            .with_client_auth_cert(vec![self.certificate.clone()], self.key())
            .expect("the certificate was made for this key");
        config.alpn_protocols = vec![ALPN.to_vec()];
        config
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key().into()
    }
}

/// The fingerprint of the certificate that the other side has shown.
pub(super) fn shown(connection: &Connection) -> Option<Sha256> {
    let identity = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    identity.first().map(fingerprint)
}

fn fingerprint(certificate: &CertificateDer<'_>) -> Sha256 {
    let digest = digest::digest(&digest::SHA256, certificate);
    Sha256::from_bytes(digest.as_ref().try_into().expect("a SHA-256 has 32 bytes"))
}

fn crypto() -> Arc<CryptoProvider> {
    Arc::new(provider::default_provider())
}

fn holds_key(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    verify_tls13_signature(
        message,
        certificate,
        signature,
        &provider::default_provider().signature_verification_algorithms,
    )
}

fn schemes() -> Vec<SignatureScheme> {
    provider::default_provider().signature_verification_algorithms.supported_schemes()
}

/// Only the node of this fingerprint.
#[derive(Debug)]
struct Pinned(Sha256);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match fingerprint(certificate) == self.0 {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("nodes speak TLS 1.3".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        holds_key(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        schemes()
    }
}

/// Anyone who holds the key of the certificate that they show.
#[derive(Debug)]
struct Anyone;

impl ClientCertVerifier for Anyone {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("nodes speak TLS 1.3".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        holds_key(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        schemes()
    }
}
