//! The one binary encoding of everything inside sealed objects: bytes, varints (unsigned LEB128, shortest form
//! only), zigzag varints, length-prefixed byte strings. One value has one encoding; a decoder that meets another
//! refuses it.

/// Why bytes could not be decoded. What was decoded had passed authentication first, so any of these means a
/// writer's fault or a later format, never a provider's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The bytes end before the value does.
    #[error("it ends too early")]
    Truncated,
    /// A varint is not in its shortest form, or longer than 64 bits.
    #[error("a number is not in its shortest form")]
    NotCanonical,
    /// Bytes are left over after the last value.
    #[error("it goes on after its end")]
    Trailing,
    /// A value is outside what the format allows; the text names it.
    #[error("{0}")]
    Invalid(&'static str),
}

/// The bytes that a number takes as a varint.
pub(crate) const fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// Appends values to a byte vector.
#[derive(Debug, Default)]
pub(crate) struct Encoder(Vec<u8>);

impl Encoder {
    /// An empty encoder.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// One byte.
    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    /// An unsigned number, 1 to 10 bytes.
    pub(crate) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value as u8 & 0x7f) | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// A signed number: 0, −1, 1, −2 … become 0, 1, 2, 3 …
    pub(crate) fn zigzag(&mut self, value: i64) {
        self.varint(((value << 1) ^ (value >> 63)) as u64);
    }

    /// Bytes whose length the reader knows.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A byte string: its length as a varint, then its bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        self.raw(bytes);
    }

    /// How many bytes have been written.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The bytes written.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Takes values from the front of a byte slice.
#[derive(Debug, Clone)]
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Reads from the beginning of `bytes`.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// One byte.
    pub(crate) fn u8(&mut self) -> Result<u8, CodecError> {
        Ok(self.raw(1)?[0])
    }

    /// An unsigned number in its shortest form.
    pub(crate) fn varint(&mut self) -> Result<u64, CodecError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(CodecError::NotCanonical);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return if byte == 0 && shift > 0 { Err(CodecError::NotCanonical) } else { Ok(value) };
            }
        }
        Err(CodecError::NotCanonical)
    }

    /// A number that must fit in 32 bits.
    pub(crate) fn varint_u32(&mut self) -> Result<u32, CodecError> {
        u32::try_from(self.varint()?).map_err(|_| CodecError::Invalid("a number is too large"))
    }

    /// A count of items that take at least `item` bytes each: more than the rest could hold is refused before
    /// anything is allocated for them.
    pub(crate) fn count(&mut self, item: usize) -> Result<usize, CodecError> {
        let count = usize::try_from(self.varint()?).map_err(|_| CodecError::Truncated)?;
        if count > self.rest.len() / item.max(1) {
            return Err(CodecError::Truncated);
        }
        Ok(count)
    }

    /// A signed number, see [`Encoder::zigzag`].
    pub(crate) fn zigzag(&mut self) -> Result<i64, CodecError> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The next `len` bytes.
    pub(crate) fn raw(&mut self, len: usize) -> Result<&'a [u8], CodecError> {
        if len > self.rest.len() {
            return Err(CodecError::Truncated);
        }
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        self.raw(N)?.try_into().map_err(|_| CodecError::Truncated)
    }

    /// A length-prefixed byte string.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], CodecError> {
        let len = self.count(1)?;
        self.raw(len)
    }

    /// Whether everything has been read.
    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What has not been read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Ends the reading: refuses bytes that are left over.
    pub(crate) const fn finish(self) -> Result<(), CodecError> {
        if self.rest.is_empty() { Ok(()) } else { Err(CodecError::Trailing) }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_survive(value: u64, signed: i64) {
            let mut encoder = Encoder::new();
            encoder.varint(value);
            encoder.zigzag(signed);
            let bytes = encoder.finish();
            let mut decoder = Decoder::new(&bytes);
            prop_assert_eq!(decoder.varint().unwrap(), value);
            prop_assert_eq!(decoder.zigzag().unwrap(), signed);
            prop_assert_eq!(decoder.finish(), Ok(()));
        }

        #[test]
        fn what_decodes_encodes_to_the_same_bytes(bytes: Vec<u8>) {
            let mut decoder = Decoder::new(&bytes);
            if let Ok(value) = decoder.varint() {
                let mut encoder = Encoder::new();
                encoder.varint(value);
                let read = bytes.len() - decoder.rest().len();
                prop_assert_eq!(&encoder.finish(), &bytes[..read]);
            }
        }
    }

    #[test]
    fn refuses_a_number_that_is_not_in_its_shortest_form() {
        assert_eq!(Decoder::new(&[0x80, 0x00]).varint(), Err(CodecError::NotCanonical));
    }

    #[test]
    fn refuses_a_number_of_more_than_64_bits() {
        assert_eq!(Decoder::new(&[0xff; 11]).varint(), Err(CodecError::NotCanonical));
        let mut too_wide = [0xff; 10];
        too_wide[9] = 2;
        assert_eq!(Decoder::new(&too_wide).varint(), Err(CodecError::NotCanonical));
    }

    #[test]
    fn refuses_a_count_that_the_rest_cannot_hold() {
        let mut encoder = Encoder::new();
        encoder.varint(1 << 40);
        assert_eq!(Decoder::new(&encoder.finish()).count(1), Err(CodecError::Truncated));
    }

    #[test]
    fn refuses_bytes_after_the_end() {
        assert_eq!(Decoder::new(&[1]).finish(), Err(CodecError::Trailing));
    }
}
