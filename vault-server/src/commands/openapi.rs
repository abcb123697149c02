//! `coffer-vault openapi`

use std::io::Write as _;

use crate::{openapi, router};

pub(crate) fn run() {
    let _ = write!(std::io::stdout(), "{}", openapi::to_json(&router::document()));
}
