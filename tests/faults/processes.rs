//! Faults of processes: killed, stopped, started from an old disk. Sites are processes of this machine.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::campaign;
use crate::checker::check_outage;
use crate::fleet::{Fleet, SITES};
use crate::history::History;
use crate::report;

/// Before anything goes wrong.
pub(crate) const AT_FIRST: Duration = Duration::from_secs(1);

/// Those that are not among these.
pub(crate) fn others(sites: &[u8]) -> Vec<u8> {
    SITES.into_iter().filter(|site| !sites.contains(site)).collect()
}

#[test]
fn the_leader_is_killed() {
    let mut fleet = Fleet::start();
    let (door, history) = (fleet.door(), History::new());
    let found = campaign::run(&door, &history, || {
        thread::sleep(AT_FIRST);
        let leader = fleet.leader();
        let since = history.now();
        fleet.kill_site(leader);
        report("the leader is killed", history.wait_until_served(since, &others(&[leader])));
        fleet.start_site(leader);
        fleet.wait_until_ready(leader);
    });
    assert_eq!(found, []);
}

#[test]
fn two_sites_are_killed_with_the_leader_among_them() {
    let mut fleet = Fleet::start();
    let (door, history) = (fleet.door(), History::new());
    let found = campaign::run(&door, &history, || {
        thread::sleep(AT_FIRST);
        let leader = fleet.leader();
        let killed = [leader, leader % 5 + 1];
        let since = history.now();
        killed.into_iter().for_each(|site| fleet.kill_site(site));
        report("two sites are killed", history.wait_until_served(since, &others(&killed)));
        killed.into_iter().for_each(|site| fleet.start_site(site));
        killed.into_iter().for_each(|site| fleet.wait_until_ready(site));
    });
    assert_eq!(found, []);
}

#[test]
fn a_vault_is_paused() {
    let fleet = Fleet::start();
    let (door, history) = (fleet.door(), History::new());
    let found = campaign::run(&door, &history, || {
        thread::sleep(AT_FIRST);
        let (site, since) = (fleet.leader(), history.now());
        fleet.pause_vault(site);
        report("a vault is paused", history.wait_until_served(since, &others(&[site])));
        fleet.resume_vault(site);
        let since = history.now();
        report("it goes on", history.wait_until_served(since, &SITES));
    });
    assert_eq!(found, []);
}

#[test]
fn a_site_is_started_from_an_old_disk_image() {
    let mut fleet = Fleet::start();
    let (door, history) = (fleet.door(), History::new());
    let image = tempfile::tempdir().unwrap();
    let old = image.path().join("store");
    let site = 2;
    let found = campaign::run(&door, &history, || {
        thread::sleep(AT_FIRST);
        fleet.kill_vault(site);
        copy(&fleet.data(site).join("store"), &old);
        fleet.start_vault(site);
        fleet.wait_until_ready(site);
        let since = history.now();
        history.wait_until_served(since, &SITES);
        thread::sleep(AT_FIRST);
        fleet.kill_vault(site);
        fs::remove_dir_all(fleet.data(site).join("store")).unwrap();
        copy(&old, &fleet.data(site).join("store"));
        let since = history.now();
        fleet.start_vault(site);
        fleet.wait_until_ready(site);
        report("an old disk image", history.wait_until_served(since, &SITES));
    });
    assert!(fleet.log(site).contains("this ledger is older than it was"), "{}", fleet.log(site));
    assert_eq!(found, []);
}

/// A folder of files.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
#[ignore = "takes long: part of `make test-faults`"]
fn without_a_majority_nothing_is_served_and_all_is_well_again_with_one() {
    let mut fleet = Fleet::start();
    let (door, history) = (fleet.door(), History::new());
    let mut outage = [Duration::ZERO; 2];
    let found = campaign::run(&door, &history, || {
        thread::sleep(AT_FIRST);
        let leader = fleet.leader();
        let killed = [leader, leader % 5 + 1, (leader + 1) % 5 + 1];
        killed.into_iter().for_each(|site| fleet.kill_site(site));
        outage[0] = history.now();
        thread::sleep(Duration::from_secs(15));
        outage[1] = history.now();
        fleet.start_site(killed[0]);
        let there = [others(&killed), vec![killed[0]]].concat();
        report("a majority is back", history.wait_until_served(outage[1], &there));
        killed[1..].iter().for_each(|site| fleet.start_site(*site));
        killed.into_iter().for_each(|site| fleet.wait_until_ready(site));
    });
    let refused = history.events().iter().filter(|event| event.start >= outage[0] && event.end <= outage[1]).count();
    assert!(refused > 10, "only {refused} requests came to their end without a majority");
    assert_eq!(check_outage(&history.events(), outage[0], outage[1]), []);
    assert_eq!(found, []);
}

#[test]
#[ignore = "takes long: part of `make test-faults`"]
fn a_member_of_etcd_is_paused() {
    let fleet = Fleet::start();
    let (door, history) = (fleet.door(), History::new());
    let found = campaign::run(&door, &history, || {
        for _ in 0..2 {
            thread::sleep(AT_FIRST);
            let leader = fleet.etcd.leader();
            let since = history.now();
            fleet.etcd.pause(leader);
            report("the leading member of etcd is paused", history.wait_until_served(since, &SITES));
            thread::sleep(Duration::from_secs(2));
            fleet.etcd.resume(leader);
        }
    });
    assert_eq!(found, []);
}
