//! How many connections one address may have, and how long they may be silent. Whoever has no token has used nothing of
//! its limits, and could otherwise keep as many as the process may have files.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use crate::limits::network;

/// Connections of one address at a time.
const OF_ONE_ADDRESS: usize = 256;

/// On which nothing comes and nothing goes. Longer than any answer takes.
const SILENT_FOR: Duration = Duration::from_secs(60);

/// Counts the connections of each address.
#[derive(Clone, Default)]
pub(crate) struct Counts(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// Accepts what another acceptor does, within bounds.
#[derive(Clone)]
pub(crate) struct Bounded<A> {
    inner: A,
    /// `None` is any number.
    counts: Option<Counts>,
}

/// One of an address's connections, until it is dropped.
struct Place {
    counts: Counts,
    address: IpAddr,
}

/// A connection that breaks when it is silent for too long.
pub(crate) struct Connection<S> {
    stream: S,
    silence: Pin<Box<Sleep>>,
    _place: Option<Place>,
}

impl Counts {
    fn take(&self, address: IpAddr) -> io::Result<Place> {
        let address = network(address);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= OF_ONE_ADDRESS {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        *count += 1;
        Ok(Place { counts: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = counts.get(&self.address).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            counts.remove(&self.address);
        } else {
            counts.insert(self.address, left);
        }
    }
}

impl<A> Bounded<A> {
    pub(crate) const fn new(inner: A, counts: Option<Counts>) -> Self {
        Self { inner, counts }
    }
}

impl<A: Accept<TcpStream, S, Future: Send + 'static>, S> Accept<TcpStream, S> for Bounded<A> {
    type Stream = Connection<A::Stream>;
    type Service = A::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let place = self.counts.as_ref().map(|counts| counts.take(stream.peer_addr()?.ip())).transpose();
        let accepted = self.inner.accept(stream, service);
        Box::pin(async move {
            let place = place?;
            let (stream, service) = accepted.await?;
            Ok((Connection::new(stream, place), service))
        })
    }
}

impl<S> Connection<S> {
    fn new(stream: S, place: Option<Place>) -> Self {
        Self { stream, silence: Box::pin(sleep(SILENT_FOR)), _place: place }
    }

    fn unless_silent<T>(&mut self, context: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.silence.as_mut().reset(Instant::now() + SILENT_FOR);
            return polled;
        }
        self.silence.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(context, into);
        self.unless_silent(context, polled)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.unless_silent(context, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.unless_silent(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use std::io::ErrorKind;
    use std::net::SocketAddr;
    use std::num::NonZeroU32;

    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::net::{TcpSocket, TcpStream};

    use super::{Connection, OF_ONE_ADDRESS};
    use crate::{LimitsConfig, Listener};

    fn served(limits: &LimitsConfig) -> SocketAddr {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap().limited(limits);
        let address = listener.address;
        tokio::spawn(listener.serve(Router::new().route("/", get(async || "let in")), None));
        address
    }

    /// A connection from this address of this machine's, on which something was asked. What came back is empty where it
    /// was not taken.
    async fn asked(from: [u8; 4], address: SocketAddr, header: &str) -> (TcpStream, String) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let mut connection = socket.connect(address).await.unwrap();
        // Where it is not wanted, the rest may not arrive.
        let _ = connection.write_all(format!("GET / HTTP/1.1\r\nhost: x\r\n{header}\r\n").as_bytes()).await;
        let mut answer = vec![0; 1024];
        let length = connection.read(&mut answer).await.unwrap_or(0);
        answer.truncate(length);
        (connection, String::from_utf8(answer).unwrap())
    }

    #[tokio::test]
    async fn refuses_one_address_more_connections_than_it_may_have_and_takes_another_s() {
        let address = served(&LimitsConfig { account: None, address: NonZeroU32::new(1) });
        let mut held = Vec::new();
        for _ in 0..OF_ONE_ADDRESS {
            let (connection, answer) = asked([127, 0, 0, 1], address, "").await;
            assert!(answer.ends_with("let in"), "{answer}");
            held.push(connection);
        }
        assert_eq!(asked([127, 0, 0, 1], address, "").await.1, "");
        assert!(asked([127, 0, 0, 2], address, "").await.1.ends_with("let in"));
        held.pop();
        while asked([127, 0, 0, 1], address, "").await.1.is_empty() {}
    }

    #[tokio::test]
    async fn addresses_that_have_no_limit_may_have_any_number() {
        let address = served(&LimitsConfig { account: None, address: None });
        let mut held = Vec::new();
        for _ in 0..=OF_ONE_ADDRESS {
            let (connection, answer) = asked([127, 0, 0, 1], address, "").await;
            assert!(answer.ends_with("let in"), "{answer}");
            held.push(connection);
        }
    }

    #[tokio::test]
    async fn refuses_headers_that_are_longer_than_any() {
        let address = served(&LimitsConfig { account: None, address: None });
        let answer = asked([127, 0, 0, 1], address, &format!("x: {}\r\n", "x".repeat(100 << 10))).await.1;
        assert!(!answer.contains("let in"), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn refuses_to_wait_for_ever_for_who_says_nothing_or_reads_nothing() {
        let (_silent, stream) = duplex(64);
        let mut connection = Connection::new(stream, None);
        assert_eq!(connection.read_u8().await.unwrap_err().kind(), ErrorKind::TimedOut);
        let (_deaf, stream) = duplex(64);
        let mut connection = Connection::new(stream, None);
        assert_eq!(connection.write_all(&[0; 65]).await.unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
