//! The keys that one slip of the hand makes of another.

use std::fmt;

use crate::backup_key::BackupKey;
use crate::recovery_key::{DIGITS, RecoveryKey, group_of};

/// The slip that lies between a typed recovery key and the right one. It names a place, never a digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typo {
    /// One digit is another than it should be.
    MistypedDigit {
        /// Which group of four it is in, 1 to 16.
        group: usize,
    },
    /// Two digits beside each other have changed places.
    SwappedDigits {
        /// Which group of four the first of them is in, 1 to 16. The second may be the first digit of the next.
        group: usize,
    },
}

impl fmt::Display for Typo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MistypedDigit { group } => write!(f, "one digit of group {group}"),
            Self::SwappedDigits { group } => write!(f, "two neighbouring digits in group {group}"),
        }
    }
}

/// See [`RecoveryKey::near_misses`].
pub(crate) fn of(typed: &RecoveryKey) -> impl Iterator<Item = (Typo, BackupKey)> {
    mistyped_digits(typed).chain(swapped_digits(typed))
}

fn mistyped_digits(typed: &RecoveryKey) -> impl Iterator<Item = (Typo, BackupKey)> {
    (0..DIGITS).flat_map(move |position| {
        let typo = Typo::MistypedDigit { group: group_of(position) };
        (1..=0xf).map(move |difference| (typo, typed.with_changed_digits(&[position], difference)))
    })
}

fn swapped_digits(typed: &RecoveryKey) -> impl Iterator<Item = (Typo, BackupKey)> {
    (0..DIGITS - 1).filter_map(move |position| {
        let typo = Typo::SwappedDigits { group: group_of(position) };
        match typed.digit(position) ^ typed.digit(position + 1) {
            0 => None,
            difference => Some((typo, typed.with_changed_digits(&[position, position + 1], difference))),
        }
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use std::collections::HashSet;

    use super::Typo;
    use crate::{BackupKey, RecoveryKey};

    /// The right key is not like any other; `typed` is what came of it.
    const RIGHT: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn typo_of(typed: &str) -> Option<Typo> {
        let right = RecoveryKey::parse(RIGHT).unwrap().backup_key();
        let typed = RecoveryKey::parse(typed).unwrap();
        typed.near_misses().find(|(_, key)| *key == right).map(|(typo, _)| typo)
    }

    #[test]
    fn finds_a_mistyped_digit_wherever_it_is() {
        for position in 0..64 {
            let mut typed: Vec<u8> = RIGHT.into();
            typed[position] = if typed[position] == b'7' { b'8' } else { b'7' };
            let group = position / 4 + 1;
            assert_eq!(typo_of(std::str::from_utf8(&typed).unwrap()), Some(Typo::MistypedDigit { group }));
        }
    }

    #[test]
    fn finds_two_swapped_digits_wherever_they_are() {
        for position in 0..63 {
            let mut typed: Vec<u8> = RIGHT.into();
            typed.swap(position, position + 1);
            let group = position / 4 + 1;
            assert_eq!(typo_of(std::str::from_utf8(&typed).unwrap()), Some(Typo::SwappedDigits { group }));
        }
    }

    #[test]
    fn finds_nothing_for_two_mistyped_digits() {
        assert_eq!(typo_of(&RIGHT.replacen("0123", "0777", 1)), None);
    }

    #[test]
    fn finds_nothing_for_the_right_key() {
        assert_eq!(typo_of(RIGHT), None);
    }

    #[test]
    fn yields_each_of_1023_keys_once() {
        let typed = RecoveryKey::parse(RIGHT).unwrap();
        let keys: HashSet<[u8; 32]> = typed.near_misses().map(|(_, key)| *key.expose_bytes()).collect();
        assert_eq!((keys.len(), typed.near_misses().count()), (64 * 15 + 63, 64 * 15 + 63));
    }

    #[test]
    fn swaps_no_equal_digits() {
        assert_eq!(BackupKey::from_bytes([0x33; 32]).recovery_key().near_misses().count(), 64 * 15);
    }

    #[test]
    fn says_where_to_look() {
        assert_eq!(Typo::MistypedDigit { group: 7 }.to_string(), "one digit of group 7");
        assert_eq!(Typo::SwappedDigits { group: 7 }.to_string(), "two neighbouring digits in group 7");
    }
}
