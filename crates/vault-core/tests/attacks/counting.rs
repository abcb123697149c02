//! Whoever counts for a device, or answers in a count of the sites, and lies.

use coffer_proto::{Change, Hash, KeyRole, RegistrationId};
use coffer_testkit::MemoryStore;
use coffer_vault_core::{AttemptState, Refusal, SiteRow, VaultError};

use crate::device::{DELETION, Device, Guess, PASSWORD, WRONG};
use crate::lab::{DAY, Lab, no_waits};
use crate::protected;

/// What an honest site tells a device to number its next attempt.
async fn next_attempt(lab: &Lab, ada: &Device) -> u64 {
    lab.at(3).registrations(&ada.token).await.unwrap().live.unwrap().next_attempt
}

async fn restore_as_told(lab: &Lab, ada: &Device, id: &RegistrationId) -> Result<u8, VaultError> {
    let guess = Guess::numbered(next_attempt(lab, ada).await, PASSWORD);
    let answer = ada.ask_at(lab, 3, id, &guess).await?;
    let (ke3, unlock) = ada.open(lab, id, &guess, &answer.ke2).unwrap();
    let proof = ada.proof_with(id, &guess, ke3, &answer.nonces, &unlock);
    lab.at(3).prove(&ada.token, &guess.id, &proof).await.map(|proved| proved.attempts_remaining)
}

#[tokio::test]
async fn one_that_counts_for_the_device_and_lies_twice_locks_nobody_out() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    // The site that the device asks says each time the highest number that the record still takes.
    for _ in 0..9 {
        let number = next_attempt(&lab, &ada).await - 1 + (1 << 32);
        let _ = ada.ask(&lab, &dealt, &Guess::numbered(number, PASSWORD)).await;
    }
    assert_eq!(restore_as_told(&lab, &ada, &dealt.registration.id).await, Ok(10));
}

#[tokio::test]
async fn a_site_that_has_missed_the_proofs_of_a_device_that_counts_wrong_takes_part_again() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    lab.set_up(5, false);
    for _ in 0..20 {
        let number = next_attempt(&lab, &ada).await - 1 + (1 << 32);
        let guess = Guess::numbered(number, PASSWORD);
        let answer = ada.ask(&lab, &dealt, &guess).await.unwrap();
        ada.prove(&lab, &guess, &ada.proof(&lab, &dealt, &guess, &answer).unwrap()).await.unwrap();
    }
    lab.set_up(5, true);
    for lost in [1, 2] {
        lab.set_up(lost, false);
    }
    assert_eq!(restore_as_told(&lab, &ada, &dealt.registration.id).await, Ok(10));
}

#[tokio::test]
async fn a_snapshot_from_before_a_device_counted_wrong_locks_nobody_out() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    let snapshot = lab.records.copy();
    for _ in 0..3 {
        let number = next_attempt(&lab, &ada).await - 1 + (1 << 32);
        let guess = Guess::numbered(number, PASSWORD);
        let answer = ada.ask(&lab, &dealt, &guess).await.unwrap();
        ada.prove(&lab, &guess, &ada.proof(&lab, &dealt, &guess, &answer).unwrap()).await.unwrap();
    }
    lab.records.restore_records(&snapshot, 2);
    // The first that comes is too old, and brings the record up to the ledgers.
    let first = restore_as_told(&lab, &ada, &dealt.registration.id).await;
    assert_eq!(first, Err(Refusal::AttemptClosed.into()));
    assert_eq!(restore_as_told(&lab, &ada, &dealt.registration.id).await, Ok(10));
}

#[tokio::test]
async fn one_site_that_lies_about_when_and_what_is_not_believed_while_the_others_answer() {
    let (lab, ada, dealt) = protected::in_lab(Lab::five(coffer_vault_core::Policy::default()).await).await;
    let snapshot = lab.records.copy();
    ada.guess_wrong(&lab, &dealt, 3).await;
    let truth: Vec<Hash> =
        lab.record(&ada.account).await.live.unwrap().attempts.iter().map(|spent| spent.ke1_hash).collect();
    lab.records.restore_records(&snapshot, 2);
    // Site 5 has evaluated none of them; the nearest to it lies.
    lab.set_exaggerating(1, true);
    lab.clock.advance(DAY);
    ada.ask_at(&lab, 5, &dealt.registration.id, &Guess::new(WRONG)).await.unwrap();
    let attempts = lab.record(&ada.account).await.live.unwrap().attempts;
    assert_eq!(attempts.len(), 4);
    for (reported, ke1_hash) in attempts.iter().zip(truth) {
        assert_eq!((&reported.state, reported.ke1_hash), (&AttemptState::Reported, ke1_hash));
        assert_eq!(reported.at, lab.now() - DAY);
    }
}

#[tokio::test]
async fn a_time_that_has_not_come_is_not_taken_from_a_count() {
    let (lab, ada, dealt) = protected::in_lab(Lab::five(coffer_vault_core::Policy::default()).await).await;
    let snapshot = lab.records.copy();
    ada.guess_wrong(&lab, &dealt, 3).await;
    lab.records.restore_records(&snapshot, 2);
    // The liar is one of the three that answer.
    lab.set_exaggerating(1, true);
    for lost in [2, 3] {
        lab.set_up(lost, false);
    }
    let _ = ada.ask_at(&lab, 5, &dealt.registration.id, &Guess::new(WRONG)).await;
    let attempts = lab.record(&ada.account).await.live.unwrap().attempts;
    assert!(attempts.iter().all(|attempt| attempt.at <= lab.now()));
}

#[tokio::test]
async fn a_site_that_has_lost_its_disk_does_not_say_that_nothing_was_counted() {
    let (mut lab, ada, dealt) = protected::by_five_sites().await;
    let snapshot = lab.records.copy();
    // Three sites evaluate.
    for away in [4, 5] {
        lab.set_up(away, false);
    }
    ada.guess_wrong(&lab, &dealt, 9).await;
    for away in [4, 5] {
        lab.set_up(away, true);
    }
    for site in 1..=5 {
        lab.at(site).site().keep_heights().await.unwrap();
    }
    lab.put_back(2, MemoryStore::default()).await;
    lab.records.restore_records(&snapshot, 2);
    assert_eq!(ada.ask(&lab, &dealt, &Guess::new(WRONG)).await.unwrap().attempts_remaining, 0);
}

#[tokio::test]
async fn a_deletion_that_no_sweep_has_seen_is_refused_by_a_proof_wherever_its_attempt_was_evaluated() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    ada.delete(&lab, &dealt, None).await.unwrap();
    let asked = lab.record(&ada.account).await.live.unwrap().deletion.unwrap();
    ada.restore(&lab, &dealt).await.unwrap();
    // A record store that has kept it shows it again.
    lab.falsify_with(&ada.account, |record| record.live.as_mut().unwrap().deletion = Some(asked)).await;
    for _ in 0..10 {
        lab.sweep().await;
        lab.clock.advance(DAY);
    }
    lab.sweep().await;
    for site in 1..=4 {
        assert!(matches!(lab.row(site, &dealt.registration.id).await, Some(SiteRow::Held(_))), "site {site}");
    }
}

#[tokio::test]
async fn a_takeover_that_no_sweep_has_seen_is_refused_by_a_proof_wherever_its_attempt_was_evaluated() {
    let lab = Lab::five(no_waits()).await;
    let ada = Device::of(&lab, "ada");
    let dealt = ada.protect(&lab, PASSWORD).await;
    ada.wait_behind(&lab, &dealt, WRONG).await;
    let waiting = lab.record(&ada.account).await.waiting;
    ada.restore(&lab, &dealt).await.unwrap();
    lab.falsify_with(&ada.account, |record| record.waiting = waiting).await;
    for _ in 0..10 {
        lab.sweep().await;
        lab.clock.advance(DAY);
    }
    lab.sweep().await;
    for site in 1..=4 {
        assert!(matches!(lab.row(site, &dealt.registration.id).await, Some(SiteRow::Held(_))), "site {site}");
    }
}

#[tokio::test]
async fn a_snapshot_of_the_records_and_of_three_disks_does_not_lock_out_for_good() {
    let (mut lab, ada, dealt) = protected::by_five_sites().await;
    let snapshot = lab.records.copy();
    let disks: Vec<MemoryStore> = lab.sites.iter().map(|part| part.ledger.copy()).collect();
    ada.guess_wrong(&lab, &dealt, 4).await;
    for site in 1..=5 {
        lab.at(site).site().keep_heights().await.unwrap();
    }
    for site in 1..=3 {
        lab.put_back(site, disks[usize::from(site) - 1].copy()).await;
    }
    lab.records.restore_records(&snapshot, 2);
    // While one is away nobody knows enough; site 4 has the guesses, and all have answered.
    lab.set_up(5, false);
    assert_eq!(ada.ask(&lab, &dealt, &Guess::new(WRONG)).await, Err(VaultError::Unavailable));
    lab.set_up(5, true);
    assert_eq!(ada.ask(&lab, &dealt, &Guess::new(WRONG)).await.unwrap().attempts_remaining, 5);
    assert_eq!(ada.restore(&lab, &dealt).await.unwrap().attempts_remaining, 10);
}

#[tokio::test]
async fn what_an_owner_has_refused_since_the_snapshot_is_not_done_after_it() {
    for (is_deletion, by_proof) in [(true, true), (true, false), (false, true), (false, false)] {
        let (lab, ada, dealt) = protected::by_five_sites().await;
        let change = match is_deletion {
            true => {
                ada.delete_as(&lab, &dealt, DELETION, None).await.unwrap();
                Change::Deletion(DELETION)
            }
            false => Change::Successor(ada.wait_behind(&lab, &dealt, WRONG).await.registration.id),
        };
        let snapshot = lab.records.copy();
        match by_proof {
            true => drop(ada.restore(&lab, &dealt).await.unwrap()),
            false => ada.keep(&lab, &dealt, change, KeyRole::Owner).await.unwrap(),
        }
        lab.clock.advance(DAY * 8);
        lab.records.restore_records(&snapshot, 2);
        let restored = ada.restore(&lab, &dealt).await.map(|proved| proved.attempts_remaining);
        assert_eq!(restored, Ok(10), "{change:?}, by proof: {by_proof}");
    }
}
