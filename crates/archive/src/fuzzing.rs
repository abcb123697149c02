//! Where the fuzz targets of `tests/fuzz` come in: one function for each parser of foreign bytes. Each takes any bytes
//! and panics when a parser breaks a promise: above all, that a value has one encoding.
//!
//! Only built with `--cfg fuzzing`, as `cargo xtask fuzz` does.

#![expect(missing_docs, reason = "each is named after what it parses")]
#![expect(clippy::unwrap_used, reason = "a panic is a finding")]

use coffer_keys::{ArchiveId, BackupKey, DataKey};

use crate::codec::{CodecError, Decoder, Encoder};
use crate::content::{Content, recode_list};
use crate::device::Receipt;
use crate::doomed::Doomed;
use crate::envelope::{ObjectCipher, ObjectType, PREFIX_LEN, Part, open_object, seal_with};
use crate::error::{Damage, Error};
use crate::forgotten;
use crate::frame;
use crate::header::{Header, JsonSlot};
use crate::id::{ChunkId, ObjectName};
use crate::index::{self, Index};
use crate::keyring::Keyring;
use crate::lock::Lock;
use crate::pack::{self, TRAILER_LEN, Toc, Trailer, open_segment};
use crate::snapshot::Snapshot;
use crate::tree::decode_entries;

/// The keys of tests/vectors, which the seeds are sealed with.
const BACKUP_KEY: [u8; 32] = counting(0);
const DATA_KEY: [u8; 32] = counting(0xe0);
const ARCHIVE: [u8; 16] = counting(0x10);
const NAME: ObjectName = ObjectName::from_bytes(counting(0xa0));
const SALT: [u8; 32] = counting(0x40);

/// first, first + 1, first + 2 …
const fn counting<const N: usize>(first: u8) -> [u8; N] {
    let mut bytes = [first; N];
    let mut at = 0;
    while at < N {
        bytes[at] += at as u8;
        at += 1;
    }
    bytes
}

fn ring() -> Keyring {
    let archive = ArchiveId::from_bytes(ARCHIVE);
    Keyring::of_epoch(archive, 1, &DataKey::from_bytes(DATA_KEY))
}

/// What decodes must encode to the same bytes.
fn has_one_form<T>(bytes: &[u8], decoded: Result<T, CodecError>, encode: impl Fn(&T) -> Vec<u8>) -> Option<T> {
    let value = decoded.ok()?;
    assert_eq!(encode(&value), bytes, "another encoding of the same value was accepted");
    Some(value)
}

fn whole<T>(bytes: &[u8], decode: impl Fn(&mut Decoder<'_>) -> Result<T, CodecError>) -> Result<T, CodecError> {
    let mut decoder = Decoder::new(bytes);
    let value = decode(&mut decoder)?;
    decoder.finish()?;
    Ok(value)
}

fn encoded(encode: impl Fn(&mut Encoder)) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encode(&mut encoder);
    encoder.finish()
}

pub fn header(bytes: &[u8]) {
    let Ok(header) = Header::parse(bytes) else { return };
    assert_eq!(header.encode(), bytes, "a header has one form");
    // The data key of the vectors: nobody finds another that fits.
    if let Ok(opened) = header.unlock(&BackupKey::from_bytes(BACKUP_KEY)) {
        let known = DataKey::from_bytes(DATA_KEY).derive(&header.archive);
        assert!(opened.commit(opened.epoch).unwrap().verify(b"", &known.commit.commit(b"")), "a header was forged");
    }
}

pub fn key_slot(bytes: &[u8]) {
    let parse = |bytes: &[u8]| serde_json::from_slice::<JsonSlot>(bytes).ok()?.key_slot();
    let Some(slot) = parse(bytes) else { return };
    let again = serde_json::to_vec(&JsonSlot::new(&slot)).unwrap();
    assert_eq!(parse(&again).as_ref(), Some(&slot), "what is written is not what was read");
    let archive = ArchiveId::from_bytes(ARCHIVE);
    if let Ok(data_key) = slot.unwrap_data_key(&BackupKey::from_bytes(BACKUP_KEY), &archive) {
        let (found, known) = (data_key.derive(&archive), DataKey::from_bytes(DATA_KEY).derive(&archive));
        assert!(found.commit.verify(b"", &known.commit.commit(b"")), "a key slot was forged");
    }
}

pub fn receipt(text: &str) {
    let Some(receipt) = Receipt::parse(text) else { return };
    assert_eq!(Receipt::parse(&receipt.to_string()), Some(receipt), "what is shown does not read the same");
}

/// A whole index, snapshot, lock, pack or other object as a provider might serve it: authentic ones only are opened.
pub fn object(bytes: &[u8]) {
    let ring = ring();
    let kinds = [ObjectType::Index, ObjectType::Snapshot, ObjectType::Lock, ObjectType::Forgotten, ObjectType::Doomed];
    for kind in kinds {
        let Ok(content) = open_object(&ring, kind, &NAME, bytes) else { continue };
        let cipher = ObjectCipher::from_prefix(&ring, kind, &NAME, bytes).unwrap();
        assert_eq!(seal_with(&cipher, &content), bytes, "an object was forged");
        match kind {
            ObjectType::Index => index(&content),
            ObjectType::Snapshot => snapshot(&content),
            ObjectType::Forgotten => forgotten(&content),
            ObjectType::Doomed => doomed(&content),
            _ => lock(&content),
        }
    }
    if let Ok(cipher) = ObjectCipher::from_prefix(&ring, ObjectType::Pack, &NAME, bytes)
        && let Some(at) = bytes.len().checked_sub(TRAILER_LEN).filter(|at| *at >= PREFIX_LEN)
        && let Ok(trailer) = Trailer::open(&cipher, &bytes[at..], bytes.len() as u64)
    {
        open_pack(&cipher, &trailer, &bytes[..at]);
    }
}

/// A pack whose trailer, table of contents and segments are authentic, but say anything.
///
/// The input: segments count u8, length of each segment's payload u8, trailer's plaintext 16, then the payloads, then
/// the plaintext of the table of contents' frame.
pub fn pack(bytes: &[u8]) {
    let _ = assemble(bytes);
}

fn assemble(bytes: &[u8]) -> Result<(), CodecError> {
    let mut input = Decoder::new(bytes);
    let count = input.u8()?;
    let lens = input.raw(count.into())?;
    let trailer = input.raw(16)?;
    let cipher = ObjectCipher::from_salt(&ring(), ObjectType::Pack, &NAME, &SALT);
    let mut pack = cipher.prefix().to_vec();
    for (number, len) in lens.iter().enumerate() {
        let from = pack.len();
        pack.extend_from_slice(input.raw((*len).into())?);
        cipher.seal(Part::Segment(number as u32), &mut pack, from);
    }
    let toc_at = pack.len();
    pack.extend_from_slice(input.rest());
    let mut sealed_trailer = trailer.to_vec();
    let segments = Decoder::new(&trailer[12..]).array().map(u32::from_le_bytes)?;
    cipher.seal(Part::Last(segments), &mut pack, toc_at);
    cipher.seal(Part::Trailer, &mut sealed_trailer, 0);
    let len = (pack.len() + sealed_trailer.len()) as u64;
    if let Ok(trailer) = Trailer::open(&cipher, &sealed_trailer, len) {
        open_pack(&cipher, &trailer, &pack);
    }
    Ok(())
}

/// Reads a pack whose trailer has been opened and taken off.
fn open_pack(cipher: &ObjectCipher, trailer: &Trailer, bytes: &[u8]) {
    let toc_at = trailer.toc_at as usize;
    assert_eq!(toc_at + trailer.toc_len as usize, bytes.len());
    let Ok(toc) = trailer.open_toc(cipher, &bytes[toc_at..]) else { return };
    let mut at = PREFIX_LEN;
    for (number, segment) in toc.segments.iter().enumerate() {
        // In bounds, because the segments fill the pack.
        let sealed = bytes[at..at + segment.sealed_len as usize].to_vec();
        at += segment.sealed_len as usize;
        if let Ok(plain) = open_segment(cipher, number as u32, sealed, segment.plain_len()) {
            assert_eq!(plain.len(), segment.plain_len() as usize);
        }
    }
    assert_eq!(at, toc_at);
}

pub fn frame(bytes: &[u8]) {
    let Ok(content) = frame::parse(bytes) else { return };
    let mut again = Vec::new();
    frame::append(&mut again, &content, 16);
    assert_eq!(frame::parse(&again), Ok(content.clone()), "content does not survive");
    // What is not compressed has one form but for its padding.
    if bytes[0] == frame::RAW {
        let mut again = encoded(|e| {
            e.u8(frame::RAW);
            e.varint(content.len() as u64);
            e.bytes(&content);
        });
        assert!(again.len() <= bytes.len());
        again.resize(bytes.len(), 0);
        assert_eq!(again, bytes);
    }
}

pub fn toc(bytes: &[u8]) {
    let toc = has_one_form(bytes, whole(bytes, Toc::decode), |toc| encoded(|e| toc.encode(e)));
    let Some(toc) = toc else { return };
    let len = toc.segments.iter().map(|segment| u64::from(segment.sealed_len)).sum::<u64>();
    assert!(len + PREFIX_LEN as u64 <= pack::MAX_PACK as u64);
    assert!(toc.segments.iter().all(|segment| segment.plain_len() as usize <= pack::MAX_SEGMENT));
}

pub fn index(bytes: &[u8]) {
    let Some(packs) = has_one_form(bytes, index::decode(bytes, 1), |packs| index::encode(packs)) else { return };
    let mut index = Index::default();
    packs.iter().for_each(|pack| index.insert(pack, true));
    for (id, _) in packs.iter().flat_map(|pack| &pack.toc.segments).flat_map(|segment| &segment.chunks) {
        for found in index.locations(id) {
            let segment = index.packs[found.pack as usize].segments[found.segment as usize];
            assert!(found.offset + found.len <= segment.plain_len, "a chunk lies beyond its segment");
        }
    }
}

pub fn snapshot(bytes: &[u8]) {
    let snapshot = Snapshot::decode(NAME, [0; 32], bytes);
    let Some(snapshot) = has_one_form(bytes, snapshot, Snapshot::encode) else { return };
    assert!(snapshot.previous.iter().all(|previous| previous.number < snapshot.head.number));
    assert!(snapshot.root.len() <= i64::MAX as u64);
}

pub fn lock(bytes: &[u8]) {
    has_one_form(bytes, Lock::decode(NAME, bytes), Lock::encode);
}

pub fn forgotten(bytes: &[u8]) {
    has_one_form(bytes, forgotten::decode(bytes), forgotten::encode);
}

pub fn doomed(bytes: &[u8]) {
    has_one_form(bytes, Doomed::decode(bytes), Doomed::encode);
}

/// One chunk of a folder's entries.
pub fn entries(bytes: &[u8]) {
    let Ok(nodes) = decode_entries(bytes) else { return };
    for node in &nodes {
        assert!(!node.name.is_empty() && node.name != b"." && node.name != b"..");
        assert!(!node.name.contains(&b'/') && !node.name.contains(&0));
        assert!(node.mode <= 0o7777 && node.size() <= i64::MAX as u64);
    }
    assert!(nodes.is_sorted_by(|one, other| one.name < other.name));
    let again = encoded(|e| nodes.iter().for_each(|node| node.encode(e)));
    assert_eq!(decode_entries(&again).as_ref(), Ok(&nodes), "entries do not survive");
    // An attribute that may be skipped is lost; nothing else is.
    assert!(again == bytes || again.len() < bytes.len(), "another encoding of the same entries was accepted");
}

pub fn content(bytes: &[u8]) {
    let content = has_one_form(bytes, whole(bytes, Content::decode), |content| encoded(|e| content.encode(e)));
    assert!(content.is_none_or(|content| content.len() <= i64::MAX as u64));
}

/// A content and the list chunks that it leads to. The input: number of lists u8, length of each u16, the lists, the
/// content. A list goes by the first byte of its id.
pub fn lists(bytes: &[u8]) {
    let _ = walk_lists(bytes);
}

fn walk_lists(bytes: &[u8]) -> Result<(), CodecError> {
    let mut input = Decoder::new(bytes);
    let count = input.u8()?.into();
    let lens = (0..count).map(|_| input.array().map(u16::from_le_bytes)).collect::<Result<Vec<_>, _>>()?;
    let lists = lens.iter().map(|len| input.raw((*len).into())).collect::<Result<Vec<_>, _>>()?;
    for list in &lists {
        has_one_form(list, recode_list(list), Vec::clone);
    }
    let content = whole(input.rest(), Content::decode)?;
    let missing = || Error::damaged("a list", Damage::Missing);
    let load = |id: &ChunkId| lists.get(usize::from(id.as_bytes()[0])).map(|list| list.to_vec()).ok_or_else(missing);
    let (mut sum, mut is_whole) = (0, true);
    // Lists may lead to one another: the content may have more extents than anybody can count.
    for (number, extent) in content.extents(load).enumerate() {
        match extent {
            Ok(extent) => sum += extent.len(),
            Err(error) => {
                assert!(error.is_damage());
                is_whole = false;
            }
        }
        assert!(sum <= content.len(), "lists hold more than was said");
        if number > 4096 {
            return Ok(());
        }
    }
    assert_eq!(is_whole, sum == content.len(), "a part is missing and nothing was said");
    Ok(())
}
