//! Which vault, and whose account: as options, from the environment, or from the configuration.

use std::path::{Path, PathBuf};

use coffer_vault_client::VaultAddress;

use crate::config::KnownVault;
use crate::error::{Error, VaultError};

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Vault options")]
pub(crate) struct VaultOptions {
    /// The vault: https://host/# and the 64 digits of its fingerprint, as its operator gives them
    #[arg(long = "vault", value_name = "ADDRESS", env = "COFFER_VAULT", hide_env_values = true)]
    pub(crate) address: Option<String>,

    /// The file with the account token of your messaging service; it is read each time
    #[arg(long, value_name = "FILE", env = "COFFER_VAULT_TOKEN_FILE", hide_env_values = true)]
    token_file: Option<PathBuf>,

    /// Trust the certificates in this file (PEM) for TLS, in the place of the system's
    #[arg(long, value_name = "FILE", env = "COFFER_VAULT_CA_FILE", hide_env_values = true)]
    vault_ca_file: Option<PathBuf>,
}

/// What it takes to speak to a vault.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) address: VaultAddress,
    pub(super) token_file: PathBuf,
    pub(super) ca_file: Option<PathBuf>,
}

impl VaultOptions {
    /// What the configuration says, and nothing else.
    pub(crate) const NONE: Self = Self { address: None, token_file: None, vault_ca_file: None };

    pub(super) fn named(&self, known: Option<&KnownVault>) -> Result<Named, Error> {
        let address = match (&self.address, known) {
            (Some(text), _) => text.parse().map_err(|why| VaultError::BadAddress { address: text.clone(), why })?,
            (None, Some(known)) => known.address.clone(),
            (None, None) => return Err(VaultError::NoVault.into()),
        };
        // What was written down belongs to the vault that it was written down for.
        let known = known.filter(|known| known.address == address);
        let token_file = self.token_file.as_deref().or(known.map(|known| known.token_file.as_path()));
        let ca_file = self.vault_ca_file.as_deref().or(known.and_then(|known| known.ca_file.as_deref()));
        Ok(Named {
            address,
            token_file: absolute(token_file.ok_or(VaultError::NoTokenFile)?),
            ca_file: ca_file.map(absolute),
        })
    }
}

/// The next command may run in another folder.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
