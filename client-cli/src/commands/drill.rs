//! `coffer drill`: a restore into nothing.

use std::time::Instant;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::opening;
use crate::output::Drilled;
use crate::progress;
use crate::vault::PasswordWay;

const EXAMPLES: &str = "\
Examples:
  coffer drill                         the latest snapshot, with this device's key
  coffer drill 3                       snapshot 3
  coffer --recovery-key-file - drill   and are the 64 digits on the paper the right ones?

Everything is fetched, opened and compared as in a restore, and nothing is written. Who has done it on a device that \
never saw the archive knows that a restore will work.";

/// Restore a snapshot into nothing, to prove that it can be restored
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Number, name or beginning of the name of a snapshot
    #[arg(default_value = "latest")]
    snapshot: String,

    #[command(flatten)]
    by_password: PasswordWay,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let archive = opening::open_by_password_if_named(context, &args.by_password)?;
    let snapshot = archive.snapshot(&args.snapshot)?;
    let began = Instant::now();
    let drill = |progress: &_| archive.drill(snapshot, progress);
    let report = progress::shown(&context.output, "restoring into nothing", drill)?;
    context.output.problems(&report.problems);
    let by_device = opening::is_by_device_key(context, archive.id())?;
    context.output.summary(&Drilled::of(&report, snapshot, began.elapsed(), by_device))?;
    Ok(if report.problems.is_empty() { Exit::Done } else { Exit::Damaged })
}
