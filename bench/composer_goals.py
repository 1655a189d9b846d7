"""What the composer has to reach: its pieces beside held-out music, one row a goal.

    python bench/composer_goals.py --model RUN_OR_NAME --corpus CORPUS --pieces 200 --out RESULT.json --table
        [--parts style,controls,...] [--composed DIR] [--planner RUN] [--candidates 1] [--no-plan] [--no-sentence]

Composes what the parts need into a folder, a MIDI file and a record a piece (what is there is not composed again), and
measures it. Parts that another run with the same pieces has put into RESULT.json stay there. The reference are excerpts
of validation and test pieces that are long enough, as long as the composed ones. Intervals resample sentences
(composed) and groups of the split (held out).

Ablations: --candidates 1 composes without ranking; --no-plan by the asked fields alone, all else open; --no-sentence
without the words, which leaves the controls that are read from them.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from math import isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
from evaluation import style_rows
from goal_pieces import (
    FEWEST,
    SETS,
    Maker,
    Sample,
    base_of,
    compose_set,
    composed_sample,
    held_out,
    jobs_of,
    real_sample,
)
from mood_classifier import MOOD_ASKED, SENTENCES, hear, trained
from pieces import fingerprint
from plan_goals import (
    LevelsKept,
    chords_found,
    kept_form,
    kept_levels,
    own_form,
    own_levels,
)
from record import commit, record
from rich.progress import Progress
from symusic import Score
from tables import table

from orchestrion.core.errors import UserError
from orchestrion.data.datasets import SINGLE_PARTS
from orchestrion.data.store import open_corpus
from orchestrion.evaluation import comparing
from orchestrion.evaluation.continuations import continuations_of
from orchestrion.evaluation.evaluate import told_by_rolls, training_index
from orchestrion.evaluation.measuring import Table, measure_side
from orchestrion.evaluation.music_sets import Side, open_side
from orchestrion.evaluation.report import Figure
from orchestrion.evaluation.summary import differs
from orchestrion.generation.by_plan import PLANNER
from orchestrion.generation.candidates import COUNT
from orchestrion.metrics import bars as fullness
from orchestrion.metrics import pitch
from orchestrion.metrics.frechet import style_vectors
from orchestrion.metrics.sets import Interval, mean_interval, ratio_interval
from orchestrion.metrics.suite import METRICS
from orchestrion.models.loading import WEIGHTS, Model, load
from orchestrion.music.analysis import estimate_key
from orchestrion.music.bars import bars, instrument
from orchestrion.music.theory import DRUMS
from orchestrion.planning.estimate import PlanError
from orchestrion.representations.cells import CellsError, encode

PARTS = ("style", "copies", "controls", "chords", "levels", "form", "mood", "piano", "continuations", "shares")
#: The set that a part measures; continuations need none.
SET_OF = {
    "style": "style", "copies": "style", "controls": "style", "levels": "style", "shares": "style",
    "chords": "chords", "form": "form", "mood": "mood", "piano": "piano",
}  # fmt: skip
MOST_REFERENCE, MOST_ESTIMATED = 1200, 300
CONTINUED_SHARE = 0.12  # openings to continue, of the pieces

BEAT_STYLES = {"rock", "pop", "funk", "jazz", "pop rock"}
SNARES = (38, 40)
FEW_NOTES, LINE_ONSETS, LINE_TEXTURE, STILL = 8, 32, 1.2, 0.6
A3, MIDDLE_C = 57, 60


@dataclass(frozen=True, eq=False)
class Bench:
    """What the parts measure: folders of composed pieces, a corpus, and what is worked out once."""

    corpus: Path
    folder: Path
    pieces: int
    seed: int
    model: Model
    progress: Progress

    def rng(self, part: str) -> np.random.Generator:
        """A random stream for each part, by its name."""
        return np.random.default_rng((self.seed, *part.encode()))

    def told(self, what: str) -> Callable[[int, int], None]:
        task = self.progress.add_task(what, total=None)
        return lambda done, total: self.progress.update(task, completed=done, total=total)

    def side(self, name: str) -> Side:
        """The composed pieces of a set that this run asks for, of those that are there."""
        wanted = {f"{base_of(Path(), *job)}.mid" for job in jobs_of(name, self.pieces)}
        side = open_side(self.folder / name)
        return replace(side, items=tuple(item for item in side.items if item.name in wanted), label="composed")

    def samples(self, name: str) -> list[Sample]:
        return [composed_sample(item) for item in self.side(name).items]

    @cached_property
    def table(self) -> Table:
        return measure_side(self.side("style"), told=self.told("measuring composed pieces"))

    @cached_property
    def lengths(self) -> list[int]:
        return [max(1, len(bars(item.score()))) for item in self.side("style").items]

    @cached_property
    def real_side(self) -> Side:
        return held_out(self.corpus, self.lengths, self.seed, MOST_REFERENCE)

    @cached_property
    def reference(self) -> Table:
        return measure_side(self.real_side, told=self.told("measuring held-out pieces"))

    @cached_property
    def real(self) -> list[Sample]:
        samples = [real_sample(item) for item in self.real_side.items]
        return [sample for sample in samples if sample.score.note_num()]


# ---- rows


@dataclass(frozen=True)
class Row:
    """One figure. rule: how `value` is to stand to a limit: "most", "least", "near" (real ± limit), "within" (real ±
    limit of it), "below" or "above" (real), or "" where there is no goal."""

    measure: str
    value: Interval
    real: Interval | None = None
    rule: str = ""
    reach: float = nan
    aim: float = nan

    def meets(self, limit: float) -> bool:
        value, real = self.value.mean, self.real.mean if self.real else nan
        return {
            "most": value <= limit, "least": value >= limit, "near": abs(value - real) <= limit,
            "within": abs(value / real - 1) <= limit if real else False, "below": value <= real, "above": value > real,
        }.get(self.rule, False)  # fmt: skip

    @property
    def verdict(self) -> str:
        if not self.rule or isnan(self.value.mean):
            return "–"
        return "aim" if self.meets(self.aim) else "reach" if self.meets(self.reach) else "no"

    def limit(self, limit: float) -> str:
        forms = {"most": "≤ {:g}", "least": "≥ {:g}", "near": "real ± {:g}", "within": "real ± {:.0%}"}
        return forms[self.rule].format(limit) if self.rule in forms else f"{self.rule} real" if self.rule else "–"

    @property
    def cells(self) -> list[Any]:
        """measure, value, reach, aim, real, verdict."""
        return [self.measure, _shown(self.value), self.limit(self.reach), self.limit(self.aim),
                _shown(self.real), self.verdict]  # fmt: skip


def _shown(interval: Interval | None) -> Any:
    if interval is None or isnan(interval.mean):
        return None
    return interval.mean if isnan(interval.low) else {k: getattr(interval, k) for k in ("mean", "low", "high")}


def number(value: float, pieces: int = 0) -> Interval:
    """A figure without bounds."""
    return Interval(float(value), nan, nan, pieces)


def _over(values: Sequence[float], samples: Sequence[Sample], rng: np.random.Generator) -> Interval:
    return mean_interval(values, rng, groups=[sample.group for sample in samples])


def _shares(pairs: Sequence[tuple[int, int]], samples: Sequence[Sample], rng: np.random.Generator) -> Interval:
    """Hits over counts, pieces with a count of 0 left out."""
    hits, counts = np.array(pairs, float).reshape(-1, 2).T
    return ratio_interval(hits, counts, rng, groups=[sample.group for sample in samples])


# ---- style, controls, copies


def style(bench: Bench) -> tuple[list[Row], dict[str, Any]]:
    own, other, rng = bench.table, bench.reference, bench.rng
    vectors = style_vectors([row.measured.values for row in own.rows], [row.measured.values for row in other.rows],
                            [metric for metric in METRICS if metric.style])  # fmt: skip
    told = comparing.told_by_style(vectors, own, other, rng("style"))
    rolls = told_by_rolls(own, other, rng("rolls"), bench.seed, bench.told("a network learns to tell the sets apart"))
    apart = comparing.distance(vectors, own, other, rng("frechet"))
    figures = comparing.figures(own, other, rng("figures"))
    return [
        Row("told from real music by style", told.accuracy, None, "most", 0.72, 0.60),
        Row("told from real music by rolls", rolls.accuracy, None, "most", 0.64, 0.55),
        Row("Fréchet distance over its floor", _times(apart.value, apart.floor.mean), None, "most", 3, 1.5),
        _styles_within(figures),
        Row("the key asked is the key heard", *_keys_heard(bench, rng("keys")), "least", 0.70, 0.75),
        _returns(figures),
    ], {
        "frechet": asdict(apart), "giving away": told.telling,
        "styles": style_rows({"figures": [asdict(figure) for figure in figures]}),
    }  # fmt: skip


def _times(value: Interval, floor: float) -> Interval:
    if isnan(value.mean) or not floor > 0:
        return number(nan)
    return Interval(value.mean / floor, value.low / floor, value.high / floor, value.pieces)


def _styles_within(figures: Sequence[Figure]) -> Row:
    """How many measures of style differ by an interval that holds 0."""
    known = {metric.definition for metric in METRICS if metric.style and not metric.variant}
    rows = [f for f in figures if f.definition in known and f.difference and not isnan(f.difference.mean)]
    same = sum(not differs(figure.difference) for figure in rows)
    return Row(f"style measures within intervals, of {len(rows)}", number(same, len(rows)), None, "least", 22, 35)


def _returns(figures: Sequence[Figure]) -> Row:
    found = next(figure for figure in figures if figure.definition.startswith("phrase-return/"))
    return Row("return of phrases", found.generated, found.reference, "least", 0.05, 0.071)


def _keys_heard(bench: Bench, rng: np.random.Generator) -> tuple[Interval, Interval]:
    """The estimator's key beside the one asked for, and of held-out excerpts beside that of the whole piece."""
    asked = [sample for sample in bench.samples("style") if _key_asked(sample)]
    known = [sample for sample in bench.real if sample.key]
    own, other = ([float(estimate_key(s.score)[0] == s.key) for s in samples] for samples in (asked, known))
    return _over(own, asked, rng), _over(other, known, rng)


def _key_asked(sample: Sample) -> bool:
    return any(row["control"] == "key" for row in (sample.record or {}).get("controls", ()))


def controls(bench: Bench) -> tuple[list[Row], dict[str, Any]]:
    found = comparing.controls_kept(bench.table, bench.rng("controls"))
    rows = [Row(f"controls kept: {kept.control}", kept.kept, None, "least", 1.0, 1.0) for kept in found]
    kept = [float(all(check.holds for check in row.checks)) for row in bench.table.rows]
    whole = mean_interval(kept, bench.rng("all controls"), groups=bench.table.groups)
    return [Row("controls kept", whole, None, "least", 1.0, 1.0), *rows], {
        "failures": [failure for kept in found for failure in kept.failures]
    }


def copies(bench: Bench) -> tuple[list[Row], dict[str, Any]]:
    """Phrases that lie in the training split, beside as many held-out pieces."""
    index, name = training_index(bench.corpus, bench.told("indexing what may have been copied"))
    beside = replace(bench.reference, rows=bench.reference.rows[: len(bench.table)])
    found = comparing.copying(index, name, bench.table, beside, bench.rng("copies"), bench.told("looking for copies"))
    rows = [
        Row("longest copied phrase, notes", found.phrase_generated, found.phrase_reference, "below"),
        Row("share of moves that is new", found.novelty_generated, found.novelty_reference),
    ]
    longest = max(row.phrase_notes for row in found.worst)
    return rows, {"longest": asdict(found.longest_generated), "longest phrase": longest}


# ---- plans


def chords(bench: Bench) -> tuple[list[Row], dict[str, Any]]:
    samples = bench.samples("chords")
    found = [chords_found(sample.sought, encode(sample.score)) if sample.sought else nan for sample in samples]
    whole = _over(found, samples, bench.rng("chords"))
    least = sorted(zip(found, (sample.sentence for sample in samples), strict=True))[:10]
    return [Row(f"asked chords found again, half bars, {len(samples)} pieces", whole, None, "least", 0.90, 0.97)], {
        "least": least
    }


def levels(bench: Bench) -> tuple[list[Row], dict[str, Any]]:
    """Of composed pieces beside their plans; real music beside plans estimated from it."""
    planned = [(sample, plan) for sample in bench.samples("style") if (plan := sample.plan) is not None]
    real, own = _estimated(bench.real[:MOST_ESTIMATED], own_levels)
    kept = [kept_levels(plan, sample.score) for sample, plan in planned]
    sides = ((kept, [sample for sample, _ in planned]), (own, real))
    names = ("levels hit within one step, cells", "levels hit within one step, medians of sections",
             "cells planned to sound that do")  # fmt: skip
    figures = [[_levels(name, *side, bench.rng(name)) for side in sides] for name in ("cells", "sections", "sounding")]
    rules = (("least", 0.80, 0.90), ("least", 0.80, 0.90), ("", nan, nan))
    return [Row(name, *pair, *rule) for name, pair, rule in zip(names, figures, rules, strict=True)], {
        "pieces": len(planned), "levels planned": sum(one.planned for one in kept)
    }  # fmt: skip


def _levels(what: str, kept: Sequence[LevelsKept], samples: Sequence[Sample], rng: np.random.Generator) -> Interval:
    if what == "sections":
        return _over([one.sections for one in kept], samples, rng)
    pairs = [(one.hits, one.planned) if what == "cells" else (one.sounding, one.playing) for one in kept]
    return _shares(pairs, samples, rng)


def _estimated(samples: Sequence[Sample], measure: Callable[[Score], Any]) -> tuple[list[Sample], list[Any]]:
    """What is measured of the samples that a plan can be estimated of."""
    kept, found = [], []
    for sample in samples:
        with suppress(PlanError, CellsError, UserError):
            found.append(measure(sample.score))
            kept.append(sample)
    return kept, found


def form(bench: Bench) -> tuple[list[Row], dict[str, Any]]:
    samples = bench.samples("form")
    kept = [kept_form(sample.sought, sample.score) if sample.sought else (nan, nan) for sample in samples]
    side = held_out(bench.corpus, [32], bench.seed, MOST_ESTIMATED // 3)
    real, own = _estimated([real_sample(item) for item in side.items], own_form)
    names = ("asked form: bars of a repeated section at least nearly equal", "asked form: different letters differ")
    rows = []
    for index, name in enumerate(names):
        pair = [_over([one[index] for one in found], chosen, bench.rng(name))
                for found, chosen in ((kept, samples), (own, real))]  # fmt: skip
        rows.append(Row(name, *pair, "least", 0.85, 0.95))
    return rows, {"pieces": len(samples)}


# ---- moods, piano, continuations


def mood(bench: Bench) -> tuple[list[Row], dict[str, Any]]:
    """What a judge that the composer never met hears in pieces of sentences that name moods in words never seen."""
    classifier, told = trained(open_corpus(bench.corpus), bench.seed, bench.told("learning moods from labelled music"))
    samples = [sample for sample in bench.samples("mood") if sample.score.note_num()]
    asked = [MOOD_ASKED[sample.sentence] for sample in samples]
    heard = [classifier.mood(hear(sample.score)) for sample in samples]
    hits = [float(one == other) for one, other in zip(heard, asked, strict=True)]
    told |= {f"{mood} heard as": {other: sum(a == mood and h == other for a, h in zip(asked, heard, strict=True))
                                  for other in SENTENCES} for mood in SENTENCES}  # fmt: skip
    own = [Row(f"the mood classifier itself: {name.removeprefix('accuracy, ')}, held out", Interval(**value))
           for name, value in told.items() if name.startswith("accuracy, ")]  # fmt: skip
    row = Row("mood of unseen sentences, by the classifier (chance 0.25)", _over(hits, samples, bench.rng("mood")),
              None, "least", 0.60, 0.80)  # fmt: skip
    return [*own, row], told


def piano(bench: Bench) -> tuple[list[Row], dict[str, Any]]:
    samples = [sample for sample in bench.samples("piano") if sample.score.note_num()]
    lengths = [max(1, len(bars(sample.score))) for sample in samples]
    side = held_out(bench.corpus, lengths, bench.seed, MOST_ESTIMATED,
                    lambda piece: piece.instruments == (0,) and piece.dataset not in SINGLE_PARTS)  # fmt: skip
    real = [sample for sample in map(real_sample, side.items) if sample.score.note_num()]
    rows = []
    for name, measure in PIANO_MEASURES.items():
        one, other = (_over([measure(s.score) for s in chosen], chosen, bench.rng(name)) for chosen in (samples, real))
        rows.append(Row(f"solo piano: {name}", one, other, "within", 0.25, 0.10))
    return rows, {"pieces": len(samples), "real pieces": len(real)}


def lowest_note(score: Score) -> float:
    """MIDI number of the lowest pitched note; nan without any."""
    notes = [track.notes.numpy()["pitch"] for track in pitched_tracks(score)]
    return float(min(own.min() for own in notes)) if notes else nan


def both_hands(score: Score) -> float:
    """Share of the bars with onsets, 0..1, in which notes begin below middle C and others from it up."""
    notes = [track.notes.numpy() for track in pitched_tracks(score)]
    if not notes:
        return nan
    keys, times = (np.concatenate([own[name] for own in notes]) for name in ("pitch", "time"))
    bar = bar_of(score, times)
    low, high = (set(bar[side].tolist()) for side in (keys < MIDDLE_C, keys >= MIDDLE_C))
    return len(low & high) / len(low | high)


PIANO_MEASURES: Mapping[str, Callable[[Score], float]] = {
    "notes a bar": fullness.notes_a_bar, "polyphony": pitch.polyphony, "lowest note": lowest_note,
    "share of bars with both hands": both_hands,
}  # fmt: skip


def continuations(bench: Bench) -> tuple[list[Row], dict[str, Any]]:
    side = held_out(bench.corpus, [16], bench.seed, max(FEWEST, round(CONTINUED_SHARE * bench.pieces)))
    items = [replace(item, excerpt_bars=None) for item in side.items]
    found = continuations_of(bench.model, items, bench.rng("continuations"), told=bench.told("continuing openings"))
    rows = [Row(f"continuations beside the opening played again: {name}", found.by_model[key], found.by_repeating[key],
                "above") for key, name in (("f1", "note F1"), ("bleu", "BLEU"))]  # fmt: skip
    return rows, {"pieces": found.pieces, "skipped": len(found.skipped)}


# ---- shares: what was complained of


def pitched_tracks(score: Score) -> list[Any]:
    return [track for track in score.tracks if len(track.notes) and instrument(track) != DRUMS]


def playing_tracks(score: Score) -> list[Any]:
    return [track for track in score.tracks if len(track.notes)]


def bar_of(score: Score, times: np.ndarray) -> np.ndarray:
    """(N,) the bar, from 0, in which each tick lies."""
    return np.searchsorted([bar.start for bar in bars(score)], times, side="right") - 1


def one_velocity(sample: Sample) -> tuple[int, int]:
    """(tracks whose notes are all equally loud, tracks of at least FEW_NOTES notes)."""
    loud = [track.notes.numpy()["velocity"] for track in sample.score.tracks if len(track.notes) >= FEW_NOTES]
    return sum(int(np.ptp(own) == 0) for own in loud), len(loud)


def silent_opening(sample: Sample) -> tuple[int, int]:
    """Of a piece of two or more tracks: whether one of them plays nothing in the first two bars."""
    tracks = playing_tracks(sample.score)
    if len(tracks) < 2:
        return 0, 0
    late = [bar_of(sample.score, track.notes.numpy()["time"]).min() >= 2 for track in tracks]
    return int(any(late)), 1


def no_snare(sample: Sample) -> tuple[int, int]:
    """Of a piece with drums in a style that has a backbeat: whether none of its drum tracks has a snare. By piece, as
    songs of the band set part a kit into tracks."""
    kits = [track.notes.numpy()["pitch"] for track in playing_tracks(sample.score) if instrument(track) == DRUMS]
    keys = np.concatenate([np.zeros(0, int), *kits])
    if not sample.styles & BEAT_STYLES or len(keys) < FEW_NOTES:
        return 0, 0
    return int(not np.isin(keys, SNARES).any()), 1


def repeating_tracks(sample: Sample) -> tuple[int, int]:
    """(pitched tracks of which at least half the bars strike what an earlier bar did, pitched tracks that sound in at
    least four bars)."""
    starts = np.array([bar.start for bar in bars(sample.score)])
    hits = count = 0
    for track in pitched_tracks(sample.score):
        notes = track.notes.numpy()
        own = bar_of(sample.score, notes["time"])
        strikes = np.stack([notes["time"] - starts[own], notes["pitch"]], axis=1)
        contents = [frozenset(map(tuple, strikes[own == bar].tolist())) for bar in np.unique(own)]
        if len(contents) >= FEWEST:
            count += 1
            hits += 2 * (len(contents) - len(set(contents))) >= len(contents)
    return hits, count


def still_lines(sample: Sample) -> tuple[int, int]:
    """(long lines of which more than STILL of the steps stay on one pitch, long lines): pitched tracks of mostly single
    notes with at least LINE_ONSETS onsets, by the highest note of each."""
    hits = count = 0
    for track in pitched_tracks(sample.score):
        notes = track.notes.numpy()
        order = np.lexsort((-notes["pitch"], notes["time"]))
        first = np.append(True, np.diff(notes["time"][order]) != 0)
        line = notes["pitch"][order][first]
        if len(line) >= LINE_ONSETS and len(order) / len(line) < LINE_TEXTURE:
            count += 1
            hits += float(np.mean(np.diff(line) == 0)) > STILL
    return hits, count


def high_solo(sample: Sample) -> tuple[int, int]:
    """Of a piece of one pitched track alone: whether its lowest note is A3 or higher."""
    alone = len(playing_tracks(sample.score)) == 1 and pitched_tracks(sample.score)
    return (int(lowest_note(sample.score) >= A3), 1) if alone else (0, 0)


def ends_on_tonic(sample: Sample) -> tuple[int, int]:
    """Whether the lowest of the notes that sound in the last quarter note of all is the tonic."""
    notes = [track.notes.numpy() for track in pitched_tracks(sample.score)]
    if not notes:
        return 0, 0
    keys, ends = (np.concatenate(rows) for rows in zip(*((n["pitch"], n["time"] + n["duration"]) for n in notes),
                                                       strict=True))  # fmt: skip
    lowest = keys[ends > ends.max() - sample.score.tpq].min()
    return int(lowest % 12 == sample.tonic), 1


#: Name -> measure, how near to real music the share has to be; nan for what is only told.
SHARES: Mapping[str, tuple[Callable[[Sample], tuple[int, int]], float]] = {
    "tracks with one velocity": (one_velocity, 0.1),
    "multi-track pieces with a track silent for the first two bars": (silent_opening, 0.1),
    "drums without snare (rock, pop, funk, jazz)": (no_snare, 0.1),
    "pitched tracks of which at least half the bars are exact repeats": (repeating_tracks, nan),
    "long lines of over 60 % repeated pitch": (still_lines, nan),
    "solo pieces whose lowest note is A3 or higher": (high_solo, nan),
}


def shares(bench: Bench) -> tuple[list[Row], dict[str, Any]]:
    """Excerpts are the reference, and of endings whole pieces."""
    own, real = bench.samples("style"), bench.real
    rows = []
    for name, (measure, near) in SHARES.items():
        one, other = (_shares([measure(s) for s in chosen], chosen, bench.rng(name)) for chosen in (own, real))
        rows.append(Row(name, one, other, "" if isnan(near) else "near", near, near))
    whole = [real_sample(replace(item, excerpt_bars=None)) for item in bench.real_side.items[:MOST_ESTIMATED]]
    sides = ((own, "composed endings"), ([sample for sample in whole if sample.key], "real endings"))
    ends = [_shares([ends_on_tonic(sample) for sample in chosen], chosen, bench.rng(name)) for chosen, name in sides]
    rows.append(Row("pieces that end on the tonic in the lowest voice", *ends))
    return rows, {"pieces": len(own), "real": len(real)}


MEASURES: Mapping[str, Callable[[Bench], tuple[list[Row], dict[str, Any]]]] = {
    "style": style, "copies": copies, "controls": controls, "chords": chords, "levels": levels, "form": form,
    "mood": mood, "piano": piano, "continuations": continuations, "shares": shares,
}  # fmt: skip


# ---- the result


def goals_table(parts: Mapping[str, Any]) -> dict[str, Any]:
    """All rows of all parts, as `tables.py` prints them."""
    return {
        "title": "The composer beside its goals",
        "columns": ["measure", "value", "reach", "aim", "real", "reached"],
        "rows": [row for name in PARTS if name in parts for row in parts[name]["table"]],
        "note": "Real: held-out excerpts as long as the composed pieces; of levels and form, real music beside the "
        "plan estimated from it; of continuations, the opening played again; of endings, whole pieces.",
    }


def kept_parts(out: Path, setting: Mapping[str, Any]) -> dict[str, Any]:
    """The parts that a run of the same setting has written to a file."""
    with suppress(FileNotFoundError, ValueError, KeyError):
        found = json.loads(out.read_text("utf-8"))["figures"]
        if found["setting"] == json.loads(json.dumps(setting)):
            return dict(found["parts"])
    return {}


def planner_of(named: str | None) -> Model | None:
    """The planner that is named, else that of the package; None where it has none."""
    return load(named or PLANNER) if named or (WEIGHTS / PLANNER / "config.json").exists() else None


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="composer", help="a run, a checkpoint or the name of bundled weights")
    parser.add_argument("--planner", help="who plans; else the planner of the package, where there is one")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--pieces", type=int, default=200)
    parser.add_argument("--out", type=Path, required=True, help="RESULT.json")
    parser.add_argument("--composed", type=Path, help="folder of the pieces; else beside RESULT.json")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--candidates", type=int, default=COUNT)
    parser.add_argument("--no-plan", action="store_true")
    parser.add_argument("--no-sentence", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", action="store_true", help="print the rows as Markdown")
    options = parser.parse_args(arguments)
    options.parts = options.parts.split(",")
    if unknown := [part for part in options.parts if part not in PARTS]:
        parser.error(f"there is no part {unknown[0]!r}; choose of {', '.join(PARTS)}")
    words = sys.argv if arguments is None else ["composer_goals.py", *arguments]
    options.command = shlex.join(["python", f"bench/{Path(words[0]).name}", *map(_last_name, words[1:])])
    return options


def _last_name(word: str) -> str:
    return Path(word).name if Path(word).is_absolute() else word


def main(arguments: Sequence[str] | None = None) -> None:
    options = read_options(arguments)
    model, planner = load(options.model), planner_of(options.planner)
    maker = Maker(model, planner, options.seed, options.candidates, options.no_plan, options.no_sentence)
    folder = options.composed or options.out.with_suffix("")
    setting = {
        "model": model.named, "planner": planner.named if planner else None, "pieces": options.pieces,
        "seed": options.seed, "candidates": options.candidates, "no plan": options.no_plan,
        "no sentence": options.no_sentence,
    }  # fmt: skip
    parts = kept_parts(options.out, setting)
    with Progress(disable=not sys.stderr.isatty()) as progress:
        bench = Bench(options.corpus, folder, options.pieces, options.seed, model, progress)
        for part in options.parts:
            if name := SET_OF.get(part):
                compose_set(name, folder / name, maker, options.pieces, bench.told(f"composing: {name}"))
            rows, details = MEASURES[part](bench)
            parts[part] = {
                "table": [row.cells for row in rows],
                "rows": [asdict(row) | {"verdict": row.verdict} for row in rows],
                "details": details, "command": options.command, "commit": commit(),
            }  # fmt: skip
            _write(options, setting, parts, bench)
    if options.table:
        print(table(goals_table(parts)))


def _write(options: argparse.Namespace, setting: Mapping[str, Any], parts: Mapping[str, Any], bench: Bench) -> None:
    """RESULT.json with what is measured so far."""
    sets = {name: fingerprint(bench.folder / name) for name in SETS if (bench.folder / name).is_dir()}
    corpus = json.loads((options.corpus / "corpus.json").read_text("utf-8"))["fingerprint"]
    record(options.out.stem, {"setting": setting, "parts": parts}, command=options.command, seed=options.seed,
           data={"corpus": corpus, "model": bench.model.sha256} | sets, tables=[goals_table(parts)],
           folder=options.out.parent)  # fmt: skip


if __name__ == "__main__":
    main()
