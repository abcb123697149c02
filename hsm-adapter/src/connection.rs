//! A token that is logged in, with its keys found.

use coffer_vault_core::{HsmPublicKeys, Point};
use cryptoki::context::Pkcs11;
use cryptoki::error::Error;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki::slot::Slot;

use crate::check::{Finding, findings};
use crate::config::TokenConfig;
use crate::error::TokenError;
use crate::keys::{AKE, FLEET_ROOT, Key, LEDGER_MAC, SHARE_IMPORT, SHARE_KEK, SITE_IDENTITY};
use crate::library::Library;
use crate::public_half::public_half;

/// What the token holds, from login until something goes wrong with it. Dropping it logs out and finalises the module:
/// every other session has to be closed by then.
pub(crate) struct Connection {
    pub(crate) token: Token,
    // Dropped in this order: the session that keeps all others logged in, then the module.
    anchor: Session,
    _library: Library,
}

/// What the workers share.
pub(crate) struct Token {
    module: Pkcs11,
    slot: Slot,
    pub(crate) handles: Handles,
    pub(crate) public: HsmPublicKeys,
    pub(crate) root_public: Option<Point>,
}

pub(crate) struct Handles {
    pub(crate) share_kek: ObjectHandle,
    pub(crate) share_import: ObjectHandle,
    pub(crate) ledger_mac: ObjectHandle,
    pub(crate) site_identity: ObjectHandle,
    pub(crate) ake: ObjectHandle,
    pub(crate) fleet_root: Option<ObjectHandle>,
}

impl Connection {
    pub(crate) fn open(config: &TokenConfig) -> Result<Self, TokenError> {
        let library = Library::initialise(config)?;
        let slot = library.token(config)?;
        let anchor = library.log_in(slot, &config.pin)?;
        let findings = findings(library.module(), slot, &anchor, config.fleet_root)?;
        if !findings.is_empty() {
            return Err(TokenError::Unfit(findings));
        }
        let token = Token::find(library.module(), slot, &anchor, config.fleet_root)?;
        Ok(Self { token, anchor, _library: library })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Fails only if the token is gone, and with it the login.
        let _ = self.anchor.logout();
    }
}

impl Token {
    /// Finds the keys, and does not check them.
    pub(crate) fn find(module: &Pkcs11, slot: Slot, session: &Session, fleet_root: bool) -> Result<Self, TokenError> {
        let root = fleet_root.then_some(FLEET_ROOT);
        let handles = Handles {
            share_kek: handle(session, SHARE_KEK)?,
            share_import: handle(session, SHARE_IMPORT)?,
            ledger_mac: handle(session, LEDGER_MAC)?,
            site_identity: handle(session, SITE_IDENTITY)?,
            ake: handle(session, AKE)?,
            fleet_root: root.map(|key| handle(session, key)).transpose()?,
        };
        let public = HsmPublicKeys {
            share_import: published(session, SHARE_IMPORT)?,
            ake: published(session, AKE)?,
            site_identity: published(session, SITE_IDENTITY)?,
        };
        let root_public = root.map(|key| published(session, key)).transpose()?;
        Ok(Self { module: module.clone(), slot, handles, public, root_public })
    }

    /// A session of a worker's own, logged in because the anchor is.
    pub(crate) fn session(&self) -> Result<Session, Error> {
        self.module.open_ro_session(self.slot)
    }
}

fn handle(session: &Session, key: Key) -> Result<ObjectHandle, TokenError> {
    let found = session.find_objects(&key.search())?;
    found.into_iter().next().ok_or_else(|| TokenError::Unfit(vec![Finding::NoKey(key.label)]))
}

fn published(session: &Session, key: Key) -> Result<Point, TokenError> {
    public_half(session, key)?.ok_or_else(|| TokenError::Unfit(vec![Finding::PublicHalf(key.label)]))
}
