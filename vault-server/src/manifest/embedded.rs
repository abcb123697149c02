//! A fleet of one site, whose manifest its own HSM signs.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use coffer_hsm_adapter::verify_es256_by;
use coffer_proto::{
    Base64, Base64Vec, FleetId, FleetManifest, ManifestFault, RootSet, RootSignature, SignedManifest, SiteNumber, Time,
    TrustError, VALID_FOR, manifest_message,
};
use coffer_vault_core::Hsm as _;

use crate::data::write_private;
use crate::error::Error;
use crate::manifest::{Manifest, Source, entry};
use crate::world::SharedHsm;

/// This site, in its fleet of one.
pub(super) const SITE: SiteNumber = SiteNumber(1);

/// Reads the manifest. `None` if there is none.
pub(super) fn load(path: &Path, hsm: &SharedHsm) -> Result<Option<Manifest>, Error> {
    let refuse = |why| Error::Manifest { path: path.to_owned(), why };
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::file("read", path)(error)),
    };
    let signed: SignedManifest =
        serde_json::from_slice(&bytes).map_err(|_| refuse("it is damaged: put back a copy of it"))?;
    let roots = roots(hsm)?;
    if signed.roots != roots {
        return Err(refuse("it was signed by another HSM's root: is this the right token?"));
    }
    // One that somebody else has written must not be signed again, with a new date.
    let content = signed.verify(&roots.fingerprint(), verify_es256_by).map_err(|error| match error {
        TrustError::Fault(ManifestFault::Unreadable) => refuse("it is of another version of coffer-vault"),
        TrustError::Fault(_) => refuse("it makes no sense: put back a copy of it"),
        _ => refuse("its signature does not hold: put back a copy of it"),
    })?;
    if content.sites != [entry(SITE, hsm)] || content.ake.0 != hsm.public_keys().ake.encode() {
        return Err(refuse("it names other keys than the HSM has: is this the right token?"));
    }
    Ok(Some(Manifest { source: Source::Embedded(path.to_owned()), content, signed }))
}

/// A new fleet.
pub(super) async fn make(path: &Path, hsm: &SharedHsm, max_attempts: u8, now: Time) -> Result<Manifest, Error> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| Error::System("randomness", error.to_string()))?;
    let content = FleetManifest {
        fleet: FleetId(id),
        version: 1,
        threshold: 1,
        max_attempts,
        ake: Base64(hsm.public_keys().ake.encode()),
        sites: vec![entry(SITE, hsm)],
        cells: Vec::new(),
        issued_at: now,
        not_after: now + VALID_FOR,
    };
    sign(path, hsm, content).await
}

/// The same with a new date, if less than half of its time is left.
pub(super) async fn renewed(
    present: &Manifest,
    path: &Path,
    hsm: &SharedHsm,
    now: Time,
) -> Result<Option<Manifest>, Error> {
    if !is_due(present.content.not_after, now) {
        return Ok(None);
    }
    let content = FleetManifest { issued_at: now, not_after: now + VALID_FOR, ..present.content.clone() };
    sign(path, hsm, content).await.map(Some)
}

async fn sign(path: &Path, hsm: &SharedHsm, content: FleetManifest) -> Result<Manifest, Error> {
    let encoded = |error: serde_json::Error| Error::System("the manifest cannot be written", error.to_string());
    let manifest = serde_json::to_vec(&content).map_err(encoded)?;
    let roots = roots(hsm)?;
    let signature = Base64(hsm.sign_as_root(&manifest_message(&manifest)).await?);
    let signatures = roots.keys.iter().map(|key| RootSignature { key: *key, signature }).collect();
    let manifest =
        Base64Vec::new(manifest).map_err(|error| Error::System("the manifest cannot be written", error.to_string()))?;
    let signed = SignedManifest { manifest, roots, signatures, successions: Vec::new() };
    write_private(path, &serde_json::to_vec(&signed).map_err(encoded)?)?;
    Ok(Manifest { source: Source::Embedded(path.to_owned()), content, signed })
}

/// Clients that come seldom have to find one that holds.
fn is_due(not_after: Time, now: Time) -> bool {
    not_after <= now + VALID_FOR / 2
}

fn roots(hsm: &SharedHsm) -> Result<RootSet, Error> {
    let root = hsm.root_public().ok_or(Error::Argument("the token has no fleet-root: `coffer-vault hsm init`"))?;
    Ok(RootSet { threshold: 1, keys: vec![Base64(root.encode())] })
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
