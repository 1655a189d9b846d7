"""Chords and what is counted from them, against answers worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from symusic import Note, Score, TimeSignature, Track

from orchestrion.metrics import harmony
from orchestrion.metrics.grid import on_grid

TPQ = 480
Notes = Sequence[tuple[float, float, int]]  # onset and length in quarters, pitch
C, F, G, AM = (48, 52, 55), (53, 57, 60), (55, 59, 62), (57, 60, 64)


def music(*tracks: Notes, drums: Notes = (), meter: tuple[int, int] = (4, 4)) -> Score:
    score = Score(TPQ)
    score.time_signatures.append(TimeSignature(0, *meter))
    for notes, is_drum in [*((notes, False) for notes in tracks), (drums, True)]:
        track = Track(program=0, is_drum=is_drum)
        for onset, length, key in notes:
            track.notes.append(Note(round(onset * TPQ), round(length * TPQ), key, 80))
        score.tracks.append(track)
    return score


def bars_of(*chords: Sequence[int], quarters: float = 4) -> list[tuple[float, float, int]]:
    return [(index * quarters, quarters, pitch) for index, chord in enumerate(chords) for pitch in chord]


def names(score: Score, unit: str = "half-bar") -> list[str]:
    return [harmony.CHORD_NAMES[chord] if chord >= 0 else "-" for chord in harmony.chords(score, unit)]


CADENCE = music(bars_of(C, F, G, C), [(1, 1, 62)])  # a D of a quarter above the first C
#: Four bars of two voices, drums and a rest, with sevenths, passing notes and a chord across the bar line.
SONG = music(
    [(0, 1, 64), (1, 1, 65), (2, 2, 67), (4, 1.5, 69), (5.5, 0.5, 67), (6, 2, 65), (12, 1, 74), (13, 3, 71)],
    [*bars_of(C, AM, (), (55, 59, 62, 65)), (3.5, 1, 45)],
    drums=[(0, 1, 36), (2, 1, 38), (9, 1, 42)],
)


def test_a_cadence() -> None:
    assert names(CADENCE) == ["C", "C", "F", "F", "G", "G", "C", "C"]
    assert names(CADENCE, "bar") == ["C", "F", "G", "C"]
    assert harmony.chord_progression(CADENCE).tolist() == [0, 5, 7, 0]
    assert harmony.harmonic_rhythm(CADENCE) == 3 / 4  # three changes in four bars
    assert harmony.chord_tone_share(CADENCE) == pytest.approx(48 / 49)  # 4 x 3 x 4 quarters, and the D outside


def test_chroma_counts_steps_of_each_half_bar() -> None:
    # A quarter has twelve steps. C4 sounds in the last quarter of the first half and the first of the second, C5 with
    # it in the second half.
    steps = harmony.chroma(music([(1, 2, 60), (2, 1, 72), (3, 1, 64)]))
    assert steps.shape == (2, 12)
    assert (steps[0, 0], steps[1, 0], steps[1, 4], steps.sum()) == (12, 24, 12, 48)
    assert harmony.chroma(music([(1, 2, 60), (2, 1, 72), (3, 1, 64)]), "bar").tolist() == [steps.sum(axis=0).tolist()]


def test_the_bass_decides_between_chords_that_share_their_tones() -> None:
    # C E G A holds C major and A minor alike: cosine 3 / sqrt(3 * 4) = 0.866 for both.
    assert names(music(bars_of((48, 52, 55, 57)))) == ["C", "C"]
    assert names(music(bars_of((45, 48, 52, 55)))) == ["Am", "Am"]


def test_qualities() -> None:
    assert names(music(bars_of((48, 51, 55)))) == ["Cm", "Cm"]
    assert names(music(bars_of((47, 50, 53)))) == ["Bdim", "Bdim"]
    assert names(music(bars_of((43, 47, 50, 53)))) == ["G", "G"]  # G7 as its triad


def test_a_passing_sound_is_read_with_its_neighbours() -> None:
    # The second half bar holds C and E alone: by itself A minor with A, C, E would need an A; between two C majors
    # a bare E in the bass (Em, E or Edim by itself: 0.577 + 0.2) gives way to C: 0.577 + (1.2 + 1.2) / 4 = 1.177.
    assert (
        names(music([(0, 2, 48), (0, 2, 52), (0, 2, 55), (2, 2, 52), *[(4, 2, pitch) for pitch in C]]))[:3] == ["C"] * 3
    )


def test_irregularity_by_hand() -> None:
    # C F G C F G C: trigrams CFG FGC GCF CFG FGC, three different ones of five; MusDr leaves out the last of them.
    score = music(bars_of(C, F, G, C, F, G, C))
    by_id = {metric.id: metric.function for metric in harmony.METRICS}
    assert harmony.chord_progression_irregularity(score) == 3 / 5
    assert by_id["chord-progression-irregularity"](on_grid(score)) == 3 / 5
    assert by_id["chord-progression-irregularity:musdr"](on_grid(score)) == 3 / 4


def test_irregularity_does_not_depend_on_how_long_chords_are_held() -> None:
    # Unmerged, the half bars CCFFGGCC would be six trigrams, all different, and CCCCFFFF of longer chords fewer.
    score = music(bars_of(C, F, G, C, F, G, C, quarters=8))
    assert harmony.chord_progression_irregularity(score) == 3 / 5


def test_irregularity_needs_three_chords() -> None:
    musdr = {metric.id: metric.function for metric in harmony.METRICS}["chord-progression-irregularity:musdr"]
    for chords, value in (((C,), math.nan), ((C, F), math.nan), ((C, F, G), 1.0)):
        score = music(bars_of(*chords))
        assert harmony.chord_progression_irregularity(score) == pytest.approx(value, nan_ok=True)
        assert musdr(on_grid(score)) == 1.0


def test_silence_has_no_chord_and_is_no_change() -> None:
    score = music([*bars_of(C, (), C), (20, 4, 48)])
    assert names(score) == ["C", "C", "-", "-", "C", "C", "-", "-", "-", "-", "C", "C"]
    assert harmony.chord_progression(score).tolist() == [0]
    assert harmony.harmonic_rhythm(score) == 0
    assert harmony.chord_tone_share(score) == 1


@pytest.mark.parametrize("score", [Score(TPQ), music([]), music([], drums=[(0, 1, 36), (9, 1, 38)])])
def test_without_pitched_notes(score: Score) -> None:
    assert (harmony.chords(score) == -1).all()
    assert not harmony.chroma(score).any()
    for metric in harmony.METRICS:
        value = metric.function(on_grid(score))
        assert value == 1.0 if metric.variant else math.isnan(value)


@pytest.mark.parametrize("meter", [(3, 4), (6, 8), (5, 8), (2, 32)])
def test_one_note_of_no_length_in_other_meters(meter: tuple[int, int]) -> None:
    score = music([(7.02, 0, 62)], meter=meter)
    assert set(names(score)) == {"-", "D"}
    assert harmony.chord_tone_share(score) == 1
    assert harmony.harmonic_rhythm(score) == 0


def test_a_change_of_meter() -> None:
    score = music(bars_of(C, F, G, C, quarters=3), meter=(3, 4))
    score.time_signatures.append(TimeSignature(6 * TPQ, 6, 8))
    assert names(score) == ["C", "C", "F", "F", "G", "G", "C", "C"]


def test_drums_do_not_count() -> None:
    with_drums = music(bars_of(C, F, G, C), [(1, 1, 62)], drums=[(quarter, 1, 61) for quarter in range(16)])
    assert names(with_drums) == names(CADENCE)
    assert harmony.chord_tone_share(with_drums) == harmony.chord_tone_share(CADENCE)


def _moved(score: Score, semitones: int) -> Score:
    result = score.copy()
    for track in result.tracks:
        if not track.is_drum:
            track.shift_pitch(semitones, inplace=True)
    return result


def test_an_octave_changes_nothing_and_a_semitone_turns_the_chords() -> None:
    chords = harmony.chords(SONG)
    assert len(set(chords.tolist())) > 3
    assert harmony.chords(_moved(SONG, 12)).tolist() == chords.tolist()
    turned = np.where(chords < 0, -1, chords // 12 * 12 + (chords + 1) % 12)
    assert harmony.chords(_moved(SONG, 1)).tolist() == turned.tolist()
    for metric in harmony.METRICS:
        values = [metric.function(on_grid(_moved(SONG, semitones))) for semitones in (0, 1, 12)]
        assert values == pytest.approx(values[:1] * 3, nan_ok=True)


def test_the_order_of_tracks_and_notes_does_not_matter_and_inputs_stay() -> None:
    other = SONG.copy()
    other.tracks = list(reversed(other.tracks))
    for track in other.tracks:
        track.notes = list(reversed(track.notes))
    before = SONG.copy()
    assert harmony.chords(other).tolist() == harmony.chords(SONG).tolist()
    for metric in harmony.METRICS:
        assert metric.function(on_grid(other)) == metric.function(on_grid(SONG))
    assert before == SONG


def test_a_unit_that_is_none() -> None:
    with pytest.raises(ValueError, match="half-bar"):
        harmony.chords(CADENCE, "beat")
