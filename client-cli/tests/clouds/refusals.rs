//! Wrong credentials, secrets in the wrong place, and what the program says of them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::device::Device;
use crate::server::{PASSWORD, Server};
use crate::suite::At;

const USAGE: i32 = 2;
const UNAVAILABLE: i32 = 15;
const REFUSED: i32 = 17;
const NO_CREDENTIALS: i32 = 30;

fn write_credentials(at: &At<'_>, text: &str, mode: u32) {
    let path = at.device.write("home/credentials", text.as_bytes());
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_wrong_password_is_refused_and_not_shown() {
    let mut server = Server::webdav_of_rclone();
    server.environment.clear();
    let at = At::new(&server);
    at.run(["init", &server.url]).fails(REFUSED).warns("401");
    write_credentials(&at, "[webdav]\nusername = anna\npassword = hunter3\n", 0o600);
    let run = at.run(["init", &server.url]).fails(REFUSED).warns("401").warns("hint: ");
    assert!(!run.stderr.contains("hunter3"));
}

#[test]
fn credentials_come_from_the_file_of_the_home() {
    let mut server = Server::webdav_of_rclone();
    server.environment.clear();
    let at = At::new(&server);
    let text = format!(
        "[webdav]\nusername = berta\npassword = x\n[webdav://127.0.0.1:{}]\nusername = anna\npassword = {PASSWORD}\n",
        server.port
    );
    write_credentials(&at, &text, 0o600);
    at.run(["init", "--key-store", "file", &server.url]).succeeds();
    at.back_up();
    at.verifies();
    write_credentials(&at, &text, 0o640);
    at.run(["status"]).fails(NO_CREDENTIALS).warns("others on this machine").warns("hint: chmod 600");
    write_credentials(&at, "[webdav]\nhunter2\n", 0o600);
    let run = at.run(["status"]).fails(NO_CREDENTIALS).warns("line 2").warns("hint: ");
    assert!(!run.stderr.contains("hunter2"));
}

#[test]
fn missing_credentials_are_named() {
    let mut server = Server::folder();
    server.environment.push(("AWS_ACCESS_KEY_ID", "anna".to_owned()));
    let at = At::new(&server);
    // The file is complete, and not looked at.
    write_credentials(&at, "[s3]\naccess_key_id = anna\nsecret_access_key = b\n", 0o600);
    let run = at.run(["init", "s3://bucket/a"]).fails(NO_CREDENTIALS);
    run.warns("has AWS_ACCESS_KEY_ID, but secret_access_key is missing").warns("hint: set the rest");
    at.run(["init", "dropbox:///a"]).fails(NO_CREDENTIALS).warns("refresh_token").warns("[dropbox]");
}

/// Not missing to begin with: the server alone knows that it asks for it.
#[test]
fn an_ssh_key_that_is_not_let_in_is_refused() {
    let server = Server::sftp();
    server.lets_nobody_in();
    let at = At::new(&server);
    at.run(["init", "--check", &server.url]).fails(REFUSED).warns("Permission denied").warns("hint: ");
}

#[test]
fn a_secret_in_an_address_is_refused_and_not_repeated() {
    let server = Server::folder();
    let at = At::new(&server);
    for url in ["webdav://anna:hunter2@host/dav", "s3://bucket/a?secret_access_key=hunter2", "anna:hunter2@host/dav"] {
        for json in [&["--json"][..], &[]] {
            let run = at.run(json.iter().chain(&["init", url])).fails(USAGE).warns("hint");
            assert!(!run.stderr.contains("hunter2") && !run.stdout.contains("hunter2"), "{}", run.stderr);
        }
    }
    assert!(!at.device.home().exists(), "something was kept");
}

#[test]
fn a_bucket_that_is_not_there_is_no_place() {
    let server = Server::s3();
    let at = At::new(&server);
    let url = server.url.replace("bucket", "nobucket");
    for check in [&["--check"][..], &[]] {
        let run = at.run(["init", "--key-store", "file"].iter().chain(check).chain(&[url.as_str()])).fails(UNAVAILABLE);
        let run = run.warns("there is no bucket nobucket").warns("hint: check the address");
        assert!(!run.stderr.contains("S3Error") && !run.stdout.contains("ok"), "{} {}", run.stdout, run.stderr);
    }
}

/// S3 answers a question after an object with a bare number.
#[test]
fn keys_that_a_service_does_not_know_are_refused_in_words() {
    let server = Server::s3_for_nobody();
    let at = At::new(&server);
    for check in [&["--check"][..], &[]] {
        let run = at.run(["init", "--key-store", "file"].iter().chain(check).chain(&[server.url.as_str()]));
        run.fails(REFUSED).warns("the service refuses these credentials").warns("hint: check the permissions");
    }
}

#[test]
fn a_server_that_does_not_answer_is_asked_again_and_a_person_is_told() {
    let device = Device::new();
    let init = ["init", "--key-store", "file", "webdav://127.0.0.1:1/?insecure=true"];
    let run = device.coffer(init).fails(UNAVAILABLE);
    assert!(run.stderr.contains("trying again in 2 s"), "{}", run.stderr);
    let quiet = device.coffer(init.into_iter().chain(["--quiet"])).fails(UNAVAILABLE);
    assert!(!quiet.stderr.contains("trying again"), "{}", quiet.stderr);
}
