//! `coffer mount`, for real: the kernel reads, and `diff -r` compares. Needs /dev/fuse.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::device::Device;

struct Mounted {
    child: Child,
    folder: PathBuf,
}

impl Mounted {
    fn on(device: &Device) -> Self {
        let folder = device.path("mounted");
        fs::create_dir_all(&folder).unwrap();
        let mut command = device.command(["--quiet", "mount", "mounted"]);
        let child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut mounted = Self { child, folder };
        mounted.wait_until(|mounted| is_mounted(&mounted.folder));
        mounted
    }

    #[track_caller]
    fn wait_until(&mut self, done: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !done(self) {
            if let Some(status) = self.child.try_wait().unwrap() {
                let mut said = String::new();
                self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                assert!(done(self), "it ended with {status}: {said}");
            }
            assert!(began.elapsed() < Duration::from_secs(60), "nothing happens");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    fn ends(mut self) -> i32 {
        let code = self.child.wait().unwrap().code().unwrap();
        assert!(!is_mounted(&self.folder));
        code
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A test that failed leaves no dead folder behind.
        let _ = self.child.kill();
        let _ = Command::new("umount").arg("-l").arg(&self.folder).stderr(Stdio::null()).status();
    }
}

fn is_mounted(folder: &Path) -> bool {
    fs::read_to_string("/proc/self/mounts").unwrap().contains(&format!(" {} fuse", folder.display()))
}

fn diff(one: &Path, other: &Path) -> (bool, String) {
    let output = Command::new("diff").args(["-r", "--no-dereference"]).args([one, other]).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn snapshots_are_folders_and_hold_what_was_backed_up() {
    let device = Device::new();
    // Larger than a read of the kernel's, with a hole, compressible and not.
    let large: Vec<u8> =
        (0..3_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> (number % 13)) as u8).collect();
    device.write("chats/large.bin", &large);
    device.write("chats/empty", b"");
    for number in 0..300 {
        device.write(&format!("chats/many/{number}"), number.to_string().as_bytes());
    }
    let sparse = device.write("chats/sparse", b"begin");
    fs::File::options().write(true).open(&sparse).unwrap().set_len(5_000_000).unwrap();
    symlink("photo.jpg", device.path("chats/link")).unwrap();
    fs::set_permissions(device.path("chats/photo.jpg"), fs::Permissions::from_mode(0o640)).unwrap();
    let status =
        Command::new("setfattr").args(["-n", "user.tag", "-v", "blue"]).arg(device.path("chats/photo.jpg")).status();
    assert!(status.unwrap().success());
    device.coffer(["init", device.archive()]).succeeds();
    device.back_up();
    let first = device.path("first");
    crate::device::copy_folder(&device.path("chats/anna"), &first);
    device.write("chats/anna/messages.txt", b"see you at one\n");
    device.back_up();

    let mounted = Mounted::on(&device);
    let names: Vec<_> = {
        let mut names: Vec<_> =
            fs::read_dir(&mounted.folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names, ["1", "2", "latest"]);
    assert_eq!(fs::read_link(mounted.folder.join("latest")).unwrap(), Path::new("2"));
    assert_eq!(diff(&device.path("chats"), &mounted.folder.join("latest/chats")), (true, String::new()));
    assert_eq!(diff(&first, &mounted.folder.join("1/chats/anna")), (true, String::new()));
    let photo = mounted.folder.join("2/chats/photo.jpg");
    let (there, here) = (fs::metadata(&photo).unwrap(), fs::metadata(device.path("chats/photo.jpg")).unwrap());
    assert_eq!(
        (there.permissions().mode(), there.modified().unwrap()),
        (here.permissions().mode(), here.modified().unwrap())
    );
    let attributes = Command::new("getfattr").args(["--only-values", "-n", "user.tag"]).arg(&photo).output().unwrap();
    assert_eq!(attributes.stdout, b"blue");
    let mut file = fs::File::open(mounted.folder.join("2/chats/large.bin")).unwrap();
    for at in [2_999_990_usize, 1_234_567, 65_535, 0] {
        let mut bytes = vec![0; 100.min(large.len() - at)];
        file.seek(SeekFrom::Start(at as u64)).unwrap();
        file.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, large[at..at + bytes.len()], "{at}");
    }
    drop(file);
    assert_eq!(
        fs::write(mounted.folder.join("1/new"), b"x").unwrap_err().kind(),
        std::io::ErrorKind::ReadOnlyFilesystem
    );
    assert_eq!(fs::read(mounted.folder.join("3")).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    mounted.signal(rustix::process::Signal::INT);
    assert_eq!(mounted.ends(), 0);
}

#[test]
fn it_ends_when_it_is_unmounted_or_told_to() {
    let device = Device::with_backup();
    let mounted = Mounted::on(&device);
    assert!(Command::new("umount").arg(&mounted.folder).status().unwrap().success());
    assert_eq!(mounted.ends(), 0);
    let mounted = Mounted::on(&device);
    mounted.signal(rustix::process::Signal::TERM);
    assert_eq!(mounted.ends(), 0);
}

#[test]
fn it_leaves_no_dead_folder_behind_while_somebody_works_in_it() {
    let device = Device::with_backup();
    let mut mounted = Mounted::on(&device);
    let open = fs::File::open(mounted.folder.join("latest/chats/photo.jpg")).unwrap();
    mounted.signal(rustix::process::Signal::INT);
    mounted.wait_until(|mounted| !is_mounted(&mounted.folder));
    drop(open);
    assert_eq!(mounted.ends(), 0);
}

#[test]
fn what_is_damaged_cannot_be_read_and_the_rest_can() {
    let device = Device::with_backup();
    device.write("chats/second", b"in a pack of its own");
    let before = crate::device::files_below(&device.path("archive/packs"));
    device.back_up();
    let mounted = Mounted::on(&device);
    // What lists the folder is known by then.
    assert_eq!(fs::read_dir(mounted.folder.join("latest/chats")).unwrap().count(), 3);
    let second = mounted.folder.join("latest/chats/second");
    assert_eq!(fs::metadata(&second).unwrap().len(), 20);
    for pack in crate::device::files_below(&device.path("archive/packs")) {
        let mut bytes = fs::read(&pack).unwrap();
        if !before.contains(&pack) {
            bytes[85] ^= 1;
            fs::write(&pack, bytes).unwrap();
        }
    }
    assert_eq!(fs::read(second).unwrap_err().raw_os_error(), Some(5));
    assert_eq!(fs::read(mounted.folder.join("latest/chats/photo.jpg")).unwrap(), [0x5a; 3000]);
}

#[test]
fn says_why_it_cannot_be_mounted() {
    let device = Device::with_backup();
    device.coffer(["mount", "nowhere"]).fails(1).warns("cannot mount on nowhere");
}

#[test]
fn refuses_to_mount_over_what_is_there() {
    let device = Device::with_backup();
    device.coffer(["mount", "chats"]).fails(1).warns("cannot mount on chats").warns("name an empty folder");
    device.coffer(["mount", "chats/photo.jpg"]).fails(1).warns("name an empty folder");
    device.coffer(["mount", "nowhere"]).fails(1).warns("make the folder first");
}
