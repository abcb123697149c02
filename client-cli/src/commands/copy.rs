//! `coffer copy`: the archive at a second provider.

use std::path::Path;

use crate::address;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::opening;
use crate::output::Copied;
use crate::progress;
use crate::what::host_name;

const EXAMPLES: &str = "\
Examples:
  coffer copy --to /mnt/second/backups
  coffer --archive /mnt/second/backups verify --read-data
  coffer --archive /mnt/second/backups copy --to /mnt/disk/backups    when the first lost something

The copy is the same archive under the same keys: whatever opens one opens the other. Only what is missing there is \
copied, nothing there is overwritten or removed, and what does not open here is not spread. An interrupted copy goes \
on where it stopped. A copy that has fallen behind is refused as an older archive until it is brought up to date. \
After `coffer key rotate` that gives it the new key, too; what the old key sealed goes with the next `coffer prune` \
there.

A copy that keeps snapshots which were forgotten here goes on keeping them. After `coffer key rotate` it is not \
brought up to date: by the new key nobody could open those. The old digits do, with --allow-rollback.";

/// Copy the archive to a second place
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where to: an empty place, or an earlier copy
    #[arg(long, value_name = "URL")]
    to: String,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let archive = opening::open(context)?;
    let to = address::destination(context, &args.to)?;
    let same = |url: &str| url.strip_prefix("fs://").and_then(|path| Path::new(path).canonicalize().ok());
    if to.url() == archive.url() || same(to.url()).is_some_and(|to| Some(to) == same(archive.url())) {
        return Err(Error::CopyOntoItself { url: args.to.clone() });
    }
    let copy = |progress: &_| archive.copy_to(&to, &host_name(), progress);
    let report = progress::shown(&context.output, "copying", copy)?;
    context.output.problems(&report.problems);
    context.output.summary(&Copied::of(&report, to.url()))?;
    Ok(if report.problems.is_empty() { Exit::Done } else { Exit::Damaged })
}
