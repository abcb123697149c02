//! Writing into the target of a restore without ever leaving it: every folder is held open, every entry is named
//! relative to its folder, and no symbolic link is followed.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{self, AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use crate::tree::{Node, NodeKind, Time};

/// What tells that a file's name is not its final one yet.
const UNFINISHED: &str = ".coffer-unfinished-";

/// A folder being restored. Its own metadata are set when the last of its entries is done: when it is dropped.
#[derive(Debug)]
pub(crate) struct TargetFolder {
    fd: OwnedFd,
    path: PathBuf,
    node: Option<Node>,
    // Dropped after this folder's own metadata are set, for those writes touch the parent's.
    _parent: Option<Arc<TargetFolder>>,
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

const FOLDER_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl TargetFolder {
    /// The folder to restore into, which is made if it is not there. A link named by the user is followed.
    pub(crate) fn root(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        let fd = fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { fd, path: path.to_owned(), node: None, _parent: None })
    }

    /// Enters the folder `node`, making it where it is not there.
    pub(crate) fn enter(self: &Arc<Self>, node: &Node, force: bool) -> Result<Self, Refusal> {
        let name = node.name();
        match fs::mkdirat(&self.fd, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
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
        Ok(Self { fd, path: self.path.join(name), node: Some(node.clone()), _parent: Some(Arc::clone(self)) })
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

    /// Begins a file under a name of its own. What an interrupted restore left of the same file goes away.
    pub(crate) fn begin(&self, node: &Node) -> Result<UnfinishedFile<'_>, Refusal> {
        let name = unfinished_name(node);
        self.remove_unfinished(&name)?;
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
        let name = unfinished_name(node);
        self.remove_unfinished(&name)?;
        fs::linkat(&folder.fd, first.name(), &self.fd, &name, AtFlags::empty())?;
        self.rename(&name, node, force)?;
        Ok(true)
    }

    fn remove_unfinished(&self, name: &str) -> Result<(), Refusal> {
        match fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
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
            let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            if is_folder || !(force || self.is_same_link(node)) {
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
        self.describe_special(node)
    }

    fn is_same_link(&self, node: &Node) -> bool {
        let NodeKind::Symlink { target } = &node.kind else { return false };
        fs::readlinkat(&self.fd, node.name(), Vec::new()).is_ok_and(|there| there.as_bytes() == target.as_slice())
    }

    fn describe_special(&self, node: &Node) -> Result<(), Refusal> {
        if is_root() {
            let (uid, gid) = owner(node);
            fs::chownat(&self.fd, node.name(), uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if !matches!(node.kind, NodeKind::Symlink { .. }) {
            fs::chmodat(&self.fd, node.name(), Mode::from_raw_mode(node.mode), AtFlags::empty())?;
        }
        // The folder's descriptor names it even if its path has been moved meanwhile.
        let path = Path::new("/proc/self/fd").join(self.fd.as_raw_fd().to_string()).join(node.name());
        for (name, value) in &node.xattrs {
            xattr::set(&path, std::ffi::OsStr::from_bytes(name), value)?;
        }
        fs::utimensat(&self.fd, node.name(), &timestamps(node.modified), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(())
    }
}

impl Drop for TargetFolder {
    fn drop(&mut self) {
        if let Some(node) = &self.node {
            // All entries are in place; a folder whose times cannot be set is no reason to call them lost.
            let _ = describe(self.fd.as_fd(), node);
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
        describe(self.file.as_fd(), node)?;
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

/// The same name each time, so that the next run finds what an interrupted one left.
fn unfinished_name(node: &Node) -> String {
    format!("{UNFINISHED}{}", &blake3::hash(&node.name).to_hex()[..16])
}

/// Sets owner (as root), extended attributes, permissions and times of an open file or folder.
pub(crate) fn describe(fd: std::os::fd::BorrowedFd<'_>, node: &Node) -> Result<(), Refusal> {
    if is_root() {
        let (uid, gid) = owner(node);
        fs::fchown(fd, uid, gid)?;
    }
    for (name, value) in &node.xattrs {
        match fs::fsetxattr(fd, name.as_slice(), value, fs::XattrFlags::empty()) {
            Ok(()) => {}
            // Attributes that only root may set, or that this file system has not, are not worth the file.
            Err(Errno::PERM | Errno::NOTSUP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    fs::fchmod(fd, Mode::from_raw_mode(node.mode))?;
    fs::futimens(fd, &timestamps(node.modified))?;
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
