//! Servers, each on a port of its own with a folder of its own, that end with the test.

use std::env;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::device::files_below;
use crate::http::ask;

pub(crate) const PASSWORD: &str = "hunter2 hunter2";

/// A place to store an archive in, and a way to its objects that is not the program's.
pub(crate) struct Server {
    process: Option<Child>,
    folder: TempDir,
    pub(crate) port: u16,
    /// Of the archive.
    pub(crate) url: String,
    /// What the program finds in its environment.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// Where its objects lie, or the bucket that they lie in.
    objects: Objects,
}

enum Objects {
    Folder(PathBuf),
    Bucket(&'static str),
}

impl Server {
    fn new(process: Option<Child>, folder: TempDir, port: u16, url: String, objects: Objects) -> Self {
        Self { process, folder, port, url, environment: Vec::new(), objects }
    }

    fn with(mut self, environment: &[(&'static str, &str)]) -> Self {
        self.environment.extend(environment.iter().map(|(name, value)| (*name, (*value).to_owned())));
        self
    }

    pub(crate) fn folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive");
        let url = format!("fs://{}", path.display());
        Self::new(None, folder, 0, url, Objects::Folder(path))
    }

    pub(crate) fn s3() -> Self {
        Self::moto(&[])
    }

    /// It knows no user at all once its bucket is made.
    pub(crate) fn s3_for_nobody() -> Self {
        Self::moto(&[("INITIAL_NO_AUTH_ACTION_COUNT", "1")])
    }

    fn moto(settings: &[(&str, &str)]) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let mut moto = Command::new(python());
        moto.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]).envs(settings.iter().copied());
        let process = start(&mut moto, port);
        assert_eq!(ask(port, "PUT", "/bucket", b"").0, 200);
        let url = format!("s3://bucket/backups?endpoint=http://127.0.0.1:{port}&insecure=true");
        let server = Self::new(Some(process), folder, port, url, Objects::Bucket("/bucket"));
        server.with(&[("AWS_ACCESS_KEY_ID", "anna"), ("AWS_SECRET_ACCESS_KEY", PASSWORD)])
    }

    pub(crate) fn webdav_of_rclone() -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let mut rclone = Command::new("rclone");
        rclone.args(["serve", "webdav", "--addr", &format!("127.0.0.1:{port}"), "--user", "anna", "--pass", PASSWORD]);
        // The tests change its files behind its back.
        rclone.args(["--dir-cache-time", "0s"]).arg(folder.path()).env("RCLONE_CONFIG", "/dev/null");
        Self::webdav(start(&mut rclone, port), folder, port)
    }

    pub(crate) fn webdav_of_wsgidav() -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let settings = folder.path().join("settings.json");
        let served = folder.path().join("served");
        fs::create_dir(&served).unwrap();
        let users = format!(r#"{{"*": {{"anna": {{"password": "{PASSWORD}"}}}}}}"#);
        let text = format!(
            r#"{{"host": "127.0.0.1", "port": {port}, "server": "cheroot", "provider_mapping": {{"/": "{}"}},
                "http_authenticator": {{"accept_basic": true, "accept_digest": false, "default_to_digest": false}},
                "simple_dc": {{"user_mapping": {users}}}}}"#,
            served.display()
        );
        fs::write(&settings, text).unwrap();
        let mut wsgidav = Command::new(python());
        wsgidav.args(["-m", "wsgidav.server.server_cli", "--config"]).arg(&settings);
        let process = start(&mut wsgidav, port);
        let mut server = Self::webdav(process, folder, port);
        server.objects = Objects::Folder(served.join("backups/chats"));
        server
    }

    fn webdav(process: Child, folder: TempDir, port: u16) -> Self {
        let objects = Objects::Folder(folder.path().join("backups/chats"));
        let url = format!("webdav://127.0.0.1:{port}/backups/chats?insecure=true");
        let server = Self::new(Some(process), folder, port, url, objects);
        server.with(&[("COFFER_WEBDAV_USERNAME", "anna"), ("COFFER_WEBDAV_PASSWORD", PASSWORD)])
    }

    pub(crate) fn sftp() -> Self {
        Self::sftp_of("exec \"$@\"", "internal-sftp")
    }

    /// It takes the beginning of a large file and no more of it, as one whose disk is full.
    pub(crate) fn sftp_without_room() -> Self {
        Self::sftp_of("trap '' XFSZ; ulimit -f 2000; exec \"$@\"", "internal-sftp")
    }

    pub(crate) fn sftp_that_only_reads() -> Self {
        Self::sftp_of("exec \"$@\"", "internal-sftp -R")
    }

    /// Started by a shell's command.
    fn sftp_of(start_of: &str, subsystem: &str) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let top = folder.path();
        for name in ["host", "user"] {
            let made =
                Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(top.join(name)).status();
            assert!(made.is_ok_and(|status| status.success()), "no ssh-keygen: make setup installs it");
        }
        fs::copy(top.join("user.pub"), top.join("authorized")).unwrap();
        let shown = top.display();
        let server = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {shown}/host\nAuthorizedKeysFile {shown}/authorized\nPidFile none\n\
             StrictModes no\nPasswordAuthentication no\nUsePAM no\nSubsystem sftp {subsystem}\nMaxStartups 100\n\
             MaxSessions 100\n"
        );
        fs::write(top.join("sshd_config"), server).unwrap();
        let public = fs::read_to_string(top.join("host.pub")).unwrap();
        fs::write(top.join("known"), format!("[127.0.0.1]:{port} {public}")).unwrap();
        let client = format!("IdentityFile {shown}/user\nIdentitiesOnly yes\nUserKnownHostsFile {shown}/known\n");
        fs::write(top.join("ssh_config"), client).unwrap();
        // The program runs the first `ssh` there is: this one does not look into the user's own settings.
        let bin = top.join("bin");
        fs::create_dir(&bin).unwrap();
        fs::write(bin.join("ssh"), format!("#!/bin/sh\nexec /usr/bin/ssh -F {shown}/ssh_config \"$@\"\n")).unwrap();
        fs::set_permissions(bin.join("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
        let _ = fs::create_dir("/run/sshd");
        let mut sshd = Command::new("/bin/sh");
        sshd.args(["-c", start_of, "sh", "/usr/sbin/sshd", "-D", "-e", "-f"]).arg(top.join("sshd_config"));
        let process = start(&mut sshd, port);
        let objects = top.join("served/backups");
        let url = format!("sftp://127.0.0.1:{port}{}", objects.display());
        let path = format!("{}:{}", bin.display(), env::var("PATH").unwrap());
        Self::new(Some(process), folder, port, url, Objects::Folder(objects)).with(&[("PATH", &path)])
    }

    /// Takes back what lets a user of [`sftp`](Self::sftp) in.
    pub(crate) fn lets_nobody_in(&self) {
        fs::write(self.folder.path().join("authorized"), "").unwrap();
    }

    /// What [`sftp`](Self::sftp) is known by to its users.
    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.folder.path().join("known")
    }

    /// The folder in which all that it stores lies.
    pub(crate) fn place(&self) -> &Path {
        match &self.objects {
            Objects::Folder(path) => path,
            Objects::Bucket(_) => panic!("a bucket is no folder"),
        }
    }

    /// The names of all objects, below the archive's own place.
    pub(crate) fn objects(&self) -> Vec<String> {
        match &self.objects {
            Objects::Folder(path) if !path.exists() => Vec::new(),
            Objects::Folder(path) => {
                let name = |file: PathBuf| file.strip_prefix(path).unwrap().to_str().unwrap().to_owned();
                files_below(path).into_iter().map(name).collect()
            }
            Objects::Bucket(bucket) => {
                let (_, listing) = ask(self.port, "GET", &format!("{bucket}?list-type=2"), b"");
                let listing = String::from_utf8(listing).unwrap();
                let keys = listing.split("<Key>").skip(1).map(|rest| rest.split('<').next().unwrap());
                keys.map(|key| key.strip_prefix("backups/").unwrap().to_owned()).collect()
            }
        }
    }

    pub(crate) fn get(&self, name: &str) -> Vec<u8> {
        match &self.objects {
            Objects::Folder(path) => fs::read(path.join(name)).unwrap(),
            Objects::Bucket(bucket) => ask(self.port, "GET", &format!("{bucket}/backups/{name}"), b"").1,
        }
    }

    pub(crate) fn put(&self, name: &str, content: &[u8]) {
        match &self.objects {
            Objects::Folder(path) => fs::write(path.join(name), content).unwrap(),
            Objects::Bucket(bucket) => {
                assert_eq!(ask(self.port, "PUT", &format!("{bucket}/backups/{name}"), content).0, 200);
            }
        }
    }

    pub(crate) fn remove(&self, name: &str) {
        match &self.objects {
            Objects::Folder(path) => fs::remove_file(path.join(name)).unwrap(),
            Objects::Bucket(bucket) => {
                assert_eq!(ask(self.port, "DELETE", &format!("{bucket}/backups/{name}"), b"").0, 204);
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// The Python that has what requirements.txt names.
fn python() -> PathBuf {
    env::var_os("COFFER_TEST_PYTHON").map_or_else(|| "python3".into(), PathBuf::from)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts a server, and returns once it takes connections.
fn start(command: &mut Command, port: u16) -> Child {
    let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut process =
        process.unwrap_or_else(|error| panic!("{command:?}: {error}; `make setup` installs what is missing"));
    let patience = Instant::now() + Duration::from_secs(150);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if let Some(ended) = process.try_wait().unwrap() {
            panic!("{command:?}: {ended}; `make test` installs what it needs");
        }
        assert!(Instant::now() < patience, "{command:?} takes no connections");
        thread::sleep(Duration::from_millis(20));
    }
    process
}
