//! HTTP as bytes, so that a test sends exactly what it means to and sees all that comes back.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

#[derive(Clone)]
pub(crate) struct Request {
    line: String,
    headers: Vec<String>,
    body: Vec<u8>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self { line: format!("{method} {path} HTTP/1.1"), headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    pub(crate) fn put(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::new("PUT", path) }.header("content-type: application/json")
    }

    pub(crate) fn post(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::new("POST", path) }.header("content-type: application/json")
    }

    pub(crate) fn header(mut self, header: &str) -> Self {
        self.headers.push(header.to_owned());
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header(&format!("authorization: Bearer {token}"))
    }

    pub(crate) fn send(&self, address: &str) -> Answer {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut head = format!("{}\r\nhost: vault\r\nconnection: close\r\n", self.line);
        if !self.body.is_empty() {
            head += &format!("content-length: {}\r\n", self.body.len());
        }
        for header in &self.headers {
            head += &format!("{header}\r\n");
        }
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(b"\r\n").unwrap();
        // A body that is not wanted may be answered before it is sent.
        let _ = stream.write_all(&self.body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        Answer::parse(&String::from_utf8(answer).unwrap())
    }
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, headers: lines.map(str::to_owned).collect(), body: body.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let value = |header: &'_ String| header.starts_with(&format!("{name}: "));
        self.headers.iter().find(|header| value(header)).map(|header| &header[name.len() + 2..])
    }

    /// The last part of the problem's type, which has to be one in every respect.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(problem["status"], self.status);
        problem["type"].as_str().unwrap().strip_prefix("urn:coffer:problem:").unwrap().to_owned()
    }

    /// Without what is different for every request.
    pub(crate) fn comparable(mut self) -> Self {
        self.headers.retain(|header| !header.starts_with("date: ") && !header.starts_with("x-request-id: "));
        self
    }
}
