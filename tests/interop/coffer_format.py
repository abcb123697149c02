"""A reader of the archive format, versions 1 and 2, written from docs/format.md alone."""
import functools
import hashlib
import hmac
import json
import os
import re
from types import SimpleNamespace

import blake3
import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

PREFIX, TRAILER, MIB, U32 = 80, 32, 1 << 20, (1 << 32) - 1
MAX_PACK, MAX_CONTENT = 16 * MIB, 1 << 28
OBJECTS = {"packs": (b"P", "pack"), "index": (b"I", "index"), "snapshots": (b"S", "snapshot"), "locks": (b"L", "lock"),
           "forgotten": (b"F", "forgotten"), "doomed": (b"D", "doomed"), "carried": (b"K", "carried")}
SEGMENT, LAST, END = 0, 1, 2  # the last byte of a nonce
REGULAR, FOLDER, SYMLINK, PIPE, CHARACTER, BLOCK = range(6)


class Refused(Exception):
    """Stored bytes that do not authenticate, or are not in their one valid form."""


class WrongKey(Exception):
    """A recovery key that no slot of the archive is for."""


def require(condition, why):
    if not condition:
        raise Refused(why)


def read(path, limit, at=0, length=None):
    try:
        with open(path, "rb") as file:
            require(os.fstat(file.fileno()).st_size <= limit, "is larger than the format allows")
            file.seek(at)
            return file.read(length)
    except OSError as error:
        raise Refused(error.strerror) from None


# Section 1: values


class Cursor:
    """Takes values off authenticated bytes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        require(length <= len(self.data) - self.at, "a value runs past the end")
        self.at += length
        return self.data[self.at - length : self.at]

    def u8(self):
        return self.take(1)[0]

    def varint(self, limit=(1 << 64) - 1):
        value = shift = 0
        while (byte := self.u8()) >= 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
            require(shift < 70, "a varint is too long")
        require(byte or not shift, "a varint is not in its shortest form")
        value |= byte << shift
        require(value <= limit, f"{value} where {limit} is the most")
        return value

    def blob(self):
        return self.take(self.varint())

    def text(self):
        try:
            return self.blob().decode("utf-8")
        except UnicodeDecodeError:
            raise Refused("a text is not UTF-8") from None

    def time(self):
        """Nanoseconds since 1970."""
        coded = self.varint()
        seconds = -(coded + 1) // 2 if coded & 1 else coded // 2
        return seconds * 10**9 + self.varint(10**9 - 1)

    def many(self, take, limit=(1 << 64) - 1):
        """A number of values, then the values."""
        return [take() for _ in range(self.varint(limit))]

    def extent(self):
        coded = self.varint()
        require(coded >> 1, "an extent is empty")
        return coded >> 1, None if coded & 1 else self.take(32)

    def content(self):
        depth = self.u8()
        require(depth <= 4, "content is nested too deeply")
        return depth, self.extents(16)

    def extents(self, limit):
        extents = self.many(self.extent, limit)
        require(sum(length for length, _ in extents) < 1 << 63, "content is longer than any file")
        return extents

    def more(self):
        return self.at < len(self.data)

    def end(self):
        require(not self.more(), "bytes follow the last value")


def rising(values):
    return all(a < b for a, b in zip(values, values[1:]))


def unpack(compression, stored, length):
    """The `length` bytes that are stored plain (0) or as one zstd frame (1), fed piecemeal so that a bomb stays small."""
    require(compression in (0, 1), "unknown compression")
    if not compression:
        require(len(stored) == length, "has another length than it says")
        return stored
    unpacker, out = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj(), bytearray()
    try:
        for at in range(0, len(stored), 256):
            out += unpacker.decompress(stored[at : at + 256])
            require(len(out) <= length, "decompresses to more than it says")
    except zstandard.ZstdError as error:
        raise Refused(f"does not decompress: {error}") from None
    require(unpacker.eof and not unpacker.unused_data and len(out) == length, "is not one frame of the length it says")
    return bytes(out)


def unframe(plain):
    cursor = Cursor(plain)
    compression, length = cursor.u8(), cursor.varint(MAX_CONTENT)
    content = unpack(compression, cursor.blob(), length)
    require(not any(plain[cursor.at :]), "the padding is not zero")
    return content


def padme(length):
    """The next Padmé size; with S = floor(log2 E) + 1, which is the number of bits of E."""
    e = max(length.bit_length() - 1, 0)
    step = 1 << max(e - e.bit_length(), 0)
    return -(-length // step) * step


# Sections 2 to 4: keys, header, sealed objects


def hkdf(key, salt, info, length):
    return HKDF(SHA256(), length, salt, info).derive(key)


class Keys:
    """The data keys by epoch, and what is derived from them."""

    def __init__(self, archive, epochs, current=None, chunk_id=None):
        self.archive, self.epochs, self.current, self.chunk_id = archive, epochs, current, chunk_id

    @functools.cache
    def purpose(self, epoch, purpose):
        if purpose == "chunk-id" and self.chunk_id:
            return self.chunk_id
        require(epoch in self.epochs, f"no key for epoch {epoch}")
        return hkdf(self.epochs[epoch], self.archive, b"coffer/v1/" + purpose.encode(), 32)

    def object(self, folder, epoch, salt):
        kind, purpose = OBJECTS[folder]
        info = b"coffer/v1/object" + salt + kind + self.archive
        keys = HKDFExpand(SHA256(), 64, info).derive(self.purpose(epoch, purpose))
        return keys[:32], keys[32:]


def varint(value):
    return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80]) + varint(value >> 7)


def from_hex(text, length):
    require(re.fullmatch(f"[0-9a-f]{{{2 * length}}}", text), "a field is not hex of its length")
    return bytes.fromhex(text)


def parse_header(text):
    """Archive id, slots as (id, epoch, check, wrapped), commitment, message, and in version 2 the current epoch and what is
    carried by epoch, of a header in its one form."""
    raw = json.loads(text)
    version, archive, commitment, checksum = (raw[k] for k in ("coffer", "archive", "commitment", "checksum"))
    slots = [(s["id"], s["epoch"], s["check"], s["wrapped"]) for s in raw["slots"]]
    same = [dict(zip(("id", "epoch", "check", "wrapped"), s)) for s in slots]
    same = {"slots": same, "commitment": commitment, "checksum": checksum}
    current, carried = None, []
    if version == 2:
        current, carried = raw["epoch"], raw["carried"]
        same = {"epoch": current, "slots": same.pop("slots"), "carried": carried, **same}
        require(type(current) is int and 0 <= current < 1 << 32, "an epoch is out of range")
    same = {"coffer": version, "archive": archive, **same}
    require(json.dumps(same, indent=2).encode() + b"\n" == text, "the header is not in its one form")
    archive, commitment, checksum = from_hex(archive, 16), from_hex(commitment, 32), from_hex(checksum, 32)
    slots = [(from_hex(i, 16), e, from_hex(c, 32), from_hex(w, 48)) for i, e, c, w in slots]
    require(all(type(epoch) is int and 0 <= epoch < 1 << 32 for _, epoch, *_ in slots), "an epoch is out of range")
    message = b"coffer/v1/header" + varint(version) + archive + (b"" if current is None else varint(current))
    message += varint(len(slots)) + b"".join(slot + varint(epoch) + check + wrapped for slot, epoch, check, wrapped in slots)
    if version == 2:
        carried = [from_hex(sealed, len(sealed) // 2) for sealed in carried]
        message += varint(len(carried)) + b"".join(varint(len(sealed)) + sealed for sealed in carried)
        epochs = [int.from_bytes(sealed[12:16], "little") for sealed in carried]
        require(rising(epochs), "the epochs of what is carried do not rise")
        carried = dict(zip(epochs, carried))
    require(hashlib.sha256(message + commitment).digest() == checksum, "the checksum of the header does not fit")
    return archive, slots, commitment, message, current, carried


def open_slot(backup_key, archive, slot, epoch, check, wrapped):
    """The data key of a slot, or None when the slot belongs to another BackupKey."""
    bound = slot + epoch.to_bytes(4, "big")
    both = hkdf(backup_key, archive, b"coffer/v1/slot" + bound, 64)
    try:
        data_key = AESGCM(both[:32]).decrypt(bytes(12), wrapped, b"coffer/v1/slot" + archive + bound)
    except InvalidTag:
        data_key = None
    require(hmac.compare_digest(both[32:], check) == (data_key is not None), "a key slot is damaged")
    return data_key


def open_header(text, backup_key):
    try:
        version = json.loads(text)["coffer"]
        require(type(version) is int and version in (1, 2), f"format version {version}; this program knows 1 and 2")
        archive, slots, commitment, message, current, carried = parse_header(text)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Refused("coffer.json is not a header") from None
    opened = [(epoch, open_slot(backup_key, archive, slot, epoch, *rest)) for slot, epoch, *rest in slots]
    opened = [(epoch, key) for epoch, key in opened if key and epoch >= (current or 0)]
    if not opened:
        raise WrongKey("the recovery key is not this archive's")
    own, data_key = opened[0]
    keys = Keys(archive, {own: data_key}, own if current is None else current)
    if current is not None and own in carried:
        open_carried(keys, own, carried[own])
    require(keys.current in keys.epochs, "the header does not lead to the current epoch")
    expected = hmac.digest(keys.purpose(keys.current, "commit"), message, "sha256")
    require(hmac.compare_digest(expected, commitment), "the commitment of the header does not fit")
    return keys


def open_carried(keys, own, data):
    """Adds what the header carries to the epoch of the BackupKey: the chunk-id key, and older data keys."""
    sealed = Sealed.of(keys, "carried", bytes(16), data)
    cursor = Cursor(sealed.open(0, LAST, data[PREFIX:]))
    chunk_id, _ = cursor.take(32), cursor.take(32)
    older = cursor.many(lambda: (cursor.varint(U32), cursor.take(32)))
    cursor.end()
    epochs = [epoch for epoch, _ in older]
    require(rising(epochs) and all(epoch < own for epoch in epochs), "the epochs that are carried do not rise")
    keys.epochs.update(older)
    keys.chunk_id = chunk_id


class Sealed:
    """Opens the parts of one object."""

    def __init__(self, keys, folder, name, epoch, salt):
        key, commitment = keys.object(folder, epoch, salt)
        self.start = b"COFFER" + OBJECTS[folder][0] + bytes([1, 1, 0, 0, 0])
        self.prefix = self.start + epoch.to_bytes(4, "little") + salt + commitment
        self.epoch, self.salt, self.name, self.aead = epoch, salt, name, AESGCM(key)

    @classmethod
    def of(cls, keys, folder, name, data):
        require(len(data) >= PREFIX, "is too short")
        sealed = cls(keys, folder, name, int.from_bytes(data[12:16], "little"), data[16:48])
        require(data.startswith(sealed.start), "is not an object of this format and kind")
        require(hmac.compare_digest(sealed.prefix, data[:PREFIX]), "the key commitment does not fit")
        return sealed

    @staticmethod
    def counts(keys, folder, data):
        """Whether an object is of an epoch that counts for its kind. One whose epoch alone was changed does: it is damaged."""
        require(len(data) >= PREFIX, "is too short")
        epoch, salt, commitment = int.from_bytes(data[12:16], "little"), data[16:48], data[48:80]
        if epoch in keys.epochs:
            return epoch == keys.current or folder not in ("snapshots", "forgotten")
        return any(keys.object(folder, known, salt)[1] == commitment for known in keys.epochs)

    def open(self, counter, part, sealed):
        try:
            nonce = bytes(7) + counter.to_bytes(4, "big") + bytes([part])
            return self.aead.decrypt(nonce, sealed, self.prefix + self.name)
        except (InvalidTag, ValueError):
            raise Refused("authentication failed") from None


# Sections 5 and 6: packs


def parse_toc(cursor):
    """[(place, sealed length, [(chunk id, length)])], one for each segment."""

    def segment():
        require(cursor.u8() <= 1, "a segment of an unknown kind")
        sealed, chunks = cursor.varint(MAX_PACK), cursor.many(lambda: (cursor.take(32), cursor.varint(4 * MIB)))
        require(chunks and all(length for _, length in chunks), "an empty segment or chunk")
        require(sum(length for _, length in chunks) <= 4 * MIB, "a segment is too large")
        return sealed, chunks

    segments, at = [], PREFIX
    for sealed, chunks in cursor.many(segment):
        segments.append((at, sealed, chunks))
        at += sealed
    return segments


class Pack:
    def __init__(self, path, sealed, segments):
        self.path, self.sealed, self.segments = path, sealed, segments

    @classmethod
    def of(cls, keys, name, path):
        """A pack as its own table of contents describes it."""
        data = read(path, MAX_PACK)
        sealed = Sealed.of(keys, "packs", name, data)
        trailer = Cursor(sealed.open(0, END, data[-TRAILER:]))
        at, length, count = (int.from_bytes(trailer.take(n), "little") for n in (8, 4, 4))
        require(at + length + TRAILER == len(data), "the trailer does not fit the pack")
        cursor = Cursor(unframe(sealed.open(count, LAST, data[at:-TRAILER])))
        pack = cls(path, sealed, parse_toc(cursor))
        cursor.end()
        require(len(pack.segments) == count, "the trailer does not fit the table of contents")
        require(PREFIX + sum(s for _, s, _ in pack.segments) == at, "the table of contents does not fit the pack")
        return pack

    def chunks(self, keys, number):
        """The chunks of a segment by id."""
        at, sealed, chunks = self.segments[number]
        plain = self.sealed.open(number, SEGMENT, read(self.path, MAX_PACK, at, sealed))
        require(plain, "a segment is empty")
        cursor = Cursor(unpack(plain[0], plain[1:], sum(length for _, length in chunks)))
        found, key = {id: cursor.take(length) for id, length in chunks}, keys.purpose(self.sealed.epoch, "chunk-id")
        require(all(blake3.blake3(c, key=key).digest() == id for id, c in found.items()), "a chunk has another id")
        return found


# Sections 7 and 9 to 12: snapshots, trees, locks, what was forgotten, what is doomed


def parse_snapshot(name, data, cursor):
    number = cursor.varint()
    previous = cursor.many(lambda: (cursor.varint(), cursor.take(32)))
    require(number and all(0 < n < number for n, _ in previous), "the sequence numbers do not rise")
    require(all(a < b for a, b in zip(previous, previous[1:])), "the predecessors are not in order")
    cursor.text(), cursor.time(), cursor.time()
    base, _ = cursor.blob(), cursor.many(cursor.blob)
    require(base.startswith(b"/"), "the base is not an absolute path")
    counts, _ = tuple(cursor.varint() for _ in range(4)), cursor.varint()
    hash, root = hashlib.sha256(data).digest(), cursor.content()
    earlier = []
    while cursor.more():
        earlier.append(cursor.take(32))
    require(len(earlier) < int.from_bytes(data[12:16], "little"), "a snapshot was sealed anew more often than the key was rotated")
    hash = (earlier or [hash])[0]
    return SimpleNamespace(number=number, hash=hash, previous=previous, base=base, counts=counts, root=root)


def parse_lock(_name, _data, cursor):
    return cursor.text(), cursor.varint(), cursor.time(), cursor.text()


def parse_forgotten(_name, _data, cursor):
    """{(number, hash): [the previous, alike]}"""

    def head():
        return cursor.varint(), cursor.take(32)

    snapshots = cursor.many(lambda: (head(), cursor.many(head)))
    require(rising([one for one, _ in snapshots]), "forgotten snapshots are out of order")
    for (number, _), previous in snapshots:
        require(number and all(0 < n < number for n, _ in previous) and rising(previous), "the numbers do not rise")
    return dict(snapshots)


def parse_doomed(_name, _data, cursor):
    state, _, packs = cursor.u8(), cursor.time(), cursor.many(lambda: cursor.take(16))
    require(state <= 1 and rising(packs), "doomed packs in no order")
    return packs


def parse_entry(cursor):
    name, kind = cursor.blob(), cursor.u8()
    require(name not in (b"", b".", b"..") and b"/" not in name and b"\0" not in name, "a hostile name")
    require(kind <= BLOCK, "an entry of an unknown kind")
    mode, user, group = cursor.varint(0o7777), cursor.varint(U32), cursor.varint(U32)
    modified, _, inode = cursor.time(), cursor.time(), cursor.varint()
    content = cursor.content() if kind in (REGULAR, FOLDER) else (0, [])
    target = cursor.blob() if kind == SYMLINK else b""
    require(kind != SYMLINK or target and b"\0" not in target, "the target of a link is none")
    if kind in (CHARACTER, BLOCK):
        cursor.varint(U32), cursor.varint(U32)
    file_system, xattrs = parse_attributes(cursor.many(lambda: (cursor.varint(), cursor.blob())))
    return SimpleNamespace(
        name=name, kind=kind, mode=mode, user=user, group=group, modified=modified, content=content, target=target,
        size=sum(length for length, _ in content[1]), xattrs=xattrs,
        link=None if file_system is None or kind != REGULAR else (file_system, inode),
    )


def parse_attributes(attributes):
    file_system, xattrs = None, []
    require(rising([number for number, _ in attributes]), "attributes are out of order")
    for number, value in attributes:
        require(number % 2, f"an entry needs attribute {number}, which this program does not know")
        cursor = Cursor(value)
        if number == 1:
            file_system = cursor.varint()
            cursor.end()
        elif number == 3:
            xattrs = cursor.many(lambda: (cursor.blob(), cursor.blob()))
            names = [name for name, _ in xattrs]
            require(rising(names), "extended attributes are out of order")
            require(all(name and b"\0" not in name for name in names), "the name of an extended attribute is none")
            cursor.end()
    return file_system, xattrs
