//! Reading the file system: metadata, extended attributes, holes.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::buffer::spare_capacity;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, SeekFrom as Seek, Stat};
use rustix::io::{pread, retry_on_intr};
use xattr::{FileExt as _, XAttrs};

use crate::chunker::{Chunker, Cuts, MAX};
use crate::error::Error;
use crate::tree::{Time, Xattrs};

/// Bytes read at a time.
pub(crate) const BUFFER: usize = 1 << 20;

/// Opens a folder. A symbolic link is refused, for it was a folder a moment ago.
pub(crate) fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// A path that leads into this very folder as long as it is open, whatever becomes of its name.
pub(crate) fn path_of(folder: &OwnedFd) -> PathBuf {
    Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string())
}

/// The names in a folder, sorted by their bytes.
pub(crate) fn names(folder: &OwnedFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(folder)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    names.sort();
    Ok(names.into_iter().map(OsString::from_vec).collect())
}

const OPEN: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Opens a file for reading; a symbolic link is refused, for it was a file a moment ago.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    Ok(rustix::fs::openat(CWD, path, OPEN, Mode::empty())?.into())
}

/// An entry of an open folder. Its name there leads to it faster than its path does.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) folder: &'a OwnedFd,
    pub(crate) name: &'a OsStr,
    pub(crate) path: &'a Path,
}

impl Place<'_> {
    /// What the file system says of it; of a symbolic link itself.
    pub(crate) fn metadata(&self) -> io::Result<Metadata> {
        Ok(Metadata(rustix::fs::statat(self.folder, self.name, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    /// As [`open`].
    pub(crate) fn open(&self) -> io::Result<File> {
        Ok(rustix::fs::openat(self.folder, self.name, OPEN, Mode::empty())?.into())
    }
}

/// What the file system says of an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metadata(Stat);

impl Metadata {
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        Ok(Self(rustix::fs::fstat(file)?))
    }

    /// Of what a path leads to, links followed.
    pub(crate) fn behind(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::stat(path)?))
    }

    pub(crate) fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.0.st_mode)
    }

    /// The 12 bits of its permissions.
    pub(crate) const fn permissions(&self) -> u32 {
        self.0.st_mode & 0o7777
    }

    pub(crate) const fn owner(&self) -> (u32, u32) {
        (self.0.st_uid, self.0.st_gid)
    }

    /// Device and inode.
    pub(crate) const fn id(&self) -> (u64, u64) {
        (self.0.st_dev, self.0.st_ino)
    }

    /// Whether it has another name.
    pub(crate) const fn is_linked(&self) -> bool {
        self.0.st_nlink > 1
    }

    /// Bytes in it.
    pub(crate) const fn size(&self) -> u64 {
        self.0.st_size as u64
    }

    /// Bytes that the file system keeps for it.
    pub(crate) const fn allocated(&self) -> u64 {
        self.0.st_blocks as u64 * 512
    }

    /// What device it stands for.
    pub(crate) const fn device(&self) -> u64 {
        self.0.st_rdev
    }

    pub(crate) const fn modified(&self) -> Time {
        Time { seconds: self.0.st_mtime, nanoseconds: self.0.st_mtime_nsec as u32 }
    }

    pub(crate) const fn changed(&self) -> Time {
        Time { seconds: self.0.st_ctime, nanoseconds: self.0.st_ctime_nsec as u32 }
    }
}

/// The extended attributes of a link, folder or device (not of what a link points to), sorted by name. File systems
/// without any have none.
pub(crate) fn xattrs(path: &Path) -> io::Result<Xattrs> {
    gather(xattr::list(path), |name| xattr::get(path, name))
}

/// The same of an open file.
pub(crate) fn file_xattrs(file: &File) -> io::Result<Xattrs> {
    gather(file.list_xattr(), |name| file.get_xattr(name))
}

fn gather(names: io::Result<XAttrs>, get: impl Fn(&OsStr) -> io::Result<Option<Vec<u8>>>) -> io::Result<Xattrs> {
    let names = match names {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for name in names {
        if let Some(value) = get(&name)? {
            found.push((name.as_bytes().to_vec(), value));
        }
    }
    found.sort();
    Ok(found)
}

/// A stretch of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Region {
    Data { start: u64, end: u64 },
    Hole { len: u64 },
}

/// The stretches that a file of `size` bytes consists of. Only a file that has less room than bytes is asked for holes.
pub(crate) fn regions(file: &File, size: u64, allocated: u64) -> io::Result<Vec<Region>> {
    if size == 0 {
        return Ok(Vec::new());
    }
    if allocated >= size {
        return Ok(vec![Region::Data { start: 0, end: size }]);
    }
    let (mut found, mut at) = (Vec::new(), 0);
    while at < size {
        let start = match rustix::fs::seek(file, Seek::Data(at)) {
            Ok(start) => start.min(size),
            Err(rustix::io::Errno::NXIO) => size,
            // The file system does not tell: all is data.
            Err(_) => return Ok(vec![Region::Data { start: 0, end: size }]),
        };
        if start > at {
            found.push(Region::Hole { len: start - at });
        }
        if start == size {
            break;
        }
        let end = match rustix::fs::seek(file, Seek::Hole(start)) {
            Ok(end) => end.min(size),
            // It has shrunk meanwhile; reading will find that out.
            Err(rustix::io::Errno::NXIO) => size,
            Err(error) => return Err(error.into()),
        };
        found.push(Region::Data { start, end });
        at = end;
    }
    Ok(found)
}

/// Reads on into `buffer` from byte `at` of a file until that holds `len` bytes, or the file ends.
pub(crate) fn read_on(file: &File, mut at: u64, len: usize, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.reserve_exact(len - buffer.len());
    while buffer.len() < len {
        // There may be more room than is wanted: a file that has not grown ends there, and nothing is asked twice.
        match retry_on_intr(|| pread(file, spare_capacity(buffer), at))? {
            0 => break,
            got => at += got as u64,
        }
    }
    buffer.truncate(len);
    Ok(())
}

/// Feeds the bytes `start..end` of a file to `chunk`, cut into chunks; the first of them may be in `buffer` already.
/// Returns how many there were: fewer if the file has shrunk.
pub(crate) fn read_chunks(
    file: &File,
    (start, end): (u64, u64),
    (chunker, cuts): (&Chunker, Cuts),
    buffer: &mut Vec<u8>,
    mut chunk: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<io::Result<u64>, Error> {
    let needed = match cuts {
        Cuts::Fixed(len) => len,
        Cuts::ByContent => MAX,
    };
    buffer.truncate(usize::try_from(end - start).unwrap_or(usize::MAX));
    let mut read = start + buffer.len() as u64;
    let (mut left, mut at) = (end - read, 0);
    loop {
        if left > 0 && buffer.len() - at < needed {
            buffer.drain(..at);
            at = 0;
            let had = buffer.len();
            let wanted = left.min((BUFFER.max(needed) - had) as u64);
            if let Err(error) = read_on(file, read, had + wanted as usize, buffer) {
                return Ok(Err(error));
            }
            let got = (buffer.len() - had) as u64;
            left = if got < wanted { 0 } else { left - got };
            read += got;
            continue;
        }
        if at == buffer.len() {
            return Ok(Ok(read - start));
        }
        let len = chunker.next(&buffer[at..], cuts);
        chunk(&buffer[at..at + len])?;
        at += len;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn chunks_are_the_range_whatever_of_it_was_read_before(
            len in 0_usize..3 << 20, from: prop::sample::Index, to: prop::sample::Index, had: prop::sample::Index, page: bool,
        ) {
            let mut content = vec![0; len];
            blake3::Hasher::new().finalize_xof().fill(&mut content);
            let mut file = tempfile::tempfile().unwrap();
            io::Write::write_all(&mut file, &content).unwrap();
            let (a, b) = (from.index(len + 1), to.index(len + 1));
            let (start, end) = (a.min(b), a.max(b));
            // More may have been read than belongs to the range.
            let mut buffer = content[start..start + had.index(len - start + 1)].to_vec();
            let cuts = if page { Cuts::Fixed(4096) } else { Cuts::ByContent };
            let mut read = Vec::new();
            let chunker = Chunker::new([1; 256]);
            let counted = read_chunks(&file, (start as u64, end as u64), (&chunker, cuts), &mut buffer, |chunk| {
                read.extend_from_slice(chunk);
                Ok(())
            });
            prop_assert_eq!(counted.unwrap().unwrap(), (end - start) as u64);
            prop_assert!(read == content[start..end]);
        }
    }

    #[test]
    fn a_file_that_has_shrunk_gives_what_there_is() {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, &[7; 5000]).unwrap();
        let (chunker, mut buffer, mut lens) = (Chunker::new([1; 256]), Vec::new(), Vec::new());
        let read = read_chunks(&file, (0, 10_000), (&chunker, Cuts::Fixed(4096)), &mut buffer, |chunk| {
            lens.push(chunk.len());
            Ok(())
        });
        assert_eq!((read.unwrap().unwrap(), lens), (5000, vec![4096, 904]));
    }
}
