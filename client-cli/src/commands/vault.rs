//! `coffer vault`: what the vault keeps for the account.

use coffer_vault_client::{Change, owns};

use crate::config::{Config, Protection};
use crate::context::Context;
use crate::error::{Error, VaultError};
use crate::exit::Exit;
use crate::key_store;
use crate::opening;
use crate::output::{DeviceKey, Kept};
use crate::vault::{Vault, VaultOptions, delete, record};

const EXAMPLES: &str = "\
Examples:
  coffer vault status        what is registered, and who has tried passwords
  coffer vault keep          object to a registration or deletion that is not yours
  coffer vault device-key    what the token has to be made for";

/// Look at what the vault keeps, and object to what others want to change
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show what is registered, the attempts that are left, and what threatens it; costs no attempt
    Status {
        #[command(flatten)]
        vault: VaultOptions,
    },
    /// Object, with this device's key, to a registration or a deletion that waits
    Keep {
        #[command(flatten)]
        vault: VaultOptions,
    },
    /// Delete what is registered: at once with this device's key, otherwise after a waiting time
    Delete {
        /// Delete without a question
        #[arg(long)]
        yes: bool,

        #[command(flatten)]
        vault: VaultOptions,
    },
    /// Show the public half of this device's key, for the messaging service to bind into the token
    DeviceKey,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    match &args.action {
        Action::Status { vault } => status(context, vault),
        Action::Keep { vault } => keep(context, vault),
        Action::Delete { vault, yes } => end(context, vault, *yes),
        Action::DeviceKey => device_key(context),
    }
}

fn status(context: &Context, options: &VaultOptions) -> Result<Exit, Error> {
    let mut config = Config::read(&context.home)?;
    let vault = Vault::open(context, options, config.as_ref())?;
    let record = record(context, &vault, config.as_ref())?;
    if let Some(config) = &mut config {
        vault.remember(context, config)?;
    }
    for alarm in record.alarms() {
        context.output.warning(alarm);
    }
    context.output.show(&record)?;
    Ok(Exit::Done)
}

fn keep(context: &Context, options: &VaultOptions) -> Result<Exit, Error> {
    let (config, key) = opening::device_key(context)?;
    let vault = Vault::open(context, options, Some(&config))?;
    let status = vault.status().map_err(VaultError::from)?;
    let live = status.live.ok_or(VaultError::NotRegistered)?;
    if !owns(&key, &live) {
        return Err(VaultError::OfAnother.into());
    }
    let mut ended = Vec::new();
    let threats = [
        (status.waiting.map(|waiting| Change::Successor(waiting.id)), "another registration"),
        (live.deletion.map(|asked| Change::Deletion(asked.id)), "a deletion"),
    ];
    for (threat, name) in threats {
        let Some(change) = threat else { continue };
        vault.wait(vault.session.keep(&live.id, change, &key)).map_err(VaultError::from)?;
        ended.push(name);
    }
    context.output.summary(&Kept { registration: live.id.to_string(), ended })?;
    Ok(Exit::Done)
}

const QUESTION: &str = "Delete what the vault keeps? The password will open nothing any more. [y/N] ";

fn end(context: &Context, options: &VaultOptions, yes: bool) -> Result<Exit, Error> {
    let mut config = Config::read(&context.home)?;
    let key = match &config {
        Some(config) => config.key_store.load(&context.home).ok(),
        None => None,
    };
    let vault = Vault::open(context, options, config.as_ref())?;
    if !yes && !context.output.ask(QUESTION)? {
        return Err(VaultError::Unconfirmed.into());
    }
    let deleted = delete(&vault, key.as_ref())?.ok_or(VaultError::NotRegistered)?;
    if let Some(config) = config.as_mut().filter(|_| deleted.done) {
        config.unprotect(Protection::Password);
        config.write(&context.home)?;
        if !config.is_protected() {
            context.output.warning("the key is on this device only: if the device is lost, so is the backup");
        }
    }
    context.output.summary(&deleted)?;
    Ok(Exit::Done)
}

fn device_key(context: &Context) -> Result<Exit, Error> {
    let config = Config::read(&context.home)?;
    let key = key_store::device_key(&context.home, config.as_ref().map(|config| &config.key_store))?;
    context.output.show(&DeviceKey { device_key: coffer_vault_client::shown_public_key(&key) })?;
    Ok(Exit::Done)
}
