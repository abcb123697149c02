//! A key of P-256 that lives in memory, not in an HSM.

use std::fmt;

use p256::SecretKey;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use crate::Point;
use crate::share::multiply;

/// For a day's use, by whoever knows what HPKE is. Wiped when dropped.
pub struct KeyPair(SecretKey);

impl KeyPair {
    /// A new one.
    ///
    /// # Panics
    /// If the operating system has no randomness.
    pub fn generate() -> Self {
        Self(SecretKey::random(&mut OsRng))
    }

    /// The public half.
    pub fn public(&self) -> Point {
        multiply(&self.0, &Point::generator())
    }

    /// The private half, big-endian.
    pub fn expose_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes().into())
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPair(..)")
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use p256::elliptic_curve::sec1::ToEncodedPoint as _;

    use super::KeyPair;

    #[test]
    fn both_halves_are_of_one_key() {
        let pair = KeyPair::generate();
        let again = p256::SecretKey::from_slice(pair.expose_bytes().as_slice()).unwrap();
        assert_eq!(pair.public().encode().as_slice(), again.public_key().to_encoded_point(true).as_bytes());
        assert_ne!(pair.public(), KeyPair::generate().public());
        assert_eq!(format!("{pair:?}"), "KeyPair(..)");
    }
}
