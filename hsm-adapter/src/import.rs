//! Keys of the ceremony, into the token that they were sealed to.

use std::cell::Cell;

use coffer_pake::import_point;
use coffer_proto::{Base64, KeyName, SealedKey, SiteKeys, site_key_context};
use coffer_vault_core::Point;
use cryptoki::error::Error;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, KeyType, ObjectHandle};
use cryptoki::session::Session;

use crate::card::pair;
use crate::check::findings;
use crate::config::TokenConfig;
use crate::error::TokenError;
use crate::keys::{AKE, Key, P256, Purpose, SHARE_IMPORT, SITE_IDENTITY, imported};
use crate::library::Library;
use crate::multiplication::{transport_kek, x_of_product};
use crate::operator::is_lost;
use crate::session_object::SessionObject;
use crate::sign_recovery::x_of;

/// A secret of 32 bytes, wrapped: SoftHSM keeps no length of a key that it has unwrapped.
const WRAPPED_SECRET: usize = 32 + 8;

/// Unwraps the sealed keys of a site inside its token, as token objects with every attribute that
/// [`check`](fn@crate::check) asks for. The caller has verified the roots' signatures over them.
///
/// All of them are opened before the first is kept, so that a file that does not do changes nothing; and nothing is ever
/// overwritten. A key that is there already and is the same is left as it is: to go on after a crash, call it again.
pub fn import(config: &TokenConfig, site_keys: &SiteKeys) -> Result<(), TokenError> {
    let library = Library::initialise(config)?;
    let slot = library.token(config)?;
    let session = library.log_in_to_write(slot, &config.pin)?;
    let leftover = Cell::new(false);
    let importer = Importer::start(&session, site_keys, &leftover)?;
    let missing = importer.missing()?;
    for sealed in missing {
        importer.keep(sealed)?;
    }
    if session.find_objects(&AKE.public_search())?.is_empty() {
        session.create_object(&public_ake(&importer.ake))?;
    }
    let findings = findings(library.module(), slot, &session, false)?;
    if findings.is_empty() { Ok(()) } else { Err(TokenError::Unfit(findings)) }
}

struct Importer<'s> {
    session: &'s Session,
    site_keys: &'s SiteKeys,
    share_import: ObjectHandle,
    ake: Point,
    leftover: &'s Cell<bool>,
}

impl<'s> Importer<'s> {
    fn start(session: &'s Session, site_keys: &'s SiteKeys, leftover: &'s Cell<bool>) -> Result<Self, TokenError> {
        let (share_import, import_public) = pair(session, SHARE_IMPORT)?;
        let (_, identity_public) = pair(session, SITE_IDENTITY)?;
        let card = &site_keys.card;
        let own = [import_public, identity_public].map(|public| Base64(public.encode()));
        if own != [card.share_import, card.site_identity] {
            return Err(TokenError::OtherHsm);
        }
        let mut names: Vec<KeyName> = site_keys.keys.iter().map(|sealed| sealed.key).collect();
        names.sort_unstable();
        if names != KeyName::ALL {
            return Err(TokenError::KeySet);
        }
        let ake = Point::parse(&site_keys.ake.0).map_err(|_| TokenError::Sealed(AKE.label))?;
        Ok(Self { session, site_keys, share_import, ake, leftover })
    }

    /// Opens every key, and compares it with what is there.
    fn missing(&self) -> Result<Vec<&'s SealedKey>, TokenError> {
        let mut missing = Vec::new();
        for sealed in &self.site_keys.keys {
            let key = imported(sealed.key);
            let opened = self.own(self.unwrap(sealed, false)?);
            if sealed.key == KeyName::Ake
                && x_of_product(self.session, opened.handle(), &Point::generator(), self.leftover)? != x_of(&self.ake)
            {
                return Err(TokenError::Sealed(key.label));
            }
            match self.session.find_objects(&key.search())?[..] {
                [] => missing.push(sealed),
                [present] if self.are_alike(key, present, opened.handle())? => {}
                _ => return Err(TokenError::KeyIsThere(key.label)),
            }
        }
        Ok(missing)
    }

    /// For good.
    fn keep(&self, sealed: &SealedKey) -> Result<(), TokenError> {
        self.unwrap(sealed, true).map(drop)
    }

    fn unwrap(&self, sealed: &SealedKey, on_token: bool) -> Result<ObjectHandle, TokenError> {
        let key = imported(sealed.key);
        let refused = TokenError::Sealed(key.label);
        let Ok(ephemeral) = Point::parse(&sealed.ephemeral.0) else { return Err(refused) };
        if !key.purpose.is_pair() && sealed.wrapped.as_bytes().len() != WRAPPED_SECRET {
            return Err(refused);
        }
        let SiteKeys { fleet, site, card, .. } = self.site_keys;
        let transport = import_point(&site_key_context(fleet, *site, sealed.key, card), &ephemeral);
        let kek = self.own(transport_kek(self.session, self.share_import, &transport)?);
        let template = key.unwrapping_template(on_token);
        let unwrapped =
            self.session.unwrap_key(&Mechanism::AesKeyWrapPad, kek.handle(), sealed.wrapped.as_bytes(), &template);
        unwrapped.map_err(|error| if is_lost(&error) { error.into() } else { refused })
    }

    /// Whether two keys do the same. Neither can be read.
    fn are_alike(&self, key: Key, one: ObjectHandle, other: ObjectHandle) -> Result<bool, Error> {
        let multiply = |key| x_of_product(self.session, key, &Point::generator(), self.leftover);
        let mac = |key| self.session.sign(&Mechanism::Sha256Hmac, key, b"coffer/v1/the same key?");
        match key.purpose {
            Purpose::Derive | Purpose::Sign => Ok(multiply(one)? == multiply(other)?),
            Purpose::Mac => Ok(mac(one)? == mac(other)?),
            Purpose::Wrap => {
                // RFC 5649 wraps the same key in the same way each time.
                let template = [
                    Attribute::Token(false),
                    Attribute::Private(true),
                    Attribute::Sensitive(true),
                    Attribute::Extractable(true),
                    Attribute::KeyType(KeyType::GENERIC_SECRET),
                    Attribute::ValueLen(32.into()),
                ];
                let probe = self.own(self.session.generate_key(&Mechanism::GenericSecretKeyGen, &template)?);
                let wrap = |key| self.session.wrap_key(&Mechanism::AesKeyWrapPad, key, probe.handle());
                Ok(wrap(one)? == wrap(other)?)
            }
        }
    }

    const fn own(&self, handle: ObjectHandle) -> SessionObject<'s> {
        SessionObject::new(self.session, handle, self.leftover)
    }
}

/// C_UnwrapKey gives the private half alone.
fn public_ake(ake: &Point) -> Vec<Attribute> {
    // PKCS#11 has the point inside a DER OCTET STRING.
    let point = [&[0x04, 65][..], &ake.encode_uncompressed()].concat();
    let mut template = AKE.public_search().to_vec();
    template.extend([
        Attribute::KeyType(KeyType::EC),
        Attribute::EcParams(P256.to_vec()),
        Attribute::EcPoint(point),
        Attribute::Private(false),
        Attribute::Modifiable(false),
        Attribute::Encrypt(false),
        Attribute::Wrap(false),
        Attribute::Verify(false),
    ]);
    template
}
