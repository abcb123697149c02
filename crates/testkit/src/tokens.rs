//! Account tokens without signatures.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use coffer_proto::Time;
use coffer_vault_core::{Bearer, Tokens};

/// Each token, and whose it is until when.
type Known = BTreeMap<String, Option<(Bearer, Time)>>;

/// Knows the tokens that it has issued.
#[derive(Debug, Clone, Default)]
pub struct TestTokens(Arc<Mutex<Known>>);

impl TestTokens {
    /// A token for `bearer`, valid before `expires`. No two are the same.
    pub fn issue(&self, bearer: Bearer, expires: Time) -> String {
        self.change(|tokens| {
            let token = format!("token {} of {}", tokens.len(), bearer.account.as_str());
            tokens.insert(token.clone(), Some((bearer, expires)));
            token
        })
    }

    /// The issuer has other keys from now on: none of the tokens so far is valid, not even for the past.
    pub fn rotate(&self) {
        self.change(|tokens| tokens.values_mut().for_each(|known| *known = None));
    }

    fn change<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        change(&mut self.0.lock().expect("nothing panics while it holds the lock"))
    }
}

impl Tokens for TestTokens {
    fn verify(&self, token: &str, time: Time) -> Option<Bearer> {
        let known = self.change(|tokens| tokens.get(token).cloned().flatten());
        known.filter(|(_, expires)| time < *expires).map(|(bearer, _)| bearer)
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
    fn refuses_a_token_of_an_issuer_that_has_other_keys_now() {
        let tokens = TestTokens::default();
        let token = tokens.issue(bearer(), LATER);
        tokens.rotate();
        assert_eq!(tokens.verify(&token, Time::from_unix_seconds(1)), None);
        assert_ne!(tokens.issue(bearer(), LATER), token);
    }

    #[test]
    fn no_two_tokens_are_the_same() {
        let tokens = TestTokens::default();
        assert_ne!(tokens.issue(bearer(), LATER), tokens.issue(bearer(), LATER));
    }
}
