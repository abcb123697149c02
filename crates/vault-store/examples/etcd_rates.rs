//! What a spend costs in etcd here: `cargo run -p coffer-vault-store --example etcd_rates [folder]`.
//!
//! A spend is a read that may be stale and one guarded transaction. Clients and all members share this machine.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use coffer_testkit::etcd::EtcdCluster;
use coffer_vault_core::{Freshness, RecordStore as _, Replaced};
use coffer_vault_store::{EtcdCell, EtcdConfig, EtcdRecords, SLOTS};
use futures_util::future::join_all;

const SLICES: usize = 5;
const SLICE: Duration = Duration::from_secs(2);
const RECORDS: u64 = 6400;
const VALUE: [u8; 1500] = [7; 1500];

#[tokio::main]
async fn main() {
    let place = std::env::args_os().nth(1).map(PathBuf::from);
    for members in [1, 5] {
        let mut cluster = EtcdCluster::new(members);
        if let Some(place) = &place {
            cluster = cluster.in_folder(place);
        }
        cluster.run();
        let cell = EtcdCell { cell: 1, fence: 1, slots: vec![0..=SLOTS - 1], members: cluster.endpoints() };
        let prefix = "coffer/rates/".to_owned();
        let config = EtcdConfig { cells: vec![cell], prefix, tls: None, user: None, timeout: EtcdConfig::TIMEOUT };
        let records = EtcdRecords::open(config).await.unwrap();
        records.set_fence(1, None).await.unwrap();
        for clients in [1, 16, 64] {
            let mut slices = Vec::new();
            for _ in 0..SLICES {
                slices.push(slice(&records, clients).await);
            }
            slices.sort_by(|one, other| one.0.total_cmp(&other.0));
            let (rate, half, most) = slices[SLICES / 2];
            println!("{members} members, {clients:2} clients: {rate:.0} spends/s, p50 {half:.1?}, p99 {most:.1?}");
        }
    }
}

/// Spends a second, and the time that half of them and 99 of 100 take at most.
async fn slice(records: &EtcdRecords, clients: u64) -> (f64, Duration, Duration) {
    let begin = Instant::now();
    let tasks = (0..clients).map(|client| {
        let records = records.clone();
        tokio::spawn(async move {
            let mut times = Vec::new();
            while begin.elapsed() < SLICE {
                // Each client has records of its own.
                let record = times.len() as u64 % (RECORDS / clients) * clients + client;
                let start = Instant::now();
                spend(&records, record).await;
                times.push(start.elapsed());
            }
            times
        })
    });
    let times = join_all(tasks).await.into_iter().flat_map(Result::unwrap);
    let mut times: Vec<_> = times.collect();
    times.sort();
    (times.len() as f64 / begin.elapsed().as_secs_f64(), times[times.len() / 2], times[times.len() * 99 / 100])
}

async fn spend(records: &EtcdRecords, record: u64) {
    let key = record.to_be_bytes();
    let there = records.get(&key, Freshness::MayBeStale).await.unwrap();
    let replaced = records.replace(&key, there.map(|there| there.version), &VALUE).await;
    assert!(matches!(replaced, Replaced::Applied(_)), "nobody else writes it: {replaced:?}");
}
