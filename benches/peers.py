#!/usr/bin/env python3
"""Measures coffer beside restic, borg and rustic, in one run, on the same archives.

  benches/setup-peers                                   once: installs the peers
  cargo build --release -p coffer-client-cli && cargo build --release -p coffer-archive --example bare_pipeline
  benches/peers.py                                      every workload, five rounds; medians as Markdown
  benches/peers.py --quick                              medium in full, tiny-files' first backup, what was restored
                                                        compared in the first round alone: about 8 minutes
  benches/peers.py --workload small --rounds 1          half a minute

A round takes each tool in turn (the order rotates) through: a full backup into a fresh repository, a backup of the
unchanged archive, a backup of its second day, a check that reads all data, a restore of the newest snapshot into a
fresh folder, a comparison of what came out. A wrong restore voids the tool's figures. A tool that is not installed is
named and skipped. Per step: wall seconds, user and system CPU seconds, peak resident memory, bytes the repository grew.

The floor is `tar | zstd -3 | age`, which deduplicates nothing. The ceiling is a bare pipeline of coffer's primitives
(crates/archive/examples/bare_pipeline.rs): a first backup that keeps no names and could restore nothing.

What is alike for all: the page cache is warm, dirty pages are written out before each step (`sync`) and not after it;
encryption is on, compression is what each does by default (restic: auto; rustic: its own; borg: set to zstd,3), local
caches are kept from step to step as on a user's machine. Each tool syncs as it does by default: restic, borg and rustic
fsync or fdatasync what they write to the repository, and none of them what it restores (counted with strace).
What was restored is emptied, and removed when all rounds are over: ext4 is slow to make files for minutes after many
were removed (it looks for numbers that are not recently deleted), and the next tool would pay for it.
"""
import argparse
import datetime
import json
import os
import platform
import shutil
import signal
import stat
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SECRET = "correct horse battery staple"
STEPS = ("full", "unchanged", "day 2", "check", "restore")
METRICS = {"wall": ("wall s", 1), "cpu": ("CPU s", 1), "rss": ("peak MB", 1e6), "added": ("added MB", 1e6)}
BACKUPS = STEPS[:3]


class Tool:
    """A backup program: its repository is `dir/repo`, its own state (caches, keys) below `dir/home`.

    Commands run beside the source, which is `live` to them; `restore` runs in the empty folder `out`, where `live`
    comes out. An adapter says what to run for `version`, `init`, `backup`, `check` and `restore`."""
    name = ""
    steps = STEPS

    def __init__(self, binary, dir):
        self.binary, self.dir, self.repo, self.home = binary, dir, dir / "repo", dir / "home"

    def env(self):
        return {}

    def version(self):
        return [self.binary, "--version"]

    def init(self):
        raise NotImplementedError

    def backup(self):
        raise NotImplementedError

    def check(self):
        raise NotImplementedError

    def restore(self, out):
        raise NotImplementedError


class Coffer(Tool):
    name = "coffer"

    def env(self):
        return {"COFFER_HOME": str(self.home)}

    def init(self):
        return [self.binary, "init", self.repo, "--key-store", "file"]

    def backup(self):
        return [self.binary, "backup", "live"]

    def check(self):
        return [self.binary, "verify", "--read-data"]

    def restore(self, out):
        return [self.binary, "restore", "--to", out]


class Restic(Tool):
    name = "restic"

    def env(self):
        return {"RESTIC_REPOSITORY": str(self.repo), "RESTIC_PASSWORD": SECRET}

    def version(self):
        return [self.binary, "version"]

    def init(self):
        return [self.binary, "init"]

    def backup(self):
        return [self.binary, "backup", "live"]

    def check(self):
        return [self.binary, "check", "--read-data"]

    def restore(self, out):
        return [self.binary, "restore", "latest", "--target", out]


class Borg(Tool):
    name = "borg"

    def env(self):
        return {"BORG_REPO": str(self.repo), "BORG_PASSPHRASE": SECRET, "BORG_BASE_DIR": str(self.home)}

    def init(self):
        return [self.binary, "init", "--encryption", "repokey"]

    def backup(self):
        self.newest = f"s{time.monotonic_ns()}"
        return [self.binary, "create", "--compression", "zstd,3", f"::{self.newest}", "live"]

    def check(self):
        return [self.binary, "check", "--verify-data"]

    def restore(self, out):
        return [self.binary, "extract", f"::{self.newest}"]


class Rustic(Tool):
    name = "rustic"

    def env(self):
        return {"RUSTIC_REPOSITORY": str(self.repo), "RUSTIC_PASSWORD": SECRET}

    def init(self):
        return [self.binary, "init"]

    def backup(self):
        return [self.binary, "backup", "live"]

    def check(self):
        return [self.binary, "check", "--read-data"]

    def restore(self, out):
        return [self.binary, "restore", "latest", out]


class Age(Tool):
    """The floor: everything again each day, into one file."""
    name = "tar+zstd+age"

    def init(self):
        return ["sh", "-c", 'mkdir -p "$0" && age-keygen -o "$1/key" 2>/dev/null', self.repo, self.home]

    def backup(self):
        pipe = 'tar -cf - live | zstd -q -3 | age -e -i "$1/key" -o "$0/$(ls "$0" | wc -l)"'
        return ["sh", "-c", pipe, self.repo, self.home]

    def check(self):
        return ["sh", "-c", 'for each in "$0"/*; do age -d -i "$1/key" "$each" | zstd -q -d | tar -tf - >/dev/null; done',
                self.repo, self.home]

    def restore(self, out):
        pipe = 'age -d -i "$1/key" "$0/$(ls "$0" | sort -n | tail -1)" | zstd -q -d | tar -xf -'
        return ["sh", "-c", pipe, self.repo, self.home]


class Bare(Tool):
    """The ceiling: see the head of this file."""
    name = "bare pipeline"
    steps = STEPS[:1]

    def version(self):
        return ["echo", "bare pipeline"]

    def init(self):
        return ["mkdir", self.repo]

    def backup(self):
        return [self.binary, "live", self.repo]


TOOLS = {tool.name: tool for tool in (Coffer, Restic, Borg, Rustic, Age, Bare)}
QUICK = "coffer,restic,rustic,bare pipeline"


class Failed(Exception):
    """A step ended with an error; carries what to say of it."""


def measure(argv, cwd, env, log):
    """Runs a program to its end. Its peak memory cannot read below ours at the fork: see `floor` in the header."""
    os.sync()
    with open(log, "wb") as out:
        start = time.perf_counter()
        child = subprocess.Popen([str(a) for a in argv], cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            child.kill()
            child.wait()
            raise
        wall = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        last = log.read_text(errors="replace").strip().splitlines()[-3:]
        raise Failed(f"exit {child.returncode}: {' / '.join(last)}")
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "rss": usage.ru_maxrss * 1024}


def files(root):
    """Every path below that is no folder, one at a time: `rglob` keeps all of them, and a measured program's peak memory
    begins at ours."""
    for folder, _, names in os.walk(root):
        yield from (os.path.join(folder, name) for name in names)


def size(root):
    return sum(os.lstat(path).st_size for path in files(root))


def workload(*args):
    """Runs workloads.py; returns (whether it succeeded, what it said)."""
    done = subprocess.run([sys.executable, HERE / "workloads.py", *map(str, args)], capture_output=True, text=True)
    return done.returncode == 0, done.stdout.strip() or " / ".join(done.stderr.strip().splitlines()[-1:])


def emptied(tree):
    """Gives a tree's space back, and leaves its files."""
    for path in files(tree):
        if stat.S_ISREG(os.lstat(path).st_mode):
            os.truncate(path, 0)


def round_of(tool, archive, steps, compares, say):
    """One tool's round on one archive: {step: figures}, and a fault in words or None. The archive ends on day 1."""
    figures, fault = {}, None
    tool.home.mkdir(parents=True)
    out = tool.dir / "out"
    out.mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(tool.home), "LANG": "C.UTF-8", **tool.env()}
    log = tool.dir / "log"
    try:
        measure(tool.init(), archive, env, log)
        for step in steps:
            if step == "day 2" and not workload("to", archive, "day2")[0]:
                raise Failed("the archive did not switch to day 2")
            before = size(tool.repo)
            if step in BACKUPS:
                figures[step] = measure(tool.backup(), archive, env, log)
                figures[step]["added"] = size(tool.repo) - before
            elif step == "check":
                figures[step] = measure(tool.check(), archive, env, log)
            else:
                figures[step] = measure(tool.restore(out), out, env, log)
        right, said = workload("verify", archive, out / "live") if compares and "restore" in steps else (True, "identical")
        if not right:
            fault = f"wrong restore: {said}"
        elif said != "identical":
            say(f"{tool.name}: {said}")
    except Failed as failed:
        fault = f"{steps[len(figures)]} failed, {failed}" if len(figures) < len(steps) else str(failed)
    finally:
        workload("to", archive, "day1")
        emptied(out)
        shutil.rmtree(tool.repo, ignore_errors=True)
    return figures, fault


def copy_of(archive, work):
    """`cp -r` of the archive: what a restore could cost at best."""
    work.mkdir(parents=True)
    try:
        return {"restore": measure(["cp", "-r", "live", work / "copy"], archive, dict(os.environ), work / "log")}
    finally:
        emptied(work)


def medians(runs):
    """{(tool, step, metric): median over the rounds}, and the tools with a fault left out."""
    void = {run["tool"] for run in runs if run["fault"]}
    values = {}
    for run in runs:
        for step, figures in run["figures"].items() if run["tool"] not in void else ():
            for metric, value in figures.items():
                values.setdefault((run["tool"], step, metric), []).append(value)
    return {key: statistics.median(found) for key, found in values.items()}


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def table(tools, med):
    """Rows are metric and tool, columns are steps; in brackets, how many times coffer's."""
    lines = ["| | | " + " | ".join(STEPS) + " |", "|---|---|" + "---:|" * len(STEPS)]
    for metric, (title, unit) in METRICS.items():
        for tool in tools:
            cells = []
            for step in STEPS:
                value, ours = med.get((tool, step, metric)), med.get(("coffer", step, metric))
                ratio = f" ({number(value / ours)}×)" if value is not None and ours and tool != "coffer" else ""
                cells.append("" if value is None else number(value / unit) + ratio)
            if any(cells):
                lines.append(f"| {title} | {tool} | " + " | ".join(cells) + " |")
    return lines


def goals(name, med):
    """The limits that this workload can decide: (words, measured, limit). From shared/design/archive.md, issue 2."""
    def of(tool, step, metric):
        return med.get((tool, step, metric), float("nan")) / METRICS[metric][1]
    found = []
    if name == "medium":
        found += [(f"{step}, wall s", of("coffer", step, "wall"), limit)
                  for step, limit in (("full", 2.0), ("day 2", 1.0), ("unchanged", 0.09), ("check", 1.7))]
        found += [("restore, wall s (2.1, or 1.2 of `cp -r`)", of("coffer", "restore", "wall"),
                   max(2.1, 1.2 * of("cp -r", "restore", "wall"))),
                  ("day 2, added MB", of("coffer", "day 2", "added"), 15),
                  ("backup, peak MB", max(of("coffer", step, "rss") for step in BACKUPS), 120),
                  ("restore, peak MB", of("coffer", "restore", "rss"), 120)]
        found.append(("full, against the bare pipeline", of("coffer", "full", "wall"), 1.8 * of("bare pipeline", "full", "wall")))
    if name == "tiny-files":  # 105 MB were 101 of other texts, where restic's way took 131: the share is what carries over
        found += [("full, wall s", of("coffer", "full", "wall"), 2.5),
                  ("full, added MB (105/131 of restic's)", of("coffer", "full", "added"), 105 / 131 * of("restic", "full", "added"))]
    if name == "store":
        found += [("day 2, added MB (an eighth of restic's)", of("coffer", "day 2", "added"), of("restic", "day 2", "added") / 8)]
    if name != "exports":  # 7 MB say how long a program starts, not how it works
        found += [(f"{step}, {title} (restic's)", of("coffer", step, metric), of("restic", step, metric))
                  for metric, (title, _) in METRICS.items() if metric != "cpu"
                  for step in (BACKUPS if metric == "added" else STEPS)]
    if not any(tool == "coffer" for tool, *_ in med):
        return []
    lines = ["", "| goal: at most | limit | coffer | |", "|---|---:|---:|---|"]
    for words, value, limit in found:
        if limit == limit and value == value:  # neither a NaN: both were measured
            lines.append(f"| {words} | {number(limit)} | {number(value)} | {'met' if value <= limit else '**not met**'} |")
    return lines


def report(name, archive, runs, notes):
    tools = list(dict.fromkeys(run["tool"] for run in sorted(runs, key=lambda r: [*TOOLS, "cp -r"].index(r["tool"]))))
    files = sum(1 for p in (archive / "live").rglob("*") if p.is_file())
    lines = [f"## {name}: {size(archive / 'live') / 1e6:.0f} MB, {files} files", ""]
    med = medians(runs)
    lines += table(tools, med) + goals(name, med)
    notes = notes + [f"{run['tool']}, round {run['round']}: **void**, {run['fault']}" for run in runs if run["fault"]]
    return "\n".join(lines + [""] + [f"- {note}" for note in dict.fromkeys(notes)] + [""])


def header(tools, rounds):
    cpu = [line.partition(":")[2].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    release = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    floor = measure(["true"], "/", dict(os.environ), Path(os.devnull))["rss"]
    return {"date": datetime.datetime.now().astimezone().isoformat(timespec="minutes"), "cpu": cpu[0] if cpu else platform.machine(),
            "cores": len(os.sched_getaffinity(0)), "system": f"{release}, Linux {platform.release()}", "rounds": rounds,
            "cache": "page cache warm, `sync` before each step; fsync as each tool does by default",
            "units": f"medians; MB = 10⁶ bytes; floor of peak memory {floor / 1e6:.0f} MB",
            "tools": tools, "load at the start": round(os.getloadavg()[0], 2)}


def find(names, coffer, peers):
    """The programs that are here: {name: (path, version)}. Says which are not."""
    os.environ["PATH"] = f"{peers}:{os.environ['PATH']}"
    files = {"coffer": coffer.resolve(), "bare pipeline": coffer.resolve().parent / "examples/bare_pipeline", "tar+zstd+age": "age"}
    found = {}
    for name in names:
        binary = shutil.which(str(files.get(name, name)))
        if binary is None:
            print(f"skipped: {name} is not installed" + (f" at {files[name]}" if name in files else ""), file=sys.stderr)
            continue
        said = subprocess.run(TOOLS[name](binary, Path()).version(), capture_output=True, text=True).stdout
        found[name] = binary, " ".join((said.strip().splitlines() or ["version unknown"])[0].split()[:2])
    return found


def main():
    cache = Path(os.environ.get("PEERS", Path.home() / ".cache/coffer-bench"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", default="small,medium,tiny-files,exports", help="of these, and store; with commas, several")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tools", default=",".join(TOOLS), help=f"default {','.join(TOOLS)}")
    parser.add_argument("--quick", action="store_true", help=f"medium in full and tiny-files' first backup, with {QUICK}")
    parser.add_argument("--coffer", type=Path, default=HERE.parent / "target/release/coffer")
    parser.add_argument("--shared", type=Path, default=HERE.parent.parent / "shared")
    parser.add_argument("--cache", type=Path, default=cache, help="generated archives are kept here (default %(default)s)")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp"), help="repositories and restores go to a new folder here")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    args = parser.parse_args()
    if args.quick:
        args.workload, args.tools = "medium,tiny-files", QUICK
    names = args.tools.split(",")
    if unknown := set(names) - set(TOOLS):
        parser.error(f"no such tool: {', '.join(sorted(unknown))}")
    found = find(names, args.coffer, cache / "bin")
    if not found:
        sys.exit("error: none of the tools is installed\nhint: run benches/setup-peers")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` tidies up

    head = header({name: found[name][1] if name in found else f"{name} not installed" for name in names}, args.rounds)
    print("# Measured\n\n" + "\n".join(
        f"- {key}: {', '.join(value.values()) if key == 'tools' else value}" for key, value in head.items()) + "\n", flush=True)
    all_runs, work = [], Path(tempfile.mkdtemp(prefix="coffer-bench.", dir=args.work))
    try:
        for name in args.workload.split(","):
            made, archive = workload("make", name, "--cache", args.cache, "--shared", args.shared)
            if not made:
                sys.exit(f"error: cannot make {name}: {archive}")
            archive, notes, runs = Path(archive), [], []
            for n in range(args.rounds):
                order = list(found)[n % len(found):] + list(found)[:n % len(found)]
                subprocess.run("find live -type f -print0 | xargs -0 cat >/dev/null", shell=True, cwd=archive, check=True)
                steps = STEPS[:1] if args.quick and name == "tiny-files" else STEPS
                if "restore" in steps:
                    copy = copy_of(archive, work / f"{name}-{n}/cp")
                    runs.append({"tool": "cp -r", "figures": copy, "fault": None})
                for tool in order:
                    print(f"{name}, round {n + 1} of {args.rounds}: {tool}", file=sys.stderr, flush=True)
                    here = TOOLS[tool](found[tool][0], work / f"{name}-{n}" / tool.replace(" ", "-"))
                    own = [step for step in steps if step in here.steps]
                    figures, fault = round_of(here, archive, own, n == 0 or not args.quick, notes.append)
                    runs.append({"tool": tool, "figures": figures, "fault": fault})
                for run in runs:
                    run.setdefault("round", n + 1)
            print(report(name, archive, runs, notes), flush=True)
            all_runs += [{"workload": name, **run} for run in runs]
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if args.json:
            args.json.write_text(json.dumps({**head, "load at the end": round(os.getloadavg()[0], 2), "runs": all_runs}, indent=1))
    sys.exit(any(run["fault"] for run in all_runs))


if __name__ == "__main__":
    main()
