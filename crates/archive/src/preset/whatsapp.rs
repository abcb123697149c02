//! WhatsApp: on Android the folder on the phone's storage, or the app's own data; on an iPhone the app group's.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::{Recognised, count_messages, look_into, names_in, schema_version};

/// From the folder that was named down to WhatsApp's own, as far as people copy it.
const BELOW: [&str; 6] = [
    "WhatsApp",
    "WhatsApp Business",
    "com.whatsapp/WhatsApp",
    "media/com.whatsapp/WhatsApp",
    "Android/media/com.whatsapp/WhatsApp",
    "Android/media/com.whatsapp.w4b/WhatsApp Business",
];

/// Statuses of others last a day; the rest is shown smaller, shared, or thrown away already.
const ON_STORAGE: [&str; 6] =
    ["/Media/.Statuses/", "/Media/.Links/", "/.Shared/", "/.StickerThumbs/", "/.Thumbs/", "/.trash/"];
const APP_DATA: [&str; 6] = ["/cache/", "/code_cache/", "/app_webview*/", "/files/.trash/", "/files/Logs/", "/lib"];
const ON_IPHONE: [&str; 3] = ["/Library/Caches/", "/Logs/", "/tmp/"];

/// Newer stores have `message`, older ones `messages`; times are in milliseconds.
const QUERIES: [&str; 2] = [
    "SELECT count(*), min(CAST(timestamp AS REAL)), max(CAST(timestamp AS REAL)) FROM message WHERE timestamp > 0",
    "SELECT count(*), min(CAST(timestamp AS REAL)), max(CAST(timestamp AS REAL)) FROM messages WHERE timestamp > 0",
];
/// Times are in seconds since 2001.
const QUERY_IPHONE: &str = "SELECT count(*), min((ZMESSAGEDATE + 978307200.0) * 1000), \
                            max((ZMESSAGEDATE + 978307200.0) * 1000) FROM ZWAMESSAGE";

pub(super) fn recognise(path: &Path) -> Result<Recognised, String> {
    if is_on_storage(path) {
        return Ok(on_storage(path));
    }
    // A phone may have two of them: WhatsApp Business, or the folder that WhatsApp used before it moved.
    let mut below: Vec<_> = BELOW.into_iter().filter(|below| is_on_storage(&path.join(below))).collect();
    below.dedup_by_key(|below| path.join(below).canonicalize().ok());
    match below[..] {
        [] => {}
        [folder] => return Ok(on_storage(&path.join(folder))),
        _ => return Err(format!("it holds several of them: name those that count ({})", below.join(", "))),
    }
    if let Some(database) = look_into(&path.join("databases/msgstore.db")) {
        return Ok(app_data(path, &database));
    }
    if let Some(database) = look_into(&path.join("ChatStorage.sqlite")) {
        return Ok(on_iphone(path, &database));
    }
    if let Some(database) = look_into(&path.join("msgstore.db")) {
        let mut found = Recognised::new("a WhatsApp message store from Android", path, &[]);
        count(&mut found, &database);
        return Ok(found);
    }
    Err("it holds neither `Databases` and `Media` (Android), nor `databases/msgstore.db` (the app's own data), nor \
         `ChatStorage.sqlite` (iPhone)"
        .to_owned())
}

fn stores_in(folder: &Path) -> Vec<String> {
    let mut names = names_in(&folder.join("Databases"));
    names.retain(|name| name.starts_with("msgstore"));
    names
}

fn is_on_storage(folder: &Path) -> bool {
    let has_media = || names_in(&folder.join("Media")).iter().any(|name| name.starts_with("WhatsApp "));
    !stores_in(folder).is_empty() || has_media()
}

fn on_storage(folder: &Path) -> Recognised {
    let mut found = Recognised::new("WhatsApp on Android, its folder on the storage", folder, &ON_STORAGE);
    found.count_media(&["Media"]);
    let stores = stores_in(folder);
    let sealed = stores.iter().rev().find_map(|name| name.rsplit_once(".crypt").map(|(_, version)| version.to_owned()));
    let database = look_into(&folder.join("Databases/msgstore.db"));
    match (&database, sealed) {
        (Some(database), _) => count(&mut found, database),
        (None, Some(version)) => warn_of_seal(&mut found, &version),
        (None, None) => found.warn("there is no message store in `Databases`: only media are backed up"),
    }
    found
}

fn warn_of_seal(found: &mut Recognised, version: &str) {
    found.version = Some(format!("crypt{version}"));
    let key = match version {
        "15" => "WhatsApp's own backup password or 64-digit key",
        _ => "the key in the app's own data on the phone, or the account's phone number",
    };
    found.warn(format!(
        "the message store is sealed by WhatsApp itself (crypt{version}): to read it, {key} is needed besides this backup"
    ));
}

fn app_data(folder: &Path, database: &Connection) -> Recognised {
    let mut found = Recognised::new("WhatsApp on Android, the app's own data", folder, &APP_DATA);
    count(&mut found, database);
    found.count_media(&["files/Media"]);
    let media: PathBuf = folder.join("files/Media");
    if !media.is_dir() {
        found
            .notes
            .push("its media lie on the phone's storage, in Android/media/com.whatsapp: back them up too".to_owned());
    }
    found
}

fn on_iphone(folder: &Path, database: &Connection) -> Recognised {
    let mut found = Recognised::new("WhatsApp on an iPhone", folder, &ON_IPHONE);
    let version = database.query_row("SELECT Z_VERSION FROM Z_METADATA", [], |row| row.get::<_, i64>(0));
    found.version = version.ok().map(|version| format!("model version {version}"));
    if let Some((messages, range)) = count_messages(database, QUERY_IPHONE) {
        found.counted.messages = Some(messages);
        found.counted.range = range;
    }
    found.count_media(&["Message/Media", "Media"]);
    found
}

fn count(found: &mut Recognised, database: &Connection) {
    found.version = schema_version(database);
    let counted = QUERIES.iter().filter_map(|query| count_messages(database, query));
    if let Some((messages, range)) = counted.max_by_key(|(messages, _)| *messages) {
        found.counted.messages = Some(messages);
        found.counted.range = range;
    } else {
        found.warn("its message store has neither a table `message` nor `messages`: is it of another app?");
    }
}
