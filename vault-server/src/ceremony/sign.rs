//! One root signs what a ceremony has made.

use std::path::Path;

use coffer_hsm_adapter::RootKey;
use coffer_proto::{
    RootSignature, SignedManifest, manifest_message, root_succession_message, site_keys_message, transcript_message,
};

use crate::ceremony::folder::{Folder, refused};
use crate::error::Error;

/// Signs the manifest and the sealed keys, if it is one of their roots; that it hands over, if it is one of the roots
/// before them; and the transcript.
pub(crate) fn run(path: &Path, root: &RootKey) -> Result<(), Error> {
    let mut folder = Folder::open(path)?;
    let mut manifest = folder.manifest()?;
    let mut sealed = folder.sealed()?;
    let public = root.public();
    let hands_over = hand_over(&mut manifest, root);
    let is_root = manifest.roots.keys.contains(&public);
    if is_root {
        add(&mut manifest.signatures, root.sign(&manifest_message(manifest.manifest.as_bytes())));
        for file in &mut sealed {
            add(&mut file.content.signatures, root.sign(&site_keys_message(file.content.site_keys.as_bytes())));
        }
    }
    if !hands_over && !is_root {
        return Err(refused(path, "this root is none of those who sign here"));
    }
    let signature = root.sign(&transcript_message(&folder.transcript.last()));
    folder.record(format!("signed by root {public}"), Some(signature), &manifest, &sealed)
}

fn hand_over(manifest: &mut SignedManifest, root: &RootKey) -> bool {
    let next = manifest.roots.fingerprint();
    let Some(last) = manifest.successions.last_mut() else { return false };
    // The signatures of an earlier ceremony are complete.
    if !last.roots.keys.contains(&root.public()) {
        return false;
    }
    add(&mut last.signatures, root.sign(&root_succession_message(&last.roots.fingerprint(), &next)));
    true
}

fn add(signatures: &mut Vec<RootSignature>, signature: RootSignature) {
    signatures.retain(|other| other.key != signature.key);
    signatures.push(signature);
}
