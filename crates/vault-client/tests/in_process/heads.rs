//! The archive head.

use coffer_testkit::Policy;
use coffer_vault_client::{HeadError, KeptHead};
use serde_json::json;

use crate::device::Device;

#[tokio::test(start_paused = true)]
async fn a_head_comes_back_as_it_was_sent() {
    let device = Device::protected().await;
    assert_eq!(device.session.head(&device.backup_key).await.unwrap(), KeptHead::None);
    device.session.put_head(1, vec![5; 512], &device.backup_key).await.unwrap();
    device.session.put_head(2, vec![6; 512], &device.backup_key).await.unwrap();
    let kept = device.session.head(&device.backup_key).await.unwrap();
    assert_eq!(kept, KeptHead::Own { number: 2, sealed: vec![6; 512] });
    assert_eq!(kept.next_number(), 3);
}

#[tokio::test(start_paused = true)]
async fn who_has_missed_another_device_s_head_is_told() {
    let device = Device::protected().await;
    device.session.put_head(1, vec![5; 512], &device.backup_key).await.unwrap();
    let outcome = device.session.put_head(1, vec![6; 512], &device.backup_key).await;
    assert_eq!(outcome, Err(HeadError::Stale));
}

#[tokio::test(start_paused = true)]
async fn without_a_registration_of_its_own_a_key_keeps_no_head() {
    let device = Device::new(Policy::default()).await;
    assert_eq!(device.session.put_head(1, vec![5], &device.backup_key).await, Err(HeadError::NotRegistered));
    let owner = Device::protected().await;
    let other = Device::at(owner.wire.clone()).await;
    assert_eq!(other.session.put_head(1, vec![5], &other.backup_key).await, Err(HeadError::NotRegistered));
}

#[tokio::test(start_paused = true)]
async fn refuses_a_head_that_was_forged() {
    for (field, value) in [("number", json!(7)), ("sealed", json!("BgYG"))] {
        let device = Device::protected().await;
        device.session.put_head(1, vec![5; 3], &device.backup_key).await.unwrap();
        device.wire.tamper_json("Get /v1/archive-head", move |head| head[field] = value.clone());
        let kept = device.session.head(&device.backup_key).await.unwrap();
        assert!(matches!(kept, KeptHead::Foreign { .. }), "{field}: {kept:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn refuses_the_head_of_another_backup_key() {
    let device = Device::protected().await;
    device.session.put_head(1, vec![5; 3], &device.backup_key).await.unwrap();
    let other = Device::at(device.wire.clone()).await;
    let kept = other.session.head(&other.backup_key).await.unwrap();
    assert_eq!((kept.next_number(), kept), (2, KeptHead::Foreign { number: 1, sealed: vec![vec![5; 3]] }));
}
