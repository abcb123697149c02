//! SoftHSM's surroundings, for a vault that is one process.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// SoftHSM reads a line of its configuration into a buffer of 1024 bytes; what is beyond it is lost.
const MAX_LINE: usize = 1000;

/// Prepares `folder` for SoftHSM's tokens, readable by this user alone, and writes its `softhsm2.conf`. Returns the
/// environment variable that SoftHSM finds it by, and its value: the process that loads the module has to be *started*
/// with it, because changing the environment of a running process is unsound while other threads read it. Safe to
/// repeat.
///
/// Fails if the folder cannot be made, or if its absolute path is one that SoftHSM's configuration cannot express: it
/// must be UTF-8 of at most 900 bytes or so, without `#`, control characters, or white space at its ends.
pub fn embedded_environment(folder: &Path) -> io::Result<(&'static str, PathBuf)> {
    let tokens = folder.join("tokens");
    DirBuilder::new().recursive(true).mode(0o700).create(&tokens)?;
    let folder = folder.canonicalize()?;
    let line = format!("directories.tokendir = {}", expressible(&folder.join("tokens"))?);
    if line.len() > MAX_LINE {
        return Err(io::Error::new(ErrorKind::InvalidInput, "the folder's path is too long for SoftHSM"));
    }
    let text = format!("{line}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n");
    let conf = folder.join("softhsm2.conf");
    // Replaced in one step: a vault that is starting at the same time sees the old file or the new one.
    let new = folder.join("softhsm2.conf.new");
    fs::write(&new, text)?;
    fs::rename(&new, &conf)?;
    Ok(("SOFTHSM2_CONF", conf))
}

fn expressible(path: &Path) -> io::Result<&str> {
    path.to_str()
        .filter(|text| text.trim() == *text && !text.contains(|c: char| c.is_control() || c == '#'))
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "SoftHSM's configuration cannot name this folder"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::embedded_environment;

    #[test]
    fn names_the_configuration_that_it_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let (name, value) = embedded_environment(&folder.path().join("a b")).unwrap();
        assert_eq!(name, "SOFTHSM2_CONF");
        let tokens = folder.path().canonicalize().unwrap().join("a b/tokens");
        let text = fs::read_to_string(value).unwrap();
        assert!(text.starts_with(&format!("directories.tokendir = {}\n", tokens.display())), "{text}");
        assert_eq!(fs::metadata(tokens).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_second_call_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let first = embedded_environment(folder.path()).unwrap();
        let text = fs::read(&first.1).unwrap();
        assert_eq!(embedded_environment(folder.path()).unwrap(), first);
        assert_eq!(fs::read(first.1).unwrap(), text);
    }

    #[test]
    fn refuses_a_folder_that_the_configuration_cannot_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a#b", "a\nb"] {
            assert!(embedded_environment(&folder.path().join(name)).is_err(), "{name:?}");
        }
    }

    #[test]
    fn refuses_a_folder_whose_path_is_too_long() {
        let folder = tempfile::tempdir().unwrap();
        let long = (0..5).fold(folder.path().to_owned(), |path, _| path.join("x".repeat(200)));
        assert!(embedded_environment(&long).is_err());
    }
}
