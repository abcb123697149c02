//! `coffer backup`: a new snapshot of files and folders.

use std::path::PathBuf;

use coffer_archive::BackupOptions;

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::opening;
use crate::output::BackedUp;
use crate::progress;

const EXAMPLES: &str = "\
Examples:
  coffer backup ~/chats                    back up a folder
  coffer backup ~/chats ~/exports/a.zip    several paths, in one snapshot

Only what has changed since the last snapshot is read and stored. An interrupted backup goes on where it stopped when \
the same command is run again.";

/// Back up files and folders
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What to back up
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// The name of this device in the snapshot [default: its host name]
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let mut archive = opening::open(context)?;
    let is_protected = is_protected(context, &archive)?;
    let options = BackupOptions { sources: args.paths.clone(), host: args.host.clone().unwrap_or_else(host_name) };
    let report = progress::shown(&context.output, "backing up", |progress| archive.backup(&options, progress))?;
    context.output.notes(&report.notes);
    context.output.problems(&report.problems);
    context.output.summary(&BackedUp::of(&report, is_protected))?;
    if !is_protected {
        context.output.warning("the key is on this device only: if the device is lost, so is the backup");
        context.output.hint("run `coffer protect recovery-key` and write the 64 digits down");
    }
    Ok(if report.problems.is_empty() { Exit::Done } else { Exit::Incomplete })
}

/// Whether the key would survive the loss of this device. A key that came from elsewhere does.
fn is_protected(context: &Context, archive: &coffer_archive::Archive) -> Result<bool, Error> {
    let device = opening::device(context)?.filter(|(_, id)| *id == archive.id());
    let own_key = device.filter(|_| context.options.recovery_key_file.is_none());
    Ok(own_key.is_none_or(|(config, _)| config.is_protected()))
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
