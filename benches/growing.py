#!/usr/bin/env python3
"""A chat archive that changes day by day, as a phone's does; `ninety.py` backs it up.

  growing.py make DIR --size 300M --shared DIR    DIR/live as shared/bin/chatgen.py makes it: that is day 1
  growing.py day DIR N                            brings DIR/live from day N − 1 to day N, and notes in DIR/days/N.json
                                                  what it holds then. Says `ready`, and waits for the end of its input
  growing.py verify DIR N TREE                    compares a restored TREE with what day N held

A day brings 1 % more messages, in a few chats that are busy just then (so scattered pages of the message store change),
200 that were read, 20 edits and 20 deletions; 5 to 20 files of media, up to three removed, up to two renamed; a longer
export; every tenth day a large video. Every third day the message store is in WAL mode, and while `day` waits it is open,
with content that is in the log alone, as an app that runs has it.

Everything is compared byte for byte, with times and modes. A store that was backed up while it was open is compared by its
pages, as they are once the log is in it: its header's counters, and the first page's note of the mode, are SQLite's.
"""
import argparse
import contextlib
import hashlib
import importlib.util
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

STORE = "Databases/msgstore.db"
LOGS = tuple(STORE + suffix for suffix in ("-wal", "-shm", "-journal"))
# The bytes of the first page that a copy through SQLite may have otherwise: versions 18, counter 24, schema's 40, 92.
OWN = ((18, 20), (24, 28), (40, 44), (92, 100))
WEIGHTS = {"image": 12, "voice": 5, "sticker": 2, "doc": 1, "video": 1}


def is_open(day):
    return day % 3 == 0


def chatgen_of(root):
    spec = importlib.util.spec_from_file_location("chatgen", root / "chatgen.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make(root, size, shared):
    root.mkdir(parents=True, exist_ok=True)
    corpus = root / "corpus.txt"
    corpus.write_bytes(b"".join(path.read_bytes() for path in sorted((shared / "data/irc-ubuntu").glob("*.txt"))))
    shutil.copy(shared / "bin/chatgen.py", root / "chatgen.py")
    generated = root / "generated"
    argv = [sys.executable, root / "chatgen.py", "make", generated, "--size", size, "--corpus", corpus]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    (generated / "live").rename(root / "live")
    shutil.rmtree(generated)
    (root / "days").mkdir()
    note(root, 1)


def media(live):
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(live / "Media") for name in names)


def change_media(gen, kinds, live, day, when, scale):
    """Files that come, go, and get other names. Returns what the messages say of the new ones."""
    rng, there, new = gen.rng, media(live), []
    for path in rng.sample(there, rng.randrange(4)):
        os.remove(path)
        there.remove(path)
    for path in rng.sample(there, rng.randrange(3)):
        folder = Path(path).parent / "Sent"
        folder.mkdir(exist_ok=True)
        os.rename(path, folder / f"{day:03d}-{Path(path).name}")
    names = rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=rng.randint(5, 20))
    for name in names:
        new.append((name, *gen.media_file(live, kinds[name], when + rng.randrange(80_000), scale // 100)))
    if day % 10 == 0:
        name, folder, ext, share, *_, head = kinds["video"]
        new.append((name, *gen.media_file(live, (name, folder, ext, share, scale // 30, 0.1, head), when + 80_000)))
    return new


def change_store(gen, db, new, when):
    """A day's messages; some of the old ones are read, edited, deleted."""
    rng = gen.rng
    newest, chats = (db.execute(f"SELECT max(_id) FROM {table}").fetchone()[0] for table in ("message", "chat"))
    gen.fill(db, max(20, newest // 100), new, when, when + 86_400, chats, rng.sample(range(1, chats + 1), max(4, chats // 5)))
    recent = range(max(1, newest - newest // 10), newest)
    for row in sorted(rng.sample(recent, min(200, len(recent)))):
        db.execute("UPDATE message SET status = 13 WHERE _id = ?", (row,))
    for row in rng.sample(recent, min(20, len(recent))):
        db.execute("UPDATE message SET text_data = ? WHERE _id = ? AND text_data IS NOT NULL", (gen.text.one(), row))
    for row in rng.sample(range(1, newest), 20):
        db.execute("DELETE FROM message WHERE _id = ?", (row,))
        db.execute("DELETE FROM message_fts WHERE docid = ?", (row,))
    db.commit()


def next_day(root, day):
    live, chatgen = root / "live", chatgen_of(root)
    gen = chatgen.Gen(argparse.Namespace(seed=1000 + day, corpus=root / "corpus.txt", dir=str(root)))
    gen.seq, when = day * 10_000, chatgen.T0 + (300 + day) * 86_400
    scale = (live / STORE).stat().st_size * 4
    new = change_media(gen, {kind[0]: kind for kind in chatgen.KINDS}, live, day, when, scale)
    exports = sorted((live / "Exports").rglob("*.txt"))
    with open(gen.rng.choice(exports), "a", encoding="utf-8") as export:
        export.writelines(f"[{day}] Person 1: {gen.text.one()}\n" for _ in range(60))
    with contextlib.closing(sqlite3.connect(live / STORE)) as db:
        db.execute(f"PRAGMA journal_mode = {'wal' if is_open(day) else 'delete'}")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("PRAGMA synchronous = off")
        change_store(gen, db, new, when)
        if not is_open(day):
            db.close()
        print("ready", flush=True)
        sys.stdin.read()
    note(root, day)


def hash_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pages_of(path):
    """The hash of a database, without what a copy through SQLite may have otherwise."""
    with open(path, "rb") as file:
        head = bytearray(file.read(4096))
        for begin, end in OWN:
            head[begin:end] = bytes(end - begin)
        digest = hashlib.sha256(head)
        while block := file.read(1 << 20):
            digest.update(block)
    return "pages " + digest.hexdigest()


def held_by(tree, day, before=None):
    """{path: size, modified, mode, hash}; of an open store the pages' hash alone. What looks as in `before` is not read."""
    found = {}
    for folder, _, names in os.walk(tree):
        for name in names:
            path = os.path.join(folder, name)
            about, relative = os.lstat(path), os.path.relpath(path, tree)
            if relative == STORE and is_open(day):
                found[relative] = [0, 0, 0, pages_of(path)]
                continue
            entry = [about.st_size, about.st_mtime_ns, about.st_mode]
            known = (before or {}).get(relative)
            found[relative] = [*entry, known[3] if known and known[:3] == entry else hash_of(path)]
    return found


def note(root, day):
    before = root / f"days/{day - 1}.json"
    held = held_by(root / "live", day, json.loads(before.read_text()) if before.exists() else None)
    (root / f"days/{day}.json").write_text(json.dumps(held))


def verify(root, day, tree):
    """The paths that differ. A log that was restored beside its store is put into it first."""
    if is_open(day):
        with contextlib.closing(sqlite3.connect(tree / STORE)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            whole = db.execute("PRAGMA quick_check").fetchone()[0]
        if whole != "ok":
            return [f"{STORE}: {whole}"]
    want, got = json.loads((root / f"days/{day}.json").read_text()), held_by(tree, day)
    if is_open(day):
        for log in LOGS:
            got.pop(log, None)
    return sorted(path for path in want.keys() | got.keys() if want.get(path) != got.get(path))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("make", "day", "verify"):
        command = commands.add_parser(name)
        command.add_argument("dir", type=Path)
        if name == "make":
            command.add_argument("--size", required=True)
            command.add_argument("--shared", type=Path, required=True)
        else:
            command.add_argument("day", type=int)
        if name == "verify":
            command.add_argument("tree", type=Path)
    args = parser.parse_args()
    if args.command == "make":
        make(args.dir, args.size, args.shared)
    elif args.command == "day":
        next_day(args.dir, args.day)
    elif wrong := verify(args.dir, args.day, args.tree):
        sys.exit(f"{len(wrong)} paths differ: {wrong[:3]}")


if __name__ == "__main__":
    main()
