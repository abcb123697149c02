//! `coffer-vault`: the Backup Key Vault as a service.
//!
//! ```text
//! cli ─► commands ─► config        settings: one table of keys, flags and variables
//!                 ─► site          token, manifest, store, policy put together
//!                 ─► listener ─► router ─► observe ─► admission ─► routes ─► vault-core
//!                 ─► ops           /livez, /readyz, /metrics
//! ```
//!
//! No policy is in here, and nothing that could open a backup is linked.

mod admission;
mod app;
mod ceremony;
mod cli;
mod commands;
mod config;
mod data;
mod error;
mod exit;
mod issuer;
mod manifest;
mod observe;
mod openapi;
mod ops;
mod peers;
mod period;
mod problem;
mod records;
mod router;
mod routes;
mod settings;
mod site;
mod token;
mod tokens;
mod world;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            error.exit().into()
        }
    }
}
