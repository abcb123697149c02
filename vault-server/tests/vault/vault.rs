//! A vault that runs.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::http::{Answer, Request};
use crate::token::Issuer;

pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coffer-vault"));
    // What is set where the tests run is not what they are about.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("COFFER_VAULT_")) {
            command.env_remove(name);
        }
    }
    command.env_remove("SOFTHSM2_CONF");
    command
}

/// A data folder, and the issuer whose tokens its vault takes.
pub(crate) struct Home {
    pub(crate) folder: TempDir,
    pub(crate) issuer: Issuer,
}

pub(crate) struct Vault {
    child: Child,
    /// The line that it printed.
    pub(crate) line: String,
    pub(crate) api: String,
    pub(crate) ops: String,
    log: PathBuf,
}

impl Home {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let issuer = Issuer::new(7);
        fs::write(folder.path().join("issuer.json"), issuer.jwks()).unwrap();
        Self { folder, issuer }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// With the test's own issuer of tokens.
    pub(crate) fn start(&self) -> Vault {
        // What is the default in any case.
        self.start_and("--gateway=false")
    }

    /// The same, with one flag more.
    pub(crate) fn start_and(&self, flag: &str) -> Vault {
        let jwks = self.folder.path().join("issuer.json");
        self.start_with(&[
            "--tokens-issuer=test".as_ref(),
            "--tokens-audience=coffer".as_ref(),
            "--tokens-jwks-file".as_ref(),
            &jwks,
            flag.as_ref(),
        ])
    }

    pub(crate) fn start_with(&self, arguments: &[&Path]) -> Vault {
        let log = self.folder.path().join("log");
        let errors = File::create(&log).unwrap();
        let mut child = binary()
            .args(["serve", "--listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0", "--log-level=debug", "--data"])
            .arg(self.data())
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let line = line.trim_end().to_owned();
        assert!(!line.is_empty(), "{}", fs::read_to_string(&log).unwrap());
        let api = line.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
        let ops = wait_for(|| {
            let log = fs::read_to_string(&log).unwrap();
            let (_, after) = log.rsplit_once("ops_address=")?;
            after.split_whitespace().next().map(str::to_owned)
        });
        Vault { child, line, api, ops, log }
    }
}

impl Vault {
    pub(crate) fn send(&self, request: &Request) -> Answer {
        request.send(&self.api)
    }

    pub(crate) fn readiness(&self) -> u16 {
        Request::get("/readyz").send(&self.ops).status
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn terminate(mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        (self.child.wait().unwrap(), start.elapsed())
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks until there is something. A test that waits for what never comes fails after 20 s.
pub(crate) fn wait_for<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(there) = ask() {
            return there;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "it never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}
