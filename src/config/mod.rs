//! Settings: raw text in, one checked and typed [`Config`] out, or an error that names the key, the
//! value and the remedy.
//!
//! Owns: reading `config/duologue.toml`, `.env` and the environment. Nothing else in this crate reads
//! the environment. Must not know: what the settings are for.

mod calls;
mod check;
mod cluster;
mod env_file;
mod mongo;
mod proxies;
mod raw;
mod settings;

use std::path::{Path, PathBuf};

pub use self::calls::Calls;
pub use self::cluster::Cluster;
use self::env_file::{EnvFile, Other};
pub use self::mongo::Mongo;
pub use self::proxies::{Networks, client_address};
pub use self::settings::{
    Auth, Config, Environment, Files, Limits, Listen, Log, LogFiles, Matching, Origins, Place, Public, Secret, Session,
    ShowPlace, Store, Tls,
};

/// Read when no other file is named, if it is there.
const USUAL_FILE: &str = "config/duologue.toml";

/// Read beside it, if it is there.
const ENV_FILE: &str = ".env";

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("{path}: {source}", path = path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no TOML, or has a key that does not exist or a value of the wrong type.
    #[error("{path}: {message}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Where in it, and what is wrong.
        message: String,
    },
    /// A value that makes no sense.
    #[error("{key} = {value}: {remedy}")]
    Value {
        /// The key, or the environment variable.
        key: String,
        /// What it is set to; secrets are not shown.
        value: String,
        /// What to set it to.
        remedy: String,
    },
    /// A variable whose name begins with `DUOLOGUE_` but names no key.
    #[error("{0} names no setting; see config/duologue.toml for those there are")]
    UnknownVariable(String),
}

impl Error {
    fn value(key: &str, value: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Value { key: key.to_owned(), value: value.into(), remedy: remedy.into() }
    }
}

/// The settings of this process: the file, then `.env`, then the environment, the last wins.
///
/// # Errors
/// The first thing that is wrong.
pub fn from_process(file: Option<&Path>) -> Result<Config, Error> {
    let bytes = match std::fs::read(ENV_FILE) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(Error::Unreadable { path: ENV_FILE.into(), source }),
    };
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let usual = Path::new(USUAL_FILE);
    with_env_file(file.or_else(|| usual.exists().then_some(usual)), &bytes, environment.collect())
}

/// The settings of a file, of the bytes of `.env`, and of the environment.
fn with_env_file(file: Option<&Path>, bytes: &[u8], environment: Vec<(String, String)>) -> Result<Config, Error> {
    let EnvFile { mut variables, others } = env_file::read(bytes);
    // The original takes an empty value for none, and its default.
    variables.retain(|(name, value)| !(value.is_empty() && raw::is_older(name)));
    let mut warnings = Vec::new();
    for Other { line, name } in others {
        if raw::is_ours(&name) {
            let message = format!("line {line}: {name} has no value; write {name}=value, or begin the line with #");
            return Err(Error::File { path: ENV_FILE.into(), message });
        }
        warnings.push(format!("line {line} of {ENV_FILE} is not NAME=value; it is passed over"));
    }
    let mut config = lay(file, [variables, environment])?;
    config.warnings.splice(0..0, warnings);
    Ok(config)
}

/// The settings of a file and of variables from one place.
///
/// # Errors
/// The first thing that is wrong.
pub fn load(file: Option<&Path>, variables: impl IntoIterator<Item = (String, String)>) -> Result<Config, Error> {
    lay(file, [variables.into_iter().collect()])
}

/// The settings of a file and of variables from several places, of which a later one wins.
fn lay(file: Option<&Path>, places: impl IntoIterator<Item = Vec<(String, String)>>) -> Result<Config, Error> {
    let mut layers = match file {
        Some(path) => {
            let text =
                std::fs::read_to_string(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
            raw::Layers::of_file(&text)
                .map_err(|error| Error::File { path: path.to_owned(), message: error.to_string() })?
        }
        None => raw::Layers::default(),
    };
    for variables in places {
        layers.lay(variables)?;
    }
    check::check(layers)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
