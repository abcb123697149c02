//! A proxy that lets a server look as bad as they come: it closes connections, answers 500 after the server has done
//! what was asked, cuts answers short and takes its time.

use std::io::{self, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::http::Message;

/// One fault in so many requests.
const EVERY: usize = 4;

pub(crate) struct FaultProxy {
    pub(crate) port: u16,
    /// Faults so far, by [`Fault`].
    counts: Arc<[AtomicUsize; FAULTS.len()]>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The server never hears of it.
    Closed,
    /// The server has done it, and says that it failed.
    FailedAfterSuccess,
    /// The server has done it, and says nothing.
    Unanswered,
    /// Half of the answer.
    CutShort,
    /// Too many requests.
    Busy,
    /// An answer that comes late.
    Late,
}

const FAULTS: [Fault; 6] =
    [Fault::Closed, Fault::FailedAfterSuccess, Fault::Unanswered, Fault::CutShort, Fault::Busy, Fault::Late];

impl FaultProxy {
    /// Before the server at `port`.
    pub(crate) fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let counts: Arc<[AtomicUsize; FAULTS.len()]> = Arc::default();
        let (requests, counted) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&counts));
        // It ends with the process of the test.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (requests, counts) = (Arc::clone(&requests), Arc::clone(&counted));
                // A connection that breaks is what it is for.
                thread::spawn(move || drop(relay(&stream, port, &requests, &*counts)));
            }
        });
        Self { port: own, counts }
    }

    /// Fails unless there was every kind of fault.
    pub(crate) fn had_every_fault(&self) {
        let counts: Vec<_> = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    }
}

fn relay(stream: &TcpStream, port: u16, requests: &AtomicUsize, counts: &[AtomicUsize]) -> io::Result<()> {
    let Some(request) = Message::read_request(stream)? else { return Ok(()) };
    let number = requests.fetch_add(1, Ordering::Relaxed);
    let fault = (number % EVERY == EVERY - 1).then_some(number / EVERY % FAULTS.len());
    if let Some(fault) = fault {
        counts[fault].fetch_add(1, Ordering::Relaxed);
    }
    let mut stream = stream;
    let canned =
        |status: &str| format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into_bytes();
    match fault.map(|fault| FAULTS[fault]) {
        None => stream.write_all(&request.exchange(port)?)?,
        Some(Fault::Closed) => {}
        Some(Fault::FailedAfterSuccess) => {
            request.exchange(port)?;
            stream.write_all(&canned("500 Internal Server Error"))?;
        }
        Some(Fault::Unanswered) => drop(request.exchange(port)?),
        Some(Fault::CutShort) => {
            let answer = request.exchange(port)?;
            stream.write_all(&answer[..answer.len() / 2])?;
        }
        Some(Fault::Busy) => stream.write_all(&canned("429 Too Many Requests"))?,
        Some(Fault::Late) => {
            let answer = request.exchange(port)?;
            thread::sleep(Duration::from_millis(300));
            stream.write_all(&answer)?;
        }
    }
    stream.shutdown(Shutdown::Both)
}
