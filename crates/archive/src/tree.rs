//! Nodes: what a snapshot knows of each file, folder and link; and their encoding in a folder's entries.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use crate::codec::{CodecError, Decoder, Encoder};
use crate::content::Content;

/// No node's encoding is longer than this, bytes: extended attributes beyond it are left out, and said so.
pub(crate) const MAX_NODE: usize = 512 << 10;

/// Seconds and nanoseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Whole seconds; negative before 1970.
    pub seconds: i64,
    /// 0 to 999 999 999, forward from `seconds`.
    pub nanoseconds: u32,
}

impl Time {
    /// So much later.
    pub(crate) const fn after(self, by: Duration) -> Self {
        let nanoseconds = self.nanoseconds + by.subsec_nanos();
        let seconds = self.seconds.saturating_add_unsigned(by.as_secs() + (nanoseconds / 1_000_000_000) as u64);
        Self { seconds, nanoseconds: nanoseconds % 1_000_000_000 }
    }

    /// The time now.
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self { seconds: since.as_secs() as i64, nanoseconds: since.subsec_nanos() }
    }

    pub(crate) fn encode(&self, encoder: &mut Encoder) {
        encoder.zigzag(self.seconds);
        encoder.varint(self.nanoseconds.into());
    }

    pub(crate) fn decode(decoder: &mut Decoder<'_>) -> Result<Self, CodecError> {
        let (seconds, nanoseconds) = (decoder.zigzag()?, decoder.varint_u32()?);
        if nanoseconds >= 1_000_000_000 {
            return Err(CodecError::Invalid("a second has 1 000 000 000 nanoseconds"));
        }
        Ok(Self { seconds, nanoseconds })
    }
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name in the folder: never empty, `.` or `..`, without `/` and NUL; not necessarily UTF-8.
    pub(crate) name: Vec<u8>,
    /// What it is.
    pub kind: NodeKind,
    /// Permission bits, 12 of them.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last change of the content.
    pub modified: Time,
    /// Last change of the inode; with `inode` it tells whether a file must be read again.
    pub(crate) changed: Time,
    pub(crate) inode: u64,
    /// Names of the same file share this and `inode`: the ordinal of the file system among the sources'.
    pub(crate) linked_on: Option<u64>,
    /// Extended attributes, sorted by name.
    pub(crate) xattrs: Xattrs,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(private_interfaces, reason = "what lies in chunks is this crate's own affair")]
pub enum NodeKind {
    /// A regular file.
    File {
        /// Its bytes.
        content: Content,
    },
    /// A folder.
    Directory {
        /// Its entries.
        content: Content,
    },
    /// A symbolic link.
    Symlink {
        /// What it points to, verbatim.
        target: Vec<u8>,
    },
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice {
        /// Its number.
        major: u32,
        /// Its number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Its number.
        major: u32,
        /// Its number.
        minor: u32,
    },
}

/// Attributes of a node; those with odd numbers may be skipped by a reader that does not know them.
const ATTRIBUTE_LINKED_ON: u64 = 1;
const ATTRIBUTE_XATTRS: u64 = 3;

impl Node {
    /// Its name.
    pub fn name(&self) -> &OsStr {
        OsStr::from_bytes(&self.name)
    }

    /// Length of a file's content in bytes; 0 for anything else.
    pub fn size(&self) -> u64 {
        match &self.kind {
            NodeKind::File { content } => content.len(),
            _ => 0,
        }
    }

    /// Its extended attributes, in the order of their names.
    pub fn xattrs(&self) -> impl Iterator<Item = (&OsStr, &[u8])> {
        self.xattrs.iter().map(|(name, value)| (OsStr::from_bytes(name), value.as_slice()))
    }

    /// Whether it is a folder.
    pub const fn is_directory(&self) -> bool {
        matches!(self.kind, NodeKind::Directory { .. })
    }

    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.bytes(&self.name);
        e.u8(match self.kind {
            NodeKind::File { .. } => 0,
            NodeKind::Directory { .. } => 1,
            NodeKind::Symlink { .. } => 2,
            NodeKind::Fifo => 3,
            NodeKind::CharDevice { .. } => 4,
            NodeKind::BlockDevice { .. } => 5,
        });
        for number in [self.mode, self.uid, self.gid] {
            e.varint(number.into());
        }
        self.modified.encode(e);
        self.changed.encode(e);
        e.varint(self.inode);
        match &self.kind {
            NodeKind::File { content } | NodeKind::Directory { content } => content.encode(e),
            NodeKind::Symlink { target } => e.bytes(target),
            NodeKind::Fifo => {}
            NodeKind::CharDevice { major, minor } | NodeKind::BlockDevice { major, minor } => {
                e.varint((*major).into());
                e.varint((*minor).into());
            }
        }
        self.encode_attributes(e);
    }

    fn encode_attributes(&self, e: &mut Encoder) {
        let count = u64::from(self.linked_on.is_some()) + u64::from(!self.xattrs.is_empty());
        e.varint(count);
        if let Some(ordinal) = self.linked_on {
            let mut value = Encoder::new();
            value.varint(ordinal);
            e.varint(ATTRIBUTE_LINKED_ON);
            e.bytes(&value.finish());
        }
        if !self.xattrs.is_empty() {
            let mut value = Encoder::new();
            value.varint(self.xattrs.len() as u64);
            for (name, content) in &self.xattrs {
                value.bytes(name);
                value.bytes(content);
            }
            e.varint(ATTRIBUTE_XATTRS);
            e.bytes(&value.finish());
        }
    }

    pub(crate) fn decode(d: &mut Decoder<'_>) -> Result<Self, CodecError> {
        let name = d.bytes()?.to_vec();
        if name.is_empty() || name == b"." || name == b".." || name.iter().any(|b| matches!(b, 0 | b'/')) {
            return Err(CodecError::Invalid("the name of an entry would lead out of its folder"));
        }
        let code = d.u8()?;
        let (mode, uid, gid) = (d.varint_u32()?, d.varint_u32()?, d.varint_u32()?);
        if mode > 0o7777 {
            return Err(CodecError::Invalid("permissions have 12 bits"));
        }
        let (modified, changed) = (Time::decode(d)?, Time::decode(d)?);
        let inode = d.varint()?;
        let kind = match code {
            0 => NodeKind::File { content: Content::decode(d)? },
            1 => NodeKind::Directory { content: Content::decode(d)? },
            2 => NodeKind::Symlink { target: decode_target(d)? },
            3 => NodeKind::Fifo,
            4 => NodeKind::CharDevice { major: d.varint_u32()?, minor: d.varint_u32()? },
            5 => NodeKind::BlockDevice { major: d.varint_u32()?, minor: d.varint_u32()? },
            _ => return Err(CodecError::Invalid("the kind of an entry is unknown")),
        };
        let (linked_on, xattrs) = decode_attributes(d)?;
        Ok(Self { name, kind, mode, uid, gid, modified, changed, inode, linked_on, xattrs })
    }
}

fn decode_target(d: &mut Decoder<'_>) -> Result<Vec<u8>, CodecError> {
    let target = d.bytes()?;
    if target.is_empty() || target.contains(&0) {
        return Err(CodecError::Invalid("the target of a link is none"));
    }
    Ok(target.to_vec())
}

/// Extended attributes: name and value, in the order of their names.
pub(crate) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

fn decode_attributes(d: &mut Decoder<'_>) -> Result<(Option<u64>, Xattrs), CodecError> {
    let (mut linked_on, mut xattrs) = (None, Vec::new());
    let mut last = 0;
    for _ in 0..d.count(2)? {
        let number = d.varint()?;
        if number <= last {
            return Err(CodecError::Invalid("an entry's attributes are not in order"));
        }
        last = number;
        let mut value = Decoder::new(d.bytes()?);
        match number {
            ATTRIBUTE_LINKED_ON => linked_on = Some(value.varint()?),
            ATTRIBUTE_XATTRS => xattrs = decode_xattrs(&mut value)?,
            odd if odd % 2 == 1 => continue,
            _ => return Err(CodecError::Invalid("an attribute of an entry is unknown and must not be skipped")),
        }
        value.finish()?;
    }
    Ok((linked_on, xattrs))
}

fn decode_xattrs(d: &mut Decoder<'_>) -> Result<Xattrs, CodecError> {
    let count = d.count(2)?;
    if count == 0 {
        return Err(CodecError::Invalid("an attribute of an entry is empty"));
    }
    let mut xattrs: Xattrs = Vec::with_capacity(count);
    for _ in 0..count {
        let name = d.bytes()?;
        let rises = xattrs.last().is_none_or(|(last, _)| last.as_slice() < name);
        if name.is_empty() || name.contains(&0) || !rises {
            return Err(CodecError::Invalid("extended attributes are not in order"));
        }
        xattrs.push((name.to_vec(), d.bytes()?.to_vec()));
    }
    Ok(xattrs)
}

/// The nodes that one chunk of a folder's entries holds; entries never cross chunks.
pub(crate) fn decode_entries(bytes: &[u8]) -> Result<Vec<Node>, CodecError> {
    let mut decoder = Decoder::new(bytes);
    let mut nodes: Vec<Node> = Vec::new();
    while !decoder.is_empty() {
        let node = Node::decode(&mut decoder)?;
        if nodes.last().is_some_and(|last| last.name >= node.name) {
            return Err(CodecError::Invalid("the entries of a folder are not in order"));
        }
        nodes.push(node);
    }
    Ok(nodes)
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
