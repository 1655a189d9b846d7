"""The index in which copies of a corpus's pieces are looked for, kept in its folder as `copies-SPLIT.npz`."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress

from symusic import Score

from orchestrion.data.store import Corpus, CorpusError
from orchestrion.metrics.copying import CopyIndex


def copy_index(
    corpus: Corpus, split: str = "train", progress: Callable[[int, int], None] = lambda done, total: None
) -> CopyIndex:
    """The index over one split: read where it was kept, else built and kept, whole or not at all.

    A corpus that was built again has another fingerprint, so that its index is built again. progress: called with
    (pieces read, pieces in all) while it is built. Raises CorpusError where the split holds no piece, OSError where the
    folder cannot be written.
    """
    path, fingerprint = corpus.path / f"copies-{split}.npz", corpus.info()["fingerprint"]
    with suppress(FileNotFoundError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # damaged: build it again
        kept = CopyIndex.load(path)
        if kept.source == fingerprint:
            return kept
    pieces = corpus.pieces(split)
    if not pieces:
        raise CorpusError(
            f"{corpus.path} has no piece in its {split} split, so nothing can be found to be a copy of one"
        )

    def told() -> Iterator[tuple[str, Score]]:
        for done, piece in enumerate(pieces):
            progress(done, len(pieces))
            yield piece.id, piece.score()
        progress(len(pieces), len(pieces))

    index = CopyIndex.build(told(), fingerprint)
    index.save(path)
    return index
