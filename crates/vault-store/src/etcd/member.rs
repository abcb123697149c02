//! One etcd server, and whether it is worth asking.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use etcd_client::{
    Certificate, Client, ConnectOptions, Error, Identity, KvClient, StatusResponse, TlsOptions, Txn, TxnResponse,
};
use tokio::time::timeout;

use super::config::{EtcdConfig, EtcdConfigError, EtcdTls};

/// How long others are preferred to a member that has failed. Then one request tries it.
const ASIDE: Duration = Duration::from_secs(1);
/// When to ping on a connection that is in use and silent, and how long to wait: a dead one is given up and made anew.
/// etcd hangs up on whoever pings more often than every five seconds, or often without asking anything.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(2));
/// Bytes of an answer: a page of the largest values.
const MAX_ANSWER: usize = 32 << 20;
/// What etcd says when a user or role has been changed since this one signed in.
const OLD_SIGN_IN: &str = "revision of auth store is old";

/// What an answer needs. A member that is cut off from the others still gives the one and not the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Most members: writes, and reads that are linearizable.
    Majority,
    /// The member alone: serializable reads.
    ItselfAlone,
}

/// A client of its own for each member: etcd-client's balanced channel keeps sending to one that is up but cut off.
pub(crate) struct Member {
    pub(crate) endpoint: String,
    client: Client,
    kv: KvClient,
    user: Option<(String, zeroize::Zeroizing<String>)>,
    signed_in: tokio::sync::Mutex<bool>,
    /// Until when it is aside: for the majority, and for itself alone.
    aside: [Mutex<Option<Instant>>; 2],
}

impl Member {
    /// Connects when it is first asked.
    pub(crate) async fn new(endpoint: &str, config: &EtcdConfig) -> Result<Self, EtcdConfigError> {
        let mut options = ConnectOptions::new()
            .with_connect_timeout(config.timeout)
            .with_keep_alive(KEEP_ALIVE.0, KEEP_ALIVE.1)
            .with_keep_alive_while_idle(false)
            .with_auto_token_refresh(true);
        if let Some(tls) = &config.tls {
            options = options.with_tls(tls_options(tls));
        }
        let refused = |source| EtcdConfigError::Member { endpoint: endpoint.to_owned(), source: Box::new(source) };
        let client = Client::connect([endpoint], Some(options)).await.map_err(refused)?;
        Ok(Self {
            endpoint: endpoint.to_owned(),
            kv: client.kv_client().max_decoding_message_size(MAX_ANSWER),
            client,
            user: config.user.as_ref().map(|user| (user.name.clone(), user.password.clone())),
            signed_in: tokio::sync::Mutex::new(false),
            aside: Default::default(),
        })
    }

    /// Makes a transaction. `None`: it failed, and a write may have been made all the same: etcd says NOSPACE after it
    /// has applied what it complains about.
    pub(crate) async fn transact(&self, need: Need, limit: Duration, transaction: Txn) -> Option<TxnResponse> {
        self.claim(need);
        let call = async {
            self.sign_in().await?;
            self.kv.clone().txn(transaction).await
        };
        match timeout(limit, call).await {
            Ok(Ok(answer)) => {
                *self.aside(need) = None;
                return Some(answer);
            }
            Ok(Err(error)) => self.failed(need, &error).await,
            Err(_) => self.put_aside(need, "it did not answer in time"),
        }
        None
    }

    /// How the member is.
    pub(crate) async fn status(&self, limit: Duration) -> Option<StatusResponse> {
        let call = async {
            self.sign_in().await?;
            self.client.maintenance_client().status().await
        };
        timeout(limit, call).await.ok()?.ok()
    }

    /// Forgets what was overwritten before a revision.
    pub(crate) async fn compact(&self, limit: Duration, revision: i64) -> Result<(), Error> {
        let call = async {
            self.sign_in().await?;
            self.kv.clone().compact(revision, None).await
        };
        timeout(limit, call).await.unwrap_or_else(|_| Err(Error::Internal("it did not answer in time".to_owned())))?;
        Ok(())
    }

    /// Whether others are to be asked first.
    pub(crate) fn is_aside(&self, need: Need) -> bool {
        self.aside(need).is_some_and(|until| Instant::now() < until)
    }

    /// etcd-client signs in again by itself when etcd has forgotten the token.
    async fn sign_in(&self) -> Result<(), Error> {
        let Some((name, password)) = &self.user else { return Ok(()) };
        let mut signed_in = self.signed_in.lock().await;
        if !*signed_in {
            self.client.clone().update_user(Some((name.clone(), password.to_string()))).await?;
            *signed_in = true;
        }
        Ok(())
    }

    /// While a member that has failed is tried again, the others are still preferred.
    fn claim(&self, need: Need) {
        let mut aside = self.aside(need);
        if aside.is_some() {
            *aside = Some(Instant::now() + ASIDE);
        }
    }

    async fn failed(&self, need: Need, error: &Error) {
        let Error::GRpcStatus(status) = error else { return self.put_aside(need, "it cannot be reached") };
        if status.message().contains(OLD_SIGN_IN) {
            *self.signed_in.lock().await = false;
        }
        self.put_aside(need, status.message());
    }

    fn put_aside(&self, need: Need, why: &str) {
        tracing::warn!(member = self.endpoint, ?need, why, "a member of the record store has failed");
        *self.aside(need) = Some(Instant::now() + ASIDE);
    }

    fn aside(&self, need: Need) -> std::sync::MutexGuard<'_, Option<Instant>> {
        // Nothing panics while it holds the lock.
        self.aside[need as usize].lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn tls_options(tls: &EtcdTls) -> TlsOptions {
    TlsOptions::new()
        .ca_certificate(Certificate::from_pem(&tls.ca))
        .identity(Identity::from_pem(&tls.certificate, &*tls.key))
}
