//! Where an archive lies, as one line of text without a secret: what is typed, kept in the configuration and shown.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::error::Error;

/// A kind of storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Service {
    /// A folder of this machine.
    Folder,
    /// Amazon S3, and what speaks its protocol.
    S3,
    /// A `WebDAV` server.
    WebDav,
    /// A machine that `ssh` reaches.
    Sftp,
    /// Google Drive.
    GoogleDrive,
    /// Dropbox.
    Dropbox,
    /// Microsoft `OneDrive`.
    OneDrive,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
}

/// What stands between `://` and the path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Nothing,
    /// A bucket or container.
    Bucket,
    /// A machine, perhaps with a port, perhaps with a user before it.
    Host,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Folder,
        Self::S3,
        Self::WebDav,
        Self::Sftp,
        Self::GoogleDrive,
        Self::Dropbox,
        Self::OneDrive,
        Self::Gcs,
        Self::Azure,
    ];

    /// How its addresses begin.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Folder => "fs",
            Self::S3 => "s3",
            Self::WebDav => "webdav",
            Self::Sftp => "sftp",
            Self::GoogleDrive => "gdrive",
            Self::Dropbox => "dropbox",
            Self::OneDrive => "onedrive",
            Self::Gcs => "gcs",
            Self::Azure => "azblob",
        }
    }

    /// What its addresses look like.
    pub const fn example(self) -> &'static str {
        match self {
            Self::Folder => "fs:///mnt/disk/backups",
            Self::S3 => "s3://bucket/folder?endpoint=https://host&region=eu-west-1",
            Self::WebDav => "webdav://host/folder",
            Self::Sftp => "sftp://user@host/folder",
            Self::GoogleDrive => "gdrive:///folder",
            Self::Dropbox => "dropbox:///folder",
            Self::OneDrive => "onedrive:///folder",
            Self::Gcs => "gcs://bucket/folder",
            Self::Azure => "azblob://container/folder?account=name",
        }
    }

    const fn place(self) -> Place {
        match self {
            Self::Folder | Self::GoogleDrive | Self::Dropbox | Self::OneDrive => Place::Nothing,
            Self::S3 | Self::Gcs | Self::Azure => Place::Bucket,
            Self::WebDav | Self::Sftp => Place::Host,
        }
    }

    /// What may stand behind the question mark.
    const fn options(self) -> &'static [&'static str] {
        match self {
            Self::S3 => &["endpoint", "region", "style", INSECURE],
            Self::Gcs => &["endpoint", INSECURE],
            Self::Azure => &["account", "endpoint", INSECURE],
            Self::WebDav => &[INSECURE],
            Self::Folder | Self::Sftp | Self::GoogleDrive | Self::Dropbox | Self::OneDrive => &[],
        }
    }
}

/// `insecure=true` lets a service be spoken to without TLS: its credentials are then readable on the way.
const INSECURE: &str = "insecure";

/// A place with a service.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    pub(super) service: Service,
    pub(super) user: Option<String>,
    /// A bucket, a container, or a host with its port; empty for services that have neither.
    pub(super) place: String,
    /// Absolute, without a slash at its end unless that is all of it.
    pub(super) path: String,
    options: BTreeMap<&'static str, String>,
}

impl Address {
    /// The address that `text` is: a path, or a URL. Everything in it is meant literally.
    ///
    /// # Errors
    /// `SecretInUrl` for a URL with a password or a key in it, `BadUrl` for any other that is none. Neither shows more of
    /// it than [`redacted`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bad = |why: String| Error::BadUrl { url: redacted(text), why };
        let Some((scheme, rest)) = text.split_once("://") else { return Self::folder(text).map_err(bad) };
        let Some(service) = Service::ALL.into_iter().find(|service| service.scheme() == scheme) else {
            let known = Service::ALL.map(Service::scheme).join(", ");
            return Err(bad(format!("of services there are {known}")));
        };
        if service == Service::Folder {
            let absolute = rest.starts_with('/').then_some(rest);
            return Self::folder(absolute.ok_or_else(|| bad("write fs:///path with an absolute path".to_owned()))?)
                .map_err(bad);
        }
        if has_secret(rest) {
            return Err(Error::SecretInUrl { url: redacted(text) });
        }
        Self::of_service(service, rest).map_err(bad)
    }

    fn folder(path: &str) -> Result<Self, String> {
        if path.is_empty() {
            return Err("it is empty".to_owned());
        }
        let path = std::path::absolute(path).map_err(|error| error.to_string())?;
        let path = path.to_str().ok_or("the path is not UTF-8")?.to_owned();
        Ok(Self { service: Service::Folder, user: None, place: String::new(), path, options: BTreeMap::new() })
    }

    fn of_service(service: Service, rest: &str) -> Result<Self, String> {
        if rest.contains(|letter: char| letter.is_control() || letter == '#' || letter == '\\') {
            return Err("it contains a character that no address has".to_owned());
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, place) = match authority.split_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        check_place(service, user, place)?;
        let mut options = BTreeMap::new();
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let Some(known) = service.options().iter().find(|known| **known == name) else {
                let known = service.options().join(", ");
                return Err(format!("of options {} takes: {}", service.scheme(), or_none(&known)));
            };
            check_option(known, value)?;
            if options.insert(*known, value.to_owned()).is_some() {
                return Err(format!("it says {known} twice"));
            }
        }
        let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
        if parts.iter().any(|part| matches!(*part, "." | ".." | "~")) {
            return Err("its path must not contain ., .. or ~".to_owned());
        }
        let path = format!("/{}", parts.join("/"));
        let address = Self { service, user: user.map(str::to_owned), place: place.to_owned(), path, options };
        if address.endpoint().is_some_and(|endpoint| endpoint.starts_with("http://")) && !address.is_insecure() {
            return Err(format!("its endpoint is not https; {INSECURE}=true would allow that"));
        }
        if service == Service::Azure && address.option("account").is_none() {
            return Err("it lacks account=…, the name of the storage account".to_owned());
        }
        Ok(address)
    }

    /// The kind of storage.
    pub const fn service(&self) -> Service {
        self.service
    }

    /// The user that it names.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The folder that it is, where it is one.
    pub fn as_folder(&self) -> Option<&Path> {
        (self.service == Service::Folder).then(|| Path::new(&self.path))
    }

    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// Where the service is reached, if that is said.
    pub(super) fn endpoint(&self) -> Option<&str> {
        self.option("endpoint")
    }

    /// Whether it may be spoken to without TLS.
    pub(super) fn is_insecure(&self) -> bool {
        self.option(INSECURE) == Some("true")
    }
}

/// Checked are user and host as strictly as they are because `ssh` gets them as arguments.
fn check_place(service: Service, user: Option<&str>, place: &str) -> Result<(), String> {
    let is_name = |text: &str, also: &str| {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter) || also.contains(letter);
        !text.is_empty() && !text.starts_with('-') && text.chars().all(allowed)
    };
    let example = || format!("write {}", service.example());
    match service.place() {
        Place::Nothing if place.is_empty() && user.is_none() => Ok(()),
        Place::Bucket if is_name(place, "") && user.is_none() => Ok(()),
        Place::Host
            if is_name(place, ":[]") && has_port_or_none(place) && user.is_none_or(|user| is_name(user, "+")) =>
        {
            Ok(())
        }
        _ => Err(example()),
    }
}

fn check_option(name: &str, value: &str) -> Result<(), String> {
    let is_right = match name {
        "endpoint" => {
            let host = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
            host.is_some_and(|host| !host.is_empty() && !host.contains(['@', '?', ' ']))
        }
        "style" => matches!(value, "path" | "virtual"),
        INSECURE => matches!(value, "true" | "false"),
        _ => !value.is_empty() && value.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter)),
    };
    if is_right { Ok(()) } else { Err(format!("its {name} is not one")) }
}

/// An address of IP 6 stands in brackets.
fn has_port_or_none(host: &str) -> bool {
    let behind = host.rsplit_once(']').map_or(host, |(_, behind)| behind);
    behind.split_once(':').is_none_or(|(_, port)| is_number(port))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn or_none(list: &str) -> &str {
    if list.is_empty() { "none" } else { list }
}

/// Whether a password stands before the host, or anywhere an option that is one by its name.
fn has_secret(rest: &str) -> bool {
    const SECRETS: [&str; 8] = ["key", "secret", "token", "pass", "sas", "sig", "credential", "auth"];
    let (_, query) = rest.split_once('?').unwrap_or((rest, ""));
    // Behind a colon stands a password, which may contain anything, or a port and a path.
    let behind_colon = rest.rsplit_once('@').and_then(|(before, _)| before.split_once(':'));
    let is_port = |text: &str| text.split_once('/').is_some_and(|(port, _)| is_number(port));
    let has_password = behind_colon.is_some_and(|(_, behind)| !is_port(behind));
    let is_secret = |option: &str| {
        let name = option.split('=').next().unwrap_or_default().to_ascii_lowercase();
        SECRETS.iter().any(|secret| name.contains(secret))
    };
    // In an endpoint as well.
    has_password || query.contains('@') || query.split(['&', '?']).any(is_secret)
}

/// An address as it may be repeated to who typed it: without what stands before an @ or behind a question mark, which
/// may be secret.
pub fn redacted(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    if scheme.is_empty() || scheme == "fs://" {
        // A path; but who forgot the scheme has written the same things.
        return match rest.split_once('@') {
            Some((before, after)) if before.contains(':') => format!("…@{after}"),
            _ => text.to_owned(),
        };
    }
    // A password may contain anything.
    let (user, rest) = rest.rsplit_once('@').map_or(("", rest), |(_, rest)| ("…@", rest));
    let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, _)| (rest, "?…"));
    format!("{scheme}{user}{rest}{query}")
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.service.scheme())?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        write!(f, "{}{}", self.place, self.path)?;
        for (number, (name, value)) in self.options.iter().enumerate() {
            write!(f, "{}{name}={value}", if number == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
