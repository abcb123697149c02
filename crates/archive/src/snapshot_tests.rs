#![expect(clippy::unwrap_used, reason = "a test")]

use proptest::prelude::*;

use super::*;
use crate::samples::{NAME, any_snapshot};

fn decoded(bytes: &[u8]) -> Result<Snapshot, CodecError> {
    Snapshot::decode(NAME, [9; 32], bytes)
}

proptest! {
    #[test]
    fn snapshots_survive(snapshot in any_snapshot()) {
        let decoded = Snapshot::decode(snapshot.name, snapshot.hash, &snapshot.encode()).unwrap();
        // Paths count as equal when they lead to the same place; here their bytes must be.
        prop_assert_eq!(decoded.encode(), snapshot.encode());
        prop_assert_eq!(decoded, snapshot);
    }

    #[test]
    fn a_changed_snapshot_is_refused_or_another_in_its_one_form(
        snapshot in any_snapshot(), at: prop::sample::Index, byte: u8,
    ) {
        let mut bytes = snapshot.encode();
        *at.get_mut(&mut bytes) = byte;
        if let Ok(changed) = decoded(&bytes) {
            prop_assert_eq!(changed.encode(), bytes);
        }
    }

    #[test]
    fn refuses_any_truncation(snapshot in any_snapshot()) {
        let bytes = snapshot.encode();
        // Without the hashes at its end, one that was sealed anew looks like one that was not.
        let whole: Vec<_> = (0..=snapshot.earlier.len()).map(|hashes| bytes.len() - 32 * hashes).collect();
        for len in (0..bytes.len()).filter(|len| !whole.contains(len)) {
            prop_assert_eq!(decoded(&bytes[..len]).unwrap_err(), CodecError::Truncated);
        }
    }
}

fn snapshot(number: u64, previous: Option<u64>) -> Snapshot {
    Snapshot {
        name: NAME,
        head: Head { number, hash: [9; 32] },
        previous: previous.map(|number| Head { number, hash: [8; 32] }).into_iter().collect(),
        host: "laptop".to_owned(),
        started: Time::default(),
        finished: Time::default(),
        base: "/home/ann".into(),
        sources: vec!["chats".into()],
        totals: Totals::default(),
        problems: 0,
        root: Content::default(),
        hash: [9; 32],
        earlier: Vec::new(),
    }
}

#[test]
fn refuses_sequence_numbers_that_do_not_rise() {
    assert!(decoded(&snapshot(2, Some(1)).encode()).is_ok());
    // Others may have made snapshots meanwhile.
    assert!(decoded(&snapshot(9, Some(1)).encode()).is_ok());
    for (number, previous) in [(0, None), (1, Some(1)), (1, Some(2)), (0, Some(u64::MAX))] {
        let refused = decoded(&snapshot(number, previous).encode()).unwrap_err();
        assert_eq!(refused, CodecError::Invalid("the sequence numbers do not rise"), "{number} after {previous:?}");
    }
}

#[test]
fn refuses_predecessors_that_are_not_in_order() {
    let mut twice = snapshot(9, Some(3));
    twice.previous.push(twice.previous[0]);
    assert_eq!(decoded(&twice.encode()).unwrap_err(), CodecError::Invalid("the sequence numbers do not rise"));
    let mut falling = snapshot(9, Some(3));
    falling.previous.push(Head { number: 2, hash: [9; 32] });
    assert_eq!(decoded(&falling.encode()).unwrap_err(), CodecError::Invalid("the sequence numbers do not rise"));
}

#[test]
fn refuses_a_device_name_that_is_not_utf8() {
    let mut bytes = snapshot(1, None).encode();
    bytes[3] = 0xff;
    assert_eq!(decoded(&bytes).unwrap_err(), CodecError::Invalid("a text is not UTF-8"));
}

#[test]
fn refuses_bytes_after_the_end() {
    // Hashes that one has which was sealed anew may follow, whole, and nothing else.
    for more in [1, 31, 33, 63] {
        let bytes = [snapshot(1, None).encode(), vec![0; more]].concat();
        assert_eq!(decoded(&bytes).unwrap_err(), CodecError::Truncated);
    }
}

#[test]
fn refuses_more_sources_than_the_rest_can_hold() {
    let mut bytes = snapshot(1, None).encode();
    let at = bytes.windows(6).position(|window| window == b"\x05chats").unwrap() - 1;
    assert_eq!(bytes[at], 1);
    bytes.splice(at..=at, [0xff, 0xff, 0xff, 0xff, 0x7f]);
    assert_eq!(decoded(&bytes).unwrap_err(), CodecError::Truncated);
}
