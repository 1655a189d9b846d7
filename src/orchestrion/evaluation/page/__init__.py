"""A Report as one HTML page that asks nothing of the network: `report.html`."""

from __future__ import annotations

import base64
import hashlib
import os
from html import escape
from importlib.resources import files
from math import isnan

from orchestrion.core.files import replace_file
from orchestrion.evaluation.page import music, sections
from orchestrion.evaluation.report import Report, SideInfo
from orchestrion.evaluation.summary import name, summary_lines
from orchestrion.rendering.markup import items, titled
from orchestrion.rendering.numerals import NONE, duration, number
from orchestrion.rendering.player import player_script

MOST_WARNINGS = 4  # different ones at the head of the page; all stand beside their figures
#: The page from top to bottom: the place that a link leads to, the title, and what writes the part.
SECTIONS = (
    ("figures", "The figures", sections.figures),
    ("comparisons", "Distances within and between", sections.comparisons),
    ("frechet", "Fréchet distance", sections.frechet),
    ("two-sample", "Can they be told apart?", sections.two_sample),
    ("copying", "Copying", sections.copying),
    ("controls", "Controls", sections.controls),
    ("sentences", "Sentences", sections.sentences),
    ("likelihood", "Likelihood", sections.likelihood),
    ("continuations", "Continuations", sections.continuations),
    ("similarity", "Self-similarity", music.similarity),
    ("pieces", "Pieces to look at", music.pieces),
    ("left-out", "Left out", sections.left_out),
    ("behind", "Definitions, settings, versions", sections.behind),
)


def write_page(report: Report, path: str | os.PathLike[str]) -> None:
    """Write the report as one self-contained page, whole or not at all. Raises WritingError."""
    # A file name may hold bytes that are no text; they are shown as \\udcxx.
    replace_file(path, page(report).encode("utf-8", "backslashreplace"))


def page(report: Report) -> str:
    """The page as text. The same report gives the same text."""
    style = (files("orchestrion.rendering") / "page.css").read_text("utf-8")
    own = (files("orchestrion.evaluation.page") / "page.js").read_text("utf-8")
    script = player_script() + own
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    parts = [(key, title, text) for key, title, section in SECTIONS if (text := section(report))]
    contents = "".join(f'<li><a href="#{key}">{title}</a></li>' for key, title, _ in parts)
    body = "".join(
        f'<section id="{key}" aria-labelledby="{key}-title"><h2 id="{key}-title">{title}</h2>{text}</section>'
        for key, title, text in parts
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'unsafe-inline'; script-src 'sha256-{allowed}'">
<link rel="icon" href="data:,">
<title>{escape(report.title)}</title>
<style>{style}</style>
</head>
<body>
<nav aria-label="Contents"><p>Contents</p><ol>{contents}</ol></nav>
<main>
{_head(report)}
{body}
</main>
<script>{script}</script>
</body>
</html>
"""


def _head(report: Report) -> str:
    sides = [("generated", report.generated)] + ([("reference", report.reference)] if report.reference else [])
    cards = "".join(_side(kind, side) for kind, side in sides)
    lines = "".join(f"<li>{escape(line)}</li>" for line in summary_lines(report))
    warnings = _warnings(report)
    warned = (
        f'<aside class="warnings" aria-label="Warnings"><h2>Read with care</h2><ul>{items(warnings)}</ul></aside>'
        if warnings
        else ""
    )
    return (
        f'<header><p class="kicker">Orchestrion · evaluation</p><h1>{escape(report.title)}</h1>'
        f'<div class="sides">{cards}</div></header>'
        f'<section class="short" aria-label="Summary"><h2>In short</h2><ul>{lines}</ul></section>{warned}'
    )


def _side(kind: str, side: SideInfo) -> str:
    facts = (
        ("pieces", number(side.pieces, 0)),
        ("notes", number(side.notes, 0)),
        ("music", duration(side.hours)),
        ("median bars", NONE if isnan(side.median_bars) else f"{side.median_bars:g}"),
    )
    listed = "".join(f"<div><dt>{label}</dt><dd>{value}</dd></div>" for label, value in facts)
    remarks = "".join(f"<p>{escape(remark)}</p>" for remark in side.remarks)
    return (
        f'<div class="side {kind}"><p class="badge {kind}">{kind}</p><p class="label">{escape(side.label)}</p>'
        f"<dl>{listed}</dl>{remarks}<p class=fingerprint>{escape(side.kind)} · fingerprint "
        f"<code>{escape(side.fingerprint)}</code></p></div>"
    )


def _warnings(report: Report) -> list[str]:
    """What stands beside the figures as a warning, gathered; definitions that are not ours are passed over."""
    said: dict[str, list[str]] = {}
    for definition, warning in (
        *((row.definition, row.warning) for row in report.figures),
        *((row.definition, row.warning) for row in report.comparisons),
    ):
        if warning and ":" not in definition:
            said.setdefault(warning, []).append(name(definition))
    lines = []
    for warning, names in list(said.items())[:MOST_WARNINGS]:
        unique = list(dict.fromkeys(names))
        more = f" and {len(unique) - 3} more" if len(unique) > 3 else ""
        lines.append(f"{titled('; '.join(unique[:3]))}{more}: {warning}")
    rest = sum(len(names) for names in list(said.values())[MOST_WARNINGS:])
    if rest:
        lines.append(f"and so for {rest} more rows of the tables, marked “!”")
    for side in filter(None, (report.generated, report.reference)):
        if side.skipped:
            lines.append(f"{side.label}: {len(side.skipped)} of its files could not be used; see “Left out”")
    return lines
