//! Against a rotation: who has the old key, and a provider that serves what it likes; and what an unlucky one leaves.

use coffer_keys::BackupKey;

use super::world::*;
use crate::archive::Archive;
use crate::backup::BackupOptions;
use crate::destination::Destination;
use crate::envelope::{ObjectType, seal_object_in};
use crate::error::Error;
use crate::header;
use crate::header_place::read_header;
use crate::id::ObjectName;
use crate::index::{self, IndexedPack};
use crate::report::Progress;
use crate::rotate::RotateOptions;
use crate::store;

fn prepare(place: &Destination) -> Archive {
    open_with(place, &key()).unwrap().prepare_rotation(&key(), &next_key(), "test").unwrap();
    open_with(place, &next_key()).unwrap()
}

fn snapshots(place: &Destination) -> Vec<String> {
    place.list("snapshots/").unwrap()
}

/// By a provider that shows half an object where a run died.
#[test]
fn what_was_torn_while_it_was_sealed_anew_is_sealed_anew_again() {
    let (world, start) = world();
    let before = [snapshots(&start), start.list("forgotten/").unwrap()].concat();
    prepare(&start).seal_anew().unwrap();
    let ahead = [snapshots(&start), start.list("forgotten/").unwrap()].concat();
    let ahead: Vec<_> = ahead.into_iter().filter(|path| !before.contains(path)).collect();
    assert_eq!(ahead.len(), 3);
    for path in ahead {
        for left in [80, 81, 200] {
            let place = copy(&start);
            let whole = place.read(&path, 1 << 20).unwrap();
            replace(&place, &path, whole[..left.min(whole.len() - 1)].to_vec());
            rotate(&place).unwrap_or_else(|error| panic!("{path} cut to {left}: {error}"));
            world.check_and_clean(&place, "after a torn snapshot");
        }
    }
}

/// Else no backup would be made any more.
#[test]
fn what_does_not_open_can_be_given_up_while_the_key_is_rotated() {
    for folder in ["snapshots", "forgotten"] {
        let (world, place) = world();
        prepare(&place);
        place.write(&format!("{folder}/{}", "ab".repeat(16)), b"garbage".to_vec()).unwrap();
        assert!(matches!(advance(&place), Err(Error::Damaged { object, .. }) if object.starts_with(folder)));
        let report = open_with(&place, &key()).unwrap().repair_snapshots("test", false).unwrap();
        assert_eq!(report.damaged.len(), 1);
        rotate(&place).unwrap();
        world.check_and_clean(&place, "after a repair");
    }
}

#[test]
fn refuses_to_prepare_a_rotation_while_a_snapshot_does_not_open() {
    let (_world, place) = world();
    place.write(&format!("snapshots/{}", "ab".repeat(16)), b"garbage".to_vec()).unwrap();
    let prepared = open(&place).unwrap().prepare_rotation(&key(), &next_key(), "test");
    assert!(matches!(prepared, Err(Error::Damaged { object, .. }) if object.starts_with("snapshots/")));
    assert!(!open(&place).unwrap().is_rotating());
}

/// It would not count afterwards, and be removed.
#[test]
fn refuses_to_rotate_while_a_listing_lacks_a_snapshot() {
    let (world, start) = world();
    for path in snapshots(&start) {
        let place = copy(&start);
        let mut archive = prepare(&place);
        let hidden = place.read(&path, 1 << 20).unwrap();
        place.delete(&path).unwrap();
        let rotated = archive.rotate(&RotateOptions::default());
        assert!(matches!(rotated, Err(Error::Rollback { .. })), "{rotated:?}");
        place.write(&path, hidden).unwrap();
        rotate(&place).unwrap();
        assert_eq!(heads(&place), heads(&start));
        world.check_and_clean(&place, "after a listing that lacked a snapshot");
    }
}

/// A device that remembers nothing, and is served the first header after the second was written.
#[test]
fn refuses_to_rotate_by_a_header_that_was_followed_by_another() {
    for is_pruned in [false, true] {
        let (world, place) = world();
        prepare(&place);
        let prepared = read_header(&place).unwrap();
        advance(&place).unwrap();
        if is_pruned {
            prune(&place).unwrap();
        } else {
            world.live();
            world.back_up(&place).unwrap();
        }
        let (current, known) = (read_header(&place).unwrap(), heads(&place));
        let there = snapshots(&place);
        replace(&place, header::PATH, prepared);
        let rotated = open_with(&place, &next_key()).unwrap().rotate(&RotateOptions::default());
        assert!(matches!(rotated, Err(Error::OldHeader)), "{rotated:?}");
        assert_eq!(snapshots(&place), there);
        replace(&place, header::PATH, current);
        assert_eq!(heads(&place), known);
        world.check_and_clean(&place, "after an old header");
    }
}

/// A device that still has the old key, and is served the header of before.
#[test]
fn refuses_to_prepare_a_rotation_by_a_header_of_before_another() {
    let (world, place) = world();
    let first = read_header(&place).unwrap();
    rotate(&place).unwrap();
    let current = read_header(&place).unwrap();
    replace(&place, header::PATH, first.clone());
    let prepared = open_with(&place, &key()).unwrap().prepare_rotation(&key(), &next_key(), "test");
    assert!(matches!(prepared, Err(Error::OldHeader)), "{prepared:?}");
    assert_eq!(read_header(&place).unwrap(), first);
    replace(&place, header::PATH, current);
    world.check_and_clean(&place, "after an old header");
}

fn forge_index(place: &Destination, old: &Archive, packs: &[IndexedPack]) {
    let name = ObjectName::from_bytes([0; 16]);
    let object = seal_object_in((&old.ring, 1), ObjectType::Index, &name, &index::encode(packs)).unwrap();
    place.write(&ObjectType::Index.path(&name), object).unwrap();
}

fn described(place: &Destination, archive: &Archive) -> Vec<IndexedPack> {
    let names = store::list_objects(place, ObjectType::Index).unwrap();
    names.iter().flat_map(|name| store::read_index(place, &archive.ring, name).unwrap()).collect()
}

/// Who has the old key says of every pack, of the new epoch too, that it holds something else.
#[test]
fn refuses_what_an_index_of_an_older_epoch_says_of_packs_that_others_describe() {
    for with_new in [false, true] {
        let (world, place) = world();
        let old = open(&place).unwrap();
        advance(&place).unwrap();
        if with_new {
            world.live();
            world.back_up(&place).unwrap();
        }
        let mut packs = described(&place, &open(&place).unwrap());
        assert_eq!(packs.iter().any(|pack| pack.epoch == 2), with_new);
        if with_new {
            packs.retain(|pack| pack.epoch == 2);
        }
        for pack in &mut packs {
            for chunk in pack.toc.segments.iter_mut().flat_map(|segment| &mut segment.chunks) {
                chunk.0 = crate::id::ChunkId::of(&old.ring.chunk_id, chunk.0.as_bytes());
            }
        }
        forge_index(&place, &old, &packs);
        world.restore_all(&place, "with a forged index");
        let report = prune(&place).unwrap();
        assert_eq!(report.problems, []);
        world.check_and_clean(&place, "after a prune with a forged index");
        assert!(!open(&place).unwrap().has_older_keys());
    }
}

/// By the new header nobody could open what the copy alone keeps.
#[test]
fn refuses_to_bring_a_copy_up_to_date_that_keeps_more() {
    let copied = |place: &Destination, to: &Destination, by: &BackupKey| {
        open_with(place, by).unwrap().copy_to(to, "test", &Progress::default())
    };
    let heads_by = |place: &Destination, key: &BackupKey| open_with(place, key).unwrap().heads();
    let key_of = |number: u8| if number == 0 { key() } else { BackupKey::from_bytes([100 + number; 32]) };
    for is_pruned in [false, true] {
        let (world, place) = World::with_days(4);
        let to = Destination::memory().unwrap();
        for number in 0..3 {
            let (old, new) = (key_of(number), key_of(number + 1));
            copied(&place, &to, &old).unwrap();
            let (more, kept) = (copy(&to), heads_by(&to, &old));
            // One that was made since is none of those.
            let sources = vec![world.source()];
            let options_of = BackupOptions { sources, host: "test".to_owned(), ..BackupOptions::default() };
            open_with(&place, &old).unwrap().backup(&options_of, &Progress::default()).unwrap();
            open_with(&place, &old).unwrap().prepare_rotation(&old, &new, "test").unwrap();
            let mut archive = open_with(&place, &new).unwrap();
            archive.rotate(&RotateOptions::default()).unwrap();
            if is_pruned {
                archive.prune(&options(), &Progress::default()).unwrap();
            }
            // What was there and is there still may follow; …
            copied(&place, &to, &new).unwrap();
            assert!(matches!(open_with(&to, &old), Err(Error::WrongKey)));
            // … what is there no more would be lost.
            let first = archive.snapshots()[0].name;
            archive.forget(&[first]).unwrap();
            let before = objects(&more);
            let refused = copied(&place, &more, &new);
            assert!(matches!(refused, Err(Error::CopyKeepsMore { .. })), "{refused:?}");
            assert_eq!(objects(&more), before);
            assert_eq!(heads_by(&more, &old), kept);
            // It goes there too, before the next one.
            let mut archive = open_with(&to, &new).unwrap();
            let first = archive.snapshots()[0].name;
            archive.forget(&[first]).unwrap();
        }
    }
}
