//! Which snapshots are kept: so many of the newest, one for each of so many hours, days, weeks, months and years, and all
//! of a last while. As restic has it, so that a rule that was right there is right here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use coffer_archive::{Head, Snapshot, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};

/// What to keep of the snapshots of each device and source
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "What to keep, of each device and its sources")]
pub(crate) struct Rules {
    /// The newest N
    #[arg(long = "keep-last", value_name = "N")]
    last: Option<u32>,

    /// The newest of each of the last N hours in which there is one
    #[arg(long = "keep-hourly", value_name = "N")]
    hourly: Option<u32>,

    /// … of the last N days
    #[arg(long = "keep-daily", value_name = "N")]
    daily: Option<u32>,

    /// … of the last N weeks, which begin on Monday
    #[arg(long = "keep-weekly", value_name = "N")]
    weekly: Option<u32>,

    /// … of the last N months
    #[arg(long = "keep-monthly", value_name = "N")]
    monthly: Option<u32>,

    /// … of the last N years
    #[arg(long = "keep-yearly", value_name = "N")]
    yearly: Option<u32>,

    /// All that are not older than this, seen from the newest: 2y5m7d3h is two years, five months, seven days and three
    /// hours
    #[arg(long = "keep-within", value_name = "DURATION", value_parser = parse_duration)]
    within: Option<Span>,
}

/// A snapshot, and the rules that keep it: none if it is to be forgotten.
#[derive(Debug)]
pub(crate) struct Judged<'s> {
    pub(crate) snapshot: &'s Snapshot,
    pub(crate) reasons: Vec<&'static str>,
}

/// A rule by calendar, as far as it is used up.
struct Bucket {
    reason: &'static str,
    left: u32,
    last: Option<[i32; 4]>,
    of: fn(&Zoned, i32) -> [i32; 4],
}

impl Rules {
    /// Whether there is any.
    pub(crate) const fn is_any(&self) -> bool {
        self.last.is_some()
            || self.hourly.is_some()
            || self.daily.is_some()
            || self.weekly.is_some()
            || self.monthly.is_some()
            || self.yearly.is_some()
            || self.within.is_some()
    }

    fn buckets(&self) -> Vec<Bucket> {
        let rule = |reason, count: Option<u32>, of| count.map(|left| Bucket { reason, left, last: None, of });
        let rules = [
            rule("last", self.last, |_, number| [number; 4]),
            rule("hourly", self.hourly, |time, _| {
                let [year, month, day, _] = day_of(time);
                [year, month, day, time.hour().into()]
            }),
            rule("daily", self.daily, |time, _| day_of(time)),
            rule("weekly", self.weekly, |time, _| {
                let week = time.date().iso_week_date();
                [week.year().into(), week.week().into(), 0, 0]
            }),
            rule("monthly", self.monthly, |time, _| [time.year().into(), time.month().into(), 0, 0]),
            rule("yearly", self.yearly, |time, _| [time.year().into(), 0, 0, 0]),
        ];
        rules.into_iter().flatten().collect()
    }

    /// Judges all snapshots, oldest first. One that no other follows is kept whatever the rules say.
    pub(crate) fn judge<'s>(&self, snapshots: &'s [Snapshot], tips: &[Head], now: &Zoned) -> Vec<Judged<'s>> {
        let mut groups: BTreeMap<(&str, &PathBuf, &[PathBuf]), Vec<&Snapshot>> = BTreeMap::new();
        for snapshot in snapshots {
            groups.entry((&snapshot.host, &snapshot.base, &snapshot.sources)).or_default().push(snapshot);
        }
        let mut judged: Vec<_> = groups.into_values().flat_map(|group| self.judge_group(group, now)).collect();
        for one in judged.iter_mut().filter(|one| tips.contains(&one.snapshot.head)) {
            if one.reasons.is_empty() {
                one.reasons.push("no other follows it");
            }
        }
        judged.sort_by_key(|one| one.snapshot.head);
        judged
    }

    fn judge_group<'s>(&self, mut group: Vec<&'s Snapshot>, now: &Zoned) -> Vec<Judged<'s>> {
        let zone = now.time_zone();
        group.sort_by_key(|snapshot| std::cmp::Reverse((snapshot.started, snapshot.head)));
        let mut buckets = self.buckets();
        let newest = group.first().and_then(|newest| zoned(newest.started, zone));
        // One that a clock set wrong has put into the future makes no other old.
        let newest = newest.map(|newest| newest.min(now.clone()));
        let since = newest.and_then(|newest| newest.checked_sub(self.within?).ok());
        let oldest = group.len().saturating_sub(1);
        let judge = |(number, snapshot): (usize, &'s Snapshot)| {
            let mut reasons = Vec::new();
            let Some(time) = zoned(snapshot.started, zone) else {
                return Judged { snapshot, reasons: vec!["its time is in no calendar"] };
            };
            if since.as_ref().is_some_and(|since| time > *since) {
                reasons.push("within");
            }
            for bucket in buckets.iter_mut().filter(|bucket| bucket.left > 0) {
                let value = (bucket.of)(&time, i32::try_from(number).unwrap_or(i32::MAX));
                // The oldest stands for what a rule would have kept from before.
                if bucket.last.replace(value) != Some(value) || number == oldest {
                    bucket.left -= 1;
                    reasons.push(bucket.reason);
                }
            }
            Judged { snapshot, reasons }
        };
        group.into_iter().enumerate().map(judge).collect()
    }
}

fn day_of(time: &Zoned) -> [i32; 4] {
    [time.year().into(), time.month().into(), time.day().into(), 0]
}

fn zoned(time: Time, zone: &TimeZone) -> Option<Zoned> {
    let time = Timestamp::new(time.seconds, i32::try_from(time.nanoseconds).ok()?).ok()?;
    Some(time.to_zoned(zone.clone()))
}

fn parse_duration(text: &str) -> Result<Span, &'static str> {
    const WRONG: &str = "a duration looks like 2y5m7d3h: years, months, days, hours";
    let (mut span, mut rest, mut units) = (Span::new(), text, "ymdh");
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit()).ok_or(WRONG)?;
        let number: i64 = rest[..digits].parse().map_err(|_| WRONG)?;
        let unit = rest[digits..].chars().next().ok_or(WRONG)?;
        let at = units.find(unit).ok_or(WRONG)?;
        units = &units[at + 1..];
        let added = match unit {
            'y' => span.try_years(number),
            'm' => span.try_months(number),
            'd' => span.try_days(number),
            _ => span.try_hours(number),
        };
        span = added.map_err(|_| WRONG)?;
        rest = &rest[digits + unit.len_utf8()..];
    }
    if text.is_empty() { Err(WRONG) } else { Ok(span) }
}

#[cfg(test)]
#[path = "keep_tests.rs"]
mod tests;
