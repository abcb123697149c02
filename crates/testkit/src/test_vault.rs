//! A vault of one site in this process, behind the routes of its API.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coffer_channel::{Destination, OpenedAnswer, Sender, TransportKey};
use coffer_proto::{
    AccountId, Base64, Base64Vec, DeletionAnswer, Fingerprint, FleetAnswer, FleetId, FleetManifest, LedgerHeight,
    Nonce, PointBytes, Problem, ProblemType, RegistrationId, RootSet, RootSignature, SealedRequest, SignedManifest,
    SiteEntry, SiteNumber, Time, VerifyingKey, manifest_message,
};
use coffer_vault_core::{
    Bearer, Clock as _, EvaluateRequest, Fleet, Hsm as _, Peers, Policy, Ports, SiteAnswer, SiteCount, SiteKeep,
    SiteProof, SiteRefusal, Vault, VaultError, World,
};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use rand::rngs::OsRng;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use crate::clock::TestClock;
use crate::memory_store::MemoryStore;
use crate::software_hsm::SoftwareHsm;
use crate::tokens::TestTokens;

/// When its clock begins.
const BEGIN: Time = Time::from_unix_seconds(1_795_000_000);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// The vault of the tests of its clients: what `coffer-vault` does, without HTTP, SoftHSM and disks.
pub struct TestVault {
    world: Outside,
    fleet: Fleet,
    root: SigningKey,
    vault: Mutex<Arc<Vault<InMemory>>>,
    sealed_only: AtomicBool,
}

/// All of it outlives a restart.
struct Outside {
    hsm: SoftwareHsm,
    store: MemoryStore,
    tokens: TestTokens,
    clock: TestClock,
}

enum InMemory {}

impl World for InMemory {
    type Hsm = SoftwareHsm;
    type Records = MemoryStore;
    type Ledger = MemoryStore;
    type Peers = Nobody;
    type Tokens = TestTokens;
    type Clock = TestClock;
}

/// The other sites of a fleet of one.
struct Nobody;

impl Peers for Nobody {
    async fn evaluate(&self, _: SiteNumber, _: &EvaluateRequest) -> Result<SiteAnswer, SiteRefusal> {
        Err(SiteRefusal::Unreachable)
    }

    async fn newest_mark(
        &self,
        _: SiteNumber,
        _: &AccountId,
        _: &RegistrationId,
    ) -> Result<Option<Nonce>, SiteRefusal> {
        Err(SiteRefusal::Unreachable)
    }

    async fn height_of(&self, _: SiteNumber, _: SiteNumber) -> Result<Option<LedgerHeight>, SiteRefusal> {
        Err(SiteRefusal::Unreachable)
    }

    async fn tell_height(&self, _: SiteNumber, _: &LedgerHeight) -> Result<(), SiteRefusal> {
        Err(SiteRefusal::Unreachable)
    }

    async fn count(&self, _: SiteNumber, _: &AccountId, _: &RegistrationId) -> Result<SiteCount, SiteRefusal> {
        Err(SiteRefusal::Unreachable)
    }

    async fn apply_proof(&self, _: SiteNumber, _: &SiteProof) -> Result<(), SiteRefusal> {
        Err(SiteRefusal::Unreachable)
    }

    async fn apply_keep(&self, _: SiteNumber, _: &SiteKeep) -> Result<(), SiteRefusal> {
        Err(SiteRefusal::Unreachable)
    }
}

impl Outside {
    async fn open(&self, fleet: &Fleet) -> Arc<Vault<InMemory>> {
        let ports = Ports {
            hsm: self.hsm.clone(),
            records: self.store.clone(),
            ledger: self.store.clone(),
            peers: Nobody,
            tokens: self.tokens.clone(),
            clock: self.clock.clone(),
        };
        Arc::new(Vault::open(ports, fleet.clone()).await.expect("a store in memory can be read"))
    }
}

impl TestVault {
    /// A new vault of one site.
    pub async fn new(policy: Policy) -> Self {
        let hsm = SoftwareHsm::single();
        let fleet = Fleet {
            id: FleetId([7; 16]),
            manifest_version: 3,
            sites: 1,
            threshold: 1,
            site: SiteNumber(1),
            order: vec![SiteNumber(1)],
            hedge_after: None,
            site_identities: vec![hsm.public_keys().site_identity],
            policy,
        };
        let (store, tokens, clock) = (MemoryStore::default(), TestTokens::default(), TestClock::at(BEGIN));
        let world = Outside { hsm, store, tokens, clock };
        let vault = Mutex::new(world.open(&fleet).await);
        Self { world, fleet, root: SigningKey::random(&mut OsRng), vault, sealed_only: AtomicBool::new(false) }
    }

    /// Its clock.
    pub const fn clock(&self) -> &TestClock {
        &self.world.clock
    }

    /// What its clock shows.
    pub fn now(&self) -> Time {
        self.world.clock.now()
    }

    /// Its HSM.
    pub const fn hsm(&self) -> &SoftwareHsm {
        &self.world.hsm
    }

    /// From now on it says that a gateway stands in front, and takes everything but its manifest sealed alone.
    pub fn seal_only(&self) {
        self.sealed_only.store(true, Ordering::Relaxed);
    }

    /// What its process had in memory only is gone.
    pub async fn restart(&self) {
        let again = self.world.open(&self.fleet).await;
        *self.vault.lock().expect("nothing panics while it holds the lock") = again;
    }

    /// A token in the form of a JWT, valid for a month.
    pub fn token(&self, account: &AccountId, device_key: VerifyingKey) -> String {
        let expires = self.now() + MONTH;
        let token = self.world.tokens.issue(Bearer { account: account.clone(), device_key }, expires);
        let claims = serde_json::json!({ "sub": account.as_str() }).to_string();
        let [claims, token] = [claims, token].map(|part| URL_SAFE_NO_PAD.encode(part));
        format!("e30.{claims}.{token}")
    }

    /// What clients pin.
    pub fn fingerprint(&self) -> Fingerprint {
        self.roots().fingerprint()
    }

    fn roots(&self) -> RootSet {
        RootSet { threshold: 1, keys: vec![self.root_key()] }
    }

    fn root_key(&self) -> PointBytes {
        let encoded = self.root.verifying_key().to_encoded_point(true);
        Base64(encoded.as_bytes().try_into().expect("a compressed point has 33 bytes"))
    }

    /// The manifest as it is.
    pub fn manifest(&self) -> FleetManifest {
        let keys = self.world.hsm.public_keys();
        let [ake, share_import, site_identity] =
            [keys.ake, keys.share_import, keys.site_identity].map(|point| Base64(point.encode()));
        FleetManifest {
            fleet: self.fleet.id,
            version: self.fleet.manifest_version,
            threshold: self.fleet.threshold,
            max_attempts: self.fleet.policy.max_attempts,
            ake,
            sites: vec![SiteEntry { site: self.fleet.site, share_import, site_identity }],
            cells: Vec::new(),
            issued_at: BEGIN,
            not_after: BEGIN + MONTH,
        }
    }

    /// Any manifest, signed by its root.
    pub fn sign(&self, manifest: &FleetManifest) -> SignedManifest {
        let text = serde_json::to_vec(manifest).expect("plain data in memory");
        let signature: Signature = self.root.sign(&manifest_message(&text));
        let signature = RootSignature { key: self.root_key(), signature: Base64(signature.to_bytes().into()) };
        let manifest = Base64Vec::new(text).expect("a manifest is short");
        SignedManifest { manifest, roots: self.roots(), signatures: vec![signature], successions: Vec::new() }
    }

    /// Answers a request as the API does: a status, and JSON.
    pub async fn handle(&self, method: &str, path: &str, token: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let seal_only = self.sealed_only.load(Ordering::Relaxed);
        let answer = match (method, path) {
            ("POST", "/v1/sites/1/sealed") => self.unseal(token, body).await,
            (_, "/v1/fleet") => self.route(method, path, &issued(token), body).await,
            _ if seal_only => Err(of_type(ProblemType::NoSuchRoute)),
            _ => self.route(method, path, &issued(token), body).await,
        };
        answered(answer)
    }

    /// Opens a request, and seals its answer.
    async fn unseal(&self, token: &str, body: &[u8]) -> Result<Vec<u8>, Problem> {
        let vault = Arc::clone(&self.vault.lock().expect("nothing panics while it holds the lock"));
        let account = vault.authenticate(&issued(token)).map_err(problem)?.account;
        let envelope: SealedRequest = parse(body)?;
        let key = vault.transport_key(&envelope.key).ok_or_else(|| of_type(ProblemType::UnknownTransportKey))?;
        let key = TransportKey::from_bytes(&key).expect("the vault has made it");
        let hash = Base64(Sha256::digest(self.sign(&self.manifest()).manifest.as_bytes()).into());
        let destination = Destination { fleet: self.fleet.id, manifest: hash, site: self.fleet.site };
        let sender = Sender { account: &account, token };
        let invalid = |_| of_type(ProblemType::InvalidSeal);
        let opened = key.open(&destination, &sender, &envelope, self.now()).map_err(invalid)?;
        let path = envelope.route.path(envelope.id.as_ref()).ok_or_else(|| of_type(ProblemType::InvalidSeal))?;
        let inside = self.route(envelope.method.as_str(), &path, &issued(token), &opened.body).await;
        let (status, body) = answered(inside);
        json(&opened.answerer.seal(&OpenedAnswer { status, body }).expect("it is not long"))
    }

    async fn route(&self, method: &str, path: &str, token: &str, body: &[u8]) -> Result<Vec<u8>, Problem> {
        let vault = Arc::clone(&self.vault.lock().expect("nothing panics while it holds the lock"));
        vault.authenticate(token).map_err(problem)?;
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        match (method, parts.as_slice()) {
            ("GET", ["v1", "fleet"]) => json(&FleetAnswer {
                manifest: self.sign(&self.manifest()),
                certificates: vec![vault.certificate().await.map_err(problem)?],
                sealed_only: self.sealed_only.load(Ordering::Relaxed),
            }),
            ("GET", ["v1", "registrations"]) => json(&vault.registrations(token).await.map_err(problem)?),
            ("PUT", ["v1", "registrations", id]) => {
                json(&vault.register(token, &parse_id(id)?, &parse(body)?).await.map_err(problem)?)
            }
            ("PUT", ["v1", "registrations", id, "activation"]) => {
                json(&vault.activate(token, &parse_id(id)?, &parse(body)?).await.map_err(problem)?)
            }
            ("PUT", ["v1", "registrations", id, "keep"]) => {
                json(&vault.keep(token, &parse_id(id)?, &parse(body)?).await.map_err(problem)?)
            }
            ("DELETE", ["v1", "registrations", id]) => {
                let due_at = vault.delete(token, &parse_id(id)?, &parse(body)?).await.map_err(problem)?;
                json(&DeletionAnswer { due_at })
            }
            ("PUT", ["v1", "retrievals", id]) => {
                json(&vault.retrieve(token, &parse_id(id)?, &parse(body)?).await.map_err(problem)?)
            }
            ("PUT", ["v1", "retrievals", id, "proof"]) => {
                json(&vault.prove(token, &parse_id(id)?, &parse(body)?).await.map_err(problem)?)
            }
            ("PUT", ["v1", "archive-head"]) => json(&vault.keep_head(token, &parse(body)?).await.map_err(problem)?),
            ("GET", ["v1", "archive-head"]) => json(&vault.head(token).await.map_err(problem)?),
            _ => Err(of_type(ProblemType::NoSuchRoute)),
        }
    }
}

/// The token inside of what looks like a JWT.
fn issued(token: &str) -> String {
    let inside = token.rsplit('.').next().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    inside.and_then(|token| String::from_utf8(token).ok()).unwrap_or_default()
}

fn answered(answer: Result<Vec<u8>, Problem>) -> (u16, Vec<u8>) {
    match answer {
        Ok(body) => (200, body),
        Err(problem) => (problem.status, serde_json::to_vec(&problem).expect("plain data in memory")),
    }
}

fn json<A: Serialize>(answer: &A) -> Result<Vec<u8>, Problem> {
    Ok(serde_json::to_vec(answer).expect("plain data in memory"))
}

fn parse<B: DeserializeOwned>(body: &[u8]) -> Result<B, Problem> {
    serde_json::from_slice(body).map_err(|_| of_type(ProblemType::Malformed))
}

fn parse_id<I: std::str::FromStr>(id: &str) -> Result<I, Problem> {
    id.parse().map_err(|_| of_type(ProblemType::Malformed))
}

fn of_type(problem_type: ProblemType) -> Problem {
    Problem {
        problem_type,
        title: format!("{problem_type:?}"),
        status: problem_type.status(),
        detail: None,
        attempts_remaining: None,
        retry_at: None,
        next_number: None,
    }
}

fn problem(error: VaultError) -> Problem {
    Problem { retry_at: error.retry_at(), next_number: error.next_number(), ..of_type(error.problem_type()) }
}
