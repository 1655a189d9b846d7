"""The parts of the page that are figures: each a function from the Report to HTML, empty where it has nothing.

Each begins with how to read it. Names, reasons and sentences of a Report come from files and people: they go through
`markup` and `plots`, which escape, or through `escape`.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import partial
from html import escape
from math import ceil, isfinite, isnan

import numpy as np

from orchestrion.evaluation.report import Comparison, Figure, Report
from orchestrion.evaluation.summary import differs, name, standardised
from orchestrion.metrics.definition import Feature, Metric
from orchestrion.metrics.sets import Interval
from orchestrion.metrics.suite import DESCRIBED
from orchestrion.rendering import plots
from orchestrion.rendering.markup import (
    cell,
    clipped,
    drawn,
    explained,
    folded,
    framed,
    items,
    no_figure,
    reason,
    row_head,
    swatch,
    table,
    titled,
    value,
    words,
)
from orchestrion.rendering.numerals import number, percent, signed, with_bounds

_SETS = {"generated": "generated", "reference": "reference", "inter": "between"}
_SEEN = {"features": "the measures above", "rolls": "piano rolls"}
_THEMES = {"musegan": "MuseGAN's measures", "yang_lerch": "Yang and Lerch's measures"}  # of modules that are authors


def figures(report: Report) -> str:
    if not report.figures:
        return ""
    compared = any(figure.reference is not None for figure in report.figures)
    apart = [standardised(figure) for figure in report.figures if ":" not in figure.definition]
    ends = [abs(end) for interval in apart for end in (interval.low, interval.high) if isfinite(end)]
    groups: dict[str, list[Figure]] = defaultdict(list)
    for figure in report.figures:
        groups["" if ":" in figure.definition else _theme(figure.definition)].append(figure)
    variants = groups.pop("", [])
    shown = partial(_figure_table, most=_round_up(ends) if compared else 0.0)
    reading = "Each row is the mean over pieces; the brackets are its 95 % interval (bootstrap over pieces)."
    if compared:
        reading += (
            " The plot is generated less reference, in standard deviations between pieces: 0.2 is a small difference, "
            "0.8 a large one (Cohen 1988). ▲ and ▼ mark more and less than in the reference where the interval "
            "excludes no difference; one row in twenty is marked by chance alone."
        )
    tables = "".join(f"<h3>{escape(theme)}</h3>{shown(theme, rows)}" for theme, rows in groups.items())
    others = (
        "<p>What other programs and papers compute under these names, right or wrong, so that their tables can be "
        f"compared with. They count in no summary.</p>{shown('Other definitions', variants)}"
    )
    folds = folded(f"Other definitions of the same names ({len(variants)})", others if variants else "")
    return f"<p>{reading} Open a name to read what it says and how it is computed.</p>{tables}{folds}"


def _theme(definition: str) -> str:
    """A heading for the module that defines it."""
    row = DESCRIBED.get(definition)
    if not isinstance(row, Metric):
        return "Others"
    function = row.function
    while isinstance(function, partial):
        function = function.func
    module = function.__module__.rpartition(".")[2]
    return _THEMES.get(module, module.replace("_", " ").capitalize())


def _round_up(ends: Sequence[float]) -> float:
    """The end of the scale of differences, 1 to 3 standard deviations; what lies beyond becomes an arrow."""
    return min(max(1.0, ceil(2 * max(ends, default=1.0)) / 2), 3.0)


def _figure_table(caption: str, rows: Sequence[Figure], most: float) -> str:
    """most: the end of the scale of differences, 0 where there are none."""
    heads = ["Measure", "Generated"]
    if most:
        axis = plots.whisker_axis(-most, most, [-most, -most / 2, 0, most / 2, most])
        heads += ["Reference", "Difference", f"<span>standard deviations</span>{axis}"]
    cells = []
    for figure in rows:
        start = explained(figure.definition, figure.warning)
        sides = [figure.generated, *([figure.reference] if figure.reference else [])]
        if all(isnan(side.mean) for side in sides):
            cells.append([start, reason(figure.missing, len(heads) - 1)])
        elif most:
            missing = [figure.missing if side is not None and isnan(side.mean) else "" for side in sides]
            both = [cell(side, missing=why) for side, why in zip(sides, missing, strict=True)]
            cells.append([start, *both, *["<td></td>"] * (2 - len(both)), *_difference(figure, most)])
        else:
            cells.append([start, cell(figure.generated)])
    return table(caption, heads, cells)


def _difference(figure: Figure, most: float) -> list[str]:
    marked = differs(figure.difference)
    plot = plots.whisker(standardised(figure), -most, most, kind="differs" if marked else "alike", mark=0.0)
    sign = ""
    if marked and figure.difference is not None:
        more = figure.difference.mean > 0
        said = f"{'more' if more else 'less'} than in the reference; the interval excludes no difference"
        sign = f'<span class="sign" role="img" aria-label="{said}" title="{said}">{"▲" if more else "▼"}</span> '
    return [cell(figure.difference, before=sign), drawn(plot)]


def comparisons(report: Report) -> str:
    if not report.comparisons:
        return ""
    features = [row for row in report.comparisons if isinstance(DESCRIBED.get(row.definition), Feature)]
    numbers = [row for row in report.comparisons if row not in features and len(row.x)]
    small = "".join(_density(row, escape(titled(name(row.definition))), width=216) for row in numbers)
    curves = f'<p class="aside">{_curves()}</p><div class="small-multiples">{small}</div>' if small else ""
    return (
        "<p>After Yang and Lerch (2018): how far each piece lies from the others of its own set, and from all of the "
        "other set. Were the sets alike, the three curves would lie on one another. The overlap is 1 and the "
        "divergence (KL, in nats) 0 where distances within the generated set are spread like those between the sets. "
        "The floor beneath is what two random halves of the reference come to; nothing nearer can be told.</p>"
        + _comparison_table(report.comparisons)
        + "".join(_feature(row) for row in features)
        + folded(f"Distances of {len(numbers)} single figures", curves)
    )


def _comparison_table(rows: Sequence[Comparison]) -> str:
    heads = ["Compared by", "Overlap", "KL", "KL of the means", *(f"Mean distance {side}" for side in _SETS.values())]
    cells, sums = [], []
    for row in rows:
        start = explained(row.definition, row.warning)
        if row.missing:
            cells.append([start, reason(row.missing, len(heads) - 1)])
            continue
        floors = {key: f"floor {number(floor)}" for key, floor in row.noise.items() if isfinite(floor)}
        measured = (("oa", row.oa), ("kl", row.kl), ("mean_kl", row.mean_kl))
        distances = [value(number(row.means.get(side, np.nan))) for side in _SETS]
        cells.append([start, *(cell(part, floor=floors.get(key, "")) for key, part in measured), *distances])
        sums.append([row_head(titled(name(row.definition))), *(value(number(row.sums.get(s, np.nan))) for s in _SETS)])
    scales = "; ".join(dict.fromkeys(escape(row.scale) for row in rows if row.scale))
    listed = table("Sums of the distances", ["Compared by", *map(titled, _SETS.values())], sums) if sums else ""
    return (
        table("Distances within and between the sets", heads, cells)
        + (f'<p class="aside">Distances: {scales}.</p>' if scales else "")
        + folded("Sums of the distances, as in Luo's tables 5.2 to 5.9", listed)
    )


def _feature(row: Comparison) -> str:
    described = DESCRIBED[row.definition]
    title = f'<h3>{escape(titled(described.name))}</h3><p class="aside">{escape(described.sentence)}</p>'
    if row.missing or not isinstance(described, Feature):
        return title + no_figure(row.missing)
    panels = _density(row, f"Distances: {_curves()}") + _means(row, described)
    return f'{title}<div class="panels">{panels}</div>'


def _means(row: Comparison, described: Feature) -> str:
    """The mean features of both sides: heat maps with their difference (Luo's figure 5.5), or histograms."""
    ours, theirs = np.asarray(row.mean_generated, float), np.asarray(row.mean_reference, float)
    if ours.shape != described.shape or theirs.shape != described.shape:
        return ""
    if ours.ndim == 1:
        said = f"{described.name}: means of both sets in {len(ours)} bins"
        plot = plots.paired_bars(ours, theirs, described.labels[0], said)
        keys = f"{swatch('generated', 'generated, filled')}, {swatch('reference', 'reference, hollow')}"
        return framed(plot, f"Means: {keys}")
    if ours.ndim != 2:
        return ""
    most, apart, said = _largest(ours, theirs), ours - theirs, f"{described.name}, mean"
    keys = f"{swatch('generated', 'more in generated')}, {swatch('reference', 'more in reference')}"
    draw = partial(plots.heat_map, rows=described.labels[0], columns=described.labels[1])
    maps = (
        (apart, f"{said} of generated less reference", "generated", _largest(apart), f"Difference: {keys}"),
        (ours, f"{said} of the generated set", "generated", most, swatch("generated")),
        (theirs, f"{said} of the reference", "reference", most, swatch("reference")),
    )
    return "".join(
        framed(draw(values, label=label, kind=kind, most=top), f"{caption}<small>full colour: {number(top)}</small>")
        for values, label, kind, top, caption in maps
    )


def _largest(*values: np.ndarray) -> float:
    return float(np.nanmax(np.abs(values), initial=0.0))


def _density(row: Comparison, caption: str, width: int = 420) -> str:
    curves = {side: row.densities[side] for side in _SETS if side in row.densities}
    if not len(row.x) or not curves:
        return ""
    overlap = f"overlap {with_bounds(row.oa)}"
    said = f"{name(row.definition)}: densities of the distances within either set and between them; {overlap}"
    return framed(plots.densities(row.x, curves, said, width=width), f"{caption} <small>{overlap}</small>")


def _curves() -> str:
    said = {"generated": "within generated", "reference": "within reference, dashed", "inter": "between, dotted"}
    return ", ".join(swatch(side, text) for side, text in said.items())


def frechet(report: Report) -> str:
    part = report.frechet
    if part is None:
        return ""
    reading = (
        "<p>The distance between two normal distributions fitted to the measures of all pieces of either set. It is "
        "above 0 even for equal sets, the more the fewer the pieces; so beside it stands what two halves of the "
        f"reference come to. {f'Both at {number(part.pieces, 0)} pieces a side.' if part.pieces else ''}</p>"
    )
    if part.missing:
        return reading + no_figure(part.missing)
    ends = [v for side in (part.value, part.floor) for v in (side.mean, side.high) if isfinite(v)]
    top = max(ends, default=0.0) or 1.0
    rows = [
        [row_head(said), cell(side), drawn(plots.whisker(side, 0.0, top, kind=kind))]
        for said, side, kind in (
            ("generated to reference", part.value, "generated"),
            ("half to half of the reference", part.floor, "reference"),
        )
    ]
    return reading + table("Fréchet distance", ["Between", "Distance", plots.whisker_axis(0.0, top, [0.0, top])], rows)


def two_sample(report: Report) -> str:
    if not report.two_sample:
        return ""
    heads = ["The classifier sees", "Right", plots.whisker_axis(0.0, 1.0, [0, 0.25, 0.5, 0.75, 1]), "Pieces", "Folds"]
    rows = []
    for test in report.two_sample:
        start, kind = row_head(_SEEN.get(test.by, test.by)), "differs" if test.accuracy.low > 0.5 else "alike"
        if test.missing:
            rows.append([start, reason(test.missing, len(heads) - 1)])
            continue
        plot = plots.whisker(test.accuracy, 0.0, 1.0, kind=kind, mark=0.5)
        rows.append([start, value(percent(test.accuracy)), drawn(plot), value(number(test.pieces, 0)),
                     value(str(test.folds))])  # fmt: skip
    return (
        "<p>A classifier learns to tell generated from reference music, and is then asked about pieces that it has not "
        "seen (cross-validation). Right in 50 % of cases is guessing: it cannot tell. Near 100 % the sets are easily "
        "told apart.</p>"
        + table("Two-sample tests", heads, rows)
        + "".join(_telling(test.telling) for test in report.two_sample if test.telling)
    )


def _telling(weights: Sequence[tuple[str, float]]) -> str:
    most = max(abs(weight) for _, weight in weights) or 1.0
    rows = []
    for metric, weight in weights:
        reach = Interval(weight, min(weight, 0.0), max(weight, 0.0), 0)
        plot = plots.whisker(reach, -most, most, kind="generated" if weight > 0 else "reference", mark=0.0)
        rows.append([row_head(titled(name(metric))), value(signed(weight)), drawn(plot)])
    listed = table("Weights of the classifier", ["Measure", "Weight", ""], rows)
    reading = "Right of the line, more of it speaks for generated; left of it, less."
    return f"<h3>What gave it away</h3><p>{reading}</p>{listed}"


def copying(report: Report) -> str:
    part = report.copying
    if part is None:
        return ""
    rows = [
        [row_head(said, unit), cell(ours), *([cell(theirs)] if part.longest_reference else [])]
        for said, unit, ours, theirs in (
            ("Longest shared run", "notes a piece", part.longest_generated, part.longest_reference),
            ("Longest shared phrase", "notes a piece, of six different moves or more", part.phrase_generated,
             part.phrase_reference),
            ("Novelty", f"share of moves that lie in no shared run of {part.run_notes} notes",
             part.novelty_generated, part.novelty_reference),
        )
    ]  # fmt: skip
    worst = [[row_head(c.piece), value(str(c.notes)), value(str(c.phrase_notes)), words(c.of)] for c in part.worst]
    listed = table("The longest copies", ["Piece", "Run", "Phrase", "Shared with"], worst)
    return (
        f"<p>The longest run of notes that follow each other as in a piece of {escape(part.training)}: the same "
        "steps in pitch and the same times between onsets, in any key. All music shares some, such as scales and "
        "repeated notes; how much is usual, the reference shows.</p>"
        + table(
            f"Shared with {part.training}", ["", "Generated", *(["Reference"] if part.longest_reference else [])], rows
        )
        + (f"<h3>The longest copies</h3>{listed}" if worst else "")
    )


def controls(report: Report) -> str:
    if not report.controls:
        return ""
    rows = [
        [row_head(row.control), value(percent(row.kept)),
         drawn(plots.whisker(row.kept, 0.0, 1.0, kind="generated", mark=1.0)), value(number(row.kept.pieces, 0))]
        for row in report.controls
    ]  # fmt: skip
    broken = [
        [row_head(piece), words(row.control), words(asked), words(found)]
        for row in report.controls
        for piece, asked, found in row.failures
    ]
    listed = table("Controls not kept", ["Piece", "Control", "Asked", "Measured"], broken) if broken else ""
    return (
        "<p>Whether the pieces keep what they were asked for, measured on the finished files alone.</p>"
        + table("Controls", ["Control", "Kept", plots.whisker_axis(0, 1, [0, 0.5, 1]), "Pieces asked"], rows)
        + folded(f"Not kept ({len(broken)})", listed)
    )


def sentences(report: Report) -> str:
    part = report.sentences
    if part is None or not part.sentences:
        return ""
    numbers = [str(i + 1) for i in range(len(part.sentences))]
    labels = [f"{clipped(sentence, 40)}  {i}" for i, sentence in zip(numbers, part.sentences, strict=True)]
    most = _largest(part.kl)
    plot = plots.heat_map(part.kl, labels, numbers, "KL between sentences", kind="inter", most=most, arrow="from")
    pieces = [f"{sentence} ({n} pieces)" for sentence, n in zip(part.sentences, part.pieces, strict=True)]
    return (
        f"<p>How far the music of one sentence (row) diverges from that of another (column): KL in nats, of "
        f"{escape(part.distribution)}; full colour is {number(most)}. On the diagonal are two halves of one sentence's "
        "own pieces: a cell no stronger than those shows no difference. KL is not symmetric, nor is the map.</p>"
        f'<div class="scroll" role="region" tabindex="0" aria-label="KL between sentences">{plot}</div>'
        + folded("The sentences in full", f"<ol>{items(pieces)}</ol>")
    )


def likelihood(report: Report) -> str:
    if not report.likelihood:
        return ""
    heads = ["Model", "Pieces", "Nats a note", "Nats a beat", "Bits a second", "Nats a token", "Perplexity a token"]
    rows, notes, skipped = [], [], []
    for row in report.likelihood:
        start = row_head(row.model, row.context)
        if row.missing:
            rows.append([start, reason(row.missing, len(heads) - 1)])
            continue
        measured = (row.nats_per_note, row.nats_per_beat, row.bits_per_second, row.nats_per_token, row.perplexity)
        rows.append([start, value(number(row.pieces, 0)), *map(cell, measured)])
        if row.parts:
            parts = ", ".join(f"{part} {number(nats)}" for part, nats in row.parts.items())
            notes.append(f"{row.model}, nats a note by part: {parts}")
        if row.left_out_notes:
            left, all_notes = number(row.left_out_notes, 0), number(row.notes + row.left_out_notes, 0)
            notes.append(f"{row.model} cannot write {left} of {all_notes} notes; they cost nothing here")
        skipped += [[row_head(piece), words(why)] for piece, why in row.skipped]
    listed = table("Pieces not used for likelihood", ["Piece", "Reason"], skipped) if skipped else ""
    return (
        "<p>How surprised a model is by pieces that it was not trained on: lower is better. Figures a note, a beat and "
        "a second compare across models; those a token only among models that cut music into the same tokens.</p>"
        + table("Likelihood", heads, rows)
        + (f'<ul class="aside">{items(notes)}</ul>' if notes else "")
        + folded(f"Pieces not used ({len(skipped)})", listed)
    )


def continuations(report: Report) -> str:
    part = report.continuations
    if part is None:
        return ""
    reading = (
        f"<p>{escape(part.model)} continues the first {part.opening_bars} bars of a piece by {part.continued_bars}, "
        f"and the notes are held against how the piece truly goes on ({number(part.pieces, 0)} pieces). 1 is note for "
        "note the same. Music may go on in many ways; but a model should come nearer than the opening played again.</p>"
    )
    if part.missing:
        return reading + no_figure(part.missing)
    rows = [
        [row_head({"bleu": "BLEU", "f1": "F1"}.get(key, key)), cell(own), cell(part.by_repeating.get(key)),
         drawn(plots.whisker(own, 0.0, 1.0, kind="generated"))]
        for key, own in part.by_model.items()
    ]  # fmt: skip
    heads = ["Measure", "Model", "Opening again", plots.whisker_axis(0, 1, [0, 0.5, 1])]
    skipped = [[row_head(piece), words(why)] for piece, why in part.skipped]
    listed = table("Pieces not continued", ["Piece", "Reason"], skipped) if skipped else ""
    return reading + table("Continuations", heads, rows) + folded(f"Pieces not used ({len(skipped)})", listed)


def left_out(report: Report) -> str:
    parts = [f"<ul>{items(report.remarks)}</ul>"] if report.remarks else []
    for side in filter(None, (report.generated, report.reference)):
        if side.skipped:
            rows = [[row_head(file), words(why)] for file, why in side.skipped]
            often = "; ".join(f"{count} × {why}" for why, count in Counter(w for _, w in side.skipped).most_common(3))
            listed = table(f"Files of {side.label} that were not used", ["File", "Reason"], rows)
            parts.append(folded(f"{side.label}: {_files(len(rows))} not used ({often})", listed))
    return "".join(parts)


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{number(count, 0)} files"


def behind(report: Report) -> str:
    example = next((figure.definition for figure in report.figures), "empty-bar-rate/1")
    program = f"Orchestrion {report.versions.get('orchestrion', '')}".strip()
    others = [row for row in DESCRIBED.values() if not isinstance(row, Metric)]
    described = [[explained(row.definition), words(row.sentence)] for row in others]
    settings = [[row_head(str(key)), words(_said(part))] for key, part in report.settings.items()]
    versions = [[row_head(key), words(part)] for key, part in report.versions.items()]
    listed = table("Features and measures of sets", ["Definition", "What it says"], described) if described else ""
    return (
        "<p>A definition has a version that rises whenever the same music would get another value. Cite both with the "
        f"program: <q>{escape(example)}, {escape(program)}</q>. Figures of one definition and version compare, whoever "
        "computed them. <code>orchestrion evaluate --list</code> prints every definition.</p>"
        + folded("Features and measures of sets", listed)
        + (f"<h3>Settings</h3>{table('Settings', ['Setting', 'Value'], settings)}" if settings else "")
        + (f"<h3>Versions</h3>{table('Versions', ['Program', 'Version'], versions)}" if versions else "")
    )


def _said(part: object) -> str:
    return part if isinstance(part, str) else json.dumps(part, ensure_ascii=False, default=str)
