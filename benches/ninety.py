#!/usr/bin/env python3
"""Ninety days with coffer, and with restic beside it: a backup every day, what is old forgotten and pruned every week.

  benches/ninety.py                          a chat archive of 500 MB, which grows to about twice that: half an hour
  benches/ninety.py --quick                  100 MB: five minutes
  benches/ninety.py --out docs/ninety.svg    draws it, too

`growing.py` says what a day changes. Both tools back up the same days with the same rules; their clocks are set to the day
(coffer's by libfaketime, restic's by `--time`). At the end every snapshot that is left is restored and compared with what
that day's folder held, all data is checked, and coffer's archive must not hold anything that a finished run does not leave.
Whatever differs ends it with 1. Figures are taken as in `peers.py`; CPU seconds hold on a busy machine, wall times do not.
"""
import argparse
import datetime
import glob
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import drawing
import peers

HERE = Path(__file__).resolve().parent
FIRST = datetime.datetime(2026, 1, 5, 3)  # a Monday
RULES = ["--keep-daily", "7", "--keep-weekly", "4", "--keep-monthly", "12"]
LEFTOVERS = ("locks", "tmp", "doomed")


def moment(day):
    return (FIRST + datetime.timedelta(days=day - 1)).strftime("%Y-%m-%d %H:%M:%S")


class Coffer(peers.Coffer):
    clock = next(glob.iglob("/usr/lib/*/faketime/libfaketime.so.1"), None)

    def on(self, day):
        return {"LD_PRELOAD": self.clock, "FAKETIME": f"@{moment(day)}", "NO_FAKE_STAT": "1", "DONT_FAKE_MONOTONIC": "1"}

    def backup_of(self, day):
        return self.backup()

    def thinning(self):
        return [[self.binary, "forget", *RULES], [self.binary, "prune"]]

    def listing(self):
        return [self.binary, "--json", "snapshots"]

    def days(self, listed):
        """{day: what its snapshot is called}."""
        begins = [(datetime.datetime.fromisoformat(one["started"]).replace(tzinfo=None), one["name"]) for one in listed["snapshots"]]
        return {(started - FIRST).days + 1: name for started, name in begins}

    def restore_of(self, snapshot, out):
        return [self.binary, "restore", snapshot, "--to", out]

    def leftovers(self):
        return [path for kind in LEFTOVERS for path in peers.files(self.repo / kind)]


class Restic(peers.Restic):
    def on(self, day):
        return {}

    def backup_of(self, day):
        return [*self.backup(), "--time", moment(day), "--tag", f"{day}"]

    def thinning(self):
        return [[self.binary, "forget", *RULES, "--prune"]]

    def listing(self):
        return [self.binary, "snapshots", "--json"]

    def days(self, listed):
        return {int(one["tags"][0]): one["id"] for one in listed}

    def restore_of(self, snapshot, out):
        return [self.binary, "restore", snapshot, "--target", out]

    def leftovers(self):
        return []


class Life:
    """One tool's ninety days."""

    def __init__(self, tool, archive):
        self.tool, self.archive, self.days, self.restores, self.faults = tool, archive, [], [], []
        tool.home.mkdir(parents=True)
        self.env = {"PATH": os.environ["PATH"], "HOME": str(tool.home), "LANG": "C.UTF-8", "TZ": "UTC", **tool.env()}
        self.run(tool.init(), 1)

    def run(self, argv, day, cwd=None):
        return peers.measure(argv, cwd or self.archive, {**self.env, **self.tool.on(day)}, self.tool.dir / "log")

    def live(self, day, is_thinned):
        before = peers.size(self.tool.repo)
        found = {"day": day, "backup": self.run(self.tool.backup_of(day), day)}
        found["backup"]["added"] = peers.size(self.tool.repo) - before
        if is_thinned:
            steps = [self.run(argv, day) for argv in self.tool.thinning()]
            found["thinning"] = {"wall": sum(step["wall"] for step in steps), "cpu": sum(step["cpu"] for step in steps),
                                 "rss": max(step["rss"] for step in steps)}
        objects = [os.path.relpath(path, self.tool.repo).partition("/")[0] for path in peers.files(self.tool.repo)]
        found["stored"], found["objects"] = peers.size(self.tool.repo), len(objects)
        found["kinds"] = {kind: objects.count(kind) for kind in sorted(set(objects))}
        self.days.append(found)

    def end(self, last):
        """Restores and compares everything that is left."""
        # Not `measure`: what is said is needed.
        env = {**self.env, **self.tool.on(last)}
        listed = subprocess.run(self.tool.listing(), env=env, stdin=subprocess.DEVNULL, check=True, capture_output=True)
        snapshots = self.tool.days(json.loads(listed.stdout))
        out = self.tool.dir / "out"
        for day, name in sorted(snapshots.items()):
            out.mkdir()
            self.restores.append({"day": day, **self.run(self.tool.restore_of(name, out), last, out)})
            argv = [sys.executable, HERE / "growing.py", "verify", self.archive, f"{day}", out / "live"]
            said = subprocess.run(argv, capture_output=True, text=True)
            if said.returncode:
                self.faults.append(f"day {day}: {said.stderr.strip()}")
            shutil.rmtree(out)
        self.checked = self.run(self.tool.check(), last)
        self.faults += [f"left over: {path}" for path in self.tool.leftovers()]


def live_through(lives, archive, last):
    for day in range(1, last + 1):
        changing = None
        if day > 1:
            argv = [sys.executable, HERE / "growing.py", "day", archive, f"{day}"]
            changing = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            if changing.stdout.readline() != b"ready\n":
                raise peers.Failed(f"day {day} did not come")
        for life in lives[day % len(lives):] + lives[:day % len(lives)]:
            life.live(day, day % 7 == 0)
        if changing:
            changing.communicate()
            if changing.returncode:
                raise peers.Failed(f"day {day} was not noted down")
        now = ", ".join(f"{life.tool.name} {life.days[-1]['stored'] / 1e6:.0f} MB" for life in lives)
        print(f"day {day} of {last}: {now}", file=sys.stderr, flush=True)


def figures(life):
    """(words, value) in the order of the table."""
    backups = [day["backup"] for day in life.days[1:]]
    thinnings = [day["thinning"] for day in life.days if "thinning" in day]
    found = [("stored at the end, MB", life.days[-1]["stored"] / 1e6),
             (f"added by {len(backups)} backups, MB", sum(each["added"] for each in backups) / 1e6),
             ("objects at the end", life.days[-1]["objects"]), ("objects at most", max(day["objects"] for day in life.days))]
    for words, runs in (("a day's backup", backups), ("a week's forget and prune", thinnings), ("a restore", life.restores)):
        for metric in ("wall", "cpu"):
            values = [run[metric] for run in runs] or [float("nan")]
            found.append((f"{words}, {peers.METRICS[metric][0]}: median", statistics.median(values)))
            found.append((f"{words}, {peers.METRICS[metric][0]}: most", max(values)))
        found.append((f"{words}, peak MB: most", max((run["rss"] for run in runs), default=float("nan")) / 1e6))
    return found


def table(lives):
    ours = figures(lives[0])
    lines = ["| | " + " | ".join(life.tool.name for life in lives) + " |", "|---|" + "---:|" * len(lives)]
    for number, (words, value) in enumerate(ours):
        others = [figures(life)[number][1] for life in lives[1:]]
        cells = [f"{peers.number(other)} ({peers.number(other / value)}×)" for other in others]
        lines.append(f"| {words} | " + " | ".join([peers.number(value), *cells]) + " |")
    return lines


def pictured(lives, words):
    def panel(title, value):
        points = {life.tool.name: [(day["day"], value(day)) for day in life.days if value(day) is not None] for life in lives}
        return drawing.Panel(title, "day", points, dots=False)

    def thinning(metric, unit):
        return lambda day: day["thinning"][metric] / unit if "thinning" in day else None

    rows = [[panel("stored, MB", lambda day: day["stored"] / 1e6),
             panel("added by the day's backup, MB", lambda day: day["backup"]["added"] / 1e6 if day["day"] > 1 else None),
             panel("objects", lambda day: day["objects"])],
            [panel("the day's backup, CPU s", lambda day: day["backup"]["cpu"] if day["day"] > 1 else None),
             panel("the week's forget and prune, CPU s", thinning("cpu", 1)),
             panel("… its peak memory, MB", thinning("rss", 1e6))]]
    return drawing.drawing(words, [life.tool.name for life in lives], rows)


def main():
    cache = Path(os.environ.get("PEERS", Path.home() / ".cache/coffer-bench"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="500M")
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--quick", action="store_true", help="--size 100M")
    parser.add_argument("--coffer", type=Path, default=HERE.parent / "target/release/coffer")
    parser.add_argument("--shared", type=Path, default=HERE.parent.parent / "shared")
    parser.add_argument("--cache", type=Path, default=cache, help="where setup-peers put restic (default %(default)s)")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp"), help="all is made in a new folder here")
    parser.add_argument("--out", type=Path, help="draw it into this file")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    args = parser.parse_args()
    if Coffer.clock is None:
        sys.exit("error: libfaketime is not installed\nhint: apt-get install faketime, or run benches/setup-peers")
    found = peers.find(["coffer", "restic"], args.coffer, args.cache / "bin")
    if "coffer" not in found:
        sys.exit("error: there is no coffer to measure\nhint: cargo build --release -p coffer-client-cli")
    size = "100M" if args.quick else args.size
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` tidies up
    head = peers.header({name: version for name, (_, version) in found.items()}, 1)
    work = Path(tempfile.mkdtemp(prefix="coffer-ninety.", dir=args.work))
    try:
        archive = work / "archive"
        argv = [sys.executable, HERE / "growing.py", "make", archive, "--size", size, "--shared", args.shared.resolve()]
        subprocess.run(argv, check=True)
        first = peers.size(archive / "live")
        lives = [Life(kind(found[kind.name][0], work / kind.name), archive) for kind in (Coffer, Restic) if kind.name in found]
        live_through(lives, archive, args.days)
        for life in lives:
            life.end(args.days)
        words = f"{args.days} days: {first / 1e6:.0f} MB of chats grow to {peers.size(archive / 'live') / 1e6:.0f} MB"
        about = [f"- {key}: {value}" for key, value in head.items()]
        print("\n".join([f"# {words}", "", *about, "", *table(lives), ""]))
        for life in lives:
            kept = ", ".join(str(restored["day"]) for restored in life.restores)
            print(f"- {life.tool.name}: the days {kept} were restored and compared: {'; '.join(life.faults) or 'all as they were'}")
            print(f"- {life.tool.name}: objects by kind {life.days[-1]['kinds']}; check of all data {life.checked['wall']:.2f} s")
        if args.out:
            args.out.write_text(pictured(lives, words))
        if args.json:
            rest = {life.tool.name: {"days": life.days, "restores": life.restores, "faults": life.faults} for life in lives}
            args.json.write_text(json.dumps({**head, "words": words, "tools": rest}, indent=1))
    except peers.Failed as failed:
        sys.exit(f"error: {failed}")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    sys.exit(any(life.faults for life in lives))


if __name__ == "__main__":
    main()
