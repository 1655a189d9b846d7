"""What a simulated oracle teaches APE-GAN: its discriminator round after round, and both players in one round.

The pool is phrases with labels that are hidden until they are asked for; `active_learning.py` tells of which, and of
what is measured. What was measured once lies in a folder.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from orchestrion.data.captions.pairs import shifted, to_c
from orchestrion.data.labeled import Judged, JudgedCorpus
from orchestrion.data.phrases import Selection, phrase_table
from orchestrion.data.store import Corpus
from orchestrion.generation.batch import Asked, generate
from orchestrion.listening.active.query_strategy import Policy, chosen
from orchestrion.metrics.phrases import energy_distance, phrase_features
from orchestrion.models.loading import load
from orchestrion.models.zoo.ape_gan import ApeGan, ApeGanConfig, Discriminator
from orchestrion.music.analysis import estimate_key
from orchestrion.representations.frames import runs
from orchestrion.representations.phrases import empty

POOL, HELD = 2000, 1000
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
ROUNDS = (20, 40, 100, 200, 400, 1000)
SEEDS = 5
STRATEGIES = ("random", "band", "margin", "diverse")
BATCH, EPOCHS, FEWEST_STEPS, MOST_STEPS, RATE = 32, 5, 40, 300, 5e-4
GRID = ApeGanConfig().grid
GENERATOR_SHARES, GENERATOR_STRATEGIES, GENERATOR_SEEDS = (0.01, 0.05, 0.1), ("random", "margin"), 3
STEPS, FULL, DRAWN = 100, 0.5, 512  # FULL: the share of its rates that a round begins with
DAMAGES = ("bars of four songs", "a track a semitone off", "onsets shifted")
MOST_SHIFTED = 3  # steps of 12 a quarter note


@dataclass(frozen=True)
class Labelled:
    """phrases: (N, K, S, P) bool; real: (N,) bool; kinds: what each is; read: (N, R, F), what the discriminator's first
    layer makes of them."""

    phrases: np.ndarray
    real: np.ndarray
    kinds: np.ndarray
    read: torch.Tensor


# ---- phrases


def real_phrases(corpus: Corpus, split: str, count: int, rng: np.random.Generator) -> np.ndarray:
    table = phrase_table(corpus, split, GRID, selection=Selection(piece_tracks=5))
    chosen_ones = rng.permutation(len(table))[:count]
    return np.stack([table.phrase(int(index)) for index in chosen_ones])


def made_phrases(run: Path, count: int, seed: int) -> np.ndarray:
    """What a system draws, on GRID: the first phrase of pieces of two, as in phrase_sides."""
    scores = generate(load(run), Asked(count, bars=2 * GRID.bars, seed=seed))
    return np.concatenate([GRID.encode(score)[:1] for score in scores])


def damaged(phrases: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """(N, K, S, P) -> as many, each damaged in one way."""
    if kind == DAMAGES[0]:
        bars = phrases.reshape(len(phrases), GRID.shape[0], GRID.bars, GRID.steps_a_bar, GRID.pitches)
        mixed = np.stack(
            [np.roll(bars[:, :, bar], bar * len(bars) // GRID.bars, axis=0) for bar in range(GRID.bars)], 2
        )
        return mixed.reshape(phrases.shape)
    hurt = phrases.copy()
    for phrase in hurt:
        if kind == DAMAGES[1]:
            able = np.flatnonzero(phrase[1:].any((1, 2))) + 1  # all but the drums
            if len(able):
                track = rng.choice(able)
                phrase[track] = np.roll(phrase[track], rng.choice((-1, 1)), axis=1)
        else:
            for number, roll in enumerate(phrase):
                start, end, pitch = runs(roll)
                shift = rng.integers(-MOST_SHIFTED, MOST_SHIFTED + 1, len(start))
                phrase[number] = False
                for first, last, place in zip(start + shift, end + shift, pitch, strict=True):
                    phrase[number, max(0, first) : max(0, last), place] = True
    return hurt


def labelled(
    corpus: Corpus, split: str, systems: Sequence[Path], count: int, seed: int, path: Path, start: Discriminator
) -> Labelled:
    """`count` phrases, half of them real; read from `path`, where they lie already."""
    if not path.exists():
        rng = np.random.default_rng(seed)
        drawn = real_phrases(corpus, split, count // 2 + count // 4, rng)
        real, others = drawn[: count // 2], drawn[count // 2 :]
        parts, kinds = [real], ["real"] * len(real)
        for number, run in enumerate(systems):
            each = count // 4 // len(systems) + (number < count // 4 % len(systems))
            parts.append(made_phrases(run, each, seed + number))
            kinds += [f"made by {run.name}"] * each
            print("made", run.name, flush=True)
        for kind, some in zip(DAMAGES, np.array_split(others, len(DAMAGES)), strict=True):
            parts.append(damaged(some, kind, rng))
            kinds += [kind] * len(some)
        phrases = np.concatenate(parts)
        up = [to_c(estimate_key(GRID.decode(phrase))[0]) for phrase in phrases]
        phrases = shifted(phrases, np.array(up), GRID)
        sounds = ~empty(phrases)
        part = path.with_suffix(".part.npz")
        np.savez_compressed(part, phrases=np.packbits(phrases[sounds]), kinds=np.array(kinds)[sounds])
        part.replace(path)
    with np.load(path) as kept:
        kinds = kept["kinds"]
        cells = np.unpackbits(kept["phrases"], count=len(kinds) * GRID.cells)
    phrases = cells.reshape(-1, *GRID.shape).astype(bool)
    return Labelled(phrases, kinds == "real", kinds, first_layer(start, phrases))


@torch.no_grad()
def first_layer(critic: Discriminator, phrases: np.ndarray) -> torch.Tensor:
    """(N, K, S, P) bool -> (N, R, F)."""
    parts = (phrases[at : at + BATCH] for at in range(0, len(phrases), BATCH))
    return torch.cat([critic.body.first(torch.from_numpy(part).float())[0] for part in parts])


# ---- labels


def fitted(start: Discriminator, data: Labelled, index: np.ndarray, seed: int) -> Discriminator:
    """The discriminator once it has learned from these labels, each side as often as the other."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    critic = copy.deepcopy(start)
    behind = [weight for name, weight in critic.named_parameters() if not name.startswith("body.opening")]
    optimizer = torch.optim.Adam(behind, lr=RATE, betas=(0.5, 0.9))
    sides = [side for side in (index[data.real[index]], index[~data.real[index]]) if len(side)]
    steps = int(np.clip(EPOCHS * len(index) / BATCH, FEWEST_STEPS, MOST_STEPS))
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = RATE * min(1.0, 2 * (steps - step) / steps)
        rows = np.concatenate([side[rng.integers(len(side), size=BATCH // len(sides))] for side in sides])
        real = torch.from_numpy(data.real[rows]).float()
        loss = F.binary_cross_entropy_with_logits(critic.marks(data.read[rows][None], nothing(critic, len(rows))), real)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return critic


def nothing(critic: Discriminator, count: int) -> torch.Tensor:
    """What was said: no sentence."""
    return torch.zeros(count, 1 if critic.projected is None else critic.projected.in_features)


@torch.inference_mode()
def marked(critic: Discriminator, read: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(N, R, F) -> (N,) odds and (N, C) what they are read off."""
    odds, founds = [], []
    for part in read.split(BATCH):
        found = critic.found(part[None])
        odds.append(torch.sigmoid(critic.logits(found, nothing(critic, len(found)))).numpy())
        founds.append(found.numpy())
    return np.concatenate(odds), np.concatenate(founds)


def quality(critic: Discriminator, held: Labelled) -> dict[str, Any]:
    odds = marked(critic, held.read)[0]
    right = (odds > 0.5) == held.real
    order = np.argsort(np.argsort(odds, kind="stable"), kind="stable") + 1.0
    for value in np.unique(odds):  # equal odds share their rank
        order[odds == value] = order[odds == value].mean()
    yes, no = int(held.real.sum()), int((~held.real).sum())
    auc = (order[held.real].sum() - yes * (yes + 1) / 2) / (yes * no)
    by_kind = {str(kind): float(right[held.kinds == kind].mean()) for kind in np.unique(held.kinds)}
    return {"accuracy": (right[held.real].mean() + right[~held.real].mean()) / 2, "auc": auc, "kinds": by_kind}


def rounds(start: Discriminator, data: Labelled, held: Labelled, strategy: str, seed: int) -> list[dict[str, Any]]:
    """A row a round: labels asked for, what was learned from them, how many phrases were uncertain."""
    rng = np.random.default_rng((seed, 17))
    asked = rng.permutation(len(data.real))[: ROUNDS[0]]
    rows: list[dict[str, Any]] = []
    policy = Policy(strategy)
    for number, target in enumerate(ROUNDS):
        critic = fitted(start, data, asked, seed)
        left = np.setdiff1d(np.arange(len(data.real)), asked)
        odds, found = marked(critic, data.read[left])
        rows.append({"round": target, "labels": len(asked), "uncertain": float(policy.unsure(odds).mean()),
                     "real": float(data.real[asked].mean()), **quality(critic, held)})  # fmt: skip
        if number + 1 < len(ROUNDS):
            budget = ROUNDS[number + 1] - target
            asked = np.concatenate([asked, left[chosen(odds, found, budget, policy, rng)]])
        rows[-1]["asked"] = [int(index) for index in asked[: rows[-1]["labels"]]] if target <= 200 else []
    return rows


def all_labels(start: Discriminator, data: Labelled, held: Labelled, seed: int) -> list[dict[str, Any]]:
    """The one round that asks for everything."""
    everything = np.arange(len(data.real))
    return [{"round": POOL, "labels": len(everything), **quality(fitted(start, data, everything, seed), held)}]


# ---- the generator


def generated(
    start: ApeGan, corpus: Corpus, data: Labelled, index: np.ndarray, held: Labelled, seed: int
) -> dict[str, float]:
    """A round of learning from these labels, both players from where they stood: how far from held-out songs is what
    the generator makes then, and how often does the discriminator tell held-out labels rightly?"""
    torch.manual_seed(seed)
    system = copy.deepcopy(start).train()
    judged = Judged(tuple(map(str, index)), data.phrases[index], data.real[index])
    both = JudgedCorpus(corpus, judged) if len(judged) else corpus
    optimizers = system.optimizers()
    rates = {name: optimizer.param_groups[0]["lr"] for name, optimizer in optimizers.items()}
    for step in range(STEPS):
        batch = system.batch(both, "train", np.random.default_rng((seed, step)))
        for name, loss in system.losses(batch, step):
            optimizers[name].param_groups[0]["lr"] = rates[name] * FULL * (STEPS - step) / STEPS
            optimizers[name].zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizers[name].step()
        system.after_step(step, [batch])
    system.eval()
    made = system.draw([np.random.default_rng((seed, number)) for number in range(DRAWN)], None)
    features = [phrase_features(one, GRID.bars) for one in (held.phrases[held.real], made[~empty(made)])]
    read = first_layer(system.discriminator, held.phrases)
    told = quality(system.discriminator, replace(held, read=read))
    return {"labels": len(index), "distance": energy_distance(*features), "accuracy": told["accuracy"],
            "auc": told["auc"]}  # fmt: skip


# ---- all of it


def once(path: Path, make: Callable[[], Any]) -> Any:
    if not path.exists():
        value = make()
        part = path.with_suffix(".part")
        part.write_text(json.dumps(value, default=float), "utf-8")
        part.replace(path)
        print("made", path.stem, flush=True)
    return json.loads(path.read_text("utf-8"))


def label_rows(
    start: Discriminator, data: Labelled, held: Labelled, work: Path
) -> dict[str, list[list[dict[str, Any]]]]:
    """By strategy, a list of rounds a seed; "all" has one round, that of all labels."""
    told: dict[str, list[list[dict[str, Any]]]] = {name: [] for name in (*STRATEGIES, "all")}
    for seed in range(SEEDS):
        for name in STRATEGIES:
            told[name].append(once(work / f"labels-{name}-{seed}.json", partial(rounds, start, data, held, name, seed)))
        told["all"].append(once(work / f"labels-all-{seed}.json", partial(all_labels, start, data, held, seed)))
    return told


def generator_rows(
    start: ApeGan,
    corpus: Corpus,
    data: Labelled,
    held: Labelled,
    told: dict[str, list[list[dict[str, Any]]]],
    work: Path,
) -> dict[str, list[dict[str, Any]]]:
    """By what it learned from, a result a seed."""
    result: dict[str, list[dict[str, Any]]] = {}
    for seed in range(GENERATOR_SEEDS):
        sets = {"no labels": np.zeros(0, np.int64), "all labels": np.arange(len(data.real))}
        for name in GENERATOR_STRATEGIES:
            for share in GENERATOR_SHARES:
                row = next(row for row in told[name][seed] if row["round"] == round(share * POOL))
                sets[f"{share:.0%} of the labels, {name}"] = np.array(row["asked"])
        for name, index in sets.items():
            path = work / f"generator-{name.replace(' ', '-').replace('%', '')}-{seed}.json"
            made = partial(generated, start, corpus, data, index, held, seed)
            result.setdefault(name, []).append(once(path, made))
    return result
