//! How many guesses there are, whatever happens in between.

use std::sync::Arc;

use coffer_vault_core::{Policy, Refusal, VaultError};

use crate::device::{Device, Guess, PASSWORD, WRONG};
use crate::lab::{HOUR, Lab, no_waits};
use crate::protected;

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn a_hundred_wrong_guesses_in_parallel_are_ten_evaluations() {
    let lab = Arc::new(run(Lab::single(no_waits())));
    let ada = Arc::new(Device::of(&lab, "ada"));
    let id = run(ada.protect(&lab, PASSWORD)).registration.id;
    let threads: Vec<_> = (0..100)
        .map(|_| {
            let (lab, ada) = (Arc::clone(&lab), Arc::clone(&ada));
            std::thread::spawn(move || {
                loop {
                    // One that a newer attempt has overtaken begins anew.
                    match run(ada.ask_at(&lab, 1, &id, &Guess::new(WRONG))) {
                        Err(VaultError::Refused(Refusal::AttemptClosed)) => {}
                        answer => break answer,
                    }
                }
            })
        })
        .collect();
    let answers: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 10);
    assert!(answers.iter().flat_map(|answer| answer.as_ref().err()).all(|error| *error == Refusal::Locked.into()));
    assert_eq!(lab.evaluations(), 10);
}

#[tokio::test]
async fn the_tenth_guess_restores_and_refills() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    ada.guess_wrong(&lab, &dealt, 9).await;
    let answer = ada.restore(&lab, &dealt).await.unwrap();
    assert_eq!(answer.attempts_remaining, 10);
    assert_eq!(answer.wrapped_backup_key, dealt.registration.wrapped_backup_key);
    ada.guess_wrong(&lab, &dealt, 10).await;
    assert_eq!(lab.evaluations(), 20);
}

/// The proof of the tenth guess comes so many hours after the guess.
async fn prove_the_tenth_after(hours: u32) -> Result<u8, VaultError> {
    let (lab, ada, dealt) = protected::by_one_site().await;
    ada.guess_wrong(&lab, &dealt, 9).await;
    let (guess, _, proof) = ada.guess_right(&lab, &dealt).await;
    lab.clock.advance(HOUR * hours);
    lab.sweep().await;
    ada.prove(&lab, &guess, &proof).await.map(|answer| answer.attempts_remaining)
}

#[tokio::test]
async fn the_tenth_guess_is_proved_after_an_outage_of_71_hours() {
    assert_eq!(prove_the_tenth_after(71).await, Ok(10));
}

#[tokio::test]
async fn refuses_the_proof_of_the_tenth_guess_after_73_hours() {
    assert_eq!(prove_the_tenth_after(73).await, Err(Refusal::Locked.into()));
}

#[tokio::test]
async fn the_fourth_to_the_tenth_guess_wait_in_the_record_and_in_the_ledger() {
    let (lab, ada, dealt) = protected::in_lab(Lab::single(Policy::default()).await).await;
    ada.guess_wrong(&lab, &dealt, 3).await;
    for minutes in [1, 10, 60, 240, 720, 1440, 1440] {
        let due = lab.now() + HOUR / 60 * minutes;
        let refused = ada.ask(&lab, &dealt, &Guess::new(WRONG)).await.unwrap_err();
        assert_eq!(refused, Refusal::Wait { retry_at: due }.into(), "{minutes} minutes");
        // A record store that has forgotten every failure does not help: the site's own ledger waits as long.
        let honest = lab.record_bytes(&ada.account).await;
        lab.falsify_with(&ada.account, |record| record.live.as_mut().unwrap().attempts.clear()).await;
        let refused = ada.ask(&lab, &dealt, &Guess::new(WRONG)).await.unwrap_err();
        assert_eq!(refused, Refusal::Wait { retry_at: due }.into(), "{minutes} minutes, by the ledger");
        lab.falsify(&ada.account, &honest).await;
        lab.clock.set(due);
        ada.guess_wrong(&lab, &dealt, 1).await;
    }
    assert_eq!(lab.evaluations(), 10);
    assert_eq!(ada.ask(&lab, &dealt, &Guess::new(WRONG)).await, Err(Refusal::Locked.into()));
}
