"""Writes the tables of docs/metrics.md, between its markers, from the rows that describe the metrics.

    python bench/metric_page.py [--check]

--check writes nothing and fails where they are not what the rows say.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from inspect import getdoc
from itertools import groupby
from math import inf
from types import ModuleType

from record import BENCH
from tables import cell

from orchestrion.core.files import replace_file
from orchestrion.metrics import suite
from orchestrion.metrics.definition import Described, Feature, Metric, SetMeasure

PAGE = BENCH.parent / "docs" / "metrics.md"
OPENING, CLOSING = "<!-- metrics -->", "<!-- /metrics -->"
KINDS = {
    Metric: ("a number a piece", ("unit, range", "no value where")),
    Feature: ("an array a piece", ("unit, shape", "no value where")),
    SetMeasure: ("a figure of two sets, or of a set and a model", ("unit, range", "function")),
}


def filled(page: str) -> str:
    """The page with what the rows say between its markers."""
    head, _, rest = page.partition(OPENING)
    return "\n".join([head + OPENING, "", *sections(), CLOSING + rest.partition(CLOSING)[2]])


def sections() -> Iterator[str]:
    """A section a module, in the order of the suite, with a table a kind of row; variants stand by themselves."""
    modules = [module for module in vars(suite).values() if isinstance(module, ModuleType)]
    home = {row.id: module for module in modules for row in rows_of(module)}
    all_rows = (*suite.METRICS, *suite.FEATURES, *suite.SET_MEASURES)
    for module in dict.fromkeys(home[row.id] for row in all_rows):
        yield f"### {module.__name__.removeprefix('orchestrion.')}\n"
        yield f"{(getdoc(module) or '').split(chr(10) * 2)[0]}\n"
        for kind, (title, columns) in KINDS.items():
            for variant in (False, True):
                rows = [row for row in rows_of(module) if type(row) is kind and (":" in row.id) is variant]
                if rows:
                    yield f"{title[0].upper()}{title[1:]}{', as others define it' if variant else ''}:\n"
                    yield table(rows, columns)


def rows_of(module: ModuleType) -> list[Described]:
    return [row for name in ("METRICS", "FEATURES", "SET_MEASURES") for row in getattr(module, name, ())]


def table(rows: list[Described], columns: tuple[str, str]) -> str:
    """Markdown. Neighbours that differ only in the family of instruments they look at share a line."""
    heads = ["definition", "name", "what it says", "formula", columns[0], columns[1], "source"]
    lines = [heads, [":--"] * len(heads)]
    for _, alike in groupby(rows, lambda row: (row.formula, row.unit, row.source)):
        first, *others = list(alike)
        ids = "<br>".join(f"`{row.definition}`" for row in (first, *others))
        told = [first.name, first.sentence, first.formula, *extent(first), first.source]
        lines.append([ids, *map(cell, told)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def extent(row: Described) -> tuple[str, str]:
    """The unit with the range or shape of the values, and when there are none (or where the function is)."""
    if isinstance(row, Feature):
        return f"{row.unit}; {' × '.join(map(str, row.shape))}", row.undefined
    assert isinstance(row, Metric | SetMeasure)
    reach = f"{row.low:.4g} or more" if row.high == inf else f"{row.low:.4g} to {row.high:.4g}"
    return f"{row.unit}; {reach}", row.undefined if isinstance(row, Metric) else f"`{row.where}`"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail where the page is not up to date")
    options = parser.parse_args()
    page = PAGE.read_text("utf-8")
    if not options.check:
        replace_file(PAGE, filled(page))
    elif filled(page) != page:
        sys.exit(f"{PAGE.name} is not what the metrics say of themselves; run `python bench/metric_page.py`")


if __name__ == "__main__":
    main()
