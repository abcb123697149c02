//! SIGKILL, 25 times, in the midst of writing.

use std::collections::BTreeMap;
use std::env;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use coffer_vault_core::{Freshness, Ledger as _, LedgerRow, RecordStore as _, Replaced, Version};
use coffer_vault_store::EmbeddedStore;
use futures_util::future::join_all;

const KILLS: u64 = 25;
const WRITERS: u8 = 16;
const FOLDER: &str = "COFFER_TEST_KILL_FOLDER";
const SOCKET: &str = "COFFER_TEST_KILL_SOCKET";
const NAME: &str = "kill::no_acknowledged_write_is_lost_and_none_is_torn";

/// `writer`, then the count that its record or its row has reached.
const ACKNOWLEDGED_LEN: usize = 1 + 8;
/// What the ledger's entries are numbered from.
const LEDGER: u8 = 128;

#[tokio::test]
async fn no_acknowledged_write_is_lost_and_none_is_torn() {
    if let Some(folder) = env::var_os(FOLDER) {
        return write_for_ever(Path::new(&folder)).await;
    }
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("store");
    let listener = UnixListener::bind(place.path().join("acknowledged")).unwrap();
    let mut acknowledged: BTreeMap<u8, u64> = BTreeMap::new();
    for kill in 0..KILLS {
        let mut child = start(place.path(), &folder);
        let (mut stream, _) = listener.accept().unwrap();
        tokio::time::sleep(Duration::from_millis(kill * 13)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let mut told = Vec::new();
        stream.read_to_end(&mut told).unwrap();
        for told in told.chunks_exact(ACKNOWLEDGED_LEN) {
            acknowledged.insert(told[0], u64::from_be_bytes(told[1..].try_into().unwrap()));
        }
        check(&folder, &acknowledged).await;
    }
    let written: u64 = acknowledged.values().sum();
    eprintln!("{KILLS} kills, {written} acknowledged writes");
    assert!(acknowledged.len() == 2 * usize::from(WRITERS) && written > KILLS, "{acknowledged:?}");
}

fn start(place: &Path, folder: &Path) -> Child {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args([NAME, "--exact"]).env(FOLDER, folder).env(SOCKET, place.join("acknowledged"));
    child.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap()
}

async fn write_for_ever(folder: &Path) {
    let stream = Mutex::new(UnixStream::connect(env::var_os(SOCKET).unwrap()).unwrap());
    let store = EmbeddedStore::open(folder).unwrap();
    let acknowledge = |writer: u8, count: u64| {
        let told = [&[writer][..], &count.to_be_bytes()].concat();
        // Whoever listens is about to kill this process.
        stream.lock().unwrap().write_all(&told).unwrap();
    };
    join_all((0..WRITERS).map(|writer| {
        let (store, acknowledge) = (&store, &acknowledge);
        async move {
            let there = store.records.get(&[writer], Freshness::Newest).await.unwrap();
            let row = store.ledger.read(&[writer]).await.unwrap();
            let mut record = there.map_or((0, None), |there| (count_of(&there.value), Some(there.version)));
            let mut number = row.map(|row| row.number);
            loop {
                record = (record.0 + 1, Some(write_record(store, writer, record).await));
                acknowledge(writer, record.0);
                let next = number.unwrap_or(0) + 1;
                let row = LedgerRow { number: next, bytes: value(next) };
                store.ledger.write(&[writer], number, &row).await.unwrap();
                number = Some(next);
                acknowledge(LEDGER + writer, next);
            }
        }
    }))
    .await;
}

async fn write_record(store: &EmbeddedStore, writer: u8, (count, version): (u64, Option<Version>)) -> Version {
    match store.records.replace(&[writer], version, &value(count + 1)).await {
        Replaced::Applied(version) => version,
        other => unreachable!("nobody else writes it: {other:?}"),
    }
}

/// Some pages, all of one count.
fn value(count: u64) -> Vec<u8> {
    count.to_be_bytes().repeat(1500)
}

fn count_of(value: &[u8]) -> u64 {
    let count = u64::from_be_bytes(value[..8].try_into().unwrap());
    assert!(value == self::value(count), "torn");
    count
}

async fn check(folder: &Path, acknowledged: &BTreeMap<u8, u64>) {
    let store = EmbeddedStore::open(folder).unwrap();
    let mut highest = 0;
    for (&writer, &count) in acknowledged {
        let there = if writer < LEDGER {
            count_of(&store.records.get(&[writer], Freshness::Newest).await.unwrap().unwrap().value)
        } else {
            let row = store.ledger.read(&[writer - LEDGER]).await.unwrap().unwrap();
            assert_eq!(row.number, count_of(&row.bytes));
            highest = highest.max(row.number);
            row.number
        };
        assert!(there >= count, "{count} was acknowledged to {writer}, {there} is there");
    }
    assert!(store.ledger.highest_number().await.unwrap() >= highest);
}
