//! `coffer status`: what this device and its archive know of each other.

use coffer_archive::Archive;
use coffer_keys::ArchiveId;

use crate::config::{Config, Protection};
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::opening;
use crate::output::{ArchiveStatus, DeviceStatus, LockRecord, ProblemRecord, SnapshotRecord, Status};

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
    let device = own.map(|(config, id)| of_device(context, &config, id)).transpose()?;
    // What the device knows by itself is of use above all when the archive cannot be opened.
    let (archive, failure) = match opening::open(context).and_then(|archive| of_archive(&archive)) {
        Ok(archive) => (Some(archive), None),
        Err(error) => (None, Some(error)),
    };
    let exit = match &archive {
        Some(archive) if !archive.damaged_snapshots.is_empty() => Exit::Damaged,
        _ => Exit::Done,
    };
    if device.is_some() || archive.is_some() {
        context.output.show(&Status { device, archive })?;
    }
    failure.map_or(Ok(exit), Err)
}

fn of_device(context: &Context, config: &Config, id: ArchiveId) -> Result<DeviceStatus, Error> {
    let head = context.memory(id)?.head()?;
    let named = |protection: &Protection| match protection {
        Protection::RecoveryKey => "recovery key, written down",
    };
    Ok(DeviceStatus {
        home: context.home.folder().display().to_string(),
        archive_url: config.archive_url.clone(),
        archive_id: id.to_string(),
        key_place: config.key_store.shown(&context.home).to_string(),
        protected_by: config.protected_by.iter().map(named).collect(),
        remembered_receipt: head.map(|head| head.receipt().to_string()),
    })
}

fn of_archive(archive: &Archive) -> Result<ArchiveStatus, Error> {
    let snapshots = archive.snapshots();
    Ok(ArchiveStatus {
        url: archive.url().to_owned(),
        id: archive.id().to_string(),
        snapshots: snapshots.len(),
        newest: snapshots.last().map(SnapshotRecord::of),
        damaged_snapshots: ProblemRecord::all(archive.damaged_snapshots()),
        other_runs: archive.locks()?.iter().map(LockRecord::of).collect(),
    })
}
