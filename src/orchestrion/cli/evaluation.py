"""`orchestrion evaluate`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrion.cli import show
from orchestrion.core.errors import UserError

if TYPE_CHECKING:
    from orchestrion.evaluation.report import Report

LENGTHS = ("auto", "match", "whole")
ROWS = 16  # of the table
SKIPPED = 10  # pieces left out that are named


def _lengths(text: str) -> str:
    if text not in LENGTHS:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(LENGTHS)}")
    return text


def _listed(wanted: bool) -> None:
    if wanted:
        from orchestrion.metrics.suite import FEATURES, METRICS, SET_MEASURES

        rows = [
            (row.id, row.sentence, row.unit, _range(row), row.source) for row in (*METRICS, *FEATURES, *SET_MEASURES)
        ]
        show.table(("metric", "what it says", "unit", "range", "source"), rows)
        raise typer.Exit


def _range(row: Any) -> str:
    if not hasattr(row, "low"):
        return " x ".join(map(str, row.shape))
    return f"{row.low:g} to {row.high:g}" if abs(row.high) != float("inf") else f"from {row.low:g}"


def evaluate(
    generated: Annotated[
        Path, typer.Argument(help='A folder of MIDI or .npz piano rolls, a corpus, a trained run, or "composer".')
    ],
    reference: Annotated[Path | None, typer.Option(help="What to compare with: a folder, a corpus or a run.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of report.html and report.json.")] = Path("report"),
    split: Annotated[
        str | None, typer.Option(help="Of a reference corpus: train, valid, test or all. Default: what is held out.")
    ] = None,
    lengths: Annotated[
        str,
        typer.Option(
            parser=_lengths,
            metavar="HOW",
            help="Cut longer reference pieces to the lengths of the generated "
            "ones (match), never (whole), or where they are 1.5 times as long (auto).",
        ),
    ] = "auto",
    training: Annotated[
        Path | None, typer.Option(help="Corpus or folder that may have been copied: search it for copies.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="A run, or composer: how likely it finds the reference. Default: GENERATED.")
    ] = None,
    sentences: Annotated[Path | None, typer.Option(help="Sentences, one a line, that a model composes from.")] = None,
    count: Annotated[int, typer.Option("--n", min=1, help="Pieces that a model composes.")] = 200,
    most: Annotated[int, typer.Option(min=2, help="At most so many pieces of a folder or corpus.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of composing, excerpts, halves and intervals.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out what trains or runs a network.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes that measure.")] = os.cpu_count() or 1,
    list_: Annotated[
        bool, typer.Option("--list", callback=_listed, is_eager=True, help="Explain every metric, and leave.")
    ] = False,
) -> None:
    """Measure music, compare it with other music, and write what was found as a page, as JSON and as a short table."""
    from orchestrion.core.files import replace_file
    from orchestrion.evaluation.evaluate import Wishes, evaluate_places
    from orchestrion.evaluation.page import write_page
    from orchestrion.evaluation.report import as_json

    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file, not a folder; name another place with --out")
    wishes = Wishes(split=split, lengths=lengths, training=training, model=model, sentences=sentences, count=count,
                    most=most, seed=seed, quick=quick, workers=workers)  # fmt: skip
    report = evaluate_places(generated, reference, out, wishes, show.progress)
    out.mkdir(parents=True, exist_ok=True)
    import json

    replace_file(out / "report.json", json.dumps(as_json(report), ensure_ascii=False, indent=1) + "\n")
    write_page(report, out / "report.html")
    _tell(report)
    show.line(f"wrote {out / 'report.html'}  {out / 'report.json'}", "green")


def _tell(report: Report) -> None:
    """What was found in a few sentences, the measures of style that lie furthest apart, and what was left out."""
    from orchestrion.evaluation.summary import standardised, summary_lines
    from orchestrion.metrics.suite import DESCRIBED

    figures = [figure for figure in report.figures if getattr(DESCRIBED[figure.definition], "style", False)]
    if report.reference is not None:
        figures.sort(key=lambda figure: -abs(standardised(figure).mean) if figure.difference else 0.0)
    rows = [
        (DESCRIBED[figure.definition].name, DESCRIBED[figure.definition].unit, _interval(figure.generated),
         _interval(figure.reference), f"{standardised(figure).mean:+.2f}" if figure.difference else "–",
         figure.missing or figure.warning)
        for figure in figures[:ROWS]
    ]  # fmt: skip
    show.table(("measure of style", "unit", "generated", "reference", "apart", ""), rows)
    show.line(
        f"the first {len(rows)} of {len(figures)} measures of style, by standard deviations apart; all in the report"
    )
    show.line("")
    for line in summary_lines(report):
        show.line(line)
    for remark in report.remarks:
        show.line(remark, "yellow")
    for side in filter(None, (report.generated, report.reference)):
        for remark in side.remarks:
            show.line(f"{side.label}: {remark}")
        for name, reason in side.skipped[:SKIPPED]:
            show.line(f"{side.label}: left out {name}: {reason}", "yellow")
        if len(side.skipped) > SKIPPED:
            show.line(
                f"{side.label}: and {len(side.skipped) - SKIPPED:,} more left out, all named in report.json", "yellow"
            )


def _interval(value: Any) -> str:
    if value is None or value.mean != value.mean:
        return "–"
    return f"{value.mean:.3g} [{value.low:.3g}, {value.high:.3g}]"
