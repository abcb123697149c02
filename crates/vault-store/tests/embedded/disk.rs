//! A small disk of a test's own, in a mount namespace of its own: nobody else sees it, and it ends with the test.

use std::env;
use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

const INSIDE: &str = "COFFER_TEST_OWN_MOUNTS";

/// Runs `body`, which is all of the test of this name, where it may mount. Where that is not permitted, the test is
/// skipped, and says so.
pub(crate) fn in_own_namespace(test: &str, body: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        return body();
    }
    let place = tempfile::tempdir().unwrap();
    match unshare().args(["mount", "-t", "tmpfs", "none"]).arg(place.path()).output() {
        Ok(output) if output.status.success() => {}
        refused => {
            return eprintln!("skipped: mounting in a namespace of one's own is not permitted here ({refused:?})");
        }
    }
    let mut again = unshare();
    again.arg(env::current_exe().unwrap()).args([test, "--exact", "--nocapture"]).env(INSIDE, "1");
    let output = again.output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.contains("test result: ok. 1 passed"), "{said}");
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.arg("--mount").stdin(Stdio::null());
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command
}

/// A file system in memory. It is unmounted when dropped.
pub(crate) struct Disk {
    at: PathBuf,
}

impl Disk {
    /// Mounts one of `mebibytes` at a folder, which is made.
    pub(crate) fn new(at: PathBuf, mebibytes: u32) -> Self {
        fs::create_dir_all(&at).unwrap();
        let options = CString::new(format!("size={mebibytes}m,mode=700")).unwrap();
        mount("coffer-test", &at, "tmpfs", MountFlags::empty(), options.as_c_str()).unwrap();
        Self { at }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.at
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What a failed test still has open goes with the namespace.
        let _ = unmount(&self.at, UnmountFlags::DETACH);
    }
}
