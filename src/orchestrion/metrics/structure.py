"""Structure: what returns in a piece and after how long, seen through matrices that compare it with itself.

N frames, M bars. Similarities are cosines of how long what sounds; loudness does not count.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from symusic import Score

from orchestrion.metrics.definition import Metric
from orchestrion.metrics.grid import Grid, on_grid
from orchestrion.metrics.harmony import chroma, sounding_steps
from orchestrion.music.theory import DRUMS

MAX_BARS = 1024
MAX_WINDOWS = 512
_PHRASE_BARS = 4
#: Spans in seconds of the three structureness indicators, as Wu and Yang (2020) chose them.
SPANS = {"short": (3.0, 8.0), "mid": (8.0, 15.0), "long": (15.0, np.inf)}
_MOST_FRAMES, _MOST_POOLED_FRAMES = 256, 64
_SMOOTHING_FRAMES = 8
_KEPT_SHARE = 0.25
_PENALTY = -2.0
# Parts of the integers of `segment_fitness`: cells, rows, sum of similarities (in steps of 1 / _POINT).
_ROW, _SUM, _POINT, _NOWHERE = 1 << 10, 1 << 20, 1 << 24, -(1 << 61)


def self_similarity(music: Score | Grid, unit: str = "bar") -> np.ndarray:
    """(M, M) cosine similarity, 0..1, of every bar with every bar, of the first 1,024 at most.

    A bar is a vector of how long each pitch sounds within each of its sixteenths; a drum is a pitch of its own and a
    hit lasts a sixteenth. Bars are laid upon each other from their first step. A silent bar is similar to nothing: its
    row, column and place on the diagonal are 0. (0, 0) for a Score without notes.

    unit="step" gives the matrix of single time steps that Fig. 9 and 10 of the WGAN-GP paper show: each vector says how
    long each pitch sounds in one of at most 512 equal windows from the beginning to the end.
    """
    grid = on_grid(music)
    if unit == "bar":
        edges = grid.edges[: MAX_BARS + 1]
        step = grid.steps_per_quarter // 4
        parts = -(-np.diff(edges) // step)  # the last sixteenth may be cut short
        bar = np.repeat(np.arange(len(parts)), parts)
        place = np.arange(len(bar)) - np.repeat(np.cumsum(parts) - parts, parts)
        return _cosines(grid, np.append(edges[:-1][bar] + place * step, edges[-1:]), bar, place)
    if unit != "step":
        raise ValueError(f'a unit of self-similarity is "bar" or "step", not {unit!r}')
    last = int(grid.edges[-1])
    edges = np.arange(min(last, MAX_WINDOWS) + 1) * last // max(min(last, MAX_WINDOWS), 1)
    window = np.arange(len(edges) - 1)
    return _cosines(grid, edges, window, np.zeros_like(window))


def phrase_return(music: Score | Grid) -> float:
    """How much better four bars match four other bars forwards than backwards, -1..1, about 0 without form.

    By `self_similarity` of bars: for every four bars in a row that sound, the best mean similarity with any four in a
    row that share no bar with them, less the best with any such four read from the last bar to the first; the mean of
    that. Where bars are alike but in no order the two are alike: the expectation is exactly 0 for shuffled bars, and a
    loop of one or two bars, which runs backwards as it runs forwards, is 0 as well (in 20 bars or more). Phrases that
    return are high: about 0.5 for AABA of eight bars each and for a loop of four. nan below eight bars and without
    notes. Performances whose bars are not those of the music come out near 0. Bars beyond the 1,024th do not count.
    """
    similarity = self_similarity(music)
    count = len(similarity) - _PHRASE_BARS + 1
    if count <= _PHRASE_BARS:
        return np.nan
    rows = [similarity[k : k + count] for k in range(_PHRASE_BARS)]
    forwards = np.sum([row[:, k : k + count] for k, row in enumerate(rows)], axis=0)
    backwards = np.sum([row[:, _PHRASE_BARS - 1 - k :][:, :count] for k, row in enumerate(rows)], axis=0)
    start = np.arange(count)
    apart = abs(start[:, None] - start) >= _PHRASE_BARS
    counted = apart.any(axis=1) & (np.diag(forwards) > 0)  # not those in the middle of a short piece, nor silence
    gain = np.where(apart, forwards, 0).max(axis=1) - np.where(apart, backwards, 0).max(axis=1)
    return float(gain[counted].mean() / _PHRASE_BARS) if counted.any() else np.nan


def structureness(music: Score | Grid, span: str) -> float:
    """The structureness indicator of Wu and Yang (2020), 0..1: how well the best segment of a span ("short" 3 to 8
    seconds, "mid" 8 to 15, "long" from 15 on) explains the piece by its repetitions, by `segment_fitness`.

    They look at audio; here a frame is a bar, an equal part of one, or several, so that it lasts about a second by the
    mean tempo, and its vector is the chroma of the pitched notes, each class by its duration. "short" and "mid" look at
    the first 256 frames; for "long" neighbouring frames are added up until at most 64 remain. nan without pitched
    notes, and where the music is shorter than twice the span's lower bound, so that no segment could return. Short
    pieces and long ones do not compare: relative thresholds and coverage depend on how much music there is.
    """
    if span not in SPANS:
        raise ValueError(f"a span is one of {', '.join(SPANS)}, not {span!r}")
    shortest, longest = SPANS[span]
    grid = on_grid(music, drums=False)
    if not len(grid):
        return np.nan
    step_seconds = grid.seconds[1].max() / grid.end.max()
    if grid.edges[-1] * step_seconds < 2 * shortest:
        return np.nan
    bar_seconds = grid.edges[-1] * step_seconds / grid.bars
    parts, together = max(1, round(bar_seconds)), max(1, round(1 / bar_seconds))
    edges = grid.edges[:-1, None] + np.diff(grid.edges)[:, None] * np.arange(parts) // parts
    edges = np.unique(np.append(edges, grid.edges[-1]))
    if span == "long":
        together = max(together, -(-(len(edges) - 1) // _MOST_POOLED_FRAMES))
    edges = np.append(edges[:-1:together], edges[-1])
    if span != "long":
        edges = edges[: _MOST_FRAMES + 1]
    similarity = path_similarity(chroma(replace(grid, edges=edges), "bar"))
    count = len(similarity)
    frame_seconds = (edges[-1] - edges[0]) * step_seconds / count
    fewest, most = max(2, np.ceil(shortest / frame_seconds - 1e-9)), min(longest / frame_seconds + 1e-9, count)
    return float(segment_fitness(similarity, np.arange(int(fewest), int(most) + 1)).max(initial=0.0))


def path_similarity(chromagram: np.ndarray) -> np.ndarray:
    """(N, N) similarity of the frames of a chromagram (N, 12), made to show paths: 0..1, or -2 for no match.

    Cosines, averaged along diagonals over eight frames forwards or backwards, whichever is more, and over the best of
    twelve transpositions; the highest quarter is kept and scaled to 0..1 and all else set to -2; the diagonal is 1
    (Mueller, Jiang & Grohganz 2011; thresholds as in Wu and Yang (2020)). Silence is similar to nothing."""
    count, reach = len(chromagram), _SMOOTHING_FRAMES
    norm = np.sqrt((chromagram.astype(float) ** 2).sum(axis=1, keepdims=True))
    frames = chromagram / np.where(norm > 0, norm, 1.0)
    turned = np.stack([np.roll(frames, shift, axis=1) for shift in range(7)])  # 7 to 11 are 5 to 1 seen from the other
    total = np.pad(turned @ frames.T, ((0, 0), (0, reach - 1), (0, reach - 1)))
    for step in 2 ** np.arange(int(np.log2(reach))):  # sums of 2, 4, 8 frames backwards
        total[:, step:, step:] += total[:, :-step, :-step]
    best = total.max(axis=0) / reach
    best = np.maximum(best, best.T)
    similarity = np.maximum(best[:count, :count], best[reach - 1 :, reach - 1 :]).round(9)
    limit = np.quantile(similarity, 1 - _KEPT_SHARE, method="higher")
    kept = (similarity >= limit) & (similarity > 0)
    if kept.any():
        low, high = similarity[kept].min(), similarity.max()
        similarity = (similarity - low) / (high - low) if high > low else np.ones_like(similarity)
    similarity = np.where(kept, similarity, _PENALTY)
    np.fill_diagonal(similarity, 1.0)
    return similarity


def segment_fitness(similarity: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Fitness, 0..1, of every segment of the given lengths in frames, length by length and each from the first start
    to the last, as one array (Mueller, Jiang & Grohganz 2011).

    A path family of a segment is a set of paths through its columns of `similarity` (N, N; 1 on the diagonal), each
    from the first column to the last by steps (1, 1), (2, 1), (1, 2) of rows and columns, no two in one row. The
    optimal family has the largest sum of similarities. With what the segment explains of itself taken off: score =
    (sum - length) / cells on its paths, coverage = (rows its paths span - length) / N; fitness = harmonic mean. Of
    families with equal sums the one that spans most rows counts. N is at most 1,023; takes time in N ** 2 and in the
    lengths.
    """
    count = len(similarity)
    if count >= _ROW:
        raise ValueError(f"the fitness of segments is for fewer than {_ROW} frames, not {count}")
    lengths = lengths[lengths <= count]
    span = np.repeat(lengths, count - lengths + 1)
    if not len(span):
        return np.zeros(0)
    start = np.concatenate([np.arange(count - length + 1) for length in lengths])
    # All segments lie side by side in one row: two cells without a way in or out, then the columns of the segment.
    last = np.cumsum(span + 2) - 1
    first = last - span + 1
    offset = np.arange(last[-1] + 1) - np.repeat(first, span + 2)
    column = np.where(offset < 0, count, offset + np.repeat(start, span + 2))
    # A cell holds the best sum so far and below it the rows and cells of its paths, as one integer: the largest has the
    # largest sum and, of those with equal sums, explains most rows.
    points = np.rint(similarity * _POINT).astype(np.int64) * _SUM + (_ROW + 1)
    points = np.pad(points, ((0, 0), (0, 1)), constant_values=0)
    nowhere = np.full(len(column), _NOWHERE)
    before = latest = nowhere
    idle = np.zeros(len(span), np.int64)  # the best with no path under way
    for row in points:
        idle = np.maximum(idle, latest[last])
        here = row[column]
        reached = nowhere.copy()
        best = np.maximum(latest[1:-1], latest[:-2])
        np.maximum(best, before[1:-1] + _ROW, out=best)
        np.add(best, here[2:], out=reached[2:])
        reached[first - 1] = reached[first - 2] = _NOWHERE
        reached[first] = idle + here[first]
        before, latest = latest, reached
    best = np.maximum(idle, latest[last])
    cells, rows, total = best % _ROW, best % _SUM // _ROW, best // _SUM / _POINT
    score, coverage = (total - span) / cells, (rows - span) / count
    explains = (score > 0) & (coverage > 0)
    return np.where(explains, 2 * score * coverage / np.where(explains, score + coverage, 1.0), 0.0)


def _cosines(grid: Grid, edges: np.ndarray, row: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Cosine similarity of rows of parts: `row` says in which one the part between two edges lies, `place` where."""
    count = int(row[-1]) + 1 if len(row) else 0
    if not count:
        return np.zeros((0, 0))
    hit = grid.instrument == DRUMS
    grid = replace(
        grid,
        pitch=grid.pitch + 128 * hit,
        end=np.where(hit, grid.onset + grid.steps_per_quarter // 4, grid.end),
        edges=edges,
    )
    part, pitch, steps = sounding_steps(grid)
    keys, key = np.unique(pitch, return_inverse=True)
    width = len(keys) * (int(place.max()) + 1)
    cell = row[part] * width + place[part] * len(keys) + key
    roll = np.bincount(cell, steps, count * width).reshape(count, width)
    norm = np.sqrt((roll**2).sum(axis=1, keepdims=True))
    roll = (roll / np.where(norm > 0, norm, 1.0)).astype(np.float32)  # half the time of the product
    return np.minimum(roll @ roll.T, 1.0).astype(float)


METRICS: tuple[Metric, ...] = (
    Metric(
        "phrase-return",
        "return of phrases",
        "How much of the music comes back four bars at a time and in order: about 0 where bars are new, shuffled or a "
        "short loop, 0.1 to 0.3 in songs with verses and refrains, near 1 where every phrase returns.",
        "mean over the four-bar windows that sound of (the largest mean similarity with another four bars, bar by bar, "
        "- the largest with another four read backwards); similarity = cosine of the bars' piano rolls by sixteenths",
        "difference of cosines",
        "Orchestrion, on the WGAN-GP paper's self-similarity matrix (its Fig. 9 and 10)",
        function=phrase_return,
        low=-1.0,
        high=1.0,
        undefined="fewer than eight bars",
        style=True,
    ),
    *(
        Metric(
            f"structureness-{span}",
            f"structureness, {span} span",
            f"How well the best passage of {seconds} explains the whole piece by its returns, in any key: high for "
            "loops and verses that return, low for music that goes on to something new.",
            f"largest fitness of a segment of {seconds}; fitness = harmonic mean of score and coverage of its optimal "
            f"path family, the segment itself taken off; on chroma in frames of about a second, {frames}",
            "fitness",
            "Wu and Yang (2020), SI, after Mueller, Jiang & Grohganz 2011; on notes, not audio",
            function=partial(structureness, span=span),
            high=1.0,
            undefined=f"no pitched notes, or shorter than {2 * SPANS[span][0]:g} seconds",
            style=True,
        )
        for span, seconds, frames in (
            ("short", "3 to 8 seconds", "the first 256"),
            ("mid", "8 to 15 seconds", "the first 256"),
            ("long", "15 seconds or more", "pooled to at most 64"),
        )
    ),
)
