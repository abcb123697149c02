#![expect(clippy::unwrap_used, reason = "a test")]

use proptest::prelude::*;

use super::{RecoveryKey, RecoveryKeyError};
use crate::BackupKey;

const GROUPS: &str = "0001 0203 0405 0607 0809 0a0b 0c0d 0e0f 1011 1213 1415 1617 1819 1a1b 1c1d 1e1f";

fn key() -> RecoveryKey {
    RecoveryKey::from_bytes(std::array::from_fn(|index| u8::try_from(index).unwrap()))
}

fn refusal(text: &str) -> RecoveryKeyError {
    RecoveryKey::parse(text).unwrap_err()
}

/// The key's 64 digits with the one at `position`, counted from 1, replaced.
fn with_digit(position: usize, character: char) -> String {
    let digits = GROUPS.replace(' ', "");
    format!("{}{character}{}", &digits[..position - 1], &digits[position..])
}

#[test]
fn writes_sixteen_groups_of_four_with_single_spaces() {
    assert_eq!(*key().expose_groups(), GROUPS);
    assert_eq!(key().expose_groups().capacity(), GROUPS.len());
}

#[test]
fn debug_prints_no_digit_of_it() {
    assert_eq!(format!("{:?}", key()), "RecoveryKey(..)");
}

#[test]
fn stands_for_the_backup_key_it_was_made_from() {
    let backup = BackupKey::generate().unwrap();
    assert_eq!(backup.recovery_key().backup_key(), backup);
}

#[test]
fn forgives_missing_spaces() {
    assert_eq!(RecoveryKey::parse(&GROUPS.replace(' ', "")), Ok(key()));
}

#[test]
fn forgives_upper_case() {
    assert_eq!(RecoveryKey::parse(&GROUPS.to_uppercase()), Ok(key()));
}

#[test]
fn forgives_white_space_anywhere() {
    for space in ["\n", "\r\n", "\t", "  ", "\u{a0}", "\u{202f}", "\u{3000}", "\u{200b}", "\u{feff}"] {
        let spaced: String = GROUPS.chars().flat_map(|digit| [space.to_owned(), digit.to_string()]).collect();
        assert_eq!(RecoveryKey::parse(&format!("{spaced}{space}")), Ok(key()), "{space:?}");
    }
}

#[test]
fn forgives_dashes_of_every_kind() {
    for dash in "-\u{ad}\u{2010}\u{2011}\u{2012}\u{2013}\u{2014}\u{2015}\u{2212}\u{fe58}\u{fe63}\u{ff0d}".chars() {
        assert_eq!(RecoveryKey::parse(&GROUPS.replace(' ', &dash.to_string())), Ok(key()), "{dash:?}");
    }
}

#[test]
fn refuses_an_empty_recovery_key() {
    assert_eq!(refusal(""), RecoveryKeyError::TooShort { digits: 0 });
    assert_eq!(refusal(" -\n"), RecoveryKeyError::TooShort { digits: 0 });
}

#[test]
fn refuses_a_recovery_key_with_63_digits() {
    let refused = refusal(&GROUPS[1..]);
    assert_eq!(refused, RecoveryKeyError::TooShort { digits: 63 });
    assert_eq!(refused.to_string(), "a recovery key has 64 digits, and this one has 63: 1 missing");
}

#[test]
fn refuses_a_recovery_key_with_65_digits() {
    let refused = refusal(&format!("{GROUPS} 0"));
    assert_eq!(refused, RecoveryKeyError::TooLong { digits: 65 });
    assert_eq!(refused.to_string(), "a recovery key has 64 digits, and this one has 65: 1 too many");
}

#[test]
fn refuses_a_recovery_key_with_words_behind_it() {
    assert_eq!(refusal(&format!("{GROUPS} (mine)")), RecoveryKeyError::TooLong { digits: 70 });
}

#[test]
fn refuses_a_recovery_key_written_twice() {
    assert_eq!(refusal(&format!("{GROUPS}\n{GROUPS}")), RecoveryKeyError::TooLong { digits: 128 });
}

#[test]
fn refuses_a_recovery_key_with_the_letter_o_for_zero() {
    let refused = refusal(&with_digit(23, 'o'));
    assert_eq!(refused, RecoveryKeyError::NotADigit { position: 23, group: 6, found: 'o' });
    assert_eq!(refused.to_string(), "digit 23 (group 6) is 'o': only 0-9 and a-f are used; did you mean 0?");
}

#[test]
fn refuses_a_recovery_key_with_a_character_that_resembles_no_digit() {
    let refused = refusal(&with_digit(1, 'w'));
    assert_eq!(refused.to_string(), "digit 1 (group 1) is 'w': only 0-9 and a-f are used");
}

#[test]
fn refuses_a_recovery_key_with_a_cyrillic_letter_and_tells_it_apart() {
    let refused = refusal(&with_digit(64, '\u{430}'));
    assert_eq!(
        refused.to_string(),
        "digit 64 (group 16) is '\u{430}' (U+0430): only 0-9 and a-f are used; did you mean a?"
    );
}

#[test]
fn refuses_a_recovery_key_with_a_control_character_and_does_not_print_it() {
    let refused = refusal(&with_digit(5, '\u{1b}'));
    assert_eq!(refused.to_string(), "digit 5 (group 2) is '\\u{1b}': only 0-9 and a-f are used");
}

#[test]
fn refuses_a_recovery_key_at_its_first_wrong_character() {
    let refused = refusal(&with_digit(9, 'x').replace('f', "y"));
    assert_eq!(refused, RecoveryKeyError::NotADigit { position: 9, group: 3, found: 'x' });
}

#[test]
fn counts_no_separator_when_it_names_a_place() {
    let refused = refusal(&GROUPS.replace("0a0b", "Oa0b"));
    assert_eq!(refused, RecoveryKeyError::NotADigit { position: 21, group: 6, found: 'O' });
}

#[test]
fn suggests_the_digit_that_was_meant() {
    let meant = [
        ("oOQ\u{43e}\u{41e}\u{ff10}", '0'),
        ("lLiI|!\u{ff11}", '1'),
        ("zZ", '2'),
        ("\u{437}\u{417}", '3'),
        ("sS", '5'),
        ("G", '6'),
        ("gq\u{ff19}", '9'),
        ("\u{430}\u{410}", 'a'),
        ("\u{412}", 'b'),
        ("\u{441}\u{421}", 'c'),
        ("\u{435}\u{415}", 'e'),
    ];
    for (typed, digit) in meant {
        for character in typed.chars() {
            let message = refusal(&with_digit(30, character)).to_string();
            assert!(message.ends_with(&format!("; did you mean {digit}?")), "{message}");
        }
    }
}

proptest! {
    #[test]
    fn reads_what_it_writes(bytes: [u8; 32]) {
        let key = RecoveryKey::from_bytes(bytes);
        prop_assert_eq!(RecoveryKey::parse(&key.expose_groups()), Ok(key));
    }

    #[test]
    fn writes_the_bytes_in_hexadecimal(bytes: [u8; 32]) {
        let key = RecoveryKey::from_bytes(bytes);
        prop_assert_eq!(key.expose_groups().replace(' ', ""), hex::encode(bytes));
    }

    #[test]
    fn answers_any_text(text in ".*") {
        let _: Result<_, _> = RecoveryKey::parse(&text);
    }

    #[test]
    fn an_error_repeats_nothing_but_the_wrong_character(bytes: [u8; 32], position in 0_usize..64) {
        let mut typed: Vec<char> = hex::encode(bytes).chars().collect();
        typed[position] = 'w';
        let refused = refusal(&typed.iter().collect::<String>());
        let (position, group) = (position + 1, position / 4 + 1);
        prop_assert_eq!(refused, RecoveryKeyError::NotADigit { position, group, found: 'w' });
        prop_assert_eq!(
            refused.to_string(),
            format!("digit {position} (group {group}) is 'w': only 0-9 and a-f are used")
        );
    }
}
