//! Values for tests: a keyring that is always the same, and strategies for what the codecs encode.

use coffer_keys::{ArchiveId, DataKey};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use crate::content::tests::any_content;
use crate::device::Head;
use crate::id::{ChunkId, ObjectName};
use crate::index::IndexedPack;
use crate::keyring::Keyring;
use crate::lock::Lock;
use crate::pack::{SegmentKind, Toc, TocSegment};
use crate::snapshot::{Snapshot, Totals};
use crate::tree::{Node, NodeKind, Time};

/// The keyring of archive number `archive`.
pub(crate) fn ring(archive: u8) -> Keyring {
    let id = ArchiveId::from_bytes([archive; 16]);
    Keyring::of_epoch(id, 1, &DataKey::from_bytes([7; 32]))
}

pub(crate) const NAME: ObjectName = ObjectName::from_bytes([0xab; 16]);

/// Bytes that no compression shortens, the same for the same seed.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

pub(crate) fn any_time() -> impl Strategy<Value = Time> {
    (any::<i64>(), 0_u32..1_000_000_000).prop_map(|(seconds, nanoseconds)| Time { seconds, nanoseconds })
}

/// A name that an entry may have.
fn any_name() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![1_u8..b'/', b'/' + 1..=255];
    vec(byte, 1..30).prop_filter("a way out of the folder", |name| name != b"." && name != b"..")
}

fn any_kind() -> impl Strategy<Value = NodeKind> {
    prop_oneof![
        any_content().prop_map(|content| NodeKind::File { content }),
        any_content().prop_map(|content| NodeKind::Directory { content }),
        vec(1_u8..=255, 1..60).prop_map(|target| NodeKind::Symlink { target }),
        Just(NodeKind::Fifo),
        any::<(u32, u32)>().prop_map(|(major, minor)| NodeKind::CharDevice { major, minor }),
        any::<(u32, u32)>().prop_map(|(major, minor)| NodeKind::BlockDevice { major, minor }),
    ]
}

pub(crate) fn any_node() -> impl Strategy<Value = Node> {
    let xattrs = btree_map(vec(1_u8..=255, 1..20), vec(any::<u8>(), 0..40), 0..4);
    let owner = any::<(u32, u32, u64, Option<u64>)>();
    (any_name(), any_kind(), 0_u32..=0o7777, owner, any_time(), any_time(), xattrs).prop_map(
        |(name, kind, mode, (uid, gid, inode, linked_on), modified, changed, xattrs)| {
            let xattrs = xattrs.into_iter().collect();
            Node { name, kind, mode, uid, gid, modified, changed, inode, linked_on, xattrs }
        },
    )
}

/// A table of contents within the format's limits.
pub(crate) fn any_toc() -> impl Strategy<Value = Toc> {
    let kind = prop_oneof![Just(SegmentKind::Data), Just(SegmentKind::Tree)];
    let chunk = (any::<[u8; 32]>(), 1_u32..50_000).prop_map(|(id, len)| (ChunkId::from_bytes(id), len));
    let segment = (kind, 0_u32..1 << 20, vec(chunk, 1..20)).prop_map(|(kind, sealed_len, chunks)| TocSegment {
        kind,
        sealed_len,
        chunks,
    });
    vec(segment, 0..15).prop_map(|segments| Toc { segments })
}

pub(crate) fn any_packs() -> impl Strategy<Value = Vec<IndexedPack>> {
    let pack = (any::<[u8; 16]>(), any::<[u8; 32]>(), any_toc()).prop_map(|(name, salt, toc)| IndexedPack {
        name: ObjectName::from_bytes(name),
        salt,
        epoch: 1,
        toc,
    });
    vec(pack, 0..4)
}

fn any_path() -> impl Strategy<Value = std::path::PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    vec(any::<u8>(), 0..40).prop_map(|bytes| std::ffi::OsString::from_vec(bytes).into())
}

pub(crate) fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    let number = 1_u64..=u64::MAX;
    let before = (any::<prop::sample::Index>(), any::<[u8; 32]>());
    let heads = (number, any::<[u8; 32]>(), vec(before, 0..4));
    let heads = heads.prop_map(|(number, hash, previous)| {
        let before = |at: prop::sample::Index| at.index(usize::try_from(number).unwrap_or(usize::MAX)) as u64;
        let previous = previous.into_iter().map(|(at, hash)| Head { number: before(at), hash });
        let mut previous: Vec<_> = previous.filter(|head| head.number > 0).collect();
        previous.sort();
        previous.dedup();
        (number, hash, previous)
    });
    let where_and_when = (".{0,20}", any_time(), any_time(), any_path(), vec(any_path(), 0..4));
    (heads, where_and_when, any::<[u64; 5]>(), vec(any::<[u8; 32]>(), 0..3), any_content()).prop_map(
        |((number, hash, previous), (host, started, finished, base, sources), numbers, earlier, root)| {
            let [files, directories, others, bytes, problems] = numbers;
            let totals = Totals { files, directories, others, bytes };
            let head = Head { number, hash: earlier.first().copied().unwrap_or(hash) };
            Snapshot {
                name: NAME,
                head,
                previous,
                host,
                started,
                finished,
                base,
                sources,
                totals,
                problems,
                root,
                hash,
                earlier,
            }
        },
    )
}

pub(crate) fn any_lock() -> impl Strategy<Value = Lock> {
    (".{0,20}", any::<u32>(), any_time(), "[a-z]{0,10}").prop_map(|(host, pid, since, operation)| Lock {
        name: NAME,
        host,
        pid,
        since,
        operation,
    })
}
