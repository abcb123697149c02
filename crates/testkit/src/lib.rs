//! What the tests of the vault are built with: its outside world (the ports of `coffer_vault_core`) in memory, on command
//! faulty; the suites that a real implementation has to pass; disks that are small, read-only or gone; and clusters of
//! real etcd.
//!
//! Every fake is a handle: its clones are the same store, the same HSM, the same clock.

mod clock;
pub mod conformance;
#[cfg(target_os = "linux")]
pub mod disk;
#[cfg(target_os = "linux")]
pub mod etcd;
mod faults;
mod faulty_store;
mod memory_store;
mod roots;
mod software_hsm;
mod test_fleet;
mod tokens;
mod turns;

pub use clock::TestClock;
/// What a [`TestFleet`] is made with.
pub use coffer_vault_core::Policy;
pub use faults::Faults;
pub use faulty_store::FaultyStore;
pub use memory_store::{MemoryStore, RecordWrite};
pub use roots::Roots;
pub use software_hsm::SoftwareHsm;
pub use test_fleet::{Lie, TestFleet};
pub use tokens::TestTokens;
pub use turns::{abandon, take_turns};
