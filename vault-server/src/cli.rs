//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use coffer_proto::Fingerprint;

use crate::commands::ceremony::Ceremony;
use crate::commands::{self, dev_token, set_fence};
use crate::config::Config;
use crate::error::Error;
use crate::exit;
use crate::settings::Settings;

/// The Backup Key Vault: keeps a key under a password, with a limited number of guesses that an HSM enforces
#[derive(Debug, Parser)]
#[command(name = "coffer-vault", version, after_help = exit::HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the vault; with nothing configured, one site on SoftHSM and an embedded store
    ///
    /// Prints one line: the address that clients are given, with the fingerprint that they know the vault by.
    Serve(Configured),
    /// Say what is wrong with the configuration, with line and key
    CheckConfig(Configured),
    /// Issue an account token of the vault's own, for demos and tests
    DevToken {
        #[command(flatten)]
        asked: dev_token::Asked,
        #[command(flatten)]
        configured: Configured,
    },
    /// Make the HSM's keys, or check how it keeps them
    #[command(subcommand)]
    Hsm(Hsm),
    /// The key ceremony of a fleet of several sites, on a machine without a network
    #[command(subcommand)]
    Ceremony(Ceremony),
    /// Set the fence of a cell of the record store to what the manifest says; it only ever rises
    ///
    /// Sites serve a cell only behind the fence of their manifest. `etcd.user` has to be one that may set it.
    SetFence {
        #[command(flatten)]
        asked: set_fence::Asked,
        #[command(flatten)]
        configured: Configured,
    },
    /// Print the OpenAPI document
    Openapi,
}

#[derive(Debug, Subcommand)]
enum Hsm {
    /// Make token, PINs and keys where they are not there yet; nothing is ever overwritten
    Init {
        /// File with the security officer's PIN; made if it is not there
        #[arg(long, value_name = "PATH")]
        so_pin_file: Option<PathBuf>,
        /// For a site of a fleet: make the keys that the HSM makes itself, and write its card for the ceremony here
        #[arg(long, value_name = "PATH")]
        fleet: Option<PathBuf>,
        #[command(flatten)]
        configured: Configured,
    },
    /// Take in the keys that a ceremony has sealed to this HSM; nothing is ever overwritten
    Import {
        /// The site's file, or its spare's
        #[arg(long, value_name = "PATH")]
        sealed: PathBuf,
        /// The fleet's fingerprint as it was at the ceremony, if `fleet.roots_fingerprint` is not set
        #[arg(long, value_name = "FINGERPRINT")]
        fingerprint: Option<Fingerprint>,
        #[command(flatten)]
        configured: Configured,
    },
    /// Hold the token against what the vault needs of it
    Check {
        /// As the token of a site of a fleet; implied by `fleet.manifest_file`
        #[arg(long)]
        fleet: bool,
        #[command(flatten)]
        configured: Configured,
    },
}

#[derive(Debug, Args)]
struct Configured {
    /// Configuration file, TOML
    #[arg(long, env = "COFFER_VAULT_CONFIG", value_name = "PATH", hide_env_values = true)]
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
            Command::Serve(configured) => commands::serve::run(configured.load()?),
            Command::CheckConfig(configured) => commands::check_config::run(&configured.load()?),
            Command::DevToken { asked, configured } => commands::dev_token::run(&configured.load()?, &asked),
            Command::Hsm(Hsm::Init { so_pin_file, fleet, configured }) => {
                commands::hsm::init(&configured.load()?, so_pin_file.as_deref(), fleet.as_deref())
            }
            Command::Hsm(Hsm::Import { sealed, fingerprint, configured }) => {
                commands::hsm::import(&configured.load()?, &sealed, fingerprint)
            }
            Command::Hsm(Hsm::Check { fleet, configured }) => commands::hsm::check(&configured.load()?, fleet),
            Command::Ceremony(ceremony) => commands::ceremony::run(ceremony),
            Command::SetFence { asked, configured } => commands::set_fence::run(&configured.load()?, &asked),
            Command::Openapi => {
                commands::openapi::run();
                Ok(())
            }
        }
    }
}
