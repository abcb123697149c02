//! The names in a ZIP file, from the directory at its end; nothing is unpacked.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// The record at the very end, and the comment behind it at its longest.
const END_LEN: u64 = 22;
const LONGEST_COMMENT: u64 = 0xffff;
/// No directory of an export is longer, bytes.
const LONGEST_DIRECTORY: u64 = 64 << 20;
const ENTRY_LEN: usize = 46;

pub(super) fn names(path: &Path) -> io::Result<Vec<String>> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    let tail_at = len.saturating_sub(END_LEN + LONGEST_COMMENT);
    let tail = read(&mut file, tail_at, len - tail_at)?;
    let end =
        tail.windows(4).rposition(|bytes| bytes == b"PK\x05\x06").ok_or_else(|| broken("it has no end record"))?;
    let (size, at) = (u32_at(&tail, end + 12)?, u32_at(&tail, end + 16)?);
    let (size, at) = (u64::from(size), u64::from(at));
    if size > LONGEST_DIRECTORY || at + size > len {
        return Err(broken("its directory lies outside of it"));
    }
    let directory = read(&mut file, at, size)?;
    let (mut names, mut rest) = (Vec::new(), directory.as_slice());
    while rest.starts_with(b"PK\x01\x02") {
        let lengths = [28, 30, 32].map(|at| u16_at(rest, at));
        let [name, extra, comment] = lengths;
        let (name, skipped) = (name?, extra? + comment?);
        let bytes = rest.get(ENTRY_LEN..ENTRY_LEN + name).ok_or_else(|| broken("its directory is cut short"))?;
        names.push(String::from_utf8_lossy(bytes).into_owned());
        rest = rest.get(ENTRY_LEN + name + skipped..).ok_or_else(|| broken("its directory is cut short"))?;
    }
    Ok(names)
}

fn read(file: &mut File, at: u64, len: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    file.take(len).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn u16_at(bytes: &[u8], at: usize) -> io::Result<usize> {
    match bytes.get(at..at + 2) {
        Some(&[low, high]) => Ok(u16::from_le_bytes([low, high]).into()),
        _ => Err(broken("it is cut short")),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> io::Result<u32> {
    match bytes.get(at..at + 4) {
        Some(&[a, b, c, d]) => Ok(u32::from_le_bytes([a, b, c, d])),
        _ => Err(broken("it is cut short")),
    }
}
