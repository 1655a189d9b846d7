"""Self-similarity, the return of phrases and structureness, against hand-worked matrices and slow direct versions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from symusic import Note, Score, Tempo, TimeSignature, Track

from orchestrion.metrics import structure
from orchestrion.metrics.grid import on_grid

TPQ = 480
Notes = Sequence[tuple[float, float, int]]  # onset and length in quarters, pitch


def music(*tracks: Notes, drums: Notes = (), meter: tuple[int, int] = (4, 4), qpm: float = 120) -> Score:
    score = Score(TPQ)
    score.time_signatures.append(TimeSignature(0, *meter))
    score.tempos.append(Tempo(0, qpm=qpm))
    for notes, is_drum in [*((notes, False) for notes in tracks), (drums, True)]:
        track = Track(program=0, is_drum=is_drum)
        for onset, length, key in notes:
            track.notes.append(Note(round(onset * TPQ), round(length * TPQ), key, 80))
        score.tracks.append(track)
    return score


def form(letters: str, phrase_bars: int = 1, seed: int = 0) -> Score:
    """Each letter stands for so many bars of eight random eighths, always the same ones."""
    rng = np.random.default_rng(seed)
    pitches = {letter: rng.integers(40, 90, (phrase_bars, 8)) for letter in sorted(set(letters))}
    bars = np.concatenate([pitches[letter] for letter in letters])
    return music([(4 * bar + 0.5 * k, 0.5, int(key)) for bar, row in enumerate(bars) for k, key in enumerate(row)])


NEW = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"


def test_self_similarity_by_hand() -> None:
    # Bar A: C4 for two quarters. B: C4 for the first quarter and E4 for the second. Each lasts 24 steps, in eight
    # sixteenths of three: A.A = 8 * 9 = 72, A.B = 4 * 9 = 36, so cos(A, B) = 36 / 72 = 0.5.
    a, b = [(0, 2, 60)], [(0, 1, 60), (1, 1, 64)]
    score = music(
        [(4 * bar + onset, length, key) for bar, cell in enumerate((a, b, a, b)) for onset, length, key in cell]
    )
    expected = [[1, 0.5, 1, 0.5], [0.5, 1, 0.5, 1], [1, 0.5, 1, 0.5], [0.5, 1, 0.5, 1]]
    assert structure.self_similarity(score) == pytest.approx(np.array(expected), abs=1e-6)


def test_self_similarity_of_silence_drums_and_one_pitch_in_both() -> None:
    # Bar 1: a hit of drum 60; bar 2: nothing; bar 3: the hit again, longer; bar 4: C4, which is no drum.
    score = music([(12, 0.25, 60)], drums=[(0, 0.1, 60), (8, 2, 60)])
    expected = [[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]
    assert structure.self_similarity(score) == pytest.approx(np.array(expected), abs=1e-6)


def test_the_place_in_the_bar_counts() -> None:
    assert structure.self_similarity(music([(0, 1, 60), (5, 1, 60)]))[0, 1] == 0


def test_bars_of_unequal_length_are_laid_upon_their_first_steps() -> None:
    # 4/4 with a whole note, then 2/4 with a half note of the same pitch: 8 of 16 sixteenths, 8 / sqrt(16 * 8).
    score = music([(0, 4, 60), (4, 2, 60)])
    score.time_signatures.append(TimeSignature(4 * TPQ, 2, 4))
    assert structure.self_similarity(score)[0, 1] == pytest.approx(math.sqrt(0.5), abs=1e-6)


def test_self_similarity_by_steps() -> None:
    # 48 steps: C4 for half a bar, then C4 and E4: cos = 1 / sqrt(2).
    matrix = structure.self_similarity(music([(0, 4, 60), (2, 2, 64)]), unit="step")
    assert matrix.shape == (48, 48)
    assert matrix[0] == pytest.approx(np.repeat([1, math.sqrt(0.5)], 24), abs=1e-6)
    assert structure.self_similarity(form(NEW), unit="step").shape == (512, 512)
    with pytest.raises(ValueError, match="step"):
        structure.self_similarity(form("AB"), unit="beat")


def test_phrase_return_by_hand() -> None:
    # Bars of one pitch each: similar 1 to themselves and 0 to the others. Of eight bars ABCDABCD, only the windows at
    # bars 1 and 5 have another four that share no bar: forwards ABCD on ABCD is 1, backwards A-D, B-C, C-B, D-A is 0.
    def pitches(row: str) -> Score:
        return music([(4 * bar, 4, 60 + ord(letter) - ord("A")) for bar, letter in enumerate(row)])

    assert structure.phrase_return(pitches("ABCDABCD")) == pytest.approx(1, abs=1e-6)
    # Backwards it is the other way round: forwards 0, backwards 1.
    assert structure.phrase_return(pitches("ABCDDCBA")) == pytest.approx(-1, abs=1e-6)
    # Nine bars ABCDABCDA: windows at 1 (with 5 and 6), 2 (with 6), 5 (with 1), 6 (with 1 and 2). Forwards all are 1.
    # Backwards: ABCD with 5 DCBA 0, with 6 = BCDA from the end ADCB: A and C match, 1/2; so windows 1 and 6 lose 1/2.
    # Window 2 = BCDA with 6 backwards ADCB: B-A, C-D, D-C, A-B none; likewise 5 = ABCD with 1: 0.
    assert structure.phrase_return(pitches("ABCDABCDA")) == pytest.approx((0.5 + 1 + 1 + 0.5) / 4, abs=1e-6)
    assert structure.phrase_return(pitches("A" * 24)) == pytest.approx(0, abs=1e-6)
    assert structure.phrase_return(pitches("AB" * 12)) == pytest.approx(0, abs=1e-6)
    assert math.isnan(structure.phrase_return(pitches("ABCDABC")))


def test_phrase_return_tells_forms_from_none() -> None:
    assert structure.phrase_return(form("AABA", 8)) > 0.4
    assert structure.phrase_return(form("ABAB", 8)) > 0.5
    assert abs(structure.phrase_return(form("A", 32))) < 0.05


def test_phrase_return_is_nothing_on_average_for_shuffled_bars() -> None:
    rng = np.random.default_rng(0)
    values = [structure.phrase_return(form("".join(rng.permutation(list("AABBCDEFGH" * 3))))) for _ in range(60)]
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(60)
    assert structure.phrase_return(form("AABBCDEFGH" * 3)) > np.max(values)


def test_fitness_by_hand() -> None:
    # ABAB. Of the segment AB, two paths of two cells: sum 4, cells 4, rows 4: score (4 - 2) / 4, coverage (4 - 2) / 4.
    # Of a single A: rows 0 and 2: score (2 - 1) / 2, coverage (2 - 1) / 4: 2 * 1/2 * 1/4 / (3/4) = 1/3.
    # BA: whole at rows 1 and 2 alone. Nothing but itself: 0. The same for three and for four frames.
    similarity = np.where(np.add.outer(np.arange(4), np.arange(4)) % 2, -2.0, 1.0)
    assert structure.segment_fitness(similarity, np.arange(1, 5)) == pytest.approx([*[1 / 3] * 4, 0.5, 0, 0.5, 0, 0, 0])


Cell = tuple[int, int]


def _paths(rows: int, columns: int) -> Iterator[list[Cell]]:
    """Every path from the first column to the last, started in any row."""

    def onwards(path: list[Cell]) -> Iterator[list[Cell]]:
        row, column = path[-1]
        if column == columns - 1:
            yield path
        for down, right in ((1, 1), (2, 1), (1, 2)):
            if row + down < rows and column + right < columns:
                yield from onwards([*path, (row + down, column + right)])

    for row in range(rows):
        yield from onwards([(row, 0)])


def _families(paths: list[list[Cell]], row: int = 0) -> Iterator[list[list[Cell]]]:
    """Every set of paths in which each begins below the end of the one before."""
    yield []
    for path in paths:
        if path[0][0] >= row:
            for others in _families(paths, path[-1][0] + 1):
                yield [path, *others]


def _slow_fitness(similarity: np.ndarray, start: int, length: int) -> float:
    """By trying every path family: the largest sum, then most rows, then most cells."""
    part = similarity[:, start : start + length]

    def worth(family: list[list[Cell]]) -> tuple[float, int, int]:
        total = sum(part[cell] for path in family for cell in path)
        rows = sum(path[-1][0] - path[0][0] + 1 for path in family)
        return round(float(total), 9), rows, sum(map(len, family))

    total, rows, cells = max(map(worth, _families(list(_paths(*part.shape)))))
    score, coverage = (total - length) / cells, (rows - length) / len(similarity)
    return 2 * score * coverage / (score + coverage) if score > 0 and coverage > 0 else 0.0


@pytest.mark.parametrize("seed", range(6))
def test_fitness_agrees_with_trying_every_path_family(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = 7
    similarity = rng.integers(-8, 5, (count, count)) / 4  # quarters: exact sums, and many that are equal
    similarity = np.maximum(similarity, similarity.T)
    np.fill_diagonal(similarity, 1.0)
    slow = [_slow_fitness(similarity, start, n) for n in range(1, count + 1) for start in range(count - n + 1)]
    assert max(slow) > 0
    assert structure.segment_fitness(similarity, np.arange(1, count + 1)) == pytest.approx(slow, abs=1e-6)


def test_fitness_of_lengths_that_do_not_fit() -> None:
    assert structure.segment_fitness(np.eye(3), np.array([4, 5])).shape == (0,)
    assert structure.segment_fitness(np.eye(3), np.array([3, 4])).shape == (1,)
    with pytest.raises(ValueError, match="1024"):
        structure.segment_fitness(np.eye(1024), np.array([3]))


def test_path_similarity_sees_transpositions_and_no_silence() -> None:
    rng = np.random.default_rng(0)
    theme = rng.integers(0, 9, (12, 12)) + np.eye(12, dtype=int)
    similarity = structure.path_similarity(np.concatenate([theme, np.roll(theme, 5, axis=1), np.zeros((12, 12))]))
    assert similarity.shape == (36, 36)
    assert (np.diag(similarity) == 1).all()
    assert (similarity == similarity.T).all()
    assert (np.diag(similarity, 12)[:5] == 1).all()  # eight frames alike from each of the first five on
    assert (similarity[32:, :32] == -2).all()  # eight silent frames and more behind, none but silent ones ahead
    assert set(np.unique(structure.path_similarity(np.zeros((9, 12))))) == {-2.0, 1.0}


def test_a_loop_of_one_bar_is_structure_itself() -> None:
    # 32 bars of two seconds, frames of one second, all alike: N = 64. The best segment of length L has 64 / L paths of
    # sum 64 in all: score = coverage = fitness = (64 - L) / 64, largest for the shortest, L = 3, 8 and 15. Of these 3
    # and 15 do not divide 64, but paths may step over rows: 63 rows in 21 paths of three and one row more.
    loop = form("A" * 32)
    for span, shortest in (("short", 3), ("mid", 8), ("long", 15)):
        assert structure.structureness(loop, span) == pytest.approx(1 - shortest / 64, abs=0.02)


@pytest.mark.parametrize("span", structure.SPANS)
def test_structureness_tells_forms_from_none(span: str) -> None:
    with_form, without = form("AABA" * 2, 4), form("A", 32)
    assert structure.structureness(with_form, span) > 2 * structure.structureness(without, span)


def test_structureness_needs_twice_its_span() -> None:
    # At 120 a bar lasts two seconds; the drums are no chroma but make the music longer.
    three = music([(0, 4, 60), (4, 4, 62), (8, 4, 64)])
    assert not math.isnan(structure.structureness(three, "short"))
    assert math.isnan(structure.structureness(three, "mid"))
    assert math.isnan(structure.structureness(music([(0, 4, 60), (4, 4, 62)]), "short"))
    with pytest.raises(ValueError, match="short, mid, long"):
        structure.structureness(three, "brief")


def test_structureness_goes_by_seconds() -> None:
    # Three bars last 6 seconds at 120, and 3 seconds at 240.
    notes = [(0, 4, 60), (4, 4, 62), (8, 4, 64)]
    assert not math.isnan(structure.structureness(music(notes, qpm=120), "short"))
    assert math.isnan(structure.structureness(music(notes, qpm=240), "short"))


@pytest.mark.parametrize("score", [Score(TPQ), music([]), music([], [])])
def test_without_notes(score: Score) -> None:
    assert structure.self_similarity(score).shape == (0, 0)
    assert structure.self_similarity(score, "step").shape == (0, 0)
    assert all(math.isnan(metric.function(on_grid(score))) for metric in structure.METRICS)


def test_drums_alone_have_phrases_but_no_chroma() -> None:
    drums = music(drums=[(4 * bar + place, 0.25, 36) for bar, place in enumerate([0, 1, 2, 3, 0, 1, 2, 3])])
    assert structure.phrase_return(drums) == pytest.approx(1, abs=1e-6)
    assert all(math.isnan(structure.structureness(drums, span)) for span in structure.SPANS)


@pytest.mark.parametrize("meter", [(3, 4), (6, 8), (7, 16), (1, 32)])
@pytest.mark.parametrize("notes", [[(0, 0, 60)], [(200, 0, 60)], [(31, 5, 60), (40, 1, 61), (41, 30, 99)]])
def test_any_music_has_values_in_range_or_none(notes: Notes, meter: tuple[int, int]) -> None:
    grid = on_grid(music([], notes, drums=[(2, 0, 38)], meter=meter))
    for metric in structure.METRICS:
        value = metric.function(grid)
        assert math.isnan(value) or metric.low <= value <= metric.high
    for unit in ("bar", "step"):
        matrix = structure.self_similarity(grid, unit)
        assert ((matrix >= 0) & (matrix <= 1)).all()
        assert (matrix == matrix.T).all()


def _moved(score: Score, semitones: int) -> Score:
    result = score.copy()
    for track in result.tracks:
        if not track.is_drum:
            track.shift_pitch(semitones, inplace=True)
    return result


def test_neither_octave_nor_semitone_nor_order_matters_and_inputs_stay() -> None:
    score = form("ABACABA", 4)
    before = score.copy()
    other = score.copy()
    other.tracks = list(reversed(other.tracks))
    for track in other.tracks:
        track.notes = list(reversed(track.notes))
    for metric in structure.METRICS:
        value = metric.function(on_grid(score))
        for changed in (_moved(score, 12), _moved(score, 1), other):
            assert metric.function(on_grid(changed)) == pytest.approx(value, abs=1e-6)
    assert score == before
