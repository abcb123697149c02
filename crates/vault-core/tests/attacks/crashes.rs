//! A crash between any two steps, a call that fails at any point, and writes of which nobody knows what became of them.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use coffer_proto::Activated;
use coffer_testkit::{Faults, SoftwareHsm, abandon};
use coffer_vault_core::{AttemptState, Freshness, RecordStore as _, Refusal, VaultError};
use futures_util::future::join_all;

use crate::device::{Dealt, Device, Guess, PASSWORD, WRONG};
use crate::lab::{HOUR, Lab, no_waits, record_key};
use crate::protected;

/// Seeds of the stores' faults, if `COFFER_SEEDS` does not say how many: 60 ms each.
const SEEDS: u64 = 200;

/// One HSM for the tests that are made thousands of times, so that a key need not be dealt for each.
static HSM: LazyLock<SoftwareHsm> = LazyLock::new(SoftwareHsm::single);

async fn lab(seed: u64) -> Lab {
    Lab::with(vec![HSM.clone()], 1, no_waits(), seed).await
}

/// That the guess is paid for in the record and in the ledger, if it was evaluated; and whether it was.
async fn assert_paid_for(lab: &Lab, dealt: &Dealt, guess: &Guess, device: &Device, what: &str) -> bool {
    let evaluated = lab.sites[0].hsm.inner.has_evaluated(&guess.element());
    if evaluated {
        let live = lab.record(&device.account).await.live.unwrap();
        assert!(live.attempt(&guess.id).is_some(), "{what}: evaluated without a spend in the record");
        let held = lab.held(1, &dealt.registration.id).await;
        let is_paid = held.evaluations.iter().any(|known| known.attempt == guess.id);
        assert!(is_paid || guess.number <= held.closed_to, "{what}: evaluated without a spend in the ledger");
    }
    evaluated
}

#[tokio::test]
async fn a_guess_that_crashes_at_any_point_costs_one_evaluation_of_one_element_and_one_attempt() {
    let lab = lab(1).await;
    let ada = Device::of(&lab, "ada");
    let dealt = ada.protect(&lab, PASSWORD).await;
    let mut crashes = 0;
    // The stores take a random number of turns for each call: three times over meets every point.
    for polls in (1..15).cycle().take(56) {
        let guess = Guess::new(WRONG);
        let first = abandon(ada.ask(&lab, &dealt, &guess), polls).await;
        assert_paid_for(&lab, &dealt, &guess, &ada, "at the crash").await;
        lab.restart(1).await;
        let left_before = lab.record(&ada.account).await.live.unwrap().attempts_remaining(&no_waits());
        let answer = ada.ask(&lab, &dealt, &guess).await.unwrap();
        assert!(assert_paid_for(&lab, &dealt, &guess, &ada, "after the retry").await, "crash at {polls}");
        assert!(answer.attempts_remaining == 9 && left_before >= 9, "crash at {polls}");
        // The right password afterwards, crashing at the same point, and at the same point of the proof.
        let right = Guess::new(PASSWORD);
        let _ = abandon(ada.ask(&lab, &dealt, &right), polls).await;
        lab.restart(1).await;
        let answer = ada.ask(&lab, &dealt, &right).await.unwrap();
        let proof = ada.proof(&lab, &dealt, &right, &answer).unwrap();
        let _ = abandon(ada.prove(&lab, &right, &proof), polls).await;
        let proved = ada.prove(&lab, &right, &proof).await.unwrap();
        assert_eq!(proved.attempts_remaining, 10, "crash at {polls}");
        crashes += usize::from(first.is_none());
    }
    assert!(crashes > 20, "{crashes} crashes");
}

#[tokio::test]
async fn ten_guesses_that_crash_at_every_point_are_never_an_eleventh() {
    let device = Device::of(&lab(0).await, "ada");
    let dealt = device.deal_to(&[&HSM], 1, PASSWORD);
    for polls in 1..45 {
        let lab = lab(u64::try_from(polls).unwrap()).await;
        let ada = Device::of(&lab, "ada");
        let receipts = ada.register(&lab, &dealt).await;
        ada.activate(&lab, &dealt, &receipts, None).await.unwrap();
        let mut guesses: Vec<_> = (0..12).map(|_| Guess::new(WRONG)).collect();
        for _ in 0..2 {
            for guess in &guesses {
                let _ = abandon(ada.ask(&lab, &dealt, guess), polls).await;
                lab.restart(1).await;
            }
        }
        let mut evaluated = 0;
        for guess in &mut guesses {
            // One that was not spent before a newer one was is begun anew.
            if ada.ask(&lab, &dealt, guess).await == Err(Refusal::AttemptClosed.into()) {
                *guess = Guess::new(WRONG);
                let _ = ada.ask(&lab, &dealt, guess).await;
            }
            evaluated += usize::from(assert_paid_for(&lab, &dealt, guess, &ada, "a guess").await);
        }
        assert_eq!(evaluated, 10, "crash at {polls}");
    }
}

#[tokio::test]
async fn an_hsm_that_fails_at_any_call_leaves_a_guess_that_can_be_retried() {
    let lab = lab(2).await;
    let ada = Device::of(&lab, "ada");
    let dealt = ada.protect(&lab, PASSWORD).await;
    for call in 0.. {
        let guess = Guess::new(PASSWORD);
        lab.sites[0].hsm.fail_after(call);
        let first = ada.ask(&lab, &dealt, &guess).await;
        lab.sites[0].hsm.fail_after(i64::MAX);
        if let Err(error) = &first {
            assert_eq!(*error, VaultError::Unavailable, "call {call}");
        }
        let answer = ada.ask(&lab, &dealt, &guess).await.unwrap();
        assert!(assert_paid_for(&lab, &dealt, &guess, &ada, "after the retry").await, "call {call}");
        let proof = ada.proof(&lab, &dealt, &guess, &answer).unwrap();
        // The proof is taken once the row can be read, whether or not the ledger takes it then.
        lab.sites[0].hsm.fail_after(call);
        let taken = ada.prove(&lab, &guess, &proof).await;
        lab.sites[0].hsm.fail_after(i64::MAX);
        assert!(call > 0 || taken == Err(VaultError::Unavailable), "call {call}: {taken:?}");
        assert_eq!(ada.prove(&lab, &guess, &proof).await.unwrap().attempts_remaining, 10, "call {call}");
        if first.is_ok() && call > 8 {
            break;
        }
    }
    // What a ledger missed of the proofs it finds in the record.
    ada.guess_wrong(&lab, &dealt, 10).await;
    assert_eq!(ada.ask(&lab, &dealt, &Guess::new(WRONG)).await, Err(Refusal::Locked.into()));
}

#[tokio::test]
async fn a_proof_whose_delivery_failed_reaches_the_ledger_with_the_next_sweep() {
    let lab = lab(3).await;
    let ada = Device::of(&lab, "ada");
    let dealt = ada.protect(&lab, PASSWORD).await;
    ada.guess_wrong(&lab, &dealt, 9).await;
    let (guess, _, proof) = ada.guess_right(&lab, &dealt).await;
    // The row can be read before the record takes the proof, and not after.
    lab.sites[0].hsm.fail_after(2);
    assert_eq!(ada.prove(&lab, &guess, &proof).await.unwrap().attempts_remaining, 10);
    lab.sites[0].hsm.fail_after(i64::MAX);
    let failures = async || lab.held(1, &dealt.registration.id).await.failures();
    assert_eq!(failures().await, 10);
    lab.sweep().await;
    assert_eq!(failures().await, 0);
}

/// Guesses until there is an answer or no guess is left: with the same id while nobody knows what became of it, with
/// another one when a newer guess was faster. Gives all guesses, and whether one was answered.
async fn persist(lab: &Lab, device: &Device, dealt: &Dealt) -> (Vec<Guess>, bool) {
    let mut guesses = vec![Guess::new(WRONG)];
    for _ in 0..12 {
        match device.ask(lab, dealt, &guesses[guesses.len() - 1]).await {
            Ok(_) => return (guesses, true),
            Err(VaultError::Unavailable) => {}
            Err(VaultError::Refused(Refusal::AttemptClosed)) => guesses.push(Guess::new(WRONG)),
            Err(error) => {
                assert_eq!(error, Refusal::Locked.into());
                return (guesses, false);
            }
        }
    }
    (guesses, false)
}

#[tokio::test]
async fn whatever_goes_wrong_in_the_stores_there_are_never_more_than_ten_elements_between_two_proofs() {
    let dealer = Device::of(&lab(0).await, "ada");
    let dealt = dealer.deal_to(&[&HSM], 1, PASSWORD);
    let mut answered = 0;
    let seeds = std::env::var("COFFER_SEEDS").map_or(SEEDS, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        let lab = lab(seed).await;
        let ada = Device::of(&lab, "ada");
        let receipts = ada.register(&lab, &dealt).await;
        set_faults(&lab, Faults::MANY);
        // An activation that was acknowledged is never lost; one that was not may be made or not, and is made again.
        while ada.activate(&lab, &dealt, &receipts, None).await != Ok(Activated::Live) {}
        assert!(lab.record(&ada.account).await.live.is_some(), "seed {seed}");
        let guessed = join_all((0..13).map(|_| persist(&lab, &ada, &dealt))).await;
        answered += guessed.iter().filter(|(_, is_answered)| *is_answered).count();
        let guesses: Vec<Guess> = guessed.into_iter().flat_map(|(guesses, _)| guesses).collect();
        let evaluated = async |guesses: &[Guess]| {
            let mut evaluated = BTreeSet::new();
            for guess in guesses {
                if assert_paid_for(&lab, &dealt, guess, &ada, &format!("seed {seed}")).await {
                    evaluated.insert(guess.id);
                }
            }
            evaluated.len()
        };
        assert!(evaluated(&guesses).await <= 10, "seed {seed}");
        // One in a hundred goes on with the right password: if a guess is left, it opens a new budget.
        if seed % 100 == 0 {
            set_faults(&lab, Faults::NONE);
            for part in &lab.sites {
                part.ledger_way.settle();
                part.records_way.settle();
            }
            match ada.restore(&lab, &dealt).await {
                Ok(answer) => assert_eq!(answer.attempts_remaining, 10, "seed {seed}"),
                Err(error) => assert_eq!(error, Refusal::Locked.into(), "seed {seed}"),
            }
        }
        lab.records.assert_sound();
    }
    assert!(answered > usize::try_from(seeds).unwrap() * 5, "{answered}");
}

fn set_faults(lab: &Lab, faults: Faults) {
    for part in &lab.sites {
        part.ledger_way.set_faults(faults);
        part.records_way.set_faults(faults);
    }
}

#[tokio::test]
async fn a_store_that_is_away_answers_unavailable_and_nothing_is_evaluated() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    for which in 0..2 {
        let part = &lab.sites[0];
        let way = if which == 0 { &part.records_way } else { &part.ledger_way };
        way.set_faults(Faults::CUT_OFF);
        assert_eq!(ada.ask(&lab, &dealt, &Guess::new(WRONG)).await, Err(VaultError::Unavailable));
        way.set_faults(Faults::NONE);
    }
    assert_eq!(lab.evaluations(), 0);
}

#[tokio::test]
async fn a_write_that_comes_late_spends_no_second_attempt() {
    let dealt = Device::of(&lab(0).await, "ada").deal_to(&[&HSM], 1, PASSWORD);
    for seed in 0..20 {
        let lab = lab(seed).await;
        let ada = Device::of(&lab, "ada");
        let receipts = ada.register(&lab, &dealt).await;
        ada.activate(&lab, &dealt, &receipts, None).await.unwrap();
        lab.sites[0].records_way.set_faults(Faults { delayed: 1000, ..Faults::NONE });
        let guess = Guess::new(WRONG);
        let _ = ada.ask(&lab, &dealt, &guess).await;
        lab.sites[0].records_way.set_faults(Faults::NONE);
        lab.sites[0].records_way.settle();
        let spent = async || {
            let live = lab.record(&ada.account).await.live.unwrap();
            live.attempts.iter().filter(|known| matches!(known.state, AttemptState::Unproved { .. })).count()
        };
        ada.ask(&lab, &dealt, &guess).await.unwrap();
        assert_eq!(spent().await, 1);
    }
}

#[tokio::test]
async fn a_damaged_record_is_refused_and_never_overwritten() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let good = lab.record_bytes(&ada.account).await;
    let longer = [good.as_slice(), &[0]].concat();
    let later = [&[2], &good[1..]].concat();
    for damaged in [&good[..good.len() - 1], longer.as_slice(), later.as_slice(), &[], &[1]] {
        lab.falsify(&ada.account, damaged).await;
        assert_eq!(ada.ask(&lab, &dealt, &Guess::new(WRONG)).await, Err(VaultError::Unavailable));
        let key = record_key(&ada.account);
        let there = lab.records.get(&key, Freshness::Newest).await.unwrap().unwrap();
        assert_eq!(there.value, damaged);
    }
    assert_eq!(lab.evaluations(), 0);
    lab.clock.advance(HOUR);
    lab.falsify(&ada.account, &good).await;
    ada.guess_wrong(&lab, &dealt, 1).await;
}
