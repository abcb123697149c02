//! A share as a client deals and seals it.

use std::future::Future;

use coffer_pake::{Argon2Parameters, Identities, SealedShare, Share, deal_registration, import_point, receipt_base};
use coffer_vault_core::{Hsm, HsmError, ImportedShare, Point, SealedShareIn, WrappedShare};

use crate::HsmAdapter;

pub(super) const CONTEXT: &[u8] = b"this account, this site";

pub(super) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// The first of three shares.
pub(super) fn share() -> Share {
    let identities = Identities { client: b"client", server: b"server", context: b"context" };
    let argon2 = Argon2Parameters { memory_kib: 8 * 1024, passes: 1, lanes: 1 };
    let dealt = deal_registration(b"password", &identities, &argon2, &Point::generator(), 3, 2).unwrap();
    dealt.shares.into_iter().next().unwrap()
}

pub(super) fn seal(hsm: &HsmAdapter, share: &Share) -> SealedShare {
    share.seal(&hsm.public_keys().share_import, CONTEXT).unwrap()
}

/// As a site imports it.
pub(super) fn import(
    hsm: &HsmAdapter,
    sealed: &SealedShare,
    context: &[u8],
    expected: Point,
) -> Result<ImportedShare, HsmError> {
    wait(hsm.import_share(SealedShareIn {
        transport: import_point(context, &sealed.ephemeral),
        sealed: &sealed.wrapped,
        expected,
        receipt_base: receipt_base(context),
    }))
}

pub(super) fn imported(hsm: &HsmAdapter, share: &Share) -> WrappedShare {
    let imported = import(hsm, &seal(hsm, share), CONTEXT, share.public()).unwrap();
    WrappedShare { wrapped: imported.wrapped, public: share.public() }
}

/// A point that nobody knows the logarithm of, and what the share makes of it.
pub(super) fn question(share: &Share, number: u32) -> (Point, Point) {
    let name = number.to_be_bytes();
    (receipt_base(&name), share.receipt(&name))
}
