//! `coffer prune`: what no snapshot needs is removed.

use std::time::Duration;

use coffer_archive::{Error as ArchiveError, Progress, PruneOptions, PruneReport};

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::opening;
use crate::output::Pruned;
use crate::progress;
use crate::what::host_name;

const EXAMPLES: &str = "\
Examples:
  coffer prune                     free what no snapshot needs
  coffer prune --dry-run           how much is that?
  coffer prune --max-unused 50     rewrite less, keep more of what is not needed

Interrupted at any point it loses nothing, and the same command goes on. It gives way to backups: beside one it does \
not begin, and what one that began meanwhile may count on stays until the next prune.";

/// A pack of which more than so many per cent are not needed is written anew.
const MAX_UNUSED: u8 = 10;

/// Free the space of what no snapshot needs
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Write packs anew of which more than so many per cent are not needed
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = MAX_UNUSED,
        value_parser = clap::value_parser!(u8).range(0..=100)
    )]
    max_unused: u8,

    /// Remove packs only so long after it was decided, as 48h or 2d [default: at once where listings show at once what
    /// was written, 24h elsewhere]
    #[arg(long, value_name = "DURATION", value_parser = parse_grace)]
    grace: Option<Duration>,

    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let mut archive = opening::open(context)?;
    let Args { max_unused, grace, dry_run } = *args;
    let options = PruneOptions { host: host_name(), max_unused, grace, dry_run };
    let (report, exit) = shown(context, "pruning", |progress| archive.prune(&options, progress))?;
    context.output.summary(&Pruned::of(&report, dry_run))?;
    Ok(exit)
}

/// As it is done where nothing else is asked for.
pub(super) fn by_default() -> PruneOptions {
    PruneOptions { host: host_name(), max_unused: MAX_UNUSED, grace: None, dry_run: false }
}

/// Prunes, and says what was passed over. The label is what a person sees that is done.
pub(super) fn shown(
    context: &Context,
    label: &'static str,
    prune: impl FnOnce(&Progress) -> Result<PruneReport, ArchiveError>,
) -> Result<(PruneReport, Exit), Error> {
    let report = progress::shown(&context.output, label, prune)?;
    context.output.notes(&report.notes);
    context.output.problems(&report.problems);
    let exit = if report.problems.is_empty() { Exit::Done } else { Exit::Damaged };
    Ok((report, exit))
}

pub(super) fn parse_grace(text: &str) -> Result<Duration, &'static str> {
    const WRONG: &str = "a duration looks like 48h or 2d";
    let (number, hours) = match (text.strip_suffix('h'), text.strip_suffix('d')) {
        (Some(number), _) => (number, 1),
        (_, Some(number)) => (number, 24),
        _ => return Err(WRONG),
    };
    let number: u32 = number.parse().map_err(|_| WRONG)?;
    Ok(Duration::from_secs(u64::from(number) * hours * 3600))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::parse_grace;

    #[test]
    fn a_grace_is_hours_or_days() {
        assert_eq!(parse_grace("48h"), Ok(Duration::from_secs(48 * 3600)));
        assert_eq!(parse_grace("2d"), parse_grace("48h"));
        for wrong in ["", "2", "d", "-1h", "2w", "1.5d"] {
            assert!(parse_grace(wrong).is_err(), "{wrong}");
        }
    }
}
