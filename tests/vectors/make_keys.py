#!/usr/bin/env python3
"""Computes keys.json, the known answers of crates/keys, with another implementation of every primitive.

It shares no code with the crate: HKDF, HMAC, AES-GCM and Ed25519 are those of the Python package `cryptography`, and
the labels are written out again. If the two disagree, one of them is not the format.

    make_keys.py            writes keys.json beside this file
    make_keys.py --check    says whether keys.json is what would be written, and exits 1 if not
"""

import hashlib
import json
import pathlib
import struct
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

PURPOSES = ["chunk-id", "chunker", "pack", "index", "snapshot", "lock", "head", "commit", "forgotten", "doomed", "carried"]

COUNTING = bytes(range(32))
HIGH = bytes(range(0xE0, 0x100))
ARCHIVE = bytes(range(0x10, 0x20))
OTHER_ARCHIVE = bytes(range(0xF0, 0x100))


def label(purpose):
    return b"coffer/v1/" + purpose.encode()


def hkdf(key, salt, info, length):
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(key)


def expand(key, info, length):
    return HKDFExpand(algorithm=SHA256(), length=length, info=info).derive(key)


def recovery_key(comment, backup_key):
    digits = backup_key.hex()
    groups = " ".join(digits[start : start + 4] for start in range(0, 64, 4))
    return {"comment": comment, "backup_key": digits, "recovery_key": groups}


def key_slot(comment, backup_key, archive, slot_id, epoch, data_key):
    which = slot_id + struct.pack(">I", epoch)
    output = hkdf(backup_key, archive, label("slot") + which, 64)
    wrapping_key, check = output[:32], output[32:]
    wrapped = AESGCM(wrapping_key).encrypt(bytes(12), data_key, label("slot") + archive + which)
    return {
        "comment": comment,
        "backup_key": backup_key.hex(),
        "archive_id": archive.hex(),
        "slot_id": slot_id.hex(),
        "epoch": epoch,
        "data_key": data_key.hex(),
        "wrapping_key": wrapping_key.hex(),
        "check": check.hex(),
        "wrapped": wrapped.hex(),
    }


def from_data_key(comment, data_key, archive):
    return {"comment": comment, "data_key": data_key.hex(), "archive_id": archive.hex()}


def archive_keys(comment, data_key, archive):
    keys = {purpose: hkdf(data_key, archive, label(purpose), 32).hex() for purpose in PURPOSES}
    return from_data_key(comment, data_key, archive) | {"keys": keys}


def gear(comment, data_key, archive):
    table = expand(hkdf(data_key, archive, label("chunker"), 32), label("gear"), 2048)
    words = [f"{word:016x}" for word in struct.unpack("<256Q", table)]
    return from_data_key(comment, data_key, archive) | {
        "first_four_words": " ".join(words[:4]),
        "last_word": words[255],
        "sha256": hashlib.sha256(table).hexdigest(),
    }


def sealing_key(comment, data_key, archive, purpose, salt, object_type):
    object_key = hkdf(data_key, archive, label(purpose), 32)
    output = expand(object_key, label("object") + salt + bytes([object_type]) + archive, 64)
    return from_data_key(comment, data_key, archive) | {
        "purpose": purpose,
        "salt": salt.hex(),
        "object_type": object_type,
        "key": output[:32].hex(),
        "commitment": output[32:].hex(),
    }


def commit(comment, data_key, archive, message):
    mac = HMAC(hkdf(data_key, archive, label("commit"), 32), SHA256())
    mac.update(message)
    return from_data_key(comment, data_key, archive) | {
        "message": message.hex(),
        "commitment": mac.finalize().hex(),
    }


def public(seed):
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw().hex()


def signing_key(comment, seed, message):
    signature = Ed25519PrivateKey.from_private_bytes(seed).sign(message)
    return {
        "comment": comment,
        "seed": seed.hex(),
        "public": public(seed),
        "message": message.hex(),
        "signature": signature.hex(),
    }


def owner_key(comment, backup_key):
    seed = hkdf(backup_key, b"", label("owner"), 32)
    return {"comment": comment, "backup_key": backup_key.hex(), "seed": seed.hex(), "public": public(seed)}


def unlock_key(comment, export_key):
    seed = expand(export_key, label("unlock"), 32)
    return {"comment": comment, "export_key": export_key.hex(), "seed": seed.hex(), "public": public(seed)}


def wrapped_backup_key(comment, export_key, backup_key, context, salt):
    output = expand(export_key, label("escrow") + salt, 64)
    wrapping_key, commitment = output[:32], output[32:]
    wrapped = AESGCM(wrapping_key).encrypt(bytes(12), backup_key, label("escrow") + context)
    return {
        "comment": comment,
        "export_key": export_key.hex(),
        "backup_key": backup_key.hex(),
        "context": context.hex(),
        "salt": salt.hex(),
        "wrapped": (salt + commitment + wrapped).hex(),
    }


def vectors():
    slot_id = bytes(range(0x20, 0x30))
    salt = bytes(range(0x40, 0x60))
    return {
        "comment": "Known answers of crates/keys, computed by make_keys.py. Bytes are in hexadecimal.",
        "recovery_key": [
            recovery_key("every digit is used, and the first byte comes first", COUNTING),
            recovery_key("leading zeros stay", bytes(31) + b"\x01"),
            recovery_key("the highest key", b"\xff" * 32),
        ],
        "key_slot": [
            key_slot("the first epoch", COUNTING, ARCHIVE, slot_id, 0, HIGH),
            key_slot("the epoch is written with its most significant byte first", COUNTING, ARCHIVE, slot_id, 0x01020304, HIGH),
            key_slot("the highest epoch, another archive, the keys exchanged", HIGH, OTHER_ARCHIVE, bytes(16), 0xFFFFFFFF, COUNTING),
        ],
        "archive_keys": [
            archive_keys("one key for each purpose", HIGH, ARCHIVE),
            archive_keys("the same data key in another archive", HIGH, OTHER_ARCHIVE),
            archive_keys("another data key", COUNTING, ARCHIVE),
        ],
        "gear": [
            gear("words are numbers, most significant digit first; sha256 is over the 2048 bytes", HIGH, ARCHIVE),
            gear("another archive", HIGH, OTHER_ARCHIVE),
        ],
        "sealing_key": [
            sealing_key(f"an object sealed under the {purpose} key", HIGH, ARCHIVE, purpose, salt, object_type)
            for object_type, purpose in enumerate(["pack", "index", "snapshot", "lock", "head", "forgotten", "doomed", "carried"], start=1)
        ]
        + [
            sealing_key("the highest type", HIGH, ARCHIVE, "pack", salt, 255),
            sealing_key("another salt, another archive", HIGH, OTHER_ARCHIVE, "pack", bytes(32), 1),
        ],
        "commit": [
            commit("an empty message", HIGH, ARCHIVE, b""),
            commit("a message longer than a block of SHA-256", HIGH, ARCHIVE, bytes(range(100))),
        ],
        "signing_key": [
            signing_key("an empty message", COUNTING, b""),
            signing_key(
                "RFC 8032, section 7.1, TEST 3",
                bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"),
                bytes.fromhex("af82"),
            ),
        ],
        "owner_key": [
            owner_key("no archive id goes into it", COUNTING),
            owner_key("another backup key", HIGH),
        ],
        "unlock_key": [
            unlock_key("expanded from the export key", HIGH),
            unlock_key("another registration", COUNTING),
        ],
        "wrapped_backup_key": [
            wrapped_backup_key("salt, commitment, sealed key", HIGH, COUNTING, b"fleet, account, registration", slot_id),
            wrapped_backup_key("an empty context, the keys exchanged", COUNTING, HIGH, b"", bytes(16)),
        ],
    }


def main():
    path = pathlib.Path(__file__).with_name("keys.json")
    text = json.dumps(vectors(), indent=2) + "\n"
    if sys.argv[1:] == ["--check"]:
        if path.read_text() != text:
            sys.exit(f"{path} is not what {pathlib.Path(__file__).name} computes")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        path.write_text(text)


if __name__ == "__main__":
    main()
