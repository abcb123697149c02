//! Signatures and tokens: who said what. Every site verifies for itself what it acts on.

use coffer_pake::Point;
use coffer_proto::{
    AccountId, Authorization, FleetId, KeyRole, LedgerHeight, Receipt, Registration, ShareContext, Signature,
    SiteCertificate, SiteNumber, Time, VerifyingKey, certificate_message, height_message, receipt_message,
};

use crate::error::VaultError;
use crate::outside::Bearer;
use crate::ports::Tokens;
use crate::world::{Ports, World};

/// Whether an Ed25519 signature holds, in the strict sense: no key or signature of small order, one encoding only.
pub(crate) fn holds(key: &VerifyingKey, message: &[u8], signature: &Signature) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
    ed25519_dalek::VerifyingKey::from_bytes(&key.0).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

/// [`holds`], or the problem.
pub(crate) fn verify(key: &VerifyingKey, message: &[u8], signature: &Signature) -> Result<(), VaultError> {
    if holds(key, message, signature) { Ok(()) } else { Err(VaultError::InvalidSignature) }
}

/// Whether a key of the registration has signed.
pub(crate) fn is_authorized(registration: &Registration, message: &[u8], authorization: &Authorization) -> bool {
    let key = match authorization.role {
        KeyRole::Unlock => &registration.unlock_key,
        KeyRole::Owner => &registration.owner_key,
    };
    holds(key, message, &authorization.signature)
}

/// The bearer of a token that held at `time`, if it is this account's and its device signed the message.
pub(crate) fn device_signed<W: World>(
    ports: &Ports<W>,
    account: &AccountId,
    token: &str,
    time: Time,
    message: &[u8],
    signature: &Signature,
) -> Result<Bearer, VaultError> {
    let bearer = ports.tokens.verify(token, time).ok_or(VaultError::Unauthorized)?;
    if bearer.account != *account {
        return Err(VaultError::Unauthorized);
    }
    verify(&bearer.device_key, message, signature)?;
    Ok(bearer)
}

/// Whether a receipt is by the site that it names, for this registration, certified when it was given. Only the client
/// can tell whether its point is right.
pub(crate) fn receipt_holds(
    identities: &[Point],
    fleet: &FleetId,
    account: &AccountId,
    registration: &Registration,
    receipt: &Receipt,
) -> bool {
    let site = receipt.site;
    let Some(identity) = identity_of(identities, site) else { return false };
    let Ok(sites) = u8::try_from(identities.len()) else { return false };
    let context = ShareContext { fleet, site, account, registration, sites };
    let message = receipt_message(&context, registration, &receipt.point, receipt.ledger_number, receipt.at);
    receipt.certificate.site == site
        && certificate_holds(identity, fleet, &receipt.certificate, receipt.at)
        && holds(&receipt.certificate.receipt_key, &message, &receipt.signature)
}

/// No ledger gets there by writing. Whoever claims more would leave its site no number to go on with.
const HIGHEST: u64 = 1 << 62;

/// Whether a height is by the site that it names, certified when it was given.
pub(crate) fn height_holds(identities: &[Point], fleet: &FleetId, height: &LedgerHeight) -> bool {
    let LedgerHeight { site, number, at, signature, certificate } = height;
    if *number > HIGHEST {
        return false;
    }
    let Some(identity) = identity_of(identities, *site) else { return false };
    certificate.site == *site
        && certificate_holds(identity, fleet, certificate, *at)
        && holds(&certificate.receipt_key, &height_message(fleet, *site, *number, *at), signature)
}

fn identity_of(identities: &[Point], site: SiteNumber) -> Option<&Point> {
    identities.get(usize::from(site.0).checked_sub(1)?)
}

fn certificate_holds(identity: &Point, fleet: &FleetId, certificate: &SiteCertificate, at: Time) -> bool {
    let message = certificate_message(fleet, certificate);
    (certificate.not_before..=certificate.not_after).contains(&at)
        && coffer_pake::verify_es256(identity, &message, &certificate.signature.0)
}
