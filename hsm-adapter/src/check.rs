//! Whether a token protects the keys as it must.

use std::cell::Cell;
use std::fmt;

use cryptoki::context::Pkcs11;
use cryptoki::error::Error;
use cryptoki::mechanism::{Mechanism, MechanismInfo, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::slot::Slot;

use crate::config::TokenConfig;
use crate::error::TokenError;
use crate::keys::{Key, P256, SHARE_KEK, keys};
use crate::library::Library;
use crate::public_half::{belongs, public_half};
use crate::session_object::SessionObject;

/// Something that a token lacks. PKCS#11's own names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The token cannot do this.
    Mechanism {
        /// Such as `CKM_AES_KEY_WRAP_PAD`.
        mechanism: String,
        /// Such as `CKF_UNWRAP`.
        flag: &'static str,
    },
    /// There is no such key, or not its public half.
    NoKey(&'static str),
    /// There are several keys of this label: which is the right one?
    SeveralKeys(&'static str),
    /// A key is not what it must be.
    Attribute {
        /// The key's label.
        key: &'static str,
        /// Such as `CKA_EXTRACTABLE`.
        attribute: String,
        /// What it must be.
        required: String,
        /// What the token says it is. `None` if it does not say.
        found: Option<String>,
    },
    /// What the pair's private half does does not fit its public half, which the sites' clients are told.
    PublicHalf(&'static str),
    /// `share-kek` unwraps a share as a key that can be read: its `CKA_UNWRAP_TEMPLATE` is missing or ignored.
    UnwrapTemplate,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mechanism { mechanism, flag } => write!(f, "the token lacks {mechanism} with {flag}"),
            Self::NoKey(key) => write!(f, "{key}: there is no such key, or not both halves of it"),
            Self::SeveralKeys(key) => write!(f, "{key}: there are several keys of this name"),
            Self::Attribute { key, attribute, required, found: Some(found) } => {
                write!(f, "{key}: {attribute} must be {required} and is {found}")
            }
            Self::Attribute { key, attribute, required, found: None } => {
                write!(f, "{key}: {attribute} must be {required}, and the token does not say")
            }
            Self::PublicHalf(key) => write!(f, "{key}: the public half is not that of the private half"),
            Self::UnwrapTemplate => {
                write!(
                    f,
                    "{}: CKA_UNWRAP_TEMPLATE does not keep a share from being unwrapped as readable",
                    SHARE_KEK.label
                )
            }
        }
    }
}

/// Everything that the token lacks: mechanisms, keys, and each attribute of each key. Empty means that
/// [`HsmAdapter::open`](crate::HsmAdapter::open) will take it.
pub fn check(config: &TokenConfig) -> Result<Vec<Finding>, TokenError> {
    let library = Library::initialise(config)?;
    let slot = library.token(config)?;
    let session = library.log_in(slot, &config.pin)?;
    Ok(findings(library.module(), slot, &session, config.fleet_root)?)
}

pub(crate) fn findings(
    module: &Pkcs11,
    slot: Slot,
    session: &Session,
    fleet_root: bool,
) -> Result<Vec<Finding>, Error> {
    let mut findings = missing_mechanisms(module, slot)?;
    for key in keys(fleet_root) {
        check_key(session, key, &mut findings)?;
    }
    // The last test uses the key-encryption key: it has to be the right one, and able to.
    if findings.is_empty() {
        let kek = session.find_objects(&SHARE_KEK.search())?[0];
        if unwraps_readable(session, kek, &Mechanism::AesKeyWrapPad)? {
            findings.push(Finding::UnwrapTemplate);
        }
    }
    Ok(findings)
}

type Able = fn(&MechanismInfo) -> bool;

const MECHANISMS: [(MechanismType, &str, Able); 8] = [
    (MechanismType::AES_KEY_GEN, "CKF_GENERATE", MechanismInfo::generate),
    (MechanismType::AES_KEY_WRAP_PAD, "CKF_WRAP", MechanismInfo::wrap),
    (MechanismType::AES_KEY_WRAP_PAD, "CKF_UNWRAP", MechanismInfo::unwrap),
    (MechanismType::ECC_KEY_PAIR_GEN, "CKF_GENERATE_KEY_PAIR", MechanismInfo::generate_key_pair),
    (MechanismType::ECDH1_DERIVE, "CKF_DERIVE", MechanismInfo::derive),
    (MechanismType::ECDSA, "CKF_SIGN", MechanismInfo::sign),
    (MechanismType::GENERIC_SECRET_KEY_GEN, "CKF_GENERATE", MechanismInfo::generate),
    (MechanismType::SHA256_HMAC, "CKF_SIGN", MechanismInfo::sign),
];

fn missing_mechanisms(module: &Pkcs11, slot: Slot) -> Result<Vec<Finding>, Error> {
    // SoftHSM informs of mechanisms that its configuration switches off, but does not list them.
    let listed = module.get_mechanism_list(slot)?;
    let mut findings = Vec::new();
    for (mechanism, flag, able) in MECHANISMS {
        if !listed.contains(&mechanism) || !able(&module.get_mechanism_info(slot, mechanism)?) {
            findings.push(Finding::Mechanism { mechanism: mechanism.to_string(), flag });
        }
    }
    Ok(findings)
}

fn check_key(session: &Session, key: Key, findings: &mut Vec<Finding>) -> Result<(), Error> {
    let found = session.find_objects(&key.search())?;
    let public = if key.purpose.is_pair() { session.find_objects(&key.public_search())?.len() } else { 1 };
    match (found.as_slice(), public) {
        (&[handle], 1) => {
            check_attributes(session, key, handle, findings)?;
            if key.purpose.is_pair() && findings.is_empty() {
                check_pair(session, key, handle, findings)?;
            }
            Ok(())
        }
        ([], _) | (_, 0) => {
            findings.push(Finding::NoKey(key.label));
            Ok(())
        }
        _ => {
            findings.push(Finding::SeveralKeys(key.label));
            Ok(())
        }
    }
}

fn check_attributes(
    session: &Session,
    key: Key,
    handle: ObjectHandle,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    check_required(session, key, handle, key.required(), findings)
}

/// Whether the token has made the key itself, as one that cannot be read: these attributes are its own to set.
pub(crate) fn check_origin(
    session: &Session,
    key: Key,
    handle: ObjectHandle,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    let required = [Attribute::Local(true), Attribute::AlwaysSensitive(true), Attribute::NeverExtractable(true)];
    check_required(session, key, handle, required.into(), findings)
}

fn check_required(
    session: &Session,
    key: Key,
    handle: ObjectHandle,
    required: Vec<Attribute>,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    let types: Vec<AttributeType> = required.iter().map(Attribute::attribute_type).collect();
    let said = session.get_attributes(handle, &types)?;
    for required in required {
        let attribute = required.attribute_type();
        let found = said.iter().find(|found| found.attribute_type() == attribute);
        if found != Some(&required) && !(found == Some(&unknown_length()) && was_imported(session, handle)?) {
            findings.push(Finding::Attribute {
                key: key.label,
                attribute: attribute.to_string(),
                required: shown(&required),
                found: found.map(shown),
            });
        }
    }
    Ok(())
}

/// What SoftHSM says of a key that it has unwrapped. [`import`](fn@crate::import) has seen to its length.
fn unknown_length() -> Attribute {
    Attribute::ValueLen(0.into())
}

/// `CKA_LOCAL` is the token's own to set.
fn was_imported(session: &Session, handle: ObjectHandle) -> Result<bool, Error> {
    Ok(session.get_attributes(handle, &[AttributeType::Local])? == [Attribute::Local(false)])
}

/// Uses the key, so nothing else may be wrong with it.
fn check_pair(session: &Session, key: Key, handle: ObjectHandle, findings: &mut Vec<Finding>) -> Result<(), Error> {
    let fits = match public_half(session, key)? {
        Some(public) => belongs(session, key, handle, &public)?,
        None => false,
    };
    if !fits {
        findings.push(Finding::PublicHalf(key.label));
    }
    Ok(())
}

/// The value alone.
fn shown(attribute: &Attribute) -> String {
    match attribute {
        Attribute::AllowedMechanisms(mechanisms) => {
            let names: Vec<String> = mechanisms.iter().map(ToString::to_string).collect();
            format!("[{}]", names.join(", "))
        }
        Attribute::Label(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
        Attribute::ValueLen(length) => length.to_string(),
        other => {
            let text = format!("{other:?}");
            text.split_once('(').map_or(text.as_str(), |(_, value)| value.trim_end_matches(')')).to_owned()
        }
    }
}

/// `CKA_UNWRAP_TEMPLATE` cannot be read through cryptoki, and what counts is what the token does with it: a throw-away
/// key is wrapped, and asked back as one that can be read.
pub(crate) fn unwraps_readable(session: &Session, kek: ObjectHandle, mechanism: &Mechanism<'_>) -> Result<bool, Error> {
    let leftover = Cell::new(false);
    let own = |handle| SessionObject::new(session, handle, &leftover);
    let (public, private) = session.generate_key_pair(
        &Mechanism::EccKeyPairGen,
        &[Attribute::Token(false), Attribute::EcParams(P256.to_vec())],
        &[
            Attribute::Token(false),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(true),
            Attribute::Derive(true),
        ],
    )?;
    let (_public, private) = (own(public), own(private));
    let wrapped = session.wrap_key(mechanism, kek, private.handle())?;
    for (sensitive, extractable) in [(false, true), (false, false), (true, true)] {
        let template = [
            Attribute::Class(ObjectClass::PRIVATE_KEY),
            Attribute::KeyType(KeyType::EC),
            Attribute::Token(false),
            Attribute::Private(true),
            Attribute::Sensitive(sensitive),
            Attribute::Extractable(extractable),
            Attribute::Derive(true),
        ];
        // A token may refuse, or give the key with the template's attributes in place of those that were asked for.
        let Ok(unwrapped) = session.unwrap_key(mechanism, kek, &wrapped, &template).map(own) else {
            continue;
        };
        let types = [AttributeType::Sensitive, AttributeType::Extractable];
        let said = session.get_attributes(unwrapped.handle(), &types)?;
        if said != [Attribute::Sensitive(true), Attribute::Extractable(false)] {
            return Ok(true);
        }
    }
    Ok(false)
}
