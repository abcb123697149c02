//! Things to back up.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::noise::Noise;

/// Where this package lies.
pub(crate) const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");

/// The real exports: all of them where they lie beside the repository, else the sample that it holds.
pub(crate) fn exports() -> PathBuf {
    let all = Path::new(PACKAGE).join("../../shared/data");
    if all.is_dir() { all.canonicalize().unwrap() } else { Path::new(PACKAGE).join("data/sample-chats") }
}

/// The generator of whole chat archives, where it lies beside the repository.
pub(crate) fn chatgen() -> Option<PathBuf> {
    let program = Path::new(PACKAGE).join("../../shared/bin/chatgen.py");
    program.exists().then_some(program)
}

/// Builds the WhatsApp message store from its SQL.
pub(crate) fn message_store(at: &Path) {
    let folder = exports().join("whatsapp-viewer");
    let store = Connection::open(at).unwrap();
    for part in ["msgstore.db.schema.sql", "test-database.sql"] {
        // What was deleted or garbled in the original is not UTF-8.
        let sql = String::from_utf8_lossy(&fs::read(folder.join(part)).unwrap()).into_owned();
        store.execute_batch(&sql).unwrap();
    }
}

/// Makes a message store of about `len` bytes, with an index over random ids, as such stores have.
pub(crate) fn grown_store(at: &Path, len: u64, noise: &mut Noise) {
    let mut store = Connection::open(at).unwrap();
    store.pragma_update(None, "synchronous", "off").unwrap();
    store
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY, key TEXT, body TEXT);
             CREATE UNIQUE INDEX IF NOT EXISTS by_key ON message (key);",
        )
        .unwrap();
    insert(&mut store, len / 500, noise);
}

/// Adds `count` messages of about half a kilobyte.
pub(crate) fn insert(store: &mut Connection, count: u64, noise: &mut Noise) {
    let all = store.transaction().unwrap();
    for _ in 0..count {
        let key = hex::encode(noise.bytes(16));
        let body = String::from_utf8(noise.text(380)).unwrap();
        all.execute("INSERT INTO message (key, body) VALUES (?1, ?2)", (key, body)).unwrap();
    }
    all.commit().unwrap();
}
