//! Which token, and how to reach it.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::pin::Pin;

/// Where Debian's `softhsm2` has its PKCS#11 module.
pub const SOFTHSM_MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

const WORKERS: NonZeroUsize = NonZeroUsize::new(4).expect("not zero");

/// A token. `Debug` shows all but the PIN.
#[derive(Debug)]
pub struct TokenConfig {
    /// The PKCS#11 module, a shared library. It is loaded into this process: one adapter at a time may use it.
    pub module: PathBuf,
    /// `CKA_LABEL` of the token, 1 to 32 bytes.
    pub label: String,
    /// The user's PIN: at least 128 random bits, never kept beside the token.
    pub pin: Pin,
    /// Whether the token also holds `fleet-root`, as that of an embedded fleet of one does. Without it, it is the token of
    /// a site of a fleet, and holds keys of the ceremony.
    pub fleet_root: bool,
    /// Threads with a session each. More than the token has processors for only wait.
    pub workers: NonZeroUsize,
}

impl TokenConfig {
    /// A token of SoftHSM with a fleet root and four workers.
    pub fn embedded(label: impl Into<String>, pin: Pin) -> Self {
        Self { module: SOFTHSM_MODULE.into(), label: label.into(), pin, fleet_root: true, workers: WORKERS }
    }
}

#[cfg(test)]
mod tests {
    use super::{Pin, TokenConfig};

    #[test]
    fn debug_prints_no_digit_of_the_pin() {
        let shown = format!("{:?}", TokenConfig::embedded("vault", Pin::new("8712".to_owned())));
        assert!(shown.contains("vault"), "{shown}");
        assert!(!shown.contains("8712"), "{shown}");
    }
}
