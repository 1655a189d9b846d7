"""Are 5 to 10 % of the labels enough? APE-GAN's discriminator learns from a simulated oracle, active and at random.

    python bench/active_learning.py --start RUN --corpus BAND --made RUN... --held RUN... --work FOLDER
        [--part labels generator] [--out FOLDER] [--picture FILE]

The pool is 2,000 phrases of five tracks, in C, with labels that are hidden until they are asked for. Half are real, of
songs of the train split; a quarter are drawn by the systems of --made; a quarter are real ones damaged in one of three
ways: bars of four songs in a row, one track a semitone off, onsets shifted. Held-out labels are made alike of the test
split and of the systems of --held, which are other ones, or of other seeds.

Labels: the discriminator of --start, an ape_gan that learned without labels, learns on from 1 % of the labels, drawn at
random. It marks the pool, more are chosen by what it says, and it learns anew from all so far, round after round. Its
first layer stays as it is, so that what that makes of the pool is computed once.
Generator: --start learns on for STEPS steps as `orchestrion active --learn` has it, both players, from the labels asked
for, from all and from none. What lies in FOLDER is not made again. About three minutes of one core for the labels, a
quarter of an hour for the generator.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from active_rounds import (
    DRAWN,
    GENERATOR_SEEDS,
    GENERATOR_SHARES,
    GENERATOR_STRATEGIES,
    GRID,
    HELD,
    POOL,
    SHARES,
    STEPS,
    STRATEGIES,
    Labelled,
    generator_rows,
    label_rows,
    labelled,
    quality,
)
from matplotlib.figure import Figure
from record import BENCH, record

from orchestrion.data.store import open_corpus
from orchestrion.metrics.phrases import energy_distance, phrase_features
from orchestrion.models.loading import load
from orchestrion.models.zoo.ape_gan import ApeGan
from orchestrion.rendering.piano_roll import write_figure

T_95 = {3: 4.303, 5: 2.776}  # of Student's t, two-sided, by how many seeds


def interval(values: Sequence[float]) -> dict[str, float]:
    """Mean and 95 % interval by Student's t, over seeds."""
    mean = float(np.mean(values))
    half = T_95[len(values)] * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return {"mean": mean, "low": mean - half, "high": mean + half}


def at(rows: Sequence[dict[str, Any]], share: float) -> dict[str, Any]:
    return next(row for row in rows if row["round"] == round(share * POOL))


def label_tables(
    told: dict[str, list[list[dict[str, Any]]]], held: Labelled, without: float
) -> tuple[dict[str, Any], list[Any]]:
    """without: the area under the curve before any label."""
    figures: dict[str, Any] = {}
    for name, runs_of in told.items():
        for share in SHARES:
            if (name == "all") == (share == 1.0):
                rows = [at(rows, share) for rows in runs_of]
                figures.setdefault(name, {})[f"{share:.0%}"] = {
                    what: interval([row[what] for row in rows])
                    for what in ("accuracy", "auc", "labels", "uncertain", "real") if what in rows[0]
                }  # fmt: skip
    for name in STRATEGIES[1:]:
        for share in SHARES[:-1]:
            pairs = zip(told[name], told["random"], strict=True)
            gaps = [at(one, share)["accuracy"] - at(other, share)["accuracy"] for one, other in pairs]
            figures[name][f"{share:.0%}"]["above random"] = interval(gaps)
    # by the area under the curve, which no threshold moves, of what all labels add to a discriminator that has none
    last = figures["all"]["100%"]["auc"]["mean"]
    figures["gained"] = {
        name: {f"{share:.0%}": (figures[name][f"{share:.0%}"]["auc"]["mean"] - without) / (last - without)
               for share in SHARES[:-1]}
        for name in STRATEGIES
    }  # fmt: skip
    kinds = [str(kind) for kind in np.unique(held.kinds)]
    figures["kinds"] = {
        kind: {where: interval([at(rows, share)["kinds"][kind] for rows in told[name]])
               for where, name, share in (("5 % random", "random", 0.05), ("5 % margin", "margin", 0.05),
                                          ("100 %", "all", 1.0))}
        for kind in kinds
    }  # fmt: skip
    columns = ["share labelled", *STRATEGIES]
    cells = [(f"{share:.0%}", share) for share in SHARES[:-1]]
    whole = figures["all"]["100%"]
    tables: list[Any] = []
    for title, what, note in (
        ("Active learning: accuracy on held-out labels, by share of the pool labelled", "accuracy",
         "Mean of the two sides' accuracies; 0.5 is chance. `band` asks for nothing outside of 0.475 to 0.525, so it "
         "spends less than it may: see below."),
        ("Active learning: area under the curve, by share of the pool labelled", "auc", ""),
    ):  # fmt: skip
        rows: list[list[Any]] = [[name, *(figures[way][name][what] for way in STRATEGIES)] for name, _ in cells]
        tables.append({"title": title, "columns": columns, "note": note,
                       "rows": [*rows, ["100%", whole[what], None, None, None]]})  # fmt: skip
    tables.append({
        "title": "Active learning: share of what all labels add that is reached",
        "columns": columns,
        "rows": [[name, *(figures["gained"][way][name] for way in STRATEGIES)] for name, _ in cells],
        "note": f"Of the area under the curve, from {without:.3f} without labels to {last:.3f} with all of them.",
    })  # fmt: skip
    tables.append({
        "title": "Active learning: accuracy above random, seed by seed",
        "columns": ["share labelled", *STRATEGIES[1:]],
        "rows": [[name, *(figures[way][name]["above random"] for way in STRATEGIES[1:])] for name, _ in cells],
    })  # fmt: skip
    tables.append({
        "title": "Active learning: what the band asks for",
        "columns": ["may ask for", "has asked for, of 2,000", "uncertain share of the rest", "real among them"],
        "rows": [[name, *(figures["band"][name][what] for what in ("labels", "uncertain", "real"))]
                 for name, _ in cells],
    })  # fmt: skip
    tables.append({
        "title": "Active learning: which kinds are told apart",
        "columns": ["held-out phrases", "how many", "5 % random", "5 % margin", "100 %"],
        "rows": [[kind, int((held.kinds == kind).sum()), *figures["kinds"][kind].values()] for kind in kinds],
    })  # fmt: skip
    return figures, tables


def generator_tables(rows: dict[str, list[dict[str, Any]]], least: float) -> tuple[dict[str, Any], list[Any]]:
    figures = {
        name: {what: interval([row[what] for row in some]) for what in ("distance", "accuracy", "auc")}
        for name, some in rows.items()
    }
    table = {
        "title": f"Active learning: a round of {STEPS} steps of both players, by the labels learned from",
        "columns": ["learned from", "distance of what is made from held-out songs", "accuracy on held-out labels",
                    "AUC"],
        "rows": [[name, *row.values()] for name, row in figures.items()],
        "note": f"{GENERATOR_SEEDS} seeds, all from one trained start; energy distance of {DRAWN} phrases; that of real"
        f" ones of the pool is {least:.3f}.",
    }  # fmt: skip
    return figures, [table]


def draw(figures: dict[str, Any], path: Path) -> None:
    """Accuracy, and the generator's distance, against the labels used."""
    generator = figures.get("generator")
    drawing = Figure(figsize=(9.6 if generator else 5.2, 3.4), dpi=100)
    axes = drawing.add_subplot(1, 2 if generator else 1, 1)
    for name in STRATEGIES:
        rows = [figures["labels"][name][f"{share:.0%}"] for share in SHARES[:-1]]
        used = [row["labels"]["mean"] / POOL for row in rows]
        (line,) = axes.plot(used, [row["accuracy"]["mean"] for row in rows], marker="o", markersize=3, linewidth=1.2,
                            label="band, as the paper" if name == "band" else name)  # fmt: skip
        low, high = ([row["accuracy"][side] for row in rows] for side in ("low", "high"))
        axes.fill_between(used, low, high, color=line.get_color(), alpha=0.12, linewidth=0)
    whole = figures["labels"]["all"]["100%"]["accuracy"]
    axes.axhline(whole["mean"], color="grey", linewidth=1, linestyle="--", label="all labels")
    axes.axvspan(0.05, 0.1, color="grey", alpha=0.15, linewidth=0)
    _by_share(axes, "accuracy on held-out labels")
    axes.legend(fontsize=7)
    if generator:
        axes = drawing.add_subplot(1, 2, 2)
        for name in GENERATOR_STRATEGIES:
            rows = [generator[f"{share:.0%} of the labels, {name}"]["distance"] for share in GENERATOR_SHARES]
            off = [[row["mean"] - row["low"] for row in rows], [row["high"] - row["mean"] for row in rows]]
            place = [share * (1.04 if name == "random" else 0.96) for share in GENERATOR_SHARES]
            axes.errorbar(place, [row["mean"] for row in rows], yerr=off, marker="o", markersize=3, linewidth=1.2,
                          capsize=2, label=name)  # fmt: skip
        for name, style in (("all labels", "--"), ("no labels", ":")):
            axes.axhline(generator[name]["distance"]["mean"], color="grey", linewidth=1, linestyle=style, label=name)
        axes.axvspan(0.05, 0.1, color="grey", alpha=0.15, linewidth=0)
        axes.set_ylim(bottom=0)
        _by_share(axes, "generator: distance from held-out songs")
        axes.legend(fontsize=7)
    drawing.tight_layout()
    write_figure(drawing, path)


def _by_share(axes: Any, what: str) -> None:
    axes.set_xscale("log")
    axes.set_xticks(SHARES, [f"{share:.0%}" for share in SHARES], fontsize=7)
    axes.set_xticks([], minor=True)
    axes.set_xlabel("share of the pool labelled", fontsize=8)
    axes.set_ylabel(what, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.2)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", type=Path, required=True, help="a run of ape_gan")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--made", type=Path, nargs="+", required=True, help="runs that draw for the pool")
    parser.add_argument("--held", type=Path, nargs="+", required=True, help="runs that draw what is held out")
    parser.add_argument("--work", type=Path, required=True, help="where phrases and results so far lie")
    parser.add_argument("--part", choices=("labels", "generator"), nargs="+", default=("labels", "generator"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--picture", type=Path, default=BENCH.parent / "docs" / "active-learning.png")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    corpus = open_corpus(options.corpus)
    system = load(options.start).system
    if not isinstance(system, ApeGan) or system.grid != GRID:
        raise SystemExit(f"{options.start} is no ape_gan of {GRID.name}")
    start = system.discriminator
    data = labelled(corpus, "train", options.made, POOL, 0, options.work / "pool.npz", start)
    held = labelled(corpus, "test", options.held, HELD, 1000, options.work / "held.npz", start)
    told = label_rows(start, data, held, options.work)
    figures: dict[str, Any] = {"without labels": quality(start, held)}
    figures["labels"], tables = label_tables(told, held, figures["without labels"]["auc"])
    if "generator" in options.part:
        rows = generator_rows(system, corpus, data, held, told, options.work)
        real = data.phrases[data.real][:DRAWN]
        least = energy_distance(*(phrase_features(one, GRID.bars) for one in (held.phrases[held.real], real)))
        figures["generator"], more = generator_tables(rows, least)
        tables += more
    draw(figures, options.picture)
    where = {} if options.out is None else {"folder": options.out}
    counts = {f"{name}: {kind}": int((some.kinds == kind).sum())
              for name, some in (("pool", data), ("held out", held)) for kind in np.unique(some.kinds)}  # fmt: skip
    path = record(
        "active_learning", figures, command=shlex.join(["python", "bench/active_learning.py", *sys.argv[1:]]), seed=0,
        data={"corpus": corpus.info()["fingerprint"][:16], **counts}, tables=tables, **where,
    )  # fmt: skip
    print(f"wrote {path.name}")


if __name__ == "__main__":
    main()
