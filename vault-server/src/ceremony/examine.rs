//! A ceremony's folder, held against every rule that needs no signature, and shown: so that a root knows what it signs.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use coffer_hsm_adapter::card_holds;
use coffer_proto::{Fingerprint, FleetManifest, KeyName, RootSet, SignedManifest, SiteCard, SiteEntry, SiteKeys};
use coffer_vault_core::Clock as _;

use crate::ceremony::draw::entry;
use crate::ceremony::folder::{Folder, SealedFile, parse_sealed_name, refused};
use crate::error::Error;
use crate::world::SystemClock;

/// What lies in the folder.
pub(crate) struct Examined {
    pub(crate) folder: Folder,
    pub(crate) signed: SignedManifest,
    pub(crate) manifest: FleetManifest,
    pub(crate) sealed: Vec<SealedFile>,
    spares: BTreeMap<u8, SiteCard>,
}

/// Reads it. Nobody need have signed yet.
pub(crate) fn examine(path: &Path) -> Result<Examined, Error> {
    let folder = Folder::open(path)?;
    let signed = folder.manifest()?;
    let why = |why: String| refused(path, format!("manifest.json: {why}"));
    let manifest: FleetManifest =
        serde_json::from_slice(signed.manifest.as_bytes()).map_err(|error| why(error.to_string()))?;
    manifest.check().map_err(|fault| why(fault.to_string()))?;
    let sealed = folder.sealed()?;
    let mut spares = BTreeMap::new();
    for file in &sealed {
        check_sealed(file, &signed.roots, &manifest, &mut spares)
            .map_err(|why| refused(&path.join(&file.name), why))?;
    }
    let are_all_here = folder.gone.is_empty();
    if are_all_here && !sealed.is_empty() && sealed.len() != manifest.sites.len() * (1 + spares.len()) {
        return Err(refused(path, "a site has no sealed keys, or none for one of the spares"));
    }
    Ok(Examined { folder, signed, manifest, sealed, spares })
}

/// The keys of a site, for its own HSM or a spare, as the file's name says. `spares` gathers these.
fn check_sealed(
    file: &SealedFile,
    roots: &RootSet,
    manifest: &FleetManifest,
    spares: &mut BTreeMap<u8, SiteCard>,
) -> Result<(), String> {
    if file.content.roots != *roots {
        return Err("it names other roots than the manifest".to_owned());
    }
    let keys: SiteKeys =
        serde_json::from_slice(file.content.site_keys.as_bytes()).map_err(|error| error.to_string())?;
    let mut names: Vec<KeyName> = keys.keys.iter().map(|sealed| sealed.key).collect();
    names.sort_unstable();
    if names != KeyName::ALL {
        return Err("it lacks a key, or has one twice".to_owned());
    }
    if !card_holds(&keys.card) {
        return Err("the card's signature does not hold".to_owned());
    }
    let own = entry(keys.site, &keys.card);
    let is_of_a_site = manifest.sites.iter().any(|site| are_of_one_hsm(site, &own));
    let is_as_named = match parse_sealed_name(&file.name) {
        Some((site, None)) => site == keys.site && manifest.sites.contains(&own),
        Some((site, Some(number))) => {
            let is_another_s =
                spares.iter().any(|(other, card)| *other != number && are_of_one_hsm(&entry(site, card), &own));
            let first = spares.entry(number).or_insert(keys.card);
            let is_known = manifest.sites.iter().any(|entry| entry.site == site);
            site == keys.site && is_known && entry(site, first) == own && !is_another_s && !is_of_a_site
        }
        None => false,
    };
    if keys.fleet != manifest.fleet || keys.ake != manifest.ake || !is_as_named {
        return Err("it is of another fleet, another site or another HSM than the manifest says".to_owned());
    }
    Ok(())
}

fn are_of_one_hsm(one: &SiteEntry, other: &SiteEntry) -> bool {
    one.share_import == other.share_import || one.site_identity == other.site_identity
}

impl Examined {
    /// Of the oldest roots that it names.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.signed.successions.first().map_or(&self.signed.roots, |succession| &succession.roots).fingerprint()
    }
}

impl fmt::Display for Examined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FleetManifest { fleet, version, threshold, max_attempts, sites, cells, not_after, .. } = &self.manifest;
        writeln!(f, "fleet        {fleet}\nversion      {version}")?;
        writeln!(f, "sites        {}, of which {threshold} are needed; {max_attempts} guesses", sites.len())?;
        for entry in sites {
            writeln!(f, "site {:<7} {}", entry.site.0, entry.site_identity)?;
        }
        for (number, card) in &self.spares {
            writeln!(f, "spare {number:<6} {}", card.site_identity)?;
        }
        let fences: Vec<String> = cells.iter().map(|cell| format!("{}={}", cell.cell, cell.fence)).collect();
        writeln!(f, "fences       {}", fences.join(" "))?;
        let over = if SystemClock.now() >= *not_after { ", which is over by this machine's clock" } else { "" };
        writeln!(f, "valid until  {not_after}{over}\nsealed keys  {}", self.sealed.len())?;
        if !self.folder.gone.is_empty() {
            writeln!(f, "not here     {}", self.folder.gone.join(" "))?;
        }
        for earlier in &self.signed.successions {
            writeln!(f, "roots before {}", earlier.roots.fingerprint())?;
        }
        let RootSet { threshold, keys } = &self.signed.roots;
        for key in keys {
            writeln!(f, "root         {key}")?;
        }
        writeln!(f, "roots needed {threshold}")?;
        write!(f, "fingerprint  {}\ntranscript   {}", self.fingerprint(), self.folder.transcript.last())
    }
}
