//! The recovery key as it comes from a file or a person.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::path::Path;

use coffer_keys::{RecoveryKey, RecoveryKeyError};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::output::Output;
use crate::secret_text;

/// How often a person is asked.
pub(crate) const TRIES: usize = 3;

/// The key in a file, or on standard input for "-".
pub(crate) fn from_file(path: &Path) -> Result<RecoveryKey, Error> {
    let unreadable = |source| Error::File { action: "read", path: path.to_owned(), source };
    let (mut file, origin) = if path == Path::new("-") {
        (standard_input().map_err(unreadable)?, "standard input".to_owned())
    } else {
        (File::open(path).map_err(unreadable)?, path.display().to_string())
    };
    let text = secret_text::read(&mut file).map_err(unreadable)?;
    RecoveryKey::parse(&text).map_err(|why| Error::NotARecoveryKey { origin, why })
}

/// Whether there is a person to ask.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for the key once. It may come in several lines, as it stands on paper; an empty line ends it. None when the
/// input ends instead (Ctrl-D): who is asked has no key to give.
///
/// The digits are seen as they are typed, unlike a password: nobody types 64 of them right without seeing them, and
/// whoever looks over the shoulder sees the paper too.
pub(crate) fn ask(output: &Output) -> Result<Option<RecoveryKey>, Error> {
    let unreadable = |source| Error::File { action: "read", path: "the terminal".into(), source };
    let mut terminal = standard_input().map_err(unreadable)?;
    let mut typed = Zeroizing::new(String::with_capacity(4096));
    output.prompt("Recovery key (16 groups of 4 digits): ");
    loop {
        let line = secret_text::read_line(&mut terminal).map_err(unreadable)?;
        if line.is_empty() {
            output.prompt("\n");
            return Ok(None);
        }
        let is_last = line.trim().is_empty() || typed.len() + line.len() > typed.capacity();
        if !is_last {
            typed.push_str(&line);
        }
        match RecoveryKey::parse(&typed) {
            Err(RecoveryKeyError::TooShort { .. }) if !is_last => output.prompt("… "),
            Err(why) => return Err(Error::NotARecoveryKey { origin: "what was typed".to_owned(), why }),
            Ok(key) => return Ok(Some(key)),
        }
    }
}

/// Standard input without the standard library's buffer, which would keep a copy of the key.
pub(crate) fn standard_input() -> io::Result<File> {
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}
