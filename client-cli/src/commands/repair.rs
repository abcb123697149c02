//! `coffer repair`: what can be made anew from the rest of the archive.

use clap::Subcommand;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::opening;
use crate::output::{IndexRepaired, SnapshotsRepaired};
use crate::progress;
use crate::what::host_name;

const EXAMPLES: &str = "\
Examples:
  coffer repair index                  make the index anew from what the packs say of themselves
  coffer repair snapshots --dry-run    which snapshots are damaged or missing?

What is lost in packs cannot be made from nothing: `coffer verify --read-data` finds it, and the next `coffer backup` \
stores again what the source still has.";

/// Make damaged parts of the archive anew from the others
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write the index anew from the packs' own tables of contents
    ///
    /// Damaged index objects go, and many small ones become few.
    Index,

    /// Give up the snapshots that are damaged or missing
    ///
    /// What they alone held is lost; while damaged ones are there nothing can be pruned. Try first whether the storage
    /// provider has a whole copy, or `coffer copy` made one elsewhere.
    Snapshots {
        /// Only say which
        #[arg(long)]
        dry_run: bool,
    },
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    match args.what {
        What::Index => index(context),
        What::Snapshots { dry_run } => snapshots(context, dry_run),
    }
}

fn index(context: &Context) -> Result<Exit, Error> {
    let archive = opening::open(context)?;
    let repair = |progress: &_| archive.repair_index(&host_name(), progress);
    let report = progress::shown(&context.output, "repairing", repair)?;
    context.output.problems(&report.problems);
    context.output.summary(&IndexRepaired::of(&report))?;
    Ok(if report.problems.is_empty() { Exit::Done } else { Exit::Damaged })
}

fn snapshots(context: &Context, dry_run: bool) -> Result<Exit, Error> {
    let mut archive = opening::open(context)?;
    let report = archive.repair_snapshots(&host_name(), dry_run)?;
    context.output.problems(&report.damaged);
    context.output.summary(&SnapshotsRepaired::of(&report, dry_run))?;
    let is_whole = report.damaged.is_empty() && report.missing.is_empty();
    Ok(if dry_run && !is_whole { Exit::Damaged } else { Exit::Done })
}
