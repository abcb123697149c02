//! Which cell a record lies in.

use std::ops::RangeInclusive;

use coffer_proto::frame;
use sha2::{Digest as _, Sha256};

/// How many slots the cells of a fleet share. Part of every fleet: it never changes.
pub const SLOTS: u16 = 4096;

const LABEL: &[u8] = b"coffer/v1/slot";

/// The slot of a record's key: the first two bytes of SHA-256 over the framed label and key, modulo [`SLOTS`].
///
/// # Panics
/// For a key of more than 65 535 bytes.
pub fn slot_of(key: &[u8]) -> u16 {
    let digest = Sha256::digest(frame([LABEL, key]));
    u16::from_be_bytes([digest[0], digest[1]]) % SLOTS
}

/// A slot that lies outside of the table, or in it twice. A range that is empty is named by its beginning.
pub(crate) fn misplaced<'r>(ranges: impl Iterator<Item = &'r RangeInclusive<u16>>) -> Option<u16> {
    let mut taken = [false; SLOTS as usize];
    for range in ranges {
        if range.is_empty() {
            return Some(*range.start());
        }
        for slot in range.clone() {
            match taken.get_mut(usize::from(slot)) {
                Some(taken) if !*taken => *taken = true,
                _ => return Some(slot),
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{SLOTS, misplaced, slot_of};

    #[test]
    fn the_slot_of_a_key_never_changes() {
        assert_eq!(["alice", "bob", ""].map(|key| slot_of(key.as_bytes())), [1513, 2627, 3137]);
    }

    #[test]
    fn keys_spread_over_all_slots() {
        let mut seen = [0_u32; SLOTS as usize];
        (0..100_000_u32).for_each(|number| seen[usize::from(slot_of(&number.to_be_bytes()))] += 1);
        assert!(seen.iter().all(|&count| (1..100).contains(&count)));
    }

    #[test]
    fn ranges_that_part_the_table_are_taken() {
        assert_eq!(misplaced([0..=99, 200..=SLOTS - 1, 100..=199].iter()), None);
    }

    #[test]
    fn a_slot_that_comes_twice_is_refused() {
        assert_eq!(misplaced([0..=99, 99..=200].iter()), Some(99));
    }

    #[test]
    fn a_slot_outside_of_the_table_is_refused() {
        assert_eq!(misplaced([0..=SLOTS].iter()), Some(SLOTS));
    }

    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
    fn an_empty_range_is_refused() {
        assert_eq!(misplaced([7..=6].iter()), Some(7));
    }
}
