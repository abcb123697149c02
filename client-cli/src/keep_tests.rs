#![expect(clippy::unwrap_used, reason = "a test")]

use clap::Parser as _;
use coffer_archive::{Archive, BackupOptions, Destination, OpenOptions, Progress};
use coffer_keys::BackupKey;

use super::*;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    rules: Rules,
}

fn rules(text: &str) -> Rules {
    Line::try_parse_from(["forget"].into_iter().chain(text.split(' '))).unwrap().rules
}

/// A snapshot of an empty folder, to be given other times.
fn sample() -> Snapshot {
    let folder = tempfile::tempdir().unwrap();
    let (place, key) = (Destination::memory().unwrap(), BackupKey::from_bytes([1; 32]));
    Archive::init(place.clone(), &key).unwrap();
    let options = BackupOptions {
        sources: vec![folder.path().to_owned()],
        host: "laptop".to_owned(),
        ..BackupOptions::default()
    };
    let mut archive = Archive::open(place, &key, OpenOptions::default()).unwrap();
    archive.backup(&options, &Progress::default()).unwrap().snapshot
}

/// Snapshots of these moments, in UTC.
fn made_at(times: &[&str]) -> Vec<Snapshot> {
    let sample = sample();
    let made = (1..).zip(times).map(|(number, time)| {
        let time: Timestamp = format!("{time}Z").parse().unwrap();
        let mut snapshot = sample.clone();
        snapshot.head.number = number;
        snapshot.started = Time { seconds: time.as_second(), nanoseconds: 0 };
        snapshot
    });
    made.collect()
}

fn now() -> Zoned {
    "2026-02-01T10:00[UTC]".parse().unwrap()
}

/// The numbers of those that are kept, the newest followed by none.
fn kept(rules: &Rules, snapshots: &[Snapshot]) -> Vec<u64> {
    let newest = snapshots.last().unwrap().head;
    let judged = rules.judge(snapshots, &[newest], &now());
    judged.iter().filter(|one| !one.reasons.is_empty()).map(|one| one.snapshot.head.number).collect()
}

#[test]
fn refuses_a_rule_that_keeps_nothing() {
    let options = ["last", "hourly", "daily", "weekly", "monthly", "yearly"];
    let counts = options.into_iter().flat_map(|option| ["0", "-1", ""].map(|count| format!("--keep-{option}={count}")));
    let durations = ["", "0d", "0y0h"].map(|duration| format!("--keep-within={duration}"));
    for rule in counts.chain(durations) {
        assert!(Line::try_parse_from(["forget", &rule]).is_err(), "{rule}");
    }
    assert!(serde_json::from_str::<Rules>(r#"{"daily": 0}"#).is_err());
    assert!(serde_json::from_str::<Rules>(r#"{"within": "0d"}"#).is_err());
    assert!(serde_json::from_str::<Rules>(r#"{"daily": 1, "within": "1d"}"#).is_ok());
}

#[test]
fn the_one_made_last_stays_beside_one_from_the_future() {
    let mut snapshots =
        made_at(&["2026-01-01T10:00", "2031-01-01T10:00", "2026-01-02T10:00", "2026-01-03T10:00", "2026-01-03T11:00"]);
    // Another device's, so that something follows the first one's newest.
    snapshots.last_mut().unwrap().host = "phone".to_owned();
    for rule in ["--keep-last 1", "--keep-daily 1"] {
        assert_eq!(kept(&rules(rule), &snapshots), [2, 4, 5], "{rule}");
    }
}

#[test]
fn keeps_the_last() {
    let snapshots = made_at(&["2026-01-01T10:00", "2026-01-02T10:00", "2026-01-03T10:00"]);
    assert_eq!(kept(&rules("--keep-last 2"), &snapshots), [2, 3]);
    assert_eq!(kept(&rules("--keep-last 9"), &snapshots), [1, 2, 3]);
}

#[test]
fn keeps_the_newest_of_each_day_week_month_and_year_that_has_one() {
    let snapshots = made_at(&[
        "2024-12-31T10:00", // 1
        "2025-06-01T10:00", // 2
        "2026-01-04T10:00", // 3: a Sunday
        "2026-01-05T10:00", // 4: a Monday
        "2026-01-05T18:00", // 5
        "2026-01-07T09:05", // 6
        "2026-01-07T09:50", // 7
    ]);
    assert_eq!(kept(&rules("--keep-hourly 2"), &snapshots), [5, 7]);
    assert_eq!(kept(&rules("--keep-daily 2"), &snapshots), [5, 7]);
    assert_eq!(kept(&rules("--keep-daily 3"), &snapshots), [3, 5, 7]);
    assert_eq!(kept(&rules("--keep-weekly 2"), &snapshots), [3, 7]);
    assert_eq!(kept(&rules("--keep-monthly 2"), &snapshots), [2, 7]);
    assert_eq!(kept(&rules("--keep-yearly 2"), &snapshots), [2, 7]);
    assert_eq!(kept(&rules("--keep-yearly 9"), &snapshots), [1, 2, 7]);
    assert_eq!(kept(&rules("--keep-daily 1 --keep-yearly 3"), &snapshots), [1, 2, 7]);
}

/// Until there are seven days, what a rule of seven days has kept is the oldest that there is.
#[test]
fn the_oldest_stands_for_what_is_not_there_yet() {
    let snapshots = made_at(&["2026-01-07T01:00", "2026-01-07T02:00", "2026-01-07T03:00"]);
    assert_eq!(kept(&rules("--keep-daily 7"), &snapshots), [1, 3]);
    assert_eq!(kept(&rules("--keep-daily 1"), &snapshots), [3]);
}

#[test]
fn keeps_all_of_a_last_while_seen_from_the_newest() {
    let snapshots = made_at(&["2020-01-01T00:00", "2020-02-28T23:00", "2020-03-01T00:00", "2020-03-30T00:00"]);
    assert_eq!(kept(&rules("--keep-within 30d"), &snapshots), [3, 4]);
    assert_eq!(kept(&rules("--keep-within 1m"), &snapshots), [3, 4]);
    assert_eq!(kept(&rules("--keep-within 1m1d1h"), &snapshots), [2, 3, 4]);
    assert_eq!(kept(&rules("--keep-within 1y"), &snapshots), [1, 2, 3, 4]);
}

#[test]
fn a_snapshot_from_the_future_makes_no_other_old() {
    let snapshots = made_at(&["2026-01-10T00:00", "2099-01-01T00:00", "2026-01-20T00:00", "2026-01-30T00:00"]);
    assert_eq!(kept(&rules("--keep-within 14d"), &snapshots), [2, 3, 4]);
}

#[test]
fn each_device_and_source_is_judged_by_itself() {
    let mut snapshots = made_at(&["2026-01-01T10:00", "2026-01-02T10:00", "2026-01-03T10:00", "2026-01-04T10:00"]);
    snapshots[0].host = "phone".to_owned();
    snapshots[1].sources = vec!["other".into()];
    assert_eq!(kept(&rules("--keep-last 1"), &snapshots), [1, 2, 4]);
}

#[test]
fn what_no_other_follows_stays() {
    let snapshots = made_at(&["2026-01-01T10:00", "2026-01-02T10:00", "2026-01-03T10:00"]);
    let judged = rules("--keep-last 1").judge(&snapshots, &[snapshots[0].head], &now());
    let reasons: Vec<_> = judged.iter().map(|one| one.reasons.as_slice()).collect();
    assert_eq!(reasons, [&["no other follows it"][..], &[], &["last"]]);
}

#[test]
fn a_time_in_no_calendar_is_kept() {
    let mut snapshots = made_at(&["2026-01-01T10:00", "2026-01-02T10:00"]);
    snapshots[0].started.seconds = i64::MAX;
    assert_eq!(kept(&rules("--keep-last 1"), &snapshots), [1, 2]);
}

#[test]
fn refuses_durations_that_are_none() {
    for wrong in ["", "5", "d", "1h2d", "1d1d", "-1d", "1w", "99999999999d", "1ü"] {
        assert!(parse_duration(wrong).is_err(), "{wrong}");
    }
    assert_eq!(parse_duration("2y5m7d3h").unwrap().fieldwise(), Span::new().years(2).months(5).days(7).hours(3));
}
