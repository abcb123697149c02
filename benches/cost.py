#!/usr/bin/env python3
"""Draws what a backup costs against what there is to back up, into docs/cost.svg.

  benches/cost.py                                  0.1, 1 and 10 GB; 10 000, 100 000 and 1 000 000 small files
  benches/cost.py --gigabytes 0.1,1 --files 10000  less

Each archive is generated (chat archives by shared/bin/chatgen.py, small files of 200 to 1 800 bytes of text by this
script), backed up into a fresh repository, backed up unchanged, restored, and removed. One run each: the points are for
their slope, `peers.py` is for their height; and CPU seconds, for they hold on a busy machine, too. 10 GB need 35 GB of disk and a quarter of an hour, 1 000 000 files as long.
"""
import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import peers
import workloads

STEPS = ("full", "unchanged", "restore")
COLOURS = {"full": "#1f77b4", "unchanged": "#2ca02c", "restore": "#d62728"}
PANELS = (("cpu", "CPU time, s", 1), ("rss", "peak memory, MB", 1e6), ("added", "stored, MB", 1e6))
WIDTH, HEIGHT, LEFT, TOP = 250, 190, 60, 40


def small_files(out, count, shared):
    rng = random.Random(count)
    text = b"".join(path.read_bytes() for path in workloads.irc_days(shared))
    for number in range(count):
        folder = out / f"live/{number // 1000:04d}"
        if number % 1000 == 0:
            folder.mkdir(parents=True)
        at, size = rng.randrange(len(text) - 2000), rng.randrange(200, 1800)
        (folder / f"{number:07d}.txt").write_bytes(b"%d " % number + text[at:at + size])


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
        before = peers.size(tool.repo)
        argv, cwd = (tool.restore(out), out) if step == "restore" else (tool.backup(), archive)
        found[step] = peers.measure(argv, cwd, env, work / "log")
        found[step]["added"] = peers.size(tool.repo) - before
    return found


def ticks(values):
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return range(low, max(high, low + 1) + 1)


def panel(column, row, title, points, unit):
    """One diagram, both axes logarithmic: points are (x, {step: value})."""
    x0, y0 = LEFT + column * (WIDTH + LEFT), TOP + row * (HEIGHT + 2 * TOP)
    values = [value / unit for _, steps in points for value in steps.values() if value > 0]
    across, up = ticks([x for x, _ in points]), ticks(values)

    def place(x, y):
        share = lambda value, axis: (math.log10(value) - axis[0]) / (axis[-1] - axis[0])
        return x0 + share(x, across) * WIDTH, y0 + HEIGHT - share(y, up) * HEIGHT

    lines = [f'<text x="{x0}" y="{y0 - 10}" font-weight="bold">{title}</text>',
             f'<rect x="{x0}" y="{y0}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#888"/>']
    for power in across:
        x, _ = place(10 ** power, 10 ** up[0])
        lines.append(f'<text x="{x:.1f}" y="{y0 + HEIGHT + 16}" text-anchor="middle">{10 ** power:,g}</text>')
    for power in up:
        _, y = place(10 ** across[0], 10 ** power)
        lines.append(f'<line x1="{x0}" x2="{x0 + WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        lines.append(f'<text x="{x0 - 6}" y="{y + 4:.1f}" text-anchor="end">{10 ** power:g}</text>')
    for step in STEPS:
        at = [place(x, steps[step] / unit) for x, steps in points if steps.get(step, 0) > 0]
        lines.append(f'<polyline fill="none" stroke="{COLOURS[step]}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in at)}"/>')
        lines += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{COLOURS[step]}"/>' for x, y in at]
    return lines


def drawing(rows):
    """rows: (words for the x axis, [(x, {step: figures})])."""
    width, height = LEFT + len(PANELS) * (WIDTH + LEFT), len(rows) * (HEIGHT + 2 * TOP) + TOP
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="11">',
             f'<rect width="{width}" height="{height}" fill="white"/>']
    for row, (words, points) in enumerate(rows):
        for column, (metric, title, unit) in enumerate(PANELS):
            chosen = [(x, {step: figures[metric] for step, figures in steps.items()}) for x, steps in points]
            lines += panel(column, row, f"{title}, by {words}", chosen, unit)
    for number, step in enumerate(STEPS):
        lines.append(f'<text x="{LEFT + 90 * number}" y="{height - 12}" fill="{COLOURS[step]}">● {step}</text>')
    return "\n".join([*lines, "</svg>", ""])


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
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    args = parser.parse_args()
    rows, total = [], lambda path: peers.size(path / "live") / 1e9
    kinds = (("gigabytes of chats", args.gigabytes, chats), ("small files", args.files, lambda out, n, shared: small_files(out, int(n), shared)))
    # Files are emptied, and removed when all is over: see peers.py.
    with tempfile.TemporaryDirectory(prefix="coffer-cost.", dir=args.work) as all_work:
        for words, sizes, make in kinds:
            points = []
            for size in sizes:
                work = Path(tempfile.mkdtemp(dir=all_work))
                archive = work / "archive"
                make(archive, size, args.shared)
                figures = measured(args.coffer.resolve(), archive, work)
                said = "; ".join(f"{step} {f['wall']:.2f} s, CPU {f['cpu']:.2f} s, {f['rss'] / 1e6:.0f} MB" for step, f in figures.items())
                print(f"{size:g} {words} ({total(archive):.2f} GB): {said}; stored {figures['full']['added'] / 1e6:.1f} MB", flush=True)
                points.append((size, figures))
                peers.emptied(work)
            if points:
                rows.append((words, points))
    args.out.write_text(drawing(rows))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
