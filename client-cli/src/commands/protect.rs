//! `coffer protect`: how the key is to survive the loss of this device.

mod recovery_key;
mod with_password;

pub(crate) use with_password::{protect_with_password, register};

use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::password::PasswordOptions;
use crate::vault::VaultOptions;

const EXAMPLES: &str = "\
Examples:
  coffer protect password --vault ADDRESS --token-file FILE    a password, which a vault guards
  coffer protect recovery-key                                  show the 64 digits to write down
  coffer protect recovery-key --qr                             with a QR code of them";

/// Choose how the key survives the loss of this device
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, subcommand_value_name = "WAY", subcommand_help_heading = "Ways")]
pub(crate) struct Args {
    #[command(subcommand)]
    way: Way,
}

#[derive(Debug, clap::Subcommand)]
enum Way {
    /// Set a password: a vault gives the key back for it, and erases the key after ten wrong ones
    Password {
        #[command(flatten)]
        vault: VaultOptions,
        #[command(flatten)]
        password: PasswordOptions,
    },
    /// Write down the key as 64 digits, and keep them; a password from before ends only with --yes, or with a yes at
    /// the question
    RecoveryKey {
        /// Show a QR code of the digits too
        #[arg(long)]
        qr: bool,

        /// Delete what the vault keeps under the password, without a question
        #[arg(long)]
        yes: bool,
    },
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    match &args.way {
        Way::Password { vault, password } => protect_with_password(context, vault, password),
        Way::RecoveryKey { qr, yes } => recovery_key::protect(context, *qr, *yes),
    }
}
