//! The OpenAPI document.

use std::fs;
use std::path::Path;

use crate::http::Request;
use crate::vault::{Home, binary};

#[test]
fn the_committed_document_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/openapi.json");
    let output = binary().arg("openapi").output().unwrap();
    assert!(output.status.success());
    let generated = String::from_utf8(output.stdout).unwrap();
    let committed = fs::read_to_string(path).unwrap();
    assert!(
        generated == committed,
        "proto/openapi.json is old: cargo run -p coffer-vault-server -- openapi > proto/openapi.json"
    );
}

#[test]
fn every_operation_of_the_document_is_served_and_needs_a_token() {
    let home = Home::new();
    let vault = home.start();
    let served = vault.send(&Request::get("/openapi.json"));
    assert_eq!(served.status, 200);
    let document: serde_json::Value = serde_json::from_str(&served.body).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let token = home.issuer.token("ada");
    let mut operations = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let request =
                Request::new(&method.to_uppercase(), &path.replace("{id}", &"0".repeat(32)).replace("{site}", "1"));
            assert_eq!(vault.send(&request).status, 401, "{method} {path}");
            let status = vault.send(&request.token(&token)).status;
            assert!([200, 404, 415].contains(&status), "{method} {path}: {status}");
            operations += 1;
        }
    }
    assert_eq!(operations, 11);
}

#[test]
fn every_reference_of_the_document_leads_to_a_schema() {
    let output = binary().arg("openapi").output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = document.to_string();
    let references: Vec<&str> = text.split(r#""$ref":"#).skip(1).map(|rest| rest.split('"').nth(1).unwrap()).collect();
    assert!(!references.is_empty());
    for reference in references {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}
