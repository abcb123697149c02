//! `coffer backup`: a new snapshot of files and folders.

use std::fs::{self, FileType};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use clap::ArgGroup;
use coffer_archive::{Archive, BackupOptions, BackupReport, Excluded, Problem};

use crate::commands::forget;
use crate::config::{Config, Protection};
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::hooks;
use crate::keep::Rules;
use crate::opening;
use crate::output::{BackedUp, RecognisedRecord};
use crate::profile::Profiles;
use crate::progress;
use crate::vault::{Vault, VaultOptions, record, send_head};
use crate::what::What;

const EXAMPLES: &str = "\
Examples:
  coffer backup ~/chats                    back up a folder
  coffer backup ~/chats ~/exports/a.zip    several paths, in one snapshot
  coffer backup --whatsapp ~/phone         what counts of WhatsApp's files
  coffer backup ~ --exclude '*.tmp' --exclude /Downloads --exclude-caches
  coffer backup --profile chats            what `coffer profile add chats …` was told

Only what has changed since the last snapshot, as its size and times tell, is read and stored. Programs that write \
through a memory map may change a file within seconds of a backup without a trace in its times: a backup with --force \
reads all. An interrupted backup goes on where it stopped when \
the same command is run again.";

/// Back up files and folders
#[derive(Debug, clap::Args)]
#[command(
    after_help = EXAMPLES,
    override_usage = "coffer backup [OPTIONS] <PATH>...",
    group = ArgGroup::new("sources").required(true).multiple(true)
        .args(["paths", "whatsapp", "whatsapp_export", "signal", "telegram_export", "profile"])
)]
pub(crate) struct Args {
    #[command(flatten)]
    what: What,

    /// Back up what this profile says, and run its hooks
    #[arg(long, value_name = "NAME", conflicts_with = "What")]
    profile: Option<String>,

    /// Read every file, whether or not it seems unchanged since the last snapshot
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let all = Rules::default();
    let back_up = |what: &What, keep: &Rules| back_up(what, keep, args.force, context);
    let Some(name) = &args.profile else { return back_up(&args.what, &all).map(|(exit, _)| exit) };
    let profiles = Profiles::read(&context.home)?;
    let profile = profiles.get(name)?;
    hooks::around(context, name, &profile.hooks, || back_up(&profile.backup, &profile.keep))
}

fn back_up(what: &What, keep: &Rules, force: bool, context: &Context) -> Result<(Exit, BackedUp), Error> {
    let taken = what.take()?;
    let recognised: Vec<_> = taken.recognised.iter().map(RecognisedRecord::of).collect();
    for found in &recognised {
        found.say(context.output);
    }
    let mut archive = opening::open(context)?;
    let is_protected = is_protected(context, &archive)?;
    let options = BackupOptions { sources: taken.sources, host: what.host(), rules: taken.rules, force };
    let mut report = progress::shown(&context.output, "backing up", |progress| archive.backup(&options, progress))?;
    context.output.notes(&report.notes);
    context.output.problems(&report.problems);
    let is_all_left_out = warn_of_nothing(&options.sources, context, &mut report);
    let alarms = tell_vault(context, &archive);
    let exit = if report.problems.is_empty() && !is_all_left_out { Exit::Done } else { Exit::Incomplete };
    let thinned = match exit {
        Exit::Done => forget::thin(keep, &report.snapshot, &mut archive, context)?,
        // What could not be read now may be whole in an older one.
        _ => {
            if keep.is_any() {
                context.output.note("no older snapshot is forgotten: this one is not complete");
            }
            None
        }
    };
    let (forgot, exit) = thinned.map_or((None, exit), |(forgot, exit)| (Some(forgot), exit));
    let record = BackedUp::of(&report, is_protected, recognised, alarms, forgot);
    context.output.summary(&record)?;
    if !is_protected {
        context.output.warning("the key is on this device only: if the device is lost, so is the backup");
        context.output.hint(
            "run `coffer protect recovery-key` and write the 64 digits down, or set a password with \
             `coffer protect password`",
        );
    }
    Ok((exit, record))
}

/// The vault notes the newest snapshot for the next device. If it cannot be told now, the next backup tells it. And who
/// backs up every night, but never asks for the status, learns here what threatens the key. Gives what was warned of.
fn tell_vault(context: &Context, archive: &Archive) -> Vec<String> {
    let mut alarms = Vec::new();
    let own = opening::device(context).ok().flatten();
    let own = own.filter(|(config, id)| *id == archive.id() && config.vault.is_some() && is_by_device(context));
    let Some((mut config, _)) = own else { return alarms };
    let is_relied_on = config.is_protected_by(Protection::Password);
    let Err(error) = tell(context, archive, &mut config, &mut alarms) else { return alarms };
    let text = format!("the vault was not told of the new snapshot: {error}");
    // Where the vault keeps nothing of this key that is no more than worth knowing.
    if is_relied_on {
        context.output.warning(&text);
        context.output.hint("the backup itself is done; the next one tells the vault");
        alarms.push(text);
    } else {
        context.output.note(&text);
    }
    alarms
}

fn tell(context: &Context, archive: &Archive, config: &mut Config, alarms: &mut Vec<String>) -> Result<(), Error> {
    let key = config.key_store.load(&context.home)?;
    let vault = Vault::open(context, &VaultOptions::NONE, Some(config))?;
    let record = record(context, &vault, Some(config))?;
    for alarm in record.alarms() {
        context.output.warning(alarm);
    }
    alarms.extend_from_slice(record.alarms());
    vault.remember(context, config)?;
    // Without a registration of this key there is nothing to send it to; if that is wrong, an alarm has said so.
    if record.takes_head() { send_head(context, &vault, archive.url(), &key) } else { Ok(()) }
}

/// Whether the archive was opened with the key that the device keeps.
fn is_by_device(context: &Context) -> bool {
    context.options.recovery_key_file.is_none()
}

/// Warns of sources without content and of a snapshot without files: who made it may believe in it. Returns whether
/// there was something to store, and none of it was.
fn warn_of_nothing(sources: &[PathBuf], context: &Context, report: &mut BackupReport) -> bool {
    let mut is_left_out =
        report.excluded != Excluded::default() || report.notes.iter().any(|note| note.what.starts_with(LEFT_OUT));
    for path in sources {
        if let Some(kind) = without_content(path) {
            let what = format!("it is a {kind}: what can be read from it is not backed up");
            let note = Problem { path: path.clone(), what };
            context.output.problems(std::slice::from_ref(&note));
            // For those who read the result as JSON.
            report.notes.push(note);
            is_left_out = true;
        }
    }
    if report.snapshot.totals.files > 0 {
        return false;
    }
    let why = if is_left_out { ": everything was left out" } else { "" };
    context.output.warning(&format!("the snapshot holds no file{why}"));
    is_left_out
}

/// How the archive's notes begin on what it did not store.
const LEFT_OUT: &str = "left out";

/// What a source is, if it is nothing that has content of its own.
fn without_content(path: &Path) -> Option<&'static str> {
    // The sources themselves may be links, and are followed.
    let kind: FileType = fs::metadata(path).ok()?.file_type();
    if kind.is_fifo() {
        Some("named pipe")
    } else if kind.is_socket() {
        Some("socket")
    } else if kind.is_block_device() || kind.is_char_device() {
        Some("device")
    } else {
        None
    }
}

/// Whether the key would survive the loss of this device. A key that came from elsewhere does.
fn is_protected(context: &Context, archive: &Archive) -> Result<bool, Error> {
    if !is_by_device(context) {
        return Ok(true);
    }
    let device = opening::device(context)?.filter(|(_, id)| *id == archive.id());
    Ok(device.is_none_or(|(config, _)| config.is_protected()))
}
