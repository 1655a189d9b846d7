"""Composes pieces from each sentence of a file, for `music_report.py`.

    python bench/compose_set.py --out DIR [--model RUN] [--pieces 5] [--seed 0] [--shuffle] [--sentences FILE]

Writes NN-P.mid and NN-P.json, sentence by sentence. With --shuffle each sentence keeps its controls and its seed, but
the network gets the embedding of another one, always the same; JSON then tells both. What differs between the two sets
is what the words change beyond the controls.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.progress import Progress

from orchestrion.generation.compose import compose
from orchestrion.models.loading import load
from orchestrion.text.encoder import SentenceEncoder

SENTENCES = Path(__file__).with_name("sentences.txt")
FORMATS = ("mid", "json")


class SwappedEncoder(SentenceEncoder):
    """Encodes, in place of each sentence, the one that `other` gives for it."""

    def __init__(self, encoder: SentenceEncoder, other: Mapping[str, str]) -> None:
        self.encoder, self.other = encoder, other

    def encode(self, sentences: Sequence[str]) -> np.ndarray:
        return self.encoder.encode([self.other[sentence] for sentence in sentences])


def partners(sentences: Sequence[str], seed: int = 0) -> dict[str, str]:
    """Another sentence for each, every one given once: all of them in one circle, in an order drawn by the seed."""
    order = np.random.default_rng(seed).permutation(len(sentences))
    return {sentences[one]: sentences[next_] for one, next_ in zip(order, np.roll(order, -1), strict=True)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="a run or checkpoint folder; the bundled composer without it")
    parser.add_argument("--sentences", type=Path, default=SENTENCES)
    parser.add_argument("--pieces", type=int, default=5, help="pieces a sentence, composed as one batch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shuffle", action="store_true", help="give each sentence the embedding of another one")
    options = parser.parse_args(arguments)
    sentences = list(dict.fromkeys(filter(None, map(str.strip, options.sentences.read_text("utf-8").splitlines()))))
    if options.out.exists() and any(options.out.iterdir()):
        parser.error(f"{options.out} is not empty; name a new folder")
    if options.shuffle and len(sentences) < 2:
        parser.error("there is no other sentence to take the embedding of; give at least two")
    options.out.mkdir(parents=True, exist_ok=True)
    model, encoder = load(options.model), SentenceEncoder.load()
    other = partners(sentences) if options.shuffle else {}
    if other:
        encoder = SwappedEncoder(encoder, other)
    with Progress() as progress:
        task = progress.add_task("composing", total=len(sentences))
        for index, sentence in enumerate(sentences):

            def told(done: int, bars: int, index: int = index) -> None:
                progress.update(task, completed=index + done / bars)

            pieces = compose(sentence, count=options.pieces, seed=options.seed * 1000 + index, model=model,
                             encoder=encoder, progress=told)  # fmt: skip
            for number, piece in enumerate(pieces, start=1):
                said = {"sentence": sentence, "embedding_of": other.get(sentence, sentence)}
                base = options.out / f"{index + 1:02}-{number}"
                replace(piece, record=said | piece.record).write(base, FORMATS)


if __name__ == "__main__":
    main()
