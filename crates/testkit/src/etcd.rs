//! Clusters of real etcd servers on this machine: started, killed, paused, restarted, restored. Needs Debian's
//! `etcd-server`, `etcd-client` (for `etcdctl`) and `setpriv`.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tempfile::TempDir;

/// Of a healthy machine; a start with an election takes about a second.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);
/// For one answer to a question about health.
const ANSWER: Duration = Duration::from_millis(500);

/// What a server proves itself with, and whom it believes. Files in PEM.
#[derive(Debug, Clone)]
pub struct EtcdTlsFiles {
    /// Whose certificates clients must have.
    pub ca: PathBuf,
    /// The members' certificate, for [`EtcdCluster::ADDRESS`].
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Servers of one cluster, with an election timeout of half a second. They are killed when this is dropped, and when the
/// thread that started them ends in whatever way.
///
/// Its methods block, and panic where a server does not do what it is told.
pub struct EtcdCluster {
    place: TempDir,
    members: Vec<Member>,
    quota: Option<u64>,
    tls: Option<EtcdTlsFiles>,
}

/// A machine, or what stands for one, that a member runs on.
#[derive(Debug, Clone)]
pub struct EtcdHost {
    /// Where it listens.
    pub address: Ipv4Addr,
    /// The command that runs another one there: `nsenter` and its arguments. Empty: here.
    pub enter: Vec<String>,
}

struct Member {
    host: EtcdHost,
    clients: u16,
    peers: u16,
    metrics: u16,
    process: Option<Child>,
}

impl EtcdCluster {
    /// Where all members listen, each on ports of its own, if they have no [hosts](Self::on_hosts).
    pub const ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;

    /// A cluster that runs.
    pub fn start(members: usize) -> Self {
        let mut cluster = Self::new(members);
        cluster.run();
        cluster
    }

    /// A cluster that does not run yet.
    pub fn new(members: usize) -> Self {
        let place =
            tempfile::Builder::new().prefix("coffer-etcd").tempdir_in(fast_place()).expect("a folder can be made");
        let ports = free_ports(3 * members);
        let here = EtcdHost { address: Self::ADDRESS, enter: Vec::new() };
        let member = |ports: &[u16]| {
            let &[clients, peers, metrics] = ports else { unreachable!("three each") };
            Member { host: here.clone(), clients, peers, metrics, process: None }
        };
        Self { place, members: ports.chunks(3).map(member).collect(), quota: None, tls: None }
    }

    /// With its files below a folder, rather than in memory where there is room, before it runs.
    pub fn in_folder(mut self, folder: &Path) -> Self {
        self.place = tempfile::tempdir_in(folder).expect("a folder can be made");
        self
    }

    /// Each member on its host, before it runs.
    pub fn on_hosts(mut self, hosts: Vec<EtcdHost>) -> Self {
        assert_eq!(hosts.len(), self.members.len(), "a host for each");
        self.members.iter_mut().zip(hosts).for_each(|(member, host)| member.host = host);
        self
    }

    /// With so many bytes of database at most, before it runs.
    pub fn with_quota(mut self, bytes: u64) -> Self {
        self.quota = Some(bytes);
        self
    }

    /// With TLS both ways for clients, before it runs.
    pub fn with_tls(mut self, files: EtcdTlsFiles) -> Self {
        self.tls = Some(files);
        self
    }

    /// Starts every member and waits until all are healthy.
    pub fn run(&mut self) {
        (0..self.members.len()).for_each(|member| self.spawn(member));
        (0..self.members.len()).for_each(|member| self.wait_until_healthy(member));
    }

    /// The members' URLs.
    pub fn endpoints(&self) -> Vec<String> {
        (0..self.members.len()).map(|member| self.endpoint(member)).collect()
    }

    /// A member's URL.
    pub fn endpoint(&self, member: usize) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let Member { host, clients, .. } = &self.members[member];
        format!("{scheme}://{}:{clients}", host.address)
    }

    /// SIGKILL.
    pub fn kill(&mut self, member: usize) {
        if let Some(mut process) = self.members[member].process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts a member again that was killed. It may take a while to be healthy.
    pub fn restart(&mut self, member: usize) {
        self.kill(member);
        self.spawn(member);
    }

    /// The member stands still; its connections stay open.
    pub fn pause(&self, member: usize) {
        let process = self.signal(member, Signal::STOP);
        // Threads that are running stop a little later, and have answered a request until then.
        let stopped = waitpid(Some(process), WaitOptions::UNTRACED).expect("it is a child");
        assert!(stopped.is_some_and(|(_, status)| status.stopped()), "it runs no more");
    }

    /// The process of a member that runs.
    pub fn pid(&self, member: usize) -> u32 {
        self.members[member].process.as_ref().expect("it runs").id()
    }

    /// The member goes on.
    pub fn resume(&self, member: usize) {
        self.signal(member, Signal::CONT);
    }

    /// Waits until a member answers with what a majority has.
    pub fn wait_until_healthy(&self, member: usize) {
        let what = || self.asked(member, "/health").is_some_and(|answer| answer.contains(r#""health":"true""#));
        self.wait_until(&format!("{} is healthy", name(member)), what);
    }

    /// The member that leads, once there is one.
    pub fn leader(&self) -> usize {
        let mut leader = None;
        self.wait_until("a member leads", || {
            let leads = |member: &usize| {
                self.asked(*member, "/metrics").is_some_and(|metrics| metrics.contains("\netcd_server_is_leader 1\n"))
            };
            leader = (0..self.members.len()).filter(|member| self.members[*member].process.is_some()).find(leads);
            leader.is_some()
        });
        leader.expect("it was waited for")
    }

    /// `etcdctl` for all members, as an operator runs it.
    pub fn etcdctl(&self) -> Command {
        self.etcdctl_at(&self.endpoints().join(","))
    }

    /// Runs `etcdctl` with arguments and gives what it says.
    pub fn etcdctl_says(&self, arguments: &[&str]) -> String {
        succeeds(self.etcdctl().args(arguments))
    }

    /// What the cluster has now, in a file.
    pub fn save_snapshot(&self, file: &Path) {
        succeeds(self.etcdctl_at(&self.endpoint(0)).args(["snapshot", "save"]).arg(file));
    }

    /// Puts the cluster back to what was in a snapshot, the way an operator does: every member anew, at its old address.
    pub fn restore(&mut self, snapshot: &Path) {
        for member in 0..self.members.len() {
            self.kill(member);
            fs::remove_dir_all(self.data(member)).expect("it has run");
            let mut restore = Command::new("etcdctl");
            restore.env("ETCDCTL_API", "3").args(["snapshot", "restore"]).arg(snapshot);
            restore.args(["--name", &name(member), "--initial-cluster", &self.initial_cluster()]);
            restore.args(["--initial-advertise-peer-urls", &self.members[member].peer_url()]);
            succeeds(restore.arg("--data-dir").arg(self.data(member)));
        }
        self.run();
    }

    fn etcdctl_at(&self, endpoints: &str) -> Command {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").args(["--endpoints", endpoints]);
        if let Some(tls) = &self.tls {
            command.arg("--cacert").arg(&tls.ca).arg("--cert").arg(&tls.certificate).arg("--key").arg(&tls.key);
        }
        command
    }

    fn spawn(&mut self, at: usize) {
        let member = &self.members[at];
        let (peers, clients) = (member.peer_url(), self.endpoint(at));
        let log = File::options().create(true).append(true).open(self.log(at)).expect("a log can be written");
        let words = member.host.enter.iter().map(String::as_str);
        let mut words = words.chain(["setpriv", "--pdeathsig", "KILL", "etcd", "--name"]);
        let mut command = Command::new(words.next().expect("there are some"));
        command.args(words).arg(name(at)).arg("--data-dir").arg(self.data(at));
        command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
        command.args(["--listen-metrics-urls", &format!("http://{}:{}", member.host.address, member.metrics)]);
        command.args(["--initial-cluster", &self.initial_cluster(), "--logger=zap", "--log-level=warn"]);
        command.args(["--heartbeat-interval=50", "--election-timeout=500", "--pre-vote=true"]);
        if let Some(bytes) = self.quota {
            command.arg(format!("--quota-backend-bytes={bytes}"));
        }
        if let Some(tls) = &self.tls {
            command.arg("--client-cert-auth").arg("--trusted-ca-file").arg(&tls.ca);
            command.arg("--cert-file").arg(&tls.certificate).arg("--key-file").arg(&tls.key);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.members[at].process = Some(command.spawn().expect("setpriv and etcd are installed"));
    }

    fn signal(&self, member: usize, signal: Signal) -> Pid {
        let process = Pid::from_child(self.members[member].process.as_ref().expect("it runs"));
        kill_process(process, signal).expect("it can be told");
        process
    }

    fn initial_cluster(&self) -> String {
        let members = self.members.iter().enumerate();
        let parts: Vec<_> = members.map(|(at, member)| format!("{}={}", name(at), member.peer_url())).collect();
        parts.join(",")
    }

    fn data(&self, member: usize) -> PathBuf {
        self.place.path().join(name(member))
    }

    fn log(&self, member: usize) -> PathBuf {
        self.place.path().join(format!("{}.log", name(member)))
    }

    fn asked(&self, member: usize, path: &str) -> Option<String> {
        let Member { host, metrics, .. } = &self.members[member];
        let address = SocketAddr::V4(SocketAddrV4::new(host.address, *metrics));
        let mut stream = TcpStream::connect_timeout(&address, ANSWER).ok()?;
        stream.set_read_timeout(Some(ANSWER)).ok()?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    fn wait_until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let begin = Instant::now();
        while !is_so() {
            if begin.elapsed() > PATIENCE {
                let logs: Vec<_> = (0..self.members.len()).map(|at| fs::read_to_string(self.log(at))).collect();
                unreachable!("{what}: not within {PATIENCE:?}; {logs:#?}");
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for EtcdCluster {
    fn drop(&mut self) {
        (0..self.members.len()).for_each(|member| self.kill(member));
    }
}

fn name(member: usize) -> String {
    format!("member{member}")
}

impl Member {
    fn peer_url(&self) -> String {
        format!("http://{}:{}", self.host.address, self.peers)
    }
}

/// Memory, where there is room for the log files that etcd makes in advance: 128 MiB a member.
fn fast_place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let room = rustix::fs::statvfs(memory).map_or(0, |status| status.f_bavail * status.f_frsize);
    if room > 4 << 30 { memory.to_owned() } else { std::env::temp_dir() }
}

/// Ports that the kernel gives to nobody else who asks for any, so that a member finds its own again after a restart.
pub fn free_ports(count: usize) -> Vec<u16> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").expect("the kernel says");
    let first: u16 = range.split_whitespace().next().and_then(|first| first.parse().ok()).expect("a port");
    let mut listeners = Vec::new();
    while listeners.len() < count {
        let port = 10_000 + rand::random::<u16>() % (first.max(20_000) - 10_000);
        listeners.extend(TcpListener::bind((EtcdCluster::ADDRESS, port)));
    }
    listeners.iter().map(|listener| listener.local_addr().expect("it listens").port()).collect()
}

fn succeeds(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("etcdctl is installed");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}
