//! The suite that every store passes.

use coffer_testkit::conformance::{check_ledger, check_records};
use coffer_vault_store::EmbeddedStore;

#[tokio::test]
async fn the_records_keep_what_every_store_promises() {
    let folder = tempfile::tempdir().unwrap();
    check_records(&EmbeddedStore::open(folder.path()).unwrap().records).await;
}

#[tokio::test]
async fn the_ledger_keeps_what_every_store_promises() {
    let folder = tempfile::tempdir().unwrap();
    check_ledger(&EmbeddedStore::open(folder.path()).unwrap().ledger).await;
}
