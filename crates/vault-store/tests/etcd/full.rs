//! A database that has reached its quota.

use coffer_testkit::etcd::EtcdCluster;
use coffer_vault_core::{Freshness, RecordStore as _, Replaced, Version};

use crate::sites::{only_cell, write};

const QUOTA: u64 = 2 << 20;

#[tokio::test]
async fn a_full_cell_takes_no_write_and_is_still_read_and_serves_again_when_there_is_room() {
    let mut cluster = EtcdCluster::new(1).with_quota(QUOTA);
    cluster.run();
    let records = only_cell(&cluster).await;
    let mut written: Vec<(Vec<u8>, Version)> = Vec::new();
    let value = [7; 64 << 10];
    for number in 0_u64..1000 {
        let key = number.to_be_bytes().to_vec();
        match records.replace(&key, None, &value).await {
            Replaced::Applied(version) => written.push((key, version)),
            outcome => {
                assert_eq!(outcome, Replaced::Unknown);
                break;
            }
        }
    }
    assert!((10..1000).contains(&written.len()), "{}", written.len());
    assert_eq!(records.replace(b"more", None, &value).await, Replaced::Unknown);
    let (key, version) = written[0].clone();
    assert_eq!(records.replace(&key, Some(version), b"less").await, Replaced::Unknown);
    for freshness in [Freshness::Newest, Freshness::MayBeStale, Freshness::AtLeast(version)] {
        let there = records.get(&key, freshness).await.unwrap().unwrap();
        assert!(there.version == version && there.value == value, "{freshness:?}");
    }
    let health = records.health().await.remove(0);
    assert!(health.no_space && health.serves && !health.corrupt && health.file_bytes > QUOTA / 2, "{health:?}");

    // What is deleted only makes room once history is forgotten.
    for (key, version) in &written[1..] {
        assert!(matches!(records.delete(key, *version).await, Replaced::Applied(_)), "a deletion needs no room");
    }
    records.compact().await.unwrap();
    records.compact().await.unwrap();
    cluster.etcdctl_says(&["defrag"]);
    cluster.etcdctl_says(&["alarm", "disarm"]);
    write(&records, &key, Some(version), b"less").await;
    let after = records.health().await.remove(0);
    assert!(!after.no_space && after.file_bytes < health.file_bytes / 2, "{after:?}");
}

#[tokio::test]
async fn history_is_forgotten_up_to_the_last_compaction_but_one() {
    let cluster = EtcdCluster::start(1);
    let records = only_cell(&cluster).await;
    let first = write(&records, b"key", None, b"one").await;
    let second = write(&records, b"key", Some(first), b"two").await;
    records.compact().await.unwrap();
    let history = |version: Version| {
        let revision = format!("--rev={}", version.0);
        cluster.etcdctl().args(["get", "coffer/test/records/key", &revision]).output().unwrap().status.success()
    };
    assert!(history(first), "the first time it only looks how far it may go");
    let third = write(&records, b"key", Some(second), b"three").await;
    records.compact().await.unwrap();
    assert!(!history(first) && history(second) && history(third));
    records.compact().await.unwrap();
    records.compact().await.unwrap();
    assert!(!history(second) && history(third), "nothing new was written: what was done is done");
}
