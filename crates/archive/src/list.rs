//! Finding one's way in a snapshot: by path, or all of it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use crate::content::Content;
use crate::error::Error;
use crate::folder::Entries;
use crate::report::Problem;
use crate::roots::Selection;
use crate::snapshot::Snapshot;
use crate::store::ChunkStore;
use crate::tree::{Node, NodeKind};

/// The names that lead to `path` in a snapshot: a path relative to its base, or the original absolute one.
fn names_of<'p>(snapshot: &Snapshot, path: &'p Path) -> Option<Vec<&'p [u8]>> {
    let path = if path.is_absolute() { path.strip_prefix(&snapshot.base).ok()? } else { path };
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.as_bytes()),
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(names)
}

/// The node at `path`; `None` for the root of the tree.
pub(crate) fn find(store: &ChunkStore<'_>, snapshot: &Snapshot, path: &Path) -> Result<Option<Node>, Error> {
    let absent = || Error::NotInSnapshot { path: path.to_owned() };
    let mut content = snapshot.root.clone();
    let mut found = None;
    for name in names_of(snapshot, path).ok_or_else(absent)? {
        if found.is_some() && !matches!(&found, Some(Node { kind: NodeKind::Directory { .. }, .. })) {
            return Err(absent());
        }
        let node = entry(store, &content, name)?.ok_or_else(absent)?;
        if let NodeKind::Directory { content: below } = &node.kind {
            content = below.clone();
        }
        found = Some(node);
    }
    Ok(found)
}

/// The entry of that name. If it may be in a part that cannot be read, that is the answer.
fn entry(store: &ChunkStore<'_>, content: &Content, name: &[u8]) -> Result<Option<Node>, Error> {
    let mut unreadable = None;
    for node in Entries::new(store, content) {
        match node {
            Ok(node) if node.name == name => return Ok(Some(node)),
            Ok(_) => {}
            Err(error) => unreadable = Some(error),
        }
    }
    unreadable.map_or(Ok(None), Err)
}

/// What of the tree `paths` ask for, each of which must be there.
pub(crate) fn select(store: &ChunkStore<'_>, snapshot: &Snapshot, paths: &[PathBuf]) -> Result<Selection, Error> {
    if paths.is_empty() {
        return Ok(Selection::Whole);
    }
    let mut selection = Selection::nothing();
    for path in paths {
        find(store, snapshot, path)?;
        let names = names_of(snapshot, path).unwrap_or_default();
        selection.add(names.into_iter().map(OsStr::from_bytes));
    }
    Ok(selection)
}

/// Visits the entries of a folder, and of the folders below it if `recursive`. Damaged parts are returned, not met.
pub(crate) fn walk(
    store: &ChunkStore<'_>,
    (path, content): (&Path, &Content),
    recursive: bool,
    visit: &mut dyn FnMut(&Path, &Node),
    problems: &mut Vec<Problem>,
) -> Result<(), Error> {
    let mut open = vec![(path.to_owned(), Entries::new(store, content))];
    while let Some((folder, entries)) = open.last_mut() {
        let node = match entries.next() {
            Some(Ok(node)) => node,
            Some(Err(error)) if error.is_damage() => {
                problems.push(Problem { path: folder.join("*"), what: error.to_string() });
                continue;
            }
            Some(Err(error)) => return Err(error),
            None => {
                open.pop();
                continue;
            }
        };
        let path = folder.join(node.name());
        visit(&path, &node);
        if let (NodeKind::Directory { content }, true) = (&node.kind, recursive) {
            open.push((path, Entries::new(store, content)));
        }
    }
    Ok(())
}
