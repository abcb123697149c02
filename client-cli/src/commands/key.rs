//! `coffer key`: the key on this device.

mod rotate;

use crate::config::Protection;
use crate::context::Context;
use crate::error::{Error, VaultError};
use crate::exit::Exit;
use crate::opening;
use crate::output::{ShownKey, VerifiedKey};
use crate::recovery_key;
use crate::vault::{PasswordWay, Vault, retrieve};

const EXAMPLES: &str = "\
Examples:
  coffer key show          the 64 digits, four rows of four groups
  coffer key show --qr     and as a QR code, for another device's camera
  coffer key verify        is the password, or what is on paper, still right?
  coffer key rotate        a new key, when somebody may know this one";

/// Look at the key that this device keeps, or rotate it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show the 64 digits of the recovery key: whoever sees them can read the archive
    Show {
        /// Show a QR code of the digits too
        #[arg(long)]
        qr: bool,
    },
    /// Check that what protects the key gives it back: the password, by a real retrieval; or the 64 digits
    Verify(PasswordWay),
    /// Give the archive a new key, and seal anew all that the old one opens
    Rotate(rotate::Args),
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    match &args.action {
        Action::Show { qr } => {
            let (config, key) = opening::device_key(context)?;
            if opening::awaits_next_key(context, &config, &key)? {
                context.output.warning(
                    "these are the digits of the old key: a rotation is unfinished, and `coffer key rotate` finishes it",
                );
            }
            context.output.show(&ShownKey::new(&key.recovery_key(), *qr))?;
            Ok(Exit::Done)
        }
        Action::Verify(way) => verify(context, way),
        Action::Rotate(args) => rotate::run(args, context),
    }
}

fn verify(context: &Context, way: &PasswordWay) -> Result<Exit, Error> {
    let (mut config, key) = opening::device_key(context)?;
    if context.options.recovery_key_file.is_some() || !config.is_protected_by(Protection::Password) {
        let typed = match &context.options.recovery_key_file {
            Some(file) => recovery_key::from_file(file)?,
            // Whoever names a password or its vault does not mean the digits.
            None if way.is_of_password() => return Err(VaultError::NotByPassword.into()),
            None if recovery_key::can_ask() => recovery_key::ask(&context.output)?.ok_or(Error::NoDigits)?,
            None => return Err(Error::NoDigits),
        };
        if typed.backup_key() != key {
            let typo = typed.near_misses().find(|(_, near)| *near == key).map(|(typo, _)| typo);
            return Err(Error::WrongRecoveryKey { typo });
        }
        context.output.summary(&VerifiedKey { by: "recovery key" })?;
        return Ok(Exit::Done);
    }
    let vault = Vault::open(context, &way.vault, Some(&config))?;
    vault.remember(context, &mut config)?;
    if retrieve(context, &vault, &way.password, way.yes)?.backup_key != key {
        return Err(VaultError::OtherKey.into());
    }
    context.output.summary(&VerifiedKey { by: "password" })?;
    Ok(Exit::Done)
}
