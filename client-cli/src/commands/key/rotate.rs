//! `coffer key rotate`: a new key for the archive.
//!
//! The new key is kept on this device before the archive knows of it, and protected before the old one ends. A run that
//! was interrupted is gone on with by the next.

use std::time::Duration;

use coffer_archive::{Archive, Error as ArchiveError, PruneOptions, RotateOptions};
use coffer_keys::{BackupKey, RandomnessError};
use coffer_vault_client::owns;

use crate::commands::protect::register;
use crate::commands::prune::{self, parse_grace, prune};
use crate::config::{Config, Protection};
use crate::context::Context;
use crate::error::{Error, VaultError};
use crate::exit::Exit;
use crate::opening::{self, Found};
use crate::output::{Rotated, ShownKey};
use crate::password::PasswordOptions;
use crate::vault::{Vault, VaultOptions, send_head, warn_of_untold};
use crate::what::host_name;

const EXAMPLES: &str = "\
Examples:
  coffer key rotate            asks whether the new digits are written down, or for a password
  coffer key rotate --yes      without the question; with --json they are not shown: `coffer protect recovery-key` does

For when somebody may know the key. The archive gets a new one and all that is there is sealed anew, as pruning does \
it; what was copied from there before, the old key still opens. Interrupted at any point it loses nothing, and the \
same command goes on; until it has, nothing else is written there. Other devices get the new key with \
`coffer init --join URL`, and copies of the archive with `coffer copy`: run `coffer prune` on them afterwards.";

const ABOUT_TO_SHOW: &str = "\
This is the new recovery key of your archive: 64 digits, row by row in sixteen groups of four.
";

const ABOUT_SHOWN: &str = "
Write them down. From now on the old ones open nothing that is written, and in the end nothing at all.";

const QUESTION: &str = "Have you written the new digits down? [y/N] ";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Show a QR code of the new digits too
    #[arg(long)]
    qr: bool,

    /// Do not ask whether the new digits are written down
    #[arg(long)]
    yes: bool,

    /// How long listings may be late, as 48h or 2d [default: not at all where they show at once what was written, 24h
    /// elsewhere]
    #[arg(long, value_name = "DURATION", value_parser = parse_grace)]
    grace: Option<Duration>,

    #[command(flatten)]
    vault: VaultOptions,
    #[command(flatten)]
    password: PasswordOptions,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let (mut config, found) = opening::own(context)?;
    // The device keeps one key: that of a copy would not open the archive.
    if found.destination.url() != config.archive_url {
        let (url, own) = (found.destination.url().to_owned(), config.archive_url);
        return Err(Error::RotatedElsewhere { url, own });
    }
    let key = config.key_store.load(&context.home)?;
    let (mut archive, next) = begin(context, &config, &found, key)?;
    if archive.is_by_next_key() {
        protect(args, context, &mut config, &next)?;
    }
    let options = RotateOptions { host: host_name(), grace: args.grace };
    let report = archive.rotate(&options)?;
    if let Some(waits) = report.waits {
        context.output.summary(&Rotated::waiting(waits, config.is_protected()))?;
        return Ok(Exit::Done);
    }
    config.key_store.keep(&next.new, &context.home)?;
    tell(args, context, &config, &next.new);
    let options = PruneOptions { grace: args.grace, ..prune::by_default() };
    let (pruned, exit) = prune(&mut archive, &options, "sealing anew", context)?;
    let (snapshots, is_finished) = (archive.snapshots().len() as u64, !archive.has_older_keys());
    if is_finished {
        config.key_store.forget_next(&context.home)?;
    }
    context.output.summary(&Rotated::of(snapshots, &pruned, is_finished, config.is_protected()))?;
    Ok(exit)
}

/// The key that it is rotated to, and the one before.
struct Next {
    new: BackupKey,
    /// None where this device never had it.
    old: Option<BackupKey>,
}

/// The archive, opened with the new key: as an interrupted run has left it, or prepared now.
fn begin(context: &Context, config: &Config, found: &Found, key: BackupKey) -> Result<(Archive, Next), Error> {
    let pending = config.key_store.load_next(&context.home)?;
    let (archive, new) = match (opening::open_with(context, found, &key), pending) {
        (Ok(archive), Some(next)) if next == key && archive.has_older_keys() && !archive.is_rotating() => {
            return Ok((archive, Next { new: key, old: None }));
        }
        // It joined with the new key while another device was at it.
        (Ok(archive), _) if archive.is_by_next_key() => return Ok((archive, Next { new: key, old: None })),
        (Ok(archive), pending) => match pending.filter(|next| *next != key) {
            Some(next) if archive.is_rotating() => match opening::open_with(context, found, &next) {
                Err(Error::Archive(ArchiveError::WrongKey)) => return prepare(context, found, &archive, key, next),
                opened => (opened?, next),
            },
            Some(next) => return prepare(context, found, &archive, key, next),
            None => {
                let next = BackupKey::generate().map_err(|RandomnessError { .. }| ArchiveError::Randomness)?;
                config.key_store.keep_next(&next, &context.home)?;
                return prepare(context, found, &archive, key, next);
            }
        },
        // Only what is to be done on this device was left to do.
        (Err(Error::Archive(ArchiveError::WrongKey)), Some(next)) => (opening::open_with(context, found, &next)?, next),
        (Err(error), _) => return Err(error),
    };
    Ok((archive, Next { new, old: Some(key) }))
}

fn prepare(
    context: &Context,
    found: &Found,
    archive: &Archive,
    key: BackupKey,
    new: BackupKey,
) -> Result<(Archive, Next), Error> {
    archive.prepare_rotation(&key, &new, &host_name())?;
    Ok((opening::open_with(context, found, &new)?, Next { new, old: Some(key) }))
}

/// In the ways in which the old key was protected; where it was in none, by the digits.
fn protect(args: &Args, context: &Context, config: &mut Config, next: &Next) -> Result<(), Error> {
    let Some(old) = &next.old else { return Ok(()) };
    if config.is_protected_by(Protection::Password) {
        let vault = Vault::open(context, &args.vault, Some(config))?;
        let live = vault.status().map_err(VaultError::from)?.live;
        if !live.is_some_and(|live| owns(&next.new, &live)) {
            register(context, config, &vault, (&next.new, old), &args.password)?;
        }
        if !config.is_protected_by(Protection::RecoveryKey) {
            return Ok(());
        }
    }
    // In JSON there is room for one result; `coffer key show` has the digits afterwards.
    if context.output.is_json() {
        if !args.yes {
            return Err(VaultError::Unconfirmed.into());
        }
        // Those on paper are the old key's.
        config.unprotect(Protection::RecoveryKey);
        return config.write(&context.home);
    }
    context.output.explain(ABOUT_TO_SHOW);
    context.output.show(&ShownKey::new(&next.new.recovery_key(), args.qr))?;
    context.output.explain(ABOUT_SHOWN);
    if !args.yes && !context.output.ask(QUESTION)? {
        return Err(VaultError::Unconfirmed.into());
    }
    config.protect(Protection::RecoveryKey);
    config.write(&context.home)
}

/// The vault's head is the new key's owner's now.
fn tell(args: &Args, context: &Context, config: &Config, key: &BackupKey) {
    if !config.is_protected_by(Protection::Password) {
        return;
    }
    let told = Vault::open(context, &args.vault, Some(config))
        .and_then(|vault| send_head(context, &vault, &config.archive_url, key));
    warn_of_untold(context, told);
}
