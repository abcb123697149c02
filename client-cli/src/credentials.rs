//! What a service is told of who we are: from the environment, from the file `credentials` in the home, or from the
//! platform's key store. The first of them that has anything for the address is used alone.

use std::env;
use std::path::Path;

use coffer_archive::{Address, Credential, Credentials, Service};
use zeroize::Zeroizing;

use crate::context::Context;
use crate::error::Error;
use crate::key_store;
use crate::secret_text;

/// Names a file with the credential, in the place of the credential itself.
const IN_FILE: &str = "_file";

const GOOGLES: &str = "GOOGLE_APPLICATION_CREDENTIALS";

/// Everything that is known for an address; nothing for services that ask for nothing.
pub(crate) fn of(context: &Context, address: &Address) -> Result<Credentials, Error> {
    let service = address.service();
    if service.credentials().is_empty() {
        return Ok(Credentials::default());
    }
    let found = from_environment(service)?;
    if found.is_empty() {
        return kept(context, address);
    }
    match found.missing(service) {
        Some(missing) => Err(Error::CredentialsInHalf { given: variables(service, &found), missing }),
        None => Ok(found),
    }
}

/// Whether what is needed for an address is known from this run's environment alone.
pub(crate) fn are_of_environment(context: &Context, address: &Address) -> Result<bool, Error> {
    let service = address.service();
    if service.credentials().is_empty() || from_environment(service)?.is_empty() {
        return Ok(false);
    }
    let kept = kept(context, address)?;
    Ok(kept.is_empty() || kept.missing(service).is_some())
}

/// What is known for an address whatever the environment has.
fn kept(context: &Context, address: &Address) -> Result<Credentials, Error> {
    let path = context.home.credentials_file();
    if let Some(text) = load(&path)? {
        let found = from_text(&text, address).map_err(|refused| refused.in_place(path.display().to_string()))?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    match key_store::credentials(address.service().scheme())? {
        Some(text) => from_text(&text, address).map_err(|refused| refused.in_place(key_store::PLATFORM.to_owned())),
        None => Ok(Credentials::default()),
    }
}

/// Why a text with credentials cannot be used.
#[derive(Debug)]
enum Refused {
    /// It is not of the form.
    Form(String),
    /// A file that it names.
    Named(Error),
}

impl Refused {
    fn in_place(self, place: String) -> Error {
        match self {
            Self::Form(why) => Error::CredentialsBroken { place, why },
            Self::Named(error) => error,
        }
    }
}

/// The names that other programs use for it, where there are any.
fn variable(service: Service, part: Credential) -> String {
    match (service, part) {
        (Service::S3, part) => format!("AWS_{}", part.name().to_uppercase()),
        (Service::Azure, Credential::AccountKey) => "AZURE_STORAGE_KEY".to_owned(),
        (Service::Azure, part) => format!("AZURE_STORAGE_{}", part.name().to_uppercase()),
        (service, part) => format!("COFFER_{}_{}", service.scheme().to_uppercase(), part.name().to_uppercase()),
    }
}

/// The names of those that were found.
fn variables(service: Service, found: &Credentials) -> String {
    let parts = service.credentials().iter().filter(|part| found.has(**part));
    parts.map(|part| variable(service, *part)).collect::<Vec<_>>().join(" and ")
}

fn from_environment(service: Service) -> Result<Credentials, Error> {
    let mut found = Credentials::default();
    for part in service.credentials() {
        if let Ok(value) = env::var(variable(service, *part)) {
            found.set(*part, Zeroizing::new(value));
        }
    }
    // This one names a file wherever it is used.
    if let (Service::Gcs, Some(path)) = (service, env::var_os(GOOGLES)) {
        let named = load_named(Path::new(&path)).map_err(|refused| refused.in_place(GOOGLES.to_owned()));
        found.set(Credential::ServiceAccount, named?);
    }
    Ok(found)
}

/// The file with credentials; None when there is none.
fn load(path: &Path) -> Result<Option<Zeroizing<String>>, Error> {
    let readable = |path, mode| Error::CredentialsReadableByOthers { path, mode };
    secret_text::load(path, secret_text::read_long, readable)
}

fn load_named(path: &Path) -> Result<Zeroizing<String>, Refused> {
    let missing = || Refused::Form(format!("there is no file {}, which it names", path.display()));
    load(path).map_err(Refused::Named)?.ok_or_else(missing)
}

/// What the sections of a text have for an address: that with the longest beginning of it, or else that of its service.
fn from_text(text: &str, address: &Address) -> Result<Credentials, Refused> {
    let form = |number: usize, why: &str| Refused::Form(format!("line {number} {why}"));
    // Some editors begin every text with it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let url = address.to_string();
    let mut best: Option<&str> = None;
    for (_, line) in lines(text) {
        let Some(section) = section(line) else { continue };
        let is_better = best.is_none_or(|best| section.len() > best.len());
        if is_of(section, &url) && is_better {
            best = Some(section);
        }
    }
    let mut found = Credentials::default();
    let mut current = None;
    for (number, line) in lines(text) {
        if let Some(section) = section(line) {
            current = Some(section);
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            return Err(form(number, "is neither [an address] nor name = value"));
        };
        if current.is_none() {
            return Err(form(number, "stands before the first [address]"));
        }
        if current != best {
            continue;
        }
        let (name, value) = (name.trim(), value.trim());
        let (plain, is_in_file) = name.strip_suffix(IN_FILE).map_or((name, false), |plain| (plain, true));
        let mut parts = address.service().credentials().iter();
        let part = parts.find(|part| part.name() == plain).ok_or_else(|| form(number, "names no credential"))?;
        let named = || load_named(Path::new(value));
        found.set(*part, if is_in_file { named()? } else { Zeroizing::new(value.to_owned()) });
    }
    Ok(found)
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

fn section(line: &str) -> Option<&str> {
    line.strip_prefix('[')?.strip_suffix(']').map(str::trim)
}

/// Whether a section is for an address: it names the service, or is where the address begins.
fn is_of(section: &str, url: &str) -> bool {
    let Some(rest) = url.strip_prefix(section.trim_end_matches('/')) else { return false };
    rest.is_empty() || rest.starts_with(['/', '?', ':'])
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use coffer_archive::{Address, Credential};

    use super::{from_text, load};
    use crate::error::Error;
    use crate::exit::Exit;

    const TEXT: &str = "
# Two buckets, and a server.
[s3]
access_key_id = one
secret_access_key = 1=1

[s3://photos]
access_key_id = two
secret_access_key = 2

[webdav://host]
username = anna
password = a b
";

    fn found(url: &str) -> String {
        format!("{:?}", from_text(TEXT, &Address::parse(url).unwrap()).unwrap())
    }

    #[test]
    fn a_section_is_for_a_service_or_for_what_begins_like_it() {
        let both = "Credentials(access_key_id, secret_access_key)";
        assert_eq!(found("s3://other/a"), both);
        assert_eq!(found("s3://photos/a?region=eu"), both);
        assert_eq!(found("webdav://host/dav"), "Credentials(username, password)");
        assert_eq!(found("webdav://host:8443/dav"), "Credentials(username, password)");
        assert_eq!(found("webdav://hostile/dav"), "Credentials()");
        assert_eq!(found("gdrive:///a"), "Credentials()");
    }

    #[test]
    fn refuses_a_line_that_is_none_and_does_not_repeat_it() {
        for text in ["[s3]\nhunter2", "password = hunter2", "[s3]\nhunter2 = x", "[s3]\npassword = hunter2"] {
            let refused = from_text(text, &Address::parse("s3://bucket/").unwrap()).unwrap_err();
            let why = refused.in_place("a file".to_owned()).to_string();
            assert!(why.contains("line ") && !why.contains("hunter2"), "{why}");
        }
    }

    #[test]
    fn reads_a_credential_from_the_file_that_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("account.json");
        fs::write(&path, "{}").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let text = format!("[gcs]\nservice_account_file = {}\n", path.display());
        let found = from_text(&text, &Address::parse("gcs://bucket/").unwrap()).unwrap();
        assert!(found.has(Credential::ServiceAccount));
    }

    #[test]
    fn refuses_to_do_without_a_file_that_is_named() {
        let text = "[gcs]\nservice_account_file = /nowhere/account.json\n";
        let refused = from_text(text, &Address::parse("gcs://bucket/").unwrap()).unwrap_err();
        let error = refused.in_place("a file".to_owned());
        assert_eq!(error.exit(), Exit::NoCredentials);
        assert!(error.to_string().contains("no file /nowhere/account.json"), "{error}");
    }

    #[test]
    fn a_byte_order_mark_begins_no_line() {
        let marked = format!("\u{feff}{}", TEXT.trim_start());
        let found = from_text(&marked, &Address::parse("s3://other/a").unwrap()).unwrap();
        assert!(found.has(Credential::SecretAccessKey));
    }

    #[test]
    fn refuses_credentials_that_others_could_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        fs::write(&path, TEXT).unwrap();
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert!(matches!(load(&path), Err(Error::CredentialsReadableByOthers { .. })), "{mode:o}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(load(&path).unwrap().unwrap().as_str(), TEXT);
    }
}
