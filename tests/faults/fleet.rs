//! A fleet of five sites: the real programs, real etcd, real SoftHSM, keys from a real ceremony.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use coffer_proto::{FleetManifest, SignedManifest};
use coffer_testkit::etcd::{EtcdCluster, free_ports};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tempfile::TempDir;

use crate::binary;
use crate::certificates;
use crate::door::{HttpDoor, token};
use crate::hosts::Host;
use crate::request::Request;

pub(crate) const SITES: [u8; 5] = [1, 2, 3, 4, 5];
/// For a site to be ready. Its HSM logs in four times, and an election takes a second.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// Sites are named by their numbers, 1 to 5. All processes end with the thread that started them.
pub(crate) struct Fleet {
    folder: TempDir,
    pub(crate) etcd: EtcdCluster,
    pub(crate) manifest: FleetManifest,
    fingerprint: String,
    vaults: Vec<VaultProcess>,
}

struct VaultProcess {
    host: Host,
    api: u16,
    ops: u16,
    peers: u16,
    /// What it is run by: `faketime` and the like.
    runner: Vec<String>,
    process: Option<Child>,
}

impl Fleet {
    /// All sites on this machine.
    pub(crate) fn start() -> Self {
        Self::start_on(vec![Host::here(); SITES.len()], EtcdCluster::new(SITES.len()))
    }

    /// Each site on its host.
    pub(crate) fn start_on(hosts: Vec<Host>, etcd: EtcdCluster) -> Self {
        let folder = tempfile::Builder::new().prefix("coffer-fleet").tempdir().unwrap();
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let ceremony = Command::new(workspace.join("deploy/ceremony-demo.sh"))
            .arg(folder.path().join("keys"))
            .env("COFFER_VAULT_PROGRAM", binary::vault())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(ceremony.status.success(), "{}", String::from_utf8_lossy(&ceremony.stderr));
        let keys = folder.path().join("keys");
        let signed: SignedManifest =
            serde_json::from_slice(&fs::read(keys.join("fleet/manifest.json")).unwrap()).unwrap();
        let fingerprint = fs::read_to_string(keys.join("fingerprint")).unwrap().trim().to_owned();
        let addresses: Vec<_> = hosts.iter().map(|host| host.address).collect();
        let files = certificates::write(&folder.path().join("tls"), &addresses);
        let etcd = etcd.on_hosts(hosts.iter().map(Host::for_etcd).collect()).with_tls(files);
        let vault = |(host, ports): (Host, &[u16])| {
            let &[api, ops, peers] = ports else { panic!("three each") };
            VaultProcess { host, api, ops, peers, runner: Vec::new(), process: None }
        };
        let vaults = hosts.into_iter().zip(free_ports(3 * SITES.len()).chunks(3)).map(vault).collect();
        let manifest = serde_json::from_slice(signed.manifest.as_bytes()).unwrap();
        let mut fleet = Self { folder, etcd, manifest, fingerprint, vaults };
        fleet.run();
        fleet
    }

    fn run(&mut self) {
        self.etcd.run();
        let fence = format!("coffer/{}/fence", self.manifest.fleet);
        self.etcd.etcdctl_says(&["put", &fence, "1:1"]);
        // The messaging service has a key of its own.
        token(&self.messenger(), &[], "nobody", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        SITES.into_iter().for_each(|site| self.start_vault(site));
        SITES.into_iter().for_each(|site| self.wait_until_ready(site));
    }

    /// What clients speak to.
    pub(crate) fn door(&self) -> HttpDoor {
        let sites = self.vaults.iter().map(|vault| (vault.host.clone(), vault.api)).collect();
        HttpDoor { manifest: self.manifest.clone(), sites, messenger: self.messenger(), runner: Vec::new() }
    }

    /// As if the data centre were gone.
    pub(crate) fn kill_site(&mut self, site: u8) {
        self.kill_vault(site);
        self.etcd.kill(at(site));
    }

    pub(crate) fn start_site(&mut self, site: u8) {
        self.etcd.restart(at(site));
        self.start_vault(site);
    }

    pub(crate) fn kill_vault(&mut self, site: u8) {
        if let Some(mut process) = self.vaults[at(site)].process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// From its next start on, the vault of a site is run by this command.
    pub(crate) fn set_runner(&mut self, site: u8, runner: &[&str]) {
        self.vaults[at(site)].runner = runner.iter().map(|&word| word.to_owned()).collect();
    }

    pub(crate) fn start_vault(&mut self, site: u8) {
        let VaultProcess { host, runner, .. } = &self.vaults[at(site)];
        let words = host.enter.iter().chain(runner).map(String::as_str);
        let mut words = words.chain(["setpriv", "--pdeathsig", "KILL"]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).arg(binary::vault()).arg("serve").args(self.flags(site));
        let log = File::options().create(true).append(true).open(self.log_file(site)).unwrap();
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.vaults[at(site)].process = Some(process);
    }

    fn flags(&self, site: u8) -> Vec<String> {
        let VaultProcess { api, ops, peers, host, .. } = &self.vaults[at(site)];
        let file = |path: &str| self.folder.path().join(path).into_os_string().into_string().unwrap();
        let others = |step: u8| (site - 1 + step) % 5 + 1;
        let peer = |site: u8| {
            let VaultProcess { host, peers, .. } = &self.vaults[at(site)];
            format!("{site}=https://{}:{peers}", host.address)
        };
        let members: Vec<_> = (0..5).map(|step| self.etcd.endpoint(at(others(step)))).collect();
        let set = [
            ("data", file(&format!("keys/site-{site}"))),
            ("listen", format!("127.0.0.1:{api}")),
            ("ops-listen", format!("127.0.0.1:{ops}")),
            ("fleet-manifest-file", file("keys/fleet/manifest.json")),
            ("fleet-site", site.to_string()),
            ("fleet-roots-fingerprint", self.fingerprint.clone()),
            ("peers-listen", format!("{}:{peers}", host.address)),
            ("peers-sites", (1..5).map(|step| peer(others(step))).collect::<Vec<_>>().join(",")),
            ("peers-certificate-file", file(&format!("tls/site-{site}.pem"))),
            ("peers-key-file", file(&format!("tls/site-{site}.key"))),
            ("peers-ca-file", file("tls/ca.pem")),
            ("etcd-members", members.join(",")),
            ("etcd-ca-file", file("tls/ca.pem")),
            ("etcd-certificate-file", file("tls/etcd.pem")),
            ("etcd-key-file", file("tls/etcd.key")),
            ("tokens-jwks-file", file("messenger/jwks.json")),
            ("tokens-issuer", "coffer-vault:local".to_owned()),
            ("tokens-audience", "coffer-vault".to_owned()),
            ("limits-address-per-minute", "0".to_owned()),
            ("limits-account-per-minute", "0".to_owned()),
            ("policy-waits", "0s".to_owned()),
            ("log-level", "info".to_owned()),
        ];
        set.into_iter().map(|(flag, value)| format!("--{flag}={value}")).collect()
    }

    /// The process stands still; its connections stay open.
    pub(crate) fn pause_vault(&self, site: u8) {
        let process = self.vault_process(site);
        kill_process(process, Signal::STOP).unwrap();
        let stopped = waitpid(Some(process), WaitOptions::UNTRACED).unwrap();
        assert!(stopped.is_some_and(|(_, status)| status.stopped()), "it runs no more: {}", self.log(site));
    }

    pub(crate) fn resume_vault(&self, site: u8) {
        kill_process(self.vault_process(site), Signal::CONT).unwrap();
    }

    pub(crate) fn vault_pid(&self, site: u8) -> u32 {
        self.vaults[at(site)].process.as_ref().unwrap().id()
    }

    fn vault_process(&self, site: u8) -> Pid {
        Pid::from_child(self.vaults[at(site)].process.as_ref().unwrap())
    }

    /// The site whose member of etcd leads.
    pub(crate) fn leader(&self) -> u8 {
        u8::try_from(self.etcd.leader()).unwrap() + 1
    }

    pub(crate) fn data(&self, site: u8) -> PathBuf {
        self.folder.path().join(format!("keys/site-{site}"))
    }

    fn messenger(&self) -> PathBuf {
        self.folder.path().join("messenger")
    }

    fn log_file(&self, site: u8) -> PathBuf {
        self.folder.path().join(format!("vault-{site}.log"))
    }

    /// What the vault of a site has logged.
    pub(crate) fn log(&self, site: u8) -> String {
        fs::read_to_string(self.log_file(site)).unwrap()
    }

    /// Waits until a site says that it can serve.
    pub(crate) fn wait_until_ready(&self, site: u8) {
        let begin = Instant::now();
        let VaultProcess { host, ops, .. } = &self.vaults[at(site)];
        let is_ready = || {
            let answer = Request::new("GET", "/readyz", "").try_send_on(host.connect(*ops, PATIENCE)?)?;
            (answer.status == 200).then_some(())
        };
        while is_ready().is_none() {
            assert!(begin.elapsed() < PATIENCE, "site {site} does not get ready: {}", self.log(site));
            thread::sleep(POLL);
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if thread::panicking() {
            SITES.into_iter().for_each(|site| eprintln!("=== site {site}\n{}", tail(&self.log(site))));
        }
        SITES.into_iter().for_each(|site| self.kill_vault(site));
    }
}

/// Where a site stands in a list of all.
pub(crate) fn at(site: u8) -> usize {
    usize::from(site) - 1
}

fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
