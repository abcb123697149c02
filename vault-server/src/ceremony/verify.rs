//! Everything about a ceremony that can be checked afterwards, by anyone, from its folder alone.

use std::collections::BTreeSet;
use std::path::Path;

use coffer_hsm_adapter::{card_holds, verify_es256_by};
use coffer_proto::{Fingerprint, FleetManifest, KeyName, SignedManifest, SiteKeys, TrustError};

use crate::ceremony::draw::entry;
use crate::ceremony::folder::{Folder, SealedFile, refused};
use crate::error::Error;

/// What was found, all of it in order.
pub(crate) struct Verified {
    pub(crate) manifest: FleetManifest,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) sealed: usize,
    pub(crate) last: coffer_proto::Hash,
}

/// `pinned`: what clients have. Without it the ceremony is held against the oldest roots that it names.
pub(crate) fn run(path: &Path, pinned: Option<Fingerprint>) -> Result<Verified, Error> {
    let folder = Folder::open(path)?;
    let signed = folder.manifest()?;
    let oldest = signed.successions.first().map_or(&signed.roots, |succession| &succession.roots);
    let fingerprint = pinned.unwrap_or_else(|| oldest.fingerprint());
    let why = |error: TrustError| refused(path, format!("manifest.json: {error}"));
    let manifest = signed.verify(&fingerprint, verify_es256_by).map_err(why)?;
    check_signers(path, &folder, &signed)?;
    let sealed = folder.sealed()?;
    for file in &sealed {
        let site_keys = file.content.verify(&signed.roots.fingerprint(), verify_es256_by);
        let outcome = site_keys.map_err(|error| error.to_string()).and_then(|keys| check_keys(file, &keys, &manifest));
        outcome.map_err(|why| refused(&path.join(&file.name), why))?;
    }
    let sites: BTreeSet<&str> = sealed.iter().map(|file| file.name.as_str()).collect();
    let has_own = |site: &coffer_proto::SiteEntry| sites.contains(format!("site-{}.json", site.site).as_str());
    if !sealed.is_empty() && !manifest.sites.iter().all(has_own) {
        return Err(refused(path, "a site has no sealed keys"));
    }
    Ok(Verified { manifest, fingerprint, sealed: sealed.len(), last: folder.transcript.last() })
}

/// Whoever has put a name under the transcript is one of the roots.
fn check_signers(path: &Path, folder: &Folder, signed: &SignedManifest) -> Result<(), Error> {
    let sets = signed.successions.iter().map(|succession| &succession.roots).chain([&signed.roots]);
    let roots: Vec<_> = sets.flat_map(|set| &set.keys).collect();
    let mut signers = folder.transcript.lines.iter().filter_map(|line| line.signature.as_ref());
    if signers.any(|signature| !roots.contains(&&signature.key)) {
        return Err(refused(path, "transcript.jsonl: a stranger has signed it"));
    }
    Ok(())
}

fn check_keys(file: &SealedFile, keys: &SiteKeys, manifest: &FleetManifest) -> Result<(), String> {
    let names: BTreeSet<KeyName> = keys.keys.iter().map(|sealed| sealed.key).collect();
    if names.len() != KeyName::ALL.len() || keys.keys.len() != KeyName::ALL.len() {
        return Err("it lacks a key, or has one twice".to_owned());
    }
    if !card_holds(&keys.card) {
        return Err("the card's signature does not hold".to_owned());
    }
    let own = entry(keys.site, &keys.card);
    let is_own = manifest.sites.contains(&own);
    let is_spare = file.name.contains("-spare-")
        && manifest
            .sites
            .iter()
            .all(|site| site.share_import != own.share_import && site.site_identity != own.site_identity);
    let begins = file.name.starts_with(&format!("site-{}.", keys.site))
        || file.name.starts_with(&format!("site-{}-spare-", keys.site));
    if keys.fleet != manifest.fleet || keys.ake != manifest.ake || !begins || !(is_own || is_spare) {
        return Err("it is of another fleet, another site or another HSM than the manifest says".to_owned());
    }
    Ok(())
}
