//! The fleet manifest, verified: which sites there are, with which keys.

use std::collections::HashSet;

use coffer_pake::{MAX_SITES, Point, verify_es256};
use coffer_proto::{
    Fingerprint, FleetAnswer, FleetId, FleetManifest, RootSet, SignedManifest, SiteEntry, SiteNumber, Time,
    manifest_message,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::exchange::{self, RequestError};
use crate::token::Token;
use crate::transport::Transport;

/// Root keys at most: two of three sign a fleet's manifest.
const ROOTS_AT_MOST: usize = 16;

/// What the roots have signed, checked.
#[derive(Debug, Clone)]
pub struct Fleet {
    pub(crate) id: FleetId,
    pub(crate) version: u64,
    pub(crate) threshold: u8,
    pub(crate) ake: Point,
    pub(crate) sites: Vec<Site>,
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
    Nonsense(&'static str),
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
        let manifest = verified(&answer.manifest, fingerprint)?;
        if now >= manifest.not_after {
            return Err(FleetError::Expired { not_after: manifest.not_after });
        }
        let fleet = Self::parse(&manifest)?;
        if let Some(remembered) = remembered {
            fleet.follows(remembered)?;
        }
        Ok(fleet)
    }

    /// For the next [`fetch`](Self::fetch).
    pub const fn memory(&self) -> FleetMemory {
        FleetMemory { version: self.version, threshold: self.threshold }
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

    pub(crate) fn site(&self, number: SiteNumber) -> Option<&Site> {
        self.sites.iter().find(|site| site.number == number)
    }

    fn follows(&self, remembered: FleetMemory) -> Result<(), FleetError> {
        if self.version < remembered.version {
            return Err(FleetError::Older { shown: self.version, remembered: remembered.version });
        }
        if self.threshold == 1 && remembered.threshold > 1 {
            return Err(FleetError::OneSiteOnly);
        }
        Ok(())
    }

    fn parse(manifest: &FleetManifest) -> Result<Self, FleetError> {
        let point = |bytes: &[u8; 33]| Point::parse(bytes).map_err(|_| FleetError::Nonsense("a key is no point"));
        let parse_site = |entry: &SiteEntry| {
            let (share_import, identity) = (point(&entry.share_import.0)?, point(&entry.site_identity.0)?);
            Ok(Site { number: entry.site, share_import, identity })
        };
        let sites: Vec<Site> = manifest.sites.iter().map(parse_site).collect::<Result<_, FleetError>>()?;
        let numbers = sites.iter().map(|site| site.number.0);
        if sites.len() > usize::from(MAX_SITES) || !numbers.eq((1..=MAX_SITES).take(sites.len())) {
            return Err(FleetError::Nonsense("its sites are not numbered from 1"));
        }
        if manifest.threshold == 0 || usize::from(manifest.threshold) > sites.len() {
            return Err(FleetError::Nonsense("it needs no site, or more than there are"));
        }
        // Two sites behind one key are one site, and would count twice.
        let keys: HashSet<Point> = sites.iter().flat_map(|site| [site.share_import, site.identity]).collect();
        if keys.len() < 2 * sites.len() {
            return Err(FleetError::Nonsense("two of its sites' keys are the same"));
        }
        if !(1..=100).contains(&manifest.max_attempts) {
            return Err(FleetError::Nonsense("it allows no guess, or far too many"));
        }
        let (id, version, threshold) = (manifest.fleet, manifest.version, manifest.threshold);
        Ok(Self { id, version, threshold, ake: point(&manifest.ake.0)?, sites })
    }
}

/// The manifest, if enough of the pinned roots have signed it.
fn verified(signed: &SignedManifest, fingerprint: &Fingerprint) -> Result<FleetManifest, FleetError> {
    let RootSet { threshold, keys } = &signed.roots;
    if keys.len() > ROOTS_AT_MOST || signed.roots.fingerprint() != *fingerprint {
        return Err(FleetError::OtherRoots);
    }
    let message = manifest_message(signed.manifest.as_bytes());
    let has_signed = |key: &&coffer_proto::PointBytes| {
        let Ok(public) = Point::parse(&key.0) else { return false };
        let mut own = signed.signatures.iter().filter(|signature| signature.key == **key).take(ROOTS_AT_MOST);
        own.any(|signature| verify_es256(&public, &message, &signature.signature.0))
    };
    let signers: HashSet<_> = keys.iter().filter(has_signed).collect();
    if *threshold == 0 || signers.len() < usize::from(*threshold) {
        return Err(FleetError::Unsigned);
    }
    serde_json::from_slice(signed.manifest.as_bytes())
        .map_err(|_| FleetError::Nonsense("this version of the program cannot read it"))
}
