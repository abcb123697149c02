//! What one worker does with the token, in a session of its own.

use std::cell::Cell;

use coffer_vault_core::{HsmError, ImportedShare, LedgerSpend, Point, WrappedShare};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use sha2::{Digest, Sha256};

use crate::connection::Token;
use crate::counters::Counters;
use crate::multiplication::{transport_kek, x_of_product};
use crate::session_object::SessionObject;
use crate::sign_recovery::{negated, recover, successor, x_of};

/// A wrapped key is at most this long; a longer one the token is not bothered with.
const MAX_WRAPPED: usize = 256;

/// A session and what it works on.
pub(crate) struct Operator<'t> {
    session: Session,
    token: &'t Token,
    counters: &'t Counters,
    leftover: Cell<bool>,
}

/// Why an operation gave nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was to be unwrapped is at fault.
    Refused,
    /// The token contradicts itself.
    Fault,
    /// The token is at fault: connect to it again.
    Lost(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Lost(error)
    }
}

impl From<Failure> for HsmError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused => Self::Refused,
            Failure::Fault => Self::Fault,
            Failure::Lost(_) => Self::Unavailable,
        }
    }
}

/// [`SealedShareIn`](coffer_vault_core::SealedShareIn), owned.
pub(crate) struct SealedShare {
    pub(crate) transport: Point,
    pub(crate) sealed: Vec<u8>,
    pub(crate) expected: Point,
    pub(crate) receipt_base: Point,
}

impl<'t> Operator<'t> {
    pub(crate) fn start(token: &'t Token, counters: &'t Counters) -> Result<Self, Error> {
        Ok(Self { session: token.session()?, token, counters, leftover: Cell::new(false) })
    }

    /// Whether a key was left behind in the session. Closing the session destroys it.
    pub(crate) const fn has_leftover(&self) -> bool {
        self.leftover.get()
    }

    pub(crate) fn import_share(&self, share: &SealedShare) -> Result<ImportedShare, Failure> {
        let share_import = self.token.handles.share_import;
        let kek = self.own(transport_kek(&self.session, share_import, &share.transport)?);
        // From here on it is the client's bytes that decide, down to the kind of key that they are.
        self.take_in(kek.handle(), share).map_err(|failure| self.blame(failure))
    }

    fn take_in(&self, kek: ObjectHandle, share: &SealedShare) -> Result<ImportedShare, Failure> {
        // C_WrapKey takes extractable keys only: so the share is one until it is wrapped again.
        let key = self.unwrap(kek, &share.sealed, true)?;
        self.counters.imports.add_one();
        if x_of_product(&self.session, key.handle(), &Point::generator(), &self.leftover)? != x_of(&share.expected) {
            return Err(Failure::Refused);
        }
        let receipt = self.multiply(key.handle(), &share.expected, &share.receipt_base)?;
        let wrapped = self.session.wrap_key(&Mechanism::AesKeyWrapPad, self.token.handles.share_kek, key.handle())?;
        if wrapped.len() > MAX_WRAPPED {
            return Err(Failure::Refused);
        }
        Ok(ImportedShare { wrapped, receipt })
    }

    /// The spend is gone, whatever comes of it.
    pub(crate) fn evaluate(&self, _: LedgerSpend, share: &WrappedShare, element: &Point) -> Result<Point, Failure> {
        let key =
            self.unwrap(self.token.handles.share_kek, &share.wrapped, false).map_err(|failure| self.blame(failure))?;
        self.counters.evaluations.add_one();
        self.multiply(key.handle(), &share.public, element)
    }

    pub(crate) fn agree(&self, ephemeral: &Point) -> Result<Point, Failure> {
        self.counters.agreements.add_one();
        self.multiply(self.token.handles.ake, &self.token.public.ake, ephemeral)
    }

    pub(crate) fn mac(&self, message: &[u8]) -> Result<[u8; 32], Failure> {
        self.counters.macs.add_one();
        let mac = self.session.sign(&Mechanism::Sha256Hmac, self.token.handles.ledger_mac, message)?;
        mac.try_into().map_err(|_| Failure::Fault)
    }

    pub(crate) fn certify(&self, message: &[u8]) -> Result<[u8; 64], Failure> {
        self.sign(self.token.handles.site_identity, message)
    }

    pub(crate) fn sign_as_root(&self, message: &[u8]) -> Result<[u8; 64], Failure> {
        self.sign(self.token.handles.fleet_root.ok_or(Failure::Refused)?, message)
    }

    /// ES256 as RFC 7518 has it: either of the two s is a signature, and none is preferred.
    fn sign(&self, key: ObjectHandle, message: &[u8]) -> Result<[u8; 64], Failure> {
        self.counters.signatures.add_one();
        let signature = self.session.sign(&Mechanism::Ecdsa, key, &Sha256::digest(message))?;
        signature.try_into().map_err(|_| Failure::Fault)
    }

    fn unwrap(&self, kek: ObjectHandle, wrapped: &[u8], extractable: bool) -> Result<SessionObject<'_>, Failure> {
        if wrapped.len() > MAX_WRAPPED {
            return Err(Failure::Refused);
        }
        // `share-kek` has a template that says the same; SoftHSM wants it said in the call as well.
        let template = [
            Attribute::Class(ObjectClass::PRIVATE_KEY),
            Attribute::KeyType(KeyType::EC),
            Attribute::Token(false),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(extractable),
            Attribute::Derive(true),
            Attribute::Sign(false),
            Attribute::Decrypt(false),
            Attribute::Unwrap(false),
        ];
        Ok(self.own(self.session.unwrap_key(&Mechanism::AesKeyWrapPad, kek, wrapped, &template)?))
    }

    /// k·element, where `public` is k·G.
    fn multiply(&self, key: ObjectHandle, public: &Point, element: &Point) -> Result<Point, Failure> {
        let Some(successor) = successor(element) else { return Ok(negated(public)) };
        let x = x_of_product(&self.session, key, element, &self.leftover)?;
        let x_successor = x_of_product(&self.session, key, &successor, &self.leftover)?;
        recover(&x, &x_successor, public).ok_or(Failure::Fault)
    }

    /// Everything that this session can see.
    #[cfg(test)]
    pub(crate) fn count_objects(&self) -> usize {
        self.session.find_objects(&[]).map_or(0, |objects| objects.len())
    }

    const fn own(&self, handle: ObjectHandle) -> SessionObject<'_> {
        SessionObject::new(&self.session, handle, &self.leftover)
    }

    /// An error after bytes from outside were unwrapped: is it they or the token? Tokens differ in the codes that they
    /// answer bad keys with, and a client that can name the code must not be able to throw everyone off the token. So
    /// the token is asked for something that it can always do.
    fn blame(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Lost(error) if !is_lost(&error) && self.mac(b"does it answer?").is_ok() => Failure::Refused,
            failure => failure,
        }
    }
}

/// Codes that are never about a key's bytes.
pub(crate) const fn is_lost(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::CryptokiNotInitialized
                | RvError::DeviceError
                | RvError::DeviceMemory
                | RvError::DeviceRemoved
                | RvError::HostMemory
                | RvError::SessionClosed
                | RvError::SessionCount
                | RvError::SessionHandleInvalid
                | RvError::TokenNotPresent
                | RvError::TokenNotRecognized
                | RvError::UserNotLoggedIn,
            _
        )
    )
}
