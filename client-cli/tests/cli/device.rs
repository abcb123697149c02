//! A device of its own for each test: a home, a place for the archive, some files.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// What a run of the program left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// The result, in a run with `--json`.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// The error, in a run with `--json`.
    pub(crate) fn json_error(&self) -> serde_json::Value {
        serde_json::from_str::<serde_json::Value>(&self.stderr).unwrap()["error"].take()
    }

    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        self.fails(0)
    }

    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn warns(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is not in {}", self.stderr);
        self
    }
}

pub(crate) struct Device {
    folder: TempDir,
    archive: String,
}

impl Device {
    /// A device that knows of no archive, with two small files.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("archive").to_str().unwrap().to_owned();
        let device = Self { folder, archive };
        device.write("chats/anna/messages.txt", b"see you at noon\n");
        device.write("chats/photo.jpg", &[0x5a; 3000]);
        device
    }

    /// A device with an empty archive.
    pub(crate) fn with_archive() -> Self {
        let device = Self::new();
        device.coffer(["init", device.archive()]).succeeds();
        device
    }

    /// A device with one snapshot of its chats.
    pub(crate) fn with_backup() -> Self {
        let device = Self::with_archive();
        device.back_up();
        device
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.path("home")
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.home().join("key")
    }

    pub(crate) fn archive(&self) -> &str {
        &self.archive
    }

    pub(crate) fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    #[track_caller]
    pub(crate) fn back_up(&self) -> Run {
        self.coffer([OsStr::new("backup"), self.path("chats").as_os_str()]).succeeds()
    }

    /// The 64 digits, as `key show` prints them.
    #[track_caller]
    pub(crate) fn digits(&self) -> String {
        self.coffer(["key", "show"]).succeeds().stdout
    }

    pub(crate) fn coffer<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        run(self.command(arguments).stdin(Stdio::null()))
    }

    pub(crate) fn coffer_with_input<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        input: &str,
    ) -> Run {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(input.as_bytes()).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        run(self.command(arguments).stdin(file))
    }

    /// The program, with nothing of the surroundings that could change what it says or where it writes: no key store
    /// answers at that address.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coffer"));
        command.args(arguments).current_dir(self.folder.path());
        command.env_remove("COFFER_ARCHIVE").env("COFFER_HOME", self.home());
        for variable in ["COFFER_VAULT", "COFFER_VAULT_TOKEN_FILE", "COFFER_VAULT_CA_FILE"] {
            command.env_remove(variable);
        }
        command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus").env("TZ", "UTC");
        command
    }
}

pub(crate) fn run(command: &mut Command) -> Run {
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// All files below a folder.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    for file in files_below(from) {
        let copy = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(file, copy).unwrap();
    }
}

/// Bytes that do not compress, the same for the same seed.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}
