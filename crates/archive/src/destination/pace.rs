//! A limit to the bytes a second, for all requests of one destination together.

use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

pub(super) struct Pace {
    rate: NonZeroU64,
    /// When what was begun so far will have had its time.
    free_at: Mutex<Option<Instant>>,
}

impl Pace {
    pub(super) const fn new(rate: NonZeroU64) -> Self {
        Self { rate, free_at: Mutex::new(None) }
    }

    /// Waits until so many bytes more may be begun with.
    pub(super) async fn wait(&self, bytes: u64) {
        tokio::time::sleep_until(self.reserve(bytes, Instant::now())).await;
    }

    /// When so many bytes may begin that would like to now.
    fn reserve(&self, bytes: u64, now: Instant) -> Instant {
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = free_at.map_or(now, |free_at| free_at.max(now));
        *free_at = Some(begin + Duration::from_secs_f64(bytes as f64 / self.rate.get() as f64));
        begin
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::time::Duration;

    use super::{Instant, Pace};

    #[test]
    fn what_comes_later_waits_for_the_time_of_what_came_before() {
        let pace = Pace::new(NonZeroU64::MIN.saturating_add(999));
        let now = Instant::now();
        let waits = [2000, 500, 0].map(|bytes| pace.reserve(bytes, now) - now);
        assert_eq!(waits, [0, 2000, 2500].map(Duration::from_millis));
    }

    #[test]
    fn time_that_passed_unused_is_not_saved_up() {
        let pace = Pace::new(NonZeroU64::MIN.saturating_add(999));
        let now = Instant::now();
        pace.reserve(1000, now);
        let later = now + Duration::from_secs(60);
        assert_eq!(pace.reserve(1000, later), later);
        assert_eq!(pace.reserve(1000, later), later + Duration::from_secs(1));
    }
}
