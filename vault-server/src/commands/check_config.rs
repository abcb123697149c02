//! `coffer-vault check-config`

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use coffer_service::check_jwks;

use crate::config::Config;
use crate::error::Error;

/// The configuration has been read; what it names has to be there.
pub(crate) fn run(config: &Config) -> Result<(), Error> {
    let readable = |path: &Path| {
        let refuse = |error: std::io::Error| Error::Named { path: path.to_owned(), why: error.to_string() };
        File::open(path).map(drop).map_err(refuse)
    };
    if let Some(tls) = &config.tls {
        readable(&tls.certificate)?;
        readable(&tls.key)?;
    }
    readable(&config.hsm.module)?;
    config.hsm.pin_file.as_deref().map_or(Ok(()), readable)?;
    config.fleet.as_ref().map_or(Ok(()), |fleet| readable(&fleet.manifest_file))?;
    if let Some(file) = &config.tokens.jwks_file {
        check_jwks(file)?;
    }
    let _ = writeln!(std::io::stdout(), "The configuration is right.");
    Ok(())
}
