//! A clock that stands still until it is told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use coffer_proto::Time;
use coffer_vault_core::Clock;

use crate::turns::take_turns;

/// Shows the time that it was set to. Who sleeps wakes at once: the clock goes on by the time that was to be slept.
#[derive(Debug, Clone)]
pub struct TestClock(Arc<Mutex<Shown>>);

#[derive(Debug)]
struct Shown {
    set: Time,
    /// Since then. Finer than [`Time`], so that short sleeps add up.
    passed: Duration,
}

impl TestClock {
    /// A clock that shows `time`.
    pub fn at(time: Time) -> Self {
        Self(Arc::new(Mutex::new(Shown { set: time, passed: Duration::ZERO })))
    }

    /// Puts it forward, or back.
    pub fn set(&self, time: Time) {
        self.change(|shown| *shown = Shown { set: time, passed: Duration::ZERO });
    }

    /// Puts it forward.
    pub fn advance(&self, duration: Duration) {
        self.change(|shown| shown.passed += duration);
    }

    fn change<T>(&self, change: impl FnOnce(&mut Shown) -> T) -> T {
        change(&mut self.0.lock().expect("nothing panics while it holds the lock"))
    }
}

impl Clock for TestClock {
    fn now(&self) -> Time {
        self.change(|shown| shown.set + shown.passed)
    }

    async fn sleep(&self, duration: Duration) {
        self.advance(duration);
        take_turns(1).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use coffer_proto::Time;
    use coffer_vault_core::Clock as _;

    use super::TestClock;

    #[tokio::test]
    async fn short_sleeps_add_up() {
        let clock = TestClock::at(Time::from_unix_seconds(100));
        for _ in 0..4 {
            clock.sleep(Duration::from_millis(500)).await;
        }
        assert_eq!(clock.now(), Time::from_unix_seconds(102));
    }

    #[test]
    fn a_clone_is_the_same_clock() {
        let clock = TestClock::at(Time::from_unix_seconds(100));
        clock.clone().set(Time::from_unix_seconds(50));
        assert_eq!(clock.now(), Time::from_unix_seconds(50));
    }
}
