//! Signal: the desktop app's folder, or backups that Signal on Android made.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{Recognised, names_in};
use crate::lock::is_alive;
use crate::sqlite;

/// What the browser engine inside keeps for itself, and what is half done.
const LEFT_OUT: [&str; 15] = [
    "/Cache/",
    "/Code Cache/",
    "/GPUCache/",
    "/Dawn*/",
    "/blob_storage/",
    "/Crashpad/",
    "/Service Worker/",
    "/Session Storage/",
    "/Shared Dictionary/",
    "/component_crx_cache/",
    "/logs/",
    "/temp/",
    "/update-cache/",
    "/Singleton*",
    "/sql/*.corrupt*",
];

pub(super) fn recognise(path: &Path) -> Result<Recognised, String> {
    if path.join("sql/db.sqlite").is_file() {
        return desktop(path);
    }
    let mut backups = names_in(path);
    backups.retain(|name| {
        name.starts_with("signal-") && (name.ends_with(".backup") || name.starts_with("signal-backup-"))
    });
    if backups.is_empty() {
        return Err(
            "it holds neither `sql/db.sqlite` (Signal Desktop) nor a backup called `signal-…` (Android)".to_owned()
        );
    }
    let mut found = Recognised::new("backups made by Signal on Android", path, &[]);
    found.version = Some(format!("the newest is {}", backups[backups.len() - 1]));
    found.warn("Signal sealed them itself: to read them, its passphrase or recovery key is needed besides this backup");
    Ok(found)
}

fn desktop(path: &Path) -> Result<Recognised, String> {
    let mut found = Recognised::new("Signal Desktop", path, &LEFT_OUT);
    let config = fs::read(path.join("config.json")).map_err(|_| {
        "its `config.json` is missing or unreadable: without the key in it nobody opens `sql/db.sqlite`".to_owned()
    })?;
    let config = serde_json::from_slice(&config).map_err(|_| "its `config.json` is not JSON".to_owned())?;
    say_where_the_key_is(&mut found, &config);
    let database = path.join("sql/db.sqlite");
    found.version =
        Some(if sqlite::is_database(&database) { "not encrypted" } else { "encrypted (SQLCipher)" }.to_owned());
    if is_running(path) {
        found.notes.push(
            "Signal is running. Its database is encrypted and can only be read as a file: if a problem with it is named \
             below, quit Signal and back up again"
                .to_owned(),
        );
    }
    found.count_media(&["attachments.noindex"]);
    Ok(found)
}

/// The database's key stands in `config.json`, or what the platform's key store sealed it to. Nothing of it is ever shown.
fn say_where_the_key_is(found: &mut Recognised, config: &Value) {
    let is_there = |name: &str| config.get(name).and_then(Value::as_str).is_some_and(|value| !value.is_empty());
    let backend = config.get("safeStorageBackend").and_then(Value::as_str);
    if is_there("key") || backend == Some("basic_text") && is_there("encryptedKey") {
        found.notes.push("the key of its database is in `config.json`, and so in the backup".to_owned());
    } else if is_there("encryptedKey") {
        let place = match backend {
            Some("gnome_libsecret") => "the keyring of this desktop (gnome-libsecret)",
            Some(backend) if backend.starts_with("kwallet") => "the wallet of this desktop (KWallet)",
            _ => "the key store of this computer",
        };
        found.warn(format!(
            "the key of its database is sealed with {place}, which is not in the backup: where that is lost, nobody reads \
             these messages. Back that up too, or let Signal make a backup of its own (Settings, Backups)"
        ));
    } else {
        found.warn("its `config.json` holds no key: nobody will read these messages");
    }
}

/// The lock is a link to `<host>-<process>`.
fn is_running(path: &Path) -> bool {
    let lock = fs::read_link(path.join("SingletonLock")).ok();
    let process = lock.as_ref().and_then(|lock| lock.to_str()?.rsplit_once('-')?.1.parse().ok());
    process.is_some_and(is_alive)
}
