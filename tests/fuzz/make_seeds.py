#!/usr/bin/env python3
"""Writes the seeds: real objects and parts of them, sealed with the keys of tests/vectors.

    make_seeds.py           writes seeds/<target>/<name> beside this file; needs what tests/vectors/make_archive.py needs
"""

import json
import pathlib
import struct
import sys

HOME = pathlib.Path(__file__).parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HOME.parent / "vectors"))

import make_archive as archive  # noqa: E402


def seed(target, name, content):
    folder = HOME / "seeds" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def known(file, kind, field):
    return [bytes.fromhex(vector[field]) for vector in getattr(archive, file)()[kind]]


def seeds_of(target, contents):
    for number, content in enumerate(contents, start=1):
        seed(target, str(number), content)


def pack(segments):
    """A pack's parts, before they are sealed: see `pack` in crates/archive/src/fuzzing.rs."""
    payloads = [bytes([segment["compression"]]) + segment["stored"] for segment in segments]
    framed = archive.frame(archive.toc(segments))
    toc_at = 80 + sum(len(payload) + 16 for payload in payloads)
    trailer = struct.pack("<QII", toc_at, len(framed) + 16, len(segments))
    return bytes([len(payloads)]) + bytes(map(len, payloads)) + trailer + b"".join(payloads) + framed


def lists(some, content):
    """A content and the lists that it leads to: see `lists` there."""
    lengths = b"".join(struct.pack("<H", len(one)) for one in some)
    return bytes([len(some)]) + lengths + b"".join(some) + content


def number_of_list(number, length=None):
    identity = bytes([number]) + bytes(31)
    return identity if length is None else {"chunk": identity.hex(), "len": length}


def main():
    headers = known("headers", "header", "bytes")
    seeds_of("header", headers)
    slots = [slot for header in headers for slot in json.loads(header)["slots"]]
    seeds_of("key_slot", [json.dumps(slot).encode() for slot in slots])
    seeds_of("receipt", [b"17-3f9a-b2c1-44d0", b" 18446744073709551615-ABCDEF012345 "])

    packs = known("packs", "pack", "bytes") + known("packs", "compressed", "bytes")
    indexes = known("indexes", "index", "bytes")
    snapshots = known("snapshots", "snapshot", "bytes")
    locks = known("snapshots", "lock", "bytes")
    others = known("snapshots", "forgotten", "bytes") + known("snapshots", "doomed", "bytes")
    seeds_of("object", packs + indexes + snapshots + locks + others)

    raw = [archive.segment("data", [b"one", b"x"]), archive.segment("tree", [archive.random("tree", 50)])]
    repeated = archive.REPEATED
    compressed = [archive.segment("data", [repeated[:1000], repeated[1000:]], archive.ZSTD_FRAME)]
    seeds_of("pack", [pack([]), pack(raw), pack(compressed), pack(raw + compressed)])
    seeds_of("toc", [archive.toc(raw), archive.toc(compressed), archive.toc(raw + compressed)])
    framed = b"\1" + archive.varint(len(repeated)) + archive.string(archive.ZSTD_FRAME)
    seeds_of("frame", [archive.frame(b"stored"), archive.frame(b""), framed, framed + bytes(9)])

    seeds_of("index", known("indexes", "index", "content"))
    seeds_of("snapshot", known("snapshots", "snapshot", "content"))
    seeds_of("lock", known("snapshots", "lock", "content"))
    seeds_of("forgotten", known("snapshots", "forgotten", "content"))
    seeds_of("doomed", known("snapshots", "doomed", "content"))
    seeds_of("entries", known("trees", "entries", "bytes"))
    seeds_of("content", known("trees", "lists", "content") + [archive.content(0, [{"hole": 1 << 62}])])

    base = [archive.chunk(f"page {number}", 4096) for number in range(3)]
    full = b"\0" + archive.extents(base)
    patch = b"\1" + number_of_list(0) + archive.varint(1) + b"\1" + archive.extent({"hole": 9})
    above = b"\0" + archive.extents([number_of_list(0, 3 * 4096), number_of_list(1, 2 * 4096 + 9)])
    both = archive.content(1, [number_of_list(0, 3 * 4096), number_of_list(1, 2 * 4096 + 9)])
    seeds_of("lists", [
        lists([full], archive.content(1, [number_of_list(0, 3 * 4096)])),
        lists([full, patch], both),
        lists([full, patch, above], archive.content(2, [number_of_list(2, 5 * 4096 + 9)])),
        lists([full], archive.content(1, [number_of_list(0, 3 * 4096), number_of_list(7, 1)])),
    ])


if __name__ == "__main__":
    main()
