"""Pictures of adversarial training, after the figures of the WGAN-GP paper, into docs/.

    python bench/adversarial_pictures.py --wgan RUN --plain RUN --corpus CORPUS [--out docs] [--seed 0]

adversarial-similarity.png: what is like what within made and held-out phrases (its figures 9 and 10).
adversarial-losses.png: losses of the plain GAN and of the Wasserstein GAN with gradient penalty.
adversarial-thresholds.png: what the generator draws, raw and by threshold, beside a held-out phrase.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from phrase_sides import Run, made_rolls, real_rolls
from record import BENCH

from orchestrion.data.store import open_corpus
from orchestrion.metrics.structure import self_similarity
from orchestrion.models.loading import load
from orchestrion.models.zoo.wgan_gp_attention import WganGpAttention, phrases_of
from orchestrion.rendering.piano_roll import write_figure

SQUARES = 4  # phrases a row
THRESHOLDS = (0.5, 0.7, 0.9)
SMOOTHED = 50  # steps that a point of a loss curve is the mean of


def opened(folder: Path, corpus: Path) -> Run:
    return Run(folder.name, 0, folder, open_corpus(corpus), load(folder), 0, 0, {})


def bare(axes: Axes, title: str) -> Axes:
    axes.set_title(title, fontsize=8)
    axes.set_xticks([])
    axes.set_yticks([])
    return axes


def draw_similarity(run: Run, path: Path, seed: int) -> None:
    grid = run.system.grid
    made, _ = made_rolls(run, SQUARES, seed)
    real, _ = real_rolls(run, SQUARES, np.random.default_rng(seed))
    figure = Figure(figsize=(2.2 * SQUARES, 4.8), dpi=100)
    for number, (title, roll) in enumerate([*(("held out", one) for one in real), *(("made", one) for one in made)]):
        axes = bare(figure.add_subplot(2, SQUARES, number + 1), title)
        axes.imshow(self_similarity(grid.decode(roll), "step"), cmap="magma", vmin=0, vmax=1, interpolation="nearest")
    figure.tight_layout()
    write_figure(figure, path)


def draw_losses(runs: Sequence[Run], path: Path) -> None:
    figure = Figure(figsize=(9, 3), dpi=100)
    for number, run in enumerate(runs):
        axes = figure.add_subplot(1, len(runs), number + 1)
        rows = [json.loads(line) for line in (run.folder / "history.jsonl").read_text("utf-8").splitlines()]
        for name in dict.fromkeys(name for row in rows for name in row if name.startswith("train/")):
            values = np.array([row[name] for row in rows if name in row])
            means = np.convolve(values, np.ones(SMOOTHED) / SMOOTHED, "valid")
            axes.plot(np.arange(len(means)) + SMOOTHED, means, linewidth=1, label=name.removeprefix("train/"))
        axes.set_title(f"{run.model.name}, mean of {SMOOTHED} steps", fontsize=9)
        axes.set_xlabel("step", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.legend(fontsize=7)
    figure.tight_layout()
    write_figure(figure, path)


def draw_thresholds(run: Run, path: Path, seed: int) -> None:
    system = run.system
    if not isinstance(system, WganGpAttention):
        raise SystemExit(f"{run.folder} is no wgan_gp_attention")
    noise = np.random.default_rng(seed).standard_normal((1, system.config.noise), dtype=np.float32)
    with torch.inference_mode():
        odds = phrases_of(system.drawing(torch.from_numpy(noise)), system.grid.shape[0])[0].numpy()
    real = real_rolls(run, 1, np.random.default_rng(seed))[0][0]
    shown = [("held out", real.any(0).astype(float)), ("raw, loudest track", odds.max(0))]
    shown += [(f"above {threshold}", (odds > threshold).any(0).astype(float)) for threshold in THRESHOLDS]
    figure = Figure(figsize=(2 * len(shown), 2.6), dpi=100)
    for number, (title, picture) in enumerate(shown):
        axes = bare(figure.add_subplot(1, len(shown), number + 1), title)
        axes.imshow(picture.T, cmap="magma", vmin=0, vmax=1, origin="lower", aspect="auto", interpolation="nearest")
    figure.tight_layout()
    write_figure(figure, path)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wgan", type=Path, required=True)
    parser.add_argument("--plain", type=Path, required=True, help="a run of dcgan")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=BENCH.parent / "docs")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    wgan, dcgan = (opened(folder, options.corpus) for folder in (options.wgan, options.plain))
    draw_similarity(wgan, options.out / "adversarial-similarity.png", options.seed)
    draw_losses([dcgan, wgan], options.out / "adversarial-losses.png")
    draw_thresholds(wgan, options.out / "adversarial-thresholds.png", options.seed)


if __name__ == "__main__":
    main()
