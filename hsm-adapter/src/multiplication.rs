//! Multiplying a point by a key that does not leave the token.

use std::cell::Cell;

use coffer_vault_core::Point;
use cryptoki::error::Error;
use cryptoki::mechanism::elliptic_curve::{EcKdf, Ecdh1DeriveParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use crate::session_object::SessionObject;
use crate::sign_recovery::X;

/// `CKM_ECDH1_DERIVE` with `CKD_NULL`: the derived key's value is x(k·element).
pub(crate) fn derive(
    session: &Session,
    key: ObjectHandle,
    element: &Point,
    template: &[Attribute],
) -> Result<ObjectHandle, Error> {
    let element = element.encode_uncompressed();
    session.derive_key(&Mechanism::Ecdh1Derive(Ecdh1DeriveParams::new(EcKdf::null(), &element)), key, template)
}

/// x(k·element). See [`SessionObject::new`] for `leftover`.
pub(crate) fn x_of_product(
    session: &Session,
    key: ObjectHandle,
    element: &Point,
    leftover: &Cell<bool>,
) -> Result<X, Error> {
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
        Attribute::ValueLen(32.into()),
    ];
    let product = SessionObject::new(session, derive(session, key, element, &template)?, leftover);
    match session.get_attributes(product.handle(), &[AttributeType::Value])?.as_slice() {
        [Attribute::Value(value)] => Ok(value.as_slice().try_into()?),
        _ => Err(Error::InvalidValue),
    }
}

/// The AES-256 key that unwraps what was sealed to `share-import`, as a session object. `transport` is c·E.
pub(crate) fn transport_kek(
    session: &Session,
    share_import: ObjectHandle,
    transport: &Point,
) -> Result<ObjectHandle, Error> {
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(false),
        Attribute::Decrypt(false),
        Attribute::Wrap(false),
        Attribute::Unwrap(true),
        Attribute::AllowedMechanisms(vec![MechanismType::AES_KEY_WRAP_PAD]),
        Attribute::ValueLen(32.into()),
    ];
    derive(session, share_import, transport, &template)
}
