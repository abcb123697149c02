//! What an honest client does, one message at a time, so that a test can send each of them altered.

use std::sync::atomic::{AtomicU64, Ordering};

use coffer_pake::{Argon2Parameters, ClientLogin, Identities, LoginError, Point, deal_registration};
use coffer_proto::{
    AccountId, Activated, ActivationRequest, Argon2, AttemptId, Authorization, Base64, Base64Vec, Change, DeletionId,
    DeletionRequest, FleetId, Hash, KE1_LEN, KE2_LEN, KeepRequest, KeyRole, ProofAnswer, ProofRequest, Receipt,
    Registration, RegistrationId, RegistrationRequest, RetrievalAnswer, RetrievalRequest, SealedShare, ShareContext,
    Signature, SiteNonce, SiteNumber, Time, VerifyingKey, activation_message, attempt_message, client_identity,
    deletion_message, keep_message, oprf_context, proof_message, registration_message,
};
use coffer_testkit::SoftwareHsm;
use coffer_vault_core::{Bearer, EvaluateRequest, Hsm as _, VaultError, Version};
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};

use crate::lab::{DAY, Lab};

const CHEAP: Argon2Parameters = Argon2Parameters { memory_kib: 8192, passes: 1, lanes: 1 };
const ARGON2: Argon2 = Argon2 { memory_kib: 8192, passes: 1, lanes: 1 };

pub(crate) const PASSWORD: &[u8] = b"correct horse battery staple";
pub(crate) const WRONG: &[u8] = b"incorrect horse";

/// A deletion.
pub(crate) const DELETION: DeletionId = DeletionId([0xd1; 16]);

/// Each guess is newer than all that were made before it, whoever made them.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    bytes
}

pub(crate) fn sign(key: &SigningKey, message: &[u8]) -> Signature {
    Base64(key.sign(message).to_bytes())
}

fn public(key: &SigningKey) -> VerifyingKey {
    Base64(key.verifying_key().to_bytes())
}

/// A device with a token of an account.
pub(crate) struct Device {
    pub(crate) fleet: FleetId,
    pub(crate) account: AccountId,
    pub(crate) key: SigningKey,
    pub(crate) token: String,
}

/// A registration, and what only its dealer knows.
pub(crate) struct Dealt {
    pub(crate) registration: Registration,
    pub(crate) sealed: Vec<SealedShare>,
    pub(crate) unlock: SigningKey,
    pub(crate) owner: SigningKey,
    pub(crate) receipts: Vec<Point>,
}

/// An attempt.
pub(crate) struct Guess {
    pub(crate) id: AttemptId,
    pub(crate) number: u64,
    pub(crate) ke1: [u8; KE1_LEN],
    login: ClientLogin,
    password: Vec<u8>,
}

fn unlock_key(export_key: &[u8; 32]) -> SigningKey {
    SigningKey::from_bytes(&Sha256::digest([b"unlock", export_key.as_slice()].concat()).into())
}

impl Device {
    /// A device of an account, with a token for two years.
    pub(crate) fn of(lab: &Lab, account: &str) -> Self {
        Self::until(lab, account, lab.now() + DAY * 730)
    }

    pub(crate) fn until(lab: &Lab, account: &str, expires: Time) -> Self {
        let account = AccountId::new(account).expect("a name");
        let key = SigningKey::from_bytes(&random());
        let token = lab.tokens.issue(Bearer { account: account.clone(), device_key: public(&key) }, expires);
        Self { fleet: lab.fleet, account, key, token }
    }

    /// Deals a key of its own to all sites.
    pub(crate) fn deal(&self, lab: &Lab, password: &[u8]) -> Dealt {
        let hsms: Vec<&SoftwareHsm> = lab.sites.iter().map(|part| &part.hsm.inner).collect();
        self.deal_to(&hsms, lab.threshold, password)
    }

    pub(crate) fn deal_to(&self, hsms: &[&SoftwareHsm], threshold: u8, password: &[u8]) -> Dealt {
        let sites = u8::try_from(hsms.len()).expect("a few");
        let id = RegistrationId(random());
        let client = client_identity(&self.account, &id);
        let context = oprf_context(&ARGON2, sites, threshold);
        let identities = Identities { client: &client, server: self.fleet.as_bytes(), context: &context };
        let ake = hsms[0].public_keys().ake;
        let dealt = deal_registration(password, &identities, &CHEAP, &ake, sites, threshold).expect("dealt");
        let unlock = unlock_key(dealt.export_key.expose_bytes());
        let owner = SigningKey::from_bytes(&random());
        let mut registration = Registration {
            id,
            manifest_version: 3,
            argon2: ARGON2,
            commitments: dealt.commitments.iter().map(|point| Base64(point.encode())).collect(),
            sealed_share_hashes: Vec::new(),
            unlock_key: public(&unlock),
            owner_key: public(&owner),
            upload: Base64(dealt.upload),
            wrapped_backup_key: Base64Vec::new(Sha256::digest(dealt.export_key.expose_bytes()).to_vec())
                .expect("short"),
        };
        let (mut sealed, mut receipts) = (Vec::new(), Vec::new());
        for (share, hsm) in dealt.shares.iter().zip(hsms) {
            let site = SiteNumber(share.index());
            let context =
                ShareContext { fleet: &self.fleet, site, account: &self.account, registration: &registration, sites }
                    .encode();
            let one = share.seal(&hsm.public_keys().share_import, &context).expect("sealed");
            let wrapped = Base64Vec::new(one.wrapped).expect("short");
            sealed.push(SealedShare { ephemeral: Base64(one.ephemeral.encode()), wrapped });
            receipts.push(share.receipt(&context));
        }
        registration.sealed_share_hashes = sealed.iter().map(SealedShare::hash).collect();
        Dealt { registration, sealed, unlock, owner, receipts }
    }

    pub(crate) fn registration_request(&self, dealt: &Dealt, site: u8) -> RegistrationRequest {
        let message = registration_message(&self.fleet, &self.account, &dealt.registration);
        RegistrationRequest {
            registration: dealt.registration.clone(),
            sealed_share: dealt.sealed[usize::from(site) - 1].clone(),
            unlock_signature: sign(&dealt.unlock, &message),
            device_signature: sign(&self.key, &message),
        }
    }

    pub(crate) async fn register_at(&self, lab: &Lab, dealt: &Dealt, site: u8) -> Result<Receipt, VaultError> {
        let request = self.registration_request(dealt, site);
        lab.at(site).register(&self.token, &dealt.registration.id, &request).await
    }

    /// Delivers to all sites, and checks every receipt as a client does.
    pub(crate) async fn register(&self, lab: &Lab, dealt: &Dealt) -> Vec<Receipt> {
        let mut receipts = Vec::new();
        for site in 1..=lab.size() {
            let receipt = self.register_at(lab, dealt, site).await.expect("registered");
            assert_eq!(receipt.point.0, dealt.receipts[usize::from(site) - 1].encode());
            receipts.push(receipt);
        }
        receipts
    }

    pub(crate) fn activation(
        &self,
        dealt: &Dealt,
        receipts: &[Receipt],
        replaces: Option<&RegistrationId>,
    ) -> ActivationRequest {
        let (id, hash) = (dealt.registration.id, dealt.registration.hash());
        let message = activation_message(&self.fleet, &self.account, &id, &hash, replaces);
        ActivationRequest {
            replaces: replaces.copied(),
            receipts: receipts.to_vec(),
            device_signature: sign(&self.key, &message),
            authorization: None,
        }
    }

    /// By token and device signature alone.
    pub(crate) async fn activate(
        &self,
        lab: &Lab,
        dealt: &Dealt,
        receipts: &[Receipt],
        replaces: Option<&RegistrationId>,
    ) -> Result<Activated, VaultError> {
        let request = self.activation(dealt, receipts, replaces);
        lab.vault().activate(&self.token, &dealt.registration.id, &request).await
    }

    /// With a key of the registration that is replaced.
    pub(crate) async fn replace(
        &self,
        lab: &Lab,
        dealt: &Dealt,
        receipts: &[Receipt],
        old: &Dealt,
        role: KeyRole,
    ) -> Result<Activated, VaultError> {
        let old_id = old.registration.id;
        let (id, hash) = (dealt.registration.id, dealt.registration.hash());
        let message = activation_message(&self.fleet, &self.account, &id, &hash, Some(&old_id));
        let mut request = self.activation(dealt, receipts, Some(&old_id));
        request.authorization = Some(old.authorization(role, &message));
        lab.vault().activate(&self.token, &dealt.registration.id, &request).await
    }

    /// A registration that is live, the account's first.
    pub(crate) async fn protect(&self, lab: &Lab, password: &[u8]) -> Dealt {
        let dealt = self.deal(lab, password);
        let receipts = self.register(lab, &dealt).await;
        assert_eq!(self.activate(lab, &dealt, &receipts, None).await, Ok(Activated::Live));
        dealt
    }

    /// A registration that waits behind `live`.
    pub(crate) async fn wait_behind(&self, lab: &Lab, live: &Dealt, password: &[u8]) -> Dealt {
        let dealt = self.deal(lab, password);
        let receipts = self.register(lab, &dealt).await;
        let activated = self.activate(lab, &dealt, &receipts, Some(&live.registration.id)).await;
        assert!(matches!(activated, Ok(Activated::Waiting { .. })), "{activated:?}");
        dealt
    }

    pub(crate) fn retrieval(&self, registration: &RegistrationId, guess: &Guess) -> RetrievalRequest {
        let ke1 = Base64(guess.ke1);
        let hash = Hash::from(&ke1);
        let message = attempt_message(&self.fleet, &self.account, registration, &guess.id, guess.number, &hash);
        RetrievalRequest {
            registration: *registration,
            number: guess.number,
            ke1,
            device_signature: sign(&self.key, &message),
        }
    }

    pub(crate) async fn ask_at(
        &self,
        lab: &Lab,
        site: u8,
        registration: &RegistrationId,
        guess: &Guess,
    ) -> Result<RetrievalAnswer, VaultError> {
        lab.at(site).retrieve(&self.token, &guess.id, &self.retrieval(registration, guess)).await
    }

    /// What a coordinator asks another site for this guess.
    pub(crate) fn evaluation(&self, dealt: &Dealt, guess: &Guess) -> EvaluateRequest {
        let RetrievalRequest { registration, number, ke1, device_signature } =
            self.retrieval(&dealt.registration.id, guess);
        EvaluateRequest {
            account: self.account.clone(),
            registration,
            attempt: guess.id,
            number,
            version: Version(0),
            ke1,
            token: self.token.as_str().into(),
            device_signature,
        }
    }

    pub(crate) async fn ask(&self, lab: &Lab, dealt: &Dealt, guess: &Guess) -> Result<RetrievalAnswer, VaultError> {
        self.ask_at(lab, 1, &dealt.registration.id, guess).await
    }

    /// So many wrong guesses, each evaluated.
    pub(crate) async fn guess_wrong(&self, lab: &Lab, dealt: &Dealt, times: usize) {
        for _ in 0..times {
            self.ask(lab, dealt, &Guess::new(WRONG)).await.expect("evaluated");
        }
    }

    /// What the client makes of an answer.
    pub(crate) fn open(
        &self,
        lab: &Lab,
        registration: &RegistrationId,
        guess: &Guess,
        ke2: &Base64<KE2_LEN>,
    ) -> Result<([u8; 32], SigningKey), LoginError> {
        let client = client_identity(&self.account, registration);
        let context = oprf_context(&ARGON2, lab.size(), lab.threshold);
        let identities = Identities { client: &client, server: self.fleet.as_bytes(), context: &context };
        let ake = lab.sites[0].hsm.public_keys().ake;
        let finished = guess.login.finish(&guess.password, &ke2.0, &identities, &CHEAP, &ake)?;
        Ok((finished.ke3, unlock_key(finished.export_key.expose_bytes())))
    }

    pub(crate) fn proof(
        &self,
        lab: &Lab,
        dealt: &Dealt,
        guess: &Guess,
        answer: &RetrievalAnswer,
    ) -> Result<ProofRequest, LoginError> {
        let (ke3, unlock) = self.open(lab, &dealt.registration.id, guess, &answer.ke2)?;
        Ok(self.proof_with(&dealt.registration.id, guess, ke3, &answer.nonces, &unlock))
    }

    /// The right guess, evaluated, and the proof that is to be sent next.
    pub(crate) async fn guess_right(&self, lab: &Lab, dealt: &Dealt) -> (Guess, RetrievalAnswer, ProofRequest) {
        let guess = Guess::new(PASSWORD);
        let answer = self.ask(lab, dealt, &guess).await.expect("evaluated");
        let proof = self.proof(lab, dealt, &guess, &answer).expect("the password is right");
        (guess, answer, proof)
    }

    pub(crate) fn proof_with(
        &self,
        registration: &RegistrationId,
        guess: &Guess,
        ke3: [u8; 32],
        nonces: &[SiteNonce],
        unlock: &SigningKey,
    ) -> ProofRequest {
        let message = proof_message(&self.fleet, &self.account, registration, &guess.id, guess.number, nonces);
        ProofRequest { ke3: Base64(ke3), nonces: nonces.to_vec(), unlock_signature: sign(unlock, &message) }
    }

    pub(crate) async fn prove(
        &self,
        lab: &Lab,
        guess: &Guess,
        proof: &ProofRequest,
    ) -> Result<ProofAnswer, VaultError> {
        lab.vault().prove(&self.token, &guess.id, proof).await
    }

    /// The whole way with the right password.
    pub(crate) async fn restore(&self, lab: &Lab, dealt: &Dealt) -> Result<ProofAnswer, VaultError> {
        let guess = Guess::new(PASSWORD);
        let answer = self.ask(lab, dealt, &guess).await?;
        let proof = self.proof(lab, dealt, &guess, &answer).expect("the password is right");
        self.prove(lab, &guess, &proof).await
    }

    pub(crate) async fn keep(&self, lab: &Lab, live: &Dealt, against: Change, role: KeyRole) -> Result<(), VaultError> {
        let message = keep_message(&self.fleet, &self.account, &live.registration.id, &against);
        let request = KeepRequest { against, authorization: live.authorization(role, &message) };
        lab.vault().keep(&self.token, &live.registration.id, &request).await
    }

    pub(crate) async fn delete(&self, lab: &Lab, dealt: &Dealt, role: Option<KeyRole>) -> Result<Time, VaultError> {
        self.delete_as(lab, dealt, DeletionId(random()), role).await
    }

    pub(crate) async fn delete_as(
        &self,
        lab: &Lab,
        dealt: &Dealt,
        deletion: DeletionId,
        role: Option<KeyRole>,
    ) -> Result<Time, VaultError> {
        let message = deletion_message(&self.fleet, &self.account, &dealt.registration.id, &deletion);
        let request = DeletionRequest {
            deletion,
            device_signature: sign(&self.key, &message),
            authorization: role.map(|role| dealt.authorization(role, &message)),
        };
        lab.vault().delete(&self.token, &dealt.registration.id, &request).await
    }
}

impl Dealt {
    pub(crate) fn authorization(&self, role: KeyRole, message: &[u8]) -> Authorization {
        let key = if role == KeyRole::Unlock { &self.unlock } else { &self.owner };
        Authorization { role, signature: sign(key, message) }
    }
}

impl Guess {
    pub(crate) fn new(password: &[u8]) -> Self {
        Self::named(AttemptId(random()), password)
    }

    pub(crate) fn named(id: AttemptId, password: &[u8]) -> Self {
        let (login, ke1) = ClientLogin::start(password).expect("started");
        let number = NEXT_NUMBER.fetch_add(1, Ordering::SeqCst);
        Self { id, number, ke1, login, password: password.to_vec() }
    }

    /// With the number that somebody has told the device.
    pub(crate) fn numbered(number: u64, password: &[u8]) -> Self {
        Self { number, ..Self::new(password) }
    }

    /// What the HSMs are asked to multiply.
    pub(crate) fn element(&self) -> Point {
        Point::parse(&self.ke1[..Point::LEN]).expect("a point")
    }
}
