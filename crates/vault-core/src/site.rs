//! One site: it takes shares in, evaluates what has been paid for, and takes proofs. It verifies for itself whatever it
//! acts on; a coordinator, its own or another site's, can only ask.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use coffer_pake::{Ke1, Point, expected_share, import_point, receipt_base};
use coffer_proto::{
    AccountId, AttemptId, Authorization, Base64, Change, Hash, KE1_LEN, LedgerHeight, Nonce, PointBytes, Receipt,
    Registration, RegistrationId, RegistrationRequest, ShareContext, Signature, SiteNonce, SiteNumber, Time,
    activation_message, attempt_message, keep_message, proof_message, registration_message,
};
use serde::{Deserialize, Serialize};

use crate::budget::Refusal;
use crate::error::VaultError;
use crate::evidence::{device_signed, holds, is_authorized, verify};
use crate::heights::Heights;
use crate::ledger::{Admission, Evaluation, Held, LedgerRefusal, LedgerSpend, SiteRow, row_key, row_prefix};
use crate::outside::{Freshness, SealedShareIn, Version, WrappedShare};
use crate::ports::{Hsm as _, Ledger as _, RecordStore as _};
use crate::receipts::DailyKeys;
use crate::record::{Activation, Carried, KeptKeep, KeptProof, Live, VaultRecord, parse, record_key};
use crate::rows::{Row, Rows, WriteError};
use crate::token::AccountToken;
use crate::world::{Fleet, Ports, World};

/// Registrations of an account that a site holds without their having been activated.
const PENDING_AT_MOST: usize = 16;

/// Asks a site to evaluate an attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EvaluateRequest {
    /// Whose.
    pub account: AccountId,
    /// Of which registration.
    pub registration: RegistrationId,
    /// Which attempt.
    pub attempt: AttemptId,
    /// Its number.
    pub number: u64,
    /// The record's version in which it was spent: the site waits for it, and reads the newest state that it then has.
    pub version: Version,
    /// OPAQUE's KE1.
    pub ke1: Base64<KE1_LEN>,
    /// The token that it was spent with.
    pub token: AccountToken,
    /// By the device that the token names.
    pub device_signature: Signature,
}

/// Hands a site a proof.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SiteProof {
    /// Whose.
    pub account: AccountId,
    /// Of which registration.
    pub registration: RegistrationId,
    /// The proof.
    pub proof: KeptProof,
}

/// Hands a site an objection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SiteKeep {
    /// Whose.
    pub account: AccountId,
    /// Of which registration.
    pub registration: RegistrationId,
    /// The objection.
    pub keep: KeptKeep,
}

/// A site's answer to an [`EvaluateRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SiteAnswer {
    /// `k_i · B`.
    pub point: Point,
    /// The site's newest mark.
    pub nonce: SiteNonce,
    /// How far its ledger has got.
    pub height: LedgerHeight,
}

/// Why a site does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SiteRefusal {
    /// Its count is full; a proof by way of other sites can empty it.
    #[error("the site's count is full")]
    Full {
        /// What that proof has to name.
        nonce: Option<Nonce>,
    },
    /// By its clock it is too early. The attempt stays open.
    #[error("by the site's clock it is too early")]
    Wait {
        /// When it is not.
        retry_at: Time,
    },
    /// The id was used with another KE1.
    #[error("the attempt's id was used for something else")]
    OtherBytes,
    /// It holds no share of the registration.
    #[error("the site holds no share of the registration")]
    NotHeld,
    /// It cannot be reached.
    #[error("the site cannot be reached")]
    Unreachable,
    /// Anything else.
    #[error(transparent)]
    Refused(#[from] VaultError),
}

pub(crate) type Dissents = Mutex<BTreeMap<SiteNumber, u64>>;

/// One site of the fleet.
#[expect(missing_debug_implementations, reason = "its ports need not be printed")]
pub struct Site<W: World> {
    pub(crate) ports: Ports<W>,
    pub(crate) fleet: Fleet,
    pub(crate) rows: Rows,
    pub(crate) daily_keys: DailyKeys,
    pub(crate) heights: Heights,
    /// The newest manifest that this site has.
    manifest_version: AtomicU64,
    pub(crate) dissents: Dissents,
}

impl<W: World> Site<W> {
    /// A site on its ports.
    ///
    /// # Errors
    /// `Unavailable` when the ledger cannot be read.
    pub async fn open(ports: Ports<W>, fleet: Fleet) -> Result<Self, VaultError> {
        let rows = Rows::open(&ports).await?;
        let manifest_version = AtomicU64::new(fleet.manifest_version);
        let heights = if fleet.sites == 1 { Heights::alone() } else { Heights::default() };
        Ok(Self {
            ports,
            fleet,
            rows,
            daily_keys: DailyKeys::default(),
            heights,
            manifest_version,
            dissents: Dissents::default(),
        })
    }

    /// There is a newer manifest, which changes nothing but its version and what only clients and stores go by.
    pub fn learn_manifest(&self, version: u64) {
        self.manifest_version.fetch_max(version, Ordering::Relaxed);
    }

    /// Whether enough other sites have said how far this one's ledger had got.
    pub fn has_checked_height(&self) -> bool {
        self.heights.is_checked()
    }

    /// How often each site's answer has contradicted what the others agree on.
    pub fn dissents(&self) -> BTreeMap<SiteNumber, u64> {
        self.dissents.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a share in, and gives a receipt for it. The same again gives the same receipt.
    pub(crate) async fn import(
        &self,
        account: &AccountId,
        request: &RegistrationRequest,
    ) -> Result<Receipt, VaultError> {
        let registration = &request.registration;
        let (expected, ephemeral) = self.check(account, request)?;
        let key = row_key(account, &registration.id);
        if let Some(receipt) = self.receipt_of(&key, registration).await? {
            return Ok(receipt);
        }
        let record = self.record(account).await?;
        if record.erased.contains(&registration.id) {
            return Err(Refusal::Erased.into());
        }
        self.make_room(account, &record).await?;
        let context = self.context(account, registration).encode();
        let share = SealedShareIn {
            transport: import_point(&context, &ephemeral),
            sealed: request.sealed_share.wrapped.as_bytes(),
            expected,
            receipt_base: receipt_base(&context),
        };
        let imported = self.ports.hsm.import_share(share).await?;
        let receipt = self.receipt(account, registration, &imported.receipt).await?;
        let mut held = Held::new(registration.clone(), imported.wrapped, receipt.clone(), self.ports.now());
        held.recounted = self.heights.rollback();
        match self.rows.write(&self.ports, &key, None, &SiteRow::Held(Box::new(held))).await {
            Ok(_) => {
                tracing::info!(target: "audit", ?account, registration = %registration.id, "share imported");
                Ok(receipt)
            }
            Err(WriteError::Conflict) => self.receipt_of(&key, registration).await?.ok_or(VaultError::Unavailable),
            Err(WriteError::Vault(error)) => Err(error),
        }
    }

    /// That a registration is what it says, and fits this fleet. Gives the share's public point and the seal's.
    fn check(&self, account: &AccountId, request: &RegistrationRequest) -> Result<(Point, Point), VaultError> {
        let registration = &request.registration;
        if registration.manifest_version == 0
            || registration.manifest_version > self.manifest_version.load(Ordering::Relaxed)
        {
            return Err(VaultError::UnknownManifest);
        }
        if registration.commitments.len() != usize::from(self.fleet.threshold)
            || registration.sealed_share_hashes.len() != usize::from(self.fleet.sites)
        {
            return Err(VaultError::Malformed("the registration does not fit the fleet's sites and threshold"));
        }
        let own = usize::from(self.fleet.site.0).saturating_sub(1);
        if registration.sealed_share_hashes.get(own) != Some(&request.sealed_share.hash()) {
            return Err(VaultError::InvalidShare);
        }
        let message = registration_message(&self.fleet.id, account, registration);
        verify(&registration.unlock_key, &message, &request.unlock_signature)?;
        let expected = self.public_share(registration)?;
        let ephemeral = parse_point(&request.sealed_share.ephemeral)?;
        coffer_pake::check_upload(&registration.upload.0)
            .map_err(|_| VaultError::Malformed("not a RegistrationUpload of this suite"))?;
        Ok((expected, ephemeral))
    }

    /// `K_i`, as the commitments say.
    fn public_share(&self, registration: &Registration) -> Result<Point, VaultError> {
        let commitments: Vec<Point> = registration.commitments.iter().map(parse_point).collect::<Result<_, _>>()?;
        expected_share(&commitments, self.fleet.site.0).ok_or(VaultError::InvalidShare)
    }

    async fn receipt_of(&self, key: &[u8], registration: &Registration) -> Result<Option<Receipt>, VaultError> {
        match self.rows.read(&self.ports, key).await?.map(|row| row.content) {
            None => Ok(None),
            Some(SiteRow::Erased { .. }) => Err(Refusal::Erased.into()),
            Some(SiteRow::Held(held)) if held.registration == *registration => Ok(Some(held.receipt)),
            Some(SiteRow::Held(_)) => Err(Refusal::IdReused.into()),
        }
    }

    async fn receipt(
        &self,
        account: &AccountId,
        registration: &Registration,
        point: &Point,
    ) -> Result<Receipt, VaultError> {
        let context = self.context(account, registration);
        self.daily_keys.sign(&self.ports, &context, Base64(point.encode()), self.rows.last_number()).await
    }

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

    /// The newest mark on a registration's evaluations, which is what a proof should name.
    ///
    /// # Errors
    /// [`SiteRefusal`].
    pub async fn newest_mark(
        &self,
        account: &AccountId,
        registration: &RegistrationId,
    ) -> Result<Option<Nonce>, SiteRefusal> {
        match self.rows.read(&self.ports, &row_key(account, registration)).await?.map(|row| row.content) {
            // Marks from before a rollback are not good any more.
            Some(SiteRow::Held(held)) if held.recounted < self.heights.rollback() => Ok(None),
            Some(SiteRow::Held(held)) => Ok(held.newest_nonce()),
            _ => Err(SiteRefusal::NotHeld),
        }
    }

    /// Takes a proof: forgives what it names. A proof that is known changes nothing.
    ///
    /// # Errors
    /// [`SiteRefusal`].
    pub async fn apply_proof(&self, request: &SiteProof) -> Result<(), SiteRefusal> {
        let SiteProof { account, registration, proof } = request;
        self.change_row(account, registration, |held| {
            let holds = self.proof_holds(account, &held.registration, proof);
            holds.then(|| held.prove(proof, self.fleet.site)).ok_or(VaultError::InvalidProof)
        })
        .await
    }

    /// Takes an objection of the registration's owner. One that is known changes nothing.
    ///
    /// # Errors
    /// [`SiteRefusal`].
    pub async fn apply_keep(&self, request: &SiteKeep) -> Result<(), SiteRefusal> {
        let SiteKeep { account, registration, keep } = request;
        self.change_row(account, registration, |held| {
            let holds = self.keep_holds(account, &held.registration, keep);
            holds.then(|| held.refuse(keep.against, self.ports.now())).ok_or(VaultError::InvalidSignature)
        })
        .await
    }

    /// Changes the row of a share, as often as another task comes in between.
    pub(crate) async fn change_row(
        &self,
        account: &AccountId,
        registration: &RegistrationId,
        change: impl Fn(&mut Held) -> Result<(), VaultError>,
    ) -> Result<(), SiteRefusal> {
        let key = row_key(account, registration);
        loop {
            let Some(Row { number, content: SiteRow::Held(mut held) }) = self.rows.read(&self.ports, &key).await?
            else {
                return Err(SiteRefusal::NotHeld);
            };
            let before = held.clone();
            change(&mut held)?;
            if held == before {
                return Ok(());
            }
            match self.rows.write(&self.ports, &key, Some(number), &SiteRow::Held(held)).await {
                Ok(_) => return Ok(()),
                Err(WriteError::Conflict) => {}
                Err(WriteError::Vault(error)) => return Err(error.into()),
            }
        }
    }

    pub(crate) fn proof_holds(&self, account: &AccountId, registration: &Registration, proof: &KeptProof) -> bool {
        let KeptProof { attempt, number, nonces, unlock_signature } = proof;
        let message = proof_message(&self.fleet.id, account, &registration.id, attempt, *number, nonces);
        holds(&registration.unlock_key, &message, unlock_signature)
    }

    fn keep_holds(&self, account: &AccountId, registration: &Registration, keep: &KeptKeep) -> bool {
        let message = keep_message(&self.fleet.id, account, &registration.id, &keep.against);
        is_authorized(registration, &message, &keep.authorization)
    }

    /// The newest record. Empty for an account that was never seen.
    pub(crate) async fn record(&self, account: &AccountId) -> Result<VaultRecord, VaultError> {
        self.record_at(account, Freshness::Newest).await
    }

    pub(crate) async fn record_at(&self, account: &AccountId, freshness: Freshness) -> Result<VaultRecord, VaultError> {
        let there = self.ports.records.get(&record_key(account), freshness).await?;
        Ok(there.map(|there| parse(&there.value)).transpose()?.unwrap_or_default())
    }

    /// Erases the oldest of an account's shares that were never activated, if there are too many: whoever fills the place
    /// with them keeps nobody from registering.
    async fn make_room(&self, account: &AccountId, record: &VaultRecord) -> Result<(), VaultError> {
        let waiting = record.waiting.as_ref().map(|waiting| waiting.registration.id);
        let live = record.live.as_ref().map(|live| live.registration.id);
        let mut pending: Vec<_> = Vec::new();
        for (key, row) in self.account_rows(account).await? {
            if let SiteRow::Held(held) = row.content {
                let id = Some(held.registration.id);
                if !held.activated && held.takes_over.is_none() && id != waiting && id != live {
                    pending.push((held.imported_at, key, row.number));
                }
            }
        }
        pending.sort();
        let surplus = (pending.len() + 1).saturating_sub(PENDING_AT_MOST);
        for (_, key, number) in pending.into_iter().take(surplus) {
            let erased = SiteRow::Erased { at: self.ports.now(), successor: None };
            if let Err(WriteError::Vault(error)) = self.rows.write(&self.ports, &key, Some(number), &erased).await {
                return Err(error);
            }
        }
        Ok(())
    }

    /// All rows of an account, with their keys.
    pub(crate) async fn account_rows(&self, account: &AccountId) -> Result<Vec<(Vec<u8>, Row)>, VaultError> {
        const PAGE: usize = 64;
        let prefix = row_prefix(account);
        let (mut rows, mut after) = (Vec::new(), prefix.clone());
        loop {
            let page = self.ports.ledger.rows(&after, PAGE).await?;
            let is_last = page.len() < PAGE;
            for (key, row) in page {
                if !key.starts_with(&prefix) {
                    return Ok(rows);
                }
                after.clone_from(&key);
                let row = self.rows.open_row(&self.ports, &key, &row).await?;
                rows.push((key, row));
            }
            if is_last {
                return Ok(rows);
            }
        }
    }

    pub(crate) fn context<'a>(&'a self, account: &'a AccountId, registration: &'a Registration) -> ShareContext<'a> {
        ShareContext { fleet: &self.fleet.id, site: self.fleet.site, account, registration, sites: self.fleet.sites }
    }
}

/// KE1, its points parsed.
pub(crate) fn parse_ke1(bytes: &Base64<KE1_LEN>) -> Result<Ke1, VaultError> {
    Ke1::parse(&bytes.0).map_err(|_| VaultError::Malformed("not a KE1 of this suite"))
}

fn parse_point(point: &PointBytes) -> Result<Point, VaultError> {
    Point::parse(&point.0).map_err(|_| VaultError::Malformed("not a point of P-256"))
}

/// Random bytes of the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], VaultError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| VaultError::Unavailable)?;
    Ok(bytes)
}
