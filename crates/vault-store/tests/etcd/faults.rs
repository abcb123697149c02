//! Members that are dead, slow or behind.

use std::time::Duration;

use coffer_testkit::etcd::EtcdCluster;
use coffer_vault_core::{Freshness, RecordStore as _, Replaced, StoreUnavailable, Version};
use coffer_vault_store::EtcdCell;
use futures_util::future::join;
use tokio::time::{sleep, timeout};

use crate::sites::{ALL, cell, insist, newest, only_cell, open, site, write};

/// Longer than any one call may take: it asks for twice the configured time.
const LONG: Duration = Duration::from_secs(10);

#[tokio::test]
async fn service_resumes_after_the_leader_has_died_and_nothing_is_lost() {
    let mut cluster = EtcdCluster::start(3);
    only_cell(&cluster).await;
    let leader = cluster.leader();
    let records = site(&cluster, leader).await;
    let first = write(&records, b"key", None, b"one").await;
    cluster.kill(leader);
    let outcome = insist(&records, b"key", Some(first), b"two").await;
    assert!(matches!(outcome, Replaced::Applied(version) if version > first), "{outcome:?}");
    assert_eq!(newest(&records, b"key").await.unwrap(), b"two");
    cluster.restart(leader);
    cluster.wait_until_healthy(leader);
    assert_eq!(newest(&site(&cluster, leader).await, b"key").await.unwrap(), b"two");
}

#[tokio::test]
async fn the_next_member_is_asked_when_the_own_one_stands_still() {
    let cluster = EtcdCluster::start(3);
    let records = only_cell(&cluster).await;
    let version = write(&records, b"key", None, b"one").await;
    cluster.pause(0);
    for freshness in [Freshness::AtLeast(version), Freshness::Newest, Freshness::MayBeStale] {
        let there = timeout(LONG, records.get(b"key", freshness)).await.unwrap().unwrap();
        assert_eq!(there.unwrap().value, b"one", "{freshness:?}");
    }
    assert!(matches!(insist(&records, b"key", Some(version), b"two").await, Replaced::Applied(_)));
    let health = records.health().await.remove(0);
    assert!(health.serves && !health.own_member && health.has_leader, "{health:?}");
    cluster.resume(0);
    cluster.wait_until_healthy(0);
    sleep(Duration::from_millis(1100)).await;
    assert_eq!(newest(&records, b"key").await.unwrap(), b"two");
    assert!(records.health().await.remove(0).own_member);
}

#[tokio::test]
async fn without_a_majority_nothing_is_granted() {
    let mut cluster = EtcdCluster::start(3);
    let records = only_cell(&cluster).await;
    let version = write(&records, b"key", None, b"one").await;
    cluster.kill(1);
    cluster.kill(2);
    let newest_read = timeout(LONG, records.get(b"key", Freshness::Newest)).await.unwrap();
    assert_eq!(newest_read, Err(StoreUnavailable));
    assert_eq!(timeout(LONG, records.scan(b"", 1)).await.unwrap(), Err(StoreUnavailable));
    assert_eq!(timeout(LONG, records.replace(b"key", Some(version), b"two")).await.unwrap(), Replaced::Unknown);
    assert_eq!(timeout(LONG, records.delete(b"key", version)).await.unwrap(), Replaced::Unknown);
    let stale = timeout(LONG, records.get(b"key", Freshness::MayBeStale)).await.unwrap();
    assert_eq!(stale.unwrap().unwrap().value, b"one", "what is to be proposed may be read alone");
    let health = timeout(LONG, records.health()).await.unwrap().remove(0);
    assert!(!health.serves && health.own_member, "{health:?}");

    cluster.restart(1);
    cluster.wait_until_healthy(1);
    // The two unknown writes had one guard: one of them may have been made by now, and only one.
    match insist(&records, b"key", Some(version), b"two").await {
        Replaced::Applied(_) => assert_eq!(newest(&records, b"key").await.unwrap(), b"two"),
        outcome => assert_eq!(outcome, Replaced::Conflict(None)),
    }
}

#[tokio::test]
async fn a_read_that_has_to_see_a_write_waits_for_a_member_that_lags() {
    let cluster = EtcdCluster::start(3);
    only_cell(&cluster).await;
    let lagging = (cluster.leader() + 1) % 3;
    let writer = site(&cluster, cluster.leader()).await;
    let only_lagging = EtcdCell { members: vec![cluster.endpoint(lagging)], ..cell(1, 1, ALL, &cluster) };
    let reader = open(vec![only_lagging]).await;
    let mut version = write(&writer, b"key", None, &[0]).await;
    for round in 1..=5 {
        cluster.pause(lagging);
        version = write(&writer, b"key", Some(version), &[round]).await;
        let read = reader.get(b"key", Freshness::AtLeast(version));
        let resume = async {
            sleep(Duration::from_millis(100)).await;
            cluster.resume(lagging);
        };
        let (there, ()) = join(read, resume).await;
        assert_eq!(there.unwrap().unwrap().value, [round]);
    }
}

#[tokio::test]
async fn a_read_that_has_to_see_a_write_gives_up_on_a_member_that_does_not_reach_it() {
    let cluster = EtcdCluster::start(1);
    let records = only_cell(&cluster).await;
    let version = write(&records, b"key", None, b"one").await;
    let ahead = records.get(b"key", Freshness::AtLeast(Version(version.0 + 1)));
    assert_eq!(timeout(LONG, ahead).await.unwrap(), Err(StoreUnavailable));
    cluster.pause(0);
    let read = records.get(b"key", Freshness::AtLeast(version));
    assert_eq!(timeout(LONG, read).await.unwrap(), Err(StoreUnavailable));
}
