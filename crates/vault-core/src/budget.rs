//! The guess budget: what a guess costs, when it is given back, and what happens when none is left. Pure functions of
//! the record; whoever calls them commits the record before anything is evaluated (docs/protocol.md, section 4).

use std::time::Duration;

use coffer_proto::{AttemptId, Change, Hash, Registration, RegistrationId, Time};
use serde::{Deserialize, Serialize};

use crate::policy::Policy;
use crate::record::{
    Activation, Attempt, AttemptState, Carried, Cause, End, KeptProof, Live, VaultRecord, Waiting, encode,
};

/// Closed attempts that are kept at most, so that a record stays small.
const CLOSED_AT_MOST: usize = 64;

/// How far the number of an attempt, or of a proof, may be beyond the one before. A device counts one by one, but has
/// the count from whoever answers it: a liar among them must not use up all the numbers there are.
pub(crate) const NUMBERS_AT_ONCE: u64 = 1 << 32;

/// The same for a site, beyond the last proof that it has seen: between two proofs, and while it is away, the record takes
/// many attempts. What the record takes no site may refuse for its number, or the right password comes to nothing.
pub(crate) const NUMBERS_AT_A_SITE: u64 = 1 << 48;

/// The same for what a count of the sites may add to a record that has lost attempts: much less than a site takes.
pub(crate) const NUMBERS_IN_A_COUNT: u64 = 1 << 40;

/// Ends whose evidence is kept: enough for a site that was away.
const ENDS_AT_MOST: usize = 8;

/// Bytes of that evidence, if there is more of it than the last one.
const EVIDENCE_AT_MOST: usize = 16 << 10;

/// Why the record does not take something. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The account has no live registration.
    #[error("nothing is registered")]
    NotRegistered,
    /// No guess is left, or the registration is gone with its last one.
    #[error("no guess is left")]
    Locked,
    /// The next guess is taken later.
    #[error("the next guess is taken at {retry_at}")]
    Wait {
        /// When.
        retry_at: Time,
    },
    /// After a lock, a registration is taken later.
    #[error("the next registration is taken at {retry_at}")]
    CoolDown {
        /// When.
        retry_at: Time,
    },
    /// What is named is not what is live, or not what waits.
    #[error("another registration is live")]
    RegistrationChanged,
    /// The registration has ended.
    #[error("the registration was erased")]
    Erased,
    /// The id is in use for something else.
    #[error("the id is in use")]
    IdReused,
    /// The attempt was proved, forgiven, is too old, or comes after a newer one.
    #[error("the attempt is not open")]
    AttemptClosed,
    /// The head's number is not the next one.
    #[error("the next archive head has the number {next}")]
    StaleHead {
        /// The next number.
        next: u64,
    },
    /// What should be signed by a key of the live registration is not.
    #[error("a signature does not hold")]
    InvalidAuthorization,
    /// The record would grow without bound.
    #[error("too many registrations")]
    TooMany,
}

/// What [`VaultRecord::spend`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spend {
    /// The attempt is new and was added.
    Added,
    /// It was there, and is open: nothing was changed.
    There,
}

/// What [`VaultRecord::refill`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refill {
    /// The budget was refilled.
    Done,
    /// This very proof had refilled it: nothing was changed.
    DoneBefore,
}

impl Live {
    /// Guesses with no proof since.
    pub fn failures(&self) -> usize {
        usize::from(self.carried.map_or(0, |carried| carried.failures)) + self.unproved().count()
    }

    /// Guesses that are left.
    pub fn attempts_remaining(&self, policy: &Policy) -> u8 {
        usize::from(policy.max_attempts).saturating_sub(self.failures()).try_into().unwrap_or(0)
    }

    /// When the next guess is taken, whether that is past or not.
    pub fn retry_at(&self, policy: &Policy) -> Option<Time> {
        let last = self.inheritance()?.last;
        match policy.wait_after(self.failures()) {
            Duration::ZERO => None,
            wait => Some(last + wait),
        }
    }

    /// With no guess left: when the last open attempt closes, and the registration with it.
    pub fn locks_at(&self, policy: &Policy) -> Option<Time> {
        let last = self.inheritance()?.last;
        (self.attempts_remaining(policy) == 0).then(|| last + policy.open_at_zero)
    }

    /// Until when an attempt can be evaluated and proved.
    pub fn open_until(&self, attempt: &Attempt, policy: &Policy) -> Time {
        attempt.at + if self.attempts_remaining(policy) == 0 { policy.open_at_zero } else { policy.open_for }
    }

    /// Whether one of its keys has objected to a change.
    pub(crate) fn refuses(&self, change: &Change) -> bool {
        self.keeps.iter().any(|kept| kept.against == *change)
    }

    /// An attempt by its id, open or not.
    pub fn attempt(&self, id: &AttemptId) -> Option<&Attempt> {
        self.attempts.iter().find(|attempt| attempt.id == *id)
    }

    /// An attempt that may be evaluated now: this id, these bytes.
    ///
    /// # Errors
    /// `RegistrationChanged` when there is no such attempt; `IdReused`, `AttemptClosed`.
    pub fn open_attempt(
        &self,
        id: &AttemptId,
        ke1_hash: &Hash,
        policy: &Policy,
        now: Time,
    ) -> Result<&Attempt, Refusal> {
        let attempt = self.attempt(id).ok_or(Refusal::RegistrationChanged)?;
        if attempt.ke1_hash != *ke1_hash {
            return Err(Refusal::IdReused);
        }
        if !attempt.is_unproved() || now >= self.open_until(attempt, policy) {
            return Err(Refusal::AttemptClosed);
        }
        Ok(attempt)
    }

    /// Closed attempts that are old, or too many, are known by their numbers only.
    fn forget_closed(&mut self, policy: &Policy, now: Time) {
        let closed = self.attempts.iter().filter(|known| !known.is_unproved()).count();
        let mut surplus = (closed + 1).saturating_sub(CLOSED_AT_MOST);
        self.attempts.retain(|known| {
            let is_kept = known.is_unproved() || (surplus == 0 && known.at + policy.known_for > now);
            surplus = surplus.saturating_sub(usize::from(!is_kept));
            is_kept
        });
    }

    /// What a successor starts with that none of this one's keys has agreed to.
    fn inheritance(&self) -> Option<Carried> {
        let times = self.unproved().map(|attempt| attempt.at).chain(self.carried.map(|carried| carried.last));
        let failures = u8::try_from(self.failures()).unwrap_or(u8::MAX);
        Some(Carried { failures, last: times.max()? })
    }

    fn unproved(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter().filter(|attempt| attempt.is_unproved())
    }
}

/// Whether an attempt of this number can come after one of that number.
pub(crate) fn follows(number: u64, before: u64, at_once: u64) -> bool {
    number > before && number - before <= at_once
}

impl Attempt {
    pub(crate) fn is_unproved(&self) -> bool {
        matches!(self.state, AttemptState::Unproved { .. } | AttemptState::Reported)
    }
}

impl VaultRecord {
    /// The live registration, if it is that one.
    ///
    /// # Errors
    /// `Locked`, `Erased`, `RegistrationChanged`, `NotRegistered`.
    pub fn live_named(&self, id: &RegistrationId) -> Result<&Live, Refusal> {
        match &self.live {
            Some(live) if live.registration.id == *id => Ok(live),
            _ if self.locked().is_some_and(|end| end.id == *id) => Err(Refusal::Locked),
            _ if self.erased.contains(id) => Err(Refusal::Erased),
            Some(_) => Err(Refusal::RegistrationChanged),
            None => Err(self.not_live()),
        }
    }

    /// Why nothing is live.
    pub(crate) fn not_live(&self) -> Refusal {
        if self.locked().is_some() { Refusal::Locked } else { Refusal::NotRegistered }
    }

    /// How the last registration ended, if it was for want of guesses.
    pub fn locked(&self) -> Option<&End> {
        self.ends.last().filter(|end| matches!(end.cause, Cause::Locked { .. }))
    }

    /// Lets time pass: an exhausted registration is locked, a waiting deletion is done, a waiting registration takes
    /// over. Every other transition begins with this.
    pub fn settle(&mut self, policy: &Policy, now: Time) {
        if let Some(live) = &self.live {
            if let Some(at) = live.locks_at(policy).filter(|at| *at <= now) {
                self.lock(policy, at);
            } else if let Some(asked) = live.deletion.clone().filter(|asked| asked.at + policy.takeover_after <= now) {
                self.end_live(Cause::Deleted(asked), now);
            }
        }
        if self.waiting.as_ref().is_some_and(|waiting| waiting.activation.at + policy.takeover_after <= now) {
            self.promote(now);
        }
    }

    /// Spends a guess, once for each id.
    ///
    /// # Errors
    /// Every [`Refusal`] that a guess can meet.
    pub fn spend(
        &mut self,
        registration: &RegistrationId,
        attempt: Attempt,
        policy: &Policy,
        now: Time,
    ) -> Result<Spend, Refusal> {
        self.settle(policy, now);
        self.live_named(registration)?;
        let live = self.live.as_mut().ok_or(Refusal::NotRegistered)?;
        if live.attempt(&attempt.id).is_some() {
            return live.open_attempt(&attempt.id, &attempt.ke1_hash, policy, now).map(|_| Spend::There);
        }
        if live.attempts_remaining(policy) == 0 {
            return Err(Refusal::Locked);
        }
        if !follows(attempt.number, live.newest_number, NUMBERS_AT_ONCE) {
            return Err(Refusal::AttemptClosed);
        }
        if let Some(retry_at) = live.retry_at(policy).filter(|at| *at > now) {
            return Err(Refusal::Wait { retry_at });
        }
        live.forget_closed(policy, now);
        live.newest_number = attempt.number;
        live.attempts.push(attempt);
        Ok(Spend::Added)
    }

    /// Gives back what was spent up to an attempt that is proved; and whoever proved it objects to all that waits.
    ///
    /// # Errors
    /// `AttemptClosed` when it is not open, `RegistrationChanged` when it is not of the live registration.
    pub fn refill(
        &mut self,
        proof: KeptProof,
        ke1_hash: &Hash,
        proof_hash: Hash,
        policy: &Policy,
        now: Time,
    ) -> Result<Refill, Refusal> {
        self.settle(policy, now);
        let none = self.not_live();
        let live = self.live.as_mut().ok_or(none)?;
        let position = live.attempts.iter().position(|attempt| attempt.id == proof.attempt);
        let position = position.ok_or(Refusal::RegistrationChanged)?;
        if live.attempts[position].state == (AttemptState::Proved { proof: proof_hash }) {
            return Ok(Refill::DoneBefore);
        }
        live.open_attempt(&proof.attempt, ke1_hash, policy, now)?;
        for attempt in live.attempts[..position].iter_mut().filter(|attempt| attempt.is_unproved()) {
            attempt.state = AttemptState::Forgiven;
        }
        live.attempts[position].state = AttemptState::Proved { proof: proof_hash };
        live.carried = None;
        live.proved = true;
        live.deletion = None;
        // A proof makes those before it superfluous for every site that it names.
        live.proofs.retain(|kept| kept.nonces.iter().any(|named| proof.nonce_of(named.site).is_none()));
        live.proofs.push(proof);
        self.end_waiting();
        Ok(Refill::Done)
    }

    /// Ends the live registration for want of guesses; whatever waits would have inherited none, and ends with it.
    fn lock(&mut self, policy: &Policy, at: Time) {
        let Some(live) = &self.live else { return };
        let was_proved = live.proved;
        let attempts = live.unproved().cloned().collect();
        self.end_live(Cause::Locked { attempts }, at);
        self.end_waiting();
        let doubled = policy.cool_down.saturating_mul(1 << self.proved_locks.min(16));
        self.cool_down_until = Some(at + doubled.min(policy.cool_down_max));
        self.proved_locks = self.proved_locks.saturating_add(u8::from(was_proved));
    }

    /// The waiting registration becomes the live one, with the guesses that the live one has left.
    fn promote(&mut self, now: Time) {
        let Some(Waiting { registration, activation }) = self.waiting.take() else { return };
        let carried = self.live.as_ref().and_then(Live::inheritance);
        self.succeed(registration, activation, carried, now);
    }

    /// A registration takes the place of the live one, if there is one.
    pub(crate) fn succeed(
        &mut self,
        registration: Registration,
        activation: Activation,
        carried: Option<Carried>,
        now: Time,
    ) {
        let (by, hash) = (registration.id, registration.hash());
        self.end_live(Cause::Replaced { by, hash, activation: Box::new(activation.clone()) }, now);
        self.live = Some(Live {
            registration,
            activation,
            since: now,
            carried,
            attempts: Vec::new(),
            newest_number: 0,
            proofs: Vec::new(),
            keeps: Vec::new(),
            shares: Vec::new(),
            proved: false,
            deletion: None,
        });
    }

    pub(crate) fn end_live(&mut self, cause: Cause, now: Time) {
        let Some(live) = self.live.take() else { return };
        self.erased.push(live.registration.id);
        self.ends.push(End { id: live.registration.id, at: now, cause });
        while self.ends.len() > 1 && (self.ends.len() > ENDS_AT_MOST || encode(&self.ends).len() > EVIDENCE_AT_MOST) {
            self.ends.remove(0);
        }
    }

    pub(crate) fn end_waiting(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            self.erased.push(waiting.registration.id);
        }
    }
}
