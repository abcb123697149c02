//! The public halves of the token's pairs.

use std::cell::Cell;

use coffer_vault_core::Point;
use cryptoki::error::Error;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::Session;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::ecdsa::{Signature, VerifyingKey};

use crate::keys::{Key, Purpose};
use crate::multiplication::x_of_product;
use crate::sign_recovery::x_of;

/// What the token says. `None` if it is no point of P-256, or there is none.
pub(crate) fn public_half(session: &Session, key: Key) -> Result<Option<Point>, Error> {
    let Some(half) = session.find_objects(&key.public_search())?.into_iter().next() else { return Ok(None) };
    Ok(match session.get_attributes(half, &[AttributeType::EcPoint])?.as_slice() {
        // PKCS#11 has the point inside a DER OCTET STRING; some tokens give it bare.
        [Attribute::EcPoint(bytes)] => match bytes.as_slice() {
            [0x04, 65, point @ ..] if point.len() == Point::UNCOMPRESSED_LEN => Point::parse_uncompressed(point).ok(),
            point => Point::parse_uncompressed(point).ok(),
        },
        _ => None,
    })
}

/// Whether the pair is one: what the private half does fits the public half. Public objects are anyone's to replace.
pub(crate) fn belongs(session: &Session, key: Key, private: ObjectHandle, public: &Point) -> Result<bool, Error> {
    if key.purpose == Purpose::Derive {
        let leftover = Cell::new(false);
        return Ok(x_of_product(session, private, &Point::generator(), &leftover)? == x_of(public));
    }
    // A digest that nothing hashes to, so that the signature is good for nothing else.
    let digest = [0x5a; 32];
    let signature = session.sign(&Mechanism::Ecdsa, private, &digest)?;
    let public = VerifyingKey::from_sec1_bytes(&public.encode());
    let signature = Signature::from_slice(&signature);
    Ok(public.is_ok_and(|public| signature.is_ok_and(|signature| public.verify_prehash(&digest, &signature).is_ok())))
}
