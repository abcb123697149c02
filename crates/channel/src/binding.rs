//! What a seal is bound to: the site that it is for, and everything of the request that can be seen.

use coffer_proto::{AccountId, FleetId, Hash, SealedRequest, SiteNumber, TransportKeyId, frame};
use sha2::{Digest as _, Sha256};

use crate::suite;

/// Whom a request is for, as client and site both know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// The fleet.
    pub fleet: FleetId,
    /// SHA-256 of the manifest's bytes as they were signed. A client and a site that believe different manifests do not
    /// understand each other.
    pub manifest: Hash,
    /// The site.
    pub site: SiteNumber,
}

/// Who asks, as it stands in the clear beside the envelope.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "a token is no one's to read")]
pub struct Sender<'a> {
    /// The token's account.
    pub account: &'a AccountId,
    /// The token.
    pub token: &'a str,
}

impl Destination {
    /// HPKE's `info`.
    pub(crate) fn info(&self, key: &TransportKeyId) -> Vec<u8> {
        let Self { fleet, manifest, site } = self;
        frame([suite::INFO, fleet.as_bytes(), &manifest.0, &[site.0], key.as_bytes()])
    }
}

/// HPKE's additional data of a request.
pub(crate) fn request_aad(sender: &Sender<'_>, envelope: &SealedRequest) -> Vec<u8> {
    let fields: [&[u8]; 6] = [
        envelope.method.as_str().as_bytes(),
        envelope.route.as_str().as_bytes(),
        sender.account.as_bytes(),
        envelope.id.as_ref().map_or(&[][..], |id| id.as_bytes()),
        &Sha256::digest(sender.token),
        &envelope.time.unix_seconds().to_be_bytes(),
    ];
    frame(fields)
}

/// What stands for a whole request, as it was sent.
pub(crate) fn request_hash(aad: &[u8], envelope: &SealedRequest) -> [u8; 32] {
    Sha256::digest(frame([aad, &envelope.enc.0, envelope.ciphertext.as_bytes()])).into()
}
