//! `coffer`: end-to-end encrypted chat backups, from the command line.
//!
//! Each command is one file in `commands`, with its arguments and its `run`. What a command says goes through
//! `output`, how it fails is in `error`, and what the shell learns of it in `exit`.

mod address;
mod cli;
mod commands;
mod config;
mod context;
mod credentials;
mod error;
mod exit;
mod home;
mod hooks;
mod keep;
mod key_store;
#[cfg(all(target_os = "linux", feature = "mount"))]
mod mounted;
mod opening;
mod output;
mod password;
mod profile;
mod progress;
mod recovery_key;
mod schedule;
mod secret_text;
mod size;
mod vault;
mod versioned;
mod what;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::Cli;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::Output;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.global.json, cli.global.quiet);
    let done = Context::new(cli.global, output).and_then(|context| cli.command.run(&context));
    let exit = done.unwrap_or_else(|error| {
        output.error(&error);
        error.exit()
    });
    Exit::into(exit)
}
