//! What a site's receipt proves, checked by the one who knows the share.

use coffer_pake::{Point, verify_es256};
use coffer_proto::{
    AccountId, Receipt, Registration, ShareContext, Signature, VerifyingKey, certificate_message, receipt_message,
};

use crate::fleet::{Fleet, Site};

/// Whether a receipt is this site's, for this share of this registration. Only with the share can `expected` be computed:
/// by the client, which dealt it, and inside the site's HSM.
pub(crate) fn holds(
    fleet: &Fleet,
    account: &AccountId,
    registration: &Registration,
    site: &Site,
    expected: &Point,
    receipt: &Receipt,
) -> bool {
    let context = ShareContext { fleet: &fleet.id, site: site.number, account, registration, sites: fleet.sites() };
    let message = receipt_message(&context, registration, &receipt.point, receipt.ledger_number, receipt.at);
    let certificate = &receipt.certificate;
    receipt.site == site.number
        && receipt.point.0 == expected.encode()
        && certificate.site == site.number
        && (certificate.not_before..=certificate.not_after).contains(&receipt.at)
        && verify_es256(&site.identity, &certificate_message(&fleet.id, certificate), &certificate.signature.0)
        && verify(&certificate.receipt_key, &message, &receipt.signature)
}

/// Whether an Ed25519 signature holds, in the strict sense.
pub(crate) fn verify(key: &VerifyingKey, message: &[u8], signature: &Signature) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
    ed25519_dalek::VerifyingKey::from_bytes(&key.0).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}
