//! `coffer schedule status`.

use std::fmt;

use serde::Serialize;

use super::text::Clean;
use crate::schedule::Scheduled;

#[derive(Debug, Serialize)]
pub(crate) struct Schedules {
    pub(crate) schedules: Vec<ScheduleRecord>,
}

/// A profile that has its time; the times are as the system writes them.
#[derive(Debug, Serialize)]
pub(crate) struct ScheduleRecord {
    profile: String,
    when: String,
    /// Whether it runs now, as far as the system tells.
    active: bool,
    next: Option<String>,
    last: Option<String>,
    result: Option<String>,
}

impl ScheduleRecord {
    pub(crate) fn of(scheduled: Scheduled) -> Self {
        let Scheduled { profile, when, state } = scheduled;
        let active = state.is_some();
        let (next, last, result) =
            state.map_or((None, None, None), |state| (Some(state.next), Some(state.last), Some(state.result)));
        Self { profile, when, active, next, last, result }
    }
}

impl fmt::Display for Schedules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for schedule in &self.schedules {
            let ScheduleRecord { profile, when, next, last, result, .. } = schedule;
            write!(f, "{profile}  {}", Clean(when))?;
            match (next, last, result) {
                (Some(next), Some(last), Some(result)) => {
                    let last = if last.is_empty() { "never" } else { last };
                    writeln!(f, "  next {}, last {} ({})", Clean(next), Clean(last), Clean(result))?;
                }
                _ => writeln!(f, "  not running now")?,
            }
        }
        Ok(())
    }
}
