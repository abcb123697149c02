//! Durations as an operator writes them: `30s`, `10m`, `12h`, `7d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// A whole number of seconds, minutes, hours or days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Period(pub(crate) Duration);

/// Several, with commas between them in an environment variable or a flag, as an array in the file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Periods(pub(crate) Vec<Period>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotAPeriod;

impl fmt::Display for NotAPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a duration: write a whole number and s, m, h or d, such as 30s or 7d")
    }
}

impl std::error::Error for NotAPeriod {}

impl FromStr for Period {
    type Err = NotAPeriod;

    fn from_str(text: &str) -> Result<Self, NotAPeriod> {
        let unit = text.chars().last().ok_or(NotAPeriod)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 24 * 3600,
            _ => return Err(NotAPeriod),
        };
        let number = &text[..text.len() - 1];
        if number.is_empty() || !number.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(NotAPeriod);
        }
        let number: u32 = number.parse().map_err(|_| NotAPeriod)?;
        Ok(Self(Duration::from_secs(u64::from(number) * seconds)))
    }
}

impl FromStr for Periods {
    type Err = NotAPeriod;

    fn from_str(text: &str) -> Result<Self, NotAPeriod> {
        text.split(',').map(|period| period.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{NotAPeriod, Period, Periods};
    use std::time::Duration;

    #[test]
    fn reads_every_unit() {
        for (text, seconds) in [("0s", 0), ("30s", 30), ("10m", 600), ("12h", 43_200), ("7d", 604_800)] {
            assert_eq!(text.parse(), Ok(Period(Duration::from_secs(seconds))), "{text}");
        }
    }

    #[test]
    fn reads_several_with_commas_between_them() {
        assert_eq!("1m, 2m".parse::<Periods>().map(|periods| periods.0.len()), Ok(2));
    }

    #[test]
    fn refuses_what_has_no_unit_or_no_number() {
        for text in ["", "30", "s", "-1s", "+1s", "1.5h", "1w", "99999999999s", "1µ"] {
            assert_eq!(text.parse::<Period>(), Err(NotAPeriod), "{text}");
        }
    }
}
