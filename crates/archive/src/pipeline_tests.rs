//! How chunks become segments.
#![expect(clippy::unwrap_used, reason = "tests")]

use coffer_keys::BackupKey;

use super::*;
use crate::header::Header;
use crate::index::Index;
use crate::store;

/// Stores what `work` puts into an empty archive: plaintext length and number of chunks of each segment.
fn segments(work: impl FnOnce(&mut Sink<'_>) + Send) -> Vec<(u32, usize)> {
    let destination = Destination::memory().unwrap();
    let key = BackupKey::from_bytes([7; 32]);
    let ring = Header::generate(&key).unwrap().0.unlock(&key).unwrap();
    let store = ChunkStore::new(&destination, &ring, Index::default());
    let work = |sink: &mut Sink<'_>| {
        work(sink);
        Ok(())
    };
    run(&store, Vec::new(), work).unwrap();
    let packs = store::list_objects(&destination, ObjectType::Pack).unwrap();
    let packs = packs.iter().map(|name| store::read_toc(&destination, &ring, name).unwrap());
    let mut found: Vec<_> =
        packs.flat_map(|pack| pack.toc.segments).map(|segment| (segment.plain_len(), segment.chunks.len())).collect();
    found.sort_unstable();
    found
}

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

#[test]
fn text_gathers_in_larger_segments_than_pages_and_media() {
    let of = |class| {
        segments(move |sink| {
            for seed in 0..40 {
                sink.put(class, &noise(100_000, seed)).unwrap();
            }
        })
    };
    assert_eq!(of(Class::Text), [(900_000, 9), (3_100_000, 31)]);
    for class in [Class::Pages, Class::Media, Class::Tree] {
        assert_eq!(of(class), [(1_000_000, 10); 4], "{class:?}");
    }
}

#[test]
fn a_segment_is_closed_before_it_has_more_chunks_than_a_pack_has_room_for() {
    let numbers = segments(|sink| {
        for number in 0..MAX_CHUNKS as u32 + 5 {
            sink.put(Class::Text, &number.to_le_bytes()).unwrap();
        }
    });
    assert_eq!(numbers, [(20, 5), (400_000, MAX_CHUNKS)]);
}
