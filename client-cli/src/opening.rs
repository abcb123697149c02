//! From the command line and the configuration to an open archive.

use std::path::Path;

use coffer_archive::{Archive, Destination, Error as ArchiveError, OpenOptions, Receipt, Snapshot};
use coffer_keys::{ArchiveId, BackupKey, RecoveryKey};

use crate::address;
use crate::config::{Config, KnownVault};
use crate::context::Context;
use crate::error::{Error, VaultError};
use crate::recovery_key;
use crate::vault::{self, NamedHead, PasswordWay, Regained};

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
    open_or(context, |found, _| Ok(open_with_recovery_key(context, found)?.0))
}

/// The same for a device that may know no more than a password: where it has no key, and a vault is named, that vault
/// is asked for it.
pub(crate) fn open_by_password_if_named(context: &Context, way: &PasswordWay) -> Result<Archive, Error> {
    if !way.is_chosen(context) {
        return open(context);
    }
    open_or(context, |found, config| {
        let Regained { key, head, .. } = vault::by_password(context, way, config)?;
        open_as_named(context, found, &key, head)
    })
}

/// With the device's own key if it is of that archive, or else in another way.
fn open_or(
    context: &Context,
    otherwise: impl FnOnce(&Found, Option<&Config>) -> Result<Archive, Error>,
) -> Result<Archive, Error> {
    let device = device_if_needed(context)?;
    let found = find(context, device.as_ref())?;
    let opened = match &device {
        Some((config, id)) if *id == found.id && context.options.recovery_key_file.is_none() => {
            let key = config.key_store.load(&context.home)?;
            match open_with(context, &found, &key) {
                // Its own new key does, which it has not put in the place of the old one yet.
                Err(Error::Archive(ArchiveError::WrongKey)) if awaits_next_key(context, config, &key)? => {
                    Err(ArchiveError::Rotating.into())
                }
                opened => opened,
            }
        }
        other => otherwise(&found, other.as_ref().map(|(config, _)| config)),
    };
    opened.inspect(|archive| {
        if archive.is_rotating() {
            context
                .output
                .warning("the archive's key is being rotated: until `coffer key rotate` has ended, it is only read");
        }
    })
}

/// The archive that this device takes part in, and what it has set up.
pub(crate) fn own(context: &Context) -> Result<(Config, Found), Error> {
    let not_set_up = || Error::NoArchiveConfigured { home: context.home.folder().to_owned() };
    let device = device(context)?.ok_or_else(not_set_up)?;
    let found = find(context, Some(&device))?;
    let (config, expected) = device;
    if found.id != expected {
        return Err(Error::OtherArchive { url: found.destination.url().to_owned(), found: found.id, expected });
    }
    Ok((config, found))
}

/// Who names both the archive and the key needs no configuration: one that cannot be used must not be in the way.
fn device_if_needed(context: &Context) -> Result<Option<(Config, ArchiveId)>, Error> {
    let is_needed = context.options.archive.is_none() || context.options.recovery_key_file.is_none();
    match device(context) {
        Err(error @ (Error::ConfigBroken { .. } | Error::ConfigTooNew { .. })) if !is_needed => {
            context.output.warning(&format!("{error}; going on without it"));
            Ok(None)
        }
        other => other,
    }
}

fn find(context: &Context, device: Option<&(Config, ArchiveId)>) -> Result<Found, Error> {
    if let Some(url) = &context.options.archive {
        return identify(context, url).map_err(|error| if device.is_some() { error.of_known_archive() } else { error });
    }
    let Some((config, expected)) = device else {
        return Err(Error::NoArchiveConfigured { home: context.home.folder().to_owned() });
    };
    let found = identify(context, &config.archive_url).map_err(Error::of_known_archive)?;
    // Its key would be refused by another archive's header anyway; this says more clearly what happened.
    if found.id != *expected {
        return Err(Error::OtherArchive { url: config.archive_url.clone(), found: found.id, expected: *expected });
    }
    Ok(found)
}

pub(crate) fn identify(context: &Context, url: &str) -> Result<Found, Error> {
    let destination = address::destination(context, url)?;
    let id = Archive::identify(&destination)?;
    Ok(Found { destination, id })
}

/// Opens an archive, and says what a person must know of it whatever the command.
pub(crate) fn open_with(context: &Context, found: &Found, key: &BackupKey) -> Result<Archive, Error> {
    open_with_head(context, found, key, None)
}

/// Opens an archive, if it is as new as the vault says.
fn open_as_named(context: &Context, found: &Found, key: &BackupKey, head: NamedHead) -> Result<Archive, Error> {
    let foreign = match head {
        NamedHead::None => return open_with(context, found, key),
        NamedHead::Own(sealed) => return open_with_head(context, found, key, Some(&sealed)),
        NamedHead::Foreign(foreign) => foreign,
    };
    // A rotation moves the vault to the new key before the archive, and tells it of the newest snapshot last. What the
    // old key sealed opens until then, and has to be kept to; nobody else's does.
    let mut opened = None;
    for sealed in &foreign {
        match open_with_head(context, found, key, Some(sealed)) {
            Ok(archive) if archive.is_by_next_key() || archive.has_older_keys() => opened = Some(archive),
            Ok(_) | Err(Error::Archive(ArchiveError::VaultHead { .. })) => {}
            Err(error) => return Err(error),
        }
    }
    opened.ok_or_else(|| VaultError::ForeignHead.into())
}

fn open_with_head(context: &Context, found: &Found, key: &BackupKey, head: Option<&Vec<u8>>) -> Result<Archive, Error> {
    let open = |options| {
        let options = OpenOptions { vault_head: head.cloned(), ..options };
        Archive::open(found.destination.clone(), key, options)
    };
    let strictly = OpenOptions { allow_rollback: false, ..context.open_options(found.id)? };
    let archive = if context.options.allow_rollback {
        // What would be refused is what is accepted.
        if let Err(ArchiveError::Rollback { remembered, newest }) = open(strictly) {
            context.output.warning(&accepted(remembered, newest));
        }
        open(context.open_options(found.id)?)
    } else {
        open(strictly)
    };
    let archive = archive.map_err(|error| told_apart(error, context.options.receipt))?;
    context.output.damaged_snapshots(&archive);
    Ok(archive)
}

fn accepted(remembered: Receipt, newest: Option<Receipt>) -> String {
    let newest = newest.map_or_else(|| "it holds none".to_owned(), |newest| format!("its newest is {newest}"));
    format!("accepted an archive that lacks snapshot {remembered}; {newest}")
}

/// What the archive's error does not say by itself.
fn told_apart(error: ArchiveError, receipt: Option<Receipt>) -> Error {
    match error {
        // An archive that is as new as the receipt, but lacks it, is not an older copy.
        ArchiveError::Rollback { remembered, newest: Some(newest) }
            if receipt == Some(remembered) && newest.number >= remembered.number =>
        {
            Error::ReceiptUnknown { receipt: remembered, newest }
        }
        // As long as one snapshot is whole, the archive opens.
        ArchiveError::Damaged { object, why } if object.starts_with("snapshots") => {
            Error::NoSnapshotWhole { first: ArchiveError::Damaged { object, why } }
        }
        other => other.into(),
    }
}

/// An archive that a device is to take part in.
pub(crate) struct Joined {
    pub(crate) archive: Archive,
    pub(crate) key: BackupKey,
    /// The vault that gave the key for a password; None where the 64 digits were given.
    pub(crate) vault: Option<KnownVault>,
}

/// Opens an archive without the key that the device may keep: by password if a vault is named, or else with the
/// recovery key.
pub(crate) fn open_to_join(
    context: &Context,
    found: &Found,
    way: &PasswordWay,
    config: Option<&Config>,
) -> Result<Joined, Error> {
    if !way.is_chosen(context) {
        let (archive, key) = open_with_recovery_key(context, found)?;
        return Ok(Joined { archive, key, vault: None });
    }
    let Regained { key, head, vault } = vault::by_password(context, way, config)?;
    let archive = open_as_named(context, found, &key, head)?;
    Ok(Joined { archive, key, vault: Some(vault) })
}

/// Opens an archive with the recovery key from the file that was named, or from the person at the terminal.
fn open_with_recovery_key(context: &Context, found: &Found) -> Result<(Archive, BackupKey), Error> {
    if let Some(file) = &context.options.recovery_key_file {
        return open_typed(context, found, &recovery_key::from_file(file)?);
    }
    let no_key = || Error::NoKey { url: found.destination.url().to_owned() };
    if !recovery_key::can_ask() {
        return Err(no_key());
    }
    let mut tries = recovery_key::TRIES;
    loop {
        tries -= 1;
        let typed = recovery_key::ask(&context.output).and_then(|typed| typed.ok_or_else(no_key));
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
    match open_with(context, found, &key) {
        Ok(archive) => Ok((archive, key)),
        Err(Error::Archive(ArchiveError::WrongKey)) => {
            Err(Error::WrongRecoveryKey { typo: Archive::locate_typo(&found.destination, typed)? })
        }
        Err(error) => Err(error),
    }
}

/// Whether an archive was opened with the key that this device keeps, which proves nothing of the 64 digits.
pub(crate) fn is_by_device_key(context: &Context, id: ArchiveId) -> Result<bool, Error> {
    let is_own = || Ok(device(context)?.is_some_and(|(_, own)| own == id));
    if context.options.recovery_key_file.is_some() { Ok(false) } else { is_own() }
}

/// The key that this device keeps, and the configuration that says so.
pub(crate) fn device_key(context: &Context) -> Result<(Config, BackupKey), Error> {
    let not_set_up = || Error::NoArchiveConfigured { home: context.home.folder().to_owned() };
    let (config, _) = device(context)?.ok_or_else(not_set_up)?;
    let key = config.key_store.load(&context.home)?;
    Ok((config, key))
}

/// Whether a rotation that was begun on this device has moved, or is about to move, the archive to a key that is not the
/// device's yet.
pub(crate) fn awaits_next_key(context: &Context, config: &Config, key: &BackupKey) -> Result<bool, Error> {
    match config.key_store.load_next(&context.home)? {
        Some(next) if next != *key => Ok(is_being_rotated(context, config, key).unwrap_or(true)),
        _ => Ok(false),
    }
}

/// The old key, protected anew now, would take the place of the new one.
pub(crate) fn refuse_unfinished_rotation(context: &Context, config: &Config, key: &BackupKey) -> Result<(), Error> {
    // An archive that is away is in nobody's way.
    if awaits_next_key(context, config, key)? || is_being_rotated(context, config, key).unwrap_or(false) {
        return Err(ArchiveError::Rotating.into());
    }
    Ok(())
}

fn is_being_rotated(context: &Context, config: &Config, key: &BackupKey) -> Result<bool, Error> {
    let destination = address::destination(context, &config.archive_url)?;
    Ok(Archive::is_being_rotated(&destination, key)?)
}

/// Whether a path names all of a snapshot: the folder that its sources lie in, or one above it.
pub(crate) fn is_top(snapshot: &Snapshot, path: &Path) -> bool {
    path.is_absolute() && snapshot.base.starts_with(path)
}
