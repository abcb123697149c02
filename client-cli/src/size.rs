//! Sizes as people type them: `500k`, `100M`, `1.5G` count in thousands as disks do, `4KiB` and `1GiB` in 1024s.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A number of bytes, with the text that it was given as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Size {
    text: String,
    bytes: u64,
}

impl Size {
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl FromStr for Size {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "a size looks like 500k, 100M, 1.5G or 4MiB";
        let digits = text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: f64 = number.parse().map_err(|_| WRONG)?;
        let (letter, rest) = unit.split_at(unit.chars().next().map_or(0, char::len_utf8));
        let (base, rest) = match rest.strip_prefix('i') {
            Some(rest) => (1024_f64, rest),
            None => (1000_f64, rest),
        };
        let power = match letter.to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" => 1,
            "m" => 2,
            "g" => 3,
            "t" => 4,
            _ => return Err(WRONG),
        };
        let is_unit = match power {
            0 => rest.is_empty() && base < 1024.0,
            _ => matches!(rest, "" | "B" | "b"),
        };
        let bytes = number * base.powi(power);
        if !is_unit || bytes > 9e18 {
            return Err(WRONG);
        }
        Ok(Self { text: text.to_owned(), bytes: bytes as u64 })
    }
}

impl TryFrom<String> for Size {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.text
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::Size;

    #[test]
    fn reads_sizes_as_people_type_them() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("17B", 17),
            ("500k", 500_000),
            ("100M", 100_000_000),
            ("1.5GB", 1_500_000_000),
            ("4KiB", 4096),
            ("1Gi", 1 << 30),
        ] {
            assert_eq!(text.parse::<Size>().map(|size| size.bytes()), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_size() {
        for text in ["", "k", "-1", "10x", "10 M", "1e3", "5iB", "10MM", "9999999T", "1.2.3k"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
