//! A store as it is in a bad week.

use std::fmt;
use std::sync::{Arc, Mutex};

use coffer_vault_core::{
    Freshness, Ledger, LedgerError, LedgerRow, RecordStore, Replaced, StoreUnavailable, Version, Versioned,
};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::faults::{Fate, Faults, happens};
use crate::memory_store::MemoryStore;
use crate::turns::take_turns;

/// Passes calls on to a [`MemoryStore`] and lets some of them go wrong, each as a real store's may. It never lies: what
/// it says was applied was, and a conflict is one.
///
/// Before and after it does anything, a call waits for some turns: other tasks come in between, and a caller may go away
/// there ([`abandon`](crate::abandon)). The same seed, and the same order of calls, gives the same faults. Several of
/// them, with one `MemoryStore` behind, are several sites' ways to one store.
#[derive(Clone)]
pub struct FaultyStore {
    store: MemoryStore,
    state: Arc<Mutex<State>>,
}

struct State {
    random: StdRng,
    faults: Faults,
    delayed: Vec<Write>,
}

enum Write {
    Record { key: Vec<u8>, expected: Option<Version>, value: Option<Vec<u8>> },
    Row { key: Vec<u8>, expected: Option<u64>, row: LedgerRow },
    NoRow { key: Vec<u8>, expected: u64 },
}

impl FaultyStore {
    /// A way to `store` with `faults`, which `seed` places.
    pub fn new(store: MemoryStore, seed: u64, faults: Faults) -> Self {
        let state = State { random: StdRng::seed_from_u64(seed), faults, delayed: Vec::new() };
        Self { store, state: Arc::new(Mutex::new(state)) }
    }

    /// Changes what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.change(|state| state.faults = faults);
    }

    /// Makes every delayed write, in any order.
    pub fn settle(&self) {
        while self.make_one_delayed(1000) {}
    }

    /// Makes a delayed write, in so many cases of a thousand. Whether it did.
    fn make_one_delayed(&self, of_a_thousand: u32) -> bool {
        let write = self.change(|state| {
            let due = !state.delayed.is_empty() && happens(&mut state.random, of_a_thousand);
            due.then(|| state.delayed.swap_remove(state.random.gen_range(0..state.delayed.len())))
        });
        match write {
            Some(Write::Record { key, expected, value }) => {
                drop(self.store.replace_now(&key, expected, value.as_deref()));
            }
            Some(Write::Row { key, expected, row }) => drop(self.store.write_now(&key, expected, &row)),
            Some(Write::NoRow { key, expected }) => drop(self.store.forget_now(&key, expected)),
            None => return false,
        }
        true
    }

    async fn pause(&self) {
        self.make_one_delayed(200);
        let turns = self.change(|state| state.random.gen_range(0..3));
        take_turns(turns).await;
    }

    /// Whether a read gives anything.
    async fn reads(&self) -> bool {
        self.pause().await;
        self.change(|state| !happens(&mut state.random, state.faults.unread))
    }

    /// Makes a write, or not. `None`: its outcome is unknown.
    async fn attempt<T>(&self, now: impl FnOnce() -> T, later: Write) -> Option<T> {
        self.pause().await;
        let outcome = match self.change(|state| state.faults.fate(&mut state.random)) {
            Fate::Made => Some(now()),
            Fate::Lost => None,
            Fate::Unreported => {
                now();
                None
            }
            Fate::Delayed => {
                self.change(|state| state.delayed.push(later));
                None
            }
        };
        self.pause().await;
        outcome
    }

    async fn write_record(&self, key: &[u8], expected: Option<Version>, value: Option<&[u8]>) -> Replaced {
        let later = Write::Record { key: key.to_vec(), expected, value: value.map(<[u8]>::to_vec) };
        let now = || self.store.replace_now(key, expected, value);
        self.attempt(now, later).await.unwrap_or(Replaced::Unknown)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().expect("nothing panics while it holds the lock"))
    }
}

impl RecordStore for FaultyStore {
    fn fence(&self, key: &[u8]) -> u64 {
        self.store.fence(key)
    }

    async fn get(&self, key: &[u8], freshness: Freshness) -> Result<Option<Versioned>, StoreUnavailable> {
        if !self.reads().await {
            return Err(StoreUnavailable);
        }
        let is_stale = |state: &mut State| happens(&mut state.random, state.faults.stale);
        let from = match freshness {
            Freshness::MayBeStale => Version(0),
            Freshness::AtLeast(version) => version,
            Freshness::Newest => return self.store.get(key, freshness).await,
        };
        if !self.change(is_stale) {
            return self.store.get(key, freshness).await;
        }
        let mut states = self.store.states(key, from);
        if states.is_empty() {
            return Err(StoreUnavailable);
        }
        Ok(states.swap_remove(self.change(|state| state.random.gen_range(0..states.len()))))
    }

    async fn replace(&self, key: &[u8], expected: Option<Version>, value: &[u8]) -> Replaced {
        self.write_record(key, expected, Some(value)).await
    }

    async fn delete(&self, key: &[u8], expected: Version) -> Replaced {
        self.write_record(key, Some(expected), None).await
    }

    async fn scan(&self, after: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Versioned)>, StoreUnavailable> {
        if self.reads().await { self.store.scan(after, limit).await } else { Err(StoreUnavailable) }
    }
}

impl Ledger for FaultyStore {
    async fn read(&self, key: &[u8]) -> Result<Option<LedgerRow>, LedgerError> {
        if self.reads().await { self.store.read(key).await } else { Err(LedgerError::Unavailable) }
    }

    async fn write(&self, key: &[u8], expected: Option<u64>, row: &LedgerRow) -> Result<(), LedgerError> {
        let later = Write::Row { key: key.to_vec(), expected, row: row.clone() };
        let now = || self.store.write_now(key, expected, row);
        self.attempt(now, later).await.unwrap_or(Err(LedgerError::Unavailable))
    }

    async fn forget(&self, key: &[u8], expected: u64) -> Result<(), LedgerError> {
        let later = Write::NoRow { key: key.to_vec(), expected };
        let now = || self.store.forget_now(key, expected);
        self.attempt(now, later).await.unwrap_or(Err(LedgerError::Unavailable))
    }

    async fn rows(&self, after: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, LedgerRow)>, LedgerError> {
        if self.reads().await { self.store.rows(after, limit).await } else { Err(LedgerError::Unavailable) }
    }

    async fn highest_number(&self) -> Result<u64, LedgerError> {
        if self.reads().await { self.store.highest_number().await } else { Err(LedgerError::Unavailable) }
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults = self.change(|state| state.faults);
        f.debug_struct("FaultyStore").field("faults", &faults).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use coffer_vault_core::{
        Freshness, Ledger as _, LedgerError, LedgerRow, RecordStore as _, Replaced, StoreUnavailable, Version,
    };
    use futures_util::future::join_all;

    use super::FaultyStore;
    use crate::conformance::{check_ledger, check_records};
    use crate::{Faults, MemoryStore, abandon};

    const ALWAYS: u32 = 1000;

    fn faulty(faults: Faults) -> (MemoryStore, FaultyStore) {
        let store = MemoryStore::default();
        (store.clone(), FaultyStore::new(store, 7, faults))
    }

    #[tokio::test]
    async fn keeps_what_every_store_promises_when_nothing_goes_wrong() {
        let (store, faulty) = faulty(Faults::NONE);
        check_records(&faulty).await;
        check_ledger(&faulty).await;
        store.assert_sound();
    }

    #[tokio::test]
    async fn a_lost_write_is_unknown_and_never_made() {
        let (store, faulty) = faulty(Faults { lost: ALWAYS, ..Faults::NONE });
        assert_eq!(faulty.replace(b"key", None, b"one").await, Replaced::Unknown);
        faulty.settle();
        assert_eq!(store.history(), []);
    }

    #[tokio::test]
    async fn an_unreported_write_is_unknown_and_made() {
        let (store, faulty) = faulty(Faults { unreported: ALWAYS, ..Faults::NONE });
        let row = LedgerRow { number: 1, bytes: vec![1] };
        assert_eq!(faulty.replace(b"key", None, b"one").await, Replaced::Unknown);
        assert_eq!(faulty.write(b"row", None, &row).await, Err(LedgerError::Unavailable));
        assert_eq!(store.history().len(), 1);
        assert_eq!(store.read(b"row").await, Ok(Some(row)));
    }

    #[tokio::test]
    async fn a_delayed_write_is_made_later_if_its_guard_still_holds() {
        let (store, faulty) = faulty(Faults { delayed: ALWAYS, ..Faults::NONE });
        assert_eq!(faulty.replace(b"late", None, b"one").await, Replaced::Unknown);
        assert_eq!(faulty.replace(b"too late", None, b"one").await, Replaced::Unknown);
        let first = store.replace(b"too late", None, b"other").await;
        faulty.settle();
        assert!(matches!(first, Replaced::Applied(_)), "the seed has not made the delayed write yet");
        let value_of = |key| store.states(key, Version(0)).pop().flatten().map(|last| last.value);
        assert_eq!(value_of(b"late"), Some(b"one".to_vec()));
        assert_eq!(value_of(b"too late"), Some(b"other".to_vec()));
    }

    #[tokio::test]
    async fn only_a_read_that_may_be_stale_is() {
        let (store, faulty) = faulty(Faults { stale: ALWAYS, ..Faults::NONE });
        store.replace(b"key", None, b"one").await;
        let newest = store.get(b"key", Freshness::Newest).await;
        let mut stale = 0;
        for _ in 0..50 {
            assert_eq!(faulty.get(b"key", Freshness::Newest).await, newest);
            stale += usize::from(faulty.get(b"key", Freshness::MayBeStale).await != newest);
        }
        assert!((1..50).contains(&stale), "{stale} of 50 were stale");
    }

    #[tokio::test]
    async fn a_read_that_has_to_be_as_new_as_a_write_is_not_older() {
        let (store, faulty) = faulty(Faults { stale: ALWAYS, ..Faults::NONE });
        store.replace(b"key", None, b"one").await;
        let Replaced::Applied(two) = store.replace(b"key", Some(Version(1)), b"two").await else {
            unreachable!("it works")
        };
        store.replace(b"key", Some(two), b"three").await;
        let mut older = 0;
        for _ in 0..50 {
            let there = faulty.get(b"key", Freshness::AtLeast(two)).await.expect("it works").expect("it is there");
            assert!(there.version >= two);
            older += usize::from(there.version == two);
        }
        assert!((1..50).contains(&older), "{older} of 50 were no newer");
        assert_eq!(faulty.get(b"key", Freshness::AtLeast(Version(9))).await, Err(StoreUnavailable));
    }

    #[tokio::test]
    async fn who_is_cut_off_reads_and_writes_nothing_until_the_fault_is_mended() {
        let (_, faulty) = faulty(Faults::CUT_OFF);
        assert_eq!(faulty.get(b"key", Freshness::Newest).await, Err(StoreUnavailable));
        assert_eq!(faulty.replace(b"key", None, b"one").await, Replaced::Unknown);
        faulty.set_faults(Faults::NONE);
        assert_eq!(faulty.get(b"key", Freshness::Newest).await, Ok(None));
    }

    #[tokio::test]
    async fn a_write_that_its_caller_leaves_half_way_may_be_made_or_not() {
        let (mut made, mut not_made) = (0, 0);
        for seed in 0..100 {
            let store = MemoryStore::default();
            let faulty = FaultyStore::new(store.clone(), seed, Faults::NONE);
            if abandon(faulty.replace(b"key", None, b"one"), 2).await.is_none() {
                *(if store.history().is_empty() { &mut not_made } else { &mut made }) += 1;
            }
        }
        assert!(made > 0 && not_made > 0, "{made} made, {not_made} not");
    }

    #[tokio::test]
    async fn the_history_stays_sound_whatever_goes_wrong() {
        for seed in 0..200 {
            let store = MemoryStore::default();
            let faulty = FaultyStore::new(store.clone(), seed, Faults::MANY);
            join_all((0..8).map(|_| hammer(&faulty))).await;
            faulty.settle();
            store.assert_sound();
            assert!(store.history().len() > 20, "seed {seed}");
        }
    }

    async fn hammer(store: &FaultyStore) {
        for round in 0..20 {
            let Ok(there) = store.get(b"key", Freshness::MayBeStale).await else { continue };
            let expected = there.map(|there| there.version);
            match expected {
                Some(expected) if round % 5 == 0 => drop(store.delete(b"key", expected).await),
                _ => drop(store.replace(b"key", expected, &[round]).await),
            }
        }
    }

    #[tokio::test]
    async fn the_same_seed_places_the_same_faults() {
        let mut histories = Vec::new();
        for _ in 0..2 {
            let (store, faulty) = faulty(Faults::MANY);
            join_all((0..8).map(|_| hammer(&faulty))).await;
            histories.push(store.history());
        }
        assert_eq!(histories[0], histories[1]);
    }
}
