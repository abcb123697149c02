//! The vault's errors: their words, names and exit codes, and what to do about them.

use std::path::PathBuf;

use coffer_vault_client::{
    AddressError, FleetError, HeadError, HttpError, LiveStatus, PasswordError, ProblemType, RegisterError,
    RequestError, RetrieveError, Time,
};

use crate::exit::Exit;
use crate::output::local_time;

/// What the vault, its password or its token can be in the way with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VaultError {
    #[error("no vault is named")]
    NoVault,
    #[error("no file with an account token is named")]
    NoTokenFile,
    #[error("{} does not hold an account token", path.display())]
    NotAToken { path: PathBuf },
    #[error("{address} is not the address of a vault: {why}")]
    BadAddress { address: String, why: AddressError },
    #[error("this device's key is not protected by a password")]
    NotByPassword,
    #[error("a password is needed, and there is no terminal to ask at")]
    NoPassword,
    #[error(transparent)]
    Password(PasswordError),
    #[error("the two passwords differ")]
    PasswordsDiffer,
    #[error("this password would be guessed at once. {advice}")]
    Hopeless { advice: String },
    #[error("this was not done without your yes")]
    Unconfirmed,
    #[error("the password is wrong; {} left{}{}", attempts(*left), until(*retry_at), doubt(*unchecked))]
    WrongPassword { left: u8, retry_at: Option<Time>, unchecked: bool },
    #[error("too many wrong passwords: the next attempt is taken on {}", local_time(*until))]
    Wait { until: Time },
    #[error("after the vault has erased a key, it takes the next one on {}", local_time(*until))]
    CoolDown { until: Time },
    #[error(
        "another key of this account is registered: this one takes its place on {}, if its owner does not object",
        local_time(*live_at)
    )]
    Waiting { live_at: Time },
    #[error("no attempt is left: the vault has erased the key that the password protected")]
    Locked,
    #[error("no attempt is left; the vault erases the key on {}", local_time(*at))]
    LocksAt { at: Time },
    #[error("the vault keeps no key for this account")]
    NotRegistered,
    #[error("the password opens another key than this device's")]
    OtherKey,
    #[error("what the vault keeps for this account was not registered with this device's key")]
    OfAnother,
    #[error("the account token was made for another device")]
    OtherDevice,
    #[error("the password, or what is registered, was changed meanwhile")]
    Changed,
    #[error("the vault's note of the newest snapshot is not signed with this key")]
    ForeignHead,
    #[error("the attempt cannot be kept on this device, and was not made: {0}")]
    NotKept(String),
    #[error("{0}")]
    OutboxNotKept(String),
    #[error("{0}")]
    Untrusted(String),
    #[error("{0}; so it is not called protected yet")]
    Unproved(String),
    #[error("{0}: this password does not protect the key, and one from before does as it did")]
    SitesAway(String),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Http(#[from] HttpError),
    /// What has no words of its own.
    #[error("{0}")]
    Other(String),
}

fn attempts(left: u8) -> String {
    match left {
        0 => "no attempt is".to_owned(),
        1 => "1 attempt is".to_owned(),
        left => format!("{left} attempts are"),
    }
}

fn until(retry_at: Option<Time>) -> String {
    retry_at.map_or_else(String::new, |at| format!(", the next on {}", local_time(at)))
}

const fn doubt(unchecked: bool) -> &'static str {
    if unchecked { " (or a site of the vault is faulty)" } else { "" }
}

impl VaultError {
    /// What a request says whose only signature is the device's.
    pub(crate) fn of_device_signed(error: RequestError) -> Self {
        match error {
            RequestError::Refused(ProblemType::InvalidSignature) => Self::OtherDevice,
            other => other.into(),
        }
    }

    /// What a retrieval says; `live` is what was known before it.
    pub(crate) fn of_retrieval(error: RetrieveError, live: Option<&LiveStatus>) -> Self {
        match error {
            RetrieveError::WrongPassword { attempts_remaining, retry_at, unchecked } => {
                Self::WrongPassword { left: attempts_remaining, retry_at, unchecked }
            }
            RetrieveError::Wait { retry_at } => Self::Wait { until: retry_at },
            RetrieveError::Locked => match live.and_then(|live| live.locks_at) {
                Some(at) => Self::LocksAt { at },
                None => Self::Locked,
            },
            RetrieveError::NotRegistered => Self::NotRegistered,
            RetrieveError::NotKept(why) => Self::NotKept(why.to_string()),
            RetrieveError::Request(RequestError::Refused(
                ProblemType::InvalidProof
                | ProblemType::RegistrationChanged
                | ProblemType::AttemptClosed
                | ProblemType::Erased,
            )) => Self::Changed,
            RetrieveError::Request(error) => Self::of_device_signed(error),
            error @ (RetrieveError::Argon2(_) | RetrieveError::Untrusted(_)) => Self::Untrusted(error.to_string()),
        }
    }

    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::NoVault => "no-vault",
            Self::NoTokenFile | Self::NotAToken { .. } => "no-token",
            Self::BadAddress { .. } => "bad-vault-address",
            Self::NotByPassword => "not-protected-by-password",
            Self::NoPassword => "no-password",
            Self::Password(_) => "not-a-password",
            Self::PasswordsDiffer => "passwords-differ",
            Self::Hopeless { .. } => "weak-password",
            Self::Unconfirmed => "unconfirmed",
            Self::WrongPassword { .. } => "wrong-password",
            Self::Wait { .. } | Self::CoolDown { .. } => "wait",
            Self::Waiting { .. } => "waiting",
            Self::Locked | Self::LocksAt { .. } => "locked",
            Self::NotRegistered => "not-registered",
            Self::OtherKey => "other-key",
            Self::OfAnother => "registered-by-another",
            Self::OtherDevice => "other-device",
            Self::Changed => "changed",
            Self::ForeignHead => "foreign-head",
            Self::NotKept(_) => "attempt-not-kept",
            Self::OutboxNotKept(_) => "outbox-not-kept",
            Self::Untrusted(_) => "vault-untrusted",
            Self::Unproved(_) => "unproved",
            Self::SitesAway(_) => "vault-sites-away",
            Self::Request(error) => match error {
                RequestError::Unreachable(_) => "vault-unreachable",
                RequestError::Certificate(_) => "vault-certificate",
                RequestError::Unavailable => "vault-unavailable",
                RequestError::TooManyRequests { .. } => "too-many-requests",
                RequestError::Unauthorized => "unauthorized",
                RequestError::NotAVault(_) => "not-a-vault",
                RequestError::StaleKeys => "vault-keys-changed",
                RequestError::Refused(_) => "vault-refused",
            },
            Self::Http(_) => "vault-certificates",
            Self::Other(_) => "vault",
        }
    }

    pub(super) const fn exit(&self) -> Exit {
        match self {
            Self::NoVault
            | Self::NoTokenFile
            | Self::BadAddress { .. }
            | Self::NoPassword
            | Self::Password(_)
            | Self::PasswordsDiffer => Exit::Usage,
            Self::WrongPassword { .. } => Exit::WrongPassword,
            Self::OtherKey | Self::OfAnother => Exit::WrongKey,
            Self::Locked | Self::LocksAt { .. } => Exit::Locked,
            Self::Wait { .. } | Self::CoolDown { .. } | Self::Waiting { .. } => Exit::Wait,
            Self::NotRegistered | Self::NotByPassword => Exit::NotRegistered,
            Self::Unconfirmed => Exit::Unconfirmed,
            Self::NotAToken { .. } | Self::OtherDevice | Self::Request(RequestError::Unauthorized) => {
                Exit::Unauthorized
            }
            Self::Unproved(_) | Self::Changed | Self::SitesAway(_) => Exit::VaultUnavailable,
            Self::Request(
                RequestError::Unreachable(_)
                | RequestError::Unavailable
                | RequestError::StaleKeys
                | RequestError::TooManyRequests { .. },
            ) => Exit::VaultUnavailable,
            Self::Request(RequestError::Certificate(_) | RequestError::NotAVault(_) | RequestError::Refused(_))
            | Self::Untrusted(_)
            | Self::ForeignHead => Exit::VaultRefused,
            Self::Hopeless { .. } | Self::NotKept(_) | Self::OutboxNotKept(_) | Self::Http(_) | Self::Other(_) => {
                Exit::Failed
            }
        }
    }

    pub(super) const fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NoVault => "name one with --vault ADDRESS; its operator gives you the address",
            Self::NoTokenFile => "name one with --token-file FILE; your messaging service gives you the token",
            Self::NotAToken { .. } | Self::OtherDevice | Self::Request(RequestError::Unauthorized) => {
                "get a new token from your messaging service, for the device key that `coffer vault device-key` shows"
            }
            Self::BadAddress { .. } => "it looks like https://vault.example/# and 64 digits",
            Self::NotByPassword => "set one with `coffer protect password`",
            Self::Changed => "run the same command again",
            Self::NoPassword => "run this in a terminal, or name a file with --password-file FILE",
            Self::Password(_) | Self::PasswordsDiffer => "run the command again",
            Self::Hopeless { .. } => "four or five random words make a good password",
            Self::Unconfirmed => "run it in a terminal and answer y, or give --yes",
            Self::WrongPassword { left: 0, .. } | Self::Locked | Self::LocksAt { .. } => {
                "as long as a device has the key, protect it again from there: `coffer protect password`, or \
                 `coffer protect recovery-key`"
            }
            Self::WrongPassword { .. } => {
                "watch capitals and the keyboard's language; a right password gives all attempts back"
            }
            Self::Wait { .. } => "run the same command then; nothing was spent",
            Self::CoolDown { .. } => {
                "run the same command then; until then the vault keeps nothing: `coffer protect recovery-key` protects \
                 the key meanwhile"
            }
            Self::Waiting { .. } => {
                "until then the key is not protected by this password: write the 64 digits down with `coffer key show`"
            }
            Self::NotRegistered => "is it the right account, and the right vault?",
            Self::OtherKey | Self::OfAnother => "set the password anew with `coffer protect password`",
            Self::ForeignHead => {
                "the account's last backup went to another archive, or somebody tampers; --allow-rollback opens this \
                 one"
            }
            Self::NotKept(_) | Self::OutboxNotKept(_) => "make room, or check the permissions of the home",
            Self::Untrusted(_) => "check the address, and this device's clock; do not go on if both are right",
            Self::Request(
                RequestError::Unreachable(_) | RequestError::Unavailable | RequestError::TooManyRequests { .. },
            ) => {
                "try again later; nothing is lost: an attempt that was begun goes on with the same password, and costs \
                 nothing more"
            }
            Self::Request(RequestError::StaleKeys) => {
                "check that this device's clock is right, and try again; nothing is lost"
            }
            Self::Request(RequestError::Certificate(_)) => {
                "check the vault's address and this device's clock; if its operator has an authority of their own, \
                 name the authority's certificate with --vault-ca-file FILE"
            }
            Self::Request(RequestError::NotAVault(_)) => "check the vault's address",
            Self::Request(RequestError::Refused(_)) => {
                "run the command again; if that does not help, tell the vault's operator"
            }
            Self::Http(_) => "name a file with certificates in PEM form",
            Self::Unproved(_) => "run the same command again: it begins anew",
            Self::SitesAway(_) => "run the same command again later: it begins anew",
            Self::Other(_) => return None,
        })
    }
}

impl From<FleetError> for VaultError {
    fn from(error: FleetError) -> Self {
        match error {
            FleetError::Request(error) => error.into(),
            other => Self::Untrusted(other.to_string()),
        }
    }
}

impl From<HeadError> for VaultError {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::Request(error) => error.into(),
            HeadError::NotRegistered => Self::OfAnother,
            HeadError::Stale => Self::Other(error.to_string()),
        }
    }
}

impl From<RegisterError> for VaultError {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::CoolDown { retry_at } => Self::CoolDown { until: retry_at },
            RegisterError::Request(error) => Self::of_device_signed(error),
            RegisterError::Receipt(_) => Self::Untrusted(error.to_string()),
            RegisterError::Unproved(_) | RegisterError::Denied(_) => Self::Unproved(error.to_string()),
            RegisterError::SitesAway { .. } => Self::SitesAway(error.to_string()),
            RegisterError::NotKept(_) => Self::OutboxNotKept(error.to_string()),
            other => Self::Other(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use coffer_vault_client::{PasswordError, ProblemType, RequestError, RetrieveError, Time};

    use super::VaultError;

    #[test]
    fn each_error_has_the_number_that_the_manual_gives_it() {
        let until = Time::from_unix_seconds(0);
        for (error, name, code) in [
            (VaultError::NoVault, "no-vault", 2),
            (VaultError::NoPassword, "no-password", 2),
            (VaultError::Password(PasswordError::Empty), "not-a-password", 2),
            (VaultError::WrongPassword { left: 3, retry_at: None, unchecked: false }, "wrong-password", 20),
            (VaultError::Locked, "locked", 21),
            (VaultError::LocksAt { at: until }, "locked", 21),
            (VaultError::Wait { until }, "wait", 22),
            (VaultError::CoolDown { until }, "wait", 22),
            (VaultError::Waiting { live_at: until }, "waiting", 22),
            (VaultError::NotRegistered, "not-registered", 23),
            (VaultError::Request(RequestError::Unreachable(String::new())), "vault-unreachable", 24),
            (VaultError::Request(RequestError::Unavailable), "vault-unavailable", 24),
            (VaultError::Request(RequestError::StaleKeys), "vault-keys-changed", 24),
            (VaultError::OutboxNotKept(String::new()), "outbox-not-kept", 1),
            (VaultError::SitesAway(String::new()), "vault-sites-away", 24),
            (VaultError::Request(RequestError::Certificate(String::new())), "vault-certificate", 26),
            (VaultError::Request(RequestError::Unauthorized), "unauthorized", 25),
            (VaultError::OtherDevice, "other-device", 25),
            (VaultError::Changed, "changed", 24),
            (VaultError::Request(RequestError::NotAVault("")), "not-a-vault", 26),
            (VaultError::Untrusted(String::new()), "vault-untrusted", 26),
            (VaultError::Unconfirmed, "unconfirmed", 27),
            (VaultError::OtherKey, "other-key", 10),
            (VaultError::Hopeless { advice: String::new() }, "weak-password", 1),
        ] {
            assert_eq!((error.kind(), error.exit().code()), (name, code), "{error}");
            assert!(error.hint().is_some(), "{error}");
        }
    }

    #[test]
    fn a_refused_retrieval_says_whether_the_token_or_the_registration_is_another() {
        let of =
            |problem| VaultError::of_retrieval(RetrieveError::Request(RequestError::Refused(problem)), None).kind();
        assert_eq!(of(ProblemType::InvalidSignature), "other-device");
        assert_eq!(of(ProblemType::InvalidProof), "changed");
        assert_eq!(of(ProblemType::RegistrationChanged), "changed");
        assert_eq!(of(ProblemType::Malformed), "vault-refused");
    }

    #[test]
    fn a_wrong_password_says_what_is_left() {
        let wrong = |left, seconds| {
            let retry_at = Option::map(seconds, Time::from_unix_seconds);
            VaultError::WrongPassword { left, retry_at, unchecked: false }.to_string()
        };
        assert_eq!(wrong(9, None), "the password is wrong; 9 attempts are left");
        assert_eq!(wrong(0, None), "the password is wrong; no attempt is left");
        assert!(wrong(1, Some(0)).starts_with("the password is wrong; 1 attempt is left, the next on 19"));
    }
}
