//! What can go wrong apart from a wrong password.

use thiserror::Error;

use crate::Argon2Error;

/// Why something was refused. None of these has to do with whether a password is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PakeError {
    /// A password, an identity or a context above 65535 bytes, more than RFC 9807's length fields hold.
    #[error("a password, identity or context is longer than 65535 bytes")]
    TooLong,
    /// Argon2 parameters that a client does not work with.
    #[error(transparent)]
    Argon2(#[from] Argon2Error),
    /// A key cannot be dealt so: 1 ≤ t ≤ n ≤ [`MAX_SITES`](crate::MAX_SITES) must hold.
    #[error("a key cannot be dealt to {n} sites of which {t} are needed")]
    Threshold {
        /// Sites that get a share.
        n: u8,
        /// Sites that are needed.
        t: u8,
    },
    /// A message or stored state of the wrong length, or with a point in it that is none. Refuse its sender.
    #[error("a message of the password protocol is malformed")]
    Malformed,
}
