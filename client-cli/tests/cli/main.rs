//! The program as a person or a script meets it: every test runs the real binary in folders of its own.

#![expect(clippy::unwrap_used, reason = "tests")]

mod backing_up;
mod damage;
mod device;
mod help;
mod json;
mod keys;
mod listing;
mod prompt;
mod restoring;
mod rollback;
mod secrets;
mod setting_up;
mod status;
