"""Harmony: which chord sounds in each half bar, how chords follow each other and how closely the notes keep to them.

The chord is an estimate from durations of pitch classes and the bass, with a glance at the neighbouring half bars.
Percussion never counts.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from symusic import Score

from orchestrion.metrics.definition import Metric
from orchestrion.metrics.grid import Grid, on_grid
from orchestrion.music.theory import PITCH_CLASS_NAMES, TRIADS

_QUALITIES = {"": TRIADS["major"], "m": TRIADS["minor"], "dim": (0, 3, 6)}
#: The names behind the numbers of `chords`: 12 * quality + root, as C, C#, ..., then Cm, ..., then Cdim, ..., Bdim.
CHORD_NAMES = tuple(root + quality for quality in _QUALITIES for root in PITCH_CLASS_NAMES)
_ROOT = np.arange(len(CHORD_NAMES)) % 12
#: (36, 12) of 0 and 1: the three pitch classes of each chord. Floats, as numpy multiplies those fast.
_TONES = np.array(
    [np.isin(np.arange(12), np.add(steps, root) % 12) for steps in _QUALITIES.values() for root in range(12)], float
)
# What a root in the bass adds to a cosine, and how much the neighbours on either side count: both, and the roots of the
# durations, were chosen by agreement with the chord labels of POP909.
_BASS_WEIGHT = 0.2
_NEIGHBOUR_WEIGHT = 0.25


def chroma(music: Score | Grid, unit: str = "half-bar") -> np.ndarray:
    """(G, 12) int64, for how many steps each pitch class sounds in each half bar or, with unit="bar", in each bar; two
    notes at once count twice. Zeros where no pitched note sounds, (0, 12) for a Score without notes."""
    grid = _cut(music, unit)
    group, pitch, steps = sounding_steps(grid)
    return np.bincount(group * 12 + pitch % 12, steps, grid.bars * 12).astype(np.int64).reshape(-1, 12)


def chords(music: Score | Grid, unit: str = "half-bar") -> np.ndarray:
    """(G,) int64, the chord of each half bar (or bar) as an index into CHORD_NAMES: a major, minor or diminished triad;
    -1 where no pitched note sounds.

    A chord fits by the cosine of its three tones with the square roots of `chroma` (so that one long note does not
    outweigh the rest), plus 0.2 if the lowest sounding note is its root. Chosen is the one of the best fit with a
    quarter of its fit just before and after added; of equals the first. Sevenths count as their triads: templates of
    four notes agree less with the labels of POP909."""
    grid = _cut(music, unit)
    group, pitch, steps = sounding_steps(grid)
    loudness = np.sqrt(np.bincount(group * 12 + pitch % 12, steps, grid.bars * 12)).reshape(-1, 12)
    lowest = np.full(grid.bars, 128)
    np.minimum.at(lowest, group, pitch)
    silent = lowest == 128
    length = np.sqrt((loudness**2).sum(axis=1, keepdims=True)) + silent[:, None]
    fit = loudness @ _TONES.T / (length * np.sqrt(3)) + _BASS_WEIGHT * (
        ~silent[:, None] & (lowest[:, None] % 12 == _ROOT)
    )
    around = np.pad(fit, ((1, 1), (0, 0)))
    fit += _NEIGHBOUR_WEIGHT * (around[:-2] + around[2:])
    return np.where(silent, -1, fit.round(9).argmax(axis=1))  # rounded: equals are equal on every machine


def chord_progression(music: Score | Grid) -> np.ndarray:
    """(C,) int64, `chords` by half bars, each one once for as long as it lasts; silence is skipped."""
    held = chords(music)
    held = held[held >= 0]
    return held[np.diff(held, prepend=-1) != 0]


def chord_progression_irregularity(music: Score | Grid) -> float:
    """Share of different chord trigrams among all trigrams of `chord_progression`, 0..1 (Wu and Yang 2020).

    Equal chords in a row are one: the paper's lead sheets write a chord where it changes, and C C C would count how
    long a chord is held. nan below three chords. Short pieces reach 1 more easily, so compare like lengths."""
    return _irregularity(chord_progression(music))


def chord_tone_share(music: Score | Grid) -> float:
    """Share of the time of all pitched notes, 0..1, that lies on the three tones of the chord of its half bar; nan
    without pitched notes. The chord is chosen to fit: four random notes in a half bar reach 0.65 on average."""
    steps, held = chroma(music), chords(music)
    return float((steps * _TONES[held]).sum() / steps.sum()) if steps.any() else np.nan  # silence adds zeros


def harmonic_rhythm(music: Score | Grid) -> float:
    """Chord changes a bar, 0..2: changes between neighbours of `chord_progression`, by bars in which a pitched note
    sounds; nan without pitched notes."""
    sounding = chroma(music, "bar").any(axis=1).sum()
    return float((len(chord_progression(music)) - 1) / sounding) if sounding else np.nan


def sounding_steps(grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every pair of a note and a bar of the Grid in which it sounds: the bar, the pitch and for how many steps, at
    least one. What lies beyond the last bar is left out."""
    note, bar = grid.sounding()
    steps = np.minimum(grid.end[note], grid.edges[bar + 1]) - np.maximum(grid.onset[note], grid.edges[bar])
    kept = steps > 0
    return bar[kept], grid.pitch[note[kept]], steps[kept]


def _musdr(music: Score | Grid) -> float:
    chord = chord_progression(music)
    return _irregularity(chord[:-1]) if len(chord) > 3 else 1.0


def _irregularity(chord: np.ndarray) -> float:
    if len(chord) < 3:
        return np.nan
    trigrams = np.lib.stride_tricks.sliding_window_view(chord, 3) @ [len(CHORD_NAMES) ** 2, len(CHORD_NAMES), 1]
    return len(np.unique(trigrams)) / len(trigrams)


def _cut(music: Score | Grid, unit: str) -> Grid:
    """The pitched notes with half bars in place of bars, if `unit` says so."""
    grid = on_grid(music, drums=False)
    if unit not in ("half-bar", "bar"):
        raise ValueError(f'a unit of harmony is "half-bar" or "bar", not {unit!r}')
    if unit == "bar":
        return grid
    edges = np.empty(2 * grid.bars + 1, np.int64)
    edges[::2], edges[1::2] = grid.edges, (grid.edges[:-1] + grid.edges[1:]) // 2
    return replace(grid, edges=edges)


METRICS: tuple[Metric, ...] = (
    Metric(
        "chord-progression-irregularity",
        "chord progression irregularity",
        "How rarely a run of three chords returns: low where a few progressions carry the piece, 1 where none is heard "
        "twice; short pieces come out higher.",
        "different trigrams / all trigrams of the chords by half bars, equal chords in a row taken as one; chord = "
        "major, minor or diminished triad of the largest cosine with the square roots of the durations of the pitch "
        "classes, + 0.2 for a root in the bass, + a quarter of the same in the half bars before and after",
        "share",
        "Wu and Yang (2020), CPI, on estimated chords",
        function=chord_progression_irregularity,
        high=1.0,
        undefined="fewer than three chords",
    ),
    Metric(
        "chord-progression-irregularity:musdr",
        "chord progression irregularity as MusDr counts it",
        "The share of new chord triples as MusDr counts it: the last one left out, and 1 for three chords or fewer.",
        "different trigrams / all trigrams without the last trigram; 1 for three chords or fewer, none included",
        "share",
        "MusDr's code (Wu and Yang 2020), on estimated chords",
        function=_musdr,
        high=1.0,
        undefined="no pitched notes",
    ),
    Metric(
        "chord-tone-share",
        "chord tone share",
        "How much of the sounding time belongs to the chord of the moment: low values mean clusters or many passing "
        "notes, 1 means bare triads.",
        "time of pitched notes on the three tones of the chord of their half bar / time of all pitched notes",
        "share",
        "Orchestrion",
        function=chord_tone_share,
        high=1.0,
        undefined="no pitched notes",
        style=True,
    ),
    Metric(
        "harmonic-rhythm",
        "harmonic rhythm",
        "How often the harmony moves: 0.5 is a new chord every second bar, 2 one in every half bar, the most it can "
        "see.",
        "changes of the chord from one sounding half bar to the next / bars in which a pitched note sounds",
        "changes a bar",
        "Orchestrion",
        function=harmonic_rhythm,
        high=2.0,
        undefined="no pitched notes",
        style=True,
    ),
)
