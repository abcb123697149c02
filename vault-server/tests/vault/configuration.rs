//! What is said about a configuration that is wrong.

use std::fs;
use std::process::Output;

use crate::vault::{Home, binary};

fn check(text: &str) -> Output {
    let home = Home::new();
    let file = home.folder.path().join("vault.toml");
    fs::write(&file, text).unwrap();
    binary().arg("check-config").arg("--config").arg(file).output().unwrap()
}

fn refused(text: &str) -> String {
    let output = check(text);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_right_configuration_is_right() {
    let output = check("listen = \"127.0.0.1:1234\"\n[policy]\nwaits = [\"1s\", \"2m\"]\n[log]\nformat = \"json\"\n");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn refuses_a_key_that_it_does_not_know_with_its_line() {
    let said = refused("[hsm]\nthreads = 2\npinfile = \"x\"\n");
    assert!(
        said.contains("vault.toml") && said.contains("line 3") && said.contains("unknown field `pinfile`"),
        "{said}"
    );
}

#[test]
fn refuses_a_value_that_is_none_with_its_line() {
    let said = refused("\n\nlisten = \"here\"\n");
    assert!(said.contains("line 3"), "{said}");
    let said = refused("[policy]\nwaits = [\"1m\", \"soon\"]\n");
    assert!(said.contains("line 2") && said.contains("not a duration"), "{said}");
}

#[test]
fn refuses_a_file_that_is_not_there() {
    let said = refused("[tokens]\nissuer = \"a\"\naudience = \"b\"\njwks_file = \"/nowhere/jwks.json\"\n");
    assert!(said.contains("/nowhere/jwks.json"), "{said}");
}

#[test]
fn serve_refuses_plain_http_off_loopback() {
    let home = Home::new();
    let output = binary().args(["serve", "--listen=0.0.0.0:0", "--data"]).arg(home.data()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("listen (--listen, COFFER_VAULT_LISTEN): 0.0.0.0:0 is not a loopback address"), "{said}");
}

#[test]
fn flags_win_over_variables_and_variables_over_the_file() {
    let home = Home::new();
    let file = home.folder.path().join("vault.toml");
    fs::write(&file, "listen = \"0.0.0.1:1\"\n").unwrap();
    let said = |variable: Option<&str>, flag: Option<&str>| {
        let mut command = binary();
        command.arg("check-config").arg("--config").arg(&file);
        command.envs(variable.map(|value| ("COFFER_VAULT_LISTEN", value))).args(flag);
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    assert!(said(None, None).contains("0.0.0.1:1 is not"));
    assert!(said(Some("0.0.0.2:2"), None).contains("0.0.0.2:2 is not"));
    assert!(said(Some("0.0.0.2:2"), Some("--listen=0.0.0.3:3")).contains("0.0.0.3:3 is not"));
}

#[test]
fn set_fence_refuses_a_vault_without_a_manifest_of_the_roots() {
    let home = Home::new();
    let output = binary().args(["set-fence", "--cell=1", "--data"]).arg(home.data()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("fleet.manifest_file says which fence, and etcd.members where"), "{said}");
}
