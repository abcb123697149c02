//! Why a service cannot start.

use std::io;
use std::path::PathBuf;

/// Every text says what to do; none carries a secret.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// A file that the configuration names.
    #[error("{}: {why}", path.display())]
    Named {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// An address is taken, or is not this machine's.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The operating system does not play along.
    #[error("{0}: {1}")]
    System(&'static str, String),
}
