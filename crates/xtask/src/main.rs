//! `cargo xtask`: the checks of this workspace that are programs rather than settings.
//!
//! - `check-arrows` compares the dependency graph with the table in [`house`]; `docs/architecture.md` explains that table.
//! - `fuzz` builds the targets under `tests/fuzz` with coverage instrumentation and runs each for a bounded time.
//!
//! Exit status: 0 in order; 1 something was found; 2 the check itself could not run.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a developer's tool, whose output is its purpose")]

mod fuzz;
mod graph;
mod house;
mod rules;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask check-arrows
       cargo xtask fuzz --seconds N [TARGET…]";

/// What a check that could run has to say.
enum Outcome {
    InOrder,
    Found,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["check-arrows"] => check_arrows(),
        ["fuzz", rest @ ..] => fuzz::run(&root(), rest),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(Outcome::InOrder)
        }
        _ => Err(anyhow::anyhow!("{USAGE}")),
    };
    match outcome {
        Ok(Outcome::InOrder) => ExitCode::SUCCESS,
        Ok(Outcome::Found) => ExitCode::from(1),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}

fn check_arrows() -> anyhow::Result<Outcome> {
    let graph = graph::Graph::read(&root())?;
    let breaches = rules::check(&graph);
    for breach in &breaches {
        println!("{breach}");
    }
    if !breaches.is_empty() {
        return Ok(Outcome::Found);
    }
    println!("arrows: {} packages, all as drawn", graph.ours().count());
    Ok(Outcome::InOrder)
}

/// The workspace's folder: `crates/xtask` lies two floors above it.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}
