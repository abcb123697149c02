//! What opens a token.

use std::fmt;

use cryptoki::types::AuthPin;
use zeroize::Zeroizing;

/// A PIN of a token. Wiped when dropped.
pub struct Pin(Zeroizing<String>);

impl Pin {
    /// A new PIN: 32 digits `0-9a-f`, 128 random bits.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; 16]);
        getrandom::fill(bytes.as_mut_slice())?;
        Ok(Self(Zeroizing::new(hex::encode(bytes.as_slice()))))
    }

    /// A PIN read back from where it was kept. White space at its end, such as a file's last newline, is no part of it.
    pub fn new(text: String) -> Self {
        let text = Zeroizing::new(text);
        Self(Zeroizing::new(text.trim_end().to_owned()))
    }

    /// The PIN itself, for the file that keeps it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub(crate) fn to_auth_pin(&self) -> AuthPin {
        AuthPin::from(self.0.as_str())
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(..)")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use super::Pin;

    #[test]
    fn a_generated_pin_has_128_bits_in_hexadecimal() {
        let pin = Pin::generate().unwrap();
        assert_eq!(pin.expose().len(), 32);
        assert!(pin.expose().bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    }

    #[test]
    fn two_generated_pins_differ() {
        assert_ne!(Pin::generate().unwrap().expose(), Pin::generate().unwrap().expose());
    }

    #[test]
    fn a_newline_at_the_end_is_no_part_of_it() {
        assert_eq!(Pin::new("1234\r\n".to_owned()).expose(), "1234");
    }

    #[test]
    fn debug_prints_no_digit_of_it() {
        assert_eq!(format!("{:?}", Pin::new("1234".to_owned())), "Pin(..)");
    }
}
