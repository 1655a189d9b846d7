"""A Score as a piano roll, and a training run as its loss curve: PNG files, the same bytes for the same values.

Everything is drawn on one canvas measured in inches, y downwards, and notes as one collection of rectangles, so that a
picture takes little longer than importing matplotlib.
"""

from __future__ import annotations

import io
import os
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
from symusic import Score, Track

from orchestrion.core.files import replace_file
from orchestrion.music.bars import Bar, bars, instrument, tempo
from orchestrion.music.theory import DRUMS, instrument_name
from orchestrion.rendering import RenderError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: The colours of Okabe and Ito, then those farthest from all before them in the OKLab space under normal vision and
#: simulated protanopia, deuteranopia and tritanopia (Machado and others, 2009). From the 19th track on they come again,
#: outlined.
COLOURS = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#5a0f00", "#000096", "#a5004b", "#4b00f0",
    "#a569ff", "#96c396", "#3c1e5a", "#0f4b87", "#4b4b00", "#d200b4", "#965a78", "#00d2d2",
)  # fmt: skip
VALIDATION_COLOUR = 4  # of COLOURS, in a loss curve; training losses take those before it
DRUM_COLOURS = ("#404040", "#8c8c8c", "#7a5c3e", "#b39b7d")

#: General MIDI percussion keys 35 to 81.
PERCUSSION_NAMES = (
    "acoustic bass drum", "bass drum", "side stick", "acoustic snare", "hand clap", "electric snare", "low floor tom",
    "closed hi-hat", "high floor tom", "pedal hi-hat", "low tom", "open hi-hat", "low-mid tom", "hi-mid tom",
    "crash cymbal 1", "high tom", "ride cymbal 1", "Chinese cymbal", "ride bell", "tambourine", "splash cymbal",
    "cowbell", "crash cymbal 2", "vibraslap", "ride cymbal 2", "hi bongo", "low bongo", "mute hi conga",
    "open hi conga", "low conga", "high timbale", "low timbale", "high agogo", "low agogo", "cabasa", "maracas",
    "short whistle", "long whistle", "short guiro", "long guiro", "claves", "hi wood block", "low wood block",
    "mute cuica", "open cuica", "mute triangle", "open triangle",
)  # fmt: skip

FONT = "DejaVu Sans"  # comes with matplotlib
DOTS_PER_INCH = 120
WIDTH, LEGEND_WIDTH, MARGIN, HEAD = 13.0, 2.2, 0.3, 0.85  # inches
BARS_A_ROW, MOST_BARS_IN_ONE_ROW, MOST_ROWS = 16, 20, 12
NAMED_DRUMS = 12  # with more keys than that in use, their lanes are too many to name
CHORD_LINES = 2  # of names of chords: where two would touch, the later one stands higher
LABEL_HEIGHT, LABEL_LETTER, SECTION_LETTERS = 0.17, 0.058, 24  # inches; inches a letter of a chord; letters of a name
OUTLINE, LEAST_WIDTH = 0.5, 0.018  # points, inches: of a note
PAPER, SHADE, BEAT_LINE, BAR_LINE, INK, PALE_INK = "#ffffff", "#f3f3f6", "#e6e6ec", "#b9b9c4", "#24242c", "#71717e"

#: (bar from 0, what stands there).
Labels = Sequence[tuple[float, str]]


@dataclass(frozen=True)
class _Rows:
    """Where music lies on the canvas. All lengths in inches but `low`, `high` (pitches, bounds included)."""

    bars: list[list[Bar]]  # row by row
    left: float
    inches_per_tick: float
    low: int
    high: int  # below `low` where every track is drums
    semitone: float
    drum_keys: list[int]  # from the lowest lane to the highest
    lane: float
    above: float = 0.0  # room over each row, for labels

    @property
    def roll(self) -> float:
        return (self.high - self.low + 1) * self.semitone

    @property
    def height(self) -> float:
        return self.roll + len(self.drum_keys) * self.lane

    @property
    def pitch_step(self) -> float:
        return self.height + self.above + 0.38

    def top(self, row: int) -> float:
        return HEAD + self.above + row * self.pitch_step

    def width(self, row: int) -> float:
        return (self.bars[row][-1].end - self.bars[row][0].start) * self.inches_per_tick


def write_picture(
    score: Score,
    path: str | os.PathLike[str],
    *,
    title: str = "",
    sections: Labels = (),
    chords: Labels = (),
) -> None:
    """Write a piano roll as PNG, whole or not at all.

    Time runs in bars, sixteen to a row where there are more than twenty; each track has a colour, named beside the
    roll; the louder a note the more opaque; drums have lanes below the pitches. sections, chords: where each begins, in
    bars from 0 (2.5 is the middle of the third), and its name, which stands over the roll; names of chords for which
    there is no room are left out, and so is what begins behind the last bar. Raises RenderError for a Score without
    notes, ScoreError where the file cannot be written.
    """
    from matplotlib.figure import Figure

    tracks = sorted((track for track in score.tracks if track.notes), key=lambda track: track.is_drum)
    if not tracks:
        raise RenderError("the music has no notes, so there is nothing to draw")
    notes = np.concatenate([_notes(track, number, score.tpq) for number, track in enumerate(tracks)])
    is_drum = np.array([track.is_drum for track in tracks])
    rows = _lay_out(bars(score), notes, is_drum)
    if sections or chords:
        rows = replace(rows, above=LABEL_HEIGHT * (bool(sections) + CHORD_LINES * bool(chords)))

    legend_step = 0.21 if len(tracks) <= 40 else 0.15
    height = max(rows.top(len(rows.bars)) - rows.above, HEAD + len(tracks) * legend_step) + 0.15
    figure = Figure(figsize=(WIDTH, height), dpi=DOTS_PER_INCH, facecolor=PAPER)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(height, 0))
    axes.set_axis_off()
    colours, outlines = _track_colours(is_drum)
    _draw_head(axes, score, rows, title)
    _draw_paper(axes, rows)
    _draw_labels(axes, rows, sections, chords)
    _draw_notes(axes, rows, notes, is_drum, colours, outlines)
    _draw_legend(axes, tracks, colours, outlines, legend_step)
    write_figure(figure, path)


def write_loss_curve(history: Sequence[Mapping[str, float]], path: str | os.PathLike[str]) -> None:
    """Write the losses over the steps of a training run as PNG, whole or not at all.

    history: the rows of `train`'s history.jsonl: "step", a loss "train/NAME" for each optimizer, and "validation/NAME"
    where it was measured. Of the validation figures the first is drawn, by which the best checkpoint is chosen. What is
    not finite is left out. A training loss is drawn pale, and its running mean over a fiftieth of the rows in front of
    it. Raises RenderError where there is no training loss.
    """
    from matplotlib.figure import Figure

    figures = [(name, value) for row in history for name, value in row.items() if name != "remarks"]
    names = dict.fromkeys(name for name, value in figures if np.isfinite(value))
    train = [name for name in names if name.startswith("train/")]
    validation = [name for name in names if name.startswith("validation/")][:1]
    if not train:
        raise RenderError("the training history has no rows with a loss, so there is no curve to draw")
    figure = Figure(figsize=(8, 4.5), dpi=DOTS_PER_INCH, facecolor=PAPER)
    axes = figure.add_axes((0.09, 0.13, 0.87, 0.8), facecolor=PAPER)
    for name, colour in zip(train, cycle(COLOURS[:VALIDATION_COLOUR]), strict=False):
        curve = _curve(history, name)
        window = max(1, len(curve) // 50)
        if window > 1:
            axes.plot(*curve.T, color=colour, alpha=0.25, linewidth=0.8)
            sums = np.cumsum(np.concatenate([[0.0], curve[:, 1]]))
            middle = curve[window // 2 : len(curve) - (window - 1) // 2, 0]
            curve = np.column_stack([middle, (sums[window:] - sums[:-window]) / window])
        axes.plot(*curve.T, color=colour, linewidth=1.8, label=name)
    for name in validation:
        curve, colour = _curve(history, name), COLOURS[VALIDATION_COLOUR]
        axes.plot(*curve.T, color=colour, linewidth=1.8, marker="o", markersize=3.5, label=name)
        step, best = curve[curve[:, 1].argmin()]
        note = f"best {best:.4g} at step {step:.0f}"
        axes.plot([step], [best], "o", color=colour, markersize=9, fillstyle="none", label=note)
    axes.grid(color=BEAT_LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(BAR_LINE)
    axes.tick_params(colors=PALE_INK, labelsize=8, labelfontfamily=FONT)
    axes.set_xlabel("step", color=INK, fontsize=9, fontfamily=FONT)
    axes.set_ylabel("loss", color=INK, fontsize=9, fontfamily=FONT)
    axes.legend(frameon=False, labelcolor=INK, prop={"family": FONT, "size": 9})
    write_figure(figure, path)


def _curve(history: Sequence[Mapping[str, float]], name: str) -> np.ndarray:
    """(n, 2): step and value where the value is finite."""
    rows = [(row["step"], row[name]) for row in history if np.isfinite(row.get(name, np.nan))]
    return np.array(rows, float).reshape(-1, 2)


def _notes(track: Track, number: int, ticks_per_quarter: int) -> np.ndarray:
    """(N, 5) int64: start, end (ticks), pitch, velocity, track. A drum stroke lasts at most a sixteenth."""
    columns = track.notes.numpy()
    start, duration = columns["time"].astype(np.int64), np.maximum(columns["duration"].astype(np.int64), 1)
    if track.is_drum:
        duration = np.minimum(duration, max(1, ticks_per_quarter // 4))
    which = np.full(len(start), number)
    return np.column_stack([start, start + duration, columns["pitch"], columns["velocity"], which])


def _lay_out(measures: list[Bar], notes: np.ndarray, is_drum: np.ndarray) -> _Rows:
    count = len(measures)
    per_row = count if count <= MOST_BARS_IN_ONE_ROW else max(BARS_A_ROW, -(-count // (4 * MOST_ROWS)) * 4)
    rows = [measures[first : first + per_row] for first in range(0, count, per_row)]
    drums = is_drum[notes[:, 4]]
    pitches, keys = notes[~drums, 2], np.unique(notes[drums, 2]).tolist()
    low, high, semitone = 0, -1, 0.0
    if len(pitches):
        low, high = int(pitches.min()) - 2, int(pitches.max()) + 2
        spare = max(0, 25 - (high - low))  # a tune of few pitches keeps notes of a common height
        low, high = max(0, low - spare // 2), min(127, high + (spare + 1) // 2)
        semitone = float(np.clip((3.8 if len(rows) == 1 else 2.2) / (high - low + 1), 0.025, 0.1))
    named = len(keys) <= NAMED_DRUMS
    left = MARGIN + (1.15 if keys and named else 0.4)
    longest = max(row[-1].end - row[0].start for row in rows)
    per_tick = (WIDTH - LEGEND_WIDTH - left - MARGIN) / longest
    return _Rows(rows, left, per_tick, low, high, semitone, keys, min(0.125, 1.2 / max(1, len(keys))))


def _rectangles(left: np.ndarray, right: np.ndarray, top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """(N, 4, 2) corners."""
    return np.stack([left, top, right, top, right, bottom, left, bottom], axis=-1).reshape(-1, 4, 2)


def _track_colours(is_drum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(K, 4) fill and (K, 4) outline, red green blue alpha."""
    from matplotlib.colors import to_rgba, to_rgba_array

    order = np.where(is_drum, np.cumsum(is_drum), np.cumsum(~is_drum)) - 1
    names = [(DRUM_COLOURS if drum else COLOURS) for drum in is_drum]
    fills = to_rgba_array([palette[place % len(palette)] for palette, place in zip(names, order, strict=True)])
    again = np.array([place >= len(palette) for palette, place in zip(names, order, strict=True)])
    return fills, np.where(again[:, None], to_rgba(INK), to_rgba(INK, 0))


def _draw_head(axes: Axes, score: Score, rows: _Rows, title: str) -> None:
    from matplotlib.font_manager import findfont, get_font

    face = get_font(findfont(FONT))
    known = "".join(c if face.get_char_index(ord(c)) else "□" for c in " ".join(title.split()))
    lines = textwrap.wrap(known, 100, max_lines=2, placeholder=" …") if known else []
    style: dict[str, Any] = {"fontfamily": FONT, "va": "center", "parse_math": False}
    middles = {0: [], 1: [0.3], 2: [0.17, 0.38]}[len(lines)]
    for line, y in zip(lines, middles, strict=True):
        axes.text(rows.left, y, line, color=INK, fontsize=14 if len(lines) == 1 else 11, fontweight="bold", **style)

    measures = [bar for row in rows.bars for bar in row]
    meters = list(dict.fromkeys(bar.meter.name for bar in measures))
    meter = " ".join(meters[:3]) + (" …" if len(meters) > 3 else "")
    count = f"{len(measures)} bar{'s' if len(measures) > 1 else ''}"
    facts = f"{count}  ·  {meter}  ·  {tempo(score):.0f} quarter notes a minute"
    axes.text(rows.left, 0.59, facts, color=PALE_INK, fontsize=8.5, **style)


def _draw_paper(axes: Axes, rows: _Rows) -> None:
    """What lies under the notes: shaded black keys, lines of beats, bars and octaves, and their labels."""
    from matplotlib.collections import LineCollection, PolyCollection

    per_row = len(rows.bars[0])
    step = next(2**k for k in range(64) if per_row <= MOST_BARS_IN_ONE_ROW * 2**k)
    pitches = np.arange(rows.low, rows.high + 1)
    black = pitches[np.isin(pitches % 12, (1, 3, 6, 8, 10))]
    named = len(rows.drum_keys) <= NAMED_DRUMS
    shades, beat_lines, bar_lines = [], [], []
    style: dict[str, Any] = {"fontfamily": FONT, "color": PALE_INK, "parse_math": False}
    number = 1
    for row, measures in enumerate(rows.bars):
        top, bottom, left = rows.top(row), rows.top(row) + rows.height, rows.left
        right, middle = left + rows.width(row), top + rows.roll
        tops = top + (rows.high - black) * rows.semitone
        shades += list(_rectangles(np.full(len(black), left), np.full(len(black), right), tops, tops + rows.semitone))
        for pitch in pitches[pitches % 12 == 0]:
            y = top + (rows.high + 1 - pitch) * rows.semitone
            beat_lines.append([(left, y), (right, y)])
            name, y = f"C{pitch // 12 - 1}", y - rows.semitone / 2
            axes.text(left - 0.07, y, name, ha="right", va="center", fontsize=7.5, **style)
        for place, key in enumerate(rows.drum_keys if named else ()):
            name = PERCUSSION_NAMES[key - 35] if 35 <= key <= 81 else f"key {key}"
            y = bottom - (place + 0.5) * rows.lane
            axes.text(left - 0.07, y, name, ha="right", va="center", fontsize=6.2, **style)
        if rows.drum_keys and not named:
            axes.text(left - 0.07, (middle + bottom) / 2, "drums", ha="right", va="center", fontsize=6.2, **style)
        for place, bar in enumerate(measures):
            x = left + (bar.start - measures[0].start) * rows.inches_per_tick
            if place % step == 0:
                axes.text(x, bottom + 0.05, str(number + place), ha="center", va="top", fontsize=7.5, **style)
            if place % step == 0 or per_row <= 100:
                bar_lines.append([(x, top), (x, bottom)])
            if step == 1:
                width = bar.length * rows.inches_per_tick
                beats = x + width * np.arange(1, bar.meter.numerator) / bar.meter.numerator
                beat_lines += [[(beat, top), (beat, bottom)] for beat in beats]
        bar_lines += [[(right, top), (right, bottom)], [(left, bottom), (right, bottom)], [(left, top), (right, top)]]
        if rows.drum_keys and rows.roll:
            bar_lines.append([(left, middle), (right, middle)])
        number += len(measures)
    axes.add_collection(PolyCollection(shades, facecolors=SHADE, linewidths=0, zorder=0), autolim=False)
    axes.add_collection(LineCollection(beat_lines, colors=BEAT_LINE, linewidths=0.6, zorder=1), autolim=False)
    axes.add_collection(LineCollection(bar_lines, colors=BAR_LINE, linewidths=0.8, zorder=2), autolim=False)


def _draw_labels(axes: Axes, rows: _Rows, sections: Labels, chords: Labels) -> None:
    """Names of sections over names of chords, over the rows in which they begin."""
    style: dict[str, Any] = {"fontfamily": FONT, "va": "center", "parse_math": False}
    free: dict[tuple[int, int], float] = {}  # of each row and line of chords, from where on there is room for one
    for bar, name in sorted(sections):
        if place := _place(rows, bar):
            shown = name if len(name) <= SECTION_LETTERS else f"{name[: SECTION_LETTERS - 1]}…"
            y = rows.top(place[0]) - rows.above + LABEL_HEIGHT / 2
            axes.text(place[1], y, shown, color=INK, fontsize=8.5, fontweight="bold", **style)
    for bar, name in sorted(chords):
        place = _place(rows, bar)
        if place is None:
            continue
        lines = [line for line in range(CHORD_LINES) if place[1] >= free.get((place[0], line), 0.0)]
        for line in lines[:1]:
            free[place[0], line] = place[1] + LABEL_LETTER * (len(name) + 1)
            y = rows.top(place[0]) - LABEL_HEIGHT * (line + 0.5)
            axes.text(place[1], y, name, color=PALE_INK, fontsize=6.8, **style)


def _place(rows: _Rows, bar: float) -> tuple[int, float] | None:
    """The row and the x of a place in bars from 0; None where there is no such bar."""
    row, within = divmod(int(bar), len(rows.bars[0]))
    if bar < 0 or row >= len(rows.bars) or within >= len(rows.bars[row]):
        return None
    own = rows.bars[row][within]
    ticks = own.start + (bar - int(bar)) * own.length - rows.bars[row][0].start
    return row, rows.left + ticks * rows.inches_per_tick


def _draw_notes(
    axes: Axes, rows: _Rows, notes: np.ndarray, is_drum: np.ndarray, colours: np.ndarray, outlines: np.ndarray
) -> None:
    from matplotlib.collections import PolyCollection

    notes = notes[np.argsort(notes[:, 0] - notes[:, 1], kind="stable")]  # the shortest last, so that none is hidden
    lanes = np.searchsorted(rows.drum_keys, notes[:, 2])
    drums = is_drum[notes[:, 4]]
    size = np.where(drums, rows.lane, rows.semitone)
    offset = np.where(drums, rows.height - (lanes + 1) * rows.lane, (rows.high - notes[:, 2]) * rows.semitone)
    corners, order = [], []
    for row, measures in enumerate(rows.bars):
        first, last = measures[0].start, measures[-1].end
        here = np.flatnonzero((notes[:, 0] < last) & (notes[:, 1] > first))
        left, right = rows.left + (notes[here, :2].clip(first, last) - first).T * rows.inches_per_tick
        left = np.minimum(left, rows.left + rows.width(row) - LEAST_WIDTH)
        right = np.maximum(right - np.minimum(0.012, 0.2 * (right - left)), left + LEAST_WIDTH)  # a gap before the next
        top = rows.top(row) + offset[here]
        corners.append(_rectangles(left, right, top + 0.06 * size[here], top + 0.94 * size[here]))
        order.append(here)
    drawn = notes[np.concatenate(order)]
    faces = colours[drawn[:, 4]].copy()
    faces[:, 3] = 0.3 + 0.7 * drawn[:, 3] / 127
    edges = outlines[drawn[:, 4]]
    shapes = list(np.concatenate(corners))
    axes.add_collection(
        PolyCollection(shapes, facecolors=faces, edgecolors=edges, linewidths=OUTLINE, zorder=3), autolim=False
    )


def _draw_legend(axes: Axes, tracks: Sequence[Track], colours: np.ndarray, outlines: np.ndarray, step: float) -> None:
    from matplotlib.collections import PolyCollection

    left = np.full(len(tracks), WIDTH - LEGEND_WIDTH)
    middle = HEAD + (np.arange(len(tracks)) + 0.5) * step
    swatches = _rectangles(left, left + 0.2, middle - 0.055, middle + 0.055)
    axes.add_collection(
        PolyCollection(list(swatches), facecolors=colours, edgecolors=outlines, linewidths=OUTLINE), autolim=False
    )
    seen: Counter[int] = Counter()
    for x, y, track in zip(left, middle, tracks, strict=True):
        seen[instrument(track)] += 1
        name = "drums" if instrument(track) == DRUMS else instrument_name(instrument(track))
        again = f" ({seen[instrument(track)]})" if seen[instrument(track)] > 1 else ""
        axes.text(x + 0.28, y, name + again, color=INK, fontsize=8, fontfamily=FONT, va="center_baseline")


def write_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure of matplotlib as PNG, whole or not at all, the same bytes each time. Raises ScoreError where the
    file cannot be written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    png = io.BytesIO()
    FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})  # no version or date: the same bytes again
    replace_file(path, png.getvalue())
