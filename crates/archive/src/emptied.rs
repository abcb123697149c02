//! Sources that hold nothing, and did before: this is what a disk looks like that is not mounted.

use std::fs;
use std::path::PathBuf;

use crate::list;
use crate::report::Problem;
use crate::roots::Roots;
use crate::snapshot::Snapshot;
use crate::store::ChunkStore;
use crate::tree::{Node, NodeKind};

/// The folders among the sources that are empty, and are not in one of these snapshots of them. Until those are forgotten,
/// each backup says so: its snapshots take the place of theirs.
pub(crate) fn emptied<'s>(
    store: &ChunkStore<'_>,
    roots: &Roots,
    snapshots: impl Iterator<Item = &'s Snapshot> + Clone,
) -> Vec<Problem> {
    let sources = roots.sources.iter().map(|source| roots.base.join(source));
    let empty = sources.filter(|path| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none()));
    let problem = |path: PathBuf| {
        let had_something = |snapshot: &&Snapshot| match list::find(store, snapshot, &path) {
            Ok(Some(Node { kind: NodeKind::Directory { content }, .. })) => content.len() > 0,
            // What cannot be read of it is named where it matters.
            _ => false,
        };
        let number = snapshots.clone().find(had_something)?.head.number;
        let what = format!("it is empty, and was not in snapshot {number}: is a disk not mounted?");
        Some(Problem { path, what })
    };
    empty.filter_map(problem).collect()
}
