//! A provider at its worst, for tests: one that fails, vanishes, fills up, or lists what was there a while ago.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::error::{DestinationErrorKind, Error};

/// What goes wrong with a destination. All that share it share its clock and what it remembers.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    /// This device's own connection.
    line: Arc<Mutex<Line>>,
    provider: Arc<Mutex<Provider>>,
}

type Between = Box<dyn FnMut(&str, &str) + Send>;

#[derive(Default)]
struct Line {
    /// Operations left until it goes wrong, and how.
    left: Option<(u64, Fault)>,
    /// Operations so far.
    count: u64,
    is_dead: bool,
    has_struck: bool,
    /// Called before each operation, with its action and its path.
    between: Option<Between>,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The device dies at an operation that changes something.
    Death,
    /// One operation of any kind fails, the next ones do not.
    Once,
    /// From some change on, there is no room for packs.
    Full,
}

#[derive(Default)]
struct Provider {
    now: Duration,
    /// When each object was written and removed.
    written: BTreeMap<String, Duration>,
    removed: BTreeMap<String, Duration>,
    /// How old a listing may be.
    staleness: Option<Duration>,
    noise: u64,
}

impl Faults {
    /// Another device's connection to the same provider.
    pub(crate) fn another(&self) -> Self {
        Self { line: Arc::default(), provider: Arc::clone(&self.provider) }
    }

    /// From now on, after so many operations that count for it, this goes wrong.
    pub(crate) fn strike(&self, after: u64, fault: Fault) {
        *self.line() = Line { left: Some((after, fault)), ..Line::default() };
    }

    /// Whether what was to go wrong did.
    pub(crate) fn has_struck(&self) -> bool {
        self.line().has_struck
    }

    /// Runs before each operation, with its action and its path.
    pub(crate) fn between(&self, run: impl FnMut(&str, &str) + Send + 'static) {
        self.line().between = Some(Box::new(run));
    }

    /// Listings are old ones from now on, at random.
    pub(crate) fn list_late(&self, staleness: Duration, seed: u64) {
        let mut provider = self.provider();
        provider.staleness = Some(staleness);
        provider.noise = seed;
    }

    /// Time passes.
    pub(crate) fn pass(&self, time: Duration) {
        self.provider().now += time;
    }

    fn line(&self) -> std::sync::MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn provider(&self) -> std::sync::MutexGuard<'_, Provider> {
        self.provider.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An operation that changes nothing.
    pub(crate) fn meet(&self, action: &'static str, path: &str) -> Result<(), Error> {
        self.go_on(action, path, |fault| fault == Fault::Once)
    }

    /// An operation that changes something.
    pub(crate) fn change(&self, action: &'static str, path: &str) -> Result<(), Error> {
        let is_pack = action == "write" && path.starts_with("packs/");
        self.go_on(action, path, |fault| fault != Fault::Full || is_pack)?;
        let mut provider = self.provider();
        let now = provider.now;
        match action {
            "write" => provider.written.insert(path.to_owned(), now),
            _ => provider.removed.insert(path.to_owned(), now),
        };
        Ok(())
    }

    fn go_on(&self, action: &'static str, path: &str, counts: impl Fn(Fault) -> bool) -> Result<(), Error> {
        let between = self.line().between.take();
        if let Some(mut between) = between {
            between(action, path);
            self.line().between.get_or_insert(between);
        }
        let mut line = self.line();
        line.count += 1;
        let failed = |kind, reason: &str| {
            Err(Error::Destination { kind, action, object: path.to_owned(), reason: reason.to_owned() })
        };
        if line.is_dead {
            return failed(DestinationErrorKind::Unavailable, "the device is dead");
        }
        match &mut line.left {
            Some((left, fault)) if counts(*fault) => {
                if *left > 0 {
                    *left -= 1;
                    return Ok(());
                }
                let fault = *fault;
                line.has_struck = true;
                match fault {
                    Fault::Death => {
                        line.is_dead = true;
                        failed(DestinationErrorKind::Unavailable, "the device died")
                    }
                    Fault::Once => {
                        line.left = None;
                        failed(DestinationErrorKind::Unavailable, "it failed once")
                    }
                    Fault::Full => failed(DestinationErrorKind::Full, "no room is left"),
                }
            }
            _ => Ok(()),
        }
    }

    /// When an object was written, by the provider's clock.
    pub(crate) fn written(&self, path: &str) -> Option<SystemTime> {
        self.provider().written.get(path).map(|at| SystemTime::UNIX_EPOCH + *at)
    }

    pub(crate) fn are_listings_stale(&self) -> bool {
        self.provider().staleness.is_some()
    }

    /// What a listing shows: every second time, each object at random as it was a while ago.
    pub(crate) fn listed(&self, folder: &str, mut paths: Vec<String>) -> Vec<String> {
        let mut provider = self.provider();
        let Some(staleness) = provider.staleness else { return paths };
        provider.noise = provider.noise.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let mut noise = provider.noise;
        let mut is_late = |at: &Duration| {
            noise = noise.rotate_left(7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            provider.now.saturating_sub(*at) < staleness && noise >> 62 != 0
        };
        paths.retain(|path| !provider.written.get(path).is_some_and(&mut is_late));
        let removed = provider.removed.iter().filter(|(path, _)| path.starts_with(folder) && !paths.contains(path));
        let still: Vec<_> = removed.filter(|(_, at)| is_late(at)).map(|(path, _)| path.clone()).collect();
        paths.extend(still);
        paths
    }
}
