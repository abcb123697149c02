//! Where the programs under test are. Cargo tells that only to tests of a program's own package.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

/// A program of ours.
struct Program {
    name: &'static str,
    /// Names another build of it.
    variable: &'static str,
    how_to_build: &'static str,
    /// Libraries of ours that it links.
    linked: &'static [&'static str],
}

const COFFER: Program = Program {
    name: "coffer",
    variable: "COFFER_TEST_BINARY",
    how_to_build: "`cargo nextest run --workspace` builds it, and so does `cargo build -p coffer-client-cli`",
    linked: &[
        "coffer_archive-",
        "coffer_channel-",
        "coffer_keys-",
        "coffer_pake-",
        "coffer_proto-",
        "coffer_vault_client-",
    ],
};

const VAULT: Program = Program {
    name: "coffer-vault",
    variable: "COFFER_TEST_VAULT_BINARY",
    how_to_build: "`cargo nextest run --workspace` builds it, and so does `cargo build -p coffer-vault-server`",
    linked: &[
        "coffer_channel-",
        "coffer_hsm_adapter-",
        "coffer_pake-",
        "coffer_proto-",
        "coffer_service-",
        "coffer_vault_core-",
        "coffer_vault_store-",
    ],
};

const GATEWAY: Program = Program {
    name: "coffer-gateway",
    variable: "COFFER_TEST_GATEWAY_BINARY",
    how_to_build: "`cargo nextest run --workspace` builds it, and so does `cargo build -p coffer-gateway`",
    linked: &["coffer_proto-", "coffer_service-"],
};

/// `coffer`: what the environment names, or else the one built beside these tests, from today's sources.
pub(crate) fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| COFFER.find())
}

/// `coffer-vault`, alike.
pub(crate) fn vault() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| VAULT.find())
}

/// `coffer-gateway`, alike.
pub(crate) fn gateway() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| GATEWAY.find())
}

impl Program {
    fn find(&self) -> PathBuf {
        env::var_os(self.variable).map_or_else(|| self.beside_the_tests(), PathBuf::from)
    }

    fn beside_the_tests(&self) -> PathBuf {
        // target/debug/deps/end_to_end-… → target/debug/coffer
        let tests = env::current_exe().unwrap();
        let binary = tests.ancestors().nth(2).unwrap().join(self.name);
        let Ok(built) = modified(&binary) else {
            panic!("{} is not there: {}", binary.display(), self.how_to_build);
        };
        for source in self.sources(&binary) {
            // One that is gone has left a trace in another that named it.
            if modified(&source).is_ok_and(|changed| changed > built) {
                panic!("{} is older than {}: {}", binary.display(), source.display(), self.how_to_build);
            }
        }
        binary
    }

    /// What the program was built from, as the compiler wrote it down in rules of make: without the files that only unit
    /// tests are built from, whose changes do not make the program old.
    fn sources(&self, binary: &Path) -> BTreeSet<PathBuf> {
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
            let is_linked = self.linked.iter().any(|library| name.starts_with(library)) && text.contains(".rlib: ");
            // The program lies in `deps` too, under its full name.
            let is_program = fs::metadata(rules.with_extension("")).is_ok_and(|metadata| metadata.ino() == inode);
            if is_linked || is_program {
                let (_, sources) = text.lines().next().and_then(|rule| rule.split_once(": ")).unwrap();
                found.extend(sources.split_whitespace().map(|source| workspace.join(source.replace('\0', " "))));
            }
        }
        assert!(!found.is_empty(), "nothing says what {} was built from: {}", binary.display(), self.how_to_build);
        found
    }
}

fn modified(path: &Path) -> std::io::Result<SystemTime> {
    fs::metadata(path)?.modified()
}
