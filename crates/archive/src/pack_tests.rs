#![expect(clippy::unwrap_used, reason = "a test")]

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::samples::{NAME, noise, ring};

const SALT: [u8; 32] = [3; 32];

fn cipher() -> ObjectCipher {
    ObjectCipher::from_salt(&ring(1), ObjectType::Pack, &NAME, &SALT)
}

fn writer() -> PackWriter {
    PackWriter::with_cipher(NAME, cipher())
}

fn id(number: usize) -> ChunkId {
    ChunkId::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

/// A segment of chunks with these lengths and the plaintext that goes with it, compressed if asked for.
fn segment(kind: SegmentKind, lens: &[usize], compressed: bool) -> (Segment, Vec<u8>) {
    let plain = noise(lens.iter().sum(), lens.len() as u64);
    let chunks = lens.iter().enumerate().map(|(number, len)| (id(number), *len as u32)).collect();
    let payload = match compressed {
        true => [&[frame::ZSTD][..], &zstd::bulk::compress(&plain, 1).unwrap()].concat(),
        false => [&[frame::RAW][..], &plain].concat(),
    };
    (Segment { kind, payload, chunks }, plain)
}

/// What a reader finds in a pack, part by part.
struct Read {
    toc: Result<Toc, Damage>,
    segments: Vec<Result<Vec<u8>, Damage>>,
}

/// Reads a pack as a restore does that knows its table of contents, and as one that has to find it.
fn read(bytes: &[u8], known: &Toc) -> Result<Read, Damage> {
    let trailer_at = bytes.len().checked_sub(TRAILER_LEN).filter(|at| *at >= PREFIX_LEN).ok_or(Damage::Truncated)?;
    let cipher = match ObjectCipher::from_prefix(&ring(1), ObjectType::Pack, &NAME, bytes) {
        Ok(cipher) => cipher,
        Err(Error::Damaged { why, .. }) => return Err(why),
        Err(_) => return Err(Damage::NotOfThisKind),
    };
    let toc = Trailer::open(&cipher, &bytes[trailer_at..], bytes.len() as u64)
        .and_then(|trailer| trailer.open_toc(&cipher, &bytes[trailer.toc_at as usize..trailer_at]));
    let mut at = PREFIX_LEN;
    let mut segments = Vec::new();
    for (number, segment) in known.segments.iter().enumerate() {
        let end = at + segment.sealed_len as usize;
        let sealed = bytes.get(at..end).ok_or(Damage::Truncated).map(<[u8]>::to_vec);
        segments.push(sealed.and_then(|sealed| open_segment(&cipher, number as u32, sealed, segment.plain_len())));
        at = end;
    }
    Ok(Read { toc, segments })
}

fn small_pack() -> FinishedPack {
    let mut writer = writer();
    writer.append(segment(SegmentKind::Data, &[30, 1], false).0);
    writer.append(segment(SegmentKind::Data, &[40], true).0);
    writer.finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn packs_survive(
        shapes in vec((vec(1_usize..3000, 1..30), any::<bool>(), any::<bool>()), 0..8),
    ) {
        let mut writer = writer();
        let mut plains = Vec::new();
        for (lens, is_tree, compressed) in &shapes {
            let kind = if *is_tree { SegmentKind::Tree } else { SegmentKind::Data };
            let (segment, plain) = segment(kind, lens, *compressed);
            writer.append(segment);
            plains.push(plain);
        }
        let pack = writer.finish();
        let read = read(&pack.bytes(), &pack.toc).unwrap();
        prop_assert_eq!(read.toc.as_ref().unwrap(), &pack.toc);
        prop_assert_eq!(read.segments.into_iter().collect::<Result<Vec<_>, _>>().unwrap(), plains);
        prop_assert_eq!(pack.salt, SALT);
        prop_assert_eq!(frame::padme(pack.bytes().len()), pack.bytes().len());
    }

    #[test]
    fn refuses_any_bytes(bytes: Vec<u8>) {
        let mut forged = cipher().prefix().to_vec();
        forged.extend(&bytes);
        prop_assert!(read(&bytes, &Toc::default()).is_err());
        prop_assert!(read(&forged, &Toc::default()).map_or(true, |read| read.toc.is_err()));
    }
}

mod sizes {
    use super::*;

    /// Fills a pack with the same segment for as long as there is room.
    fn fill(lens: &[usize]) -> PackWriter {
        let (mut writer, mut len) = (writer(), OVERHEAD);
        loop {
            let (segment, _) = segment(SegmentKind::Data, lens, false);
            len += segment.room();
            if len > MAX_PACK {
                return writer;
            }
            writer.append(segment);
        }
    }

    fn check(lens: &[usize]) {
        let pack = fill(lens).finish();
        assert!(!pack.toc.segments.is_empty(), "not one segment of {} chunks fits", lens.len());
        assert!(pack.bytes().len() <= MAX_PACK, "{} segments: {} bytes", pack.toc.segments.len(), pack.bytes().len());
        assert_eq!(read(&pack.bytes(), &Toc::default()).unwrap().toc.unwrap(), pack.toc);
    }

    #[test]
    fn a_pack_of_full_segments_stays_within_16_mib() {
        check(&[MAX_SEGMENT]);
    }

    #[test]
    fn a_pack_of_segments_of_one_byte_stays_within_16_mib() {
        check(&[1]);
    }

    #[test]
    fn a_pack_of_chunks_of_one_byte_stays_within_16_mib() {
        check(&[1; 256]);
        check(&[1; 30_000]);
    }

    #[test]
    fn a_pack_of_database_pages_stays_within_16_mib() {
        check(&[4096; 256]);
    }

    #[test]
    fn a_full_segment_of_as_many_chunks_as_one_may_have_stays_within_16_mib() {
        check(&vec![MAX_SEGMENT / MAX_CHUNKS; MAX_CHUNKS]);
    }

    #[test]
    fn the_room_that_segments_are_said_to_take_is_what_they_take() {
        for (lens, count) in [(&[1 << 20][..], 15), (&[4096; 256], 3), (&[1, 127, 128, 70_000], 40), (&[4 << 20], 3)] {
            let (mut writer, mut len) = (writer(), OVERHEAD);
            for _ in 0..count {
                let (segment, _) = segment(SegmentKind::Data, lens, false);
                len += segment.room();
                writer.append(segment);
            }
            let bytes = writer.finish().bytes().len();
            assert!(bytes <= frame::padme(len) && bytes + 512 >= len, "{bytes} bytes, {len} were said");
        }
    }
}

#[test]
fn a_flipped_byte_costs_its_own_part_only() {
    let pack = small_pack();
    let [first, second] = [0, 1].map(|number| pack.toc.segments[number].sealed_len as usize);
    let ends = [PREFIX_LEN, PREFIX_LEN + first, PREFIX_LEN + first + second, pack.bytes().len()];
    for at in 0..pack.bytes().len() {
        let mut flipped = pack.bytes();
        flipped[at] ^= 0x40;
        let Ok(read) = read(&flipped, &pack.toc) else {
            assert!(at < PREFIX_LEN, "byte {at}");
            continue;
        };
        let part = ends.iter().position(|end| at < *end).unwrap();
        let broken = [&read.segments[0], &read.segments[1]].map(|segment| *segment == Err(Damage::Tag));
        let is_toc = read.toc == Err(Damage::Tag);
        assert_eq!((broken, is_toc), ([part == 1, part == 2], part == 3), "byte {at}");
    }
}

#[test]
fn refuses_any_truncation() {
    let pack = small_pack();
    for len in 0..pack.bytes().len() {
        assert!(read(&pack.bytes()[..len], &pack.toc).map_or(true, |read| read.toc.is_err()), "length {len}");
    }
}

#[test]
fn refuses_bytes_before_or_after_the_trailer() {
    let pack = small_pack();
    for at in [pack.bytes().len(), pack.bytes().len() - TRAILER_LEN, PREFIX_LEN] {
        let mut longer = pack.bytes();
        longer.insert(at, 0);
        assert!(read(&longer, &pack.toc).unwrap().toc.is_err());
    }
}

#[test]
fn refuses_a_segment_under_another_number() {
    let pack = small_pack();
    let first = &pack.toc.segments[0];
    let sealed = &pack.bytes()[PREFIX_LEN..PREFIX_LEN + first.sealed_len as usize];
    assert!(open_segment(&cipher(), 0, sealed.to_vec(), first.plain_len()).is_ok());
    for number in [1, 2, 255, 256, u32::MAX] {
        assert_eq!(open_segment(&cipher(), number, sealed.to_vec(), first.plain_len()), Err(Damage::Tag));
    }
}

#[test]
fn refuses_a_segment_of_another_pack() {
    let other = ObjectCipher::from_salt(&ring(1), ObjectType::Pack, &NAME, &[4; 32]);
    let renamed = ObjectCipher::from_salt(&ring(1), ObjectType::Pack, &ObjectName::from_bytes([1; 16]), &SALT);
    let pack = small_pack();
    let first = &pack.toc.segments[0];
    let sealed = &pack.bytes()[PREFIX_LEN..PREFIX_LEN + first.sealed_len as usize];
    for cipher in [other, renamed] {
        assert_eq!(open_segment(&cipher, 0, sealed.to_vec(), first.plain_len()), Err(Damage::Tag));
    }
}

#[test]
fn refuses_the_table_of_contents_as_a_segment() {
    let pack = small_pack();
    let toc_at = PREFIX_LEN + pack.toc.segments.iter().map(|segment| segment.sealed_len as usize).sum::<usize>();
    let sealed = &pack.bytes()[toc_at..pack.bytes().len() - TRAILER_LEN];
    for number in 0..4 {
        assert_eq!(open_segment(&cipher(), number, sealed.to_vec(), 10), Err(Damage::Tag));
    }
}

/// A segment that is authentic, but not what its writer should have written.
fn authentic(payload: &[u8], plain_len: u32) -> Result<Vec<u8>, Damage> {
    let mut sealed = payload.to_vec();
    cipher().seal(Part::Segment(0), &mut sealed, 0);
    open_segment(&cipher(), 0, sealed, plain_len)
}

#[test]
fn refuses_an_empty_segment_and_one_of_another_length() {
    assert_eq!(authentic(b"", 0), Err(Damage::Truncated));
    assert_eq!(authentic(b"\0plain", 5), Ok(b"plain".to_vec()));
    assert_eq!(authentic(b"\0plain", 4), Err(Damage::Compression));
    assert_eq!(authentic(b"\0plain", 6), Err(Damage::Compression));
    assert!(matches!(authentic(b"\x02plain", 5), Err(Damage::Encoding(_))));
}

/// A pack made of these parts, each sealed as it should be.
fn assembled(segments: &[&[u8]], toc: &Toc, trailer: impl Fn(u64, u32) -> (u64, u32, u32)) -> Vec<u8> {
    let cipher = cipher();
    let mut bytes = cipher.prefix().to_vec();
    for (number, payload) in segments.iter().enumerate() {
        let from = bytes.len();
        bytes.extend_from_slice(payload);
        cipher.seal(Part::Segment(number as u32), &mut bytes, from);
    }
    let toc_at = bytes.len();
    let mut encoder = Encoder::new();
    toc.encode(&mut encoder);
    frame::append(&mut bytes, &encoder.finish(), TAG_LEN + TRAILER_LEN);
    let (at, len, count) = trailer(toc_at as u64, (bytes.len() - toc_at + TAG_LEN) as u32);
    cipher.seal(Part::Last(count), &mut bytes, toc_at);
    let trailer_at = bytes.len();
    bytes.extend_from_slice(&at.to_le_bytes());
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&count.to_le_bytes());
    cipher.seal(Part::Trailer, &mut bytes, trailer_at);
    bytes
}

fn one_segment(sealed_len: u32) -> Toc {
    let chunks = vec![(id(0), 5)];
    Toc { segments: vec![TocSegment { kind: SegmentKind::Data, sealed_len, chunks }] }
}

#[test]
fn refuses_a_trailer_that_does_not_fit_the_length() {
    type Change = fn(u64, u32) -> (u64, u32, u32);
    let right: Change = |at, len| (at, len, 1);
    let toc = one_segment(6 + TAG_LEN as u32);
    let whole = assembled(&[b"\0plain"], &toc, right);
    assert_eq!(read(&whole, &toc).unwrap().toc, Ok(toc.clone()));
    let wrong: [Change; 5] = [
        |at, len| (at + 1, len, 1),
        |at, len| (at, len + 1, 1),
        |_, len| (u64::MAX - u64::from(len), len, 1),
        |_, _| (u64::MAX, u32::MAX, 1),
        |at, len| (PREFIX_LEN as u64 - 1, len + (at - PREFIX_LEN as u64) as u32 + 1, 1),
    ];
    for (number, wrong) in wrong.into_iter().enumerate() {
        let bytes = assembled(&[b"\0plain"], &toc, wrong);
        assert!(matches!(read(&bytes, &toc).unwrap().toc, Err(Damage::Encoding(_))), "change {number}");
    }
}

#[test]
fn refuses_a_table_of_contents_that_does_not_fill_the_pack() {
    let known = one_segment(6 + TAG_LEN as u32);
    for (toc, count) in [
        (one_segment(5 + TAG_LEN as u32), 1),
        (one_segment(7 + TAG_LEN as u32), 1),
        (Toc::default(), 0),
        (one_segment(6 + TAG_LEN as u32), 2),
    ] {
        let bytes = assembled(&[b"\0plain"], &toc, |at, len| (at, len, count));
        assert!(matches!(read(&bytes, &known).unwrap().toc, Err(Damage::Encoding(_))), "{toc:?}");
    }
}
