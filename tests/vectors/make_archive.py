#!/usr/bin/env python3
"""Computes header.json, pack.json, index.json, snapshot.json and tree.json, the known answers of crates/archive, with
another implementation of every primitive.

It shares no code with the crate: HKDF, HMAC and AES-GCM are those of the Python package `cryptography`, keyed BLAKE3 that
of `blake3`, and every encoding is written out again. If the two disagree, one of them is not the format.

What is compressed depends on the compressor's version. So contents here cannot be shortened and are stored as they are;
the one zstd frame is a constant, to be read only.

    make_archive.py            writes the files beside this one
    make_archive.py --check    says whether they are what would be written, and exits 1 if not
"""

import hashlib
import json
import pathlib
import struct
import sys

import zstandard
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

BACKUP_KEY = bytes(range(32))
OTHER_BACKUP_KEY = bytes(range(0x80, 0xA0))
DATA_KEY = bytes(range(0xE0, 0x100))
NEXT_DATA_KEY = bytes(range(0x60, 0x80))
ARCHIVE = bytes(range(0x10, 0x20))
NAME = bytes(range(0xA0, 0xB0))
SALT = bytes(range(0x40, 0x60))
EPOCH = 1

# The codes of the kinds of object, and the purposes of their keys.
KINDS = {"pack": b"P", "index": b"I", "snapshot": b"S", "lock": b"L", "forgotten": b"F", "doomed": b"D", "head": b"H",
         "carried": b"K"}

# 300 times "again and ", compressed with zstd 1.5.7 at level 3.
REPEATED = b"again and " * 300
ZSTD_FRAME = bytes.fromhex("28b52ffd60b80a8d000050616761696e20616e64200100abab5f90")


# Primitives.


def label(purpose):
    return b"coffer/v1/" + purpose.encode()


def hkdf(key, salt, info, length):
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(key)


def purpose_key(purpose, data_key=DATA_KEY):
    return hkdf(data_key, ARCHIVE, label(purpose), 32)


def chunk_id(content):
    return blake3(content, key=purpose_key("chunk-id")).digest()


def random(what, length):
    """Bytes that cannot be compressed."""
    return hashlib.shake_256(what.encode()).digest(length)


# Encodings.


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def zigzag(number):
    return varint(number * 2 if number >= 0 else -number * 2 - 1)


def string(content):
    return varint(len(content)) + content


def time(seconds, nanoseconds):
    return zigzag(seconds) + varint(nanoseconds)


def extent(extent):
    """An extent is a dictionary {"hole": length} or {"chunk": id in hex, "len": length}."""
    if "hole" in extent:
        return varint(extent["hole"] << 1 | 1)
    return varint(extent["len"] << 1) + bytes.fromhex(extent["chunk"])


def extents(some):
    return varint(len(some)) + b"".join(map(extent, some))


def content(depth, some):
    return bytes([depth]) + extents(some)


def padme(length):
    exponent = length.bit_length() - 1
    kept = exponent.bit_length()
    step = 1 << (exponent - kept)
    return -(-length // step) * step


def frame(content):
    return b"\0" + varint(len(content)) + string(content)


# Objects.


class Cipher:
    def __init__(self, kind, name=NAME, salt=SALT, epoch=EPOCH, data_key=DATA_KEY):
        output = HKDFExpand(algorithm=SHA256(), length=64, info=label("object") + salt + KINDS[kind] + ARCHIVE)
        keys = output.derive(purpose_key(kind, data_key))
        self.aead = AESGCM(keys[:32])
        self.prefix = b"COFFER" + KINDS[kind] + b"\x01\x01" + bytes(3) + struct.pack("<I", epoch) + salt + keys[32:]
        assert len(self.prefix) == 80
        self.associated = self.prefix + name

    def seal(self, counter, flag, plain):
        return self.aead.encrypt(bytes(7) + struct.pack(">I", counter) + bytes([flag]), plain, self.associated)


def whole_object(kind, content, **of):
    """All but packs and heads: one part, padded."""
    cipher = Cipher(kind, **of)
    framed = frame(content)
    size = padme(80 + len(framed) + 16)
    return cipher.prefix + cipher.seal(0, 1, framed.ljust(size - 80 - 16, b"\0"))


def toc(segments):
    out = varint(len(segments))
    for segment in segments:
        out += bytes([{"data": 0, "tree": 1}[segment["kind"]]])
        out += varint(1 + len(segment["stored"]) + 16)
        out += varint(len(segment["chunks"]))
        for chunk in segment["chunks"]:
            out += chunk_id(chunk) + varint(len(chunk))
    return out


def pack_object(segments):
    cipher = Cipher("pack")
    out = cipher.prefix
    for number, segment in enumerate(segments):
        out += cipher.seal(number, 0, bytes([segment["compression"]]) + segment["stored"])
    framed = frame(toc(segments))
    framed = framed.ljust(padme(len(out) + len(framed) + 16 + 32) - 16 - 32 - len(out), b"\0")
    sealed = cipher.seal(len(segments), 1, framed)
    trailer = struct.pack("<QII", len(out), len(sealed), len(segments))
    return out + sealed + cipher.seal(0, 2, trailer)


# The vectors.


def sealing():
    return {
        "data_key": DATA_KEY.hex(),
        "archive_id": ARCHIVE.hex(),
        "epoch": EPOCH,
        "name": NAME.hex(),
        "salt": SALT.hex(),
    }


def key_slots(naming, slots):
    """Key slots as they stand in the form, and in the message. A slot is (backup key, epoch, data key)."""
    forms, message = [], varint(len(slots))
    for number, (backup_key, epoch, data_key) in enumerate(slots):
        slot_id = random(f"{naming} {number}", 16)
        which = slot_id + struct.pack(">I", epoch)
        output = hkdf(backup_key, ARCHIVE, label("slot") + which, 64)
        wrapped = AESGCM(output[:32]).encrypt(bytes(12), data_key, label("slot") + ARCHIVE + which)
        forms.append({"id": slot_id.hex(), "epoch": epoch, "check": output[32:].hex(), "wrapped": wrapped.hex()})
        message += slot_id + varint(epoch) + output[32:] + wrapped
    return forms, message


def commit(message, data_key):
    mac = HMAC(purpose_key("commit", data_key), SHA256())
    mac.update(message)
    return mac.finalize()


def header(comment, keys):
    slots, message = key_slots("slot", [(backup_key, epoch, DATA_KEY) for backup_key, epoch in keys])
    message = label("header") + varint(1) + ARCHIVE + message
    commitment = commit(message, DATA_KEY)
    form = {
        "coffer": 1,
        "archive": ARCHIVE.hex(),
        "slots": slots,
        "commitment": commitment.hex(),
        "checksum": hashlib.sha256(message + commitment).hexdigest(),
    }
    return {
        "comment": comment,
        "backup_keys": [backup_key.hex() for backup_key, _ in keys],
        "slot_ids": [slot["id"] for slot in slots],
        "epochs": [epoch for _, epoch in keys],
        "archive_id": ARCHIVE.hex(),
        "data_key": DATA_KEY.hex(),
        "bytes": (json.dumps(form, indent=2) + "\n").encode().hex(),
    }


def rotated(comment, epoch, slots, carried):
    """A header of version 2. A slot is (backup key, epoch, data key); what is carried is (epoch, data key, older)."""
    forms, message = key_slots("rotated slot", slots)
    message = label("header") + varint(2) + ARCHIVE + varint(epoch) + message
    sealed = []
    for of, data_key, older in carried:
        cipher = Cipher("carried", bytes(16), random(f"carried {of}", 32), of, data_key)
        plain = purpose_key("chunk-id") + purpose_key("chunker") + varint(len(older))
        plain += b"".join(varint(one) + key for one, key in older)
        sealed.append(cipher.prefix + cipher.seal(0, 1, plain))
    message += varint(len(sealed)) + b"".join(string(one) for one in sealed)
    current = {of: key for _, of, key in slots}[epoch]
    commitment = commit(message, current)
    form = {
        "coffer": 2,
        "archive": ARCHIVE.hex(),
        "epoch": epoch,
        "slots": forms,
        "carried": [one.hex() for one in sealed],
        "commitment": commitment.hex(),
        "checksum": hashlib.sha256(message + commitment).hexdigest(),
    }
    return {
        "comment": comment,
        "archive_id": ARCHIVE.hex(),
        "epoch": epoch,
        "keys": [{"backup_key": backup_key.hex(), "own": of} for backup_key, of, _ in slots],
        "current_data_key": current.hex(),
        "chunk_id_key": purpose_key("chunk-id").hex(),
        "older": [of for of, _ in (carried[-1][2] if epoch > 1 else [])],
        "bytes": (json.dumps(form, indent=2) + "\n").encode().hex(),
    }


def segment(kind, chunks, stored=None):
    return {
        "kind": kind,
        "compression": 0 if stored is None else 1,
        "stored": b"".join(chunks) if stored is None else stored,
        "chunks": chunks,
    }


def pack(comment, segments):
    shown = [
        {
            "kind": segment["kind"],
            "stored": (bytes([segment["compression"]]) + segment["stored"]).hex(),
            "chunks": [chunk.hex() for chunk in segment["chunks"]],
            "ids": [chunk_id(chunk).hex() for chunk in segment["chunks"]],
        }
        for segment in segments
    ]
    return {"comment": comment} | sealing() | {
        "segments": shown,
        "bytes": pack_object(segments).hex(),
    }


def index(comment, packs):
    """Each pack is (name, salt, segments)."""
    plain = varint(len(packs)) + b"".join(name + salt + toc(segments) for name, salt, segments in packs)
    shown = [
        {
            "name": name.hex(),
            "salt": salt.hex(),
            "segments": [
                {
                    "kind": segment["kind"],
                    "sealed_len": 1 + len(segment["stored"]) + 16,
                    "chunks": [{"id": chunk_id(chunk).hex(), "len": len(chunk)} for chunk in segment["chunks"]],
                }
                for segment in segments
            ],
        }
        for name, salt, segments in packs
    ]
    return {"comment": comment} | sealing() | {
        "packs": shown,
        "content": plain.hex(),
        "bytes": whole_object("index", plain).hex(),
    }


def snapshot(comment, number, previous, host, started, finished, base, sources, totals, problems, root):
    plain = varint(number)
    if previous is None:
        plain += b"\0"
    else:
        plain += b"\1" + varint(previous["number"]) + bytes.fromhex(previous["hash"])
    plain += string(host.encode()) + time(*started) + time(*finished) + string(base.encode())
    plain += varint(len(sources)) + b"".join(string(source.encode()) for source in sources)
    plain += b"".join(map(varint, totals)) + varint(problems) + content(0, root)
    sealed = whole_object("snapshot", plain)
    return {"comment": comment} | sealing() | {
        "number": number,
        "previous": previous,
        "host": host,
        "started": started,
        "finished": finished,
        "base": base,
        "sources": sources,
        "totals": totals,
        "problems": problems,
        "root": root,
        "content": plain.hex(),
        "bytes": sealed.hex(),
        "hash": hashlib.sha256(sealed).hexdigest(),
    }


def resealed(comment, before, epoch, data_key):
    """The same snapshot, sealed anew in a later epoch."""
    plain = bytes.fromhex(before["content"]) + bytes.fromhex(before["hash"])
    sealed = whole_object("snapshot", plain, epoch=epoch, data_key=data_key)
    return before | {
        "comment": comment,
        "data_key": data_key.hex(),
        "epoch": epoch,
        "content": plain.hex(),
        "bytes": sealed.hex(),
        "hash": hashlib.sha256(sealed).hexdigest(),
        "earlier": before.get("earlier", []) + [before["hash"]],
    }


def lock(comment, host, pid, since, operation):
    plain = string(host.encode()) + varint(pid) + time(*since) + string(operation.encode())
    return {"comment": comment} | sealing() | {
        "host": host,
        "pid": pid,
        "since": since,
        "operation": operation,
        "content": plain.hex(),
        "bytes": whole_object("lock", plain).hex(),
    }


def heads(heads):
    return varint(len(heads)) + b"".join(varint(one["number"]) + bytes.fromhex(one["hash"]) for one in heads)


def forgotten(comment, snapshots):
    plain = varint(len(snapshots))
    for one in snapshots:
        plain += varint(one["number"]) + bytes.fromhex(one["hash"]) + heads(one["previous"])
    return {"comment": comment} | sealing() | {
        "snapshots": snapshots,
        "content": plain.hex(),
        "bytes": whole_object("forgotten", plain).hex(),
    }


def doomed(comment, is_removed, since, packs):
    plain = bytes([is_removed]) + time(*since) + varint(len(packs)) + b"".join(packs)
    return {"comment": comment} | sealing() | {
        "is_removed": is_removed,
        "since": since,
        "packs": [pack.hex() for pack in packs],
        "content": plain.hex(),
        "bytes": whole_object("doomed", plain).hex(),
    }


def head(comment, tips):
    plain = heads(tips)
    cipher = Cipher("head", name=bytes(16))
    return {"comment": comment} | sealing() | {
        "name": bytes(16).hex(),
        "tips": tips,
        "bytes": (cipher.prefix + cipher.seal(0, 1, plain.ljust(512 - 80 - 16, b"\0"))).hex(),
    }


NODE_KINDS = ["file", "directory", "symlink", "fifo", "char_device", "block_device"]


def node(name, kind, what=None, mode=0o644, linked_on=None, xattrs=()):
    """`what` is a list of extents, a target, or a device's two numbers."""
    seconds, uid, gid, inode = 1_700_000_000, 1000, 100, 0x123456789
    modified, changed = (seconds, 999_999_999), (-1, 0)
    plain = string(name) + bytes([NODE_KINDS.index(kind)])
    plain += varint(mode) + varint(uid) + varint(gid) + time(*modified) + time(*changed) + varint(inode)
    if kind in ("file", "directory"):
        plain += content(0, what)
    elif kind == "symlink":
        plain += string(what)
    elif kind != "fifo":
        plain += varint(what[0]) + varint(what[1])
    attributes = []
    if linked_on is not None:
        attributes.append(varint(1) + string(varint(linked_on)))
    if xattrs:
        value = varint(len(xattrs)) + b"".join(string(key) + string(value) for key, value in xattrs)
        attributes.append(varint(3) + string(value))
    plain += varint(len(attributes)) + b"".join(attributes)
    shown = {
        "name": name.hex(),
        "kind": kind,
        "mode": mode,
        "uid": uid,
        "gid": gid,
        "modified": modified,
        "changed": changed,
        "inode": inode,
        "what": what.hex() if isinstance(what, bytes) else what,
        "linked_on": linked_on,
        "xattrs": [[key.hex(), value.hex()] for key, value in xattrs],
    }
    return shown, plain


def entries(comment, *nodes):
    return {
        "comment": comment,
        "nodes": [shown for shown, _ in nodes],
        "bytes": b"".join(plain for _, plain in nodes).hex(),
    }


def chunk(what, length):
    return {"chunk": chunk_id(random(what, length)).hex(), "len": length}


def lists(comment, base, replaced):
    """A full list of 17 extents, and the patch to it that replaces some: (position, extent)."""
    full = b"\0" + extents(base)
    patch = b"\1" + chunk_id(full) + varint(len(replaced))
    patched = list(base)
    for position, new in replaced:
        patch += varint(position) + extent(new)
        patched[position] = new
    length = sum(one.get("hole", one.get("len")) for one in base)
    patched_length = sum(one.get("hole", one.get("len")) for one in patched)
    return {
        "comment": comment,
        "data_key": DATA_KEY.hex(),
        "archive_id": ARCHIVE.hex(),
        "extents": base,
        "list": full.hex(),
        "list_id": chunk_id(full).hex(),
        "content": content(1, [{"chunk": chunk_id(full).hex(), "len": length}]).hex(),
        "patched_extents": patched,
        "patch": patch.hex(),
        "patch_id": chunk_id(patch).hex(),
        "patched_content": content(1, [{"chunk": chunk_id(patch).hex(), "len": patched_length}]).hex(),
    }


def headers():
    return {
        "comment": "coffer.json byte for byte, computed by make_archive.py. Bytes are in hexadecimal.",
        "header": [
            header("one key slot", [(BACKUP_KEY, 1)]),
            header("two keys open the same archive", [(BACKUP_KEY, 1), (OTHER_BACKUP_KEY, 1)]),
            header("a later epoch: a varint in the message, a number in the form", [(BACKUP_KEY, 300)]),
        ],
        "rotated": [
            rotated(
                "a rotation is under way: both keys open it",
                1,
                [(BACKUP_KEY, 1, DATA_KEY), (OTHER_BACKUP_KEY, 2, NEXT_DATA_KEY)],
                [(2, NEXT_DATA_KEY, [(1, DATA_KEY)])],
            ),
            rotated(
                "the old key opens it no more, and its packs are still there",
                2,
                [(OTHER_BACKUP_KEY, 2, NEXT_DATA_KEY)],
                [(2, NEXT_DATA_KEY, [(1, DATA_KEY)])],
            ),
            rotated(
                "the rotation is done", 2, [(OTHER_BACKUP_KEY, 2, NEXT_DATA_KEY)], [(2, NEXT_DATA_KEY, [])]
            ),
        ],
    }


def packs():
    texts = [random("one", 40), random("two", 130), b"x"]
    raw = [segment("data", texts), segment("tree", [random("tree", 200)])]
    return {
        "comment": "Packs byte for byte, computed by make_archive.py. Bytes are in hexadecimal.",
        "pack": [
            pack("chunks of 40, 130 and 1 bytes, then a tree of 200", raw),
        ],
        "compressed": [
            pack("one segment in a zstd frame, which other versions of zstd may write otherwise", [
                segment("data", [REPEATED[:1000], REPEATED[1000:]], ZSTD_FRAME),
            ]),
        ],
    }


def indexes():
    one = [segment("data", [random("one", 40), random("two", 130), b"x"]), segment("tree", [random("tree", 200)])]
    other = [segment("data", [random("large", 1 << 20)])]
    return {
        "comment": "Index objects byte for byte, computed by make_archive.py. Bytes are in hexadecimal.",
        "index": [
            index("the first pack of pack.json", [(NAME, SALT, one)]),
            index("two packs, one with the largest chunk", [
                (NAME, SALT, one),
                (random("name", 16), random("salt", 32), other),
            ]),
        ],
    }


def snapshots():
    first = snapshot(
        "the first of an archive",
        1,
        None,
        "laptop",
        (1_767_225_600, 0),
        (1_767_225_601, 999_999_999),
        "/home/ann",
        ["chats"],
        (3, 2, 1, 1234567),
        0,
        [chunk("root", 500)],
    )
    second = snapshot(
        "the next one, with a clock before 1970, names outside ASCII and two chunks",
        2,
        {"number": 1, "hash": first["hash"]},
        "d\N{LATIN SMALL LETTER U WITH DIAERESIS}sseldorf",
        (-86400, 5),
        (-86399, 6),
        "/",
        ["srv/\N{CJK UNIFIED IDEOGRAPH-8A71}", "var/lib"],
        (47_000, 300, 0, 692_000_000),
        2,
        [chunk("root one", 130_000), chunk("root two", 500)],
    )
    anew = resealed("one that was sealed anew when the key was rotated", second, 2, NEXT_DATA_KEY)
    again = resealed("and again, two epochs later", anew, 4, random("data key of the fourth epoch", 32))
    hashes = sorted(hashlib.sha256(bytes([number])).hexdigest() for number in range(4))
    return {
        "comment": "Snapshots, locks, what was forgotten and doomed, and heads byte for byte, computed by make_archive.py. Bytes are in hexadecimal.",
        "snapshot": [first, second, anew, again],
        "lock": [lock("a backup that runs", "laptop", 4711, (1_767_225_600, 1), "backup")],
        "forgotten": [
            forgotten("two, the second after others of one number", [
                {"number": 3, "hash": hashes[0], "previous": []},
                {"number": 2**40, "hash": hashes[1], "previous": [
                    {"number": 7, "hash": hashes[2]}, {"number": 7, "hash": hashes[3]}]},
            ]),
        ],
        "doomed": [
            doomed("to be removed", False, (1_767_225_600, 1), [bytes.fromhex(name)[:16] for name in hashes[2:]]),
            doomed("removed", True, (1_767_225_600, 0), [bytes.fromhex(hashes[0])[:16]]),
        ],
        "head": [
            head("the newest snapshot", [{"number": 2, "hash": second["hash"]}]),
            head("as many as there may be, with large numbers", [
                {"number": 2**64 - 10 + at // 2, "hash": bytes([at] * 32).hex()} for at in range(8)
            ]),
        ],
    }


def trees():
    seventeen = [chunk(f"page {number}", 4096) for number in range(16)] + [{"hole": 1 << 33}]
    return {
        "comment": "Folders' entries and lists byte for byte, computed by make_archive.py. Bytes are in hexadecimal.",
        "entries": [
            entries(
                "a node of every kind, in the order of the names' bytes",
                node(b"Block", "block_device", (8, 1), 0o660),
                node(b"char", "char_device", (1, 0xFFFFFFFF), 0o666),
                node(b"empty", "file", []),
                node(b"file", "file", [chunk("one", 40), {"hole": 1 << 40}, chunk("two", 130)], 0o7777, 2),
                node(b"folder", "directory", [chunk("tree", 200)], 0o755),
                node(b"link", "symlink", b"../else\xffwhere", 0o777),
                node(b"pipe", "fifo", None, 0),
                node("\N{LATIN SMALL LETTER E WITH ACUTE}".encode(), "file", [], 0o600, 0, [
                    (b"security.x", b""),
                    (b"user.note", bytes(200)),
                ]),
                node(b"\xff not UTF-8", "fifo"),
            ),
        ],
        "lists": [
            lists("17 extents; the first and the last are replaced later", seventeen, [
                (0, chunk("new page", 4096)),
                (16, {"hole": 1 << 34}),
            ]),
        ],
    }


def main():
    assert zstandard.ZstdDecompressor().decompress(ZSTD_FRAME) == REPEATED
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    files = {"header": headers, "pack": packs, "index": indexes, "snapshot": snapshots, "tree": trees}
    for name, vectors in files.items():
        path = pathlib.Path(__file__).with_name(f"{name}.json")
        text = json.dumps(vectors(), indent=2) + "\n"
        if not check:
            path.write_text(text)
        elif path.read_text() != text:
            sys.exit(f"{path} is not what {pathlib.Path(__file__).name} computes")


if __name__ == "__main__":
    main()
