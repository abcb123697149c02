//! Presets: what is recognised, what is refused, and what of it a backup leaves out.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use coffer_archive::{Error, Preset, Recognised, Time};
use rusqlite::Connection;

fn write(folder: &Path, files: &[(&str, &[u8])]) {
    for (name, content) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

fn store(path: &Path, sql: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[track_caller]
fn recognise(preset: Preset, path: &Path) -> Recognised {
    preset.recognise(path).unwrap()
}

/// Why it is none of the preset's.
#[track_caller]
fn refusal(preset: Preset, path: &Path) -> String {
    let Err(Error::NotRecognised { why, .. }) = preset.recognise(path) else { return String::new() };
    why
}

/// What a backup takes of it.
fn taken(found: &Recognised) -> Vec<String> {
    let fixture = support::Fixture::new();
    let options = coffer_archive::BackupOptions {
        sources: vec![found.source.clone()],
        host: "test".to_owned(),
        rules: coffer_archive::Rules { patterns: found.leave_out.clone(), ..Default::default() },
        ..Default::default()
    };
    let report = fixture.open().backup(&options, &coffer_archive::Progress::default()).unwrap();
    assert_eq!(report.notes, [], "a preset's rules may match nothing");
    let archive = fixture.open();
    let mut taken = Vec::new();
    let top = Path::new(found.source.file_name().unwrap());
    let mut visit = |path: &Path, node: &coffer_archive::Node| {
        if !node.is_directory() {
            taken.push(path.strip_prefix(top).unwrap().to_str().unwrap().to_owned());
        }
    };
    archive.list(archive.snapshot("latest").unwrap(), None, true, &mut visit).unwrap();
    taken
}

const MESSAGES: &str = "CREATE TABLE message(_id INTEGER PRIMARY KEY, timestamp INTEGER, text_data TEXT);
    INSERT INTO message(timestamp) VALUES (0), (1700000000500), (1800000000000);
    PRAGMA user_version = 1;";

#[test]
fn whatsapp_on_androids_storage_is_found_in_a_copy_of_the_phone() {
    let phone = tempfile::tempdir().unwrap();
    let folder = phone.path().join("Android/media/com.whatsapp/WhatsApp");
    store(&folder.join("Databases/msgstore.db"), MESSAGES);
    write(
        &folder,
        &[
            ("Databases/msgstore-2026-01-01.1.db.crypt15", b"sealed"),
            ("Media/WhatsApp Images/IMG-1.jpg", b"12345"),
            ("Media/WhatsApp Images/Sent/IMG-2.jpg", b"1234567"),
            ("Media/.Statuses/theirs.jpg", b"of others"),
            ("Media/WhatsApp Voice Notes/202601/PTT-1.opus", b"123"),
            (".Thumbs/x", b"made again"),
            (".trash/y", b"thrown away"),
            ("Backups/wa.db.crypt15", b"sealed"),
        ],
    );
    let found = recognise(Preset::WhatsApp, phone.path());
    assert_eq!(found.source, folder.canonicalize().unwrap());
    assert_eq!((found.counted.messages, found.counted.media, found.counted.media_bytes), (Some(2), 3, 15));
    let time = |seconds, nanoseconds| Time { seconds, nanoseconds };
    assert_eq!(found.counted.range, Some((time(1_700_000_000, 500_000_000), time(1_800_000_000, 0))));
    assert_eq!(found.version.as_deref(), Some("schema version 1"));
    assert_eq!(found.warnings, [] as [&str; 0]);
    assert_eq!(
        taken(&found),
        [
            "Backups/wa.db.crypt15",
            "Databases/msgstore-2026-01-01.1.db.crypt15",
            "Databases/msgstore.db",
            "Media/WhatsApp Images/IMG-1.jpg",
            "Media/WhatsApp Images/Sent/IMG-2.jpg",
            "Media/WhatsApp Voice Notes/202601/PTT-1.opus",
        ]
    );
}

/// Taking one of them would leave the other out, and nobody would be told.
#[test]
fn refuses_a_phone_with_two_folders_of_whatsapp() {
    let phone = tempfile::tempdir().unwrap();
    let folders = [
        "Android/media/com.whatsapp/WhatsApp",
        "Android/media/com.whatsapp.w4b/WhatsApp Business",
        // As it was before Android 11, and stayed.
        "WhatsApp",
    ];
    write(&phone.path().join(folders[0]), &[("Databases/msgstore.db.crypt15", b"sealed")]);
    for other in &folders[1..] {
        write(&phone.path().join(other), &[("Databases/msgstore.db.crypt15", b"sealed")]);
        let why = refusal(Preset::WhatsApp, phone.path());
        assert!(why.contains("several") && why.contains(folders[0]) && why.contains(other), "{why}");
        let named = recognise(Preset::WhatsApp, &phone.path().join(other));
        assert_eq!(named.source, phone.path().join(other).canonicalize().unwrap());
        fs::remove_dir_all(phone.path().join(other)).unwrap();
    }
    recognise(Preset::WhatsApp, phone.path());
}

#[test]
fn a_store_that_whatsapp_sealed_needs_whatsapps_key() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("Databases/msgstore.db.crypt15", b"sealed")]);
    let found = recognise(Preset::WhatsApp, folder.path());
    assert_eq!((found.counted.messages, found.version.as_deref()), (None, Some("crypt15")));
    assert!(found.warnings[0].contains("64-digit key"), "{:?}", found.warnings);
}

#[test]
fn a_real_message_store_is_counted() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/sample-chats/whatsapp-viewer");
    let sql = ["msgstore.db.schema.sql", "test-database.sql"].map(|name| fs::read_to_string(data.join(name)).unwrap());
    let folder = tempfile::tempdir().unwrap();
    store(&folder.path().join("databases/msgstore.db"), &sql.concat());
    write(folder.path(), &[("files/key", b"of the store"), ("cache/x", b"x"), ("files/Logs/whatsapp.log", b"x")]);
    let found = recognise(Preset::WhatsApp, folder.path());
    assert_eq!(found.what, "WhatsApp on Android, the app's own data");
    assert_eq!(found.counted.messages, Some(42));
    assert_eq!(taken(&found), ["databases/msgstore.db", "files/key"]);
}

#[test]
fn whatsapp_on_an_iphone_counts_seconds_since_2001() {
    let folder = tempfile::tempdir().unwrap();
    let sql = "CREATE TABLE ZWAMESSAGE(Z_PK INTEGER PRIMARY KEY, ZMESSAGEDATE TIMESTAMP);
        INSERT INTO ZWAMESSAGE(ZMESSAGEDATE) VALUES (0), (700000000.25);
        CREATE TABLE Z_METADATA(Z_VERSION INTEGER); INSERT INTO Z_METADATA VALUES (1);";
    store(&folder.path().join("ChatStorage.sqlite"), sql);
    write(folder.path(), &[("Message/Media/1@s.whatsapp.net/a.jpg", b"123")]);
    let found = recognise(Preset::WhatsApp, folder.path());
    let (first, last) = found.counted.range.unwrap();
    assert_eq!((first.seconds, last.seconds, found.counted.messages), (978_307_200, 1_678_307_200, Some(2)));
    assert_eq!((found.version.as_deref(), found.counted.media), (Some("model version 1"), 1));
}

#[test]
fn a_look_leaves_nothing_beside_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("Databases/msgstore.db");
    store(&path, &format!("PRAGMA journal_mode = wal; {MESSAGES}"));
    let before = fs::read(&path).unwrap();
    assert_eq!(recognise(Preset::WhatsApp, folder.path()).counted.messages, Some(2));
    let names: Vec<_> =
        fs::read_dir(folder.path().join("Databases")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["msgstore.db"]);
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_folder_that_is_not_whatsapps_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("Databases/other.db", b"x"), ("Media/photo.jpg", b"x"), ("msgstore.db", b"no database")]);
    assert!(refusal(Preset::WhatsApp, folder.path()).contains("ChatStorage.sqlite"));
}

fn signal(config: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &[
            ("config.json", config),
            ("sql/db.sqlite", &[0xa5; 4096]),
            ("sql/db.sqlite-wal", &[0x5a; 100]),
            ("attachments.noindex/ab/abcd", b"12345"),
            ("Cache/Cache_Data/x", b"x"),
            ("DawnGraphiteCache/x", b"x"),
            ("logs/main.log", b"x"),
            ("ephemeral.json", b"{}"),
        ],
    );
    folder
}

#[test]
fn signal_desktop_is_taken_with_its_key_and_without_its_caches() {
    let folder = signal(br#"{"key": "0a0b"}"#);
    let found = recognise(Preset::Signal, folder.path());
    assert_eq!((found.what, found.version.as_deref()), ("Signal Desktop", Some("encrypted (SQLCipher)")));
    assert_eq!((found.counted.media, found.warnings.len()), (1, 0));
    assert!(!format!("{found:?}").contains("0a0b"), "the key is a secret");
    assert_eq!(
        taken(&found),
        ["attachments.noindex/ab/abcd", "config.json", "ephemeral.json", "sql/db.sqlite", "sql/db.sqlite-wal"]
    );
}

#[test]
fn a_key_that_this_computer_sealed_is_warned_of() {
    for (backend, said) in [("gnome_libsecret", "gnome-libsecret"), ("kwallet6", "KWallet"), ("", "key store")] {
        let config = format!(r#"{{"encryptedKey": "0a0b", "safeStorageBackend": "{backend}"}}"#);
        let found = recognise(Preset::Signal, signal(config.as_bytes()).path());
        assert!(found.warnings[0].contains(said), "{:?}", found.warnings);
    }
    let weak = signal(br#"{"encryptedKey": "0a0b", "safeStorageBackend": "basic_text"}"#);
    assert_eq!(recognise(Preset::Signal, weak.path()).warnings, [] as [&str; 0]);
    let none = recognise(Preset::Signal, signal(b"{}").path());
    assert!(none.warnings[0].contains("no key"), "{:?}", none.warnings);
}

#[test]
fn a_running_signal_is_noted() {
    let folder = signal(br#"{"key": "0a0b"}"#);
    symlink(format!("laptop-{}", std::process::id()), folder.path().join("SingletonLock")).unwrap();
    assert!(recognise(Preset::Signal, folder.path()).notes.iter().any(|note| note.contains("is running")));
}

#[test]
fn a_database_of_signal_without_its_key_is_refused() {
    let folder = signal(b"{}");
    fs::remove_file(folder.path().join("config.json")).unwrap();
    assert!(refusal(Preset::Signal, folder.path()).contains("config.json"));
}

#[test]
fn backups_of_signal_on_android_need_their_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &[("signal-2026-01-01-03-00-00.backup", b"sealed"), ("signal-2026-01-02-03-00-00.backup", b"sealed")],
    );
    let found = recognise(Preset::Signal, folder.path());
    assert!(found.version.unwrap().contains("signal-2026-01-02") && found.warnings[0].contains("passphrase"));
}

#[test]
fn a_folder_that_is_not_signals_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(refusal(Preset::Signal, folder.path()).contains("sql/db.sqlite"));
}

#[test]
fn an_export_of_one_chat_from_telegram_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let json = br#"{"name": "Anna", "type": "personal_chat", "id": 7, "messages": [
        {"id": 1, "type": "message", "date": "2023-11-14T22:13:20", "date_unixtime": "1700000000", "text": [{"type": "bold", "text": "x"}]},
        {"id": 2, "type": "service", "date_unixtime": "1600000000", "text": ""}]}"#;
    write(folder.path(), &[("result.json", json), ("photos/photo_1.jpg", b"12"), ("photos/photo_1_thumb.jpg", b"1")]);
    let found = recognise(Preset::TelegramExport, folder.path());
    let (first, last) = found.counted.range.unwrap();
    assert_eq!((found.counted.messages, first.seconds, last.seconds), (Some(2), 1_600_000_000, 1_700_000_000));
    assert_eq!(
        taken(&found),
        ["photos/photo_1.jpg", "photos/photo_1_thumb.jpg", "result.json"],
        "pages show thumbnails"
    );
}

#[test]
fn an_export_of_all_of_telegram_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let json = br#"{"about": "x", "contacts": {"list": [{"first_name": "A"}]}, "chats": {"about": "x", "list": [
        {"name": "A", "messages": [{"id": 1}, {"id": 2}]}, {"name": "B", "messages": [{"id": 3}]}]},
        "left_chats": {"list": [{"messages": [{"id": 4}]}]}}"#;
    write(folder.path(), &[("result.json", json)]);
    let found = recognise(Preset::TelegramExport, folder.path());
    assert_eq!((found.counted.messages, found.counted.range), (Some(4), None));
}

#[test]
fn pages_exported_from_telegram_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let page = br#"<div class="message service" id="message-1"></div>
        <div class="message default clearfix" id="message1"></div><div class="message default clearfix joined" id="message2">"#;
    write(folder.path(), &[("messages.html", page), ("messages2.html", page)]);
    let found = recognise(Preset::TelegramExport, folder.path());
    assert_eq!((found.counted.messages, found.version.as_deref()), (Some(4), Some("HTML")));
}

#[test]
fn a_broken_export_and_a_folder_of_exports_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("ChatExport_2026-01-01/result.json", b"{\"messages\": [")]);
    assert!(refusal(Preset::TelegramExport, folder.path()).contains("ChatExport_2026-01-01"));
    assert!(refusal(Preset::TelegramExport, &folder.path().join("ChatExport_2026-01-01")).contains("broken"));
    let empty = tempfile::tempdir().unwrap();
    assert!(refusal(Preset::TelegramExport, empty.path()).contains("result.json"));
}

#[test]
fn a_chat_exported_from_whatsapp_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[31.12.23, 21:41:05] Anna: hi\n[31.12.23, 21:42:00] Bert: a\nb\n\u{200e}[01.01.24, 00:00:01] Anna: <attached: 1.jpg>\n";
    write(folder.path(), &[("Anna/_chat.txt", text.as_bytes()), ("Anna/1.jpg", b"123"), ("notes.txt", b"of mine")]);
    let found = recognise(Preset::WhatsAppExport, folder.path());
    assert_eq!(found.counted.messages, Some(3));
    assert!(found.notes[0].contains("31.12.23 to 01.01.24"), "{:?}", found.notes);
    let alone = recognise(Preset::WhatsAppExport, &folder.path().join("Anna/_chat.txt"));
    assert_eq!((alone.counted.messages, alone.counted.media), (Some(3), 0));
    assert!(refusal(Preset::WhatsAppExport, &folder.path().join("notes.txt")).contains("date and time"));
}

/// A ZIP file of stored entries, by hand.
fn zip(names: &[&str]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for name in names {
        let at = file.len() as u32;
        file.write_all(b"PK\x03\x04").unwrap();
        file.extend([0; 22]);
        file.extend((name.len() as u16).to_le_bytes());
        file.extend([0; 2]);
        file.extend(name.as_bytes());
        directory.extend(b"PK\x01\x02");
        directory.extend([0; 24]);
        directory.extend((name.len() as u16).to_le_bytes());
        directory.extend([0; 12]);
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (at, len) = (file.len() as u32, directory.len() as u32);
    file.extend(directory);
    file.extend(b"PK\x05\x06");
    file.extend([0; 8]);
    file.extend(len.to_le_bytes());
    file.extend(at.to_le_bytes());
    file.extend([0; 2]);
    file
}

#[test]
fn a_chat_exported_as_a_zip_file_is_recognised_and_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let chat = zip(&["_chat.txt", "1.jpg", "2.opus"]);
    let cut = &chat[..chat.len() - 40];
    write(
        folder.path(),
        &[("chat.zip", &chat), ("other.zip", &zip(&["readme.txt"])), ("cut.zip", cut), ("none.zip", b"")],
    );
    let found = recognise(Preset::WhatsAppExport, &folder.path().join("chat.zip"));
    assert_eq!((found.counted.messages, found.counted.media), (None, 2));
    assert!(refusal(Preset::WhatsAppExport, &folder.path().join("other.zip")).contains("_chat.txt"));
    for broken in ["cut.zip", "none.zip"] {
        assert!(refusal(Preset::WhatsAppExport, &folder.path().join(broken)).contains("no ZIP file"), "{broken}");
    }
}
