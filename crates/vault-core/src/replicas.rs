//! A site's wrapped shares in the record, which is replicated: useless without its HSM, they bring a site back whose disk
//! was lost.

use coffer_proto::{AccountId, frame};
use subtle::ConstantTimeEq as _;

use crate::commit::commit;
use crate::error::VaultError;
use crate::ledger::Held;
use crate::ports::Hsm as _;
use crate::record::{KeptShare, Live, VaultRecord};
use crate::site::Site;
use crate::world::World;

impl<W: World> Site<W> {
    /// Puts this site's wrapped share of the live registration into the record, if it is not there: of the registration that
    /// it is a share of and no other, and only once that was activated. What others have put there in its name goes.
    pub(crate) async fn replicate(&self, account: &AccountId, live: &Live, held: &Held) -> Result<(), VaultError> {
        let site = self.fleet.site;
        if self.fleet.sites == 1 || held.registration != live.registration || !held.activated {
            return Ok(());
        }
        let mac = self.ports.hsm.mac(&self.share_message(account, live, &held.wrapped)).await?;
        let share = KeptShare { site, wrapped: held.wrapped.clone(), mac };
        if live.shares.contains(&share) {
            return Ok(());
        }
        let id = live.registration.id;
        commit(&self.ports, account, |record: &mut VaultRecord, _| {
            let live = record.live.as_mut().filter(|live| live.registration.id == id);
            if let Some(live) = live.filter(|live| !live.shares.contains(&share)) {
                live.shares.retain(|kept| kept.site != site);
                live.shares.push(share.clone());
            }
            Ok(())
        })
        .await?;
        Ok(())
    }

    /// A row that this site has lost, out of the record: nothing is known of its evaluations. `None`: the record has no
    /// share of this site's HSM either.
    pub(crate) async fn recovered(&self, account: &AccountId, live: &Live) -> Result<Option<Held>, VaultError> {
        let site = self.fleet.site;
        let Some(share) = live.shares.iter().find(|share| share.site == site) else { return Ok(None) };
        let Some(receipt) = live.activation.receipts.iter().find(|receipt| receipt.site == site) else {
            return Ok(None);
        };
        let mac = self.ports.hsm.mac(&self.share_message(account, live, &share.wrapped)).await?;
        if !bool::from(mac.ct_eq(&share.mac)) {
            tracing::error!(target: "audit", ?account, "a replicated share is not this site's, or was altered");
            return Ok(None);
        }
        tracing::warn!(target: "audit", ?account, registration = %live.registration.id, "share recovered from the record");
        let mut held = Held::new(live.registration.clone(), share.wrapped.clone(), receipt.clone(), self.ports.now());
        // This site had verified that before it made the share's MAC. The token of then may not be verifiable any more.
        held.activated = true;
        held.carried = live.carried;
        Ok(Some(held))
    }

    fn share_message(&self, account: &AccountId, live: &Live, wrapped: &[u8]) -> Vec<u8> {
        let context = self.context(account, &live.registration).encode();
        frame([b"coffer/v1/replica".as_slice(), &context, &live.registration.hash().0, wrapped])
    }
}
