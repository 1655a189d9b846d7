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
import copy
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from record import BENCH, record

from orchestrion.active.choosing import Policy, chosen
from orchestrion.corpus.judged import Judged, JudgedCorpus
from orchestrion.corpus.pairs import shifted, to_c
from orchestrion.corpus.phrases import Selection, phrase_table
from orchestrion.corpus.store import Corpus, open_corpus
from orchestrion.generating import Asked, generate
from orchestrion.metrics.phrases import energy_distance, phrase_features
from orchestrion.models import load
from orchestrion.render.picture import write_figure
from orchestrion.representations.frames import runs
from orchestrion.representations.phrases import empty
from orchestrion.score.analysis import estimate_key
from orchestrion.systems.ape_gan import ApeGan, ApeGanConfig, Discriminator

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
T_95 = {3: 4.303, 5: 2.776}  # of Student's t, two-sided, by how many seeds


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
        for name, loss in system.losses(batch):
            optimizers[name].param_groups[0]["lr"] = rates[name] * FULL * (STEPS - step) / STEPS
            optimizers[name].zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizers[name].step()
    system.eval()
    made = system.draw([np.random.default_rng((seed, number)) for number in range(DRAWN)], None)
    features = [phrase_features(one, GRID.bars) for one in (held.phrases[held.real], made[~empty(made)])]
    read = first_layer(system.discriminator, held.phrases)
    told = quality(system.discriminator, replace(held, read=read))
    return {"labels": len(index), "distance": energy_distance(*features), "accuracy": told["accuracy"],
            "auc": told["auc"]}  # fmt: skip


# ---- figures


def once(path: Path, make: Callable[[], Any]) -> Any:
    if not path.exists():
        value = make()
        part = path.with_suffix(".part")
        part.write_text(json.dumps(value, default=float), "utf-8")
        part.replace(path)
        print("made", path.stem, flush=True)
    return json.loads(path.read_text("utf-8"))


def interval(values: Sequence[float]) -> dict[str, float]:
    """Mean and 95 % interval by Student's t, over seeds."""
    mean = float(np.mean(values))
    half = T_95[len(values)] * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return {"mean": mean, "low": mean - half, "high": mean + half}


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
