//! What is there after a restart.

use coffer_vault_core::{Freshness, Ledger as _, LedgerRow, RecordStore as _, Replaced, Version};
use coffer_vault_store::{EmbeddedRecords, EmbeddedStore};

async fn write(records: &EmbeddedRecords, key: &[u8], expected: Option<Version>) -> Version {
    match records.replace(key, expected, b"value").await {
        Replaced::Applied(version) => version,
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test]
async fn records_and_rows_are_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let row = LedgerRow { number: 3, bytes: b"row".to_vec() };
    let before = {
        let store = EmbeddedStore::open(folder.path()).unwrap();
        write(&store.records, b"key", None).await;
        store.ledger.write(b"key", None, &row).await.unwrap();
        store.records.get(b"key", Freshness::Newest).await.unwrap()
    };
    let store = EmbeddedStore::open(folder.path()).unwrap();
    assert!(before.is_some());
    assert_eq!(store.records.get(b"key", Freshness::Newest).await.unwrap(), before);
    assert_eq!(store.ledger.read(b"key").await.unwrap(), Some(row));
}

#[tokio::test]
async fn no_version_comes_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    let first = write(&store.records, b"key", None).await;
    let Replaced::Applied(deleted) = store.records.delete(b"key", first).await else { unreachable!("it was there") };
    drop(store);
    let store = EmbeddedStore::open(folder.path()).unwrap();
    assert!(write(&store.records, b"key", None).await > deleted);
}

#[tokio::test]
async fn the_highest_number_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    for (key, number) in [(b"one", 8), (b"two", 7)] {
        store.ledger.write(key, None, &LedgerRow { number, bytes: vec![1] }).await.unwrap();
    }
    drop(store);
    assert_eq!(EmbeddedStore::open(folder.path()).unwrap().ledger.highest_number().await, Ok(8));
}

#[tokio::test]
async fn a_write_whose_caller_has_gone_is_made_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    let answer = coffer_testkit::abandon(store.records.replace(b"key", None, b"value"), 1).await;
    assert_eq!(answer, None, "no commit is as quick as one poll");
    drop(store);
    let store = EmbeddedStore::open(folder.path()).unwrap();
    assert!(store.records.get(b"key", Freshness::Newest).await.unwrap().is_some());
}
