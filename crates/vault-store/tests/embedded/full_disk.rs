//! A disk that is full.

use std::collections::BTreeMap;
use std::fs;

use coffer_testkit::disk::{Disk, in_own_namespace};
use coffer_vault_core::{
    Freshness, Ledger as _, LedgerError, LedgerRow, RecordStore as _, Replaced, StoreUnavailable, Version,
};
use coffer_vault_store::EmbeddedStore;

#[test]
fn a_full_disk_stops_the_store_and_a_restart_with_space_serves_again() {
    in_own_namespace("full_disk::a_full_disk_stops_the_store_and_a_restart_with_space_serves_again", || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(fill_and_restart());
    });
}

async fn fill_and_restart() {
    let parent = tempfile::tempdir().unwrap();
    let disk = Disk::new(parent.path().join("disk"), 16);
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![1; 8 << 20]).unwrap();
    let folder = disk.path().join("store");

    let store = EmbeddedStore::open(&folder).unwrap();
    let mut made: BTreeMap<[u8; 4], Version> = BTreeMap::new();
    let failed = loop {
        let key = u32::try_from(made.len()).unwrap().to_be_bytes();
        match store.records.replace(&key, None, &[key[3]; 60_000]).await {
            Replaced::Applied(version) => made.insert(key, version),
            Replaced::Unknown => break key,
            Replaced::Conflict(there) => unreachable!("{there:?}"),
        };
    };
    assert!(made.len() > 20, "{} were made", made.len());

    fs::remove_file(&ballast).unwrap();
    let row = LedgerRow { number: 1, bytes: vec![1] };
    assert_eq!(store.records.replace(b"small", None, b"x").await, Replaced::Unknown, "no write after a failed one");
    assert_eq!(store.ledger.write(b"small", None, &row).await, Err(LedgerError::Unavailable));
    assert_eq!(store.records.get(b"small", Freshness::Newest).await, Err(StoreUnavailable));
    assert_eq!(store.ledger.highest_number().await, Err(LedgerError::Unavailable));
    drop(store);

    let store = EmbeddedStore::open(&folder).unwrap();
    for (key, version) in made {
        let there = store.records.get(&key, Freshness::Newest).await.unwrap().unwrap();
        assert!(there.version == version && there.value == [key[3]; 60_000], "{key:?} was acknowledged");
    }
    let resent = store.records.replace(&failed, None, &[failed[3]; 60_000]).await;
    assert_ne!(resent, Replaced::Unknown, "the identical write tells what became of it");
    assert_eq!(store.ledger.write(b"small", None, &row).await, Ok(()));
}
