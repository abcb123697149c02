//! What goes wrong, and how often.

use rand::Rng as _;
use rand::rngs::StdRng;

/// Out of a thousand calls, how many go wrong in which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// A write is not made; its outcome is said to be unknown.
    pub lost: u32,
    /// A write is made; its outcome is said to be unknown.
    pub unreported: u32,
    /// A write is made some time after its outcome was said to be unknown, if its guard still holds then.
    pub delayed: u32,
    /// A read gives nothing.
    pub unread: u32,
    /// A read that may be stale gives an older state.
    pub stale: u32,
}

impl Faults {
    /// All goes well.
    pub const NONE: Self = Self { lost: 0, unreported: 0, delayed: 0, unread: 0, stale: 0 };
    /// Three of ten writes and one of ten reads go wrong, and every other read that may be stale is.
    pub const MANY: Self = Self { lost: 100, unreported: 100, delayed: 100, unread: 100, stale: 500 };
    /// Nothing can be reached.
    pub const CUT_OFF: Self = Self { lost: 1000, unread: 1000, ..Self::NONE };

    pub(crate) fn fate(&self, random: &mut StdRng) -> Fate {
        let lot = random.gen_range(0..1000);
        let fates = [(self.lost, Fate::Lost), (self.unreported, Fate::Unreported), (self.delayed, Fate::Delayed)];
        let mut end = 0;
        for (share, fate) in fates {
            end += share;
            if lot < end {
                return fate;
            }
        }
        Fate::Made
    }
}

/// Of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Made,
    Lost,
    Unreported,
    Delayed,
}

pub(crate) fn happens(random: &mut StdRng, of_a_thousand: u32) -> bool {
    random.gen_range(0..1000) < of_a_thousand
}
