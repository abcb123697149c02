//! The vault as a client sees it: one method for each route. A coordinator of sites, its own among them.

use coffer_pake::{Identities, Ke1, Point, ServerLogin, answer_login};
use coffer_proto::{
    AccountId, Activated, ActivationRequest, ArchiveHead, AttemptId, Base64, DeletionRequest, Hash, KeepRequest,
    ProofAnswer, ProofRequest, Receipt, Registration, RegistrationId, RegistrationRequest, RetrievalAnswer,
    RetrievalRequest, SiteCertificate, SiteNonce, SiteNumber, Time, TransportKeyId, activation_message,
    attempt_message, client_identity, deletion_message, head_message, keep_message, oprf_context, proof_message,
    registration_message,
};
use futures_util::stream::FuturesUnordered;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::budget::{Refill, Refusal, Spend};
use crate::commit::{Committed, commit};
use crate::error::VaultError;
use crate::evidence::{is_authorized, receipt_holds, verify};
use crate::ledger::{Held, SiteRow, row_key};
use crate::logins::Logins;
use crate::outside::{Bearer, Freshness, Version};
use crate::ports::{Hsm as _, Peers as _, Tokens as _};
use crate::quorum::{Evaluated, evaluate};
use crate::record::{Activation, Attempt, AttemptState, Deletion, KeptKeep, KeptProof, Live, VaultRecord};
use crate::site::{EvaluateRequest, Site, SiteKeep, SiteProof, SiteRefusal, parse_ke1};
use crate::world::{Fleet, Ports, World};

/// The Backup Key Vault at one site.
#[expect(missing_debug_implementations, reason = "its ports need not be printed")]
pub struct Vault<W: World> {
    site: Site<W>,
    logins: Logins,
}

impl<W: World> Vault<W> {
    /// A vault on its ports.
    ///
    /// # Errors
    /// `Unavailable` when the ledger cannot be read.
    pub async fn open(ports: Ports<W>, fleet: Fleet) -> Result<Self, VaultError> {
        Ok(Self { site: Site::open(ports, fleet).await?, logins: Logins::default() })
    }

    /// This site.
    pub fn site(&self) -> &Site<W> {
        &self.site
    }

    fn ports(&self) -> &Ports<W> {
        &self.site.ports
    }

    fn fleet(&self) -> &Fleet {
        &self.site.fleet
    }

    /// Whoever bears the token.
    ///
    /// # Errors
    /// `Unauthorized`.
    pub fn authenticate(&self, token: &str) -> Result<Bearer, VaultError> {
        self.ports().tokens.verify(token, self.ports().now()).ok_or(VaultError::Unauthorized)
    }

    /// The certificate of this site's daily keys.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn certificate(&self) -> Result<SiteCertificate, VaultError> {
        self.site.daily_keys.certificate(self.ports(), &self.fleet().id, self.fleet().site).await
    }

    /// The private half of the transport key with this name: today's, or one of before whose certificate still holds.
    pub fn transport_key(&self, id: &TransportKeyId) -> Option<Zeroizing<[u8; 32]>> {
        self.site.daily_keys.transport_key(id, self.ports().now())
    }

    /// `PUT /v1/registrations/{id}`: takes this site's share in.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn register(
        &self,
        token: &str,
        id: &RegistrationId,
        request: &RegistrationRequest,
    ) -> Result<Receipt, VaultError> {
        let Bearer { account, device_key } = self.authenticate(token)?;
        if request.registration.id != *id {
            return Err(VaultError::Malformed("the registration's id is not that of the path"));
        }
        let message = registration_message(&self.fleet().id, &account, &request.registration);
        verify(&device_key, &message, &request.device_signature)?;
        self.site.import(&account, request).await
    }

    /// `PUT /v1/registrations/{id}/activation`.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn activate(
        &self,
        token: &str,
        id: &RegistrationId,
        request: &ActivationRequest,
    ) -> Result<Activated, VaultError> {
        let Bearer { account, device_key } = self.authenticate(token)?;
        let registration = self.held(&account, id).await?;
        let replaces = request.replaces.as_ref();
        let message = activation_message(&self.fleet().id, &account, id, &registration.hash(), replaces);
        verify(&device_key, &message, &request.device_signature)?;
        let receipts = self.check_receipts(&account, &registration, &request.receipts)?;
        let activation = Activation {
            at: self.ports().now(),
            replaces: request.replaces,
            token: token.into(),
            device_signature: request.device_signature,
            authorization: request.authorization,
            receipts,
        };
        let Committed { record, outcome: activated, .. } = self
            .commit(&account, |record, now| {
                record.settle(&self.fleet().policy, now);
                if let (Some(authorization), Some(live)) = (&activation.authorization, &record.live)
                    && live.registration.id != *id
                    && !is_authorized(&live.registration, &message, authorization)
                {
                    return Err(Refusal::InvalidAuthorization);
                }
                record.activate(registration.clone(), activation.clone(), &self.fleet().policy, now)
            })
            .await?;
        tracing::info!(target: "audit", ?account, registration = %id, ?activated, "registration activated");
        self.site.observe(&account, &record).await?;
        Ok(activated)
    }

    /// Commits a transition; a record that is older than it was is brought up to the ledgers first.
    async fn commit<T>(
        &self,
        account: &AccountId,
        mut transition: impl FnMut(&mut VaultRecord, Time) -> Result<T, Refusal>,
    ) -> Result<Committed<T>, VaultError> {
        match commit(self.ports(), account, &mut transition).await {
            Err(VaultError::Unreconciled) => {
                self.site.reconcile(account).await?;
                commit(self.ports(), account, transition).await
            }
            committed => committed,
        }
    }

    /// The registration that this site holds a share of.
    async fn held(&self, account: &AccountId, id: &RegistrationId) -> Result<Registration, VaultError> {
        match self.site.rows.read(self.ports(), &row_key(account, id)).await?.map(|row| row.content) {
            Some(SiteRow::Held(held)) => Ok(held.registration),
            Some(SiteRow::Erased { .. }) => Err(Refusal::Erased.into()),
            None => Err(VaultError::NotDelivered),
        }
    }

    /// One receipt of each site, enough of them, all of which hold.
    fn check_receipts(
        &self,
        account: &AccountId,
        registration: &Registration,
        receipts: &[Receipt],
    ) -> Result<Vec<Receipt>, VaultError> {
        let Fleet { id, site_identities, .. } = self.fleet();
        let all_hold = receipts.len() <= site_identities.len()
            && receipts.iter().all(|receipt| receipt_holds(site_identities, id, account, registration, receipt));
        let mut receipts = receipts.to_vec();
        receipts.sort_by_key(|receipt| receipt.site);
        receipts.dedup_by_key(|receipt| receipt.site);
        if all_hold && receipts.len() >= usize::from(self.fleet().quorum()) {
            Ok(receipts)
        } else {
            Err(VaultError::InvalidReceipt)
        }
    }

    /// `PUT /v1/registrations/{id}/keep`.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn keep(&self, token: &str, id: &RegistrationId, request: &KeepRequest) -> Result<(), VaultError> {
        let account = self.authenticate(token)?.account;
        let KeepRequest { against, authorization } = *request;
        let message = keep_message(&self.fleet().id, &account, id, &against);
        let keep = KeptKeep { against, authorization };
        // The sites first: none erases its share for want of a record that takes the objection.
        self.hand_round(Delivery::Keep(SiteKeep { account: account.clone(), registration: *id, keep })).await;
        let Committed { record, .. } = self
            .commit(&account, |record, now| {
                record.settle(&self.fleet().policy, now);
                let live = record.live_named(id)?;
                if !is_authorized(&live.registration, &message, &authorization) {
                    return Err(Refusal::InvalidAuthorization);
                }
                record.keep(id, keep, &self.fleet().policy, now)
            })
            .await?;
        tracing::info!(target: "audit", ?account, registration = %id, "registration kept");
        self.site.observe(&account, &record).await
    }

    /// `DELETE /v1/registrations/{id}`. Gives when it is, or was, due.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn delete(
        &self,
        token: &str,
        id: &RegistrationId,
        request: &DeletionRequest,
    ) -> Result<Time, VaultError> {
        let Bearer { account, device_key } = self.authenticate(token)?;
        let message = deletion_message(&self.fleet().id, &account, id, &request.deletion);
        verify(&device_key, &message, &request.device_signature)?;
        let asked = Deletion {
            id: request.deletion,
            at: self.ports().now(),
            token: token.into(),
            device_signature: request.device_signature,
            authorization: request.authorization,
        };
        let Committed { record, outcome: due, .. } = self
            .commit(&account, |record, now| {
                record.settle(&self.fleet().policy, now);
                let live = record.live.as_ref().filter(|live| live.registration.id == *id);
                if let (Some(live), Some(authorization)) = (live, &asked.authorization)
                    && !is_authorized(&live.registration, &message, authorization)
                {
                    return Err(Refusal::InvalidAuthorization);
                }
                record.delete(id, asked.clone(), &self.fleet().policy, now)
            })
            .await?;
        tracing::info!(target: "audit", ?account, registration = %id, %due, "deletion asked for");
        self.site.observe(&account, &record).await?;
        Ok(due)
    }

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

    /// Hands what an owner has signed to every site: a proof also to those that it does not name, which learn that its
    /// attempt does not count towards erasing. Where it does not arrive, the site finds it in the record.
    async fn hand_round(&self, delivery: Delivery) {
        let hand = async |site: SiteNumber| match &delivery {
            Delivery::Proof(proof) if site == self.fleet().site => self.site.apply_proof(proof).await,
            Delivery::Proof(proof) => self.ports().peers.apply_proof(site, proof).await,
            Delivery::Keep(keep) if site == self.fleet().site => self.site.apply_keep(keep).await,
            Delivery::Keep(keep) => self.ports().peers.apply_keep(site, keep).await,
        };
        let Fleet { order, hedge_after, .. } = self.fleet();
        let mut handed: FuturesUnordered<_> = order.iter().map(|site| hand(*site)).collect();
        let mut taken = 0;
        // Nobody waits long for the last sites once as many have taken it as a retrieval needs.
        let patience = |taken| hedge_after.filter(|_| taken >= self.fleet().threshold);
        while let Some(outcome) = self.ports().next_within(&mut handed, patience(taken)).await {
            match outcome {
                Ok(()) => taken += 1,
                Err(error) => {
                    tracing::warn!(%error, "a site has not taken what its owner signed; it waits in the record");
                }
            }
        }
    }

    /// `PUT /v1/archive-head`.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn keep_head(&self, token: &str, head: &ArchiveHead) -> Result<(), VaultError> {
        let account = self.authenticate(token)?.account;
        let message = head_message(&self.fleet().id, &account, head.number, head.sealed.as_bytes());
        self.commit(&account, |record, now| {
            record.settle(&self.fleet().policy, now);
            let owner = record.head_owner().ok_or(Refusal::NotRegistered)?;
            if verify(&owner, &message, &head.signature).is_err() {
                return Err(Refusal::InvalidAuthorization);
            }
            record.keep_head(head.clone(), owner)
        })
        .await?;
        Ok(())
    }

    /// `GET /v1/archive-head`.
    ///
    /// # Errors
    /// `NotRegistered` when there is none.
    pub async fn head(&self, token: &str) -> Result<ArchiveHead, VaultError> {
        let account = self.authenticate(token)?.account;
        let kept = self.site.record(&account).await?.head;
        Ok(kept.ok_or(Refusal::NotRegistered)?.head)
    }
}

/// What an owner has signed, for every site.
enum Delivery {
    Proof(SiteProof),
    Keep(SiteKeep),
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
