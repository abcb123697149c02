//! An error, for programs.

use serde::Serialize;

use crate::error::Error;

#[derive(Debug, Serialize)]
pub(super) struct ErrorRecord {
    error: Body,
}

#[derive(Debug, Serialize)]
struct Body {
    /// The exit code.
    code: u8,
    kind: &'static str,
    message: String,
    hint: Option<String>,
}

impl ErrorRecord {
    pub(super) fn of(error: &Error) -> Self {
        let (code, kind) = (error.exit().code(), error.kind());
        Self { error: Body { code, kind, message: error.to_string(), hint: error.hint() } }
    }
}

/// The same for a hook.
pub(crate) fn failure_of(error: &Error) -> serde_json::Value {
    serde_json::to_value(ErrorRecord::of(error)).unwrap_or_default()
}
