//! Erasing. A site erases a share only on what it has verified itself; the record's word alone may refuse service, never
//! erase (docs/protocol.md, A6).

use std::collections::BTreeSet;

use coffer_proto::{AccountId, Authorization, Time, attempt_message, deletion_message};

use crate::error::VaultError;
use crate::evidence::{device_signed, is_authorized};
use crate::ledger::{Held, SiteRow};
use crate::ports::Ledger as _;
use crate::record::{Attempt, AttemptState, Cause, VaultRecord};
use crate::rows::WriteError;
use crate::site::Site;
use crate::world::World;

/// What is to become of a row.
enum Fate {
    Stays,
    Changed,
    Erased,
}

impl<W: World> Site<W> {
    /// Brings the rows of an account up to its record: marks what was activated and what is threatened, erases what has
    /// verifiably ended. Called after every change of a record, and by [`Site::sweep`].
    pub(crate) async fn observe(&self, account: &AccountId, record: &VaultRecord) -> Result<(), VaultError> {
        for (key, row) in self.account_rows(account).await? {
            let SiteRow::Held(mut held) = row.content else { continue };
            let id = held.registration.id;
            let content = match self.fate(account, record, &mut held).await? {
                Fate::Stays => continue,
                Fate::Changed => SiteRow::Held(held),
                Fate::Erased => SiteRow::Erased { at: self.ports.now() },
            };
            match self.rows.write(&self.ports, &key, Some(row.number), &content).await {
                Ok(_) if matches!(content, SiteRow::Erased { .. }) => {
                    tracing::info!(target: "audit", ?account, registration = %id, "share erased");
                }
                // Whoever changed it in the meantime looks again later.
                Ok(_) | Err(WriteError::Conflict) => {}
                Err(WriteError::Vault(error)) => return Err(error),
            }
        }
        Ok(())
    }

    async fn fate(&self, account: &AccountId, record: &VaultRecord, held: &mut Held) -> Result<Fate, VaultError> {
        let now = self.ports.now();
        let id = held.registration.id;
        if let Some(live) = record.live.as_ref().filter(|live| live.registration.id == id) {
            return self.fate_of_live(account, record, live, held).await;
        }
        let end = record.ends.iter().rev().find(|end| end.id == id);
        let is_over = match end.map(|end| &end.cause) {
            None => false,
            Some(Cause::Replaced { by, hash, activation }) => {
                let replaces = activation.replaces.as_ref();
                let message = coffer_proto::activation_message(&self.fleet.id, account, by, hash, replaces);
                let (token, signature) = (&activation.token, &activation.device_signature);
                let signed = device_signed(&self.ports, account, token, activation.at, &message, signature).is_ok();
                replaces == Some(&id) && signed && self.may_end(held, &message, activation.authorization.as_ref(), now)
            }
            Some(Cause::Deleted(asked)) => {
                let message = deletion_message(&self.fleet.id, account, &id);
                let signed =
                    device_signed(&self.ports, account, &asked.token, asked.at, &message, &asked.device_signature);
                signed.is_ok() && self.may_end(held, &message, asked.authorization.as_ref(), now)
            }
            Some(Cause::Locked { attempts }) => {
                let verified = self.verified_attempts(account, held, attempts);
                let carried = held.carried.map_or(0, |carried| usize::from(carried.failures));
                let is_exhausted = verified + carried >= usize::from(self.fleet.policy.max_attempts);
                is_exhausted && held.threatened_since.is_some_and(|at| at + self.fleet.policy.open_at_zero <= now)
            }
        };
        let is_stale = !held.activated
            && record.waiting.as_ref().is_none_or(|waiting| waiting.registration.id != id)
            && held.imported_at + self.fleet.policy.pending_for <= now;
        if is_over || is_stale {
            return Ok(Fate::Erased);
        }
        // From now on the waiting time runs here, if it has not begun before.
        if end.is_some() && held.threatened_since.is_none() {
            held.threatened_since = Some(now);
            return Ok(Fate::Changed);
        }
        Ok(Fate::Stays)
    }

    /// The live registration: whether its activation is known here, and whether something threatens it.
    async fn fate_of_live(
        &self,
        account: &AccountId,
        record: &VaultRecord,
        live: &crate::record::Live,
        held: &mut Held,
    ) -> Result<Fate, VaultError> {
        let before = held.clone();
        if !held.activated && held.registration == live.registration {
            held.carried = self.verify_activation(account, &live.registration, &live.activation).await?;
            held.activated = true;
        }
        let is_full = held.failures() >= usize::from(self.fleet.policy.max_attempts);
        if record.waiting.is_some() || live.deletion.is_some() || is_full {
            held.threatened_since.get_or_insert(self.ports.now());
        } else {
            held.threatened_since = None;
        }
        Ok(if *held == before { Fate::Stays } else { Fate::Changed })
    }

    /// A key of the registration has signed; or a device alone, and this site has known of it for the whole waiting time.
    fn may_end(&self, held: &Held, message: &[u8], authorization: Option<&Authorization>, now: Time) -> bool {
        match authorization {
            Some(authorization) => is_authorized(&held.registration, message, authorization),
            None => held.threatened_since.is_some_and(|since| since + self.fleet.policy.takeover_after <= now),
        }
    }

    /// How many different attempts of the registration were signed by a device whose token held when they were spent.
    fn verified_attempts(&self, account: &AccountId, held: &Held, attempts: &[Attempt]) -> usize {
        let verified = attempts.iter().filter(|attempt| {
            let AttemptState::Unproved { token, device_signature } = &attempt.state else { return false };
            let id = &held.registration.id;
            let message = attempt_message(&self.fleet.id, account, id, &attempt.id, &attempt.ke1_hash);
            device_signed(&self.ports, account, token, attempt.at, &message, device_signature).is_ok()
        });
        verified.map(|attempt| attempt.id).collect::<BTreeSet<_>>().len()
    }

    /// Goes over all accounts of this site once: what has come due is erased even where nobody asks. Gives how many
    /// accounts it saw.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn sweep(&self) -> Result<usize, VaultError> {
        const PAGE: usize = 256;
        let mut after = Vec::new();
        let mut last_account = None;
        let mut accounts = 0;
        loop {
            let page = self.ports.ledger.rows(&after, PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(accounts) };
            after.clone_from(last);
            for (key, _) in &page {
                let Some(account) = crate::ledger::row_account(key) else { continue };
                if last_account.as_ref() == Some(&account) {
                    continue;
                }
                let mut record = self.record(&account).await?;
                record.settle(&self.fleet.policy, self.ports.now());
                self.observe(&account, &record).await?;
                accounts += 1;
                last_account = Some(account);
            }
        }
    }
}
