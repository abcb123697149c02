//! Connections: where they come in, how long they may take, and how they end.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use axum::Router;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use hyper_util::rt::TokioTimer;

use crate::config::TlsFiles;
use crate::error::Error;

/// A client that has not sent its headers by then is gone.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);

/// Streams that one HTTP/2 connection may have open.
const STREAMS: u32 = 32;

/// What runs when the end comes has this long. The whole process has 10 s.
const GRACE: Duration = Duration::from_secs(7);

/// An address that is listened on, though nothing is accepted yet.
pub(crate) struct Listener {
    socket: TcpListener,
    pub(crate) address: SocketAddr,
    pub(crate) handle: Handle<SocketAddr>,
}

impl Listener {
    pub(crate) fn bind(address: SocketAddr) -> Result<Self, Error> {
        let failed = |source: io::Error| Error::Listen { address: address.to_string(), source };
        let socket = TcpListener::bind(address).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address, handle: Handle::new() })
    }

    /// Serves until the handle says otherwise.
    pub(crate) async fn serve(self, app: Router, tls: Option<RustlsConfig>) -> io::Result<()> {
        let mut server = axum_server::from_tcp(self.socket)?.handle(self.handle);
        bound(&mut server);
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        match tls {
            Some(tls) => server.map(|_| RustlsAcceptor::new(tls).acceptor(NoDelayAcceptor)).serve(app).await,
            None => server.map(|_| NoDelayAcceptor).http1_only().serve(app).await,
        }
    }
}

fn bound(server: &mut Server<SocketAddr>) {
    let builder = server.http_builder();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS).keep_alive_interval(HEADERS_WITHIN);
}

/// No more connections; those that are there end after what they are at.
pub(crate) fn end(handle: &Handle<SocketAddr>) {
    handle.graceful_shutdown(Some(GRACE));
}

pub(crate) async fn load_tls(files: &TlsFiles) -> Result<RustlsConfig, Error> {
    RustlsConfig::from_pem_file(&files.certificate, &files.key)
        .await
        .map_err(Error::file("use the TLS certificate", &files.certificate))
}
