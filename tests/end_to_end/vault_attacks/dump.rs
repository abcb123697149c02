//! The embedded database as a thief has it: every record and every row of the ledger.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use coffer_proto::{AccountId, AttemptId, RegistrationId, frame};
use coffer_vault_core::{Attempt, AttemptState, Held, Ledger as _, Live, RecordStore as _, SiteRow, VaultRecord};
use coffer_vault_store::EmbeddedStore;
use serde::de::DeserializeOwned;

const ALL: usize = 10_000;
/// Of a ledger row, at its end.
const MAC_LEN: usize = 32;

pub(crate) struct Dump {
    /// By the account's key.
    records: Vec<(Vec<u8>, VaultRecord)>,
    rows: Vec<SiteRow>,
}

impl Dump {
    /// Of a vault that does not run.
    pub(crate) fn of(data: &Path) -> Self {
        let copy = tempfile::tempdir().unwrap();
        fs::copy(data.join("store/vault.redb"), copy.path().join("vault.redb")).unwrap();
        let store = EmbeddedStore::open(copy.path()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let records = runtime.block_on(store.records.scan(b"", ALL)).unwrap();
        let rows = runtime.block_on(store.ledger.rows(b"", ALL)).unwrap();
        Self {
            records: records.into_iter().map(|(key, record)| (key, parse(&record.value))).collect(),
            rows: rows.iter().map(|(_, row)| parse(&row.bytes[..row.bytes.len() - MAC_LEN])).collect(),
        }
    }

    /// How many records and rows there are.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.records.len(), self.rows.len())
    }

    #[track_caller]
    pub(crate) fn live(&self, account: &AccountId) -> &Live {
        let key = frame([b"record".as_slice(), account.as_bytes()]);
        let (_, record) = self.records.iter().find(|(at, _)| *at == key).unwrap();
        record.live.as_ref().unwrap()
    }

    #[track_caller]
    pub(crate) fn held(&self, registration: &RegistrationId) -> &Held {
        let held = self.rows.iter().find_map(|row| match row {
            SiteRow::Held(held) if held.registration.id == *registration => Some(&**held),
            _ => None,
        });
        held.unwrap()
    }

    /// The attempts with no proof since, as the record has them, and as the ledger has.
    #[track_caller]
    pub(crate) fn spent(&self, account: &AccountId) -> [BTreeSet<AttemptId>; 2] {
        let live = self.live(account);
        let held = self.held(&live.registration.id);
        let is_unproved = |attempt: &&Attempt| matches!(attempt.state, AttemptState::Unproved { .. });
        let unproved = live.attempts.iter().filter(is_unproved).map(|attempt| attempt.id).collect();
        [unproved, held.evaluations.iter().map(|evaluation| evaluation.attempt).collect()]
    }
}

/// What `coffer_vault_core` wrote: its format, then postcard.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> T {
    let (format, content) = bytes.split_first().unwrap();
    assert_eq!(*format, 1);
    postcard::from_bytes(content).unwrap()
}
