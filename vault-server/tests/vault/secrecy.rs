//! That nothing secret is ever logged.

use std::fs;

use crate::http::Request;
use crate::vault::Home;

#[test]
fn no_token_no_body_and_no_key_is_in_the_logs() {
    let home = Home::new();
    let token = home.issuer.token("ada");
    let id = "0123456789abcdef".repeat(2);
    let vault = home.start();
    for request in [
        Request::get("/v1/fleet").token(&token),
        Request::get(&format!("/v1/nothing?token={token}")).token(&token),
        Request::put(&format!("/v1/retrievals/{id}"), r#"{"marker-in-the-body":"marker-of-a-value"}"#).token(&token),
        Request::get("/v1/fleet").token("marker-of-a-wrong-token"),
    ] {
        vault.send(&request);
    }
    let log = vault.log();
    vault.terminate();
    assert!(log.contains("status=400") && log.contains("status=401"), "{log}");
    let secrets = ["secrets/pin", "secrets/so-pin"].map(|file| fs::read_to_string(home.data().join(file)).unwrap());
    let signature = token.rsplit('.').next().unwrap();
    for secret in secrets.iter().map(String::as_str).chain([signature, "marker", &id]) {
        assert!(!log.contains(secret), "{secret} is in:\n{log}");
    }
}
