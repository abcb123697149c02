//! A device: a home, the archive that it works on, and a scratch folder that both lie in.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

use tempfile::TempDir;

use crate::binary;

pub(crate) struct Coffer {
    scratch: Rc<TempDir>,
    pub(crate) home: PathBuf,
    pub(crate) archive: PathBuf,
}

/// What a run of the program left behind.
#[derive(Debug)]
pub(crate) struct Run {
    /// None after a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        self.ends_with(0)
    }

    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// An error as it should be: its exit code, these words in its text, and a hint.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, words: &str) {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        let error = self.stderr.lines().find(|line| line.starts_with("error: "));
        assert!(error.is_some_and(|line| line.contains(words)), "{words:?} is not in: {}", self.stderr);
        assert!(self.stderr.lines().any(|line| line.starts_with("hint: ")), "no hint: {}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }

    /// The result of a run with `--json`.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap()
    }
}

impl Coffer {
    /// A device that knows of no archive yet.
    pub(crate) fn new() -> Self {
        let scratch = Rc::new(tempfile::tempdir().unwrap());
        let (home, archive) = (scratch.path().join("home"), scratch.path().join("archive"));
        Self { scratch, home, archive }
    }

    /// A device with an empty archive.
    pub(crate) fn with_archive() -> Self {
        let device = Self::new();
        device.init();
        device
    }

    #[track_caller]
    pub(crate) fn init(&self) {
        self.run([OsStr::new("init"), self.archive.as_os_str()]).succeeds();
    }

    /// Another device, which has seen nothing of the archive yet.
    pub(crate) fn with_home(&self, name: &str) -> Self {
        Self { scratch: Rc::clone(&self.scratch), home: self.path(name), archive: self.archive.clone() }
    }

    /// Another device that takes part in the same archive.
    #[track_caller]
    pub(crate) fn joined_by(&self, name: &str) -> Self {
        let other = self.with_home(name);
        let paper = self.paper();
        let arguments = ["init", "--join", "--recovery-key-file"].map(OsStr::new);
        other.run(arguments.into_iter().chain([paper.as_os_str(), self.archive.as_os_str()])).succeeds();
        other
    }

    /// A file with the 64 digits.
    #[track_caller]
    pub(crate) fn paper(&self) -> PathBuf {
        let paper = self.path("paper");
        fs::write(&paper, self.run(["key", "show"]).succeeds().stdout).unwrap();
        paper
    }

    /// A place in the scratch folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    pub(crate) fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// The program, with nothing of the surroundings that could change what it says or where it writes: no key store
    /// answers at that address.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(binary::path());
        command.args(arguments).current_dir(self.scratch.path()).stdin(Stdio::null());
        command.env_remove("COFFER_ARCHIVE").env("COFFER_HOME", &self.home);
        for variable in ["COFFER_VAULT", "COFFER_VAULT_TOKEN_FILE", "COFFER_VAULT_CA_FILE"] {
            command.env_remove(variable);
        }
        command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus").env("TZ", "UTC");
        command
    }

    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        finish(self.start(arguments))
    }

    /// Starts a run; [`finish`] waits for it.
    pub(crate) fn start<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    #[track_caller]
    pub(crate) fn back_up(&self, source: &Path) -> Run {
        self.run([OsStr::new("--json"), OsStr::new("backup"), source.as_os_str()]).succeeds()
    }

    /// Restores a snapshot into a new folder, which is returned.
    #[track_caller]
    pub(crate) fn restore(&self, snapshot: &str) -> TempDir {
        let target = tempfile::tempdir_in(self.scratch.path()).unwrap();
        let arguments = ["restore", snapshot, "--to"].map(OsStr::new);
        self.run(arguments.into_iter().chain([target.path().as_os_str()])).succeeds();
        target
    }

    /// Every byte of the archive is what was written, and nothing lies about that a finished run would not leave.
    #[track_caller]
    pub(crate) fn verify_all(&self) {
        let report = self.run(["--json", "verify", "--read-data"]).succeeds().json();
        assert_eq!(report["problems"].as_array().map(Vec::len), Some(0), "{report}");
        assert_eq!(report["notes"].as_array().map(Vec::len), Some(0), "{report}");
    }

    /// The numbers of all snapshots.
    #[track_caller]
    pub(crate) fn snapshots(&self) -> Vec<u64> {
        let listed = self.run(["--json", "snapshots"]).succeeds().json();
        assert_eq!(listed["damaged"].as_array().map(Vec::len), Some(0), "{listed}");
        listed["snapshots"].as_array().unwrap().iter().map(|one| one["number"].as_u64().unwrap()).collect()
    }

    /// Files of one kind in the archive: "packs", "locks", "tmp" …
    pub(crate) fn stored(&self, kind: &str) -> Vec<PathBuf> {
        let folder = self.archive.join(kind);
        if folder.exists() { crate::tree::files_below(&folder) } else { Vec::new() }
    }
}

pub(crate) fn finish(child: Child) -> Run {
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
