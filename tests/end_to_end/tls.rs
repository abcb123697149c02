//! A vault behind TLS, with a certificate of its operator's own.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::json;
use tempfile::TempDir;

use crate::binary;
use crate::device::{Coffer, Run};
use crate::server::Server;
use crate::tree::Tree;

/// A certificate for `name`, and its key.
struct Certificate {
    _folder: TempDir,
    certificate: PathBuf,
    key: PathBuf,
}

impl Certificate {
    fn of(name: &str) -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
        fs::write(&certificate, cert.pem()).unwrap();
        fs::write(&key, signing_key.serialize_pem()).unwrap();
        Self { _folder: folder, certificate, key }
    }

    fn server(&self) -> Server {
        let [certificate, key] = [&self.certificate, &self.key].map(|file| file.to_str().unwrap());
        let server = Server::start_with(&["--tls-certificate-file", certificate, "--tls-key-file", key]);
        assert!(server.address.starts_with("https://127.0.0.1:"), "{}", server.address);
        server
    }
}

/// Runs a command against the vault with a new token, trusting `authority` for TLS.
fn run(device: &Coffer, server: &Server, authority: Option<&Certificate>, command: &[&str]) -> Run {
    let key = device.run(["vault", "device-key"]).succeeds().stdout;
    let token = device.write("token", server.token("ada", key.trim()).as_bytes());
    let password = device.write("password", b"four dolphins under a lamp\n");
    let mut arguments: Vec<&str> = command.to_vec();
    arguments.extend(["--vault", &server.address, "--token-file", token.to_str().unwrap()]);
    arguments.extend(["--password-file", password.to_str().unwrap()]);
    if let Some(authority) = authority {
        arguments.extend(["--vault-ca-file", authority.certificate.to_str().unwrap()]);
    }
    device.run(arguments)
}

#[test]
fn a_key_is_protected_and_restored_over_tls_with_the_operator_s_own_certificate() {
    let certificate = Certificate::of("127.0.0.1");
    let server = certificate.server();
    let device = Coffer::with_archive();
    device.write("chats/anna.txt", b"see you at noon\n");
    device.back_up(&device.path("chats"));
    run(&device, &server, Some(&certificate), &["protect", "password"]).succeeds();
    // The configuration names the certificate from now on.
    assert!(!device.run(["vault", "status"]).succeeds().stdout.is_empty());

    let new = device.with_home("new");
    let archive = device.archive.to_str().unwrap();
    let restore = ["--archive", archive, "restore", "--to", "restored"];
    run(&new, &server, Some(&certificate), &restore).succeeds();
    assert_eq!(Tree::of(&new.path("restored/chats")), Tree::of(&device.path("chats")));
}

#[test]
fn refuses_a_vault_whose_certificate_is_not_trusted() {
    let certificate = Certificate::of("127.0.0.1");
    let server = certificate.server();
    let device = Coffer::with_archive();
    for authority in [None, Some(&Certificate::of("127.0.0.1"))] {
        let refused = run(&device, &server, authority, &["protect", "password"]);
        refused.fails(26, "the vault's TLS certificate is not trusted");
        assert!(refused.stderr.contains("--vault-ca-file"), "{}", refused.stderr);
    }
}

#[test]
fn refuses_a_vault_whose_certificate_is_for_another_name() {
    let certificate = Certificate::of("vault.example");
    let server = certificate.server();
    let device = Coffer::with_archive();
    let refused = run(&device, &server, Some(&certificate), &["protect", "password"]);
    refused.fails(26, "the vault's TLS certificate is not trusted");
}

/// Both are asked before a restart, not after it.
#[test]
fn check_config_refuses_a_certificate_without_its_key() {
    let (one, other) = (Certificate::of("localhost"), Certificate::of("localhost"));
    let keys = tempfile::NamedTempFile::new().unwrap();
    let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    fs::write(&keys, json!({ "keys": [key] }).to_string()).unwrap();
    let tokens = ["--tokens-issuer=i", "--tokens-audience=a", "--sites=1=https://one.example", "--tokens-jwks-file"];
    let tokens = tokens.iter().map(OsStr::new).chain([keys.path().as_os_str()]).collect::<Vec<_>>();
    for (program, more) in [(binary::vault(), &[][..]), (binary::gateway(), &tokens[..])] {
        let check = |key: &Path| {
            let mut command = Command::new(program);
            command.arg("check-config").args(more);
            command.arg("--tls-certificate-file").arg(&one.certificate).arg("--tls-key-file").arg(key);
            let output = command.output().unwrap();
            (output.status.code(), String::from_utf8(output.stderr).unwrap())
        };
        let (code, said) = check(&other.key);
        assert!(code == Some(3) && said.contains("certificate.pem"), "{said}");
        let (code, said) = check(Path::new("/nowhere/key.pem"));
        assert!(code == Some(3) && said.contains("No such file"), "{said}");
        assert_eq!(check(&one.key), (Some(0), String::new()));
    }
}
