//! A person at a terminal: a pseudo-terminal on which answers are typed when they are asked for.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// Runs a program and answers each prompt; its exit code, and what the terminal showed.
pub(crate) fn converse(mut command: Command, dialogue: &[(&str, &str)]) -> (i32, String) {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let name = ptsname(&controller, Vec::new()).unwrap();
    let name = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes())).to_owned();
    let terminal = OpenOptions::new().read(true).write(true).open(name).unwrap();
    let mut controller = File::from(controller);
    command.stdin(terminal.try_clone().unwrap()).stdout(Stdio::null()).stderr(terminal);
    let mut child = command.spawn().unwrap();
    drop(command);

    let mut shown = String::new();
    let mut read_to = 0;
    for (prompt, answer) in dialogue {
        while !shown[read_to..].contains(prompt) {
            assert!(read(&mut controller, &mut shown), "{prompt:?} was not asked: {shown}");
        }
        read_to = shown.len();
        controller.write_all(format!("{answer}\n").as_bytes()).unwrap();
    }
    while read(&mut controller, &mut shown) {}
    (child.wait().unwrap().code().unwrap(), shown)
}

/// More of what is shown. A terminal that nobody holds any more answers with an error.
fn read(controller: &mut File, shown: &mut String) -> bool {
    let mut piece = [0; 4096];
    let Ok(len @ 1..) = controller.read(&mut piece) else { return false };
    shown.push_str(&String::from_utf8_lossy(&piece[..len]));
    true
}
