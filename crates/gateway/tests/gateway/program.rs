//! A gateway that runs.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::http::{Answer, Request};
use crate::site::Site;
use crate::token::Issuer;

pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coffer-gateway"));
    // What is set where the tests run is not what they are about.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("COFFER_GATEWAY_")) {
            command.env_remove(name);
        }
    }
    // Nobody is there: plain HTTP goes to this machine, and through no proxy.
    command.env("HTTP_PROXY", "http://127.0.0.1:9").env_remove("NO_PROXY").env_remove("no_proxy");
    command
}

pub(crate) struct Gateway {
    child: Child,
    address: String,
    pub(crate) ops: String,
    pub(crate) token: String,
    log: PathBuf,
    _folder: TempDir,
}

impl Gateway {
    /// Before sites that are numbered from 1.
    pub(crate) fn before(sites: &[&Site]) -> Self {
        Self::before_with(sites, "--limits-account-per-minute=0")
    }

    /// The same, with a flag.
    pub(crate) fn before_with(sites: &[&Site], flag: &str) -> Self {
        let (folder, issuer) = (tempfile::tempdir().unwrap(), Issuer::new(7));
        let (keys, log) = (folder.path().join("issuer.json"), folder.path().join("log"));
        fs::write(&keys, issuer.jwks()).unwrap();
        let sites: Vec<String> = (1..).zip(sites).map(|(number, site)| format!("{number}={}", site.url)).collect();
        let mut child = binary()
            .args(["serve", "--listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0", "--log-level=debug", flag])
            .args(["--tokens-issuer=test", "--tokens-audience=coffer", "--sites", &sites.join(",")])
            .arg("--tokens-jwks-file")
            .arg(&keys)
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("http://"), "{}", fs::read_to_string(&log).unwrap());
        let address = line.trim_end().trim_start_matches("http://").to_owned();
        let ops = wait_for(|| {
            let log = fs::read_to_string(&log).unwrap();
            let (_, after) = log.rsplit_once("ops_address=")?;
            after.split_whitespace().next().map(str::to_owned)
        });
        Self { child, address, ops, token: issuer.token("ada"), log, _folder: folder }
    }

    /// As Ada.
    pub(crate) fn ask(&self, request: Request) -> Answer {
        self.send(&request.token(&self.token))
    }

    pub(crate) fn send(&self, request: &Request) -> Answer {
        request.send(&self.address)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks until there is something. A test that waits for what never comes fails after 20 s.
fn wait_for<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(there) = ask() {
            return there;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "it never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}
