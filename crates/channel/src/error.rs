//! Why something is not sealed or does not open.

use thiserror::Error;

/// None of them says more than the gateway may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ChannelError {
    /// The body is longer than what is sealed at most.
    #[error("the body is too long to be sealed")]
    TooLong,
    /// Not a key of P-256.
    #[error("not a transport key")]
    Key,
    /// The request was sealed to another transport key.
    #[error("sealed to another transport key")]
    OtherKey,
    /// The request was sealed too long ago, or is from the future.
    #[error("sealed at another time")]
    Time,
    /// It was changed, or is for another site, account, token, request or manifest.
    #[error("the seal does not hold")]
    Seal,
}
