//! The vault's HSM: workers, and a supervisor that finds the token again.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use coffer_vault_core::{Hsm, HsmError, HsmPublicKeys, ImportedShare, LedgerSpend, Point, SealedShareIn, WrappedShare};
use tokio::sync::oneshot;

use crate::config::TokenConfig;
use crate::connection::{Connection, Token};
use crate::counters::{Counters, Operations};
use crate::error::TokenError;
use crate::operator::{Failure, Operator, SealedShare};
use crate::queue::Queue;

/// More waiting requests than this are refused: at a millisecond each, the last one waits long enough.
const QUEUE: usize = 1024;

/// Between two attempts to find the token again.
const RETRY: Duration = Duration::from_millis(500);

/// Done by a worker. Its outcome goes to whoever asked; what is returned is whether the token is still there.
type Job = Box<dyn FnOnce(&Operator<'_>) -> Health + Send>;

enum Health {
    Good,
    Lost,
}

/// A PKCS#11 token as the vault's HSM, from [`open`](Self::open) to [`close`](Self::close) or drop.
///
/// PKCS#11 sessions belong to one thread each, so operations run on threads of their own, and any executor may wait for
/// them. When the token fails, all its sessions end, its library is finalised, and a supervisor connects again until
/// the token is back; what was asked in the meantime is [`HsmError::Unavailable`], and nothing is done twice. A token
/// that comes back with other keys, or no longer protects them, is not used; after a wrong PIN no further one is tried,
/// since a token may count them.
pub struct HsmAdapter {
    public: HsmPublicKeys,
    root_public: Option<Point>,
    shared: Arc<Shared>,
    supervisor: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    queue: Queue<Job>,
    counters: Counters,
}

impl HsmAdapter {
    /// Connects to the token, [checks](fn@crate::check) it and starts the workers.
    pub fn open(config: TokenConfig) -> Result<Self, TokenError> {
        let connection = Connection::open(&config)?;
        let (public, root_public) = (connection.token.public, connection.token.root_public);
        let shared = Arc::new(Shared { queue: Queue::new(QUEUE), counters: Counters::default() });
        shared.queue.serve();
        let supervisor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || supervise(&config, connection, &shared)
        });
        Ok(Self { public, root_public, shared, supervisor: Mutex::new(Some(supervisor)) })
    }

    /// Ends the workers after what they are at, logs out and finalises the module. Every later call is
    /// [`HsmError::Unavailable`]. Blocks for a few milliseconds.
    pub fn close(&self) {
        self.shared.queue.close();
        let supervisor = self.supervisor.lock().unwrap_or_else(PoisonError::into_inner).take();
        if supervisor.is_some_and(|supervisor| supervisor.join().is_err()) {
            tracing::error!("the HSM's supervisor has panicked");
        }
    }

    /// How many evaluations the token has made.
    pub fn evaluations(&self) -> u64 {
        self.operations().evaluations
    }

    /// How often the token did what.
    pub fn operations(&self) -> Operations {
        self.shared.counters.read()
    }

    /// The public half of `fleet-root`, if the token has one.
    pub const fn root_public(&self) -> Option<Point> {
        self.root_public
    }

    /// ES256 by `fleet-root`: r ‖ s over SHA-256 of the message. Refused if the token has none.
    pub async fn sign_as_root(&self, message: &[u8]) -> Result<[u8; 64], HsmError> {
        let message = message.to_vec();
        self.ask(move |operator| operator.sign_as_root(&message)).await
    }

    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Operator<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, HsmError> {
        let (reply, answer) = oneshot::channel();
        let job = move |operator: &Operator<'_>| {
            // Whoever asked has gone: it may as well never have reached the token.
            if reply.is_closed() {
                return Health::Good;
            }
            let outcome = operation(operator);
            let health = health(&outcome);
            let _ = reply.send(outcome.map_err(HsmError::from));
            health
        };
        self.shared.queue.push(Box::new(job)).map_err(|_| HsmError::Unavailable)?;
        // No answer comes if the job is dropped with the connection, or its worker panics.
        answer.await.unwrap_or(Err(HsmError::Unavailable))
    }
}

impl Drop for HsmAdapter {
    fn drop(&mut self) {
        self.close();
    }
}

impl Hsm for HsmAdapter {
    fn public_keys(&self) -> HsmPublicKeys {
        self.public
    }

    async fn import_share(&self, share: SealedShareIn<'_>) -> Result<ImportedShare, HsmError> {
        let share = SealedShare {
            transport: share.transport,
            sealed: share.sealed.to_vec(),
            expected: share.expected,
            receipt_base: share.receipt_base,
        };
        self.ask(move |operator| operator.import_share(&share)).await
    }

    async fn evaluate(&self, spend: LedgerSpend, share: &WrappedShare, element: &Point) -> Result<Point, HsmError> {
        let (share, element) = (share.clone(), *element);
        self.ask(move |operator| operator.evaluate(spend, &share, &element)).await
    }

    async fn agree(&self, ephemeral: &Point) -> Result<Point, HsmError> {
        let ephemeral = *ephemeral;
        self.ask(move |operator| operator.agree(&ephemeral)).await
    }

    async fn mac(&self, message: &[u8]) -> Result<[u8; 32], HsmError> {
        let message = message.to_vec();
        self.ask(move |operator| operator.mac(&message)).await
    }

    async fn certify(&self, message: &[u8]) -> Result<[u8; 64], HsmError> {
        let message = message.to_vec();
        self.ask(move |operator| operator.certify(&message)).await
    }
}

fn health<T>(outcome: &Result<T, Failure>) -> Health {
    match outcome {
        Err(Failure::Lost(error)) => {
            tracing::warn!(%error, "the HSM fails");
            Health::Lost
        }
        Err(Failure::Fault) => {
            tracing::error!("the HSM's answers contradict each other");
            Health::Good
        }
        Ok(_) | Err(Failure::Refused) => Health::Good,
    }
}

/// Serves one connection after another until the adapter is closed.
fn supervise(config: &TokenConfig, first: Connection, shared: &Shared) {
    let keys = (first.token.public, first.token.root_public);
    let mut connection = Some(first);
    while let Some(present) = connection {
        shared.counters.connections.add_one();
        let start = Instant::now();
        thread::scope(|scope| {
            let workers: Vec<_> =
                (0..config.workers.get()).map(|_| scope.spawn(|| work(&present.token, shared))).collect();
            for worker in workers {
                if worker.join().is_err() {
                    tracing::error!("an HSM worker has panicked");
                }
            }
        });
        // Every session is closed now; the next connection needs a library that was initialised anew.
        drop(present);
        if start.elapsed() < RETRY {
            // A token that connects and then fails at once would keep a processor busy.
            shared.queue.wait_closed(RETRY);
        }
        connection = reconnect(config, &keys, &shared.queue);
        shared.queue.serve();
    }
}

/// Does one job after another until the connection is lost or the queue closed.
fn work(token: &Token, shared: &Shared) {
    // However this worker ends, all others have to end as well: the module is finalised once there is no session left.
    let _interrupt = Interrupt(&shared.queue);
    let operator = match Operator::start(token, &shared.counters) {
        Ok(operator) => operator,
        Err(error) => return tracing::warn!(%error, "the HSM opens no session"),
    };
    while let Some(job) = shared.queue.pop() {
        if matches!(job(&operator), Health::Lost) || operator.has_leftover() {
            return;
        }
    }
}

struct Interrupt<'q>(&'q Queue<Job>);

impl Drop for Interrupt<'_> {
    fn drop(&mut self) {
        self.0.interrupt();
    }
}

/// `None` once the queue is closed.
fn reconnect(config: &TokenConfig, keys: &(HsmPublicKeys, Option<Point>), queue: &Queue<Job>) -> Option<Connection> {
    while !queue.is_closed() {
        match Connection::open(config) {
            Ok(connection) if (connection.token.public, connection.token.root_public) == *keys => {
                tracing::info!("the HSM is back");
                return Some(connection);
            }
            Ok(_) => tracing::error!("the token has come back with other keys and is not used"),
            Err(error @ (TokenError::WrongPin | TokenError::PinLocked)) => {
                tracing::error!(%error, "the HSM stays unavailable until this process is started again");
                queue.close();
            }
            Err(error) => tracing::warn!(%error, "the HSM cannot be reached"),
        }
        queue.wait_closed(RETRY);
    }
    None
}
