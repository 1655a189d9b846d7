"""Two tables of measured pieces -> the figures of a report. Every part takes values and gives values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import numpy as np

from orchestrion.evaluation.measuring import Table
from orchestrion.evaluation.music_sets import Item
from orchestrion.evaluation.report import (
    Comparison,
    ControlsKept,
    Copied,
    Copying,
    Distance,
    Figure,
    SentencePairs,
    TwoSample,
)
from orchestrion.metrics.copying import PHRASE_MOVES, RUN_NOTES, CopyIndex
from orchestrion.metrics.definition import Feature, Metric
from orchestrion.metrics.distances import compare_features
from orchestrion.metrics.frechet import StyleVectors, frechet
from orchestrion.metrics.sentences import note_counts, pair_matrix
from orchestrion.metrics.sets import Interval, difference_interval, mean_interval
from orchestrion.metrics.suite import FEATURES, METRICS
from orchestrion.metrics.two_sample import tell_apart, trial

Told = Callable[[int, int], None]

#: The metrics of one number that belong to Yang and Lerch's set, besides all FEATURES.
YANG_LERCH = (
    "pitches-used", "pitches-used-a-bar", "pitch-range", "average-pitch-interval", "average-inter-onset-interval",
    "pitch-classes-a-bar", "notes-a-bar",
)  # fmt: skip
FEWEST_TO_COMPARE = 4  # pieces a side: two halves of two
MOST_SENTENCES = 40
WORST_COPIES = 10
TELLING = 10  # metrics that gave a set away


def figures(generated: Table, reference: Table | None, rng: np.random.Generator) -> list[Figure]:
    """The mean of every metric on either side and their difference, with intervals over pieces."""
    return [_figure(metric, generated, reference, rng) for metric in METRICS]


def _figure(metric: Metric, generated: Table, reference: Table | None, rng: np.random.Generator) -> Figure:
    values = generated.values(metric.id)
    own = mean_interval(values, rng, groups=generated.groups)
    missing = "" if own.pieces else f"{metric.undefined} in any piece"
    fewest = own.pieces
    other = gap = None
    spread = np.nan
    if reference is not None:
        others = reference.values(metric.id)
        other = mean_interval(others, rng, groups=reference.groups)
        gap = difference_interval(values, others, rng, groups=generated.groups, other_groups=reference.groups)
        fewest = min(own.pieces, other.pieces)
        if fewest > 1:
            spread = float(np.sqrt((np.nanvar(values, ddof=1) + np.nanvar(others, ddof=1)) / 2))
        if own.pieces and not other.pieces:
            missing = f"{metric.undefined} in any piece of the reference"
    return Figure(metric.definition, own, other, gap, spread, missing, "" if missing else _few(metric, fewest))


def _few(metric: Metric | Feature, pieces: int) -> str:
    return "" if pieces >= metric.fewest_pieces else f"{pieces} pieces; at least {metric.fewest_pieces} are advised"


def compared(
    generated: Table, reference: Table, rng: np.random.Generator, told: Told = lambda done, total: None
) -> list[Comparison]:
    """Every feature, and Yang and Lerch's metrics of one number, by distances within and between the sets."""
    numbers = [metric for metric in METRICS if metric.id in YANG_LERCH]
    rows: list[tuple[Metric | Feature, np.ndarray, np.ndarray]] = [
        *((feature, generated.features(feature.id), reference.features(feature.id)) for feature in FEATURES),
        *((metric, generated.values(metric.id), reference.values(metric.id)) for metric in numbers),
    ]
    result = []
    for done, (row, own, other) in enumerate(rows):
        told(done, len(rows))
        result.append(_comparison(row, own, other, rng))
    told(len(rows), len(rows))
    return result


def _comparison(row: Metric | Feature, own: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> Comparison:
    own, other = (part[~np.isnan(part.reshape(len(part), -1)).any(axis=1)] for part in (own, other))
    fewest = min(len(own), len(other))
    if fewest < FEWEST_TO_COMPARE:
        missing = f"{row.undefined} in all but {fewest} pieces of one side; at least {FEWEST_TO_COMPARE} are needed"
        return Comparison.without(row.definition, missing)
    found = compare_features(own, other, rng)
    return Comparison(definition=row.definition, warning=_few(row, fewest), **vars(found))


def controls_kept(generated: Table, rng: np.random.Generator) -> list[ControlsKept]:
    """For each control, over the pieces that were asked for it."""
    asked = defaultdict(list)
    for row in generated.rows:
        for check in row.checks:
            asked[check.control].append((row.item, check))
    return [
        ControlsKept(
            control,
            mean_interval([float(check.holds) for _, check in found], rng, groups=[item.group for item, _ in found]),
            [(item.name, check.asked, check.measured) for item, check in found if not check.holds],
        )
        for control, found in asked.items()
    ]


def distance(vectors: StyleVectors, generated: Table, reference: Table, rng: np.random.Generator) -> Distance:
    """Fréchet distance of the style of two sets, beside its floor."""
    value, floor = frechet(
        vectors.generated, vectors.reference, rng, groups=generated.groups, other_groups=reference.groups
    )
    pieces = min(len(generated), len(reference)) // 2
    few = f"halves of {pieces} pieces are too few" if vectors.ids else "no measure of style varies in the reference"
    return Distance(value, floor, pieces, "" if value.pieces else few)


def told_by_style(vectors: StyleVectors, generated: Table, reference: Table, rng: np.random.Generator) -> TwoSample:
    """How often logistic regression tells the sets apart by their metrics of style."""
    turns = trial(len(generated), len(reference), rng, groups=generated.groups, other_groups=reference.groups)
    told = tell_apart(vectors.generated, vectors.reference, turns)
    heaviest = np.argsort(-np.abs(told.weights))[:TELLING]
    telling = [(vectors.ids[column], float(told.weights[column])) for column in heaviest]
    return TwoSample("features", told.accuracy(rng), len(turns.chosen), turns.folds, telling, turns.missing)


def copying(
    index: CopyIndex,
    training: str,
    generated: Table,
    reference: Table | None,
    rng: np.random.Generator,
    told: Told = lambda done, total: None,
) -> Copying:
    """The longest runs that the pieces of either side share with the training set, and how much of them is new."""
    tables = [generated] if reference is None else [generated, reference]
    total = sum(map(len, tables))
    rows: list[tuple[Copied, float]] = []
    for table in tables:
        for row in table.rows:
            rows.append(_copied(index, row.item))
            told(len(rows), total)
    own, others = rows[: len(generated)], rows[len(generated) :]

    def interval(found: list[tuple[Copied, float]], value: Callable[[Copied, float], float]) -> Interval:
        groups = generated.groups if found is own else None if reference is None else reference.groups
        return mean_interval([value(*pair) for pair in found], rng, groups=groups)

    def kinds(found: list[tuple[Copied, float]], side: str) -> dict[str, Interval]:
        return {
            f"longest_{side}": interval(found, lambda copied, _: copied.notes),
            f"phrase_{side}": interval(found, lambda copied, _: copied.phrase_notes),
            f"novelty_{side}": interval(found, lambda _, novelty: novelty),
        }

    nothing = dict.fromkeys(("longest_reference", "phrase_reference", "novelty_reference"))
    worst = sorted((copied for copied, _ in own), key=lambda copied: -copied.phrase_notes)[:WORST_COPIES]
    return Copying(training, RUN_NOTES, worst=worst, **kinds(own, "generated"),
                   **(kinds(others, "reference") if others else nothing))  # fmt: skip


def _copied(index: CopyIndex, item: Item) -> tuple[Copied, float]:
    shared = index.shared(item.score())
    longest, phrase = shared.longest(), shared.longest(PHRASE_MOVES)
    source = phrase or longest
    notes, phrase_notes = (0 if run is None else run.notes for run in (longest, phrase))
    return Copied(item.name, notes, phrase_notes, source.piece_id if source else ""), shared.novelty()


def sentence_pairs(generated: Table, distribution: str, rng: np.random.Generator) -> SentencePairs | None:
    """How far apart the notes of the sentences lie, for the first MOST_SENTENCES; None for fewer than two."""
    by_sentence: dict[str, list[np.ndarray]] = defaultdict(list)
    for row in generated.rows:
        if row.item.sentence:
            by_sentence[row.item.sentence].append(note_counts(row.item.score(), distribution))
    if len(by_sentence) < 2:
        return None
    chosen = list(by_sentence)[:MOST_SENTENCES]
    matrix = pair_matrix([np.stack(by_sentence[sentence]) for sentence in chosen], rng)
    return SentencePairs(distribution, chosen, matrix, [len(by_sentence[sentence]) for sentence in chosen])
