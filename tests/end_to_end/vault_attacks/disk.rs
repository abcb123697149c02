//! The disk is full.

use std::fs;
use std::io::Write as _;

use coffer_proto::RetrievalAnswer;
use coffer_testkit::disk::{Disk, in_own_namespace};

use super::account::Account;
use super::budget::{RIGHT, WRONG, evaluations};
use super::dump::Dump;
use super::guess::Guess;
use super::hsm_away::assert_unavailable;
use crate::server::Server;

#[test]
fn on_a_full_disk_nothing_is_answered_without_a_spend() {
    in_own_namespace("vault_attacks::disk::on_a_full_disk_nothing_is_answered_without_a_spend", || {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path().join("data"), 16);
        let mut server = Server::start_in(folder.path(), &[]);
        let accounts: Vec<_> = (0..8).map(|number| Account::registered(&server, &format!("{number}"), RIGHT)).collect();
        let guesses: Vec<_> = (0..64).map(|number| (number % 8, Guess::new(&accounts[number % 8], WRONG))).collect();
        let before = evaluations(&server);
        let ballast = disk.path().join("ballast");
        fill(&ballast);

        let (mut answered, mut is_full) = (0, false);
        for (_, guess) in &guesses {
            let answer = guess.send();
            if answer.status == 200 {
                // Once it cannot write, it says so until it is started again.
                assert!(!is_full);
                answered += 1;
            } else {
                assert_unavailable(&answer);
                is_full = true;
            }
        }
        assert!(is_full, "the disk is not full");
        assert_eq!(evaluations(&server) - before, answered);

        fs::remove_file(&ballast).unwrap();
        assert_unavailable(&guesses.last().unwrap().1.send());
        server.kill();
        let answered = usize::try_from(answered).unwrap();
        let dump = Dump::of(&server.data());
        for (number, guess) in &guesses[..answered] {
            assert!(dump.spent(&accounts[*number].name).iter().all(|spent| spent.contains(&guess.id)));
        }
        server.start_again();
        for (_, guess) in &guesses {
            let _: RetrievalAnswer = guess.send().read();
        }
        for account in &accounts {
            assert_eq!(account.live().failed_attempts.len(), 8);
            account.is_restored_by(RIGHT);
        }
    });
}

/// Leaves no byte.
fn fill(file: &std::path::Path) {
    let mut file = fs::File::create(file).unwrap();
    for length in [1 << 16, 1 << 9, 1] {
        while file.write_all(&vec![1; length]).is_ok() {}
    }
}
