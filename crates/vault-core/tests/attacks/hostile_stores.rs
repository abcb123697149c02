//! A record store, or a ledger's disk, that says something else than what was written.

use coffer_proto::{AccountId, ArchiveHead, Base64Vec, RegistrationId, head_message};
use coffer_vault_core::{
    AccountToken, Attempt, AttemptState, Ledger as _, LedgerRow, Refusal, VaultError, VaultRecord,
};

use crate::device::{Device, Guess, PASSWORD, WRONG, sign};
use crate::lab::{DAY, Lab, no_waits};
use crate::protected;

#[tokio::test]
async fn an_old_record_that_is_put_back_buys_no_eleventh_evaluation() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let fresh = lab.record_bytes(&ada.account).await;
    let mut evaluated = 0;
    for _ in 0..40 {
        lab.falsify(&ada.account, &fresh).await;
        lab.restart(1).await;
        evaluated += usize::from(ada.ask(&lab, &dealt, &Guess::new(WRONG)).await.is_ok());
    }
    assert_eq!((evaluated, lab.evaluations()), (10, 10));
}

#[tokio::test]
async fn an_old_record_with_an_old_proof_buys_no_eleventh_evaluation() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    ada.restore(&lab, &dealt).await.unwrap();
    let proved = lab.record_bytes(&ada.account).await;
    assert_eq!(lab.record(&ada.account).await.live.unwrap().proofs.len(), 1);
    for _ in 0..40 {
        lab.falsify(&ada.account, &proved).await;
        lab.restart(1).await;
        let _ = ada.ask(&lab, &dealt, &Guess::new(WRONG)).await;
        lab.sweep().await;
    }
    assert_eq!(lab.evaluations(), 11);
}

#[tokio::test]
async fn an_attempt_that_was_forgiven_is_refused_even_if_a_record_opens_it_again() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let guess = Guess::new(WRONG);
    ada.ask(&lab, &dealt, &guess).await.unwrap();
    let open = lab.record_bytes(&ada.account).await;
    ada.restore(&lab, &dealt).await.unwrap();
    lab.falsify(&ada.account, &open).await;
    lab.restart(1).await;
    assert_eq!(ada.ask(&lab, &dealt, &guess).await, Err(Refusal::AttemptClosed.into()));
    assert_eq!(lab.held(1, &dealt.registration.id).await.failures(), 0);
}

#[tokio::test]
async fn a_record_that_was_moved_to_another_account_is_refused() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let mallory = Device::of(&lab, "mallory");
    mallory.protect(&lab, WRONG).await;
    let moved = lab.record_bytes(&ada.account).await;
    lab.falsify(&mallory.account, &moved).await;
    for _ in 0..3 {
        let refused = mallory.ask(&lab, &dealt, &Guess::new(WRONG)).await;
        assert_eq!(refused, Err(VaultError::Unavailable));
    }
    lab.sweep().await;
    assert_eq!(lab.evaluations(), 0);
    ada.restore(&lab, &dealt).await.unwrap();
}

#[tokio::test]
async fn a_live_registration_that_was_edited_is_refused() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let other = ada.deal(&lab, WRONG);
    lab.falsify_with(&ada.account, |record| {
        record.live.as_mut().unwrap().registration.unlock_key = other.registration.unlock_key;
    })
    .await;
    assert_eq!(ada.ask(&lab, &dealt, &Guess::new(WRONG)).await, Err(VaultError::Unavailable));
    // Nor does its bearer's proof forgive anything.
    lab.sweep().await;
    assert_eq!(lab.evaluations(), 0);
    assert!(lab.is_held(&dealt.registration.id).await);
}

#[tokio::test]
async fn a_registration_whose_activation_was_not_signed_is_not_evaluated() {
    let lab = Lab::single(no_waits()).await;
    let (ada, mallory) = (Device::of(&lab, "ada"), Device::of(&lab, "mallory"));
    let (live, waiting) = (mallory.protect(&lab, WRONG).await, ada.deal(&lab, PASSWORD));
    ada.register(&lab, &waiting).await;
    let stolen = lab.record(&mallory.account).await;
    lab.falsify_with(&ada.account, |record| {
        record.live = stolen.live;
        record.live.as_mut().unwrap().registration = waiting.registration.clone();
    })
    .await;
    assert_eq!(ada.ask(&lab, &waiting, &Guess::new(WRONG)).await, Err(VaultError::Unavailable));
    assert_eq!(lab.evaluations(), 0);
    drop(live);
}

async fn raw(lab: &Lab, account: &AccountId) -> (Vec<u8>, LedgerRow) {
    let rows = lab.sites[0].ledger.rows(&[], 100).await.unwrap();
    let prefix = coffer_proto::frame([account.as_bytes()]);
    rows.into_iter().find(|(key, _)| key.starts_with(&prefix)).unwrap()
}

async fn put(lab: &Lab, key: &[u8], row: &LedgerRow) {
    let there = lab.sites[0].ledger.read(key).await.unwrap().map(|row| row.number);
    lab.sites[0].ledger.write(key, there, row).await.unwrap();
}

#[tokio::test]
async fn a_ledger_row_that_was_edited_cut_renumbered_or_moved_is_refused() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let bob = Device::of(&lab, "bob");
    let bobs = bob.protect(&lab, PASSWORD).await;
    ada.guess_wrong(&lab, &dealt, 1).await;
    let (key, good) = raw(&lab, &ada.account).await;
    let (bobs_key, bobs_row) = raw(&lab, &bob.account).await;
    let mut edited = good.clone();
    edited.bytes[40] ^= 1;
    let mut no_mac = good.clone();
    no_mac.bytes.truncate(good.bytes.len() - 32);
    let cut = LedgerRow { number: good.number, bytes: good.bytes[..10].to_vec() };
    let empty = LedgerRow { number: good.number, bytes: Vec::new() };
    let renumbered = LedgerRow { number: good.number + 1, bytes: good.bytes.clone() };
    for row in [edited, no_mac, cut, empty, renumbered, bobs_row.clone()] {
        put(&lab, &key, &row).await;
        assert_eq!(ada.ask(&lab, &dealt, &Guess::new(WRONG)).await, Err(VaultError::Unavailable));
        assert_eq!(lab.evaluations(), 1);
    }
    put(&lab, &bobs_key, &good).await;
    assert_eq!(bob.ask(&lab, &bobs, &Guess::new(WRONG)).await, Err(VaultError::Unavailable));
    put(&lab, &bobs_key, &bobs_row).await;
    put(&lab, &key, &good).await;
    ada.restore(&lab, &dealt).await.unwrap();
}

/// The ledger rolled back alone changes nothing, for the record still counts; both rolled back at one site of one is
/// not noticed, as docs/protocol.md says (section 8: no protection against a rollback of the whole host).
#[tokio::test]
async fn a_ledger_row_that_is_put_back_meets_the_record_s_own_count() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let (key, fresh) = raw(&lab, &ada.account).await;
    let mut evaluated = 0;
    for _ in 0..20 {
        put(&lab, &key, &fresh).await;
        evaluated += usize::from(ada.ask(&lab, &dealt, &Guess::new(WRONG)).await.is_ok());
    }
    assert_eq!(evaluated, 10);
}

#[tokio::test]
async fn a_ledger_row_that_is_gone_is_not_made_again_by_a_retrieval() {
    let (lab, ada, dealt) = protected::by_one_site().await;
    let (key, row) = raw(&lab, &ada.account).await;
    let elsewhere = [key.as_slice(), b"x"].concat();
    put(&lab, &elsewhere, &row).await;
    put(&lab, &key, &LedgerRow { number: row.number, bytes: vec![] }).await;
    assert_eq!(ada.ask(&lab, &dealt, &Guess::new(WRONG)).await, Err(VaultError::Unavailable));
    assert_eq!(lab.evaluations(), 0);
}

/// With tokens of a kilobyte. `postcard` writes their text as it is.
fn lengthen(record: &mut VaultRecord) {
    let token: AccountToken = "x".repeat(1024).as_str().into();
    let lengthen_all = |attempts: &mut Vec<Attempt>| {
        for attempt in attempts {
            if let AttemptState::Unproved { token: short, .. } = &mut attempt.state {
                short.clone_from(&token);
            }
        }
    };
    if let Some(live) = &mut record.live {
        live.activation.token.clone_from(&token);
        live.deletion.iter_mut().for_each(|asked| asked.token.clone_from(&token));
        lengthen_all(&mut live.attempts);
    }
    record.waiting.iter_mut().for_each(|waiting| waiting.activation.token.clone_from(&token));
}

#[tokio::test]
async fn a_record_with_a_long_token_in_every_place_fits_the_store() {
    let lab = Lab::five(no_waits()).await;
    let ada = Device::of(&lab, "ada");
    // As many as there can be, but for those that follow.
    let erased = (0..900u32).map(|number| RegistrationId([number.to_be_bytes(); 4].concat().try_into().unwrap()));
    lab.falsify_with(&ada.account, |record| record.erased = erased.collect()).await;
    for _ in 0..5 {
        let dealt = ada.protect(&lab, PASSWORD).await;
        ada.guess_wrong(&lab, &dealt, 10).await;
        lab.falsify_with(&ada.account, lengthen).await;
        lab.clock.advance(DAY * 3);
        assert_eq!(ada.ask(&lab, &dealt, &Guess::new(WRONG)).await, Err(Refusal::Locked.into()));
        lab.clock.advance(DAY);
    }
    let live = ada.protect(&lab, PASSWORD).await;
    let sealed = Base64Vec::new(vec![7; 1024]).unwrap();
    let message = head_message(&ada.fleet, &ada.account, 1, sealed.as_bytes());
    let head = ArchiveHead { number: 1, sealed, signature: sign(&live.owner, &message) };
    lab.vault().keep_head(&ada.token, &head).await.unwrap();
    for _ in 0..64 {
        ada.restore(&lab, &live).await.unwrap();
    }
    ada.wait_behind(&lab, &live, WRONG).await;
    ada.delete(&lab, &live, None).await.unwrap();
    ada.guess_wrong(&lab, &live, 10).await;
    lab.falsify_with(&ada.account, lengthen).await;
    let length = lab.record_bytes(&ada.account).await.len();
    assert!((50_000..64 << 10).contains(&length), "{length} bytes");
}
