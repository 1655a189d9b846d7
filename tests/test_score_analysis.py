import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from symusic import Note, Score, Tempo, Track

from orchestrion.music.analysis import estimate_key, mean_polyphony, notes_per_quarter, pitch_class_weights
from orchestrion.music.extent import length_seconds, seconds_at, ticks_at
from orchestrion.music.theory import Key

#: The first bars of the Prelude in C, BWV 846, one broken chord a bar.
PRELUDE = ((60, 64, 67, 72, 76), (60, 62, 69, 74, 77), (59, 62, 67, 74, 77), (60, 64, 67, 72, 76), (60, 64, 69, 76, 81))
#: "Greensleeves", its first half: pitch and length in eighths.
GREENSLEEVES = (
    (69, 2), (72, 4), (74, 2), (76, 3), (77, 1), (76, 2), (74, 4), (71, 2), (67, 3), (69, 1), (71, 2), (72, 4),
    (69, 2), (69, 3), (68, 1), (69, 2), (71, 4), (68, 2), (64, 4), (69, 2), (72, 4), (74, 2), (76, 3), (77, 1),
    (76, 2), (74, 4), (71, 2), (67, 3), (69, 1), (71, 2), (72, 3), (71, 1), (69, 2), (68, 3), (66, 1), (68, 2), (69, 6),
)  # fmt: skip


def score_of(*tracks: list[tuple[int, int, int, int]], drums: int = 0) -> Score:
    score = Score(480)
    for number, notes in enumerate(tracks):
        track = Track("", 0, number >= len(tracks) - drums)
        track.notes.extend([Note(*note) for note in notes])
        score.tracks.append(track)
    return score


def melody(notes: tuple[tuple[int, int], ...], shift: int = 0) -> list[tuple[int, int, int, int]]:
    rows, time = [], 0
    for pitch, eighths in notes:
        rows.append((time, 240 * eighths, pitch + shift, 80))
        time += 240 * eighths
    return rows


@pytest.mark.parametrize("shift", range(-6, 6))
def test_keys_of_known_pieces_in_every_transposition(shift: int) -> None:
    prelude = [
        (1920 * bar + 240 * i, 240, pitch + shift, 80)
        for bar, chord in enumerate(PRELUDE)
        for i, pitch in enumerate(chord)
    ]
    key, confidence = estimate_key(score_of(prelude))
    assert key == Key(shift % 12, "major")
    assert 0.2 < confidence <= 1
    assert estimate_key(score_of(melody(GREENSLEEVES, shift)))[0] == Key((9 + shift) % 12, "minor")


def test_drums_and_silence_have_no_key() -> None:
    assert estimate_key(Score(480)) == (Key(0, "major"), 0.0)
    assert estimate_key(score_of(melody(GREENSLEEVES), drums=1)) == (Key(0, "major"), 0.0)
    chords = [(480 * i, 480, pitch, 99) for i in range(50) for pitch in (36, 42)]
    alone, with_drums = score_of(melody(GREENSLEEVES)), score_of(melody(GREENSLEEVES), chords, drums=1)
    assert estimate_key(alone) == estimate_key(with_drums)


def test_a_chromatic_scale_is_less_certain_than_a_diatonic_one() -> None:
    diatonic = estimate_key(score_of(melody(tuple((60 + step, 1) for step in (0, 2, 4, 5, 7, 9, 11, 12)))))
    chromatic = estimate_key(score_of(melody(tuple((60 + step, 1) for step in range(12)))))
    assert diatonic[1] > 2 * chromatic[1]


@given(st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 900), st.integers(0, 127), st.integers(1, 127))))
def test_figures_against_a_plain_count(notes: list[tuple[int, int, int, int]]) -> None:
    score = score_of(notes, [(0, 10, 40, 64)], drums=1)
    assert sum(pitch_class_weights(score)) == pytest.approx(sum(d for _, d, *_ in notes) / 480)
    sounding = [sum(t <= tick < t + d for t, d, *_ in notes) for tick in range(4900)] if notes else []
    active = [count for count in sounding if count]
    assert mean_polyphony(score) == pytest.approx(sum(active) / len(active) if active else 0)
    end = max([10] + [t + d for t, d, *_ in notes])
    assert notes_per_quarter(score) == pytest.approx((len(notes) + 1) * 480 / end)
    assert 0 <= estimate_key(score)[1] <= 1


def test_figures_of_an_empty_score_are_zero() -> None:
    figures = (notes_per_quarter, mean_polyphony, length_seconds)
    assert [figure(Score(480)) for figure in figures] == [0] * len(figures)


def test_seconds_by_the_tempos() -> None:
    score = score_of([(0, 480, 60, 40), (480, 960, 60, 80)], [(0, 240, 36, 120)], drums=1)
    assert length_seconds(score) == pytest.approx(1.5)
    score.tempos.extend([Tempo(480, qpm=60), Tempo(960, qpm=240)])
    assert length_seconds(score) == pytest.approx(0.5 + 1 + 0.25)
    ticks = np.array([-240, 0, 479, 480, 960, 5000])
    assert ticks_at(score, seconds_at(score, ticks)) == pytest.approx(ticks)
