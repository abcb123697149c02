//! Where the program under test is. Cargo tells that only to tests of the program's own package.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

const HOW_TO_BUILD: &str = "`cargo nextest run --workspace` builds it, and so does `cargo build -p coffer-client-cli`";

/// The program: what COFFER_TEST_BINARY names, or else the one built beside these tests, from today's sources.
pub(crate) fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| env::var_os("COFFER_TEST_BINARY").map_or_else(beside_the_tests, PathBuf::from))
}

fn beside_the_tests() -> PathBuf {
    // target/debug/deps/end_to_end-… → target/debug/coffer
    let tests = env::current_exe().unwrap();
    let binary = tests.ancestors().nth(2).unwrap().join("coffer");
    let Ok(built) = modified(&binary) else {
        panic!("{} is not there: {HOW_TO_BUILD}", binary.display());
    };
    for source in sources(&binary) {
        // One that is gone has left a trace in another that named it.
        if modified(&source).is_ok_and(|changed| changed > built) {
            panic!("{} is older than {}: {HOW_TO_BUILD}", binary.display(), source.display());
        }
    }
    binary
}

/// Libraries of ours that the program links.
const LINKED: [&str; 2] = ["coffer_archive-", "coffer_keys-"];

/// What the program was built from, as the compiler wrote it down in rules of make: without the files that only unit
/// tests are built from, whose changes do not make the program old.
fn sources(binary: &Path) -> BTreeSet<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let inode = fs::metadata(binary).unwrap().ino();
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(binary.with_file_name("deps")).unwrap() {
        let rules = entry.unwrap().path();
        let name = rules.file_name().unwrap().to_string_lossy();
        if !name.starts_with("coffer") || rules.extension().is_none_or(|extension| extension != "d") {
            continue;
        }
        let text = fs::read_to_string(&rules).unwrap().replace("\\ ", "\0");
        let is_linked = LINKED.iter().any(|library| name.starts_with(library)) && text.contains(".rlib: ");
        // The program lies in `deps` too, under its full name.
        let is_program = fs::metadata(rules.with_extension("")).is_ok_and(|metadata| metadata.ino() == inode);
        if is_linked || is_program {
            let (_, sources) = text.lines().next().and_then(|rule| rule.split_once(": ")).unwrap();
            found.extend(sources.split_whitespace().map(|source| workspace.join(source.replace('\0', " "))));
        }
    }
    assert!(!found.is_empty(), "nothing says what {} was built from: {HOW_TO_BUILD}", binary.display());
    found
}

fn modified(path: &Path) -> std::io::Result<SystemTime> {
    fs::metadata(path)?.modified()
}
