//! Tokens in every state between none and good.

use std::path::PathBuf;

use coffer_vault_core::{Hsm, Point};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::Attribute;

use super::token::{LABEL, destroy, in_own_process, initialised_module, remake};
use crate::check::{Finding, check};
use crate::keys::{AKE, Key, LEDGER_MAC, Purpose, SHARE_IMPORT, SHARE_KEK, SITE_IDENTITY, keys};
use crate::{HsmAdapter, Pin, TokenConfig, TokenError, init};

#[test]
fn init_makes_a_token_that_passes_the_check() {
    in_own_process(|token| {
        token.init().unwrap();
        assert_eq!(token.findings(), []);
        assert!(HsmAdapter::open(token.config()).unwrap().root_public().is_some());
    });
}

#[test]
fn a_second_init_makes_no_key_and_no_token() {
    in_own_process(|token| {
        let before = token.open().public_keys();
        token.init().unwrap();
        token.as_attacker(|session| {
            assert_eq!(session.find_objects(&[]).unwrap().len(), 6 + 4, "secret and private keys, public halves");
        });
        assert_eq!(token.open().public_keys(), before);
    });
}

#[test]
fn a_token_of_a_fleet_lacks_what_the_ceremony_makes_until_it_is_imported() {
    in_own_process(|token| {
        let fleet = || TokenConfig { fleet_root: false, ..token.config() };
        init(&fleet(), token.so_pin()).unwrap();
        let lacking = ["share-kek", "ledger-mac", "ake"].map(Finding::NoKey);
        assert_eq!(check(&fleet()).unwrap(), lacking);
        assert!(matches!(HsmAdapter::open(fleet()), Err(TokenError::Unfit(findings)) if findings == lacking));
        token.forget();
        assert_eq!(token.open_as_site().root_public(), None);
        assert_eq!(check(&fleet()).unwrap(), []);
        assert_eq!(token.findings(), [Finding::NoKey("fleet-root")]);
    });
}

#[test]
fn init_goes_on_where_the_token_has_no_pin_yet() {
    in_own_process(|token| {
        let module = initialised_module();
        let slot = module.get_slots_with_token().unwrap()[0];
        module.init_token(slot, &token.so_pin().to_auth_pin(), LABEL).unwrap();
        module.finalize().unwrap();
        token.init().unwrap();
        assert_eq!(token.findings(), []);
    });
}

#[test]
fn init_goes_on_after_any_number_of_keys() {
    in_own_process(|token| {
        token.init().unwrap();
        let count = keys(true).count();
        for made in 0..count {
            token.as_attacker(|session| {
                for key in keys(true).skip(made) {
                    destroy(session, &key.search());
                    if key.purpose.is_pair() {
                        destroy(session, &key.public_search());
                    }
                }
            });
            assert_eq!(token.findings().len(), count - made);
            token.init().unwrap();
            assert_eq!(token.findings(), [], "after {made} keys");
        }
    });
}

#[test]
fn init_goes_on_where_a_pair_has_its_public_half_alone() {
    in_own_process(|token| {
        token.init().unwrap();
        token.as_attacker(|session| destroy(session, &AKE.search()));
        assert_eq!(token.findings(), [Finding::NoKey("ake")]);
        token.init().unwrap();
        assert_eq!(token.findings(), []);
    });
}

#[test]
fn init_does_not_destroy_a_private_key_that_lacks_its_public_half() {
    in_own_process(|token| {
        token.init().unwrap();
        token.as_attacker(|session| destroy(session, &AKE.public_search()));
        assert!(matches!(token.init(), Err(TokenError::HalfPair("ake"))));
        token.as_attacker(|session| assert_eq!(session.find_objects(&AKE.search()).unwrap().len(), 1));
    });
}

#[test]
fn refuses_a_label_that_no_token_can_have() {
    in_own_process(|token| {
        for label in ["", " a", "a ", &"x".repeat(33)] {
            let config = TokenConfig { label: label.to_owned(), ..token.config() };
            assert!(matches!(init(&config, token.so_pin()), Err(TokenError::Label(_))), "{label:?}");
        }
    });
}

#[test]
fn refuses_a_wrong_pin_without_repeating_it() {
    in_own_process(|token| {
        token.init().unwrap();
        let wrong = Pin::generate().unwrap();
        let text = wrong.expose().to_owned();
        let error = HsmAdapter::open(TokenConfig { pin: wrong, ..token.config() }).err().unwrap();
        assert!(matches!(error, TokenError::WrongPin));
        assert_eq!(error.to_string(), "the token refuses the PIN");
        assert!(!format!("{error:?}").contains(&text));
    });
}

#[test]
fn refuses_a_module_that_is_not_there_by_its_path() {
    let config = TokenConfig { module: PathBuf::from("/nowhere/module.so"), ..TokenConfig::embedded("a", pin()) };
    let error = HsmAdapter::open(config).err().unwrap();
    assert!(error.to_string().contains("/nowhere/module.so"), "{error}");
}

#[test]
fn refuses_a_library_that_is_no_pkcs11_module() {
    let libc = PathBuf::from("libc.so.6");
    let error = check(&TokenConfig { module: libc, ..TokenConfig::embedded("a", pin()) }).err().unwrap();
    assert!(matches!(error, TokenError::Call(_)), "{error}");
}

fn pin() -> Pin {
    Pin::new("0000".to_owned())
}

#[test]
fn refuses_a_token_that_is_not_there_by_its_label() {
    in_own_process(|token| {
        token.init().unwrap();
        let config = TokenConfig { label: "another".to_owned(), ..token.config() };
        let error = HsmAdapter::open(config).err().unwrap();
        assert_eq!(error.to_string(), "the module has no token with the label \"another\"");
    });
}

#[test]
fn refuses_two_tokens_with_the_same_label() {
    in_own_process(|token| {
        token.init().unwrap();
        let module = initialised_module();
        let slots = module.get_slots_with_token().unwrap();
        let free = slots.into_iter().find(|slot| !module.get_token_info(*slot).unwrap().token_initialized()).unwrap();
        module.init_token(free, &pin().to_auth_pin(), LABEL).unwrap();
        module.finalize().unwrap();
        assert!(matches!(check(&token.config()), Err(TokenError::SeveralTokens(_))));
    });
}

#[test]
fn refuses_a_second_adapter_while_the_first_is_open() {
    in_own_process(|token| {
        let first = token.open();
        assert!(matches!(HsmAdapter::open(token.config()), Err(TokenError::InUse)));
        drop(first);
        assert!(HsmAdapter::open(token.config()).is_ok());
    });
}

#[test]
fn the_check_names_a_mechanism_that_the_token_lacks() {
    in_own_process(|token| {
        token.init().unwrap();
        // SoftHSM 2.6.1 passes over the first one that is to be switched off.
        token.configure("slots.mechanisms = -CKM_MD5,CKM_AES_KEY_WRAP_PAD");
        let mechanism = "CKM_AES_KEY_WRAP_PAD".to_owned();
        let lacks = |flag| Finding::Mechanism { mechanism: mechanism.clone(), flag };
        assert_eq!(token.findings(), [lacks("CKF_WRAP"), lacks("CKF_UNWRAP")]);
        let refusal = HsmAdapter::open(token.config()).err().unwrap().to_string();
        assert!(refusal.contains("the token lacks CKM_AES_KEY_WRAP_PAD with CKF_UNWRAP"), "{refusal}");
    });
}

/// Every attribute that can be made wrong and leaves a key that can be made.
fn wrong_attributes(key: Key) -> Vec<Attribute> {
    let mut wrong: Vec<Attribute> = key
        .required()
        .into_iter()
        .filter_map(|attribute| match attribute {
            Attribute::Extractable(value) => Some(Attribute::Extractable(!value)),
            Attribute::Private(value) => Some(Attribute::Private(!value)),
            Attribute::Modifiable(value) => Some(Attribute::Modifiable(!value)),
            Attribute::Copyable(value) => Some(Attribute::Copyable(!value)),
            Attribute::Decrypt(value) => Some(Attribute::Decrypt(!value)),
            Attribute::Encrypt(value) => Some(Attribute::Encrypt(!value)),
            Attribute::Derive(value) => Some(Attribute::Derive(!value)),
            Attribute::Sign(value) => Some(Attribute::Sign(!value)),
            Attribute::SignRecover(value) => Some(Attribute::SignRecover(!value)),
            Attribute::Verify(value) => Some(Attribute::Verify(!value)),
            Attribute::Wrap(value) => Some(Attribute::Wrap(!value)),
            Attribute::Unwrap(value) => Some(Attribute::Unwrap(!value)),
            Attribute::Sensitive(value) => Some(Attribute::Sensitive(!value)),
            _ => None,
        })
        .collect();
    wrong.push(Attribute::AllowedMechanisms(vec![key.purpose.mechanism(), MechanismType::AES_CBC]));
    if key.purpose == Purpose::Wrap {
        wrong.push(Attribute::ValueLen(16.into()));
    }
    wrong
}

#[test]
fn the_check_names_every_attribute_that_is_wrong() {
    in_own_process(|token| {
        token.init().unwrap();
        for key in [SHARE_KEK, SHARE_IMPORT, LEDGER_MAC, SITE_IDENTITY] {
            let wrong = wrong_attributes(key);
            assert!(wrong.len() >= 11, "{wrong:?}");
            for wrong in wrong {
                let name = wrong.attribute_type().to_string();
                token.as_attacker(|session| remake(session, key, wrong.clone()));
                let findings = token.findings();
                let found = match findings.as_slice() {
                    [Finding::Attribute { key, attribute, .. }] => Some((*key, attribute)),
                    _ => None,
                };
                assert_eq!(found, Some((key.label, &name)), "{wrong:?}: {findings:?}");
                // As it should be.
                let right = key.required().into_iter().find(|right| right.attribute_type() == wrong.attribute_type());
                token.as_attacker(|session| remake(session, key, right.unwrap()));
            }
        }
        assert_eq!(token.findings(), []);
    });
}

#[test]
fn a_finding_says_what_must_be_and_what_is() {
    in_own_process(|token| {
        token.init().unwrap();
        let wrong = Attribute::AllowedMechanisms(vec![MechanismType::AES_CBC, MechanismType::AES_KEY_WRAP_PAD]);
        token.as_attacker(|session| remake(session, SHARE_KEK, wrong));
        assert_eq!(
            token.findings()[0].to_string(),
            "share-kek: CKA_ALLOWED_MECHANISMS must be [CKM_AES_KEY_WRAP_PAD] and is [CKM_AES_CBC, CKM_AES_KEY_WRAP_PAD]"
        );
        token.as_attacker(|session| remake(session, SHARE_KEK, Attribute::Extractable(true)));
        assert_eq!(token.findings()[0].to_string(), "share-kek: CKA_EXTRACTABLE must be false and is true");
    });
}

#[test]
fn the_check_finds_a_kek_without_an_unwrap_template() {
    in_own_process(|token| {
        token.init().unwrap();
        token.as_attacker(|session| {
            destroy(session, &SHARE_KEK.search());
            session.generate_key(&Mechanism::AesKeyGen, &SHARE_KEK.required()).unwrap();
        });
        assert_eq!(token.findings(), [Finding::UnwrapTemplate]);
    });
}

#[test]
fn the_check_finds_a_second_key_of_the_same_name() {
    in_own_process(|token| {
        token.init().unwrap();
        token.as_attacker(|session| {
            session.generate_key(&LEDGER_MAC.purpose.generation(), &LEDGER_MAC.template()).unwrap();
        });
        assert_eq!(token.findings(), [Finding::SeveralKeys("ledger-mac")]);
    });
}

#[test]
fn the_check_finds_a_public_half_that_belongs_to_another_key() {
    in_own_process(|token| {
        token.init().unwrap();
        let der = [&[0x04, 65][..], &Point::generator().encode_uncompressed()].concat();
        for key in [SHARE_IMPORT, SITE_IDENTITY] {
            token.as_attacker(|session| {
                destroy(session, &key.public_search());
                let mut template = key.public_search().to_vec();
                template.push(Attribute::KeyType(cryptoki::object::KeyType::EC));
                template.push(Attribute::EcParams(crate::keys::P256.to_vec()));
                template.push(Attribute::EcPoint(der.clone()));
                session.create_object(&template).unwrap();
            });
        }
        assert_eq!(token.findings()[0], Finding::PublicHalf("share-import"));
    });
}
