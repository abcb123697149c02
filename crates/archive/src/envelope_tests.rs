#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::samples::{NAME, noise, ring};

const KINDS: [ObjectType; 7] = [
    ObjectType::Pack,
    ObjectType::Index,
    ObjectType::Snapshot,
    ObjectType::Lock,
    ObjectType::Forgotten,
    ObjectType::Doomed,
    ObjectType::Head,
];
const WHOLE: [ObjectType; 5] =
    [ObjectType::Index, ObjectType::Snapshot, ObjectType::Lock, ObjectType::Forgotten, ObjectType::Doomed];

fn sealed(kind: ObjectType) -> Vec<u8> {
    seal_object(&ring(1), kind, &NAME, b"what nobody else may read").unwrap()
}

fn opened(kind: ObjectType, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    open_object(&ring(1), kind, &NAME, bytes)
}

fn damage<T: std::fmt::Debug>(result: Result<T, Error>) -> Damage {
    match result.unwrap_err() {
        Error::Damaged { why, .. } => why,
        other => unreachable!("{other}"),
    }
}

proptest! {
    #[test]
    fn objects_survive(content: Vec<u8>, kind in prop::sample::select(&WHOLE)) {
        let object = seal_object(&ring(1), kind, &NAME, &content).unwrap();
        prop_assert_eq!(opened(kind, &object).unwrap(), content);
        prop_assert_eq!(frame::padme(object.len()), object.len());
    }

    #[test]
    fn refuses_any_bytes(bytes: Vec<u8>, kind in prop::sample::select(&WHOLE)) {
        prop_assert!(opened(kind, &bytes).is_err());
        // The right beginning helps as little.
        let mut forged = sealed(kind)[..PREFIX_LEN].to_vec();
        forged.extend(bytes);
        prop_assert_eq!(damage(opened(kind, &forged)), Damage::Tag);
    }
}

#[test]
fn refuses_any_flipped_byte() {
    for kind in WHOLE {
        let bytes = sealed(kind);
        for at in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut flipped = bytes.clone();
                flipped[at] ^= flip;
                let error = opened(kind, &flipped).unwrap_err();
                match (at, &error) {
                    (0..=6, Error::Damaged { why: Damage::NotOfThisKind, .. }) => {}
                    // Version 1 with a bit flipped is 0 or more than 1.
                    (7, Error::Damaged { why: Damage::Commitment, .. } | Error::FormatTooNew { .. }) => {}
                    (8..PREFIX_LEN, Error::Damaged { why: Damage::Commitment, .. }) => {}
                    (PREFIX_LEN.., Error::Damaged { why: Damage::Tag, .. }) => {}
                    _ => unreachable!("byte {at}: {error}"),
                }
            }
        }
    }
}

#[test]
fn refuses_any_truncation_and_any_byte_more() {
    for kind in WHOLE {
        let mut bytes = sealed(kind);
        for len in 0..bytes.len() {
            let expected = if len < PREFIX_LEN { Damage::Truncated } else { Damage::Tag };
            assert_eq!(damage(opened(kind, &bytes[..len])), expected, "length {len}");
        }
        bytes.push(0);
        assert_eq!(damage(opened(kind, &bytes)), Damage::Tag);
    }
}

#[test]
fn refuses_an_object_as_one_of_another_kind() {
    for kind in WHOLE {
        for other in KINDS.into_iter().filter(|other| *other != kind) {
            let mut bytes = sealed(kind);
            assert_eq!(damage(opened(other, &bytes)), Damage::NotOfThisKind);
            // Nor does it become one by saying so.
            bytes[6] = other.code();
            assert_eq!(damage(opened(other, &bytes)), Damage::Commitment);
        }
    }
}

#[test]
fn refuses_an_object_under_another_name() {
    for kind in WHOLE {
        for byte in 0..ObjectName::LEN {
            let mut name = *NAME.as_bytes();
            name[byte] ^= 1;
            let name = ObjectName::from_bytes(name);
            assert_eq!(damage(open_object(&ring(1), kind, &name, &sealed(kind))), Damage::Tag);
        }
    }
}

#[test]
fn refuses_an_object_of_another_archive() {
    for kind in WHOLE {
        assert_eq!(damage(open_object(&ring(2), kind, &NAME, &sealed(kind))), Damage::Commitment);
    }
}

#[test]
fn refuses_an_object_of_another_epoch() {
    // Of the same data key, so that it is the epoch alone that differs.
    let archive = ring(1).archive;
    let later = Keyring::of_epoch(archive, 2, &coffer_keys::DataKey::from_bytes([7; 32]));
    for kind in WHOLE {
        assert_eq!(damage(open_object(&later, kind, &NAME, &sealed(kind))), Damage::Commitment);
    }
}

#[test]
fn a_later_format_version_is_named() {
    for kind in WHOLE {
        let mut bytes = sealed(kind);
        bytes[7] = 2;
        let error = opened(kind, &bytes).unwrap_err();
        assert!(matches!(error, Error::FormatTooNew { found: 2, supported: 1, .. }), "{error}");
    }
}

#[test]
fn refuses_the_content_of_one_object_under_the_prefix_of_another() {
    let (one, other) = (sealed(ObjectType::Index), sealed(ObjectType::Index));
    let swapped = [&one[..PREFIX_LEN], &other[PREFIX_LEN..]].concat();
    assert_eq!(damage(opened(ObjectType::Index, &swapped)), Damage::Tag);
}

#[test]
fn an_error_names_the_object() {
    let error = opened(ObjectType::Snapshot, b"").unwrap_err();
    assert_eq!(error.to_string(), format!("snapshots/{NAME} is damaged: it is cut short"));
}

/// What the sealing key of a cipher makes of nothing: equal tags would mean an equal key.
fn tag(cipher: &ObjectCipher) -> Vec<u8> {
    let mut buffer = Vec::new();
    cipher.aead.seal(Part::Last(0).nonce(), b"", &mut buffer, 0);
    buffer
}

#[test]
fn no_two_objects_share_a_key() {
    let (mut tags, mut salts) = (HashSet::new(), HashSet::new());
    for _ in 0..200 {
        for kind in KINDS {
            let cipher = ObjectCipher::generate(&ring(1), kind, &NAME).unwrap();
            assert!(salts.insert(cipher.salt()), "a salt came twice");
            assert!(tags.insert(tag(&cipher)), "a key came twice");
        }
    }
}

#[test]
fn the_same_salt_gives_each_kind_and_archive_a_key_of_its_own() {
    let mut tags = HashSet::new();
    for archive in 1..4 {
        for kind in KINDS {
            assert!(tags.insert(tag(&ObjectCipher::from_salt(&ring(archive), kind, &NAME, &[5; 32]))));
        }
    }
}

#[test]
fn no_two_parts_of_an_object_share_a_nonce() {
    let counters = || (0..300).chain([u32::MAX - 1, u32::MAX]);
    let parts = counters().map(Part::Segment).chain(counters().map(Part::Last)).chain([Part::Trailer]);
    let nonces: Vec<_> = parts.map(Part::nonce).collect();
    assert_eq!(nonces.iter().collect::<HashSet<_>>().len(), nonces.len());
}

#[test]
fn a_part_opens_as_itself_only() {
    let cipher = ObjectCipher::from_salt(&ring(1), ObjectType::Pack, &NAME, &[5; 32]);
    let parts = [Part::Segment(0), Part::Segment(1), Part::Last(0), Part::Last(1), Part::Trailer];
    for (at, part) in parts.into_iter().enumerate() {
        let mut sealed = noise(40, 1);
        cipher.seal(part, &mut sealed, 0);
        for (other_at, other) in parts.into_iter().enumerate() {
            let mut buffer = sealed.clone();
            assert_eq!(cipher.open(other, &mut buffer).is_ok(), at == other_at, "{part:?} as {other:?}");
        }
    }
}
