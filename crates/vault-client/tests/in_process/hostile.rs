//! What a vault, or whoever stands in its place, could answer instead. Nothing of it is believed.

use coffer_pake::Point;
use coffer_proto::{Base64, FleetManifest, Receipt};
use coffer_testkit::Policy;
use coffer_vault_client::{NothingKept, RegisterError, Registered, RequestError, RetrieveError};
use serde_json::{Value, json};

use crate::device::{CHEAP, Device, Kept, password};

const STATUS: &str = "Get /v1/registrations";
const REGISTER: &str = "Put /v1/registrations/{id}";
const RETRIEVE: &str = "Put /v1/retrievals/{id}";
const PROVE: &str = "Put /v1/retrievals/{id}/proof";

/// What becomes of a registration whose receipt is changed.
async fn registered_with(change: impl FnMut(&mut Value) + Send + 'static) -> Result<Registered, RegisterError> {
    let device = Device::new(Policy::default()).await;
    device.wire.tamper_json(REGISTER, change);
    let outcome = device.session.register(&password("right"), &device.backup_key, &CHEAP, &mut NothingKept).await;
    let activations = device.wire.take_sent().iter().filter(|sent| sent.path.ends_with("activation")).count();
    assert_eq!(activations, usize::from(outcome.is_ok()), "nothing is activated without a receipt");
    outcome
}

#[track_caller]
fn is_refused(outcome: &Result<Registered, RegisterError>) {
    assert!(matches!(outcome, Err(RegisterError::Receipt(1))), "{outcome:?}");
}

/// Changes the last digit but one of a base64url field, whose bits all count.
fn spoil(field: &mut Value) {
    let text = field.as_str().unwrap();
    let at = text.len() - 2;
    let other = if &text[at..=at] == "A" { "B" } else { "A" };
    *field = format!("{}{other}{}", &text[..at], &text[at + 1..]).into();
}

#[tokio::test(start_paused = true)]
async fn an_honest_receipt_passes() {
    assert!(registered_with(|_| ()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn refuses_a_forged_receipt() {
    is_refused(&registered_with(|receipt| spoil(&mut receipt["signature"])).await);
    is_refused(&registered_with(|receipt| receipt["ledger_number"] = json!(99)).await);
    is_refused(&registered_with(|receipt| receipt["at"] = json!("2026-11-20T00:00:00Z")).await);
}

#[tokio::test(start_paused = true)]
async fn refuses_a_receipt_whose_key_nobody_vouches_for() {
    is_refused(&registered_with(|receipt| spoil(&mut receipt["certificate"]["signature"])).await);
    is_refused(&registered_with(|receipt| receipt["certificate"]["not_after"] = json!("2099-01-01T00:00:00Z")).await);
}

#[tokio::test(start_paused = true)]
async fn refuses_a_receipt_of_another_site() {
    is_refused(&registered_with(|receipt| receipt["site"] = json!(2)).await);
    is_refused(&registered_with(|receipt| receipt["certificate"]["site"] = json!(2)).await);
}

/// All of it is genuine, but it was given for another share.
#[tokio::test(start_paused = true)]
async fn refuses_the_receipt_of_another_registration() {
    let device = Device::new(Policy::default()).await;
    let mut first: Option<Receipt> = None;
    device.wire.tamper(move |sent, status, body| {
        if sent.route() != REGISTER {
            return (status, body);
        }
        let receipt = first.get_or_insert_with(|| serde_json::from_slice(&body).unwrap());
        (status, serde_json::to_vec(receipt).unwrap())
    });
    device.register("right").await;
    let again = device.session.register(&password("right"), &device.backup_key, &CHEAP, &mut NothingKept).await;
    is_refused(&again);
}

/// Signed by the site itself, over a point that its HSM did not compute from this share.
#[tokio::test(start_paused = true)]
async fn refuses_a_receipt_with_the_point_of_another_share() {
    let point = Base64(Point::generator().encode()).to_string();
    is_refused(&registered_with(move |receipt| receipt["point"] = json!(point)).await);
}

#[tokio::test(start_paused = true)]
async fn refuses_absurd_argon2_parameters_before_any_attempt() {
    for (field, value) in
        [("memory_kib", 1024), ("memory_kib", u32::MAX), ("passes", 0), ("passes", 1000), ("lanes", 64)]
    {
        let device = Device::protected().await;
        device.wire.tamper_json(STATUS, move |status| status["live"]["argon2"][field] = json!(value));
        let outcome = device.retrieve("right").await;
        assert!(matches!(outcome, Err(RetrieveError::Argon2(_))), "{field} {value}: {outcome:?}");
        assert_eq!(device.wire.take_sent().len(), 1);
    }
}

/// A device that was shown another manifest, signed by the roots, than the vault that it then asks works with.
#[tokio::test(start_paused = true)]
async fn refuses_any_server_key_but_the_manifest_s() {
    let device = Device::protected().await;
    let other_ake = Base64(Point::generator().encode());
    let manifest = FleetManifest { ake: other_ake, ..device.wire.vault.manifest() };
    let shown = serde_json::to_value(device.wire.vault.sign(&manifest)).unwrap();
    device.wire.tamper_json("Get /v1/fleet", move |answer| answer["manifest"] = shown.clone());
    let other = Device::at(device.wire.clone()).await;
    let outcome = other.retrieve("right").await;
    assert!(matches!(outcome, Err(RetrieveError::Untrusted(_))), "{outcome:?}");
    proves_nothing(&device);
}

#[track_caller]
fn proves_nothing(device: &Device) {
    assert!(device.wire.take_sent().iter().all(|sent| sent.route() != PROVE), "it proves itself to no stranger");
}

#[tokio::test(start_paused = true)]
async fn refuses_the_ke2_of_another_registration() {
    let device = Device::protected().await;
    let mut first: Option<Value> = None;
    device.wire.tamper_json(RETRIEVE, move |answer| {
        let first = first.get_or_insert_with(|| answer["ke2"].clone());
        answer["ke2"] = first.clone();
    });
    device.retrieve("right").await.unwrap();
    device.wire.take_sent();
    let outcome = device.session.register(&password("right"), &device.backup_key, &CHEAP, &mut NothingKept).await;
    assert!(matches!(outcome, Err(RegisterError::Unproved(_))), "{outcome:?}");
    proves_nothing(&device);
}

#[tokio::test(start_paused = true)]
async fn refuses_a_ke2_that_reflects_its_own_ke1() {
    let device = Device::protected().await;
    device.wire.tamper(|sent, status, body| {
        if sent.route() != RETRIEVE {
            return (status, body);
        }
        let ke1 = Base64::<98>::parse(sent.body["ke1"].as_str().unwrap()).unwrap();
        let mut answer: Value = serde_json::from_slice(&body).unwrap();
        let mut ke2 = Base64::<259>::parse(answer["ke2"].as_str().unwrap()).unwrap();
        ke2.0[..33].copy_from_slice(&ke1.0[..33]);
        answer["ke2"] = ke2.to_string().into();
        (200, serde_json::to_vec(&answer).unwrap())
    });
    let mut kept = Kept::default();
    let outcome = device.session.retrieve(&password("right"), &mut kept).await;
    assert!(matches!(outcome, Err(RetrieveError::Untrusted(_))), "{outcome:?}");
    proves_nothing(&device);
    // An honest site goes on with the same attempt.
    device.wire.mend();
    let retrieved = device.session.retrieve(&password("right"), &mut kept).await.unwrap();
    assert_eq!(retrieved.attempts_remaining, 10);
}

#[tokio::test(start_paused = true)]
async fn refuses_nonces_of_sites_that_do_not_exist_or_come_twice() {
    let nonce = |site: u8| json!({"site": site, "nonce": Base64([0; 16]).to_string()});
    for nonces in
        [json!([]), json!([nonce(2)]), json!([nonce(0)]), json!([nonce(1), nonce(1)]), json!(vec![nonce(1); 5000])]
    {
        let device = Device::protected().await;
        device.wire.tamper_json(RETRIEVE, move |answer| answer["nonces"] = nonces.clone());
        let outcome = device.retrieve("right").await;
        assert!(matches!(outcome, Err(RetrieveError::Untrusted(_))), "{outcome:?}");
        proves_nothing(&device);
    }
}

#[tokio::test(start_paused = true)]
async fn refuses_a_wrapped_key_that_was_not_registered() {
    let device = Device::protected().await;
    device.wire.tamper_json(PROVE, |answer| spoil(&mut answer["wrapped_backup_key"]));
    let outcome = device.retrieve("right").await;
    assert!(matches!(outcome, Err(RetrieveError::Untrusted(_))), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn refuses_a_registration_that_is_newer_than_the_manifest() {
    let device = Device::protected().await;
    device.wire.tamper_json(STATUS, |status| status["live"]["manifest_version"] = json!(4));
    let outcome = device.retrieve("right").await;
    assert!(matches!(outcome, Err(RetrieveError::Untrusted(_))), "{outcome:?}");
}

/// An attempt that is always closed would otherwise be begun for ever.
#[tokio::test(start_paused = true)]
async fn begins_no_endless_row_of_attempts() {
    let device = Device::protected().await;
    let problem = br#"{"type": "urn:coffer:problem:attempt-closed", "title": "", "status": 409}"#;
    device
        .wire
        .tamper(|sent, status, body| if sent.route() == RETRIEVE { (409, problem.to_vec()) } else { (status, body) });
    assert!(matches!(device.retrieve("right").await, Err(RetrieveError::Request(RequestError::Refused(_)))));
    assert_eq!(device.wire.take_sent().iter().filter(|sent| sent.route() == RETRIEVE).count(), 3);
}

async fn status_with(status: u16, body: &'static [u8]) -> RequestError {
    let device = Device::new(Policy::default()).await;
    device.wire.tamper(move |_, _, _| (status, body.to_vec()));
    device.session.status().await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn refuses_an_answer_that_is_not_json() {
    for body in [b"<html>" as &[u8], b"", b"[]", b"{}x", b"\xff"] {
        assert!(matches!(status_with(200, body).await, RequestError::NotAVault(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn refuses_a_problem_of_an_unknown_type() {
    let problem = br#"{"type": "urn:coffer:problem:sold", "title": "", "status": 409}"#;
    assert!(matches!(status_with(409, problem).await, RequestError::NotAVault(_)));
    assert!(matches!(status_with(302, b"").await, RequestError::NotAVault(_)));
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_called_so_whatever_the_body_says() {
    let problem = br#"{"type": "urn:coffer:problem:unauthorized", "title": "", "status": 401}"#;
    for body in [problem as &[u8], b"", b"<html>"] {
        assert_eq!(status_with(401, body).await, RequestError::Unauthorized);
    }
}

#[tokio::test(start_paused = true)]
async fn a_vault_or_a_proxy_that_cannot_do_it_just_now_is_called_so() {
    let problem = br#"{"type": "urn:coffer:problem:unavailable", "title": "", "status": 503}"#;
    assert_eq!(status_with(503, problem).await, RequestError::Unavailable);
    assert_eq!(status_with(502, b"<html>").await, RequestError::Unavailable);
    assert_eq!(status_with(429, b"").await, RequestError::TooManyRequests { retry_at: None });
}
