//! What the storage provider, other users of the machine, and a reader of logs can learn: nothing.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::Connection;

use crate::device::{Coffer, finish};
use crate::noise::Noise;
use crate::tree::files_below;

/// Bytes of an object's prefix in the clear.
const PREFIX: usize = 80;
/// Of these, the ones that are the same in all objects of a kind and epoch.
const CONSTANT: usize = 16;

/// Many strings, looked for at once.
struct Needles {
    all: Vec<(String, Vec<u8>)>,
    /// By their first two bytes.
    begin: Vec<bool>,
}

impl Needles {
    fn new(all: Vec<(String, Vec<u8>)>) -> Self {
        let mut begin = vec![false; 1 << 16];
        for (name, needle) in &all {
            assert!(needle.len() >= 6, "{name} is too short: it could be found by chance");
            begin[usize::from(needle[0]) << 8 | usize::from(needle[1])] = true;
        }
        Self { all, begin }
    }

    fn found_in(&self, bytes: &[u8]) -> Option<&str> {
        for at in 0..bytes.len().saturating_sub(1) {
            if self.begin[usize::from(bytes[at]) << 8 | usize::from(bytes[at + 1])] {
                let found = self.all.iter().find(|(_, needle)| bytes[at..].starts_with(needle));
                if let Some((name, _)) = found {
                    return Some(name);
                }
            }
        }
        None
    }

    #[track_caller]
    fn are_not_in(&self, bytes: &[u8], place: &str) {
        if let Some(name) = self.found_in(bytes) {
            panic!("{name} is in {place}");
        }
    }
}

/// A text in the forms in which it could lie somewhere.
fn forms(text: &str) -> Vec<(String, Vec<u8>)> {
    let mut forms = vec![
        (format!("{text:?}"), text.as_bytes().to_vec()),
        (format!("{text:?} in UTF-16 LE"), text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        (format!("{text:?} in UTF-16 BE"), text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        (format!("{text:?} in hex"), hex::encode(text).into_bytes()),
    ];
    // Base64 of it looks different after 0, 1 or 2 bytes; the first and last characters depend on its neighbours.
    for shift in 0..3 {
        let encoded = STANDARD.encode([&b"xx"[..shift], text.as_bytes()].concat());
        let inner = &encoded[(shift * 8).div_ceil(6)..encoded.len() - 4];
        forms.push((format!("{text:?} in base64"), inner.as_bytes().to_vec()));
    }
    forms
}

const MARKERS: [&str; 9] = [
    "folder-of-anna-katharina",
    "holiday-in-lisbon.txt",
    "we meet at the old lighthouse at noon",
    "pixel-7-of-anna",
    "0049170-this-is-a-row-in-sqlite",
    "secret_table_of_messages",
    "user.mood-of-the-day",
    "melancholic-but-hopeful",
    "target-of-a-symbolic-link",
];

fn marked_chats(device: &Coffer) -> PathBuf {
    let [folder, file, content, _, row, table, attribute, value, link] = MARKERS;
    let text = format!("{content}\n").repeat(20_000);
    let path = device.write(&format!("{folder}/deep/{file}"), text.as_bytes());
    device.write(&format!("{folder}/IMG.jpg"), &[b"\xff\xd8\xff\xe0", content.as_bytes(), text.as_bytes()].concat());
    device.write(&format!("{folder}/random.bin"), &Noise::new(4).bytes(300_000));
    xattr::set(path, attribute, value.as_bytes()).unwrap();
    std::os::unix::fs::symlink(link, device.path(folder).join("link")).unwrap();
    let store = Connection::open(device.path(folder).join("msgstore.db")).unwrap();
    store.execute_batch(&format!("CREATE TABLE {table} (key TEXT, noise BLOB)")).unwrap();
    let mut noise = Noise::new(5);
    store.execute_batch("BEGIN").unwrap();
    for _ in 0..2000 {
        store.execute(&format!("INSERT INTO {table} VALUES (?1, ?2)"), (row, noise.bytes(200))).unwrap();
    }
    store.execute_batch("COMMIT").unwrap();
    device.path(folder)
}

fn objects(device: &Coffer) -> Vec<(String, Vec<u8>)> {
    let name = |path: &Path| path.strip_prefix(&device.archive).unwrap().display().to_string();
    files_below(&device.archive).iter().map(|path| (name(path), fs::read(path).unwrap())).collect()
}

#[test]
fn no_stored_object_holds_a_name_a_path_or_a_text() {
    let device = Coffer::with_archive();
    let source = marked_chats(&device);
    let needles = Needles::new(MARKERS.iter().flat_map(|marker| forms(marker)).collect());
    // The search finds what it looks for.
    let text = fs::read(source.join("deep").join(MARKERS[1])).unwrap();
    assert!(needles.found_in(&text).is_some());
    assert!(needles.found_in(STANDARD.encode(&text[..2000]).as_bytes()).is_some());

    let arguments = ["backup", "--host", MARKERS[3]].map(OsStr::new);
    device.run(arguments.into_iter().chain([source.as_os_str()])).succeeds();
    fs::rename(source.join("IMG.jpg"), source.join("IMG-2.jpg")).unwrap();
    device.back_up(&source);
    let objects = objects(&device);
    assert!(objects.len() > 6);
    for (name, bytes) in &objects {
        needles.are_not_in(name.as_bytes(), "a name");
        needles.are_not_in(bytes, name);
    }
    // Nor does what the device remembers of it.
    for path in files_below(&device.home) {
        needles.are_not_in(&fs::read(&path).unwrap(), &path.display().to_string());
    }
}

#[test]
fn stored_objects_look_random() {
    let device = Coffer::with_archive();
    let source = marked_chats(&device);
    device.back_up(&source);
    device.write("more/text.txt", &Noise::new(6).text(3_000_000));
    device.back_up(&device.path("more"));
    let mut looked_at = 0;
    for (name, bytes) in objects(&device).iter().filter(|(_, bytes)| bytes.len() >= 64 << 10) {
        let sealed = &bytes[PREFIX..];
        let mut counts = [0_u32; 256];
        sealed.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
        let len = sealed.len() as f64;
        let shares = counts.iter().map(|count| f64::from(*count) / len);
        let entropy: f64 = shares.clone().filter(|share| *share > 0.0).map(|share| -share * share.log2()).sum();
        assert!(entropy > 7.9, "{name}: {entropy} bits a byte");
        // 255 degrees of freedom: mean 255, standard deviation 22.6. Eight of them are no chance.
        let chi: f64 = shares.map(|share| (share * 256.0 - 1.0).powi(2)).sum::<f64>() * len / 256.0;
        assert!((74.0..436.0).contains(&chi), "{name}: chi-square {chi}");
        looked_at += 1;
    }
    assert!(looked_at >= 2);
}

#[test]
fn two_archives_of_the_same_file_have_nothing_in_common() {
    let devices = [Coffer::with_archive(), Coffer::with_archive()];
    let contents = devices.each_ref().map(|device| {
        device.write("same/text.txt", &Noise::new(7).text(1_500_000));
        device.write("same/film.mp4", &[b"\0\0\0\x20ftypisom", &Noise::new(8).bytes(700_000)[..]].concat());
        device.back_up(&device.path("same"));
        objects(device).into_iter().filter(|(name, _)| name != "coffer.json").collect::<Vec<_>>()
    });
    let [one, other] = &contents;
    let blocks = |bytes: &[u8]| bytes[CONSTANT..].chunks_exact(16).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let mut known = HashSet::new();
    for (name, bytes) in one {
        for block in blocks(bytes) {
            assert!(known.insert(block), "{name} holds a block that is in the archive already");
        }
    }
    assert!(known.len() > 60_000);
    for (name, bytes) in other {
        let shared = bytes[CONSTANT..].windows(16).position(|block| known.contains(block));
        assert_eq!(shared, None, "{name} holds a block that is in the other archive");
    }
}

/// The key, or a recognisable part of it, as it could be written somewhere.
fn forms_of_key(digits: &str) -> Vec<(String, Vec<u8>)> {
    let packed: String = digits.split_whitespace().collect();
    let raw = hex::decode(&packed).unwrap();
    assert_eq!(raw.len(), 32);
    let mut forms = Vec::new();
    for row in digits.lines().filter(|line| !line.is_empty()) {
        forms.push(("a row of the key".to_owned(), row.trim().as_bytes().to_vec()));
    }
    for part in packed.as_bytes().chunks(16) {
        forms.push(("a quarter of the key's digits".to_owned(), part.to_vec()));
        forms.push(("a quarter of the key's digits".to_owned(), part.to_ascii_uppercase()));
    }
    for part in raw.chunks(16) {
        forms.push(("half of the raw key".to_owned(), part.to_vec()));
        let list: Vec<String> = part.iter().map(u8::to_string).collect();
        forms.push(("half of the key as numbers".to_owned(), list.join(", ").into_bytes()));
    }
    forms.push(("the key in base64".to_owned(), STANDARD.encode(&raw).as_bytes()[..40].to_vec()));
    forms
}

/// What every process of this user can see of a running one, at each moment.
fn watch(mut child: Child, needles: &Needles) -> crate::device::Run {
    let folder = PathBuf::from(format!("/proc/{}", child.id()));
    while child.try_wait().unwrap().is_none() {
        for file in ["cmdline", "environ"] {
            // It may have ended meanwhile.
            needles.are_not_in(&fs::read(folder.join(file)).unwrap_or_default(), file);
        }
    }
    finish(child)
}

#[test]
fn the_key_is_nowhere_but_in_its_file_and_where_it_is_asked_for() {
    let device = Coffer::new();
    let archive = device.archive.clone();
    let init = device.run(["init".as_ref(), archive.as_os_str()]).succeeds();
    device.write("chats/text.txt", &Noise::new(9).text(20_000_000));
    let shown = device.run(["protect", "recovery-key"]).succeeds();
    let digits = shown.stdout.clone();
    let needles = Needles::new(forms_of_key(&digits));
    assert!(needles.found_in(digits.as_bytes()).is_some());
    assert!(needles.found_in(&fs::read(device.home.join("key")).unwrap()).is_some());
    assert!(needles.found_in(device.run(["key", "show"]).succeeds().stdout.as_bytes()).is_some());
    needles.are_not_in(shown.stderr.as_bytes(), "what `protect` says beside it");
    needles.are_not_in(init.stdout.as_bytes(), "what `init` says");
    needles.are_not_in(init.stderr.as_bytes(), "what `init` says");

    let paper = device.paper();
    let mistyped =
        device.write("mistyped", digits.replacen(&digits[..1], "x", 1).replace('x', other(&digits)).as_bytes());
    let (paper_name, mistyped_name) = (paper.to_str().unwrap(), mistyped.to_str().unwrap());
    let commands: [(&[&str], i32); 13] = [
        (&["backup", "chats"], 0),
        (&["--json", "backup", "chats"], 0),
        (&["snapshots"], 0),
        (&["ls", "-r", "-l"], 0),
        (&["verify", "--read-data"], 0),
        (&["status"], 0),
        (&["--json", "status"], 0),
        (&["restore", "--to", "out"], 0),
        (&["--recovery-key-file", paper_name, "restore", "--to", "out2"], 0),
        (&["--recovery-key-file", mistyped_name, "restore", "--to", "out3"], 10),
        (&["--json", "--recovery-key-file", mistyped_name, "status"], 10),
        (&["--recovery-key-file", "chats/text.txt", "status"], 10),
        (&["init", "elsewhere"], 14),
    ];
    for (command, code) in commands {
        let run = watch(device.start(command), &needles).ends_with(code);
        needles.are_not_in(run.stdout.as_bytes(), &format!("the output of {command:?}"));
        needles.are_not_in(run.stderr.as_bytes(), &format!("the messages of {command:?}"));
    }
    let other = device.joined_by("other home");
    for written_here in [&paper, &mistyped, &device.home.join("key"), &other.home.join("key")] {
        fs::remove_file(written_here).unwrap();
    }
    let text = device.path("chats/text.txt");
    for path in files_below(device.scratch()).into_iter().filter(|path| !path.ends_with("text.txt")) {
        needles.are_not_in(&fs::read(&path).unwrap(), &path.display().to_string());
    }
    assert!(text.exists());
}

/// A digit that the first one is not.
fn other(digits: &str) -> &'static str {
    if digits.starts_with('7') { "8" } else { "7" }
}
