//! What a site's receipt proves, checked by the one who knows the share.

use coffer_pake::verify_es256;
use coffer_proto::{
    AccountId, FleetId, PointBytes, Receipt, Registration, ShareContext, Signature, SiteCertificate, Time,
    VerifyingKey, certificate_message, receipt_message,
};

use crate::fleet::{Fleet, Site};

/// Whether a receipt is this site's, for this share of this registration. Only with the share can `expected` be computed:
/// by the client, which dealt it, and inside the site's HSM.
pub(crate) fn holds(
    fleet: &Fleet,
    account: &AccountId,
    registration: &Registration,
    site: &Site,
    expected: &PointBytes,
    receipt: &Receipt,
) -> bool {
    let context = ShareContext { fleet: &fleet.id, site: site.number, account, registration, sites: fleet.sites() };
    let message = receipt_message(&context, registration, &receipt.point, receipt.ledger_number, receipt.at);
    let certificate = &receipt.certificate;
    receipt.site == site.number
        && receipt.point == *expected
        && certifies(&fleet.id, std::slice::from_ref(site), certificate, receipt.at)
        && verify(&certificate.receipt_key, &message, &receipt.signature)
}

/// Whether a certificate is by the identity key of the one of these sites that it names, and holds at that time.
pub(crate) fn certifies(fleet: &FleetId, sites: &[Site], certificate: &SiteCertificate, at: Time) -> bool {
    let message = certificate_message(fleet, certificate);
    let Some(site) = sites.iter().find(|site| site.number == certificate.site) else { return false };
    (certificate.not_before..=certificate.not_after).contains(&at)
        && verify_es256(&site.identity, &message, &certificate.signature.0)
}

/// Whether an Ed25519 signature holds, in the strict sense.
pub(crate) fn verify(key: &VerifyingKey, message: &[u8], signature: &Signature) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
    ed25519_dalek::VerifyingKey::from_bytes(&key.0).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}
