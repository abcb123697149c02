//! From a password to the key, without wasting attempts.

use coffer_keys::BackupKey;
use coffer_vault_client::{KeptHead, LiveStatus, Retrieved};

use super::attempt::AttemptFile;
use super::{Vault, VaultOptions};
use crate::config::{Config, KnownVault};
use crate::context::Context;
use crate::error::{Error, VaultError};
use crate::output::local_time;
use crate::password::PasswordOptions;

/// Attempts that are not made without a question.
const LAST: u8 = 2;

/// Opening an archive with a password.
#[derive(Debug, clap::Args)]
pub(crate) struct PasswordWay {
    /// Make even one of the last attempts at the password without a question
    #[arg(long)]
    pub(crate) yes: bool,

    #[command(flatten)]
    pub(crate) vault: VaultOptions,
    #[command(flatten)]
    pub(crate) password: PasswordOptions,
}

/// What a password leads to.
pub(crate) struct Regained {
    pub(crate) key: BackupKey,
    /// What the vault says of the newest snapshots.
    pub(crate) head: NamedHead,
    /// For the configuration of a device that keeps the key.
    pub(crate) vault: KnownVault,
}

/// What the vault says of the newest snapshots, as it is to be held against an archive.
pub(crate) enum NamedHead {
    /// Nothing, or it does not matter.
    None,
    /// The key's owner has signed it.
    Own(Vec<u8>),
    /// Another has. Where a rotation of the key is unfinished, that may be the owner of the key before.
    Foreign(Vec<Vec<u8>>),
}

impl PasswordWay {
    /// Whether a password or its vault is named.
    pub(crate) const fn is_of_password(&self) -> bool {
        self.vault.address.is_some() || self.password.is_named()
    }

    /// Whether the person chose it: a vault is named, and no recovery key.
    pub(crate) fn is_chosen(&self, context: &Context) -> bool {
        self.vault.address.is_some() && context.options.recovery_key_file.is_none()
    }
}

/// The key, by its password.
pub(crate) fn by_password(context: &Context, way: &PasswordWay, config: Option<&Config>) -> Result<Regained, Error> {
    let vault = Vault::open(context, &way.vault, config)?;
    let Retrieved { backup_key: key, .. } = retrieve(context, &vault, &way.password, way.yes)?;
    let head = match vault.wait(vault.session.head(&key)).map_err(VaultError::from)? {
        KeptHead::Own { sealed, .. } => NamedHead::Own(sealed),
        KeptHead::None => {
            context.output.note("the vault knows of no snapshot: whether this archive is the newest cannot be told");
            NamedHead::None
        }
        KeptHead::Foreign { .. } if context.options.allow_rollback => NamedHead::None,
        KeptHead::Foreign { sealed, .. } => NamedHead::Foreign(sealed),
    };
    // What this device registered earlier, if anything, is still its own.
    let known = config.and_then(|config| config.vault.clone()).filter(|known| known.address == vault.named.address);
    Ok(Regained { key, head, vault: vault.known(known.and_then(|known| known.registration)) })
}

/// Asks for the password and retrieves the key with it. Of the last attempts none is made unless the person says so.
pub(crate) fn retrieve(
    context: &Context,
    vault: &Vault,
    password: &PasswordOptions,
    yes: bool,
) -> Result<Retrieved, Error> {
    let status = vault.status().map_err(VaultError::from)?;
    if let Some(live) = &status.live {
        warn_of_the_last(context, live, yes)?;
    }
    let password = password.ask(context)?;
    let mut attempt = AttemptFile(&context.home);
    let retrieved = vault.wait(vault.session.retrieve(&password, &mut attempt));
    Ok(retrieved.map_err(|error| VaultError::of_retrieval(error, status.live.as_ref()))?)
}

fn warn_of_the_last(context: &Context, live: &LiveStatus, yes: bool) -> Result<(), Error> {
    let left = live.attempts_remaining;
    if left > LAST || left == 0 || live.retry_at.is_some() {
        return Ok(());
    }
    let count = if left == 1 { "1 attempt is".to_owned() } else { format!("{left} attempts are") };
    let text = format!("{count} left: after the last wrong one the vault erases the key, and nobody can get it back");
    context.output.warning(&text);
    if let Some(failed) = live.failed_attempts.last() {
        context.output.note(&format!("the last wrong attempt was made on {}", local_time(failed.at)));
    }
    if yes || context.output.ask("Make an attempt? [y/N] ")? { Ok(()) } else { Err(VaultError::Unconfirmed.into()) }
}
