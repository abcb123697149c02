//! The real binary before sites that the tests play. With real sites it is tested in `tests/`.
#![expect(clippy::unwrap_used, reason = "tests")]

mod fleet;
mod life;
mod program;
mod relaying;
mod site;

// What the vault's own tests send with.
#[expect(dead_code, reason = "the vault's tests need more of it")]
#[path = "../../../../vault-server/tests/vault/http.rs"]
mod http;
#[path = "../../../../vault-server/tests/vault/token.rs"]
mod token;
