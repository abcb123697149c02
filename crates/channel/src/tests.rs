//! Whatever a gateway may try, nothing opens.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use coffer_proto::{
    AccountId, Base64, Base64Vec, FleetId, RouteId, RouteTemplate, SealedAnswer, SealedMethod, SealedRequest,
    SiteNumber, Time, TransportKeyId,
};

use crate::{
    Answerer, ChannelError, Destination, OpenedAnswer, OpenedRequest, Opener, PlainRequest, Sender, TIME_MAY_DIFFER_BY,
    TransportKey, seal,
};

const NOW: Time = Time::from_unix_seconds(1_795_000_000);
const TOKEN: &str = "e30.e30.AAAA";
const BODY: &[u8] = br#"{"ke1": "..."}"#;
const DESTINATION: Destination =
    Destination { fleet: FleetId([7; 16]), manifest: Base64([8; 32]), site: SiteNumber(2) };

struct Lab {
    key: TransportKey,
    account: AccountId,
    envelope: SealedRequest,
    opener: Opener,
}

impl Lab {
    fn new() -> Self {
        Self::with_body(BODY)
    }

    fn with_body(body: &[u8]) -> Self {
        let (key, account) = (TransportKey::generate(), AccountId::new("ada").unwrap());
        let sender = Sender { account: &account, token: TOKEN };
        let route = RouteTemplate::new("/v1/retrievals/{id}").unwrap();
        let request =
            PlainRequest { method: SealedMethod::Put, route: &route, id: Some(RouteId([1; 16])), body, time: NOW };
        let (envelope, opener) = seal(&DESTINATION, &key.public(), &sender, &request).unwrap();
        Self { key, account, envelope, opener }
    }

    fn open(&self) -> Result<OpenedRequest, ChannelError> {
        self.open_at(NOW)
    }

    fn open_at(&self, now: Time) -> Result<OpenedRequest, ChannelError> {
        self.open_as(&DESTINATION, "ada", TOKEN, now)
    }

    fn open_as(
        &self,
        site: &Destination,
        account: &str,
        token: &str,
        now: Time,
    ) -> Result<OpenedRequest, ChannelError> {
        let account = AccountId::new(account).unwrap();
        self.key.open(site, &Sender { account: &account, token }, &self.envelope, now)
    }

    fn answer(&self, status: u16, body: &[u8]) -> SealedAnswer {
        let answer = OpenedAnswer { status, body: body.to_vec() };
        self.open().unwrap().answerer.seal(&answer).unwrap()
    }

    #[track_caller]
    fn refuses(&self, changed: impl FnOnce(&mut SealedRequest)) {
        let mut envelope = self.envelope.clone();
        changed(&mut envelope);
        let sender = Sender { account: &self.account, token: TOKEN };
        assert_eq!(self.key.open(&DESTINATION, &sender, &envelope, NOW).unwrap_err(), ChannelError::Seal);
    }
}

fn flipped<const MAX: usize>(bytes: &Base64Vec<MAX>, at: usize) -> Base64Vec<MAX> {
    let mut bytes = bytes.as_bytes().to_vec();
    bytes[at] ^= 1;
    Base64Vec::new(bytes).unwrap()
}

#[test]
fn a_request_and_its_answer_go_through() {
    let lab = Lab::new();
    assert_eq!(lab.open().unwrap().body, BODY);
    let answer = lab.answer(423, b"locked");
    let opened = lab.opener.open(Answerer::STATUS, &answer).unwrap();
    assert_eq!((opened.status, opened.body.as_slice()), (423, b"locked".as_slice()));
}

#[test]
fn a_key_is_the_same_after_it_was_bytes() {
    let key = TransportKey::from_bytes(&[9; 32]).unwrap();
    assert_eq!(key.id(), TransportKeyId::of(&key.public()));
    assert_eq!(TransportKey::from_bytes(&[9; 32]).unwrap().public(), key.public());
    assert_ne!(TransportKey::generate().public(), TransportKey::generate().public());
}

#[test]
fn refuses_bytes_that_are_no_key() {
    for bytes in [[0; 32], [0xff; 32]] {
        assert_eq!(TransportKey::from_bytes(&bytes).unwrap_err(), ChannelError::Key);
    }
}

#[test]
fn nothing_is_sealed_to_what_is_no_point() {
    let account = AccountId::new("ada").unwrap();
    let route = RouteTemplate::new("/v1/registrations").unwrap();
    let request = PlainRequest { method: SealedMethod::Get, route: &route, id: None, body: b"", time: NOW };
    let sender = Sender { account: &account, token: TOKEN };
    for key in [[0; 33], [0xff; 33]] {
        assert_eq!(seal(&DESTINATION, &Base64(key), &sender, &request).unwrap_err(), ChannelError::Key);
    }
}

#[test]
fn refuses_an_altered_ciphertext() {
    let lab = Lab::new();
    for at in [0, 500, lab.envelope.ciphertext.as_bytes().len() - 1] {
        lab.refuses(|envelope| envelope.ciphertext = flipped(&envelope.ciphertext, at));
    }
    lab.refuses(|envelope| envelope.ciphertext = Base64Vec::new(vec![0]).unwrap());
}

#[test]
fn refuses_an_altered_encapsulated_key() {
    let lab = Lab::new();
    let other = Lab::new().envelope.enc;
    lab.refuses(|envelope| envelope.enc = other);
    lab.refuses(|envelope| envelope.enc = Base64([4; 65]));
}

#[test]
fn refuses_another_method() {
    Lab::new().refuses(|envelope| envelope.method = SealedMethod::Delete);
}

#[test]
fn refuses_another_route() {
    Lab::new().refuses(|envelope| envelope.route = RouteTemplate::new("/v1/registrations/{id}").unwrap());
}

#[test]
fn refuses_another_id_and_none() {
    let lab = Lab::new();
    lab.refuses(|envelope| envelope.id = Some(RouteId([2; 16])));
    lab.refuses(|envelope| envelope.id = None);
}

#[test]
fn refuses_another_time() {
    Lab::new().refuses(|envelope| envelope.time = NOW + Duration::from_secs(1));
}

#[test]
fn refuses_another_account() {
    assert_eq!(Lab::new().open_as(&DESTINATION, "bob", TOKEN, NOW).unwrap_err(), ChannelError::Seal);
}

#[test]
fn refuses_another_token() {
    assert_eq!(Lab::new().open_as(&DESTINATION, "ada", "e30.e30.AAAB", NOW).unwrap_err(), ChannelError::Seal);
}

#[test]
fn refuses_what_is_for_another_site() {
    let other = Destination { site: SiteNumber(3), ..DESTINATION };
    assert_eq!(Lab::new().open_as(&other, "ada", TOKEN, NOW).unwrap_err(), ChannelError::Seal);
}

#[test]
fn refuses_what_is_for_another_fleet() {
    let other = Destination { fleet: FleetId([8; 16]), ..DESTINATION };
    assert_eq!(Lab::new().open_as(&other, "ada", TOKEN, NOW).unwrap_err(), ChannelError::Seal);
}

#[test]
fn refuses_what_was_sealed_under_another_manifest() {
    let other = Destination { manifest: Base64([9; 32]), ..DESTINATION };
    assert_eq!(Lab::new().open_as(&other, "ada", TOKEN, NOW).unwrap_err(), ChannelError::Seal);
}

#[test]
fn refuses_what_was_sealed_to_another_key() {
    let mut lab = Lab::new();
    lab.key = TransportKey::generate();
    assert_eq!(lab.open().unwrap_err(), ChannelError::OtherKey);
    lab.envelope.key = lab.key.id();
    assert_eq!(lab.open().unwrap_err(), ChannelError::Seal);
}

#[test]
fn refuses_what_is_too_old_or_from_the_future() {
    let (lab, second) = (Lab::new(), Duration::from_secs(1));
    for now in [NOW + TIME_MAY_DIFFER_BY, NOW - TIME_MAY_DIFFER_BY] {
        assert!(lab.open_at(now).is_ok());
    }
    for now in [NOW + TIME_MAY_DIFFER_BY + second, NOW - TIME_MAY_DIFFER_BY - second] {
        assert_eq!(lab.open_at(now).unwrap_err(), ChannelError::Time);
    }
}

#[test]
fn refuses_the_answer_to_another_request() {
    let (lab, other) = (Lab::new(), Lab::new());
    let answer = other.answer(200, b"{}");
    assert_eq!(lab.opener.open(200, &answer).unwrap_err(), ChannelError::Seal);
}

#[test]
fn refuses_an_answer_with_another_status() {
    let lab = Lab::new();
    let answer = lab.answer(200, b"{}");
    for status in [201, 404, 0] {
        assert_eq!(lab.opener.open(status, &answer).unwrap_err(), ChannelError::Seal);
    }
}

#[test]
fn refuses_an_altered_answer() {
    let lab = Lab::new();
    let answer = lab.answer(200, b"{}");
    let ciphertext = flipped(&answer.ciphertext, 2);
    assert_eq!(lab.opener.open(200, &SealedAnswer { ciphertext, ..answer.clone() }).unwrap_err(), ChannelError::Seal);
    assert_eq!(
        lab.opener.open(200, &SealedAnswer { nonce: Base64([0; 32]), ..answer }).unwrap_err(),
        ChannelError::Seal
    );
}

#[test]
fn a_request_that_is_sent_twice_is_not_answered_under_one_key() {
    let lab = Lab::new();
    let answers = [lab.answer(200, b"one"), lab.answer(200, b"two")];
    assert_ne!(answers[0].nonce, answers[1].nonce);
    for (answer, body) in answers.iter().zip([b"one", b"two"]) {
        assert_eq!(lab.opener.open(200, answer).unwrap().body, body);
    }
    let [one, two] = answers;
    let mixed = SealedAnswer { nonce: one.nonce, ciphertext: two.ciphertext };
    assert_eq!(lab.opener.open(200, &mixed).unwrap_err(), ChannelError::Seal);
}

#[test]
fn lengths_say_nothing_within_a_kibibyte() {
    let lengths = [&b""[..], BODY, &[b'x'; 1000]].map(|body| Lab::with_body(body).envelope.ciphertext.as_bytes().len());
    assert_eq!(lengths, [1040; 3]);
    let lab = Lab::new();
    let answers = [(200, &b"{}"[..]), (204, b""), (423, &[b'x'; 1000])];
    let lengths = answers.map(|(status, body)| lab.answer(status, body).ciphertext.as_bytes().len());
    assert_eq!(lengths, [1040; 3]);
}

#[test]
fn the_longest_body_of_the_api_fits_and_a_much_longer_one_does_not() {
    assert_eq!(Lab::with_body(&[b'x'; 16 << 10]).open().unwrap().body.len(), 16 << 10);
    let lab = Lab::new();
    let answerer = lab.open().unwrap().answerer;
    let answer = OpenedAnswer { status: 200, body: vec![b'x'; 128 << 10] };
    assert_eq!(answerer.seal(&answer).unwrap_err(), ChannelError::TooLong);
}

#[test]
fn debug_prints_no_secret() {
    let lab = Lab::new();
    let opened = lab.open().unwrap();
    let answer = lab.opener.open(200, &lab.answer(200, b"secret")).unwrap();
    assert_eq!(format!("{:?}", lab.key), format!("TransportKey {{ id: {}, .. }}", lab.key.id()));
    assert_eq!(
        format!("{opened:?} {:?} {:?}", lab.opener, opened.answerer),
        "OpenedRequest(..) Opener(..) Answerer(..)"
    );
    assert_eq!(format!("{answer:?}"), "OpenedAnswer { status: 200, .. }");
}
