#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use super::{FIRST_WAIT, LONGEST_WAIT, waits};
use crate::destination::Destination;
use crate::error::{DestinationErrorKind, Error};

#[test]
fn an_object_that_is_there_with_the_same_bytes_is_written() {
    let place = Destination::memory().unwrap();
    place.write("index/a", vec![1, 2, 3]).unwrap();
    place.write("index/a", vec![1, 2, 3]).unwrap();
    assert_eq!(place.list("index/").unwrap(), ["index/a"]);
}

#[test]
fn refuses_to_overwrite_other_bytes() {
    let place = Destination::memory().unwrap();
    place.write("index/a", vec![1, 2, 3]).unwrap();
    for other in [vec![1, 2, 4], vec![1, 2], vec![]] {
        let refused = place.write("index/a", other);
        assert!(matches!(refused, Err(Error::Destination { kind: DestinationErrorKind::Exists, .. })), "{refused:?}");
    }
    assert_eq!(place.read("index/a", 10).unwrap(), [1, 2, 3]);
}

#[test]
fn waits_longer_each_time_and_not_for_ever() {
    let waited: Vec<_> = waits(12).collect();
    assert_eq!(waited.len(), 12);
    for (number, wait) in waited.iter().enumerate() {
        let least = (FIRST_WAIT * 2_u32.pow(number as u32)).min(LONGEST_WAIT);
        assert!(*wait >= least && *wait <= least * 3 / 2, "{number}: {wait:?}");
    }
    assert!(waits(9).sum::<Duration>() < Duration::from_secs(130));
}

#[test]
fn a_missing_object_is_no_failure_of_the_service() {
    let place = Destination::memory().unwrap();
    assert!(!place.exists("index/a").unwrap());
    assert_eq!(place.list("index/").unwrap(), Vec::<String>::new());
    assert!(matches!(place.len("index/a"), Err(Error::Destination { kind: DestinationErrorKind::NotFound, .. })));
    place.delete("index/a").unwrap();
}
