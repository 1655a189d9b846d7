"""Which chord and which bass sound in each half bar of a piece, as codes, and whether music keeps to chords asked for.

Everything is estimated from the note table with numpy alone. Shapes: N notes, M bars, G = 2M half bars. Percussion and
sound effects never count.
"""

from __future__ import annotations

import numpy as np

from orchestrion.music.chords import FIRST_CHORD, NO_CHORD, QUALITIES, QUALITY_NAMES, TRIAD_OF
from orchestrion.music.theory import SCALES
from orchestrion.representations.cells import BAR, DURATION, PITCH, POSITION, TRACK, Cells, bar_starts

_UNPITCHED = 115  # from woodblock on: sticks, cymbals, sound effects and drums
_TRIADS = ("", "m", "dim")  # what is decided first; everything richer follows from their roots
_IS_DIMINISHED = np.repeat([name == "dim" for name in _TRIADS], 12)
_ROOT = np.tile(np.arange(12), len(_TRIADS))
#: (36, 12) of 0 and 1: the pitch classes of each triad.
_TONES = np.array(
    [
        [(pitch_class - root) % 12 in QUALITIES[name] for pitch_class in range(12)]
        for name in _TRIADS
        for root in range(12)
    ],
    float,
)
#: (12, 12) of 0 and 1: the pitch classes of each major scale.
_SCALES = np.array(
    [[(pitch_class - root) % 12 in SCALES["major"] for pitch_class in range(12)] for root in range(12)], float
)
_SEVENTHS = {("", 11): "maj7", ("", 10): "7", ("m", 10): "m7", ("dim", 10): "m7b5"}
# Chosen by agreement with the chord labels of POP909 (bench/chord_labels.py).
_BASS_WEIGHT = 0.17  # what a root in the bass adds to a cosine
_KEY_WEIGHT = 0.04  # what a triad within the key adds
_DIMINISHED = -0.1  # what a diminished triad adds: they are rare
_CHANGE_COST = (0.05, 0.15)  # of another chord at a bar line, and within a bar
_CLEAR = 0.7  # a seventh, fourth or fifth counts from this share of the mean of the triad's tones


def chord_codes(cells: Cells) -> tuple[np.ndarray, np.ndarray]:
    """(chord codes, bass codes), both (2M,) int64, one a half bar; see `orchestrion.music.chords`.

    A triad fits by the cosine of its tones with the square roots of how long each pitch class sounds, as in
    `metrics.harmony`; a root in the bass and tones of the key add to it, a diminished fifth takes away. Of all
    sequences of triads the one of the best sum is chosen, where each change costs something, more within a bar than at
    its line (Viterbi): a chord holds where both halves of a bar are close. Given root and triad, a seventh, a fourth in
    place of the third or a raised fifth makes it richer where it clearly sounds. A single silent half bar holds the
    chord before it; in longer silence there is NO_CHORD and the bass is 0. The bass is the lowest note that sounds for
    a quarter of the half bar, or the lowest.
    """
    steps, bass = _sounding(cells)
    silent = steps.max(axis=1) == 0
    strength = np.sqrt(steps)
    fit = _fit(strength, bass)
    triad = _best_path(fit) if len(fit) else np.zeros(0, np.int64)
    codes = np.where(silent, NO_CHORD, _enriched(triad, steps))
    basses = np.where(silent, 0, bass + 1)
    after = np.append(silent[1:], True)
    held = np.flatnonzero(silent & ~np.append(True, silent[:-1]) & ~after)
    codes[held], basses[held] = codes[held - 1], basses[held - 1]
    return codes, basses


def found_share(asked: np.ndarray, cells: Cells) -> float:
    """Share, 0..1, of the half bars with an asked chord in which `chord_codes` finds its root and triad.

    asked: (2M,) chord codes; UNKNOWN and NO_CHORD ask for nothing. Half bars beyond the shorter of the two do not
    count. nan where no chord is asked."""
    found = chord_codes(cells)[0]
    count = min(len(found), len(asked))
    asked, found = np.asarray(asked[:count], np.int64), found[:count]
    wanted = asked >= FIRST_CHORD
    if not wanted.any():
        return float("nan")
    return float((triad_numbers(asked[wanted]) == triad_numbers(found[wanted])).mean())


def triad_numbers(codes: np.ndarray) -> np.ndarray:
    """12 * triad + root of chord codes, sevenths as their triads; -1 where there is no chord."""
    quality, root = np.divmod(np.maximum(codes - FIRST_CHORD, 0), 12)
    return np.where(codes >= FIRST_CHORD, 12 * TRIAD_OF[quality] + root, -1)


def pitch_class_steps(cells: Cells) -> np.ndarray:
    """(2M, 12) for how many steps each pitch class sounds in each half bar; two notes at once count twice."""
    return _sounding(cells)[0]


def _sounding(cells: Cells) -> tuple[np.ndarray, np.ndarray]:
    """((G, 12) steps that each pitch class sounds in each half bar, (G,) pitch class of the bass; 0 in silence)."""
    starts = bar_starts(cells.meters)
    edges = np.empty(2 * len(cells.meters) + 1, np.int64)
    edges[::2], edges[1::2] = starts, (starts[:-1] + starts[1:]) // 2
    count = len(edges) - 1
    pitched = np.append(np.array(cells.instruments, np.int64) < _UNPITCHED, False)
    notes = cells.notes.astype(np.int64)
    notes = notes[pitched[notes[:, TRACK]]]
    onset = starts[notes[:, BAR]] + notes[:, POSITION]
    end = np.minimum(onset + notes[:, DURATION], edges[-1])
    first = np.searchsorted(edges, onset, side="right") - 1
    halves = np.maximum(np.searchsorted(edges, end, side="left") - first, 1)
    note = np.repeat(np.arange(len(notes)), halves)
    half = first[note] + np.arange(len(note)) - np.repeat(np.cumsum(halves) - halves, halves)
    time = np.minimum(end[note], edges[half + 1]) - np.maximum(onset[note], edges[half])
    pitch = notes[note, PITCH]
    steps = np.bincount(half * 12 + pitch % 12, time, count * 12).reshape(-1, 12)
    # Short notes are lower than nothing: they count only where no longer one sounds.
    rank = pitch + 128 * (4 * time < (edges[half + 1] - edges[half]))
    lowest = np.full(count, 256)
    np.minimum.at(lowest, half, rank)
    return steps, np.where(lowest == 256, 0, lowest % 128 % 12)


def _fit(strength: np.ndarray, bass: np.ndarray) -> np.ndarray:
    """(G, 36) how well each triad fits each half bar; 0 in silence."""
    length = np.sqrt((strength**2).sum(axis=1, keepdims=True))
    sounds = length > 0
    fit = strength @ _TONES.T / (np.where(sounds, length, 1.0) * np.sqrt(3))
    fit += _BASS_WEIGHT * (sounds & (bass[:, None] == _ROOT))
    return fit + sounds * (_KEY_WEIGHT * _in_key(strength.sum(axis=0)) + _DIMINISHED * _IS_DIMINISHED)


def _in_key(strength: np.ndarray) -> np.ndarray:
    """(36,) bool: the triads within the major scale, hence its relative minor, that holds most of the piece."""
    scale = int((_SCALES @ strength).argmax())
    return (_TONES @ _SCALES[scale]) == 3


def _best_path(fit: np.ndarray) -> np.ndarray:
    """(G,) the index of the triad in each half bar, by dynamic programming over stay or change."""
    cost = np.resize(_CHANGE_COST, len(fit)).tolist()
    totals = fit.copy()
    best: list[int] = [0] * len(fit)  # the state before a half bar from which a change comes
    for half in range(1, len(fit)):
        before = totals[half - 1]
        best[half] = state = int(before.argmax())
        totals[half] += np.maximum(before, before[state] - cost[half])
    state = int(totals[-1].argmax())
    path = [state]
    for half in range(len(fit) - 1, 0, -1):
        if totals[half - 1, state] < totals[half - 1, best[half]] - cost[half]:
            state = best[half]
        path.append(state)
    return np.array(path[::-1], np.int64)


def _enriched(triad: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """(G,) chord codes: the triads with what else clearly sounds above their roots, in the whole bar where one triad
    fills it."""
    quality, root = np.divmod(triad, 12)
    whole = np.repeat(triad[::2] == triad[1::2], 2)
    bar = np.repeat(steps[::2] + steps[1::2], 2, axis=0)
    strength = np.sqrt(np.where(whole[:, None], bar, steps))
    above = np.take_along_axis(strength, (root[:, None] + np.arange(12)) % 12, axis=1)  # (G, 12) from the root up
    mean = (above * _TONES[::12][quality]).sum(axis=1, keepdims=True) / 3
    clear = (above >= _CLEAR * mean) & (above > 0)
    names = np.array([QUALITY_NAMES.index(name) for name in _TRIADS])[quality]
    for (base, seventh), name in _SEVENTHS.items():
        chosen = clear[:, seventh] & (above[:, seventh] >= above[:, 21 - seventh])
        names[chosen & (quality == _TRIADS.index(base))] = QUALITY_NAMES.index(name)
    thirdless = (above[:, 3] == 0) & (above[:, 4] == 0)
    names[thirdless & clear[:, 5] & (above[:, 7] > 0)] = QUALITY_NAMES.index("sus4")
    raised = (quality == 0) & clear[:, 8] & (above[:, 7] == 0) & (above[:, 3] == 0)
    names[raised] = QUALITY_NAMES.index("aug")
    return FIRST_CHORD + 12 * names + root
