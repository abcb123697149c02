//! A client's device: it registers, guesses, proves, sends the same bytes again wherever it gets no answer, and has every
//! request noted in the history.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use coffer_keys::{BackupKey, ExportKey, SigningKey};
use coffer_pake::{Argon2Parameters, Identities, Point, deal_registration};
use coffer_proto::{
    AccountId, Activated, ActivationRequest, Argon2, Authorization, Base64, Base64Vec, KeyRole, ProblemType, Receipt,
    Registration, RegistrationId, RegistrationRequest, RegistrationsAnswer, SealedShare, ShareContext, SiteNumber,
    activation_message, client_identity, escrow_context, oprf_context, registration_message,
};
use serde::de::DeserializeOwned;

use crate::door::{Call, Door, Failed};
use crate::fleet::SITES;
use crate::history::{Act, Event, History, Outcome};

/// The least that a client works with.
pub(crate) const ARGON2: Argon2Parameters = Argon2Parameters { memory_kib: 8 * 1024, passes: 1, lanes: 1 };
pub(crate) const SHOWN_ARGON2: Argon2 =
    Argon2 { memory_kib: ARGON2.memory_kib, passes: ARGON2.passes, lanes: ARGON2.lanes };
pub(crate) const RIGHT: &str = "four dolphins under a lamp";
pub(crate) const WRONG: &str = "four dolphins under a tent";

/// How long a device asks for one thing: longer than any fault of these tests lasts.
const INSISTS_FOR: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(50);
/// Receipts that an activation needs.
const RECEIPTS: usize = 4;

static NEXT_SITE: AtomicU64 = AtomicU64::new(0);

/// All sites, beginning with another one each time.
pub(crate) fn sites_in_turn() -> Vec<u8> {
    let first = usize::try_from(NEXT_SITE.fetch_add(1, Ordering::Relaxed) % 5).unwrap();
    let mut sites = SITES.to_vec();
    sites.rotate_left(first);
    sites
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

pub(crate) struct Device<'a, D> {
    pub(crate) door: &'a D,
    pub(crate) history: &'a History,
    pub(crate) account: AccountId,
    pub(crate) key: SigningKey,
    pub(crate) token: String,
    pub(crate) backup_key: BackupKey,
}

/// A registration, and what every site is to be sent of it.
pub(crate) struct Dealt {
    pub(crate) registration: Registration,
    unlock_key: SigningKey,
    sealed: Vec<SealedShare>,
    receipts: Vec<Point>,
}

/// What stands in the way of an answer for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Refused(ProblemType),
    GaveUp,
}

impl<'a, D: Door> Device<'a, D> {
    pub(crate) fn new(door: &'a D, history: &'a History, account: &str) -> Self {
        let account = AccountId::new(account).unwrap();
        let key = SigningKey::generate().unwrap();
        let token = door.token(&account, &key);
        Self { door, history, account, key, token, backup_key: BackupKey::generate().unwrap() }
    }

    /// Sends one request to one site.
    pub(crate) fn send<A: DeserializeOwned>(
        &self,
        site: u8,
        registration: &RegistrationId,
        act: Act,
        call: &Call,
    ) -> Result<A, Failed> {
        let start = self.history.now();
        let sent = self.door.send(site, &self.token, call);
        let outcome = match &sent {
            Ok(body) => {
                let body: serde_json::Value = serde_json::from_slice(body).unwrap();
                Outcome::Done { remaining: body["attempts_remaining"].as_u64().map(|left| left.try_into().unwrap()) }
            }
            Err(Failed::Refused(problem)) => Outcome::Refused(*problem),
            Err(Failed::Unavailable) => Outcome::Unavailable,
            Err(Failed::Silence) => Outcome::Silence,
        };
        let (account, registration, end) = (self.account.clone(), *registration, self.history.now());
        self.history.note(Event { account, registration, act, site, start, end, outcome });
        sent.map(|body| serde_json::from_slice(&body).unwrap())
    }

    /// Sends the same to one site after the other until one answers, and which one that is.
    pub(crate) fn insist<A: DeserializeOwned>(
        &self,
        registration: &RegistrationId,
        act: Act,
        call: &Call,
    ) -> Result<(u8, A), Ended> {
        let until = self.history.now() + INSISTS_FOR;
        let mut sites = sites_in_turn().into_iter().cycle();
        while self.history.now() < until {
            if self.history.is_over() {
                return Err(Ended::GaveUp);
            }
            let site = sites.next().unwrap();
            match self.send(site, registration, act, call) {
                Ok(answer) => return Ok((site, answer)),
                Err(Failed::Refused(problem)) => return Err(Ended::Refused(problem)),
                Err(Failed::Unavailable | Failed::Silence) => thread::sleep(PAUSE),
            }
        }
        self.history.complain(format!("{}: {act:?} was not answered for {INSISTS_FOR:?}", self.account.as_str()));
        Err(Ended::GaveUp)
    }

    pub(crate) fn status(&self) -> Option<RegistrationsAnswer> {
        self.insist(&RegistrationId([0; 16]), Act::Status, &Call::Status).ok().map(|(_, status)| status)
    }

    /// OPAQUE's client identity and context.
    pub(crate) fn names(&self, id: &RegistrationId) -> (Vec<u8>, Vec<u8>) {
        let manifest = self.door.manifest();
        let sites = u8::try_from(manifest.sites.len()).unwrap();
        (client_identity(&self.account, id), oprf_context(&SHOWN_ARGON2, sites, manifest.threshold))
    }

    pub(crate) fn ake(&self) -> Point {
        Point::parse(&self.door.manifest().ake.0).unwrap()
    }

    fn context(&self, registration: &Registration, site: u8) -> Vec<u8> {
        let manifest = self.door.manifest();
        let (fleet, account, site) = (&manifest.fleet, &self.account, SiteNumber(site));
        let sites = u8::try_from(manifest.sites.len()).unwrap();
        ShareContext { fleet, site, account, registration, sites }.encode()
    }

    pub(crate) fn deal(&self) -> Dealt {
        let manifest = self.door.manifest();
        let id = RegistrationId(random());
        let (client, context) = self.names(&id);
        let identities = Identities { client: &client, server: manifest.fleet.as_bytes(), context: &context };
        let dealt =
            deal_registration(RIGHT.as_bytes(), &identities, &ARGON2, &self.ake(), 5, manifest.threshold).unwrap();
        let export_key = ExportKey::from_bytes(*dealt.export_key.expose_bytes());
        let escrow = escrow_context(&manifest.fleet, &self.account, &id);
        let wrapped = export_key.wrap_backup_key(&self.backup_key, &escrow).unwrap();
        let unlock_key = export_key.derive_unlock_key();
        let mut registration = Registration {
            id,
            manifest_version: manifest.version,
            argon2: SHOWN_ARGON2,
            commitments: dealt.commitments.iter().map(|point| Base64(point.encode())).collect(),
            sealed_share_hashes: Vec::new(),
            unlock_key: Base64(unlock_key.public()),
            owner_key: Base64(self.backup_key.derive_owner_key().public()),
            upload: Base64(dealt.upload),
            wrapped_backup_key: Base64Vec::new(wrapped.to_bytes().to_vec()).unwrap(),
        };
        let (mut sealed, mut receipts) = (Vec::new(), Vec::new());
        for (share, entry) in dealt.shares.iter().zip(&manifest.sites) {
            let context = self.context(&registration, entry.site.0);
            let one = share.seal(&Point::parse(&entry.share_import.0).unwrap(), &context).unwrap();
            let wrapped = Base64Vec::new(one.wrapped).unwrap();
            sealed.push(SealedShare { ephemeral: Base64(one.ephemeral.encode()), wrapped });
            receipts.push(share.receipt(&context));
        }
        registration.sealed_share_hashes = sealed.iter().map(SealedShare::hash).collect();
        Dealt { registration, unlock_key, sealed, receipts }
    }

    fn deliver(&self, dealt: &Dealt, site: u8) -> Result<Receipt, Failed> {
        let message = registration_message(&self.door.manifest().fleet, &self.account, &dealt.registration);
        let position = usize::from(site) - 1;
        let call = Call::Register(Box::new(RegistrationRequest {
            registration: dealt.registration.clone(),
            sealed_share: dealt.sealed[position].clone(),
            unlock_signature: Base64(dealt.unlock_key.sign(&message)),
            device_signature: Base64(self.key.sign(&message)),
        }));
        let receipt: Receipt = self.send(site, &dealt.registration.id, Act::Register, &call)?;
        assert_eq!(receipt.point.0, dealt.receipts[position].encode(), "site {site} holds another share");
        Ok(receipt)
    }

    /// Delivers to all sites, and goes on once enough of them have given their receipts. Those that have not.
    fn deliver_to_enough(&self, dealt: &Dealt) -> Option<(Vec<Receipt>, Vec<u8>)> {
        let until = self.history.now() + INSISTS_FOR;
        let (mut receipts, mut missing) = (Vec::new(), sites_in_turn());
        while receipts.len() < RECEIPTS {
            missing.retain(|site| match self.deliver(dealt, *site) {
                Ok(receipt) => {
                    receipts.push(receipt);
                    false
                }
                Err(Failed::Refused(problem)) => {
                    self.history.complain(format!("site {site} refuses a share: {problem:?}"));
                    true
                }
                Err(Failed::Unavailable | Failed::Silence) => true,
            });
            if self.history.is_over() {
                return None;
            }
            if self.history.now() > until {
                self.history.complain("no registration was taken in time".to_owned());
                return None;
            }
            thread::sleep(PAUSE);
        }
        Some((receipts, missing))
    }

    /// Registers the right password; in the place of another registration, with the owner's signature. Gives what was
    /// activated, if that was acknowledged.
    pub(crate) fn register(&self, replaces: Option<&Registered>) -> Option<Registered> {
        let dealt = self.deal();
        let (receipts, missing) = self.deliver_to_enough(&dealt)?;
        let (id, hash) = (dealt.registration.id, dealt.registration.hash());
        let replaces = replaces.map(Registered::id);
        let fleet = &self.door.manifest().fleet;
        let message = activation_message(fleet, &self.account, &id, &hash, replaces.as_ref());
        let owner = Base64(self.backup_key.derive_owner_key().sign(&message));
        let authorization = replaces.map(|_| Authorization { role: KeyRole::Owner, signature: owner });
        let device_signature = Base64(self.key.sign(&message));
        let request = ActivationRequest { replaces, receipts, device_signature, authorization };
        let call = Call::Activate(id, request);
        loop {
            match self.insist::<Activated>(&id, Act::Activate, &call) {
                Ok((_, Activated::Live)) => return Some(Registered { dealt, missing }),
                // Only a site that holds a share activates.
                Err(Ended::Refused(ProblemType::NotDelivered)) => {}
                Ok((_, waiting)) => self.history.complain(format!("the owner's registration is {waiting:?}")),
                Err(ended) => {
                    self.history.complain(format!("an activation ends with {ended:?}"));
                    return None;
                }
            }
        }
    }

    /// Delivers what was not delivered.
    pub(crate) fn deliver_the_rest(&self, registered: &Registered) {
        for site in &registered.missing {
            if let Err(failed) = self.deliver(&registered.dealt, *site) {
                self.history.complain(format!("site {site} does not take its share: {failed:?}"));
            }
        }
    }
}

/// A registration that was activated.
pub(crate) struct Registered {
    dealt: Dealt,
    /// Sites that have given no receipt.
    missing: Vec<u8>,
}

impl Registered {
    pub(crate) fn id(&self) -> RegistrationId {
        self.dealt.registration.id
    }
}
