//! Trees that only the holder of the key could make, crafted through the crate's inside: none of them leads out.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use coffer_keys::BackupKey;

use crate::codec::Encoder;
use crate::content::{Content, ContentBuilder, Extent};
use crate::destination::Destination;
use crate::header::Header;
use crate::index::{IdSet, Index};
use crate::keyring::Keyring;
use crate::pipeline::{self, Class, Sink};
use crate::report::{Progress, RestoreReport, VerifyReport};
use crate::restore::Restorer;
use crate::roots::Selection;
use crate::store::{self, ChunkStore};
use crate::tree::{Node, NodeKind, Time};
use crate::verify::TreeCheck;

fn ring() -> Keyring {
    let key = BackupKey::from_bytes([7; 32]);
    Header::generate(&key).unwrap().0.unlock(&key).unwrap()
}

fn node(name: &[u8], kind: NodeKind) -> Node {
    let time = Time { seconds: 1_700_000_000, nanoseconds: 0 };
    let (mode, uid, gid) = (0o755, 0, 0);
    Node {
        name: name.to_vec(),
        kind,
        mode,
        uid,
        gid,
        modified: time,
        changed: time,
        inode: 1,
        linked_on: None,
        xattrs: Vec::new(),
    }
}

fn link(name: &[u8], target: &Path) -> Node {
    use std::os::unix::ffi::OsStrExt as _;
    node(name, NodeKind::Symlink { target: target.as_os_str().as_bytes().to_vec() })
}

fn file(name: &[u8], content: &str, sink: &mut Sink<'_>) -> Node {
    let id = sink.put(Class::Text, content.as_bytes()).unwrap();
    node(name, NodeKind::File { content: one(Extent::Chunk { id, len: content.len() as u64 }, sink) })
}

fn one(extent: Extent, sink: &mut Sink<'_>) -> Content {
    let mut builder = ContentBuilder::new();
    builder.push(extent, sink).unwrap();
    builder.finish(sink).unwrap()
}

/// A folder whose entries are encoded as they come, each slice in a chunk of its own.
fn folder(chunks: &[&[Node]], sink: &mut Sink<'_>) -> Content {
    let mut builder = ContentBuilder::new();
    for nodes in chunks {
        let mut encoder = Encoder::new();
        nodes.iter().for_each(|node| node.encode(&mut encoder));
        let bytes = encoder.finish();
        let id = sink.put(Class::Tree, &bytes).unwrap();
        builder.push(Extent::Chunk { id, len: bytes.len() as u64 }, sink).unwrap();
    }
    builder.finish(sink).unwrap()
}

fn directory(name: &[u8], content: Content) -> Node {
    node(name, NodeKind::Directory { content })
}

/// A crafted tree in an archive in memory.
struct Crafted {
    destination: Destination,
    ring: Keyring,
    root: Content,
}

impl Crafted {
    fn new(craft: impl FnOnce(&mut Sink<'_>) -> Content + Send) -> Self {
        let (destination, ring) = (Destination::memory().unwrap(), ring());
        let empty = ChunkStore::new(&destination, &ring, Index::default());
        let (root, _) = pipeline::run(&empty, Vec::new(), |sink| Ok(craft(sink))).unwrap();
        drop(empty);
        Self { destination, ring, root }
    }

    fn store(&self) -> ChunkStore<'_> {
        let loaded = store::load_index(&self.destination, &self.ring, &BTreeSet::new()).unwrap();
        ChunkStore::new(&self.destination, &self.ring, loaded.index)
    }

    fn restore(&self, target: &Path, force: bool) -> RestoreReport {
        let (store, progress) = (self.store(), Progress::default());
        Restorer::new(&store, force, &progress).run(target, &self.root, &Selection::Whole).unwrap()
    }

    fn verify(&self) -> VerifyReport {
        let mut report = VerifyReport::default();
        let store = self.store();
        let snapshot = crate::snapshot::Snapshot {
            name: crate::id::ObjectName::from_bytes([0; 16]),
            head: crate::device::Head { number: 1, hash: [0; 32] },
            previous: Vec::new(),
            host: String::new(),
            started: Time::default(),
            finished: Time::default(),
            base: "/".into(),
            sources: Vec::new(),
            totals: Default::default(),
            problems: 0,
            root: self.root.clone(),
            hash: [0; 32],
            earlier: Vec::new(),
        };
        TreeCheck::new(&store, IdSet::default(), &mut report).snapshot(&snapshot).unwrap();
        report
    }
}

/// A target in a folder that must hold nothing else afterwards, and an outside that must stay empty.
fn restore_into_a_cage(crafted: &Crafted, force: bool) -> RestoreReport {
    let cage = tempfile::tempdir().unwrap();
    let target = cage.path().join("deep/target");
    let report = crafted.restore(&target, force);
    let names = |folder: &Path| fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
    assert_eq!(names(cage.path()), ["deep"]);
    assert_eq!(names(&cage.path().join("deep")), ["target"]);
    report
}

fn refuses_the_name(name: &[u8]) {
    for force in [false, true] {
        let as_file = Crafted::new(|sink| {
            let evil = file(name, "evil", sink);
            folder(&[&[evil]], sink)
        });
        let as_folder = Crafted::new(|sink| {
            let evil = file(b"evil", "evil", sink);
            let below = folder(&[&[evil]], sink);
            folder(&[&[directory(name, below)]], sink)
        });
        let as_link = Crafted::new(|sink| folder(&[&[link(name, Path::new("/etc"))]], sink));
        for crafted in [as_file, as_folder, as_link] {
            let report = restore_into_a_cage(&crafted, force);
            assert_eq!((report.files, report.damaged), (0, 1), "{name:?}: {report:?}");
            assert_eq!(crafted.verify().problems.len(), 1, "verify calls {name:?} sound");
        }
    }
}

#[test]
fn refuses_a_parent_folder_as_a_name() {
    refuses_the_name(b"..");
}

#[test]
fn refuses_the_folder_itself_as_a_name() {
    refuses_the_name(b".");
}

#[test]
fn refuses_an_absolute_path_as_a_name() {
    refuses_the_name(b"/tmp/coffer-evil");
}

#[test]
fn refuses_a_path_as_a_name() {
    refuses_the_name(b"a/b");
    refuses_the_name(b"../x");
    refuses_the_name(b"a/");
}

#[test]
fn refuses_a_zero_byte_in_a_name() {
    refuses_the_name(b"a\0b");
    refuses_the_name(b"\0");
}

#[test]
fn refuses_an_empty_name() {
    refuses_the_name(b"");
}

/// A link and then a folder of the same name: its entries would go through the link.
#[test]
fn refuses_an_entry_through_a_link_of_the_same_name() {
    for (force, apart) in [(false, false), (false, true), (true, false), (true, true)] {
        let outside = tempfile::tempdir().unwrap();
        let crafted = Crafted::new(|sink| {
            let evil = file(b"evil", "evil", sink);
            let through = directory(b"x", folder(&[&[evil]], sink));
            let link = link(b"x", outside.path());
            if apart { folder(&[&[link], &[through]], sink) } else { folder(&[&[link, through]], sink) }
        });
        let report = restore_into_a_cage(&crafted, force);
        assert_eq!((report.files, report.damaged), (0, 1), "{report:?}");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}

#[test]
fn refuses_duplicate_names_within_a_chunk_and_across_chunks() {
    let apart = Crafted::new(|sink| {
        let (first, second) = (file(b"x", "first", sink), file(b"x", "second", sink));
        folder(&[&[first], &[second]], sink)
    });
    assert_eq!(restore_into_a_cage(&apart, true).files, 1);
    assert_eq!(restore_into_a_cage(&apart, true).damaged, 1);
    let together = Crafted::new(|sink| {
        let (first, second) = (file(b"x", "first", sink), file(b"x", "second", sink));
        folder(&[&[first, second]], sink)
    });
    assert_eq!(restore_into_a_cage(&together, true).damaged, 1);
}

/// The file's hard-link partner is a link that leads out: linking must not follow it.
#[test]
fn a_hard_link_does_not_go_through_a_symbolic_link() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    let crafted = Crafted::new(|sink| {
        let mut first = link(b"a", &secret);
        let mut second = file(b"b", "mine", sink);
        (first.linked_on, second.linked_on) = (Some(0), Some(0));
        folder(&[&[first, second]], sink)
    });
    assert_eq!(restore_into_a_cage(&crafted, true).problems, []);
    assert_eq!(std::os::unix::fs::MetadataExt::nlink(&fs::metadata(&secret).unwrap()), 1);
}

#[test]
fn a_file_of_eight_exbibytes_of_nothing_does_not_hang() {
    let crafted = Crafted::new(|sink| {
        let content = one(Extent::Hole { len: i64::MAX as u64 }, sink);
        let rest = file(b"z", "the rest", sink);
        folder(&[&[node(b"a", NodeKind::File { content }), rest]], sink)
    });
    assert!(restore_into_a_cage(&crafted, false).files >= 1);
}

#[test]
fn a_folder_that_is_a_hole_is_damage() {
    let crafted = Crafted::new(|sink| one(Extent::Hole { len: 10 }, sink));
    assert_eq!(restore_into_a_cage(&crafted, false).damaged, 1);
    assert_eq!(crafted.verify().problems.len(), 1, "verify calls a hole a sound folder");
}

#[test]
fn a_chunk_that_is_longer_or_shorter_than_its_file_says_is_damage() {
    for len in [3_u64, 5] {
        let crafted = Crafted::new(|sink| {
            let id = sink.put(Class::Text, b"four").unwrap();
            let content = one(Extent::Chunk { id, len }, sink);
            folder(&[&[node(b"a", NodeKind::File { content })]], sink)
        });
        assert_eq!(restore_into_a_cage(&crafted, false).damaged, 1);
        assert_eq!(crafted.verify().problems.len(), 1, "verify calls it sound");
    }
}

/// No path is so deep; but a crafted tree may be, and must not overflow the stack.
/// A tree of so many levels, one folder in the other.
fn levels(count: usize) -> Crafted {
    Crafted::new(move |sink| {
        let mut below = Content::default();
        for _ in 0..count {
            let node = directory(b"d", below);
            below = folder(&[&[node]], sink);
        }
        below
    })
}

#[test]
fn a_tree_of_ten_thousand_levels_is_no_way_to_crash() {
    assert_eq!(levels(10_000).verify().problems, []);
}

#[test]
fn a_tree_deeper_than_any_path_comes_back() {
    assert_eq!(restore_into_a_cage(&levels(2_500), false).problems, []);
}
