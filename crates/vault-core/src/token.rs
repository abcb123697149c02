//! An account token as it is kept and handed on.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whoever has it and the device key that it names acts for an account, as long as it is valid: `Debug` prints nothing.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountToken(String);

impl AccountToken {
    /// The text, for whoever verifies it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for AccountToken {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for AccountToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::AccountToken;

    #[test]
    fn a_token_is_not_printed() {
        assert_eq!(format!("{:?}", AccountToken::from("eyJhbGciOi")), "AccountToken(..)");
    }
}
