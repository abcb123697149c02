//! The recovery key, for the person who keeps it. The only output of the program that is secret.

use std::fmt;

use clap::builder::styling::{Ansi256Color, Color, Style};
use coffer_keys::RecoveryKey;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use serde::Serialize;
use zeroize::Zeroizing;

/// Groups of four digits in a row. Four rows of four are easier to copy and to compare than one of sixteen.
const GROUPS_IN_A_ROW: usize = 4;

pub(crate) struct ShownKey {
    groups: Zeroizing<String>,
    qr: Option<Zeroizing<String>>,
}

#[derive(Serialize)]
struct KeyRecord<'a> {
    recovery_key: &'a str,
}

impl ShownKey {
    pub(crate) fn new(key: &RecoveryKey, with_qr: bool) -> Self {
        let groups = key.expose_groups();
        let qr = with_qr.then(|| qr_code(&groups)).flatten();
        Self { groups, qr }
    }
}

/// Black on white whatever the terminal's own colours are: readers expect it so.
const PAPER: Style =
    Style::new().fg_color(Some(Color::Ansi256(Ansi256Color(16)))).bg_color(Some(Color::Ansi256(Ansi256Color(231))));

/// In capitals the digits fit QR's alphanumeric mode, which makes the code a third smaller.
fn qr_code(groups: &str) -> Option<Zeroizing<String>> {
    let mut digits = Zeroizing::new(String::with_capacity(groups.len()));
    digits.extend(groups.chars().filter(|character| *character != ' ').map(|digit| digit.to_ascii_uppercase()));
    let code = QrCode::with_error_correction_level(digits.as_bytes(), EcLevel::M).ok()?;
    Some(Zeroizing::new(code.render::<Dense1x2>().build()))
}

impl Serialize for ShownKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        KeyRecord { recovery_key: &self.groups }.serialize(serializer)
    }
}

impl fmt::Display for ShownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, group) in self.groups.split(' ').enumerate() {
            let end = if (index + 1) % GROUPS_IN_A_ROW == 0 { '\n' } else { ' ' };
            write!(f, "{group}{end}")?;
        }
        if let Some(qr) = &self.qr {
            qr.lines().try_for_each(|line| write!(f, "\n{PAPER}{line}{PAPER:#}"))?;
            writeln!(f)?;
        }
        Ok(())
    }
}
