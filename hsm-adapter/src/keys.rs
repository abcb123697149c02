//! The keys of a site's token, and every attribute that each must have.

use coffer_proto::KeyName;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};

use crate::unwrap_template::sensitive_and_not_extractable;

/// OBJECT IDENTIFIER prime256v1 in DER: the `CKA_EC_PARAMS` of P-256.
pub(crate) const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// Wraps and unwraps shares.
pub(crate) const SHARE_KEK: Key = Key { label: "share-kek", purpose: Purpose::Wrap };
/// Receives shares.
pub(crate) const SHARE_IMPORT: Key = Key { label: "share-import", purpose: Purpose::Derive };
/// Authenticates the ledger's rows.
pub(crate) const LEDGER_MAC: Key = Key { label: "ledger-mac", purpose: Purpose::Mac };
/// Certifies the site's daily keys.
pub(crate) const SITE_IDENTITY: Key = Key { label: "site-identity", purpose: Purpose::Sign };
/// OPAQUE's server key.
pub(crate) const AKE: Key = Key { label: "ake", purpose: Purpose::Derive };
/// Signs the manifest of a fleet of one.
pub(crate) const FLEET_ROOT: Key = Key { label: "fleet-root", purpose: Purpose::Sign };

const EVERYWHERE: [Key; 5] = [SHARE_KEK, SHARE_IMPORT, LEDGER_MAC, SITE_IDENTITY, AKE];

/// The keys that a token must hold.
pub(crate) fn keys(fleet_root: bool) -> impl Iterator<Item = Key> {
    EVERYWHERE.into_iter().chain(fleet_root.then_some(FLEET_ROOT))
}

/// Those that it makes itself. The others of a site of a fleet come from the ceremony.
pub(crate) fn keys_made_inside(fleet_root: bool) -> impl Iterator<Item = Key> {
    keys(fleet_root).filter(move |key| fleet_root || [SHARE_IMPORT, SITE_IDENTITY].contains(key))
}

/// A key that comes from the ceremony.
pub(crate) const fn imported(name: KeyName) -> Key {
    match name {
        KeyName::Ake => AKE,
        KeyName::ShareKek => SHARE_KEK,
        KeyName::LedgerMac => LEDGER_MAC,
    }
}

/// A key of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) label: &'static str,
    pub(crate) purpose: Purpose,
}

/// The one thing that a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// AES-256: wrap and unwrap.
    Wrap,
    /// A generic secret of 32 bytes: HMAC-SHA256.
    Mac,
    /// EC P-256: multiply.
    Derive,
    /// EC P-256: sign.
    Sign,
}

impl Purpose {
    /// The only mechanism that the key allows.
    pub(crate) const fn mechanism(self) -> MechanismType {
        match self {
            Self::Wrap => MechanismType::AES_KEY_WRAP_PAD,
            Self::Mac => MechanismType::SHA256_HMAC,
            Self::Derive => MechanismType::ECDH1_DERIVE,
            Self::Sign => MechanismType::ECDSA,
        }
    }

    /// The mechanism that makes such a key.
    pub(crate) const fn generation(self) -> Mechanism<'static> {
        match self {
            Self::Wrap => Mechanism::AesKeyGen,
            Self::Mac => Mechanism::GenericSecretKeyGen,
            Self::Derive | Self::Sign => Mechanism::EccKeyPairGen,
        }
    }

    /// Whether the key is the private half of a pair.
    pub(crate) const fn is_pair(self) -> bool {
        matches!(self, Self::Derive | Self::Sign)
    }
}

impl Key {
    const fn class(self) -> ObjectClass {
        if self.purpose.is_pair() { ObjectClass::PRIVATE_KEY } else { ObjectClass::SECRET_KEY }
    }

    /// What finds the key.
    pub(crate) fn search(self) -> [Attribute; 3] {
        [Attribute::Class(self.class()), Attribute::Token(true), Attribute::Label(self.label.into())]
    }

    /// What finds the key's public half.
    pub(crate) fn public_search(self) -> [Attribute; 3] {
        [Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::Token(true), Attribute::Label(self.label.into())]
    }

    /// What the token must say of the key, read back.
    pub(crate) fn required(self) -> Vec<Attribute> {
        let Self { label, purpose } = self;
        let mut required = vec![
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Modifiable(false),
            Attribute::Copyable(false),
            Attribute::Label(label.into()),
            Attribute::AllowedMechanisms(vec![purpose.mechanism()]),
            Attribute::Decrypt(false),
            Attribute::Derive(purpose == Purpose::Derive),
            Attribute::Sign(matches!(purpose, Purpose::Mac | Purpose::Sign)),
            Attribute::Unwrap(purpose == Purpose::Wrap),
        ];
        if purpose.is_pair() {
            required.push(Attribute::SignRecover(false));
        } else {
            required.extend([
                Attribute::Encrypt(false),
                Attribute::Verify(false),
                Attribute::Wrap(purpose == Purpose::Wrap),
                Attribute::ValueLen(32.into()),
            ]);
        }
        required
    }

    /// What the key is made with.
    pub(crate) fn template(self) -> Vec<Attribute> {
        let mut template = self.required();
        if self.purpose == Purpose::Wrap {
            template.push(sensitive_and_not_extractable());
        }
        template
    }

    /// What the key is unwrapped with: all that it is made with but its length, which the wrapped key has. Not on the
    /// token, it lives as long as the session.
    pub(crate) fn unwrapping_template(self, on_token: bool) -> Vec<Attribute> {
        let key_type = match self.purpose {
            Purpose::Wrap => KeyType::AES,
            Purpose::Mac => KeyType::GENERIC_SECRET,
            Purpose::Derive | Purpose::Sign => KeyType::EC,
        };
        let mut template = self.template();
        let left_out = [AttributeType::Token, AttributeType::ValueLen, AttributeType::Modifiable];
        template.retain(|attribute| !left_out.contains(&attribute.attribute_type()));
        template.extend([Attribute::Class(self.class()), Attribute::KeyType(key_type), Attribute::Token(on_token)]);
        // Last: SoftHSM takes one attribute after the other, and none any more of a key that is not modifiable.
        template.push(Attribute::Modifiable(false));
        template
    }

    /// What the public half is made with.
    pub(crate) fn public_template(self) -> [Attribute; 8] {
        [
            Attribute::Token(true),
            Attribute::Private(false),
            Attribute::Modifiable(false),
            Attribute::Label(self.label.into()),
            Attribute::EcParams(P256.to_vec()),
            Attribute::Encrypt(false),
            Attribute::Wrap(false),
            Attribute::Verify(self.purpose == Purpose::Sign),
        ]
    }
}
