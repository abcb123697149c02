//! One root signs what a ceremony has made.

use std::path::Path;

use coffer_hsm_adapter::RootKey;
use coffer_proto::{
    Hash, PointBytes, RootSignature, SignedManifest, manifest_message, root_succession_message, site_keys_message,
    transcript_message,
};

use crate::ceremony::examine::{Examined, examine};
use crate::ceremony::folder::refused;
use crate::error::Error;

/// What lies in the folder, for the root of this public half to see before it signs, and what it is asked for.
pub(crate) fn begin(path: &Path, public: &PointBytes) -> Result<(Examined, String), Error> {
    let found = examine(path)?;
    if let Some(gone) = found.folder.gone.first() {
        return Err(refused(&path.join(gone), "it is not here, and a root signs the whole"));
    }
    let signs = found.signed.roots.keys.contains(public).then_some("the manifest, the sealed keys and the transcript");
    let last = found.signed.successions.last();
    let hands_over = last.is_some_and(|last| last.roots.keys.contains(public));
    let hands_over = hands_over.then_some("that the roots before hand over to these");
    let asked: Vec<&str> = [signs, hands_over].into_iter().flatten().collect();
    if asked.is_empty() {
        return Err(refused(path, "this root is none of those who sign here"));
    }
    let asked = asked.join("; ");
    Ok((found, asked))
}

/// Signs the manifest and the sealed keys, if it is one of their roots; that it hands over, if it is one of the roots
/// before them; and the transcript. Gives the hash of its new last line.
pub(crate) fn run(found: Examined, root: &RootKey) -> Result<Hash, Error> {
    let Examined { mut folder, signed: mut manifest, mut sealed, .. } = found;
    let public = root.public();
    hand_over(&mut manifest, root);
    if manifest.roots.keys.contains(&public) {
        add(&mut manifest.signatures, root.sign(&manifest_message(manifest.manifest.as_bytes())));
        for file in &mut sealed {
            add(&mut file.content.signatures, root.sign(&site_keys_message(file.content.site_keys.as_bytes())));
        }
    }
    let signature = root.sign(&transcript_message(&folder.transcript.last()));
    folder.record(format!("signed by root {public}"), Some(signature), &manifest, &sealed)?;
    Ok(folder.transcript.last())
}

fn hand_over(manifest: &mut SignedManifest, root: &RootKey) {
    let next = manifest.roots.fingerprint();
    // The signatures of an earlier ceremony are complete.
    let last = manifest.successions.last_mut().filter(|last| last.roots.keys.contains(&root.public()));
    if let Some(last) = last {
        add(&mut last.signatures, root.sign(&root_succession_message(&last.roots.fingerprint(), &next)));
    }
}

fn add(signatures: &mut Vec<RootSignature>, signature: RootSignature) {
    signatures.retain(|other| other.key != signature.key);
    signatures.push(signature);
}
