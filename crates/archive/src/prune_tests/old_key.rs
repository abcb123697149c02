//! What the old key is worth once it was rotated, and what stays as it was.

use std::collections::BTreeSet;

use coffer_keys::BackupKey;

use super::world::*;
use crate::archive::{Archive, OpenOptions};
use crate::backup::BackupOptions;
use crate::destination::Destination;
use crate::device::DeviceMemory;
use crate::envelope::{ObjectCipher, ObjectType, epoch_of, seal_object_in};
use crate::error::{Damage, Error};
use crate::header;
use crate::header_place::read_header;
use crate::id::{ChunkId, ObjectName};
use crate::index::{self, IndexedPack};
use crate::keyring::Keyring;
use crate::pack::{PackWriter, Segment, SegmentKind};
use crate::report::Progress;
use crate::rotate::RotateOptions;
use crate::store;

fn opens(ring: &Keyring, (kind, name, bytes): &(ObjectType, ObjectName, Vec<u8>)) -> bool {
    ObjectCipher::from_prefix(ring, *kind, name, bytes).is_ok()
}

#[test]
fn in_the_end_the_old_key_opens_nothing_and_every_snapshot_is_there() {
    let (world, place) = world();
    let old = open(&place).unwrap();
    let (before, receipts, packs) = (heads(&place), old.tips(), place.list("packs/").unwrap());
    assert!(objects(&place).iter().all(|object| opens(&old.ring, object)));
    let report = rotate(&place).unwrap();
    assert!(report.older_keys_given_up && report.void_removed >= 3, "{report:?}");
    assert!(matches!(open_with(&place, &key()), Err(Error::WrongKey)));
    let (new, all) = (open(&place).unwrap(), objects(&place));
    assert!(!all.is_empty() && !all.iter().any(|object| opens(&old.ring, object)));
    assert!(all.iter().all(|object| opens(&new.ring, object) && epoch_of(&object.2) == Some(2)));
    assert!(!new.has_older_keys() && !place.list("packs/").unwrap().iter().any(|pack| packs.contains(pack)));
    assert_eq!((heads(&place), new.tips()), (before, receipts));
    world.check_and_clean(&place, "after a rotation");
    // Nothing is new to it.
    let stored = objects(&place).len();
    let options = BackupOptions { sources: vec![world.source()], host: "test".to_owned(), ..BackupOptions::default() };
    let report = open(&place).unwrap().backup(&options, &Progress::default()).unwrap();
    assert!(report.bytes_stored < 1500, "{report:?}");
    assert_eq!((report.files_new, objects(&place).len(), report.snapshot.head.number), (0, stored + 1, 7));
}

#[test]
fn an_archive_is_rotated_again_and_again() {
    let (world, place) = world();
    let key_of = |number: u8| if number == 0 { key() } else { BackupKey::from_bytes([100 + number; 32]) };
    for number in 0..4 {
        let (old, new) = (key_of(number), key_of(number + 1));
        open_with(&place, &old).unwrap().prepare_rotation(&old, &new, "test").unwrap();
        let mut archive = open_with(&place, &new).unwrap();
        archive.rotate(&RotateOptions::default()).unwrap();
        // Every second time the next one begins before the data are sealed anew.
        if number % 2 == 1 {
            assert!(archive.prune(&options(), &Progress::default()).unwrap().older_keys_given_up);
        } else {
            assert!(archive.has_older_keys());
        }
        assert!(matches!(open_with(&place, &old), Err(Error::WrongKey)));
    }
    // To the key that the tests know.
    open_with(&place, &key_of(4)).unwrap().prepare_rotation(&key_of(4), &next_key(), "test").unwrap();
    rotate(&place).unwrap();
    assert!(objects(&place).iter().all(|(.., bytes)| epoch_of(bytes) == Some(6)));
    world.check_and_clean(&place, "after five rotations");
}

#[test]
fn refuses_a_snapshot_that_is_made_with_the_old_key_after_the_rotation() {
    for is_pruned in [false, true] {
        let (world, place) = world();
        let old = open(&place).unwrap();
        advance(&place).unwrap();
        if is_pruned {
            prune(&place).unwrap();
        }
        let known = heads(&place);
        // It claims to be the newest, and to stand for a snapshot that is there.
        let mut forged = old.snapshots()[1].clone();
        for (number, earlier) in [(9, vec![]), (forged.head.number, vec![forged.head.hash])] {
            (forged.head.number, forged.earlier) = (number, earlier);
            let name = ObjectName::generate().unwrap();
            let object = seal_object_in((&old.ring, 1), ObjectType::Snapshot, &name, &forged.encode()).unwrap();
            place.write(&ObjectType::Snapshot.path(&name), object).unwrap();
        }
        let archive = open(&place).unwrap();
        assert!(archive.void.len() >= 2);
        assert_eq!(heads(&place), known);
        let report = archive.verify(true, &Progress::default()).unwrap();
        assert_eq!(report.problems, []);
        assert!(report.notes.iter().any(|note| note.what.contains("counting no more")), "{:?}", report.notes);
        world.check_and_clean(&place, "after a forgery");
        assert_eq!((heads(&place), open(&place).unwrap().void.len()), (known, 0));
    }
}

/// It would stand in for any snapshot that a device remembers.
#[test]
fn refuses_a_snapshot_of_the_first_epoch_that_claims_to_be_sealed_anew() {
    let (_world, place) = world();
    let archive = open(&place).unwrap();
    let mut forged = archive.snapshots()[1].clone();
    forged.earlier = vec![forged.head.hash];
    let name = ObjectName::generate().unwrap();
    let object = seal_object_in((&archive.ring, 1), ObjectType::Snapshot, &name, &forged.encode()).unwrap();
    place.write(&ObjectType::Snapshot.path(&name), object).unwrap();
    assert_eq!(open(&place).unwrap().damaged_snapshots().len(), 1);
}

/// Stores chunks of these ids and lengths, with another content, in a pack of the first epoch that is found first.
fn forge(place: &Destination, old: &Archive, chunks: Vec<(ChunkId, u32)>) {
    let mut writer = PackWriter::new(&old.ring).unwrap();
    for chunk in chunks {
        let payload = [vec![0], vec![b'!'; chunk.1 as usize]].concat();
        writer.append(Segment { kind: SegmentKind::Data, payload, chunks: vec![chunk] });
    }
    let forged = writer.finish();
    let pack = IndexedPack { name: forged.name, salt: forged.salt, epoch: 1, toc: forged.toc.clone() };
    place.write(&ObjectType::Pack.path(&forged.name), forged.parts.concat()).unwrap();
    let name = ObjectName::from_bytes([0; 16]);
    let object = seal_object_in((&old.ring, 1), ObjectType::Index, &name, &index::encode(&[pack])).unwrap();
    place.write(&ObjectType::Index.path(&name), object).unwrap();
}

/// Who has the old key may guess what will be backed up.
#[test]
fn a_backup_does_not_count_on_chunks_of_an_older_epoch() {
    let (world, place) = world();
    let old = open(&place).unwrap();
    advance(&place).unwrap();
    let content = b"a picture that everybody sends";
    forge(&place, &old, vec![(ChunkId::of(&old.ring.chunk_id, content), content.len() as u32)]);
    std::fs::write(world.source().join("picture"), content).unwrap();
    world.back_up(&place).unwrap();
    world.restore_all(&place, "with a forged chunk");
    prune(&place).unwrap();
    world.restore_all(&place, "after a prune with a forged chunk");
}

/// Who has the old key can make packs of the old epoch for as long as its packs are read.
#[test]
fn refuses_a_chunk_of_an_older_epoch_that_does_not_have_its_id() {
    let (world, place) = world();
    let old = open(&place).unwrap();
    advance(&place).unwrap();
    let known = store::load_index(&place, &old.ring, &BTreeSet::new()).unwrap().index;
    let described: Vec<_> = store::list_objects(&place, ObjectType::Index)
        .unwrap()
        .iter()
        .flat_map(|name| store::read_index(&place, &old.ring, name).unwrap())
        .collect();
    assert_eq!(described.len(), known.packs.len());
    // Every chunk there is, with another content, in a pack that is found first.
    let chunks = described.iter().flat_map(|pack| &pack.toc.segments).flat_map(|one| &one.chunks).copied();
    forge(&place, &old, chunks.collect());
    world.restore_all(&place, "with forged chunks");
    let report = prune(&place).unwrap();
    assert!(report.problems.len() <= 1, "{report:?}");
    world.restore_all(&place, "after a prune with forged chunks");
}

/// A header of before must not make a device that has the new key seal anything in an epoch whose key may have leaked.
#[test]
fn refuses_a_header_of_before_the_rotation() {
    let (world, place) = world();
    let first = read_header(&place).unwrap();
    let before = copy(&place);
    open(&place).unwrap().prepare_rotation(&key(), &next_key(), "test").unwrap();
    let prepared = read_header(&place).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let remembering = |key: &BackupKey, place: &Destination| {
        let memory = Some(DeviceMemory::at(folder.path().to_owned()).unwrap());
        Archive::open(place.clone(), key, OpenOptions { memory, ..OpenOptions::default() })
    };
    remembering(&next_key(), &place).unwrap();
    rotate(&place).unwrap();
    remembering(&next_key(), &place).unwrap();
    replace(&before, header::PATH, prepared.clone());
    // One that has seen the rotation refuses it; one that has not reads, and writes nothing.
    assert!(matches!(remembering(&next_key(), &before), Err(Error::OldHeader)));
    let mut fresh = open_with(&before, &next_key()).unwrap();
    let options = BackupOptions { sources: vec![world.source()], ..BackupOptions::default() };
    assert!(matches!(fresh.backup(&options, &Progress::default()), Err(Error::Rotating)));
    replace(&before, header::PATH, first);
    assert!(matches!(remembering(&next_key(), &before), Err(Error::WrongKey)));
    // A vault's head of the new epoch shows it, too.
    let sealed = open(&place).unwrap().seal_head().unwrap().unwrap();
    replace(&before, header::PATH, prepared);
    let options = OpenOptions { vault_head: Some(sealed.clone()), ..OpenOptions::default() };
    assert!(matches!(Archive::open(before, &next_key(), options), Err(Error::OldHeader)));
    let options = OpenOptions { vault_head: Some(sealed), ..OpenOptions::default() };
    assert!(Archive::open(place, &next_key(), options).is_ok());
}

#[test]
fn devices_and_receipts_remember_snapshots_that_were_sealed_anew() {
    let (_world, place) = world();
    let folder = tempfile::tempdir().unwrap();
    let opened = |key: &BackupKey, expected| {
        let memory = Some(DeviceMemory::at(folder.path().to_owned()).unwrap());
        Archive::open(place.clone(), key, OpenOptions { memory, expected, ..OpenOptions::default() })
    };
    let receipt = opened(&key(), None).unwrap().tips()[0].receipt();
    rotate(&place).unwrap();
    let archive = opened(&next_key(), Some(receipt)).unwrap();
    // What was forgotten stays so.
    assert_eq!((archive.snapshots().len(), archive.forgotten.forgotten.len()), (2, 4));
    let newest = ObjectType::Snapshot.path(&archive.snapshots()[1].name);
    place.delete(&newest).unwrap();
    assert!(matches!(opened(&next_key(), None), Err(Error::Rollback { .. })));
}

#[test]
fn an_epoch_that_was_changed_in_an_object_is_damage() {
    let (_world, place) = world();
    for name in store::list_objects(&place, ObjectType::Snapshot).unwrap() {
        let path = ObjectType::Snapshot.path(&name);
        let mut bytes = place.read(&path, 1 << 20).unwrap();
        bytes[12] ^= 6;
        replace(&place, &path, bytes);
    }
    let error = match open(&place) {
        Ok(archive) => archive.snapshot("latest").unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(error, Error::Damaged { why: Damage::Commitment, .. }), "{error}");
}

/// The same content gets the same id in every epoch.
#[test]
fn chunks_are_named_and_cut_as_before() {
    let (_world, place) = world();
    let ring = open(&place).unwrap().ring;
    rotate(&place).unwrap();
    let new = open(&place).unwrap().ring;
    assert_eq!(ChunkId::of(&ring.chunk_id, b"content"), ChunkId::of(&new.chunk_id, b"content"));
    assert_eq!(ring.chunker.derive_gear(), new.chunker.derive_gear());
}
