//! What a service is to believe who we are by.

use std::fmt;

use zeroize::Zeroizing;

use super::address::Service;

/// One part of what a service asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Credential {
    /// S3: the public half.
    AccessKeyId,
    /// S3.
    SecretAccessKey,
    /// S3: of temporary keys.
    SessionToken,
    /// `WebDAV`.
    Username,
    /// `WebDAV`.
    Password,
    /// `WebDAV`, Google Cloud Storage: in the place of anything else.
    Token,
    /// Google Cloud Storage: the JSON that Google gives for a service account.
    ServiceAccount,
    /// Azure.
    AccountKey,
    /// Azure: in the place of the account key.
    SasToken,
    /// Google Drive, Dropbox, `OneDrive`: lasts some hours.
    AccessToken,
    /// Google Drive, Dropbox, `OneDrive`: gets access tokens.
    RefreshToken,
    /// … for the application that it was given to.
    ClientId,
    /// … and its secret.
    ClientSecret,
}

impl Credential {
    /// Its name in a file or an environment.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccessKeyId => "access_key_id",
            Self::SecretAccessKey => "secret_access_key",
            Self::SessionToken => "session_token",
            Self::Username => "username",
            Self::Password => "password",
            Self::Token => "token",
            Self::ServiceAccount => "service_account",
            Self::AccountKey => "account_key",
            Self::SasToken => "sas_token",
            Self::AccessToken => "access_token",
            Self::RefreshToken => "refresh_token",
            Self::ClientId => "client_id",
            Self::ClientSecret => "client_secret",
        }
    }
}

impl Service {
    /// What it can be given.
    pub const fn credentials(self) -> &'static [Credential] {
        use Credential as C;
        match self {
            // ssh knows its own keys, agents and settings.
            Self::Folder | Self::Sftp => &[],
            Self::S3 => &[C::AccessKeyId, C::SecretAccessKey, C::SessionToken],
            Self::WebDav => &[C::Username, C::Password, C::Token],
            Self::Gcs => &[C::ServiceAccount, C::Token],
            Self::Azure => &[C::AccountKey, C::SasToken],
            Self::GoogleDrive | Self::Dropbox | Self::OneDrive => {
                &[C::AccessToken, C::RefreshToken, C::ClientId, C::ClientSecret]
            }
        }
    }

    /// The sets of which it needs one; none where it may do without.
    pub(super) const fn needed(self) -> &'static [&'static [Credential]] {
        use Credential as C;
        match self {
            Self::Folder | Self::Sftp | Self::WebDav => &[],
            Self::S3 => &[&[C::AccessKeyId, C::SecretAccessKey]],
            Self::Gcs => &[&[C::ServiceAccount], &[C::Token]],
            Self::Azure => &[&[C::AccountKey], &[C::SasToken]],
            Self::GoogleDrive | Self::OneDrive | Self::Dropbox => {
                &[&[C::AccessToken], &[C::RefreshToken, C::ClientId, C::ClientSecret]]
            }
        }
    }
}

/// What was given for one service. Wiped when dropped.
#[derive(Clone, Default)]
pub struct Credentials(Vec<(Credential, Zeroizing<String>)>);

impl Credentials {
    /// Adds a part, in the place of one that is there. An empty one is none.
    pub fn set(&mut self, part: Credential, value: Zeroizing<String>) {
        self.0.retain(|(other, _)| *other != part);
        if !value.is_empty() {
            self.0.push((part, value));
        }
    }

    /// Whether nothing was given.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this part was given.
    pub fn has(&self, part: Credential) -> bool {
        self.expose(part).is_some()
    }

    pub(super) fn expose(&self, part: Credential) -> Option<&str> {
        self.0.iter().find(|(other, _)| *other == part).map(|(_, value)| value.as_str())
    }

    /// What would have to be added for this service, in words; None when all is there. Of a set that was begun, the rest.
    pub fn missing(&self, service: Service) -> Option<String> {
        let needed = service.needed();
        let lacks = |set: &&[Credential]| set.iter().filter(|part| !self.has(**part)).count();
        if needed.is_empty() || needed.iter().any(|set| lacks(set) == 0) {
            return None;
        }
        let is_begun = |set: &&&[Credential]| lacks(set) < set.len();
        let has_begun = needed.iter().any(|set| is_begun(&set));
        let sets = needed.iter().filter(|set| !has_begun || is_begun(set));
        let rest = |set: &&[Credential]| {
            let names = set.iter().filter(|part| !self.has(**part)).map(|part| part.name());
            names.collect::<Vec<_>>().join(" and ")
        };
        Some(sets.map(rest).collect::<Vec<_>>().join(", or "))
    }

    /// A service's words without ours: some repeat what they were sent.
    pub(super) fn redact(&self, text: &str) -> String {
        let secrets = self.0.iter().map(|(_, value)| value.as_str()).filter(|value| value.len() >= 4);
        secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "…"))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|(part, _)| part.name()).collect();
        write!(f, "Credentials({})", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::{Credential, Credentials, Service};

    fn given(parts: &[Credential]) -> Credentials {
        let mut credentials = Credentials::default();
        parts.iter().for_each(|part| credentials.set(*part, Zeroizing::new("hunter2".to_owned())));
        credentials
    }

    #[test]
    fn shows_which_parts_there_are_and_none_of_them() {
        let shown = format!("{:?}", given(&[Credential::Username, Credential::Password]));
        assert_eq!(shown, "Credentials(username, password)");
    }

    #[test]
    fn a_service_is_not_quoted_with_a_secret() {
        let said = given(&[Credential::Password]).redact("no user anna with hunter2 here");
        assert_eq!(said, "no user anna with … here");
    }

    #[test]
    fn says_what_is_missing() {
        for (parts, missing) in [
            (&[Credential::AccessKeyId][..], "secret_access_key"),
            (&[Credential::SessionToken], "access_key_id and secret_access_key"),
        ] {
            assert_eq!(given(parts).missing(Service::S3).as_deref(), Some(missing));
        }
        let begun = given(&[Credential::RefreshToken]).missing(Service::Dropbox);
        assert_eq!(begun.as_deref(), Some("client_id and client_secret"));
        assert_eq!(given(&[]).missing(Service::Gcs).as_deref(), Some("service_account, or token"));
        assert_eq!(given(&[]).missing(Service::WebDav), None);
        assert_eq!(given(&[Credential::SasToken]).missing(Service::Azure), None);
    }

    #[test]
    fn an_empty_part_is_none() {
        let mut credentials = given(&[Credential::Token]);
        credentials.set(Credential::Token, Zeroizing::default());
        assert!(credentials.is_empty());
    }
}
