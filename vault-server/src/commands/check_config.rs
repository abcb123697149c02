//! `coffer-vault check-config`

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use coffer_service::{check_jwks, check_tls, load_mutual_tls};

use crate::config::{Config, EtcdFiles};
use crate::error::Error;
use crate::manifest::Manifest;
use crate::site::others;

/// The configuration has been read; what it names has to be there, and has to fit. Neither the HSM nor anybody else is
/// asked.
pub(crate) fn run(config: &Config) -> Result<(), Error> {
    if let Some(tls) = &config.tls {
        check_tls(tls)?;
    }
    readable(&config.hsm.module)?;
    config.hsm.pin_file.as_deref().map_or(Ok(()), readable)?;
    if let Some(peers) = &config.peers {
        load_mutual_tls(&peers.tls)?;
    }
    if let Some(EtcdFiles { tls, user, .. }) = &config.etcd {
        let password = user.iter().map(|(_, password)| password);
        tls.iter().flatten().chain(password).try_for_each(|file| readable(file))?;
    }
    if let Some(fleet) = &config.fleet {
        others(config, &Manifest::read(fleet)?, fleet.site)?;
    }
    if let Some(file) = &config.tokens.jwks_file {
        check_jwks(file)?;
    }
    let _ = writeln!(std::io::stdout(), "The configuration is right.");
    Ok(())
}

fn readable(path: &Path) -> Result<(), Error> {
    let refuse = |error: std::io::Error| Error::Named { path: path.to_owned(), why: error.to_string() };
    File::open(path).map(drop).map_err(refuse)
}
