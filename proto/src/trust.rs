//! From the fingerprint that was pinned to what the roots have signed. One walk for clients and sites; this crate has no
//! cryptography, so whoever walks brings ES256 along.

use std::collections::HashSet;

use crate::bytes::PointBytes;
use crate::ceremony::{SignedSiteKeys, SiteKeys};
use crate::fleet::{Fingerprint, FleetManifest, RootSet, RootSignature, SignedManifest};
use crate::manifest::ManifestFault;
use crate::signed::{manifest_message, root_succession_message, site_keys_message};

/// Root keys of one set at most: two of three sign a fleet's manifest.
pub const ROOTS_AT_MOST: usize = 16;

/// Sets of roots at most that have handed over.
pub const SUCCESSIONS_AT_MOST: usize = 64;

/// Whether a signature of 64 bytes over a message is that of the P-256 key in 33: `coffer_pake::verify_es256_by`.
pub type Es256 = fn(&[u8; 33], &[u8], &[u8; 64]) -> bool;

/// Why something that roots should have signed is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// Neither they nor those before them have the fingerprint that was pinned.
    #[error("it is not of the roots that the fingerprint names")]
    OtherRoots,
    /// A set of roots was not named by enough of those before it.
    #[error("its roots were not named by those before them")]
    Succession,
    /// Too few of the roots have signed.
    #[error("too few of the roots have signed it")]
    Unsigned,
    /// It breaks a rule.
    #[error(transparent)]
    Fault(#[from] ManifestFault),
}

impl RootSet {
    /// Whether so many of the roots have signed `message` as are needed. One that signs twice is one.
    pub fn have_signed(&self, message: &[u8], signatures: &[RootSignature], es256: Es256) -> bool {
        if self.threshold == 0 || self.keys.len() > ROOTS_AT_MOST || signatures.len() > 2 * ROOTS_AT_MOST {
            return false;
        }
        let has_signed = |key: &&PointBytes| {
            let mut own = signatures.iter().filter(|signature| signature.key == **key);
            own.any(|signature| es256(&key.0, message, &signature.signature.0))
        };
        let signers: HashSet<_> = self.keys.iter().filter(has_signed).collect();
        signers.len() >= usize::from(self.threshold)
    }
}

impl SignedManifest {
    /// The manifest, if the roots of `pinned`, or those whom they have named, have signed it and it keeps the
    /// [rules](FleetManifest::check). Whether it is in date and the newest, the caller has to see; and that its roots
    /// follow from the last ones that it has seen, by asking again with their fingerprint: those before them may be stolen.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn verify(&self, pinned: &Fingerprint, es256: Es256) -> Result<FleetManifest, TrustError> {
        self.walk(pinned, es256)?;
        if !self.roots.have_signed(&manifest_message(self.manifest.as_bytes()), &self.signatures, es256) {
            return Err(TrustError::Unsigned);
        }
        let manifest: FleetManifest =
            serde_json::from_slice(self.manifest.as_bytes()).map_err(|_| ManifestFault::Unreadable)?;
        manifest.check()?;
        Ok(manifest)
    }

    fn walk(&self, pinned: &Fingerprint, es256: Es256) -> Result<(), TrustError> {
        let earlier = &self.successions;
        let sets = || earlier.iter().map(|succession| &succession.roots).chain([&self.roots]);
        if earlier.len() > SUCCESSIONS_AT_MOST || sets().any(|set| set.keys.len() > ROOTS_AT_MOST) {
            return Err(TrustError::OtherRoots);
        }
        let fingerprints: Vec<Fingerprint> = sets().map(RootSet::fingerprint).collect();
        // The newest set of this fingerprint: what came before it is behind whoever pins it.
        let begin = fingerprints.iter().rposition(|set| set == pinned).ok_or(TrustError::OtherRoots)?;
        for (succession, pair) in earlier.iter().zip(fingerprints.windows(2)).skip(begin) {
            let message = root_succession_message(&pair[0], &pair[1]);
            if !succession.roots.have_signed(&message, &succession.signatures, es256) {
                return Err(TrustError::Succession);
            }
        }
        Ok(())
    }
}

impl SignedSiteKeys {
    /// The sealed keys, if the roots of `pinned` have signed them.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn verify(&self, pinned: &Fingerprint, es256: Es256) -> Result<SiteKeys, TrustError> {
        if self.roots.keys.len() > ROOTS_AT_MOST || self.roots.fingerprint() != *pinned {
            return Err(TrustError::OtherRoots);
        }
        if !self.roots.have_signed(&site_keys_message(self.site_keys.as_bytes()), &self.signatures, es256) {
            return Err(TrustError::Unsigned);
        }
        Ok(serde_json::from_slice(self.site_keys.as_bytes()).map_err(|_| ManifestFault::Unreadable)?)
    }
}
