//! Ledger rows as this site's HSM vouches for them.

use std::sync::atomic::{AtomicU64, Ordering};

use subtle::ConstantTimeEq as _;

use crate::error::VaultError;
use crate::ledger::{SiteRow, mac_input};
use crate::outside::{LedgerError, LedgerRow};
use crate::ports::{Hsm as _, Ledger as _};
use crate::record::{encode, parse};
use crate::world::{Ports, World};

const MAC_LEN: usize = 32;

/// A row that was read, and the number under which it stands.
pub(crate) struct Row {
    pub(crate) number: u64,
    pub(crate) content: SiteRow,
}

/// Reads and writes rows; numbers them.
#[derive(Debug)]
pub(crate) struct Rows {
    last_number: AtomicU64,
    number_at_start: u64,
}

impl Rows {
    pub(crate) async fn open<W: World>(ports: &Ports<W>) -> Result<Self, VaultError> {
        let number_at_start = ports.ledger.highest_number().await?;
        Ok(Self { last_number: AtomicU64::new(number_at_start), number_at_start })
    }

    pub(crate) fn next_number(&self) -> u64 {
        self.last_number.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Every number from now on is greater than `number`.
    pub(crate) fn go_beyond(&self, number: u64) {
        self.last_number.fetch_max(number, Ordering::Relaxed);
    }

    /// How far the ledger had got when it was opened.
    pub(crate) fn number_at_start(&self) -> u64 {
        self.number_at_start
    }

    pub(crate) fn last_number(&self) -> u64 {
        self.last_number.load(Ordering::Relaxed)
    }

    /// The row, if there is one. A row that this HSM has not made, or not for this place, is an error: nothing goes on.
    pub(crate) async fn read<W: World>(&self, ports: &Ports<W>, key: &[u8]) -> Result<Option<Row>, VaultError> {
        let Some(row) = ports.ledger.read(key).await? else { return Ok(None) };
        self.open_row(ports, key, &row).await.map(Some)
    }

    pub(crate) async fn open_row<W: World>(
        &self,
        ports: &Ports<W>,
        key: &[u8],
        row: &LedgerRow,
    ) -> Result<Row, VaultError> {
        let forged = || {
            tracing::error!(number = row.number, "a ledger row is not this site's, or was altered");
            VaultError::Unavailable
        };
        let (content, mac) = row.bytes.split_last_chunk::<MAC_LEN>().ok_or_else(forged)?;
        let expected = ports.hsm.mac(&mac_input(key, row.number, content)).await?;
        if !bool::from(expected.ct_eq(mac)) {
            return Err(forged());
        }
        Ok(Row { number: row.number, content: parse(content)? })
    }

    /// Writes a row over the one that has the number `expected`; gives its own number.
    ///
    /// # Errors
    /// `Conflict` when another task was faster: read again.
    pub(crate) async fn write<W: World>(
        &self,
        ports: &Ports<W>,
        key: &[u8],
        expected: Option<u64>,
        content: &SiteRow,
    ) -> Result<u64, WriteError> {
        let number = self.next_number();
        let mut bytes = encode(content);
        let mac = ports.hsm.mac(&mac_input(key, number, &bytes)).await.map_err(VaultError::from)?;
        bytes.extend_from_slice(&mac);
        match ports.ledger.write(key, expected, &LedgerRow { number, bytes }).await {
            Ok(()) => Ok(number),
            Err(LedgerError::Conflict) => Err(WriteError::Conflict),
            Err(error) => Err(WriteError::Vault(error.into())),
        }
    }

    /// Removes a row that has the number `expected`.
    ///
    /// # Errors
    /// `Conflict` when another task was faster.
    pub(crate) async fn forget<W: World>(&self, ports: &Ports<W>, key: &[u8], expected: u64) -> Result<(), WriteError> {
        ports.ledger.forget(key, expected).await.map_err(|error| match error {
            LedgerError::Conflict => WriteError::Conflict,
            error => WriteError::Vault(error.into()),
        })
    }
}

/// Why a row was not written.
pub(crate) enum WriteError {
    /// Another task has written it.
    Conflict,
    /// It cannot be.
    Vault(VaultError),
}

impl From<VaultError> for WriteError {
    fn from(error: VaultError) -> Self {
        Self::Vault(error)
    }
}
