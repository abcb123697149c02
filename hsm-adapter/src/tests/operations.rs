//! What the vault asks of its HSM.

use std::thread;

use coffer_pake::verify_es256;
use coffer_vault_core::{Hsm, HsmError, LedgerSpend, Point, WrappedShare};
use p256::elliptic_curve::sec1::ToEncodedPoint;

use super::dealt::{CONTEXT, import, imported, question, seal, share, wait};
use super::token::in_own_process;
use crate::sign_recovery::negated;
use crate::{HsmAdapter, TokenConfig};

fn evaluate(hsm: &HsmAdapter, share: &WrappedShare, element: &Point) -> Result<Point, HsmError> {
    wait(hsm.evaluate(LedgerSpend::insecure_without_a_spend(), share, element))
}

#[test]
fn evaluates_with_an_imported_share() {
    in_own_process(|token| {
        let (hsm, share) = (token.open(), share());
        let wrapped = imported(&hsm, &share);
        assert!(wrapped.wrapped.len() <= 256);
        for number in 0..10 {
            let (element, product) = question(&share, number);
            assert_eq!(evaluate(&hsm, &wrapped, &element), Ok(product));
        }
        assert_eq!((hsm.evaluations(), hsm.operations().imports), (10, 1));
    });
}

#[test]
fn the_receipt_of_an_import_is_the_one_that_the_dealer_expects() {
    in_own_process(|token| {
        let (hsm, share) = (token.open(), share());
        let imported = import(&hsm, &seal(&hsm, &share), CONTEXT, share.public()).unwrap();
        assert_eq!(imported.receipt, share.receipt(CONTEXT));
    });
}

#[test]
fn a_share_outlives_the_process_and_not_the_token() {
    in_own_process(|token| {
        let share = share();
        let wrapped = imported(&token.open(), &share);
        let (element, product) = question(&share, 1);
        assert_eq!(evaluate(&token.open(), &wrapped, &element), Ok(product));
        std::fs::remove_dir_all(token.tokens()).unwrap();
        std::fs::create_dir(token.tokens()).unwrap();
        assert_eq!(evaluate(&token.open(), &wrapped, &element), Err(HsmError::Refused));
    });
}

#[test]
fn takes_the_generator_to_the_public_point_and_its_negative_to_the_negative() {
    in_own_process(|token| {
        let (hsm, share) = (token.open(), share());
        let wrapped = imported(&hsm, &share);
        assert_eq!(evaluate(&hsm, &wrapped, &Point::generator()), Ok(share.public()));
        assert_eq!(evaluate(&hsm, &wrapped, &negated(&Point::generator())), Ok(negated(&share.public())));
        assert_eq!(hsm.evaluations(), 2);
    });
}

#[test]
fn refuses_a_wrapped_share_with_any_byte_changed() {
    in_own_process(|token| {
        let (hsm, share) = (token.open(), share());
        let good = imported(&hsm, &share);
        let (element, product) = question(&share, 1);
        for byte in 0..good.wrapped.len() {
            let mut bad = good.clone();
            bad.wrapped[byte] ^= 1;
            assert_eq!(evaluate(&hsm, &bad, &element), Err(HsmError::Refused), "byte {byte}");
        }
        for length in [0, 1, 8, 16, good.wrapped.len() - 8, good.wrapped.len() - 1] {
            let bad = WrappedShare { wrapped: good.wrapped[..length].to_vec(), public: good.public };
            assert_eq!(evaluate(&hsm, &bad, &element), Err(HsmError::Refused), "length {length}");
        }
        assert_eq!(hsm.evaluations(), 0);
        assert_eq!(hsm.operations().connections, 1, "a bad share throws nobody off the token");
        assert_eq!(evaluate(&hsm, &good, &element), Ok(product));
    });
}

#[test]
fn refuses_a_wrapped_share_that_is_too_long() {
    in_own_process(|token| {
        let (hsm, share) = (token.open(), share());
        let long = WrappedShare { wrapped: vec![0; 257], public: share.public() };
        assert_eq!(evaluate(&hsm, &long, &Point::generator()), Err(HsmError::Refused));
    });
}

#[test]
fn answers_that_do_not_fit_the_public_point_are_a_fault() {
    in_own_process(|token| {
        let (hsm, share, other) = (token.open(), share(), share());
        let wrapped = WrappedShare { public: other.public(), ..imported(&hsm, &share) };
        assert_eq!(evaluate(&hsm, &wrapped, &question(&share, 1).0), Err(HsmError::Fault));
    });
}

#[test]
fn refuses_a_sealed_share_with_any_byte_changed() {
    in_own_process(|token| {
        let (hsm, share) = (token.open(), share());
        let good = seal(&hsm, &share);
        for byte in 0..good.wrapped.len() {
            let mut bad = good.clone();
            bad.wrapped[byte] ^= 1;
            assert_eq!(import(&hsm, &bad, CONTEXT, share.public()), Err(HsmError::Refused), "byte {byte}");
        }
        assert_eq!((hsm.operations().imports, hsm.operations().connections), (0, 1));
        assert!(import(&hsm, &good, CONTEXT, share.public()).is_ok());
    });
}

#[test]
fn refuses_a_share_that_was_sealed_for_another_context() {
    in_own_process(|token| {
        let (hsm, share) = (token.open(), share());
        let sealed = seal(&hsm, &share);
        assert_eq!(import(&hsm, &sealed, b"another account", share.public()), Err(HsmError::Refused));
    });
}

#[test]
fn refuses_a_share_that_was_sealed_to_another_hsm() {
    in_own_process(|token| {
        let (hsm, share) = (token.open(), share());
        let sealed = share.seal(&hsm.public_keys().ake, CONTEXT).unwrap();
        assert_eq!(import(&hsm, &sealed, CONTEXT, share.public()), Err(HsmError::Refused));
    });
}

#[test]
fn refuses_a_share_that_is_not_the_expected_one() {
    in_own_process(|token| {
        let (hsm, share, other) = (token.open(), share(), share());
        assert_eq!(import(&hsm, &seal(&hsm, &share), CONTEXT, other.public()), Err(HsmError::Refused));
        assert_eq!(hsm.operations().connections, 1);
    });
}

#[test]
fn leaves_no_key_behind_in_the_token() {
    in_own_process(|token| {
        let (hsm, share) = (token.open(), share());
        let wrapped = imported(&hsm, &share);
        let _ = import(&hsm, &seal(&hsm, &share), b"another account", share.public());
        let _ = evaluate(&hsm, &wrapped, &question(&share, 1).0);
        let _ = evaluate(&hsm, &WrappedShare { public: Point::generator(), ..wrapped }, &question(&share, 1).0);
        let objects = wait(hsm.ask(|operator| Ok(operator.count_objects()))).unwrap();
        assert_eq!(objects, 6 + 4);
    });
}

#[test]
fn agrees_on_the_same_point_as_the_other_side() {
    in_own_process(|token| {
        let hsm = token.open();
        agrees(&hsm.public_keys().ake, |ephemeral| wait(hsm.agree(ephemeral)).unwrap());
    });
}

/// `agree` multiplies by the key whose public half is `ake`.
pub(super) fn agrees(ake: &Point, agree: impl Fn(&Point) -> Point) {
    assert_eq!(agree(&Point::generator()), *ake);
    assert_eq!(agree(&negated(&Point::generator())), negated(ake));
    for seed in 1..20 {
        let secret = p256::SecretKey::from_slice(&[seed; 32]).unwrap();
        let ours = secret.public_key().to_encoded_point(true);
        let theirs = p256::PublicKey::from_sec1_bytes(&ake.encode()).unwrap().to_projective();
        let product = (theirs * *secret.to_nonzero_scalar()).to_affine().to_encoded_point(true);
        let answer = agree(&Point::parse(ours.as_bytes()).unwrap());
        assert_eq!(answer.encode(), product.as_bytes());
    }
}

#[test]
fn macs_differ_by_message_and_stay_the_same_over_restarts() {
    in_own_process(|token| {
        let hsm = token.open();
        let mac = wait(hsm.mac(b"row")).unwrap();
        assert_ne!(wait(hsm.mac(b"rows")).unwrap(), mac);
        assert!(wait(hsm.mac(&[7; 65_536])).is_ok());
        assert!(wait(hsm.mac(&[])).is_ok());
        drop(hsm);
        assert_eq!(wait(token.open().mac(b"row")), Ok(mac));
    });
}

#[test]
fn certificates_and_root_signatures_verify_under_their_own_keys() {
    in_own_process(|token| {
        let hsm = token.open();
        let (identity, root) = (hsm.public_keys().site_identity, hsm.root_public().unwrap());
        let certificate = wait(hsm.certify(b"message")).unwrap();
        let signed = wait(hsm.sign_as_root(b"message")).unwrap();
        assert!(verify_es256(&identity, b"message", &certificate));
        assert!(verify_es256(&root, b"message", &signed));
        assert!(!verify_es256(&root, b"message", &certificate));
        assert!(!verify_es256(&identity, b"massage", &certificate));
    });
}

#[test]
fn refuses_to_sign_as_a_root_that_the_token_does_not_have() {
    in_own_process(|token| {
        token.init().unwrap();
        let hsm = HsmAdapter::open(TokenConfig { fleet_root: false, ..token.config() }).unwrap();
        assert_eq!(wait(hsm.sign_as_root(b"message")), Err(HsmError::Refused));
    });
}

#[test]
fn sixteen_threads_at_once_all_get_the_right_answers() {
    in_own_process(|token| {
        let (hsm, share) = (token.open(), share());
        let wrapped = imported(&hsm, &share);
        let mac = wait(hsm.mac(b"row")).unwrap();
        thread::scope(|scope| {
            for thread in 0..16 {
                let (hsm, share, wrapped) = (&hsm, &share, &wrapped);
                scope.spawn(move || {
                    for number in 0..40 {
                        let (element, product) = question(share, thread * 1000 + number);
                        assert_eq!(evaluate(hsm, wrapped, &element), Ok(product));
                        assert_eq!(wait(hsm.mac(b"row")), Ok(mac));
                        if number % 8 == 0 {
                            assert_eq!(imported(hsm, share), *wrapped);
                        }
                    }
                });
            }
        });
        assert_eq!((hsm.evaluations(), hsm.operations().connections), (16 * 40, 1));
    });
}
