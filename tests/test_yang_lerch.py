"""Yang and Lerch's features against answers worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from symusic import Note, Score, Tempo, TimeSignature, Track

from conftest import little_song
from orchestrion.metrics.definition import Feature, Metric
from orchestrion.metrics.grid import on_grid
from orchestrion.metrics.yang_lerch import (
    FEATURES,
    METRICS,
    NOTE_LENGTHS,
    bar_pitch_class_shares,
    note_length_classes,
    note_length_shares,
    note_length_transitions,
    pitch_class_shares,
    pitch_class_time_shares,
    pitch_class_transitions,
    pitch_class_transitions_mgeval,
    pitch_range_a_bar,
    pitch_shares,
    pitches_used_a_bar,
)
from orchestrion.music.files import write_midi

TPQ = 480
C, D, E, G, A = 0, 2, 4, 7, 9
Notes = Sequence[tuple[float, float, int]]  # onset and length in quarters, pitch


def music(*tracks: Notes, drums: Notes = (), meters: Sequence[tuple[float, int, int]] = ((0, 4, 4),)) -> Score:
    score = Score(TPQ)
    for onset, numerator, denominator in meters:
        score.time_signatures.append(TimeSignature(round(onset * TPQ), numerator, denominator))
    for notes, is_drum in [*((notes, False) for notes in tracks), (drums, True)]:
        track = Track(program=0, is_drum=is_drum)
        for onset, length, key in notes:
            track.notes.append(Note(round(onset * TPQ), round(length * TPQ), key, 80))
        if notes or not is_drum:
            score.tracks.append(track)
    return score


def matrix(cells: dict[tuple[int, int], float]) -> np.ndarray:
    result = np.zeros((12, 12))
    for cell, value in cells.items():
        result[cell] = value
    return result


def moved(score: Score, semitones: int) -> Score:
    result = score.copy()
    for track in result.tracks:
        if not track.is_drum:
            for note in track.notes:
                note.pitch += semitones
    return result


TWINKLE = music([(0, 1, 60), (1, 1, 60), (2, 1, 67), (3, 1, 67), (4, 1, 69), (5, 1, 69), (6, 2, 67)])


def test_twinkle_by_hand() -> None:
    # notes: C C G G | A A G, seven; in quarters C 2, G 2 + 2, A 2, of eight
    assert pitch_class_shares(TWINKLE)[[C, G, A]] == pytest.approx([2 / 7, 3 / 7, 2 / 7])
    assert pitch_class_time_shares(TWINKLE)[[C, G, A]] == pytest.approx([2 / 8, 4 / 8, 2 / 8])
    # bars: (C 1/2, G 1/2) and (G 1/3, A 2/3)
    assert bar_pitch_class_shares(TWINKLE)[[C, G, A]] == pytest.approx([1 / 4, 5 / 12, 1 / 3])
    assert pitch_shares(TWINKLE)[[60, 67, 69]] == pytest.approx([2 / 7, 3 / 7, 2 / 7])
    # six steps: C-C C-G G-G G-A A-A A-G
    steps = matrix({(C, C): 1, (C, G): 1, (G, G): 1, (G, A): 1, (A, A): 1, (A, G): 1})
    assert pitch_class_transitions(TWINKLE) == pytest.approx(steps / 6)
    # legato: each note ends where the next begins and nowhere else, so pretty_midi's pairs are the same six
    assert pitch_class_transitions_mgeval(TWINKLE) == pytest.approx(steps)
    # six quarters (class 2), one half (class 1): five steps from quarter to quarter, one from quarter to half
    assert note_length_shares(TWINKLE)[[1, 2]] == pytest.approx([1 / 7, 6 / 7])
    assert note_length_transitions(TWINKLE) == pytest.approx(matrix({(2, 2): 5 / 6, (2, 1): 1 / 6}))
    # bars use C G and G A: two pitches each; 7 and 2 semitones apart
    assert pitches_used_a_bar(TWINKLE) == 2
    assert pitch_range_a_bar(TWINKLE) == pytest.approx((7 + 2) / 2)


def test_a_step_between_chords_weighs_as_much_as_one_between_single_notes() -> None:
    # (C E) - (G) is half C-G and half E-G; (G) - (A) is whole: two steps
    chords = music([(0, 1, 60), (0, 1, 64), (1, 1, 67), (2, 1, 69)])
    assert pitch_class_transitions(chords) == pytest.approx(matrix({(C, G): 1 / 4, (E, G): 1 / 4, (G, A): 1 / 2}))


def test_tracks_do_not_lead_into_each_other() -> None:
    # by onset C D E G would be three steps; by track there are C-E and D-G
    pair = music([(0, 1, 60), (2, 1, 64)], [], [(1, 1, 62), (3, 1, 67)], drums=[(0, 1, 36), (1, 1, 38)])
    assert pitch_class_transitions(pair) == pytest.approx(matrix({(C, E): 1 / 2, (D, G): 1 / 2}))
    assert pitch_class_transitions_mgeval(pair).sum() == 0  # a rest after every note of either track


def test_mgeval_pairs_ends_with_onsets_and_not_successive_notes() -> None:
    # staccato: at 120 a quarter note is 0.5 s; ends 0.25 s before the next onset
    staccato = music([(0, 0.5, 60), (1, 0.5, 62), (2, 0.5, 64)])
    assert pitch_class_transitions(staccato) == pytest.approx(matrix({(C, D): 1 / 2, (D, E): 1 / 2}))
    assert pitch_class_transitions_mgeval(staccato).sum() == 0
    # notes of 0.02 s end within 0.05 s of their own onsets: each leads to itself
    short = music([(0, 0.04, 60), (1, 0.04, 62)])
    assert pitch_class_transitions_mgeval(short) == pytest.approx(matrix({(C, C): 1, (D, D): 1}))
    assert pitch_class_transitions_mgeval(music([(0, 0.04, 60)])).sum() == 0  # a track of one note has none
    # gaps of 47 ticks are 0.04896 s and count; 48 ticks are 0.05 s and do not
    near, far = (music([(0, 1, 60), (1 + gap / TPQ, 1, 62)]) for gap in (47, 48))
    assert pitch_class_transitions_mgeval(near)[C, D] == 1
    assert pitch_class_transitions_mgeval(far)[C, D] == 0


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4000), st.integers(0, 500), st.integers(0, 127))))
def test_mgeval_agrees_with_all_pairs_written_out(notes: list[tuple[int, int, int, int]]) -> None:
    score = music([], [], [])
    score.tempos.append(Tempo(0, 97))
    for track, onset, length, pitch in notes:
        score.tracks[track].notes.append(Note(onset, length, pitch, 80))
    grid, expected = on_grid(score), np.zeros((12, 12))
    for track in range(3):
        mine = grid.track == track
        (onset, end), classes = grid.seconds[:, mine], grid.pitch[mine] % 12
        if mine.sum() > 1:
            source, target = np.nonzero(np.abs(np.subtract.outer(end, onset)) < 0.05)
            np.add.at(expected, (classes[source], classes[target]), 1)
    if notes:
        assert np.array_equal(pitch_class_transitions_mgeval(grid), expected)


def test_mgeval_agrees_with_pretty_midi(tmp_path: Path) -> None:
    pretty_midi = pytest.importorskip("pretty_midi")
    write_midi(little_song(3), tmp_path / "song.mid")
    theirs = pretty_midi.PrettyMIDI(str(tmp_path / "song.mid")).get_pitch_class_transition_matrix()
    assert theirs.sum() > 20
    assert np.array_equal(pitch_class_transitions_mgeval(Score(str(tmp_path / "song.mid"))), theirs)


@pytest.mark.parametrize(
    ("ticks", "name"),  # 480 ticks a quarter: 20 ticks are a 96th of a whole note
    [
        (1920, "whole"), (1440, "dotted half"), (960, "half"), (720, "dotted quarter"), (640, "half triplet"),
        (480, "quarter"), (455, "quarter"), (360, "dotted eighth"), (320, "quarter triplet"), (240, "eighth"),
        (180, "dotted sixteenth"), (160, "eighth triplet"), (120, "sixteenth"),
        (0, "sixteenth"), (30, "sixteenth"), (7680, "whole"),  # however far off
        (140, "sixteenth"),  # 7, between sixteenth 6 and eighth triplet 8: plain
        (170, "dotted sixteenth"),  # 8.5, between eighth triplet 8 and dotted sixteenth 9: dotted
        (210, "eighth"),  # 10.5, between dotted sixteenth 9 and eighth 12: plain
    ],
)  # fmt: skip
def test_the_class_of_a_length(ticks: int, name: str) -> None:
    assert list(NOTE_LENGTHS)[note_length_classes(music([(0, ticks / TPQ, 60)]))[0]] == name


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=20), st.sampled_from([24, 96, 220, 384, 480]))
def test_the_class_is_the_nearest_and_the_first_in_a_tie(lengths: list[int], tpq: int) -> None:
    score = Score(tpq)
    track = Track()
    for length in lengths:
        track.notes.append(Note(0, length, 60, 80))
    score.tracks.append(track)
    units = np.array(list(NOTE_LENGTHS.values()))
    written = np.diff(on_grid(score).ticks, axis=0)[0]
    nearest = np.abs(24 * written[:, None] - units * tpq).argmin(axis=1)
    assert np.array_equal(note_length_classes(score), nearest)


def test_a_quarter_is_a_quarter_in_any_meter() -> None:
    waltz = music([(0, 1, 60), (1, 1, 62), (2, 1, 64)], meters=[(0, 3, 4)])
    assert note_length_shares(waltz)[2] == 1  # mgeval divides the bar and would find thirds of it


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.id)
def test_features_without_anything_to_count_are_nan(feature: Feature) -> None:
    for score in (Score(TPQ), music([]), music([], [], drums=[(0, 0.25, 36), (5, 0.25, 38)])):
        assert np.isnan(feature.function(on_grid(score))).all()
        assert feature.function(on_grid(score)).shape == feature.shape
    one = feature.function(on_grid(music([(0, 1, 60)])))
    if "transitions" not in feature.id:
        assert one.sum() == pytest.approx(1)
    elif feature.id.endswith(":mgeval"):
        assert (one == 0).all()
    else:
        assert np.isnan(one).all()


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.id)
def test_metrics_without_pitched_notes_are_nan(metric: Metric) -> None:
    for score in (Score(TPQ), music([]), music([], [], drums=[(0, 0.25, 36), (5, 0.25, 38)])):
        assert np.isnan(metric.function(on_grid(score)))
    assert metric.function(on_grid(music([(0, 1, 60)]))) == metric.low


ODD = [
    music([(0, 0, 60), (1, 0, 60), (1, 0, 64)]),
    music([(9.5, 1, 60), (11, 1, 62)], [], drums=[(0, 1, 36)]),
    music([(0, 1.5, 60), (1.5, 1.5, 62), (3, 3, 64)], meters=[(0, 6, 8)]),
    music([(0, 3, 60), (3, 1, 62), (7, 2, 64)], meters=[(0, 3, 4), (3, 4, 4), (7, 2, 4)]),
]


@pytest.mark.parametrize("score", [*ODD, TWINKLE, little_song(0)])
@pytest.mark.parametrize("row", [*FEATURES, *METRICS], ids=lambda row: row.id)
def test_everything_holds_for_odd_music(score: Score, row: Feature | Metric) -> None:
    before = score.copy()
    value = row.function(on_grid(score))
    assert score == before
    assert np.isfinite(value).all()
    if isinstance(row, Metric):
        assert row.low <= value <= row.high
    elif not row.id.endswith(":mgeval"):
        assert value.sum() == pytest.approx(1)
        assert (value >= 0).all()


@given(st.integers(0, 30), st.integers(-24, 24))
def test_transposing_rotates_pitch_classes_and_leaves_lengths(seed: int, semitones: int) -> None:
    score = little_song(seed)
    other = moved(score, semitones)
    for feature in FEATURES:
        value, now = feature.function(on_grid(score)), feature.function(on_grid(other))
        axes = tuple(range(value.ndim)) if "pitch" in feature.id else ()
        assert now == pytest.approx(np.roll(value, (semitones,) * len(axes), axes), abs=1e-12)
    for metric in METRICS:
        assert metric.function(on_grid(other)) == pytest.approx(metric.function(on_grid(score)))


def test_playing_a_piece_twice_as_often_changes_no_share() -> None:
    twice = music([(at + onset, length, key) for at in (0, 8) for onset, length, key in _twinkle()])
    assert pitch_class_shares(twice) == pytest.approx(pitch_class_shares(TWINKLE))
    assert note_length_shares(twice) == pytest.approx(note_length_shares(TWINKLE))
    assert pitch_class_transitions_mgeval(twice).sum() == 13  # plain counts do: 6 + 6 and the one in between


def _twinkle() -> list[tuple[float, float, int]]:
    return [(note.time / TPQ, note.duration / TPQ, note.pitch) for note in TWINKLE.tracks[0].notes]
