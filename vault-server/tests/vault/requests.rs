//! What is refused, and how.

use crate::http::Request;
use crate::vault::Home;

const ID: &str = "00000000000000000000000000000000";

/// A retrieval that is right in form and in nothing else.
fn retrieval() -> String {
    let ke1 = "A".repeat(131);
    let signature = "A".repeat(86);
    format!(r#"{{"registration":"{ID}","ke1":"{ke1}","device_signature":"{signature}"}}"#)
}

#[test]
fn refuses_every_request_that_is_not_exactly_of_the_api() {
    let home = Home::new();
    let vault = home.start();
    let token = home.issuer.token("ada");
    let right = retrieval();
    let path = format!("/v1/retrievals/{ID}");
    let put = |body: String| Request::put(&path, body);
    let doubled = right.replacen('{', &format!(r#"{{"registration":"{ID}","#), 1);
    let cases = [
        ("an unknown field", put(right.replacen('{', r#"{"more":1,"#, 1)), 400, "malformed"),
        ("a field that is there twice", put(doubled), 400, "malformed"),
        ("a missing field", put("{}".to_owned()), 400, "malformed"),
        ("deep nesting", put("[".repeat(10_000)), 400, "malformed"),
        ("deep nesting in a field", put(format!(r#"{{"ke1":{}"#, "[".repeat(10_000))), 400, "malformed"),
        ("bytes after the end", put(format!("{right} {{}}")), 400, "malformed"),
        ("padding", put(right.replacen("A\"", "A==\"", 1)), 400, "malformed"),
        ("no body", Request::put(&path, ""), 400, "malformed"),
        ("not a KE1", put(right.clone()), 400, "malformed"),
        ("no id", Request::put("/v1/retrievals/0", right.clone()), 400, "malformed"),
        (
            "an id in capitals",
            Request::put(&format!("/v1/retrievals/{}", "A".repeat(32)), right.clone()),
            400,
            "malformed",
        ),
        ("a long body", put(" ".repeat(16 * 1024 + 1)), 413, "too-large"),
        ("an unknown route", Request::get("/v1/nothing"), 404, "no-such-route"),
        ("a later version", Request::get("/v2/fleet"), 404, "no-such-route"),
        ("another method", Request::new("POST", &path), 405, "method-not-allowed"),
    ];
    for (name, request, status, problem) in cases {
        let answer = vault.send(&request.token(&token));
        assert_eq!((answer.status, answer.problem().as_str()), (status, problem), "{name}: {answer:?}");
    }
}

#[test]
fn refuses_a_body_of_another_media_type() {
    let home = Home::new();
    let vault = home.start();
    let token = home.issuer.token("ada");
    let request = |media_type: &str| {
        let request = Request::new("PUT", &format!("/v1/retrievals/{ID}")).token(&token);
        vault.send(&request.header(&format!("content-type: {media_type}")))
    };
    for media_type in ["text/plain", "application/jsonx", "application/x-www-form-urlencoded"] {
        let answer = request(media_type);
        assert_eq!((answer.status, answer.problem().as_str()), (415, "unsupported-media-type"), "{media_type}");
    }
    assert_eq!(request("Application/JSON; charset=utf-8").problem(), "malformed");
}

#[test]
fn another_method_is_told_which_there_are_and_a_later_version_that_there_is_none() {
    let home = Home::new();
    let vault = home.start();
    let token = home.issuer.token("ada");
    let answer = vault.send(&Request::new("POST", "/v1/archive-head").token(&token));
    let mut allowed: Vec<&str> = answer.header("allow").unwrap().split(',').collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "PUT"]);
    let answer = vault.send(&Request::get("/v2/fleet"));
    assert!(answer.body.contains("version 1 of the API"), "{answer:?}");
}

#[test]
fn an_account_that_was_never_seen_has_nothing() {
    let home = Home::new();
    let vault = home.start();
    let answer = vault.send(&Request::get("/v1/registrations").token(&home.issuer.token("ada")));
    assert_eq!(answer.body, r#"{"live":null,"waiting":null,"locked":null,"cool_down_until":null}"#);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[test]
fn a_request_id_is_kept_if_a_log_can_bear_it() {
    let home = Home::new();
    let vault = home.start();
    let id = |given: &str| {
        let answer = vault.send(&Request::get("/v1/fleet").header(&format!("x-request-id: {given}")));
        answer.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(id("abc-1"), "abc-1");
    assert!(vault.log().contains("abc-1"));
    assert_ne!(id("two words"), "two words");
    assert!(!vault.log().contains("two words"));
}

#[test]
fn whoever_asks_too_often_is_told_when_to_come_again() {
    let home = Home::new();
    let vault = home.start_with(&["--limits-address-per-minute=3".as_ref()]);
    let answers: Vec<_> = (0..4).map(|_| vault.send(&Request::get("/v1/fleet"))).collect();
    assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [401, 401, 401, 429]);
    let seconds: u64 = answers[3].header("retry-after").unwrap().parse().unwrap();
    assert!((1..=20).contains(&seconds), "{seconds}");
    assert_eq!(answers[3].problem(), "too-many-requests");
}

#[test]
fn refuses_too_many_requests_of_an_address_for_what_needs_no_token_too() {
    let home = Home::new();
    let vault = home.start_with(&["--limits-address-per-minute=3".as_ref()]);
    let paths = ["/openapi.json", "/nothing", "/v1/fleet", "/openapi.json"];
    let statuses = paths.map(|path| vault.send(&Request::get(path)).status);
    assert_eq!(statuses, [200, 404, 401, 429]);
}

#[test]
fn an_account_s_limit_is_its_own() {
    let home = Home::new();
    let jwks = home.folder.path().join("issuer.json");
    let vault = home.start_with(&[
        "--limits-account-per-minute=1".as_ref(),
        "--tokens-issuer=test".as_ref(),
        "--tokens-audience=coffer".as_ref(),
        "--tokens-jwks-file".as_ref(),
        &jwks,
    ]);
    let status = |account| vault.send(&Request::get("/v1/registrations").token(&home.issuer.token(account))).status;
    assert_eq!([status("ada"), status("ada"), status("bob")], [200, 429, 200]);
}
