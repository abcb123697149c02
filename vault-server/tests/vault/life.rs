//! Starting, ending, starting again.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::http::Request;
use crate::vault::{Home, binary};

#[test]
fn starts_with_nothing_configured_and_prints_its_address() {
    let home = Home::new();
    let vault = home.start_with(&[]);
    let (url, fingerprint) = vault.line.split_once("/#").unwrap();
    assert_eq!(url, format!("http://{}", vault.api));
    assert_eq!(fingerprint.len(), 64);
    assert!(fingerprint.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')), "{fingerprint}");
    assert_eq!(vault.readiness(), 200);
    for (file, mode) in [("", 0o700), ("secrets", 0o700), ("secrets/pin", 0o600), ("secrets/token-issuer", 0o600)] {
        assert_eq!(fs::metadata(home.data().join(file)).unwrap().permissions().mode() & 0o777, mode, "{file}");
    }
}

#[test]
fn its_own_tokens_are_taken_and_the_fleet_is_the_one_of_the_address() {
    let home = Home::new();
    let vault = home.start_with(&[]);
    // One key in 64 begins with a hyphen.
    let key = format!("-{}", "A".repeat(42));
    let token = binary()
        .args(["dev-token", "--account=ada", "--device-key", &key, "--valid-for=1h", "--data"])
        .arg(home.data())
        .output()
        .unwrap();
    assert!(token.status.success());
    let token = String::from_utf8(token.stdout).unwrap();
    let answer = vault.send(&Request::get("/v1/fleet").token(token.trim_end()));
    assert_eq!(answer.status, 200, "{answer:?}");
    let fleet: coffer_proto::FleetAnswer = serde_json::from_str(&answer.body).unwrap();
    assert!(vault.line.ends_with(&fleet.manifest.roots.fingerprint().to_string()));
    assert_eq!(fleet.certificates.len(), 1);
}

#[test]
fn a_restart_keeps_fingerprint_and_manifest_and_sigterm_ends_in_good_order() {
    let home = Home::new();
    let first = home.start();
    let fingerprint = first.line.split_once('#').unwrap().1.to_owned();
    let manifest = fs::read(home.data().join("manifest.json")).unwrap();
    // A client that stays connected and says nothing does not hold the end up.
    let idle = std::net::TcpStream::connect(&first.api).unwrap();
    let (status, took) = first.terminate();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    drop(idle);
    let second = home.start();
    assert!(second.line.ends_with(&fingerprint));
    assert_eq!(fs::read(home.data().join("manifest.json")).unwrap(), manifest);
    assert_eq!(second.readiness(), 200);
}

/// What the vault says when it does not start, and its exit code.
fn refused(home: &Home, arguments: &[&str]) -> (String, Option<i32>) {
    let output = binary()
        .args(["serve", "--listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0", "--data"])
        .arg(home.data())
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.stdout.is_empty());
    (String::from_utf8(output.stderr).unwrap(), output.status.code())
}

#[test]
fn refuses_a_folder_that_another_vault_runs_in() {
    let home = Home::new();
    let _vault = home.start();
    let (said, code) = refused(&home, &[]);
    assert!(said.contains("is in use by another coffer-vault"), "{said}");
    assert_eq!(code, Some(5));
}

#[test]
fn refuses_to_become_another_vault_when_its_manifest_is_lost() {
    let home = Home::new();
    home.start().terminate();
    fs::remove_file(home.data().join("manifest.json")).unwrap();
    let (said, code) = refused(&home, &[]);
    assert!(said.contains("it is missing, but the store is there"), "{said}");
    assert_eq!(code, Some(5));
}

#[test]
fn refuses_a_manifest_that_it_has_not_signed() {
    let home = Home::new();
    home.start().terminate();
    let path = home.data().join("manifest.json");
    let mut signed: coffer_proto::SignedManifest = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let text = String::from_utf8(signed.manifest.as_bytes().to_vec()).unwrap();
    let changed = text.replace("\"max_attempts\":10", "\"max_attempts\":99");
    assert_ne!(changed, text);
    signed.manifest = coffer_proto::Base64Vec::new(changed.into_bytes()).unwrap();
    fs::write(&path, serde_json::to_vec(&signed).unwrap()).unwrap();
    let (said, code) = refused(&home, &[]);
    assert!(said.contains("its signature does not hold"), "{said}");
    assert_eq!(code, Some(5));
}

#[test]
fn refuses_another_number_of_guesses_than_the_manifest_s() {
    let home = Home::new();
    home.start().terminate();
    let (said, code) = refused(&home, &["--policy-max-attempts=20"]);
    assert!(said.contains("policy.max_attempts differs"), "{said}");
    assert_eq!(code, Some(5));
}
