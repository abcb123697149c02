//! File systems of a test's own, in a mount namespace of its own: nobody else sees them, and they end with the test.
#![expect(clippy::print_stderr, reason = "what was skipped, and what the test said inside, is to be seen")]

use std::env;
use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

const INSIDE: &str = "COFFER_TEST_OWN_MOUNTS";

/// Runs `body`, which is all of the test of this name, where it may mount. Where that is not permitted, the test is
/// skipped, and says so.
///
/// The name is the test's path in its own test program, which is run again inside. Panics if the test fails there, or
/// if there is none of this name.
pub fn in_own_namespace(test: &str, body: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        return body();
    }
    let place = tempfile::tempdir().expect("a folder can be made");
    let tried = unshare().args(["mount", "-t", "tmpfs", "none"]).arg(place.path()).output();
    match tried {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return eprintln!("skipped: mounting in a namespace of one's own is not permitted here ({why})");
        }
        Err(error) => return eprintln!("skipped: unshare(1) cannot be run here ({error})"),
    }
    let mut again = unshare();
    again.arg(env::current_exe().expect("its path is known")).args([test, "--exact", "--nocapture"]).env(INSIDE, "1");
    let output = again.output().expect("what ran just now runs again");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.contains("test result: ok. 1 passed"), "{said}");
    eprintln!("{said}");
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.arg("--mount").stdin(Stdio::null());
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command
}

/// A file system in memory, mounted [in a namespace of the test's own](in_own_namespace). It is unmounted when dropped.
///
/// Its methods panic where the kernel refuses.
#[derive(Debug)]
pub struct Disk {
    at: PathBuf,
}

impl Disk {
    /// Mounts one of `mebibytes` at a folder, which is made.
    pub fn new(at: PathBuf, mebibytes: u32) -> Self {
        fs::create_dir_all(&at).expect("the folder can be made");
        let options = CString::new(format!("size={mebibytes}m,mode=755")).expect("no zero");
        mount("coffer-test", &at, "tmpfs", MountFlags::empty(), options.as_c_str()).expect("mounted");
        Self { at }
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.at
    }

    /// Nothing can be written any more.
    pub fn make_read_only(&self) {
        mount_remount(&self.at, MountFlags::RDONLY, "").expect("remounted");
    }

    /// It can be written again.
    pub fn make_writable(&self) {
        mount_remount(&self.at, MountFlags::empty(), "").expect("remounted");
    }

    /// It has room for so many mebibytes. It keeps what is there.
    pub fn resize(&self, mebibytes: u32) {
        mount_remount(&self.at, MountFlags::empty(), format!("size={mebibytes}m")).expect("remounted");
    }

    /// As a disk that is pulled out: what has files open keeps them, the path leads to what was there before.
    pub fn pull(&self) {
        unmount(&self.at, UnmountFlags::DETACH).expect("unmounted");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // It may have been pulled, and what a failed test still has open goes with the namespace.
        let _ = unmount(&self.at, UnmountFlags::DETACH);
    }
}
