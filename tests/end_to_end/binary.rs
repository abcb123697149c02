//! Where the program under test is. Cargo tells that only to tests of the program's own package.

use std::env;
use std::fs;
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
    for source in sources(&binary.with_extension("d")) {
        // One that is gone makes the binary old too.
        if !modified(&source).is_ok_and(|changed| changed <= built) {
            panic!("{} is older than {}: {HOW_TO_BUILD}", binary.display(), source.display());
        }
    }
    binary
}

/// What the binary was built from, as Cargo wrote it down beside it: one rule of make, with spaces in names escaped.
fn sources(rule: &Path) -> Vec<PathBuf> {
    let rule = fs::read_to_string(rule).unwrap().replace("\\ ", "\0");
    let (_, sources) = rule.split_once(": ").unwrap();
    sources.split_whitespace().map(|source| source.replace('\0', " ").into()).collect()
}

fn modified(path: &Path) -> std::io::Result<SystemTime> {
    fs::metadata(path)?.modified()
}
