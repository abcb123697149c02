//! Requests that no client makes. Each is refused, and changes nothing.

use coffer_keys::SigningKey;
use coffer_pake::{LoginError, Point};
use coffer_proto::{
    AttemptId, Base64, DeletionId, DeletionRequest, Registration, RegistrationId, RegistrationRequest, RetrievalAnswer,
    deletion_message, registration_message,
};
use serde_json::{Value, json};

use super::account::Account;
use super::budget::{RIGHT, WRONG, evaluations};
use super::guess::{Guess, Opened, next_number, random, retrieval};
use super::request::Request;
use crate::server::Server;

#[track_caller]
fn refused(request: &Request, account: &Account, status: u16, problem: &str) {
    assert_eq!(request.send(account.host()).outcome(), (status, problem.to_owned()));
}

/// −P.
fn negated(point: &[u8; 33]) -> [u8; 33] {
    let mut negated = *point;
    negated[0] ^= 1;
    negated
}

fn ke1(blinded: &[u8; 33], ephemeral: &[u8; 33]) -> [u8; 98] {
    [&blinded[..], &[7; 32], ephemeral].concat().try_into().unwrap()
}

/// A delivery, signed anew as an owner of the unlock key and a device would.
fn delivery(account: &Account, request: &RegistrationRequest, unlock: &SigningKey, device: &SigningKey) -> Request {
    let message = registration_message(&account.manifest.fleet, &account.name, &request.registration);
    let (unlock_signature, device_signature) = (Base64(unlock.sign(&message)), Base64(device.sign(&message)));
    let path = format!("/v1/registrations/{}", request.registration.id);
    account.request("PUT", &path).json(&RegistrationRequest { unlock_signature, device_signature, ..request.clone() })
}

fn opened(account: &Account) -> Opened {
    let guess = Guess::new(account, RIGHT);
    let answer: RetrievalAnswer = guess.send().read();
    assert_eq!(guess.prove(account, &answer).status, 200);
    guess.open(account, &answer.ke2.0).unwrap()
}

#[test]
fn refuses_what_no_client_sends() {
    let server = Server::start();
    let ada = Account::registered(&server, "ada", RIGHT);
    let bob = Account::registered(&server, "bob", WRONG);
    let before = evaluations(&server);
    a_ke1_that_is_none(&ada);
    another_s_token(&ada, &bob);
    another_device_s_signature(&ada);
    assert_eq!((evaluations(&server), ada.live().failed_attempts.len()), (before, 0));

    an_id_with_other_bytes(&ada);
    a_proof_again_and_of_another(&ada, &bob);
    special_elements_give_nothing(&ada, &server);
    let opened = opened(&ada);
    a_share_out_of_its_place(&ada, &bob, &opened.unlock_key());
    a_registration_that_is_none(&ada, &opened.unlock_key());
    ada.is_restored_by(RIGHT);
    bob.is_restored_by(WRONG);
}

fn a_ke1_that_is_none(ada: &Account) {
    let generator = Point::generator().encode();
    let off_curve = [&[2][..], &[0xff; 32]].concat().try_into().unwrap();
    let (mut hybrid, mut no_root) = (generator, generator);
    hybrid[0] = 6;
    while Point::parse(&no_root).is_ok() {
        no_root[32] += 1;
    }
    for point in [[0; 33], off_curve, hybrid, no_root] {
        for ke1 in [ke1(&point, &generator), ke1(&generator, &point)] {
            refused(&retrieval(ada, &AttemptId(random()), next_number(), &ke1, &ada.device), ada, 400, "malformed");
        }
    }
    let right = Guess::new(ada, WRONG);
    for length in [0, 1, 32, 33, 34, 65, 66, 97, 99, 131, 196, 259, 4096] {
        let text = Value::String(shown(&vec![2; length]));
        refused(&right.request().with_changed(|body| body["ke1"] = text), ada, 400, "malformed");
    }
    let long = Value::String("A".repeat(1 << 16));
    refused(&right.request().with_changed(|body| body["ke1"] = long), ada, 413, "too-large");
    refused(&right.request().with_changed(|body| body["more"] = json!(1)), ada, 400, "malformed");
    refused(&right.request().with_changed(|body| body["ke1"] = json!([2])), ada, 400, "malformed");
}

fn shown(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn deletion(account: &Account, registration: &RegistrationId, device: &SigningKey) -> Request {
    let deletion = DeletionId([7; 16]);
    let message = deletion_message(&account.manifest.fleet, &account.name, registration, &deletion);
    let body = DeletionRequest { deletion, device_signature: Base64(device.sign(&message)), authorization: None };
    account.request("DELETE", &format!("/v1/registrations/{registration}")).json(&body)
}

/// Bob's token and device, Ada's registration.
fn another_s_token(ada: &Account, bob: &Account) {
    let guess = Guess::new(ada, RIGHT);
    refused(&guess.request().by(&bob.token), bob, 403, "invalid-signature");
    let signed_by_bob = guess.request().with_changed(|body| {
        let message = coffer_proto::attempt_message(
            &bob.manifest.fleet,
            &bob.name,
            &ada.registration,
            &guess.id,
            guess.number,
            &coffer_proto::Hash::from(&Base64(guess.login.ke1())),
        );
        body["device_signature"] = json!(Base64(bob.device.sign(&message)));
    });
    refused(&signed_by_bob.by(&bob.token), bob, 409, "registration-changed");
    refused(&deletion(bob, &ada.registration, &bob.device), bob, 409, "registration-changed");
    let activation =
        json!({"replaces": null, "receipts": [], "device_signature": Base64([0; 64]), "authorization": null});
    let path = format!("/v1/registrations/{}/activation", ada.registration);
    refused(&bob.request("PUT", &path).json(&activation), bob, 409, "not-delivered");
}

fn another_device_s_signature(ada: &Account) {
    let stranger = SigningKey::generate().unwrap();
    let guess = Guess::new(ada, RIGHT);
    refused(&retrieval(ada, &guess.id, guess.number, &guess.login.ke1(), &stranger), ada, 403, "invalid-signature");
    refused(&deletion(ada, &ada.registration, &stranger), ada, 403, "invalid-signature");
    let mut sent = ada.sent_registration();
    sent.registration.id = RegistrationId(random());
    refused(&delivery(ada, &sent, &stranger, &stranger), ada, 403, "invalid-signature");
    // The right device, and an unlock key that is not the registration's.
    refused(&delivery(ada, &sent, &stranger, &ada.device), ada, 403, "invalid-signature");
}

fn an_id_with_other_bytes(ada: &Account) {
    let guess = Guess::new(ada, RIGHT);
    let first = guess.send();
    let other = retrieval(ada, &guess.id, guess.number, &Guess::new(ada, RIGHT).login.ke1(), &ada.device);
    refused(&other, ada, 409, "id-reused");
    assert_eq!(guess.send().body, first.body, "the same bytes get the same answer");
    assert_eq!(ada.live().failed_attempts.len(), 1);
    assert_eq!(guess.prove(ada, &first.read()).status, 200);
}

fn a_proof_again_and_of_another(ada: &Account, bob: &Account) {
    let (guess, other) = (Guess::new(ada, RIGHT), Guess::new(ada, RIGHT));
    let answer: RetrievalAnswer = guess.send().read();
    let opened = guess.open(ada, &answer.ke2.0).unwrap();
    let right = guess.proof(ada, &opened, &answer);
    for change in 0..3 {
        let mut proof = right.clone();
        match change {
            0 => proof.ke3.0[0] ^= 1,
            1 => proof.nonces[0].nonce.0[0] ^= 1,
            _ => proof.unlock_signature = Base64(ada.device.sign(b"something else")),
        }
        refused(&guess.proof_request(ada, &proof), ada, 403, "invalid-proof");
    }
    refused(&guess.proof_request(ada, &right).by(&bob.token), bob, 403, "invalid-proof");
    let proved = guess.proof_request(ada, &right).send(ada.host());
    assert_eq!(proved.status, 200);

    assert_eq!(other.send().status, 200);
    let again = guess.proof_request(ada, &right).send(ada.host());
    let left = |answer: &str| serde_json::from_str::<Value>(answer).unwrap()["attempts_remaining"].as_u64();
    assert_eq!((left(&proved.body), left(&again.body)), (Some(10), Some(9)), "it refills once");
    assert_eq!(ada.live().failed_attempts.len(), 1);
    refused(&other.proof_request(ada, &right), ada, 403, "invalid-proof");
    refused(&guess.request(), ada, 409, "attempt-closed");
}

/// They are points. What comes back says no more than is public already, and costs a guess.
fn special_elements_give_nothing(ada: &Account, server: &Server) {
    let before = evaluations(server);
    let failed = ada.live().failed_attempts.len();
    let minus_g = negated(&Point::generator().encode());
    let commitment = ada.sent_registration().registration.commitments[0].0;
    let request = retrieval(ada, &AttemptId(random()), next_number(), &ke1(&minus_g, &minus_g), &ada.device);
    let answer: RetrievalAnswer = request.send(ada.host()).read();
    assert_eq!(answer.ke2.0[..33], negated(&commitment), "−K, which anybody can compute");
    // The vault's own key in the place of the client's.
    let ake = ada.manifest.ake.0;
    let request = retrieval(ada, &AttemptId(random()), next_number(), &ke1(&ake, &ake), &ada.device);
    assert_eq!(request.send(ada.host()).status, 200);
    assert_eq!(ada.live().failed_attempts.len(), failed + 2);
    assert!(evaluations(server) - before <= 2);

    // And from a vault that sends back what it was sent, the client takes nothing.
    let guess = Guess::new(ada, RIGHT);
    let answer: RetrievalAnswer = guess.send().read();
    let mut reflected = answer.ke2.0;
    reflected[..33].copy_from_slice(&guess.login.ke1()[..33]);
    assert!(matches!(guess.open(ada, &reflected), Err(LoginError::Malformed)));
    assert_eq!(guess.prove(ada, &answer).status, 200);
}

/// The thief of a sealed share has it taken in where he has guesses of his own.
fn a_share_out_of_its_place(ada: &Account, bob: &Account, unlock: &SigningKey) {
    let sent = ada.sent_registration();
    refused(&delivery(bob, &sent, unlock, &bob.device), bob, 422, "invalid-share");
    let with = |change: &dyn Fn(&mut Registration)| {
        let mut changed = sent.clone();
        change(&mut changed.registration);
        changed
    };
    let another_id = with(&|registration| registration.id = RegistrationId(random()));
    refused(&delivery(ada, &another_id, unlock, &ada.device), ada, 422, "invalid-share");
    let own = SigningKey::generate().unwrap();
    let own_key = with(&|registration| {
        registration.id = RegistrationId(random());
        registration.unlock_key = Base64(own.public());
    });
    refused(&delivery(bob, &own_key, &own, &bob.device), bob, 422, "invalid-share");
    let another_share = RegistrationRequest { sealed_share: bob.sent_registration().sealed_share, ..another_id };
    refused(&delivery(ada, &another_share, unlock, &ada.device), ada, 422, "invalid-share");
    // Where it belongs it is known already; and no other is taken under its name.
    assert_eq!(delivery(ada, &sent, unlock, &ada.device).send(ada.host()).status, 200);
    let other_bytes = with(&|registration| registration.argon2.passes += 1);
    refused(&delivery(ada, &other_bytes, unlock, &ada.device), ada, 409, "id-reused");
}

fn a_registration_that_is_none(ada: &Account, unlock: &SigningKey) {
    let bad_point = [&[2][..], &[0xff; 32]].concat().try_into().unwrap();
    let minus_nothing = [0; 33];
    for point in [bad_point, minus_nothing] {
        let mut sent = ada.sent_registration();
        sent.registration.id = RegistrationId(random());
        let changes: [&dyn Fn(&mut RegistrationRequest); 3] = [
            &|sent| sent.registration.commitments[0] = Base64(point),
            &|sent| sent.registration.upload.0[..33].copy_from_slice(&point),
            &|sent| {
                sent.sealed_share.ephemeral = Base64(point);
                sent.registration.sealed_share_hashes[0] = sent.sealed_share.hash();
            },
        ];
        for change in changes {
            let mut changed = sent.clone();
            change(&mut changed);
            refused(&delivery(ada, &changed, unlock, &ada.device), ada, 400, "malformed");
        }
    }
    let request = delivery(ada, &ada.sent_registration(), unlock, &ada.device);
    refused(&request.with_changed(|body| body["registration"]["more"] = json!({})), ada, 400, "malformed");
}
