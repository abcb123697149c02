//! The fleet manifest, verified: which sites there are, with which keys.

use coffer_pake::{Point, verify_es256_by};
use coffer_proto::{
    Base64, Fingerprint, FleetAnswer, FleetId, FleetManifest, Hash, ManifestFault, SiteCertificate, SiteEntry,
    SiteNumber, Time, TrustError,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::exchange::{self, RequestError};
use crate::receipts;
use crate::token::Token;
use crate::transport::Transport;

/// What the roots have signed, checked.
#[derive(Debug, Clone)]
pub struct Fleet {
    pub(crate) id: FleetId,
    pub(crate) version: u64,
    pub(crate) threshold: u8,
    pub(crate) ake: Point,
    pub(crate) sites: Vec<Site>,
    /// Of the roots that were believed.
    pub(crate) fingerprint: Fingerprint,
    /// Of the roots that have signed, whom those may have named.
    roots: Fingerprint,
    /// SHA-256 of the manifest as it was signed.
    pub(crate) manifest_hash: Hash,
    /// Of the sites' daily keys: those that held when they came.
    certificates: Vec<SiteCertificate>,
    /// As the vault says, with no signature.
    sealed_only: bool,
}

/// One site of a fleet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site {
    pub(crate) number: SiteNumber,
    pub(crate) share_import: Point,
    pub(crate) identity: Point,
}

/// What a device remembers of a fleet, so that nobody shows it an older manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetMemory {
    /// Which fleet it was. Devices of before there were several do not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetId>,
    /// The roots that had signed it: those before them have handed over, and sign nothing any more. Devices of before
    /// this was kept do not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roots: Option<Fingerprint>,
    /// The newest version that was seen.
    pub version: u64,
    /// How many sites a retrieval needed under it.
    pub threshold: u8,
}

/// Why what a vault says of itself is not believed. But for `Request`, somebody is in the way, or the vault's operator
/// has made a mistake; nothing was sent to it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FleetError {
    /// The roots are others than those of the address. Is the address right?
    #[error("another vault answers than the one that the address names")]
    OtherRoots,
    /// Roots have taken over whom those before them have not named.
    #[error("the vault's manifest is signed by others than those who answered for it, and they were not named by them")]
    Succession,
    /// Another fleet's, by the same roots.
    #[error("the vault shows the manifest of another fleet: {shown} after {remembered}")]
    OtherFleet {
        /// What it shows.
        shown: FleetId,
        /// What was seen before.
        remembered: FleetId,
    },
    /// Too few of the roots have signed.
    #[error("the vault's manifest is not signed by those who answer for it")]
    Unsigned,
    /// It is out of date; or this device's clock is wrong.
    #[error("the vault's manifest has expired on {not_after}")]
    Expired {
        /// When.
        not_after: Time,
    },
    /// A newer one was seen before.
    #[error("the vault shows an old manifest: version {shown} after {remembered}")]
    Older {
        /// Its version.
        shown: u64,
        /// The one that was seen.
        remembered: u64,
    },
    /// It was shared among several sites, and now one alone would have the key.
    #[error("the vault's manifest wants to do with one site where several were needed")]
    OneSiteOnly,
    /// It contradicts itself.
    #[error("the vault's manifest makes no sense: {0}")]
    Nonsense(ManifestFault),
    /// It did not come at all.
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl Fleet {
    /// Asks the vault who it is, and believes what the roots of `fingerprint` have signed. `remembered` is what
    /// [`memory`](Self::memory) gave the last time. Without a token the vault says nothing at all.
    ///
    /// # Errors
    /// [`FleetError`].
    pub async fn fetch<T: Transport>(
        transport: &T,
        fingerprint: &Fingerprint,
        token: &Token,
        remembered: Option<FleetMemory>,
        now: Time,
    ) -> Result<Self, FleetError> {
        let answer: FleetAnswer =
            exchange::get(transport, "/v1/fleet", token.expose()).await.map_err(RequestError::from)?;
        let manifest = answer.manifest.verify(fingerprint, verify_es256_by)?;
        if let Some(roots) = remembered.and_then(|remembered| remembered.roots) {
            answer.manifest.verify(&roots, verify_es256_by).map_err(|_| FleetError::Succession)?;
        }
        if now >= manifest.not_after {
            return Err(FleetError::Expired { not_after: manifest.not_after });
        }
        let mut fleet = Self::parse(&manifest, *fingerprint)?;
        fleet.manifest_hash = Base64(Sha256::digest(answer.manifest.manifest.as_bytes()).into());
        fleet.roots = answer.manifest.roots.fingerprint();
        fleet.sealed_only = answer.sealed_only;
        fleet.certificates = answer.certificates;
        fleet.certificates.retain(|certificate| receipts::certifies(&fleet.id, &fleet.sites, certificate, now));
        if let Some(remembered) = remembered {
            fleet.follows(remembered)?;
        }
        Ok(fleet)
    }

    /// For the next [`fetch`](Self::fetch).
    pub const fn memory(&self) -> FleetMemory {
        FleetMemory { fleet: Some(self.id), roots: Some(self.roots), version: self.version, threshold: self.threshold }
    }

    /// Its name.
    pub const fn id(&self) -> FleetId {
        self.id
    }

    /// How many sites hold a share of each key.
    pub fn sites(&self) -> u8 {
        u8::try_from(self.sites.len()).unwrap_or(u8::MAX)
    }

    /// How many of them a retrieval needs.
    pub const fn threshold(&self) -> u8 {
        self.threshold
    }

    /// How many sites have to show that they hold their shares before a registration is activated: one more than are
    /// needed, if there is one more.
    pub(crate) fn quorum(&self) -> u8 {
        self.sites().min(self.threshold.saturating_add(1))
    }

    /// Whether requests have to be sealed to its sites.
    pub fn is_sealed(&self) -> bool {
        self.sites.len() > 1 || self.sealed_only
    }

    /// The newest certificate of a site's daily keys that holds now.
    pub(crate) fn certificate(&self, site: SiteNumber, now: Time) -> Option<&SiteCertificate> {
        let holds = |certificate: &&SiteCertificate| certificate.site == site && now <= certificate.not_after;
        self.certificates.iter().filter(holds).max_by_key(|certificate| certificate.not_before)
    }

    pub(crate) fn site(&self, number: SiteNumber) -> Option<&Site> {
        self.sites.iter().find(|site| site.number == number)
    }

    fn follows(&self, remembered: FleetMemory) -> Result<(), FleetError> {
        if let Some(fleet) = remembered.fleet.filter(|fleet| *fleet != self.id) {
            return Err(FleetError::OtherFleet { shown: self.id, remembered: fleet });
        }
        if self.version < remembered.version {
            return Err(FleetError::Older { shown: self.version, remembered: remembered.version });
        }
        if self.threshold == 1 && remembered.threshold > 1 {
            return Err(FleetError::OneSiteOnly);
        }
        Ok(())
    }

    /// A manifest that keeps the rules.
    fn parse(manifest: &FleetManifest, fingerprint: Fingerprint) -> Result<Self, FleetError> {
        let point = |bytes: &[u8; 33]| Point::parse(bytes).map_err(|_| FleetError::Nonsense(ManifestFault::NoPoint));
        let parse_site = |entry: &SiteEntry| {
            let (share_import, identity) = (point(&entry.share_import.0)?, point(&entry.site_identity.0)?);
            Ok(Site { number: entry.site, share_import, identity })
        };
        let sites: Vec<Site> = manifest.sites.iter().map(parse_site).collect::<Result<_, FleetError>>()?;
        let (id, version, threshold) = (manifest.fleet, manifest.version, manifest.threshold);
        let ake = point(&manifest.ake.0)?;
        let (roots, manifest_hash, certificates, sealed_only) = (fingerprint, Base64([0; 32]), Vec::new(), false);
        Ok(Self { id, version, threshold, ake, sites, fingerprint, roots, manifest_hash, certificates, sealed_only })
    }
}

impl From<TrustError> for FleetError {
    fn from(error: TrustError) -> Self {
        match error {
            TrustError::OtherRoots => Self::OtherRoots,
            TrustError::Succession => Self::Succession,
            TrustError::Unsigned => Self::Unsigned,
            TrustError::Fault(fault) => Self::Nonsense(fault),
        }
    }
}
