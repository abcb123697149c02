#!/usr/bin/env python3
"""The archives that `peers.py` measures on, each with a second day.

  workloads.py make NAME --cache DIR --shared DIR    generate (once; kept under the cache) and print its directory
  workloads.py to DIR day1|day2                      switch DIR/live in place, by renames
  workloads.py verify DIR TREE                       compare a restored TREE with DIR/live: bytes, modes, times, links

medium      shared/bin/chatgen.py at 1 GB, its texts from the IRC corpus: a message store, media, text exports
small       the same at 50 MB
store       medium's message store alone, both days of it
tiny-files  47 000 text exports cut from the corpus, 692 MB; 470 grow and 100 appear on day 2, 20 disappear
exports     the real exports under shared/data: days of IRC, and a WhatsApp store fed from its SQL; the last
            three files of the one and the last quarter of the other's statements are day 2

Everything is deterministic: the same inputs give the same bytes and times. peers.py runs this file as a program of
its own, so that its own memory stays below that of what it measures (a child's peak starts at its parent's).
"""
import argparse
import hashlib
import json
import math
import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
from itertools import cycle
from pathlib import Path

FORMAT = 1  # count up when a generator here changes: cached archives are then made anew
SIZES = {"small": "50M", "medium": "1G"}
NAMES = ("small", "medium", "store", "tiny-files", "exports")
DAY1, DAY2 = 1_761_000_000, 1_761_086_400


def irc_days(shared):
    return sorted((shared / "data/irc-ubuntu").glob("*.txt"))


def make(name, cache, shared):
    """Returns the directory of the archive `name`, on day 1."""
    chatgen = shared / "bin/chatgen.py"
    inputs = [chatgen, *irc_days(shared), *sorted((shared / "data/whatsapp-viewer").glob("*.sql"))]
    stamp = hashlib.sha256(repr((FORMAT, sqlite3.sqlite_version)).encode())
    for path in inputs:
        stamp.update(path.read_bytes())
    out = cache / f"{name}-{stamp.hexdigest()[:12]}"
    if not out.exists():
        part = cache / f"{out.name}.part{os.getpid()}"
        shutil.rmtree(part, ignore_errors=True)
        (part / "live").mkdir(parents=True)
        try:
            if name in SIZES:
                corpus = cache / f"corpus-{os.getpid()}.txt"
                corpus.write_bytes(b"".join(p.read_bytes() for p in irc_days(shared)))
                argv = [sys.executable, chatgen, "make", part, "--size", SIZES[name], "--corpus", corpus]
                subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
                corpus.unlink()
                (part / "chatgen").symlink_to(chatgen.resolve())
            else:
                gone = {"store": store, "tiny-files": tiny_files, "exports": exports}[name](part, cache, shared) or []
                new = [p.relative_to(part / "other") for p in (part / "other").rglob("*") if p.is_file()]
                (part / "differs.json").write_text(json.dumps(sorted(map(str, [*new, *gone]))))
            part.rename(out)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    to(out, "day1")
    return out


def store(out, cache, shared):
    medium = make("medium", cache, shared)
    (out / "other").mkdir()
    shutil.copy2(medium / "live/Databases/msgstore.db", out / "live/msgstore.db")
    shutil.copy2(medium / "day2/msgstore.db", out / "other/msgstore.db")


def tiny_files(out, cache, shared, files=47_000, total=692_000_000):
    """Exports of log-normal size that walk through the corpus again and again, each line with a new date: text as
    people write it, and the corpus's 6 MB between a passage and its return, so that no window sees it twice."""
    rng = random.Random(47)
    text = [line.partition(b"] ")[2] for p in irc_days(shared) for line in p.read_bytes().splitlines(keepends=True)]
    lines, clock = cycle(line for line in text if line.strip()), 0

    def export(size):
        nonlocal clock
        parts, got = [], 0
        while got < size:
            clock += rng.randrange(1, 90)
            minute, second = divmod(clock, 60)
            day = minute // 1440
            line = b"[%02d.%02d.%02d, %02d:%02d:%02d] %s" % (
                day % 28 + 1, day // 28 % 12 + 1, day // 336 % 100, minute // 60 % 24, minute % 60, second, next(lines))
            parts.append(line)
            got += len(line)
        return b"".join(parts)

    def name(i):
        return f"Exports/{i % 97:02d}/WhatsApp Chat - {i:05d}.txt"

    def write(base, i, content, when):
        path = out / base / name(i)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (when, when))

    weights = [rng.lognormvariate(math.log(9_000), 1) for _ in range(files)]
    scale = (total - files * 35) / sum(weights)  # 35: by half a line every file overshoots
    grown = set(rng.sample(range(files), 470))
    for i, weight in enumerate(weights):
        content = export(int(weight * scale))
        write("live", i, content, DAY1 - rng.randrange(86400 * 300))
        if i in grown:
            write("other", i, content + export(600), DAY2)
    for i in range(files, files + 100):
        write("other", i, export(9_000), DAY2)
    gone = rng.sample(sorted(set(range(files)) - grown), 20)
    return [name(i) for i in gone]


def exports(out, cache, shared):
    days = irc_days(shared)
    for base, held_back, when in (("live", 3, DAY1), ("other", 0, DAY2)):
        (out / base / "irc").mkdir(parents=True)
        (out / base / "whatsapp").mkdir()
        for path in days[:-3] if base == "live" else days[-3:]:
            shutil.copyfile(path, out / base / "irc" / path.name)
            os.utime(out / base / "irc" / path.name, (when, when))
        sql = shared / "data/whatsapp-viewer"
        rows = (sql / "test-database.sql").read_text(encoding="utf-8").split("\nINSERT ")
        keep = len(rows) if base == "other" else len(rows) * 3 // 4
        path = out / base / "whatsapp/msgstore.db"
        db = sqlite3.connect(path)
        db.execute("PRAGMA synchronous = OFF")
        db.executescript((sql / "msgstore.db.schema.sql").read_text(encoding="utf-8"))
        db.executescript("\nINSERT ".join(rows[:keep]))
        db.close()
        os.utime(path, (when, when))


def to(root, day):
    """Exchanges every path that differs between the days; one side of the exchange may be absent."""
    if (root / "chatgen").exists():
        subprocess.run([sys.executable, root / "chatgen", "to", root, day], check=True)
        return
    state, live, other, swap = root / "state", root / "live", root / "other", root / "swap"
    if (state.read_text() if state.exists() else "day1") == day:
        return
    for path in json.loads((root / "differs.json").read_text()):
        (other / path).parent.mkdir(parents=True, exist_ok=True)
        for a, b in ((live / path, swap), (other / path, live / path), (swap, other / path)):
            if a.exists():
                a.rename(b)
    state.write_text(day)


def entries(root):
    """Every path below `root`, and `root` itself, with its lstat."""
    yield "", os.lstat(root)
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = os.path.join(folder, name)
            yield os.path.relpath(path, root), os.lstat(path)


def same_content(a, b):
    with open(a, "rb") as f, open(b, "rb") as g:
        while block := f.read(1 << 20):
            if block != g.read(1 << 20):
                return False
        return not g.read(1)


def verify(root, tree):
    """Returns the paths whose content is wrong, and those where only a mode, a time or a link count is."""
    live = root / "live"
    want, got = dict(entries(live)), dict(entries(tree))
    wrong, metadata = sorted(want.keys() ^ got.keys()), []
    for path in sorted(want.keys() & got.keys()):
        a, b = want[path], got[path]
        kind = stat.S_IFMT(a.st_mode)
        if kind != stat.S_IFMT(b.st_mode):
            wrong.append(path)
        elif kind == stat.S_IFREG and not same_content(live / path, tree / path):
            wrong.append(path)
        elif kind == stat.S_IFLNK and os.readlink(live / path) != os.readlink(tree / path):
            wrong.append(path)
        elif (a.st_mode, a.st_mtime_ns) != (b.st_mode, b.st_mtime_ns) or (kind == stat.S_IFREG and a.st_nlink != b.st_nlink):
            metadata.append(path or ".")
    if (root / "chatgen").exists():  # against the generator's own hashes too: the source itself may have been harmed
        argv = [sys.executable, root / "chatgen", "verify", root, tree, json.loads((root / "manifest.json").read_text())["state"]]
        if (said := subprocess.run(argv, capture_output=True, text=True)).returncode:
            wrong.append(f"chatgen: {said.stdout.strip()}")
    return wrong, metadata


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("make")
    command.add_argument("name", choices=NAMES)
    command.add_argument("--cache", type=Path, required=True)
    command.add_argument("--shared", type=Path, required=True)
    command = commands.add_parser("to")
    command.add_argument("dir", type=Path)
    command.add_argument("day", choices=["day1", "day2"])
    command = commands.add_parser("verify")
    command.add_argument("dir", type=Path)
    command.add_argument("tree", type=Path)
    args = parser.parse_args()
    if args.command == "make":
        args.cache.mkdir(parents=True, exist_ok=True)
        print(make(args.name, args.cache.resolve(), args.shared.resolve()))
    elif args.command == "to":
        to(args.dir, args.day)
    else:
        wrong, metadata = verify(args.dir, args.tree)
        if wrong:
            sys.exit(f"{len(wrong)} paths differ: {wrong[:3]}")
        print(f"metadata of {len(metadata)} paths differs: {metadata[:3]}" if metadata else "identical")


if __name__ == "__main__":
    main()
