//! Every derivation against `tests/vectors/keys.json`, which another implementation computed (`make_keys.py`, beside it).

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::key_slot::SlotKeys;
use crate::{
    ArchiveId, ArchiveKeys, BackupKey, DataKey, ExportKey, KeySlot, ObjectKey, RecoveryKey, SigningKey,
    WrappedBackupKey,
};

/// The vectors of one kind, of which there must be at least one.
fn vectors(kind: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../../../tests/vectors/keys.json")).unwrap();
    let vectors = all[kind].as_array().unwrap().clone();
    assert!(!vectors.is_empty(), "{kind}");
    vectors
}

fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().unwrap_or_else(|| panic!("no {name} in {vector}"))
}

fn bytes<const N: usize>(vector: &Value, name: &str) -> [u8; N] {
    hex::decode(text(vector, name)).unwrap().try_into().unwrap()
}

fn number(vector: &Value, name: &str) -> u64 {
    vector[name].as_u64().unwrap_or_else(|| panic!("no {name} in {vector}"))
}

fn archive(vector: &Value) -> ArchiveId {
    ArchiveId::parse(text(vector, "archive_id")).unwrap()
}

fn archive_keys(vector: &Value) -> ArchiveKeys {
    DataKey::from_bytes(bytes(vector, "data_key")).derive(&archive(vector))
}

#[test]
fn recovery_keys_are_the_known_ones() {
    for vector in vectors("recovery_key") {
        let backup = BackupKey::from_bytes(bytes(&vector, "backup_key"));
        assert_eq!(*backup.recovery_key().expose_groups(), text(&vector, "recovery_key"), "{vector}");
        assert_eq!(RecoveryKey::parse(text(&vector, "recovery_key")).unwrap().backup_key(), backup, "{vector}");
    }
}

#[test]
fn key_slots_are_the_known_ones() {
    for vector in vectors("key_slot") {
        let backup = BackupKey::from_bytes(bytes(&vector, "backup_key"));
        let epoch = u32::try_from(number(&vector, "epoch")).unwrap();
        let known = KeySlot {
            id: bytes(&vector, "slot_id"),
            epoch,
            check: bytes(&vector, "check"),
            wrapped: bytes(&vector, "wrapped"),
        };
        let data = DataKey::from_bytes(bytes(&vector, "data_key"));
        assert_eq!(KeySlot::wrap_with_id(&backup, &archive(&vector), epoch, &data, known.id), known, "{vector}");

        let keys = SlotKeys::derive(&backup, &archive(&vector), &known.id, epoch);
        assert_eq!(keys.wrapping.expose_bytes(), &bytes(&vector, "wrapping_key"), "{vector}");

        let unwrapped = known.unwrap_data_key(&backup, &archive(&vector)).unwrap();
        assert_eq!(unwrapped.expose_bytes(), data.expose_bytes(), "{vector}");
    }
}

#[test]
fn archive_keys_are_the_known_ones() {
    for vector in vectors("archive_keys") {
        let keys = archive_keys(&vector);
        for (name, key) in keys.expose_all() {
            assert_eq!(key, &bytes(&vector["keys"], name), "{name} of {vector}");
        }
        assert_eq!(vector["keys"].as_object().unwrap().len(), keys.expose_all().len());
    }
}

#[test]
fn gears_are_the_known_ones() {
    for vector in vectors("gear") {
        let gear = archive_keys(&vector).chunker.derive_gear();
        let first: Vec<String> = gear[..4].iter().map(|word| format!("{word:016x}")).collect();
        assert_eq!(first.join(" "), text(&vector, "first_four_words"), "{vector}");
        assert_eq!(format!("{:016x}", gear[255]), text(&vector, "last_word"), "{vector}");
        let mut hash = Sha256::new();
        gear.iter().for_each(|word| hash.update(word.to_le_bytes()));
        assert_eq!(hex::encode(hash.finalize()), text(&vector, "sha256"), "{vector}");
    }
}

fn object_key<'a>(keys: &'a ArchiveKeys, purpose: &str) -> &'a ObjectKey {
    match purpose {
        "pack" => &keys.pack,
        "index" => &keys.index,
        "snapshot" => &keys.snapshot,
        "lock" => &keys.lock,
        "head" => &keys.head,
        "forgotten" => &keys.forgotten,
        "doomed" => &keys.doomed,
        "carried" => &keys.carried,
        _ => panic!("no object key for {purpose}"),
    }
}

#[test]
fn sealing_keys_are_the_known_ones() {
    for vector in vectors("sealing_key") {
        let keys = archive_keys(&vector);
        let object_type = u8::try_from(number(&vector, "object_type")).unwrap();
        let key = object_key(&keys, text(&vector, "purpose")).derive_sealing(
            &bytes(&vector, "salt"),
            object_type,
            &archive(&vector),
        );
        assert_eq!(key.expose_key(), &bytes(&vector, "key"), "{vector}");
        assert_eq!(key.commitment(), &bytes(&vector, "commitment"), "{vector}");
    }
}

#[test]
fn commitments_are_the_known_ones() {
    for vector in vectors("commit") {
        let key = archive_keys(&vector).commit;
        let message = hex::decode(text(&vector, "message")).unwrap();
        assert_eq!(key.commit(&message), bytes(&vector, "commitment"), "{vector}");
        assert!(key.verify(&message, &bytes(&vector, "commitment")), "{vector}");
    }
}

#[test]
fn signatures_are_the_known_ones() {
    for vector in vectors("signing_key") {
        let key = SigningKey::from_seed(bytes(&vector, "seed"));
        let message = hex::decode(text(&vector, "message")).unwrap();
        assert_eq!(key.public(), bytes(&vector, "public"), "{vector}");
        assert_eq!(key.sign(&message), bytes(&vector, "signature"), "{vector}");
    }
}

fn check_derived(key: &SigningKey, vector: &Value) {
    assert_eq!(key.expose_seed(), &bytes(vector, "seed"), "{vector}");
    assert_eq!(key.public(), bytes(vector, "public"), "{vector}");
}

#[test]
fn owner_keys_are_the_known_ones() {
    for vector in vectors("owner_key") {
        check_derived(&BackupKey::from_bytes(bytes(&vector, "backup_key")).derive_owner_key(), &vector);
    }
}

#[test]
fn unlock_keys_are_the_known_ones() {
    for vector in vectors("unlock_key") {
        check_derived(&ExportKey::from_bytes(bytes(&vector, "export_key")).derive_unlock_key(), &vector);
    }
}

#[test]
fn wrapped_backup_keys_are_the_known_ones() {
    for vector in vectors("wrapped_backup_key") {
        let export = ExportKey::from_bytes(bytes(&vector, "export_key"));
        let backup = BackupKey::from_bytes(bytes(&vector, "backup_key"));
        let context = hex::decode(text(&vector, "context")).unwrap();
        let known: [u8; WrappedBackupKey::LEN] = bytes(&vector, "wrapped");

        let wrapped = export.wrap_with_salt(&backup, &context, bytes(&vector, "salt"));
        assert_eq!(wrapped.to_bytes(), known, "{vector}");

        let known = WrappedBackupKey::parse(&known).unwrap();
        assert_eq!(export.unwrap_backup_key(&known, &context).unwrap(), backup, "{vector}");
    }
}
