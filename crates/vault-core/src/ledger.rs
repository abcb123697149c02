//! A site's own count of what its HSM evaluated. It believes no other site and no record: whatever the record store is
//! made to say, a registration gets no more than `max_attempts` evaluations here between two proofs.

use coffer_proto::{
    AccountId, AttemptId, Base64, Change, Hash, Nonce, Receipt, Registration, RegistrationId, SiteNumber, Time, frame,
};
use serde::{Deserialize, Serialize};

use crate::budget::{NUMBERS_AT_A_SITE, follows};
use crate::error::VaultError;
use crate::policy::Policy;
use crate::record::{Attempt, Carried, KeptProof};

/// Two looks at one clock differ by what lies between them: the record's, when a guess is spent, and this one's.
const SLACK_SECONDS: u64 = 5;

/// Threats that are remembered. Nothing is erased for one more.
const THREATS_AT_MOST: usize = 64;

/// Proves that an evaluation has been paid for: only a durable ledger row makes one, and evaluating uses it up.
#[derive(Debug)]
pub struct LedgerSpend {
    _made_here_only: (),
}

impl LedgerSpend {
    /// The row that holds the evaluation is durable.
    pub(crate) fn durable() -> Self {
        Self { _made_here_only: () }
    }

    /// For tests and benchmarks of an HSM without a vault.
    #[doc(hidden)]
    pub fn insecure_without_a_spend() -> Self {
        Self { _made_here_only: () }
    }
}

/// What a site keeps of a registration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SiteRow {
    /// Its share and its count.
    Held(Box<Held>),
    /// It had one. Never again under this id.
    Erased {
        /// When it was erased.
        at: Time,
        /// For what, if that takes its place.
        successor: Option<RegistrationId>,
    },
}

/// A share, and what was evaluated with it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Held {
    /// What it is a share of.
    pub registration: Registration,
    /// The share under this HSM's `share-kek`.
    pub wrapped: Vec<u8>,
    /// What the client was given for it.
    pub receipt: Receipt,
    /// When it came.
    pub imported_at: Time,
    /// The registration whose place this one is to take, if it waits: token and device signature were verified when this
    /// site learned of it. Its issuer may have other keys by the time it takes over.
    pub takes_over: Option<RegistrationId>,
    /// Whether this site has seen valid evidence that the registration was activated.
    pub activated: bool,
    /// Failures that the registration started with here.
    pub carried: Option<Carried>,
    /// Since the last proof, oldest first.
    pub evaluations: Vec<Evaluation>,
    /// Since when this site knows that no guess is left: by its own count, or by attempts that it has verified.
    pub exhausted_since: Option<Time>,
    /// What may end the registration without one of its keys, and what might have.
    pub threats: Vec<Threat>,
    /// Attempts up to this number are closed by a proof: none of them is evaluated any more or counts towards erasing,
    /// whatever a record says.
    pub closed_to: u64,
    /// The last rollback of this ledger after which the row was counted anew: the height that had been lost.
    pub recounted: u64,
}

/// A change that a device alone has signed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Threat {
    /// Which.
    pub change: Change,
    /// When this site first saw it, by its own clock. Token and device signature were verified then.
    pub since: Time,
    /// Whether a key of the registration has objected.
    pub refused: bool,
}

/// One evaluation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Evaluation {
    /// For which attempt.
    pub attempt: AttemptId,
    /// The attempt's number.
    pub number: u64,
    /// Of what.
    pub ke1_hash: Hash,
    /// Named by a proof that forgives it.
    pub nonce: Nonce,
    /// When, by this site's clock.
    pub at: Time,
}

/// Whether an attempt may be evaluated here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It was paid for before: the same element may be evaluated again.
    PaidFor,
    /// It has just been added, and has to be made durable first.
    Added,
}

/// Why an attempt may not be evaluated here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerRefusal {
    /// The id was used with another KE1.
    OtherBytes,
    /// A proof has closed it: an old request that comes again is no new guess.
    Closed,
    /// This site's count is full.
    Full,
    /// By this site's clock it is too early.
    Wait {
        /// When it is not.
        retry_at: Time,
    },
}

impl Held {
    /// A share that has just been taken in.
    pub fn new(registration: Registration, wrapped: Vec<u8>, receipt: Receipt, imported_at: Time) -> Self {
        Self {
            registration,
            wrapped,
            receipt,
            imported_at,
            takes_over: None,
            activated: false,
            carried: None,
            evaluations: Vec::new(),
            exhausted_since: None,
            threats: Vec::new(),
            closed_to: 0,
            recounted: 0,
        }
    }

    /// Whether nothing was ever done with it: whatever it has, it had when it came.
    pub(crate) fn is_untouched(&self) -> bool {
        let was_evaluated = !self.evaluations.is_empty() || self.carried.is_some() || self.closed_to > 0;
        !was_evaluated && self.exhausted_since.is_none() && self.threats.is_empty()
    }

    /// Evaluations with no proof since.
    pub fn failures(&self) -> usize {
        usize::from(self.carried.map_or(0, |carried| carried.failures)) + self.evaluations.len()
    }

    /// Pays for an attempt, once for each id. What is noted of it is `evaluation`.
    ///
    /// # Errors
    /// [`LedgerRefusal`]; nothing was changed then.
    pub fn admit(&mut self, evaluation: Evaluation, policy: &Policy) -> Result<Admission, LedgerRefusal> {
        let now = evaluation.at;
        if !follows(evaluation.number, self.closed_to, NUMBERS_AT_A_SITE) {
            return Err(LedgerRefusal::Closed);
        }
        if let Some(known) = self.evaluations.iter().find(|known| known.attempt == evaluation.attempt) {
            if (known.ke1_hash, known.number) != (evaluation.ke1_hash, evaluation.number) {
                return Err(LedgerRefusal::OtherBytes);
            }
            return Ok(Admission::PaidFor);
        }
        if self.failures() >= usize::from(policy.max_attempts) {
            return Err(LedgerRefusal::Full);
        }
        let carried = self.carried.map(|carried| carried.last);
        if let Some(last) = self.evaluations.last().map(|evaluation| evaluation.at).max(carried) {
            let retry_at = last + policy.wait_after(self.failures());
            if retry_at > now + std::time::Duration::from_secs(SLACK_SECONDS) {
                return Err(LedgerRefusal::Wait { retry_at });
            }
        }
        self.evaluations.push(evaluation);
        if self.failures() >= usize::from(policy.max_attempts) {
            self.exhausted_since = Some(now);
        }
        Ok(Admission::Added)
    }

    /// After a rollback: whatever the record knows of that is open or unproved counts, and every mark is new, since one
    /// that was given before may have forgiven something since.
    pub(crate) fn recount(
        &mut self,
        rollback: u64,
        attempts: &[Attempt],
        now: Time,
        random: impl Fn() -> Result<[u8; 16], VaultError>,
    ) -> Result<(), VaultError> {
        for attempt in attempts.iter().filter(|attempt| attempt.is_unproved() && attempt.number > self.closed_to) {
            if self.evaluations.iter().all(|known| known.attempt != attempt.id) {
                let Attempt { id, number, ke1_hash, .. } = *attempt;
                self.evaluations.push(Evaluation { attempt: id, number, ke1_hash, nonce: Base64([0; 16]), at: now });
            }
        }
        for evaluation in &mut self.evaluations {
            evaluation.nonce = Base64(random()?);
        }
        self.recounted = rollback;
        Ok(())
    }

    /// The newest mark, which is what a proof should name. None if nothing is to be forgiven.
    pub fn newest_nonce(&self) -> Option<Nonce> {
        self.evaluations.last().map(|evaluation| evaluation.nonce)
    }

    /// Forgives the evaluation that bears this mark and all before it. Whether there was one: a mark dies with its use,
    /// so that a proof forgives nothing twice.
    pub fn forgive(&mut self, nonce: &Nonce) -> bool {
        let Some(position) = self.evaluations.iter().position(|evaluation| evaluation.nonce == *nonce) else {
            return false;
        };
        self.evaluations.drain(..=position);
        self.carried = None;
        self.exhausted_since = None;
        true
    }

    /// Takes a proof whose signature holds: the marks that it names are forgiven, and all attempts up to its own closed.
    /// The first time, its bearer objects to all that threatens the registration.
    pub(crate) fn prove(&mut self, proof: &KeptProof, site: SiteNumber) {
        if let Some(named) = proof.nonce_of(site) {
            self.forgive(&named.nonce);
        }
        // It was no failure, whichever marks its proof names.
        self.evaluations.retain(|evaluation| evaluation.attempt != proof.attempt);
        if follows(proof.number, self.closed_to, NUMBERS_AT_A_SITE) {
            self.closed_to = proof.number;
            self.carried = None;
            self.exhausted_since = None;
            self.refuse_all();
        }
    }

    /// Whether a proof empties the row of the attempt that it proves. One whose marks were altered on the way to the client
    /// would refill the record and leave the row to fill up.
    pub(crate) fn would_forgive(&self, proof: &KeptProof, site: SiteNumber) -> bool {
        let Some(proved) = self.evaluations.iter().position(|evaluation| evaluation.attempt == proof.attempt) else {
            return true;
        };
        let named = proof.nonce_of(site).map(|named| named.nonce);
        self.evaluations[proved..].iter().any(|evaluation| Some(evaluation.nonce) == named)
    }

    /// A key of the registration objects to all that threatens it.
    pub(crate) fn refuse_all(&mut self) {
        self.threats.iter_mut().for_each(|known| known.refused = true);
    }

    /// Whether a proof would change anything.
    pub(crate) fn is_news(&self, proof: &KeptProof, site: SiteNumber) -> bool {
        let named = proof.nonce_of(site);
        follows(proof.number, self.closed_to, NUMBERS_AT_A_SITE)
            || self.evaluations.iter().any(|known| named.is_some_and(|named| known.nonce == named.nonce))
    }

    /// A key of the registration objects to a change, which is then refused for ever.
    pub(crate) fn refuse(&mut self, change: Change, now: Time) {
        self.threaten(change, now);
        self.threats.iter_mut().filter(|known| known.change == change).for_each(|known| known.refused = true);
    }

    /// Whether a change has been known here for the whole waiting time, and not been refused.
    pub(crate) fn is_due(&self, change: Change, policy: &Policy, now: Time) -> bool {
        let mut known = self.threats.iter().filter(|known| known.change == change);
        known.any(|known| !known.refused && known.since + policy.takeover_after <= now)
    }

    /// A device asks for a change: the waiting time begins, if it has not.
    pub(crate) fn threaten(&mut self, change: Change, now: Time) {
        let is_known = self.threats.iter().any(|known| known.change == change);
        if !is_known && self.threats.len() < THREATS_AT_MOST {
            self.threats.push(Threat { change, since: now, refused: false });
        }
    }

    /// Whether a change was refused.
    pub(crate) fn has_refused(&self, change: Change) -> bool {
        self.threats.iter().any(|known| known.change == change && known.refused)
    }

    /// Forgets what is no longer asked for, unless it was refused: if it is asked for again, the waiting time begins anew.
    pub(crate) fn forget_all_but(&mut self, asked: &[Change]) {
        self.threats.retain(|known| known.refused || asked.contains(&known.change));
    }
}

/// A row's key: rows of an account lie together.
pub(crate) fn row_key(account: &AccountId, registration: &RegistrationId) -> Vec<u8> {
    frame([account.as_bytes(), registration.as_bytes()])
}

/// Whose row it is.
pub(crate) fn row_account(key: &[u8]) -> Option<AccountId> {
    let (length, rest) = key.split_first_chunk()?;
    let name = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
    AccountId::new(std::str::from_utf8(name).ok()?).ok()
}

/// What the rows of an account begin with.
pub(crate) fn row_prefix(account: &AccountId) -> Vec<u8> {
    frame([account.as_bytes()])
}

/// What the MAC of a row covers: its place, its number and its content.
pub(crate) fn mac_input(key: &[u8], number: u64, content: &[u8]) -> Vec<u8> {
    let number = number.to_be_bytes();
    let mut input = frame([b"coffer/v1/ledger".as_slice(), key, &number]);
    input.extend_from_slice(content);
    input
}
