//! `coffer-vault ceremony …`

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use coffer_hsm_adapter::EncryptedRootKey;
use coffer_proto::Fingerprint;

use crate::ceremony::examine::examine;
use crate::ceremony::folder::read;
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
    ///
    /// Shows first what that is, and then asks for the passphrase. Whoever does not want to sign it presses Ctrl-C.
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
            show(&asked.out)?;
            say(&format!("The keys are drawn and sealed in {}. Now let the roots sign.", asked.out.display()));
        }
        Ceremony::Manifest(Manifest::NewVersion(asked)) => {
            next::new_version(&asked)?;
            show(&asked.last.out)?;
            say(&format!("The next manifest is in {}. Now let the roots sign.", asked.last.out.display()));
        }
        Ceremony::Roots(Roots::Rotate(asked)) => {
            next::rotate(&asked)?;
            show(&asked.last.out)?;
            let out = asked.last.out.display();
            say(&format!("The new roots are in {out}. Now let enough of the earlier and of the new ones sign."));
        }
        Ceremony::Sign { root, passphrase, folder } => {
            let encrypted: EncryptedRootKey = read(&root)?;
            let (found, asked) = sign::begin(&folder, &encrypted.public)?;
            say(&format!("{found}\nto sign      {asked}"));
            let key = root::open(&root, &encrypted, &passphrase)?;
            let last = sign::run(found, &key)?;
            say(&format!("Root {} has signed {}.\ntranscript   {last}", key.public(), folder.display()));
        }
        Ceremony::Verify { fingerprint, folder } => {
            say(&verify::run(&folder, fingerprint)?.to_string());
        }
    }
    Ok(())
}

/// What was made, as the roots will see it.
fn show(folder: &Path) -> Result<(), Error> {
    say(&examine(folder)?.to_string());
    Ok(())
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
