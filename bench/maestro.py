"""Whole MAESTRO test performances: nats an event and bits a second of trained performance systems.

    python bench/maestro.py --corpus CORPUS --runs RUN [RUN ...] [--context 2048] [--pieces 177]

Protocol. The official split of MAESTRO v3; the sustain pedal is written out as note lengths; 388 performance events.
Every event of a piece is predicted once, the first from a start token, the others with at least half of `context`
events of the same piece in sight, or all there are; nothing is padded. The figure is the sum of nats over the events.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from dataclasses import asdict, replace
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from record import record

from orchestrion.data.store import open_corpus
from orchestrion.evaluation.likelihood import likelihood_of
from orchestrion.evaluation.music_sets import open_side
from orchestrion.models.checkpoint import load
from orchestrion.models.layers.stepping import bf16_is_fast

PUBLISHED = (  # nats an event
    ("Transformer of gwinndr's repository, MAESTRO v2, published", 1.99),
    ("+ relative attention, published", 1.92),
)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--runs", required=True, nargs="+", type=Path)
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--pieces", type=int, help="of the test split, drawn by chance; else all")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)

    corpus = open_corpus(arguments.corpus)
    items = open_side(corpus.path, "test").items
    chosen = np.random.default_rng(arguments.seed).permutation(len(items))[: arguments.pieces]
    found = {run.name: measured(run, [items[index] for index in chosen], arguments) for run in arguments.runs}
    record(
        "maestro",
        found,
        command=shlex.join(["python", *sys.argv]),
        seed=arguments.seed,
        data={"corpus": corpus.info()["fingerprint"], "pieces": len(chosen)},
        tables=[table(found, arguments.context, len(items))],
    )


def measured(run: Path, items: list[Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """What the best checkpoint of a run makes of the pieces."""
    trained, _, notes = load(run / "checkpoints" / "best")
    told = json.loads((run / "run.json").read_text("utf-8"))
    system = type(trained)(replace(trained.config, context=arguments.context))  # type: ignore[call-arg]
    system.load_state_dict(trained.state_dict())
    began = process_time()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16_is_fast()):
        likelihood = likelihood_of(system.eval(), run.name, items, np.random.default_rng(arguments.seed))
    print(f"{run.name}: {likelihood.nats_per_token.mean:.4f} nats an event", flush=True)
    config = trained.config
    return asdict(likelihood) | {
        "system": notes["system"],
        "parameters": sum(parameter.numel() for parameter in system.parameters()),
        "step": notes["step"],
        "events_learned_from": notes["step"] * config.context * config.windows * told["training"]["accumulate"],
        "validation": notes["validation"]["nats_per_token"],
        "core_minutes_of_measuring": (process_time() - began) / 60,
    }


def table(found: dict[str, Any], context: int, pieces: int) -> dict[str, Any]:
    rows: list[list[Any]] = [[name, None, None, None, nats, None, None] for name, nats in PUBLISHED]
    for name, row in found.items():
        events = round(row["events_learned_from"] / 1e6, 1)
        rows.append([f"{row['system']}: {name}", row["parameters"], row["step"], events, row["nats_per_token"],
                     row["bits_per_second"], row["pieces"]])  # fmt: skip
    return {
        "title": "MAESTRO v3, performance events: whole test pieces",
        "columns": ["system", "parameters", "steps", "million events read", "nats an event", "bits a second", "pieces"],
        "rows": rows,
        "note": f"At least {context // 2} of the last {context} events in sight, or all there are; sums over the"
        f" pieces, of {pieces} in the test split; bounds by bootstrap over pieces. The published figures are of another"
        " version and protocol.",
    }


if __name__ == "__main__":
    main()
