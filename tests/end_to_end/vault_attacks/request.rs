//! Requests as bytes: what is sent is exactly what a test means to send, and all that comes back is seen.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

#[derive(Clone)]
pub(crate) struct Request {
    line: String,
    token: String,
    body: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn new(method: &str, path: &str, token: &str) -> Self {
        Self { line: format!("{method} {path}"), token: token.to_owned(), body: Vec::new() }
    }

    pub(crate) fn json(mut self, body: &impl serde::Serialize) -> Self {
        self.body = serde_json::to_vec(body).unwrap();
        self
    }

    /// The same, and something in the body is different.
    pub(crate) fn with_changed(mut self, change: impl FnOnce(&mut Value)) -> Self {
        let mut body = serde_json::from_slice(&self.body).unwrap();
        change(&mut body);
        self.body = serde_json::to_vec(&body).unwrap();
        self
    }

    /// The same by the bearer of another token.
    pub(crate) fn by(mut self, token: &str) -> Self {
        token.clone_into(&mut self.token);
        self
    }

    #[track_caller]
    pub(crate) fn send(&self, host: &str) -> Answer {
        self.try_send(host).unwrap()
    }

    /// Nothing, if no whole answer came.
    pub(crate) fn try_send(&self, host: &str) -> Option<Answer> {
        let stream = TcpStream::connect(host).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        self.try_send_on(stream)
    }

    /// The same on a connection that is used for nothing else.
    pub(crate) fn try_send_on(&self, mut stream: TcpStream) -> Option<Answer> {
        let Self { line, token, body } = self;
        let head = format!(
            "{line} HTTP/1.1\r\nhost: vault\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        Answer::parse(&String::from_utf8(answer).unwrap())
    }
}

impl Answer {
    fn parse(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().unwrap();
        let answer = Self { status, head: head.to_owned(), body: body.to_owned() };
        let is_whole = answer.header("content-length").is_none_or(|length| length.parse() == Ok(body.len()));
        is_whole.then_some(answer)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Status and the last part of the problem's type; `""` where it is none.
    pub(crate) fn outcome(&self) -> (u16, String) {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        let problem = body["type"].as_str().unwrap_or_default();
        (self.status, problem.trim_start_matches("urn:coffer:problem:").to_owned())
    }

    #[track_caller]
    pub(crate) fn read<T: for<'de> serde::Deserialize<'de>>(&self) -> T {
        assert_eq!(self.status, 200, "{}", self.body);
        serde_json::from_str(&self.body).unwrap()
    }
}
