//! How a site sees a cluster.

use std::ops::RangeInclusive;

use coffer_testkit::etcd::EtcdCluster;
use coffer_vault_core::{Freshness, RecordStore as _, Replaced, Version};
use coffer_vault_store::{EtcdCell, EtcdConfig, EtcdRecords, SLOTS, slot_of};

pub(crate) const PREFIX: &str = "coffer/test/";
pub(crate) const ALL: RangeInclusive<u16> = 0..=SLOTS - 1;

pub(crate) fn cell(cell: u16, fence: u64, slots: RangeInclusive<u16>, cluster: &EtcdCluster) -> EtcdCell {
    EtcdCell { cell, fence, slots: vec![slots], members: cluster.endpoints() }
}

pub(crate) fn config(cells: Vec<EtcdCell>) -> EtcdConfig {
    EtcdConfig { cells, prefix: PREFIX.to_owned(), tls: None, user: None, timeout: EtcdConfig::TIMEOUT }
}

pub(crate) async fn open(cells: Vec<EtcdCell>) -> EtcdRecords {
    EtcdRecords::open(config(cells)).await.unwrap()
}

/// A fleet of one cell, which is new.
pub(crate) async fn only_cell(cluster: &EtcdCluster) -> EtcdRecords {
    let records = open(vec![cell(1, 1, ALL, cluster)]).await;
    records.set_fence(1, None).await.unwrap();
    records
}

/// The site of a member. The others come after it.
pub(crate) async fn site(cluster: &EtcdCluster, member: usize) -> EtcdRecords {
    let mut members = cluster.endpoints();
    members.rotate_left(member);
    open(vec![EtcdCell { members, ..cell(1, 1, ALL, cluster) }]).await
}

/// Writes what has to succeed.
pub(crate) async fn write(records: &EtcdRecords, key: &[u8], expected: Option<Version>, value: &[u8]) -> Version {
    match records.replace(key, expected, value).await {
        Replaced::Applied(version) => version,
        other => unreachable!("{other:?}"),
    }
}

/// Sends the identical write again until it is known what has become of it. Gives the version that it got, or what
/// stands there instead.
pub(crate) async fn insist(records: &EtcdRecords, key: &[u8], expected: Option<Version>, value: &[u8]) -> Replaced {
    for _ in 0..100 {
        match records.replace(key, expected, value).await {
            Replaced::Unknown => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            Replaced::Conflict(Some(there)) if there.value == value => return Replaced::Applied(there.version),
            known => return known,
        }
    }
    Replaced::Unknown
}

pub(crate) async fn newest(records: &EtcdRecords, key: &[u8]) -> Option<Vec<u8>> {
    records.get(key, Freshness::Newest).await.unwrap().map(|there| there.value)
}

/// A key whose slot is one of these.
pub(crate) fn key_in(slots: &RangeInclusive<u16>) -> Vec<u8> {
    (0_u32..).map(|number| number.to_be_bytes().to_vec()).find(|key| slots.contains(&slot_of(key))).unwrap()
}
