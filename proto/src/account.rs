//! Whose backup key it is.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// An account of the messaging service: the `sub` of its tokens. 1 to 128 bytes of UTF-8 without control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct AccountId(String);

/// Not an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an account is named by 1 to 128 bytes without control characters")]
pub struct AccountError;

impl AccountId {
    /// Bytes at most.
    pub const MAX_LEN: usize = 128;

    /// Takes a name in.
    ///
    /// # Errors
    /// When it is empty, too long, or has control characters.
    pub fn new(name: impl Into<String>) -> Result<Self, AccountError> {
        let name = name.into();
        let fits = (1..=Self::MAX_LEN).contains(&name.len()) && !name.chars().any(char::is_control);
        if fits { Ok(Self(name)) } else { Err(AccountError) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name's bytes, as they are framed and signed.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for AccountId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::AccountId;

    #[test]
    fn refuses_a_name_that_is_empty_or_too_long_or_has_control_characters() {
        let long = "x".repeat(129);
        for name in ["", "a\nb", "a\0b", long.as_str()] {
            assert!(AccountId::new(name).is_err(), "{name:?}");
        }
        assert!(AccountId::new("x".repeat(128)).is_ok());
    }
}
