//! Erasing. A site erases a share only on what it has verified itself; the record's word alone may refuse service, never
//! erase (docs/protocol.md, A6).

use std::collections::BTreeSet;

use coffer_proto::{
    AccountId, Authorization, Change, DeletionId, Hash, RegistrationId, Signature, Time, activation_message,
    attempt_message, deletion_message,
};

use crate::error::VaultError;
use crate::evidence::{device_signed, is_authorized};
use crate::ledger::{Held, SiteRow, row_key};
use crate::ports::Ledger as _;
use crate::record::{Activation, Attempt, AttemptState, Cause, Deletion, Live, VaultRecord, Waiting};
use crate::rows::{Row, WriteError};
use crate::site::Site;
use crate::token::AccountToken;
use crate::world::World;

/// A request to end a registration, as the record has it.
struct Ending<'a> {
    what: What<'a>,
    at: Time,
    token: &'a AccountToken,
    device_signature: &'a Signature,
    authorization: Option<&'a Authorization>,
}

/// How it is to end.
#[derive(Clone, Copy)]
enum What<'a> {
    /// Another takes its place; that one's [`Registration::hash`](coffer_proto::Registration::hash).
    Replaced(&'a RegistrationId, &'a Hash),
    Deleted(&'a DeletionId),
}

impl<'a> Ending<'a> {
    fn by(successor: &'a RegistrationId, hash: &'a Hash, activation: &'a Activation) -> Self {
        Self {
            what: What::Replaced(successor, hash),
            at: activation.at,
            token: &activation.token,
            device_signature: &activation.device_signature,
            authorization: activation.authorization.as_ref(),
        }
    }

    fn deletion(asked: &'a Deletion) -> Self {
        Self {
            what: What::Deleted(&asked.id),
            at: asked.at,
            token: &asked.token,
            device_signature: &asked.device_signature,
            authorization: asked.authorization.as_ref(),
        }
    }

    fn change(&self) -> Change {
        match self.what {
            What::Replaced(by, _) => Change::Successor(*by),
            What::Deleted(id) => Change::Deletion(*id),
        }
    }
}

/// What is to become of a row.
enum Fate {
    Stays,
    Changed,
    Erased { successor: Option<RegistrationId> },
}

impl<W: World> Site<W> {
    /// Brings the rows of an account up to its record: marks what was activated and what is threatened, erases what has
    /// verifiably ended. Called after every change of a record, and by [`Site::sweep`].
    pub(crate) async fn observe(&self, account: &AccountId, record: &VaultRecord) -> Result<(), VaultError> {
        let live = record.live.as_ref().map(|live| row_key(account, &live.registration.id));
        let mut rows = self.account_rows(account).await?;
        // The live one first: it inherits from the one before, as long as that one's row is there.
        rows.sort_by_key(|(key, _)| Some(key) != live.as_ref());
        let mut outcome = Ok(());
        for (key, row) in rows {
            // One row that cannot be brought up to date does not keep the others from it.
            if let Err(error) = self.observe_row(account, record, &key, row).await {
                outcome = Err(error);
            }
        }
        outcome
    }

    async fn observe_row(
        &self,
        account: &AccountId,
        record: &VaultRecord,
        key: &[u8],
        row: Row,
    ) -> Result<(), VaultError> {
        let SiteRow::Held(mut held) = row.content else { return Ok(()) };
        let id = held.registration.id;
        let content = match self.fate(account, record, &mut held).await? {
            Fate::Stays => return Ok(()),
            Fate::Changed => SiteRow::Held(held),
            Fate::Erased { successor } => SiteRow::Erased { at: self.ports.now(), successor },
        };
        match self.rows.write(&self.ports, key, Some(row.number), &content).await {
            Ok(_) if matches!(content, SiteRow::Erased { .. }) => {
                tracing::info!(target: "audit", ?account, registration = %id, "share erased");
                Ok(())
            }
            // Whoever changed it in the meantime looks again later.
            Ok(_) | Err(WriteError::Conflict) => Ok(()),
            Err(WriteError::Vault(error)) => Err(error),
        }
    }

    async fn fate(&self, account: &AccountId, record: &VaultRecord, held: &mut Held) -> Result<Fate, VaultError> {
        let (now, id, before) = (self.ports.now(), held.registration.id, held.clone());
        if let Some(live) = record.live.as_ref().filter(|live| live.registration.id == id) {
            self.look_at_live(account, record, live, held).await?;
            self.replicate(account, live, held).await?;
            return Ok(if *held == before { Fate::Stays } else { Fate::Changed });
        }
        if let Some(waiting) = record.waiting.as_ref().filter(|waiting| waiting.registration == held.registration)
            && held.takes_over != waiting.activation.replaces
            && self.device_activated(account, &held.registration, &waiting.activation).is_ok()
        {
            held.takes_over = waiting.activation.replaces;
        }
        if let Some(replaced) = held.takes_over
            && self.is_outdone(account, &replaced, id).await?
        {
            held.takes_over = None;
        }
        let end = record.ends.iter().rev().find(|end| end.id == id);
        let is_over = match end.map(|end| &end.cause) {
            None => false,
            Some(Cause::Replaced { by, hash, activation }) => {
                activation.replaces == Some(id) && self.may_end(account, held, &Ending::by(by, hash, activation))
            }
            Some(Cause::Deleted(asked)) => self.may_end(account, held, &Ending::deletion(asked)),
            Some(Cause::Locked { attempts }) => {
                let is_exhausted = held.exhausted_since.is_some() || self.is_exhausted(account, held, attempts);
                is_exhausted && *held.exhausted_since.get_or_insert(now) + self.fleet.policy.open_at_zero <= now
            }
        };
        let is_stale = !held.activated
            && held.takes_over.is_none()
            && record.waiting.as_ref().is_none_or(|waiting| waiting.registration.id != id)
            && held.imported_at + self.fleet.policy.pending_for <= now;
        Ok(match is_over || is_stale {
            true => Fate::Erased { successor: end.and_then(|end| end.cause.successor()) },
            false if *held == before => Fate::Stays,
            false => Fate::Changed,
        })
    }

    /// Whether a registration that was to be replaced by another will not be: its owner has objected, or it has ended
    /// otherwise.
    async fn is_outdone(
        &self,
        account: &AccountId,
        replaced: &RegistrationId,
        by: RegistrationId,
    ) -> Result<bool, VaultError> {
        let row = self.rows.read(&self.ports, &row_key(account, replaced)).await?;
        Ok(match row.map(|row| row.content) {
            Some(SiteRow::Held(before)) => before.has_refused(Change::Successor(by)),
            Some(SiteRow::Erased { successor, .. }) => successor != Some(by),
            None => false,
        })
    }

    /// The live registration: whether its activation and its proofs are known here, and what threatens it.
    async fn look_at_live(
        &self,
        account: &AccountId,
        record: &VaultRecord,
        live: &Live,
        held: &mut Held,
    ) -> Result<(), VaultError> {
        if held.registration != live.registration {
            return Ok(());
        }
        self.catch_up(account, live, held).await?;
        if held.failures() < usize::from(self.fleet.policy.max_attempts) {
            held.exhausted_since = None;
        }
        let asked = self.asked(account, record, live, held);
        held.forget_all_but(&asked);
        asked.into_iter().for_each(|change| held.threaten(change, self.ports.now()));
        Ok(())
    }

    /// What a device alone has asked for, as the record has it.
    pub(crate) fn asked(&self, account: &AccountId, record: &VaultRecord, live: &Live, held: &Held) -> Vec<Change> {
        let hash = record.waiting.as_ref().map(|waiting| waiting.registration.hash());
        let waiting = record.waiting.as_ref().zip(hash.as_ref()).map(|(waiting, hash)| {
            let Waiting { registration, activation } = waiting;
            Ending::by(&registration.id, hash, activation)
        });
        let endings = waiting.into_iter().chain(live.deletion.as_ref().map(Ending::deletion));
        endings.filter(|ending| self.is_asked(account, held, ending)).map(|ending| ending.change()).collect()
    }

    /// A key of the registration has signed; or a device alone, and this site has known of it for the whole waiting time.
    fn may_end(&self, account: &AccountId, held: &mut Held, ending: &Ending<'_>) -> bool {
        if let Some(authorization) = ending.authorization {
            return is_authorized(&held.registration, &self.message(account, held, ending), authorization);
        }
        if !self.is_asked(account, held, ending) {
            return false;
        }
        held.threaten(ending.change(), self.ports.now());
        held.is_due(ending.change(), &self.fleet.policy, self.ports.now())
    }

    /// Whether a device of the account asked for it, with a token that held then. What the row knows was verified when it
    /// came.
    fn is_asked(&self, account: &AccountId, held: &Held, ending: &Ending<'_>) -> bool {
        if held.threats.iter().any(|known| known.change == ending.change()) {
            return true;
        }
        let message = self.message(account, held, ending);
        device_signed(&self.ports, account, ending.token.expose(), ending.at, &message, ending.device_signature).is_ok()
    }

    fn message(&self, account: &AccountId, held: &Held, ending: &Ending<'_>) -> Vec<u8> {
        let (fleet, id) = (&self.fleet.id, &held.registration.id);
        match ending.what {
            What::Replaced(by, hash) => activation_message(fleet, account, by, hash, Some(id)),
            What::Deleted(deletion) => deletion_message(fleet, account, id, deletion),
        }
    }

    /// Whether as many different attempts of the registration as there are guesses were signed by a device whose token held
    /// when they were spent, and come after those that a proof has closed here.
    fn is_exhausted(&self, account: &AccountId, held: &Held, attempts: &[Attempt]) -> bool {
        let unproved = attempts.iter().filter(|attempt| attempt.number > held.closed_to);
        let verified = unproved.filter(|attempt| {
            let AttemptState::Unproved { token, device_signature } = &attempt.state else { return false };
            let id = &held.registration.id;
            let Attempt { number, ke1_hash, .. } = attempt;
            let message = attempt_message(&self.fleet.id, account, id, &attempt.id, *number, ke1_hash);
            device_signed(&self.ports, account, token.expose(), attempt.at, &message, device_signature).is_ok()
        });
        let verified = verified.map(|attempt| attempt.id).collect::<BTreeSet<_>>().len();
        let carried = held.carried.map_or(0, |carried| usize::from(carried.failures));
        verified + carried >= usize::from(self.fleet.policy.max_attempts)
    }

    async fn sweep_account(&self, account: &AccountId) -> Result<(), VaultError> {
        let mut record = self.record(account).await?;
        record.settle(&self.fleet.policy, self.ports.now());
        self.observe(account, &record).await
    }

    /// Goes over all accounts of this site once: what has come due is erased even where nobody asks. Gives how many
    /// accounts it saw.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn sweep(&self) -> Result<usize, VaultError> {
        const PAGE: usize = 256;
        let mut after = Vec::new();
        let mut last_account = None;
        let mut accounts = 0;
        loop {
            let page = self.ports.ledger.rows(&after, PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(accounts) };
            after.clone_from(last);
            for (key, _) in &page {
                let Some(account) = crate::ledger::row_account(key) else { continue };
                if last_account.as_ref() == Some(&account) {
                    continue;
                }
                // One damaged record or row does not keep the sweeper from the others.
                match self.sweep_account(&account).await {
                    Ok(()) => accounts += 1,
                    Err(error) => tracing::error!(?account, %error, "not swept"),
                }
                last_account = Some(account);
            }
        }
    }
}
