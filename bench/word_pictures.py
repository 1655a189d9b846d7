"""Figures 5 and 6 of the APE-GAN paper, of our own: rolls of four sentences, and the heat map of all.

    python bench/word_pictures.py --run RUN [--out docs] [--seed 0]

ape-gan-words.png: KL divergence between the music of every two sentences, from bench/results/word_groups.json.
ape-gan-rolls.png: what is composed from the paper's own sentences; the MIDI of each lies in docs/samples.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from adversarial_pictures import bare
from matplotlib.figure import Figure
from record import BENCH, RESULTS
from word_groups import HELD_OUT

from orchestrion.generation.compose import compose
from orchestrion.models.loading import load
from orchestrion.music.files import write_midi
from orchestrion.rendering.piano_roll import write_figure

SENTENCES = ("I am happy", "I feel good", "She laughs", "He cries")
BARS = 4


def draw_words(path: Path) -> None:
    figures = json.loads((RESULTS / "word_groups.json").read_text("utf-8"))["figures"]
    groups: dict[str, list[str]] = figures[HELD_OUT]["groups"]
    matrices = figures[HELD_OUT]["matrices"]
    ends = np.cumsum([len(sentences) for sentences in groups.values()])
    figure = Figure(figsize=(5.2 * len(matrices) + 0.6, 4.8), dpi=100, layout="constrained")
    for number, (name, matrix) in enumerate(matrices.items()):
        axes = figure.add_subplot(1, len(matrices), number + 1)
        shown = axes.imshow(np.array(matrix, float), cmap="Greys", vmin=0, vmax=1.5, interpolation="nearest")
        axes.set_title(name, fontsize=9)
        middles = ends - np.array([len(sentences) for sentences in groups.values()]) / 2 - 0.5
        axes.set_xticks(middles, groups, fontsize=8)
        axes.set_yticks(middles, groups, fontsize=8)
        for end in ends[:-1]:
            axes.axhline(end - 0.5, linewidth=0.4)
            axes.axvline(end - 0.5, linewidth=0.4)
    figure.colorbar(shown, ax=figure.axes, label="KL divergence, nats", fraction=0.03)
    write_figure(figure, path)


def draw_rolls(run: Path, out: Path, seed: int) -> None:
    model = load(run)
    figure = Figure(figsize=(10, 5), dpi=100, layout="constrained")
    for number, sentence in enumerate(SENTENCES):
        piece = compose(sentence, bars=BARS, seed=seed, model=model)[0]
        write_midi(piece.score, out / "samples" / f"ape_gan-{sentence.lower().replace(' ', '-')}.mid")
        axes = bare(figure.add_subplot(2, 2, number + 1), sentence)
        for color, track in enumerate(track for track in piece.score.tracks if not track.is_drum):
            notes = track.notes.numpy()
            start, quarter = notes["time"] / piece.score.tpq, piece.score.tpq
            axes.hlines(notes["pitch"], start, start + notes["duration"] / quarter, colors=f"C{color}", linewidth=2)
        axes.set_xlim(0, 4 * BARS)
        axes.set_ylim(24, 108)
    write_figure(figure, out / "ape-gan-rolls.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=BENCH.parent / "docs")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw_words(options.out / "ape-gan-words.png")
    draw_rolls(options.run, options.out, options.seed)


if __name__ == "__main__":
    main()
