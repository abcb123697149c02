//! Reading the file system: metadata, extended attributes, holes.

use std::ffi::OsString;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, SeekFrom as Seek};

use crate::chunker::{Chunker, Cuts, MAX};
use crate::error::Error;
use crate::tree::Time;

/// Bytes read at a time.
const BUFFER: usize = 1 << 20;

/// Opens a folder. A symbolic link is refused, for it was a folder a moment ago.
pub(crate) fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, rustix::fs::Mode::empty())?)
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

/// Opens a file for reading; a symbolic link is refused, for it was a file a moment ago.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)
}

pub(crate) fn modified(metadata: &Metadata) -> Time {
    Time { seconds: metadata.mtime(), nanoseconds: metadata.mtime_nsec() as u32 }
}

pub(crate) fn changed(metadata: &Metadata) -> Time {
    Time { seconds: metadata.ctime(), nanoseconds: metadata.ctime_nsec() as u32 }
}

/// The extended attributes of a file or link (not of what it points to), sorted by name. File systems without any
/// have none.
pub(crate) fn xattrs(path: &Path) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let names = match xattr::list(path) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for name in names {
        if let Some(value) = xattr::get(path, &name)? {
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

/// The stretches that a file of `size` bytes consists of. Only a file with fewer blocks than bytes is asked for holes.
pub(crate) fn regions(file: &File, size: u64, blocks: u64) -> io::Result<Vec<Region>> {
    if size == 0 {
        return Ok(Vec::new());
    }
    if blocks * 512 >= size {
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

/// Feeds the bytes `start..end` of a file to `chunk`, cut into chunks. Returns how many there were: fewer if the file
/// has shrunk.
pub(crate) fn read_chunks(
    file: &mut File,
    (start, end): (u64, u64),
    (chunker, cuts): (&Chunker, Cuts),
    buffer: &mut Vec<u8>,
    mut chunk: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<io::Result<u64>, Error> {
    if let Err(error) = file.seek(SeekFrom::Start(start)) {
        return Ok(Err(error));
    }
    let needed = match cuts {
        Cuts::Fixed(len) => len,
        Cuts::ByContent => MAX,
    };
    buffer.clear();
    let (mut left, mut read, mut at) = (end - start, 0, 0);
    loop {
        if left > 0 && buffer.len() - at < needed {
            buffer.drain(..at);
            at = 0;
            let wanted = left.min((BUFFER.max(needed) - buffer.len()) as u64);
            let got = match file.take(wanted).read_to_end(buffer) {
                Ok(got) => got as u64,
                Err(error) => return Ok(Err(error)),
            };
            left = if got < wanted { 0 } else { left - got };
            read += got;
            continue;
        }
        if at == buffer.len() {
            return Ok(Ok(read));
        }
        let len = chunker.next(&buffer[at..], cuts);
        chunk(&buffer[at..at + len])?;
        at += len;
    }
}
