//! The half-open OPAQUE exchanges of this coordinator. In memory only: after a restart a client sends its retrieval
//! again, which is free, and gets a fresh KE2 around the same evaluation.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use coffer_pake::ServerLogin;
use coffer_proto::{AccountId, AttemptId, RegistrationId, RetrievalAnswer, Time};

use crate::error::VaultError;

/// Exchanges at most, of some 800 bytes each.
const AT_MOST: usize = 50_000;

/// How long one is kept.
const KEPT_FOR: Duration = Duration::from_secs(3600);

#[derive(Default)]
pub(crate) struct Logins {
    open: Mutex<HashMap<Of, Login>>,
}

/// What an exchange is of. An attempt's id alone would not do: another registration may be asked under the same.
pub(crate) type Of = (AccountId, RegistrationId, AttemptId);

struct Login {
    server: ServerLogin,
    answer: RetrievalAnswer,
    since: Time,
}

impl Logins {
    /// Keeps an exchange; gives the answer of the one that was faster, if there is one.
    pub(crate) fn keep(&self, of: Of, server: ServerLogin, answer: RetrievalAnswer, now: Time) -> RetrievalAnswer {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= AT_MOST {
            open.retain(|_, login| now.since(login.since) < KEPT_FOR);
        }
        if open.len() >= AT_MOST {
            open.clear();
        }
        open.entry(of).or_insert(Login { server, answer, since: now }).answer.clone()
    }

    /// The answer that was given to this very attempt.
    pub(crate) fn answer(&self, of: &Of) -> Option<RetrievalAnswer> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(of).map(|login| login.answer.clone())
    }

    /// Whether a KE3 finishes an exchange. It stays open, so that the same proof can come again.
    pub(crate) fn verify(&self, of: &Of, ke3: &[u8]) -> Result<(), VaultError> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let login = open.get(of).ok_or(VaultError::RetrieveAgain)?;
        login.server.finish(ke3).map_err(|_| VaultError::InvalidProof)
    }
}
