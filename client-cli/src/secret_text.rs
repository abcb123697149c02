//! Reading a secret without leaving copies of it behind.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::Error;

/// Bytes; a key takes 80. Whatever is longer is no key, and need not be read.
const LONGEST: usize = 4096;

/// Bytes of a file with several secrets.
const LONGEST_FILE: usize = 65_536;

/// All of a file that only its owner may read, by one of the two ways below; None where there is no such file.
/// `readable` makes the error for one that others could read, of its mode.
pub(crate) fn load(
    path: &Path,
    read: fn(&mut File) -> io::Result<Zeroizing<String>>,
    readable: impl FnOnce(PathBuf, u32) -> Error,
) -> Result<Option<Zeroizing<String>>, Error> {
    let unreadable = |source| Error::File { action: "read", path: path.to_owned(), source };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let mode = file.metadata().map_err(unreadable)?.mode() & 0o777;
    // Whoever could read it may have: better to say so than to go on as if nothing had happened.
    if mode & 0o077 != 0 {
        return Err(readable(path.to_owned(), mode));
    }
    read(&mut file).map(Some).map_err(unreadable)
}

/// All of a small file. It is read without a buffer in between, which would keep its copy.
pub(crate) fn read(file: &mut File) -> io::Result<Zeroizing<String>> {
    read_up_to(LONGEST, file)
}

/// All of a file with several secrets. One that is longer is refused: half of it would mean something else.
pub(crate) fn read_long(file: &mut File) -> io::Result<Zeroizing<String>> {
    let text = read_up_to(LONGEST_FILE, file)?;
    if text.len() < LONGEST_FILE { Ok(text) } else { Err(io::ErrorKind::FileTooLarge.into()) }
}

fn read_up_to(longest: usize, file: &mut File) -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(vec![0; longest]);
    let mut len = 0;
    while len < longest {
        match read_some(file, &mut bytes[len..])? {
            0 => break,
            read => len += read,
        }
    }
    text(&bytes[..len])
}

/// What one `read` gives: on a terminal, a line. Empty at the end of the input.
pub(crate) fn read_line(terminal: &mut File) -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(vec![0; LONGEST]);
    let len = read_some(terminal, &mut bytes)?;
    text(&bytes[..len])
}

fn read_some(file: &mut File, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

fn text(bytes: &[u8]) -> io::Result<Zeroizing<String>> {
    let text = std::str::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not a text"));
    Ok(Zeroizing::new(text?.to_owned()))
}
