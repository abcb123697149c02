//! Who may open a store, and which.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use coffer_vault_store::{EmbeddedStore, OpenError};
use redb::TableDefinition;

const FILE: &str = "vault.redb";
/// Tells the other process which store to try.
const OTHER: &str = "COFFER_TEST_STORE_IN_USE";

fn refusal(folder: &Path) -> OpenError {
    EmbeddedStore::open(folder).err().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_new_store_is_its_owner_s_alone() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("vault").join("store");
    let _store = EmbeddedStore::open(&folder).unwrap();
    assert_eq!((mode(&folder), mode(&folder.join(FILE))), (0o700, 0o600));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "one database file");
}

#[test]
fn a_store_that_was_copied_for_all_to_read_is_closed_to_them() {
    let folder = tempfile::tempdir().unwrap();
    drop(EmbeddedStore::open(folder.path()).unwrap());
    fs::set_permissions(folder.path().join(FILE), fs::Permissions::from_mode(0o644)).unwrap();
    drop(EmbeddedStore::open(folder.path()).unwrap());
    assert_eq!(mode(&folder.path().join(FILE)), 0o600);
}

#[test]
fn refuses_a_store_that_this_process_has_open() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    assert!(matches!(refusal(folder.path()), OpenError::InUse { .. }));
    let ledger = store.ledger.clone();
    drop(store);
    assert!(matches!(refusal(folder.path()), OpenError::InUse { .. }), "one handle is left");
    drop(ledger);
    EmbeddedStore::open(folder.path()).unwrap();
}

#[test]
fn refuses_a_store_that_another_process_has_open() {
    if let Some(folder) = env::var_os(OTHER) {
        return assert!(matches!(refusal(Path::new(&folder)), OpenError::InUse { .. }));
    }
    let folder = tempfile::tempdir().unwrap();
    let _store = EmbeddedStore::open(folder.path()).unwrap();
    let mut other = Command::new(env::current_exe().unwrap());
    let name = "opening::refuses_a_store_that_another_process_has_open";
    let output = other.args([name, "--exact"]).env(OTHER, folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn refuses_a_store_of_a_future_format_by_its_number() {
    let folder = tempfile::tempdir().unwrap();
    drop(EmbeddedStore::open(folder.path()).unwrap());
    let database = redb::Database::open(folder.path().join(FILE)).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(TableDefinition::<&str, u64>::new("counters")).unwrap().insert("format", 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let refusal = refusal(folder.path());
    assert!(matches!(refusal, OpenError::FutureFormat { found: 2, known: 1, .. }), "{refusal:?}");
    assert!(refusal.to_string().contains("has format 2, this release reads up to 1"), "{refusal}");
}

#[test]
fn refuses_a_database_of_somebody_else() {
    let folder = tempfile::tempdir().unwrap();
    drop(redb::Database::create(folder.path().join(FILE)).unwrap());
    assert!(matches!(refusal(folder.path()), OpenError::Damaged { .. }));
}

#[test]
fn refuses_a_file_that_is_no_database_and_leaves_it_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    fs::write(&file, [7; 10_000]).unwrap();
    assert!(matches!(refusal(folder.path()), OpenError::Damaged { .. }));
    assert_eq!(fs::read(&file).unwrap(), [7; 10_000]);
}

/// An empty store in its place would let every account begin anew.
#[test]
fn refuses_a_file_that_was_emptied() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(FILE), []).unwrap();
    assert!(matches!(refusal(folder.path()), OpenError::Damaged { .. }));
}

#[test]
fn refuses_a_folder_that_cannot_be_made() {
    let parent = tempfile::tempdir().unwrap();
    fs::write(parent.path().join("file"), []).unwrap();
    assert!(matches!(refusal(&parent.path().join("file")), OpenError::Disk { .. }));
}

#[test]
fn a_file_that_was_cut_off_while_it_was_made_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("vault.redb.new"), [7; 5000]).unwrap();
    EmbeddedStore::open(folder.path()).unwrap();
    assert!(!folder.path().join("vault.redb.new").exists());
}
