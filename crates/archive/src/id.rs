//! Names: of chunks (by content, keyed) and of stored objects (random).

use std::fmt;
use std::path::Path;

use crate::error::Error;

/// Keyed BLAKE3 of a chunk's plaintext, 32 bytes. Without the archive's `chunk-id` key it cannot be computed, so
/// it proves nothing about known files.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ChunkId([u8; Self::LEN]);

impl ChunkId {
    /// Length in bytes.
    pub(crate) const LEN: usize = 32;

    /// The id that these bytes spell.
    pub(crate) const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub(crate) const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// The id of `plaintext` under an archive's `chunk-id` key.
    pub(crate) fn of(key: &coffer_keys::ChunkIdKey, plaintext: &[u8]) -> Self {
        Self(*blake3::keyed_hash(key.expose_bytes(), plaintext).as_bytes())
    }
}

impl fmt::Debug for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkId({})", hex::encode(&self.0[..4]))
    }
}

/// The random name of a pack, an index, a snapshot or a lock: 16 bytes, shown as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName([u8; Self::LEN]);

impl ObjectName {
    /// Length in bytes.
    pub const LEN: usize = 16;

    /// The name that these bytes spell.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// A fresh name from the operating system's randomness.
    pub(crate) fn generate() -> Result<Self, Error> {
        random_bytes().map(Self)
    }

    /// Parses 32 lower-case hex digits; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; Self::LEN];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        (hex::encode(bytes) == text).then_some(Self(bytes))
    }

    /// The name that the path of an object ends with.
    pub(crate) fn at_end_of(path: &Path) -> Option<Self> {
        Self::parse(path.file_name()?.to_str()?)
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Bytes from the operating system's randomness.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Error::Randomness)?;
    Ok(bytes)
}
