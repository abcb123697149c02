//! Members killed and paused at random while three sites spend.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use coffer_testkit::etcd::EtcdCluster;
use coffer_vault_core::{Freshness, RecordStore as _, Replaced};
use coffer_vault_store::EtcdRecords;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::sleep;

use crate::sites::{only_cell, site};

const MEMBERS: usize = 3;
const TASKS: usize = 9;
const RECORDS: u64 = 6;
const DURATION: Duration = Duration::from_secs(6);
const PAUSE: Duration = Duration::from_millis(20);
const ID_LEN: usize = 8;

/// Each task adds ids that nobody else adds to records that all add to, as the vault adds attempts: propose from what may
/// be stale, send an unknown write again as it was, and believe a conflict that holds the id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_id_is_there_twice_and_none_that_was_acknowledged_is_missing() {
    let seed = SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos().into();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut cluster = EtcdCluster::start(MEMBERS);
    only_cell(&cluster).await;
    let (ids, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut tasks = Vec::new();
    for task in 0..TASKS {
        let records = site(&cluster, task % MEMBERS).await;
        tasks.push(tokio::spawn(spend(records, Arc::clone(&ids), Arc::clone(&stop))));
    }
    let (begin, mut faults) = (Instant::now(), 0);
    while begin.elapsed() < DURATION {
        let member = random.gen_range(0..MEMBERS);
        let time = Duration::from_millis(random.gen_range(100..1500));
        faults += 1;
        if random.gen_bool(0.5) {
            cluster.kill(member);
            sleep(time).await;
            cluster.restart(member);
        } else {
            cluster.pause(member);
            sleep(time).await;
            cluster.resume(member);
        }
        sleep(Duration::from_millis(random.gen_range(0..600))).await;
    }
    (0..MEMBERS).for_each(|member| cluster.wait_until_healthy(member));
    stop.store(true, Ordering::Release);
    let mut spent = Spent::default();
    for task in tasks {
        let of_task = task.await.unwrap();
        spent.acknowledged.extend(of_task.acknowledged);
        spent.unknown += of_task.unknown;
    }
    let there = read_all(&site(&cluster, 0).await).await;
    let (acknowledged, unknown) = (spent.acknowledged, spent.unknown);
    eprintln!(
        "{faults} faults, {} acknowledged, {} there, {unknown} unknown outcomes",
        acknowledged.len(),
        there.len()
    );
    assert!(acknowledged.len() > 100 && unknown > 0, "something has been tried");
    let twice: Vec<_> = there.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "seed {seed}: {twice:?}");
    let missing: Vec<_> = acknowledged.iter().filter(|id| !there.contains_key(id)).collect();
    assert!(missing.is_empty(), "seed {seed}: {missing:?}");
}

#[derive(Default)]
struct Spent {
    acknowledged: BTreeSet<u64>,
    unknown: u64,
}

async fn spend(records: EtcdRecords, ids: Arc<AtomicU64>, stop: Arc<AtomicBool>) -> Spent {
    let mut spent = Spent::default();
    while !stop.load(Ordering::Acquire) {
        let id = ids.fetch_add(1, Ordering::AcqRel);
        if add(&records, id, &stop, &mut spent.unknown).await {
            spent.acknowledged.insert(id);
        }
    }
    spent
}

/// Whether it is known that the id is there.
async fn add(records: &EtcdRecords, id: u64, stop: &AtomicBool, unknown: &mut u64) -> bool {
    let key = (id % RECORDS).to_be_bytes();
    let Ok(mut current) = records.get(&key, Freshness::MayBeStale).await else { return false };
    loop {
        let before = current.as_ref().map_or(&[][..], |there| &there.value);
        let value = [before, &id.to_be_bytes()].concat();
        let expected = current.as_ref().map(|there| there.version);
        current = loop {
            match records.replace(&key, expected, &value).await {
                Replaced::Applied(_) => return true,
                Replaced::Conflict(there) => break there,
                Replaced::Unknown if stop.load(Ordering::Acquire) => return false,
                Replaced::Unknown => {
                    *unknown += 1;
                    sleep(PAUSE).await;
                }
            }
        };
        if current.as_ref().is_some_and(|there| ids_of(&there.value).any(|there| there == id)) {
            return true;
        }
    }
}

fn ids_of(value: &[u8]) -> impl Iterator<Item = u64> {
    value.chunks_exact(ID_LEN).map(|id| u64::from_be_bytes(id.try_into().unwrap()))
}

/// How many times each id is there.
async fn read_all(records: &EtcdRecords) -> BTreeMap<u64, u64> {
    let mut there = BTreeMap::new();
    for record in 0..RECORDS {
        let value = records.get(&record.to_be_bytes(), Freshness::Newest).await.unwrap().unwrap().value;
        ids_of(&value).for_each(|id| *there.entry(id).or_default() += 1);
    }
    there
}
