//! Which tokens are taken, and that whoever has none learns nothing.

use std::fs;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::http::Request;
use crate::token::{Issuer, claims, header, message, now};
use crate::vault::{Home, wait_for};

/// `changed` with one field replaced; removed if the new value is null.
fn with(mut changed: Value, field: &str, value: Value) -> Value {
    let fields = changed.as_object_mut().unwrap();
    fields.remove(field);
    if !value.is_null() {
        fields.insert(field.to_owned(), value);
    }
    changed
}

fn refused_tokens(issuer: &Issuer) -> Vec<(&'static str, String)> {
    let right = issuer.token("ada");
    let mut cases = Vec::new();
    let mut claim = |name, field: &str, value| {
        cases.push((name, issuer.sign(&header(), &with(claims("ada"), field, value))));
    };
    claim("expired", "exp", json!(now() - 61));
    claim("without exp", "exp", Value::Null);
    claim("exp as text", "exp", json!("9999999999"));
    claim("not yet valid", "nbf", json!(now() + 90));
    claim("for another audience", "aud", json!("elsewhere"));
    claim("without an audience", "aud", Value::Null);
    claim("of another issuer", "iss", json!("elsewhere"));
    claim("without an issuer", "iss", Value::Null);
    claim("without an account", "sub", Value::Null);
    claim("with an empty account", "sub", json!(""));
    claim("without a device key", "cnf", Value::Null);
    claim("with a device key by name only", "cnf", json!({"kid": "1"}));
    let short = json!({"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}});
    claim("with a device key that is too short", "cnf", short);
    let x25519 = json!({"jwk": {"kty": "OKP", "crv": "X25519", "x": URL_SAFE_NO_PAD.encode([1; 32])}});
    claim("with a device key that cannot sign", "cnf", x25519);

    let unsigned = message(&with(header(), "alg", json!("none")), &claims("ada"));
    cases.push(("alg none", format!("{unsigned}.")));
    cases.push(("alg none and a signature", issuer.sign(&with(header(), "alg", json!("none")), &claims("ada"))));
    let hmac = Header { kid: Some("1".to_owned()), ..Header::new(Algorithm::HS256) };
    for (name, secret) in [
        ("HS256 with the public key", issuer.public().to_vec()),
        ("HS256 with the public key's text", URL_SAFE_NO_PAD.encode(issuer.public()).into_bytes()),
        ("HS256 with the key set", issuer.jwks().into_bytes()),
    ] {
        cases.push((name, encode(&hmac, &claims("ada"), &EncodingKey::from_secret(&secret)).unwrap()));
    }
    cases.push(("signed by another key", Issuer::new(8).token("ada")));
    cases.push(("of another kid", issuer.sign(&with(header(), "kid", json!("2")), &claims("ada"))));
    cases.push(("critical", issuer.sign(&with(header(), "crit", json!(["exp"])), &claims("ada"))));
    let parts: Vec<&str> = right.split('.').collect();
    let other = message(&header(), &claims("bob"));
    cases.push(("another account's name put in", format!("{other}.{}", parts[2])));
    cases.push(("cut off", right[..right.len() - 2].to_owned()));
    cases.push(("without a signature", format!("{}.{}.", parts[0], parts[1])));
    cases.push(("two parts", format!("{}.{}", parts[0], parts[1])));
    cases.push(("endless", format!("{right}{}", "A".repeat(8000))));
    cases.push(("empty", String::new()));
    cases.push(("no token at all", "hello".to_owned()));
    cases
}

#[test]
fn every_token_that_does_not_hold_gets_the_same_answer_as_none() {
    let home = Home::new();
    let vault = home.start();
    let right = Request::get("/v1/registrations").token(&home.issuer.token("ada"));
    assert_eq!(vault.send(&right).status, 200);
    let none = vault.send(&Request::get("/v1/registrations")).comparable();
    assert_eq!((none.status, none.problem().as_str()), (401, "unauthorized"));
    assert_eq!(none.header("www-authenticate"), Some("Bearer realm=\"coffer\""));
    for (name, token) in refused_tokens(&home.issuer) {
        let answer = vault.send(&Request::get("/v1/registrations").token(&token)).comparable();
        assert_eq!(answer, none, "{name}");
    }
}

/// A token of so many bytes that holds. Base64 has texts of three lengths in four: header and claims together fill any.
fn token_of_len(issuer: &Issuer, len: usize) -> String {
    let stuffed = |what: Value, count: usize| with(what, "stuffing", json!("x".repeat(count)));
    let token =
        |(header_len, claims_len)| issuer.sign(&stuffed(header(), header_len), &stuffed(claims("ada"), claims_len));
    let fillings = (0..3).flat_map(|header_len| (0..len).map(move |claims_len| (header_len, claims_len)));
    fillings.map(token).find(|token| token.len() == len).unwrap()
}

#[test]
fn a_token_of_more_than_1024_bytes_is_refused_although_it_is_signed() {
    let home = Home::new();
    let vault = home.start();
    let answer =
        |len| vault.send(&Request::get("/v1/registrations").token(&token_of_len(&home.issuer, len))).comparable();
    assert_eq!(answer(1024).status, 200);
    let none = vault.send(&Request::get("/v1/registrations")).comparable();
    for len in [1025, 1026, 4096] {
        assert_eq!(answer(len), none, "{len}");
    }
}

#[test]
fn without_a_token_neither_body_nor_route_change_the_answer() {
    let home = Home::new();
    let vault = home.start();
    let none = vault.send(&Request::get("/v1/registrations")).comparable();
    let id = "0".repeat(32);
    for request in [
        Request::get("/v1/fleet"),
        Request::get("/v1/nothing"),
        Request::put(&format!("/v1/retrievals/{id}"), "{}"),
        Request::put("/v1/retrievals/not-an-id", "not json"),
        Request::new("PUT", "/v1/archive-head").header("content-type: text/plain"),
        Request::new("DELETE", &format!("/v1/registrations/{id}")),
    ] {
        assert_eq!(vault.send(&request).comparable(), none);
    }
}

#[test]
fn a_token_expires_although_it_was_verified_before() {
    let home = Home::new();
    let vault = home.start();
    // The leeway is 60 s.
    let token = home.issuer.sign(&header(), &with(claims("ada"), "exp", json!(now() - 57)));
    let request = Request::get("/v1/registrations").token(&token);
    assert_eq!(vault.send(&request).status, 200);
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(vault.send(&request).status, 401);
}

#[test]
fn a_token_of_es256_is_taken() {
    // RFC 7515, A.3: its key.
    let d = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";
    let x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
    let y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
    let home = Home::new();
    let jwks = json!({"keys": [{"kty": "EC", "crv": "P-256", "x": x, "y": y}]});
    fs::write(home.folder.path().join("issuer.json"), jwks.to_string()).unwrap();
    let vault = home.start();
    let scalar = URL_SAFE_NO_PAD.decode(d).unwrap();
    let point = [x, y].map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).concat();
    // PKCS#8 around SEC 1.
    let mut der = vec![0x30, 0x81, 0x87, 0x02, 1, 0, 0x30, 0x13, 0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
    der.extend([0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7, 0x04, 0x6d, 0x30, 0x6b, 0x02, 1, 1, 0x04, 0x20]);
    der.extend(scalar);
    der.extend([0xa1, 0x44, 0x03, 0x42, 0, 4]);
    der.extend(point);
    let key = EncodingKey::from_ec_der(&der);
    let token = encode(&Header::new(Algorithm::ES256), &claims("ada"), &key).unwrap();
    assert_eq!(vault.send(&Request::get("/v1/registrations").token(&token)).status, 200);
    let eddsa = home.issuer.token("ada");
    assert_eq!(vault.send(&Request::get("/v1/registrations").token(&eddsa)).status, 401);
}

#[test]
fn the_issuer_s_keys_are_read_again_when_they_change() {
    let home = Home::new();
    let vault = home.start();
    let file = home.folder.path().join("issuer.json");
    let (old, new) = (home.issuer.token("ada"), Issuer::new(9));
    let status = |token: &str| vault.send(&Request::get("/v1/registrations").token(token)).status;
    assert_eq!((status(&old), status(&new.token("ada"))), (200, 401));
    fs::write(&file, "broken").unwrap();
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(status(&old), 200);
    fs::write(&file, new.jwks()).unwrap();
    wait_for(|| (status(&new.token("ada")) == 200).then_some(()));
    assert_eq!(status(&old), 401);
}
