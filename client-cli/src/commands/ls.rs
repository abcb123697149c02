//! `coffer ls`: what a snapshot holds.

use std::path::PathBuf;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::opening;
use crate::output::Listing;

const EXAMPLES: &str = "\
Examples:
  coffer ls                     the top of the latest snapshot
  coffer ls latest chats -l     one folder, in full
  coffer ls 3 -r                everything in snapshot 3";

/// List files and folders of a snapshot
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Number, name or beginning of the name of a snapshot
    #[arg(default_value = "latest")]
    snapshot: String,

    /// A file or folder in it, as it was called when it was backed up or relative to the snapshot's top
    path: Option<PathBuf>,

    /// List the folders' contents too
    #[arg(short, long)]
    recursive: bool,

    /// Show type, permissions, owner, size and time
    #[arg(short, long)]
    long: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let archive = opening::open(context)?;
    let snapshot = archive.snapshot(&args.snapshot)?;
    let mut listing = Listing::new(context.output, args.long, snapshot.head.number);
    let mut add = |path: &std::path::Path, node: &coffer_archive::Node| listing.add(path, node);
    let path = args.path.as_deref().filter(|path| !opening::is_top(snapshot, path));
    let problems = archive.list(snapshot, path, args.recursive, &mut add)?;
    listing.finish(&problems)?;
    context.output.problems(&problems);
    Ok(if problems.is_empty() { Exit::Done } else { Exit::Damaged })
}
