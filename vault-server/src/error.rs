//! Why the program ends before its time. Every text says what to do; none carries a secret.

use std::io;
use std::path::{Path, PathBuf};

use coffer_hsm_adapter::TokenError;
use coffer_service::ServiceError;
use coffer_service::configuration::ConfigError;
use coffer_vault_core::{HsmError, VaultError};
use coffer_vault_store::OpenError;

use crate::exit::Exit;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{action} {}: {source}", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is in use by another coffer-vault", .0.display())]
    InUse(PathBuf),
    #[error("HSM: {0}")]
    Token(#[from] TokenError),
    #[error("HSM: {0}")]
    Hsm(#[from] HsmError),
    #[error("the token is not fit:\n{0}")]
    Unfit(String),
    #[error("store: {0}")]
    Store(#[from] OpenError),
    #[error("{}: {why}", path.display())]
    Manifest { path: PathBuf, why: &'static str },
    #[error("the vault cannot be opened: {0}")]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// A file that the configuration names.
    #[error("{}: {why}", path.display())]
    Named { path: PathBuf, why: String },
    /// A file of a ceremony.
    #[error("{}: {why}", path.display())]
    Ceremony { path: PathBuf, why: String },
    #[error("{0}")]
    Argument(&'static str),
    #[error("{0}: {1}")]
    System(&'static str, String),
}

impl Error {
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { action, path: path.to_owned(), source }
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::Named { .. } | Self::Service(ServiceError::Named { .. }) => Exit::Configuration,
            Self::Token(_) | Self::Hsm(_) | Self::Unfit(_) => Exit::Hsm,
            Self::File { .. } | Self::InUse(_) | Self::Store(_) | Self::Manifest { .. } | Self::Vault(_) => Exit::Store,
            Self::Service(ServiceError::Listen { .. }) => Exit::Listen,
            Self::Ceremony { .. } => Exit::Ceremony,
            Self::Argument(_) | Self::System(..) | Self::Service(ServiceError::System(..)) => Exit::Failed,
        }
    }
}
