"""What a model makes of whole held-out pieces: nats a token, note and beat, bits a second; and how it goes on.

    python bench/piece_likelihood.py --model RUN --corpus CORPUS [--pieces 40] [--continued 20] [--split test]

Every piece is read to its end, by sliding context, without words; intervals are over groups of pieces. Then the model
continues openings, and what it composes is compared with what truly follows.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from dataclasses import asdict
from typing import Any

import numpy as np
from record import record

from orchestrion.data.store import open_corpus
from orchestrion.evaluation.continuations import continuations_of
from orchestrion.evaluation.likelihood import likelihood_of
from orchestrion.evaluation.music_sets import open_side
from orchestrion.models.loading import load

UNITS = {
    "nats a token": "nats_per_token",
    "nats a note": "nats_per_note",
    "nats a quarter note": "nats_per_beat",
    "bits a second": "bits_per_second",
    "perplexity": "perplexity",
}
WHO = {"composed": "by_model", "opening repeated": "by_repeating"}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--pieces", type=int, default=40, help="of each dataset, at most")
    parser.add_argument("--continued", type=int, default=20, help="pieces of each dataset to continue, at most")
    parser.add_argument("--split", default="test")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)

    model, corpus = load(arguments.model), open_corpus(arguments.corpus)
    side = open_side(corpus.path, arguments.split)
    likelihoods: dict[str, Any] = {}
    continuations: dict[str, Any] = {}
    for dataset in corpus.info()["datasets"]:
        own = [item for item in side.items if item.group.startswith(f"{dataset}/")]
        order = np.random.default_rng(arguments.seed).permutation(len(own))
        chosen, continued = ([own[index] for index in order[:n]] for n in (arguments.pieces, arguments.continued))
        if not chosen:
            continue
        rng, began = np.random.default_rng(arguments.seed), time.perf_counter()
        found = likelihood_of(model.system, model.name, chosen, rng)
        seconds = (time.perf_counter() - began) / len(chosen)
        likelihoods[dataset] = asdict(found) | {"seconds_a_piece": seconds}
        print(f"{dataset}: {found.nats_per_note.mean:.3f} nats a note, {seconds:.2f} s a piece", flush=True)
        continuations[dataset] = asdict(continuations_of(model, continued, rng))
    parts, terms = (next(iter(likelihoods.values()))[name] for name in ("parts", "context"))
    record(
        "piece_likelihood",
        {"likelihood": likelihoods, "continuations": continuations},
        command=shlex.join(["python", *sys.argv]),
        seed=arguments.seed,
        data={"corpus": corpus.info()["fingerprint"], "split": arguments.split, "model": model.sha256},
        tables=[
            {
                "title": f"Whole held-out pieces: the likelihood that the {model.name} gives them",
                "columns": ["data", *UNITS, "pieces"],
                "rows": [[data, *(f[unit] for unit in UNITS.values()), f["pieces"]] for data, f in likelihoods.items()],
                "note": f"{terms} Sums over the pieces, without words.",
            },
            {
                "title": "Where the nats of a note go, and the time it takes",
                "columns": ["data", *parts, "notes", "notes left out", "seconds a piece"],
                "rows": [
                    [data, *(f["parts"][part] for part in parts), f["notes"], f["left_out_notes"], f["seconds_a_piece"]]
                    for data, f in likelihoods.items()
                ],
                "note": "Nats a note; the ends of cells count as positions.",
            },
            {
                "title": "How eight bars truly go on: notes foreseen",
                "columns": ["data", *(f"{who}: {figure}" for who in WHO for figure in ("f1", "bleu")), "pieces"],
                "rows": [
                    [data, *(f[by][figure] for by in WHO.values() for figure in ("f1", "bleu")), f["pieces"]]
                    for data, f in continuations.items()
                ],
                "note": "Eight bars are given and eight are continued, once a piece, without words. F1 is of notes by"
                " onset and pitch; BLEU, smoothed, of runs of notes. Music goes on in many ways and repeats itself, so"
                " that to repeat is hard to beat here.",
            },
        ],
    )


if __name__ == "__main__":
    main()
