//! A vault of its own for a test: the real program, with a SoftHSM token that it makes itself.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::binary;

pub(crate) struct Server {
    folder: PathBuf,
    /// The folder, if it goes with the server.
    scratch: Option<TempDir>,
    arguments: Vec<String>,
    child: Option<Child>,
    /// With the fingerprint, as clients are given it.
    pub(crate) address: String,
    /// Host and port of what the operator is shown.
    pub(crate) ops: String,
}

impl Server {
    /// A vault whose attempts need no waiting.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same, with more flags.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let mut server = Self::start_in(scratch.path(), arguments);
        server.scratch = Some(scratch);
        server
    }

    /// The same, with the data in `data` of a folder that the caller looks after.
    pub(crate) fn start_in(folder: &Path, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let (address, ops) = (String::new(), String::new());
        let mut server = Self { folder: folder.to_owned(), scratch: None, arguments, child: None, address, ops };
        server.address = server.serve("127.0.0.1:0");
        server
    }

    /// Asks it to end, and waits.
    pub(crate) fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        child.wait().unwrap();
    }

    /// SIGKILL, which it cannot know of.
    pub(crate) fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// The process that serves.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// The same vault, at the same address.
    pub(crate) fn start_again(&mut self) {
        let host = self.host().to_owned();
        assert_eq!(self.serve(&host), self.address);
    }

    /// Host and port of the API.
    pub(crate) fn host(&self) -> &str {
        self.address.trim_start_matches("http://").trim_start_matches("https://").split('/').next().unwrap()
    }

    fn serve(&mut self, listen: &str) -> String {
        let log = File::options().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = self.command("serve");
        command.args([
            "--listen",
            listen,
            "--ops-listen",
            "127.0.0.1:0",
            "--policy-waits",
            "0s",
            "--log-level",
            "debug",
        ]);
        let logged = fs::metadata(self.log_file()).map_or(0, |file| usize::try_from(file.len()).unwrap());
        command.args(&self.arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("http"), "it does not start: {}", self.log());
        self.child = Some(child);
        self.ops = self.ops_address(logged);
        line.trim_end().to_owned()
    }

    /// As the log has it, after this many bytes.
    fn ops_address(&self, logged: usize) -> String {
        let begin = Instant::now();
        loop {
            if let Some((_, text)) = self.log()[logged..].split_once("ops_address") {
                let text = text.trim_start_matches(|mark: char| !mark.is_ascii_digit());
                let ends = |mark: char| !mark.is_ascii_digit() && mark != '.' && mark != ':';
                return text.split(ends).next().unwrap().to_owned();
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "it does not serve: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A token that binds a device's key.
    pub(crate) fn token(&self, account: &str, device_key: &str) -> String {
        let output =
            self.command("dev-token").args(["--account", account, "--device-key", device_key]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(binary::vault());
        command.arg(verb).arg("--data").arg(self.data()).current_dir(&self.folder).stdin(Stdio::null());
        command
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
