//! A site evaluates an attempt: once for each id, after its own count is durable.

use coffer_pake::Ke1;
use coffer_proto::{
    AccountId, Authorization, Base64, Change, Hash, KE1_LEN, Registration, SiteNonce, activation_message,
    attempt_message,
};

use crate::budget::Refusal;
use crate::error::VaultError;
use crate::evidence::{device_signed, is_authorized};
use crate::ledger::{Admission, Evaluation, Held, LedgerRefusal, LedgerSpend, SiteRow, row_key};
use crate::messages::{EvaluateRequest, SiteAnswer, SiteRefusal};
use crate::outside::{Freshness, WrappedShare};
use crate::ports::{Hsm as _, RecordStore as _};
use crate::record::{Activation, Carried, Live, record_key};
use crate::rows::{Row, WriteError};
use crate::site::{Site, random};
use crate::world::{Fleet, World};

impl<W: World> Site<W> {
    /// Evaluates an attempt that the record holds, once for each id.
    ///
    /// # Errors
    /// [`SiteRefusal`]. After any of them the same request may be sent again.
    pub async fn evaluate(&self, request: &EvaluateRequest) -> Result<SiteAnswer, SiteRefusal> {
        let EvaluateRequest { account, registration, attempt, .. } = request;
        let ke1_hash = Hash::from(&request.ke1);
        let message = attempt_message(&self.fleet.id, account, registration, attempt, request.number, &ke1_hash);
        device_signed(
            &self.ports,
            account,
            request.token.expose(),
            self.ports.now(),
            &message,
            &request.device_signature,
        )?;
        self.evaluate_verified(request, &parse_ke1(&request.ke1)?).await
    }

    /// [`Site::evaluate`] after token and device signature were verified, and the KE1 parsed.
    pub(crate) async fn evaluate_verified(
        &self,
        request: &EvaluateRequest,
        ke1: &Ke1,
    ) -> Result<SiteAnswer, SiteRefusal> {
        let EvaluateRequest { account, registration, attempt, .. } = request;
        let ke1_hash = Hash::from(&request.ke1);
        if !self.heights.is_checked() {
            return Err(VaultError::Unavailable.into());
        }
        let now = self.ports.now();
        let key = row_key(account, registration);
        loop {
            // Anew on each turn: what another task has just forgiven is closed.
            let record = self.record_at(account, Freshness::AtLeast(request.version)).await?;
            if record.fence != self.ports.records.fence(&record_key(account)) {
                return Err(VaultError::Unreconciled.into());
            }
            let live = record.live_named(registration).map_err(VaultError::from)?;
            live.open_attempt(attempt, &ke1_hash, &self.fleet.policy, now).map_err(VaultError::from)?;
            let (row, mut held) = match self.rows.read(&self.ports, &key).await? {
                Some(Row { number, content: SiteRow::Held(held) }) => (Some(number), *held),
                Some(Row { content: SiteRow::Erased { .. }, .. }) => return Err(SiteRefusal::NotHeld),
                None => (None, self.recovered(account, live).await?.ok_or(SiteRefusal::NotHeld)?),
            };
            self.catch_up(account, live, &mut held).await?;
            // A proof of this attempt will object to what threatens the registration now.
            self.asked(account, &record, live, &held).into_iter().for_each(|change| held.threaten(change, now));
            let rollback = self.heights.rollback();
            if row.is_none() || held.recounted < rollback {
                held.recount(rollback, &live.attempts, now, random)?;
                let held = Box::new(held);
                match self.rows.write(&self.ports, &key, row, &SiteRow::Held(held)).await {
                    Ok(_) | Err(WriteError::Conflict) => continue,
                    Err(WriteError::Vault(error)) => return Err(error.into()),
                }
            }
            let (attempt, number, nonce) = (*attempt, request.number, Base64(random()?));
            let evaluation = Evaluation { attempt, number, ke1_hash, nonce, at: now };
            let spend = match held.admit(evaluation, &self.fleet.policy) {
                // The row was read, so it is durable.
                Ok(Admission::PaidFor) => LedgerSpend::durable(),
                Ok(Admission::Added) => {
                    match self.rows.write(&self.ports, &key, row, &SiteRow::Held(Box::new(held.clone()))).await {
                        Ok(_) => LedgerSpend::durable(),
                        Err(WriteError::Conflict) => continue,
                        Err(WriteError::Vault(error)) => return Err(error.into()),
                    }
                }
                Err(LedgerRefusal::OtherBytes) => return Err(SiteRefusal::OtherBytes),
                Err(LedgerRefusal::Closed) => return Err(VaultError::Refused(Refusal::AttemptClosed).into()),
                Err(LedgerRefusal::Full) => return Err(SiteRefusal::Full { nonce: held.newest_nonce() }),
                Err(LedgerRefusal::Wait { retry_at }) => return Err(SiteRefusal::Wait { retry_at }),
            };
            let nonce = held.newest_nonce().ok_or(VaultError::Unavailable)?;
            let public = self.public_share(&held.registration)?;
            let share = WrappedShare { wrapped: held.wrapped, public };
            let point = self.ports.hsm.evaluate(spend, &share, &ke1.blinded()).await.map_err(VaultError::from)?;
            let Fleet { id, site, .. } = &self.fleet;
            let height = self.daily_keys.sign_height(&self.ports, id, *site, self.rows.last_number()).await?;
            self.heights.hear(height);
            return Ok(SiteAnswer { point, nonce: SiteNonce { site: *site, nonce }, height });
        }
    }

    /// Brings a row up to what the record proves: that the registration was activated, and proofs that it has not seen.
    pub(crate) async fn catch_up(&self, account: &AccountId, live: &Live, held: &mut Held) -> Result<(), VaultError> {
        if held.registration != live.registration {
            return Err(VaultError::Unavailable);
        }
        if !held.activated {
            held.carried = self.verify_activation(account, held, &live.activation).await?;
            held.activated = true;
        }
        for proof in &live.proofs {
            if held.is_news(proof, self.fleet.site) && self.proof_holds(account, &live.registration, proof) {
                held.prove(proof, self.fleet.site);
            }
        }
        for keep in &live.keeps {
            if !held.has_refused(keep.against) && self.keep_holds(account, &live.registration, keep) {
                held.refuse(keep.against, self.ports.now());
            }
        }
        Ok(())
    }

    /// Whether a device of the account asked for an activation, with a token that held then.
    pub(crate) fn device_activated(
        &self,
        account: &AccountId,
        registration: &Registration,
        activation: &Activation,
    ) -> Result<(), VaultError> {
        let message = self.activation_message(account, registration, activation);
        let (token, signature) = (activation.token.expose(), &activation.device_signature);
        device_signed(&self.ports, account, token, activation.at, &message, signature).map(drop)
    }

    fn activation_message(&self, account: &AccountId, registration: &Registration, activation: &Activation) -> Vec<u8> {
        let replaces = activation.replaces.as_ref();
        activation_message(&self.fleet.id, account, &registration.id, &registration.hash(), replaces)
    }

    /// Checks the evidence of an activation: a key of the registration that it replaces has signed, and it starts afresh;
    /// or a device alone, this site has known of that for the whole waiting time, and it starts with the other's failures,
    /// which this gives.
    async fn verify_activation(
        &self,
        account: &AccountId,
        held: &Held,
        activation: &Activation,
    ) -> Result<Option<Carried>, VaultError> {
        let not_shown = |_| VaultError::Unavailable;
        let Some(replaced) = &activation.replaces else {
            self.device_activated(account, &held.registration, activation).map_err(not_shown)?;
            return Ok(None);
        };
        let row = self.rows.read(&self.ports, &row_key(account, replaced)).await?;
        if let Some(Row { content: SiteRow::Held(before), .. }) = &row {
            let message = self.activation_message(account, &held.registration, activation);
            let signed = |by: &Authorization| is_authorized(&before.registration, &message, by);
            if activation.authorization.as_ref().is_some_and(signed) {
                return Ok(None);
            }
        }
        if held.takes_over != activation.replaces {
            self.device_activated(account, &held.registration, activation).map_err(not_shown)?;
        }
        let Some(Row { content: SiteRow::Held(before), .. }) = row else { return Ok(None) };
        // A record that hides a signature does not make of a replacement by the owner one by anybody.
        let change = Change::Successor(held.registration.id);
        if !before.is_due(change, &self.fleet.policy, self.ports.now()) {
            return Err(VaultError::Unavailable);
        }
        let carried = before.evaluations.last().map(|evaluation| evaluation.at);
        let last = carried.max(before.carried.map(|carried| carried.last));
        let failures = u8::try_from(before.failures()).unwrap_or(u8::MAX);
        Ok(last.map(|last| Carried { failures, last }))
    }
}

/// KE1, its points parsed.
pub(crate) fn parse_ke1(bytes: &Base64<KE1_LEN>) -> Result<Ke1, VaultError> {
    Ke1::parse(&bytes.0).map_err(|_| VaultError::Malformed("not a KE1 of this suite"))
}
