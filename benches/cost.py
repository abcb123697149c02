#!/usr/bin/env python3
"""Draws what a backup costs against what there is to back up, into docs/cost.svg.

  benches/cost.py                                  0.1, 1 and 10 GB; 10 000, 100 000 and 1 000 000 small files
  benches/cost.py --gigabytes 0.1,1 --files 10000  less

Each archive is generated (chat archives by shared/bin/chatgen.py, small files of 200 to 1 800 bytes of text by this
script), backed up into a fresh repository, backed up unchanged, and restored; then every fifth file is removed, and what
only they needed is pruned. One run each: the points are for their slope, `peers.py` is for their height; and CPU seconds,
for they hold on a busy machine, too. 10 GB need 35 GB of disk and half an hour, 1 000 000 files 12 GB and as long.
"""
import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import drawing
import peers
import workloads

STEPS = ("full", "unchanged", "restore", "prune")
METRICS = (("cpu", "CPU time, s", 1), ("rss", "peak memory, MB", 1e6), ("added", "stored or freed, MB", 1e6))


def small_files(out, count, shared):
    rng = random.Random(count)
    text = b"".join(path.read_bytes() for path in workloads.irc_days(shared))
    for number in range(count):
        folder = out / f"live/{number // 1000:04d}"
        if number % 1000 == 0:
            folder.mkdir(parents=True)
        at, size = rng.randrange(len(text) - 2000), rng.randrange(200, 1800)
        (folder / f"{number:07d}.txt").write_bytes(b"%d " % number + text[at:at + size])


def thin_out(live):
    """Removes every fifth file."""
    for path in sorted(peers.files(live))[::5]:
        os.remove(path)


def apart(function, *args):
    """Calls it in a process of its own: the peak of a measured program starts at its parent's, see peers.py."""
    child = os.fork()
    if child == 0:
        try:
            function(*args)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"error: {function.__name__} failed")


def chats(out, gigabytes, shared):
    out.mkdir()
    corpus = out.parent / "corpus.txt"
    corpus.write_bytes(b"".join(path.read_bytes() for path in workloads.irc_days(shared)))
    chatgen = [sys.executable, shared / "bin/chatgen.py", "make", out, "--size", f"{gigabytes * 1000:.0f}M", "--corpus", corpus]
    subprocess.run(chatgen, check=True, stdout=subprocess.DEVNULL)


def measured(coffer, archive, work):
    """Seconds, peak memory and bytes stored of each step."""
    tool = peers.Coffer(str(coffer), work)
    tool.home.mkdir()
    out = work / "out"
    out.mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(tool.home), "LANG": "C.UTF-8", **tool.env()}
    peers.measure(tool.init(), archive, env, work / "log")
    found = {}
    for step in STEPS:
        if step == "prune":
            peers.emptied(out)
            apart(thin_out, archive / "live")
            peers.measure(tool.backup(), archive, env, work / "log")
            peers.measure([tool.binary, "forget", "--keep-last", "1"], archive, env, work / "log")
        others = {"restore": (tool.restore(out), out), "prune": ([tool.binary, "prune"], archive)}
        argv, cwd = others.get(step, (tool.backup(), archive))
        before = peers.size(tool.repo)
        found[step] = peers.measure(argv, cwd, env, work / "log")
        found[step]["added"] = abs(peers.size(tool.repo) - before)
    return found


def pictured(rows):
    """rows: (words for the x axis, [(x, {step: figures})])."""
    def panel(words, points, metric, title, unit):
        lines = {step: [(x, figures[step][metric] / unit) for x, figures in points if step in figures] for step in STEPS}
        return drawing.Panel(title, words, lines, log=(True, True))

    panels = [[panel(words, points, *metric) for metric in METRICS] for words, points in rows]
    return drawing.drawing("What Coffer costs against what there is to back up (one run each, logarithmic)", STEPS, panels)


def main():
    here = Path(__file__).resolve().parent
    numbers = lambda text: [float(number) for number in text.split(",") if number]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=numbers, default=[0.1, 1, 10])
    parser.add_argument("--files", type=numbers, default=[1e4, 1e5, 1e6])
    parser.add_argument("--coffer", type=Path, default=here.parent / "target/release/coffer")
    parser.add_argument("--shared", type=Path, default=here.parent.parent / "shared")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp"))
    parser.add_argument("--out", type=Path, default=here.parent / "docs/cost.svg")
    parser.add_argument("--json", type=Path, help="keep every figure in this file; sizes that are in it are not measured again")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was made is removed
    kinds = (("gigabytes of chats", args.gigabytes, chats), ("small files", args.files, lambda out, n, shared: small_files(out, int(n), shared)))
    rows = json.loads(args.json.read_text()) if args.json and args.json.exists() else [[words, []] for words, *_ in kinds]
    # Files are emptied, and removed when all is over: see peers.py.
    with tempfile.TemporaryDirectory(prefix="coffer-cost.", dir=args.work) as all_work:
        for (words, sizes, make), (_, points) in zip(kinds, rows):
            for size in (size for size in sizes if size not in [known for known, _ in points]):
                work = Path(tempfile.mkdtemp(dir=all_work))
                archive = work / "archive"
                apart(make, archive, size, args.shared)
                total = peers.size(archive / "live")
                figures = measured(args.coffer.resolve(), archive, work)
                said = "; ".join(f"{step} {f['wall']:.2f} s, CPU {f['cpu']:.2f} s, {f['rss'] / 1e6:.0f} MB" for step, f in figures.items())
                print(f"{size:g} {words} ({total / 1e9:.2f} GB): {said}; stored {figures['full']['added'] / 1e6:.1f} MB", flush=True)
                points.append((size, figures))
                if args.json:
                    args.json.write_text(json.dumps(rows, indent=1))
                peers.emptied(work)
    args.out.write_text(pictured([(words, sorted(points, key=lambda point: point[0])) for words, points in rows if points]))


if __name__ == "__main__":
    main()
