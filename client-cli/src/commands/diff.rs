//! `coffer diff`: what changed from one snapshot to another.

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::opening;
use crate::output::Differences;

const EXAMPLES: &str = "\
Each line begins with + (added), - (removed), M (changed) or m (only permissions, owner, times or attributes differ).

Examples:
  coffer diff 3 4
  coffer diff 3 latest
  coffer diff 3 4 --json | jq '.changes[] | select(.change == \"removed\") | .path'";

/// Show what changed between two snapshots
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Number, name or beginning of the name of the earlier snapshot
    before: String,

    /// The later one
    #[arg(default_value = "latest")]
    after: String,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let archive = opening::open(context)?;
    let (before, after) = (archive.snapshot(&args.before)?, archive.snapshot(&args.after)?);
    let mut differences = Differences::new(context.output, before.head.number, after.head.number);
    let problems = archive.diff((before, after), &mut |path, difference| differences.add(path, difference))?;
    differences.finish(&problems)?;
    context.output.problems(&problems);
    Ok(if problems.is_empty() { Exit::Done } else { Exit::Damaged })
}
