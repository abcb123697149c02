//! `coffer forget`: snapshots go, by name or by rule.

use coffer_archive::{Archive, Error as ArchiveError, ObjectName, Snapshot};
use jiff::Zoned;

use crate::commands::prune;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::keep::{Judged, Rules};
use crate::opening;
use crate::output::{Forgot, Pruned};

const EXAMPLES: &str = "\
Examples:
  coffer forget --keep-daily 7 --keep-weekly 4    one a day for a week, one a week for a month
  coffer forget --keep-daily 7 --prune            and free the space at once
  coffer forget --keep-within 30d --dry-run       what would go?
  coffer forget 3 4                               snapshots 3 and 4

The space is freed by --prune, or by `coffer prune` later. The newest snapshot always stays, as does any that no other \
follows: they are how an old copy of the archive is told from a new one. A rule for more hours, days or weeks than there \
are keeps the oldest, too.";

/// Forget snapshots that are needed no more
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = "coffer forget [OPTIONS] [SNAPSHOT]...")]
pub(crate) struct Args {
    /// Numbers, names or beginnings of names of snapshots
    #[arg(value_name = "SNAPSHOT", required_unless_present_any = RULES, conflicts_with_all = RULES)]
    snapshots: Vec<String>,

    /// Free the space too, as `coffer prune` does
    #[arg(long)]
    prune: bool,

    /// Only say what would be forgotten
    #[arg(long, conflicts_with = "prune")]
    dry_run: bool,

    #[command(flatten)]
    rules: Rules,
}

const RULES: [&str; 7] = ["last", "hourly", "daily", "weekly", "monthly", "yearly", "within"];

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let mut archive = opening::open(context)?;
    let judged = judge(args, &archive)?;
    let (mut result, names) = (Forgot::of(&judged, args.dry_run), going(&judged));
    if args.dry_run {
        context.output.summary(&result)?;
        return Ok(Exit::Done);
    }
    result.removed = archive.forget(&names)?;
    let exit = if args.prune { free(&mut result, &mut archive, context)? } else { Exit::Done };
    context.output.summary(&result)?;
    if !args.prune && !names.is_empty() {
        context.output.note("`coffer prune` frees the space");
    }
    Ok(exit)
}

/// Forgets what a profile does not keep of the snapshots that are like its newest, and frees the space. None where all
/// is kept. Where another run is in the way, what is left to be done is left to a later prune.
pub(crate) fn thin(
    rules: &Rules,
    newest: &Snapshot,
    archive: &mut Archive,
    context: &Context,
) -> Result<Option<(Forgot, Exit)>, Error> {
    if !rules.is_any() {
        return Ok(None);
    }
    let judged = rules.judge_alike(newest, archive, &Zoned::now());
    let (mut result, names) = (Forgot::of(&judged, false), going(&judged));
    if names.is_empty() {
        return Ok(None);
    }
    result.removed = archive.forget(&names)?;
    let exit = match free(&mut result, archive, context) {
        Err(error @ Error::Archive(ArchiveError::Busy(_) | ArchiveError::Disturbed)) => {
            context.output.note(&format!("the space of forgotten snapshots is freed next time: {error}"));
            Exit::Done
        }
        freed => freed?,
    };
    Ok(Some((result, exit)))
}

/// Frees the space of what was forgotten.
fn free(result: &mut Forgot, archive: &mut Archive, context: &Context) -> Result<Exit, Error> {
    let (report, exit) = prune::shown(context, "pruning", |progress| archive.prune(&prune::by_default(), progress))?;
    result.pruned = Some(Pruned::of(&report, false));
    Ok(exit)
}

fn going(judged: &[Judged<'_>]) -> Vec<ObjectName> {
    judged.iter().filter(|one| one.reasons.is_empty()).map(|one| one.snapshot.name).collect()
}

fn judge<'a>(args: &Args, archive: &'a Archive) -> Result<Vec<Judged<'a>>, Error> {
    if args.rules.is_any() {
        return Ok(args.rules.judge(archive.snapshots(), &archive.tips(), &Zoned::now()));
    }
    let named = args.snapshots.iter().map(|which| archive.snapshot(which)).collect::<Result<Vec<_>, _>>()?;
    let judge = |snapshot: &'a Snapshot| {
        let is_named = named.iter().any(|named| named.name == snapshot.name);
        Judged { snapshot, reasons: if is_named { Vec::new() } else { vec!["not named"] } }
    };
    Ok(archive.snapshots().iter().map(judge).collect())
}
