//! Guesses: wrong ones, and the right one with its proof.

use coffer_keys::{ExportKey, WrappedBackupKey};
use coffer_pake::{ClientLogin, Identities};
use coffer_proto::{
    AttemptId, Base64, Hash, ProblemType, ProofAnswer, ProofRequest, RegistrationId, RetrievalAnswer, RetrievalRequest,
    attempt_message, escrow_context, proof_message,
};

use crate::device::{ARGON2, Device, Ended, RIGHT, WRONG, random, sites_in_turn};
use crate::door::{Call, Door, Failed};
use crate::history::Act;

/// Sites that are sent a proof before the exchange is begun again.
const PROOFS_AT_ONCE: usize = 2;

/// An attempt that a device keeps until it is over.
struct Attempt {
    id: AttemptId,
    number: u64,
    login: ClientLogin,
    retrieve: Call,
}

struct Opened {
    proof: ProofRequest,
    export_key: ExportKey,
}

impl<D: Door> Device<'_, D> {
    fn attempt(&self, registration: &RegistrationId, number: u64, password: &str) -> Attempt {
        let (login, ke1) = ClientLogin::start(password.as_bytes()).unwrap();
        let (id, ke1) = (AttemptId(random()), Base64(ke1));
        let fleet = &self.door.manifest().fleet;
        let message = attempt_message(fleet, &self.account, registration, &id, number, &Hash::from(&ke1));
        let device_signature = Base64(self.key.sign(&message));
        let request = RetrievalRequest { registration: *registration, number, ke1, device_signature };
        Attempt { id, number, login, retrieve: Call::Retrieve(id, request) }
    }

    /// A new attempt at the live registration, for which the status gives the number.
    fn begin(&self, registration: &RegistrationId, password: &str) -> Result<Attempt, Ended> {
        let status = self.status().ok_or(Ended::GaveUp)?;
        match status.live {
            Some(live) if live.id == *registration => Ok(self.attempt(registration, live.next_attempt, password)),
            Some(_) => Err(Ended::Refused(ProblemType::RegistrationChanged)),
            None if status.locked.is_some() => Err(Ended::Refused(ProblemType::Locked)),
            None => Err(Ended::Refused(ProblemType::NotRegistered)),
        }
    }

    /// Guesses wrong, until it is answered or refused for good.
    pub(crate) fn guess_wrong(&self, registration: &RegistrationId) -> Result<(), Ended> {
        loop {
            let attempt = self.begin(registration, WRONG)?;
            let answered: Result<(u8, RetrievalAnswer), _> =
                self.insist(registration, Act::Guess(attempt.id), &attempt.retrieve);
            match answered {
                // Another device was faster.
                Err(Ended::Refused(ProblemType::AttemptClosed)) => {}
                other => return other.map(drop),
            }
        }
    }

    /// Guesses right, and proves it.
    pub(crate) fn restore(&self, registration: &RegistrationId) -> Result<(), Ended> {
        loop {
            let attempt = self.begin(registration, RIGHT)?;
            match self.prove(registration, &attempt) {
                Err(Ended::Refused(ProblemType::AttemptClosed)) => {}
                other => return other,
            }
        }
    }

    /// `AttemptClosed` is also what becomes of a proof that was taken without an answer.
    fn prove(&self, registration: &RegistrationId, attempt: &Attempt) -> Result<(), Ended> {
        loop {
            let (site, answer): (u8, RetrievalAnswer) =
                self.insist(registration, Act::Guess(attempt.id), &attempt.retrieve)?;
            let opened = self.open(registration, attempt, &answer).ok_or(Ended::GaveUp)?;
            let call = Call::Prove(attempt.id, opened.proof.clone());
            // The one that answered can verify it; the others know it if it was taken already.
            let others = sites_in_turn().into_iter().filter(|other| *other != site);
            for site in std::iter::once(site).chain(others).take(PROOFS_AT_ONCE) {
                match self.send(site, registration, Act::Prove(attempt.id), &call) {
                    Ok(proved) => {
                        self.unwrap(registration, &opened, &proved);
                        return Ok(());
                    }
                    Err(Failed::Refused(ProblemType::RetrieveAgain)) => break,
                    Err(Failed::Refused(problem)) => return Err(Ended::Refused(problem)),
                    Err(Failed::Unavailable | Failed::Silence) => {}
                }
            }
        }
    }

    /// OPAQUE's last step, which the right password always passes.
    fn open(&self, registration: &RegistrationId, attempt: &Attempt, answer: &RetrievalAnswer) -> Option<Opened> {
        let (client, context) = self.names(registration);
        let fleet = &self.door.manifest().fleet;
        let identities = Identities { client: &client, server: fleet.as_bytes(), context: &context };
        let finished = attempt.login.finish(RIGHT.as_bytes(), &answer.ke2.0, &identities, &ARGON2, &self.ake());
        let Ok(finished) = finished else {
            self.history.complain(format!("{}: the right password opens nothing", self.account.as_str()));
            return None;
        };
        let export_key = ExportKey::from_bytes(*finished.export_key.expose_bytes());
        let nonces = answer.nonces.clone();
        let message = proof_message(fleet, &self.account, registration, &attempt.id, attempt.number, &nonces);
        let unlock_signature = Base64(export_key.derive_unlock_key().sign(&message));
        Some(Opened { proof: ProofRequest { ke3: Base64(finished.ke3), nonces, unlock_signature }, export_key })
    }

    fn unwrap(&self, registration: &RegistrationId, opened: &Opened, proved: &ProofAnswer) {
        let escrow = escrow_context(&self.door.manifest().fleet, &self.account, registration);
        let wrapped = WrappedBackupKey::parse(proved.wrapped_backup_key.as_bytes()).unwrap();
        if opened.export_key.unwrap_backup_key(&wrapped, &escrow).ok().as_ref() != Some(&self.backup_key) {
            self.history.complain(format!("{}: another key came back", self.account.as_str()));
        }
    }
}
