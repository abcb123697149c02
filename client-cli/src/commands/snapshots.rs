//! `coffer snapshots`: what can be restored.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::opening;
use crate::output::{ProblemRecord, SnapshotRecord, Snapshots};

const EXAMPLES: &str = "\
Each line: number, beginning of the name, time, files, size, device, what was backed up.
Other commands take the number, the name or its beginning, or \"latest\".

Examples:
  coffer snapshots
  coffer snapshots --json | jq '.snapshots[-1].receipt'";

/// List the snapshots of the archive, oldest first
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, context: &Context) -> Result<Exit, Error> {
    let archive = opening::open(context)?;
    let damaged = archive.damaged_snapshots();
    context.output.show(&Snapshots {
        snapshots: archive.snapshots().iter().map(SnapshotRecord::of).collect(),
        damaged: ProblemRecord::all(damaged),
    })?;
    if archive.snapshots().is_empty() && damaged.is_empty() {
        context.output.note("the archive holds no snapshot yet");
    }
    Ok(if damaged.is_empty() { Exit::Done } else { Exit::Damaged })
}
