//! "Export chat" of WhatsApp: a text with a line for each message, alone, in a folder with its media, or in a ZIP file.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use super::{Recognised, names_in, zip};

/// A text is an export's if a message begins in one of its first lines.
const LOOKED_AT: usize = 20;

pub(super) fn recognise(path: &Path) -> Result<Recognised, String> {
    if path.is_dir() {
        return folder(path);
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("zip") => zipped(path),
        _ => {
            let counted = count(path).ok_or("no line of it begins with the date and time of a message")?;
            let mut found = Recognised::new("a chat exported from WhatsApp, without media", path, &[]);
            found.counted.messages = Some(counted.messages);
            found.notes.push(counted.range());
            Ok(found)
        }
    }
}

fn folder(path: &Path) -> Result<Recognised, String> {
    let texts = texts_below(path);
    let chats: Vec<_> = texts.iter().filter_map(|text| count(text)).collect();
    if chats.is_empty() {
        return Err("it holds no text whose lines begin with the date and time of a message".to_owned());
    }
    let mut found = Recognised::new("chats exported from WhatsApp", path, &[]);
    found.counted.messages = Some(chats.iter().map(|chat| chat.messages).sum());
    found.version = Some(format!("{} chats", chats.len()));
    if let [chat] = &chats[..] {
        found.version = None;
        found.notes.push(chat.range());
    }
    found.count_media(&[""]);
    found.counted.media = found.counted.media.saturating_sub(chats.len() as u64);
    Ok(found)
}

/// Texts in the folder and in those right below it.
fn texts_below(folder: &Path) -> Vec<PathBuf> {
    let here = |folder: &Path| {
        let folder = folder.to_owned();
        names_in(&folder).into_iter().map(move |name| folder.join(name))
    };
    let all = here(folder).chain(here(folder).filter(|path| path.is_dir()).flat_map(|below| here(&below)));
    all.filter(|path| path.extension().is_some_and(|extension| extension == "txt") && path.is_file()).collect()
}

fn zipped(path: &Path) -> Result<Recognised, String> {
    let names = zip::names(path).map_err(|error| format!("it is no ZIP file: {error}"))?;
    let is_chat = |name: &String| {
        name == "_chat.txt" || (!name.contains('/') && name.contains("WhatsApp") && name.ends_with(".txt"))
    };
    if !names.iter().any(is_chat) {
        return Err("it holds neither `_chat.txt` nor a text named after WhatsApp".to_owned());
    }
    let mut found = Recognised::new("a chat exported from WhatsApp, in a ZIP file", path, &[]);
    found.counted.media = names.len() as u64 - 1;
    found.notes.push("its messages are not counted: they are compressed".to_owned());
    Ok(found)
}

/// A text's messages, with the dates of the first and last as they stand there: their order differs from place to place.
struct Text {
    messages: u64,
    first: String,
    last: String,
}

impl Text {
    fn range(&self) -> String {
        format!("its messages run from {} to {}, as the export writes it", self.first, self.last)
    }
}

fn count(path: &Path) -> Option<Text> {
    let mut lines = BufReader::new(File::open(path).ok()?).split(b'\n').map_while(Result::ok);
    let date = |line: Vec<u8>| date_of(&String::from_utf8_lossy(&line)).map(str::to_owned);
    let first = lines.by_ref().take(LOOKED_AT).find_map(date)?;
    let mut text = Text { messages: 1, last: first.clone(), first };
    for found in lines.filter_map(date) {
        text.messages += 1;
        text.last = found;
    }
    Some(text)
}

/// The date that a message's line begins with: `[31.12.23, 21:41:05] Anna: …` or `12/31/23, 9:41 PM - Anna: …`.
fn date_of(line: &str) -> Option<&str> {
    let line = line.trim_start_matches(['\u{feff}', '\u{200e}', '\u{200f}', '[']);
    let len = line.find(|character: char| !character.is_ascii_digit() && !matches!(character, '.' | '/' | '-'))?;
    let (date, rest) = line.split_at(len);
    let numbers: Vec<_> = date.split(['.', '/', '-']).filter(|number| !number.is_empty()).collect();
    let [one, two, three] = numbers[..] else { return None };
    let is_date = [one, two, three].iter().all(|number| number.len() <= 4) && one.len() + two.len() + three.len() >= 4;
    let time = rest.trim_start_matches([',', ' ', '\u{202f}', '\u{a0}']);
    let hour = time.find(|character: char| !character.is_ascii_digit())?;
    let is_time = (1..=2).contains(&hour)
        && time[hour..].starts_with([':', '.'])
        && time[hour + 1..].starts_with(|character: char| character.is_ascii_digit());
    let ends = time.contains("] ") || time.contains(" - ");
    (is_date && is_time && ends).then(|| date.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::date_of;

    #[test]
    fn finds_the_date_of_a_message_in_the_forms_of_many_places() {
        for (line, date) in [
            ("[31.12.23, 21:41:05] Anna: hi", "31.12.23"),
            ("\u{200e}[31/12/2023, 9:41:05\u{202f}PM] Anna: hi", "31/12/2023"),
            ("12/31/23, 9:41 PM - Anna: hi", "12/31/23"),
            ("2023-12-31, 21:41 - Anna: hi", "2023-12-31"),
            ("31.12.23, 21.41 - Anna: hi", "31.12.23"),
        ] {
            assert_eq!(date_of(line), Some(date), "{line}");
        }
    }

    #[test]
    fn other_lines_begin_no_message() {
        for line in
            ["", "hello", "1. first, 2. second", "31.12.23 is a date", "12/31/23, 9 people - all of them", "3.5"]
        {
            assert_eq!(date_of(line), None, "{line}");
        }
    }
}
