//! RFC 9180, appendix A.3.1: our key encapsulation and key schedule, in base mode. The RFC has no vectors of P-256 with
//! AES-256-GCM, so its shorter sister stands for the cipher.

#![expect(clippy::unwrap_used, reason = "a test")]

use hpke::aead::AesGcm128;
use hpke::{Deserializable as _, Kem as _, OpModeR, Serializable as _};

use crate::suite::{Kdf, Kem};

const INFO: &str = "4f6465206f6e2061204772656369616e2055726e";
const RECIPIENT_SEED: &str = "668b37171f1072f3cf12ea8a236a45df23fc13b82af3609ad1e354f6ef817550";
const RECIPIENT_PRIVATE: &str = "f3ce7fdae57e1a310d87f1ebbde6f328be0a99cdbcadf4d6589cf29de4b8ffd2";
const RECIPIENT_PUBLIC: &str = "04fe8c19ce0905191ebc298a9245792531f26f0cece2460639e8bc39cb7f706a82\
    6a779b4cf969b8a0e539c7f62fb3d30ad6aa8f80e30f1d128aafd68a2ce72ea0";
const ENC: &str = "04a92719c6195d5085104f469a8b9814d5838ff72b60501e2c4466e5e67b325ac9\
    8536d7b61a1af4b78e5b7f951c0900be863c403ce65c9bfcb9382657222d18c4";
const PLAINTEXT: &str = "4265617574792069732074727574682c20747275746820626561757479";
/// Additional data and ciphertext, one after the other.
const SEALED: [(&str, &str); 2] = [
    ("436f756e742d30", "5ad590bb8baa577f8619db35a36311226a896e7342a6d836d8b7bcd2f20b6c7f9076ac232e3ab2523f39513434"),
    ("436f756e742d31", "fa6f037b47fc21826b610172ca9637e82d6e5801eb31cbd3748271affd4ecb06646e0329cbdf3c3cd655b28e82"),
];
/// Context and exported value.
const EXPORTED: [(&str, &str); 3] = [
    ("", "5e9bc3d236e1911d95e65b576a8a86d478fb827e8bdfe77b741b289890490d4d"),
    ("00", "6cff87658931bda83dc857e6353efe4987a201b849658d9b047aab4cf216e796"),
    ("54657374436f6e74657874", "d8f1ea7942adbba7412c6d431c62d01371ea476b823eb697e1f6e6cae1dab85a"),
];

fn bytes(digits: &str) -> Vec<u8> {
    hex::decode(digits).unwrap()
}

#[test]
fn a_key_is_derived_as_the_rfc_has_it() {
    let (private, public) = Kem::derive_keypair(&bytes(RECIPIENT_SEED));
    assert_eq!(private.to_bytes().as_slice(), bytes(RECIPIENT_PRIVATE));
    assert_eq!(public.to_bytes().as_slice(), bytes(RECIPIENT_PUBLIC));
}

#[test]
fn what_the_rfc_has_sealed_opens_and_exports_what_it_says() {
    let private = <Kem as hpke::Kem>::PrivateKey::from_bytes(&bytes(RECIPIENT_PRIVATE)).unwrap();
    let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(&bytes(ENC)).unwrap();
    let mut context =
        hpke::setup_receiver::<AesGcm128, Kdf, Kem>(&OpModeR::Base, &private, &enc, &bytes(INFO)).unwrap();
    for (aad, ciphertext) in SEALED {
        assert_eq!(context.open(&bytes(ciphertext), &bytes(aad)).unwrap(), bytes(PLAINTEXT));
    }
    for (exporter, expected) in EXPORTED {
        let mut exported = [0; 32];
        context.export(&bytes(exporter), &mut exported).unwrap();
        assert_eq!(exported.as_slice(), bytes(expected));
    }
}
