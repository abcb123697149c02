//! A record store that was put back from a snapshot, with the new fence that its operator has to set.

use coffer_vault_core::{AttemptState, Refusal, SiteRefusal, VaultError};

use crate::device::{Dealt, Device, Guess, WRONG};
use crate::lab::Lab;
use crate::protected;

/// Nine guesses were spent since the snapshot.
async fn restored() -> (Lab, Device, Dealt) {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    let snapshot = lab.records.copy();
    ada.guess_wrong(&lab, &dealt, 9).await;
    lab.records.restore_records(&snapshot, 2);
    assert_eq!(lab.record(&ada.account).await.live.unwrap().attempts, []);
    (lab, ada, dealt)
}

#[tokio::test]
async fn guesses_that_the_snapshot_has_not_are_counted_before_another_is_made() {
    let (lab, ada, dealt) = restored().await;
    let evaluations = lab.evaluations();
    assert_eq!(ada.ask(&lab, &dealt, &Guess::new(WRONG)).await.unwrap().attempts_remaining, 0);
    assert_eq!(ada.ask(&lab, &dealt, &Guess::new(WRONG)).await, Err(Refusal::Locked.into()));
    assert_eq!(lab.evaluations(), evaluations + 4);
}

#[tokio::test]
async fn the_right_password_refills_what_was_counted_anew() {
    let (lab, ada, dealt) = restored().await;
    assert_eq!(ada.restore(&lab, &dealt).await.unwrap().attempts_remaining, 10);
    let attempts = lab.record(&ada.account).await.live.unwrap().attempts;
    assert_eq!(attempts.iter().filter(|attempt| attempt.state == AttemptState::Forgiven).count(), 9);
}

#[tokio::test]
async fn attempts_go_on_behind_a_proof_that_the_snapshot_has_not() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    let snapshot = lab.records.copy();
    ada.restore(&lab, &dealt).await.unwrap();
    let proved = lab.record(&ada.account).await.live.unwrap().newest_number;
    lab.records.restore_records(&snapshot, 2);
    ada.restore(&lab, &dealt).await.unwrap();
    assert!(lab.record(&ada.account).await.live.unwrap().newest_number > proved);
}

#[tokio::test]
async fn too_few_sites_to_count_with_leave_the_account_unserved() {
    let (lab, ada, dealt) = restored().await;
    for lost in 3..=5 {
        lab.set_up(lost, false);
    }
    assert_eq!(ada.ask(&lab, &dealt, &Guess::new(WRONG)).await, Err(VaultError::Unavailable));
    lab.set_up(3, true);
    assert_eq!(ada.ask(&lab, &dealt, &Guess::new(WRONG)).await.unwrap().attempts_remaining, 0);
}

#[tokio::test]
async fn no_site_evaluates_by_a_record_that_was_not_reconciled() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    let guess = Guess::new(WRONG);
    ada.ask(&lab, &dealt, &guess).await.unwrap();
    let snapshot = lab.records.copy();
    lab.records.restore_records(&snapshot, 2);
    let refused = lab.at(5).site().evaluate(&ada.evaluation(&dealt, &guess)).await;
    assert_eq!(refused, Err(SiteRefusal::Refused(VaultError::Unreconciled)));
}

#[tokio::test]
async fn one_site_that_invents_guesses_is_not_believed_while_the_others_answer() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    let snapshot = lab.records.copy();
    ada.guess_wrong(&lab, &dealt, 3).await;
    lab.records.restore_records(&snapshot, 2);
    lab.set_exaggerating(4, true);
    assert_eq!(ada.ask(&lab, &dealt, &Guess::new(WRONG)).await.unwrap().attempts_remaining, 6);
    assert_eq!(ada.restore(&lab, &dealt).await.unwrap().attempts_remaining, 10);
}
