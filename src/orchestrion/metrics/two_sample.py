"""Can a classifier tell generated music from real music? Cross-validated accuracy; 50 % means that it cannot.

Two-sample test by classifier (Friedman 2003; Lopez-Paz and Oquab 2017). Both sides are brought to the same number of
pieces, and each piece is judged by a classifier that has seen nothing of its group: excerpts of one piece, or pieces of
one sentence, are told by what they share and not by the set they are from. Here: the folds, a logistic regression on
vectors of style, and the picture of a piece that the network of `evaluation.roll_classifier` looks at.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from symusic import Score

from orchestrion.metrics.definition import SetMeasure
from orchestrion.metrics.grid import Grid, on_grid
from orchestrion.metrics.sets import Interval, mean_interval
from orchestrion.music.theory import DRUMS

FEWEST_PIECES = 10  # a side
RIDGE = 1.0  # of the logistic regression, against the log loss summed over pieces
IMAGE_PITCHES, IMAGE_STEPS_A_BAR, IMAGE_BARS = 64, 16, 8
_LOWEST = 28  # E1, the lowest string of a bass; 64 semitones reach up to G6


@dataclass(frozen=True, eq=False)
class Trial:
    """Which pieces are told apart, and in which turns; the pieces of a, then those of b, are counted through.

    chosen: (2n,) pieces, n of either set; generated: (2n,) bool, those of a; fold: (2n,) in which turn a piece is
    judged, 0..folds - 1; groups: (2n,) int. missing: why there is no trial; all is empty then.
    """

    chosen: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    generated: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    fold: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    groups: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    folds: int = 0
    missing: str = ""

    def turns(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(learned from, judged): (2n,) bool each, a turn a fold."""
        for fold in range(self.folds):
            yield self.fold != fold, self.fold == fold


@dataclass(frozen=True, eq=False)
class Told:
    """What came of a trial. correct: (2n,) 1 where a piece was told rightly, 0 wrongly, 0.5 undecided; weights: (d,) of
    standardised features, mean over folds; a positive one means that more of it speaks for a, the generated set."""

    trial: Trial
    correct: np.ndarray
    weights: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def accuracy(self, rng: np.random.Generator, level: float = 0.95) -> Interval:
        """Share of pieces told rightly, 0..1; all nan where there was no trial.

        Groups are resampled as a whole, and the interval is then widened as Nadeau and Bengio (2003) advise, 1.5 times
        for five folds: what is learned in two folds is learned from mostly the same pieces, so that without this 50 %
        lies outside in one of eight trials of equal sets.
        """
        found = mean_interval(self.correct, rng, groups=self.trial.groups.tolist(), level=level)
        wider = np.sqrt(1 + self.trial.folds / max(self.trial.folds - 1, 1))
        low, high = np.clip(found.mean + wider * (np.array([found.low, found.high]) - found.mean), 0.0, 1.0)
        return replace(found, low=float(low), high=float(high))


def trial(
    pieces: int,
    others: int,
    rng: np.random.Generator,
    *,
    groups: Sequence[Hashable] | None = None,
    other_groups: Sequence[Hashable] | None = None,
    folds: int = 5,
) -> Trial:
    """Divide `pieces` generated and `others` reference pieces into folds that hold about as many of either, no group in
    two of them; of the larger set as many are drawn as the smaller has. A name that both sets use is one group, so that
    a piece and its twin on the other side are never learned from and judged in turn."""
    if min(pieces, others) < FEWEST_PIECES:
        return Trial(missing=f"{min(pieces, others)} pieces on one side; at least {FEWEST_PIECES} are needed")
    named = [*(groups or [("generated", piece) for piece in range(pieces)]),
             *(other_groups or [("reference", piece) for piece in range(others)])]  # fmt: skip
    names: dict[Hashable, int] = {}
    group = np.array([names.setdefault(name, len(names)) for name in named])
    n = min(pieces, others)
    order = np.lexsort((rng.random(len(group)), rng.permutation(len(names))[group]))  # group after group
    chosen = np.sort(np.concatenate([order[order < pieces][:n], order[order >= pieces][:n]]))
    generated, group = chosen < pieces, np.unique(group[chosen], return_inverse=True)[1]
    counts = np.stack([np.bincount(group[side], minlength=group.max() + 1) for side in (generated, ~generated)], axis=1)
    folds = min(folds, *(counts > 0).sum(axis=0).tolist())
    if folds < 2:
        return Trial(missing="all pieces of one side belong together, so that none can be judged by the others")
    full, fold_of = np.zeros((folds, 2)), np.zeros(len(counts), int)
    for place in np.lexsort((rng.random(len(counts)), -counts.sum(axis=1))):  # the largest first
        fold_of[place] = np.lexsort((full.sum(axis=1), full @ counts[place]))[0]
        full[fold_of[place]] += counts[place]
    return Trial(chosen, generated, fold_of[group], group, folds)


def tell_apart(a: np.ndarray, b: np.ndarray, trial: Trial, ridge: float = RIDGE) -> Told:
    """Tell vectors (n, d) of generated from (m, d) of reference pieces by logistic regression, standardised by what a
    fold is learned from."""
    x = np.concatenate([a, b])[trial.chosen]
    score = np.zeros(len(x))
    weights = []
    for learned, judged in trial.turns():
        mean, deviation = x[learned].mean(axis=0), x[learned].std(axis=0)
        z = (x - mean) / np.where(deviation > 0, deviation, 1.0)
        share = np.where(trial.generated[learned], trial.generated[learned].mean(), (~trial.generated[learned]).mean())
        weight = logistic_regression(z[learned], trial.generated[learned], 0.5 / share, ridge)
        score[judged] = z[judged] @ weight[1:] + weight[0]
        weights.append(weight[1:])
    return Told(trial, correct(score, trial.generated), np.mean(weights, axis=0) if weights else np.zeros(x.shape[1]))


def correct(score: np.ndarray, generated: np.ndarray) -> np.ndarray:
    """1 where the sign of a score (above 0: generated) is right, 0 where it is wrong, 0.5 where it is 0 (to 1e-9)."""
    return np.where(np.abs(score) < 1e-9, 0.5, (score > 0) == generated)


def logistic_regression(x: np.ndarray, y: np.ndarray, weight: np.ndarray, ridge: float) -> np.ndarray:
    """(n, d), (n,) bool, (n,) weight of each row -> (d + 1,) intercept and weights w that minimise
    sum(weight · log loss) + ridge / 2 · |w|², by Newton's method. A step changes no logit by more than 4, so that it
    cannot jump over the minimum into the flat."""
    x = np.concatenate([np.ones((len(x), 1)), x], axis=1)
    penalty = np.full(x.shape[1], ridge)
    penalty[0] = 1e-9  # none, yet solvable
    w = np.zeros(x.shape[1])
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(x @ w, -500, 500)))
        gradient = x.T @ (weight * (p - y)) + penalty * w
        step = np.linalg.solve((x.T * (weight * p * (1 - p))) @ x + np.diag(penalty), gradient)
        step *= min(1.0, 4 / max(np.abs(x @ step).max(), 1e-300))
        w -= step
        if np.abs(step).max() < 1e-10:
            break
    return w


def roll_image(music: Score | Grid, bars: int = IMAGE_BARS) -> np.ndarray:
    """(3, 64, 16 · bars) uint8, 0 or 1: where pitched notes sound, where they begin, where drums are struck, in `bars`
    bars from the middle of a piece; pitches from E1 up, those beyond lie an octave nearer; 16 columns a bar of whatever
    meter.

    It shows which notes sound together and in which rhythm, and not how loud, how fast or on which instruments, nor how
    long the piece is: music with fewer bars is repeated. As the repeating can be seen, take for both sets as many bars
    as the shorter pieces have (`image_bars`). All 0 without notes.
    """
    grid = on_grid(music)
    image = np.zeros((3, IMAGE_PITCHES, bars * IMAGE_STEPS_A_BAR), np.uint8)
    if not grid.bars:
        return image
    first = max(grid.bars - bars, 0) // 2
    shown = min(bars, grid.bars)
    width = shown * IMAGE_STEPS_A_BAR
    edges = grid.edges[first : first + shown + 1]
    columns = np.arange(shown + 1) * IMAGE_STEPS_A_BAR
    here = (grid.onset < edges[-1]) & (grid.end > edges[0])
    onset, end = (np.interp(time[here], edges, columns) for time in (grid.onset, grid.end))
    begins = grid.onset[here] >= edges[0]
    start = np.minimum(np.floor(onset + 1e-9).astype(int), width - 1)
    stop = np.maximum(np.ceil(end - 1e-9).astype(int), start + 1)
    pitch = grid.pitch[here] - _LOWEST
    pitch = np.where(pitch < 0, pitch % 12, np.where(pitch < IMAGE_PITCHES, pitch, (pitch - 64) % 12 + 52))
    drums = grid.instrument[here] == DRUMS
    ends = np.zeros((IMAGE_PITCHES, width + 1), int)
    np.add.at(ends, (pitch[~drums], start[~drums]), 1)
    np.add.at(ends, (pitch[~drums], stop[~drums]), -1)
    image[0, :, :width] = ends.cumsum(axis=1)[:, :-1] > 0
    image[1, pitch[~drums & begins], start[~drums & begins]] = 1
    image[2, pitch[drums & begins], start[drums & begins]] = 1
    return image[:, :, np.arange(bars * IMAGE_STEPS_A_BAR) % width]


def image_bars(lengths: Sequence[int]) -> int:
    """Bars for `roll_image` of two sets, from the lengths in bars of all their pieces: what 19 of 20 pieces have,
    1..IMAGE_BARS."""
    return int(np.clip(np.quantile(lengths, 0.05, method="lower"), 1, IMAGE_BARS)) if len(lengths) else IMAGE_BARS


_SENTENCE = "How often a judge that learned from other pieces of both sets says rightly which set a piece is from"
SET_MEASURES = (
    SetMeasure(
        "two-sample-features", "told apart by style",
        f"{_SENTENCE}, by its measures of style: 50 % means that it cannot tell, 100 % that it always can.",
        "accuracy of logistic regression (L2, 1 · |w|² / 2) on standardised style metrics, five-fold cross-validation "
        "with groups, as many pieces of either set",
        "share", "Friedman 2003; Lopez-Paz and Oquab 2017", where="orchestrion.metrics.two_sample.tell_apart", high=1.0,
    ),
    SetMeasure(
        "two-sample-rolls", "told apart by piano rolls",
        f"{_SENTENCE}, by looking at up to eight bars of notes: 50 % means that it cannot tell, 100 % that it can.",
        "accuracy of a small convolutional network on piano rolls of the middle bars (64 semitones, 16 steps a bar, no "
        "velocity), five-fold cross-validation with groups, as many pieces of either set",
        "share", "Lopez-Paz and Oquab 2017", where="orchestrion.evaluation.roll_classifier.tell_rolls_apart", high=1.0,
    ),
)  # fmt: skip
