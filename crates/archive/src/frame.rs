//! How content lies inside a sealed part: compressed or not, with its length, and padding that hides it.
//!
//! `compression u8 ‖ content length varint ‖ stored length varint ‖ stored bytes ‖ zeros`

use crate::codec::{CodecError, Decoder, Encoder};
use crate::error::Damage;

/// Compression: none.
pub(crate) const RAW: u8 = 0;
/// Compression: one zstd frame.
pub(crate) const ZSTD: u8 = 1;

/// The zstd level of frames.
const LEVEL: i32 = 4;

/// No frame decompresses to more than this, bytes; what bounds an index object (`pipeline`) stays far below.
const CONTENT_LIMIT: u64 = 1 << 26;

/// Appends the frame of `content` to what there is of an object, padded to the Padmé size of the whole object, which
/// has `elsewhere` bytes more.
pub(crate) fn append(object: &mut Vec<u8>, content: &[u8], elsewhere: usize) {
    let packed = zstd::bulk::compress(content, LEVEL).ok().filter(|packed| packed.len() < content.len());
    let (compression, stored) = packed.as_deref().map_or((RAW, content), |packed| (ZSTD, packed));
    let mut encoder = Encoder::new();
    encoder.u8(compression);
    encoder.varint(content.len() as u64);
    encoder.bytes(stored);
    object.extend_from_slice(&encoder.finish());
    let target = padme(object.len() + elsewhere) - elsewhere;
    object.resize(target, 0);
}

/// The content of a frame that has passed authentication.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<u8>, Damage> {
    let mut decoder = Decoder::new(bytes);
    let compression = decoder.u8()?;
    let len = decoder.varint()?;
    let stored = decoder.bytes()?;
    if decoder.rest().iter().any(|byte| *byte != 0) {
        return Err(CodecError::Trailing.into());
    }
    if len > CONTENT_LIMIT {
        return Err(CodecError::Invalid("an object is larger than the format allows").into());
    }
    decompress(compression, stored, len as usize)
}

/// Undoes `compression`; the content must be exactly `len` bytes.
pub(crate) fn decompress(compression: u8, stored: &[u8], len: usize) -> Result<Vec<u8>, Damage> {
    let content = match compression {
        RAW => stored.to_vec(),
        // One frame and nothing behind it: more would be a second form of the same content.
        ZSTD if zstd::zstd_safe::find_frame_compressed_size(stored) == Ok(stored.len()) => {
            zstd::bulk::decompress(stored, len).map_err(|_| Damage::Compression)?
        }
        ZSTD => return Err(Damage::Compression),
        _ => return Err(CodecError::Invalid("the compression is unknown").into()),
    };
    if content.len() == len { Ok(content) } else { Err(Damage::Compression) }
}

/// Padmé (Nikitin et al., PETS 2019): the smallest size, not below `len`, that leaks at most O(log log len) bits of
/// the length; at most 12 % larger.
pub(crate) const fn padme(len: usize) -> usize {
    if len < 2 {
        return len;
    }
    let exponent = len.ilog2();
    let kept = exponent.ilog2() + 1;
    let mask = (1 << (exponent - kept)) - 1;
    (len + mask) & !mask
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn content_survives(content: Vec<u8>) {
            let mut object = Vec::new();
            append(&mut object, &content, 16);
            prop_assert_eq!(parse(&object).unwrap(), content);
        }

        #[test]
        fn any_bytes_parse_or_are_refused(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }

        #[test]
        fn padme_adds_at_most_twelve_per_cent(len in 9_usize..1 << 40) {
            let padded = padme(len);
            prop_assert!(padded >= len);
            prop_assert!((padded - len) * 100 <= len * 12);
            prop_assert_eq!(padme(padded), padded);
        }
    }

    #[test]
    fn padme_sizes_of_the_paper() {
        assert_eq!([9, 100, 1000, 1_000_000].map(padme), [10, 104, 1024, 1_015_808]);
    }

    #[test]
    fn refuses_padding_that_is_not_zero() {
        let mut object = Vec::new();
        append(&mut object, b"content", 16);
        object.push(1);
        assert_eq!(parse(&object), Err(Damage::Encoding(CodecError::Trailing)));
    }

    #[test]
    fn refuses_content_that_decompresses_to_more_than_it_says() {
        let packed = zstd::bulk::compress(&[7; 4096], 3).unwrap();
        assert_eq!(decompress(ZSTD, &packed, 4095), Err(Damage::Compression));
        assert_eq!(decompress(ZSTD, &packed, 4097), Err(Damage::Compression));
    }

    #[test]
    fn refuses_an_unknown_compression() {
        assert!(matches!(decompress(2, b"", 0), Err(Damage::Encoding(_))));
    }
}
