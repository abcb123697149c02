//! The manifest of a fleet of several sites: the roots sign it, and the operator puts it where the site finds it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use coffer_hsm_adapter::verify_es256_by;
use coffer_proto::{Base64, Fingerprint, FleetId, FleetManifest, Hash, SignedManifest, SiteNumber, Time};
use coffer_vault_core::Hsm as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::config::FleetConfig;
use crate::data::{read_secret, write_private};
use crate::error::Error;
use crate::manifest::{Manifest, Source, entry};
use crate::world::SharedHsm;

/// From then on the log says that the roots have to sign again.
const WARNED_BEFORE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Where it lies, and what is known of it beforehand.
#[derive(Debug, Clone)]
pub(super) struct FleetFile {
    config: FleetConfig,
    seen: PathBuf,
}

/// The newest manifest that this site has had, so that nobody puts back an older one.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    fleet: FleetId,
    /// Of those who had signed it: the roots before them sign nothing any more.
    #[serde(default)]
    roots: Option<Fingerprint>,
    version: u64,
    manifest: Hash,
}

impl FleetFile {
    pub(super) const fn new(config: FleetConfig, seen: PathBuf) -> Self {
        Self { config, seen }
    }

    pub(super) const fn fingerprint(&self) -> Fingerprint {
        self.config.roots_fingerprint
    }

    pub(super) const fn site(&self) -> SiteNumber {
        self.config.site
    }

    /// What the roots have signed, if this is the HSM that it names. An expired one is served: clients decide by their own
    /// clocks.
    pub(super) fn load(&self, hsm: &SharedHsm) -> Result<Manifest, Error> {
        let (signed, content) = read(&self.config)?;
        let keys = hsm.public_keys();
        if !content.sites.contains(&entry(self.config.site, hsm)) || content.ake.0 != keys.ake.encode() {
            let site = self.config.site;
            return Err(refused(
                &self.config,
                format!("its site {site} has other keys than this HSM: is fleet.site right?"),
            ));
        }
        let manifest = Manifest { source: Source::Fleet(self.clone()), content, signed };
        self.remember(&manifest)?;
        Ok(manifest)
    }

    /// The next one, if the file has changed.
    pub(super) fn reload(&self, hsm: &SharedHsm, present: &Manifest) -> Result<Option<Manifest>, Error> {
        let next = self.load(hsm)?;
        if next.signed == present.signed {
            return Ok(None);
        }
        tracing::info!(version = next.content.version, not_after = %next.content.not_after, "a manifest was taken up");
        Ok(Some(next))
    }

    fn remember(&self, manifest: &Manifest) -> Result<(), Error> {
        let hash = Base64(Sha256::digest(manifest.signed.manifest.as_bytes()).into());
        let (FleetManifest { fleet, version, .. }, signed) = (&manifest.content, &manifest.signed);
        let (fleet, version, roots) = (*fleet, *version, Some(signed.roots.fingerprint()));
        let shown = Seen { fleet, roots, version, manifest: hash };
        let seen = Seen::read(&self.seen)?;
        if let Some(seen) = &seen {
            seen.allows(&shown).map_err(|why| refused(&self.config, why.to_owned()))?;
            if seen.roots.is_some_and(|roots| signed.verify(&roots, verify_es256_by).is_err()) {
                let why = "its roots were not named by those whom this site has had".to_owned();
                return Err(refused(&self.config, why));
            }
        }
        if seen.as_ref() != Some(&shown) {
            write_private(&self.seen, &serde_json::to_vec(&shown).expect("plain data in memory"))?;
        }
        Ok(())
    }
}

/// What the roots have signed, with a site of this number. Asks no HSM.
pub(super) fn read(config: &FleetConfig) -> Result<(SignedManifest, FleetManifest), Error> {
    let path = &config.manifest_file;
    let bytes = fs::read(path).map_err(|error| refused(config, error.to_string()))?;
    let signed: SignedManifest =
        serde_json::from_slice(&bytes).map_err(|error| refused(config, format!("it cannot be read: {error}")))?;
    let content = signed.verify(&config.roots_fingerprint, verify_es256_by);
    let content = content.map_err(|error| refused(config, error.to_string()))?;
    if content.sites.iter().all(|entry| entry.site != config.site) {
        return Err(refused(config, format!("it has no site {}: is fleet.site right?", config.site)));
    }
    Ok((signed, content))
}

fn refused(config: &FleetConfig, why: String) -> Error {
    Error::Named { path: config.manifest_file.clone(), why }
}

impl Seen {
    fn read(path: &Path) -> Result<Option<Self>, Error> {
        let Some(text) = read_secret(path)? else { return Ok(None) };
        let why = "it is damaged: put back a copy of it";
        serde_json::from_str(&text).map(Some).map_err(|_| Error::Manifest { path: path.to_owned(), why })
    }

    fn allows(&self, shown: &Self) -> Result<(), &'static str> {
        match () {
            () if shown.fleet != self.fleet => Err("it is another fleet's than the one that this site belongs to"),
            () if shown.version < self.version => Err("it is older than one that this site has had"),
            () if shown.version == self.version && shown.manifest != self.manifest => {
                Err("it has the version of another that this site has had: the roots have signed two")
            }
            () => Ok(()),
        }
    }
}

/// For the operator, who has to go to the roots in time.
pub(super) fn warn_of_its_end(not_after: Time, now: Time) {
    if now >= not_after {
        tracing::error!(%not_after, "the fleet manifest has expired: clients refuse it until the roots sign a new one");
    } else if not_after.since(now) < WARNED_BEFORE {
        tracing::warn!(%not_after, "the fleet manifest expires soon: let the roots sign a new one");
    }
}

#[cfg(test)]
mod tests {
    use coffer_proto::{Base64, FleetId};

    use super::Seen;

    fn seen(version: u64, content: u8) -> Seen {
        Seen { fleet: FleetId([7; 16]), roots: None, version, manifest: Base64([content; 32]) }
    }

    #[test]
    fn takes_the_same_manifest_again_and_newer_ones() {
        assert_eq!(seen(3, 0).allows(&seen(3, 0)), Ok(()));
        assert_eq!(seen(3, 0).allows(&seen(4, 1)), Ok(()));
    }

    #[test]
    fn refuses_an_older_manifest_another_of_the_same_version_and_another_fleet_s() {
        assert!(seen(3, 0).allows(&seen(2, 0)).is_err_and(|why| why.contains("older")));
        assert!(seen(3, 0).allows(&seen(3, 1)).is_err_and(|why| why.contains("signed two")));
        let other = Seen { fleet: FleetId([8; 16]), ..seen(4, 0) };
        assert!(seen(3, 0).allows(&other).is_err_and(|why| why.contains("another fleet")));
    }
}
