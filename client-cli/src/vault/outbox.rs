//! Shares that sites of the vault have still to be sent, in a file of the home.

use std::error::Error as StdError;
use std::fs::{self, File};
use std::io::Read as _;

use coffer_vault_client::{Delivery, Outbox, SiteNumber};

use super::Vault;
use crate::context::Context;
use crate::home::Home;
use crate::output::named_sites;

/// More bytes than an outbox has.
const LONGEST: u64 = 1 << 20;

/// Readable by its owner only: nothing in it is secret, but it is nobody else's.
#[derive(Debug)]
pub(crate) struct OutboxFile<'a>(pub(crate) &'a Home);

impl Outbox for OutboxFile<'_> {
    fn load(&mut self) -> Option<Vec<u8>> {
        let mut undelivered = Vec::new();
        File::open(self.0.outbox_file()).ok()?.take(LONGEST).read_to_end(&mut undelivered).ok()?;
        Some(undelivered)
    }

    fn keep(&mut self, undelivered: &[u8]) -> Result<(), Box<dyn StdError + Send + Sync>> {
        self.0.write(&self.0.outbox_file(), undelivered).map_err(|error| error.to_string().into())
    }

    fn forget(&mut self) {
        // One that stays behind is found to be of no use the next time.
        let _ = fs::remove_file(self.0.outbox_file());
    }
}

/// Sends what sites that were away have still to be sent. Where that does not work it does the next time: whatever the
/// command is about does not wait for it.
pub(super) fn deliver(context: &Context, vault: &Vault) -> Option<Vec<Delivery>> {
    let deliveries = match vault.wait(vault.session.deliver(&mut OutboxFile(&context.home))) {
        Ok(deliveries) => deliveries,
        Err(error) => {
            let text = format!("sites of the vault have still to be sent their parts of the key: {error}");
            context.output.note(&text);
            return None;
        }
    };
    for delivery in &deliveries {
        if !delivery.delivered.is_empty() {
            context
                .output
                .note(&format!("the vault now keeps a part of the key at {} too", sites(&delivery.delivered)));
        }
        warn_of_forgers(context, &delivery.forged);
    }
    Some(deliveries)
}

/// Of sites whose word does not hold.
pub(crate) fn warn_of_forgers(context: &Context, forged: &[SiteNumber]) {
    if !forged.is_empty() {
        let text =
            format!("no proof of holding a part of the key came from {}: tell the vault's operator", sites(forged));
        context.output.warning(&text);
    }
}

fn sites(sites: &[SiteNumber]) -> String {
    named_sites(&sites.iter().map(|site| site.0).collect::<Vec<_>>())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use coffer_vault_client::Outbox as _;

    use super::OutboxFile;
    use crate::home::Home;

    #[test]
    fn is_for_its_owner_alone_and_as_before_when_it_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::find(Some(&folder.path().join("home"))).unwrap();
        let mut outbox = OutboxFile(&home);
        assert_eq!(outbox.load(), None);
        for undelivered in [b"one".as_slice(), b"another", b"x"] {
            outbox.keep(undelivered).unwrap();
            assert_eq!(OutboxFile(&home).load().as_deref(), Some(undelivered));
            let mode = fs::metadata(home.outbox_file()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        outbox.forget();
        assert_eq!(outbox.load(), None);
    }

    /// A crash while it is written leaves the new one beside the old.
    #[test]
    fn a_crash_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::find(Some(folder.path())).unwrap();
        let mut outbox = OutboxFile(&home);
        outbox.keep(b"before").unwrap();
        fs::write(home.outbox_file().with_extension("new"), b"ha").unwrap();
        assert_eq!(outbox.load().as_deref(), Some(b"before".as_slice()));
        outbox.keep(b"after").unwrap();
        assert_eq!(outbox.load().as_deref(), Some(b"after".as_slice()));
        assert!(!home.outbox_file().with_extension("new").exists());
    }

    #[test]
    fn refuses_a_home_that_cannot_be_written() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), b"").unwrap();
        let home = Home::find(Some(&folder.path().join("file/home"))).unwrap();
        assert!(OutboxFile(&home).keep(b"one").is_err());
    }
}
