//! Account tokens without signatures.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use coffer_proto::Time;
use coffer_vault_core::{Bearer, Tokens};

/// Knows the tokens that it has issued.
#[derive(Debug, Clone, Default)]
pub struct TestTokens(Arc<Mutex<BTreeMap<String, (Bearer, Time)>>>);

impl TestTokens {
    /// A token for `bearer`, valid before `expires`. No two are the same.
    pub fn issue(&self, bearer: Bearer, expires: Time) -> String {
        self.change(|tokens| {
            let token = format!("token {} of {}", tokens.len(), bearer.account.as_str());
            tokens.insert(token.clone(), (bearer, expires));
            token
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<String, (Bearer, Time)>) -> T) -> T {
        change(&mut self.0.lock().expect("nothing panics while it holds the lock"))
    }
}

impl Tokens for TestTokens {
    fn verify(&self, token: &str, time: Time) -> Option<Bearer> {
        self.change(|tokens| tokens.get(token).filter(|(_, expires)| time < *expires).map(|(bearer, _)| bearer.clone()))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use coffer_proto::{AccountId, Base64, Time};
    use coffer_vault_core::{Bearer, Tokens as _};

    use super::TestTokens;

    const LATER: Time = Time::from_unix_seconds(100);

    fn bearer() -> Bearer {
        Bearer { account: AccountId::new("ada").unwrap(), device_key: Base64([1; 32]) }
    }

    #[test]
    fn a_token_names_its_bearer_until_it_expires() {
        let tokens = TestTokens::default();
        let token = tokens.issue(bearer(), LATER);
        assert_eq!(tokens.verify(&token, Time::from_unix_seconds(99)), Some(bearer()));
        assert_eq!(tokens.verify(&token, LATER), None);
    }

    #[test]
    fn refuses_a_token_that_was_not_issued() {
        assert_eq!(TestTokens::default().verify("token 0 of ada", Time::from_unix_seconds(1)), None);
    }

    #[test]
    fn no_two_tokens_are_the_same() {
        let tokens = TestTokens::default();
        assert_ne!(tokens.issue(bearer(), LATER), tokens.issue(bearer(), LATER));
    }
}
