//! Shares that some sites have not had yet.

use std::error::Error;
use std::sync::{Arc, Mutex};

use coffer_proto::ProblemType;
use coffer_testkit::TestFleet;
use coffer_vault_client::{NothingKept, Outbox, RegisterError, Registered};
use serde_json::json;

use crate::device::{Device, Posted, numbers, patient};
use crate::five_sites::{REGISTER, another, device, edit, lie, set_up};
use crate::wire::{Wire, problem};

#[tokio::test(start_paused = true)]
async fn a_site_that_is_away_gets_its_share_when_it_is_back() {
    let device = device().await;
    let mut outbox = Posted::default();
    set_up(&device, &[4], false);
    let Registered::Protected { registration, undelivered, forged } = device.register_with("right", &mut outbox).await
    else {
        panic!("nothing else is live");
    };
    assert_eq!((numbers(&undelivered), forged.len(), device.live().await.holders), (vec![4], 0, 4));

    // As long as it is away nothing changes, and the next run of the program finds what this one has kept.
    let [delivery] = &device.session.deliver(&mut outbox).await.unwrap()[..] else { panic!("one registration") };
    assert_eq!((numbers(&delivery.undelivered), delivery.delivered.len()), (vec![4], 0));
    set_up(&device, &[4], true);
    let device = device.again().await;
    let [delivery] = &device.session.deliver(&mut outbox).await.unwrap()[..] else { panic!("one registration") };
    assert_eq!((delivery.registration, numbers(&delivery.delivered)), (registration, vec![4]));
    assert!(delivery.undelivered.is_empty() && outbox.0.is_none());
    assert_eq!(device.live().await.holders, 5);

    // Its share is as good as the others': now any two others may be lost.
    set_up(&device, &[1, 2], false);
    assert_eq!(device.retrieve("right").await.unwrap().backup_key, device.backup_key);
    device.wire.take_sent();
    assert_eq!(device.session.deliver(&mut outbox).await.unwrap(), []);
    assert!(device.wire.take_sent().is_empty(), "there is nothing to ask");
}

#[tokio::test(start_paused = true)]
async fn of_seven_sites_two_may_be_away_and_each_is_sent_its_share_when_it_is_back() {
    let device = Device::at(Wire::to(TestFleet::of(7, 4, patient()).await)).await;
    let mut outbox = Posted::default();
    set_up(&device, &[2, 6], false);
    let Registered::Protected { undelivered, .. } = device.register_with("right", &mut outbox).await else {
        panic!("nothing else is live");
    };
    assert_eq!(numbers(&undelivered), [2, 6]);
    for (site, still) in [(6, vec![2]), (2, vec![])] {
        set_up(&device, &[site], true);
        let restarted = another(&device).await;
        let [delivery] = &restarted.session.deliver(&mut outbox).await.unwrap()[..] else { panic!("one registration") };
        assert_eq!((numbers(&delivery.delivered), numbers(&delivery.undelivered)), (vec![site], still));
    }
    assert_eq!((device.live().await.holders, outbox.0), (7, None));
}

#[tokio::test(start_paused = true)]
async fn a_site_that_forges_its_receipt_is_named_and_left_out_where_four_others_are_good() {
    let device = device().await;
    let mut outbox = Posted::default();
    lie(&device, 2, REGISTER, |status, body| (status, edit(&body, |receipt| receipt["ledger_number"] = json!(99))));
    let Registered::Protected { undelivered, forged, .. } = device.register_with("right", &mut outbox).await else {
        panic!("four are good");
    };
    assert_eq!((numbers(&undelivered), numbers(&forged)), (vec![2], vec![2]));
    assert_eq!(device.live().await.holders, 4);
    let [delivery] = &device.session.deliver(&mut outbox).await.unwrap()[..] else { panic!("one registration") };
    assert_eq!(numbers(&delivery.forged), [2]);
    // An honest one in its place has the share already, and only has to say so.
    device.wire.vault.lie(2, |_, _, status, body| (status, body));
    let [delivery] = &device.session.deliver(&mut outbox).await.unwrap()[..] else { panic!("one registration") };
    assert_eq!((numbers(&delivery.delivered), outbox.0), (vec![2], None));
}

#[tokio::test(start_paused = true)]
async fn refuses_to_register_where_a_forged_receipt_leaves_too_few() {
    let device = device().await;
    set_up(&device, &[5], false);
    lie(&device, 2, REGISTER, |status, body| (status, edit(&body, |receipt| receipt["ledger_number"] = json!(99))));
    let outcome = device.try_register("right", &mut NothingKept).await;
    assert!(matches!(outcome, Err(RegisterError::Receipt(2))), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_undelivered_is_kept_before_the_activation_is_sent() {
    let device = device().await;
    set_up(&device, &[3], false);
    let outcome = device.try_register("right", &mut Posted::full()).await;
    assert!(matches!(outcome, Err(RegisterError::NotKept(_))), "{outcome:?}");
    let sent = device.wire.take_sent();
    assert!(sent.iter().all(|sent| sent.body["route"] != "/v1/registrations/{id}/activation"));
}

#[tokio::test(start_paused = true)]
async fn what_was_not_activated_before_a_restart_is_forgotten_and_never_becomes_live() {
    let device = device().await;
    let mut outbox = Posted::default();
    set_up(&device, &[3], false);
    device.wire.vault_goes_before("/v1/registrations/{id}/activation", &[1, 2, 4, 5]);
    let outcome = device.try_register("right", &mut outbox).await;
    assert!(outcome.is_err(), "{outcome:?}");
    assert!(outbox.0.is_some(), "it was about to be activated");
    device.wire.mend();
    set_up(&device, &[1, 2, 3, 4, 5], true);
    let device = device.again().await;
    assert_eq!(device.session.deliver(&mut outbox).await.unwrap(), []);
    assert!(outbox.0.is_none() && device.session.status().await.unwrap().live.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_activation_whose_answer_was_lost_is_delivered_to_the_rest_after_a_restart() {
    let device = device().await;
    let mut outbox = Posted::default();
    set_up(&device, &[3], false);
    let vault = Arc::clone(&device.wire.vault);
    device.wire.tamper(move |sent, status, body| {
        if sent.body["route"] == "/v1/registrations/{id}/activation" {
            (1..=5).for_each(|site| vault.set_up(site, false));
            return problem(ProblemType::SiteUnreachable);
        }
        (status, body)
    });
    let outcome = device.try_register("right", &mut outbox).await;
    assert!(matches!(outcome, Err(RegisterError::Unproved(_))), "{outcome:?}");
    device.wire.mend();
    set_up(&device, &[1, 2, 3, 4, 5], true);
    let device = device.again().await;
    let [delivery] = &device.session.deliver(&mut outbox).await.unwrap()[..] else { panic!("it is live") };
    assert_eq!((numbers(&delivery.delivered), outbox.0), (vec![3], None));
    assert_eq!(device.live().await.holders, 5);
}

#[tokio::test(start_paused = true)]
async fn a_password_change_takes_the_place_of_what_was_kept_of_the_old_one() {
    let device = device().await;
    let mut outbox = Posted::default();
    set_up(&device, &[3], false);
    device.register_with("right", &mut outbox).await;
    let old = outbox.0.clone().unwrap();
    set_up(&device, &[3], true);
    set_up(&device, &[5], false);
    let Registered::Protected { registration, undelivered, .. } = device.register_with("new", &mut outbox).await else {
        panic!("it is the owner's");
    };
    assert_eq!(numbers(&undelivered), [5]);
    assert_ne!(outbox.0.as_ref(), Some(&old));
    set_up(&device, &[5], true);
    let [delivery] = &device.session.deliver(&mut outbox).await.unwrap()[..] else { panic!("the new one alone") };
    assert_eq!((delivery.registration, numbers(&delivery.delivered)), (registration, vec![5]));
    // What an older copy of the outbox has is of no more use, and revives nothing.
    let mut older = Posted(Some(old), false);
    assert_eq!(device.session.deliver(&mut older).await.unwrap(), []);
    assert!(older.0.is_none());
    assert_eq!(device.live().await.id, registration);
    assert_eq!(device.retrieve("new").await.unwrap().backup_key, device.backup_key);
}

#[tokio::test(start_paused = true)]
async fn a_password_change_that_fails_leaves_what_was_kept_of_the_old_one() {
    let device = device().await;
    let mut outbox = Posted::default();
    set_up(&device, &[3], false);
    let Registered::Protected { registration, .. } = device.register_with("right", &mut outbox).await else {
        panic!("nothing else is live");
    };
    device.wire.vault_goes_before("/v1/registrations/{id}/activation", &[1, 2, 4, 5]);
    assert!(device.try_register("new", &mut outbox).await.is_err());
    device.wire.mend();
    set_up(&device, &[1, 2, 3, 4, 5], true);
    let [delivery] = &device.session.deliver(&mut outbox).await.unwrap()[..] else { panic!("the old one alone") };
    assert_eq!((delivery.registration, numbers(&delivery.delivered)), (registration, vec![3]));
    assert!(outbox.0.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_for_another_account_or_by_a_later_version_is_left_alone() {
    let device = device().await;
    let mut outbox = Posted::default();
    set_up(&device, &[3], false);
    device.register_with("right", &mut outbox).await;
    let kept = outbox.0.clone().unwrap();
    for (from, to) in [("\"account\":\"ada\"", "\"account\":\"bob\""), ("\"version\":1", "\"version\":2")] {
        let text = String::from_utf8(kept.clone()).unwrap().replacen(from, to, 1);
        outbox.keep(text.as_bytes()).unwrap();
        device.wire.take_sent();
        assert_eq!(device.session.deliver(&mut outbox).await.unwrap(), []);
        assert!(device.wire.take_sent().is_empty());
        assert_eq!(outbox.0.as_deref(), Some(text.as_bytes()));
    }
}

/// An outbox that two runs of the program write, as they do in one home.
#[derive(Clone)]
struct Shared(Arc<Mutex<Posted>>);

impl Shared {
    fn with(kept: Option<Vec<u8>>) -> Self {
        Self(Arc::new(Mutex::new(Posted(kept, false))))
    }

    fn kept(&self) -> Option<Vec<u8>> {
        self.0.lock().unwrap().0.clone()
    }

    /// Another run writes this while the next request is under way.
    fn write_during_the_next_request(&self, device: &Device, route: &'static str, text: Vec<u8>) {
        let (there, mut text) = (self.clone(), Some(text));
        device.wire.tamper(move |sent, status, body| {
            if sent.body["route"] == route
                && let Some(text) = text.take()
            {
                there.0.lock().unwrap().0 = Some(text);
            }
            (status, body)
        });
    }
}

impl Outbox for Shared {
    fn load(&mut self) -> Option<Vec<u8>> {
        self.0.lock().unwrap().load()
    }

    fn keep(&mut self, undelivered: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.0.lock().unwrap().keep(undelivered)
    }

    fn forget(&mut self) {
        self.0.lock().unwrap().forget();
    }
}

#[tokio::test(start_paused = true)]
async fn a_delivery_does_not_forget_what_a_password_change_keeps_meanwhile() {
    let device = device().await;
    let (mut first, mut second) = (Posted::default(), Posted::default());
    set_up(&device, &[3], false);
    device.register_with("right", &mut first).await;
    device.register_with("new", &mut second).await;
    // The nightly backup has read the outbox before the change, and finds that what it has is of no more use.
    let mut outbox = Shared::with(first.0);
    outbox.write_during_the_next_request(&device, "/v1/registrations", second.0.clone().unwrap());
    assert_eq!(device.session.deliver(&mut outbox).await.unwrap(), []);
    assert_eq!(outbox.kept(), second.0);
    device.wire.mend();
    set_up(&device, &[3], true);
    let [delivery] = &device.session.deliver(&mut outbox).await.unwrap()[..] else { panic!("the new one alone") };
    assert_eq!((numbers(&delivery.delivered), outbox.kept()), (vec![3], None));
    assert_eq!(device.live().await.holders, 5);
}

#[tokio::test(start_paused = true)]
async fn a_registration_does_not_forget_what_is_kept_for_another_account_meanwhile() {
    let device = device().await;
    let (mut elsewhere, mut outbox) = (Posted::default(), Shared::with(None));
    set_up(&device, &[3], false);
    device.register_with("right", &mut elsewhere).await;
    let text = String::from_utf8(elsewhere.0.unwrap()).unwrap();
    let of_bob = text.replacen("\"account\":\"ada\"", "\"account\":\"bob\"", 1);
    outbox.write_during_the_next_request(&device, "/v1/registrations/{id}/activation", of_bob.into_bytes());
    device.register_with("new", &mut outbox).await;
    let kept = String::from_utf8(outbox.kept().unwrap()).unwrap();
    let of = |account: &str| kept.matches(&format!("\"account\":\"{account}\"")).count();
    assert_eq!((of("ada"), of("bob")), (1, 1), "{kept}");
}
