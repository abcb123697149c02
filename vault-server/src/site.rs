//! Everything that a site is made of, put together.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use coffer_hsm_adapter::HsmAdapter;
use coffer_proto::{FleetManifest, SiteNumber};
use coffer_service::{JwtTokens, Limits};
use coffer_vault_core::{Clock as _, Fleet, Policy, Ports, Vault};
use coffer_vault_store::EmbeddedStore;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::app::App;
use crate::config::Config;
use crate::data::DataFolder;
use crate::error::Error;
use crate::issuer::Issuer;
use crate::manifest::Manifest;
use crate::ops::Operations;
use crate::peers::HttpPeers;
use crate::records;
use crate::token::{self, Kind};
use crate::tokens::AccountTokens;
use crate::world::{Records, SharedHsm, SystemClock};

/// A site that can serve.
pub(crate) struct OpenSite {
    pub(crate) app: Arc<App>,
    pub(crate) operations: Arc<Operations>,
    pub(crate) hsm: SharedHsm,
    pub(crate) tokens: JwtTokens,
}

/// Opens the site of this folder. What there is not yet of it is made, in an order that a crash can interrupt anywhere:
/// PINs, token, manifest, store.
pub(crate) async fn open(config: Config, data: &DataFolder, metrics: PrometheusHandle) -> Result<OpenSite, Error> {
    if config.fleet.is_none() {
        make_token(&config, data)?;
    }
    let hsm = SharedHsm::new(HsmAdapter::open(token::describe(&config, data, Kind::of(&config))?)?);
    let manifest = manifest(&config, data, &hsm).await?;
    let tokens = open_tokens(&config, data)?;
    let fleet = fleet(&config, &manifest)?;
    let store = EmbeddedStore::open(&data.store())?;
    let ledger = store.ledger;
    let records = match &config.etcd {
        Some(files) => Records::Etcd(records::open(files, &manifest.content).await?),
        None => Records::Embedded(store.records),
    };
    let peers = config.peers.as_ref().map_or(Ok(HttpPeers::none()), HttpPeers::new)?;
    let ports = Ports {
        hsm: hsm.clone(),
        records: records.clone(),
        ledger: ledger.clone(),
        peers,
        tokens: AccountTokens(tokens.clone()),
        clock: SystemClock,
    };
    let vault = Vault::open(ports, fleet).await?;
    let app = Arc::new(App::new(vault, Limits::new(&config.limits), config.gateway, manifest));
    let operations = Operations {
        app: Arc::clone(&app),
        hsm: hsm.clone(),
        records,
        ledger,
        metrics,
        is_ending: AtomicBool::new(false),
    };
    Ok(OpenSite { app, operations: Arc::new(operations), hsm, tokens })
}

/// The token of a fleet of one, at its first start.
fn make_token(config: &Config, data: &DataFolder) -> Result<(), Error> {
    let is_new = !data.manifest().exists();
    if is_new && data.store().exists() {
        let why = "it is missing, but the store is there: put back a copy of it";
        return Err(Error::Manifest { path: data.manifest(), why });
    }
    if is_new && config.hsm.pin_file.is_none() {
        token::init(config, data, None, Kind::Embedded)?;
        tracing::info!(folder = %data.token().display(), "a SoftHSM token was made: for development and demos");
    }
    Ok(())
}

async fn manifest(config: &Config, data: &DataFolder, hsm: &SharedHsm) -> Result<Manifest, Error> {
    let (path, now) = (data.manifest(), SystemClock.now());
    let manifest = match &config.fleet {
        Some(fleet) => Manifest::of_fleet(fleet, data.manifest_seen(), hsm)?,
        None => match Manifest::load(&path, hsm)? {
            Some(manifest) => manifest,
            None => {
                let max_attempts = config.max_attempts.unwrap_or(config.policy.max_attempts);
                return Manifest::make(&path, hsm, max_attempts, now).await;
            }
        },
    };
    if config.max_attempts.is_some_and(|attempts| attempts != manifest.content.max_attempts) {
        let path = config.fleet.as_ref().map_or(path, |fleet| fleet.manifest_file.clone());
        let why = "policy.max_attempts differs from what it says, and clients rely on that: set it as it was";
        return Err(Error::Manifest { path, why });
    }
    Ok(manifest.renewed(hsm, now).await?.unwrap_or(manifest))
}

/// What the policy needs to know of the manifest.
fn fleet(config: &Config, manifest: &Manifest) -> Result<Fleet, Error> {
    let content = &manifest.content;
    let own = manifest.site();
    let others = others(config, content, own)?;
    Ok(Fleet {
        id: content.fleet,
        manifest_version: content.version,
        sites: u8::try_from(content.sites.len()).unwrap_or(u8::MAX),
        threshold: content.threshold,
        site: own,
        order: std::iter::once(own).chain(others).collect(),
        hedge_after: config.peers.as_ref().map(|peers| peers.hedge_after),
        site_identities: manifest.site_identities()?,
        policy: Policy { max_attempts: content.max_attempts, ..config.policy.clone() },
    })
}

/// The other sites, the nearest first: the configuration has to say of all of them where they are.
pub(crate) fn others(config: &Config, content: &FleetManifest, own: SiteNumber) -> Result<Vec<SiteNumber>, Error> {
    let peers = config.peers.as_ref();
    let others: Vec<SiteNumber> = peers.into_iter().flat_map(|peers| &peers.sites).map(|(site, _)| *site).collect();
    let mut all = content.sites.iter().map(|entry| entry.site).filter(|site| *site != own);
    let are_named = others.len() + 1 == content.sites.len() && all.all(|site| others.contains(&site));
    if !are_named || (content.sites.len() > 1 && config.etcd.is_none()) {
        let path = config.fleet.as_ref().map_or_else(PathBuf::new, |fleet| fleet.manifest_file.clone());
        let why =
            "the other sites that it names have to be in peers.sites, and the members of its cells in etcd.members";
        return Err(Error::Named { path, why: why.to_owned() });
    }
    Ok(others)
}

fn open_tokens(config: &Config, data: &DataFolder) -> Result<JwtTokens, Error> {
    let file = match &config.tokens.jwks_file {
        Some(file) => file.clone(),
        None => {
            Issuer::open_or_make(data)?;
            data.jwks()
        }
    };
    Ok(JwtTokens::open(&config.tokens.issuer, &config.tokens.audience, file)?)
}
