//! The key in the platform's key store.

use zeroize::Zeroizing;

use crate::error::Error;

#[cfg(target_os = "linux")]
pub(super) use secret_service::{NAME, keep, load, remove, try_out};

#[cfg(not(target_os = "linux"))]
pub(super) use nowhere::{NAME, keep, load, remove, try_out};

/// A name that no entry has yet.
pub(super) fn new_entry() -> Result<String, Error> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|_| Error::Archive(coffer_archive::Error::Randomness))?;
    Ok(hex::encode(bytes))
}

#[cfg(target_os = "linux")]
mod secret_service {
    use std::collections::HashMap;

    use keyring_core::api::CredentialStoreApi as _;
    use keyring_core::{Entry, Error as StoreError};
    use zbus_secret_service_keyring_store::Store;

    use super::{Error, Zeroizing};

    pub(in super::super) const NAME: &str = "the platform's key store (Secret Service)";

    /// What its entries are filed under.
    const SERVICE: &str = "coffer";

    /// Whether a key store answers.
    pub(in super::super) fn try_out() -> Result<(), Error> {
        // A search reaches the service itself; a connection alone would prove only that there is a bus.
        let store = Store::new().map_err(failed)?;
        store.search(&HashMap::from([("service", SERVICE)])).map_err(failed)?;
        Ok(())
    }

    pub(in super::super) fn keep(entry: &str, digits: &str) -> Result<(), Error> {
        find(entry)?.set_password(digits).map_err(failed)
    }

    pub(in super::super) fn load(entry: &str) -> Result<Option<Zeroizing<String>>, Error> {
        match find(entry)?.get_password() {
            Ok(digits) => Ok(Some(Zeroizing::new(digits))),
            Err(StoreError::NoEntry) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    pub(in super::super) fn remove(entry: &str) -> Result<(), Error> {
        match find(entry)?.delete_credential() {
            Ok(()) | Err(StoreError::NoEntry) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    fn find(entry: &str) -> Result<Entry, Error> {
        let label = HashMap::from([("label", "Coffer backup key")]);
        Store::new().and_then(|store| store.build(SERVICE, entry, Some(&label))).map_err(failed)
    }

    fn failed(error: StoreError) -> Error {
        let reason = match error {
            // What was found may be a secret, and these would show it.
            StoreError::BadEncoding(_) | StoreError::BadDataFormat(..) => "the entry is not a key".to_owned(),
            StoreError::Ambiguous(found) => format!("{} entries have the same name", found.len()),
            StoreError::PlatformFailure(cause) | StoreError::NoStorageAccess(cause) => cause.to_string(),
            other => other.to_string(),
        };
        Error::PlatformStore { reason }
    }
}

#[cfg(not(target_os = "linux"))]
mod nowhere {
    use super::{Error, Zeroizing};

    pub(in super::super) const NAME: &str = "the platform's key store";

    pub(in super::super) fn try_out() -> Result<(), Error> {
        Err(Error::PlatformStore { reason: "this build knows none for this platform".to_owned() })
    }

    pub(in super::super) fn keep(_: &str, _: &str) -> Result<(), Error> {
        try_out()
    }

    pub(in super::super) fn remove(_: &str) -> Result<(), Error> {
        try_out()
    }

    pub(in super::super) fn load(_: &str) -> Result<Option<Zeroizing<String>>, Error> {
        try_out().map(|()| None)
    }
}
