//! The archive head that the vault keeps for the owner's next device.

use std::ops::ControlFlow;

use coffer_keys::BackupKey;
use coffer_proto::{ArchiveHead, Base64, Base64Vec, ProblemType, head_message};
use thiserror::Error;

use crate::exchange::{Failure, RequestError, parse};
use crate::receipts::verify;
use crate::session::{Session, refusal_of};
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
        /// What each site that was asked names. The archive may tell whether the key before this one sealed it.
        sealed: Vec<Vec<u8>>,
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

/// The newest that is the owner's. Where none is, the middle one of the others: one site that makes a head up changes
/// nothing.
fn newest(named: Vec<(Option<ArchiveHead>, bool)>) -> KeptHead {
    let number = |head: &Option<ArchiveHead>| head.as_ref().map_or(0, |head| head.number);
    let own = named.iter().filter(|(_, is_own)| *is_own).filter_map(|(head, _)| head.as_ref());
    if let Some(head) = own.max_by_key(|head| head.number) {
        return KeptHead::Own { number: head.number, sealed: head.sealed.as_bytes().to_vec() };
    }
    let mut numbers: Vec<u64> = named.iter().map(|(head, _)| number(head)).collect();
    numbers.sort_unstable();
    match numbers.get(numbers.len() / 2) {
        None | Some(0) => KeptHead::None,
        Some(number) => {
            let sealed = |(head, _): &(Option<ArchiveHead>, bool)| Some(head.as_ref()?.sealed.as_bytes().to_vec());
            let mut sealed: Vec<_> = named.iter().filter_map(sealed).collect();
            sealed.sort_unstable();
            sealed.dedup();
            KeptHead::Foreign { number: *number, sealed }
        }
    }
}

impl KeptHead {
    /// The number that the next head has to have.
    pub const fn next_number(&self) -> u64 {
        match self {
            Self::None => 1,
            Self::Own { number, .. } | Self::Foreign { number, .. } => number.saturating_add(1),
        }
    }
}

impl<T: Transport + Clone> Session<T> {
    /// The newest of the heads that so many sites name as are needed, if `backup_key`'s owner signed it: who hides the
    /// newest snapshots has to be that many.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn head(&self, backup_key: &BackupKey) -> Result<KeptHead, RequestError> {
        let fleet = self.fleet();
        let owner_key = Base64(backup_key.derive_owner_key().public());
        let mut named: Vec<(Option<ArchiveHead>, bool)> = Vec::new();
        let heard = self.hear(PATH, |_, answer| {
            let head: Option<ArchiveHead> = match answer.and_then(|answer| parse(&answer)) {
                Err(failure) if failure.problem_type() == Some(ProblemType::NotRegistered) => None,
                Err(failure) => return refusal_of(failure),
                Ok(head) => Some(head),
            };
            let is_own = head.as_ref().is_some_and(|head| {
                let message = head_message(&fleet.id, self.account(), head.number, head.sealed.as_bytes());
                verify(&owner_key, &message, &head.signature)
            });
            named.push((head, is_own));
            if named.len() < fleet.threshold.into() { ControlFlow::Continue(None) } else { ControlFlow::Break(Ok(())) }
        });
        heard.await?;
        Ok(newest(named))
    }

    /// Has the vault keep a head, 1 to 1024 bytes, as the `number`th of the account.
    ///
    /// # Errors
    /// [`HeadError`].
    pub async fn put_head(&self, number: u64, sealed: Vec<u8>, backup_key: &BackupKey) -> Result<(), HeadError> {
        let message = head_message(&self.fleet().id, self.account(), number, &sealed);
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
