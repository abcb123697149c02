//! The answers that the RFCs publish, in `tests/vectors/opaque.json`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

use p256::{NistP256, NonZeroScalar, SecretKey};
use rand::{CryptoRng, RngCore};
use serde_json::Value;
use voprf::{EvaluationElement, OprfClient};

use crate::hashing::hash_to_curve;
use crate::registration::register;
use crate::server_login::answer_with;
use crate::share::multiply;
use crate::stretching::Stretch;
use crate::{ClientLogin, Identities, Ke1, Point};

/// Gives what it was given, in that order: opaque-ke draws each value whole.
struct Script(Vec<u8>);

impl Script {
    fn new(vector: &Value, names: &[&str]) -> Self {
        Self(names.iter().flat_map(|name| bytes(vector, name)).collect())
    }
}

impl CryptoRng for Script {}

impl RngCore for Script {
    fn next_u32(&mut self) -> u32 {
        panic!("not drawn from")
    }

    fn next_u64(&mut self) -> u64 {
        panic!("not drawn from")
    }

    fn fill_bytes(&mut self, wanted: &mut [u8]) {
        let given: Vec<u8> = self.0.drain(..wanted.len()).collect();
        wanted.copy_from_slice(&given);
    }

    fn try_fill_bytes(&mut self, wanted: &mut [u8]) -> Result<(), rand::Error> {
        self.fill_bytes(wanted);
        Ok(())
    }
}

fn all() -> Value {
    serde_json::from_str(include_str!("../../../tests/vectors/opaque.json")).unwrap()
}

/// The vectors of one kind, of which there must be `count`.
fn vectors(kind: &str, count: usize) -> Vec<Value> {
    let vectors = all()[kind].as_array().unwrap().clone();
    assert_eq!(vectors.len(), count, "{kind}");
    vectors
}

fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().unwrap_or_else(|| panic!("no {name} in {vector}"))
}

fn bytes(vector: &Value, name: &str) -> Vec<u8> {
    hex::decode(text(vector, name)).unwrap()
}

fn point(vector: &Value, name: &str) -> Point {
    Point::parse(&bytes(vector, name)).unwrap()
}

fn key(vector: &Value, name: &str) -> SecretKey {
    SecretKey::from_slice(&bytes(vector, name)).unwrap()
}

#[test]
fn registrations_and_logins_are_those_of_rfc_9807() {
    for vector in vectors("opaque", 2) {
        let (client, server, context) =
            (bytes(&vector, "client_identity"), bytes(&vector, "server_identity"), bytes(&vector, "context"));
        let identities = Identities { client: &client, server: &server, context: &context };
        let password = bytes(&vector, "password");
        let ake_public = point(&vector, "server_public_key");
        let k = key(&vector, "oprf_key");

        let mut script = Script::new(&vector, &["blind_registration", "envelope_nonce"]);
        let (upload, export_key) =
            register(&mut script, &password, &identities, &Stretch::Identity, &ake_public, &k.to_nonzero_scalar())
                .unwrap();
        assert_eq!(hex::encode(upload), text(&vector, "registration_upload"));
        assert_eq!(hex::encode(export_key.expose_bytes()), text(&vector, "export_key"));

        let mut script = Script::new(&vector, &["blind_login", "client_keyshare_seed", "client_nonce"]);
        let (login, ke1) = ClientLogin::start_with(&mut script, &password).unwrap();
        assert_eq!(hex::encode(ke1), text(&vector, "KE1"));

        let ke1 = Ke1::parse(&ke1).unwrap();
        let evaluation = multiply(&k, &ke1.blinded());
        let ake_product = multiply(&key(&vector, "server_private_key"), &ke1.client_ephemeral());
        // The first value is for accounts that do not exist.
        let names = ["masking_nonce", "masking_nonce", "server_keyshare_seed", "server_nonce"];
        let mut script = Script::new(&vector, &names);
        let (ke2, server_login) =
            answer_with(&mut script, &upload, &ke1, &evaluation, &ake_product, &ake_public, &identities).unwrap();
        assert_eq!(hex::encode(ke2), text(&vector, "KE2"));

        let finished = login.finish_with(&password, &ke2, &identities, &Stretch::Identity, &ake_public).unwrap();
        assert_eq!(hex::encode(finished.ke3), text(&vector, "KE3"));
        assert_eq!(hex::encode(finished.export_key.expose_bytes()), text(&vector, "export_key"));
        assert_eq!(hex::encode(server_login.encode()), text(&vector, "KE3"));
        assert_eq!(server_login.finish(&finished.ke3), Ok(()));
    }
}

#[test]
fn multiplications_are_those_of_rfc_9497() {
    for vector in vectors("oprf", 2) {
        let input = bytes(&vector, "input");
        let blind = NonZeroScalar::try_from(bytes(&vector, "blind").as_slice()).unwrap();
        let blinded = OprfClient::<NistP256>::deterministic_blind_unchecked(&input, *blind).unwrap();
        let element = Point::parse(&blinded.message.serialize()).unwrap();
        assert_eq!(element, point(&vector, "blinded_element"));
        let evaluation = multiply(&key(&vector, "oprf_key"), &element);
        assert_eq!(evaluation, point(&vector, "evaluation_element"));
        let evaluation = EvaluationElement::deserialize(&evaluation.encode()).unwrap();
        assert_eq!(hex::encode(blinded.state.finalize(&input, &evaluation).unwrap()), text(&vector, "output"));
    }
}

#[test]
fn hashes_to_the_curve_are_those_of_rfc_9380() {
    let all = all();
    for vector in vectors("hash_to_curve", 5) {
        let point = hash_to_curve(text(&vector, "message").as_bytes(), text(&all, "hash_to_curve_domain").as_bytes());
        let known = ["04", text(&vector, "x"), text(&vector, "y")].concat();
        assert_eq!(hex::encode(point.encode_uncompressed()), known, "{vector}");
    }
}
