//! Random bytes from the operating system, the only source this crate draws from.

use zeroize::Zeroizing;

/// The operating system gave no random bytes. Nothing was made; there is no weaker source to fall back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes: {0}")]
pub struct RandomnessError(getrandom::Error);

/// `N` fresh random bytes, wiped when dropped because most of them become keys.
pub(crate) fn generate_bytes<const N: usize>() -> Result<Zeroizing<[u8; N]>, RandomnessError> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice()).map_err(RandomnessError)?;
    Ok(bytes)
}
