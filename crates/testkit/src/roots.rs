//! Roots of a fleet, as the key ceremony makes them.

use coffer_proto::{
    Base64, Base64Vec, Fingerprint, FleetManifest, PointBytes, RootSet, RootSignature, RootSuccession, SignedManifest,
    manifest_message, root_succession_message,
};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use rand::rngs::OsRng;

/// Root keys, and how many of them have to sign.
pub struct Roots {
    keys: Vec<SigningKey>,
    threshold: u8,
}

impl Roots {
    /// New ones.
    pub fn new(keys: usize, threshold: u8) -> Self {
        Self { keys: (0..keys).map(|_| SigningKey::random(&mut OsRng)).collect(), threshold }
    }

    /// Their public halves.
    pub fn set(&self) -> RootSet {
        RootSet { threshold: self.threshold, keys: self.keys.iter().map(public).collect() }
    }

    /// What clients pin.
    pub fn fingerprint(&self) -> Fingerprint {
        self.set().fingerprint()
    }

    /// The manifest, signed by some of them.
    pub fn sign(&self, manifest: &FleetManifest, signers: &[usize]) -> SignedManifest {
        let text = serde_json::to_vec(manifest).expect("plain data in memory");
        SignedManifest {
            signatures: self.signatures(&manifest_message(&text), signers),
            manifest: Base64Vec::new(text).expect("a manifest is short"),
            roots: self.set(),
            successions: Vec::new(),
        }
    }

    /// What some of them sign when `next` take over.
    pub fn hand_over(&self, next: &Self, signers: &[usize]) -> RootSuccession {
        let message = root_succession_message(&self.fingerprint(), &next.fingerprint());
        RootSuccession { roots: self.set(), signatures: self.signatures(&message, signers) }
    }

    fn signatures(&self, message: &[u8], signers: &[usize]) -> Vec<RootSignature> {
        let sign = |&signer: &usize| {
            let signature: Signature = self.keys[signer].sign(message);
            RootSignature { key: public(&self.keys[signer]), signature: Base64(signature.to_bytes().into()) }
        };
        signers.iter().map(sign).collect()
    }
}

fn public(key: &SigningKey) -> PointBytes {
    Base64(key.verifying_key().to_encoded_point(true).as_bytes().try_into().expect("a compressed point has 33 bytes"))
}
