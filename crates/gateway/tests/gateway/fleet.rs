//! `GET /v1/fleet`, gathered from the sites.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::http::Request;
use crate::program::Gateway;
use crate::site::Site;

/// A site's answer, as far as a gateway reads it.
fn site(number: u8, version: u64) -> Site {
    site_with(number, version, 1)
}

/// The same, with its certificate so many times.
fn site_with(number: u8, version: u64, certificates: usize) -> Site {
    let bytes = |count: usize| URL_SAFE_NO_PAD.encode(vec![2; count]);
    let certificate = json!({
        "site": number, "receipt_key": bytes(32), "transport_key": bytes(33), "signature": bytes(64),
        "not_before": "2026-11-22T00:00:00Z", "not_after": "2026-11-24T00:00:00Z",
    });
    let manifest = URL_SAFE_NO_PAD.encode(json!({ "version": version }).to_string());
    let manifest =
        json!({"manifest": manifest, "roots": {"threshold": 1, "keys": []}, "signatures": [], "successions": []});
    let answer = json!({"manifest": manifest, "certificates": vec![certificate; certificates], "sealed_only": true});
    Site::answering_json(&answer.to_string())
}

/// The manifest's version, and whose certificates come with it.
fn fleet(gateway: &Gateway) -> (u64, Vec<u64>) {
    let answer = gateway.ask(Request::get("/v1/fleet"));
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(answer["sealed_only"], true);
    let manifest = URL_SAFE_NO_PAD.decode(answer["manifest"]["manifest"].as_str().unwrap()).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let certificates = answer["certificates"].as_array().unwrap();
    (manifest["version"].as_u64().unwrap(), certificates.iter().map(|own| own["site"].as_u64().unwrap()).collect())
}

#[test]
fn the_newest_manifest_comes_with_the_certificates_of_the_sites_that_are_up() {
    let (one, two, four) = (site(1, 3), site(2, 5), site(4, 4));
    let gateway = Gateway::before(&[&one, &two, &Site::down(), &four]);
    assert_eq!(fleet(&gateway), (5, vec![1, 2, 4]));
    let seen = one.take_seen().remove(0);
    assert!(seen.starts_with("GET /v1/fleet HTTP/1.1\r\n") && seen.contains(&gateway.token), "{seen}");
}

#[test]
fn a_site_that_talks_nonsense_is_left_out() {
    let gateway = Gateway::before(&[&Site::answering_json("[]"), &site(2, 1)]);
    assert_eq!(fleet(&gateway), (1, vec![2]));
}

#[test]
fn with_no_site_there_is_no_fleet() {
    let answer = Gateway::before(&[&Site::down()]).ask(Request::get("/v1/fleet"));
    assert_eq!((answer.status, answer.problem().as_str()), (502, "site-unreachable"));
}

#[test]
fn refuses_a_newer_manifest_that_one_site_has_made_up() {
    let gateway = Gateway::before(&[&site(1, u64::MAX), &site(2, 4), &site(3, 4)]);
    assert_eq!(fleet(&gateway), (4, vec![1, 2, 3]));
}

#[test]
fn refuses_more_certificates_of_a_site_than_one() {
    let gateway = Gateway::before(&[&site_with(1, 4, 500), &site(2, 4)]);
    assert_eq!(fleet(&gateway), (4, vec![1, 2]));
}
