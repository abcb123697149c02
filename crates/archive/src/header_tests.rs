#![expect(clippy::unwrap_used, reason = "a test")]

use super::*;

fn header() -> (Header, BackupKey) {
    let key = BackupKey::from_bytes([7; 32]);
    (Header::generate(&key).unwrap().0, key)
}

/// What opening an archive does with the header's bytes.
fn open(bytes: &[u8], key: &BackupKey) -> Result<Keyring, Error> {
    Header::parse(bytes)?.unlock(key)
}

#[test]
fn opens_with_its_key() {
    let (header, key) = header();
    assert_eq!(open(&header.encode(), &key).unwrap().epoch, 1);
}

#[test]
fn refuses_a_wrong_key_by_name() {
    let (header, _) = header();
    assert!(matches!(open(&header.encode(), &BackupKey::from_bytes([8; 32])), Err(Error::WrongKey)));
}

#[test]
fn refuses_any_flipped_byte_as_damage_not_as_a_wrong_key() {
    let (header, key) = header();
    let bytes = header.encode();
    for at in 0..bytes.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut flipped = bytes.clone();
            flipped[at] ^= flip;
            let error = open(&flipped, &key).unwrap_err();
            assert!(matches!(error, Error::Damaged { .. } | Error::FormatTooNew { .. }), "byte {at}: {error}");
        }
    }
}

#[test]
fn refuses_any_truncation() {
    let (header, key) = header();
    let bytes = header.encode();
    for len in 0..bytes.len() {
        assert!(matches!(open(&bytes[..len], &key), Err(Error::Damaged { .. })), "length {len}");
    }
}

#[test]
fn refuses_a_forged_header_whose_checksum_fits() {
    let (mut header, key) = header();
    header.slots.push(header.slots[0].clone());
    let error = open(&header.encode(), &key).unwrap_err();
    assert!(matches!(error, Error::Damaged { why: Damage::Commitment, .. }));
}

#[test]
fn refuses_a_later_format_version() {
    let (header, _) = header();
    let later = String::from_utf8(header.encode()).unwrap().replace("\"coffer\": 1", "\"coffer\": 3");
    assert!(matches!(Header::parse(later.as_bytes()), Err(Error::FormatTooNew { found: 3, supported: 2, .. })));
    let unknown = br#"{"coffer": 9, "shape": "nobody knows yet"}"#;
    assert!(matches!(Header::parse(unknown), Err(Error::FormatTooNew { found: 9, .. })));
}

#[test]
fn refuses_an_unknown_field() {
    let (header, _) = header();
    let text = String::from_utf8(header.encode()).unwrap().replace("{\n  \"coffer\"", "{\n  \"a\": 1,\n  \"coffer\"");
    assert!(matches!(Header::parse(text.as_bytes()), Err(Error::Damaged { .. })));
}

/// The headers of a rotation, one after the other, with the keys that open each: the old one and the new one.
fn rotation() -> ([(Header, bool, bool); 4], BackupKey, BackupKey) {
    let (first, old) = header();
    let new = BackupKey::from_bytes([9; 32]);
    let prepared = first.prepared(&old, &new).unwrap();
    let advanced = prepared.advanced(&prepared.unlock(&new).unwrap()).unwrap();
    let done = advanced.without_older(&advanced.unlock(&new).unwrap()).unwrap();
    ([(first, true, false), (prepared, true, true), (advanced, false, true), (done, false, true)], old, new)
}

#[test]
fn each_header_of_a_rotation_opens_with_its_keys_and_no_other() {
    let (headers, old, new) = rotation();
    for (number, (header, with_old, with_new)) in headers.iter().enumerate() {
        for (key, opens) in [(&old, with_old), (&new, with_new), (&BackupKey::from_bytes([8; 32]), &false)] {
            let opened = open(&header.encode(), key);
            assert_eq!(opened.is_ok(), *opens, "header {number}");
            assert!(*opens || matches!(opened, Err(Error::WrongKey)), "header {number}");
        }
        assert_eq!(header.is_rotating(), number == 1);
    }
    let epochs = |number: usize, key| {
        let ring = headers[number].0.unlock(key).unwrap();
        (ring.epoch, ring.own, ring.epochs().count())
    };
    assert_eq!([epochs(1, &old), epochs(1, &new)], [(1, 1, 1), (1, 2, 2)]);
    assert_eq!([epochs(2, &new), epochs(3, &new)], [(2, 2, 2), (2, 2, 1)]);
}

#[test]
fn refuses_any_flipped_byte_of_a_rotated_archive_as_damage_not_as_a_wrong_key() {
    let (headers, _, new) = rotation();
    for (header, ..) in &headers[1..] {
        let bytes = header.encode();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x01;
            let error = open(&flipped, &new).unwrap_err();
            assert!(matches!(error, Error::Damaged { .. } | Error::FormatTooNew { .. }), "byte {at}: {error}");
        }
        for len in (0..bytes.len()).step_by(7) {
            assert!(matches!(open(&bytes[..len], &new), Err(Error::Damaged { .. })), "length {len}");
        }
    }
}

/// Who has the old data key commits to any header of the old epoch; the new key's slot is of the new one all the same.
#[test]
fn a_header_that_the_old_key_forged_has_the_new_key_seal_nothing() {
    let (headers, old, new) = rotation();
    let leaked = headers[0].0.unlock(&old).unwrap();
    let mut forged = headers[1].0.clone();
    forged.slots.retain(|slot| slot.epoch == 2);
    let forged = forged.committed(leaked.commit(1).unwrap());
    let ring = open(&forged.encode(), &new).unwrap();
    assert!(forged.is_rotating() && ring.own > ring.epoch);
    // Without what is carried it does not open at all.
    let mut bare = forged.clone();
    bare.rotated.as_mut().unwrap().carried.clear();
    let bare = bare.committed(leaked.commit(1).unwrap());
    assert!(matches!(open(&bare.encode(), &new), Err(Error::Damaged { .. })));
    // One of the new epoch it cannot commit to.
    let mut later = headers[2].0.clone();
    later.slots.push(headers[0].0.slots[0].clone());
    let later = later.committed(leaked.commit(1).unwrap());
    assert!(matches!(open(&later.encode(), &new), Err(Error::Damaged { why: Damage::Commitment, .. })));
    assert!(matches!(open(&later.encode(), &old), Err(Error::WrongKey)), "a slot of an older epoch does not count");
}

#[test]
fn refuses_a_rotated_header_that_lacks_a_field() {
    let (headers, ..) = rotation();
    let text = String::from_utf8(headers[2].0.encode()).unwrap();
    for (field, other) in [("  \"epoch\": 2,\n  \"slots\"", "  \"slots\""), ("\"coffer\": 2", "\"coffer\": 1")] {
        let lacking = text.replacen(field, other, 1);
        assert_ne!(lacking, text);
        assert!(matches!(Header::parse(lacking.as_bytes()), Err(Error::Damaged { .. })), "{field}");
    }
}

#[test]
fn each_header_of_a_rotation_follows_those_before_it() {
    let (headers, _, new) = rotation();
    for (number, (header, ..)) in headers.iter().enumerate().skip(2) {
        let ring = header.unlock(&new).unwrap();
        for (other_number, (other, ..)) in headers.iter().enumerate() {
            assert_eq!(header.follows(other, &ring), other_number < number, "{number} and {other_number}");
        }
        let foreign = Header::generate(&new).unwrap().0;
        assert!(!header.follows(&foreign, &ring));
        let mut forged = headers[2].0.clone();
        forged.commitment = [0; 32];
        assert!(!headers[3].0.follows(&forged, &ring));
    }
}
