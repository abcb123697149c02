//! Only a right password refills, once, and only what was spent before it.

use coffer_proto::{Base64, KeyRole, SiteNonce, SiteNumber, proof_message};
use coffer_vault_core::{Policy, Refusal, VaultError};
use ed25519_dalek::SigningKey;

use crate::device::{Device, Guess, PASSWORD, WRONG, random, sign};
use crate::lab::{DAY, Lab, no_waits};
use crate::protected;

#[tokio::test]
async fn the_same_id_with_other_bytes_is_a_conflict_and_is_not_evaluated() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let guess = Guess::new(WRONG);
    ada.ask(&lab, &dealt, &guess).await.unwrap();
    let other = Guess::named(guess.id, WRONG);
    assert_eq!(ada.ask(&lab, &dealt, &other).await, Err(Refusal::IdReused.into()));
    // A record that has forgotten the attempt does not help: the ledger has not.
    lab.falsify_with(&ada.account, |record| record.live.as_mut().unwrap().attempts.clear()).await;
    lab.restart(1).await;
    assert_eq!(ada.ask(&lab, &dealt, &other).await, Err(Refusal::IdReused.into()));
    assert!(!lab.sites[0].hsm.inner.has_evaluated(&other.element()));
}

#[tokio::test]
async fn two_copies_of_a_guess_on_their_way_at_once_get_one_answer() {
    for seed in 0..20 {
        let lab = Lab::with(vec![coffer_testkit::SoftwareHsm::single()], 1, no_waits(), seed).await;
        let ada = Device::of(&lab, "ada");
        let dealt = ada.protect(&lab, PASSWORD).await;
        let guess = Guess::new(PASSWORD);
        let (one, other) = tokio::join!(ada.ask(&lab, &dealt, &guess), ada.ask(&lab, &dealt, &guess));
        assert_eq!(one.as_ref().unwrap().ke2, other.unwrap().ke2);
        let proof = ada.proof(&lab, &dealt, &guess, &one.unwrap()).unwrap();
        ada.prove(&lab, &guess, &proof).await.unwrap();
    }
}

#[tokio::test]
async fn the_same_guess_is_answered_again_and_evaluates_nothing_else() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let guess = Guess::new(PASSWORD);
    let first = ada.ask(&lab, &dealt, &guess).await.unwrap();
    assert_eq!(ada.ask(&lab, &dealt, &guess).await.as_ref(), Ok(&first));
    lab.restart(1).await;
    // A fresh KE2 around the same evaluation.
    let again = ada.ask(&lab, &dealt, &guess).await.unwrap();
    assert_ne!(again.ke2, first.ke2);
    assert_eq!(lab.evaluations(), 1);
    let old = ada.proof(&lab, &dealt, &guess, &first).unwrap();
    assert_eq!(ada.prove(&lab, &guess, &old).await, Err(VaultError::InvalidProof));
    let proof = ada.proof(&lab, &dealt, &guess, &again).unwrap();
    assert!(ada.prove(&lab, &guess, &proof).await.is_ok());
}

#[tokio::test]
async fn a_replayed_proof_changes_nothing_and_gets_the_same_answer() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let (guess, _, proof) = ada.guess_right(&lab, &dealt).await;
    let first = ada.prove(&lab, &guess, &proof).await.unwrap();
    ada.guess_wrong(&lab, &dealt, 7).await;
    let (record, rows) = (lab.record_bytes(&ada.account).await, lab.rows(1).await);
    let replayed = ada.prove(&lab, &guess, &proof).await.unwrap();
    assert_eq!(replayed.wrapped_backup_key, first.wrapped_backup_key);
    assert_eq!(replayed.attempts_remaining, 3);
    assert_eq!((lab.record_bytes(&ada.account).await, lab.rows(1).await), (record, rows));
    lab.restart(1).await;
    assert_eq!(ada.prove(&lab, &guess, &proof).await, Ok(replayed));
    ada.guess_wrong(&lab, &dealt, 3).await;
    assert_eq!(ada.ask(&lab, &dealt, &Guess::new(WRONG)).await, Err(Refusal::Locked.into()));
    assert_eq!(lab.evaluations(), 11);
}

#[tokio::test]
async fn a_refill_signature_over_old_nonces_forgives_nothing_in_the_ledger() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let (guess, _, proof) = ada.guess_right(&lab, &dealt).await;
    ada.prove(&lab, &guess, &proof).await.unwrap();
    ada.guess_wrong(&lab, &dealt, 10).await;
    // A hostile record store puts back what was there before the proof, proof and all; the sites keep their counts.
    lab.falsify_with(&ada.account, |record| record.live.as_mut().unwrap().attempts.clear()).await;
    lab.restart(1).await;
    assert_eq!(ada.ask(&lab, &dealt, &Guess::new(WRONG)).await, Err(Refusal::Locked.into()));
    assert_eq!(lab.evaluations(), 11);
}

#[tokio::test]
async fn refuses_a_proof_whose_nonces_were_altered() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let (guess, _, good) = ada.guess_right(&lab, &dealt).await;
    let mut altered = good.clone();
    altered.nonces[0].nonce.0[0] ^= 1;
    let mut none = good.clone();
    none.nonces.clear();
    for proof in [altered, none] {
        assert_eq!(ada.prove(&lab, &guess, &proof).await, Err(VaultError::InvalidProof));
    }
    assert_eq!(lab.record(&ada.account).await.live.unwrap().attempts_remaining(&no_waits()), 9);
    assert!(ada.prove(&lab, &guess, &good).await.is_ok());
}

#[tokio::test]
async fn refuses_a_proof_with_nonces_of_no_site_or_of_one_site_twice() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let guess = Guess::new(PASSWORD);
    let answer = ada.ask(&lab, &dealt, &guess).await.unwrap();
    let (ke3, unlock) = ada.open(&lab, &dealt.registration.id, &guess, &answer.ke2).unwrap();
    let own = answer.nonces[0];
    let of = |site| SiteNonce { site: SiteNumber(site), nonce: own.nonce };
    for nonces in [vec![of(0)], vec![own, own], vec![own, of(2)], vec![of(1); 1000]] {
        let proof = ada.proof_with(&dealt.registration.id, &guess, ke3, &nonces, &unlock);
        assert!(matches!(ada.prove(&lab, &guess, &proof).await, Err(VaultError::Malformed(_))));
    }
}

#[tokio::test]
async fn refuses_a_proof_with_a_wrong_ke3_or_a_signature_by_another_key() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let (guess, answer, good) = ada.guess_right(&lab, &dealt).await;
    let id = &dealt.registration.id;
    let by = |key: &SigningKey| ada.proof_with(id, &guess, good.ke3.0, &answer.nonces, key);
    let mut wrong_ke3 = good.clone();
    wrong_ke3.ke3.0[0] ^= 1;
    let mut unsigned = good.clone();
    unsigned.unlock_signature = Base64([0; 64]);
    let stranger = SigningKey::from_bytes(&random());
    for proof in [wrong_ke3, unsigned, by(&dealt.owner), by(&ada.key), by(&stranger)] {
        assert_eq!(ada.prove(&lab, &guess, &proof).await, Err(VaultError::InvalidProof));
    }
    assert_eq!(lab.record(&ada.account).await.live.unwrap().attempts_remaining(&no_waits()), 9);
}

#[tokio::test]
async fn refuses_a_proof_of_another_registration_or_of_another_attempt() {
    let lab = Lab::single(no_waits()).await;
    let (ada, bob) = (Device::of(&lab, "ada"), Device::of(&lab, "bob"));
    let (dealt, bobs) = (ada.protect(&lab, PASSWORD).await, bob.protect(&lab, PASSWORD).await);
    let (guess, other) = (Guess::new(PASSWORD), Guess::new(WRONG));
    let answer = ada.ask(&lab, &dealt, &guess).await.unwrap();
    ada.ask(&lab, &dealt, &other).await.unwrap();
    let good = ada.proof(&lab, &dealt, &guess, &answer).unwrap();
    // Bob's registration, by Bob, for Ada's attempt.
    let foreign = bob.proof_with(&bobs.registration.id, &guess, good.ke3.0, &answer.nonces, &bobs.unlock);
    assert_eq!(bob.prove(&lab, &guess, &foreign).await, Err(VaultError::InvalidProof));
    assert_eq!(ada.prove(&lab, &guess, &foreign).await, Err(VaultError::InvalidProof));
    // Ada's proof of one attempt does not prove another.
    assert_eq!(ada.prove(&lab, &other, &good).await, Err(VaultError::InvalidProof));
    let message =
        proof_message(&ada.fleet, &ada.account, &dealt.registration.id, &other.id, other.number, &answer.nonces);
    let mut moved = good.clone();
    moved.unlock_signature = sign(&dealt.unlock, &message);
    assert_eq!(ada.prove(&lab, &other, &moved).await, Err(VaultError::InvalidProof));
}

#[tokio::test]
async fn refuses_a_proof_for_an_attempt_that_was_opened_before_a_password_change() {
    let (lab, ada, old) = protected::by_one_site().await;
    let (guess, _, proof) = ada.guess_right(&lab, &old).await;
    let new = ada.deal(&lab, b"another password");
    let receipts = ada.register(&lab, &new).await;
    ada.replace(&lab, &new, &receipts, &old, KeyRole::Unlock).await.unwrap();
    ada.guess_wrong(&lab, &new, 5).await;
    assert_eq!(ada.prove(&lab, &guess, &proof).await, Err(VaultError::InvalidProof));
    assert_eq!(ada.ask(&lab, &old, &guess).await, Err(Refusal::Erased.into()));
    assert_eq!(lab.record(&ada.account).await.live.unwrap().attempts_remaining(&no_waits()), 5);
}

#[tokio::test]
async fn an_attempt_of_the_new_registration_is_not_answered_with_the_exchange_of_the_old_one() {
    let (lab, ada, old) = protected::by_one_site().await;
    let guess = Guess::new(PASSWORD);
    let first = ada.ask(&lab, &old, &guess).await.unwrap();
    let new = ada.deal(&lab, PASSWORD);
    let receipts = ada.register(&lab, &new).await;
    ada.replace(&lab, &new, &receipts, &old, KeyRole::Owner).await.unwrap();
    let again = Guess::named(guess.id, PASSWORD);
    let second = ada.ask(&lab, &new, &again).await.unwrap();
    assert_ne!(second.ke2, first.ke2);
    let proof = ada.proof(&lab, &new, &again, &second).unwrap();
    assert_eq!(ada.prove(&lab, &again, &proof).await.unwrap().attempts_remaining, 10);
}

#[tokio::test]
async fn refuses_to_evaluate_or_prove_an_attempt_that_was_forgiven() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let (early, late) = (Guess::new(PASSWORD), Guess::new(PASSWORD));
    let early_answer = ada.ask(&lab, &dealt, &early).await.unwrap();
    let answer = ada.ask(&lab, &dealt, &late).await.unwrap();
    ada.prove(&lab, &late, &ada.proof(&lab, &dealt, &late, &answer).unwrap()).await.unwrap();
    assert_eq!(ada.ask(&lab, &dealt, &early).await, Err(Refusal::AttemptClosed.into()));
    let proof = ada.proof(&lab, &dealt, &early, &early_answer).unwrap();
    assert_eq!(ada.prove(&lab, &early, &proof).await, Err(Refusal::AttemptClosed.into()));
    assert_eq!(lab.evaluations(), 2);
}

#[tokio::test]
async fn a_proof_leaves_what_was_spent_after_it_in_record_and_ledger_alike() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    ada.guess_wrong(&lab, &dealt, 2).await;
    let guess = Guess::new(PASSWORD);
    let answer = ada.ask(&lab, &dealt, &guess).await.unwrap();
    ada.guess_wrong(&lab, &dealt, 4).await;
    let proof = ada.proof(&lab, &dealt, &guess, &answer).unwrap();
    assert_eq!(ada.prove(&lab, &guess, &proof).await.unwrap().attempts_remaining, 6);
    assert_eq!(lab.held(1, &dealt.registration.id).await.failures(), 4);
}

#[tokio::test]
async fn with_no_guess_left_open_ones_are_still_evaluated_and_no_new_one_is() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    ada.guess_wrong(&lab, &dealt, 9).await;
    let last = Guess::new(PASSWORD);
    // The HSM fails just then: the attempt is spent, and nothing came of it.
    lab.sites[0].hsm.inner.fail(Some(coffer_vault_core::HsmError::Unavailable));
    assert_eq!(ada.ask(&lab, &dealt, &last).await, Err(VaultError::Unavailable));
    lab.sites[0].hsm.inner.fail(None);
    assert_eq!(ada.ask(&lab, &dealt, &Guess::new(PASSWORD)).await, Err(Refusal::Locked.into()));
    lab.clock.advance(DAY * 2);
    let answer = ada.ask(&lab, &dealt, &last).await.unwrap();
    assert_eq!(answer.attempts_remaining, 0);
    let proof = ada.proof(&lab, &dealt, &last, &answer).unwrap();
    assert_eq!(ada.prove(&lab, &last, &proof).await.unwrap().attempts_remaining, 10);
}

#[tokio::test]
async fn refuses_an_attempt_after_its_day() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let (guess, answer, proof) = ada.guess_right(&lab, &dealt).await;
    lab.clock.set(answer.open_until);
    assert_eq!(ada.ask(&lab, &dealt, &guess).await, Err(Refusal::AttemptClosed.into()));
    assert_eq!(ada.prove(&lab, &guess, &proof).await, Err(Refusal::AttemptClosed.into()));
}

#[tokio::test]
async fn old_retrievals_that_come_again_are_no_new_guesses() {
    let (lab, ada, dealt) = protected::in_lab(Lab::single(Policy::default()).await).await;
    let mut captured = Vec::new();
    for _ in 0..10 {
        let guess = Guess::new(PASSWORD);
        let request = ada.retrieval(&dealt.registration.id, &guess);
        let answer = lab.vault().retrieve(&ada.token, &guess.id, &request).await.unwrap();
        let proof = ada.proof(&lab, &dealt, &guess, &answer).unwrap();
        ada.prove(&lab, &guess, &proof).await.unwrap();
        captured.push((guess, request, proof));
        lab.clock.advance(DAY * 7);
    }
    lab.restart(1).await;
    for (guess, request, proof) in &captured {
        let again = lab.vault().retrieve(&ada.token, &guess.id, request).await;
        assert_eq!(again, Err(Refusal::AttemptClosed.into()));
        assert!(ada.prove(&lab, guess, proof).await.is_err() || guess.id == captured[9].0.id);
        lab.clock.advance(DAY * 2);
    }
    assert_eq!(ada.restore(&lab, &dealt).await.unwrap().attempts_remaining, 10);
}

#[tokio::test]
async fn a_proof_over_marks_that_were_altered_on_the_way_refills_nothing() {
    let (lab, ada, dealt) = protected::in_lab(Lab::single(Policy::default()).await).await;
    let guess = Guess::new(PASSWORD);
    let mut answer = ada.ask(&lab, &dealt, &guess).await.unwrap();
    let marks = answer.nonces.clone();
    answer.nonces[0].nonce = Base64([9; 16]);
    let forged = ada.proof(&lab, &dealt, &guess, &answer).unwrap();
    assert_eq!(ada.prove(&lab, &guess, &forged).await, Err(VaultError::RetrieveAgain));
    answer.nonces.clear();
    let empty = ada.proof(&lab, &dealt, &guess, &answer).unwrap();
    assert_eq!(ada.prove(&lab, &guess, &empty).await, Err(VaultError::RetrieveAgain));
    answer.nonces = marks;
    let right = ada.proof(&lab, &dealt, &guess, &answer).unwrap();
    assert_eq!(ada.prove(&lab, &guess, &right).await.unwrap().attempts_remaining, 10);
    assert_eq!(lab.held(1, &dealt.registration.id).await.failures(), 0);
}
