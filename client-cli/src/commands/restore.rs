//! `coffer restore`: files come back.

use std::path::PathBuf;

use coffer_archive::RestoreOptions;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::opening;
use crate::output::Restored;
use crate::progress;

const EXAMPLES: &str = "\
Examples:
  coffer restore --to ~/restored                        everything in the latest snapshot
  coffer restore 3 --to ~/restored --path chats/2024    one folder of snapshot 3

On a device that never saw the archive, with the 64 digits in a file or at the prompt:
  coffer --archive /mnt/disk/backups restore --to ~/restored

Files that are there already are left alone, unless --force is given. Those with the right content are not written \
again, so that an interrupted restore goes on where it stopped.";

/// Restore a snapshot, or parts of it, into a folder
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
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
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let archive = opening::open(context)?;
    let snapshot = archive.snapshot(&args.snapshot)?;
    let options = RestoreOptions { target: args.to.clone(), paths: args.paths.clone(), force: args.force };
    let restore = |progress: &_| archive.restore(snapshot, &options, progress);
    let report = progress::shown(&context.output, "restoring", restore)?;
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
