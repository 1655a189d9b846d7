"""What a model makes of whole pieces that it was not trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from orchestrion.core.errors import UserError
from orchestrion.evaluation.music_sets import EvaluationError, Item
from orchestrion.evaluation.report import Likelihood
from orchestrion.metrics.likelihood import likelihood_figures
from orchestrion.models.base import LikelihoodSystem, System
from orchestrion.music.extent import last_end, length_seconds


def likelihood_of(
    system: System,
    name: str,
    items: Sequence[Item],
    rng: np.random.Generator,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Likelihood:
    """The likelihood of each piece without words, and figures over them all; bounds are over groups of pieces. Systems
    that write in real time read performances, the others what stands on the grid.

    Pieces that cannot be read or that the system cannot hold are told in `skipped`. Raises EvaluationError where the
    system has no likelihood.
    """
    if not isinstance(system, LikelihoodSystem):
        raise EvaluationError(f"{name} gives no likelihood of music; leave it out or name a model that predicts notes")
    costs, lengths, groups = [], [], []
    skipped: list[tuple[str, str]] = []
    for item in items:
        try:
            score = item.score() if "bars" in system.holds else item.performance()
            cost = system.piece_nats(score)
        except UserError as error:
            skipped.append((item.name, str(error)))
        else:
            costs.append(cost)
            lengths.append((score.note_num(), last_end(score) / score.tpq, length_seconds(score)))
            groups.append(item.group)
        told(len(costs) + len(skipped), len(items))
    nats = np.array([sum(cost.nats.values()) for cost in costs])
    tokens, notes = (np.array([getattr(cost, unit) for cost in costs], float) for unit in ("tokens", "notes"))
    there, quarters, seconds = np.array(lengths).reshape(-1, 3).T
    figures = likelihood_figures(nats, tokens, notes, quarters, seconds, rng, groups=groups)
    parts: Counter[str] = Counter()
    for cost in costs:
        parts.update(cost.nats)
    return Likelihood(
        model=name,
        pieces=len(costs),
        nats_per_token=figures["nats-per-token"],
        nats_per_note=figures["nats-per-note"],
        nats_per_beat=figures["nats-per-beat"],
        bits_per_second=figures["bits-per-second"],
        perplexity=figures["perplexity"],
        context=system.likelihood_terms,
        tokens=int(tokens.sum()),
        notes=int(notes.sum()),
        left_out_notes=int(there.sum() - notes.sum()),
        parts={part: value / float(notes.sum()) for part, value in parts.items()},
        skipped=skipped,
        missing="" if costs else f"none of the {len(items):,} pieces can be read by {name}",
    )
