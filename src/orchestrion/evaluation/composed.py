"""A model as one of the sides: it composes pieces into a folder, which is then measured like any other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from orchestrion.evaluation.music_sets import EvaluationError, Side, open_side
from orchestrion.generation.compose import compose
from orchestrion.models.loading import WEIGHTS, Model
from orchestrion.text.encoder import SentenceEncoder

BATCH_PIECES = 8


def is_model(place: Path) -> bool:
    """Whether `models.loading.load` takes it: a run, a checkpoint, or the name of bundled weights."""
    return (
        (place / "checkpoints").is_dir()
        or (place / "model.safetensors").is_file()
        or (not place.exists() and (WEIGHTS / place).is_dir())
    )


def read_sentences(path: Path) -> list[str]:
    """One sentence a line; empty lines and repeats are left out. Raises EvaluationError."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"cannot read the sentences in {path}: {error}") from error
    sentences = list(dict.fromkeys(filter(None, map(str.strip, lines))))
    if not sentences:
        raise EvaluationError(f"{path} holds no sentences; write one a line")
    return sentences


def composed_side(
    model: Model,
    folder: Path,
    sentences: Sequence[str] = ("",),
    *,
    pieces: int = 200,
    seed: int = 0,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Side:
    """Have the model compose `pieces` in all, equally many from each sentence (one more from the first ones), into
    `folder`, with a record beside each. Batches that lie there already, from the same model, are not composed again.

    Raises ComposeError, ControlsError, EvaluationError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / ".model"
    asked = hashlib.sha256("\n".join(sentences).encode()).hexdigest()
    drawn = f"{model.sha256} seed {seed}, {pieces} pieces of sentences {asked}\n"
    if marker.exists() and marker.read_text() != drawn:
        raise EvaluationError(
            f"{folder} holds what another model, number, seed or list of sentences made; name another --out"
        )
    marker.write_text(drawn)
    encoder = SentenceEncoder.load(model.notes.get("encoder")) if any(sentences) else None
    done = 0
    for index, sentence in enumerate(sentences):
        share = pieces // len(sentences) + (index < pieces % len(sentences))
        for first in range(0, share, BATCH_PIECES):
            count = min(BATCH_PIECES, share - first)
            bases = [folder / f"{index + 1:03}-{first + number + 1:03}" for number in range(count)]
            if not all(base.with_suffix(".json").exists() for base in bases):
                made = compose(sentence, count=count, seed=seed * 1_000_003 + index * 1009 + first, model=model,
                               encoder=encoder)  # fmt: skip
                for piece, base in zip(made, bases, strict=True):
                    piece.write(base, ("mid", "json"))
            done += count
            told(done, pieces)
    said = f"{pieces:,} pieces composed from {len([s for s in sentences if s]) or 'no'} sentences, seed {seed}"
    return replace(open_side(folder), label=model.name, kind="model", remarks=(said,))
