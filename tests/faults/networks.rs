//! Faults of the ways between sites: each site in a network namespace of its own, on one bridge, with packets dropped by
//! iptables. For root alone: without it these tests fail, and say so.

use std::env;
use std::fs;
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use coffer_testkit::etcd::EtcdCluster;

use crate::campaign;
use crate::checker::{Violation, check_outage};
use crate::fleet::{Fleet, SITES, at};
use crate::history::History;
use crate::hosts::Host;
use crate::processes::{AT_FIRST, others};
use crate::report;

const INSIDE: &str = "COFFER_TEST_OWN_NETWORK";
const BRIDGE: &str = "sites";

/// Runs `body`, which is all of the test of this name, in a network of its own, which ends with it.
fn in_own_network(test: &str, body: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        return body();
    }
    assert!(rustix::process::geteuid().is_root(), "this test makes network namespaces: it has to be run as root");
    let output = Command::new("unshare")
        .args(["--net", "--mount"])
        .arg(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--include-ignored"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    eprintln!("{said}");
    assert!(output.status.success() && said.contains("test result: ok. 1 passed"), "{test} fails, see above");
}

/// Five hosts on a bridge, which this process is on as well.
struct Network {
    /// A process in each namespace, which keeps it.
    keepers: Vec<Child>,
    hosts: Vec<Host>,
}

fn address(site: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, site)
}

#[track_caller]
fn run(words: &[&str]) {
    let output = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Network {
    fn new() -> Self {
        run(&["ip", "link", "set", "lo", "up"]);
        run(&["ip", "link", "add", BRIDGE, "type", "bridge"]);
        run(&["ip", "address", "add", "10.77.0.254/24", "dev", BRIDGE]);
        run(&["ip", "link", "set", BRIDGE, "up"]);
        let mut network = Self { keepers: Vec::new(), hosts: Vec::new() };
        SITES.into_iter().for_each(|site| network.add(site));
        network
    }

    fn add(&mut self, site: u8) {
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        let mut keeper = Command::new("setpriv");
        keeper.args(["--pdeathsig", "KILL", "unshare", "--net", "sleep", "infinity"]);
        let keeper = keeper.stdin(Stdio::null()).spawn().unwrap();
        let pid = keeper.id();
        self.keepers.push(keeper);
        while fs::read_link(format!("/proc/{pid}/ns/net")).unwrap() == own {
            thread::sleep(Duration::from_millis(2));
        }
        let (here, there) = (format!("to-site-{site}"), format!("site-{site}"));
        run(&["ip", "link", "add", &here, "type", "veth", "peer", "name", &there]);
        run(&["ip", "link", "set", &there, "netns", &pid.to_string()]);
        run(&["ip", "link", "set", &here, "master", BRIDGE, "up"]);
        self.hosts.push(Host::of_process(pid, address(site)));
        self.run_at(site, &["ip", "link", "set", "lo", "up"]);
        self.run_at(site, &["ip", "address", "add", &format!("{}/24", address(site)), "dev", &there]);
        self.run_at(site, &["ip", "link", "set", &there, "up"]);
    }

    fn run_at(&self, site: u8, words: &[&str]) {
        let enter = self.hosts[at(site)].enter.iter().map(String::as_str);
        run(&enter.chain(words.iter().copied()).collect::<Vec<_>>());
    }

    fn fleet(&self) -> Fleet {
        Fleet::start_on(self.hosts.clone(), EtcdCluster::new(SITES.len()))
    }

    /// Whatever `from` sends to `to` is lost.
    fn drop_one_way(&self, from: u8, to: u8) {
        self.run_at(to, &["iptables", "-A", "INPUT", "-s", &address(from).to_string(), "-j", "DROP"]);
    }

    /// These sites and all others are cut off from one another.
    fn isolate(&self, sites: &[u8]) {
        for one in sites {
            for other in others(sites) {
                self.drop_one_way(*one, other);
                self.drop_one_way(other, *one);
            }
        }
    }

    /// Of what any site sends to another, so many of a hundred packets are lost.
    fn lose(&self, of_a_hundred: u8) {
        let probability = format!("0.{of_a_hundred:02}");
        let lossy = ["-m", "statistic", "--mode", "random", "--probability", &probability, "-j", "DROP"];
        for site in SITES {
            let input = ["iptables", "-A", "INPUT", "-s", "10.77.0.0/24", "!", "-i", "lo"];
            self.run_at(site, &[input.as_slice(), &lossy].concat());
        }
    }

    fn heal(&self) {
        SITES.into_iter().for_each(|site| self.run_at(site, &["iptables", "-F", "INPUT"]));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for keeper in &mut self.keepers {
            let _ = keeper.kill();
            let _ = keeper.wait();
        }
    }
}

/// What goes wrong: the sites that go on serving, until they have, and then for a while.
fn suffer(what: &str, fault: impl FnOnce(&Network, &Fleet) -> Vec<u8>) -> (History, [Duration; 2], Vec<Violation>) {
    let network = Network::new();
    let fleet = network.fleet();
    let (door, history) = (fleet.door(), History::new());
    let mut during = [Duration::ZERO; 2];
    let found = campaign::run(&door, &history, || {
        thread::sleep(AT_FIRST);
        let serving = fault(&network, &fleet);
        during[0] = history.now();
        report(what, history.wait_until_served(during[0], &serving));
        thread::sleep(Duration::from_secs(5));
        during[1] = history.now();
        network.heal();
        report("healed", history.wait_until_served(during[1], &SITES));
    });
    (history, during, found)
}

/// What these sites have said in the meantime, but for what was under way when it began.
fn said_by(history: &History, sites: &[u8], [from, to]: [Duration; 2]) -> Vec<Violation> {
    let mut events = history.events();
    events.retain(|event| sites.contains(&event.site));
    check_outage(&events, from + Duration::from_secs(2), to)
}

#[test]
#[ignore = "needs root: part of `make test-faults`"]
fn the_leader_is_isolated() {
    in_own_network("networks::the_leader_is_isolated", || {
        let mut leader = 0;
        let (history, during, found) = suffer("the leader is isolated", |network, fleet| {
            leader = fleet.leader();
            network.isolate(&[leader]);
            others(&[leader])
        });
        assert_eq!(said_by(&history, &[leader], during), []);
        assert_eq!(found, []);
    });
}

#[test]
#[ignore = "needs root: part of `make test-faults`"]
fn a_minority_is_cut_off_with_the_leader() {
    in_own_network("networks::a_minority_is_cut_off_with_the_leader", || {
        let mut minority = [0; 2];
        let (history, during, found) = suffer("a minority is cut off with the leader", |network, fleet| {
            let leader = fleet.leader();
            minority = [leader, leader % 5 + 1];
            network.isolate(&minority);
            others(&minority)
        });
        assert_eq!(said_by(&history, &minority, during), []);
        assert_eq!(found, []);
    });
}

#[test]
#[ignore = "needs root: part of `make test-faults`"]
fn what_a_site_sends_is_lost_while_it_hears_the_others() {
    in_own_network("networks::what_a_site_sends_is_lost_while_it_hears_the_others", || {
        let (_, _, found) = suffer("what the leader sends is lost", |network, fleet| {
            let leader = fleet.leader();
            others(&[leader]).into_iter().for_each(|other| network.drop_one_way(leader, other));
            others(&[leader])
        });
        assert_eq!(found, []);
    });
}

#[test]
#[ignore = "needs root: part of `make test-faults`"]
fn a_tenth_of_all_packets_is_lost() {
    in_own_network("networks::a_tenth_of_all_packets_is_lost", || {
        let (_, _, found) = suffer("a tenth of all packets is lost", |network, _| {
            network.lose(10);
            SITES.to_vec()
        });
        assert_eq!(found, []);
    });
}
