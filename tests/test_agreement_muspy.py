"""The same music measured by MusPy 0.5.0 and by us: equal where MusPy is right, and where it is not, the smallest music
that shows both values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import muspy
import numpy as np
import pytest
from symusic import KeySignature, Note, Score, TimeSignature, Track

from orchestrion.metrics import bars, pitch, rhythm
from orchestrion.metrics.grid import Grid, on_grid

Row = tuple[int, int, int, int]  # track, onset and length in steps, pitch; track 0 is the drums


def both(rows: list[Row], resolution: int = 12, meter: tuple[int, int] = (4, 4)) -> tuple[Grid, Any]:
    """Notes on a grid of `resolution` steps a quarter, as a Grid and as muspy.Music; C major is the written key."""
    score = Score(resolution)
    score.time_signatures.append(TimeSignature(0, *meter))
    score.key_signatures.append(KeySignature(0, 0, 0))
    other = muspy.Music(resolution=resolution)
    for index in sorted({row[0] for row in rows}):
        track, twin = Track(program=8 * index, is_drum=index == 0), muspy.Track(program=8 * index, is_drum=index == 0)
        for _, onset, length, key in (row for row in rows if row[0] == index):
            track.notes.append(Note(onset, length, key, 80))
            twin.notes.append(muspy.Note(onset, key, length, 80))
        score.tracks.append(track)
        other.tracks.append(twin)
    return on_grid(score, steps_per_quarter=resolution), other


def random_rows(rng: np.random.Generator, resolution: int) -> list[Row]:
    """A few bars of at most four tracks, with rests, chords, unisons and notes that overlap on one pitch."""
    tracks = rng.choice(4, rng.integers(1, 5), replace=False)
    if tracks.max() == 0:
        tracks = np.array([0, 1])
    quarters = int(rng.integers(2, 40))
    onset = rng.integers(0, quarters * resolution, len(tracks) * int(rng.integers(1, 60)))
    length = rng.integers(1, 2 * resolution, len(onset))
    key = rng.integers(48, 72, len(onset)) if rng.random() < 0.7 else rng.choice([60, 62, 64, 67, 69], len(onset))
    track = np.append(tracks, rng.choice(tracks, len(onset) - len(tracks)))
    return [(int(a), int(b), int(c), int(d)) for a, b, c, d in zip(track, onset, length, key, strict=True)]


AGREEING: dict[str, tuple[Callable[[Grid], float], Callable[[Any], float]]] = {
    "pitch range": (pitch.pitch_range, muspy.pitch_range),
    "pitches used": (pitch.pitches_used, muspy.n_pitches_used),
    "pitch classes used": (pitch.pitch_classes_used, muspy.n_pitch_classes_used),
    "polyphony": (pitch.polyphony, muspy.polyphony),
    "polyphony rate": (pitch.polyphony_rate, lambda music: muspy.polyphony_rate(music, threshold=1)),
    "polyphony rate, its default": (lambda grid: pitch.polyphony_rate(grid, pitches=3), muspy.polyphony_rate),
    "pitch entropy": (pitch.pitch_entropy, muspy.pitch_entropy),
    "pitch-class entropy": (pitch.pitch_class_entropy, muspy.pitch_class_entropy),
    "scale consistency": (pitch.in_scale_rate, muspy.scale_consistency),
    "in-scale rate": (pitch.in_written_scale_rate, lambda music: muspy.pitch_in_scale_rate(music, 0, "major")),
    "relative minor": (pitch.in_written_scale_rate, lambda music: muspy.pitch_in_scale_rate(music, 9, "minor")),
    "drums in duple pattern": (rhythm.drums_on_sixteenths, lambda music: muspy.drum_in_pattern_rate(music, "duple")),
    "empty beats, its way": (bars.empty_beat_rate_muspy, muspy.empty_beat_rate),
}
AGREEING_BY_BARS: dict[str, tuple[Callable[[Grid], float], Callable[[Any, int], float]]] = {
    "empty bars, its way": (bars.empty_bar_rate_muspy, muspy.empty_measure_rate),
    "groove consistency, its way": (rhythm.groove_consistency_muspy, muspy.groove_consistency),
}


@pytest.mark.parametrize("resolution", [12, 24])
@pytest.mark.parametrize("name", AGREEING)
def test_we_agree_where_muspy_is_right(name: str, resolution: int) -> None:
    ours, theirs = AGREEING[name]
    for seed in range(25):
        grid, music = both(random_rows(np.random.default_rng(seed), resolution), resolution)
        assert ours(grid) == pytest.approx(theirs(music), abs=1e-9, nan_ok=True), seed


@pytest.mark.parametrize("meter", [(4, 4), (3, 4), (6, 8)])
@pytest.mark.parametrize("name", AGREEING_BY_BARS)
def test_the_variants_reproduce_its_figures_by_bars(name: str, meter: tuple[int, int]) -> None:
    ours, theirs = AGREEING_BY_BARS[name]
    for seed in range(25):
        grid, music = both(random_rows(np.random.default_rng(seed), 12), 12, meter)
        assert ours(grid) == pytest.approx(theirs(music, 48 * meter[0] // meter[1]), abs=1e-9, nan_ok=True), seed


def test_groove_agrees_where_no_bar_is_silent_and_the_last_is_cut_short() -> None:
    # Its two faults, the bar too many and pairs of silent bars, then do not show.
    for seed in range(25):
        rng = np.random.default_rng(seed)
        rows = [(1, 48 * bar + int(step), 1, 60) for bar in range(6) for step in rng.choice(40, 5, replace=False)]
        grid, music = both(rows)
        assert rhythm.groove_consistency(grid) == pytest.approx(muspy.groove_consistency(music, 48), abs=1e-9)


def test_empty_beats_and_bars_agree_where_notes_stop_short_of_the_lines() -> None:
    for seed in range(25):
        rng = np.random.default_rng(seed)
        rows = [(1, 12 * int(beat), 11, 60) for beat in rng.choice(60, 12, replace=False)]
        grid, music = both(rows)
        assert bars.empty_beat_rate(grid) == pytest.approx(muspy.empty_beat_rate(music), abs=1e-9)
        assert bars.empty_bar_rate(grid) == pytest.approx(muspy.empty_measure_rate(music, 48), abs=1e-9)


def test_a_note_that_ends_on_a_beat_does_not_sound_in_the_next() -> None:
    # Beats 1 and 3 of three. MusPy lets the first reach into beat 2, the second into a fourth that there is not.
    grid, music = both([(1, 0, 12, 60), (1, 24, 12, 60)])
    assert bars.empty_beat_rate(grid) == pytest.approx(1 / 3)
    assert muspy.empty_beat_rate(music) == 0


def test_a_note_that_ends_on_a_bar_line_does_not_sound_in_the_next_bar() -> None:
    grid, music = both([(1, 0, 48, 60), (1, 96, 48, 60)])
    assert bars.empty_bar_rate(grid) == pytest.approx(1 / 3)
    assert muspy.empty_measure_rate(music, 48) == 0


def test_music_that_ends_on_a_bar_line_has_no_further_bar() -> None:
    # Two bars of one rhythm. MusPy compares the second with a third, silent one: 1 step of 2 48 differs.
    grid, music = both([(1, 0, 48, 60), (1, 48, 48, 60)])
    assert rhythm.groove_consistency(grid) == 1
    assert muspy.groove_consistency(music, 48) == pytest.approx(1 - 1 / 96)


def test_a_pair_of_silent_bars_keeps_no_groove() -> None:
    # Struck, silent, silent, struck: two pairs differ at 1 of 48 steps; MusPy counts the silent pair as alike.
    grid, music = both([(1, 0, 12, 60), (1, 144, 12, 60)])
    assert rhythm.groove_consistency(grid) == pytest.approx(1 - 1 / 48)
    assert muspy.groove_consistency(music, 48) == pytest.approx(1 - 2 / (3 * 48))


def test_two_pitches_are_polyphony() -> None:
    grid, music = both([(1, 0, 12, 60), (1, 0, 12, 64)])
    assert pitch.polyphony_rate(grid) == 1
    assert muspy.polyphony_rate(music) == 0


def test_drums_have_no_pitch() -> None:
    grid, music = both([(0, 0, 12, 36)])
    assert math.isnan(pitch.pitch_range(grid))
    assert muspy.pitch_range(music) == -127
    assert math.isnan(pitch.polyphony_rate(grid))
    assert muspy.polyphony_rate(music, threshold=1) == 0
    assert math.isnan(pitch.pitches_used(grid))
    assert muspy.n_pitches_used(music) == 0


def test_music_without_tracks_is_measured() -> None:
    grid, music = both([])
    assert math.isnan(bars.empty_beat_rate(grid))
    with pytest.raises(ValueError, match="max"):
        muspy.empty_beat_rate(music)
