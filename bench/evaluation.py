"""Keeps the figures of an evaluation: report.json of `orchestrion evaluate` -> bench/results/NAME.json.

python bench/evaluation.py REPORT.json --name NAME --command "orchestrion evaluate ..."
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from record import record

from orchestrion.evaluation.summary import DESCRIBED
from orchestrion.metrics.definition import Metric


def style_rows(report: Mapping[str, Any]) -> list[list[Any]]:
    """The measures of style: name, unit, generated, reference, difference in deviations between pieces."""
    rows = []
    for figure in report["figures"]:
        metric = DESCRIBED.get(figure["definition"])
        if isinstance(metric, Metric) and metric.style and not metric.variant and figure["difference"]:
            gap, spread = figure["difference"]["mean"], figure["spread"]
            apart = gap / spread if spread and gap is not None else None
            rows.append([metric.name, metric.unit, figure["generated"], figure["reference"], apart])
    return sorted(rows, key=lambda row: -abs(row[-1] or 0))


def tables(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What docs/results.md prints of an evaluation."""
    ours, theirs = (report[side] for side in ("generated", "reference"))
    against = f"{ours['pieces']} pieces of {ours['label']} beside {theirs['pieces']} of {theirs['label']}"
    whole = [[f"told apart by {test['by']} (0.5 is chance)", test["accuracy"], None] for test in report["two_sample"]]
    whole.append(["Fréchet distance (floor: two halves of the reference)", report["frechet"]["value"],
                  report["frechet"]["floor"]])  # fmt: skip
    if copying := report["copying"]:
        for kind in ("longest", "phrase", "novelty"):
            whole.append([f"copies: {kind}", copying[f"{kind}_generated"], copying[f"{kind}_reference"]])
    whole += [[f"asked for and kept: {kept['control']}", kept["kept"], None] for kept in report["controls"]]
    if continued := report["continuations"]:
        whole += [[f"continuations: {name} (the opening played again)", continued["by_model"][name],
                   continued["by_repeating"][name]] for name in ("f1", "bleu")]  # fmt: skip
    likelihood = [[row["model"], row["nats_per_token"], row["nats_per_note"], row["nats_per_beat"],
                   row["bits_per_second"], row["pieces"]] for row in report["likelihood"]]  # fmt: skip
    compared = [
        [DESCRIBED[part["definition"]].name, part["kl"], part["noise"]["kl"], part["oa"], part["noise"]["oa"],
         part["mean_kl"]["mean"]]
        for part in report["comparisons"] if not part["missing"]
    ]  # fmt: skip
    result = [
        {"title": f"Evaluation: {against}", "columns": ["figure", "generated", "reference or floor"], "rows": whole},
        {"title": "Evaluation: measures of style", "rows": style_rows(report),
         "columns": ["measure", "unit", "generated", "reference", "difference in deviations between pieces"]},
        {"title": "Evaluation: distances between pieces (Yang and Lerch)", "rows": compared,
         "columns": ["feature", "KL, nats", "KL of halves", "overlap", "overlap of halves", "KL of means, nats"]},
        {"title": "Evaluation: likelihood of whole held-out pieces", "rows": likelihood,
         "columns": ["model", "nats a token", "nats a note", "nats a quarter", "bits a second", "pieces"]},
    ]  # fmt: skip
    return [table for table in result if table["rows"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--command", required=True, help="the line that wrote the report")
    options = parser.parse_args()
    report = json.loads(options.report.read_text("utf-8"))
    kept = ("frechet", "two_sample", "copying", "controls", "likelihood", "continuations", "figures")
    figures = {name: report[name] for name in kept} | {
        side: {key: report[side][key] for key in ("label", "pieces", "notes", "hours", "median_bars")}
        for side in ("generated", "reference")
    }
    if figures["copying"]:
        figures["copying"].pop("worst")  # names pieces of the corpus
    data = {side: report[side]["fingerprint"] for side in ("generated", "reference")}
    path = record(options.name, figures, command=options.command, seed=report["settings"]["seed"], data=data,
                  tables=tables(report))  # fmt: skip
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
