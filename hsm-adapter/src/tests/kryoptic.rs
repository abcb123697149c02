//! A second token: kryoptic, as `make test-kryoptic` builds it. The adapter is the same as on SoftHSM.
//!
//! Importing and evaluating shares cannot run there: kryoptic has RFC 5649 as `CKM_AES_KEY_WRAP_KWP` alone, for which
//! cryptoki has no word, and not as `CKM_AES_KEY_WRAP_PAD`. So [`check`](fn@crate::check) refuses the token, and these
//! tests use its keys all the same.

use std::path::{Path, PathBuf};
use std::{env, fs, slice, thread};

use coffer_pake::verify_es256;
use coffer_vault_core::{LedgerSpend, Point, WrappedShare};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::Session;

use super::attacks::{as_private_key, as_secret, cannot_change, cannot_copy, cannot_misuse, cannot_read, refused};
use super::operations::agrees;
use super::token::{TokenFolder, find, in_process_of, remake};
use crate::check::{Finding, unwraps_readable};
use crate::connection::Token;
use crate::counters::Counters;
use crate::keys::{P256, SHARE_KEK, keys};
use crate::library::Library;
use crate::operator::{Failure, Operator, SealedShare};
use crate::public_half::{belongs, public_half};
use crate::unwrap_template::sensitive_and_not_extractable;
use crate::{HsmAdapter, Pin, TokenConfig, TokenError};

/// Names kryoptic's PKCS#11 module.
const MODULE: &str = "COFFER_TEST_KRYOPTIC";

/// Kryoptic can wrap by this: in place of `CKM_AES_KEY_WRAP_PAD` it shows what an unwrapping key's attributes are worth.
const STAND_IN: Mechanism<'static> = Mechanism::AesCbcPad([0; 16]);

fn on_kryoptic<T: FnOnce(&TokenFolder)>(test: T) {
    let module = env::var_os(MODULE).expect("COFFER_TEST_KRYOPTIC does not name the module; run `make test-kryoptic`");
    in_process_of(module.into(), environment, test);
}

fn environment(folder: &Path) -> (&'static str, PathBuf) {
    let conf = folder.join("kryoptic.conf");
    let database = folder.join("token.sql");
    fs::write(&conf, format!("[[slots]]\nslot = 1\ndbtype = \"sqlite\"\ndbargs = {database:?}\n")).unwrap();
    ("KRYOPTIC_CONF", conf)
}

/// The token with its keys, although it has not passed the check.
fn unchecked<R>(token: &TokenFolder, operate: impl FnOnce(&Token, &Session) -> R) -> R {
    let config = token.config();
    let library = Library::initialise(&config).unwrap();
    let slot = library.token(&config).unwrap();
    let anchor = library.log_in(slot, &config.pin).unwrap();
    operate(&Token::find(library.module(), slot, &anchor, config.fleet_root).unwrap(), &anchor)
}

fn operate<R>(token: &TokenFolder, operation: impl FnOnce(&Operator<'_>, &Token) -> R) -> R {
    unchecked(token, |token, _| {
        let counters = Counters::default();
        operation(&Operator::start(token, &counters).unwrap(), token)
    })
}

fn lacks_key_wrap_pad() -> [Finding; 2] {
    let lacks = |flag| Finding::Mechanism { mechanism: "CKM_AES_KEY_WRAP_PAD".to_owned(), flag };
    [lacks("CKF_WRAP"), lacks("CKF_UNWRAP")]
}

#[test]
#[ignore = "wants kryoptic: make test-kryoptic"]
fn init_makes_every_key_and_the_check_names_the_one_mechanism_that_is_lacking() {
    on_kryoptic(|token| {
        token.init().unwrap();
        assert_eq!(token.findings(), lacks_key_wrap_pad());
        let refusal = HsmAdapter::open(token.config()).err().unwrap();
        assert!(matches!(&refusal, TokenError::Unfit(findings) if *findings == lacks_key_wrap_pad()), "{refusal}");
    });
}

#[test]
#[ignore = "wants kryoptic: make test-kryoptic"]
fn a_second_init_makes_no_key() {
    on_kryoptic(|token| {
        token.init().unwrap();
        let before = unchecked(token, |token, _| (token.public, token.root_public));
        token.init().unwrap();
        // Each is there once, or it would not be found.
        token.as_attacker(|session| {
            for key in keys(true) {
                find(session, key);
            }
        });
        assert_eq!(unchecked(token, |token, _| (token.public, token.root_public)), before);
    });
}

#[test]
#[ignore = "wants kryoptic: make test-kryoptic"]
fn every_public_half_belongs_to_its_private_half() {
    on_kryoptic(|token| {
        token.init().unwrap();
        unchecked(token, |_, session| {
            for key in keys(true).filter(|key| key.purpose.is_pair()) {
                let public = public_half(session, key).unwrap().unwrap();
                assert!(belongs(session, key, find(session, key), &public).unwrap(), "{}", key.label);
                assert!(!belongs(session, key, find(session, key), &Point::generator()).unwrap(), "{}", key.label);
            }
        });
    });
}

#[test]
#[ignore = "wants kryoptic: make test-kryoptic"]
fn refuses_a_wrong_pin() {
    on_kryoptic(|token| {
        token.init().unwrap();
        let config = TokenConfig { pin: Pin::generate().unwrap(), ..token.config() };
        assert!(matches!(HsmAdapter::open(config), Err(TokenError::WrongPin)));
    });
}

#[test]
#[ignore = "wants kryoptic: make test-kryoptic"]
fn agrees_on_the_same_point_as_the_other_side() {
    on_kryoptic(|token| {
        token.init().unwrap();
        operate(token, |operator, token| {
            agrees(&token.public.ake, |ephemeral| operator.agree(ephemeral).unwrap());
            assert!(!operator.has_leftover());
        });
    });
}

#[test]
#[ignore = "wants kryoptic: make test-kryoptic"]
fn macs_differ_by_message_and_stay_the_same_over_restarts() {
    on_kryoptic(|token| {
        token.init().unwrap();
        let mac = operate(token, |operator, _| {
            let mac = operator.mac(b"row").unwrap();
            assert_ne!(operator.mac(b"rows").unwrap(), mac);
            assert!(operator.mac(&[7; 65_536]).is_ok());
            assert!(operator.mac(&[]).is_ok());
            mac
        });
        assert_eq!(operate(token, |operator, _| operator.mac(b"row").unwrap()), mac);
    });
}

#[test]
#[ignore = "wants kryoptic: make test-kryoptic"]
fn certificates_and_root_signatures_verify_under_their_own_keys() {
    on_kryoptic(|token| {
        token.init().unwrap();
        operate(token, |operator, token| {
            let (identity, root) = (token.public.site_identity, token.root_public.unwrap());
            let certificate = operator.certify(b"message").unwrap();
            assert!(verify_es256(&identity, b"message", &certificate));
            assert!(!verify_es256(&root, b"message", &certificate));
            assert!(verify_es256(&root, b"message", &operator.sign_as_root(b"message").unwrap()));
        });
    });
}

#[test]
#[ignore = "wants kryoptic: make test-kryoptic"]
fn four_workers_at_once_all_get_the_right_answers() {
    on_kryoptic(|token| {
        token.init().unwrap();
        unchecked(token, |token, _| {
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        let counters = Counters::default();
                        let operator = Operator::start(token, &counters).unwrap();
                        agrees(&token.public.ake, |ephemeral| operator.agree(ephemeral).unwrap());
                        let certificate = operator.certify(b"message").unwrap();
                        assert!(verify_es256(&token.public.site_identity, b"message", &certificate));
                    });
                }
            });
        });
    });
}

/// What cannot run here. A client that brings a share must not throw the others off the token either.
#[test]
#[ignore = "wants kryoptic: make test-kryoptic"]
fn refuses_to_import_and_to_evaluate_a_share_and_stays_in_service() {
    on_kryoptic(|token| {
        token.init().unwrap();
        operate(token, |operator, _| {
            let (wrapped, point) = (vec![7; 80], Point::generator());
            let sealed =
                SealedShare { transport: point, sealed: wrapped.clone(), expected: point, receipt_base: point };
            assert!(matches!(operator.import_share(&sealed), Err(Failure::Refused)));
            let share = WrappedShare { wrapped, public: point };
            let spend = LedgerSpend::insecure_without_a_spend();
            assert!(matches!(operator.evaluate(spend, &share, &point), Err(Failure::Refused)));
            assert!(!operator.has_leftover());
            assert!(operator.mac(b"row").is_ok());
        });
    });
}

fn attack(token: &TokenFolder, attack: impl FnOnce(&Session)) {
    token.init().unwrap();
    token.as_attacker(attack);
}

#[test]
#[ignore = "wants kryoptic: make test-kryoptic"]
fn refuses_to_copy_any_key() {
    on_kryoptic(|token| attack(token, cannot_copy));
}

#[test]
#[ignore = "wants kryoptic: make test-kryoptic"]
fn refuses_to_change_any_attribute_of_any_key() {
    on_kryoptic(|token| attack(token, cannot_change));
}

#[test]
#[ignore = "wants kryoptic: make test-kryoptic"]
fn refuses_to_show_the_value_of_any_key() {
    on_kryoptic(|token| attack(token, cannot_read));
}

#[test]
#[ignore = "wants kryoptic: make test-kryoptic"]
fn refuses_to_use_a_key_for_anything_but_its_purpose() {
    on_kryoptic(|token| attack(token, cannot_misuse));
}

/// A key that is `share-kek` but for its mechanism.
fn stand_in(session: &Session, label: &str, template: Option<Attribute>) -> ObjectHandle {
    let mut attributes = SHARE_KEK.required();
    attributes.retain(|attribute| !matches!(attribute, Attribute::Label(_) | Attribute::AllowedMechanisms(_)));
    attributes.push(Attribute::Label(label.into()));
    attributes.push(Attribute::AllowedMechanisms(vec![MechanismType::AES_CBC_PAD]));
    attributes.extend(template);
    session.generate_key(&Mechanism::AesKeyGen, &attributes).unwrap()
}

fn labelled(session: &Session, label: &str) -> ObjectHandle {
    session.find_objects(&[Attribute::Label(label.into())]).unwrap()[0]
}

/// A share as it is wrapped, if only the mechanism were another one.
fn wrapped_share(session: &Session, kek: ObjectHandle) -> Vec<u8> {
    let public = [Attribute::Token(false), Attribute::EcParams(P256.to_vec())];
    let private = as_private_key(true, true);
    let (_, share) = session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private).unwrap();
    session.wrap_key(&STAND_IN, kek, share).unwrap()
}

#[test]
#[ignore = "wants kryoptic: make test-kryoptic"]
fn an_unwrap_template_is_kept_and_heeded_and_the_check_would_find_one_that_is_missing() {
    on_kryoptic(|token| {
        attack(token, |session| {
            stand_in(session, "with", Some(sensitive_and_not_extractable()));
            stand_in(session, "without", None);
        });
        // In a session of another connection, so that the template has been to the disk and back.
        token.as_attacker(|session| {
            assert!(!unwraps_readable(session, labelled(session, "with"), &STAND_IN).unwrap());
            assert!(unwraps_readable(session, labelled(session, "without"), &STAND_IN).unwrap());
        });
    });
}

#[test]
#[ignore = "wants kryoptic: make test-kryoptic"]
fn refuses_to_unwrap_a_share_as_extractable_or_to_make_it_so_afterwards() {
    on_kryoptic(|token| {
        attack(token, |session| {
            let kek = stand_in(session, "kek", Some(sensitive_and_not_extractable()));
            let wrapped = wrapped_share(session, kek);
            for (sensitive, extractable) in [(true, true), (false, false), (false, true)] {
                let result = session.unwrap_key(&STAND_IN, kek, &wrapped, &as_private_key(sensitive, extractable));
                refused(&format!("sensitive {sensitive}, extractable {extractable}"), result);
            }
            refused("as a generic secret", session.unwrap_key(&STAND_IN, kek, &wrapped, &as_secret()));
            let share = session.unwrap_key(&STAND_IN, kek, &wrapped, &as_private_key(true, false)).unwrap();
            for change in [Attribute::Extractable(true), Attribute::Sensitive(false)] {
                refused(&format!("set {change:?}"), session.update_attributes(share, slice::from_ref(&change)));
                refused(&format!("copy with {change:?}"), session.copy_object(share, &[change]));
            }
            assert_eq!(session.get_attributes(share, &[AttributeType::Value]).unwrap(), []);
            refused("wrap it again", session.wrap_key(&STAND_IN, kek, share));
        });
    });
}

#[test]
#[ignore = "wants kryoptic: make test-kryoptic"]
fn a_key_that_can_be_copied_is_a_trap_that_the_check_names() {
    on_kryoptic(|token| {
        token.init().unwrap();
        token.as_attacker(|session| {
            remake(session, SHARE_KEK, Attribute::Copyable(true));
            // A copy without the original's limits decrypts what the original has wrapped.
            let freed = [
                Attribute::Label(b"copy".to_vec()),
                Attribute::Decrypt(true),
                Attribute::AllowedMechanisms(vec![MechanismType::AES_CBC]),
            ];
            let kek = find(session, SHARE_KEK);
            let copy = session.copy_object(kek, &freed).unwrap();
            refused("the original", session.decrypt(&Mechanism::AesCbc([0; 16]), kek, &[7; 32]));
            assert!(session.decrypt(&Mechanism::AesCbc([0; 16]), copy, &[7; 32]).is_ok());
        });
        let copyable = Finding::Attribute {
            key: SHARE_KEK.label,
            attribute: "CKA_COPYABLE".to_owned(),
            required: "false".to_owned(),
            found: Some("true".to_owned()),
        };
        assert_eq!(token.findings(), [&lacks_key_wrap_pad()[..], &[copyable]].concat());
    });
}
