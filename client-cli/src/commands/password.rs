//! `coffer password`: the password that protects the key.

use crate::commands::protect::protect_with_password;
use crate::config::Protection;
use crate::context::Context;
use crate::error::{Error, VaultError};
use crate::exit::Exit;
use crate::opening;
use crate::password::PasswordOptions;
use crate::vault::VaultOptions;

const EXAMPLES: &str = "\
Examples:
  coffer password change

The old password is not needed: this device has the key. Nothing is encrypted anew. The vault erases what it kept \
under the old password.";

/// Change the password that protects the key
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Set another password
    Change {
        #[command(flatten)]
        vault: VaultOptions,
        #[command(flatten)]
        password: PasswordOptions,
    },
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let Action::Change { vault, password } = &args.action;
    let (config, _) = opening::device_key(context)?;
    if !config.is_protected_by(Protection::Password) {
        return Err(VaultError::NotByPassword.into());
    }
    protect_with_password(context, vault, password)
}
