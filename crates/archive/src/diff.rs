//! What differs between two snapshots. Equal contents have equal ids: what did not change is not even read.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::path::Path;

use crate::archive::Archive;
use crate::content::Content;
use crate::deep::on_deep_stack;
use crate::error::Error;
use crate::folder::Entries;
use crate::report::Problem;
use crate::snapshot::Snapshot;
use crate::store::ChunkStore;
use crate::tree::{Node, NodeKind};

/// How an entry differs.
#[derive(Debug, Clone, Copy)]
pub enum Difference<'n> {
    /// Only the later snapshot holds it.
    Added(&'n Node),
    /// Only the earlier one.
    Removed(&'n Node),
    /// It is another file, link or kind of thing: before and after.
    Changed(&'n Node, &'n Node),
    /// The content is the same; permissions, owner, time or extended attributes are not.
    Metadata(&'n Node, &'n Node),
}

impl Archive {
    /// Visits what differs between two snapshots, with paths relative to their base. Parts that are damaged are returned.
    ///
    /// # Errors
    /// `Incomparable` for snapshots of different folders; `Destination`.
    pub fn diff(
        &self,
        (before, after): (&Snapshot, &Snapshot),
        visit: &mut (dyn FnMut(&Path, Difference<'_>) + Send),
    ) -> Result<Vec<Problem>, Error> {
        if before.base != after.base {
            return Err(Error::Incomparable { one: before.base.clone(), other: after.base.clone() });
        }
        let store = self.chunk_store()?;
        let mut diff = Diff { store: &store, visit, problems: Vec::new() };
        on_deep_stack(|| diff.folders(Path::new(""), Some(&before.root), Some(&after.root)))?;
        Ok(diff.problems)
    }
}

struct Diff<'a> {
    store: &'a ChunkStore<'a>,
    visit: &'a mut (dyn FnMut(&Path, Difference<'_>) + Send),
    problems: Vec<Problem>,
}

type Side<'s> = Option<Peekable<Entries<'s>>>;

impl Diff<'_> {
    /// Compares two folders; where there is only one, all of it was added or removed.
    fn folders(&mut self, path: &Path, before: Option<&Content>, after: Option<&Content>) -> Result<(), Error> {
        if before == after {
            return Ok(());
        }
        let store = self.store;
        let [mut old, mut new] =
            [before, after].map(|side| side.map(|content| Entries::new(store, content).peekable()));
        loop {
            self.pass_damage(path, &mut old)?;
            self.pass_damage(path, &mut new)?;
            let order = match (peek(&mut old), peek(&mut new)) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) => one.name.cmp(&other.name),
            };
            let one = if order.is_le() { take(&mut old) } else { None };
            let other = if order.is_ge() { take(&mut new) } else { None };
            self.nodes(path, one, other)?;
        }
    }

    /// Leaves out what cannot be read, on either side, and says so once.
    fn pass_damage(&mut self, path: &Path, side: &mut Side<'_>) -> Result<(), Error> {
        let Some(entries) = side else { return Ok(()) };
        while let Some(Err(error)) = entries.next_if(Result::is_err) {
            if !error.is_damage() {
                return Err(error);
            }
            self.problems.push(Problem { path: path.join("*"), what: error.to_string() });
        }
        Ok(())
    }

    fn nodes(&mut self, folder: &Path, before: Option<Node>, after: Option<Node>) -> Result<(), Error> {
        let Some(name) = after.as_ref().or(before.as_ref()).map(Node::name) else { return Ok(()) };
        let path = folder.join(name);
        match (&before, &after) {
            (Some(before), Some(after)) if is_changed(before, after) => {
                (self.visit)(&path, Difference::Changed(before, after));
            }
            (Some(before), Some(after)) if has_other_metadata(before, after) => {
                (self.visit)(&path, Difference::Metadata(before, after));
            }
            (None, Some(after)) => (self.visit)(&path, Difference::Added(after)),
            (Some(before), None) => (self.visit)(&path, Difference::Removed(before)),
            _ => {}
        }
        let [before, after] = [&before, &after].map(|node| match node {
            Some(Node { kind: NodeKind::Directory { content }, .. }) => Some(content),
            _ => None,
        });
        self.folders(&path, before, after)
    }
}

fn peek<'p>(side: &'p mut Side<'_>) -> Option<&'p Node> {
    side.as_mut()?.peek()?.as_ref().ok()
}

fn take(side: &mut Side<'_>) -> Option<Node> {
    side.as_mut()?.next()?.ok()
}

/// Whether an entry is something else now. What folders hold differs in its own entries.
fn is_changed(before: &Node, after: &Node) -> bool {
    before.kind != after.kind && !(before.is_directory() && after.is_directory())
}

fn has_other_metadata(before: &Node, after: &Node) -> bool {
    let metadata = |node: &Node| (node.mode, node.uid, node.gid, node.modified);
    metadata(before) != metadata(after) || before.xattrs != after.xattrs
}
