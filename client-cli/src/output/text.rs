//! Names that come from files, made fit for a terminal and for JSON.

use std::fmt::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use indicatif::HumanCount;
use serde::Serialize;

/// A text whose control characters show as escapes and take no effect.
pub(super) struct Clean<'a>(pub(super) &'a str);

impl fmt::Display for Clean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| clean(f, character))
    }
}

/// A path with its control characters escaped, and each byte that is not UTF-8 as `\xff`.
pub(super) struct CleanPath<'a>(pub(super) &'a Path);

impl fmt::Display for CleanPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.as_os_str().as_bytes().utf8_chunks() {
            part.valid().chars().try_for_each(|character| clean(f, character))?;
            part.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

fn clean(f: &mut fmt::Formatter<'_>, character: char) -> fmt::Result {
    if character.is_control() || is_direction(character) {
        write!(f, "{}", character.escape_default())
    } else {
        f.write_char(character)
    }
}

/// The characters that turn the direction of writing, and so can make a name read as another.
fn is_direction(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A number of things, with the thing in the right form.
pub(super) struct Counted(pub(super) u64, pub(super) &'static str);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{ending}", HumanCount(self.0), self.1)
    }
}

/// A path for programs: as text, and as bytes in hex where the text is not all of it.
#[derive(Debug, Serialize)]
pub(super) struct PathField {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
}

impl PathField {
    pub(super) fn of(path: &Path) -> Self {
        let bytes = path.as_os_str().as_bytes();
        let path_hex = std::str::from_utf8(bytes).is_err().then(|| hex::encode(bytes));
        Self { path: path.to_string_lossy().into_owned(), path_hex }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::Path;

    use super::{Clean, CleanPath, PathField};

    #[test]
    fn a_name_gives_the_terminal_no_commands() {
        assert_eq!(Clean("a\u{1b}[2Jb\nc").to_string(), "a\\u{1b}[2Jb\\nc");
        assert_eq!(CleanPath(Path::new("photo\u{202e}gpj.exe")).to_string(), "photo\\u{202e}gpj.exe");
        assert_eq!(Clean("Grüße 🎉").to_string(), "Grüße 🎉");
    }

    #[test]
    fn a_name_that_is_not_utf_8_is_shown_whole() {
        let path = Path::new(OsStr::from_bytes(b"caf\xe9.txt"));
        assert_eq!(CleanPath(path).to_string(), "caf\\xe9.txt");
        assert_eq!(PathField::of(path).path_hex.as_deref(), Some("636166e92e747874"));
        assert_eq!(PathField::of(Path::new("café")).path_hex, None);
    }
}
