"""Writes docs/results.md, the figures of the model card and the tables of other pages from bench/results/*.json.

    python bench/tables.py [--check]

--check writes nothing and fails where they are not what the results say.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping
from typing import Any

from record import BENCH, RESULTS

from orchestrion.core.files import replace_file

PAGE = BENCH.parent / "docs" / "results.md"
WEIGHTS = BENCH.parent / "src" / "orchestrion" / "models" / "weights"
#: What the model card of each of the bundled weights tells of.
CARDS = {
    "composer": ("composer_goals",), "music_transformer": ("maestro",), "ape_gan": ("gate", "word_groups"),
    "planner": ("planner_likelihood",),
}  # fmt: skip
#: Results that have a page of their own: prose with tables between markers.
PAGES = {
    "published_rows": BENCH.parent / "docs" / "published-tables.md",
    "phrase_systems": BENCH.parent / "docs" / "adversarial.md",
    "systems": BENCH.parent / "docs" / "systems.md",
    **dict.fromkeys(("word_groups", "word_meanings", "gate"), BENCH.parent / "docs" / "ape-gan.md"),
}
OPENING, CLOSING = "<!-- figures -->", "<!-- /figures -->"
HEAD = """# Results

Written by `python bench/tables.py` from `bench/results/*.json`; do not edit. Brackets hold 95 % intervals.
"""


def page(results: list[dict[str, Any]]) -> str:
    """Markdown of all results, in the order of their names."""
    return "\n".join([HEAD, *(section(result) for result in sorted(results, key=lambda result: result["name"]))])


def section(result: Mapping[str, Any]) -> str:
    tables = result["tables"] or [
        {"title": result["name"], "columns": ["figure", "value"], "rows": list(_flat(result["figures"]))}
    ]
    return "\n".join([*(table(spec) for spec in tables), origin(result)])


def origin(result: Mapping[str, Any]) -> str:
    """How, when and on what a result was made."""
    made, seed = result["machine"], result["seed"]
    commit = (result["commit"]["id"] or "unknown")[:12] + (" with changes" if result["commit"]["dirty"] else "")
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items() if version)
    return (
        f"`{result['command']}`; {result['date']}, commit {commit}, {'no seed' if seed is None else f'seed {seed}'}; "
        f"{made['processor']}, {made['cores']} cores, {made['memory_gib']} GiB; {versions}. "
        f"Data: {_sentence(result['data'])}.\n"
    )


def table(spec: Mapping[str, Any]) -> str:
    """{"title", "columns", "rows", "note"} -> Markdown. Numbers are set to the right, with four digits that count."""
    columns, rows = spec["columns"], [[cell(value) for value in row] for row in spec["rows"]]
    lines = [f"## {spec['title']}\n", _row(columns), "|" + " :-- |" + " --: |" * (len(columns) - 1)]
    note = [f"\n{spec['note']}"] if spec.get("note") else []
    return "\n".join([*lines, *(_row(row) for row in rows), *note, ""])


def cell(value: Any) -> str:
    """A value as text; a mapping with mean, low and high as "mean [low, high]"."""
    if value is None:
        return "–"
    if isinstance(value, Mapping):
        if value["mean"] is None:
            return "–"
        return f"{cell(value['mean'])} [{cell(value['low'])}, {cell(value['high'])}]"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}" if abs(value) >= 1 else f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value).replace("|", "\\|")


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _flat(figures: Mapping[str, Any], prefix: str = "") -> list[list[Any]]:
    rows: list[list[Any]] = []
    for name, value in figures.items():
        label = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, Mapping) and "mean" not in value:
            rows += _flat(value, f"{label}: ")
        else:
            rows.append([label, value if not isinstance(value, list) else ", ".join(cell(part) for part in value)])
    return rows


def _sentence(data: Any) -> str:
    return ", ".join(f"{key} {value}" for key, value in data.items()) if isinstance(data, Mapping) else str(data)


def card(text: str, results: list[dict[str, Any]]) -> str:
    """A model card with tables between its markers, one heading level lower."""
    head, _, rest = text.partition(OPENING)
    _, _, tail = rest.partition(CLOSING)
    told = [section(result).replace("## ", "### ") for result in results]
    return "\n".join([head + OPENING, "", *told, CLOSING + tail])


def filled(text: str, results: list[dict[str, Any]]) -> str:
    """A page with the tables of results between the markers that bear their titles, their origins between "origin"."""
    specs = [spec for result in results for spec in result["tables"]]
    told = {spec["title"]: f"**{spec['title']}**\n\n{table(spec).split(chr(10), 2)[2]}" for spec in specs}
    told["origin"] = "\n".join(origin(result) for result in results)
    return re.sub(
        r"(<!-- table: (.+?) -->\n).*?(<!-- /table -->)", lambda found: found[1] + told[found[2]] + found[3], text,
        flags=re.DOTALL,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail where a page is not up to date")
    options = parser.parse_args()
    results = [json.loads(path.read_text("utf-8")) for path in sorted(RESULTS.glob("*.json"))]
    targets = [(PAGE, page([result for result in results if result["name"] not in PAGES]))]
    for weights, names in CARDS.items():
        path = WEIGHTS / weights / "MODEL_CARD.md"
        targets.append((path, card(path.read_text("utf-8"), [result for result in results if result["name"] in names])))
    for path in dict.fromkeys(PAGES.values()):
        own = [result for result in results if PAGES.get(result["name"]) == path]
        targets.append((path, filled(path.read_text("utf-8"), own)))
    for target, text in targets:
        if not options.check:
            replace_file(target, text)
        elif not target.exists() or target.read_text("utf-8") != text:
            sys.exit(f"{target.name} is not what bench/results says; run `python bench/tables.py`")


if __name__ == "__main__":
    main()
