//! Exports of Telegram Desktop: one chat, or all data of an account; as JSON, or as pages to look at.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Recognised, names_in};
use crate::tree::Time;

const MEDIA: [&str; 8] =
    ["photos", "video_files", "voice_messages", "round_video_messages", "files", "stickers", "chats", "stories"];

pub(super) fn recognise(path: &Path) -> Result<Recognised, String> {
    let (json, pages) = (path.join("result.json"), pages_of(path));
    if !json.is_file() && pages.is_empty() {
        let below: Vec<_> = names_in(path).into_iter().filter(|name| is_export(&path.join(name))).collect();
        return Err(match below.first() {
            Some(first) => format!("it holds exports ({first} …) and is none itself: name them"),
            None => "it holds neither `result.json` nor `messages.html` nor `export_results.html`".to_owned(),
        });
    }
    let mut found = Recognised::new("an export from Telegram Desktop", path, &[]);
    if json.is_file() {
        let counts = read_json(&json).map_err(|error| format!("its `result.json` is broken: {error}"))?;
        found.version = Some("JSON".to_owned());
        found.counted.messages = Some(counts.messages);
        found.counted.range = counts.range;
    } else {
        found.version = Some("HTML".to_owned());
        found.counted.messages = Some(pages.iter().map(|page| messages_in(page)).sum());
    }
    found.count_media(&MEDIA);
    Ok(found)
}

fn is_export(folder: &Path) -> bool {
    folder.join("result.json").is_file() || !pages_of(folder).is_empty()
}

/// The pages with messages, of one chat or of all.
fn pages_of(folder: &Path) -> Vec<std::path::PathBuf> {
    let is_page = |name: &String| name.starts_with("messages") && name.ends_with(".html");
    let mut pages: Vec<_> = names_in(folder).into_iter().filter(is_page).map(|name| folder.join(name)).collect();
    if folder.join("export_results.html").is_file() {
        for chat in names_in(&folder.join("chats")) {
            let chat = folder.join("chats").join(chat);
            pages.extend(names_in(&chat).into_iter().filter(is_page).map(|name| chat.join(name)));
        }
        pages.push(folder.join("export_results.html"));
    }
    pages
}

/// A page tells its messages by their class.
const MESSAGE: &str = "<div class=\"message default";

fn messages_in(page: &Path) -> u64 {
    let Ok(file) = File::open(page) else { return 0 };
    let lines = BufReader::new(file).split(b'\n').map_while(Result::ok);
    lines.map(|line| String::from_utf8_lossy(&line).matches(MESSAGE).count() as u64).sum()
}

/// What a `result.json` holds. It may be larger than memory: no more is kept of it than this.
#[derive(Debug, Default)]
struct Counts {
    messages: u64,
    range: Option<(Time, Time)>,
}

fn read_json(path: &Path) -> Result<Counts, serde_json::Error> {
    let file = fs::File::open(path).map_err(serde::de::Error::custom)?;
    let mut counts = Counts::default();
    let mut reader = serde_json::Deserializer::from_reader(BufReader::new(file));
    Object(&mut counts).deserialize(&mut reader)?;
    reader.end()?;
    Ok(counts)
}

/// An object somewhere above the messages: an export, a list of chats, a chat.
struct Object<'c>(&'c mut Counts);

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "chats" | "left_chats" => map.next_value_seed(Object(self.0))?,
                "list" => map.next_value_seed(List(self.0, Of::Chats))?,
                "messages" => map.next_value_seed(List(self.0, Of::Messages))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Of {
    Chats,
    Messages,
}

struct List<'c>(&'c mut Counts, Of);

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        match self.1 {
            Of::Chats => while list.next_element_seed(Object(self.0))?.is_some() {},
            Of::Messages => {
                while let Some(message) = list.next_element()? {
                    self.0.add(&message);
                }
            }
        }
        Ok(())
    }
}

#[derive(serde::Deserialize)]
struct Message {
    #[serde(default, deserialize_with = "seconds")]
    date_unixtime: Option<i64>,
}

/// Telegram writes it as a text.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(serde_json::Value::deserialize(deserializer)?.as_str().and_then(|text| text.parse().ok()))
}

impl Counts {
    fn add(&mut self, message: &Message) {
        self.messages += 1;
        let Some(seconds) = message.date_unixtime else { return };
        let time = Time { seconds, nanoseconds: 0 };
        let (first, last) = self.range.unwrap_or((time, time));
        self.range = Some((first.min(time), last.max(time)));
    }
}
