//! The backup key in the form that a person writes down and types in again.

use std::fmt::{self, Write as _};

use zeroize::Zeroizing;

use crate::backup_key::BackupKey;
use crate::near_misses::{self, Typo};
use crate::secret::Secret;

/// How many digits a recovery key has: 256 bits at four bits a digit.
pub(crate) const DIGITS: usize = 64;

/// How many digits stand together.
const GROUP: usize = 4;

/// A [`BackupKey`] as 64 digits `0-9a-f` in sixteen groups of four, most significant digit of the first byte first.
///
/// It has no check digits: all 2²⁵⁶ keys are valid, and whether one is right shows at a [`KeySlot`](crate::KeySlot).
/// For a key that was typed almost right there is [`near_misses`](Self::near_misses).
#[derive(Debug, PartialEq, Eq)]
pub struct RecoveryKey(Secret);

impl RecoveryKey {
    pub(crate) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret::from_bytes(bytes))
    }

    /// Reads a key as people type it: white space, dashes and upper case are forgiven anywhere.
    ///
    /// # Errors
    ///
    /// The first character among the first 64 that is no digit, or, if there is none, too few or too many of them.
    pub fn parse(text: &str) -> Result<Self, RecoveryKeyError> {
        let mut bytes = Zeroizing::new([0; 32]);
        let mut count = 0;
        for found in text.chars().filter(|&character| !is_separator(character)) {
            if count < DIGITS {
                let digit = digit_value(found).ok_or(RecoveryKeyError::NotADigit {
                    position: count + 1,
                    group: group_of(count),
                    found,
                })?;
                bytes[count / 2] |= digit << shift_of(count);
            }
            count += 1;
        }
        match count {
            0..DIGITS => Err(RecoveryKeyError::TooShort { digits: count }),
            DIGITS => Ok(Self::from_bytes(*bytes)),
            _ => Err(RecoveryKeyError::TooLong { digits: count }),
        }
    }

    /// The key that the digits stand for.
    pub fn backup_key(&self) -> BackupKey {
        BackupKey::from_bytes(*self.0.expose_bytes())
    }

    /// The digits for the person to keep: sixteen groups of four with single spaces, 79 characters.
    pub fn expose_groups(&self) -> Zeroizing<String> {
        // Made in full size at once: a string that grows leaves its earlier self behind in freed memory.
        let mut groups = Zeroizing::new(String::with_capacity(DIGITS + DIGITS / GROUP - 1));
        for (index, digit) in (0..DIGITS).map(|position| self.digit(position)).enumerate() {
            if index > 0 && index % GROUP == 0 {
                groups.push(' ');
            }
            groups.extend(char::from_digit(digit.into(), 16));
        }
        groups
    }

    /// Every key that one slip of the hand makes of this one: each digit replaced by each of the 15 others, and each
    /// two different neighbours swapped; 1023 keys at most, none of them twice, and not this one.
    ///
    /// For a caller who holds a [`KeySlot`](crate::KeySlot) that this key does not open: the key that does tells which
    /// group to look at. It weakens nothing, since who typed the digits knows all but one or two of them.
    pub fn near_misses(&self) -> impl Iterator<Item = (Typo, BackupKey)> {
        near_misses::of(self)
    }

    /// The value of the digit at `position`, counted from 0.
    pub(crate) const fn digit(&self, position: usize) -> u8 {
        self.0.expose_bytes()[position / 2] >> shift_of(position) & 0xf
    }

    /// The key whose digits at `positions` (counted from 0) differ from this one's in the bits of `difference`.
    pub(crate) fn with_changed_digits(&self, positions: &[usize], difference: u8) -> BackupKey {
        let mut bytes = Zeroizing::new(*self.0.expose_bytes());
        for position in positions {
            bytes[position / 2] ^= difference << shift_of(*position);
        }
        BackupKey::from_bytes(*bytes)
    }
}

/// Why a text is not a recovery key. It carries no digit of the text, so that it may be shown and logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryKeyError {
    /// Digits are missing.
    #[error("a recovery key has 64 digits, and this one has {digits}: {} missing", DIGITS - .digits)]
    TooShort {
        /// How many there are.
        digits: usize,
    },
    /// The text goes on after 64 digits.
    #[error("a recovery key has 64 digits, and this one has {digits}: {} too many", .digits - DIGITS)]
    TooLong {
        /// How many characters there are, other than white space and dashes. What follows the 64th may be anything.
        digits: usize,
    },
    /// A character that no recovery key contains.
    #[error("digit {position} (group {group}) is {}: only 0-9 and a-f are used{}", Shown(*.found), Hint(*.found))]
    NotADigit {
        /// Which digit it stands for, 1 to 64.
        position: usize,
        /// Which group of four that is in, 1 to 16.
        group: usize,
        /// The character.
        found: char,
    },
}

/// A character in quotes, escaped if it would not show, and with its code point if it may look like another.
struct Shown(char);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)?;
        if self.0.is_ascii() { Ok(()) } else { write!(f, " (U+{:04X})", u32::from(self.0)) }
    }
}

/// The digit that a character is likely to have been on paper, if any.
struct Hint(char);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match intended_digit(self.0) {
            Some(digit) => {
                f.write_str("; did you mean ")?;
                f.write_char(digit)?;
                f.write_char('?')
            }
            None => Ok(()),
        }
    }
}

/// What handwriting, and a keyboard set to Cyrillic or to full width, make of the digits.
fn intended_digit(found: char) -> Option<char> {
    Some(match found {
        'o' | 'O' | 'Q' => '0',
        'l' | 'L' | 'i' | 'I' | '|' | '!' => '1',
        'z' | 'Z' => '2',
        's' | 'S' => '5',
        'G' => '6',
        'g' | 'q' => '9',
        '\u{43e}' | '\u{41e}' => '0', // Cyrillic, here and below: escaped, since they look like the Latin ones
        '\u{437}' | '\u{417}' => '3',
        '\u{430}' | '\u{410}' => 'a',
        '\u{412}' => 'b',
        '\u{441}' | '\u{421}' => 'c',
        '\u{435}' | '\u{415}' => 'e',
        '\u{ff10}'..='\u{ff19}' => char::from_digit(u32::from(found) - 0xff10, 10)?,
        _ => return None,
    })
}

fn digit_value(character: char) -> Option<u8> {
    character.to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// White space, what is invisible and comes along when text is copied, and the dashes that keyboards and word
/// processors make of a hyphen.
fn is_separator(character: char) -> bool {
    character.is_whitespace()
        || matches!(
            character,
            '\u{200b}' | '\u{2060}' | '\u{feff}' // zero width
                | '-' | '\u{ad}' | '\u{2010}'
                ..='\u{2015}' | '\u{2212}' // hyphens, dashes, minus
                | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}' // their small and full-width forms
        )
}

/// The group, counted from 1, of the digit at `position`, counted from 0.
pub(crate) const fn group_of(position: usize) -> usize {
    position / GROUP + 1
}

/// Where in its byte the digit at `position` lies: the even ones are the upper half.
const fn shift_of(position: usize) -> usize {
    if position.is_multiple_of(2) { 4 } else { 0 }
}

#[cfg(test)]
mod tests;
