//! Five sites in this process, with a record store that a test gets to choose: for stores that are wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use coffer_keys::SigningKey;
use coffer_proto::{
    AccountId, Base64, Cell, FleetId, FleetManifest, LedgerHeight, Nonce, ProblemType, RegistrationId, SiteEntry,
    SiteNumber, Time,
};
use coffer_testkit::{MemoryStore, Policy, SoftwareHsm, TestClock, TestTokens};
use coffer_vault_core::{
    Bearer, EvaluateRequest, Fleet, Freshness, Hsm as _, Peers, Ports, RecordStore, Replaced, SiteAnswer, SiteCount,
    SiteKeep, SiteProof, SiteRefusal, StoreUnavailable, Vault, VaultError, Version, Versioned, World,
};
use serde::Serialize;

use crate::device::random;
use crate::door::{Call, Door, Failed};
use crate::fleet::{SITES, at};

const BEGIN: Time = Time::from_unix_seconds(1_795_000_000);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// What a record store does with the calls of a site.
pub(crate) trait Records: Send + Sync {
    fn get(&self, key: &[u8], freshness: Freshness) -> Option<Versioned>;
    fn replace(&self, key: &[u8], expected: Option<Version>, value: &[u8]) -> Replaced;
}

/// One for all sites.
#[derive(Clone)]
struct SharedRecords(Arc<dyn Records>);

impl RecordStore for SharedRecords {
    fn fence(&self, _: &[u8]) -> u64 {
        1
    }

    async fn get(&self, key: &[u8], freshness: Freshness) -> Result<Option<Versioned>, StoreUnavailable> {
        Ok(self.0.get(key, freshness))
    }

    async fn replace(&self, key: &[u8], expected: Option<Version>, value: &[u8]) -> Replaced {
        self.0.replace(key, expected, value)
    }

    async fn delete(&self, _: &[u8], _: Version) -> Replaced {
        Replaced::Unknown
    }

    async fn scan(&self, _: &[u8], _: usize) -> Result<Vec<(Vec<u8>, Versioned)>, StoreUnavailable> {
        Err(StoreUnavailable)
    }
}

enum InMemory {}

impl World for InMemory {
    type Hsm = SoftwareHsm;
    type Records = SharedRecords;
    type Ledger = MemoryStore;
    type Peers = Links;
    type Tokens = TestTokens;
    type Clock = TestClock;
}

type Site = Arc<Vault<InMemory>>;

/// From each site to each.
#[derive(Clone, Default)]
struct Links(Arc<RwLock<Vec<Site>>>);

impl Links {
    fn to(&self, site: SiteNumber) -> Result<Site, SiteRefusal> {
        self.0.read().unwrap().get(at(site.0)).cloned().ok_or(SiteRefusal::Unreachable)
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

/// A fleet whose clock stands still: no guess has to wait.
pub(crate) struct Model {
    manifest: FleetManifest,
    tokens: TestTokens,
    sites: Vec<Site>,
}

impl Model {
    pub(crate) fn with(records: Arc<dyn Records>) -> Self {
        let (hsms, tokens, links) = (SoftwareHsm::fleet(SITES.len()), TestTokens::default(), Links::default());
        let manifest = manifest(&hsms);
        let site_identities: Vec<_> = hsms.iter().map(|hsm| hsm.public_keys().site_identity).collect();
        let policy = Policy { waits: vec![Duration::ZERO], ..Policy::default() };
        let sites: Vec<_> = SITES
            .into_iter()
            .zip(hsms)
            .map(|(site, hsm)| {
                let ports = Ports {
                    hsm,
                    records: SharedRecords(Arc::clone(&records)),
                    ledger: MemoryStore::default(),
                    peers: links.clone(),
                    tokens: tokens.clone(),
                    clock: TestClock::at(BEGIN),
                };
                let fleet = Fleet {
                    id: manifest.fleet,
                    manifest_version: manifest.version,
                    sites: 5,
                    threshold: manifest.threshold,
                    site: SiteNumber(site),
                    order: (0..5).map(|step| SiteNumber((site - 1 + step) % 5 + 1)).collect(),
                    hedge_after: None,
                    site_identities: site_identities.clone(),
                    policy: policy.clone(),
                };
                Arc::new(block_on(Vault::open(ports, fleet)).unwrap())
            })
            .collect();
        links.0.write().unwrap().clone_from(&sites);
        sites.iter().for_each(|site| block_on(site.site().check_height()).unwrap());
        Self { manifest, tokens, sites }
    }
}

fn manifest(hsms: &[SoftwareHsm]) -> FleetManifest {
    let entry = |(site, hsm): (u8, &SoftwareHsm)| {
        let keys = hsm.public_keys();
        let [share_import, site_identity] = [keys.share_import, keys.site_identity].map(|key| Base64(key.encode()));
        SiteEntry { site: SiteNumber(site), share_import, site_identity }
    };
    FleetManifest {
        fleet: FleetId(random()),
        version: 1,
        threshold: 3,
        max_attempts: 10,
        ake: Base64(hsms[0].public_keys().ake.encode()),
        sites: SITES.into_iter().zip(hsms).map(entry).collect(),
        cells: Vec::<Cell>::new(),
        issued_at: BEGIN,
        not_after: BEGIN + YEAR,
    }
}

impl Door for Model {
    fn manifest(&self) -> &FleetManifest {
        &self.manifest
    }

    fn token(&self, account: &AccountId, device: &SigningKey) -> String {
        let bearer = Bearer { account: account.clone(), device_key: Base64(device.public()) };
        self.tokens.issue(bearer, BEGIN + YEAR)
    }

    fn send(&self, site: u8, token: &str, call: &Call) -> Result<Vec<u8>, Failed> {
        let vault = &self.sites[at(site)];
        block_on(async {
            match call {
                Call::Register(request) => answered(vault.register(token, &request.registration.id, request).await),
                Call::Activate(id, request) => answered(vault.activate(token, id, request).await),
                Call::Retrieve(id, request) => answered(vault.retrieve(token, id, request).await),
                Call::Prove(id, request) => answered(vault.prove(token, id, request).await),
                Call::Status => answered(vault.registrations(token).await),
            }
        })
    }
}

fn answered<T: Serialize>(answer: Result<T, VaultError>) -> Result<Vec<u8>, Failed> {
    match answer {
        Ok(answer) => Ok(serde_json::to_vec(&answer).unwrap()),
        Err(error) => Err(match error.problem_type() {
            ProblemType::Unavailable => Failed::Unavailable,
            other => Failed::Refused(other),
        }),
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// The right store, for wrong ones to build upon.
#[derive(Default)]
pub(crate) struct Right {
    values: Mutex<BTreeMap<Vec<u8>, Versioned>>,
}

impl Records for Right {
    fn get(&self, key: &[u8], _: Freshness) -> Option<Versioned> {
        self.values.lock().unwrap().get(key).cloned()
    }

    fn replace(&self, key: &[u8], expected: Option<Version>, value: &[u8]) -> Replaced {
        let mut values = self.values.lock().unwrap();
        let there = values.get(key);
        if there.map(|there| there.version) != expected {
            return Replaced::Conflict(there.cloned());
        }
        let version = Version(expected.map_or(1, |version| version.0 + 1));
        values.insert(key.to_vec(), Versioned { value: value.to_vec(), version });
        Replaced::Applied(version)
    }
}
