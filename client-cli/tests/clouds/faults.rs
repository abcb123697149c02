//! A server that fails at every fourth request, and one that is not there.

use std::net::TcpListener;

use crate::device::noise;
use crate::proxy::FaultProxy;
use crate::server::Server;
use crate::suite::At;

const UNAVAILABLE: i32 = 15;

/// The server behind a proxy.
fn behind(server: &mut Server) -> FaultProxy {
    let proxy = FaultProxy::before(server.port);
    server.url = server.url.replace(&server.port.to_string(), &proxy.port.to_string());
    proxy
}

fn nothing_is_lost_and_nothing_is_there_twice(mut server: Server) {
    let proxy = behind(&mut server);
    let at = At::with_archive(&server);
    at.device.write("chats/film.mp4", &[b"\0\0\0\x20ftypisom", &noise(36_000_000, 1)[..]].concat());
    let stored = at.back_up().json()["bytes_stored"].as_u64().unwrap();
    at.device.write("chats/anna/messages.txt", b"see you at one\n");
    at.back_up();
    at.restores("latest", &at.device.path("chats"));
    at.verifies();
    proxy.had_every_fault();
    let kept: usize = at.stored("packs").iter().map(|name| server.get(name).len()).sum();
    assert!(kept < stored as usize + 100_000, "{kept} bytes lie there, {stored} were stored");
    assert_eq!(at.stored("snapshots").len(), 2);
    assert!(at.stored("locks").is_empty());
}

#[test]
fn s3_that_fails_again_and_again_loses_nothing() {
    nothing_is_lost_and_nothing_is_there_twice(Server::s3());
}

#[test]
fn webdav_that_fails_again_and_again_loses_nothing() {
    nothing_is_lost_and_nothing_is_there_twice(Server::webdav_of_rclone());
}

#[test]
fn a_server_that_is_not_there_is_named_as_unavailable() {
    // Bound and not listened to: nobody else takes the port meanwhile.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let server = Server::folder();
    let at = At::new(&server);
    let url = format!("webdav://127.0.0.1:{port}/a?insecure=true");
    at.run(["init", "--check", &url]).fails(UNAVAILABLE).warns("hint: check the connection");
}
