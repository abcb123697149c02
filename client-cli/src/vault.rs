//! The vault, as the commands use it: which one, whose, and what is asked of it.

mod attempt;
mod head;
mod options;
mod outbox;
mod record;
mod retrieving;

pub(crate) use head::{send_head, warn_of_untold};
pub(crate) use options::VaultOptions;
pub(crate) use outbox::{OutboxFile, warn_of_forgers};
pub(crate) use record::{delete, record};
pub(crate) use retrieving::{NamedHead, PasswordWay, Regained, by_password, retrieve};

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use coffer_vault_client::{
    Delivery, Fleet, HttpTransport, RegistrationId, RegistrationsAnswer, RequestError, Session, Time, Token,
};

use crate::config::{Config, KnownVault};
use crate::context::Context;
use crate::error::{Error, VaultError};
use crate::key_store;
use options::Named;

/// A connection to a vault, for one command.
pub(crate) struct Vault {
    runtime: tokio::runtime::Runtime,
    pub(crate) session: Session<HttpTransport>,
    named: Named,
    /// What was left to be delivered when the connection was made; None if that could not be found out.
    deliveries: Option<Vec<Delivery>>,
}

impl Vault {
    /// Connects to the vault that the options name, or else the configuration. Sites of it that were away when the key
    /// was registered are sent their shares first.
    pub(crate) fn open(context: &Context, options: &VaultOptions, config: Option<&Config>) -> Result<Self, Error> {
        let known = config.and_then(|config| config.vault.as_ref());
        let named = options.named(known)?;
        let authorities = named.ca_file.as_deref().map(read).transpose()?;
        let transport = HttpTransport::new(&named.address, authorities.as_deref()).map_err(VaultError::from)?;
        let token = read_token(&named.token_file)?;
        let device_key = key_store::device_key(&context.home, config.map(|config| &config.key_store))?;
        // Of the fleet, wherever it is reached.
        let fingerprint = named.address.fingerprint();
        let remembered = known.filter(|known| known.address.fingerprint() == fingerprint).map(|known| known.fleet);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let unstarted = |source| Error::File { action: "use", path: "the network".into(), source };
        let runtime = runtime.map_err(unstarted)?;
        let fetch = Fleet::fetch(&transport, &fingerprint, &token, remembered, now());
        let fleet = runtime.block_on(fetch).map_err(VaultError::from)?;
        let session = Session::new(transport, fleet, token, device_key, Arc::new(now));
        let mut vault = Self { runtime, session, named, deliveries: None };
        vault.deliveries = outbox::deliver(context, &vault);
        Ok(vault)
    }

    /// Waits for one of the session's verbs.
    pub(crate) fn wait<F: Future>(&self, verb: F) -> F::Output {
        self.runtime.block_on(verb)
    }

    pub(crate) fn status(&self) -> Result<RegistrationsAnswer, RequestError> {
        self.wait(self.session.status())
    }

    /// How many sites there are, and how many of them a retrieval needs.
    pub(crate) fn sites(&self) -> (u8, u8) {
        (self.session.fleet().sites(), self.session.fleet().threshold())
    }

    /// Sites that have still to be sent their parts of this registration, if that could be found out.
    pub(crate) fn undelivered(&self, registration: &RegistrationId) -> Option<Vec<u8>> {
        let of = self.deliveries.as_ref()?.iter().filter(|delivery| delivery.registration == *registration);
        Some(of.flat_map(|delivery| delivery.undelivered.iter().map(|site| site.0)).collect())
    }

    pub(crate) fn address(&self) -> String {
        self.named.address.to_string()
    }

    /// For the configuration.
    pub(crate) fn known(&self, registration: Option<String>) -> KnownVault {
        let Named { address, token_file, ca_file } = self.named.clone();
        KnownVault { address, token_file, ca_file, fleet: self.session.fleet().memory(), registration }
    }

    /// Writes down what was seen of the vault, so that nobody shows an older manifest later.
    pub(crate) fn remember(&self, context: &Context, config: &mut Config) -> Result<(), Error> {
        let fingerprint = self.named.address.fingerprint();
        let Some(known) = config.vault.as_mut().filter(|known| known.address.fingerprint() == fingerprint) else {
            return Ok(());
        };
        let seen = self.session.fleet().memory();
        if known.fleet == seen {
            return Ok(());
        }
        known.fleet = seen;
        // What another command has written meanwhile stays.
        let Some(mut written) = Config::read(&context.home)? else { return Ok(()) };
        match written.vault.as_mut().filter(|known| known.address == self.named.address) {
            Some(known) => known.fleet = seen,
            None => return Ok(()),
        }
        written.write(&context.home)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::File { action: "read", path: path.to_owned(), source })
}

/// A token is renewed by others: it is read each time.
fn read_token(path: &Path) -> Result<Token, Error> {
    let not_a_token = |_| VaultError::NotAToken { path: path.to_owned() };
    let text = String::from_utf8(read(path)?).map_err(|_| VaultError::NotAToken { path: path.to_owned() })?;
    Ok(Token::parse(&text).map_err(not_a_token)?)
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_unix_seconds(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
