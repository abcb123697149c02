//! The checks of a ledger.

use coffer_vault_core::{Ledger, LedgerError, LedgerRow};
use futures_util::future::join_all;

use super::{MAX_VALUE_LEN, ROUNDS, TASKS, binary_key, number_of};

/// Runs every check.
///
/// # Panics
/// Where the ledger does not keep a promise.
pub async fn check_ledger(ledger: &impl Ledger) {
    assert_eq!(ledger.highest_number().await, Ok(0), "an empty ledger has no number");
    a_row_is_guarded_by_its_number(ledger).await;
    keeps_any_key_and_row(ledger).await;
    refuses_what_is_too_long(ledger).await;
    what_is_forgotten_is_guarded_too_and_its_number_is_not(ledger).await;
    rows_come_in_pages_in_order(ledger).await;
    no_write_is_lost(ledger).await;
}

fn row(number: u64, bytes: &[u8]) -> LedgerRow {
    LedgerRow { number, bytes: bytes.to_vec() }
}

async fn next(ledger: &impl Ledger) -> u64 {
    ledger.highest_number().await.expect("the ledger works") + 1
}

async fn a_row_is_guarded_by_its_number(ledger: &impl Ledger) {
    assert_eq!(ledger.read(b"guarded").await, Ok(None));
    assert_eq!(ledger.write(b"guarded", Some(1), &row(2, b"x")).await, Err(LedgerError::Conflict), "nothing is there");
    assert_eq!(ledger.highest_number().await, Ok(0), "a conflict raises no number");
    assert_eq!(ledger.write(b"guarded", None, &row(5, b"one")).await, Ok(()));
    assert_eq!(ledger.write(b"guarded", None, &row(6, b"x")).await, Err(LedgerError::Conflict), "created twice");
    assert_eq!(ledger.write(b"guarded", Some(4), &row(6, b"x")).await, Err(LedgerError::Conflict), "another number");
    assert_eq!(ledger.read(b"guarded").await, Ok(Some(row(5, b"one"))), "a conflict changes nothing");
    assert_eq!(ledger.write(b"guarded", Some(5), &row(9, b"two")).await, Ok(()));
    assert_eq!(ledger.write(b"guarded", Some(5), &row(10, b"x")).await, Err(LedgerError::Conflict), "stale number");
    assert_eq!(ledger.read(b"guarded").await, Ok(Some(row(9, b"two"))));
    assert_eq!(ledger.highest_number().await, Ok(9), "the highest number is that of a row that was written");
}

async fn keeps_any_key_and_row(ledger: &impl Ledger) {
    let longest = vec![0xab; MAX_VALUE_LEN];
    for (key, bytes) in [(binary_key(), &b""[..]), (vec![0], &[0, 255, 0]), (b"longest".to_vec(), &longest)] {
        let row = row(next(ledger).await, bytes);
        assert_eq!(ledger.write(&key, None, &row).await, Ok(()), "{key:?}");
        assert_eq!(ledger.read(&key).await, Ok(Some(row)), "{key:?}");
    }
}

async fn refuses_what_is_too_long(ledger: &impl Ledger) {
    let row = row(next(ledger).await, &vec![1; MAX_VALUE_LEN + 1]);
    assert_eq!(ledger.write(b"too long", None, &row).await, Err(LedgerError::Unavailable));
    assert_eq!(ledger.read(b"too long").await, Ok(None), "a row that is too long is not stored");
}

async fn what_is_forgotten_is_guarded_too_and_its_number_is_not(ledger: &impl Ledger) {
    let number = next(ledger).await;
    assert_eq!(ledger.forget(b"forgotten", number).await, Err(LedgerError::Conflict), "nothing is there");
    assert_eq!(ledger.write(b"forgotten", None, &row(number, b"x")).await, Ok(()));
    assert_eq!(ledger.forget(b"forgotten", number - 1).await, Err(LedgerError::Conflict), "another number");
    assert_eq!(ledger.forget(b"forgotten", number).await, Ok(()));
    assert_eq!(ledger.read(b"forgotten").await, Ok(None));
    assert_eq!(ledger.highest_number().await, Ok(number), "it was written all the same");
    assert_eq!(ledger.write(b"forgotten", Some(number), &row(number + 1, b"x")).await, Err(LedgerError::Conflict));
}

async fn rows_come_in_pages_in_order(ledger: &impl Ledger) {
    // Written out of order; no key of the other checks begins with this byte.
    let keys: Vec<Vec<u8>> = (0..25).map(|number| vec![0xfe, number * 7 % 25]).collect();
    for key in &keys {
        let row = row(next(ledger).await, key);
        assert_eq!(ledger.write(key, None, &row).await, Ok(()));
    }
    let (mut after, mut seen) = (vec![0xfe], Vec::new());
    loop {
        let page = ledger.rows(&after, 10).await.expect("the ledger works");
        let Some((last, _)) = page.last() else { break };
        assert!(page.len() <= 10, "a page holds no more than was asked for");
        after.clone_from(last);
        seen.extend(page);
    }
    assert!(seen.iter().all(|(key, row)| row.bytes == *key), "a key comes with its own row");
    let seen: Vec<Vec<u8>> = seen.into_iter().map(|(key, _)| key).collect();
    let mut sorted = keys;
    sorted.sort();
    assert_eq!(seen, sorted, "every key comes once, in order");
}

async fn no_write_is_lost(ledger: &impl Ledger) {
    assert_eq!(ledger.write(b"counter", None, &row(next(ledger).await, &0_u64.to_be_bytes())).await, Ok(()));
    join_all((0..TASKS).map(|_| async {
        for _ in 0..ROUNDS {
            increment(ledger).await;
        }
    }))
    .await;
    let counter = ledger.read(b"counter").await.expect("the ledger works").expect("it was created");
    assert_eq!(number_of(&counter.bytes), TASKS * ROUNDS, "every increment counts once");
    assert_eq!(ledger.highest_number().await, Ok(counter.number));
}

async fn increment(ledger: &impl Ledger) {
    loop {
        let current = ledger.read(b"counter").await.expect("the ledger works").expect("it was created");
        let count = number_of(&current.bytes) + 1;
        match ledger.write(b"counter", Some(current.number), &row(current.number + 1, &count.to_be_bytes())).await {
            Ok(()) => return,
            Err(error) => assert_eq!(error, LedgerError::Conflict, "the ledger works"),
        }
    }
}
