//! Whether the vault says what it cannot do.

use std::fs;

use crate::http::Request;
use crate::vault::{Home, wait_for};

#[test]
fn is_not_ready_without_its_token_and_ready_when_it_is_back() {
    let home = Home::new();
    let vault = home.start();
    assert_eq!(vault.readiness(), 200);
    let tokens = home.data().join("token/tokens");
    let away = home.data().join("token/away");
    fs::rename(&tokens, &away).unwrap();
    wait_for(|| (vault.readiness() == 503).then_some(()));
    let said = Request::get("/readyz").send(&vault.ops).body;
    assert_eq!(said, "not ready: the HSM\n");
    assert_eq!(Request::get("/livez").send(&vault.ops).status, 200);
    let metrics = || Request::get("/metrics").send(&vault.ops).body;
    assert!(metrics().contains("coffer_vault_ready 0\n"), "{}", metrics());
    // What needs the HSM is refused, with a time to come again; nothing else is.
    let token = home.issuer.token("ada");
    let fleet = vault.send(&Request::get("/v1/fleet").token(&token));
    assert_eq!((fleet.status, fleet.problem().as_str()), (503, "unavailable"));
    assert!(fleet.header("retry-after").is_some());
    assert_eq!(vault.send(&Request::get("/v1/registrations").token(&token)).status, 200);
    fs::rename(&away, &tokens).unwrap();
    wait_for(|| (vault.readiness() == 200).then_some(()));
    assert!(metrics().contains("coffer_vault_ready 1\n"), "{}", metrics());
    assert_eq!(vault.send(&Request::get("/v1/fleet").token(&token)).status, 200);
}

#[test]
fn metrics_count_requests_by_route_and_never_name_an_account() {
    let home = Home::new();
    let vault = home.start();
    let id = "0".repeat(32);
    vault.send(&Request::get("/v1/registrations").token(&home.issuer.token("account-of-ada")));
    vault.send(&Request::put(&format!("/v1/retrievals/{id}"), "{}").token(&home.issuer.token("account-of-ada")));
    let metrics = Request::get("/metrics").send(&vault.ops).body;
    let counted = r#"coffer_vault_requests_total{route="/v1/registrations",method="GET",status="200"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
    assert!(metrics.contains(r#"route="/v1/retrievals/{id}""#), "{metrics}");
    assert!(metrics.contains(r#"coffer_vault_hsm_operations_total{operation="evaluation"} 0"#), "{metrics}");
    assert!(!metrics.contains("account-of-ada") && !metrics.contains(&id), "{metrics}");
}
