"""Diagrams as SVG: rows of panels, each with its own axes, all with the same lines."""
import math
from dataclasses import dataclass, field

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 250, 170, 62, 18, 40, 48
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # Okabe and Ito: told apart by colour-blind eyes, too
GREY = "#666"


@dataclass
class Panel:
    """`lines` maps a line's name to its points (x, y). On a logarithmic axis only what is above zero is drawn."""
    title: str
    words: str
    lines: dict
    log: tuple = (False, False)
    dots: bool = True
    names: list = field(default_factory=list)


def said(value):
    """A number as an axis says it: 0.01, 3, 1500, 50k, 2M."""
    for least, unit, letter in ((1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if value >= least:
            return f"{value / unit:g}{letter}"
    return f"{value:g}"


class Axis:
    def __init__(self, values, is_log, is_tight=False):
        """A tight one ends where the values do."""
        self.is_log = is_log
        self.low, self.high, self.ticks = self.logarithmic(values) if is_log else self.linear(values)
        if is_tight and not is_log and values:
            self.high, self.ticks = max(values), [tick for tick in self.ticks if tick <= max(values)]

    @staticmethod
    def linear(values):
        """From zero, in steps of 1, 2 or 5."""
        high = max(values, default=0) or 1
        power = 10 ** math.floor(math.log10(high / 3))
        step = next(factor * power for factor in (1, 2, 5, 10) if high / (factor * power) <= 5)
        count = math.ceil(high / step - 1e-9)
        return 0, count * step, [round(number * step, 9) for number in range(count + 1)]

    @staticmethod
    def logarithmic(values):
        """Whole powers of ten where the values span more than two of them, else as much as they need, in 1, 2 and 5."""
        low, high = min(values, default=1), max(values, default=10)
        powers = range(math.floor(math.log10(low) - 1), math.ceil(math.log10(high)) + 1)
        marks = [round(factor * 10.0 ** power, 9 - power) for power in powers for factor in (1, 2, 5)]
        below, above = max(mark for mark in marks if mark <= low), min(mark for mark in marks if mark >= high)
        if high / low > 100:
            below, above = 10.0 ** math.floor(math.log10(low)), above
            every = math.ceil(math.log10(above / below) / 5)
            ticks = [10.0 ** power for power in powers if below <= 10.0 ** power <= above][::every]
        else:
            above = above if above > below else below * 10
            ticks = [mark for mark in marks if below <= mark <= above]
        return below, above, ticks

    def share(self, value):
        """Where a value lies between the axis's ends, 0 to 1."""
        if self.is_log:
            return math.log10(value / self.low) / math.log10(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def drawn(panel, x0, y0):
    shown = {name: [(x, y) for x, y in points if (x > 0 or not panel.log[0]) and (y > 0 or not panel.log[1])]
             for name, points in panel.lines.items()}
    across = Axis([x for points in shown.values() for x, _ in points], panel.log[0], is_tight=True)
    up = Axis([y for points in shown.values() for _, y in points], panel.log[1])
    out = [f'<text x="{x0}" y="{y0 - 10}" font-weight="bold">{panel.title}</text>']
    for tick in up.ticks:
        y = y0 + HEIGHT * (1 - up.share(tick))
        out.append(f'<line x1="{x0}" x2="{x0 + WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e4e4e4"/>')
        out.append(f'<text x="{x0 - 6}" y="{y + 4:.1f}" text-anchor="end" fill="{GREY}">{said(tick)}</text>')
    for tick in across.ticks:
        x = x0 + WIDTH * across.share(tick)
        out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y0 + HEIGHT}" y2="{y0 + HEIGHT + 4}" stroke="{GREY}"/>')
        out.append(f'<text x="{x:.1f}" y="{y0 + HEIGHT + 16}" text-anchor="middle" fill="{GREY}">{said(tick)}</text>')
    out.append(f'<text x="{x0 + WIDTH / 2}" y="{y0 + HEIGHT + 32}" text-anchor="middle" fill="{GREY}">{panel.words}</text>')
    out.append(f'<path d="M{x0},{y0} v{HEIGHT} h{WIDTH}" fill="none" stroke="{GREY}"/>')
    for name, points in shown.items():
        colour = COLOURS[panel.names.index(name)]
        at = [(x0 + WIDTH * across.share(x), y0 + HEIGHT * (1 - up.share(y))) for x, y in points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="{line}"/>')
        if panel.dots:
            out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in at]
    return out


def drawing(title, names, rows):
    """The whole picture: a title, what the colours stand for, and rows of panels."""
    columns = max(len(row) for row in rows)
    width = columns * (LEFT + WIDTH + RIGHT)
    height = 56 + len(rows) * (TOP + HEIGHT + BOTTOM)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
           'font-family="sans-serif" font-size="11">',
           f'<rect width="{width}" height="{height}" fill="white"/>', f'<text x="{LEFT}" y="24" font-size="13">{title}</text>']
    at = LEFT
    for name, colour in zip(names, COLOURS):
        out.append(f'<circle cx="{at + 4}" cy="42" r="4" fill="{colour}"/><text x="{at + 13}" y="46">{name}</text>')
        at += 32 + 6.6 * len(name)
    for row, panels in enumerate(rows):
        for column, panel in enumerate(panels):
            panel.names = list(names)
            out += drawn(panel, column * (LEFT + WIDTH + RIGHT) + LEFT, 56 + row * (TOP + HEIGHT + BOTTOM) + TOP)
    return "\n".join([*out, "</svg>", ""])
