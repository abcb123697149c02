//! How an HSM introduces itself to the key ceremony.

use coffer_proto::{Base64, SiteCard, site_card_message};
use coffer_vault_core::Point;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use sha2::{Digest as _, Sha256};

use crate::check::{Finding, check_origin};
use crate::config::TokenConfig;
use crate::error::TokenError;
use crate::keys::{Key, SHARE_IMPORT, SITE_IDENTITY};
use crate::library::Library;
use crate::public_half::{belongs, public_half};

/// The public halves of the pairs that the token has made itself, signed by its `site-identity`. Other keys it need not
/// have yet. Keys that came from outside, or could once be read, are not introduced: somebody may have put them there.
pub fn card(config: &TokenConfig) -> Result<SiteCard, TokenError> {
    let library = Library::initialise(config)?;
    let session = library.log_in(library.token(config)?, &config.pin)?;
    let (import, share_import) = pair(&session, SHARE_IMPORT)?;
    let (identity, site_identity) = pair(&session, SITE_IDENTITY)?;
    let mut findings = Vec::new();
    for (key, private) in [(SHARE_IMPORT, import), (SITE_IDENTITY, identity)] {
        check_origin(&session, key, private, &mut findings)?;
    }
    if !findings.is_empty() {
        return Err(TokenError::Unfit(findings));
    }
    let [share_import, site_identity] = [share_import, site_identity].map(|public| Base64(public.encode()));
    let mut card = SiteCard { share_import, site_identity, signature: Base64([0; 64]) };
    let signature = session.sign(&Mechanism::Ecdsa, identity, &Sha256::digest(site_card_message(&card)))?;
    card.signature = Base64(signature.try_into().map_err(|_| unfit(Finding::PublicHalf(SITE_IDENTITY.label)))?);
    Ok(card)
}

/// Whether a card is signed by the key that it names, and names two different keys.
pub fn card_holds(card: &SiteCard) -> bool {
    let is_signed = coffer_pake::verify_es256_by(&card.site_identity.0, &site_card_message(card), &card.signature.0);
    is_signed && Point::parse(&card.share_import.0).is_ok() && card.share_import != card.site_identity
}

/// A pair's private half, and its public half, which belongs to it.
pub(crate) fn pair(session: &Session, key: Key) -> Result<(ObjectHandle, Point), TokenError> {
    let [private] = session.find_objects(&key.search())?[..] else { return Err(unfit(Finding::NoKey(key.label))) };
    let public = public_half(session, key)?.ok_or_else(|| unfit(Finding::PublicHalf(key.label)))?;
    if !belongs(session, key, private, &public)? {
        return Err(unfit(Finding::PublicHalf(key.label)));
    }
    Ok((private, public))
}

fn unfit(finding: Finding) -> TokenError {
    TokenError::Unfit(vec![finding])
}
