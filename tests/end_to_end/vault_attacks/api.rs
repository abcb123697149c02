//! schemathesis against the running server and the OpenAPI document that it serves.

use std::process::{Command, Stdio};

use super::account::Account;
use super::budget::{RIGHT, WRONG};
use super::guess::Guess;
use crate::interop::python_with;
use crate::server::Server;

/// One check is left out: `positive_data_acceptance`. JSON Schema can say that a field has 33 bytes, not that they are
/// a point of a curve, or that a signature holds.
const LEFT_OUT: &str = "positive_data_acceptance";

#[test]
fn every_answer_is_one_that_the_document_names() {
    let Some(python) = python_with("schemathesis", "tests/api/requirements.txt") else { return };
    let server = Server::start_with(&["--limits-account-per-minute=0", "--limits-address-per-minute=0"]);
    // An account of which there is something to tell.
    let account = Account::registered(&server, "ada", RIGHT);
    account.keep_head();
    assert_eq!(Guess::new(&account, WRONG).send().status, 200);
    let scratch = tempfile::tempdir().unwrap();
    let output = Command::new(python)
        .args(["-m", "schemathesis.cli", "run", &format!("http://{}/openapi.json", server.host())])
        .args(["--header", &format!("Authorization: Bearer {}", account.token)])
        .args(["--checks", "all", "--exclude-checks", LEFT_OUT, "--max-examples", "20", "--workers", "2"])
        .args(["--continue-on-failure", "--generation-database", "none", "--no-color"])
        .current_dir(scratch.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("Tested: 11"), "not every route was asked: {said}");
    account.is_restored_by(RIGHT);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
