"""The form of a piece, estimated from its notes: where sections begin, which of them hold the same material, and what
each bar takes up from an earlier one.

Shapes: N notes, K tracks, M bars, S sections. `similarity` is always an (M, M) likeness of bars, 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from orchestrion.music.theory import DRUMS
from orchestrion.planning.harmony import pitch_class_steps
from orchestrion.representations.cells import BAR, PITCH, POSITION, TRACK, Cells, bar_steps

SHORTEST, LONGEST = 2, 16  # bars of a section
FEWEST_BARS = 4  # a shorter piece is one section
SAME_CELL = 0.9  # Jaccard index from which on two cells count as equal
_EXTENDED = 2  # bars by which sections with one letter may differ in length
_MOST_BARS = 512  # more are taken in blocks, and their notes hashed to find letters
_HASHED = 256
_SLOTS = 16  # of a bar, for rhythm
_WEIGHTS = (0.5, 0.3, 0.2)  # of notes, harmony and rhythm in the likeness of two bars
_RARE = 24  # bars
#: What speaks for a boundary, in deviations within the piece, and the weight of each: by logistic regression on two
#: people's boundaries in every sixth song of POP909; bench/section_labels.py measures others.
_EVIDENCE = {
    "repetitions of 2 bars begin": 1.06,
    "a repetition of 4 bars ends": 0.41,
    "repetitions of 8 bars end": 0.35,
    "novelty of notes": 0.36,
    "change of activity": 0.43,
    "rise of activity": 0.23,
    "harmony unlike the bar before": -0.36,
    "the bar before unlike the one before it": 0.89,
}
_BASE, _RATE = -0.5, -2.0  # log odds of a boundary: added for the dynamic programming, and as often as people set one
_BELIEF = 0.5  # what boundaries at similar places add, a deviation
#: How sections of 0, 1, 2 .. bars are liked: three quarters of the logarithm of how often people's sections in POP909
#: last so long.
_LENGTH_PRIOR = np.array([
    -np.inf, -2.8, -2.6, -2.5, -0.9, -2.5, -2.6, -2.9, -0.8, -2.2, -2.6, -3.7, -3.4, -3.9, -4.0, -4.1, -2.6,
])  # fmt: skip
_LETTER = 0.25  # likeness of two sections with one letter, between that of any two bars of the piece (0) and 1


@dataclass(frozen=True)
class Form:
    """starts: (S,) the first bar of each section. letters: (S,) 0 = A, in order of first appearance. source: (M,) the
    bar of the first section with the same letter that a bar takes up; -1 in that section itself and where it has no
    counterpart. variation: (S,) 0..1, the share of sounding cells, bars of one track, that differ from their source;
    0 in first sections."""

    starts: np.ndarray
    letters: np.ndarray
    source: np.ndarray
    variation: np.ndarray


@dataclass(frozen=True)
class Likeness:
    """(M, M) float32 each, 0..1: how alike bars are in notes, in harmony, and as a whole (with rhythm)."""

    notes: np.ndarray
    harmony: np.ndarray
    whole: np.ndarray


def find_form(cells: Cells) -> Form:
    """The form of a piece.

    A bar is like another by the notes that both hold (Jaccard index of position and pitch, track by track), by their
    pitch classes and by their rhythm. A section may begin where bars change (Foote 2000: a checkerboard along the
    diagonal) and where a repetition begins or ends; of all segmentations the one with the best sum of that evidence and
    of a prior on lengths is chosen by dynamic programming. Sections with one letter are alike bar by bar from their
    starts, and equally long but for one or two bars at the end.
    """
    bars = len(cells.meters)
    if bars < FEWEST_BARS:
        starts, letters = np.zeros(min(bars, 1), np.int64), np.zeros(min(bars, 1), np.int64)
    elif bars <= _MOST_BARS:
        likeness = bar_similarity(cells)
        starts = _segmentation(_boundary_evidence(cells, likeness))
        letters = section_letters(likeness.notes, starts)
    else:
        edges = np.linspace(0, bars, -(-bars // _MOST_BARS) + 1).astype(int)
        blocks = [_bars_of(cells, start, end) for start, end in pairwise(edges)]
        starts = _segmentation(np.concatenate([_boundary_evidence(b, bar_similarity(b)) for b in blocks]))
        letters = section_letters(_hashed_similarity(cells), starts)
    source = _sources(starts, letters, bars)
    return Form(starts, letters, source, _variations(cells, starts, source))


def _bars_of(cells: Cells, start: int, end: int) -> Cells:
    first, last = np.searchsorted(cells.notes[:, BAR], [start, end])
    notes = cells.notes[first:last].copy()
    notes[:, BAR] -= start
    return replace(cells, notes=notes, meters=cells.meters[start:end])


def bar_similarity(cells: Cells) -> Likeness:
    """How alike every two bars are. Silent bars are like each other and like nothing else."""
    notes = _note_similarity(cells)
    harmony = _cosines(np.sqrt(pitch_class_steps(cells)).reshape(len(cells.meters), 24))
    rhythm = _cosines(_rhythms(cells))
    rhythm *= _WEIGHTS[2]
    rhythm += _WEIGHTS[0] * notes
    rhythm += _WEIGHTS[1] * harmony
    return Likeness(notes, harmony, rhythm)


def _note_similarity(cells: Cells) -> np.ndarray:
    """(M, M) the Jaccard index of (position, pitch), mean over the tracks that play in either bar."""
    bars = len(cells.meters)
    total, tracks = np.zeros((bars, bars), np.float32), np.zeros((bars, bars), np.float32)
    for track in range(len(cells.instruments)):
        own = cells.notes[cells.notes[:, TRACK] == track].astype(np.int64)
        size = np.bincount(own[:, BAR], minlength=bars).astype(np.float32)
        _, number, count = np.unique(own[:, POSITION] * 128 + own[:, PITCH], return_inverse=True, return_counts=True)
        kept = count[number] > 1  # what sounds once is in no two bars
        _, number = np.unique(number[kept], return_inverse=True)
        both = _shared(own[kept, BAR], number, bars)
        either = size[:, None] + size - both
        total += both / np.maximum(either, 1)
        tracks += either > 0
    np.divide(total, tracks, out=total, where=tracks > 0)
    total[tracks == 0] = 1
    np.fill_diagonal(total, 1)
    return total


def _shared(bar: np.ndarray, kind: np.ndarray, bars: int) -> np.ndarray:
    """(M, M) float32, how many kinds of notes two bars share. bar, kind: (N,), no pair twice."""
    count = np.bincount(kind)
    common = count[kind] > _RARE  # these are multiplied as a table, the others bar by bar
    _, number = np.unique(kind[common], return_inverse=True)
    table = np.zeros((bars, int(number.max(initial=-1)) + 1), np.float32)
    table[bar[common], number] = 1
    both = table @ table.T
    order = np.argsort(kind[~common], kind="stable")
    bar, kind = bar[~common][order], kind[~common][order]
    others = count[kind]
    first = np.searchsorted(kind, kind)
    other = np.repeat(first - np.cumsum(others) + others, others) + np.arange(int(others.sum()))
    pair = np.repeat(bar, others) * bars + bar[other]
    both += np.bincount(pair, minlength=bars * bars).reshape(bars, bars)
    return both


def _hashed_similarity(cells: Cells) -> np.ndarray:
    """(M, M) cosines of (track, position, pitch) hashed to a few hundred columns: for long pieces."""
    notes = cells.notes.astype(np.int64)
    key = (notes[:, TRACK] * 128 + notes[:, POSITION]) * 128 + notes[:, PITCH]
    mixed = (key * 2654435761 >> 7) & 0xFFFFFF  # Knuth's multiplicative hash
    table = np.zeros((len(cells.meters), _HASHED))
    np.add.at(table, (notes[:, BAR], mixed % _HASHED), 1 - 2.0 * (mixed // _HASHED % 2))
    return np.maximum(_cosines(table), 0)


def _rhythms(cells: Cells) -> np.ndarray:
    """(M, 32) how many notes start in each sixteenth of a bar, drums apart from the rest."""
    notes = cells.notes.astype(np.int64)
    lengths = np.array([bar_steps(meter) for meter in cells.meters], np.int64)
    drums = np.append(np.array(cells.instruments, np.int64) == DRUMS, False)[notes[:, TRACK]]
    slot = notes[:, POSITION] * _SLOTS // lengths[notes[:, BAR]] + _SLOTS * drums
    counts = np.bincount(notes[:, BAR] * 2 * _SLOTS + slot, minlength=len(lengths) * 2 * _SLOTS)
    return np.sqrt(counts).reshape(-1, 2 * _SLOTS)


def _cosines(rows: np.ndarray) -> np.ndarray:
    """(M, M) float32; rows of zeros are like each other."""
    length = np.sqrt((rows**2).sum(axis=1, keepdims=True))
    rows = np.hstack([rows / np.where(length > 0, length, 1), length == 0]).astype(np.float32)
    return rows @ rows.T


def _boundary_evidence(cells: Cells, likeness: Likeness) -> np.ndarray:
    """(M,) how much speaks for a section to begin at each bar, log odds; where boundaries are likely at similar places,
    more does."""
    odds = boundary_features(cells, likeness) @ np.array(list(_EVIDENCE.values()))
    echoed = _echoed(likeness.whole, 1 / (1 + np.exp(-odds - _BASE - _RATE)))
    return odds + _BASE + _BELIEF * (echoed - echoed.mean()) / max(float(echoed.std()), 1e-6)


def _echoed(similarity: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(M,) the mean of the values of all other bars, weighted by how alike they are with the two bars before and the
    four from them on."""
    bars = len(similarity)
    padded = np.pad(similarity, ((2, 3), (2, 3)))
    pairs = _diagonal_sums(padded, 2)
    around = (pairs[:-4, :-4] + pairs[2:-2, 2:-2] + pairs[4:, 4:]) / 6
    weight = np.maximum(around - _background(similarity), 0) ** 2
    line = np.arange(bars)
    weight[np.abs(line[:, None] - line) < 2] = 0
    return weight @ values.astype(np.float32) / np.maximum(weight.sum(axis=1), 1e-6)


def _background(similarity: np.ndarray) -> float:
    """The median likeness of two bars, of 128 of them at most."""
    step = -(-len(similarity) // 128)
    return float(np.median(similarity[::step, ::step]))


def boundary_features(cells: Cells, likeness: Likeness) -> np.ndarray:
    """(M, 8) in the order of _EVIDENCE, each with mean 0 and deviation 1 over the piece."""
    activity = _activity(cells)
    change = np.sqrt((np.diff(activity, axis=0, prepend=activity[:1]) ** 2).sum(axis=1))
    rise = np.diff(activity.sum(axis=1), prepend=activity[:1].sum())
    columns = (
        _repetition(likeness.whole, 2, 4, forwards=True),
        _repetition(likeness.whole, 4, 1, forwards=False),
        _repetition(likeness.whole, 8, 4, forwards=False),
        _novelty(likeness.notes, 2),
        change,
        rise,
        _step(likeness.harmony, 1),
        _step(likeness.notes, 2),
    )
    table = np.stack(columns, axis=1).astype(float)
    return (table - table.mean(axis=0)) / np.maximum(table.std(axis=0), 1e-6)


def _activity(cells: Cells) -> np.ndarray:
    """(M, K) square roots of how many notes start in each cell."""
    bars, tracks = len(cells.meters), len(cells.instruments)
    cell = cells.notes[:, BAR].astype(np.int64) * tracks + cells.notes[:, TRACK]
    return np.sqrt(np.bincount(cell, minlength=bars * tracks)).reshape(bars, tracks)


def _step(similarity: np.ndarray, back: int) -> np.ndarray:
    """(M,) how unlike bars t - back + 1 and t - back are; 0 before there are any."""
    column = np.zeros(len(similarity))
    column[back:] = 1 - np.diagonal(similarity, 1)[: len(similarity) - back]
    return column


def _novelty(similarity: np.ndarray, size: int) -> np.ndarray:
    """(M,) likeness within `size` bars before and after each bar line, less that across (Foote 2000)."""
    bars = len(similarity)
    line, offset = np.arange(bars), np.arange(-size, size)
    index = np.clip(line[:, None] + offset, 0, bars - 1)
    inside = (line[:, None] + offset) == index
    patch = similarity[index[:, :, None], index[:, None, :]]
    both = inside[:, :, None] & inside[:, None, :]
    across = (offset[:, None] < 0) != (offset < 0)
    within = ~across & (offset[:, None] != offset)

    def mean(where: np.ndarray) -> np.ndarray:
        return (patch * (both & where)).sum(axis=(1, 2)) / np.maximum((both & where).sum(axis=(1, 2)), 1)

    return np.where(line > 0, mean(within) - mean(across), 0)


def _repetition(similarity: np.ndarray, size: int, most: int, forwards: bool) -> np.ndarray:
    """(M,) how clearly repetitions begin at each bar, or end before it: by how much the `size` bars from it on are like
    others at least as far away, more than the two bars before it are like the two before those; the mean of the `most`
    clearest. With forwards=False before and after change places."""
    bars = len(similarity)
    if not forwards:  # seen from the other end, the line before bar t is the one before bar M - t
        turned = _repetition(similarity[::-1, ::-1], size, most, True)
        return np.append(0.0, turned[1:][::-1])
    padded = np.pad(similarity, ((2, size), (2, size)))
    ahead = _diagonal_sums(padded[2:, 2:], size)[:bars, :bars] / size
    gain = ahead - _diagonal_sums(padded, 2)[:bars, :bars] / 2
    line = np.arange(bars)
    gain[np.abs(line[:, None] - line) < size] = 0
    kept = min(most, bars)
    highest = gain.max(axis=1, keepdims=True) if kept == 1 else np.partition(gain, bars - kept)[:, bars - kept :]
    return np.maximum(highest, 0).mean(axis=1)


def _diagonal_sums(matrix: np.ndarray, size: int) -> np.ndarray:
    """Sums along diagonals of `size` entries, a power of two, from each on; the last rows and columns are lost."""
    width = 1
    while width < size:
        matrix = matrix[:-width, :-width] + matrix[width:, width:]
        width *= 2
    return matrix


def _segmentation(evidence: np.ndarray) -> np.ndarray:
    """(S,) first bars of the sections with the best sum of evidence and of the prior on their lengths."""
    bars = len(evidence)
    best = np.full(bars + 1, -np.inf)
    best[0] = 0.0
    came = np.zeros(bars + 1, np.int64)
    for end in range(1, bars + 1):
        lengths = np.arange(min(SHORTEST, end), min(LONGEST, end) + 1)  # one bar at the very beginning: a pickup
        value = best[end - lengths] + _LENGTH_PRIOR[lengths]
        choice = int(value.argmax())
        best[end] = value[choice] + (evidence[end] if end < bars else 0)
        came[end] = end - lengths[choice]
    starts = []
    end = bars
    while end > 0:
        end = int(came[end])
        starts.append(end)
    return np.array(starts[::-1], np.int64)


def section_letters(similarity: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """(S,) letters from 0: that of the most similar first section of a letter, or a new one."""
    background = _background(similarity)
    limit = background + _LETTER * (1 - background)
    lengths = np.diff(starts, append=len(similarity))
    letters = np.zeros(len(starts), np.int64)
    firsts = starts[:1]
    for section in range(1, len(starts)):
        place = np.arange(lengths[section])
        others = lengths[np.searchsorted(starts, firsts)]
        shared = place < others[:, None]
        bar = np.minimum(firsts[:, None] + place, len(similarity) - 1)
        likeness = (similarity[starts[section] + place, bar] * shared).sum(axis=1) / shared.sum(axis=1)
        likeness[np.abs(others - lengths[section]) > _EXTENDED] = -1
        letters[section] = int(likeness.argmax()) if likeness.max() >= limit else len(firsts)
        if letters[section] == len(firsts):
            firsts = np.append(firsts, starts[section])
    return letters


def _sources(starts: np.ndarray, letters: np.ndarray, bars: int) -> np.ndarray:
    """(M,) the bar of the first section with the same letter, at the same place from its start; -1 for none."""
    source = np.full(bars, -1, np.int64)
    ends = np.append(starts[1:], bars)
    for section, letter in enumerate(letters):
        first = int((letters == letter).argmax())
        shared = min(ends[section] - starts[section], ends[first] - starts[first])
        if first != section:
            source[starts[section] : starts[section] + shared] = starts[first] + np.arange(shared)
    return source


def _variations(cells: Cells, starts: np.ndarray, source: np.ndarray) -> np.ndarray:
    """(S,) the share of cells that sound in a section or in what it takes up and that differ; bars without a source
    differ in sections that have one."""
    bars, tracks = len(source), max(1, len(cells.instruments))
    if not len(starts):
        return np.zeros(0)
    notes = cells.notes.astype(np.int64)
    place = (notes[:, TRACK] * 128 + notes[:, POSITION]) * 128 + notes[:, PITCH]
    span = tracks * 128 * 128
    taken = source[notes[:, BAR]]
    shared = (taken >= 0) & np.isin(taken * span + place, notes[:, BAR] * span + place)
    cell = notes[:, BAR] * tracks + notes[:, TRACK]
    both = np.bincount(cell[shared], minlength=bars * tracks).reshape(bars, tracks)
    size = np.bincount(cell, minlength=bars * tracks).reshape(bars, tracks)
    either = size + np.where(source[:, None] >= 0, size[source], 0) - both
    differs = (both < SAME_CELL * either) & (either > 0)
    section = np.searchsorted(starts, np.arange(bars), side="right") - 1
    returns = np.bincount(section, source >= 0, len(starts)) > 0
    counted = np.bincount(section, (either > 0).sum(axis=1), len(starts))
    return np.where(returns, np.bincount(section, differs.sum(axis=1), len(starts)) / np.maximum(counted, 1), 0.0)
