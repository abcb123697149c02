//! As much of HTTP/1.1 as a test needs: one request to a connection.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

/// A request or an answer: its first line and headers, then its body.
pub(crate) struct Message {
    pub(crate) head: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// Reads a request. None where the other side has closed.
    pub(crate) fn read_request(stream: &TcpStream) -> io::Result<Option<Self>> {
        let mut reader = BufReader::new(stream);
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            let line = line.trim_end().to_owned();
            if line.is_empty() {
                break;
            }
            head.push(line);
        }
        let len =
            head.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
        let mut body = vec![0; len.unwrap_or(0)];
        reader.read_exact(&mut body)?;
        Ok(Some(Self { head, body }))
    }

    /// Sends it to a server, which is to close, and returns all that comes back.
    pub(crate) fn exchange(&self, port: u16) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        let kept = self.head.iter().filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
        let mut sent: String = kept.map(|line| format!("{line}\r\n")).collect();
        sent += "Connection: close\r\n\r\n";
        stream.write_all(sent.as_bytes())?;
        stream.write_all(&self.body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    }
}

/// A request with a signature that moto does not look at closely: status and body of the answer.
pub(crate) fn ask(port: u16, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let head = vec![
        format!("{method} {path} HTTP/1.1"),
        "Host: 127.0.0.1".to_owned(),
        "Authorization: AWS4-HMAC-SHA256 Credential=anna/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
            .to_owned(),
        format!("Content-Length: {}", body.len()),
    ];
    let answer = Message { head, body: body.to_vec() }.exchange(port).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let status = String::from_utf8_lossy(&answer[9..12]).parse().unwrap();
    (status, answer[end + 4..].to_vec())
}
