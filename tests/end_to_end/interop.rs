//! What `coffer` wrote, read by a second program: the Python decoder, written from `docs/format.md` alone.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rusqlite::Connection;

use crate::device::Coffer;
use crate::material;
use crate::noise::Noise;
use crate::tree::{Tree, assert_same};

/// What the decoder imports beside Python's own.
const NEEDS: &str = "blake3, cryptography, zstandard";

/// The Python that can import these modules, of which this list of requirements tells; `None`, after saying so, where the
/// system's own cannot. One that was named must.
pub(crate) fn python_with(modules: &str, requirements: &str) -> Option<OsString> {
    let named = env::var_os("COFFER_TEST_PYTHON");
    let python = named.clone().unwrap_or_else(|| "python3".into());
    let tried = Command::new(&python).args(["-c", &format!("import {modules}")]).output();
    let why = match tried {
        Ok(output) if output.status.success() => return Some(python),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().lines().last().unwrap_or_default().to_owned(),
        Err(error) => error.to_string(),
    };
    assert!(named.is_none(), "COFFER_TEST_PYTHON={python:?} lacks {requirements}: {why}");
    eprintln!("skipped: python3 lacks {requirements} ({why}); `make test` brings its own");
    None
}

/// A Python that can run the decoder.
pub(crate) fn python() -> Option<OsString> {
    python_with(NEEDS, "tests/interop/requirements.txt")
}

pub(crate) struct Decoder {
    python: OsString,
    archive: PathBuf,
    paper: PathBuf,
}

impl Decoder {
    pub(crate) fn of(device: &Coffer, python: OsString) -> Self {
        Self { python, archive: device.archive.clone(), paper: device.paper() }
    }

    pub(crate) fn run(&self, command: &str, arguments: &[&OsStr]) -> Output {
        let program = Path::new(material::PACKAGE).join("interop/decoder.py");
        let mut run = Command::new(&self.python);
        run.arg(program).args([command.as_ref(), OsStr::new("--archive"), self.archive.as_os_str()]);
        run.arg("--recovery-key-file").arg(&self.paper).args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
        run.stdin(Stdio::null()).output().unwrap()
    }

    #[track_caller]
    pub(crate) fn succeeds(&self, command: &str, arguments: &[&OsStr]) {
        let output = self.run(command, arguments);
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    }
}

/// An archive with two snapshots of real exports and a message store that changed between them.
fn two_days(device: &Coffer) -> (PathBuf, Tree) {
    let source = device.path("chats");
    let mut noise = Noise::new(11);
    copy_folder(&material::exports(), &source.join("exports"));
    material::message_store(&source.join("small.db"));
    let large = source.join("msgstore.db");
    material::grown_store(&large, 24_000_000, &mut noise);
    assert!(fs::metadata(&large).unwrap().len() > 20_000_000);
    fs::hard_link(source.join("small.db"), source.join("exports/the same.db")).unwrap();
    std::os::unix::fs::symlink("exports", source.join("link")).unwrap();
    xattr::set(&large, "user.owner", b"anna").unwrap();
    fs::File::create(source.join("sparse")).unwrap().set_len(10 << 20).unwrap();
    device.write("chats/film.mp4", &[b"\0\0\0\x20ftypisom", &noise.bytes(5_000_000)[..]].concat());
    device.back_up(&source);
    let first = Tree::of(&source);

    let mut store = Connection::open(&large).unwrap();
    material::insert(&mut store, 400, &mut noise);
    drop(store);
    fs::remove_file(source.join("film.mp4")).unwrap();
    device.back_up(&source);
    (source, first)
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        let copy = to.join(entry.file_name().unwrap());
        if entry.is_dir() {
            copy_folder(&entry, &copy);
        } else {
            fs::copy(&entry, copy).unwrap();
        }
    }
}

#[test]
fn a_second_program_restores_both_snapshots_and_names_damage() {
    let Some(python) = python() else { return };
    let device = Coffer::with_archive();
    let (source, first) = two_days(&device);
    let decoder = Decoder::of(&device, python);
    decoder.succeeds("check", &[]);
    let (latest, earlier) = (device.path("latest"), device.path("earlier"));
    decoder.succeeds("restore", &["--to".as_ref(), latest.as_os_str()]);
    assert_same(&source, &latest.join("chats"));
    decoder.succeeds("restore", &["--to".as_ref(), earlier.as_os_str(), "--snapshot".as_ref(), "1".as_ref()]);
    first.is_restored_in(&earlier.join("chats"));

    let pack = device.stored("packs").pop().unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    bytes[200] ^= 1;
    fs::write(&pack, bytes).unwrap();
    assert_eq!(decoder.run("check", &[]).status.code(), Some(1));
}
