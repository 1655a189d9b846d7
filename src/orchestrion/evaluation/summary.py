"""An evaluation in a few plain sentences: what the head of the page and the command line say first."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite, isnan

import numpy as np

from orchestrion.evaluation.report import Comparison, Figure, Report, TwoSample
from orchestrion.metrics.definition import Metric
from orchestrion.metrics.sets import Interval
from orchestrion.metrics.suite import DESCRIBED
from orchestrion.rendering.numerals import duration, number, percent, signed, with_bounds


def name(definition: str) -> str:
    """What people call a metric, feature or measure of sets; the definition itself where it is not one of ours. An id
    without its version will do."""
    row = DESCRIBED.get(definition) or next((row for row in DESCRIBED.values() if row.id == definition), None)
    return row.name if row else definition


def standardised(figure: Figure) -> Interval:
    """The difference of a figure in standard deviations between pieces (Cohen's d); all nan where there is none."""
    if figure.difference is None or isnan(figure.difference.mean) or isnan(figure.spread):
        return Interval(np.nan, np.nan, np.nan, 0)
    gap = figure.difference
    mean, low, high = (_over(value, figure.spread) for value in (gap.mean, gap.low, gap.high))
    return Interval(mean, low, high, gap.pieces)


def differs(interval: Interval | None) -> bool:
    """Whether an interval of a difference excludes zero."""
    return interval is not None and (interval.low > 0 or interval.high < 0)


def summary_lines(report: Report) -> list[str]:
    """Five to eight sentences, from what was compared to what the sets share with the training music; parts that are
    not there are passed over."""
    parts: tuple[Callable[[Report], list[str]], ...] = (
        _sets, _told_apart, _style, _frechet, _overlap, _copies, _controls, _sentences, _likelihood,
    )  # fmt: skip
    return [line for part in parts for line in part(report)]


def _over(value: float, spread: float) -> float:
    return value / spread if spread else float(np.copysign(np.inf, value)) if value else 0.0


def _sets(report: Report) -> list[str]:
    ours, theirs = report.generated, report.reference
    first = f"{_count(ours.pieces, 'piece')} of {ours.label} ({duration(ours.hours)})"
    if theirs is None:
        return [f"{first} were measured; there is no reference to compare them with."]
    return [f"{first} are compared with {_count(theirs.pieces, 'piece')} of {theirs.label} ({duration(theirs.hours)})."]


def _told_apart(report: Report) -> list[str]:
    tests = [test for test in report.two_sample if isfinite(test.accuracy.mean)]
    if not tests:
        return []
    verdicts = "; one that sees ".join(_verdict(test) for test in tests)
    telling = next((test.telling for test in tests if test.telling and test.accuracy.low > 0.5), [])
    given_away = [f"{'more' if weight > 0 else 'less'} {_lower(name(metric))}" for metric, weight in telling[:3]]
    reasons = f" Generated music gives itself away by {_listed(given_away)}." if given_away else ""
    return [f"A classifier that sees {verdicts}; 50 % would be chance.{reasons}"]


def _verdict(test: TwoSample) -> str:
    seeing = {"features": "these measures", "rolls": "piano rolls"}.get(test.by, test.by)
    if test.accuracy.low > 0.5:
        return f"{seeing} tells the two sets apart in {percent(test.accuracy)} of cases"
    return f"{seeing} cannot tell the two sets apart: it is right in {percent(test.accuracy)} of cases"


def _style(report: Report) -> list[str]:
    rows = [figure for figure in report.figures if _is_style(figure.definition) and not isnan(standardised(figure).low)]
    if not rows:
        return []
    same = sum(not differs(figure.difference) for figure in rows)
    apart = sorted((f for f in rows if differs(f.difference)), key=lambda f: -abs(standardised(f).mean))[:3]
    furthest = [f"{_lower(name(figure.definition))} ({signed(standardised(figure).mean)})" for figure in apart]
    tail = f"; furthest apart, in standard deviations between pieces: {'; '.join(furthest)}" if furthest else ""
    verb = "agrees" if same == 1 else "agree"
    return [f"Of {_count(len(rows), 'style measure')} {same or 'none'} {verb} within the intervals{tail}."]


def _is_style(definition: str) -> bool:
    row = DESCRIBED.get(definition)
    return isinstance(row, Metric) and row.style and not row.variant


def _frechet(report: Report) -> list[str]:
    part = report.frechet
    if part is None or isnan(part.value.mean):
        return []
    against = f"; two halves of the reference lie {number(part.floor.mean)} apart" if isfinite(part.floor.mean) else ""
    times = part.value.mean / part.floor.mean if part.floor.mean > 0 else np.nan
    ratio = f", so this is {number(times, 1)} times the floor" if isfinite(times) else ""
    return [f"The Fréchet distance of the sets is {with_bounds(part.value)}{against}{ratio}."]


def _overlap(report: Report) -> list[str]:
    rows: list[Comparison] = [comparison for comparison in report.comparisons if _ours(comparison)]
    if not rows:
        return []
    least = min(rows, key=lambda comparison: comparison.oa.mean)
    floors = [comparison.noise["oa"] for comparison in rows if isfinite(comparison.noise.get("oa", np.nan))]
    floor = f" (two halves of the reference: {number(float(np.median(floors)), 2)})" if floors else ""
    middle = float(np.median([comparison.oa.mean for comparison in rows]))
    return [
        f"Distances within the generated set and between the sets overlap by {number(middle, 2)} of 1 in the median of "
        f"{_count(len(rows), 'comparison')}{floor}; least for {_lower(name(least.definition))} "
        f"({number(least.oa.mean, 2)})."
    ]


def _ours(comparison: Comparison) -> bool:
    return isfinite(comparison.oa.mean) and ":" not in comparison.definition


def _copies(report: Report) -> list[str]:
    part = report.copying
    if part is None or isnan(part.longest_generated.mean):
        return []
    beside = f" (reference: {with_bounds(part.longest_reference)})" if part.longest_reference else ""
    worst = max(part.worst, key=lambda copied: copied.notes, default=None)
    longest = f"; the longest is {worst.notes} notes, in {worst.piece} out of {worst.of}" if worst else ""
    return [
        f"The longest run of notes that a piece shares with {part.training} is {with_bounds(part.longest_generated)} "
        f"notes in the mean{beside}{longest}."
    ]


def _controls(report: Report) -> list[str]:
    rows = [kept for kept in report.controls if isfinite(kept.kept.mean)]
    if not rows:
        return []
    worst = min(rows, key=lambda kept: kept.kept.mean)
    if worst.kept.mean == 1:
        return [f"Every control that was asked for is kept: {_listed([kept.control for kept in rows])}."]
    return [
        f"Of {_count(len(rows), 'control')} the least often kept is {worst.control}, in {percent(worst.kept)} of cases."
    ]


def _sentences(report: Report) -> list[str]:
    part = report.sentences
    if part is None:
        return []
    itself = np.eye(len(part.kl), dtype=bool)
    between, within = part.kl[~itself], part.kl[itself]
    if not np.isfinite(between).any():
        return []
    floor = (
        f", against {number(float(np.nanmedian(within)))} between two halves of one sentence's own pieces"
        if np.isfinite(within).any()
        else ""
    )
    return [f"Two sentences lie {number(float(np.nanmedian(between)))} nats apart in the median{floor}."]


def _likelihood(report: Report) -> list[str]:
    return [
        f"{row.model} needs {with_bounds(row.nats_per_note)} nats a note for {_count(row.pieces, 'piece')} that it was "
        "not trained on."
        for row in report.likelihood
        if isfinite(row.nats_per_note.mean)
    ]


def _count(count: int, noun: str) -> str:
    return f"{number(count, 0)} {noun}{'' if count == 1 else 's'}"


def _listed(words: list[str]) -> str:
    return ", ".join(words[:-1]) + (" and " if len(words) > 1 else "") + words[-1]


def _lower(text: str) -> str:
    """A name within a sentence: a capital that begins no abbreviation and no lone letter becomes small."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text
