//! Five sites, of which three are needed.

use coffer_proto::{Activated, AttemptId, SiteNonce, SiteNumber};
use coffer_testkit::Faults;
use coffer_vault_core::{Cause, End, EvaluateRequest, KeptProof, SiteProof, SiteRefusal, SiteRow, VaultError};

use crate::device::{Dealt, Device, Guess, PASSWORD, WRONG};
use crate::lab::{DAY, HOUR, Lab};
use crate::protected;

async fn failures(lab: &Lab, site: u8, dealt: &Dealt) -> usize {
    lab.held(site, &dealt.registration.id).await.failures()
}

#[tokio::test]
async fn any_two_sites_may_be_lost_and_the_answer_is_then_unchecked() {
    for one in 2..=5 {
        for other in one..=5 {
            let (lab, ada, dealt) = protected::by_five_sites().await;
            lab.set_up(one, false);
            lab.set_up(other, false);
            let guess = Guess::new(PASSWORD);
            let answer = ada.ask(&lab, &dealt, &guess).await.unwrap();
            assert_eq!(answer.unchecked, one != other, "{one} and {other} are lost");
            let proof = ada.proof(&lab, &dealt, &guess, &answer).unwrap();
            assert_eq!(ada.prove(&lab, &guess, &proof).await.unwrap().attempts_remaining, 10);
        }
    }
}

#[tokio::test]
async fn every_site_coordinates() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    for site in 1..=5 {
        let guess = Guess::new(PASSWORD);
        let answer = ada.ask_at(&lab, site, &dealt.registration.id, &guess).await.unwrap();
        assert_eq!(answer.nonces.len(), 4);
        let proof = ada.proof(&lab, &dealt, &guess, &answer).unwrap();
        let elsewhere = site % 5 + 1;
        // KE3 goes to the site whose KE2 it answers.
        let lost = lab.at(elsewhere).prove(&ada.token, &guess.id, &proof).await;
        assert_eq!(lost, Err(VaultError::RetrieveAgain));
        assert!(lab.at(site).prove(&ada.token, &guess.id, &proof).await.is_ok());
        // Afterwards any site knows it.
        assert!(lab.at(elsewhere).prove(&ada.token, &guess.id, &proof).await.is_ok());
    }
}

#[tokio::test]
async fn a_retry_at_another_site_is_no_other_guess() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    let guess = Guess::new(PASSWORD);
    for site in 1..=5 {
        let answer = ada.ask_at(&lab, site, &dealt.registration.id, &guess).await.unwrap();
        assert_eq!(answer.attempts_remaining, 9);
    }
    assert!(lab.sites.iter().all(|part| part.hsm.inner.has_evaluated(&guess.element())));
    assert_eq!(lab.evaluations(), 5);
}

#[tokio::test]
async fn with_three_sites_lost_nothing_is_answered_and_nothing_is_evaluated_but_by_those_that_are_there() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    for site in 3..=5 {
        lab.set_up(site, false);
    }
    let guess = Guess::new(PASSWORD);
    for _ in 0..5 {
        assert_eq!(ada.ask(&lab, &dealt, &guess).await, Err(VaultError::Unavailable));
    }
    assert_eq!(lab.evaluations(), 2);
    // The attempt is good as soon as they are back.
    lab.set_up(3, true);
    let answer = ada.ask(&lab, &dealt, &guess).await.unwrap();
    assert!(answer.unchecked);
    assert!(ada.proof(&lab, &dealt, &guess, &answer).is_ok());
    assert_eq!(lab.evaluations(), 3);
}

#[tokio::test]
async fn a_site_that_lies_is_found_out_by_asking_all() {
    for liar in 1..=5u8 {
        let (lab, ada, dealt) = protected::by_five_sites().await;
        lab.sites[usize::from(liar) - 1].hsm.lie(true);
        let guess = Guess::new(PASSWORD);
        let answer = ada.ask(&lab, &dealt, &guess).await.unwrap();
        assert!(!answer.unchecked);
        let proof = ada.proof(&lab, &dealt, &guess, &answer).unwrap();
        assert!(ada.prove(&lab, &guess, &proof).await.is_ok(), "site {liar} lies");
    }
}

#[tokio::test]
async fn two_sites_that_lie_are_refused_when_no_four_agree() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    lab.sites[1].hsm.lie(true);
    lab.sites[2].hsm.lie(true);
    assert_eq!(ada.ask(&lab, &dealt, &Guess::new(PASSWORD)).await, Err(VaultError::Unavailable));
}

#[tokio::test]
async fn a_site_that_was_away_catches_up_from_the_record_s_proofs() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    ada.guess_wrong(&lab, &dealt, 9).await;
    let (guess, _, proof) = ada.guess_right(&lab, &dealt).await;
    lab.set_up(2, false);
    ada.prove(&lab, &guess, &proof).await.unwrap();
    assert_eq!((failures(&lab, 1, &dealt).await, failures(&lab, 2, &dealt).await), (0, 10));
    lab.set_up(2, true);
    // Asked for a new guess, it finds the proof in the record.
    ada.guess_wrong(&lab, &dealt, 1).await;
    assert_eq!(failures(&lab, 2, &dealt).await, 1);
}

#[tokio::test]
async fn a_full_site_answers_with_its_nonce_and_a_proof_by_way_of_the_record_heals_it() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    // A hostile record store forgets: site 2 fills up, the others are asked less.
    let fresh = lab.record_bytes(&ada.account).await;
    for _ in 0..10 {
        lab.falsify(&ada.account, &fresh).await;
        ada.ask_at(&lab, 2, &dealt.registration.id, &Guess::new(WRONG)).await.unwrap();
    }
    assert_eq!(failures(&lab, 2, &dealt).await, 10);
    lab.falsify(&ada.account, &fresh).await;
    let guess = Guess::new(PASSWORD);
    // Site 5 was asked by nobody: all the others are full.
    assert!(ada.ask_at(&lab, 5, &dealt.registration.id, &guess).await.is_err());
    let evaluate = ada.evaluation(&dealt, &guess);
    let refused = lab.at(2).site().evaluate(&evaluate).await;
    let nonce = lab.held(2, &dealt.registration.id).await.newest_nonce();
    assert_eq!(refused, Err(SiteRefusal::Full { nonce }));
    // The owner proves through sites that still count, naming what the full one said.
    let proof = ada.proof_with(
        &dealt.registration.id,
        &guess,
        [0; 32],
        &[SiteNonce { site: SiteNumber(2), nonce: nonce.unwrap() }],
        &dealt.unlock,
    );
    let kept = KeptProof::new(guess.id, guess.number, &proof);
    lab.falsify_with(&ada.account, |record| record.live.as_mut().unwrap().proofs.push(kept)).await;
    // Too few of the others still count to answer it, but site 2 does again.
    assert!(ada.ask_at(&lab, 2, &dealt.registration.id, &Guess::new(WRONG)).await.is_err());
    assert_eq!(failures(&lab, 2, &dealt).await, 1);
}

#[tokio::test]
async fn a_site_verifies_token_and_signature_itself() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    let mallory = Device::of(&lab, "mallory");
    let guess = Guess::new(WRONG);
    ada.ask(&lab, &dealt, &guess).await.unwrap();
    let good = ada.evaluation(&dealt, &guess);
    let mut unsigned = good.clone();
    unsigned.device_signature.0[0] ^= 1;
    let foreign = EvaluateRequest { token: mallory.token.as_str().into(), ..good.clone() };
    let unspent = EvaluateRequest { attempt: AttemptId([9; 16]), ..good.clone() };
    let before = lab.evaluations();
    for request in [unsigned, foreign, unspent] {
        assert!(matches!(lab.at(5).site().evaluate(&request).await, Err(SiteRefusal::Refused(_))));
    }
    assert_eq!(lab.evaluations(), before);
    assert!(lab.at(5).site().evaluate(&good).await.is_ok());
}

#[tokio::test]
async fn a_site_believes_no_coordinator_that_an_attempt_was_spent() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    let guess = Guess::new(WRONG);
    let evaluate = ada.evaluation(&dealt, &guess);
    for site in 1..=5 {
        assert!(lab.at(site).site().evaluate(&evaluate).await.is_err());
    }
    assert_eq!(lab.evaluations(), 0);
}

#[tokio::test]
async fn a_false_proof_of_a_coordinator_forgives_nothing() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    ada.guess_wrong(&lab, &dealt, 3).await;
    let (guess, _, good) = ada.guess_right(&lab, &dealt).await;
    let mut forged = KeptProof::new(guess.id, guess.number, &good);
    forged.attempt = AttemptId([1; 16]);
    let proof = SiteProof { account: ada.account.clone(), registration: dealt.registration.id, proof: forged };
    for site in 1..=4 {
        let refused = lab.at(site).site().apply_proof(&proof).await;
        assert_eq!(refused, Err(VaultError::InvalidProof.into()));
        assert_eq!(failures(&lab, site, &dealt).await, 4);
    }
}

#[tokio::test]
async fn a_proof_is_used_up_at_every_site() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    let (guess, _, proof) = ada.guess_right(&lab, &dealt).await;
    ada.prove(&lab, &guess, &proof).await.unwrap();
    ada.guess_wrong(&lab, &dealt, 5).await;
    let kept = KeptProof::new(guess.id, guess.number, &proof);
    let again = SiteProof { account: ada.account.clone(), registration: dealt.registration.id, proof: kept };
    for site in 1..=4 {
        assert_eq!(lab.at(site).site().apply_proof(&again).await, Ok(()));
        assert_eq!(failures(&lab, site, &dealt).await, 5);
    }
}

#[tokio::test]
async fn a_site_that_was_never_asked_holds_no_proved_attempt_for_a_failure() {
    // Site 5 is asked for no guess; it hears of proofs all the same, and erases nothing for attempts that were proved.
    let (lab, ada, dealt) = protected::by_five_sites().await;
    let mut old = Vec::new();
    for _ in 0..10 {
        let guess = Guess::new(PASSWORD);
        let answer = ada.ask(&lab, &dealt, &guess).await.unwrap();
        let spent = lab.record(&ada.account).await.live.unwrap();
        old.push(spent.attempt(&guess.id).unwrap().clone());
        ada.prove(&lab, &guess, &ada.proof(&lab, &dealt, &guess, &answer).unwrap()).await.unwrap();
    }
    let (id, at) = (dealt.registration.id, lab.now());
    lab.falsify_with(&ada.account, |record| {
        record.live = None;
        record.ends = vec![End { id, at, cause: Cause::Locked { attempts: old } }];
    })
    .await;
    for _ in 0..10 {
        lab.sweep().await;
        lab.clock.advance(DAY);
    }
    assert!(lab.is_held(&id).await);
}

#[tokio::test]
async fn a_real_lock_is_erased_at_every_site_even_at_one_that_was_never_asked() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    ada.guess_wrong(&lab, &dealt, 10).await;
    assert_eq!(failures(&lab, 5, &dealt).await, 0);
    lab.clock.advance(DAY * 3);
    assert!(ada.ask(&lab, &dealt, &Guess::new(PASSWORD)).await.is_err());
    lab.sweep().await;
    for site in 1..=4 {
        assert!(matches!(lab.row(site, &dealt.registration.id).await, Some(SiteRow::Erased { .. })), "site {site}");
    }
    // It begins to count the three days when it hears of it, and verifies the attempts then.
    lab.tokens.rotate();
    lab.clock.advance(DAY * 3);
    lab.sweep().await;
    assert!(lab.is_erased(&dealt.registration.id).await);
}

#[tokio::test]
async fn a_takeover_is_live_at_every_site_and_the_old_one_is_erased_there() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    let newcomer = ada.deal(&lab, WRONG);
    let receipts = ada.register(&lab, &newcomer).await;
    let activated = ada.activate(&lab, &newcomer, &receipts, Some(&dealt.registration.id)).await;
    assert_eq!(activated, Ok(Activated::Waiting { live_at: lab.now() + DAY * 7 }));
    for _ in 0..7 {
        lab.clock.advance(HOUR * 12);
        lab.sweep().await;
        lab.clock.advance(HOUR * 12);
    }
    for site in 1..=5 {
        let status = lab.at(site).registrations(&ada.token).await.unwrap();
        assert_eq!(status.live.map(|live| live.id), Some(newcomer.registration.id));
    }
    lab.clock.advance(HOUR * 12);
    lab.sweep().await;
    assert!(lab.is_held(&newcomer.registration.id).await);
    ada.guess_wrong(&lab, &newcomer, 1).await;
}

#[tokio::test]
async fn a_site_whose_ledger_is_away_is_a_site_that_is_lost() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    for site in [1, 3] {
        lab.sites[site].ledger_way.set_faults(Faults::CUT_OFF);
    }
    let guess = Guess::new(PASSWORD);
    let answer = ada.ask(&lab, &dealt, &guess).await.unwrap();
    assert!(answer.unchecked);
    let proof = ada.proof(&lab, &dealt, &guess, &answer).unwrap();
    assert!(ada.prove(&lab, &guess, &proof).await.is_ok());
}
