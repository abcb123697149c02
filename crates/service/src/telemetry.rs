//! Logs. They go to standard error, and no token, body or key is ever in one: what is logged are the policy's own events
//! and one line for each request (see `observe`).

use std::str::FromStr;

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// How a line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// What is worth a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What somebody has to do something about.
    Error,
    /// And what may become that.
    Warn,
    /// And one line for each request.
    #[default]
    Info,
    /// And what our own crates have to say beyond that.
    Debug,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("`text` or `json` is possible"),
        }
    }
}

impl FromStr for LogLevel {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "error" => Ok(Self::Error),
            "warn" => Ok(Self::Warn),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            _ => Err("`error`, `warn`, `info` or `debug` is possible"),
        }
    }
}

/// Starts logging, once in the life of the process.
pub fn start_logs((format, level): (LogFormat, LogLevel)) {
    // Below `info`, only our own crates speak: what foreign ones say of a request at that level is not ours to vouch for.
    let filter = match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => {
            "info,coffer_gateway=debug,coffer_hsm_adapter=debug,coffer_service=debug,coffer_vault=debug,\
             coffer_vault_core=debug,coffer_vault_store=debug"
        }
    };
    let logs = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => logs.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => logs.json().flatten_event(true).with_span_list(false).init(),
    }
}
