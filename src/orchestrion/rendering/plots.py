"""The plots of the page, one function a plot, each a string of SVG.

Colours are classes that the page's style sheet knows (generated, reference, inter), so one drawing serves light and
dark; what a colour says, a dash, a sign or a shape says too. Every text that comes from outside is escaped here.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from math import ceil, floor, isnan, log10
from typing import Any

import numpy as np

from orchestrion.metrics.sets import Interval
from orchestrion.music.theory import DRUMS
from orchestrion.rendering.numerals import number, with_bounds
from orchestrion.rendering.piano_roll import NAMED_DRUMS, PERCUSSION_NAMES
from orchestrion.rendering.player import track_colours

WHISKER_WIDTH, WHISKER_EDGE = 168, 8  # pixels
CURVE_POINTS = 160
LETTER = 6.0  # pixels, the mean width of one at the size of labels
SIDE_COLOURS = {"generated": (0, 114, 178), "reference": (213, 94, 0)}  # of Okabe and Ito


def whisker(interval: Interval, low: float, high: float, *, kind: str, mark: float | None = None) -> str:
    """A dot for the mean and a line for its interval on the scale from low to high; beyond it, an arrow. kind: a class
    of colour. mark: a value marked by a line, such as no difference. Empty without a figure."""
    if isnan(interval.mean):
        return ""
    x = _scale(low, high, WHISKER_EDGE, WHISKER_WIDTH - WHISKER_EDGE)
    left, right, middle = (x(min(max(value, low), high)) for value in (interval.low, interval.high, interval.mean))
    parts = [] if mark is None else [f'<path class="mark" d="M{x(mark):.1f} 0v20"/>']
    parts.append(f'<path class="whisker" d="M{left:.1f} 10H{right:.1f}"/>')
    if low <= interval.mean <= high:
        parts.append(f'<circle cx="{middle:.1f}" cy="10" r="4"/>')
    else:
        tip, back = (WHISKER_WIDTH - 1, -8) if interval.mean > high else (1, 8)
        parts.append(f'<path class="tip" d="M{tip} 10l{back} -5v10z"/>')
    return _svg(WHISKER_WIDTH, 20, with_bounds(interval), parts, f"whisker-plot {kind}")


def whisker_axis(low: float, high: float, ticks: Sequence[float]) -> str:
    """The scale above a column of `whisker`s."""
    x = _scale(low, high, WHISKER_EDGE, WHISKER_WIDTH - WHISKER_EDGE)
    parts = [f'<text x="{x(tick):.1f}" y="11" text-anchor="middle">{_short(tick)}</text>' for tick in ticks]
    parts += [f'<path class="tick" d="M{x(tick):.1f} 15v5"/>' for tick in ticks]
    return _svg(WHISKER_WIDTH, 20, "scale of the plots below", parts, "whisker-plot axis")


def densities(x: np.ndarray, curves: Mapping[str, np.ndarray], label: str, *, width: int = 420) -> str:
    """Densities over a common axis, (n,) each; a curve's name is its class: "generated", "reference", "inter"."""
    height, foot = 60 + width * 3 // 10, 26
    shown = np.unique(np.linspace(0, len(x) - 1, CURVE_POINTS).astype(int))
    top = max((float(np.nanmax(curve)) for curve in curves.values()), default=0.0) or 1.0
    across = _scale(float(x[0]), float(x[-1]), 6, width - 6)
    parts = []
    for tick in _ticks(float(x[0]), float(x[-1]), max(2, width // 70)):
        parts.append(f'<path class="grid" d="M{across(tick):.1f} 6V{height - foot}"/>')
        parts.append(f'<text x="{across(tick):.1f}" y="{height - 10}" text-anchor="middle">{_short(tick)}</text>')
    base = height - foot
    for side, curve in curves.items():
        points = [
            f"{across(at):.1f} {base - (base - 10) * max(value, 0) / top:.1f}"
            for at, value in zip(x[shown].tolist(), curve[shown].tolist(), strict=True)
            if np.isfinite(value)
        ]
        if points:
            line = "L".join(points)
            parts.append(f'<path class="area {side}" d="M{across(float(x[0])):.1f} {base}L{line}V{base}Z"/>')
            parts.append(f'<path class="line {side}" d="M{line}"/>')
    parts.append(f'<path class="axis-line" d="M6 {base}H{width - 6}"/>')
    return _svg(width, height, label, parts, "densities")


def heat_map(
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    label: str,
    *,
    kind: str,
    most: float,
    arrow: str = "→",
) -> str:
    """(R, C) values as the strength of a colour, full at `most`; values below zero in the colour of the reference, and
    nan as a stroke. Hovering a cell shows its row, column and value."""
    cell = next(size for size, most_cells in ((24, 16), (18, 24), (12, values.size)) if max(values.shape) <= most_cells)
    left = 10 + LETTER * max(map(len, rows), default=0)
    longest = max(map(len, columns), default=0)
    upright = longest > (2 if cell == 12 else 3)
    head = 10 + LETTER * longest if upright else 20
    most = most or 1.0
    cells, strokes = [], []
    for (row, column), value in np.ndenumerate(values):
        said = f"<title>{escape(rows[row])} {arrow} {escape(columns[column])}: {number(float(value))}</title>"
        place = f'x="{column}" y="{row}" width="1" height="1"'
        if isnan(value):
            strokes.append(f'<rect {place} fill="none" pointer-events="all">{said}</rect>')
            strokes.append(f'<path d="M{column} {row + 1}l1 -1"/>')
            continue
        strength = f"{min(abs(float(value)) / most, 1):.3f}".rstrip("0").rstrip(".")
        below = ' class="reference"' if value < 0 else ""
        cells.append(f'<rect {place}{below} fill-opacity="{strength or 0}">{said}</rect>')
    high, wide = values.shape
    place = f'transform="translate({left:.0f} {head:.0f}) scale({cell})"'
    parts = [f'<g class="cells {kind}" {place}>{"".join(cells)}</g>']
    parts.append(f'<g class="unknown" {place}>{"".join(strokes)}</g>' if strokes else "")
    parts.append(f'<rect class="frame" x="{left:.0f}" y="{head:.0f}" width="{wide * cell}" height="{high * cell}"/>')
    for row, text in enumerate(rows):
        y = head + (row + 0.5) * cell + 3.5
        parts.append(f'<text x="{left - 5:.0f}" y="{y:.1f}" text-anchor="end">{escape(text)}</text>')
    for column, text in enumerate(columns):
        x = left + (column + 0.5) * cell
        turned = f' transform="rotate(-90 {x + 3.5:.1f} {head - 5:.0f})"' if upright else ""
        anchor = "start" if upright else "middle"
        at = x + 3.5 if upright else x
        parts.append(f'<text x="{at:.1f}" y="{head - 5:.0f}" text-anchor="{anchor}"{turned}>{escape(text)}</text>')
    return _svg(ceil(left + wide * cell + 2), ceil(head + high * cell + 2), label, parts, "heat-map")


def paired_bars(generated: np.ndarray, reference: np.ndarray, labels: Sequence[str], label: str) -> str:
    """Two histograms, (n,) each, side by side in every bin: generated filled, reference hollow. Hovering a bin shows
    both values."""
    n = len(labels)
    upright = max(map(len, labels), default=0) > 3
    slot = max(26.0 if n <= 24 else 420 / n, 4.0)
    foot = 8 + LETTER * max(map(len, labels)) if upright else 22
    width, base = ceil(slot * n + 4), 124
    top = float(np.nanmax([generated, reference], initial=0.0)) or 1.0
    parts, step = [], ceil(n / 26)
    for i, (ours, theirs) in enumerate(zip(np.nan_to_num(generated), np.nan_to_num(reference), strict=True)):
        x, bar = 2 + i * slot, f'y="{{:.1f}}" width="{slot * 0.4:.1f}" height="{{:.1f}}"'
        a, b = 110 * float(ours) / top, 110 * float(theirs) / top
        said = f"{escape(labels[i])}: generated {number(float(generated[i]))}, reference {number(float(reference[i]))}"
        parts.append(
            f'<g><title>{said}</title><rect class="hit" x="{x:.1f}" y="0" width="{slot:.1f}" height="{base}"/>'
            f'<rect class="bar generated" x="{x + slot * 0.08:.1f}" {bar.format(base - a, a)}/>'
            f'<rect class="bar reference" x="{x + slot * 0.52:.1f}" {bar.format(base - b, b)}/>'
            "</g>"
        )
        if i % step == 0:
            at = x + slot / 2 + (3.5 if upright else 0)
            y = base + (5 if upright else 14)
            turned = f' transform="rotate(-90 {at:.1f} {y})"' if upright else ""
            anchor = "end" if upright else "middle"
            parts.append(f'<text x="{at:.1f}" y="{y}" text-anchor="{anchor}"{turned}>{escape(labels[i])}</text>')
    parts.append(f'<path class="axis-line" d="M0 {base}H{width}"/>')
    return _svg(width, ceil(base + foot), label, parts, "paired-bars")


def similarity(values: np.ndarray, label: str, *, kind: str) -> str:
    """(B, B) self-similarity of bars, 0..1, as one embedded picture, since it may have many thousands of cells."""
    count, left, side = len(values), 30, 300
    strength = np.rint(255 * np.clip(np.nan_to_num(values), 0, 1)).astype(np.uint8)
    picture = base64.b64encode(_png(strength, SIDE_COLOURS[kind])).decode()
    parts = [
        f'<image href="data:image/png;base64,{picture}" x="{left}" y="2" width="{side}" height="{side}"'
        ' preserveAspectRatio="none" style="image-rendering:pixelated"/>',
        f'<rect class="frame" x="{left}" y="2" width="{side}" height="{side}"/>',
    ]
    for bar in _bar_numbers(count, 6):
        at = (bar + 0.5) * side / count
        parts.append(f'<text x="{left + at:.1f}" y="{side + 16}" text-anchor="middle">{bar + 1}</text>')
        parts.append(f'<text x="{left - 5}" y="{at + 5.5:.1f}" text-anchor="end">{bar + 1}</text>')
    return _svg(left + side + 4, side + 22, label, parts, "similarity")


def piano_roll(notes: np.ndarray, instruments: Sequence[int], bar_seconds: np.ndarray, label: str) -> str:
    """(N, 5) notes as `report.Shown` has them. Pitches above, a lane a drum below; the louder the more opaque. The SVG
    carries `data-left` and `data-pace` (pixels, pixels a second) for the playhead."""
    drums = np.isin(notes[:, 4], [number for number, program in enumerate(instruments) if program == DRUMS])
    pitches, keys = notes[~drums, 2], np.unique(notes[drums, 2]).astype(int)
    seconds = max(float((notes[:, 0] + notes[:, 1]).max(initial=0.0)), float(np.max(bar_seconds, initial=0.0)), 1.0)
    pace = max(16.0, 860 / seconds)
    low, high = (int(pitches.min()) - 2, int(pitches.max()) + 2) if len(pitches) else (0, -1)
    spare = max(0, 25 - (high - low)) if len(pitches) else 0
    low, high = low - spare // 2, high + (spare + 1) // 2
    semitone = float(np.clip(230 / max(high - low + 1, 1), 3.0, 7.0))
    lane, named = (9.0 if len(keys) <= NAMED_DRUMS else 4.0), len(keys) <= NAMED_DRUMS
    roll = (high - low + 1) * semitone
    left, top, height = (98 if len(keys) and named else 30), 4.0, roll + lane * len(keys)
    right, bottom = left + seconds * pace, top + height

    def line(pitch: Any) -> Any:  # a number or an array
        return top + (high - pitch + 0.5) * semitone

    black = [pitch for pitch in range(low, high + 1) if pitch % 12 in (1, 3, 6, 8, 10)]
    octaves = [pitch for pitch in range(low, high + 1) if pitch % 12 == 0]
    shades = _strokes((left, line(pitch), right - left) for pitch in black)
    lines = _strokes((left, line(pitch - 0.5), right - left) for pitch in octaves)
    parts = [f'<path class="black" stroke-width="{semitone:.2f}" d="{shades}"/><path class="grid" d="{lines}"/>']
    bar_x = left + np.asarray(bar_seconds, float) * pace
    parts.append(f'<path class="bar-line" d="{"".join(f"M{x:.1f} {top}V{bottom:.1f}" for x in bar_x.tolist())}"/>')
    begun = int(np.count_nonzero(bar_x < right - 1))  # the end of the last bar is no bar
    for bar in _bar_numbers(begun, ceil((right - left) / 60)):
        parts.append(f'<text x="{bar_x[bar]:.1f}" y="{bottom + 13:.1f}" text-anchor="middle">{bar + 1}</text>')
    for pitch in octaves:
        parts.append(f'<text x="{left - 5}" y="{line(pitch) + 3.5:.1f}" text-anchor="end">C{pitch // 12 - 1}</text>')
    for place, key in enumerate(keys.tolist()):
        y = bottom - (place + 0.5) * lane + 3
        text = PERCUSSION_NAMES[key - 35] if 35 <= key <= 81 else f"key {key}"
        parts.append(f'<text class="drum" x="{left - 5}" y="{y:.1f}" text-anchor="end">{text}</text>' if named else "")
    if len(keys) and len(pitches):
        parts.append(f'<path class="axis-line" d="M{left} {top + roll:.1f}H{right:.1f}"/>')

    lanes = np.where(drums, bottom - (np.searchsorted(keys, notes[:, 2]) + 0.5) * lane, line(notes[:, 2]))
    long = np.where(drums, np.minimum(notes[:, 1], 0.12), notes[:, 1]) * pace
    boxes = np.column_stack([left + notes[:, 0] * pace, lanes, np.maximum(long - np.minimum(0.8, 0.2 * long), 1.5)])
    level = np.clip(np.ceil(notes[:, 3] * 4), 1, 4).astype(int)  # four strengths are as many as can be told apart
    for track, (program, colour) in enumerate(zip(instruments, track_colours(instruments), strict=True)):
        size = 0.84 * (lane if program == DRUMS else semitone)
        for loud in range(1, 5):
            here = boxes[(notes[:, 4] == track) & (level == loud)]
            if len(here):
                parts.append(
                    f'<path class="notes" style="--c:{colour}" stroke-width="{size:.1f}" '
                    f'stroke-opacity="{0.3 + 0.175 * loud:.2f}" d="{_strokes(map(tuple, here.tolist()))}"/>'
                )
    parts.append(f'<path class="playhead" d="M0 {top}V{bottom:.1f}" transform="translate({left} 0)"/>')
    data = f'data-left="{left}" data-pace="{pace:.3f}"'
    return _svg(ceil(right + 8), ceil(bottom + 18), label, parts, "roll", data)


def _svg(width: int, height: int, label: str, parts: Iterable[str], kind: str, data: str = "") -> str:
    said = escape(label)
    return (
        f'<svg class="{kind}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{said}" {data}>{"".join(parts)}</svg>'
    )


def _scale(low: float, high: float, start: float, stop: float) -> Callable[[float], float]:
    """Values from low to high onto pixels from `start` to `stop`."""
    pace = (stop - start) / ((high - low) or 1.0)
    return lambda value: start + (value - low) * pace


def _ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round values within low..high, a step of 1, 2 or 5 times a power of ten apart."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** floor(log10(rough))
    step = power * next(m for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    return [round(k * step, 12) for k in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]


def _short(value: float) -> str:
    return f"{value:.6g}".replace("-", "−")


def _bar_numbers(count: int, most: int) -> range:
    """The bars, from 0, whose numbers are printed: every first, second, fourth ..., at most `most` of them."""
    return range(0, count, next(2**k for k in range(64) if count <= max(most, 1) * 2**k))


def _strokes(boxes: Iterable[tuple[float, float, float]]) -> str:
    """Horizontal strokes (x, y, length), without digits that nobody sees."""
    return "".join(f"M{x:.1f} {y:.1f}h{length:.1f}".replace(".0", "") for x, y, length in boxes)


def _png(strength: np.ndarray, colour: tuple[int, int, int]) -> bytes:
    """(H, W) uint8 as a PNG of one colour, as opaque as each value says (PNG specification: palette with tRNS)."""
    high, wide = strength.shape
    lines = b"".join(b"\0" + line.tobytes() for line in strength)
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", wide, high, 8, 3, 0, 0, 0),
        b"PLTE": bytes(colour) * 256,
        b"tRNS": bytes(range(256)),
        b"IDAT": zlib.compress(lines, 9),
        b"IEND": b"",
    }
    written = [struct.pack(">I", len(v)) + k + v + struct.pack(">I", zlib.crc32(k + v)) for k, v in chunks.items()]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)
