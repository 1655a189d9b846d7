"""What a listening test found, as values: the one thing that the table, `listening.json` and `listening.html` are made
from. Listeners are numbers here; their names stay in the store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import nan
from typing import Any

import numpy as np

from orchestrion.listening.entries import Entry
from orchestrion.listening.store import Store
from orchestrion.listening.test_plan import ANSWERS, TEST, ListeningError
from orchestrion.metrics.agreement import Level, krippendorff_alpha
from orchestrion.metrics.preference import (
    binomial_test,
    bradley_terry,
    exact_interval,
    preferred_to_reference,
    wilson_interval,
)
from orchestrion.metrics.sets import Interval, mean_interval, ratio_interval

GRADES = {"poor": 0, "average": 1, "good": 2}


@dataclass(frozen=True)
class Share:
    """How often an answer was given. wilson, exact: 95 % intervals of the share as if all answers were independent;
    by_listener: bootstrap over listeners, who answer several times each; nan for fewer than two of them, and where all
    answers are the same. p: two-sided exact test against one half, nan where that is no question."""

    count: int
    of: int
    wilson: Interval
    exact: Interval
    by_listener: Interval
    p: float = nan


@dataclass(frozen=True)
class Heard:
    """A set as it was judged. shares: by question and answer. fooled: of a machine's set, how often it passed for
    human; against_human: that less the same share of the humans' sets, listener by listener. grade: mean of poor 0,
    average 1, good 2."""

    name: str
    human: bool
    pieces: int
    shares: dict[str, dict[str, Share]]
    fooled: Share | None
    against_human: Interval
    grade: Interval


@dataclass(frozen=True)
class Compared:
    """Two sets against each other. won: how often the first was preferred, of the answers that preferred one."""

    first: str
    second: str
    won: Share
    same: int


@dataclass(frozen=True)
class Ranked:
    """A set in the Bradley–Terry ranking. log_strength: that of the reference is 0; chance: of being preferred to a
    piece of the reference, with a bootstrap over listeners; both nan for the reason `unresolved`."""

    name: str
    log_strength: float
    chance: Interval
    unresolved: str = ""


@dataclass(frozen=True)
class Listener:
    """human, machine: of people's pieces and of the machines', how many he told right, and of how many."""

    number: int
    answers: int
    human: tuple[int, int]
    machine: tuple[int, int]

    @property
    def told_apart(self) -> float:
        """Mean of both shares, so that who says the same of everything has one half; nan where he heard one kind."""
        (right, of), (also_right, also_of) = self.human, self.machine
        return (right / of + also_right / also_of) / 2 if of and also_of else nan


@dataclass(frozen=True)
class Results:
    """A listening test. told_apart: mean over listeners of `Listener.told_apart`, with a bootstrap. first: how often
    the piece heard first was preferred, of the answers that preferred one. alpha: Krippendorff's, by question; nan
    where no two listeners judged one piece. settings: of the test."""

    settings: dict[str, Any]
    listeners: list[Listener]
    finished: int
    answers: int
    sets: list[Heard]
    told_apart: Interval
    compared: list[Compared]
    ranking: list[Ranked]
    reference: str
    first: Share | None
    alpha: dict[str, float]


def results(store: Store, *, seed: int = 0, resamples: int = 2000) -> Results:
    """Of the answers that stand. seed: of the bootstraps. Raises ListeningError where there is no test or no answer."""
    test = store.item(TEST)
    if test is None:
        raise ListeningError(f"{store.place} holds no listening test")
    items = {item.id: item for item in store.items()}
    settings, rng = dict(test.meta), np.random.default_rng(seed)
    sets: dict[str, bool] = settings["sets"]
    said = [entry for entry in store.settled() if entry.question in ANSWERS]
    numbers = {labeler: store.enter(labeler, labeler) for labeler in {entry.labeler for entry in said}}
    if not said:
        raise ListeningError(f"nobody has answered in {store.place} yet; open the page and listen")
    source = {id: item.source for id, item in items.items()}
    asked: dict[str, list[Entry]] = defaultdict(list)
    for entry in said:
        asked[entry.question].append(entry)
    measure = _Shares(rng, resamples)
    pairs = [(entry.labeler, items[entry.item].meta, entry.answer) for entry in asked["preference"]]
    votes = [
        (labeler, source[meta["first"]], source[meta["second"]], answer) for labeler, meta, answer in pairs
    ]  # fmt: skip
    ranking, reference = _ranking(votes, sets, rng, resamples) if votes else ([], "")
    decided = [(labeler, answer == "first") for labeler, *_, answer in votes if answer != "same"]
    listeners = [
        _listener(number, [entry for entry in said if entry.labeler == labeler], sets, source)
        for labeler, number in sorted(numbers.items(), key=lambda row: row[1])
    ]
    return Results(
        settings=settings,
        listeners=listeners,
        finished=sum(listener.answers >= _wanted(settings) for listener in listeners),
        answers=len(said),
        sets=[_heard(name, sets, asked, source, measure) for name in sets],
        told_apart=measure.mean([(str(row.number), row.told_apart) for row in listeners if row.told_apart >= 0]),
        compared=[_compared(one, other, votes, measure) for one, other in combinations(sets, 2)] if votes else [],
        ranking=ranking,
        reference=reference,
        first=measure(decided, coin=True) if decided else None,
        alpha=_alphas(asked),
    )


class _Shares:
    """Makes shares of (listener, whether so) rows."""

    def __init__(self, rng: np.random.Generator, resamples: int) -> None:
        self.rng, self.resamples = rng, resamples

    def __call__(self, rows: Sequence[tuple[str, bool]], *, coin: bool = False) -> Share:
        count, of = sum(so for _, so in rows), len(rows)
        by_listener = Interval(count / of if of else nan, nan, nan, of)
        if len({labeler for labeler, _ in rows}) > 1 and 0 < count < of:
            groups = [labeler for labeler, _ in rows]
            values, ones = [float(so) for _, so in rows], [1.0] * of
            by_listener = ratio_interval(values, ones, self.rng, groups=groups, resamples=self.resamples)
        p = binomial_test(count, of) if coin else nan
        return Share(count, of, wilson_interval(count, of), exact_interval(count, of), by_listener, p)

    def mean(self, rows: Sequence[tuple[str, float]]) -> Interval:
        """Of (listener, value) rows, drawn by listener."""
        labelers, values = [labeler for labeler, _ in rows], [value for _, value in rows]
        if len(set(labelers)) < 2:
            return Interval(float(np.mean(values)) if values else nan, nan, nan, len(values))
        return mean_interval(values, self.rng, groups=labelers, resamples=self.resamples)


def _wanted(settings: Mapping[str, Any]) -> int:
    """Answers that a listener gives in all."""
    sets, asked = len(settings["sets"]), settings["asked"]
    each = 2 * ("rating" in asked) + ("real" in asked)
    return sets * settings["items"] * each + ("preference" in asked) * settings["pairs"] * sets * (sets - 1) // 2


def _listener(number: int, own: Sequence[Entry], sets: Mapping[str, bool], source: Mapping[str, str]) -> Listener:
    told = [(sets[source[entry.item]], entry.answer == "human") for entry in own if entry.question == "real"]
    human, machine = [said for human, said in told if human], [not said for human, said in told if not human]
    return Listener(number, len(own), (sum(human), len(human)), (sum(machine), len(machine)))


def _heard(
    name: str, sets: Mapping[str, bool], asked: Mapping[str, list[Entry]], source: Mapping[str, str], measure: _Shares
) -> Heard:
    shares: dict[str, dict[str, Share]] = {}
    own = {question: [entry for entry in rows if source[entry.item] == name] for question, rows in asked.items()}
    for question in ("real", "rating", "inspiring"):
        if rows := own.get(question):
            shares[question] = {
                answer: measure([(entry.labeler, entry.answer == answer) for entry in rows], coin=len(answers) == 2)
                for answers in [ANSWERS[question]]
                for answer in answers
            }
    graded = [(entry.labeler, float(GRADES[entry.answer])) for entry in own.get("rating", ())]
    fooled, against = None, Interval(nan, nan, nan, 0)
    if "real" in shares and not sets[name]:
        fooled = shares["real"]["human"]
        against = measure.mean(_less_human(name, sets, asked["real"], source))
    judged = {entry.item for rows in own.values() for entry in rows}
    return Heard(name, sets[name], len(judged), shares, fooled, against, measure.mean(graded))


def _less_human(
    name: str, sets: Mapping[str, bool], real: Sequence[Entry], source: Mapping[str, str]
) -> list[tuple[str, float]]:
    """(listener, his share of "human" for this set less that for the humans' sets), of those who judged both."""
    passed: dict[tuple[str, bool], list[bool]] = defaultdict(list)
    for entry in real:
        if source[entry.item] == name or sets[source[entry.item]]:
            passed[entry.labeler, sets[source[entry.item]]].append(entry.answer == "human")
    people = sorted({labeler for labeler, _ in passed})
    return [
        (one, float(np.mean(passed[one, False]) - np.mean(passed[one, True])))
        for one in people
        if (one, False) in passed and (one, True) in passed
    ]


def _compared(one: str, other: str, votes: Sequence[tuple[str, str, str, str]], measure: _Shares) -> Compared:
    met = [vote for vote in votes if {vote[1], vote[2]} == {one, other}]
    won = [(labeler, (first if answer == "first" else second) == one)
           for labeler, first, second, answer in met if answer != "same"]  # fmt: skip
    return Compared(one, other, measure(won, coin=True), len(met) - len(won))


def _ranking(
    votes: Sequence[tuple[str, str, str, str]], sets: Mapping[str, bool], rng: np.random.Generator, resamples: int
) -> tuple[list[Ranked], str]:
    """Strongest first, those without a strength last; and the reference: a humans' set if it has a strength."""
    names, people = list(sets), {labeler: row for row, labeler in enumerate(sorted({vote[0] for vote in votes}))}
    wins = np.zeros((len(people), len(names), len(names)))
    for labeler, first, second, answer in votes:
        at = people[labeler], names.index(first), names.index(second)
        wins[at] += {"first": 1.0, "same": 0.5, "second": 0.0}[answer]
        wins[at[0], at[2], at[1]] += {"first": 0.0, "same": 0.5, "second": 1.0}[answer]
    fit = bradley_terry(wins.sum(axis=0))
    human = next((row for row, name in enumerate(names) if sets[name] and row not in fit.unresolved), fit.reference)
    fit = bradley_terry(wins.sum(axis=0), reference=human)
    chances = preferred_to_reference(wins, rng, reference=human, resamples=resamples)
    ranked = [
        Ranked(name, float(fit.strengths[row]), chances[row], fit.unresolved.get(row, ""))
        for row, name in enumerate(names)
    ]
    return sorted(ranked, key=lambda row: (bool(row.unresolved), -np.nan_to_num(row.log_strength))), names[human]


def _alphas(asked: Mapping[str, Sequence[Entry]]) -> dict[str, float]:
    alphas = {}
    levels: dict[str, Level] = {"real": "nominal", "rating": "ordinal", "inspiring": "nominal"}
    for question, level in levels.items():
        if rows := asked.get(question):
            pieces = {item: column for column, item in enumerate(sorted({entry.item for entry in rows}))}
            people = {name: row for row, name in enumerate(sorted({entry.labeler for entry in rows}))}
            table: list[list[str | int | None]] = [[None] * len(pieces) for _ in people]
            for entry in rows:
                told = GRADES[entry.answer] if question == "rating" else entry.answer
                table[people[entry.labeler]][pieces[entry.item]] = told
            alphas[question] = krippendorff_alpha(table, level=level)
    return alphas
