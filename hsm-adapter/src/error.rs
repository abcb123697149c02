//! Why a token cannot be used.

use std::fmt::Write;
use std::path::PathBuf;

use cryptoki::error::{Error, RvError};
use thiserror::Error as ThisError;

use crate::check::Finding;

/// Why a token cannot be used. Holds no PIN.
#[derive(Debug, ThisError)]
pub enum TokenError {
    /// Install the module, or correct the path.
    #[error("the PKCS#11 module {} cannot be loaded: {reason}", .module.display())]
    Module {
        /// What was to be loaded.
        module: PathBuf,
        /// In the dynamic linker's words.
        reason: String,
    },
    /// One adapter, [`init`](fn@crate::init) or [`check`](fn@crate::check) at a time uses a module within one process.
    #[error("the PKCS#11 module is already in use in this process")]
    InUse,
    /// A token's label has 1 to 32 bytes and no white space at its ends.
    #[error("{0:?} cannot be the label of a token: 1 to 32 bytes, no white space at the ends")]
    Label(String),
    /// Initialise the token, or correct the label. With SoftHSM: is `SOFTHSM2_CONF` the right one?
    #[error("the module has no token with the label {0:?}")]
    NoToken(String),
    /// The label has to be of one token only.
    #[error("the module has several tokens with the label {0:?}")]
    SeveralTokens(String),
    /// [`init`](fn@crate::init) needs a slot whose token is not initialised.
    #[error("the module has no slot for a new token")]
    NoFreeSlot,
    /// Each wrong try may count: a token can lock itself.
    #[error("the token refuses the PIN")]
    WrongPin,
    /// The security officer has to set a new PIN.
    #[error("the token's PIN is locked or expired")]
    PinLocked,
    /// The pair's public half is gone. Restore it from a backup of the token. Only if nothing was ever registered with
    /// this token, destroy the private half and initialise again.
    #[error("{0}: the private key is there, but its public half is not")]
    HalfPair(&'static str),
    /// Keys of the ceremony are sealed to one HSM each. Is it the file of this site?
    #[error("these keys are sealed to another HSM: is it this site's file, and this site's token?")]
    OtherHsm,
    /// They lack a key, or have one twice.
    #[error("the sealed keys are not one each of ake, share-kek and ledger-mac")]
    KeySet,
    /// Altered, or sealed for something else. Nothing was changed.
    #[error("{0}: what is sealed does not open, or is not the key that it is said to be; nothing was changed")]
    Sealed(&'static str),
    /// Keys are never overwritten. Nothing was changed.
    #[error("{0}: the token has another key of this name already; nothing was changed")]
    KeyIsThere(&'static str),
    /// The token must not be used. Everything that [`check`](fn@crate::check) found.
    #[error("the token does not protect the keys as it must:{}", listed(.0))]
    Unfit(Vec<Finding>),
    /// Something that was not expected of a token.
    #[error("the token failed: {0}")]
    Call(Error),
}

fn listed(findings: &[Finding]) -> String {
    findings.iter().fold(String::new(), |mut text, finding| {
        // Writing to a string does not fail.
        let _ = write!(text, "\n  {finding}");
        text
    })
}

impl From<Error> for TokenError {
    fn from(error: Error) -> Self {
        match error {
            Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _) => Self::WrongPin,
            Error::Pkcs11(RvError::PinLocked | RvError::PinExpired, _) => Self::PinLocked,
            Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _) => Self::InUse,
            error => Self::Call(error),
        }
    }
}
