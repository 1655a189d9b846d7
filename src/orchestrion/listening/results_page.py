"""What a listening test found, in a few sentences and as one HTML page that asks nothing of the network."""

from __future__ import annotations

import json
import os
from html import escape
from importlib.resources import files
from math import isnan
from pathlib import Path

from orchestrion.core.files import replace_file
from orchestrion.evaluation.report import as_json
from orchestrion.listening.results import Compared, Heard, Ranked, Results, Share
from orchestrion.metrics.sets import Interval
from orchestrion.rendering import plots
from orchestrion.rendering.markup import cell, drawn, folded, reason, row_head, table, value, words
from orchestrion.rendering.numerals import NONE, number

TITLE = "A blind listening test"
ANSWERED = {  # (question, answer): the head of its column
    ("real", "human"): "taken for human",
    ("rating", "good"): "good",
    ("rating", "average"): "average",
    ("rating", "poor"): "poor",
    ("inspiring", "yes"): "inspiring",
}
QUESTIONS = {"real": "human or machine", "rating": "good, average, poor (ordinal)", "inspiring": "inspiring"}


def write_results(results: Results, folder: str | os.PathLike[str]) -> list[Path]:
    """Write `listening.json` and `listening.html` into a folder, each whole or not at all. Raises WritingError."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    made = {
        "listening.json": json.dumps(as_json(results), ensure_ascii=False, indent=1) + "\n",
        "listening.html": page(results),
    }
    for name, text in made.items():
        replace_file(folder / name, text.encode("utf-8", "backslashreplace"))
    return [folder / name for name in made]


def result_lines(results: Results) -> list[str]:
    """What was found, in sentences; parts that were not asked for are passed over."""
    people = len(results.listeners)
    lines = [
        f"{_count(people, 'listener')} gave {_count(results.answers, 'answer')}; {results.finished} of them answered "
        "everything."
    ]
    told = results.told_apart
    if not isnan(told.mean):
        lines.append(
            f"Listeners told people’s and machines’ music apart in {_percent(told)} of cases, both kinds counted "
            f"alike{_than_guessing(told)}."
        )
    for heard in results.sets:
        if heard.fooled is not None:
            less = heard.against_human
            beside = "" if isnan(less.mean) else f", {_points(less)} percentage points against people’s music"
            lines.append(f"{heard.name} passed for human in {_percent(heard.fooled.wilson)} of cases{beside}.")
    ranked = [row for row in results.ranking if not row.unresolved]
    if len(ranked) > 1:
        lines.append(f"Most preferred first: {', '.join(row.name for row in ranked)}.")
    lines += [f"{row.name} has no rank: {row.unresolved}." for row in results.ranking if row.unresolved]
    if results.first is not None and results.first.p < 0.05:
        lines.append(f"The piece heard first was preferred in {_percent(results.first.wilson)} of cases.")
    return lines


def share_rows(results: Results) -> list[tuple[str, str, str, str, str, str]]:
    """(set, answer, count, Wilson, exact, by listener) as texts, for a table of the command line."""
    return [
        (heard.name, said, f"{share.count} of {share.of}", _percent(share.wilson), _bounds(share.exact),
         _bounds(share.by_listener))
        for heard in results.sets
        for (question, answer), said in ANSWERED.items()
        if (share := heard.shares.get(question, {}).get(answer)) is not None
    ]  # fmt: skip


def ranking_rows(results: Results) -> list[tuple[str, str, str]]:
    """(set, log strength, chance to be preferred to the reference) as texts."""
    return [
        (row.name, row.unresolved or number(row.log_strength, 2), _chance(row, results.reference))
        for row in results.ranking
    ]


def page(results: Results) -> str:
    """The page as text. The same results give the same text."""
    style = (files("orchestrion.rendering") / "page.css").read_text("utf-8")
    parts = [("What was said of each set", _shares(results)), ("Against human music", _fooling(results)),
             ("Preference", _ranking(results)), ("Two by two", _pairs(results)),
             ("Do listeners agree?", _agreement(results)), ("Behind", _behind(results))]  # fmt: skip
    body = "".join(f"<section><h2>{title}</h2>{text}</section>" for title, text in parts if text)
    lines = "".join(f"<li>{escape(line)}</li>" for line in result_lines(results))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<link rel="icon" href="data:,">
<title>{TITLE}</title>
<style>{style}</style>
</head>
<body>
<nav></nav>
<main>
<header><p class="kicker">Orchestrion · listening</p><h1>{TITLE}</h1></header>
<section class="short" aria-label="Summary"><h2>In short</h2><ul>{lines}</ul></section>
{body}
</main>
</body>
</html>
"""


def _shares(results: Results) -> str:
    axis = plots.whisker_axis(0, 100, (0, 50, 100))
    tables = []
    for (question, answer), said in ANSWERED.items():
        rows = [
            [
                row_head(heard.name, "people’s music" if heard.human else ""),
                *_share_cells(heard, share, 50 if question != "rating" else None),
            ]
            for heard in results.sets
            if (share := heard.shares.get(question, {}).get(answer)) is not None
        ]
        if rows:
            heads = ["set", "share, %", axis, "exact", "by listener", "answers"]
            tables.append(f"<h3>{said.capitalize()}</h3>{table(f'share of answers: {said}', heads, rows)}")
    if not tables:
        return ""
    return (
        "<p>Shares of answers with their Wilson intervals, and the exact binomial ones (Clopper and Pearson); both "
        "take all answers as independent. The bootstrap over listeners does not, and says nothing where all say the "
        "same. All at 95 %.</p>" + "".join(tables)
    )


def _share_cells(heard: Heard, share: Share, chance: float | None) -> list[str]:
    kind = "reference" if heard.human else "generated"
    return [
        cell(_hundred(share.wilson)), drawn(plots.whisker(_hundred(share.wilson), 0, 100, kind=kind, mark=chance)),
        value(_bounds(share.exact)), value(_bounds(share.by_listener)), value(f"{share.count} of {share.of}"),
    ]  # fmt: skip


def _fooling(results: Results) -> str:
    rows = [
        [
            row_head(heard.name),
            cell(_hundred(heard.fooled.wilson)),
            value(_p(heard.fooled.p)),
            cell(_hundred(heard.against_human)),
        ]
        for heard in results.sets
        if heard.fooled is not None
    ]
    if not rows:
        return ""
    heads = ["set", "taken for human, %", "p against ½", "less people’s music"]
    return (
        "<p>How often a machine’s set passed for human, tested against a coin, and that less the share of people’s "
        "music that was taken for human, listener by listener (bootstrap over listeners). Around zero, listeners could "
        f"not tell them apart.</p>{table('fooling rate', heads, rows)}"
    )


def _ranking(results: Results) -> str:
    if not results.ranking:
        return ""
    people = {heard.name for heard in results.sets if heard.human}
    rows = [
        _ranked(row, results.reference, "reference" if row.name in people else "generated") for row in results.ranking
    ]
    heads = ["set", "log strength", f"preferred to {escape(results.reference)}, %",
             plots.whisker_axis(0, 100, (0, 50, 100))]  # fmt: skip
    return (
        "<p>Bradley–Terry strengths of all preferences together, where “the same” is half for either; the chance to be "
        "preferred to the reference, with a bootstrap over listeners. Where the answers leave a strength open, it is "
        f"said and not guessed.</p>{table('ranking', heads, rows)}"
    )


def _ranked(row: Ranked, reference: str, kind: str) -> list[str]:
    if row.unresolved:
        return [row_head(row.name), reason(row.unresolved, 3)]
    if row.name == reference:
        return [row_head(row.name), value(number(row.log_strength, 2)), words("the reference"), words("")]
    chance = _hundred(row.chance)
    return [row_head(row.name), value(number(row.log_strength, 2)), cell(chance),
            drawn(plots.whisker(chance, 0, 100, kind=kind, mark=50))]  # fmt: skip


def _pairs(results: Results) -> str:
    rows = [_pair(pair) for pair in results.compared]
    heads = ["pair", "the first preferred, %", "exact", "p against ½", "answers", "the same"]
    return table("comparisons of two sets", heads, rows) if rows else ""


def _pair(pair: Compared) -> list[str]:
    return [
        row_head(f"{pair.first} over {pair.second}"), cell(_hundred(pair.won.wilson)), value(_bounds(pair.won.exact)),
        value(_p(pair.won.p)), value(f"{pair.won.count} of {pair.won.of}"), value(str(pair.same)),
    ]  # fmt: skip


def _agreement(results: Results) -> str:
    unknown = "no piece has two answers, or all are the same"
    rows = [
        [row_head(QUESTIONS[question]), value(number(alpha, 2)), words(unknown if isnan(alpha) else "")]
        for question, alpha in results.alpha.items()
    ]
    if not rows:
        return ""
    return (
        "<p>Krippendorff’s alpha: 1 where all who judged a piece said the same, 0 where they agree as often as chance "
        f"would have it.</p>{table('agreement', ['question', 'alpha', ''], rows)}"
    )


def _behind(results: Results) -> str:
    listeners = [
        [row_head(f"listener {row.number + 1}"), value(str(row.answers)),
         *(value(f"{right} of {told}" if told else NONE) for right, told in (row.human, row.machine)),
         value(NONE if isnan(row.told_apart) else f"{100 * row.told_apart:.0f} %")]
        for row in results.listeners
    ]  # fmt: skip
    heads = ["", "answers", "people’s music told right", "machines’ told right", "told apart"]
    settings = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(json.dumps(as_json(said), ensure_ascii=False))}</dd></div>"
        for name, said in results.settings.items()
    )
    return folded("Every listener", table("listeners", heads, listeners)) + folded(
        "Settings of the test", f"<dl>{settings}</dl>"
    )


def _than_guessing(told: Interval) -> str:
    if isnan(told.low):
        return ""
    return ", " + ("better" if told.low > 0.5 else "worse" if told.high < 0.5 else "no better") + " than guessing"


def _percent(interval: Interval) -> str:
    return NONE if isnan(interval.mean) else f"{100 * interval.mean:.0f} % {_bounds(interval)}"


def _bounds(interval: Interval) -> str:
    return NONE if isnan(interval.low) else f"[{100 * interval.low:.0f}, {100 * interval.high:.0f}]"


def _points(interval: Interval) -> str:
    bounds = f" [{100 * interval.low:+.0f}, {100 * interval.high:+.0f}]" if not isnan(interval.low) else ""
    return f"{100 * interval.mean:+.0f}{bounds}".replace("-", "−")


def _hundred(interval: Interval) -> Interval:
    """In percent."""
    return Interval(100 * interval.mean, 100 * interval.low, 100 * interval.high, interval.pieces)


def _chance(row: Ranked, reference: str) -> str:
    return "the reference" if row.name == reference else NONE if row.unresolved else _percent(row.chance)


def _p(p: float) -> str:
    return NONE if isnan(p) else "< 0.001" if p < 0.001 else number(p, 3)


def _count(count: int, noun: str) -> str:
    return f"{number(count, 0)} {noun}{'' if count == 1 else 's'}"
