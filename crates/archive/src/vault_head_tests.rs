#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::collections::BTreeSet;

use coffer_keys::{ArchiveId, DataKey};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::envelope::seal_object;
use crate::samples::ring;

fn any_tips() -> impl Strategy<Value = Vec<Head>> {
    let head = (1_u64.., any::<[u8; 32]>()).prop_map(|(number, hash)| Head { number, hash });
    btree_set(head, 1..=MAX_TIPS).prop_map(|tips: BTreeSet<_>| tips.into_iter().collect())
}

fn tips(count: u64) -> Vec<Head> {
    (1..=count).map(|number| Head { number: u64::MAX - 100 + number, hash: [number as u8; 32] }).collect()
}

fn refusal(ring: &Keyring, bytes: &[u8]) -> Damage {
    match open(ring, bytes) {
        Err(Error::VaultHead { why }) => why,
        other => panic!("{other:?}"),
    }
}

/// A head that this archive's keys sealed around any plaintext.
fn sealed(plain: &[u8]) -> Vec<u8> {
    let cipher = ObjectCipher::generate(&ring(1), ObjectType::Head, &NAME).unwrap();
    let mut object = [cipher.prefix(), plain].concat();
    object.resize(LEN - TAG_LEN, 0);
    cipher.seal(Part::Last(0), &mut object, PREFIX_LEN);
    object
}

proptest! {
    #[test]
    fn heads_survive_and_all_have_the_same_length(tips in any_tips()) {
        let object = seal(&ring(1), &tips).unwrap();
        prop_assert_eq!(object.len(), LEN);
        prop_assert_eq!(open(&ring(1), &object).unwrap(), tips);
    }

    #[test]
    fn any_authentic_bytes_are_a_head_in_its_one_form_or_are_refused(plain in vec(0_u8..4, 0..LEN - PREFIX_LEN - TAG_LEN)) {
        if let Ok(tips) = decode(&plain) {
            let mut again = encode(&tips);
            again.resize(plain.len(), 0);
            prop_assert_eq!(again, plain);
        }
    }

    #[test]
    fn refuses_any_bytes(bytes in vec(any::<u8>(), LEN)) {
        prop_assert_eq!(refusal(&ring(1), &bytes), Damage::NotOfThisKind);
    }
}

#[test]
fn the_largest_head_has_room() {
    let object = seal(&ring(1), &tips(MAX_TIPS as u64)).unwrap();
    assert_eq!(object.len(), LEN);
    assert_eq!(open(&ring(1), &object).unwrap(), tips(MAX_TIPS as u64));
}

#[test]
fn refuses_a_head_with_any_byte_changed() {
    let object = seal(&ring(1), &tips(2)).unwrap();
    for (at, flip) in (0..object.len()).flat_map(|at| [0x01, 0x80, 0xff].map(|flip| (at, flip))) {
        let mut flipped = object.clone();
        flipped[at] ^= flip;
        match (at, open(&ring(1), &flipped).unwrap_err()) {
            (0..=6, Error::VaultHead { why: Damage::NotOfThisKind }) => {}
            // Version 1 with a bit flipped is 0 or more than 1.
            (7, Error::VaultHead { why: Damage::Commitment } | Error::FormatTooNew { .. }) => {}
            (8..PREFIX_LEN, Error::VaultHead { why: Damage::Commitment }) => {}
            (PREFIX_LEN.., Error::VaultHead { why: Damage::Tag }) => {}
            (_, error) => panic!("byte {at}: {error}"),
        }
    }
}

#[test]
fn refuses_a_head_that_is_cut_short_or_too_long() {
    let mut object = seal(&ring(1), &tips(2)).unwrap();
    for len in 0..object.len() {
        assert_eq!(refusal(&ring(1), &object[..len]), Damage::Truncated, "length {len}");
    }
    object.push(0);
    assert_eq!(refusal(&ring(1), &object), Damage::TooLarge);
}

#[test]
fn refuses_a_head_of_another_archive() {
    assert_eq!(refusal(&ring(2), &seal(&ring(1), &tips(1)).unwrap()), Damage::Commitment);
}

#[test]
fn refuses_another_object_of_this_archive_as_a_head() {
    let mut object = seal_object(&ring(1), ObjectType::Snapshot, &NAME, &[7; 380]).unwrap();
    object.resize(LEN, 0);
    assert_eq!(refusal(&ring(1), &object), Damage::NotOfThisKind);
    object[6] = b'H';
    assert_eq!(refusal(&ring(1), &object), Damage::Commitment);
}

#[test]
fn names_a_head_of_a_later_version() {
    let mut object = seal(&ring(1), &tips(1)).unwrap();
    object[7] = 2;
    let error = open(&ring(1), &object).unwrap_err();
    assert_eq!(error.to_string(), "the vault's head has format version 2; this program reads up to version 1");
}

#[test]
fn refuses_a_head_that_names_no_snapshot() {
    assert!(matches!(refusal(&ring(1), &sealed(&[0])), Damage::Encoding(CodecError::Invalid(_))));
}

#[test]
fn refuses_a_head_that_names_too_many_snapshots() {
    let many = encode(&tips(MAX_TIPS as u64 + 1));
    assert!(matches!(refusal(&ring(1), &sealed(&many)), Damage::Encoding(CodecError::Invalid(_))));
}

#[test]
fn refuses_a_head_that_names_a_snapshot_twice() {
    let twice = encode(&[tips(1)[0]; 2]);
    assert!(matches!(refusal(&ring(1), &sealed(&twice)), Damage::Encoding(CodecError::Invalid(_))));
}

#[test]
fn refuses_a_head_that_names_snapshot_0() {
    let zero = encode(&[Head { number: 0, hash: [1; 32] }]);
    assert!(matches!(refusal(&ring(1), &sealed(&zero)), Damage::Encoding(CodecError::Invalid(_))));
}

#[test]
fn refuses_a_head_that_goes_on_after_its_end() {
    let mut plain = encode(&tips(1));
    plain.resize(LEN - TAG_LEN - PREFIX_LEN - 1, 0);
    plain.push(1);
    assert_eq!(refusal(&ring(1), &sealed(&plain)), Damage::Encoding(CodecError::Trailing));
}

#[test]
fn two_sealings_of_the_same_head_have_neither_salt_nor_commitment_in_common() {
    let (one, other) = (seal(&ring(1), &tips(1)).unwrap(), seal(&ring(1), &tips(1)).unwrap());
    assert_ne!(one[16..48], other[16..48]);
    assert_ne!(one[48..80], other[48..80]);
}

/// Against what another implementation computed (`make_archive.py`): it is read, and written again.
#[test]
fn heads_are_the_known_ones() {
    let all: Value = serde_json::from_str(include_str!("../../../tests/vectors/snapshot.json")).unwrap();
    let vectors = all["head"].as_array().unwrap();
    assert!(!vectors.is_empty());
    for vector in vectors {
        let bytes = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
        let archive = ArchiveId::parse(vector["archive_id"].as_str().unwrap()).unwrap();
        let data_key = DataKey::from_bytes(bytes(&vector["data_key"]).try_into().unwrap());
        let ring = Keyring::of_epoch(archive, 1, &data_key);
        let tip = |tip: &Value| Head {
            number: tip["number"].as_u64().unwrap(),
            hash: bytes(&tip["hash"]).try_into().unwrap(),
        };
        let tips: Vec<_> = vector["tips"].as_array().unwrap().iter().map(tip).collect();
        let known = bytes(&vector["bytes"]);
        assert_eq!(open(&ring, &known).unwrap(), tips, "{vector}");
        let salt = bytes(&vector["salt"]).try_into().unwrap();
        let cipher = ObjectCipher::from_salt(&ring, ObjectType::Head, &NAME, &salt);
        assert_eq!(seal_with(&cipher, &tips), known, "{vector}");
    }
}
