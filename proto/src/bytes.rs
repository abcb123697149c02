//! Bytes on the wire: base64url without padding (RFC 4648, section 5), in its one canonical form.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Exactly `N` bytes. Public data: what is secret is not sent, or is sealed before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Base64<const N: usize>(pub [u8; N]);

/// Up to `MAX` bytes, at least one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Base64Vec<const MAX: usize>(Vec<u8>);

/// SHA-256.
pub type Hash = Base64<32>;
/// A site's mark on an evaluation, random.
pub type Nonce = Base64<16>;
/// A point of P-256, compressed SEC1. Whoever uses it parses it first.
pub type PointBytes = Base64<33>;
/// Ed25519 (RFC 8032), or ES256 as r ‖ s.
pub type Signature = Base64<64>;
/// The public half of an Ed25519 key.
pub type VerifyingKey = Base64<32>;

/// Why a text is not the bytes that it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Base64Error {
    /// Another alphabet, padding, white space, or bits left over.
    #[error("not base64url without padding")]
    Alphabet,
    /// Too short or too long.
    #[error("not of the length that is expected")]
    Length,
}

impl<const N: usize> Base64<N> {
    /// Parses the text form.
    ///
    /// # Errors
    /// `Alphabet`, `Length`.
    pub fn parse(text: &str) -> Result<Self, Base64Error> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Base64Error::Alphabet)?;
        Ok(Self(bytes.try_into().map_err(|_| Base64Error::Length)?))
    }
}

impl<const MAX: usize> Base64Vec<MAX> {
    /// Takes bytes in.
    ///
    /// # Errors
    /// `Length` when there are none or more than `MAX`.
    pub fn new(bytes: Vec<u8>) -> Result<Self, Base64Error> {
        if bytes.is_empty() || bytes.len() > MAX { Err(Base64Error::Length) } else { Ok(Self(bytes)) }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<const N: usize> fmt::Display for Base64<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl<const N: usize> fmt::Debug for Base64<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<const MAX: usize> fmt::Debug for Base64Vec<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

impl<const N: usize> Serialize for Base64<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

impl<const MAX: usize> Serialize for Base64Vec<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Base64<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = deserialize(deserializer)?;
        Ok(Self(bytes.try_into().map_err(|_| D::Error::custom(Base64Error::Length))?))
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Base64Vec<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Text for people, bytes for the vault's own records.
fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(bytes))
    } else {
        serializer.serialize_bytes(bytes)
    }
}

fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    if deserializer.is_human_readable() {
        deserializer.deserialize_str(Text)
    } else {
        deserializer.deserialize_byte_buf(Binary)
    }
}

struct Text;

impl Visitor<'_> for Text {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("base64url without padding")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
        URL_SAFE_NO_PAD.decode(text).map_err(|_| E::custom(Base64Error::Alphabet))
    }
}

struct Binary;

impl<'de> Visitor<'de> for Binary {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<u8>, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = sequence.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::{Base64, Base64Error, Base64Vec};

    #[test]
    fn bytes_survive_the_way_through_text() {
        let bytes = Base64([0xfb, 0xff, 0x00, 0x10]);
        assert_eq!(serde_json::to_string(&bytes).unwrap(), r#""-_8AEA""#);
        assert_eq!(Base64::parse("-_8AEA"), Ok(bytes));
        assert_eq!(serde_json::from_str::<Base64<4>>(r#""-_8AEA""#).unwrap(), bytes);
    }

    #[test]
    fn refuses_what_is_not_the_canonical_text() {
        for text in ["-_8AEA==", "+/8AEA", "-_8AEB", "-_8A EA", "-_8AE"] {
            assert_eq!(Base64::<4>::parse(text), Err(Base64Error::Alphabet), "{text}");
        }
    }

    #[test]
    fn refuses_another_length() {
        assert_eq!(Base64::<4>::parse("-_8A"), Err(Base64Error::Length));
        assert!(serde_json::from_str::<Base64Vec<3>>(r#""-_8AEA""#).is_err());
        assert!(serde_json::from_str::<Base64Vec<3>>(r#""""#).is_err());
    }
}
