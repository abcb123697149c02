//! `coffer restore`: files come back.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use coffer_archive::{Archive, Error as ArchiveError, RestoreOptions, Snapshot};

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::opening;
use crate::output::{Restored, shown_sources};
use crate::progress;
use crate::vault::PasswordWay;

const EXAMPLES: &str = "\
Examples:
  coffer restore --to ~/restored                        everything in the latest snapshot
  coffer restore 3 --to ~/restored --path chats/2024    one folder of snapshot 3

On a device that never saw the archive, with the 64 digits in a file or at the prompt, or with the password:
  coffer --archive /mnt/disk/backups restore --to ~/restored
  coffer --archive /mnt/disk/backups restore --to ~/restored --vault ADDRESS --token-file FILE

Files that are there already are left alone, unless --force is given. Those with the right content are not written \
again, so that an interrupted restore goes on where it stopped.";

/// Restore a snapshot, or parts of it, into a folder
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = "coffer restore [OPTIONS] --to <DIR> [SNAPSHOT]")]
pub(crate) struct Args {
    /// Number, name or beginning of the name of a snapshot
    #[arg(default_value = "latest")]
    snapshot: String,

    /// The folder to restore into; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    to: PathBuf,

    /// Restore only this file or folder: as it was called when it was backed up, or relative to the snapshot's top;
    /// may be given several times
    #[arg(long = "path", value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Overwrite files whose content differs
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    by_password: PasswordWay,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let archive = opening::open_by_password_if_named(context, &args.by_password)?;
    let snapshot = archive.snapshot(&args.snapshot)?;
    refuse_archive(&args.to, &archive)?;
    note_other_sources(context, &archive, snapshot);
    // Whoever names a folder above the snapshot's asks for all of it.
    let is_all = args.paths.iter().any(|path| opening::is_top(snapshot, path));
    let paths = if is_all { Vec::new() } else { args.paths.clone() };
    let options = RestoreOptions { target: args.to.clone(), paths, force: args.force };
    let restore = |progress: &_| archive.restore(snapshot, &options, progress);
    let report = progress::shown(&context.output, "restoring", restore).map_err(of_target)?;
    context.output.problems(&report.problems);
    context.output.summary(&Restored::of(&report, snapshot.head.number, &args.to))?;
    if report.conflicts > 0 {
        context.output.hint("restore into an empty folder, or overwrite what is there with --force");
    }
    // Damage is told apart from what lies with this device, since other copies of the archive may be whole.
    Ok(match (report.damaged, report.problems.is_empty()) {
        (0, true) => Exit::Done,
        (0, false) => Exit::Incomplete,
        _ => Exit::Damaged,
    })
}

/// What is restored into the archive's own folder would lie among its objects.
fn refuse_archive(target: &Path, archive: &Archive) -> Result<(), Error> {
    let Some(folder) = archive.url().strip_prefix("fs://") else { return Ok(()) };
    if resolved(target).starts_with(resolved(Path::new(folder))) {
        return Err(Error::TargetInArchive { path: target.to_owned() });
    }
    Ok(())
}

/// A path with its links followed, so far as it is there.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    let Some((above, mut resolved)) = there else { return path };
    for component in path.strip_prefix(above).unwrap_or(&path).components() {
        match component {
            Component::ParentDir => drop(resolved.pop()),
            other => resolved.push(other),
        }
    }
    resolved
}

/// How many of the other sources are named.
const NAMED: usize = 3;

/// The latest snapshot may be of another folder than the one that was lost.
fn note_other_sources(context: &Context, archive: &Archive, snapshot: &Snapshot) {
    let own = shown_sources(snapshot);
    let newest: BTreeMap<String, u64> =
        archive.snapshots().iter().map(|other| (shown_sources(other), other.head.number)).collect();
    let others: Vec<(&String, &u64)> = newest.iter().filter(|(sources, _)| **sources != own).collect();
    if !others.is_empty() {
        let named = others.iter().take(NAMED).map(|(sources, number)| format!("{number} ({sources})"));
        let more = others.len().checked_sub(NAMED).filter(|more| *more > 0).map(|more| format!("{more} more"));
        let others = named.chain(more).collect::<Vec<_>>().join(", ");
        context.output.note(&format!("snapshots of other sources exist: {others}; this restores only {own}"));
    }
}

fn of_target(error: ArchiveError) -> Error {
    match error {
        ArchiveError::Target { path, source }
            if matches!(source.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists) =>
        {
            let absolute = std::path::absolute(&path).unwrap_or(path);
            let in_the_way = absolute.ancestors().find(|above| above.symlink_metadata().is_ok());
            Error::TargetNotAFolder { path: in_the_way.unwrap_or(&absolute).to_owned() }
        }
        other => other.into(),
    }
}
