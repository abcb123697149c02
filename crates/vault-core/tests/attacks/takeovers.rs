//! A registration or a deletion that no key of the live one has signed; locks; and ids that never come back.

use coffer_proto::{Activated, Change, KeyRole};
use coffer_vault_core::{Policy, Refusal, VaultError};

use crate::device::{DELETION, Device, Guess, PASSWORD, WRONG};
use crate::lab::{DAY, HOUR, Lab, no_waits};
use crate::protected;

const THIEFS: &[u8] = b"a password of the thief";

#[tokio::test]
async fn a_waiting_registration_is_never_evaluated() {
    let lab = Lab::single(no_waits()).await;
    let (ada, thief) = (Device::of(&lab, "ada"), Device::of(&lab, "ada"));
    let live = ada.protect(&lab, PASSWORD).await;
    let waiting = thief.wait_behind(&lab, &live, THIEFS).await;
    for _ in 0..20 {
        let refused = thief.ask(&lab, &waiting, &Guess::new(THIEFS)).await;
        assert_eq!(refused, Err(Refusal::RegistrationChanged.into()));
    }
    assert_eq!(lab.evaluations(), 0);
}

#[tokio::test]
async fn after_a_stolen_token_s_activation_the_old_one_restores_for_seven_days_and_its_proof_evicts_the_newcomer() {
    let lab = Lab::single(no_waits()).await;
    let (ada, thief) = (Device::of(&lab, "ada"), Device::of(&lab, "ada"));
    let live = ada.protect(&lab, PASSWORD).await;
    let newcomer = thief.wait_behind(&lab, &live, THIEFS).await;
    lab.clock.advance(DAY * 7 - HOUR);
    lab.sweep().await;
    let proved = ada.restore(&lab, &live).await.unwrap();
    assert_eq!(proved.wrapped_backup_key, live.registration.wrapped_backup_key);
    lab.clock.advance(DAY * 30);
    lab.sweep().await;
    let record = lab.record(&ada.account).await;
    assert_eq!((record.waiting, record.erased), (None, vec![newcomer.registration.id]));
    assert_eq!(thief.ask(&lab, &newcomer, &Guess::new(THIEFS)).await, Err(Refusal::Erased.into()));
    ada.restore(&lab, &live).await.unwrap();
}

#[tokio::test]
async fn a_newcomer_inherits_what_the_old_one_has_left_in_record_and_ledger_alike() {
    let (lab, ada, live) = protected::by_one_site().await;
    ada.guess_wrong(&lab, &live, 7).await;
    let newcomer = ada.wait_behind(&lab, &live, THIEFS).await;
    lab.clock.advance(DAY * 7);
    ada.guess_wrong(&lab, &newcomer, 3).await;
    assert_eq!(ada.ask(&lab, &newcomer, &Guess::new(WRONG)).await, Err(Refusal::Locked.into()));
    // The ledger says so by itself.
    lab.falsify_with(&ada.account, |record| {
        let live = record.live.as_mut().unwrap();
        (live.carried, live.attempts) = (None, Vec::new());
    })
    .await;
    assert_eq!(ada.ask(&lab, &newcomer, &Guess::new(WRONG)).await, Err(Refusal::Locked.into()));
    assert_eq!(lab.evaluations(), 10);
}

#[tokio::test]
async fn a_newcomer_inherits_in_the_ledger_too_when_the_old_one_is_erased_in_the_same_sweep() {
    // Rows are swept in the order of their ids, which are random.
    for _ in 0..8 {
        let (lab, ada, live) = protected::by_one_site().await;
        ada.guess_wrong(&lab, &live, 7).await;
        let newcomer = ada.wait_behind(&lab, &live, THIEFS).await;
        lab.clock.advance(DAY * 7);
        lab.sweep().await;
        assert!(lab.is_erased(&live.registration.id).await);
        assert_eq!(lab.held(1, &newcomer.registration.id).await.failures(), 7);
    }
}

#[tokio::test]
async fn a_newcomer_that_is_proved_has_a_full_budget() {
    let lab = Lab::single(no_waits()).await;
    let ada = Device::of(&lab, "ada");
    let live = ada.protect(&lab, b"forgotten").await;
    ada.guess_wrong(&lab, &live, 9).await;
    let newcomer = ada.wait_behind(&lab, &live, PASSWORD).await;
    lab.clock.advance(DAY * 7);
    assert_eq!(ada.restore(&lab, &newcomer).await.unwrap().attempts_remaining, 10);
    ada.guess_wrong(&lab, &newcomer, 10).await;
}

#[tokio::test]
async fn a_newcomer_takes_over_although_the_issuer_has_other_keys_by_then() {
    for lab in [Lab::single(no_waits()).await, Lab::five(no_waits()).await] {
        let ada = Device::of(&lab, "ada");
        let live = ada.protect(&lab, b"forgotten").await;
        let newcomer = ada.wait_behind(&lab, &live, PASSWORD).await;
        lab.sweep().await;
        lab.tokens.rotate();
        lab.clock.advance(DAY * 7);
        lab.sweep().await;
        assert!(lab.is_erased(&live.registration.id).await);
        assert_eq!(Device::of(&lab, "ada").restore(&lab, &newcomer).await.unwrap().attempts_remaining, 10);
    }
}

#[tokio::test]
async fn what_was_verified_for_one_takeover_passes_for_no_other() {
    let (lab, ada, live) = protected::by_one_site().await;
    ada.guess_wrong(&lab, &live, 7).await;
    let newcomer = ada.wait_behind(&lab, &live, THIEFS).await;
    lab.tokens.rotate();
    // Replacing nothing, it would not inherit the failures.
    lab.falsify_with(&ada.account, |record| record.waiting.as_mut().unwrap().activation.replaces = None).await;
    lab.clock.advance(DAY * 7);
    lab.sweep().await;
    let asked = Device::of(&lab, "ada").ask(&lab, &newcomer, &Guess::new(THIEFS)).await;
    assert_eq!((asked, lab.evaluations()), (Err(VaultError::Unavailable), 7));
}

#[tokio::test]
async fn a_keep_by_either_key_ends_what_waits_and_nobody_else_s_does() {
    let lab = Lab::single(no_waits()).await;
    let (ada, thief) = (Device::of(&lab, "ada"), Device::of(&lab, "ada"));
    let live = ada.protect(&lab, PASSWORD).await;
    for role in [KeyRole::Unlock, KeyRole::Owner] {
        let newcomer = thief.wait_behind(&lab, &live, THIEFS).await;
        let id = newcomer.registration.id;
        let mut forged = thief.deal(&lab, THIEFS);
        forged.registration.id = live.registration.id;
        let refused = thief.keep(&lab, &forged, Change::Successor(id), role).await;
        assert_eq!(refused, Err(Refusal::InvalidAuthorization.into()));
        assert_eq!(
            ada.keep(&lab, &live, Change::Successor(live.registration.id), role).await.unwrap_err(),
            Refusal::RegistrationChanged.into()
        );
        ada.keep(&lab, &live, Change::Successor(id), role).await.unwrap();
        ada.keep(&lab, &live, Change::Successor(id), role).await.unwrap();
        assert_eq!(lab.record(&ada.account).await.waiting, None);
    }
}

#[tokio::test]
async fn with_a_key_of_the_live_one_it_is_replaced_at_once_with_a_full_budget_and_erased() {
    for role in [KeyRole::Unlock, KeyRole::Owner] {
        let lab = Lab::single(no_waits()).await;
        let ada = Device::of(&lab, "ada");
        let old = ada.protect(&lab, b"old").await;
        ada.guess_wrong(&lab, &old, 9).await;
        let new = ada.deal(&lab, PASSWORD);
        let receipts = ada.register(&lab, &new).await;
        assert_eq!(ada.replace(&lab, &new, &receipts, &old, role).await, Ok(Activated::Live));
        assert!(lab.is_erased(&old.registration.id).await);
        ada.guess_wrong(&lab, &new, 9).await;
        assert_eq!(ada.restore(&lab, &new).await.unwrap().attempts_remaining, 10);
    }
}

#[tokio::test]
async fn a_registration_that_waits_is_live_at_once_when_a_key_of_the_live_one_signs_for_it() {
    let (lab, ada, live) = protected::by_one_site().await;
    let waiting = ada.wait_behind(&lab, &live, PASSWORD).await;
    let receipts = ada.register(&lab, &waiting).await;
    assert_eq!(ada.replace(&lab, &waiting, &receipts, &live, KeyRole::Owner).await, Ok(Activated::Live));
    assert!(lab.is_erased(&live.registration.id).await);
    ada.restore(&lab, &waiting).await.unwrap();
}

#[tokio::test]
async fn an_erased_id_never_comes_back() {
    let (lab, ada, old) = protected::by_one_site().await;
    let old_record = lab.record_bytes(&ada.account).await;
    let receipts = ada.register(&lab, &old).await;
    ada.delete(&lab, &old, Some(KeyRole::Owner)).await.unwrap();
    assert_eq!(ada.register_at(&lab, &old, 1).await, Err(Refusal::Erased.into()));
    assert_eq!(ada.activate(&lab, &old, &receipts, None).await, Err(Refusal::Erased.into()));
    assert_eq!(ada.ask(&lab, &old, &Guess::new(PASSWORD)).await, Err(Refusal::Erased.into()));
    // Nor with the record of before.
    lab.falsify(&ada.account, &old_record).await;
    assert_eq!(ada.ask(&lab, &old, &Guess::new(PASSWORD)).await, Err(VaultError::Unavailable));
    assert_eq!(ada.register_at(&lab, &old, 1).await, Err(Refusal::Erased.into()));
    // A new site that never held it refuses what the record calls erased.
    assert_eq!(lab.evaluations(), 0);
}

#[tokio::test]
async fn a_deletion_that_a_key_has_signed_erases_at_once() {
    for role in [KeyRole::Unlock, KeyRole::Owner] {
        let lab = Lab::single(no_waits()).await;
        let (ada, thief) = (Device::of(&lab, "ada"), Device::of(&lab, "ada"));
        let live = ada.protect(&lab, PASSWORD).await;
        let mut forged = thief.deal(&lab, THIEFS);
        forged.registration.id = live.registration.id;
        assert_eq!(thief.delete(&lab, &forged, Some(role)).await, Err(Refusal::InvalidAuthorization.into()));
        assert_eq!(ada.delete(&lab, &live, Some(role)).await, Ok(lab.now()));
        assert!(lab.is_erased(&live.registration.id).await);
        assert_eq!(ada.delete(&lab, &live, None).await, Ok(lab.now()));
    }
}

#[tokio::test]
async fn a_deletion_by_token_alone_takes_seven_days() {
    let (lab, ada, live) = protected::by_one_site().await;
    let due = lab.now() + DAY * 7;
    assert_eq!(ada.delete(&lab, &live, None).await, Ok(due));
    lab.clock.advance(DAY);
    assert_eq!(ada.delete(&lab, &live, None).await, Ok(due));
    ada.guess_wrong(&lab, &live, 1).await;
    lab.clock.set(due - HOUR);
    lab.sweep().await;
    ada.guess_wrong(&lab, &live, 1).await;
    assert!(lab.is_held(&live.registration.id).await);
    lab.clock.set(due);
    lab.sweep().await;
    assert!(lab.is_erased(&live.registration.id).await);
    assert_eq!(ada.ask(&lab, &live, &Guess::new(PASSWORD)).await, Err(Refusal::Erased.into()));
}

#[tokio::test]
async fn a_deletion_by_token_alone_is_carried_out_although_the_issuer_has_other_keys_by_then() {
    let (lab, ada, live) = protected::by_five_sites().await;
    ada.delete(&lab, &live, None).await.unwrap();
    lab.sweep().await;
    lab.tokens.rotate();
    lab.clock.advance(DAY * 7);
    lab.sweep().await;
    assert!(lab.is_erased(&live.registration.id).await);
}

#[tokio::test]
async fn a_proof_or_a_keep_ends_a_deletion_by_token_alone() {
    let (lab, ada, live) = protected::by_one_site().await;
    ada.delete(&lab, &live, None).await.unwrap();
    lab.clock.advance(DAY * 6);
    ada.restore(&lab, &live).await.unwrap();
    lab.clock.advance(DAY * 2);
    lab.sweep().await;
    let again = ada.delete_as(&lab, &live, DELETION, None).await;
    assert_eq!(again, Ok(lab.now() + DAY * 7));
    lab.clock.advance(DAY * 6);
    ada.keep(&lab, &live, Change::Deletion(DELETION), KeyRole::Owner).await.unwrap();
    lab.clock.advance(DAY * 2);
    lab.sweep().await;
    assert!(lab.is_held(&live.registration.id).await);
    ada.restore(&lab, &live).await.unwrap();
    assert_eq!(ada.delete_as(&lab, &live, DELETION, None).await, Err(Refusal::IdReused.into()));
}

/// Ten wrong guesses, and the three days until they lock.
async fn lock(lab: &Lab, device: &Device, was_proved: bool) {
    let dealt = device.protect(lab, PASSWORD).await;
    if was_proved {
        device.restore(lab, &dealt).await.unwrap();
    }
    device.guess_wrong(lab, &dealt, 10).await;
    lab.clock.advance(DAY * 3);
    assert_eq!(device.ask(lab, &dealt, &Guess::new(PASSWORD)).await, Err(Refusal::Locked.into()));
    assert!(lab.is_erased(&dealt.registration.id).await);
}

#[tokio::test]
async fn after_a_lock_there_is_a_cool_down_which_only_locks_of_proved_registrations_double_up_to_thirty_days() {
    let lab = Lab::single(no_waits()).await;
    let ada = Device::of(&lab, "ada");
    for (was_proved, days) in [
        (false, 1),
        (false, 1),
        (true, 1),
        (true, 2),
        (false, 4),
        (true, 4),
        (true, 8),
        (true, 16),
        (true, 30),
        (true, 30),
    ] {
        lock(&lab, &ada, was_proved).await;
        let retry_at = lab.now() + DAY * days;
        let new = ada.deal(&lab, PASSWORD);
        let receipts = ada.register(&lab, &new).await;
        let refused = ada.activate(&lab, &new, &receipts, None).await;
        assert_eq!(refused, Err(Refusal::CoolDown { retry_at }.into()), "{was_proved} {days}");
        lab.clock.set(retry_at);
        lab.sweep().await;
    }
}

#[tokio::test]
async fn a_lock_ends_what_waits_too() {
    let (lab, ada, live) = protected::by_one_site().await;
    let waiting = ada.wait_behind(&lab, &live, THIEFS).await;
    ada.guess_wrong(&lab, &live, 10).await;
    lab.clock.advance(DAY * 3);
    assert_eq!(ada.ask(&lab, &live, &Guess::new(PASSWORD)).await, Err(Refusal::Locked.into()));
    let record = lab.record(&ada.account).await;
    assert_eq!((record.live, record.waiting), (None, None));
    assert!(record.erased.contains(&waiting.registration.id));
}

#[tokio::test]
async fn a_newcomer_waits_as_long_for_its_next_guess_as_the_old_one_had_to() {
    let waits = Policy { takeover_after: HOUR, ..Policy::default() };
    let lab = Lab::single(waits).await;
    let ada = Device::of(&lab, "ada");
    let live = ada.protect(&lab, PASSWORD).await;
    ada.guess_wrong(&lab, &live, 3).await;
    for minutes in [1, 10, 60, 240] {
        lab.clock.advance(HOUR / 60 * minutes);
        ada.guess_wrong(&lab, &live, 1).await;
    }
    let last = lab.now();
    let newcomer = ada.wait_behind(&lab, &live, THIEFS).await;
    lab.clock.advance(HOUR);
    let retry_at = last + HOUR * 12;
    assert_eq!(ada.ask(&lab, &newcomer, &Guess::new(WRONG)).await, Err(Refusal::Wait { retry_at }.into()));
    lab.falsify_with(&ada.account, |record| record.live.as_mut().unwrap().carried = None).await;
    assert_eq!(ada.ask(&lab, &newcomer, &Guess::new(WRONG)).await, Err(Refusal::Wait { retry_at }.into()));
}
