//! A store as it is in a bad week.

use std::fmt;
use std::sync::{Arc, Mutex};

use coffer_vault_core::ports::{
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
    async fn write<T>(&self, now: impl FnOnce() -> T, later: Write) -> Option<T> {
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
        self.write(now, later).await.unwrap_or(Replaced::Unknown)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().expect("nothing panics while it holds the lock"))
    }
}

impl RecordStore for FaultyStore {
    async fn get(&self, key: &[u8], freshness: Freshness) -> Result<Option<Versioned>, StoreUnavailable> {
        if !self.reads().await {
            return Err(StoreUnavailable);
        }
        let is_stale = |state: &mut State| happens(&mut state.random, state.faults.stale);
        if freshness == Freshness::MayBeStale && self.change(is_stale) {
            let mut states = self.store.states(key);
            return Ok(states.swap_remove(self.change(|state| state.random.gen_range(0..states.len()))));
        }
        self.store.get(key, freshness).await
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
        self.write(now, later).await.unwrap_or(Err(LedgerError::Unavailable))
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
