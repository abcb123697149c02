//! Addresses as people type them: what looks like a place elsewhere must not become a folder here.

use coffer_archive::Destination;

use crate::error::Error;

/// The destination at an address.
///
/// # Errors
/// `NoAddress` and `NotAFolder` for what cannot be meant as a folder; whatever else the archive refuses.
pub(crate) fn destination(url: &str) -> Result<Destination, Error> {
    check(url)?;
    Ok(Destination::from_url(url)?)
}

/// Refuses what looks like a place elsewhere.
pub(crate) fn check(url: &str) -> Result<(), Error> {
    let refuse = |why| Err(Error::NotAFolder { address: url.to_owned(), why });
    // As `scp` and `rsync` tell: a colon before the first slash is behind a host's name.
    let first = url.split('/').next().unwrap_or(url);
    if url.is_empty() {
        Err(Error::NoAddress)
    } else if first.starts_with('~') {
        refuse("the shell did not put a home folder in the place of its ~")
    } else if first.contains(':') && !url.contains("://") {
        refuse("it looks like a place on another machine, and this version stores in folders")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn refuses_what_is_meant_for_another_machine_or_was_not_expanded() {
        for address in ["", "host:backups", "anna@host:backups", "anna@host:/srv", "b2:bucket/x", "~", "~/x", "~anna/x"]
        {
            assert!(check(address).is_err(), "{address}");
        }
    }

    #[test]
    fn takes_folders_whatever_they_are_called() {
        for address in ["/mnt/a:b", "./host:backups", "./~", "backups", "a/b:c", "fs:///mnt/a:b", "gopher://x:70/"] {
            assert!(check(address).is_ok(), "{address}");
        }
    }
}
