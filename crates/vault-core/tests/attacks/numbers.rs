//! Attempts are numbered, a proof closes all up to its own, and what an owner has refused once is refused for ever:
//! whatever an old record, or an old request that comes again, says later.

use coffer_proto::{Change, KeyRole};
use coffer_vault_core::{Cause, End, KeptProof, Refusal, SiteProof, SiteRefusal, VaultError};

use crate::device::{DELETION, Device, Guess, PASSWORD, WRONG};
use crate::lab::{DAY, Lab};
use crate::protected;

/// Sweeps for ten days.
async fn pass(lab: &Lab) {
    for _ in 0..10 {
        lab.sweep().await;
        lab.clock.advance(DAY);
    }
    lab.sweep().await;
}

#[tokio::test]
async fn a_deletion_that_was_refused_and_is_shown_again_erases_nothing() {
    for by_proof in [true, false] {
        let (lab, ada, dealt) = protected::by_five_sites().await;
        ada.delete_as(&lab, &dealt, DELETION, None).await.unwrap();
        lab.sweep().await;
        let asked = lab.record(&ada.account).await.live.unwrap().deletion.unwrap();
        match by_proof {
            true => drop(ada.restore(&lab, &dealt).await.unwrap()),
            false => ada.keep(&lab, &dealt, Change::Deletion(DELETION), KeyRole::Owner).await.unwrap(),
        }
        lab.falsify_with(&ada.account, |record| record.live.as_mut().unwrap().deletion = Some(asked.clone())).await;
        pass(&lab).await;
        let (id, at) = (dealt.registration.id, lab.now());
        lab.falsify_with(&ada.account, |record| {
            record.live = None;
            record.ends = vec![End { id, at, cause: Cause::Deleted(asked) }];
        })
        .await;
        pass(&lab).await;
        assert!(lab.is_held(&id).await);
    }
}

#[tokio::test]
async fn an_objection_reaches_a_site_that_was_away() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    let newcomer = ada.wait_behind(&lab, &dealt, WRONG).await;
    let waiting = lab.record(&ada.account).await.waiting.unwrap();
    lab.set_up(5, false);
    ada.keep(&lab, &dealt, Change::Successor(newcomer.registration.id), KeyRole::Owner).await.unwrap();
    lab.set_up(5, true);
    lab.sweep().await;
    // From here on the record lies.
    let (id, hash, at) = (dealt.registration.id, newcomer.registration.hash(), lab.now());
    let (by, activation) = (newcomer.registration.id, Box::new(waiting.activation));
    lab.falsify_with(&ada.account, |record| {
        record.live = None;
        record.ends = vec![End { id, at, cause: Cause::Replaced { by, hash, activation } }];
    })
    .await;
    pass(&lab).await;
    assert!(lab.is_held(&id).await);
}

#[tokio::test]
async fn an_objection_that_nobody_has_signed_is_not_taken() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let newcomer = ada.wait_behind(&lab, &dealt, WRONG).await;
    let mallory = Device::of(&lab, "ada").deal(&lab, WRONG);
    let mut forged = mallory;
    forged.registration.id = dealt.registration.id;
    let change = Change::Successor(newcomer.registration.id);
    let refused = ada.keep(&lab, &forged, change, KeyRole::Owner).await;
    assert_eq!(refused, Err(Refusal::InvalidAuthorization.into()));
    lab.clock.advance(DAY * 7);
    lab.sweep().await;
    assert!(lab.is_erased(&dealt.registration.id).await);
}

#[tokio::test]
async fn attempts_that_were_forgiven_count_towards_no_lock_at_a_site_that_never_saw_them() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    let id = dealt.registration.id;
    let mut old = Vec::new();
    for _ in 0..9 {
        ada.ask(&lab, &dealt, &Guess::new(WRONG)).await.unwrap();
    }
    old.extend(lab.record(&ada.account).await.live.unwrap().attempts);
    ada.restore(&lab, &dealt).await.unwrap();
    ada.guess_wrong(&lab, &dealt, 1).await;
    old.extend(lab.record(&ada.account).await.live.unwrap().attempts.pop());
    assert_eq!(lab.held(5, &id).await.failures(), 0);
    let at = lab.now();
    lab.falsify_with(&ada.account, |record| {
        record.live = None;
        record.ends = vec![End { id, at, cause: Cause::Locked { attempts: old } }];
    })
    .await;
    pass(&lab).await;
    assert!(lab.is_held(&id).await);
}

#[tokio::test]
async fn a_proof_that_does_not_name_a_site_ends_what_its_row_has_inherited() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    ada.guess_wrong(&lab, &dealt, 8).await;
    let newcomer = ada.wait_behind(&lab, &dealt, PASSWORD).await;
    lab.sweep().await;
    lab.clock.advance(DAY * 7);
    ada.restore(&lab, &newcomer).await.unwrap();
    for site in 1..=5 {
        assert_eq!(lab.held(site, &newcomer.registration.id).await.failures(), 0, "site {site}");
    }
}

#[tokio::test]
async fn one_look_at_a_record_that_hides_a_takeover_does_not_refuse_it_for_ever() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let newcomer = ada.wait_behind(&lab, &dealt, PASSWORD).await;
    lab.sweep().await;
    let truth = lab.record_bytes(&ada.account).await;
    lab.falsify_with(&ada.account, |record| record.waiting = None).await;
    lab.sweep().await;
    lab.falsify(&ada.account, &truth).await;
    lab.sweep().await;
    // The time begins anew here, so the record is seven days ahead at most.
    lab.clock.advance(DAY * 7);
    lab.sweep().await;
    assert!(ada.restore(&lab, &newcomer).await.is_ok());
}

#[tokio::test]
async fn an_attempt_that_comes_after_a_newer_one_is_refused() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let (older, newer) = (Guess::new(WRONG), Guess::new(WRONG));
    ada.ask(&lab, &dealt, &newer).await.unwrap();
    assert_eq!(ada.ask(&lab, &dealt, &older).await, Err(Refusal::AttemptClosed.into()));
    assert_eq!(lab.evaluations(), 1);
}

#[tokio::test]
async fn an_attempt_with_a_number_far_beyond_the_last_is_refused() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let mut far = Guess::new(PASSWORD);
    far.number = u64::MAX;
    assert_eq!(ada.ask(&lab, &dealt, &far).await, Err(Refusal::AttemptClosed.into()));
    // A record store that takes it finds no site that does.
    ada.guess_wrong(&lab, &dealt, 1).await;
    let evaluate = ada.evaluation(&dealt, &far);
    lab.falsify_with(&ada.account, |record| {
        let spent = record.live.as_mut().unwrap().attempts.last_mut().unwrap();
        (spent.id, spent.number, spent.ke1_hash) = (far.id, far.number, (&evaluate.ke1).into());
    })
    .await;
    let refused = lab.at(1).site().evaluate(&evaluate).await;
    assert_eq!(refused, Err(SiteRefusal::Refused(VaultError::Refused(Refusal::AttemptClosed))));
}

#[tokio::test]
async fn a_proof_with_a_number_far_beyond_the_last_closes_nothing() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let mut far = Guess::new(PASSWORD);
    far.number = u64::MAX;
    let proof = ada.proof_with(&dealt.registration.id, &far, [0; 32], &[], &dealt.unlock);
    let proof = KeptProof::new(far.id, far.number, &proof);
    let proof = SiteProof { account: ada.account.clone(), registration: dealt.registration.id, proof };
    lab.at(1).site().apply_proof(&proof).await.unwrap();
    assert_eq!(lab.held(1, &dealt.registration.id).await.closed_to, 0);
    assert!(ada.restore(&lab, &dealt).await.is_ok());
}

#[tokio::test]
async fn a_proof_that_names_another_number_than_it_signs_is_refused() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let (guess, _, proof) = ada.guess_right(&lab, &dealt).await;
    let proof = KeptProof::new(guess.id, guess.number + 100, &proof);
    let proof = SiteProof { account: ada.account.clone(), registration: dealt.registration.id, proof };
    assert_eq!(lab.at(1).site().apply_proof(&proof).await, Err(VaultError::InvalidProof.into()));
}
