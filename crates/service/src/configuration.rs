//! Reading configurations, and saying what is wrong with them.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

use crate::TlsFiles;

/// A key whose value does not do, and why.
pub type Invalid = (&'static str, String);

/// What is wrong, and where.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is not there, or not ours to read.
    #[error("the configuration file {} cannot be read: {why}", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// In the parser's words, which name line and key.
    #[error("{}: {why}", file.display())]
    Syntax {
        /// Which file.
        file: PathBuf,
        /// The parser's words.
        why: String,
    },
    /// A key's value does not do.
    #[error("{place}: {why}")]
    Value {
        /// Where it was set, or could be.
        place: Place,
        /// Why not.
        why: String,
    },
}

/// Where a key was set, or could be.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    variables: &'static str,
    key: &'static str,
    line: Option<(PathBuf, usize)>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((file, line)) = &self.line {
            return write!(f, "{}, line {line}: {}", file.display(), self.key);
        }
        let flag = self.key.replace(['.', '_'], "-");
        write!(f, "{} (--{flag}, {}{})", self.key, self.variables, flag.replace('-', "_").to_uppercase())
    }
}

/// Reads the file, if there is one, under what flags and variables say (`or`), and makes a configuration of it. The names
/// of variables begin with `variables`.
///
/// # Errors
/// [`ConfigError`].
pub fn load<S: DeserializeOwned, C>(
    variables: &'static str,
    set: S,
    file: Option<&Path>,
    or: impl FnOnce(S, S) -> S,
    resolve: impl FnOnce(S) -> Result<C, Invalid>,
) -> Result<C, ConfigError> {
    let Some(path) = file else { return resolve(set).map_err(|invalid| located(variables, invalid, None)) };
    let text = fs::read_to_string(path)
        .map_err(|error| ConfigError::Unreadable { file: path.to_owned(), why: error.to_string() })?;
    let in_file: S =
        toml::from_str(&text).map_err(|error| ConfigError::Syntax { file: path.to_owned(), why: error.to_string() })?;
    resolve(or(set, in_file)).map_err(|invalid| located(variables, invalid, Some((path, &text))))
}

/// Both files, or neither.
///
/// # Errors
/// [`Invalid`].
pub fn tls(certificate: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<TlsFiles>, Invalid> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(("tls.certificate_file", "it needs tls.key_file as well".to_owned())),
        (None, Some(_)) => Err(("tls.key_file", "it needs tls.certificate_file as well".to_owned())),
    }
}

/// Without TLS nothing but this machine is served.
///
/// # Errors
/// [`Invalid`].
pub fn check_listen(listen: SocketAddr, tls: Option<&TlsFiles>) -> Result<(), Invalid> {
    if tls.is_some() || listen.ip().is_loopback() {
        return Ok(());
    }
    let why = format!(
        "{listen} is not a loopback address, and tokens never travel in the clear: \
         set tls.certificate_file and tls.key_file, or listen on 127.0.0.1"
    );
    Err(("listen", why))
}

/// Says where: in the file, if that sets the key.
pub fn located(variables: &'static str, (key, why): Invalid, file: Option<(&Path, &str)>) -> ConfigError {
    let line = file.and_then(|(path, text)| line_of(key, text).map(|line| (path.to_owned(), line)));
    ConfigError::Value { place: Place { variables, key, line }, why }
}

/// The line in which the file sets `key`, counted from 1.
fn line_of(key: &str, text: &str) -> Option<usize> {
    let file = DeTable::parse(text).ok()?;
    let mut table = file.get_ref();
    let mut start = None;
    for part in key.split('.') {
        let (name, value) = table.iter().find(|(name, _)| name.get_ref() == part)?;
        start = Some(name.span().start);
        if let DeValue::Table(inside) = value.get_ref() {
            table = inside;
        }
    }
    Some(text[..start?].matches('\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use super::{line_of, located};

    #[test]
    fn a_key_that_no_file_sets_is_named_by_flag_and_variable() {
        let error = located("COFFER_VAULT_", ("tls.key_file", "why".to_owned()), None).to_string();
        assert_eq!(error, "tls.key_file (--tls-key-file, COFFER_VAULT_TLS_KEY_FILE): why");
    }

    #[test]
    fn a_key_is_found_in_dotted_form_too() {
        assert_eq!(line_of("hsm.threads", "listen = \"x\"\n# a comment\nhsm.threads = 3"), Some(3));
        assert_eq!(line_of("hsm.module", "hsm.threads = 3"), None);
    }
}
