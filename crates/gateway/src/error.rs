//! Why the program ends before its time.

use std::path::PathBuf;

use coffer_service::ServiceError;
use coffer_service::configuration::ConfigError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// A site's `ca_file`.
    #[error("{}: {why}", path.display())]
    Authority { path: PathBuf, why: String },
    #[error("{0}: {1}")]
    System(&'static str, String),
}

/// As `coffer-gateway --help` ends with it. Number 2 is clap's own; the others are those of `coffer-vault`.
pub(crate) const EXIT_CODES: &str = "Exit codes:
  0  done; of `serve`: ended in good order by SIGTERM or SIGINT
  1  an error that has no number of its own
  2  the command line makes no sense
  3  the configuration is wrong: `coffer-gateway check-config` says where
  6  an address cannot be listened on";

impl Error {
    pub(crate) const fn exit(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Authority { .. } | Self::Service(ServiceError::Named { .. }) => 3,
            Self::Service(ServiceError::Listen { .. }) => 6,
            Self::Service(ServiceError::System(..)) | Self::System(..) => 1,
        }
    }
}
