//! Snapshots: what an archive's paths held at one moment.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use crate::codec::{CodecError, Decoder, Encoder};
use crate::content::Content;
use crate::device::Head;
use crate::id::ObjectName;
use crate::tree::Time;

/// One backup, as it can be restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The object's random name.
    pub name: ObjectName,
    /// Sequence number and hash of the object that it was first sealed in.
    pub head: Head,
    /// The snapshots that it follows, sorted: those that none followed when it was made. None for the first; several
    /// after backups at the same time.
    pub previous: Vec<Head>,
    /// The name of the device that made it.
    pub host: String,
    /// When the backup began and ended.
    pub started: Time,
    /// See `started`.
    pub finished: Time,
    /// The folder that all sources lie in; an absolute path.
    pub base: PathBuf,
    /// What was backed up, relative to `base`.
    pub sources: Vec<PathBuf>,
    /// What it holds.
    pub totals: Totals,
    /// How many files could not be backed up, or not as they were at one moment.
    pub problems: u64,
    pub(crate) root: Content,
    /// Hash of this object.
    pub(crate) hash: [u8; 32],
    /// Hashes of the objects that it was sealed in before, oldest first: one for each time that the key was rotated.
    pub(crate) earlier: Vec<[u8; 32]>,
}

/// What a snapshot holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Regular files.
    pub files: u64,
    /// Folders.
    pub directories: u64,
    /// Symbolic links, pipes, devices.
    pub others: u64,
    /// Bytes of the files' content.
    pub bytes: u64,
}

impl Snapshot {
    /// Whether it was sealed anew when the key was rotated.
    pub(crate) const fn is_resealed(&self) -> bool {
        !self.earlier.is_empty()
    }

    /// The content of the snapshot object; `name` and `hash` come from the object itself.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut e = Encoder::new();
        e.varint(self.head.number);
        e.varint(self.previous.len() as u64);
        for head in &self.previous {
            e.varint(head.number);
            e.raw(&head.hash);
        }
        e.bytes(self.host.as_bytes());
        self.started.encode(&mut e);
        self.finished.encode(&mut e);
        e.bytes(self.base.as_os_str().as_bytes());
        e.varint(self.sources.len() as u64);
        for source in &self.sources {
            e.bytes(source.as_os_str().as_bytes());
        }
        for total in [self.totals.files, self.totals.directories, self.totals.others, self.totals.bytes] {
            e.varint(total);
        }
        e.varint(self.problems);
        self.root.encode(&mut e);
        self.earlier.iter().for_each(|hash| e.raw(hash));
        e.finish()
    }

    /// Decodes the content of the snapshot object `name`, whose sealed bytes have this hash.
    pub(crate) fn decode(name: ObjectName, hash: [u8; 32], bytes: &[u8]) -> Result<Self, CodecError> {
        let mut d = Decoder::new(bytes);
        let number = d.varint()?;
        let mut previous = Vec::new();
        for _ in 0..d.count(33)? {
            let head = Head { number: d.varint()?, hash: d.array()? };
            if head.number == 0 || head.number >= number || previous.last().is_some_and(|last| *last >= head) {
                return Err(CodecError::Invalid("the sequence numbers do not rise"));
            }
            previous.push(head);
        }
        if number == 0 {
            return Err(CodecError::Invalid("the sequence numbers do not rise"));
        }
        let host = decode_text(&mut d)?;
        let (started, finished) = (Time::decode(&mut d)?, Time::decode(&mut d)?);
        let base = decode_path(&mut d)?;
        let count = d.count(1)?;
        let sources = (0..count).map(|_| decode_path(&mut d)).collect::<Result<_, _>>()?;
        let totals = Totals { files: d.varint()?, directories: d.varint()?, others: d.varint()?, bytes: d.varint()? };
        let problems = d.varint()?;
        let root = Content::decode(&mut d)?;
        let mut earlier = Vec::new();
        while !d.is_empty() {
            earlier.push(d.array()?);
        }
        let head = Head { number, hash: earlier.first().copied().unwrap_or(hash) };
        Ok(Self { name, head, previous, host, started, finished, base, sources, totals, problems, root, hash, earlier })
    }
}

fn decode_text(decoder: &mut Decoder<'_>) -> Result<String, CodecError> {
    let text = std::str::from_utf8(decoder.bytes()?).map_err(|_| CodecError::Invalid("a text is not UTF-8"))?;
    Ok(text.to_owned())
}

fn decode_path(decoder: &mut Decoder<'_>) -> Result<PathBuf, CodecError> {
    Ok(PathBuf::from(OsStr::from_bytes(decoder.bytes()?)))
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
