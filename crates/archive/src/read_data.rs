//! How much of the stored data a verification reads.

use std::collections::HashSet;

use crate::error::Error;
use crate::id::random_bytes;
use crate::index::KnownPack;

/// How much of the stored data is read and opened.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum ReadData {
    /// What describes them only.
    #[default]
    Nothing,
    /// Packs drawn at random, at least this share of all bytes: 0.05 is 5 %.
    Share(f64),
    /// All of them.
    All,
}

impl From<bool> for ReadData {
    fn from(all: bool) -> Self {
        if all { Self::All } else { Self::Nothing }
    }
}

impl ReadData {
    /// The numbers of the packs to be read. Whoever damages packs must not know which: each draw is a new one.
    pub(crate) fn draw(self, packs: &[KnownPack]) -> Result<HashSet<u32>, Error> {
        let all = 0..packs.len() as u32;
        let share = match self {
            Self::Nothing => return Ok(HashSet::new()),
            Self::All => return Ok(all.collect()),
            Self::Share(share) => share,
        };
        let mut order = Vec::with_capacity(packs.len());
        for number in all {
            order.push((u64::from_le_bytes(random_bytes()?), number));
        }
        order.sort_unstable();
        let total: u64 = packs.iter().map(data_len).sum();
        let wanted = total as f64 * share;
        let (mut drawn, mut bytes) = (HashSet::new(), 0);
        for (_, number) in order {
            if bytes as f64 >= wanted {
                break;
            }
            bytes += data_len(&packs[number as usize]);
            drawn.insert(number);
        }
        Ok(drawn)
    }
}

/// Bytes of a pack's segments.
pub(crate) fn data_len(pack: &KnownPack) -> u64 {
    pack.segments.iter().map(|segment| u64::from(segment.sealed_len)).sum()
}
