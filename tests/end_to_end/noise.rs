//! Random bytes and moments that can be had again from a seed.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

/// SplitMix64. Not for secrets.
#[derive(Debug, Clone)]
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another seed each time, printed; COFFER_TEST_SEED takes one again.
    pub(crate) fn seeded() -> Self {
        let given = env::var("COFFER_TEST_SEED").ok().map(|seed| seed.parse().unwrap());
        let seed = given.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64);
        eprintln!("COFFER_TEST_SEED={seed}");
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// From 0 to 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).collect();
        bytes.truncate(len);
        bytes
    }

    /// Lines that compress about as chat does.
    pub(crate) fn text(&mut self, len: usize) -> Vec<u8> {
        const SYLLABLES: [&str; 16] =
            ["ba", "ko", "ti", "ra", "men", "sol", "qui", "lo", "ve", "na", "the", "is", "ter", "ing", "ou", " "];
        let mut text = String::with_capacity(len + 64);
        while text.len() < len {
            for _ in 0..16 {
                text.push_str(SYLLABLES[self.below(16) as usize]);
            }
            text.push('\n');
        }
        text.truncate(len);
        text.into_bytes()
    }

    /// One number in each of `count` equal parts of 0 to 1, in random order.
    pub(crate) fn spread(&mut self, count: usize) -> Vec<f64> {
        let mut numbers: Vec<f64> = (0..count).map(|part| (part as f64 + self.fraction()) / count as f64).collect();
        for end in (1..count).rev() {
            numbers.swap(end, self.below(end as u64 + 1) as usize);
        }
        numbers
    }
}
