//! The name of an archive.

use std::fmt;

use crate::randomness::{RandomnessError, generate_bytes};

/// 16 random bytes that name an archive.
///
/// Not secret: it stands in the clear in the archive's header. It is the salt of every derivation from the archive's
/// keys, so that one backup key used for two archives leads to unrelated keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArchiveId([u8; 16]);

impl ArchiveId {
    /// A new archive's name.
    pub fn generate() -> Result<Self, RandomnessError> {
        Ok(Self(*generate_bytes()?))
    }

    /// The name as it stands in a sealed object.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes that derivations and sealed objects use.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads what `Display` writes: 32 digits `0-9a-f`. Any other spelling, upper case included, is `None`, so that an
    /// archive has one name only.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: &[u8; 32] = text.as_bytes().try_into().ok()?;
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit_value(pair[0])? << 4 | digit_value(pair[1])?;
        }
        Some(Self(bytes))
    }
}

fn digit_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for ArchiveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use super::ArchiveId;

    const TEXT: &str = "000102030405060708090a0b0c0dfeff";

    #[test]
    fn reads_what_it_writes() {
        let id = ArchiveId::parse(TEXT).unwrap();
        assert_eq!(id.as_bytes(), &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 254, 255]);
        assert_eq!(id.to_string(), TEXT);
        assert_eq!(ArchiveId::from_bytes(*id.as_bytes()), id);
    }

    #[test]
    fn refuses_an_archive_id_with_31_digits() {
        assert_eq!(ArchiveId::parse(&TEXT[1..]), None);
    }

    #[test]
    fn refuses_an_archive_id_with_33_digits() {
        assert_eq!(ArchiveId::parse(&format!("{TEXT}0")), None);
    }

    #[test]
    fn refuses_an_archive_id_in_upper_case() {
        assert_eq!(ArchiveId::parse(&TEXT.to_uppercase()), None);
    }

    #[test]
    fn refuses_an_archive_id_with_a_letter_after_f() {
        assert_eq!(ArchiveId::parse(&TEXT.replace('f', "g")), None);
    }

    #[test]
    fn refuses_an_archive_id_with_white_space() {
        assert_eq!(ArchiveId::parse(&format!(" {}", &TEXT[1..])), None);
    }

    #[test]
    fn refuses_an_archive_id_of_32_bytes_that_are_not_ascii() {
        assert_eq!(ArchiveId::parse(&"é".repeat(16)), None);
    }

    #[test]
    fn two_generated_ids_differ() {
        assert_ne!(ArchiveId::generate().unwrap(), ArchiveId::generate().unwrap());
    }
}
