"""Captions of a corpus -> embeddings, in blocks: a run that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from orchestrion.core.files import replace_file
from orchestrion.data.store import EMBEDDINGS, ENCODER, open_corpus

BLOCK_CAPTIONS = 4096


class Encoder(Protocol):
    """What turns sentences into vectors: `text.encoder.SentenceEncoder`."""

    name: str
    width: int

    def encode(self, sentences: Sequence[str]) -> np.ndarray:
        """n sentences -> (n, width) float32."""
        ...


def embed(
    corpus: str | Path, encoder: Encoder, progress: Callable[[int, int], None] = lambda done, total: None
) -> None:
    """Write embeddings.npy, (captions, width) float16, into a corpus folder; nothing where this encoder's are there.

    progress: called with (captions done, captions in all). Raises CorpusError where there is no corpus.
    """
    opened = open_corpus(corpus)
    if opened.encoder == encoder.name and opened.embeddings is not None:
        progress(len(opened.captions), len(opened.captions))
        return
    folder, captions = opened.path, opened.captions
    blocks = folder / "embeddings.parts" / hashlib.sha256(encoder.name.encode()).hexdigest()[:16]
    blocks.mkdir(parents=True, exist_ok=True)
    paths = []
    for first in range(0, len(captions), BLOCK_CAPTIONS):
        progress(first, len(captions))
        paths.append(blocks / f"{first}.npy")
        if not paths[-1].exists():
            save_whole(paths[-1], encoder.encode(captions[first : first + BLOCK_CAPTIONS]))
    (folder / ENCODER).unlink(missing_ok=True)  # it is written last: with it the embeddings are whole
    save_whole(folder / EMBEDDINGS, np.concatenate([np.zeros((0, encoder.width), np.float16), *map(np.load, paths)]))
    replace_file(folder / ENCODER, json.dumps({"encoder": encoder.name, "width": encoder.width}) + "\n")
    shutil.rmtree(blocks.parent)
    progress(len(captions), len(captions))


def save_whole(path: Path, array: np.ndarray) -> None:
    """Write an array as float16 beside `path`, then rename."""
    unfinished = path.with_suffix(f".{os.getpid()}.npy")
    np.save(unfinished, array.astype(np.float16))
    os.replace(unfinished, path)
