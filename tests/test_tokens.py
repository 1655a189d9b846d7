"""The pieces of a corpus as tokens."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import little_song
from orchestrion.data.build import build
from orchestrion.data.store import Corpus, CorpusError
from orchestrion.data.tokens import PADDING, Tokens, token_table
from orchestrion.music.files import write_midi
from orchestrion.representations.notation import Notation, NotationError, Writer


@dataclass(frozen=True)
class Onsets(Notation):
    """The pitch of each note that begins; it refuses pieces of `refused` notes and cuts off all but `most`."""

    refused: int = -1
    most: int = 10_000

    @property
    def name(self) -> str:
        return "onsets"

    @property
    def size(self) -> int:
        return 128

    def encode(self, notes: np.ndarray) -> np.ndarray:
        if len(notes) == self.refused:
            raise NotationError("it has too many notes")
        return notes["pitch"][: self.most].astype(np.int16)

    def decode(self, tokens: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def writer(self, seconds: float | None = None) -> Writer:
        raise NotImplementedError


def expected(corpus: Corpus, split: str) -> list[np.ndarray]:
    return [piece.timed()["pitch"].astype(np.int64) for piece in corpus.pieces(split)]


@pytest.fixture
def own(tmp_path: Path) -> Corpus:
    """Pieces of 1, 2, 3, 4 and 5 bars for training and one of 2 bars for validation."""
    music = tmp_path / "music"
    music.mkdir()
    rows = ["path,split"]
    for seed, bars in enumerate((2, 3, 4, 5, 6, 2)):
        write_midi(little_song(seed, bars), music / f"{seed}.mid")
        rows.append(f"{seed}.mid,{'valid' if seed == 5 else 'train'}")
    (music / "metadata.csv").write_text("\n".join(rows))
    return build([music], tmp_path / "corpus")


def test_a_table_holds_the_pieces_of_its_split_in_order(own: Corpus) -> None:
    for split in ("train", "valid"):
        table = token_table(own, split, Onsets())
        pieces = expected(own, split)
        assert table.pieces == tuple(piece.id for piece in own.pieces(split))
        assert table.tokens.dtype == np.int16
        assert table.starts.dtype == np.int64
        assert table.starts.tolist() == [0, *np.cumsum([len(piece) for piece in pieces])]
        for index, piece in enumerate(pieces):
            assert np.array_equal(table.piece(index), piece)
        assert table.skipped == {}
        assert not table.tokens.flags.writeable


def test_windows_are_cuts_of_pieces_padded_behind_their_ends(own: Corpus) -> None:
    table, pieces = token_table(own, "train", Onsets()), expected(own, "train")
    shortest = min(map(len, pieces))
    for length in (1, 7, shortest - 1, shortest, shortest + 5, 10_000):
        drawn = table.windows(np.random.default_rng(3), 50, length)
        assert (drawn.shape, drawn.dtype) == ((50, length + 1), np.int64)
        assert np.array_equal(drawn, table.windows(np.random.default_rng(3), 50, length))
        cuts = {
            tuple(np.pad(cut, (0, length + 1 - len(cut)), constant_values=PADDING))
            for piece in pieces
            for start in range(max(1, len(piece) - length))
            for cut in [piece[start : start + length + 1]]
        }
        assert {tuple(window) for window in drawn} <= cuts


def test_every_place_is_drawn_equally_often() -> None:
    starts = np.array([0, 3, 9, 11], np.int64)
    table = Tokens(np.arange(11, dtype=np.int16), starts, ("a", "b", "c"), {})
    firsts = table.windows(np.random.default_rng(0), 8_000, 2)[:, 0]
    places = {0: 1, 3: 1, 4: 1, 5: 1, 6: 1, 9: 1}  # 3 - 2 of the first, 6 - 2 of the second, one of the short last
    counts = np.bincount(firsts, minlength=11)
    assert set(np.flatnonzero(counts)) == set(places)
    assert counts[list(places)] / 8_000 == pytest.approx(np.full(6, 1 / 6), abs=0.02)
    assert {tuple(w) for w in table.windows(np.random.default_rng(0), 100, 2) if w[0] == 9} == {(9, 10, PADDING)}


def test_pieces_that_are_refused_or_empty_are_counted_with_the_reason(own: Corpus) -> None:
    sizes = [piece.timed_notes for piece in own.pieces("train")]
    table = token_table(own, "train", Onsets(refused=sizes[1]))
    assert table.skipped == {"it has too many notes": 1}
    assert table.pieces == tuple(piece.id for piece in own.pieces("train") if piece.timed_notes != sizes[1])
    kept = own.path.iterdir()
    (one,) = own.pieces("valid")
    with pytest.raises(CorpusError, match="none of the 1 pieces of its valid split can be written as onsets: it has"):
        token_table(own, "valid", Onsets(refused=one.timed_notes))
    with pytest.raises(CorpusError, match="fewer than two tokens"):
        token_table(own, "valid", Onsets(most=1))
    with pytest.raises(CorpusError, match="none of the 0 pieces"):
        token_table(own, "test", Onsets())
    assert not [path for path in kept if "part" in path.name or "valid" in path.name]


def test_a_table_is_encoded_once_and_again_when_it_no_longer_fits(own: Corpus, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []

    def table(**changes: Any) -> Tokens:
        told.clear()
        return token_table(own, "train", Onsets(**changes), progress=lambda *now: told.append(now))

    first = table()
    assert told == [(done, 5) for done in range(6)]
    assert table() is first
    assert told == []
    path = own.path / "tokens-onsets-train.json"
    summary = json.loads(path.read_text())
    for damage in (summary | {"fingerprint": "another"}, summary | {"version": "0"}, summary | {"starts": [0, 4]}, {}):
        path.write_text(json.dumps(damage))
        os.utime(path, ns=(0, 0))
        assert np.array_equal(table().starts, first.starts)
        assert told
    (own.path / "tokens-onsets-train.npy").write_bytes(b"half")
    os.utime(path, ns=(0, 0))
    assert np.array_equal(table().tokens, first.tokens)
    assert told
    path.write_bytes(b"{")
    os.utime(path, ns=(1, 1))
    assert np.array_equal(table().tokens, first.tokens)


def test_a_build_that_is_stopped_leaves_no_table(own: Corpus) -> None:
    before = sorted(own.path.iterdir())

    class Killed(BaseException):
        pass

    def kill(done: int, total: int) -> None:
        if done == 3:
            raise Killed

    with pytest.raises(Killed):
        token_table(own, "train", Onsets(), progress=kill)
    assert sorted(own.path.iterdir()) == before
