//! Help, manual and completions. `TRYCMD=overwrite cargo test -p coffer-client-cli` writes the golden files anew.

use std::fs;

use crate::device::Device;

#[test]
fn help_and_refusals_read_as_their_golden_files() {
    trycmd::TestCases::new()
        .env("XDG_DATA_HOME", "/nonexistent/data")
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus")
        .case("tests/cmd/*.trycmd");
}

#[test]
fn every_command_has_a_manual_page() {
    let device = Device::new();
    device.coffer(["man", "man1"]).succeeds();
    let commands = [
        "",
        "-init",
        "-protect",
        "-protect-password",
        "-protect-recovery-key",
        "-backup",
        "-snapshots",
        "-ls",
        "-restore",
        "-verify",
        "-drill",
        "-diff",
        "-copy",
        "-mount",
        "-profile",
        "-profile-add",
        "-profile-list",
        "-profile-show",
        "-profile-remove",
        "-schedule",
        "-schedule-enable",
        "-schedule-disable",
        "-schedule-status",
        "-forget",
        "-prune",
        "-repair",
        "-repair-index",
        "-unlock",
        "-key",
        "-key-show",
        "-key-verify",
        "-key-rotate",
        "-password",
        "-password-change",
        "-vault",
        "-vault-status",
        "-vault-keep",
        "-vault-delete",
        "-vault-device-key",
        "-status",
        "-completions",
        "-man",
    ];
    for command in commands {
        let page = fs::read_to_string(device.path(&format!("man1/coffer{command}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{command}");
    }
    let main = String::from_utf8(device.read("man1/coffer.1")).unwrap();
    assert!(main.contains("Exit codes"), "{main}");
}

#[test]
fn every_shell_has_completions() {
    let device = Device::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = device.coffer(["completions", shell]).succeeds();
        assert!(run.stdout.contains("recovery-key-file"), "{shell}");
    }
}
