//! Who this vault is: a fleet of one, whose manifest its own HSM signs, or a site of several, whose manifest comes from
//! the fleet's roots.

mod embedded;
mod fleet_file;

use std::path::{Path, PathBuf};

use coffer_proto::{Fingerprint, FleetManifest, SignedManifest, SiteEntry, SiteNumber, Time};
use coffer_vault_core::{Hsm as _, Point};

use crate::config::FleetConfig;
use crate::error::Error;
use crate::manifest::fleet_file::FleetFile;
use crate::world::SharedHsm;

/// A manifest, as it was signed and as it reads.
#[derive(Debug)]
pub(crate) struct Manifest {
    source: Source,
    pub(crate) content: FleetManifest,
    pub(crate) signed: SignedManifest,
}

#[derive(Debug)]
enum Source {
    /// Where it is kept.
    Embedded(PathBuf),
    Fleet(FleetFile),
}

impl Manifest {
    /// The manifest of a fleet of one. `None` if there is none yet.
    pub(crate) fn load(path: &Path, hsm: &SharedHsm) -> Result<Option<Self>, Error> {
        embedded::load(path, hsm)
    }

    /// A new fleet of one.
    pub(crate) async fn make(path: &Path, hsm: &SharedHsm, max_attempts: u8, now: Time) -> Result<Self, Error> {
        embedded::make(path, hsm, max_attempts, now).await
    }

    /// The manifest of a fleet of several sites; `seen` is where the newest one is remembered.
    pub(crate) fn of_fleet(config: &FleetConfig, seen: PathBuf, hsm: &SharedHsm) -> Result<Self, Error> {
        FleetFile::new(config.clone(), seen).load(hsm)
    }

    /// What the manifest of a fleet of several sites says, without an HSM to hold it against.
    pub(crate) fn read(config: &FleetConfig) -> Result<FleetManifest, Error> {
        Ok(fleet_file::read(config)?.1)
    }

    /// What takes its place, if something does: the same with a new date, or the roots' next one.
    pub(crate) async fn renewed(&self, hsm: &SharedHsm, now: Time) -> Result<Option<Self>, Error> {
        match &self.source {
            Source::Embedded(path) => embedded::renewed(self, path, hsm, now).await,
            Source::Fleet(file) => file.reload(hsm, self),
        }
    }

    /// To the log, if it ends soon and nobody here can sign it again.
    pub(crate) fn warn_of_its_end(&self, now: Time) {
        if matches!(self.source, Source::Fleet(_)) {
            fleet_file::warn_of_its_end(self.content.not_after, now);
        }
    }

    /// What clients pin.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        match &self.source {
            Source::Embedded(_) => self.signed.roots.fingerprint(),
            Source::Fleet(file) => file.fingerprint(),
        }
    }

    /// This site's number.
    pub(crate) const fn site(&self) -> SiteNumber {
        match &self.source {
            Source::Embedded(_) => embedded::SITE,
            Source::Fleet(file) => file.site(),
        }
    }

    /// The sites' identity keys, in order.
    pub(crate) fn site_identities(&self) -> Result<Vec<Point>, Error> {
        let parse = |entry: &SiteEntry| Point::parse(&entry.site_identity.0);
        let identities = self.content.sites.iter().map(parse).collect::<Result<_, _>>();
        identities.map_err(|_| Error::Argument("the manifest names a site identity that is no point of P-256"))
    }
}

fn entry(site: SiteNumber, hsm: &SharedHsm) -> SiteEntry {
    let keys = hsm.public_keys();
    let [share_import, site_identity] =
        [keys.share_import, keys.site_identity].map(|key| coffer_proto::Base64(key.encode()));
    SiteEntry { site, share_import, site_identity }
}
