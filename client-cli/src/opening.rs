//! From the command line and the configuration to an open archive.

use coffer_archive::{Archive, Destination, Error as ArchiveError};
use coffer_keys::{ArchiveId, BackupKey, RecoveryKey};

use crate::config::Config;
use crate::context::Context;
use crate::error::Error;
use crate::recovery_key;

/// An archive that lies somewhere, as its clear header says. Nothing of it is trusted yet.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) destination: Destination,
    pub(crate) id: ArchiveId,
}

/// What a device has set up; None before `coffer init` has come to its end.
pub(crate) fn device(context: &Context) -> Result<Option<(Config, ArchiveId)>, Error> {
    let config = Config::read(&context.home)?;
    Ok(config.and_then(|config| config.archive_id().map(|id| (config, id))))
}

/// The archive that the options name, or else the device's own, opened.
pub(crate) fn open(context: &Context) -> Result<Archive, Error> {
    let device = device(context)?;
    let found = find(context, device.as_ref())?;
    match device.filter(|(_, id)| *id == found.id) {
        Some((config, _)) if context.options.recovery_key_file.is_none() => {
            let key = config.key_store.load(&context.home)?;
            Ok(Archive::open(found.destination, &key, context.open_options(found.id)?)?)
        }
        _ => Ok(open_with_recovery_key(context, &found)?.0),
    }
}

fn find(context: &Context, device: Option<&(Config, ArchiveId)>) -> Result<Found, Error> {
    if let Some(url) = &context.options.archive {
        return identify(url);
    }
    let Some((config, expected)) = device else {
        return Err(Error::NoArchiveConfigured { home: context.home.folder().to_owned() });
    };
    let found = identify(&config.archive_url)?;
    // Its key would be refused by another archive's header anyway; this says more clearly what happened.
    if found.id != *expected {
        return Err(Error::OtherArchive { url: config.archive_url.clone(), found: found.id, expected: *expected });
    }
    Ok(found)
}

pub(crate) fn identify(url: &str) -> Result<Found, Error> {
    let destination = Destination::from_url(url)?;
    let id = Archive::identify(&destination)?;
    Ok(Found { destination, id })
}

/// Opens an archive with the recovery key from the file that was named, or from the person at the terminal.
pub(crate) fn open_with_recovery_key(context: &Context, found: &Found) -> Result<(Archive, BackupKey), Error> {
    if let Some(file) = &context.options.recovery_key_file {
        return open_typed(context, found, &recovery_key::from_file(file)?);
    }
    if !recovery_key::can_ask() {
        return Err(Error::NoKey { url: found.destination.url().to_owned() });
    }
    let mut tries = recovery_key::TRIES;
    loop {
        tries -= 1;
        let typed = recovery_key::ask(&context.output);
        match typed.and_then(|typed| open_typed(context, found, &typed)) {
            Err(error @ (Error::NotARecoveryKey { .. } | Error::WrongRecoveryKey { .. })) if tries > 0 => {
                context.output.error(&error);
            }
            other => return other,
        }
    }
}

fn open_typed(context: &Context, found: &Found, typed: &RecoveryKey) -> Result<(Archive, BackupKey), Error> {
    let key = typed.backup_key();
    match Archive::open(found.destination.clone(), &key, context.open_options(found.id)?) {
        Ok(archive) => Ok((archive, key)),
        Err(ArchiveError::WrongKey) => {
            Err(Error::WrongRecoveryKey { typo: Archive::locate_typo(&found.destination, typed)? })
        }
        Err(error) => Err(error.into()),
    }
}

/// The key that this device keeps, and the configuration that says so.
pub(crate) fn device_key(context: &Context) -> Result<(Config, BackupKey), Error> {
    let not_set_up = || Error::NoArchiveConfigured { home: context.home.folder().to_owned() };
    let (config, _) = device(context)?.ok_or_else(not_set_up)?;
    let key = config.key_store.load(&context.home)?;
    Ok((config, key))
}
