//! Names of things.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::bytes::{Base64, PointBytes};
use crate::schema::text;

/// Not as many lower-case hexadecimal digits as there should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is 32 digits of 0-9 and a-f, that of a key 16")]
pub struct IdError;

/// An id of 16 random bytes, chosen by whoever makes what it names; 32 lower-case hexadecimal digits as text. Only a key's
/// is of another length, and is no choice.
macro_rules! id {
    ($(#[$documentation:meta])* $name:ident) => {
        id! { $(#[$documentation])* $name 16 }
    };
    ($(#[$documentation:meta])* $name:ident $length:literal) => {
        $(#[$documentation])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $length]);

        impl $name {
            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let mut bytes = [0; $length];
                if text.bytes().any(|digit| digit.is_ascii_uppercase()) {
                    return Err(IdError);
                }
                hex::decode_to_slice(text, &mut bytes).map_err(|_| IdError)?;
                Ok(Self(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    Base64(self.0).serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
                } else {
                    Ok(Self(Base64::deserialize(deserializer)?.0))
                }
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let digits = 2 * $length;
                text(&format!("{digits} hexadecimal digits in lower case."))
                    .pattern(Some(format!("^[0-9a-f]{{{digits}}}$")))
                    .into()
            }
        }

        impl ToSchema for $name {}
    };
}

id! {
    /// A fleet: the sites that hold shares together. Random, made with the first manifest, the same for ever.
    FleetId
}
id! {
    /// A registration. Never used twice within an account, not even after it was erased.
    RegistrationId
}
id! {
    /// A request to delete a registration. Whoever refuses it refuses this one for ever.
    DeletionId
}
id! {
    /// An attempt: one guess, paid for once however often it is asked.
    AttemptId
}
id! {
    /// What a route's path names, whatever it is.
    RouteId
}
id! {
    /// A site's transport key: the first bytes of its hash.
    TransportKeyId 8
}

impl TransportKeyId {
    /// The name of the key whose public half this is.
    pub fn of(public: &PointBytes) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(Sha256::digest(public.0));
        Self([a, b, c, d, e, f, g, h])
    }
}

/// A site's number in the fleet, from 1; also the argument at which its share lies on the dealer's polynomial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(maximum = 255)]
pub struct SiteNumber(pub u8);

impl fmt::Display for SiteNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::{IdError, RegistrationId};

    #[test]
    fn an_id_survives_the_way_through_text() {
        let id = RegistrationId([0xa5; 16]);
        assert_eq!(serde_json::from_str::<RegistrationId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
    }

    #[test]
    fn refuses_capitals_and_other_lengths() {
        for text in ["A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5", "a5", "", "g5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5"] {
            assert_eq!(text.parse::<RegistrationId>(), Err(IdError), "{text}");
        }
    }
}
