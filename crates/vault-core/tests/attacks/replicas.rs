//! The shares that lie in the record, and sites whose disks are lost or put back.

use coffer_proto::{SiteNumber, activation_message};
use coffer_testkit::MemoryStore;
use coffer_vault_core::{AttemptState, KeptProof, SiteProof};

use crate::device::{Device, Guess, PASSWORD, WRONG, sign};
use crate::lab::Lab;
use crate::protected;

async fn keep_heights(lab: &Lab) {
    for site in 1..=lab.size() {
        lab.at(site).site().keep_heights().await.unwrap();
    }
}

#[tokio::test]
async fn a_record_does_not_get_a_share_sealed_for_a_registration_with_other_keys() {
    let (mut lab, ada, dealt) = protected::by_five_sites().await;
    let thief = Device::of(&lab, "ada");
    let mut forged = thief.deal(&lab, WRONG);
    // The owner's shares, under the thief's keys.
    forged.registration = coffer_proto::Registration {
        unlock_key: forged.registration.unlock_key,
        owner_key: forged.registration.owner_key,
        ..dealt.registration.clone()
    };
    lab.falsify_with(&ada.account, |record| {
        let live = record.live.as_mut().unwrap();
        live.registration = forged.registration.clone();
        let hash = forged.registration.hash();
        let message = activation_message(&thief.fleet, &thief.account, &forged.registration.id, &hash, None);
        live.activation.token = thief.token.as_str().into();
        live.activation.device_signature = sign(&thief.key, &message);
    })
    .await;
    let _ = lab.at(2).site().sweep().await;
    // Its disk is lost, and it takes its share from the record.
    lab.put_back(2, MemoryStore::default()).await;
    let mut guesses = 0;
    for _ in 0..30 {
        let guess = Guess::new(WRONG);
        let evaluate = thief.evaluation(&forged, &guess);
        lab.falsify_with(&ada.account, |record| {
            let (id, number, ke1_hash, at) = (guess.id, guess.number, (&evaluate.ke1).into(), lab.now());
            let state =
                AttemptState::Unproved { token: evaluate.token.clone(), device_signature: evaluate.device_signature };
            record.live.as_mut().unwrap().attempts =
                vec![coffer_vault_core::Attempt { id, number, ke1_hash, at, state }];
        })
        .await;
        let Ok(answer) = lab.at(2).site().evaluate(&evaluate).await else { continue };
        guesses += 1;
        // With an unlock key of his own he proves what he likes.
        let proof = thief.proof_with(&forged.registration.id, &guess, [0; 32], &[answer.nonce], &forged.unlock);
        let proof = KeptProof::new(guess.id, guess.number, &proof);
        let (account, registration) = (ada.account.clone(), forged.registration.id);
        let _ = lab.at(2).site().apply_proof(&SiteProof { account, registration, proof }).await;
    }
    assert_eq!(guesses, 0);
}

#[tokio::test]
async fn a_share_in_the_record_is_good_after_the_issuer_has_other_keys() {
    let (mut lab, ada, _) = protected::by_five_sites().await;
    let live = lab.record(&ada.account).await.live.unwrap().registration.id;
    lab.sweep().await;
    lab.tokens.rotate();
    let ada = Device::of(&lab, "ada");
    for lost in [2, 3, 4] {
        lab.put_back(lost, MemoryStore::default()).await;
    }
    let guess = Guess::new(PASSWORD);
    let answer = ada.ask_at(&lab, 1, &live, &guess).await.unwrap();
    assert!(ada.open(&lab, &live, &guess, &answer.ke2).is_ok());
}

#[tokio::test]
async fn a_false_share_that_was_there_first_is_replaced() {
    let (mut lab, ada, dealt) = protected::by_five_sites().await;
    lab.sweep().await;
    lab.falsify_with(&ada.account, |record| {
        record.live.as_mut().unwrap().shares.iter_mut().for_each(|share| share.mac = [0; 32]);
    })
    .await;
    lab.sweep().await;
    lab.put_back(2, MemoryStore::default()).await;
    let guess = Guess::new(PASSWORD);
    ada.ask(&lab, &dealt, &guess).await.unwrap();
    assert!(lab.sites[1].hsm.inner.has_evaluated(&guess.element()));
}

#[tokio::test]
async fn a_height_that_was_forged_does_not_hide_the_one_that_is_true() {
    let (lab, ada, dealt) = protected::by_five_sites().await;
    ada.guess_wrong(&lab, &dealt, 1).await;
    lab.at(1).site().keep_heights().await.unwrap();
    let mut forged = lab.at(1).site().height_of(SiteNumber(2)).await.unwrap().unwrap();
    let before = forged.number;
    forged.number = u64::MAX;
    for of in [2, 3] {
        lab.at(1).site().hear_height(coffer_proto::LedgerHeight { site: SiteNumber(of), ..forged });
    }
    ada.guess_wrong(&lab, &dealt, 1).await;
    lab.at(1).site().keep_heights().await.unwrap();
    let heard = lab.at(1).site().height_of(SiteNumber(2)).await.unwrap().unwrap().number;
    assert!(heard > before && heard < u64::MAX);
}

#[tokio::test]
async fn a_rollback_is_noticed_though_rows_were_written_before_the_others_were_asked() {
    let (mut lab, ada, dealt) = protected::by_five_sites().await;
    let old = lab.sites[1].ledger.copy();
    ada.guess_wrong(&lab, &dealt, 4).await;
    keep_heights(&lab).await;
    for away in [1, 3, 4, 5] {
        lab.set_up(away, false);
    }
    assert!(lab.try_put_back(2, old).await.is_err());
    // Who has a device fills the numbers up in the meantime.
    for _ in 0..15 {
        let newcomer = ada.deal(&lab, WRONG);
        ada.register_at(&lab, &newcomer, 2).await.unwrap();
    }
    for away in [1, 3, 4, 5] {
        lab.set_up(away, true);
    }
    lab.at(2).site().check_height().await.unwrap();
    ada.guess_wrong(&lab, &dealt, 1).await;
    assert_eq!(lab.held(2, &dealt.registration.id).await.failures(), 5);
}

#[tokio::test]
async fn a_rollback_of_the_site_that_coordinated_is_noticed() {
    let (mut lab, ada, dealt) = protected::by_five_sites().await;
    let old = lab.sites[1].ledger.copy();
    for _ in 0..4 {
        ada.ask_at(&lab, 2, &dealt.registration.id, &Guess::new(WRONG)).await.unwrap();
    }
    keep_heights(&lab).await;
    keep_heights(&lab).await;
    lab.put_back(2, old).await;
    ada.guess_wrong(&lab, &dealt, 1).await;
    assert_eq!(lab.held(2, &dealt.registration.id).await.failures(), 5);
}
