//! A site that writes down what it is asked, and answers what the test says.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Site {
    /// Answers every request with these bytes.
    pub(crate) fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let (listener, answer) = (TcpListener::bind("127.0.0.1:0").unwrap(), answer.into());
        let url = format!("http://{}", listener.local_addr().unwrap());
        let site = Self { url, seen: Arc::default() };
        let seen = Arc::clone(&site.seen);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let request = read(&mut connection);
                seen.lock().unwrap().push(request);
                // Who has read enough hangs up.
                let _ = connection.write_all(&answer);
            }
        });
        site
    }

    pub(crate) fn answering_json(body: &str) -> Self {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
        Self::answering(format!("{head}content-length: {}\r\n\r\n{body}", body.len()))
    }

    /// Nobody listens there.
    pub(crate) fn down() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { url: format!("http://{}", listener.local_addr().unwrap()), seen: Arc::default() }
    }

    /// What it was asked since this was last asked.
    pub(crate) fn take_seen(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

/// Head and body.
fn read(connection: &mut TcpStream) -> String {
    let (mut request, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let count = connection.read(&mut piece).unwrap_or(0);
        request.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let is_whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| body.len() >= declared(head));
        if count == 0 || is_whole {
            return text;
        }
    }
}

fn declared(head: &str) -> usize {
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.map_or(0, |length| length.parse().unwrap())
}
