//! `coffer status`: what this device and its archive know of each other.

use coffer_archive::Archive;
use coffer_keys::ArchiveId;

use crate::config::{Config, Protection};
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::opening;
use crate::output::{ArchiveStatus, DeviceStatus, LockRecord, ProblemRecord, SnapshotRecord, Status, VaultRecord};
use crate::vault::{Vault, VaultOptions, record};

const EXAMPLES: &str = "\
Examples:
  coffer status
  coffer status --json | jq -r .archive.newest.receipt";

/// Show the archive, its newest snapshot and receipt, and how the key is kept and protected
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, context: &Context) -> Result<Exit, Error> {
    let own = opening::device(context)?;
    let device = own.as_ref().map(|(config, id)| of_device(context, config, *id)).transpose()?;
    // What the device knows by itself is of use above all when the archive cannot be opened.
    let (archive, failure) = match opening::open(context).and_then(|archive| of_archive(&archive)) {
        Ok(archive) => (Some(archive), None),
        Err(error) => (None, Some(error)),
    };
    let is_told = archive.as_ref().is_some_and(|archive| archive.rotating);
    if device.as_ref().is_some_and(|device| device.rotation_unfinished) && !is_told {
        context.output.warning("a rotation of the key is unfinished: `coffer key rotate` finishes it");
    }
    // Only now: what the vault has of it is to be understood from that.
    let asked = own.and_then(|(config, _)| of_vault(context, config));
    let exit = match &archive {
        Some(archive) if !archive.damaged_snapshots.is_empty() => Exit::Damaged,
        _ => Exit::Done,
    };
    if device.is_some() || archive.is_some() {
        let (vault, vault_problem) = asked.map_or((None, None), |asked| match asked {
            Ok(vault) => (Some(vault), None),
            Err(error) => (None, Some(error.to_string())),
        });
        context.output.show(&Status { device, vault, vault_problem, archive })?;
    }
    failure.map_or(Ok(exit), Err)
}

fn of_device(context: &Context, config: &Config, id: ArchiveId) -> Result<DeviceStatus, Error> {
    let head = context.memory(id)?.head()?;
    let key = config.key_store.load(&context.home).ok();
    let awaits = |key| opening::awaits_next_key(context, config, &key).unwrap_or(true);
    let named = |protection: &Protection| match protection {
        Protection::RecoveryKey => "recovery key, written down",
        Protection::Password => "password, with the vault",
    };
    Ok(DeviceStatus {
        home: context.home.folder().display().to_string(),
        archive_url: config.archive_url.clone(),
        archive_id: id.to_string(),
        key_place: config.key_store.shown(&context.home).to_string(),
        protected_by: config.protected_by.iter().map(named).collect(),
        rotation_unfinished: key.is_some_and(awaits),
        remembered_receipt: head.map(|head| head.receipt().to_string()),
    })
}

/// What the vault says, where this device has one. When it cannot be asked, that is a warning: all else is known here.
fn of_vault(context: &Context, mut config: Config) -> Option<Result<VaultRecord, Error>> {
    config.vault.as_ref()?;
    let ask = || {
        let vault = Vault::open(context, &VaultOptions::NONE, Some(&config))?;
        Ok((record(context, &vault, Some(&config))?, vault))
    };
    let asked: Result<_, Error> = ask();
    let remembered = asked.and_then(|(record, vault)| vault.remember(context, &mut config).map(|()| record));
    match &remembered {
        Ok(record) => record.alarms().iter().for_each(|alarm| context.output.warning(alarm)),
        Err(error) => context.output.warning(&format!("the vault cannot be asked: {error}")),
    }
    Some(remembered)
}

fn of_archive(archive: &Archive) -> Result<ArchiveStatus, Error> {
    let snapshots = archive.snapshots();
    Ok(ArchiveStatus {
        url: archive.url().to_owned(),
        id: archive.id().to_string(),
        snapshots: snapshots.len(),
        newest: snapshots.last().map(SnapshotRecord::of),
        rotating: archive.is_rotating(),
        older_keys: archive.has_older_keys(),
        damaged_snapshots: ProblemRecord::all(archive.damaged_snapshots()),
        other_runs: archive.locks()?.iter().map(LockRecord::of).collect(),
    })
}
