//! The real `coffer-gateway` between the real `coffer` and the real `coffer-vault`.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::binary;
use crate::server::Server;
use crate::tree::Tree;
use crate::vault::{RIGHT, WRONG, new_device, protected, restore, with_password};

/// A vault whose clients know it by its gateway's address.
struct Fronted {
    server: Server,
    gateway: Child,
}

impl Fronted {
    fn start() -> Self {
        let mut server = Server::start_with(&["--gateway", "true"]);
        let mut gateway = Command::new(binary::gateway())
            .args(["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--log-level", "debug"])
            .args(["--tokens-issuer", "coffer-vault:local", "--tokens-audience", "coffer-vault"])
            .args(["--sites", &format!("1=http://{}", server.host()), "--tokens-jwks-file"])
            .arg(server.data().join("jwks.json"))
            .stdout(Stdio::piped())
            .stderr(File::create(server.data().join("gateway.log")).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(gateway.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("http://"), "{line:?}");
        let (_, fingerprint) = server.address.split_once('#').unwrap();
        server.address = format!("{}/#{fingerprint}", line.trim_end());
        Self { server, gateway }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.server.data().join("gateway.log")).unwrap()
    }
}

impl Drop for Fronted {
    fn drop(&mut self) {
        let _ = self.gateway.kill();
        let _ = self.gateway.wait();
    }
}

#[test]
fn a_lost_device_gets_everything_back_past_the_gateway() {
    let fronted = Fronted::start();
    let device = protected(&fronted.server);
    fs::remove_dir_all(&device.home).unwrap();
    let new = new_device(&device, "new");
    restore(&new, &fronted.server, "new", RIGHT).succeeds();
    assert_eq!(Tree::of(&new.path("restored by new/chats")), Tree::of(&device.path("chats")));
}

#[test]
fn a_wrong_password_and_a_lock_are_told_inside_of_the_seal() {
    let fronted = Fronted::start();
    let device = protected(&fronted.server);
    let new = new_device(&device, "new");
    restore(&new, &fronted.server, "new", WRONG).fails(20, "the password is wrong; 9 attempts are left");
    let archive = new.archive.to_str().unwrap().to_owned();
    let insist = ["--archive", &archive, "restore", "--to", "restored by new", "--yes"];
    for _ in 0..9 {
        with_password(&new, &fronted.server, "new", WRONG, &insist).fails(20, "left");
    }
    with_password(&new, &fronted.server, "new", RIGHT, &insist).fails(21, "no attempt is left");
    // The gateway has relayed all of it with status 200, and says no more.
    let log = fronted.log();
    assert!(log.contains("/v1/sites/{site}/sealed") && !log.contains("registrations"), "{log}");
}

#[test]
fn a_vault_that_is_down_is_an_outage_and_nothing_else() {
    let mut fronted = Fronted::start();
    let device = protected(&fronted.server);
    fronted.server.kill();
    let run = restore(&new_device(&device, "new"), &fronted.server, "new", RIGHT);
    run.fails(24, "the vault cannot do it just now");
}

#[test]
fn the_gateway_s_log_has_no_token_and_no_account() {
    let fronted = Fronted::start();
    let device = protected(&fronted.server);
    let token = fs::read_to_string(device.path("token of home")).unwrap();
    let log = fronted.log();
    assert!(log.contains("answered"), "{log}");
    for secret in [token.trim(), token.split('.').nth(1).unwrap(), "\"ada\"", "four dolphins"] {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
}
