//! A record store that hides for a while what it was given, or takes nothing.

use coffer_proto::{Activated, Change, KeyRole};
use coffer_testkit::Faults;
use coffer_vault_core::{Cause, End, Refusal, VaultError, VaultRecord};

use crate::device::{Dealt, Device, Guess, PASSWORD, WRONG};
use crate::lab::{DAY, HOUR, Lab, no_waits};
use crate::protected;

/// A replacement by the owner of one that has no guess left.
async fn replaced(lab: &Lab, ada: &Device) -> (Dealt, Dealt) {
    let old = ada.protect(lab, b"old").await;
    ada.guess_wrong(lab, &old, 10).await;
    let new = ada.deal(lab, PASSWORD);
    let receipts = ada.register(lab, &new).await;
    assert_eq!(ada.replace(lab, &new, &receipts, &old, KeyRole::Owner).await, Ok(Activated::Live));
    (old, new)
}

#[tokio::test]
async fn a_replacement_whose_signature_is_hidden_inherits_no_failures() {
    let lab = Lab::five(no_waits()).await;
    let ada = Device::of(&lab, "ada");
    let (_, new) = replaced(&lab, &ada).await;
    let truth = lab.record_bytes(&ada.account).await;
    lab.falsify_with(&ada.account, |record| {
        record.live.as_mut().unwrap().activation.authorization = None;
        record.ends.clear();
    })
    .await;
    lab.sweep().await;
    assert_eq!(ada.ask_at(&lab, 3, &new.registration.id, &Guess::new(WRONG)).await, Err(VaultError::Unavailable));
    lab.falsify(&ada.account, &truth).await;
    assert_eq!(ada.restore(&lab, &new).await.unwrap().attempts_remaining, 10);
}

#[tokio::test]
async fn a_replacement_by_the_owner_needs_no_token_of_then() {
    let lab = Lab::five(no_waits()).await;
    let ada = Device::of(&lab, "ada");
    let (old, new) = replaced(&lab, &ada).await;
    lab.tokens.rotate();
    lab.sweep().await;
    assert!(lab.is_erased(&old.registration.id).await);
    assert_eq!(Device::of(&lab, "ada").restore(&lab, &new).await.unwrap().attempts_remaining, 10);
}

#[tokio::test]
async fn a_takeover_that_is_hidden_for_a_month_takes_place_when_it_is_shown() {
    let lab = Lab::single(no_waits()).await;
    let ada = Device::of(&lab, "ada");
    let live = ada.protect(&lab, b"forgotten").await;
    let newcomer = ada.wait_behind(&lab, &live, PASSWORD).await;
    let truth = lab.record_bytes(&ada.account).await;
    lab.falsify_with(&ada.account, |record| *record = VaultRecord::default()).await;
    for _ in 0..31 {
        lab.sweep().await;
        lab.clock.advance(DAY);
    }
    lab.falsify(&ada.account, &truth).await;
    assert_eq!(ada.restore(&lab, &newcomer).await.unwrap().attempts_remaining, 10);
}

#[tokio::test]
async fn a_newcomer_that_never_takes_over_is_erased_like_any_that_was_never_activated() {
    for ended_by_owner in [true, false] {
        let (lab, ada, live) = protected::by_one_site().await;
        let newcomer = ada.wait_behind(&lab, &live, WRONG).await;
        if ended_by_owner {
            ada.keep(&lab, &live, Change::Successor(newcomer.registration.id), KeyRole::Owner).await.unwrap();
        } else {
            ada.delete(&lab, &live, Some(KeyRole::Owner)).await.unwrap();
        }
        lab.clock.advance(DAY * 30);
        lab.sweep().await;
        assert!(lab.is_erased(&newcomer.registration.id).await);
    }
}

#[tokio::test]
async fn an_objection_that_the_store_does_not_take_keeps_the_share_all_the_same() {
    for by_proof in [true, false] {
        let (lab, ada, live) = protected::by_one_site().await;
        let newcomer = Device::of(&lab, "ada").wait_behind(&lab, &live, WRONG).await;
        lab.clock.advance(DAY * 6 + HOUR);
        let (guess, _, proof) = ada.guess_right(&lab, &live).await;
        lab.sites[0].records_way.set_faults(Faults { lost: 1000, ..Faults::NONE });
        let said = match by_proof {
            true => ada.prove(&lab, &guess, &proof).await.map(drop),
            false => ada.keep(&lab, &live, Change::Successor(newcomer.registration.id), KeyRole::Owner).await,
        };
        assert_eq!(said, Err(VaultError::Unavailable));
        lab.sites[0].records_way.set_faults(Faults::NONE);
        lab.clock.advance(DAY);
        lab.sweep().await;
        assert!(lab.is_held(&live.registration.id).await);
    }
}

#[tokio::test]
async fn a_count_that_is_full_of_proved_attempts_is_no_evidence_of_a_lock() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    let id = dealt.registration.id;
    // Site 5 evaluates too, too late for any proof to name its mark.
    let late = async |guess: &Guess| lab.at(5).site().evaluate(&ada.evaluation(&dealt, guess)).await.unwrap();
    for _ in 0..9 {
        let (guess, _, proof) = ada.guess_right(&lab, &dealt).await;
        late(&guess).await;
        ada.prove(&lab, &guess, &proof).await.unwrap();
    }
    let wrong = Guess::new(WRONG);
    ada.ask(&lab, &dealt, &wrong).await.unwrap();
    late(&wrong).await;
    let at = lab.now();
    lab.falsify_with(&ada.account, |record| {
        record.live = None;
        record.ends = vec![End { id, at, cause: Cause::Locked { attempts: Vec::new() } }];
    })
    .await;
    for _ in 0..5 {
        lab.sweep().await;
        lab.clock.advance(DAY);
    }
    assert!(lab.is_held(&id).await);
}

#[tokio::test]
async fn a_takeover_that_a_record_makes_early_is_not_evaluated() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    ada.guess_wrong(&lab, &dealt, 8).await;
    let newcomer = ada.wait_behind(&lab, &dealt, WRONG).await;
    let live = lab.record_bytes(&ada.account).await;
    lab.falsify_with(&ada.account, |record| {
        let waiting = record.waiting.take().unwrap();
        let live = record.live.as_mut().unwrap();
        (live.registration, live.activation) = (waiting.registration, waiting.activation);
        (live.attempts, live.carried) = (Vec::new(), None);
    })
    .await;
    for _ in 0..20 {
        assert_eq!(ada.ask(&lab, &newcomer, &Guess::new(WRONG)).await, Err(VaultError::Unavailable));
    }
    assert_eq!(lab.evaluations(), 8);
    // When its time has come it starts with the other's failures, in the ledger as in the record.
    lab.falsify(&ada.account, &live).await;
    lab.clock.advance(DAY * 7);
    ada.guess_wrong(&lab, &newcomer, 2).await;
    assert_eq!(ada.ask(&lab, &newcomer, &Guess::new(WRONG)).await, Err(Refusal::Locked.into()));
}
