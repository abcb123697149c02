//! Sealed requests: which go on, and what comes back.

use crate::http::{Answer, Request};
use crate::program::Gateway;
use crate::site::Site;

const ENVELOPE: &str = r#"{"ciphertext": "nobody here can read it"}"#;
const ANSWER: &str = r#"{"nonce": "n", "ciphertext": "nor this"}"#;

fn sealed(site: u8) -> Request {
    Request::post(&format!("/v1/sites/{site}/sealed"), ENVELOPE)
}

fn problem(answer: &Answer) -> (u16, String) {
    (answer.status, answer.problem())
}

#[test]
fn a_request_goes_to_the_site_that_it_names_as_it_is() {
    let (one, two) = (Site::answering_json("{}"), Site::answering_json(ANSWER));
    let gateway = Gateway::before(&[&one, &two]);
    let answer = gateway.ask(sealed(2).header("x-request-id: of-the-client"));
    assert_eq!((answer.status, answer.body.as_str()), (200, ANSWER));
    assert!(one.take_seen().is_empty());
    let seen = two.take_seen().remove(0);
    assert!(seen.starts_with("POST /v1/sites/2/sealed HTTP/1.1\r\n"), "{seen}");
    for part in [&format!("authorization: Bearer {}\r\n", gateway.token), "x-request-id: of-the-client\r\n"] {
        assert!(seen.contains(part), "{part} is not in {seen}");
    }
    assert!(seen.ends_with(ENVELOPE), "{seen}");
}

#[test]
fn a_problem_of_the_site_s_goes_back_as_it_is() {
    let body = r#"{"type": "urn:coffer:problem:unknown-transport-key", "title": "t", "status": 409}"#;
    let head =
        "HTTP/1.1 409 Conflict\r\ncontent-type: application/problem+json\r\nretry-after: 7\r\nset-cookie: a=b\r\n";
    let site = Site::answering(format!("{head}connection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
    let answer = Gateway::before(&[&site]).ask(sealed(1));
    assert_eq!(problem(&answer), (409, "unknown-transport-key".to_owned()));
    assert_eq!((answer.header("retry-after"), answer.header("set-cookie")), (Some("7"), None));
}

#[test]
fn a_site_that_is_down_is_named_and_no_more_is_said() {
    let (up, down) = (Site::answering_json(ANSWER), Site::down());
    let gateway = Gateway::before(&[&up, &down]);
    let answer = gateway.ask(sealed(2));
    assert_eq!(problem(&answer), (502, "site-unreachable".to_owned()));
    assert!(answer.body.contains("Site 2 does not answer."), "{}", answer.body);
    assert!(!answer.body.contains("127.0.0.1"), "{}", answer.body);
    assert_eq!(gateway.ask(sealed(1)).status, 200);
}

#[test]
fn an_answer_that_does_not_end_is_none() {
    let mut answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
    answer.resize((256 << 10) + 1000, b' ');
    assert_eq!(problem(&Gateway::before(&[&Site::answering(answer)]).ask(sealed(1))).0, 502);
}

#[test]
fn follows_no_redirect_with_the_client_s_token() {
    let other = Site::answering_json(ANSWER);
    let redirect = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: {}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        other.url
    );
    let answer = Gateway::before(&[&Site::answering(redirect)]).ask(sealed(1));
    assert_eq!((answer.status, answer.header("location")), (307, None));
    assert!(other.take_seen().is_empty());
}

#[test]
fn without_a_token_that_holds_nothing_is_relayed() {
    let site = Site::answering_json(ANSWER);
    let gateway = Gateway::before(&[&site]);
    let forged = crate::token::Issuer::new(8).token("ada");
    for request in [sealed(1), sealed(1).token(&forged), sealed(1).token(""), Request::get("/v1/fleet")] {
        let answer = gateway.send(&request);
        assert_eq!(problem(&answer), (401, "unauthorized".to_owned()));
    }
    assert!(site.take_seen().is_empty());
}

#[test]
fn refuses_a_body_that_is_too_large() {
    let site = Site::answering_json(ANSWER);
    let gateway = Gateway::before(&[&site]);
    let long = Request::post("/v1/sites/1/sealed", " ".repeat((32 << 10) + 1));
    assert_eq!(problem(&gateway.ask(long)), (413, "too-large".to_owned()));
    assert!(site.take_seen().is_empty());
}

#[test]
fn refuses_a_body_that_is_not_json() {
    let site = Site::answering_json(ANSWER);
    let answer = Gateway::before(&[&site]).ask(Request::new("POST", "/v1/sites/1/sealed"));
    assert_eq!(problem(&answer), (415, "unsupported-media-type".to_owned()));
    assert!(site.take_seen().is_empty());
}

#[test]
fn refuses_a_site_that_there_is_not() {
    let gateway = Gateway::before(&[&Site::answering_json(ANSWER)]);
    for number in [0, 2, 255] {
        assert_eq!(problem(&gateway.ask(sealed(number))), (404, "no-such-route".to_owned()), "{number}");
    }
    let nothing = Request::post("/v1/sites/256/sealed", ENVELOPE);
    assert_eq!(problem(&gateway.ask(nothing)), (400, "malformed".to_owned()));
}

#[test]
fn relays_nothing_that_is_not_sealed() {
    let site = Site::answering_json(ANSWER);
    let gateway = Gateway::before(&[&site]);
    for path in ["/v1/registrations", "/v1/archive-head", "/v1/sites/1", "/metrics", "/openapi.json"] {
        assert_eq!(problem(&gateway.ask(Request::get(path))), (404, "no-such-route".to_owned()), "{path}");
    }
    assert_eq!(gateway.ask(Request::get("/v1/sites/1/sealed")).status, 405);
    assert!(site.take_seen().is_empty());
}

#[test]
fn more_requests_of_an_account_than_are_allowed_are_not_relayed() {
    let site = Site::answering_json(ANSWER);
    let gateway = Gateway::before_with(&[&site], "--limits-account-per-minute=2");
    let answers = [(); 3].map(|()| gateway.ask(sealed(1)));
    assert_eq!([answers[0].status, answers[1].status], [200, 200]);
    assert_eq!(problem(&answers[2]), (429, "too-many-requests".to_owned()));
    assert!(answers[2].header("retry-after").is_some());
    assert_eq!(site.take_seen().len(), 2);
}

#[test]
fn more_requests_from_an_address_than_are_allowed_are_not_relayed() {
    let site = Site::answering_json(ANSWER);
    let gateway = Gateway::before_with(&[&site], "--limits-address-per-minute=1");
    assert_eq!(gateway.ask(sealed(1)).status, 200);
    assert_eq!(problem(&gateway.ask(sealed(1))), (429, "too-many-requests".to_owned()));
}

#[test]
fn refuses_too_many_requests_of_an_address_for_what_there_is_not_too() {
    let site = Site::answering_json(ANSWER);
    let gateway = Gateway::before_with(&[&site], "--limits-address-per-minute=1");
    assert_eq!(gateway.send(&Request::get("/nothing")).status, 404);
    assert_eq!(gateway.ask(sealed(1)).status, 429);
    assert!(site.take_seen().is_empty());
}
