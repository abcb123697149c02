//! A hostile gateway between a device and its vault, and all that it may try.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use coffer_keys::{BackupKey, SigningKey};
use coffer_proto::{Base64, Problem, ProblemType};
use coffer_testkit::TestFleet;
use coffer_vault_client::{
    AccountId, Fleet, Method, NoCertificate, NothingKept, Registered, Request, RequestError, RetrieveError, Session,
    SiteNumber, SiteTransport, Time, Token, Transport as _, TransportError,
};
use serde_json::{Value, json};

use crate::device::{CHEAP, Kept, password, patient};
use crate::wire::{Wire, problem};

const FLEET: &str = "Get /v1/fleet";
const SEALED: &str = "Post /v1/sites/1/sealed";
const STATUS: Request<'_> = Request { method: Method::Get, path: "/v1/registrations", token: None, body: None };

/// A device whose vault says that a gateway stands in front.
struct Behind {
    wire: Wire,
    token: String,
    seed: [u8; 32],
    backup_key: BackupKey,
}

impl Behind {
    async fn new() -> Self {
        let vault = TestFleet::single(patient()).await;
        vault.seal_only();
        let seed = *SigningKey::generate().unwrap().expose_seed();
        let token = vault.token(&account(), Base64(SigningKey::from_seed(seed).public()));
        Self { wire: Wire::to(vault), token, seed, backup_key: BackupKey::generate().unwrap() }
    }

    async fn fleet(&self) -> Fleet {
        let (vault, token) = (&self.wire.vault, Token::parse(&self.token).unwrap());
        Fleet::fetch(&self.wire, &vault.fingerprint(), &token, None, vault.now()).await.unwrap()
    }

    fn way(&self, fleet: &Fleet) -> Result<SiteTransport<Wire>, NoCertificate> {
        SiteTransport::new(self.wire.clone(), fleet, SiteNumber(1), &account(), self.wire.clock())
    }

    async fn session(&self) -> Session<Wire> {
        let fleet = self.fleet().await;
        let token = Token::parse(&self.token).unwrap();
        self.wire.take_sent();
        Session::new(self.wire.clone(), fleet, token, SigningKey::from_seed(self.seed), self.wire.clock())
    }

    async fn protected() -> (Self, Session<Wire>) {
        let behind = Self::new().await;
        let session = behind.session().await;
        let registered =
            session.register(&password("right"), &behind.backup_key, &CHEAP, &mut NothingKept).await.unwrap();
        assert!(matches!(registered, Registered::Protected { .. }));
        behind.wire.take_sent();
        (behind, session)
    }

    /// What comes of asking for the status when each answer is changed in this way.
    async fn with_answers(change: impl FnMut(u16, Vec<u8>) -> (u16, Vec<u8>) + Send + 'static) -> TransportError {
        let behind = Self::new().await;
        let way = behind.way(&behind.fleet().await).unwrap();
        let mut change = change;
        behind.wire.tamper(move |sent, status, body| {
            assert_eq!(sent.route(), SEALED);
            change(status, body)
        });
        way.send(&Request { token: Some(&behind.token), ..STATUS }).await.unwrap_err()
    }
}

fn account() -> AccountId {
    AccountId::new("ada").unwrap()
}

#[tokio::test(start_paused = true)]
async fn everything_goes_sealed_and_the_gateway_sees_routes_alone() {
    let (behind, session) = Behind::protected().await;
    let retrieved = session.retrieve(&password("right"), &mut Kept::default()).await.unwrap();
    assert_eq!(retrieved.backup_key.expose_bytes(), behind.backup_key.expose_bytes());
    let wrong = session.retrieve(&password("wrong"), &mut Kept::default()).await;
    assert!(matches!(wrong, Err(RetrieveError::WrongPassword { attempts_remaining: 9, .. })), "{wrong:?}");
    let sent = behind.wire.take_sent();
    assert!(sent.iter().all(|sent| sent.route() == SEALED), "{sent:?}");
    let fields = |body: &Value| body.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let seen = ["ciphertext", "enc", "id", "key", "method", "route", "time"];
    assert!(sent.iter().all(|sent| fields(&sent.body).iter().all(|field| seen.contains(&field.as_str()))));
}

#[tokio::test(start_paused = true)]
async fn without_a_gateway_one_site_is_asked_as_it_is() {
    let vault = TestFleet::single(patient()).await;
    let seed = *SigningKey::generate().unwrap().expose_seed();
    let token = vault.token(&account(), Base64(SigningKey::from_seed(seed).public()));
    let behind = Behind { wire: Wire::to(vault), token, seed, backup_key: BackupKey::generate().unwrap() };
    behind.session().await.status().await.unwrap();
    assert_eq!(behind.wire.take_sent()[0].route(), "Get /v1/registrations");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_says_not_registered_is_not_believed() {
    let (behind, session) = Behind::protected().await;
    for lie in [ProblemType::NotRegistered, ProblemType::Locked, ProblemType::InvalidProof, ProblemType::Erased] {
        behind.wire.tamper(move |_, _, _| problem(lie));
        let outcome = session.retrieve(&password("right"), &mut Kept::default()).await;
        let is_refused = matches!(outcome, Err(RetrieveError::Request(RequestError::NotAVault(_))));
        assert!(is_refused, "{lie:?}: {outcome:?}");
    }
    behind.wire.mend();
    assert!(session.retrieve(&password("right"), &mut Kept::default()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_says_wait_is_heard_as_busy_and_no_more() {
    let (behind, session) = Behind::protected().await;
    behind.wire.tamper(|_, _, _| problem(ProblemType::Wait));
    let outcome = session.status().await;
    assert_eq!(outcome.unwrap_err(), RequestError::TooManyRequests { retry_at: None });
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_drops_is_an_outage_and_costs_no_second_guess() {
    let (behind, session) = Behind::protected().await;
    let mut kept = Kept::default();
    behind.wire.tamper(|_, _, _| problem(ProblemType::SiteUnreachable));
    let outcome = session.retrieve(&password("right"), &mut kept).await;
    assert!(matches!(outcome, Err(RetrieveError::Request(RequestError::Unavailable))), "{outcome:?}");
    behind.wire.mend();
    let retrieved = session.retrieve(&password("right"), &mut kept).await.unwrap();
    assert_eq!(retrieved.attempts_remaining, 10);
}

#[tokio::test(start_paused = true)]
async fn refuses_an_answer_that_the_gateway_has_altered() {
    let altered = Behind::with_answers(|status, body| {
        let mut answer: Value = serde_json::from_slice(&body).unwrap();
        let text = answer["ciphertext"].as_str().unwrap();
        let other = if text.starts_with('A') { "B" } else { "A" };
        answer["ciphertext"] = format!("{other}{}", &text[1..]).into();
        (status, serde_json::to_vec(&answer).unwrap())
    });
    assert_eq!(altered.await, TransportError::Unsealed);
}

#[tokio::test(start_paused = true)]
async fn refuses_an_answer_in_the_clear() {
    let clear = json!({ "live": null, "waiting": null, "locked": null, "cool_down_until": null });
    let clear = serde_json::to_vec(&clear).unwrap();
    assert_eq!(Behind::with_answers(move |_, _| (200, clear.clone())).await, TransportError::Unsealed);
    assert_eq!(Behind::with_answers(|_, body| (201, body)).await, TransportError::Unsealed);
}

#[tokio::test(start_paused = true)]
async fn refuses_the_answer_to_another_request() {
    let behind = Behind::new().await;
    let way = behind.way(&behind.fleet().await).unwrap();
    let first: Mutex<Option<Vec<u8>>> = Mutex::default();
    behind.wire.tamper(move |_, status, body| (status, first.lock().unwrap().get_or_insert(body).clone()));
    let request = Request { token: Some(&behind.token), ..STATUS };
    assert_eq!(way.send(&request).await.unwrap().status, 200);
    assert_eq!(way.send(&request).await, Err(TransportError::Unsealed));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_swaps_accounts_is_refused_by_the_site() {
    let behind = Behind::new().await;
    let way = behind.way(&behind.fleet().await).unwrap();
    let bobs =
        behind.wire.vault.token(&AccountId::new("bob").unwrap(), Base64(SigningKey::from_seed(behind.seed).public()));
    // What Ada has sealed with her token goes on under Bob's.
    behind.wire.replace_tokens(&bobs);
    let request = Request { token: Some(&behind.token), ..STATUS };
    assert_eq!(way.send(&request).await, Err(TransportError::StaleKeys));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_repeats_a_retrieval_spends_no_second_guess() {
    let (behind, session) = Behind::protected().await;
    let wrong = session.retrieve(&password("wrong"), &mut Kept::default()).await;
    assert!(matches!(wrong, Err(RetrieveError::WrongPassword { attempts_remaining: 9, .. })), "{wrong:?}");
    let retrieval = behind.wire.take_sent().into_iter().find(|sent| sent.body["route"] == "/v1/retrievals/{id}");
    let body = serde_json::to_vec(&retrieval.unwrap().body).unwrap();
    for _ in 0..3 {
        let answered = behind.wire.vault.handle("POST", "/v1/sites/1/sealed", &behind.token, &body).await;
        assert_eq!(answered.0, 200);
    }
    assert_eq!(session.status().await.unwrap().live.unwrap().attempts_remaining, 9);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_sends_a_request_to_another_site_is_refused_there() {
    let (behind, other) = (Behind::new().await, Behind::new().await);
    let way = behind.way(&behind.fleet().await).unwrap();
    behind.wire.take_sent();
    way.send(&Request { token: Some(&behind.token), ..STATUS }).await.unwrap();
    let body = serde_json::to_vec(&behind.wire.take_sent().remove(0).body).unwrap();
    // The other site has keys of its own, and does not know the one that this was sealed to.
    other.fleet().await;
    let (status, refusal) = other.wire.vault.handle("POST", "/v1/sites/1/sealed", &other.token, &body).await;
    let refusal: Problem = serde_json::from_slice(&refusal).unwrap();
    assert_eq!((status, refusal.problem_type), (409, ProblemType::UnknownTransportKey));
}

#[tokio::test(start_paused = true)]
async fn refuses_a_fleet_whose_transport_key_nobody_vouches_for() {
    for field in ["transport_key", "receipt_key", "not_after", "site"] {
        let behind = Behind::new().await;
        behind.wire.tamper_json(FLEET, move |answer| {
            answer["certificates"][0][field] = match field {
                "transport_key" => json!(format!("A{}", "g".repeat(43))),
                "receipt_key" => json!("A".repeat(43)),
                "not_after" => json!("2099-01-01T00:00:00Z"),
                _ => json!(2),
            };
        });
        assert_eq!(behind.way(&behind.fleet().await).err(), Some(NoCertificate(SiteNumber(1))), "{field}");
    }
}

#[tokio::test(start_paused = true)]
async fn refuses_a_certificate_that_has_ended() {
    let behind = Behind::new().await;
    let fleet = behind.fleet().await;
    behind.wire.vault.clock().advance(Duration::from_secs(3 * 24 * 3600));
    assert_eq!(behind.way(&fleet).err(), Some(NoCertificate(SiteNumber(1))));
}

#[tokio::test(start_paused = true)]
async fn a_site_with_new_keys_says_so_and_the_fleet_is_fetched_again_once() {
    let (behind, session) = Behind::protected().await;
    behind.wire.vault.restart(1).await;
    assert!(session.status().await.unwrap().live.is_some());
    let routes: Vec<String> = behind.wire.take_sent().iter().map(|sent| sent.route()).collect();
    assert_eq!(routes, [SEALED, FLEET, SEALED]);
    behind.wire.tamper(|sent, status, body| match sent.route().as_str() {
        SEALED => problem(ProblemType::UnknownTransportKey),
        _ => (status, body),
    });
    assert_eq!(session.status().await.unwrap_err(), RequestError::StaleKeys);
    assert_eq!(behind.wire.take_sent().iter().filter(|sent| sent.route() == FLEET).count(), 1);
}

/// It would try again for ever, if it were told that the vault is busy.
#[tokio::test(start_paused = true)]
async fn a_device_whose_clock_is_wrong_is_not_told_that_the_vault_cannot_do_it() {
    let behind = Behind::new().await;
    let right = behind.wire.vault.now();
    for shift in [-3600, 3600] {
        let behind = Behind::new().await;
        let wrong = Time::from_unix_seconds(right.unix_seconds() + shift);
        let token = Token::parse(&behind.token).unwrap();
        let fleet = Fleet::fetch(&behind.wire, &behind.wire.vault.fingerprint(), &token, None, wrong).await.unwrap();
        let device_key = SigningKey::from_seed(behind.seed);
        let session = Session::new(behind.wire.clone(), fleet, token, device_key, Arc::new(move || wrong));
        assert_eq!(session.status().await.unwrap_err(), RequestError::StaleKeys, "{shift}");
    }
}

#[tokio::test(start_paused = true)]
async fn refuses_an_older_manifest_when_the_fleet_is_fetched_again() {
    let (behind, session) = Behind::protected().await;
    behind.wire.vault.restart(1).await;
    let mut older = behind.wire.vault.manifest();
    older.version -= 1;
    let older = serde_json::to_value(behind.wire.vault.sign(&older)).unwrap();
    behind.wire.tamper_json(FLEET, move |answer| answer["manifest"] = older.clone());
    assert!(matches!(session.status().await, Err(RequestError::NotAVault(_))));
    behind.wire.mend();
    assert!(session.status().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn whoever_hides_that_a_gateway_is_there_gets_nothing_answered() {
    let behind = Behind::new().await;
    behind.wire.tamper_json(FLEET, |answer| answer["sealed_only"] = json!(false));
    let outcome = behind.session().await.status().await;
    assert_eq!(outcome.unwrap_err(), RequestError::Refused(ProblemType::NoSuchRoute));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_hides_that_a_new_password_was_taken_makes_nobody_keep_to_the_old_one() {
    for lie in [ProblemType::TooManyRequests, ProblemType::Unauthorized] {
        let (behind, session) = Behind::protected().await;
        behind.wire.tamper(move |sent, status, body| {
            let is_activation = sent.body["route"] == "/v1/registrations/{id}/activation";
            if is_activation { problem(lie) } else { (status, body) }
        });
        let outcome = session.register(&password("new"), &behind.backup_key, &CHEAP, &mut NothingKept).await;
        assert!(matches!(outcome, Ok(Registered::Protected { .. })), "{lie:?}: {outcome:?}");
        behind.wire.mend();
        assert!(session.retrieve(&password("new"), &mut Kept::default()).await.is_ok());
    }
}
