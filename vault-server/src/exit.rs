//! What the shell learns: one number for each thing that an operator can do something about.

use std::process::ExitCode;

/// How a run of the program ended. The numbers are part of the interface: none is ever given another meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Failed = 1,
    Configuration = 3,
    Hsm = 4,
    Store = 5,
    Listen = 6,
    Ceremony = 7,
}

/// As `coffer-vault --help` ends with it. Number 2 is clap's own.
pub(crate) const HELP: &str = "Exit codes:
  0  done; of `serve`: ended in good order by SIGTERM or SIGINT
  1  an error that has no number of its own
  2  the command line makes no sense
  3  the configuration is wrong: `coffer-vault check-config` says where
  4  the HSM cannot be used
  5  the data folder, its manifest or its store cannot be used
  6  an address cannot be listened on
  7  a file of the key ceremony does not hold";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
