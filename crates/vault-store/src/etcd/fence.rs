//! How an operator moves a cell from one manifest to the next.

use etcd_client::{Compare, CompareOp, Txn, TxnOp, TxnOpResponse, TxnResponse};

use super::cell::Cell;

/// Why a cell's fence was not set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FenceError {
    /// The configuration has no cell of this number.
    #[error("there is no cell {0}")]
    NoSuchCell(u16),
    /// What was refused once would be served again.
    #[error("the fence of a cell only rises: {from} → {to}")]
    Backwards {
        /// What was said to stand there.
        from: u64,
        /// What was to stand there.
        to: u64,
    },
    /// The cell is not the one that was meant, or someone else has set it.
    #[error("the fence is {}, which is not what was said to stand there", found.as_deref().unwrap_or("not set"))]
    Other {
        /// What stands there: the cell's number, a colon, the fence.
        found: Option<String>,
    },
    /// It may have been set or not, or this user may not set it. Setting it again does no harm.
    #[error("the cell cannot be reached, or does not let this user set its fence")]
    Unknown,
}

/// Sets the fence to the configured one, if `from` stands there (`None`: nothing does).
pub(crate) async fn set(cell: &Cell, from: Option<u64>) -> Result<(), FenceError> {
    let to = cell.fence;
    if let Some(from) = from.filter(|from| *from >= to) {
        return Err(FenceError::Backwards { from, to });
    }
    let key = cell.fence_key();
    let as_said = match from {
        Some(from) => cell.fence_is(from),
        None => Compare::create_revision(key, CompareOp::Equal, 0),
    };
    let transaction = Txn::new()
        .when([as_said])
        .and_then([TxnOp::put(key, cell.fence_text(to), None)])
        .or_else([TxnOp::get(key, None)]);
    let (answer, _) = cell.ask_any(&transaction).await.ok_or(FenceError::Unknown)?;
    if answer.succeeded() {
        return Ok(());
    }
    let found = found(&answer);
    // Sent to a second member, or again.
    if found.as_ref() == Some(&cell.fence_text(to)) { Ok(()) } else { Err(FenceError::Other { found }) }
}

fn found(answer: &TxnResponse) -> Option<String> {
    match answer.op_responses().first() {
        Some(TxnOpResponse::Get(fence)) => {
            fence.kvs().first().map(|fence| String::from_utf8_lossy(fence.value()).into_owned())
        }
        _ => None,
    }
}
