//! How the gateway starts, what it shows of itself, and how it ends.

use std::fs;

use crate::http::Request;
use crate::program::{Gateway, binary};
use crate::site::Site;

#[test]
fn ends_in_good_order() {
    assert!(Gateway::before(&[&Site::down()]).terminate().success());
}

#[test]
fn is_ready_with_one_site_and_names_the_others() {
    let gateway = Gateway::before(&[&Site::answering_json("{}"), &Site::down()]);
    let answer = Request::get("/readyz").send(&gateway.ops);
    assert_eq!((answer.status, answer.body.as_str()), (200, "ready; sites that do not answer: 2\n"));
    assert_eq!(Request::get("/livez").send(&gateway.ops).body, "alive\n");
}

#[test]
fn is_not_ready_without_a_site() {
    let gateway = Gateway::before(&[&Site::down()]);
    let answer = Request::get("/readyz").send(&gateway.ops);
    assert_eq!((answer.status, answer.body.as_str()), (503, "not ready; sites that do not answer: 1\n"));
}

#[test]
fn counts_requests_by_route_and_sites_that_are_down() {
    let gateway = Gateway::before(&[&Site::down()]);
    gateway.ask(Request::post("/v1/sites/1/sealed", "{}"));
    let metrics = Request::get("/metrics").send(&gateway.ops).body;
    for line in [
        r#"coffer_gateway_requests_total{route="/v1/sites/{site}/sealed",method="POST",status="502"} 1"#,
        r#"coffer_gateway_site_unreachable_total{site="1"} 1"#,
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[test]
fn no_log_line_has_a_token_an_account_or_a_body() {
    let gateway = Gateway::before(&[&Site::answering_json(r#"{"answer": "secret"}"#), &Site::down()]);
    for site in [1, 2] {
        gateway.ask(Request::post(&format!("/v1/sites/{site}/sealed"), r#"{"request": "secret"}"#));
    }
    gateway.ask(Request::get("/v1/fleet"));
    let log = gateway.log();
    assert!(log.contains("the site cannot be reached") && log.contains("/v1/sites/{site}/sealed"), "{log}");
    for secret in [gateway.token.as_str(), "ada", "secret"] {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
}

#[test]
fn check_config_says_what_is_wrong_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    let check = |text: &str| {
        fs::write(&file, text).unwrap();
        let output = binary().arg("check-config").arg("--config").arg(&file).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let tokens = "[tokens]\nissuer = \"i\"\naudience = \"a\"\njwks_file = \"/nowhere/keys\"\n";
    let site = "[[sites]]\nnumber = 1\nurl = \"https://one.example\"\n";
    let (code, said) = check(&format!("{tokens}{site}"));
    assert!(code == Some(3) && said.contains("/nowhere/keys"), "{said}");
    let (code, said) = check(&format!("{tokens}{}", site.replace("https", "http")));
    assert!(code == Some(3) && said.contains("line 5: sites: http://one.example is not https"), "{said}");
    let (code, said) = check("site = 1\n");
    assert!(code == Some(3) && said.contains("unknown field `site`"), "{said}");
    let keys = folder.path().join("keys");
    fs::write(&keys, crate::token::Issuer::new(7).jwks()).unwrap();
    let (code, said) = check(&format!("{tokens}{site}").replace("/nowhere/keys", keys.to_str().unwrap()));
    assert_eq!((code, said.as_str()), (Some(0), ""));
}
