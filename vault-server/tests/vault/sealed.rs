//! What a site does with sealed requests, and what it does without a seal when a gateway stands in front.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coffer_channel::{Destination, OpenedAnswer, Opener, PlainRequest, Sender, seal};
use coffer_proto::{
    AccountId, Base64, FleetAnswer, FleetManifest, PointBytes, RouteTemplate, SealedAnswer, SealedMethod,
    SealedRequest, SiteNumber, Time, TransportKeyId,
};
use sha2::{Digest as _, Sha256};

use crate::http::{Answer, Request};
use crate::vault::{Home, Vault};

const ID: &str = "00000000000000000000000000000000";

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Time::from_unix_seconds(since.as_secs().try_into().unwrap())
}

/// What a client needs to seal for the one site of a vault.
struct Client {
    token: String,
    destination: Destination,
    key: PointBytes,
    sealed_only: bool,
}

impl Client {
    fn of(home: &Home, vault: &Vault) -> Self {
        let token = home.issuer.token("ada");
        let answer = vault.send(&Request::get("/v1/fleet").token(&token));
        let answer: FleetAnswer = serde_json::from_str(&answer.body).unwrap();
        let bytes = answer.manifest.manifest.as_bytes();
        let manifest: FleetManifest = serde_json::from_slice(bytes).unwrap();
        let hash = Base64(Sha256::digest(bytes).into());
        let destination = Destination { fleet: manifest.fleet, manifest: hash, site: SiteNumber(1) };
        let certificate = answer.certificates.first().unwrap();
        Self { token, destination, key: certificate.transport_key, sealed_only: answer.sealed_only }
    }

    fn seal(&self, method: SealedMethod, path: &str, body: &str) -> (SealedRequest, Opener) {
        self.seal_at(now(), method, path, body)
    }

    fn seal_at(&self, time: Time, method: SealedMethod, path: &str, body: &str) -> (SealedRequest, Opener) {
        let account = AccountId::new("ada").unwrap();
        let (route, id) = RouteTemplate::of_path(path).unwrap();
        let sender = Sender { account: &account, token: &self.token };
        let request = PlainRequest { method, route: &route, id, body: body.as_bytes(), time };
        seal(&self.destination, &self.key, &sender, &request).unwrap()
    }

    /// Sends a request sealed, and opens the answer.
    fn ask(&self, vault: &Vault, method: SealedMethod, path: &str, body: &str) -> OpenedAnswer {
        let (envelope, opener) = self.seal(method, path, body);
        let answer = vault.send(&posted(1, &envelope).token(&self.token));
        assert_eq!(answer.status, 200, "{answer:?}");
        let sealed: SealedAnswer = serde_json::from_str(&answer.body).unwrap();
        opener.open(answer.status, &sealed).unwrap()
    }

    /// What is answered to an envelope that was changed.
    fn refused(&self, vault: &Vault, change: impl FnOnce(&mut SealedRequest)) -> (u16, String) {
        let (mut envelope, _) = self.seal(SealedMethod::Get, "/v1/registrations", "");
        change(&mut envelope);
        problem(&vault.send(&posted(1, &envelope).token(&self.token)))
    }
}

fn posted(site: u8, envelope: &SealedRequest) -> Request {
    let body = serde_json::to_vec(envelope).unwrap();
    Request::post(&format!("/v1/sites/{site}/sealed"), body)
}

fn problem(answer: &Answer) -> (u16, String) {
    (answer.status, answer.problem())
}

fn behind_a_gateway(home: &Home) -> Vault {
    home.start_and("--gateway=true")
}

#[test]
fn a_sealed_request_is_answered_as_an_open_one_is() {
    let home = Home::new();
    let vault = home.start();
    let client = Client::of(&home, &vault);
    assert!(!client.sealed_only);
    let open = vault.send(&Request::get("/v1/registrations").token(&client.token));
    let sealed = client.ask(&vault, SealedMethod::Get, "/v1/registrations", "");
    assert_eq!((sealed.status, String::from_utf8(sealed.body).unwrap()), (open.status, open.body));
    let path = format!("/v1/retrievals/{ID}");
    let open = vault.send(&Request::put(&path, "{}").token(&client.token));
    let sealed = client.ask(&vault, SealedMethod::Put, &path, "{}");
    assert_eq!((sealed.status, String::from_utf8(sealed.body).unwrap()), (400, open.body));
}

#[test]
fn behind_a_gateway_nothing_but_the_manifest_is_served_in_the_clear() {
    let home = Home::new();
    let vault = behind_a_gateway(&home);
    let client = Client::of(&home, &vault);
    assert!(client.sealed_only);
    let clear = vault.send(&Request::get("/v1/registrations").token(&client.token));
    assert_eq!(problem(&clear), (404, "no-such-route".to_owned()));
    let clear = vault.send(&Request::put(&format!("/v1/retrievals/{ID}"), "{}").token(&client.token));
    assert_eq!(problem(&clear), (404, "no-such-route".to_owned()));
    assert_eq!(client.ask(&vault, SealedMethod::Get, "/v1/registrations", "").status, 200);
    let head = client.ask(&vault, SealedMethod::Get, "/v1/archive-head", "");
    let body: serde_json::Value = serde_json::from_slice(&head.body).unwrap();
    assert_eq!((head.status, body["type"].as_str()), (404, Some("urn:coffer:problem:not-registered")));
}

#[test]
fn refuses_a_seal_without_a_token() {
    let home = Home::new();
    let vault = behind_a_gateway(&home);
    let client = Client::of(&home, &vault);
    let (envelope, _) = client.seal(SealedMethod::Get, "/v1/registrations", "");
    assert_eq!(problem(&vault.send(&posted(1, &envelope))), (401, "unauthorized".to_owned()));
}

#[test]
fn refuses_a_seal_with_another_account_s_token() {
    let home = Home::new();
    let vault = behind_a_gateway(&home);
    let client = Client::of(&home, &vault);
    let (envelope, _) = client.seal(SealedMethod::Get, "/v1/registrations", "");
    let bobs = home.issuer.token("bob");
    assert_eq!(problem(&vault.send(&posted(1, &envelope).token(&bobs))), (400, "invalid-seal".to_owned()));
}

#[test]
fn refuses_a_seal_for_another_site() {
    let home = Home::new();
    let vault = behind_a_gateway(&home);
    let mut client = Client::of(&home, &vault);
    let (envelope, _) = client.seal(SealedMethod::Get, "/v1/registrations", "");
    let invalid = (400, "invalid-seal".to_owned());
    assert_eq!(problem(&vault.send(&posted(2, &envelope).token(&client.token))), invalid);
    client.destination.site = SiteNumber(2);
    assert_eq!(client.refused(&vault, |_| {}), invalid);
}

#[test]
fn refuses_a_seal_that_was_altered() {
    let home = Home::new();
    let vault = behind_a_gateway(&home);
    let client = Client::of(&home, &vault);
    let invalid = (400, "invalid-seal".to_owned());
    let other = RouteTemplate::new("/v1/archive-head").unwrap();
    assert_eq!(client.refused(&vault, |envelope| envelope.method = SealedMethod::Delete), invalid);
    assert_eq!(client.refused(&vault, |envelope| envelope.route = other), invalid);
    assert_eq!(client.refused(&vault, |envelope| envelope.time = envelope.time + Duration::from_secs(1)), invalid);
    assert_eq!(client.refused(&vault, |envelope| envelope.enc.0[5] ^= 1), invalid);
}

#[test]
fn refuses_a_seal_of_another_time() {
    let home = Home::new();
    let vault = behind_a_gateway(&home);
    let client = Client::of(&home, &vault);
    for time in [now() - Duration::from_secs(400), now() + Duration::from_secs(400)] {
        let (envelope, _) = client.seal_at(time, SealedMethod::Get, "/v1/registrations", "");
        let answer = vault.send(&posted(1, &envelope).token(&client.token));
        assert_eq!(problem(&answer), (400, "invalid-seal".to_owned()));
    }
}

#[test]
fn refuses_a_seal_to_a_key_of_before_its_start() {
    let home = Home::new();
    let vault = behind_a_gateway(&home);
    let client = Client::of(&home, &vault);
    drop(vault);
    let vault = behind_a_gateway(&home);
    assert_eq!(client.refused(&vault, |_| {}), (409, "unknown-transport-key".to_owned()));
    let again = Client::of(&home, &vault);
    assert_ne!(TransportKeyId::of(&again.key), TransportKeyId::of(&client.key));
    assert_eq!(again.ask(&vault, SealedMethod::Get, "/v1/registrations", "").status, 200);
}

#[test]
fn inside_of_a_seal_there_is_no_other() {
    let home = Home::new();
    let vault = behind_a_gateway(&home);
    let client = Client::of(&home, &vault);
    for path in ["/v1/fleet", "/v1/sites/sealed", "/v1/openapi"] {
        assert_eq!(client.ask(&vault, SealedMethod::Get, path, "").status, 404, "{path}");
    }
    assert_eq!(client.ask(&vault, SealedMethod::Put, "/v1/registrations", "").status, 405);
}

#[test]
fn a_sealed_request_counts_once() {
    let home = Home::new();
    let vault = home.start_and("--limits-account-per-minute=3");
    let client = Client::of(&home, &vault);
    for _ in 0..2 {
        assert_eq!(client.ask(&vault, SealedMethod::Get, "/v1/registrations", "").status, 200);
    }
    let (envelope, _) = client.seal(SealedMethod::Get, "/v1/registrations", "");
    let answer = vault.send(&posted(1, &envelope).token(&client.token));
    assert_eq!(problem(&answer), (429, "too-many-requests".to_owned()));
}

#[test]
fn refuses_an_envelope_that_is_too_long() {
    let home = Home::new();
    let vault = behind_a_gateway(&home);
    let token = home.issuer.token("ada");
    let long = Request::post("/v1/sites/1/sealed", " ".repeat((32 << 10) + 1)).token(&token);
    assert_eq!(problem(&vault.send(&long)), (413, "too-large".to_owned()));
}

#[test]
fn the_log_names_what_was_asked_inside_by_the_same_request_id() {
    let home = Home::new();
    let vault = behind_a_gateway(&home);
    let client = Client::of(&home, &vault);
    let (envelope, _) = client.seal(SealedMethod::Get, "/v1/registrations", "");
    vault.send(&posted(1, &envelope).token(&client.token).header("x-request-id: of-the-client"));
    let log = vault.log();
    let named: Vec<&str> = log.lines().filter(|line| line.contains("of-the-client")).collect();
    assert!(named.iter().any(|line| line.contains("/v1/registrations")), "{log}");
    assert!(named.iter().any(|line| line.contains("/v1/sites/{site}/sealed")), "{log}");
    assert!(!log.contains(&client.token) && !log.contains("ada"), "{log}");
}
