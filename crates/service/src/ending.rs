//! The end, as the operating system announces it.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::ServiceError;

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    /// From now on they do not end the process.
    ///
    /// # Errors
    /// `System`.
    pub fn listen() -> Result<Self, ServiceError> {
        let listen = |kind| signal(kind).map_err(|error| ServiceError::System("no signals", error.to_string()));
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Until one of them comes.
    pub async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
