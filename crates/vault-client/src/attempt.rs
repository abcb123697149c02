//! An attempt that was begun, and where it is kept.

use std::error::Error;
use std::fmt;

use coffer_pake::{ClientLogin, PakeError};
use coffer_proto::{AttemptId, RegistrationId};
use zeroize::Zeroizing;

use crate::password::Password;
use crate::session::generate_id;

/// Where a device keeps the attempt that it has begun, until it is proved or of no more use: after a crash, or without
/// a connection, the same attempt goes on and costs no second guess. One for each account.
pub trait AttemptStore: Send {
    /// What was kept last, if anything.
    fn load(&mut self) -> Option<Zeroizing<Vec<u8>>>;

    /// Keeps an attempt in the place of the one before; it is durable when this returns. As secret as a password: for the
    /// device's owner alone.
    ///
    /// # Errors
    /// Whatever is in the way; the attempt is then not begun.
    fn keep(&mut self, attempt: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>>;

    /// Erases what was kept.
    fn forget(&mut self);
}

/// Keeps nothing: for who can afford a guess when the connection breaks.
#[derive(Debug, Clone, Copy)]
pub struct NothingKept;

impl AttemptStore for NothingKept {
    fn load(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        None
    }

    fn keep(&mut self, _: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }

    fn forget(&mut self) {}
}

/// An attempt: its name, what it is at, and the secrets behind its KE1.
pub(crate) struct PendingAttempt {
    pub(crate) id: AttemptId,
    pub(crate) registration: RegistrationId,
    /// Greater than that of every attempt that the vault had seen.
    pub(crate) number: u64,
    pub(crate) login: ClientLogin,
}

/// The first byte of a kept attempt.
const FORMAT: u8 = 1;

impl PendingAttempt {
    /// Panics if the operating system has no randomness, as OPAQUE does.
    pub(crate) fn start(registration: RegistrationId, number: u64, password: &Password) -> Result<Self, PakeError> {
        let (login, _) = ClientLogin::start(password.expose_bytes())?;
        Ok(Self { id: AttemptId(generate_id()), registration, number, login })
    }

    /// Whether it is a guess of this password at this registration.
    pub(crate) fn is_for(&self, registration: &RegistrationId, password: &Password) -> bool {
        self.registration == *registration && self.login.is_for(password.expose_bytes())
    }

    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(41 + ClientLogin::LEN));
        bytes.push(FORMAT);
        bytes.extend_from_slice(self.id.as_bytes());
        bytes.extend_from_slice(self.registration.as_bytes());
        bytes.extend_from_slice(&self.number.to_be_bytes());
        bytes.extend_from_slice(&self.login.encode());
        bytes
    }

    /// What [`encode`](Self::encode) wrote; nothing for anything else.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (FORMAT, bytes) = bytes.split_first().map(|(format, rest)| (*format, rest))? else { return None };
        let (id, bytes) = bytes.split_first_chunk()?;
        let (registration, bytes) = bytes.split_first_chunk()?;
        let (number, login) = bytes.split_first_chunk()?;
        let (registration, number) = (RegistrationId(*registration), u64::from_be_bytes(*number));
        Some(Self { id: AttemptId(*id), registration, number, login: ClientLogin::parse(login).ok()? })
    }
}

impl fmt::Debug for PendingAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingAttempt").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use coffer_proto::RegistrationId;

    use super::PendingAttempt;
    use crate::password::Password;

    const REGISTRATION: RegistrationId = RegistrationId([7; 16]);

    fn password(text: &str) -> Password {
        Password::new(text).unwrap()
    }

    #[test]
    fn an_attempt_is_the_same_after_it_was_kept() {
        let attempt = PendingAttempt::start(REGISTRATION, 7, &password("right")).unwrap();
        let kept = PendingAttempt::parse(&attempt.encode()).unwrap();
        assert_eq!((kept.id, kept.number, kept.login.ke1()), (attempt.id, 7, attempt.login.ke1()));
    }

    #[test]
    fn belongs_to_its_password_and_registration_only() {
        let attempt = PendingAttempt::start(REGISTRATION, 7, &password("right")).unwrap();
        assert!(attempt.is_for(&REGISTRATION, &password("right")));
        assert!(!attempt.is_for(&REGISTRATION, &password("wrong")));
        assert!(!attempt.is_for(&RegistrationId([8; 16]), &password("right")));
    }

    #[test]
    fn refuses_what_was_cut_or_is_of_another_format() {
        let mut bytes = PendingAttempt::start(REGISTRATION, 7, &password("right")).unwrap().encode();
        for length in 0..bytes.len() {
            assert!(PendingAttempt::parse(&bytes[..length]).is_none(), "{length}");
        }
        bytes[0] = 2;
        assert!(PendingAttempt::parse(&bytes).is_none());
    }
}
