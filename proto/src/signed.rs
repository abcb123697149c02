//! The bytes that are signed, and the contexts that bind one thing to another: one function each, nowhere else.
//!
//! Every message begins with its purpose and names the fleet, the account and every registration that it touches, so
//! that no signature passes for another. Fields are [framed](crate::frame).

use sha2::{Digest as _, Sha256};

use crate::account::AccountId;
use crate::bytes::{Base64, Hash, PointBytes};
use crate::ceremony::{KeyName, SiteCard};
use crate::fleet::{Fingerprint, SiteCertificate};
use crate::framing::frame;
use crate::id::{AttemptId, DeletionId, FleetId, RegistrationId, SiteNumber};
use crate::registration::{Argon2, Change, Registration};
use crate::retrieval::{KE1_LEN, SiteNonce};
use crate::time::Time;

/// Signed by a registration's own unlock key, and by the device, when it is registered.
pub fn registration_message(fleet: &FleetId, account: &AccountId, registration: &Registration) -> Vec<u8> {
    message(b"register", fleet, account, &[registration.id.as_bytes(), &registration.hash().0])
}

/// Signed by the device when it activates a registration, and by a key of the one that is replaced.
pub fn activation_message(
    fleet: &FleetId,
    account: &AccountId,
    registration: &RegistrationId,
    registration_hash: &Hash,
    replaces: Option<&RegistrationId>,
) -> Vec<u8> {
    let replaced = replaces.map_or(&[][..], |id| id.as_bytes());
    message(b"activate", fleet, account, &[registration.as_bytes(), &registration_hash.0, replaced])
}

/// Signed by the device when it spends an attempt.
pub fn attempt_message(
    fleet: &FleetId,
    account: &AccountId,
    registration: &RegistrationId,
    attempt: &AttemptId,
    number: u64,
    ke1_hash: &Hash,
) -> Vec<u8> {
    let number = number.to_be_bytes();
    message(b"attempt", fleet, account, &[registration.as_bytes(), attempt.as_bytes(), &number, &ke1_hash.0])
}

/// Signed by the unlock key when the password was right.
pub fn proof_message(
    fleet: &FleetId,
    account: &AccountId,
    registration: &RegistrationId,
    attempt: &AttemptId,
    number: u64,
    nonces: &[SiteNonce],
) -> Vec<u8> {
    let nonces: Vec<u8> = nonces.iter().flat_map(|pair| [&[pair.site.0][..], &pair.nonce.0].concat()).collect();
    let number = number.to_be_bytes();
    message(b"proof", fleet, account, &[registration.as_bytes(), attempt.as_bytes(), &number, &nonces])
}

/// Signed by a key of the live registration against what would end it.
pub fn keep_message(fleet: &FleetId, account: &AccountId, live: &RegistrationId, against: &Change) -> Vec<u8> {
    let (kind, id): (&[u8], _) = match against {
        Change::Successor(id) => (b"successor", id.as_bytes()),
        Change::Deletion(id) => (b"deletion", id.as_bytes()),
    };
    message(b"keep", fleet, account, &[live.as_bytes(), kind, id])
}

/// Signed by the device, and by a key of the registration that is deleted.
pub fn deletion_message(
    fleet: &FleetId,
    account: &AccountId,
    registration: &RegistrationId,
    deletion: &DeletionId,
) -> Vec<u8> {
    message(b"delete", fleet, account, &[registration.as_bytes(), deletion.as_bytes()])
}

/// Signed by the owner key over an archive head.
pub fn head_message(fleet: &FleetId, account: &AccountId, number: u64, sealed: &[u8]) -> Vec<u8> {
    message(b"head", fleet, account, &[&number.to_be_bytes(), sealed])
}

/// Signed by a site's receipt key.
pub fn receipt_message(
    context: &ShareContext<'_>,
    registration: &Registration,
    point: &PointBytes,
    ledger_number: u64,
    at: Time,
) -> Vec<u8> {
    let fields: [&[u8]; 6] = [
        b"coffer/v1/sign/receipt",
        &context.encode(),
        &registration.hash().0,
        &point.0,
        &ledger_number.to_be_bytes(),
        &at.unix_seconds().to_be_bytes(),
    ];
    frame(fields)
}

/// Signed by a site's receipt key over how far its ledger has got.
pub fn height_message(fleet: &FleetId, site: SiteNumber, number: u64, at: Time) -> Vec<u8> {
    let fields: [&[u8]; 5] = [
        b"coffer/v1/sign/height",
        fleet.as_bytes(),
        &[site.0],
        &number.to_be_bytes(),
        &at.unix_seconds().to_be_bytes(),
    ];
    frame(fields)
}

/// Signed by a site's identity key: all of the certificate but its signature.
pub fn certificate_message(fleet: &FleetId, certificate: &SiteCertificate) -> Vec<u8> {
    let fields: [&[u8]; 7] = [
        b"coffer/v1/sign/certificate",
        fleet.as_bytes(),
        &[certificate.site.0],
        &certificate.receipt_key.0,
        &certificate.transport_key.0,
        &certificate.not_before.unix_seconds().to_be_bytes(),
        &certificate.not_after.unix_seconds().to_be_bytes(),
    ];
    frame(fields)
}

/// Signed by the roots: the manifest's own bytes are too long for a frame, so their hash stands for them.
pub fn manifest_message(manifest: &[u8]) -> Vec<u8> {
    frame([b"coffer/v1/sign/manifest".as_slice(), &Sha256::digest(manifest)])
}

/// What a share is sealed for: nowhere else can it be taken in.
#[derive(Debug, Clone, Copy)]
pub struct ShareContext<'a> {
    /// The fleet.
    pub fleet: &'a FleetId,
    /// The site.
    pub site: SiteNumber,
    /// The account.
    pub account: &'a AccountId,
    /// The registration.
    pub registration: &'a Registration,
    /// How many sites there are. As many as a retrieval needs have a commitment.
    pub sites: u8,
}

impl ShareContext<'_> {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let registration = self.registration;
        let threshold = u8::try_from(registration.commitments.len()).unwrap_or(0);
        let unlock_key = &registration.unlock_key.0;
        let fields: [&[u8]; 11] = [
            b"coffer/v1/share",
            self.fleet.as_bytes(),
            &registration.manifest_version.to_be_bytes(),
            &[self.site.0],
            self.account.as_bytes(),
            registration.id.as_bytes(),
            &registration.commitments_hash().0,
            unlock_key,
            &registration.owner_key.0,
            &[self.sites],
            &[threshold],
        ];
        frame(fields)
    }
}

/// OPAQUE's client identity. The server identity is the fleet's id.
pub fn client_identity(account: &AccountId, registration: &RegistrationId) -> Vec<u8> {
    frame([account.as_bytes(), registration.as_bytes()])
}

/// OPAQUE's context.
pub fn oprf_context(argon2: &Argon2, sites: u8, threshold: u8) -> Vec<u8> {
    let argon2 = [argon2.memory_kib, argon2.passes, argon2.lanes].map(u32::to_be_bytes);
    frame([b"coffer/v1".as_slice(), argon2.as_flattened(), &[sites], &[threshold]])
}

/// What a wrapped backup key is bound to.
pub fn escrow_context(fleet: &FleetId, account: &AccountId, registration: &RegistrationId) -> Vec<u8> {
    frame([fleet.as_bytes().as_slice(), account.as_bytes(), registration.as_bytes()])
}

/// What stands for a KE1 in signatures and ledgers.
impl From<&Base64<KE1_LEN>> for Hash {
    fn from(ke1: &Base64<KE1_LEN>) -> Self {
        Self(Sha256::digest(ke1.0).into())
    }
}

fn message(purpose: &[u8], fleet: &FleetId, account: &AccountId, rest: &[&[u8]]) -> Vec<u8> {
    let head = [b"coffer/v1/sign".as_slice(), purpose, fleet.as_bytes(), account.as_bytes()];
    frame(head.into_iter().chain(rest.iter().copied()))
}

/// Signed by a set of roots that hands over to the next.
pub fn root_succession_message(from: &Fingerprint, to: &Fingerprint) -> Vec<u8> {
    frame([b"coffer/v1/sign/root-succession".as_slice(), &from.0, &to.0])
}

/// Signed by the identity key of the HSM that a card is of.
pub fn site_card_message(card: &SiteCard) -> Vec<u8> {
    frame([b"coffer/v1/sign/site-card".as_slice(), &card.share_import.0, &card.site_identity.0])
}

/// Signed by the roots over the sealed keys of a site.
pub fn site_keys_message(site_keys: &[u8]) -> Vec<u8> {
    frame([b"coffer/v1/sign/site-keys".as_slice(), &Sha256::digest(site_keys)])
}

/// Signed by a root over all that a ceremony has written down so far, of which this is the last line's hash.
pub fn transcript_message(last: &Hash) -> Vec<u8> {
    frame([b"coffer/v1/sign/transcript".as_slice(), &last.0])
}

/// What a key of a site is sealed for: one HSM, one site, one purpose.
pub fn site_key_context(fleet: &FleetId, site: SiteNumber, key: KeyName, card: &SiteCard) -> Vec<u8> {
    let fields: [&[u8]; 6] = [
        b"coffer/v1/site-key",
        fleet.as_bytes(),
        &[site.0],
        key.as_str().as_bytes(),
        &card.share_import.0,
        &card.site_identity.0,
    ];
    frame(fields)
}
