//! Which registration is the live one: activation, keeping, deletion. Pure functions of the record. Signatures are
//! verified before: an `authorization` in what is passed here is one that holds.

use coffer_proto::{Activated, ArchiveHead, Change, Registration, RegistrationId, Time, VerifyingKey};

use crate::budget::Refusal;
use crate::policy::Policy;
use crate::record::{Activation, Cause, Deletion, KeptHead, KeptKeep, VaultRecord, Waiting};

/// Registrations that an account may have used up. Each costs its record 16 bytes, for ever.
const ERASED_AT_MOST: usize = 1000;

/// Objections that are kept for sites that were away. A site remembers those that it has seen.
const KEEPS_AT_MOST: usize = 32;

impl VaultRecord {
    /// Makes a registration the live one, or has it wait. The same again changes nothing but adds receipts.
    ///
    /// # Errors
    /// `IdReused`, `Erased`, `CoolDown`, `RegistrationChanged`, `TooMany`.
    pub fn activate(
        &mut self,
        registration: Registration,
        activation: Activation,
        policy: &Policy,
        now: Time,
    ) -> Result<Activated, Refusal> {
        self.settle(policy, now);
        let replaces_live = self.live.as_ref().map(|live| live.registration.id) == activation.replaces;
        match self.activated(&registration, &activation, policy)? {
            // What waits may be signed for later.
            Some(Activated::Waiting { .. }) if activation.authorization.is_some() && replaces_live => {
                self.waiting = None;
            }
            Some(there) => return Ok(there),
            None => {}
        }
        if let Some(retry_at) = self.cool_down_until.filter(|until| *until > now) {
            return Err(Refusal::CoolDown { retry_at });
        }
        // Whoever has a key of the live one is not kept out by a thief who has used the places up.
        if self.erased.len() >= ERASED_AT_MOST && activation.authorization.is_none() {
            return Err(Refusal::TooMany);
        }
        if !replaces_live {
            return Err(Refusal::RegistrationChanged);
        }
        self.end_waiting();
        if self.live.is_some() && activation.authorization.is_none() {
            let live_at = activation.at + policy.takeover_after;
            self.waiting = Some(Waiting { registration, activation });
            return Ok(Activated::Waiting { live_at });
        }
        self.succeed(registration, activation, None, now);
        Ok(Activated::Live)
    }

    /// The state of a registration that is live or waits already.
    fn activated(
        &mut self,
        registration: &Registration,
        activation: &Activation,
        policy: &Policy,
    ) -> Result<Option<Activated>, Refusal> {
        let id = registration.id;
        let live = self.live.as_mut().map(|live| (&live.registration, &mut live.activation, true));
        let waiting = self.waiting.as_mut().map(|waiting| (&waiting.registration, &mut waiting.activation, false));
        let Some((there, kept, is_live)) = live.into_iter().chain(waiting).find(|(there, ..)| there.id == id) else {
            return if self.erased.contains(&id) { Err(Refusal::Erased) } else { Ok(None) };
        };
        if there != registration {
            return Err(Refusal::IdReused);
        }
        for receipt in &activation.receipts {
            if !kept.receipts.iter().any(|held| held.site == receipt.site) {
                kept.receipts.push(receipt.clone());
            }
        }
        let live_at = kept.at + policy.takeover_after;
        Ok(Some(if is_live { Activated::Live } else { Activated::Waiting { live_at } }))
    }

    /// A key of the live registration objects to what would end it. The same again changes nothing.
    ///
    /// # Errors
    /// `RegistrationChanged` when nothing of that name waits; what [`VaultRecord::live_named`] says.
    pub fn keep(&mut self, id: &RegistrationId, keep: KeptKeep, policy: &Policy, now: Time) -> Result<(), Refusal> {
        self.settle(policy, now);
        self.live_named(id)?;
        let live = self.live.as_mut().ok_or(Refusal::NotRegistered)?;
        if live.refuses(&keep.against) {
            return Ok(());
        }
        match keep.against {
            Change::Deletion(id) if live.deletion.as_ref().is_some_and(|asked| asked.id == id) => live.deletion = None,
            Change::Successor(id) if self.waiting.as_ref().is_some_and(|waiting| waiting.registration.id == id) => {}
            Change::Successor(id) if self.erased.contains(&id) => {}
            _ => return Err(Refusal::RegistrationChanged),
        }
        live.keeps.push(keep);
        live.keeps.drain(..live.keeps.len().saturating_sub(KEEPS_AT_MOST));
        if self.waiting.as_ref().is_some_and(|waiting| keep.against == Change::Successor(waiting.registration.id)) {
            self.end_waiting();
        }
        Ok(())
    }

    /// Deletes a registration: at once if one of its keys has signed or if it only waits, otherwise after the waiting
    /// time. The same again changes nothing. Gives when it is, or was, due.
    ///
    /// # Errors
    /// `RegistrationChanged`, `NotRegistered`; `IdReused` when it was refused.
    pub fn delete(
        &mut self,
        id: &RegistrationId,
        asked: Deletion,
        policy: &Policy,
        now: Time,
    ) -> Result<Time, Refusal> {
        self.settle(policy, now);
        if self.erased.contains(id) {
            return Ok(now);
        }
        if self.waiting.as_ref().is_some_and(|waiting| waiting.registration.id == *id) {
            self.end_waiting();
            return Ok(now);
        }
        self.live_named(id)?;
        if asked.authorization.is_some() {
            self.end_live(Cause::Deleted(asked), now);
            self.end_waiting();
            return Ok(now);
        }
        let live = self.live.as_mut().ok_or(Refusal::NotRegistered)?;
        if live.refuses(&Change::Deletion(asked.id)) {
            return Err(Refusal::IdReused);
        }
        Ok(live.deletion.get_or_insert(asked).at + policy.takeover_after)
    }

    /// Whose signature the next archive head needs.
    pub fn head_owner(&self) -> Option<VerifyingKey> {
        let live = self.live.as_ref().map(|live| live.registration.owner_key);
        live.or_else(|| self.head.as_ref().map(|kept| kept.owner_key))
    }

    /// Keeps a head whose signature is by `owner_key`. The same again changes nothing. An owner that is new to the
    /// record (another backup key, so another archive) goes on counting where the one before stopped.
    ///
    /// # Errors
    /// `StaleHead` when its number is not the next one.
    pub fn keep_head(&mut self, head: ArchiveHead, owner_key: VerifyingKey) -> Result<(), Refusal> {
        let kept = KeptHead { head, owner_key };
        if self.head.as_ref() == Some(&kept) {
            return Ok(());
        }
        let next = self.head.as_ref().map_or(1, |kept| kept.head.number.saturating_add(1));
        if kept.head.number != next {
            return Err(Refusal::StaleHead { next });
        }
        self.head = Some(kept);
        Ok(())
    }
}
