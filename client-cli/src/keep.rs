//! Which snapshots are kept: so many of the newest, one for each of so many hours, days, weeks, months and years, and
//! all of a last while. As restic has it, so that a rule that was right there is right here.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

use coffer_archive::{Archive, Head, Snapshot, Time};
use jiff::tz::TimeZone;
use jiff::{Span, SpanFieldwise, Timestamp, Zoned};
use serde::{Deserialize, Serialize};

/// What to keep of the snapshots of each device and source
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "What to keep, of each device and its sources")]
pub(crate) struct Rules {
    /// The newest N
    #[arg(long = "keep-last", value_name = "N", value_parser = parse_count)]
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<NonZeroU32>,

    /// The newest of each of the last N hours in which there is one
    #[arg(long = "keep-hourly", value_name = "N", value_parser = parse_count)]
    #[serde(skip_serializing_if = "Option::is_none")]
    hourly: Option<NonZeroU32>,

    /// … of the last N days
    #[arg(long = "keep-daily", value_name = "N", value_parser = parse_count)]
    #[serde(skip_serializing_if = "Option::is_none")]
    daily: Option<NonZeroU32>,

    /// … of the last N weeks, which begin on Monday
    #[arg(long = "keep-weekly", value_name = "N", value_parser = parse_count)]
    #[serde(skip_serializing_if = "Option::is_none")]
    weekly: Option<NonZeroU32>,

    /// … of the last N months
    #[arg(long = "keep-monthly", value_name = "N", value_parser = parse_count)]
    #[serde(skip_serializing_if = "Option::is_none")]
    monthly: Option<NonZeroU32>,

    /// … of the last N years
    #[arg(long = "keep-yearly", value_name = "N", value_parser = parse_count)]
    #[serde(skip_serializing_if = "Option::is_none")]
    yearly: Option<NonZeroU32>,

    /// All that are not older than this, seen from the newest: 2y5m7d3h is two years, five months, seven days and three
    /// hours
    #[arg(long = "keep-within", value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    within: Option<Within>,
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

    /// For serde.
    pub(crate) const fn is_none(&self) -> bool {
        !self.is_any()
    }

    fn buckets(&self) -> Vec<Bucket> {
        let rule = |reason, count: Option<NonZeroU32>, of| {
            count.map(|left| Bucket { reason, left: left.get(), last: None, of })
        };
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

    /// Judges the snapshots of one device and its sources, as this one is, and no others.
    pub(crate) fn judge_alike<'s>(&self, alike: &Snapshot, archive: &'s Archive, now: &Zoned) -> Vec<Judged<'s>> {
        let mut judged = self.judge(archive.snapshots(), &archive.tips(), now);
        judged.retain(|Judged { snapshot, .. }| {
            (&snapshot.host, &snapshot.base, &snapshot.sources) == (&alike.host, &alike.base, &alike.sources)
        });
        judged
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
        let since = newest.and_then(|newest| newest.checked_sub(self.within.as_ref()?.span.0).ok());
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
        let last_made = group.iter().map(|snapshot| snapshot.head).max();
        let mut judged: Vec<_> = group.into_iter().enumerate().map(judge).collect();
        // After a clock was set right, the newest by its time can be an old one.
        for one in judged.iter_mut().filter(|one| Some(one.snapshot.head) == last_made && one.reasons.is_empty()) {
            one.reasons.push("made last");
        }
        judged
    }
}

fn day_of(time: &Zoned) -> [i32; 4] {
    [time.year().into(), time.month().into(), time.day().into(), 0]
}

fn zoned(time: Time, zone: &TimeZone) -> Option<Zoned> {
    let time = Timestamp::new(time.seconds, i32::try_from(time.nanoseconds).ok()?).ok()?;
    Some(time.to_zoned(zone.clone()))
}

/// A duration, with the text that it was given as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Within {
    text: String,
    span: SpanFieldwise,
}

impl FromStr for Within {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self { text: text.to_owned(), span: parse_duration(text)?.fieldwise() })
    }
}

impl TryFrom<String> for Within {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Within> for String {
    fn from(within: Within) -> Self {
        within.text
    }
}

/// None at all is no rule: it would keep nothing, where other programs take it for no limit.
fn parse_count(text: &str) -> Result<NonZeroU32, &'static str> {
    text.parse().map_err(|_| "it keeps 1 or more; leave the option out where it is to keep none")
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
    if span.is_zero() { Err(WRONG) } else { Ok(span) }
}

#[cfg(test)]
#[path = "keep_tests.rs"]
mod tests;
