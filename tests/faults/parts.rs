//! Faults of what a site is made of: its disk, its HSM, its clock, its member of etcd.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coffer_proto::Time;
use coffer_testkit::etcd::EtcdCluster;
use rustix::process::{Pid, Signal, kill_process};

use crate::campaign;
use crate::fleet::{Fleet, SITES, at};
use crate::history::{Event, History, Outcome};
use crate::hosts::Host;
use crate::processes::{AT_FIRST, others};
use crate::report;

const FOR: Duration = Duration::from_secs(5);
/// Enough for the records of these tests, and soon full of something else.
const QUOTA: u64 = 16 << 20;

/// While this lives, a process waits after each fsync.
struct SlowDisk(Child);

impl SlowDisk {
    fn of(pid: u32) -> Self {
        let delayed = "inject=fsync,fdatasync:delay_exit=150000";
        let mut strace = Command::new("strace");
        strace.args(["-f", "-q", "-e", "trace=fsync,fdatasync", "-e", delayed, "-o", "/dev/null", "-p"]);
        strace.arg(pid.to_string()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let tracer = strace.spawn().unwrap();
        let is_traced = || {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            status.lines().any(|line| line == format!("TracerPid:\t{}", tracer.id()))
        };
        (0..500).take_while(|_| !is_traced()).for_each(|_| thread::sleep(Duration::from_millis(10)));
        assert!(is_traced(), "strace cannot hold process {pid}: root can");
        Self(tracer)
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        // Asked to end, it lets the process go.
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs root: part of `make test-faults`"]
fn the_disk_of_the_leading_member_of_etcd_and_of_its_vault_is_slow() {
    let fleet = Fleet::start();
    let (door, history) = (fleet.door(), History::new());
    let found = campaign::run(&door, &history, || {
        thread::sleep(AT_FIRST);
        let leader = fleet.leader();
        let slow = [fleet.etcd.pid(at(leader)), fleet.vault_pid(leader)].map(SlowDisk::of);
        let since = history.now();
        report("a slow disk", history.wait_until_served(since, &SITES));
        thread::sleep(FOR);
        drop(slow);
    });
    assert_eq!(found, []);
}

#[test]
#[ignore = "takes long: part of `make test-faults`"]
fn etcd_is_full() {
    let fleet = Fleet::start_on(vec![Host::here(); SITES.len()], EtcdCluster::new(SITES.len()).with_quota(QUOTA));
    let (door, history) = (fleet.door(), History::new());
    let ballast = "x".repeat(100 << 10);
    let mut refused = 0;
    let found = campaign::run(&door, &history, || {
        thread::sleep(AT_FIRST);
        let put = |number: usize| {
            let key = format!("ballast/{number}");
            fleet.etcd.etcdctl().args(["put", &key, &ballast]).output().unwrap().status.success()
        };
        assert!((0..1000).any(|number| !put(number)), "it is never full");
        assert!(fleet.etcd.etcdctl_says(&["alarm", "list"]).contains("NOSPACE"));
        thread::sleep(FOR);
        refused = history.events().iter().filter(|event| event.outcome == Outcome::Unavailable).count();
        fleet.etcd.etcdctl_says(&["del", "--prefix", "ballast/"]);
        let status = fleet.etcd.etcdctl_says(&["endpoint", "status", "-w", "fields"]);
        let revision = status.lines().find_map(|line| line.strip_prefix("\"Revision\" : ")).unwrap();
        fleet.etcd.etcdctl_says(&["compact", revision]);
        fleet.etcd.etcdctl_says(&["defrag"]);
        fleet.etcd.etcdctl_says(&["alarm", "disarm"]);
        let since = history.now();
        report("etcd has room again", history.wait_until_served(since, &SITES));
    });
    assert!(refused > 0, "it was not full for the vaults");
    assert_eq!(found, []);
}

#[test]
#[ignore = "takes long: part of `make test-faults`"]
fn the_hsm_of_a_site_is_away() {
    let fleet = Fleet::start();
    let (door, history) = (fleet.door(), History::new());
    let site = 2;
    let found = campaign::run(&door, &history, || {
        thread::sleep(AT_FIRST);
        let (tokens, away) = (fleet.data(site).join("token/tokens"), fleet.data(site).join("token/away"));
        fs::rename(&tokens, &away).unwrap();
        let since = history.now();
        report("an HSM is away", history.wait_until_served(since, &others(&[site])));
        thread::sleep(FOR);
        fs::rename(&away, &tokens).unwrap();
        let since = history.now();
        report("it is back", history.wait_until_served(since, &SITES));
    });
    let refused = |event: &Event| event.site == site && event.outcome == Outcome::Unavailable;
    assert!(history.events().iter().any(refused), "it was not missed");
    assert_eq!(found, []);
}

/// One is fast, and another one slow; tokens are older than that.
#[test]
#[ignore = "needs faketime: part of `make test-faults`"]
fn two_clocks_are_wrong_by_an_hour() {
    let mut fleet = Fleet::start();
    let (mut door, history) = (fleet.door(), History::new());
    door.runner = ["faketime", "-f", "-2h"].map(str::to_owned).to_vec();
    let begin = now();
    let found = campaign::run(&door, &history, || {
        for (site, hour) in [(2, "+1h"), (4, "-1h")] {
            fleet.kill_vault(site);
            fleet.set_runner(site, &["faketime", "-f", hour]);
            fleet.start_vault(site);
            fleet.wait_until_ready(site);
        }
        let since = history.now();
        report("two clocks are wrong", history.wait_until_served(since, &SITES));
        for (site, expected) in [(2, 3600..5400), (4, -3600..-1800)] {
            let shown = shown_by(&fleet.log(site)) - begin;
            assert!(expected.contains(&shown), "the clock of site {site} is wrong by {shown} seconds");
        }
        thread::sleep(FOR);
        for site in [2, 4] {
            fleet.kill_vault(site);
            fleet.set_runner(site, &[]);
            fleet.start_vault(site);
            fleet.wait_until_ready(site);
        }
    });
    assert_eq!(found, []);
}

/// Seconds of this machine's clock.
fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// The time at which a log's last line was written, by the clock of who wrote it.
fn shown_by(log: &str) -> i64 {
    let (seconds, _) = log.lines().last().unwrap().split_once('.').unwrap();
    serde_json::from_value::<Time>(format!("{seconds}Z").into()).unwrap().unix_seconds()
}
