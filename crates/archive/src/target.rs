//! Writing into the target of a restore without ever leaving it: every folder is held open, every entry is named
//! relative to its folder, and no symbolic link is followed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{self, AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use crate::id::random_bytes;
use crate::report::Problem;
use crate::tree::{Node, NodeKind, Time};

/// What tells that a file's name is not its final one yet.
const UNFINISHED: &str = ".coffer-unfinished-";

/// A folder being restored. Its own metadata are set when the last of its entries is done: when it is dropped.
#[derive(Debug)]
pub(crate) struct TargetFolder {
    fd: OwnedFd,
    path: PathBuf,
    node: Option<Node>,
    remarks: Arc<Remarks>,
    // Dropped after this folder's own metadata are set, for those writes touch the parent's.
    parent: Option<Arc<TargetFolder>>,
}

/// Why an entry was not written.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Something else is there.
    Conflict(&'static str),
    /// The system said no.
    System(io::Error),
}

impl From<Errno> for Refusal {
    fn from(error: Errno) -> Self {
        Self::System(error.into())
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// What is worth telling although the entry itself is there.
#[derive(Debug, Default)]
pub(crate) struct Remarks {
    found: Mutex<(Vec<Problem>, BTreeSet<String>)>,
}

impl Remarks {
    /// Something of an entry's metadata that this system, or this user, may not set: told once for each kind.
    fn cannot_set(&self, path: &Path, what: &str, error: Errno) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.1.insert(what.to_owned()) {
            let what = format!("restored, but its {what} cannot be set (nor, perhaps, those of others): {error}");
            found.0.push(Problem { path: path.to_owned(), what });
        }
    }

    pub(crate) fn take(&self) -> Vec<Problem> {
        std::mem::take(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner).0)
    }
}

const FOLDER_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl TargetFolder {
    /// The folder to restore into, which is made if it is not there. A link named by the user is followed.
    pub(crate) fn root(path: &Path, remarks: Arc<Remarks>) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        let fd = fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        remove_unfinished(&fd)?;
        Ok(Self { fd, path: path.to_owned(), node: None, remarks, parent: None })
    }

    /// Enters the folder `node`, making it where it is not there.
    pub(crate) fn enter(self: &Arc<Self>, node: &Node, force: bool) -> Result<Self, Refusal> {
        let name = node.name();
        let is_new = match fs::mkdirat(&self.fd, name, Mode::RWXU) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(error) => return Err(error.into()),
        };
        let fd = match fs::openat(&self.fd, name, FOLDER_FLAGS, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOTDIR | Errno::LOOP) if force => {
                fs::unlinkat(&self.fd, name, AtFlags::empty())?;
                fs::mkdirat(&self.fd, name, Mode::RWXU)?;
                fs::openat(&self.fd, name, FOLDER_FLAGS, Mode::empty())?
            }
            Err(Errno::NOTDIR | Errno::LOOP) => {
                return Err(Refusal::Conflict("something that is no folder is there already"));
            }
            Err(error) => return Err(error.into()),
        };
        if !is_new {
            remove_unfinished(&fd)?;
        }
        let (path, remarks) = (self.path.join(name), Arc::clone(&self.remarks));
        Ok(Self { fd, path, node: Some(node.clone()), remarks, parent: Some(Arc::clone(self)) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn path_of(&self, node: &Node) -> PathBuf {
        self.path.join(node.name())
    }

    /// What is there under the node's name.
    pub(crate) fn existing(&self, node: &Node) -> Result<Option<Stat>, Refusal> {
        match fs::statat(&self.fd, node.name(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a regular file that is there, to compare it.
    pub(crate) fn open_existing(&self, node: &Node) -> Result<File, Refusal> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(File::from(fs::openat(&self.fd, node.name(), flags, Mode::empty())?))
    }

    /// Begins a file under a name of its own.
    pub(crate) fn begin(&self) -> Result<UnfinishedFile<'_>, Refusal> {
        let name = unfinished_name()?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(fs::openat(&self.fd, &name, flags, Mode::RUSR | Mode::WUSR)?);
        Ok(UnfinishedFile { folder: self, file, name, finished: false })
    }

    /// Makes `node` another name of `first`, which has been restored already; `false` if it is one already.
    pub(crate) fn link_or_find(
        &self,
        node: &Node,
        (folder, first): &(Arc<TargetFolder>, Node),
        force: bool,
    ) -> Result<bool, Refusal> {
        if let (Some(there), Some(first)) = (self.existing(node)?, folder.existing(first)?)
            && (there.st_dev, there.st_ino) == (first.st_dev, first.st_ino)
        {
            return Ok(false);
        }
        let name = unfinished_name()?;
        fs::linkat(&folder.fd, first.name(), &self.fd, &name, AtFlags::empty())?;
        self.rename(&name, node, force)?;
        Ok(true)
    }

    fn rename(&self, from: &str, node: &Node, force: bool) -> Result<(), Refusal> {
        let flags = if force { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        let renamed = match fs::renameat_with(&self.fd, from, &self.fd, node.name(), flags) {
            // Some file systems know no flags; then the look before has to do.
            Err(Errno::INVAL | Errno::NOSYS) => fs::renameat(&self.fd, from, &self.fd, node.name()),
            other => other,
        };
        renamed.map_err(|error| {
            let _ = fs::unlinkat(&self.fd, from, AtFlags::empty());
            match error {
                Errno::EXIST => Refusal::Conflict("it exists already with other content"),
                Errno::ISDIR | Errno::NOTEMPTY => Refusal::Conflict("a folder is there already"),
                other => Refusal::System(other.into()),
            }
        })
    }

    /// Makes a link, a pipe or a device.
    pub(crate) fn make_special(&self, node: &Node, force: bool) -> Result<(), Refusal> {
        if let Some(stat) = self.existing(node)? {
            if self.is_same(node, &stat) {
                self.describe_special(node);
                return Ok(());
            }
            if !force || FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                return Err(Refusal::Conflict("something else is there already"));
            }
            fs::unlinkat(&self.fd, node.name(), AtFlags::empty())?;
        }
        let make = |kind, major, minor| {
            fs::mknodat(&self.fd, node.name(), kind, Mode::from_raw_mode(node.mode), fs::makedev(major, minor))
        };
        match &node.kind {
            NodeKind::Symlink { target } => fs::symlinkat(target.as_slice(), &self.fd, node.name())?,
            NodeKind::Fifo => make(FileType::Fifo, 0, 0)?,
            NodeKind::CharDevice { major, minor } => make(FileType::CharacterDevice, *major, *minor)?,
            NodeKind::BlockDevice { major, minor } => make(FileType::BlockDevice, *major, *minor)?,
            NodeKind::File { .. } | NodeKind::Directory { .. } => {}
        }
        self.describe_special(node);
        Ok(())
    }

    /// Whether what is there is what the node says, but for its metadata.
    fn is_same(&self, node: &Node, there: &Stat) -> bool {
        let device = |major, minor| there.st_rdev == fs::makedev(major, minor);
        match (&node.kind, FileType::from_raw_mode(there.st_mode)) {
            (NodeKind::Symlink { target }, FileType::Symlink) => {
                fs::readlinkat(&self.fd, node.name(), Vec::new()).is_ok_and(|there| there.as_bytes() == target)
            }
            (NodeKind::Fifo, FileType::Fifo) => true,
            (NodeKind::CharDevice { major, minor }, FileType::CharacterDevice) => device(*major, *minor),
            (NodeKind::BlockDevice { major, minor }, FileType::BlockDevice) => device(*major, *minor),
            _ => false,
        }
    }

    fn describe_special(&self, node: &Node) {
        let path = self.path_of(node);
        let told = |what: &str, set: Result<(), Errno>| {
            if let Err(error) = set {
                self.remarks.cannot_set(&path, what, error);
            }
        };
        if is_root() {
            let (uid, gid) = owner(node);
            told("owner", fs::chownat(&self.fd, node.name(), uid, gid, AtFlags::SYMLINK_NOFOLLOW));
        }
        if !matches!(node.kind, NodeKind::Symlink { .. }) {
            told("permissions", self.permit(node));
        }
        // The folder's descriptor names it even if its path has been moved meanwhile.
        let name_by_fd = Path::new("/proc/self/fd").join(self.fd.as_raw_fd().to_string()).join(node.name());
        for (name, value) in &node.xattrs {
            let set = fs::lsetxattr(&name_by_fd, name.as_slice(), value, fs::XattrFlags::empty());
            told(&format!("extended attribute {}", String::from_utf8_lossy(name)), set);
        }
        let times = timestamps(node.modified);
        told("times", fs::utimensat(&self.fd, node.name(), &times, AtFlags::SYMLINK_NOFOLLOW));
    }

    /// Sets the permissions of a pipe or device. The system follows links here: somebody else may have put one in its place.
    fn permit(&self, node: &Node) -> Result<(), Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = fs::openat(&self.fd, node.name(), flags, Mode::empty())?;
        if FileType::from_raw_mode(fs::fstat(&open)?.st_mode) == FileType::Symlink {
            return Err(Errno::LOOP);
        }
        let by_fd = Path::new("/proc/self/fd").join(open.as_raw_fd().to_string());
        fs::chmod(by_fd, Mode::from_raw_mode(node.mode))
    }

    /// Sets owner (as root), extended attributes, permissions and times of an open file or folder. What cannot be set
    /// is told, and is no reason to lose the content.
    pub(crate) fn describe(&self, path: &Path, fd: BorrowedFd<'_>, node: &Node) {
        let told = |what: &str, set: Result<(), Errno>| {
            if let Err(error) = set {
                self.remarks.cannot_set(path, what, error);
            }
        };
        let mut mode = node.mode;
        if is_root() {
            let (uid, gid) = owner(node);
            told("owner", fs::fchown(fd, uid, gid));
        } else if fs::fstat(fd).is_ok_and(|stat| (stat.st_uid, stat.st_gid) != (node.uid, node.gid)) {
            // What ran as its owner must not run as whoever restores it.
            mode &= if node.is_directory() { 0o7777 } else { 0o1777 };
        }
        for (name, value) in &node.xattrs {
            if !has_xattr(fd, name, value) {
                let set = fs::fsetxattr(fd, name.as_slice(), value, fs::XattrFlags::empty());
                told(&format!("extended attribute {}", String::from_utf8_lossy(name)), set);
            }
        }
        told("permissions", fs::fchmod(fd, Mode::from_raw_mode(mode)));
        told("times", fs::futimens(fd, &timestamps(node.modified)));
    }
}

fn has_xattr(fd: BorrowedFd<'_>, name: &[u8], value: &[u8]) -> bool {
    let mut there = vec![0; value.len() + 1];
    fs::fgetxattr(fd, name, &mut there).is_ok_and(|len| there[..len] == *value)
}

impl Drop for TargetFolder {
    fn drop(&mut self) {
        if let Some(node) = &self.node {
            self.describe(&self.path, self.fd.as_fd(), node);
        }
        // The parents one after the other, not one inside the other: there may be thousands.
        let mut parent = self.parent.take();
        while let Some(mut folder) = parent.and_then(Arc::into_inner) {
            parent = folder.parent.take();
        }
    }
}

/// A file being written. Unless it is finished, it goes away when dropped.
pub(crate) struct UnfinishedFile<'a> {
    folder: &'a TargetFolder,
    pub(crate) file: File,
    name: String,
    finished: bool,
}

impl UnfinishedFile<'_> {
    /// Sets the metadata and gives the file its name.
    pub(crate) fn finish(mut self, node: &Node, force: bool) -> Result<(), Refusal> {
        self.folder.describe(&self.folder.path_of(node), self.file.as_fd(), node);
        self.finished = true;
        self.folder.rename(&self.name, node, force)
    }
}

impl Drop for UnfinishedFile<'_> {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::unlinkat(&self.folder.fd, &self.name, AtFlags::empty());
        }
    }
}

/// A name that nothing in the snapshot or the target has.
fn unfinished_name() -> Result<String, Refusal> {
    let digits = random_bytes::<16>().map_err(|error| io::Error::other(error.to_string()))?;
    Ok(format!("{UNFINISHED}{}", hex::encode(digits)))
}

/// Removes the files that an interrupted restore left unfinished in a folder that was there already.
fn remove_unfinished(folder: &OwnedFd) -> Result<(), Errno> {
    for entry in fs::Dir::read_from(folder)? {
        let entry = entry?;
        if entry.file_name().to_bytes().starts_with(UNFINISHED.as_bytes()) {
            // What cannot be removed is not of our making, and does no harm.
            let _ = fs::unlinkat(folder, entry.file_name(), AtFlags::empty());
        }
    }
    Ok(())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn owner(node: &Node) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(node.uid)), Some(Gid::from_raw(node.gid)))
}

/// Both times are the content's; when it was read last is not kept.
const fn timestamps(time: Time) -> Timestamps {
    let time = Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds as _ };
    Timestamps { last_access: time, last_modification: time }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn pipe() -> Node {
        Node {
            name: b"pipe".to_vec(),
            kind: NodeKind::Fifo,
            mode: 0o666,
            uid: 0,
            gid: 0,
            modified: Time::default(),
            changed: Time::default(),
            inode: 1,
            linked_on: None,
            xattrs: Vec::new(),
        }
    }

    /// The owner of the target does it while root restores into it.
    #[test]
    fn a_link_that_takes_the_place_of_a_pipe_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "x").unwrap();
        std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
        let (path, remarks) = (folder.path().join("target"), Arc::new(Remarks::default()));
        let target = TargetFolder::root(&path, Arc::clone(&remarks)).unwrap();
        symlink(&secret, path.join("pipe")).unwrap();
        target.describe_special(&pipe());
        assert_eq!(std::fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(remarks.take()[0].what.contains("permissions"));
        // And the pipe itself has them.
        std::fs::remove_file(path.join("pipe")).unwrap();
        target.make_special(&pipe(), false).unwrap();
        assert_eq!(std::fs::metadata(path.join("pipe")).unwrap().permissions().mode() & 0o777, 0o666);
    }
}
