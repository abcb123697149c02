//! Several clusters, each with its slots.

use coffer_testkit::etcd::EtcdCluster;
use coffer_vault_core::{Freshness, RecordStore as _, Replaced, StoreUnavailable, Version};
use coffer_vault_store::SLOTS;

use crate::sites::{PREFIX, cell, key_in, only_cell, open, write};

#[tokio::test]
async fn a_record_lies_in_the_cell_of_its_slot() {
    let (one, other) = (EtcdCluster::start(1), EtcdCluster::start(1));
    let records = open(vec![cell(1, 1, 0..=1999, &one), cell(2, 1, 2000..=SLOTS - 1, &other)]).await;
    records.set_fence(1, None).await.unwrap();
    records.set_fence(2, None).await.unwrap();
    for (number, slots) in [(1, 0..=1999), (2, 2000..=SLOTS - 1), (3, 0..=0), (4, SLOTS - 1..=SLOTS - 1)] {
        write(&records, &key_in(&slots), None, format!("value {number}").as_bytes()).await;
    }
    let held = |cluster: &EtcdCluster| cluster.etcdctl_says(&["get", "--prefix", PREFIX, "--print-value-only"]);
    let (in_one, in_other) = (held(&one), held(&other));
    for (number, holds, holds_not) in [(1, &in_one, &in_other), (2, &in_other, &in_one), (3, &in_one, &in_other)] {
        assert!(holds.contains(&format!("value {number}")), "{number}: {holds}");
        assert!(!holds_not.contains(&format!("value {number}")), "{number}: {holds_not}");
    }
    assert!(in_other.contains("value 4") && !in_one.contains("value 4"));
}

#[tokio::test]
async fn a_scan_sees_every_cell_in_pages_of_any_length() {
    let (one, other) = (EtcdCluster::start(1), EtcdCluster::start(1));
    // Of cell 1's records most are alike in their beginning: its pages end before those of cell 2.
    let records = open(vec![cell(1, 1, 0..=2999, &one), cell(2, 1, 3000..=SLOTS - 1, &other)]).await;
    records.set_fence(1, None).await.unwrap();
    records.set_fence(2, None).await.unwrap();
    let keys: Vec<Vec<u8>> = (0..600_u16).map(|number| number.to_be_bytes().to_vec()).collect();
    for key in &keys {
        write(&records, key, None, key).await;
    }
    for limit in [1, 7, 299, 600, 10_000] {
        let (mut after, mut seen) = (Vec::new(), Vec::new());
        loop {
            let page = records.scan(&after, limit).await.unwrap();
            assert!(page.len() <= limit);
            let Some((last, _)) = page.last() else { break };
            after.clone_from(last);
            seen.extend(page.into_iter().map(|(key, _)| key));
        }
        assert_eq!(seen, keys, "pages of {limit}");
    }
}

#[tokio::test]
async fn a_record_whose_slot_no_cell_holds_is_not_served() {
    let cluster = EtcdCluster::start(1);
    let records = open(vec![cell(1, 1, 0..=99, &cluster)]).await;
    records.set_fence(1, None).await.unwrap();
    let key = key_in(&(100..=SLOTS - 1));
    assert_eq!(records.get(&key, Freshness::Newest).await, Err(StoreUnavailable));
    assert_eq!(records.replace(&key, None, b"x").await, Replaced::Unknown);
    assert_eq!(records.delete(&key, Version(1)).await, Replaced::Unknown);
}

#[tokio::test]
async fn a_key_that_is_too_long_is_not_stored() {
    let cluster = EtcdCluster::start(1);
    let records = only_cell(&cluster).await;
    write(&records, &[7; 1 << 10], None, b"longest").await;
    for key in [vec![7; (1 << 10) + 1], vec![7; 70_000]] {
        assert_eq!(records.replace(&key, None, b"x").await, Replaced::Unknown);
        assert_eq!(records.get(&key, Freshness::Newest).await, Err(StoreUnavailable));
    }
    assert_eq!(records.scan(b"", 10).await.unwrap().len(), 1);
}
