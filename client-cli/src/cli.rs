//! The command line: what can be typed.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand};
use coffer_archive::Receipt;

#[cfg(all(target_os = "linux", feature = "mount"))]
use crate::commands::mount;
use crate::commands::{
    backup, completions, copy, diff, drill, forget, init, key, ls, man, password, profile, protect, prune, repair,
    restore, schedule, snapshots, status, unlock, vault, verify,
};
use crate::context::Context;
use crate::error::Error;
use crate::exit::{self, Exit};
use crate::size::Size;

const ABOUT: &str = "End-to-end encrypted chat backups";

const LONG_ABOUT: &str = "\
End-to-end encrypted chat backups.

Whoever stores the archive learns nothing of what is in it. A random key opens it: this device keeps that key. For the \
day the device is gone you keep it on paper, as 64 digits, or have a vault guard it behind a password.";

const EXAMPLES: &str = "\
Examples:
  coffer init /mnt/disk/backups     make an archive, and its key on this device
  coffer protect recovery-key       show the 64 digits to write down
  coffer protect password           or have a vault give the key back for a password
  coffer backup ~/chats             back up a folder
  coffer restore --to ~/restored    get everything back";

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

#[derive(Debug, Parser)]
#[command(
    name = "coffer",
    version,
    about = ABOUT,
    long_about = LONG_ABOUT,
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{}", exit::help()),
    styles = STYLES,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command takes. None of them carries a secret: what stands in argv, every process can read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Where this device keeps its configuration, its key and its memory of the archive
    /// [default: "coffer" in the platform's folder for data]
    #[arg(long, value_name = "DIR", global = true, env = "COFFER_HOME", hide_env_values = true)]
    pub(crate) home: Option<PathBuf>,

    /// Use the archive at this address instead of the device's own
    #[arg(long, value_name = "URL", global = true, env = "COFFER_ARCHIVE", hide_env_values = true)]
    pub(crate) archive: Option<String>,

    /// Open the archive with the recovery key in this file; "-" reads it from standard input
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) recovery_key_file: Option<PathBuf>,

    /// Refuse an archive that lacks the snapshot with this receipt (`coffer status` shows it)
    #[arg(long, value_name = "RECEIPT", global = true, value_parser = parse_receipt)]
    pub(crate) receipt: Option<Receipt>,

    /// Accept an archive that is older than what this device, or the receipt, knows of it
    #[arg(long, global = true)]
    pub(crate) allow_rollback: bool,

    /// Send and fetch no more than so many bytes a second: 500K, 2M
    #[arg(
        long,
        value_name = "RATE",
        global = true,
        env = "COFFER_LIMIT_RATE",
        hide_env_values = true,
        value_parser = parse_rate
    )]
    pub(crate) limit_rate: Option<NonZeroU64>,

    /// Print results and errors as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Print only what was asked for, warnings and errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::Args),
    Protect(protect::Args),
    Backup(backup::Args),
    Snapshots(snapshots::Args),
    Ls(ls::Args),
    Restore(restore::Args),
    Diff(diff::Args),
    #[cfg(all(target_os = "linux", feature = "mount"))]
    Mount(mount::Args),
    Verify(verify::Args),
    Drill(drill::Args),
    Copy(copy::Args),
    Forget(forget::Args),
    Prune(prune::Args),
    Repair(repair::Args),
    Unlock(unlock::Args),
    Key(key::Args),
    Password(password::Args),
    Profile(profile::Args),
    Schedule(schedule::Args),
    Vault(vault::Args),
    Status(status::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Command {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Error> {
        match self {
            Self::Init(args) => init::run(args, context),
            Self::Protect(args) => protect::run(args, context),
            Self::Backup(args) => backup::run(args, context),
            Self::Snapshots(args) => snapshots::run(args, context),
            Self::Ls(args) => ls::run(args, context),
            Self::Restore(args) => restore::run(args, context),
            Self::Diff(args) => diff::run(args, context),
            #[cfg(all(target_os = "linux", feature = "mount"))]
            Self::Mount(args) => mount::run(args, context),
            Self::Verify(args) => verify::run(args, context),
            Self::Drill(args) => drill::run(args, context),
            Self::Copy(args) => copy::run(args, context),
            Self::Forget(args) => forget::run(args, context),
            Self::Prune(args) => prune::run(args, context),
            Self::Repair(args) => repair::run(args, context),
            Self::Unlock(args) => unlock::run(args, context),
            Self::Key(args) => key::run(args, context),
            Self::Password(args) => password::run(args, context),
            Self::Profile(args) => profile::run(args, context),
            Self::Schedule(args) => schedule::run(args, context),
            Self::Vault(args) => vault::run(args, context),
            Self::Status(args) => status::run(args, context),
            Self::Completions(args) => completions::run(args),
            Self::Man(args) => man::run(args),
        }
    }
}

fn parse_receipt(text: &str) -> Result<Receipt, &'static str> {
    Receipt::parse(text).ok_or("a receipt looks like 17-3f9a-b2c1-44d0")
}

fn parse_rate(text: &str) -> Result<NonZeroU64, &'static str> {
    let rate = text.parse::<Size>().ok().and_then(|size| NonZeroU64::new(size.bytes()));
    rate.ok_or("a rate looks like 500K or 2M, in bytes a second")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::{Cli, parse_rate};

    #[test]
    fn reads_a_rate() {
        let rate = |text| parse_rate(text).map(std::num::NonZeroU64::get).ok();
        assert_eq!(
            ["500K", "2M", "1g", "12"].map(rate),
            [Some(500_000), Some(2_000_000), Some(1_000_000_000), Some(12)]
        );
        assert_eq!(["0", "0.5", "", "K", "-1", "99999999999G", "2 M"].map(rate), [None; 7]);
    }

    #[test]
    fn the_command_line_does_not_contradict_itself() {
        Cli::command().debug_assert();
    }
}
