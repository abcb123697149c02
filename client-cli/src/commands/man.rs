//! `coffer man`: the manual, generated from the command line's own descriptions.

use std::fs;
use std::io;
use std::path::PathBuf;

use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::error::Error;
use crate::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  coffer man ~/.local/share/man/man1";

/// Write the manual pages into a folder
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = "coffer man [OPTIONS] <DIR>")]
pub(crate) struct Args {
    /// The folder; it is made if it is not there
    dir: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Error> {
    let write = || -> io::Result<()> {
        fs::create_dir_all(&args.dir)?;
        clap_mangen::generate_to(Cli::command(), &args.dir)
    };
    write().map_err(|source| Error::File { action: "write", path: args.dir.clone(), source })?;
    Ok(Exit::Done)
}
