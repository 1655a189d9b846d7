"""pypianoroll 1.0.4 and our measures on the same rolls: equal where it is right; where it is not, both values on the
smallest example that shows who is."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from symusic import Note, Score, Track

from conftest import little_song
from orchestrion.metrics.bars import empty_beat_rate
from orchestrion.metrics.families import FAMILIES, family_of, fine_grid
from orchestrion.metrics.musegan import (
    drum_pattern,
    polyphonic_rate,
    qualified_notes,
    tonal_distance,
    used_pitch_classes,
)
from orchestrion.metrics.musegan_variants import polyphonic_rate_pypianoroll
from orchestrion.metrics.pitch import in_scale_rate, pitch_classes_used, pitch_range, pitches_used
from orchestrion.music.theory import Key

with warnings.catch_warnings(action="ignore"):  # of its own dependencies
    import pypianoroll

BEAT, BAR = 24, 96  # steps


def piano(*notes: tuple[int, int, int], drums: bool = False) -> Score:
    """Notes of onset, length (steps of 24 a quarter note) and pitch."""
    score = Score(BEAT)
    track = Track("", 0, drums)
    for onset, length, pitch in notes:
        track.notes.append(Note(onset, length, pitch, 100))
    score.tracks.append(track)
    return score


def roll(score: Score, family: str = "piano", dtype: type = bool) -> np.ndarray:
    """(T, 128), T the steps of the score's bars; of one family."""
    fine = fine_grid(score)
    cells = np.zeros((int(fine.edges[-1]), 128), dtype)
    for index in np.flatnonzero(family_of(fine.instrument) == FAMILIES.index(family)):
        cells[fine.onset[index] : fine.end[index], fine.pitch[index]] = 1
    return cells


def at_random(seed: int) -> Score:
    """One to forty notes from every octave up to 119, in bars that all sound, so that the denominators agree."""
    rng = np.random.default_rng(seed)
    notes = [
        (int(rng.integers(0, 3 * BAR)), int(rng.integers(1, 48)), int(rng.integers(0, 120)))
        for _ in range(rng.integers(1, 40))
    ]
    return piano(*notes, *((bar * BAR, BEAT, 60) for bar in range(4)))


@pytest.mark.parametrize("seed", range(20))
def test_what_it_gets_right(seed: int) -> None:
    score = at_random(seed)
    cells = roll(score)
    assert pypianoroll.n_pitches_used(cells) == pitches_used(score)
    assert pypianoroll.pitch_range(cells) == pitch_range(score)
    for pitches in (2, 3, 4):  # it asks for more than its threshold, we for at least ours
        theirs = pypianoroll.polyphonic_rate(cells, threshold=pitches - 1)
        assert theirs == pytest.approx(polyphonic_rate(score, "piano", pitches=pitches), abs=1e-9)
    assert pypianoroll.polyphonic_rate(cells) == pytest.approx(polyphonic_rate_pypianoroll(score, "piano"), abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_what_it_gets_right_of_a_song(seed: int) -> None:
    song = little_song(seed)
    only = song.copy()
    only.tracks = type(song.tracks)([track for track in song.tracks if track.program == 0 and not track.is_drum])
    cells = roll(song)
    assert pypianoroll.n_pitches_used(cells) == pitches_used(only)
    assert pypianoroll.pitch_range(cells) == pitch_range(only)
    assert pypianoroll.polyphonic_rate(cells, 1) == pytest.approx(polyphonic_rate(song, "piano"), abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_the_variant_folds_as_it_does(seed: int) -> None:
    cells = np.random.default_rng(seed).random((BAR, 128)) < 0.002
    score = piano(*((0, BEAT, int(pitch)) for pitch in np.flatnonzero(cells.any(axis=0))))
    theirs = pypianoroll.n_pitch_classes_used(cells.copy())
    assert theirs == used_pitch_classes(score, "piano", chroma="pypianoroll-1.0.4")


def test_drum_in_pattern_rate_of_a_single_beat() -> None:
    # with no tolerance: onsets of one step on the sixteenths; more than one beat it cannot do
    hits = piano((0, 1, 36), (6, 1, 38), (7, 1, 42), (20, 1, 42), drums=True)
    one_beat = roll(hits, "drums")[:BEAT]
    assert pypianoroll.drum_in_pattern_rate(one_beat, BEAT, tolerance=0) == drum_pattern(hits, 6) == 2 / 4
    with pytest.raises(ValueError, match="broadcast"):
        pypianoroll.drum_in_pattern_rate(roll(hits, "drums"), BEAT)
    held = roll(piano((0, 1, 36), (8, 3, 38), drums=True), "drums")[:BEAT]  # it counts cells, not onsets: 1 of 4
    assert pypianoroll.drum_in_pattern_rate(held, BEAT, tolerance=0) == 1 / 4
    assert drum_pattern(piano((0, 1, 36), (8, 3, 38), drums=True), 6) == 1 / 2


def test_pitch_classes_are_bands_of_ten_keys_there() -> None:
    three_cs = piano((0, 24, 48), (0, 24, 60), (0, 24, 72))
    assert pypianoroll.n_pitch_classes_used(roll(three_cs)) == 3
    assert pitch_classes_used(three_cs) == used_pitch_classes(three_cs, "piano") == 1
    octave = piano(*((0, 24, pitch) for pitch in range(60, 70)))  # ten semitones
    assert pypianoroll.n_pitch_classes_used(roll(octave)) == 1
    assert pitch_classes_used(octave) == 10
    highest = piano((0, 24, 120))
    assert pypianoroll.n_pitch_classes_used(roll(highest)) == 12
    assert pitch_classes_used(highest) == 1


def test_it_changes_the_roll_it_is_given() -> None:
    cells = roll(piano((0, 1, 120)), dtype=int)
    before = cells.copy()
    pypianoroll.n_pitch_classes_used(cells)
    assert cells.sum() == 1 + 12  # a cell in each band of ten
    assert not np.array_equal(cells, before)


def test_its_empty_beat_rate_is_of_the_beats_that_sound() -> None:
    three_of_four = piano((0, 48, 60), (72, 24, 60))
    assert pypianoroll.empty_beat_rate(roll(three_of_four), BEAT) == 3 / 4
    assert empty_beat_rate(three_of_four) == 1 / 4
    every = piano((0, 96, 60))
    assert pypianoroll.empty_beat_rate(roll(every), BEAT) == 1
    assert empty_beat_rate(every) == 0
    with pytest.raises(ValueError, match="reshape"):
        pypianoroll.empty_beat_rate(roll(every)[:50], BEAT)


def test_its_c_major_scale_gives_a_seventh() -> None:
    scale = piano(*((0, 24, pitch) for pitch in (60, 62, 64, 65, 67, 69, 71)))
    assert pypianoroll.in_scale_rate(roll(scale)) == pytest.approx(1 / 7)
    assert in_scale_rate(scale, Key(0, "major")) == 1


def test_its_qualified_note_rate() -> None:
    # one step is no qualified note for anyone's threshold
    crumb = piano((0, 1, 60), (0, 24, 64))
    for dtype in (bool, np.uint8):
        with pytest.raises(ValueError, match="broadcast"):
            pypianoroll.qualified_note_rate(roll(crumb, dtype=dtype))
    assert pypianoroll.qualified_note_rate(roll(crumb, dtype=int)) == 1.0  # a step is 128 long for it
    assert qualified_notes(crumb, "piano") == qualified_notes(crumb, "piano", shortest_steps=2) == 1 / 2


def test_its_polyphonic_rate_asks_for_three() -> None:
    two = piano((0, 96, 60), (0, 96, 64))
    assert pypianoroll.polyphonic_rate(roll(two)) == 0
    assert polyphonic_rate(two, "piano") == 1


def test_its_tonal_distance_cannot_be_had() -> None:
    score = piano((0, 96, 60))
    score.tracks.append(Track("", 33))
    score.tracks[1].notes.append(Note(0, 96, 36, 100))
    with pytest.raises(ValueError, match="matmul"):
        pypianoroll.tonal_distance(roll(score), roll(score, "bass"), BEAT)
    assert tonal_distance(score, "bass", "piano") == 0
    # with twelve steps a beat it runs, and a step of silence makes it nan
    silent = np.zeros((12, 128), int)
    with np.errstate(invalid="ignore"):
        assert math.isnan(pypianoroll.tonal_distance(silent, silent, 12))


def test_silence() -> None:
    silent = piano()
    nothing = np.zeros((BAR, 128), bool)
    assert pypianoroll.n_pitches_used(nothing) == 0
    assert pypianoroll.polyphonic_rate(nothing) == 0
    assert all(math.isnan(f(silent)) for f in (pitches_used, pitch_range))
    assert math.isnan(polyphonic_rate(silent, "piano"))
