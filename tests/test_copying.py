"""The longest common run, against brute force and against a planted copy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symusic import Note, Score, Track

from orchestrion.metrics.copying import Copy, CopyIndex, lines, suffix_order

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
