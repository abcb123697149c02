//! The program as a person or a script meets it: every test runs the real binary in folders of its own.

#![expect(clippy::unwrap_used, reason = "tests")]

mod backing_up;
mod copying;
mod damage;
mod device;
mod differences;
mod drilling;
mod help;
mod json;
mod keys;
mod leaving_out;
mod listing;
#[cfg(all(target_os = "linux", feature = "mount"))]
mod mounting;
mod profiles;
mod prompt;
mod restoring;
mod rollback;
#[cfg(target_os = "linux")]
mod scheduling;
mod secrets;
mod setting_up;
mod status;
