//! The HSM's token: the operator's, or one of SoftHSM that the vault makes and keeps in its data folder.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use coffer_hsm_adapter::{Pin, TokenConfig, embedded_environment};

use crate::config::Config;
use crate::data::{DataFolder, read_secret, write_private};
use crate::error::Error;

/// SoftHSM finds its tokens by a variable that the process has to be started with. With a token of its own, the vault
/// therefore starts itself again, in the same process.
pub(crate) fn enter_environment(config: &Config, data: &DataFolder) -> Result<(), Error> {
    if config.hsm.pin_file.is_some() {
        return Ok(());
    }
    let folder = data.token();
    let (name, value) = embedded_environment(&folder).map_err(Error::file("prepare", &folder))?;
    if std::env::var_os(name).is_some_and(|current| current == value) {
        return Ok(());
    }
    let failed = |error: std::io::Error| Error::System("cannot start again with SOFTHSM2_CONF", error.to_string());
    let program = std::env::current_exe().map_err(failed)?;
    Err(failed(Command::new(program).args(std::env::args_os().skip(1)).env(name, value).exec()))
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A fleet of one, which signs its own manifest.
    Embedded,
    /// A site of several, with keys of the ceremony.
    Site,
}

impl Kind {
    pub(crate) const fn of(config: &Config) -> Self {
        if config.fleet.is_some() { Self::Site } else { Self::Embedded }
    }
}

/// The token, and the PIN that opens it.
pub(crate) fn describe(config: &Config, data: &DataFolder, kind: Kind) -> Result<TokenConfig, Error> {
    let file = config.hsm.pin_file.clone().unwrap_or_else(|| data.pin());
    let pin = read_pin(&file)?.ok_or_else(|| Error::File {
        action: "read the PIN in",
        path: file,
        source: std::io::ErrorKind::NotFound.into(),
    })?;
    Ok(TokenConfig {
        module: config.hsm.module.clone(),
        label: config.hsm.token_label.clone(),
        pin,
        fleet_root: kind == Kind::Embedded,
        workers: config.hsm.threads,
    })
}

/// Makes token and keys where they are not there yet. The PINs are on the disk before the token is.
pub(crate) fn init(config: &Config, data: &DataFolder, so_pin_file: Option<&Path>, kind: Kind) -> Result<(), Error> {
    let pin_file = config.hsm.pin_file.clone().unwrap_or_else(|| data.pin());
    if read_pin(&pin_file)?.is_none() {
        make_pin(&pin_file)?;
    }
    let so_pin_file = so_pin_file.map_or_else(|| data.so_pin(), Path::to_owned);
    let so_pin = match read_pin(&so_pin_file)? {
        Some(pin) => pin,
        None => make_pin(&so_pin_file)?,
    };
    Ok(coffer_hsm_adapter::init(&describe(config, data, kind)?, &so_pin)?)
}

fn read_pin(file: &Path) -> Result<Option<Pin>, Error> {
    Ok(read_secret(file)?.map(|mut text| Pin::new(std::mem::take(&mut *text))))
}

fn make_pin(file: &Path) -> Result<Pin, Error> {
    let pin = Pin::generate().map_err(|error| Error::System("randomness", error.to_string()))?;
    write_private(file, pin.expose().as_bytes())?;
    Ok(pin)
}
