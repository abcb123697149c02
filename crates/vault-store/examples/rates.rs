//! What a durable guarded write costs here: `cargo run --release -p coffer-vault-store --example rates [folder]`.
//!
//! Disks differ from minute to minute, so each slice of writing is set against the raw fdatasync rate around it.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement")]

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use coffer_vault_core::{Freshness, RecordStore as _, Replaced};
use coffer_vault_store::{EmbeddedRecords, EmbeddedStore};
use futures_util::future::join_all;

const SLICES: usize = 8;
const SLICE: Duration = Duration::from_millis(500);
const RECORDS: u64 = 20_000;
const VALUE: [u8; 1500] = [7; 1500];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let parent = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let place = tempfile::tempdir_in(parent).unwrap();
    let records = EmbeddedStore::open(&place.path().join("store")).unwrap().records;
    for batch in 0..RECORDS / 200 {
        join_all((0..200).map(|at| increment(&records, batch * 200 + at))).await;
    }
    for writers in [1, 16, 64] {
        let mut slices = Vec::new();
        for _ in 0..SLICES {
            let before = raw(place.path());
            let (writes, slowest_read) = slice(&records, writers).await;
            let rate = writes as f64 / SLICE.as_secs_f64();
            slices.push((rate, rate / f64::midpoint(before, raw(place.path())), slowest_read));
        }
        slices.sort_by(|one, other| one.1.total_cmp(&other.1));
        let (rate, ratio, slowest_read) = slices[SLICES / 2];
        println!("{writers:2} writers: {rate:.0} writes/s, {ratio:.2} times fdatasync; slowest read {slowest_read:?}");
    }
}

/// fdatasyncs a second, each after a write of one page to a file that does not grow.
fn raw(folder: &Path) -> f64 {
    let file = File::create(folder.join("raw")).unwrap();
    file.write_all_at(&[7; 1 << 20], 0).unwrap();
    file.sync_all().unwrap();
    let (begin, mut count) = (Instant::now(), 0);
    while begin.elapsed() < SLICE / 2 {
        file.write_all_at(&[7; 4096], count % 256 * 4096).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    count as f64 / begin.elapsed().as_secs_f64()
}

async fn slice(records: &EmbeddedRecords, writers: u64) -> (u64, Duration) {
    let begin = Instant::now();
    let tasks = (0..writers).map(|writer| async move {
        let (mut count, mut slowest_read) = (0, Duration::ZERO);
        while begin.elapsed() < SLICE {
            // Each writer has records of its own, scattered over the table.
            let record = (count * 7919 % (RECORDS / writers)) * writers + writer;
            slowest_read = slowest_read.max(increment(records, record).await);
            count += 1;
        }
        (count, slowest_read)
    });
    let outcomes = join_all(tasks).await;
    (outcomes.iter().map(|(count, _)| count).sum(), outcomes.iter().map(|(_, read)| *read).max().unwrap())
}

/// Reads and replaces a record. Gives the time of the read.
async fn increment(records: &EmbeddedRecords, record: u64) -> Duration {
    let key = record.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    let begin = Instant::now();
    let there = records.get(&key, Freshness::Newest).await.unwrap();
    let read = begin.elapsed();
    let replaced = records.replace(&key, there.map(|there| there.version), &VALUE).await;
    assert!(matches!(replaced, Replaced::Applied(_)), "nobody else writes it");
    read
}
