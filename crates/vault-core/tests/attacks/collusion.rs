//! How many guesses somebody gets who has sites, or the record store, and a stolen device too: counted.

use coffer_proto::Base64;
use coffer_vault_core::{Attempt, AttemptState, EvaluateRequest, SiteRefusal};

use crate::device::{Dealt, Device, Guess, WRONG};
use crate::lab::Lab;
use crate::protected;

/// A record that says whatever a guess needs: it alone was spent, and nothing before it.
async fn falsify_for(lab: &Lab, ada: &Device, fresh: &[u8], evaluate: &EvaluateRequest) {
    lab.falsify(&ada.account, fresh).await;
    let state = AttemptState::Unproved { token: evaluate.token.clone(), device_signature: evaluate.device_signature };
    let ke1_hash = (&evaluate.ke1).into();
    let spent = Attempt { id: evaluate.attempt, number: evaluate.number, ke1_hash, at: lab.now(), state };
    lab.falsify_with(&ada.account, |record| record.live.as_mut().unwrap().attempts.push(spent)).await;
}

/// Guesses that the hostile sites get: their own HSMs count for nothing, and for each guess they need the others.
async fn guesses_of(hostile: u8) -> usize {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    let fresh = lab.record_bytes(&ada.account).await;
    let needed = usize::from(3 - hostile);
    let mut used = [0; 5];
    for guesses in 0.. {
        let guess = Guess::new(WRONG);
        let evaluate = ada.evaluation(&dealt, &guess);
        falsify_for(&lab, &ada, &fresh, &evaluate).await;
        // Those that have counted least are asked first.
        let mut honest: Vec<u8> = (hostile + 1..=5).collect();
        honest.sort_by_key(|site| used[usize::from(*site) - 1]);
        let mut answers = 0;
        for site in honest {
            match lab.at(site).site().evaluate(&evaluate).await {
                Ok(_) => (answers, used[usize::from(site) - 1]) = (answers + 1, used[usize::from(site) - 1] + 1),
                Err(refused) => assert!(matches!(refused, SiteRefusal::Full { .. }), "{refused}"),
            }
            if answers == needed {
                break;
            }
        }
        if answers < needed {
            return guesses;
        }
    }
    unreachable!()
}

#[tokio::test]
async fn one_site_of_five_with_a_stolen_device_gets_twenty_guesses() {
    assert_eq!(guesses_of(1).await, 20);
}

#[tokio::test]
async fn two_sites_of_five_with_a_stolen_device_get_thirty_guesses() {
    assert_eq!(guesses_of(2).await, 30);
}

#[tokio::test]
async fn who_writes_the_records_and_has_a_stolen_device_gets_sixteen_guesses() {
    assert_eq!(guesses_of(0).await, 16);
}

#[tokio::test]
async fn without_a_device_s_signature_sites_and_records_get_no_guess() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    let fresh = lab.record_bytes(&ada.account).await;
    let mut evaluate = ada.evaluation(&dealt, &Guess::new(WRONG));
    evaluate.device_signature = Base64([7; 64]);
    falsify_for(&lab, &ada, &fresh, &evaluate).await;
    // Nor with the signature of an attempt of before, for another element.
    let mut moved = ada.evaluation(&dealt, &Guess::new(WRONG));
    moved.ke1 = ada.evaluation(&dealt, &Guess::new(WRONG)).ke1;
    for site in 1..=5 {
        for asked in [&evaluate, &moved] {
            assert!(lab.at(site).site().evaluate(asked).await.is_err());
        }
    }
    assert_eq!(lab.evaluations(), 0);
}

/// What a coordinator can make of what a device has once signed.
async fn spent(dealt: &Dealt, lab: &Lab, ada: &Device) -> EvaluateRequest {
    let guess = Guess::new(WRONG);
    ada.ask(lab, dealt, &guess).await.unwrap();
    ada.evaluation(dealt, &guess)
}

#[tokio::test]
async fn a_coordinator_that_replays_an_attempt_gets_the_same_point_again() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    let evaluate = spent(&dealt, &lab, &ada).await;
    let first = lab.at(2).site().evaluate(&evaluate).await.unwrap();
    for _ in 0..30 {
        assert_eq!(lab.at(2).site().evaluate(&evaluate).await.unwrap().point, first.point);
    }
    assert_eq!(lab.held(2, &dealt.registration.id).await.failures(), 1);
}

#[tokio::test]
async fn a_coordinator_that_swaps_the_element_is_refused() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    let mut evaluate = spent(&dealt, &lab, &ada).await;
    evaluate.ke1 = ada.evaluation(&dealt, &Guess::new(WRONG)).ke1;
    for site in 1..=5 {
        assert!(lab.at(site).site().evaluate(&evaluate).await.is_err(), "site {site}");
    }
}

#[tokio::test]
async fn a_coordinator_that_invents_a_registration_finds_no_site_that_holds_it() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    let invented = ada.deal(&lab, WRONG);
    lab.falsify_with(&ada.account, |record| record.live.as_mut().unwrap().registration = invented.registration.clone())
        .await;
    let guess = Guess::new(WRONG);
    assert!(ada.ask(&lab, &invented, &guess).await.is_err());
    assert_eq!(lab.evaluations(), 0);
    assert!(lab.is_held(&dealt.registration.id).await);
}

#[tokio::test]
async fn a_coordinator_that_invents_an_activation_has_nothing_evaluated() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    // Delivered to every site by the thief's device, and never activated by anybody.
    let newcomer = ada.deal(&lab, WRONG);
    ada.register(&lab, &newcomer).await;
    lab.falsify_with(&ada.account, |record| {
        let live = record.live.as_mut().unwrap();
        live.registration = newcomer.registration.clone();
        live.activation.replaces = None;
    })
    .await;
    assert!(ada.ask(&lab, &newcomer, &Guess::new(WRONG)).await.is_err());
    assert_eq!(lab.evaluations(), 0);
    lab.sweep().await;
    assert!(lab.is_held(&dealt.registration.id).await);
}
