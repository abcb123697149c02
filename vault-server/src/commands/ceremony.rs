//! `coffer-vault ceremony …`

use std::io::Write as _;
use std::path::PathBuf;

use clap::Subcommand;
use coffer_proto::{Fingerprint, FleetManifest};

use crate::ceremony::root::PassphraseOptions;
use crate::ceremony::{draw, next, root, sign, verify};
use crate::error::Error;

#[derive(Debug, Subcommand)]
pub(crate) enum Ceremony {
    /// Keys that sign manifests
    #[command(subcommand)]
    Root(Root),
    /// Draw the keys of a fleet, seal them to its HSMs, and write the manifest for the roots to sign
    Fleet(draw::Asked),
    /// The next manifest of a fleet that there is
    #[command(subcommand)]
    Manifest(Manifest),
    /// Other roots for a fleet that there is
    #[command(subcommand)]
    Roots(Roots),
    /// Sign what lies in a ceremony's folder, as one root
    Sign {
        /// The root's file
        #[arg(long, value_name = "PATH")]
        root: PathBuf,
        #[command(flatten)]
        passphrase: PassphraseOptions,
        /// The ceremony's folder
        folder: PathBuf,
    },
    /// Check everything about a ceremony that can be checked
    Verify {
        /// What clients are given with the fleet's address; without it, the roots are believed as they are
        #[arg(long, value_name = "FINGERPRINT")]
        fingerprint: Option<Fingerprint>,
        /// The ceremony's folder
        folder: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Root {
    /// Make a root's key, encrypted under a passphrase
    New {
        /// A new file
        #[arg(long, value_name = "PATH")]
        out: PathBuf,
        #[command(flatten)]
        passphrase: PassphraseOptions,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Manifest {
    /// The same with a new date, and with another HSM or fence where asked
    NewVersion(next::NewVersion),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Roots {
    /// New roots, whom enough of the present ones name by signing
    Rotate(next::Rotate),
}

pub(crate) fn run(ceremony: Ceremony) -> Result<(), Error> {
    match ceremony {
        Ceremony::Root(Root::New { out, passphrase }) => {
            let made = root::new(&out, &passphrase)?;
            say(&format!("Root {} is in {}.", made.public, out.display()));
        }
        Ceremony::Fleet(asked) => {
            draw::run(&asked)?;
            say(&format!("The keys are drawn and sealed in {}. Now let the roots sign.", asked.out.display()));
        }
        Ceremony::Manifest(Manifest::NewVersion(asked)) => {
            next::new_version(&asked)?;
            say(&format!("The next manifest is in {}. Now let the roots sign.", asked.last.out.display()));
        }
        Ceremony::Roots(Roots::Rotate(asked)) => {
            next::rotate(&asked)?;
            let out = asked.last.out.display();
            say(&format!("The new roots are in {out}. Now let enough of the earlier and of the new ones sign."));
        }
        Ceremony::Sign { root, passphrase, folder } => {
            let key = root::open(&root, &passphrase)?;
            sign::run(&folder, &key)?;
            say(&format!("Root {} has signed {}.", key.public(), folder.display()));
        }
        Ceremony::Verify { fingerprint, folder } => {
            let found = verify::run(&folder, fingerprint)?;
            let FleetManifest { fleet, version, threshold, sites, not_after, .. } = &found.manifest;
            say(&format!(
                "fleet        {fleet}\nversion      {version}\nsites        {}, of which {threshold} are needed\n\
                 valid until  {not_after}\nsealed keys  {}\nfingerprint  {}\ntranscript   {}",
                sites.len(),
                found.sealed,
                found.fingerprint,
                found.last
            ));
        }
    }
    Ok(())
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
