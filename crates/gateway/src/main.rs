//! `coffer-gateway`: the front end of a fleet. It ends TLS, verifies account tokens, limits how often anybody asks, and
//! relays sealed requests to the site that they name. It links nothing that could open them.
//!
//! ```text
//! cli ─► config        settings: one table of keys, flags and variables
//!     ─► serve ─► router ─► admission ─► relay, fleet ─► sites
//!     ─► ops           /livez, /readyz, /metrics
//! ```

mod admission;
mod app;
mod cli;
mod config;
mod error;
mod fleet;
mod ops;
mod relay;
mod router;
mod serve;
mod settings;
mod sites;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::from(error.exit())
        }
    }
}
