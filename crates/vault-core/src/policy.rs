//! The numbers of the guess budget. The defaults are those of docs/protocol.md, section 4.

use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// How many guesses there are, and how long everything takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Guesses of a registration, 1 to 100. The fleet manifest names it; it cannot differ between sites.
    pub max_attempts: u8,
    /// Failures that cost no waiting.
    pub free_failures: u8,
    /// How long to wait after each further failure; the last one counts for all that follow.
    pub waits: Vec<Duration>,
    /// How long an attempt can be evaluated again and proved.
    pub open_for: Duration,
    /// The same when no guess is left; then the registration is locked.
    pub open_at_zero: Duration,
    /// How long a closed attempt is still known by its id.
    pub known_for: Duration,
    /// How long a registration or a deletion waits that no key of the live registration has signed.
    pub takeover_after: Duration,
    /// After a lock, how long until a new registration is taken; doubled with each lock of a registration that had once
    /// been proved.
    pub cool_down: Duration,
    /// The longest cool-down.
    pub cool_down_max: Duration,
    /// How long a share is held that is never activated.
    pub pending_for: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_attempts: 10,
            free_failures: 3,
            waits: vec![MINUTE, 10 * MINUTE, HOUR, 4 * HOUR, 12 * HOUR, DAY, DAY],
            open_for: DAY,
            open_at_zero: 3 * DAY,
            known_for: 2 * DAY,
            takeover_after: 7 * DAY,
            cool_down: DAY,
            cool_down_max: 30 * DAY,
            pending_for: 30 * DAY,
        }
    }
}

impl Policy {
    /// How long the guess after this many failures has to wait, from the last of them.
    pub(crate) fn wait_after(&self, failures: usize) -> Duration {
        let Some(step) = failures.checked_sub(usize::from(self.free_failures.max(1))) else { return Duration::ZERO };
        self.waits.get(step).or(self.waits.last()).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{DAY, HOUR, MINUTE, Policy};
    use std::time::Duration;

    #[test]
    fn the_fourth_to_the_tenth_guess_wait_as_the_protocol_says() {
        let policy = Policy::default();
        let waits: Vec<Duration> = (0..=10).map(|failures| policy.wait_after(failures)).collect();
        let none = Duration::ZERO;
        assert_eq!(waits, [none, none, none, MINUTE, 10 * MINUTE, HOUR, 4 * HOUR, 12 * HOUR, DAY, DAY, DAY]);
    }
}
