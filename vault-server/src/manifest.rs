//! Who this vault is: a fleet of one site, whose manifest its own HSM signs.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use coffer_proto::{
    Base64, Base64Vec, Fingerprint, FleetId, FleetManifest, RootSet, RootSignature, SignedManifest, SiteEntry,
    SiteNumber, Time, manifest_message,
};
use coffer_vault_core::{Hsm as _, Point};
use jsonwebtoken::{Algorithm, DecodingKey};

use crate::data::write_private;
use crate::error::Error;
use crate::world::SharedHsm;

const VALID_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// This site, in its fleet of one.
pub(crate) const SITE: SiteNumber = SiteNumber(1);

/// A manifest, as it was signed and as it reads.
pub(crate) struct Manifest {
    path: PathBuf,
    pub(crate) content: FleetManifest,
    pub(crate) signed: SignedManifest,
}

impl Manifest {
    /// Reads the manifest. `None` if there is none.
    pub(crate) fn load(path: &Path, hsm: &SharedHsm) -> Result<Option<Self>, Error> {
        let refuse = |why| Error::Manifest { path: path.to_owned(), why };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file("read", path)(error)),
        };
        let signed: SignedManifest =
            serde_json::from_slice(&bytes).map_err(|_| refuse("it is damaged: put back a copy of it"))?;
        if signed.roots != roots(hsm)? {
            return Err(refuse("it was signed by another HSM's root: is this the right token?"));
        }
        if !is_signed(&signed) {
            return Err(refuse("its signature does not hold: put back a copy of it"));
        }
        let content: FleetManifest = serde_json::from_slice(signed.manifest.as_bytes())
            .map_err(|_| refuse("it is of another version of coffer-vault"))?;
        if content.sites != [entry(hsm)] || content.ake.0 != hsm.public_keys().ake.encode() || content.threshold != 1 {
            return Err(refuse("it names other keys than the HSM has: is this the right token?"));
        }
        Ok(Some(Self { path: path.to_owned(), content, signed }))
    }

    /// A new fleet.
    pub(crate) async fn make(path: &Path, hsm: &SharedHsm, max_attempts: u8, now: Time) -> Result<Self, Error> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| Error::System("randomness", error.to_string()))?;
        let content = FleetManifest {
            fleet: FleetId(id),
            version: 1,
            threshold: 1,
            max_attempts,
            ake: Base64(hsm.public_keys().ake.encode()),
            sites: vec![entry(hsm)],
            cells: Vec::new(),
            issued_at: now,
            not_after: now + VALID_FOR,
        };
        Self::sign(path, hsm, content).await
    }

    /// The same with a new date, if less than half of its time is left.
    pub(crate) async fn renewed(&self, hsm: &SharedHsm, now: Time) -> Result<Option<Self>, Error> {
        if !is_due(self.content.not_after, now) {
            return Ok(None);
        }
        let content = FleetManifest { issued_at: now, not_after: now + VALID_FOR, ..self.content.clone() };
        Self::sign(&self.path, hsm, content).await.map(Some)
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.signed.roots.fingerprint()
    }

    async fn sign(path: &Path, hsm: &SharedHsm, content: FleetManifest) -> Result<Self, Error> {
        let encoded = |error: serde_json::Error| Error::System("the manifest cannot be written", error.to_string());
        let manifest = serde_json::to_vec(&content).map_err(encoded)?;
        let roots = roots(hsm)?;
        let signature = Base64(hsm.sign_as_root(&manifest_message(&manifest)).await?);
        let signatures = roots.keys.iter().map(|key| RootSignature { key: *key, signature }).collect();
        let manifest = Base64Vec::new(manifest)
            .map_err(|error| Error::System("the manifest cannot be written", error.to_string()))?;
        let signed = SignedManifest { manifest, roots, signatures, successions: Vec::new() };
        write_private(path, &serde_json::to_vec(&signed).map_err(encoded)?)?;
        Ok(Self { path: path.to_owned(), content, signed })
    }
}

/// Clients that come seldom have to find one that holds.
fn is_due(not_after: Time, now: Time) -> bool {
    not_after <= now + VALID_FOR / 2
}

fn entry(hsm: &SharedHsm) -> SiteEntry {
    let keys = hsm.public_keys();
    let [share_import, site_identity] = [keys.share_import, keys.site_identity].map(|key| Base64(key.encode()));
    SiteEntry { site: SITE, share_import, site_identity }
}

fn roots(hsm: &SharedHsm) -> Result<RootSet, Error> {
    let root = hsm.root_public().ok_or(Error::Argument("the token has no fleet-root: `coffer-vault hsm init`"))?;
    Ok(RootSet { threshold: 1, keys: vec![Base64(root.encode())] })
}

/// By the one root. A manifest that somebody else has written must not be signed again, with a new date.
fn is_signed(signed: &SignedManifest) -> bool {
    let ([key], [signature]) = (signed.roots.keys.as_slice(), signed.signatures.as_slice()) else { return false };
    let Ok(point) = Point::parse(&key.0) else { return false };
    let message = manifest_message(signed.manifest.as_bytes());
    let public = DecodingKey::from_ec_der(&point.encode_uncompressed());
    let holds = jsonwebtoken::crypto::verify(&signature.signature.to_string(), &message, &public, Algorithm::ES256);
    signature.key == *key && holds.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use coffer_proto::Time;

    use super::{VALID_FOR, is_due};

    #[test]
    fn a_manifest_is_signed_again_when_half_of_its_time_is_over() {
        let issued = Time::from_unix_seconds(1_795_000_000);
        let half = issued + VALID_FOR / 2;
        assert!(!is_due(issued + VALID_FOR, half - Duration::from_secs(1)));
        assert!(is_due(issued + VALID_FOR, half));
        assert!(is_due(issued + VALID_FOR, issued + VALID_FOR * 2));
    }
}
