//! A fleet in this process: real policy, real cryptography, and an outside world that does what a test says.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use coffer_pake::Point;
use coffer_proto::{
    AccountId, AttemptId, Base64, FleetId, LedgerHeight, Nonce, RegistrationId, SiteNumber, Time, frame,
};
use coffer_testkit::{Faults, FaultyStore, MemoryStore, SoftwareHsm, TestClock, TestTokens};
use coffer_vault_core::{
    Clock as _, EvaluateRequest, Fleet, Freshness, Held, Hsm, HsmError, HsmPublicKeys, ImportedShare, Ledger as _,
    LedgerSpend, Peers, Policy, Ports, RecordStore as _, SealedShareIn, SiteAnswer, SiteCount, SiteKeep, SiteProof,
    SiteRefusal, SiteRow, Spent, Vault, VaultError, VaultRecord, World, WrappedShare,
};

pub(crate) const BEGIN: Time = Time::from_unix_seconds(1_795_000_000);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

pub(crate) enum Outside {}

impl World for Outside {
    type Hsm = Token;
    type Records = FaultyStore;
    type Ledger = FaultyStore;
    type Peers = Links;
    type Tokens = TestTokens;
    type Clock = TestClock;
}

pub(crate) type TestVault = Arc<Vault<Outside>>;

/// No waiting between guesses; all else as it is.
pub(crate) fn no_waits() -> Policy {
    Policy { waits: vec![Duration::ZERO], ..Policy::default() }
}

/// An HSM that can fail at one call, or give false answers.
#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) inner: SoftwareHsm,
    calls_left: Arc<AtomicI64>,
    lies: Arc<AtomicBool>,
}

impl Token {
    pub(crate) fn new(inner: SoftwareHsm) -> Self {
        Self { inner, calls_left: Arc::new(AtomicI64::new(i64::MAX)), lies: Arc::default() }
    }

    /// The call after so many fails, and that one only.
    pub(crate) fn fail_after(&self, calls: i64) {
        self.calls_left.store(calls, Ordering::SeqCst);
    }

    /// From now on it evaluates with another key than it should.
    pub(crate) fn lie(&self, lies: bool) {
        self.lies.store(lies, Ordering::SeqCst);
    }

    fn called(&self) -> Result<(), HsmError> {
        if self.calls_left.fetch_sub(1, Ordering::SeqCst) == 0 { Err(HsmError::Unavailable) } else { Ok(()) }
    }
}

impl Hsm for Token {
    fn public_keys(&self) -> HsmPublicKeys {
        self.inner.public_keys()
    }

    async fn import_share(&self, share: SealedShareIn<'_>) -> Result<ImportedShare, HsmError> {
        self.called()?;
        self.inner.import_share(share).await
    }

    async fn evaluate(&self, spend: LedgerSpend, share: &WrappedShare, element: &Point) -> Result<Point, HsmError> {
        self.called()?;
        let answer = self.inner.evaluate(spend, share, element).await?;
        if self.lies.load(Ordering::SeqCst) { self.inner.agree(&answer).await } else { Ok(answer) }
    }

    async fn agree(&self, ephemeral: &Point) -> Result<Point, HsmError> {
        self.called()?;
        self.inner.agree(ephemeral).await
    }

    async fn mac(&self, message: &[u8]) -> Result<[u8; 32], HsmError> {
        self.called()?;
        self.inner.mac(message).await
    }

    async fn certify(&self, message: &[u8]) -> Result<[u8; 64], HsmError> {
        self.called()?;
        self.inner.certify(message).await
    }
}

/// The ways between the sites.
#[derive(Clone, Default)]
pub(crate) struct Links(Arc<RwLock<Vec<Link>>>);

struct Link {
    vault: TestVault,
    is_up: bool,
    /// Takes requests, and never answers.
    is_stuck: bool,
    /// Claims that its ledger has got further than it has.
    exaggerates: bool,
}

impl Links {
    fn link<T>(&self, site: SiteNumber, look: impl Fn(&Link) -> T) -> T {
        look(&self.0.read().expect("no panic under the lock")[usize::from(site.0) - 1])
    }

    async fn get_stuck(&self, site: SiteNumber) {
        if self.link(site, |link| link.is_stuck) {
            std::future::pending::<()>().await;
        }
    }

    fn to(&self, site: SiteNumber) -> Result<TestVault, SiteRefusal> {
        let links = self.0.read().expect("no panic under the lock");
        let link = usize::from(site.0).checked_sub(1).and_then(|position| links.get(position));
        link.filter(|link| link.is_up).map(|link| Arc::clone(&link.vault)).ok_or(SiteRefusal::Unreachable)
    }
}

impl Peers for Links {
    async fn evaluate(&self, site: SiteNumber, request: &EvaluateRequest) -> Result<SiteAnswer, SiteRefusal> {
        self.get_stuck(site).await;
        let mut answer = self.to(site)?.site().evaluate(request).await?;
        if self.link(site, |link| link.exaggerates) {
            answer.height.number += 1000;
        }
        Ok(answer)
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
        let mut count = self.to(site)?.site().count(account, registration).await?;
        if self.link(site, |link| link.exaggerates) {
            count.closed_to = u64::MAX;
            let (ke1_hash, at) = (Base64([0; 32]), BEGIN);
            count.spent.iter_mut().for_each(|spent| (spent.ke1_hash, spent.at) = (ke1_hash, BEGIN + DAY * 100_000));
            let invented =
                (0..50).map(|named| Spent { attempt: AttemptId([named % 10; 16]), number: 1 << 20, ke1_hash, at });
            count.spent.extend(invented);
        }
        Ok(count)
    }

    async fn apply_proof(&self, site: SiteNumber, proof: &SiteProof) -> Result<(), SiteRefusal> {
        self.get_stuck(site).await;
        self.to(site)?.site().apply_proof(proof).await
    }

    async fn apply_keep(&self, site: SiteNumber, keep: &SiteKeep) -> Result<(), SiteRefusal> {
        self.to(site)?.site().apply_keep(keep).await
    }
}

/// What a site has that outlives its process.
pub(crate) struct SiteParts {
    pub(crate) hsm: Token,
    pub(crate) ledger: MemoryStore,
    pub(crate) ledger_way: FaultyStore,
    pub(crate) records_way: FaultyStore,
}

pub(crate) struct Lab {
    pub(crate) fleet: FleetId,
    pub(crate) threshold: u8,
    pub(crate) records: MemoryStore,
    pub(crate) tokens: TestTokens,
    pub(crate) clock: TestClock,
    pub(crate) sites: Vec<SiteParts>,
    /// Counts from the next restart of a site.
    pub(crate) hedge_after: Option<Duration>,
    policy: Policy,
    links: Links,
}

impl Lab {
    /// One site, one share.
    pub(crate) async fn single(policy: Policy) -> Self {
        Self::with(vec![SoftwareHsm::single()], 1, policy, 0).await
    }

    /// Five sites, of which three are needed.
    pub(crate) async fn five(policy: Policy) -> Self {
        Self::with(SoftwareHsm::fleet(5), 3, policy, 0).await
    }

    pub(crate) async fn with(hsms: Vec<SoftwareHsm>, threshold: u8, policy: Policy, seed: u64) -> Self {
        let records = MemoryStore::default();
        let part = |(position, hsm): (u64, SoftwareHsm)| {
            let ledger = MemoryStore::default();
            let seed = seed.wrapping_mul(1000).wrapping_add(position * 2);
            SiteParts {
                hsm: Token::new(hsm),
                ledger_way: FaultyStore::new(ledger.clone(), seed, Faults::NONE),
                records_way: FaultyStore::new(records.clone(), seed + 1, Faults::NONE),
                ledger,
            }
        };
        let sites = (0..).zip(hsms).map(part).collect();
        let lab = Self {
            fleet: FleetId([7; 16]),
            threshold,
            records,
            tokens: TestTokens::default(),
            clock: TestClock::at(BEGIN),
            sites,
            hedge_after: None,
            policy,
            links: Links::default(),
        };
        for site in 1..=lab.size() {
            let vault = lab.open(site).await;
            lab.links.0.write().expect("no panic under the lock").push(Link {
                vault,
                is_up: true,
                is_stuck: false,
                exaggerates: false,
            });
        }
        for site in 1..=lab.size() {
            lab.at(site).site().check_height().await.expect("the others answer");
        }
        lab
    }

    pub(crate) fn size(&self) -> u8 {
        u8::try_from(self.sites.len()).expect("a few")
    }

    async fn open(&self, site: u8) -> TestVault {
        let part = &self.sites[usize::from(site) - 1];
        let ports = Ports {
            hsm: part.hsm.clone(),
            records: part.records_way.clone(),
            ledger: part.ledger_way.clone(),
            peers: self.links.clone(),
            tokens: self.tokens.clone(),
            clock: self.clock.clone(),
        };
        let fleet = Fleet {
            id: self.fleet,
            manifest_version: 3,
            sites: self.size(),
            threshold: self.threshold,
            site: SiteNumber(site),
            order: (0..self.size()).map(|step| SiteNumber((site - 1 + step) % self.size() + 1)).collect(),
            hedge_after: self.hedge_after,
            site_identities: self.sites.iter().map(|part| part.hsm.public_keys().site_identity).collect(),
            policy: self.policy.clone(),
        };
        Arc::new(Vault::open(ports, fleet).await.expect("the ledger can be read"))
    }

    /// The vault at a site.
    pub(crate) fn at(&self, site: u8) -> TestVault {
        Arc::clone(&self.links.0.read().expect("no panic under the lock")[usize::from(site) - 1].vault)
    }

    /// The vault at site 1.
    pub(crate) fn vault(&self) -> TestVault {
        self.at(1)
    }

    /// What the process of a site had in memory only is gone.
    pub(crate) async fn restart(&self, site: u8) {
        let vault = self.open(site).await;
        vault.site().check_height().await.expect("the others answer");
        self.links.0.write().expect("no panic under the lock")[usize::from(site) - 1].vault = vault;
    }

    /// Whether the other sites reach a site.
    pub(crate) fn set_up(&self, site: u8, is_up: bool) {
        self.links.0.write().expect("no panic under the lock")[usize::from(site) - 1].is_up = is_up;
    }

    /// Whether a site that is asked to evaluate, or handed a proof, answers at all.
    pub(crate) fn set_stuck(&self, site: u8, is_stuck: bool) {
        self.links.0.write().expect("no panic under the lock")[usize::from(site) - 1].is_stuck = is_stuck;
    }

    /// Whether a site claims that its ledger has got further than it has.
    pub(crate) fn set_exaggerating(&self, site: u8, exaggerates: bool) {
        self.links.0.write().expect("no panic under the lock")[usize::from(site) - 1].exaggerates = exaggerates;
    }

    /// Starts a site from another disk. It does not serve before enough others have said how far it had got.
    pub(crate) async fn try_put_back(&mut self, site: u8, ledger: MemoryStore) -> Result<(), VaultError> {
        let part = &mut self.sites[usize::from(site) - 1];
        part.ledger_way = FaultyStore::new(ledger.clone(), u64::from(site), Faults::NONE);
        part.ledger = ledger;
        let vault = self.open(site).await;
        self.links.0.write().expect("no panic under the lock")[usize::from(site) - 1].vault = Arc::clone(&vault);
        vault.site().check_height().await
    }

    pub(crate) async fn put_back(&mut self, site: u8, ledger: MemoryStore) {
        self.try_put_back(site, ledger).await.expect("the others answer");
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    /// Elements that the HSMs evaluated, a repetition at the same HSM not counted.
    pub(crate) fn evaluations(&self) -> usize {
        self.sites.iter().map(|part| part.hsm.inner.evaluations()).sum()
    }

    pub(crate) async fn record(&self, account: &AccountId) -> VaultRecord {
        let there = self.records.get(&record_key(account), Freshness::Newest).await.expect("in memory");
        there.map(|there| parse(&there.value)).unwrap_or_default()
    }

    /// What the record store holds, byte for byte.
    pub(crate) async fn record_bytes(&self, account: &AccountId) -> Vec<u8> {
        self.records.get(&record_key(account), Freshness::Newest).await.expect("in memory").expect("a record").value
    }

    /// A hostile record store has another record.
    pub(crate) async fn falsify(&self, account: &AccountId, value: &[u8]) {
        let key = record_key(account);
        let version = self.records.get(&key, Freshness::Newest).await.expect("in memory").map(|there| there.version);
        self.records.replace(&key, version, value).await;
    }

    pub(crate) async fn falsify_with(&self, account: &AccountId, change: impl FnOnce(&mut VaultRecord)) {
        let mut record = self.record(account).await;
        change(&mut record);
        self.falsify(account, &encode(&record)).await;
    }

    /// The rows of a site's ledger, as it reads them.
    pub(crate) async fn rows(&self, site: u8) -> Vec<(Vec<u8>, SiteRow)> {
        let rows = self.sites[usize::from(site) - 1].ledger.rows(&[], 10_000).await.expect("in memory");
        // What a site keeps for itself stands under no account's name.
        let of_accounts = rows.into_iter().filter(|(key, _)| key[..2] != [0, 0]);
        of_accounts.map(|(key, row)| (key, parse(&row.bytes[..row.bytes.len() - 32]))).collect()
    }

    /// The row of a site for one registration.
    pub(crate) async fn row(&self, site: u8, id: &RegistrationId) -> Option<SiteRow> {
        let ends = |key: &[u8]| key.ends_with(id.as_bytes());
        self.rows(site).await.into_iter().find(|(key, _)| ends(key)).map(|(_, row)| row)
    }

    /// What a site holds of a registration. Panics if that is nothing.
    pub(crate) async fn held(&self, site: u8, id: &RegistrationId) -> Held {
        match self.row(site, id).await {
            Some(SiteRow::Held(held)) => Some(*held),
            _ => None,
        }
        .expect("the site holds a share")
    }

    /// Whether every site has erased its share of a registration.
    pub(crate) async fn is_erased(&self, id: &RegistrationId) -> bool {
        for site in 1..=self.size() {
            if !matches!(self.row(site, id).await, Some(SiteRow::Erased { .. })) {
                return false;
            }
        }
        true
    }

    /// Whether every site holds its share of a registration.
    pub(crate) async fn is_held(&self, id: &RegistrationId) -> bool {
        for site in 1..=self.size() {
            if !matches!(self.row(site, id).await, Some(SiteRow::Held(_))) {
                return false;
            }
        }
        true
    }

    pub(crate) async fn sweep(&self) {
        for site in 1..=self.size() {
            self.at(site).site().sweep().await.expect("a sweep");
        }
    }
}

pub(crate) fn record_key(account: &AccountId) -> Vec<u8> {
    frame([b"record".as_slice(), account.as_bytes()])
}

pub(crate) fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    postcard::to_extend(value, vec![1]).expect("plain data")
}

pub(crate) fn parse<T: for<'de> serde::Deserialize<'de>>(bytes: &[u8]) -> T {
    assert_eq!(bytes[0], 1);
    postcard::from_bytes(&bytes[1..]).expect("plain data")
}
