"""Piano performances as Luo's report has them: excerpts, melodies of the highest note, and what it counts of them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import Progress
from symusic import Score, Tempo, Track

from orchestrion.metrics.distances import inter_distances, intra_distances, kl, overlap
from orchestrion.metrics.grid import on_grid
from orchestrion.metrics.pitch import pitches_used
from orchestrion.metrics.yang_lerch import (
    pitch_class_shares,
    pitch_class_transitions,
    pitch_class_transitions_mgeval,
    pitch_shares,
)
from orchestrion.music.edit import notes_of
from orchestrion.music.extent import seconds_at
from orchestrion.music.files import read


@dataclass(frozen=True)
class Performance:
    """Notes in order of onset: seconds (2, N) and pitch (N,); `work` is what is played, by whomever."""

    work: str
    composer: str
    seconds: np.ndarray
    pitch: np.ndarray

    def excerpt(self, seconds: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Seconds (2, n) and pitch (n,) of what begins within a stretch of that length, cut at its end."""
        first = rng.uniform(0, max(self.seconds[1].max() - seconds, 0))
        here = (self.seconds[0] >= first) & (self.seconds[0] < first + seconds)
        return np.minimum(self.seconds[:, here] - first, seconds), self.pitch[here]


def piano(seconds: np.ndarray, pitch: np.ndarray, tpq: int = 480) -> Score:
    """A piece for piano at 120 quarter notes a minute."""
    ticks = np.rint(seconds * 2 * tpq).astype(int)
    score = Score(tpq)
    score.tempos.append(Tempo(0, 120.0))
    track = Track("", 0, False)
    columns = {"time": ticks[0], "duration": np.maximum(np.diff(ticks, axis=0)[0], 1)}
    track.notes = notes_of(columns | {"pitch": pitch, "velocity": np.full(len(pitch), 80)})
    score.tracks.append(track)
    return score


def melody(seconds: np.ndarray, pitch: np.ndarray, steps: int) -> np.ndarray:
    """(steps,) the highest pitch that sounds at each eighth of a second, -1 for silence: Luo's section 5.3.1, four
    ticks a quarter at 120 quarters a minute."""
    line = np.full(steps, -1)
    start, stop = np.rint(seconds * 8).astype(int)
    for note in np.argsort(pitch, kind="stable"):
        line[start[note] : max(stop[note], start[note] + 1)] = pitch[note]
    return line


def melody_score(line: np.ndarray) -> Score:
    """The runs of a melody as notes: a pitch that goes on is one note, as it is in the rolls."""
    first = np.flatnonzero(np.diff(line, prepend=-2))
    spans = np.stack([first, np.append(first[1:], len(line))[: len(first)]])
    sounds = line[first] >= 0
    return piano(spans[:, sounds] / 8, line[first[sounds]])


def step_transitions(line: np.ndarray) -> np.ndarray:
    """(12, 12) pairs of neighbouring time steps that both sound, as pitch classes: held notes fill the diagonal."""
    here = (line[:-1] >= 0) & (line[1:] >= 0)
    return np.bincount(line[:-1][here] % 12 * 12 + line[1:][here] % 12, minlength=144).reshape(12, 12)


def transitions(line: np.ndarray) -> np.ndarray:
    """(3, 12, 12) by the three readings of TRANSITIONS."""
    score = melody_score(line)
    return np.stack([
        step_transitions(line),
        np.nan_to_num(pitch_class_transitions(score)),
        np.nan_to_num(pitch_class_transitions_mgeval(score)),
    ])  # fmt: skip


def performances(folder: Path, progress: Progress) -> list[Performance]:
    with (folder / "maestro-v3.0.0.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = []
    for row in progress.track(rows, description="performances"):
        score = read(folder / row["midi_filename"])
        notes = score.tracks[0].notes.numpy()
        ticks = np.stack([notes["time"], notes["time"] + notes["duration"]])
        order = np.argsort(ticks[0], kind="stable")
        work = f"{row['canonical_composer']}: {row['canonical_title']}"
        seconds = seconds_at(score, ticks)[:, order]
        found.append(Performance(work, row["canonical_composer"], seconds, notes["pitch"][order].astype(int)))
    return found


def halves(
    found: Sequence[Performance], size: int, rng: np.random.Generator
) -> tuple[list[Performance], list[Performance]]:
    """Twice `size` performances (or as many as there are) by chance, no work in both."""
    works = sorted({performance.work for performance in found})
    first = {works[index] for index in rng.permutation(len(works))[: len(works) // 2]}
    drawn = [found[index] for index in rng.permutation(len(found))]
    sides = ([p for p in drawn if p.work in first], [p for p in drawn if p.work not in first])
    return sides[0][:size], sides[1][:size]


def shuffle(line: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The notes and rests of a melody in random order, each as long as it was."""
    first = np.flatnonzero(np.diff(line, prepend=-2))
    runs = np.split(line, first[1:])
    return np.concatenate([runs[index] for index in rng.permutation(len(runs))])


TRANSITIONS = ("from each time step to the next", "from each note to the next", "mgeval's pairs of notes")
FEATURES: dict[str, Callable[[Score], np.ndarray]] = {
    "pitches, share of notes": pitch_shares,
    "pitches, number of notes": lambda score: on_grid(score).pitch_counts,
    "pitch classes, share of notes": pitch_class_shares,
    "pitch-class transitions, shares": pitch_class_transitions,
    "pitch-class transitions, mgeval's counts": pitch_class_transitions_mgeval,
    "number of pitches used": lambda score: np.array([pitches_used(score)]),
}
SUMS = (
    "mean distance within", "each piece's mean, summed: within", "across", "every pair: within, once", "each with each",
    "across / within",
)  # fmt: skip
KLS = ("KL, nats", "KL by mgeval", "overlap")


def distances_of(one: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """SUMS and KLS of the pieces of two sets; mgeval's KL, which takes a minute for 500 pieces, is of 200."""
    within, across = intra_distances(one), inter_distances(one, other)
    some = within[:200, :199], across[:200, :200]
    ratio = across.mean() / within.mean() if within.any() else np.nan
    values = (
        within.mean(), within.mean(axis=1).sum(), across.mean(axis=1).sum(), within.sum() / 2, across.sum(),
        ratio, kl(within, across), kl(*some, "mgeval"), overlap(within, across),
    )  # fmt: skip
    return dict(zip(SUMS + KLS, map(float, values), strict=True))


def known(features: Sequence[np.ndarray]) -> np.ndarray:
    """(n, ...) those of the pieces that have the feature."""
    return np.array([feature for feature in features if not np.isnan(feature).any()], float)
