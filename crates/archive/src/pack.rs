//! Packs: sealed segments of 1 or 3 MiB, a sealed table of contents, a sealed trailer that says where it is.

use crate::aead::{TAG_LEN, WrongTag};
use crate::codec::{CodecError, Decoder, Encoder, varint_len};
use crate::envelope::{ObjectCipher, ObjectType, PREFIX_LEN, Part};
use crate::error::{Damage, Error};
use crate::frame;
use crate::id::{ChunkId, ObjectName};
use crate::keyring::Keyring;

/// No pack is larger than this, bytes.
pub(crate) const MAX_PACK: usize = 16 << 20;
/// No segment holds more plaintext than this, bytes; so no chunk does.
pub(crate) const MAX_SEGMENT: usize = 4 << 20;
/// No segment that is written has more chunks than this: its table of contents has to fit a pack with it.
pub(crate) const MAX_CHUNKS: usize = 100_000;
/// The sealed trailer: offset of the sealed table of contents u64, its length u32, number of segments u32, tag.
pub(crate) const TRAILER_LEN: usize = 16 + TAG_LEN;

/// The bytes of a pack that are neither segments nor lines of the table of contents, at most.
pub(crate) const OVERHEAD: usize = PREFIX_LEN + TAG_LEN + 12 + TRAILER_LEN;

/// What a segment's chunks are: content of files, or the tree that describes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SegmentKind {
    Data,
    Tree,
}

/// A segment's line in a table of contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TocSegment {
    pub(crate) kind: SegmentKind,
    /// Bytes in the pack, tag included.
    pub(crate) sealed_len: u32,
    /// The chunks in it, in order, with their lengths; together the segment's plaintext.
    pub(crate) chunks: Vec<(ChunkId, u32)>,
}

/// What a pack holds. Segments lie one behind the other after the prefix, so offsets follow from lengths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Toc {
    pub(crate) segments: Vec<TocSegment>,
}

impl Toc {
    pub(crate) fn encode(&self, encoder: &mut Encoder) {
        encoder.varint(self.segments.len() as u64);
        for segment in &self.segments {
            encoder.u8(match segment.kind {
                SegmentKind::Data => 0,
                SegmentKind::Tree => 1,
            });
            encoder.varint(segment.sealed_len.into());
            encoder.varint(segment.chunks.len() as u64);
            for (id, len) in &segment.chunks {
                encoder.raw(id.as_bytes());
                encoder.varint((*len).into());
            }
        }
    }

    pub(crate) fn decode(decoder: &mut Decoder<'_>) -> Result<Self, CodecError> {
        let count = decoder.count(3)?;
        let mut segments = Vec::with_capacity(count);
        let mut pack_len = PREFIX_LEN;
        for _ in 0..count {
            let segment = TocSegment::decode(decoder)?;
            pack_len += segment.sealed_len as usize;
            if pack_len > MAX_PACK {
                return Err(CodecError::Invalid("a pack is larger than the format allows"));
            }
            segments.push(segment);
        }
        Ok(Self { segments })
    }
}

impl TocSegment {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, CodecError> {
        let kind = match decoder.u8()? {
            0 => SegmentKind::Data,
            1 => SegmentKind::Tree,
            _ => return Err(CodecError::Invalid("the kind of a segment is unknown")),
        };
        let sealed_len = decoder.varint_u32()?;
        let count = decoder.count(ChunkId::LEN + 1)?;
        if count == 0 {
            return Err(CodecError::Invalid("a segment is empty"));
        }
        let mut chunks = Vec::with_capacity(count);
        let mut plain_len = 0;
        for _ in 0..count {
            let id = ChunkId::from_bytes(decoder.array()?);
            let len = decoder.varint_u32()?;
            plain_len += len as usize;
            if len == 0 || plain_len > MAX_SEGMENT {
                return Err(CodecError::Invalid("the length of a chunk is outside the format's limits"));
            }
            chunks.push((id, len));
        }
        Ok(Self { kind, sealed_len, chunks })
    }

    /// Bytes of plaintext.
    pub(crate) fn plain_len(&self) -> u32 {
        self.chunks.iter().map(|(_, len)| len).sum()
    }
}

/// A segment ready to be sealed: the compression byte and the stored bytes.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) kind: SegmentKind,
    pub(crate) payload: Vec<u8>,
    pub(crate) chunks: Vec<(ChunkId, u32)>,
}

impl Segment {
    /// The bytes that it takes in a pack, with its line in the table of contents.
    pub(crate) fn room(&self) -> usize {
        let sealed_len = self.payload.len() + TAG_LEN;
        let chunks = self.chunks.iter().map(|(_, len)| ChunkId::LEN + varint_len((*len).into())).sum::<usize>();
        sealed_len + 1 + varint_len(sealed_len as u64) + varint_len(self.chunks.len() as u64) + chunks
    }
}

/// A pack being filled, in memory.
pub(crate) struct PackWriter {
    name: ObjectName,
    cipher: ObjectCipher,
    /// The prefix, and the sealed segments.
    parts: Vec<Vec<u8>>,
    /// The bytes in them.
    len: usize,
    toc: Toc,
}

/// A pack ready to be stored.
pub(crate) struct FinishedPack {
    pub(crate) name: ObjectName,
    pub(crate) salt: [u8; 32],
    /// Its bytes, in pieces: they have never been copied together.
    pub(crate) parts: Vec<Vec<u8>>,
    pub(crate) toc: Toc,
}

impl FinishedPack {
    #[cfg(test)]
    fn bytes(&self) -> Vec<u8> {
        self.parts.concat()
    }
}

impl PackWriter {
    pub(crate) fn new(ring: &Keyring) -> Result<Self, Error> {
        let name = ObjectName::generate()?;
        Ok(Self::with_cipher(name, ObjectCipher::generate(ring, ObjectType::Pack, &name)?))
    }

    /// A pack under its cipher, which must have sealed nothing yet.
    pub(crate) fn with_cipher(name: ObjectName, cipher: ObjectCipher) -> Self {
        let parts = vec![cipher.prefix().to_vec()];
        Self { name, cipher, parts, len: PREFIX_LEN, toc: Toc::default() }
    }

    /// Seals a segment and appends it.
    pub(crate) fn append(&mut self, segment: Segment) {
        let Segment { kind, payload: mut sealed, chunks } = segment;
        self.cipher.seal(Part::Segment(self.toc.segments.len() as u32), &mut sealed, 0);
        self.toc.segments.push(TocSegment { kind, sealed_len: sealed.len() as u32, chunks });
        self.len += sealed.len();
        self.parts.push(sealed);
    }

    /// Appends table of contents and trailer, padded: exact sizes, of full packs too, would tell where content is cut,
    /// and whether a known file is stored.
    pub(crate) fn finish(mut self) -> FinishedPack {
        let count = self.toc.segments.len() as u32;
        let mut encoder = Encoder::new();
        self.toc.encode(&mut encoder);
        let mut end = Vec::new();
        frame::append(&mut end, &encoder.finish(), self.len + TAG_LEN + TRAILER_LEN);
        self.cipher.seal(Part::Last(count), &mut end, 0);
        let toc_len = end.len();
        end.extend_from_slice(&(self.len as u64).to_le_bytes());
        end.extend_from_slice(&(toc_len as u32).to_le_bytes());
        end.extend_from_slice(&count.to_le_bytes());
        self.cipher.seal(Part::Trailer, &mut end, toc_len);
        self.parts.push(end);
        FinishedPack { name: self.name, salt: self.cipher.salt(), parts: self.parts, toc: self.toc }
    }
}

/// Where a pack's trailer says that the sealed table of contents is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trailer {
    pub(crate) toc_at: u64,
    pub(crate) toc_len: u32,
    segments: u32,
}

impl Trailer {
    /// Opens the last [`TRAILER_LEN`] bytes of a pack of `pack_len` bytes.
    pub(crate) fn open(cipher: &ObjectCipher, sealed: &[u8], pack_len: u64) -> Result<Self, Damage> {
        let mut plain = sealed.to_vec();
        cipher.open(Part::Trailer, &mut plain).map_err(|WrongTag| Damage::Tag)?;
        let mut decoder = Decoder::new(&plain);
        let toc_at = u64::from_le_bytes(decoder.array()?);
        let toc_len = u32::from_le_bytes(decoder.array()?);
        let segments = u32::from_le_bytes(decoder.array()?);
        decoder.finish()?;
        let fits = toc_at.checked_add(u64::from(toc_len) + TRAILER_LEN as u64) == Some(pack_len);
        if fits && toc_at >= PREFIX_LEN as u64 {
            Ok(Self { toc_at, toc_len, segments })
        } else {
            Err(CodecError::Invalid("the trailer does not fit the pack's length").into())
        }
    }

    /// Opens the sealed table of contents, and checks that its segments fill the pack exactly.
    pub(crate) fn open_toc(&self, cipher: &ObjectCipher, sealed: &[u8]) -> Result<Toc, Damage> {
        let mut plain = sealed.to_vec();
        cipher.open(Part::Last(self.segments), &mut plain).map_err(|WrongTag| Damage::Tag)?;
        let content = frame::parse(&plain)?;
        let mut decoder = Decoder::new(&content);
        let toc = Toc::decode(&mut decoder)?;
        decoder.finish()?;
        let end = toc.segments.iter().map(|s| u64::from(s.sealed_len)).sum::<u64>() + PREFIX_LEN as u64;
        if end == self.toc_at && toc.segments.len() == self.segments as usize {
            Ok(toc)
        } else {
            Err(CodecError::Invalid("the table of contents does not fit the pack").into())
        }
    }
}

/// Opens segment number `number`: its plaintext, `plain_len` bytes.
pub(crate) fn open_segment(
    cipher: &ObjectCipher,
    number: u32,
    mut sealed: Vec<u8>,
    plain_len: u32,
) -> Result<Vec<u8>, Damage> {
    cipher.open(Part::Segment(number), &mut sealed).map_err(|WrongTag| Damage::Tag)?;
    match sealed.split_first() {
        None => Err(Damage::Truncated),
        // What is not compressed stays where it is.
        Some((&frame::RAW, stored)) if stored.len() == plain_len as usize => {
            sealed.drain(..1);
            Ok(sealed)
        }
        Some((compression, stored)) => frame::decompress(*compression, stored, plain_len as usize),
    }
}

#[cfg(test)]
#[path = "pack_tests.rs"]
mod tests;
