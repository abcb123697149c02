//! A PKCS#11 module, loaded and initialised.

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::Error;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;

use crate::config::TokenConfig;
use crate::error::TokenError;
use crate::pin::Pin;

/// A module between `C_Initialize` and `C_Finalize`, which comes when this is dropped. Every session must be closed by
/// then: after the next `C_Initialize` its handle may be another session's.
pub(crate) struct Library {
    module: Pkcs11,
}

impl Library {
    pub(crate) fn initialise(config: &TokenConfig) -> Result<Self, TokenError> {
        let module = Pkcs11::new(&config.module).map_err(|error| match error {
            Error::LibraryLoading(reason) => {
                TokenError::Module { module: config.module.clone(), reason: reason.to_string() }
            }
            error => TokenError::Call(error),
        })?;
        // Without the system's locks, SoftHSM's threads corrupt each other's memory.
        module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
        Ok(Self { module })
    }

    pub(crate) const fn module(&self) -> &Pkcs11 {
        &self.module
    }

    /// The slot of the token with this label. Slots are renumbered now and then: a number is good for one connection.
    pub(crate) fn find(&self, label: &str) -> Result<Option<Slot>, TokenError> {
        let mut found = None;
        for slot in self.module.get_slots_with_initialized_token()? {
            if self.module.get_token_info(slot)?.label().trim_end() == label && found.replace(slot).is_some() {
                return Err(TokenError::SeveralTokens(label.to_owned()));
            }
        }
        Ok(found)
    }

    /// The token that the configuration names.
    pub(crate) fn token(&self, config: &TokenConfig) -> Result<Slot, TokenError> {
        self.find(&config.label)?.ok_or_else(|| TokenError::NoToken(config.label.clone()))
    }

    /// A session that may also make keys of the token.
    pub(crate) fn log_in_to_write(&self, slot: Slot, pin: &Pin) -> Result<Session, TokenError> {
        let session = self.module.open_rw_session(slot)?;
        session.login(UserType::User, Some(&pin.to_auth_pin()))?;
        Ok(session)
    }

    /// A session that may use keys, but neither make nor destroy those of the token. The first one logs all others in.
    pub(crate) fn log_in(&self, slot: Slot, pin: &Pin) -> Result<Session, TokenError> {
        let session = self.module.open_ro_session(slot)?;
        session.login(UserType::User, Some(&pin.to_auth_pin()))?;
        Ok(session)
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        if let Err(error) = self.module.clone().finalize() {
            tracing::warn!(%error, "the PKCS#11 module cannot be finalised");
        }
    }
}
