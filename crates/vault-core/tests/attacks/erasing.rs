//! What a site erases, and what nobody can make it erase.

use coffer_proto::{AccountId, AttemptId, Base64, Change, KeyRole, RegistrationId, activation_message};
use coffer_testkit::Faults;
use coffer_vault_core::{Activation, Attempt, AttemptState, Cause, Deletion, End};

use crate::device::{DELETION, Dealt, Device, Guess, PASSWORD, WRONG, random, sign};
use crate::lab::{DAY, HOUR, Lab, no_waits};
use crate::protected;

/// A record store writes that a registration has ended so, and shows nothing else to the sweepers for a year.
async fn bury(lab: &Lab, account: &AccountId, id: RegistrationId, cause: Cause) {
    let at = lab.now();
    lab.falsify_with(account, |record| {
        (record.live, record.waiting) = (None, None);
        record.erased.push(id);
        record.ends = vec![End { id, at, cause }];
    })
    .await;
    for _ in 0..60 {
        lab.sweep().await;
        lab.clock.advance(DAY * 6);
    }
    lab.sweep().await;
}

fn unproved(id: AttemptId, device: &Device, dealt: &Dealt, at: coffer_proto::Time) -> Attempt {
    let guess = Guess::named(id, WRONG);
    let request = device.retrieval(&dealt.registration.id, &guess);
    let state =
        AttemptState::Unproved { token: device.token.as_str().into(), device_signature: request.device_signature };
    Attempt { id, number: request.number, ke1_hash: coffer_proto::Hash::from(&request.ke1), at, state }
}

#[tokio::test]
async fn a_tombstone_for_want_of_guesses_without_ten_signed_attempts_erases_nothing() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let id = dealt.registration.id;
    let mallory = Device::of(&lab, "mallory");
    let expired = Device::until(&lab, "ada", lab.now());
    let attempt = |device: &Device| unproved(AttemptId(random()), device, &dealt, lab.now());
    let nine: Vec<_> = (0..9).map(|_| attempt(&ada)).collect();
    let with = |more: Vec<Attempt>| [nine.clone(), more].concat();
    let mut unsigned = attempt(&ada);
    if let AttemptState::Unproved { device_signature, .. } = &mut unsigned.state {
        device_signature.0[0] ^= 1;
    }
    let mut other_bytes = attempt(&ada);
    other_bytes.ke1_hash = Base64([0; 32]);
    let proved = Attempt { state: AttemptState::Forgiven, ..attempt(&ada) };
    let other = ada.deal(&lab, PASSWORD);
    let of_another = unproved(AttemptId(random()), &ada, &other, lab.now());
    let mut falsified = attempt(&ada);
    falsified.at = lab.now() + DAY * 1000;
    for attempts in [
        vec![],
        nine.clone(),
        with(vec![nine[0].clone(); 20]),
        with(vec![attempt(&mallory)]),
        with(vec![attempt(&expired)]),
        with(vec![unsigned]),
        with(vec![other_bytes]),
        with(vec![proved]),
        with(vec![of_another]),
        with(vec![falsified]),
    ] {
        let lived = lab.record_bytes(&ada.account).await;
        let begin = lab.now();
        bury(&lab, &ada.account, id, Cause::Locked { attempts }).await;
        assert!(lab.is_held(&id).await);
        lab.clock.set(begin);
        lab.falsify(&ada.account, &lived).await;
    }
    ada.restore(&lab, &dealt).await.unwrap();
}

#[tokio::test]
async fn a_tombstone_with_ten_attempts_that_were_proved_or_forgiven_long_ago_erases_nothing() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let id = dealt.registration.id;
    let mut old = Vec::new();
    for _ in 0..5 {
        ada.guess_wrong(&lab, &dealt, 1).await;
        let guess = Guess::new(PASSWORD);
        let answer = ada.ask(&lab, &dealt, &guess).await.unwrap();
        // What the record store has seen of it, it keeps.
        old.extend(lab.record(&ada.account).await.live.unwrap().attempts);
        let proof = ada.proof(&lab, &dealt, &guess, &answer).unwrap();
        ada.prove(&lab, &guess, &proof).await.unwrap();
        lab.clock.advance(DAY * 30);
    }
    old.retain(|attempt| matches!(attempt.state, AttemptState::Unproved { .. }));
    assert_eq!(old.iter().map(|attempt| attempt.id).collect::<std::collections::BTreeSet<_>>().len(), 10);
    bury(&lab, &ada.account, id, Cause::Locked { attempts: old }).await;
    assert!(lab.is_held(&id).await);
}

#[tokio::test]
async fn a_tombstone_of_a_replacement_or_a_deletion_that_nobody_asked_for_erases_nothing() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let id = dealt.registration.id;
    let (mallory, new) = (Device::of(&lab, "mallory"), ada.deal(&lab, PASSWORD));
    let (by, hash) = (new.registration.id, new.registration.hash());
    let message = activation_message(&ada.fleet, &ada.account, &by, &hash, Some(&id));
    let activation = |device: &Device, replaces| Activation {
        at: lab.now(),
        replaces,
        token: device.token.as_str().into(),
        device_signature: sign(&device.key, &message),
        authorization: None,
        receipts: Vec::new(),
    };
    let replaced = |activation| Cause::Replaced { by, hash, activation: Box::new(activation) };
    let deleted = |device: &Device, authorization| {
        let message = coffer_proto::deletion_message(&ada.fleet, &ada.account, &by, &DELETION);
        let device_signature = sign(&device.key, &message);
        let token = device.token.as_str().into();
        Cause::Deleted(Deletion { id: DELETION, at: lab.now(), token, device_signature, authorization })
    };
    let mut unsigned = activation(&ada, Some(id));
    unsigned.device_signature.0[0] ^= 1;
    // The newcomer's own keys are none of the one that it replaces.
    let mut by_itself = activation(&ada, Some(id));
    by_itself.authorization = Some(new.authorization(KeyRole::Owner, &message));
    for cause in [
        replaced(activation(&mallory, Some(id))),
        replaced(activation(&ada, None)),
        replaced(unsigned),
        replaced(by_itself),
        // Signed, for another registration.
        deleted(&ada, None),
        deleted(&mallory, Some(new.authorization(KeyRole::Unlock, &message))),
    ] {
        let (lived, begin) = (lab.record_bytes(&ada.account).await, lab.now());
        bury(&lab, &ada.account, id, cause.clone()).await;
        assert!(lab.is_held(&id).await, "{cause:?}");
        lab.clock.set(begin);
        lab.falsify(&ada.account, &lived).await;
    }
    ada.restore(&lab, &dealt).await.unwrap();
}

#[tokio::test]
async fn a_record_that_is_gone_erases_no_share_that_was_activated() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    lab.falsify_with(&ada.account, |record| *record = Default::default()).await;
    for _ in 0..50 {
        lab.clock.advance(DAY);
        lab.sweep().await;
    }
    assert!(lab.is_held(&dealt.registration.id).await);
}

#[tokio::test]
async fn a_threat_that_was_not_signed_does_not_let_the_waiting_time_run_for_one_that_is() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let (id, thief) = (dealt.registration.id, Device::of(&lab, "ada"));
    let lived = lab.record_bytes(&ada.account).await;
    // For a month the sweepers are shown a false end, and everybody else the truth.
    let cause = Cause::Locked { attempts: Vec::new() };
    lab.falsify_with(&ada.account, |record| {
        record.live = None;
        record.ends = vec![End { id, at: lab.now(), cause }];
    })
    .await;
    lab.sweep().await;
    lab.clock.advance(DAY * 30);
    lab.falsify(&ada.account, &lived).await;
    // Then a stolen token really asks for it, and the record store hurries.
    let request = thief.delete(&lab, &dealt, None).await;
    assert!(request.is_ok());
    lab.falsify_with(&ada.account, |record| {
        let asked = record.live.take().unwrap().deletion.unwrap();
        record.ends = vec![End { id, at: lab.now(), cause: Cause::Deleted(asked) }];
    })
    .await;
    for _ in 0..6 {
        lab.sweep().await;
        lab.clock.advance(DAY);
    }
    assert!(lab.is_held(&id).await);
    lab.clock.advance(DAY);
    lab.sweep().await;
    assert!(lab.is_erased(&id).await);
}

#[tokio::test]
async fn an_activation_that_a_proof_or_a_keep_has_evicted_never_erases_the_old_share() {
    for is_proof in [true, false] {
        let (lab, ada, dealt) = protected::by_one_site().await;
        let (id, thief) = (dealt.registration.id, Device::of(&lab, "ada"));
        let newcomer = thief.wait_behind(&lab, &dealt, WRONG).await;
        let activation = lab.record(&ada.account).await.waiting.unwrap().activation;
        lab.clock.advance(DAY);
        if is_proof {
            ada.restore(&lab, &dealt).await.unwrap();
        } else {
            ada.keep(&lab, &dealt, Change::Successor(newcomer.registration.id), KeyRole::Owner).await.unwrap();
        }
        // The record store has kept it, and lets nobody in any more.
        let (by, hash) = (newcomer.registration.id, newcomer.registration.hash());
        bury(&lab, &ada.account, id, Cause::Replaced { by, hash, activation: Box::new(activation) }).await;
        assert!(lab.is_held(&id).await, "proof: {is_proof}");
    }
}

#[tokio::test]
async fn a_second_newcomer_does_not_gain_the_days_that_the_first_one_waited() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let id = dealt.registration.id;
    ada.wait_behind(&lab, &dealt, WRONG).await;
    lab.clock.advance(DAY * 6);
    let second = ada.wait_behind(&lab, &dealt, WRONG).await;
    lab.clock.advance(DAY * 7 - HOUR);
    lab.sweep().await;
    assert!(lab.is_held(&id).await);
    lab.clock.advance(HOUR);
    lab.sweep().await;
    assert!(lab.is_erased(&id).await);
    assert!(lab.is_held(&second.registration.id).await);
}

#[tokio::test]
async fn a_real_lock_erases_exactly_when_the_three_days_are_over() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let id = dealt.registration.id;
    ada.guess_wrong(&lab, &dealt, 10).await;
    let due = lab.now() + DAY * 3;
    lab.clock.set(due - std::time::Duration::from_secs(1));
    lab.sweep().await;
    assert!(lab.is_held(&id).await);
    lab.clock.set(due);
    lab.sweep().await;
    assert!(lab.is_erased(&id).await);
    let status = lab.vault().registrations(&ada.token).await.unwrap();
    assert_eq!(status.locked.map(|locked| locked.id), Some(id));
}

#[tokio::test]
async fn a_real_lock_erases_although_the_issuer_has_other_keys_by_then() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    ada.guess_wrong(&lab, &dealt, 10).await;
    lab.tokens.rotate();
    lab.clock.advance(DAY * 3);
    lab.sweep().await;
    assert!(lab.is_erased(&dealt.registration.id).await);
}

#[tokio::test]
async fn a_share_that_is_never_activated_is_erased_after_thirty_days_and_its_id_is_not_taken_again() {
    let lab = Lab::single(no_waits()).await;
    let ada = Device::of(&lab, "ada");
    let dealt = ada.deal(&lab, PASSWORD);
    ada.register(&lab, &dealt).await;
    lab.clock.advance(DAY * 30 - HOUR);
    lab.sweep().await;
    assert!(lab.is_held(&dealt.registration.id).await);
    lab.clock.advance(HOUR);
    lab.sweep().await;
    assert!(lab.is_erased(&dealt.registration.id).await);
    assert!(ada.register_at(&lab, &dealt, 1).await.is_err());
}

#[tokio::test]
async fn a_share_that_waits_is_not_taken_for_one_that_was_never_activated() {
    let lab = Lab::single(coffer_vault_core::Policy { takeover_after: DAY * 40, ..no_waits() }).await;
    let ada = Device::of(&lab, "ada");
    let live = ada.protect(&lab, WRONG).await;
    let waiting = ada.wait_behind(&lab, &live, PASSWORD).await;
    lab.clock.advance(DAY * 39);
    lab.sweep().await;
    lab.clock.advance(DAY);
    lab.sweep().await;
    ada.restore(&lab, &waiting).await.unwrap();
}

#[tokio::test]
async fn a_sweep_goes_over_many_accounts_and_one_damaged_record_does_not_stop_it() {
    let lab = Lab::single(no_waits()).await;
    let hsm = lab.sites[0].hsm.inner.clone();
    let mut dealt = Vec::new();
    for number in 0..300 {
        let device = Device::of(&lab, &format!("account {number:03}"));
        let one = device.deal_to(&[&hsm], 1, PASSWORD);
        device.register(&lab, &one).await;
        dealt.push((device, one));
    }
    lab.falsify(&dealt[7].0.account, b"damaged").await;
    lab.clock.advance(DAY * 30);
    assert_eq!(lab.vault().site().sweep().await, Ok(299));
    for (number, (_, one)) in dealt.iter().enumerate() {
        assert_eq!(lab.is_erased(&one.registration.id).await, number != 7, "{number}");
    }
    lab.sites[0].ledger_way.set_faults(Faults::CUT_OFF);
    assert!(lab.vault().site().sweep().await.is_err());
}
