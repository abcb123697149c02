//! Later ceremonies: another manifest of the same fleet. The keys stay as they are.

use std::path::{Path, PathBuf};

use coffer_hsm_adapter::verify_es256_by;
use coffer_proto::{
    Fingerprint, FleetManifest, RootSuccession, SUCCESSIONS_AT_MOST, SignedManifest, SiteNumber, VALID_FOR,
};
use coffer_vault_core::Clock as _;

use crate::ceremony::draw::{card, entry, unsigned};
use crate::ceremony::folder::{Folder, read, refused};
use crate::ceremony::root;
use crate::error::Error;
use crate::world::SystemClock;

#[derive(Debug, clap::Args)]
pub(crate) struct Last {
    /// The newest manifest
    #[arg(long, value_name = "PATH")]
    from: PathBuf,
    /// The fleet's fingerprint: what clients are given with its address
    #[arg(long, value_name = "FINGERPRINT")]
    fingerprint: Fingerprint,
    /// A new folder for the next one and its transcript
    #[arg(long, value_name = "PATH")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct NewVersion {
    #[command(flatten)]
    pub(crate) last: Last,
    /// `SITE=PATH`: the card of the spare that takes this site's place
    #[arg(long, value_name = "SITE=PATH", value_parser = pair::<u8, PathBuf>)]
    replace: Vec<(u8, PathBuf)>,
    /// `CELL=NUMBER`: a new fence, which the operator then sets in the cell
    #[arg(long, value_name = "CELL=NUMBER", value_parser = pair::<u16, u64>)]
    fence: Vec<(u16, u64)>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Rotate {
    #[command(flatten)]
    pub(crate) last: Last,
    /// The new roots' files
    #[arg(long, value_name = "PATH", num_args = 1.., required = true)]
    roots: Vec<PathBuf>,
    /// How many of them have to sign
    #[arg(long, value_name = "NUMBER", default_value_t = 2)]
    root_threshold: u8,
}

fn pair<L: std::str::FromStr, R: std::str::FromStr>(text: &str) -> Result<(L, R), String> {
    let parsed = text.split_once('=').and_then(|(left, right)| Some((left.parse().ok()?, right.parse().ok()?)));
    parsed.ok_or_else(|| "NUMBER=VALUE is needed".to_owned())
}

/// A manifest with a new date; other HSMs and fences where asked.
pub(crate) fn new_version(asked: &NewVersion) -> Result<(), Error> {
    let (signed, mut manifest) = asked.last.read()?;
    for (number, path) in &asked.replace {
        let site = SiteNumber(*number);
        let place = manifest.sites.iter_mut().find(|entry| entry.site == site);
        *place.ok_or_else(|| refused(path, format!("there is no site {number}")))? = entry(site, &card(path)?);
    }
    for (number, fence) in &asked.fence {
        let cell = manifest.cells.iter_mut().find(|cell| cell.cell == *number);
        let cell = cell.ok_or(Error::Argument("there is no cell of this number"))?;
        if *fence <= cell.fence {
            return Err(Error::Argument("a fence only ever grows: or what it kept out could come back"));
        }
        cell.fence = *fence;
    }
    let mut next = unsigned(&asked.last.out, &manifest, signed.roots)?;
    next.successions = signed.successions;
    begin(&asked.last.out, &manifest, &next, "a new version")
}

/// A manifest of new roots. The earlier ones sign that they hand over, the new ones the manifest.
pub(crate) fn rotate(asked: &Rotate) -> Result<(), Error> {
    let (signed, manifest) = asked.last.read()?;
    let roots = root::set(&asked.roots, asked.root_threshold)?;
    if roots.fingerprint() == signed.roots.fingerprint() || signed.successions.len() >= SUCCESSIONS_AT_MOST {
        return Err(Error::Argument("these are the roots already, or there were too many before them"));
    }
    let mut next = unsigned(&asked.last.out, &manifest, roots)?;
    next.successions = signed.successions;
    next.successions.push(RootSuccession { roots: signed.roots, signatures: Vec::new() });
    begin(&asked.last.out, &manifest, &next, "new roots")
}

fn begin(out: &Path, manifest: &FleetManifest, next: &SignedManifest, what: &str) -> Result<(), Error> {
    let step = format!("{what}: version {} of fleet {}", manifest.version, manifest.fleet);
    Folder::begin(out)?.record(step, None, next, &[])
}

impl Last {
    /// The last manifest, verified, and what it becomes.
    fn read(&self) -> Result<(SignedManifest, FleetManifest), Error> {
        let signed: SignedManifest = read(&self.from)?;
        let why = |error: coffer_proto::TrustError| refused(&self.from, error.to_string());
        let last = signed.verify(&self.fingerprint, verify_es256_by).map_err(why)?;
        let (version, now) = (last.version.saturating_add(1), SystemClock.now());
        // A machine without a network has its time from nobody, and clients would refuse what it signs.
        if now < last.issued_at {
            return Err(refused(
                &self.from,
                format!("it is of {}, and this machine's clock is behind that", last.issued_at),
            ));
        }
        Ok((signed, FleetManifest { version, issued_at: now, not_after: now + VALID_FOR, ..last }))
    }
}
