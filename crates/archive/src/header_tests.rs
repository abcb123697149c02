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
