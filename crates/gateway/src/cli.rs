//! The command line.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use coffer_service::{check_jwks, check_tls};

use crate::config::Config;
use crate::error::{EXIT_CODES, Error};
use crate::serve;
use crate::settings::Settings;
use crate::sites::Sites;

/// The front end of a Backup Key Vault: takes clients' connections and relays what they have sealed for its sites
#[derive(Debug, Parser)]
#[command(name = "coffer-gateway", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway
    ///
    /// Prints one line: the address that it listens on. Clients are given that, with the fleet's fingerprint after a #.
    Serve(Configured),
    /// Say what is wrong with the configuration, with line and key
    CheckConfig(Configured),
}

#[derive(Debug, Args)]
struct Configured {
    /// Configuration file, TOML
    #[arg(long, env = "COFFER_GATEWAY_CONFIG", value_name = "PATH", hide_env_values = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

impl Configured {
    fn load(self) -> Result<Config, Error> {
        Ok(Config::load(self.settings, self.config.as_deref())?)
    }
}

impl Cli {
    pub(crate) fn run(self) -> Result<(), Error> {
        match self.command {
            Command::Serve(configured) => serve::run(configured.load()?),
            Command::CheckConfig(configured) => check(&configured.load()?),
        }
    }
}

/// The configuration has been read; what it names has to be there.
fn check(config: &Config) -> Result<(), Error> {
    if let Some(tls) = &config.tls {
        check_tls(tls)?;
    }
    check_jwks(&config.tokens.jwks_file)?;
    Sites::connect(&config.sites)?;
    let _ = writeln!(std::io::stdout(), "The configuration is right.");
    Ok(())
}
