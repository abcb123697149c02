//! Times: in UTC for programs, in the local time zone for people.

use std::time::Duration;

use coffer_archive::Time;
use jiff::Timestamp;
use jiff::tz::TimeZone;

fn timestamp(time: Time) -> Option<Timestamp> {
    Timestamp::new(time.seconds, i32::try_from(time.nanoseconds).ok()?).ok()
}

/// RFC 3339 with the fraction that there is; empty for a year that no calendar has.
pub(super) fn rfc3339(time: Time) -> String {
    timestamp(time).map(|time| time.to_string()).unwrap_or_default()
}

/// To the second, in the local time zone.
pub(super) fn local(time: Time) -> String {
    match timestamp(time) {
        Some(time) => time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        None => "????-??-?? ??:??:??".to_owned(),
    }
}

/// A time of the vault's, in the local time zone.
pub(crate) fn local_time(time: coffer_vault_client::Time) -> String {
    local(Time { seconds: time.unix_seconds(), nanoseconds: 0 })
}

pub(super) fn is_past(time: coffer_vault_client::Time) -> bool {
    time.unix_seconds() <= Timestamp::now().as_second()
}

/// How many have to pass; one that has begun counts.
pub(super) const fn hours(duration: Duration) -> u64 {
    duration.as_secs().div_ceil(3600)
}

#[cfg(test)]
mod tests {
    use super::{Time, local, rfc3339};

    #[test]
    fn writes_utc_for_programs() {
        let time = Time { seconds: 1_782_000_000, nanoseconds: 500_000_000 };
        assert_eq!(rfc3339(time), "2026-06-21T00:00:00.5Z");
        assert_eq!(rfc3339(Time { seconds: -1, nanoseconds: 0 }), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn a_year_beyond_the_calendar_is_no_panic() {
        let time = Time { seconds: i64::MAX, nanoseconds: 0 };
        assert_eq!(rfc3339(time), "");
        assert!(local(time).starts_with('?'));
    }
}
