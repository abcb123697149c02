//! `coffer key rotate`: a new key for the archive.
//!
//! The new key is kept on this device before the archive knows of it, and protected before the old one ends. A run that
//! was interrupted is gone on with by the next.

use std::time::Duration;

use coffer_archive::{Archive, Error as ArchiveError, PruneOptions, RotateOptions};
use coffer_keys::{BackupKey, RandomnessError};
use coffer_vault_client::{Password, RegisterError, owns};

use crate::commands::protect::register;
use crate::commands::prune::{self, parse_grace};
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
it. Interrupted at any point it loses nothing, and the same command goes on; until it has, nothing else is written \
there. Other devices get the new key with `coffer init --join URL`. What somebody has copied from there before, the old \
key opens for ever.

Keep the old digits until every copy of the archive has been brought up to date with `coffer copy`: until then nothing \
else opens that copy, not the password either (whoever has a password only shows the digits first, with \
`coffer key show`). What the old key sealed there it goes on opening until `coffer prune` has run on the copy, too.";

const ABOUT_TO_SHOW: &str = "\
This is the new recovery key of your archive: 64 digits, row by row in sixteen groups of four.
";

const ABOUT_SHOWN: &str = "
Write them down. The old ones open nothing that is written from now on. Keep them all the same until every copy of the
archive has been brought up to date with `coffer copy`: nothing else opens it before.";

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
    let (mut archive, new) = match find_stage(context, &config, &found, key)? {
        Stage::New { archive, old, new } => {
            // Until here nothing but this device knows of the new key.
            let agreed = agree(args, context, &config, (&new, Some(&old)));
            let agreed = agreed.or_else(|error| config.key_store.forget_next(&context.home).and(Err(error)))?;
            archive.prepare_rotation(&old, &new, &host_name())?;
            let protected = protect(context, &mut config, agreed, (&new, &old));
            protected.inspect_err(|_| warn_of_waiting(context))?;
            (opening::open_with(context, &found, &new)?, new)
        }
        Stage::Prepared { archive, old, new } => {
            if let Some(old) = &old {
                let agreed = agree(args, context, &config, (&new, None));
                let protected = agreed.and_then(|agreed| protect(context, &mut config, agreed, (&new, old)));
                protected.inspect_err(|_| warn_of_waiting(context))?;
            }
            (archive, new)
        }
        Stage::Rotated { mut archive, new } => return finish(args, context, &config, (&mut archive, &new), true),
    };
    let options = RotateOptions { host: host_name(), grace: args.grace };
    let report = archive.rotate(&options).inspect_err(|_| warn_of_waiting(context))?;
    if let Some(waits) = report.waits {
        context.output.summary(&Rotated::waiting(waits, config.is_protected()))?;
        return Ok(Exit::Done);
    }
    finish(args, context, &config, (&mut archive, &new), false)
}

fn warn_of_waiting(context: &Context) {
    context.output.warning("the rotation is unfinished: no backup is made until `coffer key rotate` is run again");
}

/// The archive has its new key: the device takes it, and what the old one sealed is sealed anew.
fn finish(
    args: &Args,
    context: &Context,
    config: &Config,
    (archive, new): (&mut Archive, &BackupKey),
    is_earlier: bool,
) -> Result<Exit, Error> {
    config.key_store.keep(new, &context.home)?;
    tell(args, context, config, new);
    let options = PruneOptions { grace: args.grace, ..prune::by_default() };
    let seal_anew = |progress: &_| archive.finish_rotation(&options, progress);
    let (pruned, exit) = prune::shown(context, "sealing anew", seal_anew)?;
    let (snapshots, is_finished) = (archive.snapshots().len() as u64, !archive.has_older_keys());
    if is_finished {
        config.key_store.forget_next(&context.home)?;
    }
    let mut rotated = Rotated::of(snapshots, &pruned, is_finished, config.is_protected());
    rotated.is_earlier = is_earlier;
    context.output.summary(&rotated)?;
    Ok(exit)
}

/// How far a rotation has come.
enum Stage {
    /// The archive knows nothing of the new key, which is kept on this device.
    New { archive: Archive, old: BackupKey, new: BackupKey },
    /// Both keys open it; it is opened with the new one. This device may never have had the old one.
    Prepared { archive: Archive, old: Option<BackupKey>, new: BackupKey },
    /// An earlier run has come so far that the new key is the archive's.
    Rotated { archive: Archive, new: BackupKey },
}

fn find_stage(context: &Context, config: &Config, found: &Found, key: BackupKey) -> Result<Stage, Error> {
    let pending = config.key_store.load_next(&context.home)?;
    match (opening::open_with(context, found, &key), pending) {
        // A rotation that somebody does not know to be done is not begun once more: new digits would be void.
        (Ok(archive), Some(next)) if next == key && !archive.is_rotating() => Ok(Stage::Rotated { archive, new: key }),
        // It joined with the new key while another device was at it.
        (Ok(archive), _) if archive.is_by_next_key() => Ok(Stage::Prepared { archive, old: None, new: key }),
        (Ok(archive), pending) => match pending.filter(|next| *next != key) {
            Some(new) if archive.is_rotating() => match opening::open_with(context, found, &new) {
                Err(Error::Archive(ArchiveError::WrongKey)) => Ok(Stage::New { archive, old: key, new }),
                opened => Ok(stage_of(opened?, key, new)),
            },
            Some(new) => Ok(Stage::New { archive, old: key, new }),
            None => {
                let new = BackupKey::generate().map_err(|RandomnessError { .. }| ArchiveError::Randomness)?;
                config.key_store.keep_next(&new, &context.home)?;
                Ok(Stage::New { archive, old: key, new })
            }
        },
        (Err(Error::Archive(ArchiveError::WrongKey)), Some(new)) => {
            Ok(stage_of(opening::open_with(context, found, &new)?, key, new))
        }
        (Err(error), _) => Err(error),
    }
}

/// That of an archive that its new key has opened.
fn stage_of(archive: Archive, old: BackupKey, new: BackupKey) -> Stage {
    match archive.is_by_next_key() {
        true => Stage::Prepared { archive, old: Some(old), new },
        false => Stage::Rotated { archive, new },
    }
}

/// All that a person has to say, and that the vault has to answer, before the new key is protected.
struct Agreed {
    /// None where the vault has the new key, or has nothing to do with it.
    password: Option<(Vault, Password)>,
    /// Whether the digits were shown; None where they are nobody's business.
    digits: Option<bool>,
}

/// In the ways in which the old key was protected; where it was in none, by the digits. As long as there is an `old` key
/// that is not to end yet, anything that would keep the vault from taking the new one is refused.
fn agree(
    args: &Args,
    context: &Context,
    config: &Config,
    (new, old): (&BackupKey, Option<&BackupKey>),
) -> Result<Agreed, Error> {
    let mut agreed = Agreed { password: None, digits: None };
    if config.is_protected_by(Protection::Password) {
        let vault = Vault::open(context, &args.vault, Some(config))?;
        let status = vault.status().map_err(VaultError::from)?;
        if !status.live.as_ref().is_some_and(|live| owns(new, live)) {
            if let Some(retry_at) = status.cool_down_until {
                return Err(VaultError::from(RegisterError::CoolDown { retry_at }).into());
            }
            if old.zip(status.live.as_ref()).is_some_and(|(old, live)| !owns(old, live)) {
                return Err(VaultError::OfAnother.into());
            }
            agreed.password = Some((vault, args.password.ask_for_new(context)?));
        }
        if !config.is_protected_by(Protection::RecoveryKey) {
            return Ok(agreed);
        }
    }
    // In JSON there is room for one result; `coffer key show` has the digits afterwards.
    let is_shown = !context.output.is_json();
    if is_shown {
        context.output.explain(ABOUT_TO_SHOW);
        context.output.show(&ShownKey::new(&new.recovery_key(), args.qr))?;
        context.output.explain(ABOUT_SHOWN);
    }
    let is_written_down = args.yes || is_shown && context.output.ask(QUESTION)?;
    if !is_written_down {
        return Err(VaultError::Unconfirmed.into());
    }
    agreed.digits = Some(is_shown);
    Ok(agreed)
}

fn protect(
    context: &Context,
    config: &mut Config,
    agreed: Agreed,
    (new, old): (&BackupKey, &BackupKey),
) -> Result<(), Error> {
    if let Some((vault, password)) = agreed.password {
        register(context, config, &vault, (new, old), &password)?;
    }
    match agreed.digits {
        None => return Ok(()),
        Some(true) => config.protect(Protection::RecoveryKey),
        // Those on paper are the old key's.
        Some(false) => config.unprotect(Protection::RecoveryKey),
    }
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
