#!/usr/bin/env python3
"""A second program that reads Coffer archives; it and coffer_format.py were written from docs/format.md alone.

    decoder.py restore --archive DIR --recovery-key-file FILE --to OUT [--snapshot latest|N]
    decoder.py check   --archive DIR --recovery-key-file FILE
    decoder.py ls      --archive DIR --recovery-key-file FILE [--snapshot latest|N]

Exit status: 0 all is well, 1 something is damaged or lost (each thing is named on stderr), 2 wrong usage or key.
"""
import argparse
import functools
import os
import re
import stat
import sys
import tempfile

from coffer_format import (
    CHARACTER, FOLDER, LAST, MAX_CONTENT, MAX_PACK, PREFIX, REGULAR, SYMLINK, Cursor, Pack, Refused, Sealed, WrongKey,
    open_header, padme, parse_doomed, parse_entry, parse_forgotten, parse_lock, parse_snapshot, parse_toc, read, require, unframe,
)


class Misuse(Exception):
    """A wrong argument."""


def shown(path):
    """A path made safe for a terminal."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Report:
    """Says once each what is lost."""

    def __init__(self):
        self.lines = set()

    def lost(self, what, why):
        line = f"damaged: {shown(what)}: {why}"
        if line not in self.lines:
            self.lines.add(line)
            print(line, file=sys.stderr)

    def note(self, what, why):
        print(f"note: {shown(what)}: {why}", file=sys.stderr)


class Archive:
    """An archive whose every damaged part has been told to `lost(what, why)`, and is stepped over."""

    def __init__(self, folder, backup_key, lost):
        self.folder, self.lost = folder, lost
        self.keys = open_header(read(os.path.join(folder, "coffer.json"), 64 << 10), backup_key)
        self.packs, self.places, self.lists = {}, {}, {0: set(), 1: set()}
        for described in self.objects("index", self.parse_index):
            self.packs.update(described)
        self.add_unindexed()
        for pack in self.packs.values():
            for number, (_, _, chunks) in enumerate(pack.segments):
                for id, length in chunks:
                    self.places.setdefault(id, []).append((pack, number, length))
        # One that was sealed anew twice is one.
        snapshots = {(s.number, s.hash): s for s in self.objects("snapshots", parse_snapshot)}.values()
        forgotten = {}
        for more in self.objects("forgotten", parse_forgotten):
            forgotten.update(more)
        self.snapshots = sorted(self.not_forgotten(snapshots, forgotten), key=lambda s: (s.number, s.hash))

    def not_forgotten(self, snapshots, forgotten):
        """The snapshots less those that were forgotten and are followed."""
        there, followed = {(s.number, s.hash): s for s in snapshots}, set()
        for head in sorted(there.keys() | forgotten.keys(), reverse=True):
            if head in there and not (head in forgotten and head in followed):
                yield there[head]
            elif head not in followed:
                continue
            followed.update(there[head].previous if head in there else forgotten[head])

    def files(self, folder):
        """(name, path) of every object in a folder."""
        for parent, _, names in os.walk(os.path.join(self.folder, folder)):
            inside = os.path.relpath(parent, os.path.join(self.folder, folder))
            for text in sorted(names):
                if re.fullmatch("[0-9a-f]{32}", text) and inside == (text[:2] if folder == "packs" else "."):
                    yield bytes.fromhex(text), os.path.join(parent, text)

    def objects(self, folder, parse):
        """What `parse` makes of every index, snapshot or lock that opens."""
        for name, path in self.files(folder):
            try:
                data = read(path, 2 * MAX_CONTENT)
                if not Sealed.counts(self.keys, folder, data):
                    continue
                sealed = Sealed.of(self.keys, folder, name, data)
                cursor = Cursor(unframe(sealed.open(0, LAST, data[PREFIX:])))
                parsed = parse(name, data, cursor)
                cursor.end()
                yield parsed
            except Refused as why:
                self.lost(path, why)

    def parse_index(self, _name, data, cursor):
        packs, epoch = {}, int.from_bytes(data[12:16], "little")
        for _ in range(cursor.varint()):
            name, salt = cursor.take(16), cursor.take(32)
            path = os.path.join(self.folder, "packs", name.hex()[:2], name.hex())
            packs[name] = Pack(path, Sealed(self.keys, "packs", name, epoch, salt), parse_toc(cursor))
        return packs

    def add_unindexed(self):
        for name, path in self.files("packs"):
            try:
                if name in self.packs or not Sealed.counts(self.keys, "packs", read(path, MAX_PACK, 0, PREFIX)):
                    continue
                self.packs[name] = Pack.of(self.keys, name, path)
            except Refused as why:
                self.lost(path, why)

    @functools.lru_cache(maxsize=32)
    def segment(self, pack, number):
        return pack.chunks(self.keys, number)

    def chunk(self, id, length=None):
        why = "is missing"
        for pack, number, stored in self.places.get(id, ()):
            try:
                require(length in (None, stored), "has another length")
                return self.segment(pack, number)[id]
            except Refused as error:
                why = f"in pack {pack.sealed.name.hex()}: {error}"
        raise Refused(f"chunk {id.hex()} {why}")

    # Section 8: content

    @functools.lru_cache(maxsize=4096)
    def list_chunk(self, id, patch_fits=True):
        cursor, last = Cursor(self.chunk(id)), -1
        form = cursor.u8()
        require(form == 0 or form == 1 and patch_fits, "a list of an unknown form")
        if form == 0:
            extents = cursor.extents(1024)
        else:
            extents = list(self.list_chunk(cursor.take(32), False))
            for position, extent in cursor.many(lambda: (cursor.varint(), cursor.extent())):
                require(last < position < len(extents), "a replacement is out of place")
                extents[position], last = extent, position
        cursor.end()
        self.lists[form].add(id)
        return extents

    def leaves(self, content, lost=None):
        """The extents of content at depth 0. Damage ends it, or is told to `lost` and stepped over."""
        depth, extents = content
        for length, id in extents:
            if not depth or id is None:
                yield length, id
                continue
            try:
                inner = self.list_chunk(id)
                require(sum(n for n, _ in inner) == length, "the lengths in a list do not add up")
            except Refused as why:
                if not lost:
                    raise
                lost(why)
                continue
            yield from self.leaves((depth - 1, inner), lost)

    def entries(self, content, lost):
        last = b""
        for length, id in self.leaves(content, lost):
            try:
                require(id, "a hole in a folder")
                cursor = Cursor(self.chunk(id, length))
                while cursor.more():
                    entry = parse_entry(cursor)
                    require(last < entry.name, "entries are out of order")
                    last = entry.name
                    yield entry
            except Refused as why:
                lost(why)

    def walk(self, snapshot):
        """(path, entry) of everything in a snapshot, a folder before what lies in it."""
        folders = [(b"", snapshot.root)]
        while folders:
            folder, content = folders.pop()
            for entry in self.entries(content, functools.partial(self.lost, os.path.join(folder, b"*"))):
                path = os.path.join(folder, entry.name)
                yield path, entry
                if entry.kind == FOLDER:
                    folders.append((path, entry.content))


def pick(archive, report, wanted):
    found = [s for s in archive.snapshots if wanted in ("latest", str(s.number))]
    if not found:
        raise (Refused if report.lines else Misuse)(f"there is no snapshot {wanted}")
    return found[-1]


def write_file(archive, path, entry):
    """Writes beside the file's place, and moves it there when it is whole."""
    handle, part = tempfile.mkstemp(dir=os.path.dirname(path), prefix=b".coffer-")
    try:
        with open(handle, "wb") as file:
            for length, id in archive.leaves(entry.content):
                file.seek(length, os.SEEK_CUR) if id is None else file.write(archive.chunk(id, length))
            file.truncate(file.tell())
        require(not os.path.lexists(path), "something of that name is there")
        os.rename(part, path)
    except BaseException:
        os.unlink(part)
        raise


def set_metadata(report, path, entry):
    if os.geteuid() == 0:
        os.chown(path, entry.user, entry.group, follow_symlinks=False)
    for name, value in entry.xattrs:
        try:
            os.setxattr(path, name, value, follow_symlinks=False)
        except (OSError, ValueError) as why:
            report.note(path, f"extended attribute {shown(name)} not set: {why}")
    if entry.kind != SYMLINK:
        os.chmod(path, entry.mode)
    os.utime(path, ns=(entry.modified, entry.modified), follow_symlinks=False)


def make(archive, report, path, entry, links):
    """Makes one entry; the metadata of folders wait until they are filled."""
    if entry.kind == FOLDER:
        return os.mkdir(path, 0o700)
    if entry.kind >= CHARACTER:
        return report.note(path, "devices are not restored")
    if entry.link in links:
        return os.link(links[entry.link], path, follow_symlinks=False)
    if entry.kind == REGULAR:
        write_file(archive, path, entry)
    elif entry.kind == SYMLINK:
        os.symlink(entry.target, path)
    else:
        os.mkfifo(path, 0o600)
    set_metadata(report, path, entry)
    if entry.link is not None:
        links[entry.link] = path


def restore(archive, report, arguments):
    snapshot, out = pick(archive, report, arguments.snapshot), os.fsencode(os.path.abspath(arguments.to))
    os.makedirs(out, exist_ok=True)
    if os.listdir(out):
        raise Misuse(f"{arguments.to} is not empty")
    links, folders = {}, {out: None}

    def attempt(action, path, entry, *more):
        try:
            require(os.path.dirname(path) in folders, "its folder could not be made")
            action(path, entry, *more)
            return True
        except (Refused, OSError, OverflowError, ValueError) as why:
            report.lost(os.path.relpath(path, out), why)

    for relative, entry in archive.walk(snapshot):
        path = os.path.join(out, relative)
        if attempt(lambda *e: make(archive, report, *e), path, entry, links) and entry.kind == FOLDER:
            folders[path] = entry
    for path, entry in list(folders.items())[:0:-1]:
        attempt(lambda *e: set_metadata(report, *e), path, entry)
    print(f"restored snapshot {snapshot.number} of {shown(snapshot.base)}")


def check_packs(archive, report):
    """Opens every segment of every pack; returns the lengths of the chunks whose id was recomputed."""
    good = {}
    for name, path in archive.files("packs"):
        try:
            pack, known = Pack.of(archive.keys, name, path), archive.packs[name]
            same = (known.sealed.prefix, known.segments) == (pack.sealed.prefix, pack.segments)
            require(same, "the index describes it otherwise")
        except (Refused, KeyError) as why:
            report.lost(path, why)
            continue
        for number in range(len(pack.segments)):
            try:
                good.update((id, len(chunk)) for id, chunk in pack.chunks(archive.keys, number).items())
            except Refused as why:
                report.lost(path, f"segment {number}: {why}")
    return good


def check_snapshot(archive, report, snapshot, good):
    counts = [0, 0, 0, 0]
    for path, entry in archive.walk(snapshot):
        counts[min(entry.kind, 2)] += 1
        counts[3] += entry.size if entry.kind == REGULAR else 0
        try:
            for length, id in archive.leaves(entry.content):
                require(id is None or good.get(id) == length, "a chunk is missing or damaged")
        except Refused as why:
            report.lost(path, f"in snapshot {snapshot.number}: {why}")
    require(tuple(counts) == snapshot.counts, f"counts {snapshot.counts} entries, holds {tuple(counts)}")


def check_sizes(archive, report):
    for folder in ("index", "snapshots", "locks", "forgotten", "doomed"):
        for _, path in archive.files(folder):
            size = os.path.getsize(path)
            if size != padme(size):
                report.lost(path, "its size is not a Padmé size")


def check(archive, report, _arguments):
    check_sizes(archive, report)
    good, numbers = check_packs(archive, report), {s.hash: s.number for s in archive.snapshots}
    for snapshot in archive.snapshots:
        try:
            check_snapshot(archive, report, snapshot, good)
            for number, hash in snapshot.previous:
                require(numbers.get(hash, number) == number, "its predecessor has another number")
        except Refused as why:
            report.lost(f"snapshot {snapshot.number}", why)
    locks, doomed = (list(archive.objects(*kind)) for kind in (("locks", parse_lock), ("doomed", parse_doomed)))
    print(f"{len(archive.packs)} packs, {len(good)} chunks, {len(archive.snapshots)} snapshots, {len(locks)} locks, "
          f"{sum(map(len, doomed))} doomed packs; "
          f"list chunks: {len(archive.lists[0])} whole, {len(archive.lists[1])} patches")


def ls(archive, report, arguments):
    formats = stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK
    for path, entry in archive.walk(pick(archive, report, arguments.snapshot)):
        arrow = f" -> {shown(entry.target)}" if entry.kind == SYMLINK else ""
        print(f"{stat.filemode(formats[entry.kind] | entry.mode)} {entry.size:>12} {shown(path)}{arrow}")


def recovery_key(path):
    try:
        with open(path, "rb") as file:
            digits = re.sub(r"[\s-]", "", file.read(4096).decode())
    except (OSError, ValueError) as why:
        raise Misuse(f"{path}: {why}") from None
    if not re.fullmatch("[0-9a-fA-F]{64}", digits):
        raise Misuse(f"{path} does not hold the 64 hex digits of a recovery key")
    return bytes.fromhex(digits)


def main():
    parser = argparse.ArgumentParser(description="Reads Coffer archives, after docs/format.md.")
    commands = parser.add_subparsers(required=True)
    for function in (restore, check, ls):
        command = commands.add_parser(function.__name__)
        command.set_defaults(run=function)
        command.add_argument("--archive", required=True)
        command.add_argument("--recovery-key-file", required=True)
        if function is not check:
            command.add_argument("--snapshot", default="latest", metavar="latest|N")
        if function is restore:
            command.add_argument("--to", required=True)
    arguments, report = parser.parse_args(), Report()
    try:
        if not os.path.isdir(arguments.archive):
            raise Misuse(f"{arguments.archive} is not a folder")
        archive = Archive(arguments.archive, recovery_key(arguments.recovery_key_file), report.lost)
        arguments.run(archive, report, arguments)
    except (Misuse, WrongKey) as why:
        print(f"error: {why}", file=sys.stderr)
        return 2
    except Refused as why:
        report.lost(arguments.archive, why)
    return 1 if report.lines else 0


if __name__ == "__main__":
    sys.exit(main())
