//! What someone tries who runs code on the host and knows the PIN. Without the attributes of [`crate::keys`], SoftHSM
//! lets most of it through. Each attack is made on keys that the token has made and on keys that a ceremony has.

use coffer_vault_core::Point;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeInfo, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::dealt::{imported, share};
use super::token::{TokenFolder, find, in_own_process};
use crate::keys::{AKE, FLEET_ROOT, Key, LEDGER_MAC, SHARE_IMPORT, SHARE_KEK, SITE_IDENTITY, keys};
use crate::multiplication::derive;
use crate::unwrap_template::sensitive_and_not_extractable;

/// A token with a share that came in the ordinary way, and a session of the attacker's.
fn attack(token: &TokenFolder, attack: impl Fn(&Session, &[u8])) {
    let wrapped = imported(&token.open(), &share()).wrapped;
    token.as_attacker(|session| attack(session, &wrapped));
    token.forget();
    let wrapped = imported(&token.open_as_site(), &share()).wrapped;
    token.as_attacker(|session| attack(session, &wrapped));
}

/// All that a token of its kind has: a site of a fleet has no `fleet-root`.
fn present(session: &Session) -> Vec<Key> {
    keys(!session.find_objects(&FLEET_ROOT.search()).unwrap().is_empty()).collect()
}

pub(super) fn as_private_key(sensitive: bool, extractable: bool) -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::KeyType(KeyType::EC),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(sensitive),
        Attribute::Extractable(extractable),
        Attribute::Derive(true),
    ]
}

pub(super) fn as_secret() -> [Attribute; 6] {
    [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
        Attribute::ValueLen(32.into()),
    ]
}

/// An ordinary unwrapping works, so that the refusals below are not of something else.
fn unwrapped(session: &Session, wrapped: &[u8]) -> ObjectHandle {
    let kek = find(session, SHARE_KEK);
    session.unwrap_key(&Mechanism::AesKeyWrapPad, kek, wrapped, &as_private_key(true, false)).unwrap()
}

#[track_caller]
pub(super) fn refused<T>(what: &str, result: Result<T, Error>) {
    let Err(error) = result else { return assert!(result.is_err(), "succeeded: {what}") };
    // Refused for what it is, and not because the attack has a mistake.
    let expected = matches!(
        error,
        Error::Pkcs11(
            RvError::ActionProhibited
                | RvError::AttributeReadOnly
                | RvError::AttributeSensitive
                | RvError::KeyFunctionNotPermitted
                | RvError::KeyNotWrappable
                | RvError::KeyUnextractable
                | RvError::MechanismInvalid
                | RvError::TemplateInconsistent,
            _
        )
    );
    assert!(expected, "{what}: {error}");
}

#[test]
fn refuses_to_unwrap_a_share_as_extractable_or_not_sensitive() {
    in_own_process(|token| {
        attack(token, |session, wrapped| {
            unwrapped(session, wrapped);
            let kek = find(session, SHARE_KEK);
            for (sensitive, extractable) in [(true, true), (false, false), (false, true)] {
                let template = as_private_key(sensitive, extractable);
                let result = session.unwrap_key(&Mechanism::AesKeyWrapPad, kek, wrapped, &template);
                refused(&format!("sensitive {sensitive}, extractable {extractable}"), result);
            }
        });
    });
}

#[test]
fn refuses_to_unwrap_a_share_as_a_secret_or_data_that_can_be_read() {
    in_own_process(|token| {
        attack(token, |session, wrapped| {
            let kek = find(session, SHARE_KEK);
            let result = session.unwrap_key(&Mechanism::AesKeyWrapPad, kek, wrapped, &as_secret());
            refused("as a generic secret", result);
        });
    });
}

#[test]
fn refuses_to_make_an_unwrapped_share_readable() {
    in_own_process(|token| {
        attack(token, |session, wrapped| {
            let share = unwrapped(session, wrapped);
            assert!(hides_value(session, share));
            refused("set extractable", session.update_attributes(share, &[Attribute::Extractable(true)]));
            refused("set not sensitive", session.update_attributes(share, &[Attribute::Sensitive(false)]));
            refused("copy extractable", session.copy_object(share, &[Attribute::Extractable(true)]));
            refused("copy not sensitive", session.copy_object(share, &[Attribute::Sensitive(false)]));
        });
    });
}

#[test]
fn refuses_to_wrap_an_unwrapped_share_under_a_key_of_the_attackers() {
    in_own_process(|token| {
        attack(token, |session, wrapped| {
            let own = session
                .generate_key(
                    &Mechanism::AesKeyGen,
                    &[Attribute::Token(false), Attribute::Wrap(true), Attribute::ValueLen(32.into())],
                )
                .unwrap();
            let share = unwrapped(session, wrapped);
            refused("wrap a share", session.wrap_key(&Mechanism::AesKeyWrapPad, own, share));
            for key in present(session) {
                let key_handle = find(session, key);
                refused(key.label, session.wrap_key(&Mechanism::AesKeyWrapPad, own, key_handle));
            }
        });
    });
}

#[test]
fn refuses_to_copy_any_key() {
    in_own_process(|token| attack(token, |session, _| cannot_copy(session)));
}

pub(super) fn cannot_copy(session: &Session) {
    for key in present(session) {
        let handle = find(session, key);
        refused(&format!("copy {}", key.label), session.copy_object(handle, &[]));
        for change in [
            Attribute::Label(b"copy".to_vec()),
            Attribute::Token(false),
            Attribute::Decrypt(true),
            Attribute::Modifiable(true),
            Attribute::Copyable(true),
            Attribute::Extractable(true),
            Attribute::Sensitive(false),
            Attribute::AllowedMechanisms(vec![MechanismType::AES_CBC]),
            sensitive_and_not_extractable(),
        ] {
            let what = format!("copy {} with {change:?}", key.label);
            refused(&what, session.copy_object(handle, &[change]));
        }
    }
}

#[test]
fn refuses_to_change_any_attribute_of_any_key() {
    in_own_process(|token| attack(token, |session, _| cannot_change(session)));
}

pub(super) fn cannot_change(session: &Session) {
    for key in present(session) {
        let handle = find(session, key);
        for change in [
            Attribute::Decrypt(true),
            Attribute::Encrypt(true),
            Attribute::Extractable(true),
            Attribute::Sensitive(false),
            Attribute::Modifiable(true),
            Attribute::Copyable(true),
            Attribute::Derive(true),
            Attribute::Sign(true),
            Attribute::Wrap(true),
            Attribute::Unwrap(true),
            Attribute::Label(b"another".to_vec()),
            Attribute::AllowedMechanisms(vec![MechanismType::AES_CBC]),
            sensitive_and_not_extractable(),
        ] {
            let what = format!("set {change:?} of {}", key.label);
            refused(&what, session.update_attributes(handle, &[change]));
        }
    }
}

#[test]
fn refuses_to_show_the_value_of_any_key() {
    in_own_process(|token| attack(token, |session, _| cannot_read(session)));
}

pub(super) fn cannot_read(session: &Session) {
    for key in present(session) {
        let handle = find(session, key);
        assert!(hides_value(session, handle), "{}", key.label);
        assert_eq!(session.get_attributes(handle, &[AttributeType::Value]).unwrap(), [], "{}", key.label);
    }
}

fn hides_value(session: &Session, key: ObjectHandle) -> bool {
    matches!(session.get_attribute_info(key, &[AttributeType::Value]).unwrap()[0], AttributeInfo::Sensitive)
}

#[test]
fn refuses_to_decrypt_a_wrapped_share_block_by_block() {
    in_own_process(|token| {
        attack(token, |session, wrapped| {
            let kek = find(session, SHARE_KEK);
            let blocks = &wrapped[..wrapped.len() / 16 * 16];
            refused("ECB decryption", session.decrypt(&Mechanism::AesEcb, kek, blocks));
            refused("CBC decryption", session.decrypt(&Mechanism::AesCbc([0; 16]), kek, blocks));
            refused("CBC encryption", session.encrypt(&Mechanism::AesCbc([0; 16]), kek, blocks));
            refused("ECB encryption", session.encrypt(&Mechanism::AesEcb, kek, blocks));
        });
    });
}

#[test]
fn refuses_to_unwrap_a_share_by_another_mechanism() {
    in_own_process(|token| {
        attack(token, |session, wrapped| {
            let kek = find(session, SHARE_KEK);
            let template = as_private_key(true, false);
            for mechanism in [Mechanism::AesKeyWrap, Mechanism::AesCbcPad([0; 16])] {
                let what = format!("{mechanism:?}");
                refused(&what, session.unwrap_key(&mechanism, kek, wrapped, &template));
            }
        });
    });
}

#[test]
fn refuses_to_use_a_key_for_anything_but_its_purpose() {
    in_own_process(|token| {
        attack(token, |session, wrapped| {
            cannot_misuse(session);
            let template = as_private_key(true, false);
            let mac = find(session, LEDGER_MAC);
            assert!(session.unwrap_key(&Mechanism::AesKeyWrapPad, mac, wrapped, &template).is_err());
        });
    });
}

pub(super) fn cannot_misuse(session: &Session) {
    let element = Point::generator();
    let may_not = |allowed: [Key; 2]| present(session).into_iter().filter(move |key| !allowed.contains(key));
    for key in may_not([SHARE_IMPORT, AKE]) {
        let multiplied = derive(session, find(session, key), &element, &as_secret());
        assert!(multiplied.is_err(), "multiply with {}", key.label);
    }
    for key in present(session).into_iter().filter(|key| [SITE_IDENTITY, FLEET_ROOT].contains(key)) {
        refused("multiply with a signing key", derive(session, find(session, key), &element, &as_secret()));
    }
    for key in [SHARE_IMPORT, AKE] {
        refused("sign with a deriving key", session.sign(&Mechanism::Ecdsa, find(session, key), &[1; 32]));
    }
    refused("another HMAC", session.sign(&Mechanism::Sha512Hmac, find(session, LEDGER_MAC), b"message"));
    assert!(session.sign(&Mechanism::Sha256Hmac, find(session, SHARE_KEK), b"message").is_err());
}

#[test]
fn refuses_to_wrap_a_key_of_the_site_under_the_kek() {
    in_own_process(|token| {
        attack(token, |session, wrapped| {
            let kek = find(session, SHARE_KEK);
            let share = unwrapped(session, wrapped);
            refused("an unwrapped share", session.wrap_key(&Mechanism::AesKeyWrapPad, kek, share));
            for key in present(session) {
                refused(key.label, session.wrap_key(&Mechanism::AesKeyWrapPad, kek, find(session, key)));
            }
        });
    });
}
