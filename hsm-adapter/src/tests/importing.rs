//! Keys that a ceremony has made, in the HSMs that they were sealed to.

use coffer_pake::import_point;
use coffer_proto::{Base64, Base64Vec, KeyName, SiteCard, SiteKeys, SiteNumber, site_key_context};
use coffer_vault_core::{Hsm as _, HsmError, LedgerSpend, Point};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use cryptoki::session::Session;
use p256::elliptic_curve::sec1::ToEncodedPoint as _;

use super::dealt::{imported as import_share, question, share, wait};
use super::token::{FLEET, TokenFolder, destroy, find, in_own_process, remake};
use crate::check::{Finding, check};
use crate::keys::{AKE, Key, LEDGER_MAC, P256, SHARE_IMPORT, SHARE_KEK, SITE_IDENTITY};
use crate::multiplication::derive;
use crate::{DrawnKeys, HsmAdapter, SealError, TokenConfig, TokenError, card, card_holds, import, init};

const SITE: SiteNumber = SiteNumber(2);

/// A token beside others: each is an HSM of its own.
fn hsm(token: &TokenFolder, label: &str) -> TokenConfig {
    TokenConfig { fleet_root: false, label: label.to_owned(), ..token.config() }
}

fn introduce(token: &TokenFolder, label: &str) -> SiteCard {
    init(&hsm(token, label), token.so_pin()).unwrap();
    card(&hsm(token, label)).unwrap()
}

/// A token of the usual name with its keys sealed, not yet imported.
fn sealed(token: &TokenFolder) -> (TokenConfig, SiteKeys) {
    let config = || TokenConfig { fleet_root: false, ..token.config() };
    init(&config(), token.so_pin()).unwrap();
    let keys = DrawnKeys::generate(3).seal(&FLEET, SITE, &card(&config()).unwrap()).unwrap();
    (config(), keys)
}

/// Objects of the token: what an import that is refused must leave as it is.
fn count(token: &TokenFolder) -> usize {
    token.as_attacker(|session| session.find_objects(&[Attribute::Token(true)]).unwrap().len())
}

#[test]
fn a_spare_opens_the_shares_and_rows_that_the_lost_hsm_has_made() {
    in_own_process(|token| {
        let (drawn, share) = (DrawnKeys::generate(3), share());
        let own = drawn.seal(&FLEET, SITE, &introduce(token, "own")).unwrap();
        let spare = drawn.seal(&FLEET, SITE, &introduce(token, "spare")).unwrap();
        import(&hsm(token, "own"), &own).unwrap();
        let lost = HsmAdapter::open(hsm(token, "own")).unwrap();
        let (wrapped, row) = (import_share(&lost, &share), wait(lost.mac(b"a row")).unwrap());
        let agreed = wait(lost.agree(&Point::generator())).unwrap();
        drop(lost);
        import(&hsm(token, "spare"), &spare).unwrap();
        let spare = HsmAdapter::open(hsm(token, "spare")).unwrap();
        let (element, product) = question(&share, 1);
        assert_eq!(wait(spare.evaluate(LedgerSpend::insecure_without_a_spend(), &wrapped, &element)), Ok(product));
        assert_eq!(wait(spare.mac(b"a row")), Ok(row));
        assert_eq!(wait(spare.agree(&Point::generator())), Ok(agreed));
    });
}

#[test]
fn two_sites_have_one_ake_and_nothing_else_in_common() {
    in_own_process(|token| {
        let (drawn, share) = (DrawnKeys::generate(2), share());
        let open = |label: &str, number| {
            let keys = drawn.seal(&FLEET, SiteNumber(number), &introduce(token, label)).unwrap();
            import(&hsm(token, label), &keys).unwrap();
            HsmAdapter::open(hsm(token, label)).unwrap()
        };
        let one = open("one", 1);
        let (wrapped, row, keys) = (import_share(&one, &share), wait(one.mac(b"a row")), one.public_keys());
        let agreed = wait(one.agree(&question(&share, 1).0));
        drop(one);
        let two = open("two", 2);
        assert_eq!(wait(two.agree(&question(&share, 1).0)), agreed);
        assert_eq!(two.public_keys().ake, keys.ake);
        assert_eq!(drawn.ake().0, keys.ake.encode());
        assert_ne!(two.public_keys().share_import, keys.share_import);
        assert_ne!(wait(two.mac(b"a row")), row);
        let (element, _) = question(&share, 1);
        let outcome = wait(two.evaluate(LedgerSpend::insecure_without_a_spend(), &wrapped, &element));
        assert_eq!(outcome, Err(HsmError::Refused));
    });
}

#[test]
fn an_import_can_be_repeated_and_goes_on_after_any_number_of_keys() {
    in_own_process(|token| {
        let (config, keys) = sealed(token);
        import(&config, &keys).unwrap();
        let complete = count(token);
        import(&config, &keys).unwrap();
        assert_eq!(count(token), complete);
        for lost in [&[AKE][..], &[AKE, SHARE_KEK], &[LEDGER_MAC]] {
            token.as_attacker(|session| lost.iter().for_each(|key| destroy(session, &key.search())));
            import(&config, &keys).unwrap();
            assert_eq!(count(token), complete);
        }
        token.as_attacker(|session| destroy(session, &AKE.public_search()));
        assert_eq!(check(&config).unwrap(), [Finding::NoKey("ake")]);
        import(&config, &keys).unwrap();
        assert_eq!(check(&config).unwrap(), []);
    });
}

#[test]
fn refuses_to_import_over_a_key_that_is_there_and_changes_nothing() {
    in_own_process(|token| {
        let (config, keys) = sealed(token);
        for key in [SHARE_KEK, LEDGER_MAC] {
            token.as_attacker(|session| session.generate_key(&key.purpose.generation(), &key.template()).unwrap());
            let before = count(token);
            assert!(matches!(import(&config, &keys), Err(TokenError::KeyIsThere(label)) if label == key.label));
            assert_eq!(count(token), before);
            token.as_attacker(|session| destroy(session, &key.search()));
        }
        token.as_attacker(|session| {
            session.generate_key_pair(&AKE.purpose.generation(), &AKE.public_template(), &AKE.template()).unwrap();
        });
        let before = count(token);
        assert!(matches!(import(&config, &keys), Err(TokenError::KeyIsThere("ake"))));
        assert_eq!(count(token), before);
    });
}

#[test]
fn refuses_keys_that_are_sealed_to_another_site_s_hsm() {
    in_own_process(|token| {
        let (_, keys) = sealed(token);
        let stranger = introduce(token, "stranger");
        assert!(matches!(import(&hsm(token, "stranger"), &keys), Err(TokenError::OtherHsm)));
        // Nor does the card of the right one help.
        let renamed = SiteKeys { card: stranger, ..keys };
        assert!(matches!(import(&hsm(token, "stranger"), &renamed), Err(TokenError::Sealed(_))));
        let lacking = ["share-kek", "ledger-mac", "ake"].map(Finding::NoKey);
        assert_eq!(check(&hsm(token, "stranger")).unwrap(), lacking);
    });
}

#[test]
fn refuses_sealed_keys_that_were_altered_and_changes_nothing() {
    in_own_process(|token| {
        let (config, keys) = sealed(token);
        let before = count(token);
        for (place, name) in KeyName::ALL.into_iter().enumerate() {
            let mut wrapped = keys.keys[place].wrapped.as_bytes().to_vec();
            wrapped[9] ^= 1;
            let mut altered = keys.clone();
            altered.keys[place].wrapped = Base64Vec::new(wrapped).unwrap();
            assert!(matches!(import(&config, &altered), Err(TokenError::Sealed(label)) if label == name.as_str()));
            let mut altered = keys.clone();
            altered.keys[place].ephemeral = altered.keys[(place + 1) % 3].ephemeral;
            assert!(matches!(import(&config, &altered), Err(TokenError::Sealed(label)) if label == name.as_str()));
        }
        let of_another_site = SiteKeys { site: SiteNumber(1), ..keys.clone() };
        assert!(matches!(import(&config, &of_another_site), Err(TokenError::Sealed(_))));
        let another_ake = SiteKeys { ake: Base64(Point::generator().encode()), ..keys };
        assert!(matches!(import(&config, &another_ake), Err(TokenError::Sealed("ake"))));
        assert_eq!(count(token), before);
    });
}

#[test]
fn refuses_one_key_in_the_place_of_another() {
    in_own_process(|token| {
        let (config, keys) = sealed(token);
        let before = count(token);
        let mut swapped = keys.clone();
        (swapped.keys[1].key, swapped.keys[2].key) = (KeyName::LedgerMac, KeyName::ShareKek);
        assert!(matches!(import(&config, &swapped), Err(TokenError::Sealed(_))));
        let mut twice = keys.clone();
        twice.keys[1] = twice.keys[2].clone();
        assert!(matches!(import(&config, &twice), Err(TokenError::KeySet)));
        let mut fewer = keys;
        fewer.keys.pop();
        assert!(matches!(import(&config, &fewer), Err(TokenError::KeySet)));
        assert_eq!(count(token), before);
    });
}

#[test]
fn an_imported_key_has_every_attribute_and_the_check_names_one_that_is_wrong() {
    in_own_process(|token| {
        let (config, keys) = sealed(token);
        import(&config, &keys).unwrap();
        token.as_attacker(|session| {
            for key in [AKE, SHARE_KEK, LEDGER_MAC] {
                // SoftHSM keeps no length of a key that it has unwrapped.
                let is_kept = |attribute: &Attribute| attribute.attribute_type() != AttributeType::ValueLen;
                let required: Vec<Attribute> = key.required().into_iter().filter(is_kept).collect();
                let types: Vec<_> = required.iter().map(Attribute::attribute_type).collect();
                assert_eq!(session.get_attributes(find(session, key), &types).unwrap(), required);
            }
            remake(session, SHARE_KEK, Attribute::Copyable(true));
        });
        assert_eq!(check(&config).unwrap().len(), 1);
    });
}

#[test]
fn refuses_to_seal_keys_to_a_card_whose_signature_does_not_hold() {
    in_own_process(|token| {
        let good = introduce(token, "own");
        assert!(card_holds(&good));
        let replaced = SiteCard { share_import: Base64(Point::generator().encode()), ..good };
        let one_key = SiteCard { share_import: good.site_identity, ..good };
        let unsigned = SiteCard { signature: Base64([0; 64]), ..good };
        for card in [replaced, one_key, unsigned] {
            assert_eq!(DrawnKeys::generate(2).seal(&FLEET, SITE, &card).unwrap_err(), SealError::Card);
        }
        let outside = DrawnKeys::generate(2).seal(&FLEET, SiteNumber(3), &good);
        assert_eq!(outside.unwrap_err(), SealError::Site(SiteNumber(3)));
    });
}

/// A pair whose private half is known outside, with every attribute that a key of the token must have.
fn plant(session: &Session, key: Key) {
    let known = p256::SecretKey::from_slice(&[7; 32]).unwrap();
    let mut private = key.unwrapping_template(true);
    let params = Attribute::EcParams(P256.to_vec());
    private.splice(0..0, [Attribute::Value(known.to_bytes().to_vec()), params]);
    session.create_object(&private).unwrap();
    let point = [&[0x04, 65][..], known.public_key().to_encoded_point(false).as_bytes()].concat();
    let mut public = key.public_template().to_vec();
    public.extend([
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::KeyType(KeyType::EC),
        Attribute::EcPoint(point),
    ]);
    session.create_object(&public).unwrap();
}

/// Whoever had the HSM before its site, and left keys in it: all that is ever sealed to it would be theirs to open.
#[test]
fn refuses_to_introduce_keys_that_came_from_outside_or_could_once_be_read() {
    in_own_process(|token| {
        let config = || TokenConfig { fleet_root: false, ..token.config() };
        for key in [SHARE_IMPORT, SITE_IDENTITY] {
            init(&config(), token.so_pin()).unwrap();
            token.as_attacker(|session| {
                destroy(session, &key.search());
                destroy(session, &key.public_search());
                plant(session, key);
            });
            // Init finds a pair, and leaves it alone; and it has every attribute that the check asks for.
            init(&config(), token.so_pin()).unwrap();
            assert_eq!(check(&config()).unwrap(), ["share-kek", "ledger-mac", "ake"].map(Finding::NoKey));
            let Err(TokenError::Unfit(findings)) = card(&config()) else { return assert_eq!(key.label, "refused") };
            let expected = |attribute: &str| {
                findings
                    .iter()
                    .any(|finding| matches!(finding, Finding::Attribute { attribute: found, .. } if found == attribute))
            };
            assert!(expected("CKA_LOCAL") && expected("CKA_NEVER_EXTRACTABLE"), "{findings:?}");
            token.forget();
        }
    });
}

/// PKCS#11 gives `share-import` no say in what is made of a product: so a sealed file is as good as the keys to whoever
/// may use the HSM that it is sealed to, for as long as there is a copy of it. docs/operations.md says what to do.
#[test]
fn a_sealed_file_that_was_kept_gives_the_keys_to_who_may_use_the_token() {
    in_own_process(|token| {
        let (config, keys) = sealed(token);
        import(&config, &keys).unwrap();
        let (hsm, share) = (HsmAdapter::open(config).unwrap(), share());
        let wrapped = import_share(&hsm, &share).wrapped;
        drop(hsm);
        let kept = keys.keys.iter().find(|sealed| sealed.key == KeyName::ShareKek).unwrap();
        let context = site_key_context(&FLEET, SITE, KeyName::ShareKek, &keys.card);
        let transport = import_point(&context, &Point::parse(&kept.ephemeral.0).unwrap());
        token.as_attacker(|session| {
            let of = |class, key_type| [Attribute::Class(class), Attribute::KeyType(key_type), Attribute::Token(false)];
            let readable = [Attribute::Sensitive(false), Attribute::Extractable(true)];
            let unwraps =
                [&of(ObjectClass::SECRET_KEY, KeyType::AES)[..], &readable, &[Attribute::Unwrap(true)]].concat();
            let derived = [&unwraps[..], &[Attribute::ValueLen(32.into())]].concat();
            let transport = derive(session, find(session, SHARE_IMPORT), &transport, &derived).unwrap();
            let pad = &Mechanism::AesKeyWrapPad;
            let kek = session.unwrap_key(pad, transport, kept.wrapped.as_bytes(), &unwraps).unwrap();
            let as_share = [&of(ObjectClass::PRIVATE_KEY, KeyType::EC)[..], &readable].concat();
            let stolen = session.unwrap_key(pad, kek, &wrapped, &as_share).unwrap();
            let value = session.get_attributes(stolen, &[AttributeType::Value]).unwrap();
            let [Attribute::Value(value)] = &value[..] else { return assert_eq!(value, []) };
            let stolen = p256::SecretKey::from_slice(value).unwrap().public_key();
            assert_eq!(stolen.to_encoded_point(true).as_bytes(), share.public().encode());
        });
    });
}
