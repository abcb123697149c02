//! What goes wrong, as RFC 9457 problem details.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::time::Time;

/// The body of every answer that is not a success: `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// What happened, for programs.
    #[serde(rename = "type")]
    pub problem_type: ProblemType,
    /// What happened, in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What to do about it, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Guesses that are left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts_remaining: Option<u8>,
    /// When to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Time>,
    /// The number that the next archive head has to have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_number: Option<u64>,
}

/// Every problem there is. A client acts on this and on nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum ProblemType {
    /// The token is missing or does not hold, for whatever reason.
    #[serde(rename = "urn:coffer:problem:unauthorized")]
    Unauthorized,
    /// The request is not one of this API.
    #[serde(rename = "urn:coffer:problem:malformed")]
    Malformed,
    /// The request's body is longer than any right one.
    #[serde(rename = "urn:coffer:problem:too-large")]
    TooLarge,
    /// There is no such route in this version of the API.
    #[serde(rename = "urn:coffer:problem:no-such-route")]
    NoSuchRoute,
    /// The route takes another method.
    #[serde(rename = "urn:coffer:problem:method-not-allowed")]
    MethodNotAllowed,
    /// The body is not `application/json`.
    #[serde(rename = "urn:coffer:problem:unsupported-media-type")]
    UnsupportedMediaType,
    /// A signature is not by the key that it should be by, or is over something else.
    #[serde(rename = "urn:coffer:problem:invalid-signature")]
    InvalidSignature,
    /// A sealed share does not open, or does not fit the registration.
    #[serde(rename = "urn:coffer:problem:invalid-share")]
    InvalidShare,
    /// A receipt is forged, of another registration, or there are too few.
    #[serde(rename = "urn:coffer:problem:invalid-receipt")]
    InvalidReceipt,
    /// The proof does not hold, or the attempt is not open.
    #[serde(rename = "urn:coffer:problem:invalid-proof")]
    InvalidProof,
    /// The attempt was proved, forgiven or has expired: start a new one.
    #[serde(rename = "urn:coffer:problem:attempt-closed")]
    AttemptClosed,
    /// The site that answered has forgotten the exchange: send the same retrieval again, which is free, and prove that.
    #[serde(rename = "urn:coffer:problem:retrieve-again")]
    RetrieveAgain,
    /// The id was used before with other content.
    #[serde(rename = "urn:coffer:problem:id-reused")]
    IdReused,
    /// The registration is not the one that is live, or not the one that waits: ask again which is.
    #[serde(rename = "urn:coffer:problem:registration-changed")]
    RegistrationChanged,
    /// The registration was erased; its id is never taken again.
    #[serde(rename = "urn:coffer:problem:erased")]
    Erased,
    /// This site holds no share of that registration: deliver it first.
    #[serde(rename = "urn:coffer:problem:not-delivered")]
    NotDelivered,
    /// The account has no live registration, or nothing of what is asked for.
    #[serde(rename = "urn:coffer:problem:not-registered")]
    NotRegistered,
    /// No guess is left: the key is permanently inaccessible.
    #[serde(rename = "urn:coffer:problem:locked")]
    Locked,
    /// The next guess is taken at `retry_at`.
    #[serde(rename = "urn:coffer:problem:wait")]
    Wait,
    /// After a lock, the next registration is taken at `retry_at`.
    #[serde(rename = "urn:coffer:problem:cool-down")]
    CoolDown,
    /// The archive head's number is not `next_number`.
    #[serde(rename = "urn:coffer:problem:stale-head")]
    StaleHead,
    /// The registration was made for a fleet manifest that this site does not know.
    #[serde(rename = "urn:coffer:problem:unknown-manifest")]
    UnknownManifest,
    /// What is sealed does not open: it was changed on its way, is not for this site, or the clocks are far apart.
    #[serde(rename = "urn:coffer:problem:invalid-seal")]
    InvalidSeal,
    /// The site no longer has the transport key, or never had it: fetch the fleet again.
    #[serde(rename = "urn:coffer:problem:unknown-transport-key")]
    UnknownTransportKey,
    /// The gateway does not reach the site. What was sent may have arrived, and may be sent again.
    #[serde(rename = "urn:coffer:problem:site-unreachable")]
    SiteUnreachable,
    /// Too many requests, or the account has used up too many registrations.
    #[serde(rename = "urn:coffer:problem:too-many-requests")]
    TooManyRequests,
    /// The vault cannot do it just now. Nothing was given away; what was sent may be sent again.
    #[serde(rename = "urn:coffer:problem:unavailable")]
    Unavailable,
}

impl ProblemType {
    /// The HTTP status that goes with it.
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed | Self::InvalidSeal => 400,
            Self::Unauthorized => 401,
            Self::InvalidSignature | Self::InvalidReceipt | Self::InvalidProof => 403,
            Self::NoSuchRoute | Self::NotRegistered => 404,
            Self::MethodNotAllowed => 405,
            Self::AttemptClosed
            | Self::RetrieveAgain
            | Self::IdReused
            | Self::RegistrationChanged
            | Self::NotDelivered
            | Self::StaleHead
            | Self::UnknownManifest
            | Self::UnknownTransportKey => 409,
            Self::Erased => 410,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::InvalidShare => 422,
            Self::Locked => 423,
            Self::Wait | Self::CoolDown | Self::TooManyRequests => 429,
            Self::SiteUnreachable => 502,
            Self::Unavailable => 503,
        }
    }
}
