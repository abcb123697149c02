//! What goes over the wire between sites: postcard, behind a byte that names the format.

use coffer_proto::{AccountId, Base64, LedgerHeight, Nonce, PointBytes, RegistrationId, SiteNonce, Time};
use coffer_vault_core::{Point, Refusal, SiteAnswer, SiteRefusal, VaultError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A site that speaks another one answers 400, and is so taken for one that cannot be reached.
const FORMAT: u8 = 1;

/// Bytes. The longest request is an attempt with its token.
pub(crate) const MAX_LEN: usize = 8 << 10;

/// Asks what there is of a registration.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Of {
    pub(crate) account: AccountId,
    pub(crate) registration: RegistrationId,
}

/// A [`SiteAnswer`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WireAnswer {
    point: PointBytes,
    nonce: SiteNonce,
    height: LedgerHeight,
}

/// A [`SiteRefusal`]. What a coordinator does not act on is not told apart.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum WireRefusal {
    Full { nonce: Option<Nonce> },
    Wait { retry_at: Time },
    OtherBytes,
    NotHeld,
    Refused(Refusal),
    Other,
}

impl From<SiteAnswer> for WireAnswer {
    fn from(answer: SiteAnswer) -> Self {
        let SiteAnswer { point, nonce, height } = answer;
        Self { point: Base64(point.encode()), nonce, height }
    }
}

impl WireAnswer {
    /// `None`: the point is none.
    pub(crate) fn read(self) -> Option<SiteAnswer> {
        let Self { point, nonce, height } = self;
        Some(SiteAnswer { point: Point::parse(&point.0).ok()?, nonce, height })
    }
}

impl From<SiteRefusal> for WireRefusal {
    fn from(refusal: SiteRefusal) -> Self {
        match refusal {
            SiteRefusal::Full { nonce } => Self::Full { nonce },
            SiteRefusal::Wait { retry_at } => Self::Wait { retry_at },
            SiteRefusal::OtherBytes => Self::OtherBytes,
            SiteRefusal::NotHeld => Self::NotHeld,
            SiteRefusal::Refused(VaultError::Refused(refusal)) => Self::Refused(refusal),
            SiteRefusal::Refused(_) | SiteRefusal::Unreachable => Self::Other,
        }
    }
}

impl From<WireRefusal> for SiteRefusal {
    fn from(refusal: WireRefusal) -> Self {
        match refusal {
            WireRefusal::Full { nonce } => Self::Full { nonce },
            WireRefusal::Wait { retry_at } => Self::Wait { retry_at },
            WireRefusal::OtherBytes => Self::OtherBytes,
            WireRefusal::NotHeld => Self::NotHeld,
            WireRefusal::Refused(refusal) => Self::Refused(refusal.into()),
            WireRefusal::Other => Self::Unreachable,
        }
    }
}

pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_extend(value, vec![FORMAT]).expect("plain data in memory")
}

/// `None`: of another format, cut off, or too long.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (FORMAT, content) = bytes.split_first().map(|(first, rest)| (*first, rest))? else { return None };
    match postcard::take_from_bytes(content) {
        Ok((value, [])) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use coffer_proto::{Base64, Time};
    use coffer_vault_core::{Refusal, SiteRefusal};

    use super::{WireRefusal, encode, parse};

    #[test]
    fn a_refusal_that_a_coordinator_acts_on_survives_the_way() {
        let retry_at = Time::from_unix_seconds(1_795_000_000);
        for refusal in [
            SiteRefusal::Full { nonce: Some(Base64([7; 16])) },
            SiteRefusal::Wait { retry_at },
            SiteRefusal::OtherBytes,
            SiteRefusal::NotHeld,
            SiteRefusal::Refused(Refusal::AttemptClosed.into()),
        ] {
            let sent: WireRefusal = parse(&encode(&WireRefusal::from(refusal))).unwrap();
            assert_eq!(SiteRefusal::from(sent), refusal);
        }
    }

    #[test]
    fn refuses_another_format_and_what_is_cut_off_or_too_long() {
        let good = encode(&7_u64);
        assert_eq!(parse::<u64>(&good), Some(7));
        for bad in [&[][..], &good[..1], &[2, 7], &[1, 7, 7]] {
            assert_eq!(parse::<u64>(bad), None, "{bad:?}");
        }
    }
}
