//! Everything about a ceremony that can be checked afterwards, by anyone, from its folder alone.

use std::collections::HashSet;
use std::path::Path;

use coffer_hsm_adapter::verify_es256_by;
use coffer_proto::{Fingerprint, PointBytes, TrustError};

use crate::ceremony::examine::{Examined, examine};
use crate::ceremony::folder::refused;
use crate::error::Error;

/// `pinned`: what clients have. Without it the ceremony is held against the oldest roots that it names.
pub(crate) fn run(path: &Path, pinned: Option<Fingerprint>) -> Result<Examined, Error> {
    let found = examine(path)?;
    let fingerprint = pinned.unwrap_or_else(|| found.fingerprint());
    let why = |error: TrustError| refused(path, format!("manifest.json: {error}"));
    found.signed.verify(&fingerprint, verify_es256_by).map_err(why)?;
    check_signers(path, &found)?;
    for file in &found.sealed {
        let site_keys = file.content.verify(&found.signed.roots.fingerprint(), verify_es256_by);
        site_keys.map_err(|error| refused(&path.join(&file.name), error.to_string()))?;
    }
    Ok(found)
}

/// Whoever has put a name under the transcript is one of the roots, and as many of them have as are needed: without their
/// names all of it could be written anew.
fn check_signers(path: &Path, found: &Examined) -> Result<(), Error> {
    let signed = &found.signed;
    let sets = signed.successions.iter().map(|succession| &succession.roots).chain([&signed.roots]);
    let roots: HashSet<PointBytes> = sets.flat_map(|set| &set.keys).copied().collect();
    let lines = &found.folder.transcript.lines;
    let signers: HashSet<PointBytes> = lines.iter().filter_map(|line| Some(line.signature?.key)).collect();
    if !signers.is_subset(&roots) {
        return Err(refused(path, "transcript.jsonl: a stranger has signed it"));
    }
    let of_today: HashSet<PointBytes> = signed.roots.keys.iter().copied().collect();
    if signers.intersection(&of_today).count() < usize::from(signed.roots.threshold) {
        return Err(refused(path, "transcript.jsonl: too few of the roots have signed it"));
    }
    Ok(())
}
