//! From an address and credentials to OpenDAL's operator. Nothing is taken from the environment here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use opendal::{ErrorKind, OperationContext, Operator, services};

use super::address::{Address, Service};
use super::credentials::{Credential as C, Credentials};
use super::transport;
use crate::error::Error;

const DEFAULT_REGION: &str = "us-east-1";

/// The operator for a place. Makes no connection yet.
pub(super) fn operator(address: &Address, credentials: &Credentials) -> Result<Operator, Error> {
    let service = address.service;
    if let Some(missing) = credentials.missing(service) {
        return Err(Error::NoCredentials { url: address.to_string(), service, missing });
    }
    let built = match service {
        // ssh is a program of its own.
        Service::Sftp => return sftp(address).map_err(|error| refused(address, credentials, &error)),
        Service::S3 => s3(address, credentials),
        Service::WebDav => webdav(address, credentials),
        Service::Gcs => gcs(address, credentials),
        Service::Azure => azure(address, credentials),
        Service::GoogleDrive => drive(address, credentials),
        Service::Dropbox => dropbox(address, credentials),
        Service::OneDrive => onedrive(address, credentials),
        Service::Folder => Err(opendal::Error::new(ErrorKind::Unsupported, "a folder is no service")),
    };
    let operator = built.map_err(|error| refused(address, credentials, &error))?;
    let context = OperationContext::new().with_http_transport(transport::to(address)?);
    Ok(operator.with_context(context))
}

fn refused(address: &Address, credentials: &Credentials, error: &opendal::Error) -> Error {
    Error::BadUrl { url: address.to_string(), why: credentials.redact(error.message()) }
}

/// What was given, or nothing: OpenDAL takes an empty text for none.
fn given(credentials: &Credentials, part: C) -> &str {
    credentials.expose(part).unwrap_or_default()
}

fn s3(address: &Address, credentials: &Credentials) -> opendal::Result<Operator> {
    let mut s3 = services::S3::default()
        .bucket(&address.place)
        .root(&address.path)
        .region(address.option("region").unwrap_or(DEFAULT_REGION))
        .endpoint(address.endpoint().unwrap_or("https://s3.amazonaws.com"))
        .access_key_id(given(credentials, C::AccessKeyId))
        .secret_access_key(given(credentials, C::SecretAccessKey))
        .session_token(given(credentials, C::SessionToken))
        .disable_config_load();
    if address.option("style") == Some("virtual") {
        s3 = s3.enable_virtual_host_style();
    }
    Operator::new(s3)
}

fn webdav(address: &Address, credentials: &Credentials) -> opendal::Result<Operator> {
    let scheme = if address.is_insecure() { "http" } else { "https" };
    let user = address.user.as_deref().unwrap_or_else(|| given(credentials, C::Username));
    let webdav = services::Webdav::default()
        .endpoint(&format!("{scheme}://{}", address.place))
        .root(&address.path)
        .username(user)
        .password(given(credentials, C::Password))
        .token(given(credentials, C::Token))
        // They are there: see `Cloud::make_folder`.
        .disable_create_dir(true);
    Operator::new(webdav)
}

fn sftp(address: &Address) -> opendal::Result<Operator> {
    let user = address.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
    let endpoint = format!("ssh://{user}{}", address.place);
    Operator::new(services::Sftp::default().endpoint(&endpoint).root("/"))
}

/// What the operator's paths begin with. OpenDAL makes the folder that it works in with every connection: so for SFTP
/// it works in the topmost.
pub(super) fn top(address: &Address) -> String {
    match address.path.trim_matches('/') {
        "" => String::new(),
        path if address.service == Service::Sftp => format!("{path}/"),
        _ => String::new(),
    }
}

fn gcs(address: &Address, credentials: &Credentials) -> opendal::Result<Operator> {
    let mut gcs = services::Gcs::default()
        .bucket(&address.place)
        .root(&address.path)
        .endpoint(address.endpoint().unwrap_or_default())
        .disable_config_load()
        .disable_vm_metadata();
    if let Some(json) = credentials.expose(C::ServiceAccount) {
        gcs = gcs.credential(&BASE64.encode(json));
    }
    if let Some(token) = credentials.expose(C::Token) {
        gcs = gcs.token(token.to_owned());
    }
    Operator::new(gcs)
}

fn azure(address: &Address, credentials: &Credentials) -> opendal::Result<Operator> {
    let account = address.option("account").unwrap_or_default();
    let own = format!("https://{account}.blob.core.windows.net");
    let azure = services::Azblob::default()
        .container(&address.place)
        .root(&address.path)
        .endpoint(address.endpoint().unwrap_or(&own))
        .account_name(account)
        .account_key(given(credentials, C::AccountKey))
        .sas_token(given(credentials, C::SasToken));
    Operator::new(azure)
}

fn drive(address: &Address, credentials: &Credentials) -> opendal::Result<Operator> {
    let drive = services::Gdrive::default().root(&address.path);
    Operator::new(match credentials.expose(C::RefreshToken) {
        Some(token) => drive
            .refresh_token(token)
            .client_id(given(credentials, C::ClientId))
            .client_secret(given(credentials, C::ClientSecret)),
        None => drive.access_token(given(credentials, C::AccessToken)),
    })
}

fn dropbox(address: &Address, credentials: &Credentials) -> opendal::Result<Operator> {
    let dropbox = services::Dropbox::default().root(&address.path);
    Operator::new(match credentials.expose(C::RefreshToken) {
        Some(token) => dropbox
            .refresh_token(token)
            .client_id(given(credentials, C::ClientId))
            .client_secret(given(credentials, C::ClientSecret)),
        None => dropbox.access_token(given(credentials, C::AccessToken)),
    })
}

fn onedrive(address: &Address, credentials: &Credentials) -> opendal::Result<Operator> {
    let onedrive = services::Onedrive::default().root(&address.path);
    Operator::new(match credentials.expose(C::RefreshToken) {
        Some(token) => onedrive
            .refresh_token(token)
            .client_id(given(credentials, C::ClientId))
            .client_secret(given(credentials, C::ClientSecret)),
        None => onedrive.access_token(given(credentials, C::AccessToken)),
    })
}

#[cfg(test)]
#[path = "services_tests.rs"]
mod tests;
