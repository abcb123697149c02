//! `coffer verify`: whether the archive is whole.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::opening;
use crate::output::Verified;
use crate::progress;

const EXAMPLES: &str = "\
Examples:
  coffer verify                 is everything there that the snapshots need?
  coffer verify --read-data     and can every byte of it be opened?";

/// Check that the archive is whole
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Read and open all stored data too, not only what describes them
    #[arg(long)]
    read_data: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let archive = opening::open(context)?;
    let verify = |progress: &_| archive.verify(args.read_data, progress);
    let report = progress::shown(&context.output, "verifying", verify)?;
    context.output.notes(&report.notes);
    context.output.problems(&report.problems);
    context.output.summary(&Verified::of(&report, args.read_data))?;
    Ok(if report.problems.is_empty() { Exit::Done } else { Exit::Damaged })
}
