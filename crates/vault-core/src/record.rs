//! What the record store keeps of an account. Everything in it is either public, or useless without the HSMs.

use coffer_proto::{
    AccountId, ArchiveHead, AttemptId, Authorization, Change, DeletionId, Hash, ProofRequest, Receipt, Registration,
    RegistrationId, Signature, SiteNonce, SiteNumber, Time, VerifyingKey, frame,
};
use serde::{Deserialize, Serialize};

use crate::token::AccountToken;

/// One account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VaultRecord {
    /// Answers retrievals.
    pub live: Option<Live>,
    /// Takes over when its time has come. Never evaluated.
    pub waiting: Option<Waiting>,
    /// Until when no registration is activated.
    pub cool_down_until: Option<Time>,
    /// Locks of registrations that had been proved: each doubles the cool-down.
    pub proved_locks: u8,
    /// Every registration that ever ended, for ever: none comes back.
    pub erased: Vec<RegistrationId>,
    /// How the last of them ended, newest last: what a site checks before it erases its share.
    pub ends: Vec<End>,
    /// The newest archive head, which outlives its registration.
    pub head: Option<KeptHead>,
    /// The store's fence when it was last written.
    pub fence: u64,
}

/// The live registration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Live {
    /// What it is.
    pub registration: Registration,
    /// How it came to be live.
    pub activation: Activation,
    /// Since when it is.
    pub since: Time,
    /// Failures of the registration before, if none of its keys agreed to this one.
    pub carried: Option<Carried>,
    /// In the order in which they were spent.
    pub attempts: Vec<Attempt>,
    /// The number of the newest attempt that there ever was: a request that comes again with an older one is no new guess.
    pub newest_number: u64,
    /// Proofs that a site may not have seen yet, oldest first.
    pub proofs: Vec<KeptProof>,
    /// Objections that a site may not have seen yet, oldest first.
    pub keeps: Vec<KeptKeep>,
    /// The sites' wrapped shares, for a site that loses its disk.
    pub shares: Vec<KeptShare>,
    /// Whether it was ever proved.
    pub proved: bool,
    /// A deletion that no key of it has signed.
    pub deletion: Option<Deletion>,
}

/// A share under its site's `share-kek`: useless without that HSM.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeptShare {
    /// Whose.
    pub site: SiteNumber,
    /// As in the site's ledger.
    pub wrapped: Vec<u8>,
    /// Under the site's `ledger-mac`, over what it is a share of.
    pub mac: [u8; 32],
}

/// Failures that a registration starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Carried {
    /// How many.
    pub failures: u8,
    /// When the last of them was.
    pub last: Time,
}

/// A registration that takes over later.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Waiting {
    /// What it is.
    pub registration: Registration,
    /// What asked for it, and when.
    pub activation: Activation,
}

/// The evidence of an activation: a site checks it before it uses or erases anything.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Activation {
    /// When it was asked for.
    pub at: Time,
    /// The registration that was to be replaced.
    pub replaces: Option<RegistrationId>,
    /// The token that it was asked with.
    pub token: AccountToken,
    /// By the device that the token names.
    pub device_signature: Signature,
    /// By a key of the registration that was replaced.
    pub authorization: Option<Authorization>,
    /// One for each site that holds a share.
    pub receipts: Vec<Receipt>,
}

/// A guess.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attempt {
    /// Its name, chosen by the client.
    pub id: AttemptId,
    /// Greater than that of every attempt before it.
    pub number: u64,
    /// What it asks, and all that it may ever ask.
    pub ke1_hash: Hash,
    /// When it was spent.
    pub at: Time,
    /// What became of it.
    pub state: AttemptState,
}

/// What became of a guess.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AttemptState {
    /// Counts as a failure until it, or a later one, is proved.
    Unproved {
        /// The token that it was spent with.
        token: AccountToken,
        /// By the device that the token names.
        device_signature: Signature,
    },
    /// Counts like an unproved one. Sites have it in their ledgers; the record had lost it, and the evidence with it.
    Reported,
    /// The password was right.
    Proved {
        /// Names the proof, so that the same proof gets the same answer.
        proof: Hash,
    },
    /// A later one was proved.
    Forgiven,
}

/// A proof, kept for sites that were away.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeptProof {
    /// Which attempt it proved.
    pub attempt: AttemptId,
    /// That attempt's number: it closes all attempts up to there.
    pub number: u64,
    /// Which evaluations it forgives.
    pub nonces: Vec<SiteNonce>,
    /// By the unlock key.
    pub unlock_signature: Signature,
}

impl KeptProof {
    /// From what the client sent.
    pub fn new(attempt: AttemptId, number: u64, proof: &ProofRequest) -> Self {
        Self { attempt, number, nonces: proof.nonces.clone(), unlock_signature: proof.unlock_signature }
    }

    /// The mark that it names of a site.
    pub fn nonce_of(&self, site: SiteNumber) -> Option<&SiteNonce> {
        self.nonces.iter().find(|named| named.site == site)
    }
}

/// An objection, kept for sites that were away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeptKeep {
    /// What it refuses.
    pub against: Change,
    /// By a key of the registration.
    pub authorization: Authorization,
}

/// A deletion that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Deletion {
    /// Its name.
    pub id: DeletionId,
    /// When it was asked for.
    pub at: Time,
    /// The token that it was asked with.
    pub token: AccountToken,
    /// By the device that the token names.
    pub device_signature: Signature,
    /// By a key of the registration: it then need not wait.
    pub authorization: Option<Authorization>,
}

/// How a live registration ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct End {
    /// Which.
    pub id: RegistrationId,
    /// When.
    pub at: Time,
    /// Why.
    pub cause: Cause,
}

/// Why a live registration ended, with the evidence.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// It ran out of guesses; these are they. Its key is permanently inaccessible.
    Locked {
        /// Those that were not proved.
        attempts: Vec<Attempt>,
    },
    /// Another one took its place.
    Replaced {
        /// The other one.
        by: RegistrationId,
        /// The other one's [`Registration::hash`].
        hash: Hash,
        /// What made it so.
        activation: Box<Activation>,
    },
    /// Somebody asked for it.
    Deleted(Deletion),
}

impl Cause {
    /// What took its place.
    pub(crate) fn successor(&self) -> Option<RegistrationId> {
        match self {
            Self::Replaced { by, .. } => Some(*by),
            Self::Locked { .. } | Self::Deleted(_) => None,
        }
    }
}

/// An archive head, and who may replace it when no registration is live.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeptHead {
    /// What was sent.
    pub head: ArchiveHead,
    /// The key that signed it.
    pub owner_key: VerifyingKey,
}

/// A record or row that cannot be read. It is never overwritten: somebody has to look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored record is damaged, or was written by a later version")]
pub struct DamagedRecord;

/// The first byte of every record and ledger row.
const FORMAT: u8 = 1;

/// A record's key in the store.
pub(crate) fn record_key(account: &AccountId) -> Vec<u8> {
    frame([b"record".as_slice(), account.as_bytes()])
}

pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_extend(value, vec![FORMAT]).expect("plain data in memory")
}

pub(crate) fn parse<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, DamagedRecord> {
    let (FORMAT, content) = bytes.split_first().map(|(first, rest)| (*first, rest)).ok_or(DamagedRecord)? else {
        return Err(DamagedRecord);
    };
    match postcard::take_from_bytes(content) {
        Ok((value, [])) => Ok(value),
        _ => Err(DamagedRecord),
    }
}
