//! An archive as a file system: what the kernel asks, answered by a few threads that share one index.

mod tree;

pub(crate) use tree::Tree;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fuser::{
    Errno, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, LockOwner, OpenFlags, ReplyAttr, ReplyData,
    ReplyDirectory, ReplyEntry, ReplyOpen, ReplyXattr, Request,
};

/// How long the kernel may remember what it was told: snapshots never change.
const FOR_LONG: Duration = Duration::from_secs(24 * 3600);

/// A question of the kernel's, with the means to answer it.
pub(crate) type Question = Box<dyn FnOnce(&Tree<'_>) + Send>;

/// Passes questions on. It borrows nothing, as the library asks; the tree borrows the archive.
pub(crate) struct Asked(pub(crate) SyncSender<Question>);

impl Asked {
    fn pass(&self, question: impl FnOnce(&Tree<'_>) + Send + 'static) {
        // Without anybody to answer, the question is dropped, and with it the reply: an I/O error.
        let _ = self.0.send(Box::new(question));
    }
}

/// Answers questions until there are no more to come.
pub(crate) fn answer(questions: &Mutex<Receiver<Question>>, tree: &Tree<'_>) {
    loop {
        let question = questions.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(question) = question else { return };
        question(tree);
    }
}

impl Filesystem for Asked {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let name = name.to_owned();
        self.pass(move |tree| match tree.lookup(parent, &name) {
            Ok(attributes) => reply.entry(&FOR_LONG, &attributes, Generation(0)),
            Err(error) => reply.error(error),
        });
    }

    fn forget(&self, _: &Request, inode: INodeNo, lookups: u64) {
        self.pass(move |tree| tree.forget(inode, lookups));
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.pass(move |tree| match tree.attributes(inode) {
            Ok(attributes) => reply.attr(&FOR_LONG, &attributes),
            Err(error) => reply.error(error),
        });
    }

    fn readlink(&self, _: &Request, inode: INodeNo, reply: ReplyData) {
        self.pass(move |tree| match tree.target(inode) {
            Ok(target) => reply.data(&target),
            Err(error) => reply.error(error),
        });
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        at: u64,
        len: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.pass(move |tree| match tree.read(inode, at, len as usize) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        });
    }

    fn readdir(&self, _: &Request, inode: INodeNo, _: FileHandle, at: u64, mut reply: ReplyDirectory) {
        self.pass(move |tree| match tree.list(inode) {
            Ok(entries) => {
                // What is behind an entry's offset comes next.
                for (next, (name, kind)) in (1..).zip(entries.iter()).skip(at as usize) {
                    if reply.add(Tree::UNKNOWN, next, *kind, name) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(error) => reply.error(error),
        });
    }

    fn getxattr(&self, _: &Request, inode: INodeNo, name: &OsStr, room: u32, reply: ReplyXattr) {
        let name = name.to_owned();
        self.pass(move |tree| {
            let found = tree.xattrs(inode).map(|all| all.into_iter().find(|(other, _)| *other == name));
            give(found.and_then(|found| found.map(|(_, value)| value).ok_or(Errno::NO_XATTR)), room, reply);
        });
    }

    fn listxattr(&self, _: &Request, inode: INodeNo, room: u32, reply: ReplyXattr) {
        self.pass(move |tree| {
            let names =
                |all: Vec<(OsString, _)>| all.iter().flat_map(|(name, _)| [name.as_bytes(), b"\0"].concat()).collect();
            give(tree.xattrs(inode).map(names), room, reply);
        });
    }
}

/// Gives an attribute to who has room for it, or says how much it takes.
fn give(value: Result<Vec<u8>, Errno>, room: u32, reply: ReplyXattr) {
    match value {
        Ok(value) if room == 0 => reply.size(value.len() as u32),
        Ok(value) if value.len() <= room as usize => reply.data(&value),
        Ok(_) => reply.error(Errno::ERANGE),
        Err(error) => reply.error(error),
    }
}
