"""Learning from what people said: their answers as labels, the training that goes on with them, and what it changed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from orchestrion.core.files import replace_file
from orchestrion.data.labeled import Judged, JudgedCorpus
from orchestrion.data.store import Corpus
from orchestrion.listening.active import ActiveError
from orchestrion.listening.active.acquisition import JUDGED, THE_PAPER, Judge, Pool, judge, judged_in, newest, pool_of
from orchestrion.listening.active.items import Asked, asked_in
from orchestrion.listening.active.query_strategy import EVEN, Policy
from orchestrion.listening.sources import labels_of
from orchestrion.listening.store import Store
from orchestrion.models import checkpoint
from orchestrion.models.base import Recipe, System, Training
from orchestrion.models.registry import recipe
from orchestrion.training.run_folder import claim, last_checkpoint
from orchestrion.training.trainer import VALIDATION_SEED, Progress, train

FOR, AGAINST = ("real", "good"), ("fake", "poor")
HELD_OUT = 5  # one label of so many is not learned from
RECORD = "learned.json"
HISTORY = "history.jsonl"


@dataclass(frozen=True)
class Answers:
    """What people said of the items of a run. real: by id, by the majority of "real" and "good" against "fake" and
    "poor"; tied: ids with as many of both; skipped: ids of which nobody said anything else; strangers: items with
    answers that the run does not hold."""

    real: dict[str, bool]
    tied: tuple[str, ...]
    skipped: tuple[str, ...]
    strangers: int


@dataclass(frozen=True)
class Learned:
    """labels, held_out: how many phrases with labels were learned from, and left out to measure by; figures: by name,
    before and after, None where there is nothing to measure."""

    answers: Answers
    labels: int
    held_out: int
    steps: int
    figures: dict[str, tuple[float | None, float | None]]


def answers_in(run: Path, asked: Asked, place: str | None = None) -> Answers:
    """The answers to what a run has asked, from its store or from the file or URL `place`. Raises ActiveError where
    there are none, StudioError for a store that cannot be used."""
    hear = f"`orchestrion label {run}` opens the page to hear them"
    if not asked.rows:
        raise ActiveError(f"{run} has asked nothing yet; `orchestrion active {run} --data CORPUS` chooses phrases")
    where = place or str(labels_of(run))
    if "://" not in where and not Path(where).is_file():
        raise ActiveError(f"there are no labels yet of the {len(asked.rows)} phrases of {run}; {hear}")
    with Store(where) as store:
        verdicts, settled = store.verdicts(), store.settled("")
    own = set(asked.ids)
    real, tied = dict[str, bool](), []
    for verdict in verdicts:
        yes, no = (sum(verdict.votes.get(answer, 0) for answer in side) for side in (FOR, AGAINST))
        if verdict.item in own and yes == no:
            tied.append(verdict.item)
        elif verdict.item in own:
            real[verdict.item] = yes > no
    heard = {entry.item for entry in settled}
    judged = {verdict.item for verdict in verdicts}
    if not real:
        raise ActiveError(f"nobody has said yet what the {len(asked.rows)} phrases of {run} are ({len(tied)} tied,"
                          f" {len((heard & own) - judged)} skipped); {hear}")  # fmt: skip
    return Answers(real, tuple(tied), tuple(sorted((heard & own) - judged)), len(heard - own))


def learn(
    run: Path,
    corpus: Corpus,
    out: Path,
    *,
    steps: int = 200,
    labels: str | None = None,
    policy: Policy = THE_PAPER,
    size: int = 512,
    seed: int = 0,
    told: Callable[[Progress], None] | None = None,
) -> Learned:
    """Train on from the last checkpoint of `run` with what people said, into the run `out`, and measure what changed.

    `out` holds all that was ever judged (judged.npz), so that further rounds learn from it too, and what came of it
    (learned.json); where it was stopped, it goes on. What chooses its best checkpoint is measured at its end alone, so
    that it plays as it ends. labels: file or URL of the answers, if not in the run. policy, size, seed: of the pool
    that is marked before and after. Raises ActiveError, TrainingError, CorpusError, StudioError.
    """
    if out.resolve() == run.resolve():
        raise ActiveError(f"{out} would be overwritten while it is learned from; name another --out")
    begun = newest(run)
    before, _, notes = checkpoint.load(begun)
    asker = judge(before.eval(), notes["system"])
    asked = asked_in(run, asker.grid)
    answers = answers_in(run, asked, labels)
    known = np.array([id in answers.real for id in asked.ids], bool)
    ids = tuple(id for id in asked.ids if id in answers.real)
    judged = Judged(ids, asked.phrases[known], np.array([answers.real[id] for id in ids], bool))
    earlier = judged_in(run)
    judged = judged if earlier is None else earlier.joined(judged)
    apart = np.array([int(id, 16) % HELD_OUT == 0 for id in judged.ids], bool)
    learned, held = judged.subset(~apart), judged.subset(apart)
    if not len(learned):
        raise ActiveError(f"the {len(held)} labels of {run} are all held out to measure by; label more phrases")

    total = int(notes["step"]) + steps
    training = _training(run, notes["system"])
    training = replace(training, steps=total, validate_every=total, save_every=min(training.save_every, steps))
    chosen = Recipe(before.config, training)
    together = JudgedCorpus(corpus, learned)
    claim(out, notes["system"], chosen, together, seed)
    judged.write(out / JUDGED)
    if last_checkpoint(out) is None:
        _begin(run, begun, out)
    train(notes["system"], chosen, together, out, seed=seed, told=told)

    after = checkpoint.load(newest(out))[0].eval()
    pool = pool_of(asker, corpus, size, np.random.default_rng((seed, 0)))
    batches = [
        after.batch(corpus, "valid", np.random.default_rng((VALIDATION_SEED, number)))
        for number in range(training.validation_batches)
    ]
    one, other = (_figures(system, learned, held, pool, policy, batches) for system in (before, after))
    figures = {name: (one[name], other[name]) for name in one}
    told_of = {
        "from": run.name, "from_step": notes["step"], "steps": steps, "labels": len(learned), "held_out": len(held),
        "said": dict(Counter("real" if said else "not real" for said in answers.real.values())),
        "answers": asdict(answers), "figures": figures,
    }  # fmt: skip
    replace_file(out / RECORD, json.dumps(told_of, indent=1) + "\n")
    return Learned(answers, len(learned), len(held), steps, figures)


def _training(run: Path, system: str) -> Training:
    """How the run was trained; of weights alone, as the small recipe."""
    if not (run / "run.json").exists():
        return recipe(system, "small").training
    return Training(**json.loads((run / "run.json").read_text("utf-8"))["training"])


def _begin(run: Path, begun: Path, out: Path) -> None:
    """Copy what training goes on from: weights, optimizers and curve. Weights alone begin with new optimizers."""
    has_state = (begun / "state.safetensors").exists()
    system, optimizers, notes = checkpoint.load(begun, optimizers=has_state)
    if (run / HISTORY).exists():
        replace_file(out / HISTORY, (run / HISTORY).read_bytes())
    checkpoint.save(
        out / "checkpoints" / begun.name, notes["system"], system, optimizers=optimizers or system.optimizers(),
        step=notes["step"], best=float("inf"), encoder=notes.get("encoder"),
    )  # fmt: skip


@torch.no_grad()
def _figures(
    system: System, learned: Judged, held: Judged, pool: Pool, policy: Policy, batches: list[Any]
) -> dict[str, float | None]:
    """Shares, and the validation figures of the system."""
    asker = cast(Judge, system)
    figures: dict[str, float | None] = {}
    for name, judged in (("labels learned from, right", learned), ("labels held out, right", held)):
        right = (asker.odds(judged.phrases, None) > EVEN) == judged.real if len(judged) else np.zeros(0)
        figures[name] = float(right.mean()) if len(right) else None
    figures["uncertain in one pool"] = float(policy.unsure(asker.odds(pool.phrases, None)).mean())
    made = asker.draw(np.random.default_rng(0).spawn(max(1, len(pool.phrases) // 2)), None)
    figures["own music accepted"] = float((asker.odds(made, None) > EVEN).mean())
    torch.manual_seed(0)
    sums: dict[str, np.ndarray] = {}
    for batch in batches:
        for name, pair in system.measure(batch).items():
            sums[name] = sums.get(name, np.zeros(2)) + pair
    return figures | {f"validation: {name}": float(total / max(count, 1)) for name, (total, count) in sums.items()}
