//! What the kernel knows by number: snapshots at the top, and below them what was looked up and not forgotten.

use std::collections::{HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coffer_archive::{Browser, Error, Node, NodeKind, Snapshot, Time};
use fuser::{Errno, FileAttr, FileType, INodeNo};

/// The folders whose entries are kept, since the kernel asks for one entry after the other.
const KEPT_FOLDERS: usize = 16;

/// A folder's entries, sorted by name.
type Entries = Arc<Vec<Arc<Node>>>;

pub(crate) struct Tree<'a> {
    browser: Browser<'a>,
    /// By the names that they have at the top.
    snapshots: Vec<(OsString, Arc<Node>)>,
    /// What `latest` points to.
    latest: Option<OsString>,
    mounted: SystemTime,
    known: Mutex<Known>,
    folders: Mutex<VecDeque<(INodeNo, Entries)>>,
}

#[derive(Default)]
struct Known {
    by_number: HashMap<INodeNo, Inode>,
    by_name: HashMap<(INodeNo, OsString), INodeNo>,
    last: u64,
}

struct Inode {
    node: Arc<Node>,
    place: (INodeNo, OsString),
    /// How often the kernel was told of it, and has not forgotten.
    lookups: u64,
}

const LATEST: &str = "latest";
/// The number of the link to the latest snapshot.
const LATEST_NUMBER: INodeNo = INodeNo(2);

impl<'a> Tree<'a> {
    /// A number for what is listed and was not looked up yet; the kernel asks again before it uses one.
    pub(crate) const UNKNOWN: INodeNo = INodeNo(0xffff_ffff);

    /// A tree of these snapshots. Each goes by its number; where several have the same, by the beginning of its name
    /// too.
    pub(crate) fn new(browser: Browser<'a>, snapshots: &[Snapshot], latest: Option<&Snapshot>) -> Self {
        let name = |snapshot: &Snapshot| {
            let number = snapshot.head.number;
            let is_alone = snapshots.iter().filter(|other| other.head.number == number).count() == 1;
            OsString::from(if is_alone {
                number.to_string()
            } else {
                format!("{number}-{}", &snapshot.name.to_string()[..8])
            })
        };
        let latest = latest.map(name);
        let snapshots = snapshots.iter().map(|snapshot| (name(snapshot), Arc::new(snapshot.top()))).collect();
        let known = Known { last: LATEST_NUMBER.0, ..Known::default() };
        let folders = Mutex::new(VecDeque::with_capacity(KEPT_FOLDERS));
        Self { browser, snapshots, latest, mounted: SystemTime::now(), known: Mutex::new(known), folders }
    }

    pub(super) fn lookup(&self, parent: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
        let node = if parent != INodeNo::ROOT {
            let entries = self.entries(parent)?;
            let at = entries.binary_search_by(|node| node.name().as_bytes().cmp(name.as_bytes()));
            at.map(|at| Arc::clone(&entries[at])).map_err(|_| Errno::ENOENT)?
        } else if let Some(latest) = self.latest.as_ref().filter(|_| name == LATEST) {
            return Ok(self.link(latest));
        } else {
            let found = self.snapshots.iter().find(|(other, _)| other == name);
            found.map(|(_, node)| Arc::clone(node)).ok_or(Errno::ENOENT)?
        };
        let mut known = self.known();
        let place = (parent, name.to_owned());
        let number = match known.by_name.get(&place) {
            Some(number) => *number,
            None => {
                known.last += 1;
                let number = INodeNo(known.last);
                known.by_name.insert(place.clone(), number);
                known.by_number.insert(number, Inode { node: Arc::clone(&node), place, lookups: 0 });
                number
            }
        };
        if let Some(inode) = known.by_number.get_mut(&number) {
            inode.lookups += 1;
        }
        Ok(attributes(number, &node))
    }

    pub(super) fn forget(&self, number: INodeNo, lookups: u64) {
        let mut known = self.known();
        let Some(inode) = known.by_number.get_mut(&number) else { return };
        inode.lookups = inode.lookups.saturating_sub(lookups);
        if inode.lookups == 0
            && let Some(inode) = known.by_number.remove(&number)
        {
            known.by_name.remove(&inode.place);
        }
    }

    pub(super) fn attributes(&self, number: INodeNo) -> Result<FileAttr, Errno> {
        match (number, &self.latest) {
            (INodeNo::ROOT, _) => Ok(self.root()),
            (LATEST_NUMBER, Some(latest)) => Ok(self.link(latest)),
            _ => self.node(number).map(|node| attributes(number, &node)),
        }
    }

    /// Where a link points to.
    pub(super) fn target(&self, number: INodeNo) -> Result<Vec<u8>, Errno> {
        if let (LATEST_NUMBER, Some(latest)) = (number, &self.latest) {
            return Ok(latest.as_bytes().to_vec());
        }
        match &self.node(number)?.kind {
            NodeKind::Symlink { target } => Ok(target.clone()),
            _ => Err(Errno::EINVAL),
        }
    }

    /// The extended attributes of what goes by a number; the top and its link have none.
    pub(super) fn xattrs(&self, number: INodeNo) -> Result<Vec<(OsString, Vec<u8>)>, Errno> {
        if matches!(number, INodeNo::ROOT | LATEST_NUMBER) {
            return Ok(Vec::new());
        }
        let owned = |(name, value): (&OsStr, &[u8])| (name.to_owned(), value.to_vec());
        self.node(number).map(|node| node.xattrs().map(owned).collect())
    }

    fn node(&self, number: INodeNo) -> Result<Arc<Node>, Errno> {
        self.known().by_number.get(&number).map(|inode| Arc::clone(&inode.node)).ok_or(Errno::ENOENT)
    }

    pub(super) fn read(&self, number: INodeNo, at: u64, len: usize) -> Result<Vec<u8>, Errno> {
        let node = self.node(number)?;
        self.browser.read(&node, at, len).map_err(|error| errno(&error))
    }

    /// Names and kinds in a folder, itself and its parent first.
    pub(super) fn list(&self, number: INodeNo) -> Result<Vec<(OsString, FileType)>, Errno> {
        let folder = |name: &str| (OsString::from(name), FileType::Directory);
        let mut listed = vec![folder("."), folder("..")];
        if number == INodeNo::ROOT {
            listed.extend(self.snapshots.iter().map(|(name, _)| (name.clone(), FileType::Directory)));
            listed.extend(self.latest.iter().map(|_| (LATEST.into(), FileType::Symlink)));
        } else {
            listed.extend(self.entries(number)?.iter().map(|node| (node.name().to_owned(), kind(node))));
        }
        Ok(listed)
    }

    fn entries(&self, number: INodeNo) -> Result<Entries, Errno> {
        if let Some((_, entries)) = self.folders().iter().find(|(other, _)| *other == number) {
            return Ok(Arc::clone(entries));
        }
        let folder = self.node(number)?;
        let entries = self.browser.entries(&folder).map_err(|error| errno(&error))?;
        let entries: Entries = Arc::new(entries.into_iter().map(Arc::new).collect());
        let mut folders = self.folders();
        if folders.len() == KEPT_FOLDERS {
            folders.pop_front();
        }
        folders.push_back((number, Arc::clone(&entries)));
        Ok(entries)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folders(&self) -> MutexGuard<'_, VecDeque<(INodeNo, Entries)>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn root(&self) -> FileAttr {
        let root = plain(INodeNo::ROOT, FileType::Directory, self.mounted);
        FileAttr { perm: 0o555, nlink: 2, ..root }
    }

    fn link(&self, latest: &OsStr) -> FileAttr {
        let link = plain(LATEST_NUMBER, FileType::Symlink, self.mounted);
        FileAttr { perm: 0o777, size: latest.len() as u64, ..link }
    }
}

fn attributes(number: INodeNo, node: &Node) -> FileAttr {
    let (kind, modified) = (kind(node), system_time(node.modified));
    let size = match &node.kind {
        NodeKind::Symlink { target } => target.len() as u64,
        _ => node.size(),
    };
    let rdev = match node.kind {
        NodeKind::CharDevice { major, minor } | NodeKind::BlockDevice { major, minor } => {
            rustix::fs::makedev(major, minor) as u32
        }
        _ => 0,
    };
    let nlink = if node.is_directory() { 2 } else { 1 };
    let (uid, gid, perm) = (node.uid, node.gid, node.mode as u16);
    FileAttr { size, blocks: size.div_ceil(512), perm, nlink, uid, gid, rdev, ..plain(number, kind, modified) }
}

fn plain(ino: INodeNo, kind: FileType, time: SystemTime) -> FileAttr {
    FileAttr {
        ino,
        size: 0,
        blocks: 0,
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind,
        perm: 0,
        nlink: 1,
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

fn system_time(time: Time) -> SystemTime {
    let seconds = Duration::from_secs(time.seconds.unsigned_abs());
    let whole = if time.seconds < 0 { UNIX_EPOCH.checked_sub(seconds) } else { UNIX_EPOCH.checked_add(seconds) };
    let exact = whole.and_then(|whole| whole.checked_add(Duration::from_nanos(time.nanoseconds.into())));
    exact.unwrap_or(UNIX_EPOCH)
}

const fn kind(node: &Node) -> FileType {
    match node.kind {
        NodeKind::File { .. } => FileType::RegularFile,
        NodeKind::Directory { .. } => FileType::Directory,
        NodeKind::Symlink { .. } => FileType::Symlink,
        NodeKind::Fifo => FileType::NamedPipe,
        NodeKind::CharDevice { .. } => FileType::CharDevice,
        NodeKind::BlockDevice { .. } => FileType::BlockDevice,
    }
}

/// Damage and a provider out of reach are both errors of reading; the log of the kernel knows no more of them.
const fn errno(_: &Error) -> Errno {
    Errno::EIO
}
