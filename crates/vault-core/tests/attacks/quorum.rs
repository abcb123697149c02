//! Which sites a coordinator asks, and what it makes of those that are slow, full or liars.

use std::time::Duration;

use crate::device::{Guess, PASSWORD, WRONG};
use crate::protected;

#[tokio::test]
async fn a_site_that_does_not_answer_has_another_one_asked() {
    let (mut lab, ada, dealt) = protected::by_five_sites().await;
    lab.hedge_after = Some(Duration::from_millis(100));
    lab.restart(1).await;
    lab.set_stuck(3, true);
    let answer = ada.ask(&lab, &dealt, &Guess::new(WRONG)).await.unwrap();
    assert!(!answer.unchecked);
    let sites: Vec<u8> = answer.nonces.iter().map(|named| named.site.0).collect();
    assert_eq!(sites, [1, 2, 4, 5]);
    // Nor does a proof wait for it.
    assert_eq!(ada.restore(&lab, &dealt).await.unwrap().attempts_remaining, 10);
}

#[tokio::test]
async fn the_nearest_sites_are_asked_and_the_others_give_their_marks_only() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    // Asked at site 2, site 1 is the farthest; a guess at site 1 before has left a mark there.
    ada.ask_at(&lab, 1, &dealt.registration.id, &Guess::new(WRONG)).await.unwrap();
    let guess = Guess::new(PASSWORD);
    let answer = ada.ask_at(&lab, 2, &dealt.registration.id, &guess).await.unwrap();
    assert_eq!(answer.nonces.len(), 5);
    assert!(!lab.sites[0].hsm.inner.has_evaluated(&guess.element()));
    let proof = ada.proof(&lab, &dealt, &guess, &answer).unwrap();
    lab.at(2).prove(&ada.token, &guess.id, &proof).await.unwrap();
    assert_eq!(lab.held(1, &dealt.registration.id).await.failures(), 0);
}

#[tokio::test]
async fn a_full_site_is_emptied_by_the_next_proof() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    for _ in 0..10 {
        lab.set_up(5, false);
        let wrong = Guess::new(WRONG);
        ada.ask(&lab, &dealt, &wrong).await.unwrap();
        lab.at(5).site().evaluate(&ada.evaluation(&dealt, &wrong)).await.unwrap();
        // Of the guess at site 5 the proof says nothing.
        ada.restore(&lab, &dealt).await.unwrap();
    }
    lab.set_up(5, true);
    let failures = async || lab.held(5, &dealt.registration.id).await.failures();
    assert_eq!(failures().await, 10);
    let guess = Guess::new(PASSWORD);
    let answer = ada.ask_at(&lab, 5, &dealt.registration.id, &guess).await.unwrap();
    assert!(!lab.sites[4].hsm.inner.has_evaluated(&guess.element()));
    let proof = ada.proof(&lab, &dealt, &guess, &answer).unwrap();
    lab.at(5).prove(&ada.token, &guess.id, &proof).await.unwrap();
    assert_eq!(failures().await, 0);
}

#[tokio::test]
async fn a_liar_among_five_changes_nothing() {
    for liar in 0..5 {
        let (lab, ada, dealt) = protected::by_five_sites().await;
        lab.sites[liar].hsm.lie(true);
        assert_eq!(ada.restore(&lab, &dealt).await.unwrap().attempts_remaining, 10, "site {}", liar + 1);
    }
}
