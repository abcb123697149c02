//! Addresses as people type them: what looks like a place elsewhere must not become a folder here.

use std::sync::Once;

use coffer_archive::{Access, Address, Destination, redacted};

use crate::context::Context;
use crate::credentials;
use crate::error::Error;
use crate::output::Output;

/// Once in a run is enough, however often it goes to a folder.
static WARNED: Once = Once::new();

/// The destination at an address, with what is known of credentials for it.
///
/// # Errors
/// As [`parse`] and [`credentials::of`]; `NoCredentials` where that is not enough.
pub(crate) fn destination(context: &Context, url: &str) -> Result<Destination, Error> {
    let address = parse(url)?;
    let credentials = credentials::of(context, &address)?;
    if context.options.limit_rate.is_some() && address.as_folder().is_some() {
        WARNED.call_once(|| {
            let text = "a folder is written and read as fast as it goes: the limit holds for services only";
            context.output.warning(text);
        });
    }
    let on_wait = context.output.is_for_people().then_some(note_wait as fn(&str));
    let access = Access { credentials, limit_rate: context.options.limit_rate, on_wait, ..Access::default() };
    Ok(Destination::at(&address, &access)?)
}

/// A person sees why nothing happens.
fn note_wait(text: &str) {
    Output::new(false, false).note_over_progress(text);
}

/// The address that was typed.
///
/// # Errors
/// `NoAddress` and `NotAFolder` for what cannot be meant as a folder; whatever else the archive refuses.
pub(crate) fn parse(url: &str) -> Result<Address, Error> {
    let refuse = |why| Err(Error::NotAFolder { address: redacted(url), why });
    // As `scp` and `rsync` tell: a colon before the first slash is behind a host's name.
    let first = url.split('/').next().unwrap_or(url);
    if url.is_empty() {
        Err(Error::NoAddress)
    } else if first.starts_with('~') {
        refuse("the shell did not put a home folder in the place of its ~")
    } else if first.contains(':') && !url.contains("://") {
        refuse("it looks like a place on another machine, without the service that keeps it")
    } else {
        Ok(Address::parse(url)?)
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn refuses_what_is_meant_for_another_machine_or_was_not_expanded() {
        for address in ["", "host:backups", "anna@host:backups", "anna@host:/srv", "b2:bucket/x", "~", "~/x", "~anna/x"]
        {
            assert!(parse(address).is_err(), "{address}");
        }
    }

    #[test]
    fn takes_folders_whatever_they_are_called() {
        for address in ["/mnt/a:b", "./host:backups", "./~", "backups", "a/b:c", "fs:///mnt/a:b"] {
            assert!(parse(address).is_ok(), "{address}");
        }
    }

    #[test]
    fn does_not_repeat_the_password_of_an_address_without_a_service() {
        let error = parse("anna:hunter2@host/backups").map_err(|error| error.to_string());
        assert!(error.is_err_and(|text| !text.contains("hunter2") && text.contains("host/backups")));
    }
}
