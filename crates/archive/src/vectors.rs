//! The format byte for byte against `tests/vectors`, which another implementation computed (`make_archive.py` there):
//! what it wrote is read, and written again.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use coffer_keys::{ArchiveId, BackupKey, DataKey, KeySlot};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::codec::{Decoder, Encoder};
use crate::content::{Content, ContentBuilder, Extent, ListStore, leaf_lists};
use crate::device::Head;
use crate::doomed::Doomed;
use crate::envelope::{ObjectCipher, ObjectType, PREFIX_LEN, open_object, seal_with};
use crate::error::Error;
use crate::forgotten;
use crate::header::Header;
use crate::id::{ChunkId, ObjectName};
use crate::index::{self, IndexedPack};
use crate::keyring::Keyring;
use crate::lock::Lock;
use crate::pack::{PackWriter, Segment, SegmentKind, TRAILER_LEN, Toc, TocSegment, Trailer, open_segment};
use crate::samples;
use crate::snapshot::{Snapshot, Totals};
use crate::tree::{Node, NodeKind, Time, decode_entries};

/// The vectors of one kind in a file, of which there must be at least one.
fn vectors(file: &str, kind: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(file).unwrap();
    let vectors = all[kind].as_array().unwrap().clone();
    assert!(!vectors.is_empty(), "{kind}");
    vectors
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

fn bytes(value: &Value, name: &str) -> Vec<u8> {
    hex::decode(text(value, name)).unwrap()
}

fn array<const N: usize>(value: &Value, name: &str) -> [u8; N] {
    bytes(value, name).try_into().unwrap()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().unwrap_or_else(|| panic!("no {name} in {value}"))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn small(value: &Value) -> u32 {
    number(value).try_into().unwrap()
}

fn time(value: &Value) -> Time {
    Time { seconds: value[0].as_i64().unwrap(), nanoseconds: small(&value[1]) }
}

fn ring(vector: &Value) -> Keyring {
    let archive = ArchiveId::parse(text(vector, "archive_id")).unwrap();
    let data_key = DataKey::from_bytes(array(vector, "data_key"));
    Keyring::of_epoch(archive, vector.get("epoch").map_or(1, small), &data_key)
}

fn name(vector: &Value) -> ObjectName {
    ObjectName::from_bytes(array(vector, "name"))
}

fn cipher(vector: &Value, kind: ObjectType) -> ObjectCipher {
    ObjectCipher::from_salt(&ring(vector), kind, &name(vector), &array(vector, "salt"))
}

fn segment_kind(value: &Value) -> SegmentKind {
    match text(value, "kind") {
        "data" => SegmentKind::Data,
        "tree" => SegmentKind::Tree,
        other => panic!("a segment of {other}"),
    }
}

fn extents(values: &[Value]) -> Vec<Extent> {
    let extent = |value: &Value| match value.get("hole") {
        Some(len) => Extent::Hole { len: number(len) },
        None => Extent::Chunk { id: ChunkId::from_bytes(array(value, "chunk")), len: number(&value["len"]) },
    };
    values.iter().map(extent).collect()
}

/// The list chunks of a content, of which the vectors name at most two.
struct Lists<'a>(&'a Keyring, Vec<(ChunkId, Vec<u8>)>);

impl ListStore for Lists<'_> {
    fn store_list(&mut self, bytes: &[u8]) -> Result<ChunkId, Error> {
        let id = ChunkId::of(&self.0.chunk_id, bytes);
        self.1.push((id, bytes.to_vec()));
        Ok(id)
    }

    fn load_list(&mut self, id: &ChunkId) -> Result<Vec<u8>, Error> {
        Ok(self.1.iter().find(|(known, _)| known == id).unwrap().1.clone())
    }
}

fn built(extents: &[Extent], previous: Vec<ChunkId>, lists: &mut Lists<'_>) -> Content {
    let mut builder = ContentBuilder::with_previous(previous);
    extents.iter().for_each(|extent| builder.push(*extent, lists).unwrap());
    builder.finish(lists).unwrap()
}

/// A content short enough to need no lists.
fn inline(values: &[Value]) -> Content {
    built(&extents(values), Vec::new(), &mut Lists(&samples::ring(1), Vec::new()))
}

#[test]
fn headers_are_the_known_ones() {
    for vector in vectors(include_str!("../../../tests/vectors/header.json"), "header") {
        let archive = ArchiveId::parse(text(&vector, "archive_id")).unwrap();
        let data_key = DataKey::from_bytes(array(&vector, "data_key"));
        let keys = list(&vector, "backup_keys").iter();
        let keys: Vec<_> = keys.map(|key| hex::decode(key.as_str().unwrap()).unwrap().try_into().unwrap()).collect();
        let slot = |at: usize| {
            let id = hex::decode(vector["slot_ids"][at].as_str().unwrap()).unwrap().try_into().unwrap();
            let epoch = small(&vector["epochs"][at]);
            KeySlot::wrap_with_id(&BackupKey::from_bytes(keys[at]), &archive, epoch, &data_key, id)
        };
        let known = bytes(&vector, "bytes");
        let header = Header::new(archive, (0..keys.len()).map(slot).collect(), &data_key);
        assert_eq!(String::from_utf8(header.encode()).unwrap(), String::from_utf8(known.clone()).unwrap());
        assert_eq!(Header::parse(&known).unwrap(), header);
        for (at, key) in keys.iter().enumerate() {
            let ring = header.unlock(&BackupKey::from_bytes(*key)).unwrap();
            // Slots of one epoch are all alike to who opens them.
            assert_eq!(ring.epoch, small(&vector["epochs"][at]));
            assert!(ring.commit(ring.epoch).unwrap().verify(b"", &data_key.derive(&archive).commit.commit(b"")));
        }
        assert!(matches!(header.unlock(&BackupKey::from_bytes([0xee; 32])), Err(Error::WrongKey)));
    }
}

#[test]
fn headers_of_rotated_archives_are_read() {
    for vector in vectors(include_str!("../../../tests/vectors/header.json"), "rotated") {
        let header = Header::parse(&bytes(&vector, "bytes")).unwrap();
        assert_eq!(header.encode(), bytes(&vector, "bytes"));
        let archive = ArchiveId::parse(text(&vector, "archive_id")).unwrap();
        let current = DataKey::from_bytes(array(&vector, "current_data_key")).derive(&archive);
        for key in list(&vector, "keys") {
            let ring = header.unlock(&BackupKey::from_bytes(array(key, "backup_key"))).unwrap();
            assert_eq!((ring.epoch, ring.own), (small(&vector["epoch"]), small(&key["own"])));
            assert_eq!(header.is_rotating(), list(&vector, "keys").len() > 1);
            assert_eq!(ring.has_older(), !list(&vector, "older").is_empty());
            assert_eq!(ring.chunk_id.expose_bytes(), &array::<32>(&vector, "chunk_id_key"));
            assert!(ring.commit(ring.epoch).unwrap().verify(b"", &current.commit.commit(b"")));
        }
        assert!(matches!(header.unlock(&BackupKey::from_bytes([0xee; 32])), Err(Error::WrongKey)));
    }
}

/// Opens a pack and compares everything in it with what the vector says.
fn check_pack(vector: &Value) {
    let (ring, sealed) = (ring(vector), bytes(vector, "bytes"));
    let cipher = ObjectCipher::from_prefix(&ring, ObjectType::Pack, &name(vector), &sealed).unwrap();
    let trailer_at = sealed.len() - TRAILER_LEN;
    let trailer = Trailer::open(&cipher, &sealed[trailer_at..], sealed.len() as u64).unwrap();
    let toc = trailer.open_toc(&cipher, &sealed[trailer.toc_at as usize..trailer_at]).unwrap();
    assert_eq!(toc.segments.len(), list(vector, "segments").len());
    let mut at = PREFIX_LEN;
    for (number, (segment, known)) in toc.segments.iter().zip(list(vector, "segments")).enumerate() {
        let part = sealed[at..at + segment.sealed_len as usize].to_vec();
        at += part.len();
        let plain = open_segment(&cipher, number as u32, part, segment.plain_len()).unwrap();
        let chunks: Vec<_> =
            list(known, "chunks").iter().map(|chunk| hex::decode(chunk.as_str().unwrap()).unwrap()).collect();
        assert_eq!(plain, chunks.concat());
        assert_eq!(segment.kind, segment_kind(known));
        for (((id, len), chunk), known_id) in segment.chunks.iter().zip(&chunks).zip(list(known, "ids")) {
            assert_eq!(*len as usize, chunk.len());
            assert_eq!(*id, ChunkId::of(&ring.chunk_id, chunk));
            assert_eq!(hex::encode(id.as_bytes()), known_id.as_str().unwrap());
        }
        assert_eq!(segment.chunks.len(), chunks.len());
    }
}

const PACKS: &str = include_str!("../../../tests/vectors/pack.json");

#[test]
fn packs_are_the_known_ones() {
    for vector in vectors(PACKS, "pack") {
        check_pack(&vector);
        let ring = ring(&vector);
        let mut writer = PackWriter::with_cipher(name(&vector), cipher(&vector, ObjectType::Pack));
        for known in list(&vector, "segments") {
            let chunks = list(known, "chunks").iter().map(|chunk| hex::decode(chunk.as_str().unwrap()).unwrap());
            let chunks = chunks.map(|chunk| (ChunkId::of(&ring.chunk_id, &chunk), chunk.len() as u32)).collect();
            writer.append(Segment { kind: segment_kind(known), payload: bytes(known, "stored"), chunks });
        }
        let pack = writer.finish();
        assert_eq!(hex::encode(pack.parts.concat()), text(&vector, "bytes"), "{}", text(&vector, "comment"));
    }
}

#[test]
fn compressed_segments_are_read() {
    vectors(PACKS, "compressed").iter().for_each(check_pack);
}

/// An index, a snapshot or a lock: opened, and sealed again.
fn check_object(vector: &Value, kind: ObjectType) -> Vec<u8> {
    let sealed = bytes(vector, "bytes");
    let content = open_object(&ring(vector), kind, &name(vector), &sealed).unwrap();
    assert_eq!(hex::encode(&content), text(vector, "content"));
    assert_eq!(seal_with(&cipher(vector, kind), &content), sealed, "{}", text(vector, "comment"));
    content
}

#[test]
fn indexes_are_the_known_ones() {
    for vector in vectors(include_str!("../../../tests/vectors/index.json"), "index") {
        let chunk = |chunk: &Value| (ChunkId::from_bytes(array(chunk, "id")), small(&chunk["len"]));
        let segment = |segment: &Value| TocSegment {
            kind: segment_kind(segment),
            sealed_len: small(&segment["sealed_len"]),
            chunks: list(segment, "chunks").iter().map(chunk).collect(),
        };
        let pack = |pack: &Value| {
            let segments = list(pack, "segments").iter().map(segment).collect();
            IndexedPack { name: name(pack), salt: array(pack, "salt"), epoch: 1, toc: Toc { segments } }
        };
        let packs: Vec<_> = list(&vector, "packs").iter().map(pack).collect();
        let content = check_object(&vector, ObjectType::Index);
        assert_eq!(index::encode(&packs), content);
        assert_eq!(index::decode(&content, 1).unwrap(), packs);
    }
}

const SNAPSHOTS: &str = include_str!("../../../tests/vectors/snapshot.json");

#[test]
fn snapshots_are_the_known_ones() {
    for vector in vectors(SNAPSHOTS, "snapshot") {
        let content = check_object(&vector, ObjectType::Snapshot);
        let hash: [u8; 32] = Sha256::digest(bytes(&vector, "bytes")).into();
        assert_eq!(hex::encode(hash), text(&vector, "hash"));
        let previous = Some(&vector["previous"]).filter(|previous| !previous.is_null());
        let totals: Vec<_> = list(&vector, "totals").iter().map(number).collect();
        let earlier = vector.get("earlier").and_then(|earlier| earlier.as_array()).into_iter().flatten();
        let earlier: Vec<[u8; 32]> =
            earlier.map(|hash| hex::decode(hash.as_str().unwrap()).unwrap().try_into().unwrap()).collect();
        let snapshot = Snapshot {
            name: name(&vector),
            head: Head { number: number(&vector["number"]), hash: earlier.first().copied().unwrap_or(hash) },
            previous: previous
                .map(|head| Head { number: number(&head["number"]), hash: array(head, "hash") })
                .into_iter()
                .collect(),
            host: text(&vector, "host").to_owned(),
            started: time(&vector["started"]),
            finished: time(&vector["finished"]),
            base: text(&vector, "base").into(),
            sources: list(&vector, "sources").iter().map(|source| source.as_str().unwrap().into()).collect(),
            totals: Totals { files: totals[0], directories: totals[1], others: totals[2], bytes: totals[3] },
            problems: number(&vector["problems"]),
            root: inline(list(&vector, "root")),
            hash,
            earlier,
        };
        assert_eq!(snapshot.encode(), content);
        assert_eq!(Snapshot::decode(snapshot.name, hash, &content).unwrap(), snapshot);
    }
}

#[test]
fn locks_are_the_known_ones() {
    for vector in vectors(SNAPSHOTS, "lock") {
        let content = check_object(&vector, ObjectType::Lock);
        let lock = Lock {
            name: name(&vector),
            host: text(&vector, "host").to_owned(),
            pid: small(&vector["pid"]),
            since: time(&vector["since"]),
            operation: text(&vector, "operation").to_owned(),
        };
        assert_eq!(lock.encode(), content);
        assert_eq!(Lock::decode(lock.name, &content).unwrap(), lock);
    }
}

#[test]
fn what_was_forgotten_is_the_known() {
    for vector in vectors(SNAPSHOTS, "forgotten") {
        let content = check_object(&vector, ObjectType::Forgotten);
        let head = |value: &Value| Head { number: number(&value["number"]), hash: array(value, "hash") };
        let snapshots = list(&vector, "snapshots").iter();
        let known = snapshots.map(|one| (head(one), list(one, "previous").iter().map(head).collect())).collect();
        assert_eq!(forgotten::encode(&known), content);
        assert_eq!(forgotten::decode(&content).unwrap(), known);
    }
}

#[test]
fn what_is_doomed_is_the_known() {
    for vector in vectors(SNAPSHOTS, "doomed") {
        let content = check_object(&vector, ObjectType::Doomed);
        let packs = list(&vector, "packs").iter();
        let known = Doomed {
            is_removed: vector["is_removed"].as_bool().unwrap(),
            since: time(&vector["since"]),
            packs: packs.map(|pack| ObjectName::parse(pack.as_str().unwrap()).unwrap()).collect(),
        };
        assert_eq!(known.encode(), content);
        assert_eq!(Doomed::decode(&content).unwrap(), known);
    }
}

const TREES: &str = include_str!("../../../tests/vectors/tree.json");

fn node(value: &Value) -> Node {
    let what = &value["what"];
    let content = || inline(list(value, "what"));
    let kind = match text(value, "kind") {
        "file" => NodeKind::File { content: content() },
        "directory" => NodeKind::Directory { content: content() },
        "symlink" => NodeKind::Symlink { target: bytes(value, "what") },
        "fifo" => NodeKind::Fifo,
        "char_device" => NodeKind::CharDevice { major: small(&what[0]), minor: small(&what[1]) },
        "block_device" => NodeKind::BlockDevice { major: small(&what[0]), minor: small(&what[1]) },
        other => panic!("a node of kind {other}"),
    };
    let pair = |pair: &Value| [0, 1].map(|at: usize| hex::decode(pair[at].as_str().unwrap()).unwrap()).into();
    Node {
        name: bytes(value, "name"),
        kind,
        mode: small(&value["mode"]),
        uid: small(&value["uid"]),
        gid: small(&value["gid"]),
        modified: time(&value["modified"]),
        changed: time(&value["changed"]),
        inode: number(&value["inode"]),
        linked_on: value["linked_on"].as_u64(),
        xattrs: list(value, "xattrs").iter().map(pair).collect(),
    }
}

#[test]
fn entries_are_the_known_ones() {
    for vector in vectors(TREES, "entries") {
        let nodes: Vec<_> = list(&vector, "nodes").iter().map(node).collect();
        let mut encoder = Encoder::new();
        nodes.iter().for_each(|node| node.encode(&mut encoder));
        assert_eq!(hex::encode(encoder.finish()), text(&vector, "bytes"));
        assert_eq!(decode_entries(&bytes(&vector, "bytes")).unwrap(), nodes);
        assert_eq!(nodes[0].name(), OsString::from_vec(bytes(&vector["nodes"][0], "name")));
    }
}

#[test]
fn lists_and_patches_are_the_known_ones() {
    for vector in vectors(TREES, "lists") {
        let ring = ring(&vector);
        let mut lists = Lists(&ring, Vec::new());
        let encoded = |content: &Content| {
            let mut encoder = Encoder::new();
            content.encode(&mut encoder);
            hex::encode(encoder.finish())
        };
        let content = built(&extents(list(&vector, "extents")), Vec::new(), &mut lists);
        assert_eq!(encoded(&content), text(&vector, "content"));
        let previous = leaf_lists(&content, &mut lists);
        let patched = built(&extents(list(&vector, "patched_extents")), previous, &mut lists);
        assert_eq!(encoded(&patched), text(&vector, "patched_content"));
        let stored: Vec<_> = lists.1.iter().map(|(id, list)| (hex::encode(id.as_bytes()), hex::encode(list))).collect();
        let known = |id, list| (text(&vector, id).to_owned(), text(&vector, list).to_owned());
        assert_eq!(stored, [known("list_id", "list"), known("patch_id", "patch")]);
        for (content, whole) in [("content", "extents"), ("patched_content", "patched_extents")] {
            let content = Content::decode(&mut Decoder::new(&bytes(&vector, content))).unwrap();
            let found: Vec<_> = content.extents(|id| lists.load_list(id)).collect::<Result<_, _>>().unwrap();
            assert_eq!(found, extents(list(&vector, whole)));
        }
    }
}
