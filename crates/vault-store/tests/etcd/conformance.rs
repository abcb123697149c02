//! The suite that every store passes.

use coffer_testkit::conformance::check_records;
use coffer_testkit::etcd::EtcdCluster;
use coffer_vault_store::SLOTS;

use crate::sites::{cell, only_cell, open};

#[tokio::test]
async fn one_member_keeps_what_every_store_promises() {
    let cluster = EtcdCluster::start(1);
    check_records(&only_cell(&cluster).await).await;
}

#[tokio::test]
async fn three_members_keep_what_every_store_promises() {
    let cluster = EtcdCluster::start(3);
    check_records(&only_cell(&cluster).await).await;
}

#[tokio::test]
async fn two_cells_keep_what_every_store_promises() {
    let (one, other) = (EtcdCluster::start(1), EtcdCluster::start(1));
    let records = open(vec![cell(1, 1, 0..=1999, &one), cell(2, 7, 2000..=SLOTS - 1, &other)]).await;
    records.set_fence(1, None).await.unwrap();
    records.set_fence(2, None).await.unwrap();
    check_records(&records).await;
}
