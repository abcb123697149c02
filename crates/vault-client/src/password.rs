//! A password, as every platform stretches it.

use std::fmt;

use thiserror::Error;
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

/// A password in the form of RFC 8265, section 4.2 (OpaqueString): every space is U+0020, and the text is in NFC. What one
/// keyboard composes and another does not is the same password. Wiped when dropped; the iterators of the normalization
/// are not reached.
pub struct Password(Zeroizing<String>);

/// Why a text cannot be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PasswordError {
    /// Nothing.
    #[error("a password has at least one character")]
    Empty,
    /// More than [`Password::MAX_LEN`] bytes.
    #[error("a password has at most {} bytes", Password::MAX_LEN)]
    TooLong,
    /// A line end, a tab or the like: it would be invisible, and another system's keyboard might not have it.
    #[error("a password has no control characters")]
    ControlCharacter,
}

impl Password {
    /// Bytes of UTF-8 at most.
    pub const MAX_LEN: usize = 1024;

    /// Takes in what was typed.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub fn new(typed: &str) -> Result<Self, PasswordError> {
        if typed.len() > Self::MAX_LEN {
            return Err(PasswordError::TooLong);
        }
        if typed.chars().any(char::is_control) {
            return Err(PasswordError::ControlCharacter);
        }
        // In full size at once (NFC is at most three times as long): a string that grows leaves its earlier self behind.
        let mut password = Zeroizing::new(String::with_capacity(3 * Self::MAX_LEN));
        password.extend(typed.chars().map(|typed| if is_space(typed) { ' ' } else { typed }).nfc());
        match password.len() {
            0 => Err(PasswordError::Empty),
            1..=Self::MAX_LEN => Ok(Self(password)),
            _ => Err(PasswordError::TooLong),
        }
    }

    pub(crate) fn expose_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Unicode's space separators (Zs) but U+0020.
const fn is_space(typed: char) -> bool {
    matches!(typed, '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::{Password, PasswordError};

    fn bytes(typed: &str) -> Vec<u8> {
        Password::new(typed).unwrap().expose_bytes().to_vec()
    }

    #[test]
    fn the_examples_of_rfc_8265() {
        // Section 4.2.3. What it calls a violation is refused below.
        assert_eq!(bytes("correct horse battery staple"), b"correct horse battery staple");
        assert_eq!(bytes("Correct Horse Battery Staple"), b"Correct Horse Battery Staple");
        assert_eq!(bytes("\u{3c0}\u{df}\u{e5}"), "\u{3c0}\u{df}\u{e5}".as_bytes());
        assert_eq!(bytes("Jack of \u{2666}s"), "Jack of \u{2666}s".as_bytes());
        assert_eq!(bytes("foo\u{1680}bar"), b"foo bar");
    }

    #[test]
    fn what_one_keyboard_composes_and_another_does_not_is_the_same_password() {
        assert_eq!(bytes("cafe\u{301}"), bytes("caf\u{e9}"));
        assert_eq!(bytes("\u{ac00}"), bytes("\u{1100}\u{1161}"));
        assert_eq!(bytes("a\u{a0}b"), bytes("a\u{3000}b"));
    }

    #[test]
    fn capitals_width_and_spaces_at_the_ends_are_part_of_a_password() {
        for (one, other) in [("a", "A"), ("a", "\u{ff41}"), (" a", "a"), ("a ", "a"), ("a  b", "a b")] {
            assert_ne!(bytes(one), bytes(other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn refuses_a_password_of_nothing() {
        assert_eq!(Password::new("").unwrap_err(), PasswordError::Empty);
    }

    #[test]
    fn refuses_control_characters() {
        for typed in ["a\tb", "a\n", "\0", "a\u{7f}", "my cat is a \u{9}by", "\u{85}"] {
            assert_eq!(Password::new(typed).unwrap_err(), PasswordError::ControlCharacter, "{typed:?}");
        }
    }

    #[test]
    fn refuses_more_than_1024_bytes_before_and_after_it_is_normalized() {
        assert!(Password::new(&"a".repeat(1024)).is_ok());
        assert_eq!(Password::new(&"a".repeat(1025)).unwrap_err(), PasswordError::TooLong);
        // U+0958 takes three bytes, and six in NFC.
        assert_eq!(Password::new(&"\u{958}".repeat(300)).unwrap_err(), PasswordError::TooLong);
    }

    #[test]
    fn debug_prints_nothing_of_it() {
        assert_eq!(format!("{:?}", Password::new("hunter2").unwrap()), "Password(..)");
    }
}
