//! A fleet in this process: some sites, and a gateway that knows them by their numbers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coffer_channel::{Destination, OpenedAnswer, Sender, TransportKey};
use coffer_proto::{
    AccountId, Base64, DeletionAnswer, Fingerprint, FleetAnswer, FleetId, FleetManifest, LedgerHeight, Nonce, Problem,
    ProblemType, RegistrationId, SealedRequest, SignedManifest, SiteEntry, SiteNumber, Time, VerifyingKey,
};
use coffer_vault_core::{
    Bearer, Clock as _, EvaluateRequest, Fleet, Hsm as _, Peers, Policy, Ports, SiteAnswer, SiteCount, SiteKeep,
    SiteProof, SiteRefusal, Vault, VaultError, World,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use crate::clock::TestClock;
use crate::memory_store::MemoryStore;
use crate::roots::Roots;
use crate::software_hsm::SoftwareHsm;
use crate::tokens::TestTokens;

/// When its clock begins.
const BEGIN: Time = Time::from_unix_seconds(1_795_000_000);
const FLEET: FleetId = FleetId([7; 16]);
const VERSION: u64 = 3;
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// The vault of the tests of its clients: what `coffer-vault` and `coffer-gateway` do, without HTTP, SoftHSM and disks.
pub struct TestFleet {
    sites: Links,
    /// All sites have the same.
    records: MemoryStore,
    tokens: TestTokens,
    clock: TestClock,
    roots: Roots,
    threshold: u8,
    policy: Policy,
    sealed_only: AtomicBool,
}

/// Changes what a site answers: method and path, then status and body.
pub type Lie = Box<dyn FnMut(&str, &str, u16, Vec<u8>) -> (u16, Vec<u8>) + Send>;

/// All sites, by their numbers from 1.
#[derive(Clone, Default)]
struct Links(Arc<Mutex<Vec<Arc<OneSite>>>>);

struct OneSite {
    hsm: SoftwareHsm,
    ledger: MemoryStore,
    is_up: AtomicBool,
    lie: Mutex<Option<Lie>>,
    /// None before its first start.
    vault: Mutex<Option<Arc<Vault<InMemory>>>>,
}

enum InMemory {}

impl World for InMemory {
    type Hsm = SoftwareHsm;
    type Records = MemoryStore;
    type Ledger = MemoryStore;
    type Peers = Links;
    type Tokens = TestTokens;
    type Clock = TestClock;
}

impl OneSite {
    fn new(hsm: SoftwareHsm) -> Arc<Self> {
        let (ledger, is_up) = (MemoryStore::default(), AtomicBool::new(true));
        Arc::new(Self { hsm, ledger, is_up, lie: Mutex::default(), vault: Mutex::default() })
    }

    fn vault(&self) -> Arc<Vault<InMemory>> {
        lock(&self.vault).clone().expect("every site was started")
    }
}

impl Links {
    fn all(&self) -> Vec<Arc<OneSite>> {
        lock(&self.0).clone()
    }

    /// # Panics
    /// If there is no such site.
    fn at(&self, site: SiteNumber) -> Arc<OneSite> {
        Arc::clone(&lock(&self.0)[usize::from(site.0) - 1])
    }

    fn to(&self, site: SiteNumber) -> Result<Arc<Vault<InMemory>>, SiteRefusal> {
        let there = self.at(site);
        if there.is_up.load(Ordering::Relaxed) { Ok(there.vault()) } else { Err(SiteRefusal::Unreachable) }
    }
}

impl Peers for Links {
    async fn evaluate(&self, site: SiteNumber, request: &EvaluateRequest) -> Result<SiteAnswer, SiteRefusal> {
        self.to(site)?.site().evaluate(request).await
    }

    async fn newest_mark(
        &self,
        site: SiteNumber,
        account: &AccountId,
        registration: &RegistrationId,
    ) -> Result<Option<Nonce>, SiteRefusal> {
        self.to(site)?.site().newest_mark(account, registration).await
    }

    async fn height_of(&self, site: SiteNumber, about: SiteNumber) -> Result<Option<LedgerHeight>, SiteRefusal> {
        Ok(self.to(site)?.site().height_of(about).await?)
    }

    async fn tell_height(&self, site: SiteNumber, height: &LedgerHeight) -> Result<(), SiteRefusal> {
        self.to(site)?.site().hear_height(*height);
        Ok(())
    }

    async fn count(
        &self,
        site: SiteNumber,
        account: &AccountId,
        registration: &RegistrationId,
    ) -> Result<SiteCount, SiteRefusal> {
        self.to(site)?.site().count(account, registration).await
    }

    async fn apply_proof(&self, site: SiteNumber, proof: &SiteProof) -> Result<(), SiteRefusal> {
        self.to(site)?.site().apply_proof(proof).await
    }

    async fn apply_keep(&self, site: SiteNumber, keep: &SiteKeep) -> Result<(), SiteRefusal> {
        self.to(site)?.site().apply_keep(keep).await
    }
}

impl TestFleet {
    /// A vault of one site, with no gateway.
    pub async fn single(policy: Policy) -> Self {
        Self::of(1, 1, policy).await
    }

    /// `sites` sites, of which `threshold` are needed. With several there is a gateway in front.
    pub async fn of(sites: u8, threshold: u8, policy: Policy) -> Self {
        let hsms = SoftwareHsm::fleet(sites.into()).into_iter();
        let fleet = Self {
            sites: Links(Arc::new(Mutex::new(hsms.map(OneSite::new).collect()))),
            records: MemoryStore::default(),
            tokens: TestTokens::default(),
            clock: TestClock::at(BEGIN),
            roots: Roots::new(1, 1),
            threshold,
            policy,
            sealed_only: AtomicBool::new(sites > 1),
        };
        for site in fleet.numbers() {
            let started = fleet.open(site).await;
            *lock(&fleet.sites.at(site).vault) = Some(started);
        }
        for site in fleet.numbers() {
            fleet.check_height(site).await;
        }
        fleet
    }

    fn numbers(&self) -> Vec<SiteNumber> {
        (1..).map(SiteNumber).take(self.sites.all().len()).collect()
    }

    async fn open(&self, site: SiteNumber) -> Arc<Vault<InMemory>> {
        let (there, numbers) = (self.sites.at(site), self.numbers());
        let ports = Ports {
            hsm: there.hsm.clone(),
            records: self.records.clone(),
            ledger: there.ledger.clone(),
            peers: self.sites.clone(),
            tokens: self.tokens.clone(),
            clock: self.clock.clone(),
        };
        let mut order = numbers.clone();
        order.rotate_left(usize::from(site.0) - 1);
        let fleet = Fleet {
            id: FLEET,
            manifest_version: VERSION,
            sites: u8::try_from(numbers.len()).expect("a few"),
            threshold: self.threshold,
            site,
            order,
            hedge_after: None,
            site_identities: self.sites.all().iter().map(|site| site.hsm.public_keys().site_identity).collect(),
            policy: self.policy.clone(),
        };
        Arc::new(Vault::open(ports, fleet).await.expect("a store in memory can be read"))
    }

    async fn check_height(&self, site: SiteNumber) {
        if self.numbers().len() > 1 {
            let vault = self.sites.at(site).vault();
            vault.site().check_height().await.expect("enough others answer");
        }
    }

    /// Its clock.
    pub const fn clock(&self) -> &TestClock {
        &self.clock
    }

    /// What its clock shows.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// A site's HSM.
    pub fn hsm(&self, site: u8) -> SoftwareHsm {
        self.sites.at(SiteNumber(site)).hsm.clone()
    }

    /// Whether anybody reaches a site: the gateway, and the other sites.
    pub fn set_up(&self, site: u8, is_up: bool) {
        self.sites.at(SiteNumber(site)).is_up.store(is_up, Ordering::Relaxed);
    }

    /// From now on a site says, under its own seal, what this makes of its answers. To the other sites it does not lie.
    pub fn lie(&self, site: u8, lie: impl FnMut(&str, &str, u16, Vec<u8>) -> (u16, Vec<u8>) + Send + 'static) {
        *lock(&self.sites.at(SiteNumber(site)).lie) = Some(Box::new(lie));
    }

    /// From now on it says that a gateway stands in front, and takes everything but its manifest sealed alone.
    pub fn seal_only(&self) {
        self.sealed_only.store(true, Ordering::Relaxed);
    }

    /// What a site's process had in memory only is gone.
    pub async fn restart(&self, site: u8) {
        let site = SiteNumber(site);
        let again = self.open(site).await;
        *lock(&self.sites.at(site).vault) = Some(again);
        self.check_height(site).await;
    }

    /// A token in the form of a JWT, valid for a month.
    pub fn token(&self, account: &AccountId, device_key: VerifyingKey) -> String {
        let expires = self.now() + MONTH;
        let token = self.tokens.issue(Bearer { account: account.clone(), device_key }, expires);
        let claims = serde_json::json!({ "sub": account.as_str() }).to_string();
        let [claims, token] = [claims, token].map(|part| URL_SAFE_NO_PAD.encode(part));
        format!("e30.{claims}.{token}")
    }

    /// What clients pin.
    pub fn fingerprint(&self) -> Fingerprint {
        self.roots.fingerprint()
    }

    /// The manifest as it is.
    pub fn manifest(&self) -> FleetManifest {
        let entry = |(site, there): (SiteNumber, Arc<OneSite>)| {
            let keys = there.hsm.public_keys();
            let [share_import, site_identity] =
                [keys.share_import, keys.site_identity].map(|point| Base64(point.encode()));
            SiteEntry { site, share_import, site_identity }
        };
        let sites: Vec<SiteEntry> = self.numbers().into_iter().zip(self.sites.all()).map(entry).collect();
        FleetManifest {
            fleet: FLEET,
            version: VERSION,
            threshold: self.threshold,
            max_attempts: self.policy.max_attempts,
            ake: Base64(self.hsm(1).public_keys().ake.encode()),
            sites,
            cells: Vec::new(),
            issued_at: BEGIN,
            not_after: BEGIN + MONTH,
        }
    }

    /// Any manifest, signed by its root.
    pub fn sign(&self, manifest: &FleetManifest) -> SignedManifest {
        self.roots.sign(manifest, &[0])
    }

    /// Answers a request as the API does: a status, and JSON.
    pub async fn handle(&self, method: &str, path: &str, token: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let sealed_to = path.strip_prefix("/v1/sites/").and_then(|rest| rest.strip_suffix("/sealed"));
        let sealed_to = sealed_to.filter(|_| method == "POST").and_then(|site| site.parse().ok()).map(SiteNumber);
        let answer = match sealed_to {
            Some(site) if self.numbers().contains(&site) => self.unseal(site, token, body).await,
            None if path == "/v1/fleet" || !self.sealed_only.load(Ordering::Relaxed) => {
                self.route(SiteNumber(1), method, path, &issued(token), body).await
            }
            _ => Err(of_type(ProblemType::NoSuchRoute)),
        };
        answered(answer)
    }

    /// Of the sites that the gateway reaches.
    async fn fleet_answer(&self) -> Result<FleetAnswer, Problem> {
        let mut certificates = Vec::new();
        for site in self.numbers() {
            if let Ok(vault) = self.sites.to(site) {
                certificates.push(vault.certificate().await.map_err(problem)?);
            }
        }
        let sealed_only = self.sealed_only.load(Ordering::Relaxed);
        Ok(FleetAnswer { manifest: self.sign(&self.manifest()), certificates, sealed_only })
    }

    /// Opens a request, and seals its answer.
    async fn unseal(&self, site: SiteNumber, token: &str, body: &[u8]) -> Result<Vec<u8>, Problem> {
        let vault = self.sites.to(site).map_err(|_| of_type(ProblemType::SiteUnreachable))?;
        let account = vault.authenticate(&issued(token)).map_err(problem)?.account;
        let envelope: SealedRequest = parse(body)?;
        let key = vault.transport_key(&envelope.key).ok_or_else(|| of_type(ProblemType::UnknownTransportKey))?;
        let key = TransportKey::from_bytes(&key).expect("the vault has made it");
        let hash = Base64(Sha256::digest(self.sign(&self.manifest()).manifest.as_bytes()).into());
        let destination = Destination { fleet: FLEET, manifest: hash, site };
        let sender = Sender { account: &account, token };
        let invalid = |_| of_type(ProblemType::InvalidSeal);
        let opened = key.open(&destination, &sender, &envelope, self.now()).map_err(invalid)?;
        let path = envelope.route.path(envelope.id.as_ref()).ok_or_else(|| of_type(ProblemType::InvalidSeal))?;
        let method = envelope.method.as_str();
        let (status, body) = answered(self.route(site, method, &path, &issued(token), &opened.body).await);
        let (status, body) = match &mut *lock(&self.sites.at(site).lie) {
            Some(lie) => lie(method, &path, status, body),
            None => (status, body),
        };
        json(&opened.answerer.seal(&OpenedAnswer { status, body }).expect("it is not long"))
    }

    async fn route(
        &self,
        site: SiteNumber,
        method: &str,
        path: &str,
        token: &str,
        body: &[u8],
    ) -> Result<Vec<u8>, Problem> {
        let vault = self.sites.at(site).vault();
        vault.authenticate(token).map_err(problem)?;
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        match (method, parts.as_slice()) {
            ("GET", ["v1", "fleet"]) => json(&self.fleet_answer().await?),
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
