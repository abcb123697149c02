//! Shares that are not for here, and activations without the right.

use std::time::Duration;

use coffer_pake::{Argon2Parameters, Identities, Point, deal_registration};
use coffer_proto::{
    Activated, Base64, Base64Vec, KeyRole, Receipt, SealedShare, ShareContext, SiteNumber, TransportKeyId,
    registration_message,
};
use coffer_testkit::SoftwareHsm;
use coffer_vault_core::{Hsm as _, Refusal, VaultError};
use ed25519_dalek::SigningKey;

use crate::device::{Dealt, Device, Guess, PASSWORD, WRONG, random, sign};
use crate::lab::{DAY, Lab, no_waits};
use crate::protected;

/// The registration as it was changed, with both signatures right.
async fn send(lab: &Lab, device: &Device, dealt: &Dealt, site: u8) -> Result<Receipt, VaultError> {
    device.register_at(lab, dealt, site).await
}

#[tokio::test]
async fn refuses_a_sealed_share_under_another_account() {
    let lab = Lab::single(no_waits()).await;
    let (ada, mallory) = (Device::of(&lab, "ada"), Device::of(&lab, "mallory"));
    let mut dealt = ada.deal(&lab, PASSWORD);
    // Mallory has seen the sealed share, and registers it as her own, with keys of her own.
    (dealt.unlock, dealt.owner) = (SigningKey::from_bytes(&random()), SigningKey::from_bytes(&random()));
    let as_hers = |key: &SigningKey| Base64(key.verifying_key().to_bytes());
    let stolen = dealt.registration.clone();
    dealt.registration.unlock_key = as_hers(&dealt.unlock);
    assert_eq!(send(&lab, &mallory, &dealt, 1).await, Err(VaultError::InvalidShare));
    // Nor with the keys as they are, though she cannot sign for those.
    dealt.registration = stolen;
    assert_eq!(send(&lab, &mallory, &dealt, 1).await, Err(VaultError::InvalidSignature));
    let unlock_as_dealt = ada.deal(&lab, PASSWORD);
    assert_eq!(send(&lab, &mallory, &unlock_as_dealt, 1).await, Err(VaultError::InvalidShare));
    assert!(lab.rows(1).await.is_empty());
}

#[tokio::test]
async fn refuses_a_sealed_share_under_another_registration() {
    let lab = Lab::single(no_waits()).await;
    let ada = Device::of(&lab, "ada");
    let mut dealt = ada.deal(&lab, PASSWORD);
    dealt.registration.id.0[0] ^= 1;
    assert_eq!(send(&lab, &ada, &dealt, 1).await, Err(VaultError::InvalidShare));
    dealt.registration.id.0[0] ^= 1;
    dealt.registration.manifest_version = 2;
    assert_eq!(send(&lab, &ada, &dealt, 1).await, Err(VaultError::InvalidShare));
}

#[tokio::test]
async fn refuses_a_sealed_share_of_another_site() {
    let lab = Lab::five(no_waits()).await;
    let ada = Device::of(&lab, "ada");
    let mut dealt = ada.deal(&lab, PASSWORD);
    let mut request = ada.registration_request(&dealt, 2);
    let register = async |request| lab.at(1).register(&ada.token, &dealt.registration.id, &request).await;
    assert_eq!(register(request.clone()).await, Err(VaultError::InvalidShare));
    // Nor if the registration names it for both.
    dealt.registration.sealed_share_hashes[0] = dealt.registration.sealed_share_hashes[1];
    request.registration = dealt.registration.clone();
    let message = registration_message(&ada.fleet, &ada.account, &dealt.registration);
    request.unlock_signature = sign(&dealt.unlock, &message);
    request.device_signature = sign(&ada.key, &message);
    let refused = lab.at(1).register(&ada.token, &dealt.registration.id, &request).await;
    assert_eq!(refused, Err(VaultError::InvalidShare));
}

/// A hostile client could give a site a share that fits no other: that site would then seem to lie at each retrieval.
#[tokio::test]
async fn refuses_the_shares_of_a_client_that_deals_inconsistent_ones() {
    let lab = Lab::five(no_waits()).await;
    let ada = Device::of(&lab, "ada");
    let mut dealt = ada.deal(&lab, PASSWORD);
    let argon2 = Argon2Parameters { memory_kib: 8192, passes: 1, lanes: 1 };
    let identities = Identities { client: b"ada", server: b"fleet", context: b"another" };
    let keys = lab.sites[3].hsm.public_keys();
    // Sealed for site 4, in its right context, with its right number, but of another polynomial.
    let other = deal_registration(PASSWORD, &identities, &argon2, &keys.ake, 5, 3).unwrap();
    let (fleet, account, registration) = (&ada.fleet, &ada.account, &dealt.registration);
    let context = ShareContext { fleet, site: SiteNumber(4), account, registration, sites: 5 }.encode();
    let sealed = other.shares[3].seal(&keys.share_import, &context).unwrap();
    let wrapped = Base64Vec::new(sealed.wrapped).unwrap();
    dealt.sealed[3] = SealedShare { ephemeral: Base64(sealed.ephemeral.encode()), wrapped };
    dealt.registration.sealed_share_hashes[3] = dealt.sealed[3].hash();
    assert_eq!(send(&lab, &ada, &dealt, 4).await, Err(VaultError::InvalidShare));
    assert!(lab.rows(4).await.is_empty());
    for site in [1, 2, 3, 5] {
        assert!(send(&lab, &ada, &dealt, site).await.is_ok(), "the others have what fits");
    }
}

#[tokio::test]
async fn refuses_a_sealed_share_that_does_not_match_its_hash() {
    let lab = Lab::single(no_waits()).await;
    let ada = Device::of(&lab, "ada");
    let (mut dealt, other) = (ada.deal(&lab, PASSWORD), ada.deal(&lab, PASSWORD));
    dealt.sealed = other.sealed;
    assert_eq!(send(&lab, &ada, &dealt, 1).await, Err(VaultError::InvalidShare));
}

#[tokio::test]
async fn refuses_commitments_that_do_not_fit_the_share_or_the_fleet() {
    let lab = Lab::single(no_waits()).await;
    let ada = Device::of(&lab, "ada");
    let mut dealt = ada.deal(&lab, PASSWORD);
    let good = dealt.registration.commitments.clone();
    dealt.registration.commitments = vec![Base64(Point::generator().encode())];
    assert_eq!(send(&lab, &ada, &dealt, 1).await, Err(VaultError::InvalidShare));
    for commitments in [vec![], vec![good[0], good[0]]] {
        dealt.registration.commitments = commitments;
        assert!(matches!(send(&lab, &ada, &dealt, 1).await, Err(VaultError::Malformed(_))));
    }
}

#[tokio::test]
async fn refuses_commitments_that_are_the_identity_or_no_point() {
    let lab = Lab::single(no_waits()).await;
    let ada = Device::of(&lab, "ada");
    let mut dealt = ada.deal(&lab, PASSWORD);
    let good = dealt.registration.commitments[0];
    let mut off_curve = good;
    off_curve.0[0] = 5;
    for commitment in [Base64([0; 33]), off_curve, Base64([0xff; 33])] {
        dealt.registration.commitments = vec![commitment];
        assert!(matches!(send(&lab, &ada, &dealt, 1).await, Err(VaultError::Malformed(_))));
    }
}

#[tokio::test]
async fn refuses_commitments_to_a_share_of_zero() {
    let lab = Lab::with(SoftwareHsm::fleet(3), 2, no_waits(), 0).await;
    let ada = Device::of(&lab, "ada");
    let mut dealt = ada.deal(&lab, PASSWORD);
    // f(x) = a − a·x, which is zero at site 1.
    let mut negative = dealt.registration.commitments[0];
    negative.0[0] ^= 1;
    dealt.registration.commitments[1] = negative;
    assert_eq!(send(&lab, &ada, &dealt, 1).await, Err(VaultError::InvalidShare));
}

#[tokio::test]
async fn refuses_an_upload_or_an_ephemeral_that_is_no_point() {
    let lab = Lab::single(no_waits()).await;
    let ada = Device::of(&lab, "ada");
    let mut dealt = ada.deal(&lab, PASSWORD);
    dealt.registration.upload.0[0] = 0;
    assert!(matches!(send(&lab, &ada, &dealt, 1).await, Err(VaultError::Malformed(_))));
    let mut dealt = ada.deal(&lab, PASSWORD);
    dealt.sealed[0].ephemeral = Base64([0; 33]);
    dealt.registration.sealed_share_hashes[0] = dealt.sealed[0].hash();
    assert!(matches!(send(&lab, &ada, &dealt, 1).await, Err(VaultError::Malformed(_))));
}

#[tokio::test]
async fn refuses_a_registration_that_its_own_unlock_key_or_the_device_has_not_signed() {
    let lab = Lab::single(no_waits()).await;
    let ada = Device::of(&lab, "ada");
    let dealt = ada.deal(&lab, PASSWORD);
    let good = ada.registration_request(&dealt, 1);
    for field in 0..2 {
        let mut request = good.clone();
        if field == 0 {
            request.unlock_signature = good.device_signature
        } else {
            request.device_signature.0[0] ^= 1
        }
        let refused = lab.vault().register(&ada.token, &dealt.registration.id, &request).await;
        assert_eq!(refused, Err(VaultError::InvalidSignature));
    }
}

#[tokio::test]
async fn refuses_a_manifest_that_is_not_known() {
    let lab = Lab::single(no_waits()).await;
    let ada = Device::of(&lab, "ada");
    let mut dealt = ada.deal(&lab, PASSWORD);
    for version in [0, 4, u64::MAX] {
        dealt.registration.manifest_version = version;
        assert_eq!(send(&lab, &ada, &dealt, 1).await, Err(VaultError::UnknownManifest));
    }
}

#[tokio::test]
async fn the_same_registration_again_gives_the_same_receipt_and_another_under_its_id_is_refused() {
    let lab = Lab::single(no_waits()).await;
    let ada = Device::of(&lab, "ada");
    let dealt = ada.deal(&lab, PASSWORD);
    let receipt = send(&lab, &ada, &dealt, 1).await.unwrap();
    lab.clock.advance(DAY);
    assert_eq!(send(&lab, &ada, &dealt, 1).await, Ok(receipt));
    let mut other = dealt;
    other.registration.argon2.passes = 9;
    assert_eq!(send(&lab, &ada, &other, 1).await, Err(Refusal::IdReused.into()));
}

#[tokio::test]
async fn whoever_fills_the_place_with_registrations_keeps_nobody_from_registering() {
    let (lab, ada, live) = protected::by_one_site().await;
    let first = ada.deal(&lab, PASSWORD);
    ada.register(&lab, &first).await;
    for _ in 0..20 {
        lab.clock.advance(Duration::from_secs(1));
        ada.register(&lab, &ada.deal(&lab, PASSWORD)).await;
    }
    let rows = lab.rows(1).await;
    assert!(!rows.iter().any(|(key, _)| key.ends_with(first.registration.id.as_bytes())), "the oldest has gone");
    assert!(!lab.is_erased(&live.registration.id).await, "the live one stays");
    ada.restore(&lab, &live).await.unwrap();
}

#[tokio::test]
async fn refuses_an_activation_without_enough_receipts() {
    let lab = Lab::five(no_waits()).await;
    let ada = Device::of(&lab, "ada");
    let dealt = ada.deal(&lab, PASSWORD);
    let receipts = ada.register(&lab, &dealt).await;
    let same = vec![receipts[0].clone(); 4];
    let twice = vec![receipts[0].clone(), receipts[1].clone(), receipts[2].clone(), receipts[2].clone()];
    for few in [&[], &receipts[..3], &same, &twice] {
        assert_eq!(ada.activate(&lab, &dealt, few, None).await, Err(VaultError::InvalidReceipt));
    }
    assert_eq!(lab.record(&ada.account).await, Default::default());
    assert_eq!(ada.activate(&lab, &dealt, &receipts[..4], None).await, Ok(Activated::Live));
}

#[tokio::test]
async fn an_activation_that_comes_again_adds_receipts_and_nothing_else() {
    let lab = Lab::five(no_waits()).await;
    let ada = Device::of(&lab, "ada");
    let dealt = ada.deal(&lab, PASSWORD);
    let receipts = ada.register(&lab, &dealt).await;
    ada.activate(&lab, &dealt, &receipts[..4], None).await.unwrap();
    let before = lab.record(&ada.account).await.live.unwrap();
    lab.clock.advance(DAY);
    assert_eq!(ada.activate(&lab, &dealt, &receipts, None).await, Ok(Activated::Live));
    assert_eq!(ada.activate(&lab, &dealt, &receipts[..4], None).await, Ok(Activated::Live));
    let after = lab.record(&ada.account).await.live.unwrap();
    assert_eq!(after.activation.receipts.len(), 5);
    assert_eq!((after.since, after.activation.at), (before.since, before.activation.at));
}

#[tokio::test]
async fn refuses_a_forged_receipt() {
    let lab = Lab::single(no_waits()).await;
    let ada = Device::of(&lab, "ada");
    let dealt = ada.deal(&lab, PASSWORD);
    let good = ada.register(&lab, &dealt).await.remove(0);
    let changes: [fn(&mut Receipt); 10] = [
        |receipt| receipt.signature.0[0] ^= 1,
        |receipt| receipt.point = Base64(Point::generator().encode()),
        |receipt| receipt.ledger_number += 1,
        |receipt| receipt.at = receipt.at + DAY,
        |receipt| receipt.site = SiteNumber(2),
        |receipt| receipt.site = SiteNumber(0),
        |receipt| receipt.certificate.signature.0[0] ^= 1,
        |receipt| receipt.certificate.receipt_key.0[0] ^= 1,
        |receipt| receipt.certificate.transport_key.0[0] ^= 1,
        |receipt| receipt.certificate.not_after = receipt.certificate.not_after + DAY,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut forged = good.clone();
        change(&mut forged);
        let refused = ada.activate(&lab, &dealt, &[forged], None).await;
        assert_eq!(refused, Err(VaultError::InvalidReceipt), "change {number}");
    }
    assert_eq!(ada.activate(&lab, &dealt, &[good], None).await, Ok(Activated::Live));
}

#[tokio::test]
async fn refuses_a_receipt_that_a_key_of_the_sender_s_own_has_signed() {
    let lab = Lab::single(no_waits()).await;
    let ada = Device::of(&lab, "ada");
    let dealt = ada.deal(&lab, PASSWORD);
    let mut receipt = ada.register(&lab, &dealt).await.remove(0);
    // A certificate of another fleet's site is one by another identity.
    let other = Lab::single(no_waits()).await;
    receipt.certificate = other.vault().certificate().await.unwrap();
    assert_eq!(ada.activate(&lab, &dealt, &[receipt], None).await, Err(VaultError::InvalidReceipt));
}

#[tokio::test]
async fn refuses_a_receipt_of_another_registration_or_of_another_account() {
    let lab = Lab::single(no_waits()).await;
    let (ada, bob) = (Device::of(&lab, "ada"), Device::of(&lab, "bob"));
    let dealt = ada.deal(&lab, PASSWORD);
    ada.register(&lab, &dealt).await;
    let others = ada.register(&lab, &ada.deal(&lab, PASSWORD)).await;
    let bobs = bob.register(&lab, &bob.deal(&lab, PASSWORD)).await;
    for receipts in [others, bobs] {
        assert_eq!(ada.activate(&lab, &dealt, &receipts, None).await, Err(VaultError::InvalidReceipt));
    }
}

#[tokio::test]
async fn refuses_a_receipt_that_was_given_outside_of_its_certificate_s_time() {
    // A receipt is checked as of its own time: one that was given in time stays good.
    let lab = Lab::single(no_waits()).await;
    let ada = Device::of(&lab, "ada");
    let dealt = ada.deal(&lab, PASSWORD);
    let receipts = ada.register(&lab, &dealt).await;
    let mut late = receipts.clone();
    late[0].at = late[0].certificate.not_after + DAY;
    assert_eq!(ada.activate(&lab, &dealt, &late, None).await, Err(VaultError::InvalidReceipt));
    lab.clock.advance(DAY * 20);
    assert_eq!(ada.activate(&lab, &dealt, &receipts, None).await, Ok(Activated::Live));
}

#[tokio::test]
async fn the_receipt_key_is_another_after_a_day_and_receipts_around_midnight_hold() {
    let lab = Lab::single(no_waits()).await;
    let ada = Device::of(&lab, "ada");
    let first = lab.vault().certificate().await.unwrap();
    let mut keys = std::collections::BTreeSet::new();
    for _ in 0..9 {
        lab.clock.advance(DAY / 3);
        let dealt = ada.deal(&lab, PASSWORD);
        let receipts = ada.register(&lab, &dealt).await;
        let certificate = &receipts[0].certificate;
        assert!(certificate.not_before <= lab.now() && lab.now() + DAY <= certificate.not_after);
        keys.insert(certificate.receipt_key);
        let live = lab.record(&ada.account).await.live;
        let replaces = live.as_ref().map(|live| live.registration.id);
        assert!(ada.activate(&lab, &dealt, &receipts, replaces.as_ref()).await.is_ok());
    }
    assert!(!keys.is_empty() && (2..=4).contains(&keys.len()), "{} keys in three days, {first:?}", keys.len());
}

#[tokio::test]
async fn a_transport_key_is_known_until_its_certificate_ends_and_not_after_a_restart() {
    let lab = Lab::single(no_waits()).await;
    let certificate = lab.vault().certificate().await.unwrap();
    let id = TransportKeyId::of(&certificate.transport_key);
    let key = lab.vault().transport_key(&id).unwrap();
    lab.clock.advance(DAY * 3 / 2);
    let next = lab.vault().certificate().await.unwrap();
    assert_ne!(next.transport_key, certificate.transport_key);
    assert_eq!(lab.vault().transport_key(&id), Some(key));
    assert!(lab.vault().transport_key(&TransportKeyId::of(&next.transport_key)).is_some());
    lab.clock.advance(DAY);
    assert!(lab.now() > certificate.not_after);
    assert_eq!(lab.vault().transport_key(&id), None);
    lab.restart(1).await;
    assert_eq!(lab.vault().transport_key(&TransportKeyId::of(&next.transport_key)), None);
}

#[tokio::test]
async fn refuses_an_activation_by_another_device_or_of_what_was_not_delivered() {
    let lab = Lab::single(no_waits()).await;
    let (ada, thief) = (Device::of(&lab, "ada"), Device::of(&lab, "ada"));
    let dealt = ada.deal(&lab, PASSWORD);
    assert_eq!(ada.activate(&lab, &dealt, &[], None).await, Err(VaultError::NotDelivered));
    let receipts = ada.register(&lab, &dealt).await;
    let request = ada.activation(&dealt, &receipts, None);
    let refused = lab.vault().activate(&thief.token, &dealt.registration.id, &request).await;
    assert_eq!(refused, Err(VaultError::InvalidSignature));
}

#[tokio::test]
async fn an_activation_names_what_it_replaces() {
    let (lab, ada, live) = protected::by_one_site().await;
    let new = ada.deal(&lab, PASSWORD);
    let receipts = ada.register(&lab, &new).await;
    for replaces in [None, Some(&new.registration.id)] {
        let refused = ada.activate(&lab, &new, &receipts, replaces).await;
        assert_eq!(refused, Err(Refusal::RegistrationChanged.into()));
    }
    // A signature by a key of the live one is checked, and a wrong one is not taken for none.
    let wrong = ada.replace(&lab, &new, &receipts, &new, KeyRole::Owner).await;
    assert_eq!(wrong, Err(Refusal::InvalidAuthorization.into()));
    let mut forged = Device::of(&lab, "ada").deal(&lab, WRONG);
    forged.registration.id = live.registration.id;
    let refused = ada.replace(&lab, &new, &receipts, &forged, KeyRole::Owner).await;
    assert_eq!(refused, Err(Refusal::InvalidAuthorization.into()));
    assert_eq!(lab.record(&ada.account).await.waiting, None);
    ada.ask(&lab, &live, &Guess::new(WRONG)).await.unwrap();
}

/// Each costs the ledger a row, and each row an HMAC whenever the account is looked at.
#[tokio::test]
async fn registrations_without_end_do_not_fill_the_ledger() {
    let lab = Lab::single(no_waits()).await;
    let ada = Device::of(&lab, "ada");
    let first = ada.deal(&lab, PASSWORD);
    send(&lab, &ada, &first, 1).await.unwrap();
    for _ in 0..40 {
        send(&lab, &ada, &ada.deal(&lab, PASSWORD), 1).await.unwrap();
    }
    assert_eq!(lab.rows(1).await.len(), 16);
    // Nothing was done with the first one, and it may come again.
    send(&lab, &ada, &first, 1).await.unwrap();
    assert_eq!(lab.rows(1).await.len(), 16);
}
