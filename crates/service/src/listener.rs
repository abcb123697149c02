//! Connections: where they come in, how long they may take, and how they end.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use hyper_util::rt::TokioTimer;

use crate::connections::{Bounded, Counts};
use crate::{LimitsConfig, ServiceError};

/// A client that has not sent its headers by then is gone.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);

/// Bytes of a request's headers at most. A token has 1024.
const MAX_HEADERS: usize = 32 << 10;

/// Streams that one HTTP/2 connection may have open.
const STREAMS: u32 = 32;

/// What runs when the end comes has this long. The whole process has 10 s.
const GRACE: Duration = Duration::from_secs(7);

/// An address that is listened on, though nothing is accepted yet.
#[expect(missing_debug_implementations, reason = "its address is all there is to show")]
pub struct Listener {
    socket: TcpListener,
    /// As it is, with the port that was given.
    pub address: SocketAddr,
    /// Ends it.
    pub handle: Handle<SocketAddr>,
    counts: Option<Counts>,
}

impl Listener {
    /// Listens.
    ///
    /// # Errors
    /// `Listen`.
    pub fn bind(address: SocketAddr) -> Result<Self, ServiceError> {
        let failed = |source: io::Error| ServiceError::Listen { address: address.to_string(), source };
        let socket = TcpListener::bind(address).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address, handle: Handle::new(), counts: None })
    }

    /// Takes so many connections at a time of one address, unless addresses have no limit.
    #[must_use]
    pub fn limited(self, limits: &LimitsConfig) -> Self {
        Self { counts: limits.address.map(|_| Counts::default()), ..self }
    }

    /// Serves until the handle says otherwise.
    ///
    /// # Errors
    /// When the socket breaks.
    pub async fn serve(self, app: Router, tls: Option<RustlsConfig>) -> io::Result<()> {
        let mut server = axum_server::from_tcp(self.socket)?.handle(self.handle);
        bound(&mut server);
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        match tls {
            Some(tls) => {
                let acceptor = RustlsAcceptor::new(tls).acceptor(NoDelayAcceptor);
                server.map(|_| Bounded::new(acceptor, self.counts)).serve(app).await
            }
            None => server.map(|_| Bounded::new(NoDelayAcceptor, self.counts)).http1_only().serve(app).await,
        }
    }
}

fn bound(server: &mut Server<SocketAddr>) {
    let builder = server.http_builder();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN).max_buf_size(MAX_HEADERS);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS).keep_alive_interval(HEADERS_WITHIN);
}

/// No more connections; those that are there end after what they are at.
pub fn end(handle: &Handle<SocketAddr>) {
    handle.graceful_shutdown(Some(GRACE));
}

/// Certificate and key.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// Whether a server could be made with them. Not for a thread that serves.
///
/// # Errors
/// `Named`, `System`.
pub fn check_tls(files: &TlsFiles) -> Result<(), ServiceError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|error| ServiceError::System("no runtime", error.to_string()))?;
    runtime.block_on(load_tls(files)).map(drop)
}

/// Reads them.
///
/// # Errors
/// `Named`.
pub async fn load_tls(files: &TlsFiles) -> Result<RustlsConfig, ServiceError> {
    RustlsConfig::from_pem_file(&files.certificate, &files.key)
        .await
        .map_err(|error| ServiceError::Named { path: files.certificate.clone(), why: error.to_string() })
}
