//! File systems of a test's own, in a mount namespace of its own: nobody else sees them, and they end with the test.

use std::env;
use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

const INSIDE: &str = "COFFER_TEST_OWN_MOUNTS";

/// Runs `body`, which is all of the test of this name, where it may mount. Where that is not permitted, the test is
/// skipped, and says so.
pub(crate) fn in_own_namespace(test: &str, body: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        return body();
    }
    let place = tempfile::tempdir().unwrap();
    let tried = unshare().args(["mount", "-t", "tmpfs", "none"]).arg(place.path()).output();
    match tried {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return eprintln!("skipped: mounting in a namespace of one's own is not permitted here ({why})");
        }
        Err(error) => return eprintln!("skipped: unshare(1) cannot be run here ({error})"),
    }
    let again =
        unshare().arg(env::current_exe().unwrap()).args([test, "--exact", "--nocapture"]).env(INSIDE, "1").output();
    let output = again.unwrap();
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

/// A file system in memory. It is unmounted when dropped.
pub(crate) struct Disk {
    at: PathBuf,
}

impl Disk {
    /// Mounts one of `mebibytes` at a folder, which is made.
    pub(crate) fn new(at: PathBuf, mebibytes: u32) -> Self {
        fs::create_dir_all(&at).unwrap();
        let options = CString::new(format!("size={mebibytes}m,mode=755")).unwrap();
        mount("coffer-test", &at, "tmpfs", MountFlags::empty(), options.as_c_str()).unwrap();
        Self { at }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.at
    }

    pub(crate) fn make_read_only(&self) {
        mount_remount(&self.at, MountFlags::RDONLY, "").unwrap();
    }

    pub(crate) fn make_writable(&self) {
        mount_remount(&self.at, MountFlags::empty(), "").unwrap();
    }

    pub(crate) fn resize(&self, mebibytes: u32) {
        mount_remount(&self.at, MountFlags::empty(), format!("size={mebibytes}m")).unwrap();
    }

    /// As a disk that is pulled out: what has files open keeps them, the path leads to what was there before.
    pub(crate) fn pull(&self) {
        unmount(&self.at, UnmountFlags::DETACH).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // It may have been pulled.
        let _ = unmount(&self.at, UnmountFlags::DETACH);
    }
}
