"""Each metric against answers worked out by hand, among them the cases that other implementations get wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from symusic import Note, Score, TimeSignature, Track

from orchestrion.metrics import bars, pitch, repetition, rhythm
from orchestrion.metrics.grid import on_grid
from orchestrion.metrics.sets import difference_interval, jensen_shannon, mean_interval
from orchestrion.theory import Key

TPQ = 480
BAR = 4  # quarters
Notes = Sequence[tuple[float, float, int]]  # onset and length in quarters, pitch


def music(*tracks: Notes, drums: Notes = (), meter: tuple[int, int] = (4, 4)) -> Score:
    score = Score(TPQ)
    score.time_signatures.append(TimeSignature(0, *meter))
    for notes, is_drum in [*((notes, False) for notes in tracks), (drums, True)]:
        track = Track(program=0, is_drum=is_drum)
        for onset, length, key in notes:
            track.notes.append(Note(round(onset * TPQ), round(length * TPQ), key, 80))
        if notes or not is_drum:
            score.tracks.append(track)
    return score


SILENT = music([])
DRUMS_ONLY = music(drums=[(0, 0.25, 36), (5, 0.25, 38)])
TWINKLE = [(0, 1, 60), (1, 1, 60), (2, 1, 67), (3, 1, 67), (4, 1, 69), (5, 1, 69), (6, 2, 67)]


@pytest.mark.parametrize(
    ("metric", "silent", "drums_only"),
    [
        (bars.empty_bar_rate, math.nan, 0.0),
        (bars.empty_cell_rate, math.nan, 0.0),
        (bars.longest_empty_run, 0, 0),
        (bars.notes_a_bar, math.nan, 1.0),
        (bars.notes_a_bar_a_track, math.nan, 1.0),
        (pitch.pitch_classes_a_bar, math.nan, math.nan),
        (pitch.in_scale_rate, math.nan, math.nan),
        (pitch.polyphony, math.nan, math.nan),
        (pitch.mean_pitch, math.nan, math.nan),
        (rhythm.qualified_note_rate, math.nan, math.nan),
        (rhythm.groove_consistency, math.nan, 1 - 2 / 48),
        (rhythm.mean_velocity, math.nan, 80),
        (repetition.bar_repetition, math.nan, 0.0),
        (repetition.cell_repetition, math.nan, 0.0),
        (repetition.longest_same_pitch_run, 0, 0),
        (repetition.longest_same_strike_run, 0, 0),
        (repetition.hammered_share, math.nan, math.nan),
    ],
)
def test_without_notes_and_with_drums_alone(metric: Callable[[Score], float], silent: float, drums_only: float) -> None:
    assert metric(SILENT) == pytest.approx(silent, nan_ok=True)
    assert metric(Score(TPQ)) == pytest.approx(silent, nan_ok=True)
    assert metric(DRUMS_ONLY) == pytest.approx(drums_only, nan_ok=True)


def test_empty_bars() -> None:
    # Bar 1 both, bar 2 the second alone (held over), bars 3 and 4 nothing, bar 5 the first.
    score = music([(0, 1, 60), (16, 4, 62)], [(0, 8, 48)])
    assert bars.empty_bar_rate(score) == pytest.approx(2 / 5)
    assert bars.empty_bar_rate_by_track(score) == pytest.approx([3 / 5, 3 / 5])
    assert bars.empty_cell_rate(score) == pytest.approx(3 / 5)
    assert bars.longest_empty_run(score) == 2
    assert bars.notes_a_bar(score) == pytest.approx(3 / 5)
    assert bars.notes_a_bar_a_track(score) == pytest.approx(3 / 4)


def test_an_empty_bar_rate_counts_empty_bars_not_full_ones() -> None:
    assert bars.empty_bar_rate(music([(bar * BAR, 4, 60) for bar in range(4)])) == 0
    assert bars.empty_bar_rate(music([(8, 4, 60)])) == pytest.approx(2 / 3)  # muspy 0.5.0: 0


def test_a_note_that_ends_on_the_bar_line_marks_no_further_bar() -> None:
    assert on_grid(music([(0, 4, 60)])).bars == 1
    assert bars.empty_bar_rate_by_track(music([(0, 4, 60)], [(4, 4, 60)])) == pytest.approx([0.5, 0.5])


def test_sloppy_playing_is_rounded_to_the_bar_it_was_meant_for() -> None:
    early, late = 1 / 50, 1 / 50  # below half of 1/12 quarter
    score = music([(0, 4 + late, 60)], [(4 - early, 4, 62)])
    assert bars.empty_bar_rate_by_track(score) == pytest.approx([0.5, 0.5])


def test_bars_follow_the_meter() -> None:
    assert bars.notes_a_bar(music([(0, 3, 60), (3, 3, 60)], meter=(3, 4))) == 1


def test_pitch_classes_are_folded_by_octaves() -> None:
    assert pitch.pitch_classes_a_bar(music([(0, 1, 48), (1, 1, 60), (2, 1, 72)])) == 1  # pypianoroll: 3
    assert pitch.pitch_classes_a_bar(music([(0, 1, 60 + i) for i in range(7)])) == 7  # MuseGAN v1: 1
    assert pitch.pitch_classes_a_bar(music([(0, 1, 120), (1, 1, 121)])) == 2


def test_pitch_classes_skip_empty_bars_and_average_over_tracks() -> None:
    # First track: 2 classes, then silence, then 1; second: one note held over three bars.
    score = music([(0, 1, 60), (1, 1, 64), (8, 1, 60)], [(0, 12, 48)], drums=[(0, 1, 36), (0, 1, 38), (0, 1, 42)])
    assert pitch.pitch_classes_by_track(score) == pytest.approx([1.5, 1.0])
    assert pitch.pitch_classes_a_bar(score) == pytest.approx(1.25)


def test_in_scale_rate() -> None:
    scale = music([(i, 1, key) for i, key in enumerate((60, 62, 64, 65, 67, 69, 71, 72))], drums=[(0, 1, 37)])
    assert pitch.in_scale_rate(scale, Key.parse("C major")) == 1  # pypianoroll: 0.143
    assert pitch.in_scale_rate(scale, Key.parse("G major")) == pytest.approx(7 / 8)
    assert pitch.in_scale_rate(scale) == 1
    harmonic = music([(i, 1, key) for i, key in enumerate((57, 59, 60, 62, 64, 65, 68, 69))])
    assert pitch.in_scale_rate(harmonic, Key.parse("A minor")) == 1
    assert pitch.in_scale_rate(harmonic) == pytest.approx(7 / 8)
    assert pitch.in_scale_rate(music([(i, 1, 60 + i) for i in range(12)])) == pytest.approx(7 / 12)


def test_polyphony_is_over_sounding_time() -> None:
    score = music([(0, 2, 60), (1, 1, 64), (6, 1, 60)], drums=[(0, 8, 36)])
    assert pitch.polyphony(score) == pytest.approx(4 / 3)
    assert pitch.polyphony(music([(0, 1, 60)], [(0, 1, 60)])) == 2


def test_qualified_notes() -> None:
    # A sixteenth; one held for 5/6; a triplet sixteenth; a 32nd; a stroke of the drums, which has no length.
    lengths = (1 / 4, 5 / 24, 1 / 6, 1 / 8)
    score = music([(i, length, 60) for i, length in enumerate(lengths)], drums=[(0, 0.01, 36)])
    assert rhythm.qualified_note_rate(score) == pytest.approx(2 / 4)
    assert rhythm.qualified_note_rate(score, shortest_steps=2) == 1
    # A sixteenth across a bar line is one note, and notes struck again are two.
    assert rhythm.qualified_note_rate(music([(3.875, 0.25, 60)])) == 1
    assert rhythm.qualified_note_rate(music([(0, 1 / 8, 60), (1 / 8, 1 / 8, 60)])) == 0


def test_groove_consistency() -> None:
    beats = [(float(i), 0.5, 60) for i in range(4)]
    same = music(beats + [(4 + onset, length, key + 5) for onset, length, key in beats])
    assert rhythm.groove_consistency(same) == 1
    # The second bar lacks two of the four onsets. It ends on the bar line: no third, empty bar (muspy).
    fewer = music([*beats, (4, 1, 60), (5, 3, 60)])
    assert rhythm.groove_consistency(fewer) == pytest.approx(1 - 2 / 48)
    assert math.isnan(rhythm.groove_consistency(music(beats)))
    # Bars 2 and 3 are silent: that pair does not count, the pairs around it do.
    rests = music([(0, 1, 60), (12, 4, 60)])
    assert rhythm.groove_consistency(rests) == pytest.approx(1 - 1 / 48)
    assert rhythm.groove_consistency(music([(0, 1, 60), (3, 3, 60)], meter=(3, 4))) == 1


def test_bars_of_unequal_length_are_no_pair() -> None:
    score = music([(0, 1, 60), (4, 1, 60), (7, 3, 60)])
    score.time_signatures.append(TimeSignature(4 * TPQ, 3, 4))
    assert rhythm.groove_consistency(score) == 1  # the two bars of 3/4 alone


def test_bar_repetition() -> None:
    one, other = [(0, 1, 60), (1, 1, 64)], [(0, 1, 65)]
    melody = [
        (4 * bar + onset, length, key) for bar, part in enumerate((one, other, one, one)) for onset, length, key in part
    ]
    assert repetition.bar_repetition(music(melody)) == pytest.approx(2 / 4)
    # A second track that moves makes every bar new, but not the cells of the first.
    moving = [(4 * bar, 4, 40 + bar) for bar in range(4)]
    assert repetition.bar_repetition(music(melody, moving)) == 0
    assert repetition.cell_repetition(music(melody, moving)) == pytest.approx(2 / 8)
    # A transposed bar is new; other lengths are not; a silent bar counts neither as a bar nor as a repetition.
    assert repetition.bar_repetition(music([(0, 1, 60), (4, 1, 61)])) == 0
    assert repetition.bar_repetition(music([(0, 1, 60), (4, 2, 60)])) == pytest.approx(1 / 2)
    assert repetition.bar_repetition(music([(0, 1, 60), (8, 1, 60)])) == pytest.approx(1 / 2)
    # The same notes on another track are another bar.
    assert repetition.bar_repetition(music([(0, 1, 60)], [(4, 1, 60)])) == 0


def test_runs_of_one_pitch() -> None:
    assert repetition.longest_same_pitch_run(music(TWINKLE)) == 2
    hammer = [(i / 2, 0.25, 60) for i in range(20)]
    assert repetition.longest_same_pitch_run(music(hammer, TWINKLE)) == 20
    assert repetition.hammered_share(music(hammer, TWINKLE)) == pytest.approx(20 / 27)
    assert repetition.hammered_share(music(TWINKLE)) == 0
    # A chord breaks the run, even one that holds the pitch; another track or the drums do not make one.
    assert repetition.longest_same_pitch_run(music([*hammer, (5, 0.25, 64)])) == 10
    assert repetition.longest_same_pitch_run(music([(0, 1, 60)], [(1, 1, 60)], drums=hammer)) == 1
    assert repetition.longest_same_pitch_run(music([(0, 1, 60), (0, 1, 64)])) == 0
    # A hammered octave is one when whole strikes are compared; a pitch doubled in unison is the same single pitch.
    octaves = hammer + [(onset, length, key + 12) for onset, length, key in hammer]
    assert repetition.longest_same_pitch_run(music(octaves)) == 0
    assert repetition.longest_same_strike_run(music(octaves, TWINKLE)) == 20
    assert repetition.longest_same_strike_run(music([*octaves, (5, 0.25, 64)])) == 10
    assert repetition.longest_same_pitch_run(music(hammer + hammer)) == 20


def test_metrics_do_not_change_the_score() -> None:
    score = music(TWINKLE, drums=[(0, 1, 36)])
    before = score.dumps_midi()
    for metric in (bars.empty_bar_rate, pitch.in_scale_rate, rhythm.groove_consistency, repetition.bar_repetition):
        metric(score)
    assert score.dumps_midi() == before


def test_bootstrap_interval() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(5, 2, 400)
    interval = mean_interval([*values, math.nan], rng)
    assert interval.pieces == 400
    assert interval.mean == pytest.approx(values.mean())
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * 2 / 20, rel=0.15)
    # Twenty equal values a group are worth one: the interval widens by the root of twenty.
    copies, groups = np.repeat(values[:20], 20), list(np.repeat(np.arange(20), 20))
    grouped, alone = mean_interval(copies, rng, groups=groups), mean_interval(copies, rng)
    assert (grouped.high - grouped.low) / (alone.high - alone.low) == pytest.approx(20**0.5, rel=0.2)
    assert math.isnan(mean_interval([math.nan], rng).mean)
    assert mean_interval(values, np.random.default_rng(1)) == mean_interval(values, np.random.default_rng(1))
    gap = difference_interval(values + 3, values, rng)
    assert gap.mean == pytest.approx(3)
    assert gap.low < 3 < gap.high


def test_jensen_shannon() -> None:
    p, q = np.array([2, 2, 0, 0]), np.array([0, 0, 1, 3])
    assert jensen_shannon(p, p * 5) == 0
    assert jensen_shannon(p, q) == pytest.approx(1)
    # (1, 0) and (1/2, 1/2): H(3/4, 1/4) - (0 + 1) / 2
    assert jensen_shannon(np.array([[1, 0], [1, 1]]), np.array([1, 1])) == pytest.approx([0.811278 - 0.5, 0], abs=1e-6)
    assert np.isnan(jensen_shannon(p, np.zeros(4)))
