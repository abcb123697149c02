//! A site that is started from an old copy of its disk, or without one.

use coffer_proto::SiteNumber;
use coffer_testkit::MemoryStore;
use coffer_vault_core::{Refusal, SiteRefusal, SiteRow, VaultError};

use crate::device::{Dealt, Device, Guess, PASSWORD, WRONG};
use crate::lab::Lab;
use crate::protected;

async fn failures(lab: &Lab, site: u8, dealt: &Dealt) -> usize {
    lab.held(site, &dealt.registration.id).await.failures()
}

/// What every site has heard of the others is on its disk.
async fn keep_heights(lab: &Lab) {
    for site in 1..=lab.size() {
        lab.at(site).site().keep_heights().await.unwrap();
    }
}

/// Site 2's disk as it was before nine wrong guesses.
async fn rolled_back() -> (Lab, Device, Dealt) {
    let (mut lab, ada, dealt) = protected::by_five_sites().await;
    lab.sweep().await;
    let old = lab.sites[1].ledger.copy();
    ada.guess_wrong(&lab, &dealt, 9).await;
    keep_heights(&lab).await;
    assert_eq!(failures(&lab, 2, &dealt).await, 9);
    lab.put_back(2, old).await;
    (lab, ada, dealt)
}

#[tokio::test]
async fn a_site_started_from_an_old_disk_counts_what_the_record_has() {
    let (lab, ada, dealt) = rolled_back().await;
    assert_eq!(failures(&lab, 2, &dealt).await, 0);
    ada.guess_wrong(&lab, &dealt, 1).await;
    assert_eq!(failures(&lab, 2, &dealt).await, 10);
    assert_eq!(ada.ask(&lab, &dealt, &Guess::new(WRONG)).await, Err(Refusal::Locked.into()));
    // A record store that forgets all of them too finds the count at the other sites, and now at this one.
    lab.falsify_with(&ada.account, |record| record.live.as_mut().unwrap().attempts.clear()).await;
    let guess = Guess::new(WRONG);
    let _ = ada.ask(&lab, &dealt, &guess).await;
    let refused = lab.at(2).site().evaluate(&ada.evaluation(&dealt, &guess)).await;
    assert!(matches!(refused, Err(SiteRefusal::Full { nonce: Some(_) })), "{refused:?}");
}

#[tokio::test]
async fn the_marks_of_before_a_rollback_forgive_nothing_after_it() {
    let (mut lab, ada, dealt) = protected::by_five_sites().await;
    ada.guess_wrong(&lab, &dealt, 1).await;
    let old_mark = lab.held(2, &dealt.registration.id).await.newest_nonce().unwrap();
    let old = lab.sites[1].ledger.copy();
    ada.guess_wrong(&lab, &dealt, 1).await;
    keep_heights(&lab).await;
    lab.put_back(2, old).await;
    assert_eq!(lab.at(2).site().newest_mark(&ada.account, &dealt.registration.id).await, Ok(None));
    ada.guess_wrong(&lab, &dealt, 1).await;
    let held = lab.held(2, &dealt.registration.id).await;
    assert_eq!(held.failures(), 3);
    assert!(held.evaluations.iter().all(|evaluation| evaluation.nonce != old_mark));
    assert_eq!(ada.restore(&lab, &dealt).await.unwrap().attempts_remaining, 10);
    assert_eq!(failures(&lab, 2, &dealt).await, 0);
}

#[tokio::test]
async fn a_rollback_is_noticed_though_the_site_that_coordinated_is_lost() {
    let (mut lab, ada, dealt) = protected::by_five_sites().await;
    let old = lab.sites[1].ledger.copy();
    ada.guess_wrong(&lab, &dealt, 4).await;
    keep_heights(&lab).await;
    keep_heights(&lab).await;
    lab.set_up(1, false);
    lab.set_up(3, false);
    lab.put_back(2, old).await;
    ada.ask_at(&lab, 2, &dealt.registration.id, &Guess::new(WRONG)).await.unwrap();
    assert_eq!(failures(&lab, 2, &dealt).await, 5);
}

#[tokio::test]
async fn a_second_start_from_the_same_old_disk_is_noticed_again() {
    let (mut lab, ada, dealt) = protected::by_five_sites().await;
    let old = lab.sites[1].ledger.copy();
    for guesses in 1..=2 {
        ada.guess_wrong(&lab, &dealt, 2).await;
        keep_heights(&lab).await;
        lab.put_back(2, old.copy()).await;
        ada.guess_wrong(&lab, &dealt, 1).await;
        assert_eq!(failures(&lab, 2, &dealt).await, guesses * 3);
    }
}

#[tokio::test]
async fn a_site_that_lost_its_disk_takes_its_shares_from_the_record() {
    let (mut lab, ada, dealt) = protected::by_five_sites().await;
    lab.sweep().await;
    ada.guess_wrong(&lab, &dealt, 4).await;
    keep_heights(&lab).await;
    lab.put_back(2, MemoryStore::default()).await;
    for lost in [4, 5] {
        lab.set_up(lost, false);
    }
    // Three are left, and site 2 is needed.
    let guess = Guess::new(PASSWORD);
    let answer = ada.ask(&lab, &dealt, &guess).await.unwrap();
    assert_eq!(failures(&lab, 2, &dealt).await, 5);
    let proof = ada.proof(&lab, &dealt, &guess, &answer).unwrap();
    assert_eq!(ada.prove(&lab, &guess, &proof).await.unwrap().attempts_remaining, 10);
}

#[tokio::test]
async fn an_erased_share_is_not_taken_from_the_record_again() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    lab.sweep().await;
    let live = lab.record_bytes(&ada.account).await;
    ada.delete(&lab, &dealt, Some(coffer_proto::KeyRole::Owner)).await.unwrap();
    lab.sweep().await;
    assert!(lab.is_erased(&dealt.registration.id).await);
    lab.falsify(&ada.account, &live).await;
    assert!(ada.ask(&lab, &dealt, &Guess::new(PASSWORD)).await.is_err());
    assert!(matches!(lab.row(2, &dealt.registration.id).await, Some(SiteRow::Erased { .. })));
    assert_eq!(lab.evaluations(), 0);
}

#[tokio::test]
async fn refuses_a_replicated_share_that_was_altered_or_is_of_another_registration() {
    let (mut lab, ada, dealt) = protected::by_five_sites().await;
    let bob = Device::of(&lab, "bob");
    bob.protect(&lab, WRONG).await;
    lab.sweep().await;
    let bobs = lab.record(&bob.account).await.live.unwrap().shares;
    lab.put_back(2, MemoryStore::default()).await;
    let good = lab.record(&ada.account).await.live.unwrap().shares;
    let mut altered = good.clone();
    altered.iter_mut().for_each(|share| share.wrapped[3] ^= 1);
    for (shares, holds) in [(altered, false), (bobs, false), (good, true)] {
        lab.falsify_with(&ada.account, |record| record.live.as_mut().unwrap().shares = shares).await;
        let guess = Guess::new(PASSWORD);
        ada.ask(&lab, &dealt, &guess).await.unwrap();
        assert_eq!(lab.sites[1].hsm.inner.has_evaluated(&guess.element()), holds);
    }
}

#[tokio::test]
async fn a_site_that_cannot_ask_enough_others_for_its_height_evaluates_nothing() {
    let (mut lab, ada, dealt) = protected::by_five_sites().await;
    for lost in [1, 4, 5] {
        lab.set_up(lost, false);
    }
    let ledger = lab.sites[1].ledger.copy();
    assert_eq!(lab.try_put_back(2, ledger).await, Err(VaultError::Unavailable));
    let guess = Guess::new(WRONG);
    let refused = lab.at(2).site().evaluate(&ada.evaluation(&dealt, &guess)).await;
    assert_eq!(refused, Err(SiteRefusal::Refused(VaultError::Unavailable)));
    lab.set_up(1, true);
    lab.at(2).site().check_height().await.unwrap();
    for lost in [4, 5] {
        lab.set_up(lost, true);
    }
    assert!(ada.restore(&lab, &dealt).await.is_ok());
}

#[tokio::test]
async fn a_height_that_its_site_has_not_signed_is_not_kept() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    lab.set_exaggerating(3, true);
    ada.guess_wrong(&lab, &dealt, 1).await;
    lab.at(1).site().keep_heights().await.unwrap();
    assert_eq!(lab.at(1).site().height_of(SiteNumber(1)).await, Ok(None));
    let heard = async |of| lab.at(1).site().height_of(SiteNumber(of)).await.unwrap();
    assert!(heard(2).await.is_some());
    assert_eq!(heard(3).await, None);
}

#[tokio::test]
async fn a_record_with_the_shares_of_five_sites_stays_below_three_kilobytes() {
    let (lab, ada, _) = protected::by_five_sites().await;
    let bare = lab.record_bytes(&ada.account).await.len();
    lab.sweep().await;
    let shares = lab.record(&ada.account).await.live.unwrap().shares;
    let record = lab.record_bytes(&ada.account).await.len();
    assert_eq!(shares.len(), 5);
    // Tokens of real issuers are some 400 bytes longer.
    assert!((bare + 5 * 140..3 << 10).contains(&record), "{bare} bytes, with shares {record}");
}
