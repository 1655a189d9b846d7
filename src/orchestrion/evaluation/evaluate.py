"""An evaluation from end to end: two places in, one report out."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import symusic
from symusic import Score

import orchestrion
from orchestrion.data.copies import copy_index
from orchestrion.data.store import open_corpus
from orchestrion.evaluation import comparing
from orchestrion.evaluation.composed import composed_side, is_model, read_sentences
from orchestrion.evaluation.continuations import continuations_of
from orchestrion.evaluation.likelihood import likelihood_of
from orchestrion.evaluation.measuring import Table, measure_side
from orchestrion.evaluation.music_sets import EvaluationError, Side, open_side
from orchestrion.evaluation.report import Report, TwoSample
from orchestrion.evaluation.roll_classifier import tell_rolls_apart
from orchestrion.evaluation.typical import shown_pieces
from orchestrion.metrics.copying import CopyIndex
from orchestrion.metrics.frechet import style_vectors
from orchestrion.metrics.suite import METRICS
from orchestrion.metrics.two_sample import IMAGE_STEPS_A_BAR, image_bars, trial
from orchestrion.models.base import LikelihoodSystem
from orchestrion.models.loading import Model, load
from orchestrion.music import ScoreError

Told = Callable[[int, int], None]
Progress = Callable[[str, str], AbstractContextManager[Told]]
MUCH_LONGER = 1.5  # median of bars, reference over generated, above which excerpts are compared


@dataclass(frozen=True)
class Wishes:
    """How to evaluate; the options of the command, which says what each means."""

    split: str | None = None
    lengths: str = "auto"
    training: Path | None = None
    model: Path | None = None
    sentences: Path | None = None
    count: int = 200
    most: int = 2000
    seed: int = 0
    quick: bool = False
    workers: int = 1
    likelihood_pieces: int = 24


def evaluate_places(generated: Path, reference: Path | None, out: Path, wishes: Wishes, progress: Progress) -> Report:
    """Open both places, measure and compare them. A model composes first, into `out`/pieces or `out`/reference.

    progress: given what is done and in which unit, a context in which (done, total) can be told. Raises UserError.
    """
    places = [place for place in (generated, reference) if place is not None]
    if wishes.sentences is not None and not any(map(is_model, places)):
        raise EvaluationError(f"{generated} is music and composes nothing from --sentences; name a run or composer")
    if wishes.split is not None and (reference is None or is_model(reference)):
        raise EvaluationError("--split is of a reference corpus; name one with --reference")
    own, model = _opened(generated, None, out / "pieces", wishes, progress)
    other = None if reference is None else _opened(reference, wishes.split, out / "reference", wishes, progress)[0]
    judge = load(wishes.model) if wishes.model is not None else model
    return evaluate(own, other, wishes, progress, judge)


def _opened(
    place: Path, split: str | None, folder: Path, wishes: Wishes, progress: Progress
) -> tuple[Side, Model | None]:
    """A side and, where it is a model that composes it into `folder`, that model."""
    if not is_model(place):
        return open_side(place, split).sample(wishes.most, wishes.seed), None
    model, sentences = load(place), read_sentences(wishes.sentences) if wishes.sentences else [""]
    with progress(f"composing by {model.name}", "pieces") as told:
        side = composed_side(model, folder, sentences, pieces=wishes.count, seed=wishes.seed, told=told)
    return side, model


def evaluate(
    generated: Side, reference: Side | None, wishes: Wishes, progress: Progress, judge: Model | None = None
) -> Report:
    """Measure and compare two sides, or measure one. judge: the model whose likelihood of the reference is asked."""
    rngs = _Streams(wishes.seed)
    own = _table(generated, wishes, progress)
    other = None if reference is None else _reference(reference, own, wishes, progress)
    remarks = []
    parts: dict[str, Any] = {"controls": comparing.controls_kept(own, rngs("controls"))}
    parts["sentences"] = comparing.sentence_pairs(own, "pitch", rngs("sentences"))
    if other is None:
        remarks.append(
            "no --reference: distances, densities and the tests of telling apart need something to compare with"
        )
    else:
        parts |= _compared(own, other, wishes, progress, rngs)
    if wishes.training is None:
        remarks.append("copies were not looked for; --training names what may have been copied")
    else:
        with progress("indexing what may have been copied", "pieces") as told:
            index, name = training_index(wishes.training, told)
        with progress("looking for copies", "pieces") as told:
            parts["copying"] = comparing.copying(index, name, own, other, rngs("copying"), told)
    if judge is None:
        remarks.append("no model was named, so there is no likelihood; --model names one")
    elif reference is not None and wishes.quick:
        remarks.append("--quick: likelihood, continuations and the network that looks at rolls were left out")
    elif reference is not None:
        if not isinstance(judge.system, LikelihoodSystem):
            remarks.append(f"{judge.name} does not say how likely music is, so there is no likelihood")
        parts |= _judged(judge, reference, wishes, progress, rngs)
    against = "" if other is None else f" beside {other.side.label}"
    return Report(
        title=f"{generated.label}{against}",
        generated=own.info,
        reference=None if other is None else other.info,
        figures=comparing.figures(own, other, rngs("figures")),
        remarks=remarks,
        settings={name: value.name if isinstance(value, Path) else value for name, value in vars(wishes).items()},
        versions=_versions(),
        **parts,
    )


class _Streams:
    """A random stream for each part, by its name, so that leaving one out changes no other."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, part: str) -> np.random.Generator:
        return np.random.default_rng((self.seed, *part.encode()))


def _table(side: Side, wishes: Wishes, progress: Progress) -> Table:
    with progress(f"measuring {side.label}", "pieces") as told:
        return measure_side(side, workers=wishes.workers, told=told)


def _reference(side: Side, own: Table, wishes: Wishes, progress: Progress) -> Table:
    """The reference measured, whole or in excerpts as long as the pieces of the other side."""
    known = side.bars
    if wishes.lengths == "match" or (wishes.lengths == "auto" and known and _longer(known, own)):
        return _table(side.excerpts(own.bars, wishes.seed), wishes, progress)
    table = _table(side, wishes, progress)
    if wishes.lengths == "auto" and not known and _longer(table.bars, own):
        return _table(side.excerpts(own.bars, wishes.seed), wishes, progress)
    return table


def _longer(bars: Sequence[int] | np.ndarray, own: Table) -> bool:
    return float(np.median(bars)) > MUCH_LONGER * float(np.median(own.bars))


def _compared(own: Table, other: Table, wishes: Wishes, progress: Progress, rngs: _Streams) -> dict[str, Any]:
    vectors = style_vectors(
        [row.measured.values for row in own.rows],
        [row.measured.values for row in other.rows],
        [metric for metric in METRICS if metric.style],
    )
    tests = [comparing.told_by_style(vectors, own, other, rngs("style"))]
    if not wishes.quick:
        with progress("a network learns to tell the sets apart", "epochs") as told:
            tests.append(told_by_rolls(own, other, rngs("rolls"), wishes.seed, told))
    with progress("comparing", "features") as told:
        comparisons = comparing.compared(own, other, rngs("features"), told)
    return {
        "comparisons": comparisons,
        "frechet": comparing.distance(vectors, own, other, rngs("frechet")),
        "two_sample": tests,
        "shown": shown_pieces(vectors, own, other),
    }


def _judged(judge: Model, reference: Side, wishes: Wishes, progress: Progress, rngs: _Streams) -> dict[str, Any]:
    """How likely a model finds whole pieces of the reference, where it can say so, and how it continues them."""
    items = reference.sample(wishes.likelihood_pieces, wishes.seed).items
    likelihood = []
    if isinstance(judge.system, LikelihoodSystem):
        with progress(f"likelihood under {judge.name}", "pieces") as told:
            likelihood = [likelihood_of(judge.system, judge.name, items, rngs("likelihood"), told)]
    with progress(f"{judge.name} continues openings", "pieces") as told:
        continued = continuations_of(judge, items, rngs("continuations"), told=told)
    return {"likelihood": likelihood, "continuations": continued}


def training_index(place: Path, told: Told) -> tuple[CopyIndex, str]:
    """The index of a corpus's training pieces, kept in its folder; or of all files of a folder, built each time."""
    if (place / "corpus.json").exists():
        return copy_index(open_corpus(place), progress=told), f"{place.name}, split train"
    side = open_side(place)

    def scores() -> Iterator[tuple[str, Score]]:
        for done, item in enumerate(side.items):
            told(done, len(side.items))
            with suppress(ScoreError):
                yield item.name, item.score()

    return CopyIndex.build(scores()), side.label


def told_by_rolls(own: Table, other: Table, rng: np.random.Generator, seed: int, told: Told) -> TwoSample:
    """How often a small network tells the sets apart by looking at piano rolls."""
    turns = trial(len(own), len(other), rng, groups=own.groups, other_groups=other.groups)
    steps = IMAGE_STEPS_A_BAR * image_bars([*own.bars, *other.bars])
    a, b = (np.stack([row.image[..., :steps] for row in table.rows]) for table in (own, other))
    found = tell_rolls_apart(a, b, turns, seed, told)
    return TwoSample("rolls", found.accuracy(rng), len(turns.chosen), turns.folds, [], turns.missing)


def _versions() -> dict[str, str]:
    return {
        "orchestrion": orchestrion.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "symusic": symusic.__version__,
        "torch": version("torch"),
    }
