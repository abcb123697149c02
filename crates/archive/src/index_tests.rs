#![expect(clippy::unwrap_used, reason = "a test")]

use proptest::prelude::*;

use super::*;
use crate::pack::{SegmentKind, TocSegment};
use crate::samples::{any_packs, any_toc};

fn encoded(toc: &Toc) -> Vec<u8> {
    let mut encoder = Encoder::new();
    toc.encode(&mut encoder);
    encoder.finish()
}

fn decoded(bytes: &[u8]) -> Result<Toc, CodecError> {
    let mut decoder = Decoder::new(bytes);
    let toc = Toc::decode(&mut decoder)?;
    decoder.finish()?;
    Ok(toc)
}

proptest! {
    #[test]
    fn indexes_survive(packs in any_packs()) {
        prop_assert_eq!(decode(&encode(&packs), 1).unwrap(), packs);
    }

    #[test]
    fn tables_of_contents_survive(toc in any_toc()) {
        prop_assert_eq!(decoded(&encoded(&toc)).unwrap(), toc);
    }

    #[test]
    fn a_changed_index_is_refused_or_another_in_its_one_form(
        packs in any_packs(), at: prop::sample::Index, byte: u8,
    ) {
        let mut bytes = encode(&packs);
        *at.get_mut(&mut bytes) = byte;
        if let Ok(changed) = decode(&bytes, 1) {
            prop_assert_eq!(encode(&changed), bytes);
        }
    }

    #[test]
    fn refuses_any_truncation(packs in any_packs(), at: prop::sample::Index) {
        let bytes = encode(&packs);
        prop_assert_eq!(decode(&bytes[..at.index(bytes.len())], 1), Err(CodecError::Truncated));
    }

    #[test]
    fn every_chunk_is_found_where_it_lies(packs in any_packs()) {
        let mut index = Index::default();
        packs.iter().for_each(|pack| index.insert(pack, true));
        for pack in &packs {
            prop_assert!(index.knows_pack(&pack.name));
            for (number, segment) in pack.toc.segments.iter().enumerate() {
                let mut offset = 0;
                for (id, len) in &segment.chunks {
                    let found = index.locations(id).next().unwrap();
                    let known = &index.packs[found.pack as usize];
                    // Ids are random: each comes once.
                    prop_assert_eq!(known.name, pack.name);
                    prop_assert_eq!((found.segment, found.offset, found.len), (number as u32, offset, *len));
                    offset += len;
                }
            }
        }
    }
}

fn toc(sealed_len: u32, lens: &[u32]) -> Toc {
    let chunks = lens.iter().map(|len| (ChunkId::from_bytes([1; 32]), *len)).collect();
    Toc { segments: vec![TocSegment { kind: SegmentKind::Data, sealed_len, chunks }] }
}

fn refusal(toc: &Toc) -> CodecError {
    decoded(&encoded(toc)).unwrap_err()
}

#[test]
fn refuses_a_chunk_of_no_bytes_or_of_more_than_a_segment() {
    let limits = CodecError::Invalid("the length of a chunk is outside the format's limits");
    assert!(decoded(&encoded(&toc(100, &[4 << 20]))).is_ok());
    for lens in [&[0][..], &[(4 << 20) + 1], &[2 << 20, (2 << 20) + 1], &[u32::MAX, u32::MAX]] {
        assert_eq!(refusal(&toc(100, lens)), limits, "{lens:?}");
    }
}

#[test]
fn refuses_a_segment_without_chunks() {
    assert_eq!(refusal(&toc(100, &[])), CodecError::Invalid("a segment is empty"));
}

#[test]
fn refuses_a_pack_of_more_than_16_mib() {
    let room = (16 << 20) - PREFIX_LEN as u32;
    assert!(decoded(&encoded(&toc(room, &[1]))).is_ok());
    let too_large = CodecError::Invalid("a pack is larger than the format allows");
    assert_eq!(refusal(&toc(room + 1, &[1])), too_large);
    let mut two = toc(room, &[1]);
    two.segments.extend(toc(1, &[1]).segments);
    assert_eq!(refusal(&two), too_large);
    assert_eq!(refusal(&toc(u32::MAX, &[1])), too_large);
}

#[test]
fn refuses_an_unknown_kind_of_segment() {
    let mut bytes = encoded(&toc(100, &[1]));
    bytes[1] = 2;
    assert_eq!(decoded(&bytes), Err(CodecError::Invalid("the kind of a segment is unknown")));
}

#[test]
fn refuses_more_packs_segments_or_chunks_than_the_rest_can_hold() {
    let mut encoder = Encoder::new();
    encoder.varint(u64::MAX >> 8);
    encoder.raw(&[0; 64]);
    let bytes = encoder.finish();
    assert_eq!(decode(&bytes, 1), Err(CodecError::Truncated));
    assert_eq!(decoded(&bytes), Err(CodecError::Truncated));
    let segment = [&[1, 0, 1][..], &bytes].concat();
    assert_eq!(decoded(&segment), Err(CodecError::Truncated));
}

#[test]
fn refuses_bytes_after_the_last_pack() {
    assert_eq!(decode(&[0, 0], 1), Err(CodecError::Trailing));
}

#[test]
fn a_chunk_in_two_packs_is_read_from_the_first() {
    let mut index = Index::default();
    for name in [1, 2] {
        let name = ObjectName::from_bytes([name; 16]);
        index.insert(&IndexedPack { name, salt: [0; 32], epoch: 1, toc: toc(100, &[9]) }, true);
    }
    let id = ChunkId::from_bytes([1; 32]);
    assert_eq!(index.locations(&id).map(|location| location.pack).collect::<Vec<_>>(), [0, 1]);
    assert!(index.only_in(&[(0, 0)].into()).is_empty());
    assert!(index.only_in(&[(0, 0), (1, 0)].into()).contains(&id));
}

/// Of packs that are not to be counted on, every one may be the only one that is there.
#[test]
fn what_is_missing_is_what_no_kept_pack_holds() {
    let pack = |name: u8, chunks: &[u8]| {
        let chunks = chunks.iter().map(|id| (ChunkId::from_bytes([*id; 32]), 9)).collect();
        let segments = vec![TocSegment { kind: SegmentKind::Data, sealed_len: 100, chunks }];
        IndexedPack { epoch: 1, name: ObjectName::from_bytes([name; 16]), salt: [0; 32], toc: Toc { segments } }
    };
    let mut index = Index::default();
    index.insert(&pack(1, &[1]), true);
    index.insert_what_is_missing(&pack(2, &[1, 2, 2]));
    index.insert_what_is_missing(&pack(3, &[2, 1, 3]));
    let places = |id: u8| index.locations(&ChunkId::from_bytes([id; 32])).map(|place| place.pack).collect::<Vec<_>>();
    assert_eq!([1, 2, 3].map(places), [vec![0], vec![1, 1, 2], vec![2]]);
}

#[test]
fn a_pack_that_two_indexes_name_counts_once() {
    let mut index = Index::default();
    let pack = IndexedPack { name: ObjectName::from_bytes([1; 16]), salt: [0; 32], epoch: 1, toc: toc(100, &[9]) };
    index.insert(&pack, true);
    index.insert(&pack, true);
    assert_eq!(index.packs.len(), 1);
}
