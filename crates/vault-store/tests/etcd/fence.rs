//! What the fence refuses, and how an operator sets it.

use coffer_testkit::etcd::EtcdCluster;
use coffer_vault_core::{Freshness, RecordStore as _, Replaced, StoreUnavailable};
use coffer_vault_store::{EtcdRecords, FenceError, SLOTS};

use crate::sites::{ALL, cell, key_in, newest, only_cell, open, write};

async fn assert_refused(records: &EtcdRecords, key: &[u8]) {
    for freshness in [Freshness::MayBeStale, Freshness::Newest, Freshness::AtLeast(coffer_vault_core::Version(1))] {
        assert_eq!(records.get(key, freshness).await, Err(StoreUnavailable), "{freshness:?}");
    }
    assert_eq!(records.scan(b"", 10).await, Err(StoreUnavailable));
    assert_eq!(records.replace(key, None, b"created").await, Replaced::Unknown);
    assert!(records.health().await.iter().all(|cell| !cell.serves));
}

#[tokio::test]
async fn a_cell_that_has_no_fence_is_refused() {
    let cluster = EtcdCluster::start(1);
    let records = open(vec![cell(1, 1, ALL, &cluster)]).await;
    assert_refused(&records, b"key").await;
    records.set_fence(1, None).await.unwrap();
    assert_eq!(newest(&records, b"key").await, None, "nothing was written before");
}

#[tokio::test]
async fn a_cell_that_was_taken_for_another_is_refused() {
    let cluster = EtcdCluster::start(1);
    only_cell(&cluster).await;
    assert_refused(&open(vec![cell(2, 1, ALL, &cluster)]).await, b"key").await;
}

#[tokio::test]
async fn a_slot_that_has_moved_is_refused_by_its_old_cell() {
    let (first, second) = (EtcdCluster::start(1), EtcdCluster::start(1));
    let (stays, moves) = (key_in(&(0..=1999)), key_in(&(2000..=SLOTS - 1)));
    let old_manifest = only_cell(&first).await;
    let version = write(&old_manifest, &moves, None, b"one").await;
    write(&old_manifest, &stays, None, b"one").await;

    let new_manifest = open(vec![cell(1, 2, 0..=1999, &first), cell(2, 2, 2000..=SLOTS - 1, &second)]).await;
    new_manifest.set_fence(1, Some(1)).await.unwrap();
    new_manifest.set_fence(2, None).await.unwrap();
    write(&new_manifest, &moves, None, b"moved").await;

    assert_eq!(old_manifest.replace(&moves, Some(version), b"two").await, Replaced::Unknown);
    assert_refused(&old_manifest, &moves).await;
    assert_refused(&old_manifest, &stays).await;
    assert_eq!(newest(&new_manifest, &moves).await.unwrap(), b"moved");
    assert_eq!(newest(&new_manifest, &stays).await.unwrap(), b"one");
    let mut values: Vec<_> = new_manifest.scan(b"", 10).await.unwrap().into_iter().map(|(_, it)| it.value).collect();
    values.sort();
    assert_eq!(values, [b"moved".to_vec(), b"one".to_vec()], "what the old cell still has is not seen");
}

#[tokio::test]
async fn a_cell_that_was_restored_from_a_snapshot_grants_nothing_to_the_old_manifest() {
    let place = tempfile::tempdir().unwrap();
    let snapshot = place.path().join("snapshot");
    let mut cluster = EtcdCluster::start(3);
    let before = only_cell(&cluster).await;
    let three_left = write(&before, b"guesses", None, b"three left").await;
    cluster.save_snapshot(&snapshot);
    write(&before, b"guesses", Some(three_left), b"two left").await;
    drop(before);

    cluster.restore(&snapshot);
    let new_manifest = open(vec![cell(1, 2, ALL, &cluster)]).await;
    assert_refused(&new_manifest, b"guesses").await;
    // As docs/operations.md has it.
    cluster.etcdctl_says(&["put", "coffer/test/fence", "1:2"]);

    let old_manifest = open(vec![cell(1, 1, ALL, &cluster)]).await;
    assert_eq!(old_manifest.replace(b"guesses", Some(three_left), b"two left").await, Replaced::Unknown);
    assert_refused(&old_manifest, b"guesses").await;
    assert_eq!(newest(&new_manifest, b"guesses").await.unwrap(), b"three left", "nothing was written in between");
}

#[tokio::test]
async fn a_cell_that_went_back_under_a_running_site_is_not_served_any_more() {
    let place = tempfile::tempdir().unwrap();
    let snapshot = place.path().join("snapshot");
    let mut cluster = EtcdCluster::start(1);
    let records = only_cell(&cluster).await;
    let three_left = write(&records, b"guesses", None, b"three left").await;
    cluster.save_snapshot(&snapshot);
    let mut version = three_left;
    for count in 0..5 {
        version = write(&records, b"guesses", Some(version), &[count]).await;
    }
    cluster.restore(&snapshot);
    // Nobody has changed the fence.
    assert_eq!(records.replace(b"guesses", Some(three_left), b"two left").await, Replaced::Unknown);
    for _ in 0..5 {
        assert_eq!(records.get(b"guesses", Freshness::Newest).await, Err(StoreUnavailable));
    }
    assert_refused(&records, b"guesses").await;
}

#[tokio::test]
async fn a_fence_that_would_not_rise_is_refused() {
    let cluster = EtcdCluster::start(1);
    let records = open(vec![cell(1, 5, ALL, &cluster)]).await;
    for from in [5, 6] {
        assert_eq!(records.set_fence(1, Some(from)).await, Err(FenceError::Backwards { from, to: 5 }));
    }
}

#[tokio::test]
async fn a_fence_that_is_not_what_was_said_is_left_alone() {
    let cluster = EtcdCluster::start(1);
    only_cell(&cluster).await;
    let records = open(vec![cell(1, 5, ALL, &cluster)]).await;
    let other = Err(FenceError::Other { found: Some("1:1".to_owned()) });
    assert_eq!(records.set_fence(1, None).await, other);
    assert_eq!(records.set_fence(1, Some(4)).await, other);
    assert_eq!(records.set_fence(9, Some(4)).await, Err(FenceError::NoSuchCell(9)));
    assert_eq!(records.set_fence(1, Some(1)).await, Ok(()));
    assert_eq!(records.set_fence(1, Some(1)).await, Ok(()), "said again, it is true");
    assert_refused(&only_reader(&cluster).await, b"key").await;
}

async fn only_reader(cluster: &EtcdCluster) -> EtcdRecords {
    open(vec![cell(1, 1, ALL, cluster)]).await
}
