//! Services that answer to do harm: without end, or into ever deeper folders.

use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::device::{Device, Run, run};
use crate::http::Message;

/// A service that gives these answers, to method and path. What it returns is a sum over all of them.
fn serve(
    answer: impl Fn(&mut TcpStream, &str, &str) -> io::Result<usize> + Send + Sync + 'static,
) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, sum, answer) = (listener.local_addr().unwrap().port(), Arc::<AtomicUsize>::default(), Arc::new(answer));
    let total = Arc::clone(&sum);
    // It ends with the process of the test.
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (total, answer) = (Arc::clone(&total), Arc::clone(&answer));
            thread::spawn(move || -> io::Result<()> {
                let Some(request) = Message::read_request(&stream)? else { return Ok(()) };
                let words: Vec<_> = request.head[0].split(' ').collect();
                total.fetch_add(answer(&mut stream, words[0], words[1])?, Ordering::Relaxed);
                Ok(())
            });
        }
    });
    (port, sum)
}

fn snapshots_at(url: &str) -> Run {
    let device = Device::new();
    let mut command = device.command(["--archive", url, "snapshots"]);
    run(command.env("AWS_ACCESS_KEY_ID", "anna").env("AWS_SECRET_ACCESS_KEY", "hunter2"))
}

/// Zeros up to so many bytes, as far as they are taken. Returns how many were.
fn pour(stream: &mut TcpStream, head: &str, len: usize) -> io::Result<usize> {
    stream.write_all(head.as_bytes())?;
    let poured = (0..len >> 20).take_while(|_| stream.write_all(&[b' '; 1 << 20]).is_ok()).count();
    Ok(poured << 20)
}

const GIB: usize = 1 << 30;

#[test]
fn an_object_without_end_is_not_taken_in() {
    let (port, poured) = serve(|stream, method, _| {
        let head = |len: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n");
        match method {
            "HEAD" => stream.write_all(head(1000).as_bytes()).map(|()| 0),
            _ => pour(stream, &head(GIB), GIB),
        }
    });
    let run = snapshots_at(&format!("s3://bucket/a?endpoint=http://127.0.0.1:{port}&insecure=true"));
    run.fails(1).warns("longer than any object");
    assert!(poured.load(Ordering::Relaxed) < GIB / 4);
}

#[test]
fn a_listing_without_end_is_not_taken_in() {
    let (port, poured) = serve(|stream, method, _| match method {
        "HEAD" => {
            let missing = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.write_all(missing.as_bytes()).map(|()| 0)
        }
        _ => pour(stream, &format!("HTTP/1.1 200 OK\r\nContent-Length: {GIB}\r\nConnection: close\r\n\r\n"), GIB),
    });
    let run = snapshots_at(&format!("s3://bucket/a?endpoint=http://127.0.0.1:{port}&insecure=true"));
    run.fails(1).warns("longer than any object");
    assert!(poured.load(Ordering::Relaxed) < GIB / 4);
}

/// After each page there is the same once more.
#[test]
fn a_listing_of_pages_without_end_is_not_taken_in() {
    const ENOUGH: usize = 100;
    let object = |number| {
        format!(
            "<Contents><Key>a/snapshots/{number:032x}</Key><Size>1</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
        )
    };
    let objects: String = (0..20_000).map(object).collect();
    let page = format!(
        "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>more</NextContinuationToken>{objects}\
         </ListBucketResult>"
    );
    let (port, pages) = serve(move |stream, method, _| {
        let (status, body) = if method == "HEAD" { ("404 Not Found", "") } else { ("200 OK", page.as_str()) };
        let len = body.len();
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}").map(|()| 1)
    });
    let run = snapshots_at(&format!("s3://bucket/a?endpoint=http://127.0.0.1:{port}&insecure=true"));
    run.fails(1).warns("the listing does not end");
    assert!(pages.load(Ordering::Relaxed) < ENOUGH, "{pages:?}");
}

/// In each folder there is another.
#[test]
fn folders_without_end_are_not_entered() {
    const ENOUGH: usize = 300;
    let asked = AtomicUsize::new(0);
    let (port, requests) = serve(move |stream, _, path| {
        let folder = |path: &str| {
            format!(
                "<D:response><D:href>{path}</D:href><D:propstat><D:prop><D:resourcetype><D:collection/></D:resourcetype>\
                 <D:getlastmodified>Thu, 01 Jan 2026 00:00:00 GMT</D:getlastmodified></D:prop>\
                 <D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
            )
        };
        let is_over = asked.fetch_add(1, Ordering::Relaxed) > ENOUGH;
        let (status, body) = match path.ends_with(".json") || is_over {
            true => ("404 Not Found", String::new()),
            false => {
                let entries = format!("{}{}", folder(path), folder(&format!("{path}deeper/")));
                (
                    "207 Multi-Status",
                    format!("<?xml version=\"1.0\"?><D:multistatus xmlns:D=\"DAV:\">{entries}</D:multistatus>"),
                )
            }
        };
        let len = body.len();
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}").map(|()| 1)
    });
    snapshots_at(&format!("webdav://127.0.0.1:{port}/a?insecure=true")).fails(13);
    assert!((4..ENOUGH).contains(&requests.load(Ordering::Relaxed)), "{requests:?}");
}
