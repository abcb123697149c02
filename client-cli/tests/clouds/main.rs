//! The program on real servers: S3 (moto), WebDAV (rclone and WsgiDAV, two projects), SFTP (OpenSSH), and a folder
//! beside them. Each goes through the same.
//!
//! A server that is not installed fails its tests: `make setup` installs them, and `make test` makes the Python that
//! moto and WsgiDAV run in.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "../cli/device.rs"]
#[expect(dead_code, reason = "these tests use a part of it")]
mod device;
mod faults;
mod hostile;
mod http;
mod proxy;
mod refusals;
mod server;
mod ssh;
mod suite;

/// Every test of [`suite`] for every server.
macro_rules! on_every_server {
    ($($server:ident),*) => {$(
        mod $server {
            use crate::server::Server;
            use crate::suite;

            #[test]
            fn backs_up_and_restores() {
                suite::backs_up_and_restores(&Server::$server());
            }

            #[test]
            fn an_interrupted_backup_uploads_nothing_again() {
                suite::an_interrupted_backup_uploads_nothing_again(&Server::$server());
            }

            #[test]
            fn damage_and_rollback_are_named() {
                suite::damage_and_rollback_are_named(&Server::$server());
            }

            #[test]
            fn a_key_is_rotated() {
                suite::a_key_is_rotated(&Server::$server());
            }

            #[test]
            fn is_tried_out_without_a_trace() {
                suite::is_tried_out_without_a_trace(&Server::$server());
            }
        }
    )*};
}

on_every_server!(folder, s3, webdav_of_rclone, webdav_of_wsgidav, sftp);
