//! The checks of a record store.

use coffer_vault_core::{Freshness, RecordStore, Replaced, Version, Versioned};
use futures_util::future::join_all;

use super::{MAX_VALUE_LEN, ROUNDS, TASKS, binary_key, number_of};

/// Runs every check.
///
/// # Panics
/// Where the store does not keep a promise.
pub async fn check_records(store: &impl RecordStore) {
    creates_once(store).await;
    updates_under_a_guard(store).await;
    a_version_never_comes_twice(store).await;
    reads_no_less_than_a_version(store).await;
    keeps_any_key_and_value(store).await;
    refuses_what_is_too_long(store).await;
    scans_in_pages_in_order(store).await;
    no_update_is_lost(store).await;
    one_of_many_creates(store).await;
}

async fn newest(store: &impl RecordStore, key: &[u8]) -> Option<Versioned> {
    store.get(key, Freshness::Newest).await.expect("the store works")
}

fn applied(replaced: Replaced) -> Version {
    match replaced {
        Replaced::Applied(version) => version,
        other => unreachable!("a write whose guard holds gave {other:?}"),
    }
}

fn versioned(value: &[u8], version: Version) -> Versioned {
    Versioned { value: value.to_vec(), version }
}

async fn creates_once(store: &impl RecordStore) {
    assert_eq!(newest(store, b"created").await, None, "the store is empty");
    let version = applied(store.replace(b"created", None, b"one").await);
    let one = Some(versioned(b"one", version));
    assert_eq!(newest(store, b"created").await, one, "a write that was applied is read");
    let again = store.replace(b"created", None, b"two").await;
    assert_eq!(again, Replaced::Conflict(one.clone()), "a second creation tells what is there");
    assert_eq!(newest(store, b"created").await, one, "a conflict changes nothing");
}

async fn updates_under_a_guard(store: &impl RecordStore) {
    let never = store.replace(b"updated", Some(Version(1)), b"zero").await;
    assert_eq!(never, Replaced::Conflict(None), "nothing is there to update");
    let none = store.replace(b"updated", Some(Version(0)), b"zero").await;
    assert_eq!(none, Replaced::Conflict(None), "no version stands for no value");
    let first = applied(store.replace(b"updated", None, b"one").await);
    let second = applied(store.replace(b"updated", Some(first), b"two").await);
    assert!(second > first, "versions rise");
    let two = Some(versioned(b"two", second));
    assert_eq!(store.replace(b"updated", Some(first), b"three").await, Replaced::Conflict(two.clone()), "stale guard");
    assert_eq!(store.delete(b"updated", first).await, Replaced::Conflict(two.clone()), "stale guard of a deletion");
    let ahead = Version(second.0 + 1);
    assert_eq!(store.replace(b"updated", Some(ahead), b"x").await, Replaced::Conflict(two.clone()), "guard ahead");
    assert_eq!(newest(store, b"updated").await, two, "a conflict changes nothing");
}

async fn a_version_never_comes_twice(store: &impl RecordStore) {
    let first = applied(store.replace(b"again", None, b"same").await);
    let deleted = applied(store.delete(b"again", first).await);
    assert!(deleted > first, "a deletion has a version of its own");
    assert_eq!(newest(store, b"again").await, None);
    assert_eq!(store.delete(b"again", first).await, Replaced::Conflict(None), "deleted twice");
    assert_eq!(store.replace(b"again", Some(deleted), b"x").await, Replaced::Conflict(None), "updated when deleted");
    let second = applied(store.replace(b"again", None, b"same").await);
    assert!(second > deleted, "versions rise across a deletion");
    let same = Some(versioned(b"same", second));
    assert_eq!(store.replace(b"again", Some(first), b"x").await, Replaced::Conflict(same), "a guard of a former life");
}

async fn reads_no_less_than_a_version(store: &impl RecordStore) {
    let read = async |version| store.get(b"at least", Freshness::AtLeast(version)).await.expect("the store works");
    let first = applied(store.replace(b"at least", None, b"one").await);
    assert_eq!(read(first).await, Some(versioned(b"one", first)), "what was written is read");
    let second = applied(store.replace(b"at least", Some(first), b"two").await);
    assert_eq!(read(second).await, Some(versioned(b"two", second)), "what was written is read");
    assert!(read(first).await.is_some_and(|there| there.version >= first), "nothing older is read");
    let stale = store.get(b"at least", Freshness::MayBeStale).await.expect("the store works");
    assert!([None, Some(first), Some(second)].contains(&stale.map(|there| there.version)), "it was there once");
    let deleted = applied(store.delete(b"at least", second).await);
    assert_eq!(read(deleted).await, None, "a deletion has a version to be waited for");
}

async fn keeps_any_key_and_value(store: &impl RecordStore) {
    let longest = vec![0xab; MAX_VALUE_LEN];
    for (key, value) in [(binary_key(), &b""[..]), (vec![0], &[0, 255, 0]), (b"longest".to_vec(), &longest)] {
        let version = applied(store.replace(&key, None, value).await);
        assert_eq!(newest(store, &key).await, Some(versioned(value, version)), "{key:?}");
    }
}

async fn refuses_what_is_too_long(store: &impl RecordStore) {
    let outcome = store.replace(b"too long", None, &vec![1; MAX_VALUE_LEN + 1]).await;
    assert_eq!(outcome, Replaced::Unknown);
    assert_eq!(newest(store, b"too long").await, None, "a value that is too long is not stored");
}

async fn scans_in_pages_in_order(store: &impl RecordStore) {
    // Written out of order; no key of the other checks begins with this byte.
    let keys: Vec<Vec<u8>> = (0..25).map(|number| vec![0xfe, number * 7 % 25]).collect();
    for key in &keys {
        applied(store.replace(key, None, key).await);
    }
    let (mut after, mut seen) = (vec![0xfe], Vec::new());
    loop {
        let page = store.scan(&after, 10).await.expect("the store works");
        let Some((last, _)) = page.last() else { break };
        assert!(page.len() <= 10, "a page holds no more than was asked for");
        after.clone_from(last);
        seen.extend(page);
    }
    assert!(seen.iter().all(|(key, entry)| entry.value == *key), "an entry comes with its own value");
    let seen: Vec<Vec<u8>> = seen.into_iter().map(|(key, _)| key).collect();
    let mut sorted = keys;
    sorted.sort();
    assert_eq!(seen, sorted, "every key comes once, in order");
    assert_eq!(store.scan(b"", 0).await.expect("the store works"), [], "a page of none is empty");
}

async fn no_update_is_lost(store: &impl RecordStore) {
    applied(store.replace(b"counter", None, &0_u64.to_be_bytes()).await);
    join_all((0..TASKS).map(|_| async {
        for _ in 0..ROUNDS {
            increment(store).await;
        }
    }))
    .await;
    let counter = newest(store, b"counter").await.expect("it was created");
    assert_eq!(number_of(&counter.value), TASKS * ROUNDS, "every increment counts once");
}

async fn increment(store: &impl RecordStore) {
    let mut current = newest(store, b"counter").await.expect("it was created");
    loop {
        let next = number_of(&current.value) + 1;
        match store.replace(b"counter", Some(current.version), &next.to_be_bytes()).await {
            Replaced::Applied(version) => {
                let seen = newest(store, b"counter").await.expect("it was created");
                assert!(seen.version >= version, "who has written reads it, or what came after");
                return;
            }
            Replaced::Conflict(there) => {
                let there = there.expect("nobody deletes it");
                assert!(there.version > current.version, "a conflict tells what is newer");
                current = there;
            }
            Replaced::Unknown => unreachable!("the store works"),
        }
    }
}

async fn one_of_many_creates(store: &impl RecordStore) {
    let creations = (0..TASKS).map(|task| async move { store.replace(b"race", None, &task.to_be_bytes()).await });
    let outcomes = join_all(creations).await;
    let there = newest(store, b"race").await.expect("one of them has won");
    let won: Vec<&Replaced> = outcomes.iter().filter(|outcome| matches!(outcome, Replaced::Applied(_))).collect();
    assert_eq!(won, [&Replaced::Applied(there.version)]);
    let lost = outcomes.iter().filter(|outcome| **outcome == Replaced::Conflict(Some(there.clone()))).count();
    assert_eq!(lost as u64, TASKS - 1, "the others learn who has won");
}
