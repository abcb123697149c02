//! `coffer repair`: what can be made anew from the rest of the archive.

use clap::Subcommand;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::opening;
use crate::output::IndexRepaired;
use crate::progress;
use crate::what::host_name;

const EXAMPLES: &str = "\
Examples:
  coffer repair index     make the index anew from what the packs say of themselves

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
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let What::Index = args.what;
    let archive = opening::open(context)?;
    let repair = |progress: &_| archive.repair_index(&host_name(), progress);
    let report = progress::shown(&context.output, "repairing", repair)?;
    context.output.problems(&report.problems);
    context.output.summary(&IndexRepaired::of(&report))?;
    Ok(if report.problems.is_empty() { Exit::Done } else { Exit::Damaged })
}
