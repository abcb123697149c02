//! The archive head that the vault keeps for the owner's next device.

use coffer_keys::BackupKey;
use coffer_proto::{ArchiveHead, Base64, Base64Vec, ProblemType, head_message};
use thiserror::Error;

use crate::exchange::{self, Failure, RequestError};
use crate::receipts::verify;
use crate::session::Session;
use crate::transport::Transport;

const PATH: &str = "/v1/archive-head";

/// What the vault keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptHead {
    /// No head was ever sent.
    None,
    /// The owner's.
    Own {
        /// Counts the heads of the account, from 1.
        number: u64,
        /// For the archive to open.
        sealed: Vec<u8>,
    },
    /// It is signed by another backup key than this: by an earlier archive's owner, or by nobody. Nothing in it is to be
    /// believed.
    Foreign {
        /// As the vault says.
        number: u64,
    },
}

/// Why a head was not kept.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HeadError {
    /// Another device has sent one in the meantime: fetch it, open the archive with it, and seal anew.
    #[error("another device has sent a newer archive head")]
    Stale,
    /// No registration of this backup key is live.
    #[error("nothing is registered for this backup key")]
    NotRegistered,
    /// See there.
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl KeptHead {
    /// The number that the next head has to have.
    pub const fn next_number(&self) -> u64 {
        match self {
            Self::None => 1,
            Self::Own { number, .. } | Self::Foreign { number } => number.saturating_add(1),
        }
    }
}

impl<T: Transport> Session<T> {
    /// The head that the vault keeps, if `backup_key`'s owner signed it.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn head(&self, backup_key: &BackupKey) -> Result<KeptHead, RequestError> {
        let head: ArchiveHead = match exchange::get(&self.transport, PATH, self.token.expose()).await {
            Err(failure) if failure.problem_type() == Some(ProblemType::NotRegistered) => return Ok(KeptHead::None),
            other => other?,
        };
        let ArchiveHead { number, sealed, signature } = head;
        let message = head_message(&self.fleet.id, self.account(), number, sealed.as_bytes());
        let owner_key = Base64(backup_key.derive_owner_key().public());
        Ok(if verify(&owner_key, &message, &signature) {
            KeptHead::Own { number, sealed: sealed.as_bytes().to_vec() }
        } else {
            KeptHead::Foreign { number }
        })
    }

    /// Has the vault keep a head, 1 to 1024 bytes, as the `number`th of the account.
    ///
    /// # Errors
    /// [`HeadError`].
    pub async fn put_head(&self, number: u64, sealed: Vec<u8>, backup_key: &BackupKey) -> Result<(), HeadError> {
        let message = head_message(&self.fleet.id, self.account(), number, &sealed);
        let signature = Base64(backup_key.derive_owner_key().sign(&message));
        let malformed = |_| RequestError::Refused(ProblemType::TooLarge);
        let head = ArchiveHead { number, sealed: Base64Vec::new(sealed).map_err(malformed)?, signature };
        match self.put(PATH, &head).await.map_err(|failure: Failure| (failure.problem_type(), failure)) {
            Ok(_) => Ok(()),
            Err((Some(ProblemType::StaleHead), _)) => Err(HeadError::Stale),
            Err((Some(ProblemType::NotRegistered | ProblemType::InvalidSignature), _)) => Err(HeadError::NotRegistered),
            Err((_, failure)) => Err(RequestError::from(failure).into()),
        }
    }
}
