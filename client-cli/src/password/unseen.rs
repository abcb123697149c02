//! A terminal that does not show what is typed.

use std::fs::File;
use std::io::{self, Read};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

/// What Ctrl-C types where it is no signal.
const CTRL_C: u8 = 0x03;

/// A terminal for as long as it is read from. Afterwards it is as it was, even if Ctrl-C ends the program: who asks for
/// a password from a script goes on with that terminal.
#[derive(Debug)]
pub(super) struct Unseen {
    terminal: File,
    before: Termios,
}

impl Unseen {
    /// From now on keys are read one by one, and not shown.
    pub(super) fn begin(terminal: File) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut unseen = before.clone();
        unseen.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG);
        unseen.special_codes[SpecialCodeIndex::VMIN] = 1;
        unseen.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&terminal, OptionalActions::Now, &unseen)?;
        Ok(Self { terminal, before })
    }

    fn end(&self) {
        // There is nobody to tell that the terminal is gone.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

impl Read for Unseen {
    fn read(&mut self, keys: &mut [u8]) -> io::Result<usize> {
        let len = self.terminal.read(keys)?;
        // Whoever reads it ends the process on the spot.
        if keys.get(..len).is_some_and(|keys| keys.contains(&CTRL_C)) {
            self.end();
        }
        Ok(len)
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use std::ffi::OsStr;
    use std::fs::{File, OpenOptions};
    use std::io::{Read as _, Write as _};
    use std::os::unix::ffi::OsStrExt as _;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{LocalModes, tcgetattr};

    use super::Unseen;

    /// A terminal, and the end at which somebody types.
    fn terminal() -> (File, File) {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let terminal = OpenOptions::new().read(true).write(true).open(OsStr::from_bytes(name.as_bytes())).unwrap();
        (terminal, controller.into())
    }

    fn modes(terminal: &File) -> LocalModes {
        tcgetattr(terminal).unwrap().local_modes
    }

    #[test]
    fn a_terminal_shows_nothing_until_it_is_let_go() {
        let (terminal, _controller) = terminal();
        let before = modes(&terminal);
        let unseen = Unseen::begin(terminal.try_clone().unwrap()).unwrap();
        assert!(before.contains(LocalModes::ECHO) && !modes(&terminal).contains(LocalModes::ECHO));
        drop(unseen);
        assert_eq!(modes(&terminal), before);
    }

    #[test]
    fn ctrl_c_finds_the_terminal_as_it_was() {
        let (terminal, mut controller) = terminal();
        let before = modes(&terminal);
        let mut unseen = Unseen::begin(terminal.try_clone().unwrap()).unwrap();
        controller.write_all(b"a\x03").unwrap();
        let mut key = [0];
        unseen.read_exact(&mut key).unwrap();
        assert_ne!((key, modes(&terminal)), (*b"a", before));
        unseen.read_exact(&mut key).unwrap();
        assert_eq!((key, modes(&terminal)), ([3], before));
    }
}
