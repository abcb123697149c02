//! `CKA_UNWRAP_TEMPLATE`, which cryptoki has no word for.

use std::ffi::c_ulong;

use cryptoki::object::{Attribute, AttributeType};

/// PKCS#11 3.0, section 4.9: what every key that is unwrapped with the key must be.
const CKA_UNWRAP_TEMPLATE: c_ulong = 0x4000_0212;
const CKA_SENSITIVE: c_ulong = 0x103;
const CKA_EXTRACTABLE: c_ulong = 0x162;

static TRUE: u8 = 1;
static FALSE: u8 = 0;

/// {`CKA_SENSITIVE` = true, `CKA_EXTRACTABLE` = false}.
///
/// The value is an array of `CK_ATTRIBUTE`: type, address of the value, length; on Unix three machine words without
/// padding. The addresses are those of statics, so they hold for as long as anyone may read them. The token reads the
/// array through a `CK_ATTRIBUTE *`; an allocator gives a block of this size the alignment that a word needs.
pub(crate) fn sensitive_and_not_extractable() -> Attribute {
    let bytes = [attribute(CKA_SENSITIVE, &TRUE), attribute(CKA_EXTRACTABLE, &FALSE)].concat();
    Attribute::VendorDefined((AttributeType::VendorDefined(CKA_UNWRAP_TEMPLATE), bytes))
}

fn attribute(name: c_ulong, value: &'static u8) -> Vec<u8> {
    let address = std::ptr::from_ref(value).expose_provenance();
    [&name.to_ne_bytes()[..], &address.to_ne_bytes(), &c_ulong::to_ne_bytes(1)].concat()
}
