//! A retrieval, as a coordinator sees it: spend, have the sites evaluate, answer, take the proof.

use coffer_pake::{Identities, Ke1, Point, ServerLogin, answer_login};
use coffer_proto::{
    AccountId, AttemptId, Base64, Hash, ProofAnswer, ProofRequest, RetrievalAnswer, RetrievalRequest, SiteNonce, Time,
    attempt_message, client_identity, oprf_context, proof_message,
};
use sha2::{Digest as _, Sha256};

use crate::budget::{Refill, Refusal, Spend};
use crate::commit::Committed;
use crate::delivery::Delivery;
use crate::error::VaultError;
use crate::evaluation::parse_ke1;
use crate::evidence::verify;
use crate::ledger::Held;
use crate::messages::{EvaluateRequest, SiteProof, SiteRefusal};
use crate::outside::{Bearer, Freshness, Version};
use crate::ports::Hsm as _;
use crate::quorum::{Evaluated, evaluate};
use crate::record::{Attempt, AttemptState, KeptProof, Live, VaultRecord};
use crate::vault::Vault;
use crate::world::World;

impl<W: World> Vault<W> {
    /// `PUT /v1/retrievals/{id}`: spends an attempt, and only then has anything evaluated.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn retrieve(
        &self,
        token: &str,
        attempt: &AttemptId,
        request: &RetrievalRequest,
    ) -> Result<RetrievalAnswer, VaultError> {
        let Bearer { account, device_key } = self.authenticate(token)?;
        let ke1 = parse_ke1(&request.ke1)?;
        let ke1_hash = Hash::from(&request.ke1);
        let RetrievalRequest { registration, number, .. } = request;
        let message = attempt_message(&self.fleet().id, &account, registration, attempt, *number, &ke1_hash);
        verify(&device_key, &message, &request.device_signature)?;
        let (record, version) = self.spend(token, &account, attempt, ke1_hash, request).await?;
        let live = record.live_named(&request.registration)?;
        let spent = live.open_attempt(attempt, &ke1_hash, &self.fleet().policy, self.ports().now())?;
        let (attempts_remaining, open_until) =
            (live.attempts_remaining(&self.fleet().policy), live.open_until(spent, &self.fleet().policy));
        let of = (account.clone(), request.registration, *attempt);
        if let Some(kept) = self.logins.answer(&of) {
            return Ok(RetrievalAnswer { attempts_remaining, open_until, ..kept });
        }
        let evaluate_request = EvaluateRequest {
            account: account.clone(),
            registration: request.registration,
            attempt: *attempt,
            number: *number,
            version,
            ke1: request.ke1,
            token: token.into(),
            device_signature: request.device_signature,
        };
        let Evaluated { point, unchecked, nonces } = evaluate(&self.site, &evaluate_request, &ke1).await?;
        let (ke2, login) = self.answer(&account, live, &ke1, &point).await?;
        let answer = RetrievalAnswer { ke2: Base64(ke2), attempts_remaining, nonces, unchecked, open_until };
        Ok(self.logins.keep(of, login, answer, self.ports().now()))
    }

    /// Commits the spend. What it gives is durable.
    async fn spend(
        &self,
        token: &str,
        account: &AccountId,
        attempt: &AttemptId,
        ke1_hash: Hash,
        request: &RetrievalRequest,
    ) -> Result<(VaultRecord, Version), VaultError> {
        let policy = &self.fleet().policy;
        let spend = |record: &mut VaultRecord, now: Time| {
            let state = AttemptState::Unproved { token: token.into(), device_signature: request.device_signature };
            let spent = Attempt { id: *attempt, number: request.number, ke1_hash, at: now, state };
            record.spend(&request.registration, spent, policy, now)
        };
        match self.commit(account, spend).await {
            Ok(Committed { record, version, outcome }) => {
                if outcome == Spend::Added {
                    let left = record.live.as_ref().map(|live| live.attempts_remaining(policy));
                    tracing::info!(target: "audit", ?account, %attempt, ?left, "attempt spent");
                }
                Ok((record, version.ok_or(VaultError::Unavailable)?))
            }
            Err(error) => {
                if error == VaultError::Refused(Refusal::Locked) {
                    let record = self.site.record(account).await?;
                    self.site.observe(account, &record).await?;
                }
                Err(error)
            }
        }
    }

    /// OPAQUE's KE2 around an evaluation.
    async fn answer(
        &self,
        account: &AccountId,
        live: &Live,
        ke1: &Ke1,
        evaluation: &Point,
    ) -> Result<([u8; coffer_proto::KE2_LEN], ServerLogin), VaultError> {
        let registration = &live.registration;
        let product = self.ports().hsm.agree(&ke1.client_ephemeral()).await?;
        let client = client_identity(account, &registration.id);
        let context = oprf_context(&registration.argon2, self.fleet().sites, self.fleet().threshold);
        let identities = Identities { client: &client, server: self.fleet().id.as_bytes(), context: &context };
        let ake = self.ports().hsm.public_keys().ake;
        answer_login(&registration.upload.0, ke1, evaluation, &product, &ake, &identities)
            .map_err(|_| VaultError::Unavailable)
    }

    /// `PUT /v1/retrievals/{id}/proof`: KE3 and the unlock key's signature, both verified before anything changes.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn prove(
        &self,
        token: &str,
        attempt: &AttemptId,
        request: &ProofRequest,
    ) -> Result<ProofAnswer, VaultError> {
        let account = self.authenticate(token)?.account;
        let is_site = |named: &SiteNonce| (1..=self.fleet().sites).contains(&named.site.0);
        if !request.nonces.iter().all(is_site) || !request.nonces.is_sorted_by(|one, next| one.site < next.site) {
            return Err(VaultError::Malformed("the nonces are one for each site, in the order of their numbers"));
        }
        let record = self.record_with(&account, attempt).await?;
        let live = record.live.as_ref().ok_or_else(|| record.not_live())?;
        let spent = live.attempt(attempt).ok_or(VaultError::InvalidProof)?;
        let registration = live.registration.clone();
        let (number, ke1_hash) = (spent.number, spent.ke1_hash);
        let message = proof_message(&self.fleet().id, &account, &registration.id, attempt, number, &request.nonces);
        verify(&registration.unlock_key, &message, &request.unlock_signature).map_err(|_| VaultError::InvalidProof)?;
        let proof_hash = proof_hash(request);
        let proof = KeptProof::new(*attempt, number, request);
        let is_new = spent.state != (AttemptState::Proved { proof: proof_hash });
        if is_new {
            self.logins.verify(&(account.clone(), registration.id, *attempt), &request.ke3.0)?;
        }
        // Who has proved the password objects to all that threatens it, whether or not the record takes the proof now.
        let object = |held: &mut Held| {
            if is_new && !held.would_forgive(&proof, self.fleet().site) {
                return Err(VaultError::RetrieveAgain);
            }
            held.refuse_all();
            Ok(())
        };
        match self.site.change_row(&account, &registration.id, object).await {
            Ok(()) | Err(SiteRefusal::NotHeld) => {}
            Err(error) => return Err(error.into()),
        }
        let Committed { record, outcome: refill, .. } = self
            .commit(&account, |record, now| {
                record.live_named(&registration.id)?;
                record.refill(proof.clone(), &ke1_hash, proof_hash, &self.fleet().policy, now)
            })
            .await?;
        let live = record.live.as_ref().ok_or(VaultError::InvalidProof)?;
        if refill == Refill::Done {
            tracing::info!(target: "audit", ?account, %attempt, "attempt proved");
        }
        self.hand_round(Delivery::Proof(SiteProof { account, registration: registration.id, proof })).await;
        let attempts_remaining = live.attempts_remaining(&self.fleet().policy);
        Ok(ProofAnswer { wrapped_backup_key: registration.wrapped_backup_key, attempts_remaining })
    }

    /// A record that has the attempt, as a rule this site's own replica; otherwise the newest one.
    async fn record_with(&self, account: &AccountId, attempt: &AttemptId) -> Result<VaultRecord, VaultError> {
        let record = self.site.record_at(account, Freshness::MayBeStale).await?;
        if record.live.as_ref().is_some_and(|live| live.attempt(attempt).is_some()) {
            return Ok(record);
        }
        self.site.record(account).await
    }
}

/// Names a proof, so that the same one gets the same answer.
fn proof_hash(request: &ProofRequest) -> Hash {
    let mut hash = Sha256::new();
    hash.update(request.ke3.0);
    hash.update(request.unlock_signature.0);
    for named in &request.nonces {
        hash.update([named.site.0]);
        hash.update(named.nonce.0);
    }
    Base64(hash.finalize().into())
}
