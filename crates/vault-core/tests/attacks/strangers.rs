//! Who bears no token that holds learns nothing; who bears one signs what it is for.

use coffer_proto::{ArchiveHead, Base64, Base64Vec, Change, DeletionRequest, KeyRole, RetrievalRequest, head_message};
use coffer_vault_core::{Refusal, VaultError};

use crate::device::{DELETION, Device, Guess, PASSWORD, WRONG, sign};
use crate::lab::{DAY, HOUR, Lab, no_waits};
use crate::protected;

/// What every route answers to a token, with otherwise good requests.
async fn ask_all(lab: &Lab, ada: &Device, token: &str) -> Vec<VaultError> {
    let vault = lab.vault();
    let known = Guess::new(PASSWORD);
    let dealt = ada.deal(lab, PASSWORD);
    let id = lab.record(&ada.account).await.live.map_or(dealt.registration.id, |live| live.registration.id);
    let mut same = ada.deal(lab, PASSWORD);
    same.registration.id = id;
    let receipt = vault.register(token, &id, &ada.registration_request(&same, 1)).await.unwrap_err();
    let activated = vault.activate(token, &id, &ada.activation(&same, &[], None)).await.unwrap_err();
    let keep = coffer_proto::KeepRequest {
        against: Change::Deletion(DELETION),
        authorization: same.authorization(KeyRole::Owner, b""),
    };
    let kept = vault.keep(token, &id, &keep).await.unwrap_err();
    let deletion = DeletionRequest { deletion: DELETION, device_signature: Base64([0; 64]), authorization: None };
    let deleted = vault.delete(token, &id, &deletion).await.unwrap_err();
    let retrieved = vault.retrieve(token, &known.id, &ada.retrieval(&id, &known)).await.unwrap_err();
    let proof = ada.proof_with(&id, &known, [0; 32], &[], &same.unlock);
    let proved = vault.prove(token, &known.id, &proof).await.unwrap_err();
    let head = ArchiveHead { number: 1, sealed: Base64Vec::new(vec![1]).unwrap(), signature: Base64([0; 64]) };
    let headed = vault.keep_head(token, &head).await.unwrap_err();
    let status = vault.registrations(token).await.unwrap_err();
    let read = vault.head(token).await.unwrap_err();
    vec![receipt, activated, kept, deleted, retrieved, proved, headed, status, read]
}

#[tokio::test]
async fn a_stranger_gets_the_same_error_from_every_route_whether_or_not_there_is_an_account() {
    let lab = Lab::single(no_waits()).await;
    let (ada, nobody) = (Device::of(&lab, "ada"), Device::of(&lab, "nobody"));
    ada.protect(&lab, PASSWORD).await;
    let expired = Device::until(&lab, "ada", lab.now());
    for token in ["", "x", expired.token.as_str()] {
        for device in [&ada, &nobody] {
            let answers = ask_all(&lab, device, token).await;
            assert!(answers.iter().all(|answer| *answer == VaultError::Unauthorized), "{answers:?}");
        }
    }
    assert_eq!(lab.evaluations(), 0);
}

#[tokio::test]
async fn refuses_a_token_once_it_has_expired() {
    let lab = Lab::single(no_waits()).await;
    let ada = Device::until(&lab, "ada", lab.now() + HOUR);
    let dealt = ada.protect(&lab, PASSWORD).await;
    let (guess, _, proof) = ada.guess_right(&lab, &dealt).await;
    lab.clock.advance(HOUR);
    assert_eq!(ada.ask(&lab, &dealt, &guess).await, Err(VaultError::Unauthorized));
    assert_eq!(ada.prove(&lab, &guess, &proof).await, Err(VaultError::Unauthorized));
    // What it was good for stays good: the registration is used with another one.
    let again = Device::of(&lab, "ada");
    assert!(again.prove(&lab, &guess, &proof).await.is_ok());
    again.restore(&lab, &dealt).await.unwrap();
}

#[tokio::test]
async fn a_token_of_another_account_sees_and_spends_nothing_of_this_one() {
    let lab = Lab::single(no_waits()).await;
    let (ada, mallory) = (Device::of(&lab, "ada"), Device::of(&lab, "mallory"));
    let dealt = ada.protect(&lab, PASSWORD).await;
    assert_eq!(mallory.ask(&lab, &dealt, &Guess::new(WRONG)).await, Err(Refusal::NotRegistered.into()));
    assert_eq!(lab.vault().registrations(&mallory.token).await.unwrap().live, None);
    assert_eq!(mallory.delete(&lab, &dealt, Some(KeyRole::Owner)).await, Err(Refusal::NotRegistered.into()));
    assert_eq!(
        mallory.keep(&lab, &dealt, Change::Deletion(DELETION), KeyRole::Owner).await,
        Err(Refusal::NotRegistered.into())
    );
    assert_eq!(lab.evaluations(), 0);
    assert_eq!(lab.record(&ada.account).await.live.unwrap().attempts, []);
}

#[tokio::test]
async fn refuses_the_signature_of_another_device_than_the_token_s() {
    let lab = Lab::single(no_waits()).await;
    let (ada, other) = (Device::of(&lab, "ada"), Device::of(&lab, "ada"));
    let dealt = ada.protect(&lab, PASSWORD).await;
    let (vault, id, guess) = (lab.vault(), dealt.registration.id, Guess::new(WRONG));
    let retrieved = vault.retrieve(&ada.token, &guess.id, &other.retrieval(&id, &guess)).await;
    assert_eq!(retrieved.unwrap_err(), VaultError::InvalidSignature);
    let new = ada.deal(&lab, PASSWORD);
    let registered = vault.register(&ada.token, &new.registration.id, &other.registration_request(&new, 1)).await;
    assert_eq!(registered.unwrap_err(), VaultError::InvalidSignature);
    let message = coffer_proto::deletion_message(&ada.fleet, &ada.account, &id, &DELETION);
    let deletion =
        DeletionRequest { deletion: DELETION, device_signature: sign(&other.key, &message), authorization: None };
    assert_eq!(vault.delete(&ada.token, &id, &deletion).await.unwrap_err(), VaultError::InvalidSignature);
    assert_eq!(lab.evaluations(), 0);
}

#[tokio::test]
async fn a_signature_for_one_purpose_passes_for_no_other() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let (id, guess) = (dealt.registration.id, Guess::new(WRONG));
    let spent = ada.retrieval(&id, &guess);
    let deletion =
        DeletionRequest { deletion: DELETION, device_signature: spent.device_signature, authorization: None };
    let refused = lab.vault().delete(&ada.token, &id, &deletion).await;
    assert_eq!(refused.unwrap_err(), VaultError::InvalidSignature);
    // Nor for another attempt, KE1 or registration.
    let other = Guess::new(WRONG);
    let moved = RetrievalRequest { ke1: Base64(other.ke1), ..spent };
    let refused = lab.vault().retrieve(&ada.token, &guess.id, &moved).await;
    assert_eq!(refused.unwrap_err(), VaultError::InvalidSignature);
    let refused = lab.vault().retrieve(&ada.token, &other.id, &spent).await;
    assert_eq!(refused.unwrap_err(), VaultError::InvalidSignature);
}

#[tokio::test]
async fn refuses_a_ke1_with_points_that_are_none_and_spends_nothing() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    for (from, to, byte) in [(0, 33, 0), (0, 33, 0xff), (0, 1, 4), (0, 1, 5), (65, 98, 0), (65, 66, 6)] {
        let mut guess = Guess::new(WRONG);
        guess.ke1[from..to].fill(byte);
        let refused = ada.ask(&lab, &dealt, &guess).await;
        assert!(matches!(refused, Err(VaultError::Malformed(_))), "{refused:?}");
    }
    assert_eq!(lab.record(&ada.account).await.live.unwrap().attempts, []);
}

#[tokio::test]
async fn an_archive_head_is_the_owner_key_s_counts_on_and_outlives_its_registration() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let head = |number, key: &ed25519_dalek::SigningKey| {
        let sealed = Base64Vec::new(vec![7; 10]).unwrap();
        let message = head_message(&ada.fleet, &ada.account, number, sealed.as_bytes());
        ArchiveHead { number, sealed, signature: sign(key, &message) }
    };
    let vault = lab.vault();
    let refused = vault.keep_head(&ada.token, &head(1, &dealt.unlock)).await;
    assert_eq!(refused, Err(Refusal::InvalidAuthorization.into()));
    let stale = vault.keep_head(&ada.token, &head(2, &dealt.owner)).await;
    assert_eq!(stale, Err(Refusal::StaleHead { next: 1 }.into()));
    vault.keep_head(&ada.token, &head(1, &dealt.owner)).await.unwrap();
    vault.keep_head(&ada.token, &head(1, &dealt.owner)).await.unwrap();
    vault.keep_head(&ada.token, &head(2, &dealt.owner)).await.unwrap();
    assert_eq!(vault.keep_head(&ada.token, &head(1, &dealt.owner)).await, Err(Refusal::StaleHead { next: 3 }.into()));
    ada.guess_wrong(&lab, &dealt, 10).await;
    lab.clock.advance(DAY * 4);
    assert!(ada.ask(&lab, &dealt, &Guess::new(PASSWORD)).await.is_err());
    assert_eq!(vault.head(&ada.token).await.unwrap().number, 2);
}
