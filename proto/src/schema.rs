//! OpenAPI schemas of what is a string in JSON.

use std::borrow::Cow;

use utoipa::openapi::schema::SchemaType;
use utoipa::openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::bytes::{Base64, Base64Vec};
use crate::time::Time;

/// A string.
pub(crate) fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).description(Some(description))
}

/// The last of two digits that stand for one byte, and of three for two: no bits are left over.
const LAST_OF_TWO: &str = "[AQgw]";
const LAST_OF_THREE: &str = "[AEIMQUYcgkosw048]";

/// The one canonical form of `bytes` bytes.
fn exactly(bytes: usize) -> String {
    let last = match bytes % 3 {
        0 => "",
        1 => LAST_OF_TWO,
        _ => LAST_OF_THREE,
    };
    let others = digits(bytes) - usize::from(!last.is_empty());
    format!("^[A-Za-z0-9_-]{{{others}}}{last}$")
}

/// The one canonical form of any number of bytes.
fn any() -> String {
    let digit = "[A-Za-z0-9_-]";
    format!("^({digit}{{4}})*({digit}{LAST_OF_TWO}|{digit}{{2}}{LAST_OF_THREE})?$")
}

/// Digits of base64 without padding.
const fn digits(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

impl<const N: usize> PartialSchema for Base64<N> {
    fn schema() -> RefOr<Schema> {
        let description = format!("{N} bytes as base64url without padding (RFC 4648, section 5).");
        text(&description).pattern(Some(exactly(N))).min_length(Some(digits(N))).max_length(Some(digits(N))).into()
    }
}

impl<const N: usize> ToSchema for Base64<N> {
    fn name() -> Cow<'static, str> {
        format!("Bytes{N}").into()
    }
}

impl<const MAX: usize> PartialSchema for Base64Vec<MAX> {
    fn schema() -> RefOr<Schema> {
        let description = format!("1 to {MAX} bytes as base64url without padding (RFC 4648, section 5).");
        text(&description).pattern(Some(any())).min_length(Some(digits(1))).max_length(Some(digits(MAX))).into()
    }
}

impl<const MAX: usize> ToSchema for Base64Vec<MAX> {
    fn name() -> Cow<'static, str> {
        format!("BytesUpTo{MAX}").into()
    }
}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        text("RFC 3339 in UTC, to the second.").format(Some(format)).into()
    }
}

impl ToSchema for Time {}
