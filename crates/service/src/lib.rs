//! What `coffer-vault` and `coffer-gateway` are both served with. It knows HTTP and tokens, and nothing of what a vault is.
//!
//! ```text
//! Listener ─► observe ─► (the service's own admission: Limits, JwtTokens) ─► Strict, PathId ─► routes ─► Failure
//! ```

mod admission;
mod body;
pub mod configuration;
mod connections;
mod ending;
mod error;
mod jwks;
mod limits;
mod listener;
mod mutual_tls;
mod observe;
mod problem;
mod settings;
mod telemetry;
mod tokens;

pub use admission::{bearer_token, declared_length, too_large};
pub use body::{MAX_BODY, MAX_SEALED_BODY, PathId, Strict, read_body};
pub use ending::Ends;
pub use error::ServiceError;
pub use jwks::check_jwks;
pub use limits::{Limits, LimitsConfig};
pub use listener::{Listener, TlsFiles, check_tls, end, load_tls};
pub use mutual_tls::{MutualTlsFiles, load_mutual_tls};
pub use observe::{Metrics, REQUEST_ID, observe};
pub use problem::{Failure, PROBLEM_JSON};
pub use telemetry::{LogFormat, LogLevel, start_logs};
pub use tokens::{Bearer, JwtTokens};
