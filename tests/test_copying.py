"""The longest common run, against brute force and against a planted copy."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symusic import Note, Score, Track

from orchestrion.data.copies import copy_index
from orchestrion.data.store import Corpus, CorpusError, open_corpus
from orchestrion.metrics.copying import PHRASE_MOVES, Copy, CopyIndex, lines, novelty, suffix_order
from orchestrion.metrics.grid import on_grid

Line = list[tuple[int, int]]  # (steps since the note before, pitch)


def music(*tracks: Line, is_drum: bool = False) -> Score:
    score = Score(480)
    for line in tracks:
        track = Track(program=0, is_drum=is_drum)
        time = 0
        for steps, pitch in line:
            time += steps * 40
            track.notes.append(Note(time, 40, pitch, 80))
        score.tracks.append(track)
    return score


def random_line(rng: np.random.Generator, notes: int) -> Line:
    return list(zip(rng.integers(1, 13, notes).tolist(), rng.integers(40, 80, notes).tolist(), strict=True))


def brute_force(query: Score, pieces: list[Score], distinct: int) -> int:
    """Notes of the longest common run, by trying every pair of places."""
    best = 0
    for _, asked in lines(query):
        for piece in pieces:
            for _, given_ in lines(piece):
                for i in range(len(asked)):
                    for j in range(len(given_)):
                        n = 0
                        while i + n < len(asked) and j + n < len(given_) and asked[i + n] == given_[j + n]:
                            n += 1
                        if n and len(set(asked[i : i + n].tolist())) >= distinct:
                            best = max(best, n + 1)
    return best


def test_a_planted_transposed_copy_is_found_whole() -> None:
    rng = np.random.default_rng(0)
    pieces = [(f"piece {i}", music(random_line(rng, 300), random_line(rng, 200))) for i in range(10)]
    source = random_line(rng, 100)
    copied = [(steps, pitch + 5) for steps, pitch in source[40:63]]
    index = CopyIndex.build([*pieces, ("source", music([(1, 60)], source))])
    before, after = random_line(rng, 50), random_line(rng, 50)
    before[-1] = (1, copied[0][1] - (source[40][1] - source[39][1]) - 1)  # so that the run begins with the copy
    after[0] = (13, 60)
    query = music(random_line(rng, 80), before + copied + after)
    assert index.longest(query) == Copy(23, "source", where=(1, 40), here=(1, 50))
    assert index.longest(query, distinct_moves=6) == index.longest(query)


def test_a_piece_is_a_copy_of_itself_in_any_key_and_tempo() -> None:
    line = random_line(np.random.default_rng(1), 700)
    other = music([(steps, pitch - 12) for steps, pitch in line])
    index = CopyIndex.build([("a", music(line)), ("b", music(line))])  # ties all the way
    found = index.longest(other)
    assert found is not None
    assert (found.notes, found.where, found.here) == (700, (0, 0), (0, 0))


def test_a_repeated_note_is_no_phrase() -> None:
    rng = np.random.default_rng(2)
    phrase = random_line(rng, 10)
    index = CopyIndex.build([("hammer", music([(6, 60)] * 200)), ("phrase", music(phrase))])
    query = music([(6, 72)] * 50 + phrase)
    longest, nontrivial = index.longest(query), index.longest(query, distinct_moves=6)
    assert longest is not None
    assert nontrivial is not None
    assert (longest.notes, longest.piece_id) == (50, "hammer")
    assert (nontrivial.notes, nontrivial.piece_id) == (10, "phrase")
    assert index.longest(music([(6, 72)] * 50), distinct_moves=2) is None


def test_runs_do_not_cross_from_one_track_into_the_next() -> None:
    line = random_line(np.random.default_rng(3), 40)
    index = CopyIndex.build([("halves", music(line[:20], line[20:]))])
    found = index.longest(music(line))
    assert found is not None
    assert found.notes == 20


def test_nothing_to_copy() -> None:
    line = random_line(np.random.default_rng(4), 20)
    assert CopyIndex.build([]).longest(music(line)) is None
    index = CopyIndex.build([("a", music(line))])
    assert index.longest(Score(480)) is None
    assert index.longest(music([(0, 60)])) is None
    assert index.longest(music(line, is_drum=True)) is None
    assert index.longest(music([(13, 0), (17, 127)])) is None


def test_chords_are_read_from_low_to_high_and_long_rests_are_capped() -> None:
    (_, moves), = lines(music([(0, 67), (0, 60), (0, 64), (0, 64), (12, 62), (500, 61), (96, 60)]))  # fmt: skip
    assert [(move // 97 - 128, move % 97) for move in moves.tolist()] == [(4, 0), (3, 0), (-5, 12), (-1, 96), (-1, 96)]


def test_an_index_is_kept_in_a_file(tmp_path: Path) -> None:
    line = random_line(np.random.default_rng(5), 60)
    index = CopyIndex.build([("ä", music(line)), ("b", music([(1, 60)]))])
    index.save(tmp_path / "index.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["index.npz"]
    again = CopyIndex.load(tmp_path / "index.npz")
    assert again.ids == ("ä", "b")
    assert again.longest(music(line[7:40])) == index.longest(music(line[7:40])) == Copy(33, "ä", (0, 7), (0, 0))


small_lines = st.lists(st.tuples(st.integers(1, 2), st.integers(60, 62)), max_size=14)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.lists(small_lines, max_size=2), max_size=4), st.lists(small_lines, max_size=2), st.integers(1, 4))
def test_as_long_as_brute_force_finds(pieces: list[list[Line]], query: list[Line], distinct: int) -> None:
    scores = [music(*tracks) for tracks in pieces]
    found = CopyIndex.build((str(i), score) for i, score in enumerate(scores)).longest(music(*query), distinct)
    assert (found.notes if found else 0) == brute_force(music(*query), scores, distinct)
    if found:  # and it lies where it says
        asked = dict(lines(music(*query)))[found.here[0]][found.here[1] :][: found.notes - 1]
        source = dict(lines(scores[int(found.piece_id)]))[found.where[0]][found.where[1] :][: found.notes - 1]
        assert asked.tolist() == source.tolist()


@pytest.mark.parametrize("alphabet", [1, 2, 30])
def test_suffix_order(alphabet: int) -> None:
    rng = np.random.default_rng(alphabet)
    for length in (0, 1, 3, 4, 5, 80):
        moves = rng.integers(0, alphabet, length).astype(np.uint16)
        assert suffix_order(moves).tolist() == sorted(range(length), key=lambda i: moves[i:].tolist())


# ---- novelty


def covered_by_brute_force(query: Score, pieces: list[Score], run_notes: int) -> float:
    """Marks every move of every shared run of `run_notes` notes."""
    moves = new = 0
    for _, asked in lines(query):
        marked = np.zeros(len(asked), bool)
        for piece in pieces:
            for _, given_ in lines(piece):
                for i in range(len(asked) - run_notes + 2):
                    for j in range(len(given_) - run_notes + 2):
                        if asked[i : i + run_notes - 1].tolist() == given_[j : j + run_notes - 1].tolist():
                            marked[i : i + run_notes - 1] = True
        moves, new = moves + len(asked), new + int((~marked).sum())
    return new / moves if moves else np.nan


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(small_lines, max_size=2), max_size=3), st.lists(small_lines, max_size=2), st.integers(2, 5))
def test_novelty_is_what_brute_force_leaves(pieces: list[list[Line]], query: list[Line], run_notes: int) -> None:
    scores = [music(*tracks) for tracks in pieces]
    index = CopyIndex.build((str(i), score) for i, score in enumerate(scores))
    found = novelty(music(*query), index, run_notes=run_notes)
    assert found == pytest.approx(covered_by_brute_force(music(*query), scores, run_notes), nan_ok=True)


def test_novelty_by_hand() -> None:
    rng = np.random.default_rng(6)
    phrase, own = random_line(rng, 13), [(13, 60 + 2 * (i % 2)) for i in range(9)]
    index = CopyIndex.build([("source", music(phrase))])
    # 13 + 9 notes make 21 moves, of which the 12 within the phrase are known and 9 are new: 9 / 21
    assert novelty(music(phrase + own), index) == pytest.approx(9 / 21)
    assert novelty(music(phrase + own), index, run_notes=14) == 1  # the shared run has 13 notes
    assert novelty(music(phrase), index) == 0
    assert np.isnan(novelty(music([(0, 60)]), index))
    assert np.isnan(novelty(music(phrase, is_drum=True), index))
    assert novelty(on_grid(music(phrase + own)), index) == pytest.approx(9 / 21)


# ---- kept in a corpus


def test_the_index_of_a_corpus_is_kept_until_the_corpus_changes(corpus: Corpus, tmp_path: Path) -> None:
    shutil.copytree(corpus.path, tmp_path / "corpus")
    copied = open_corpus(tmp_path / "corpus")
    path = tmp_path / "corpus" / "copies-train.npz"
    seen: list[tuple[int, int]] = []

    def told(done: int, total: int) -> None:
        seen.append((done, total))

    index = copy_index(copied, progress=told)
    assert index.ids == tuple(piece.id for piece in copied.pieces("train"))
    assert index.source == copied.info()["fingerprint"]
    assert seen == [(done, 9) for done in range(10)]
    piece = copied.pieces("train")[4]
    found = index.longest(piece.score(), PHRASE_MOVES)
    assert found is not None
    assert found.piece_id == piece.id

    written = path.stat().st_mtime_ns
    assert np.array_equal(copy_index(copied, progress=told).order, index.order)
    assert path.stat().st_mtime_ns == written
    assert len(seen) == 10
    for damaged in (path.read_bytes()[:-100], b"", b"no archive"):  # a file of another corpus, too, is no help
        path.write_bytes(damaged)
        assert np.array_equal(copy_index(copied).order, index.order)
    replace(index, source="another", ids=("x",) * 9).save(path)
    assert copy_index(copied).ids == index.ids
    assert sorted(p.name for p in path.parent.iterdir() if "copies" in p.name) == [path.name]


def test_a_split_without_pieces_has_no_index(corpus: Corpus) -> None:
    with pytest.raises(CorpusError, match="no piece in its test split"):
        copy_index(corpus, "test")
    with pytest.raises(CorpusError, match="no split 'trian'"):
        copy_index(corpus, "trian")
    assert not list(corpus.path.glob("copies-*"))
