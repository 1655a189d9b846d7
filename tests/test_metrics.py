"""Each metric against answers worked out by hand, among them the cases that other implementations get wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symusic import KeySignature, Note, Score, Tempo, TimeSignature, Track

from orchestrion.metrics import bars, pitch, repetition, rhythm
from orchestrion.metrics.definition import Metric
from orchestrion.metrics.grid import joined, on_grid
from orchestrion.metrics.sets import difference_interval, jensen_shannon, mean_interval
from orchestrion.music.theory import Key

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


METRICS: tuple[Metric, ...] = (*bars.METRICS, *pitch.METRICS, *rhythm.METRICS, *repetition.METRICS)
SILENT = music([])
DRUMS_ONLY = music(drums=[(0, 0.25, 36), (5, 0.25, 38)])
TWINKLE = [(0, 1, 60), (1, 1, 60), (2, 1, 67), (3, 1, 67), (4, 1, 69), (5, 1, 69), (6, 2, 67)]


@pytest.mark.parametrize(
    ("metric", "silent", "drums_only"),
    [
        (bars.empty_bar_rate, math.nan, 0.0),
        (bars.empty_cell_rate, math.nan, 0.0),
        (bars.longest_empty_run, math.nan, 0),
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
        (repetition.longest_same_pitch_run, math.nan, math.nan),
        (repetition.longest_same_strike_run, math.nan, math.nan),
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
    assert bars.empty_bar_rate(music([(8, 4, 60)])) == pytest.approx(2 / 3)
    # Bars 1 and 3 of three. MusPy 0.5.0 reaches over either bar line: 4 of the 4 bars it counts.
    score = music([(0, 4, 60), (8, 4, 60)])
    assert bars.empty_bar_rate(score) == pytest.approx(1 / 3)
    assert bars.empty_bar_rate_muspy(score) == 0
    assert bars.empty_bar_rate_muspy(music([(0, 3, 60), (6, 2, 60)], meter=(3, 4))) == pytest.approx(1 - 3 / 3)
    changing = music([(0, 4, 60), (4, 3, 60)])
    changing.time_signatures.append(TimeSignature(4 * TPQ, 3, 4))
    assert math.isnan(bars.empty_bar_rate_muspy(changing))


def test_empty_beats_and_rests() -> None:
    # Beats 1 and 6 of six sound. MusPy 0.5.0 counts seven, and marks 2 and 7 as well: 1 - 4/7.
    score = music([(0, 1, 60), (5, 1, 62)])
    assert bars.empty_beat_rate(score) == pytest.approx(4 / 6)
    assert bars.empty_beat_rate_muspy(score) == pytest.approx(3 / 7)
    # The last note ends within beat 4; beat 2 is silent; two notes share beat 3. Drums count, in no bar of their own.
    within = [(0, 1, 60), (2, 0.25, 62), (2.5, 1, 64)]
    assert bars.empty_beat_rate(music(within)) == pytest.approx(1 / 4)
    assert bars.empty_beat_rate(music(within, drums=[(1.5, 0.1, 36)])) == 0
    # Pitched notes sound for 1 + 1/4 + 1 of 3 1/2 quarters; a stroke of the drums at the end makes them four.
    assert bars.rest_rate(music(within)) == pytest.approx(1.25 / 3.5)
    assert bars.rest_rate(music(within, drums=[(3.75, 0.25, 36)])) == pytest.approx(1.75 / 4)


def test_note_density() -> None:
    score = music([(0, 1, 60), (0, 1, 64)], drums=[(5, 1, 36)])
    assert bars.notes_a_quarter(score) == pytest.approx(3 / 6)
    assert bars.notes_a_second(score) == pytest.approx(3 / 3)  # 120 quarters a minute where nothing is said
    score.tempos.append(Tempo(2 * TPQ, 30))
    assert bars.notes_a_second(score) == pytest.approx(3 / (1 + 8))
    assert bars.notes_a_bar(score) == pytest.approx(3 / 2)


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
    assert pitch.polyphony(music([(0, 1, 60)], [(0, 1, 60)])) == 1  # a unison is one pitch


def test_polyphony_rate_is_over_all_steps_and_counts_pitches() -> None:
    # Two pitches in the second of eight quarters, three nowhere; a unison adds none.
    score = music([(0, 2, 60), (1, 1, 64), (6, 1, 60)], [(0, 1, 60)], drums=[(0, 8, 36)])
    assert pitch.polyphony_rate(score) == pytest.approx(1 / 8)
    assert pitch.polyphony_rate(score, pitches=1) == pytest.approx(3 / 8)
    assert pitch.polyphony_rate(score, pitches=3) == 0
    triad = music([(0, 4, 60), (1, 3, 64), (2, 1, 67), (3, 1, 67)])
    assert [pitch.polyphony_rate(triad, pitches) for pitches in (1, 2, 3, 4)] == pytest.approx([1, 3 / 4, 2 / 4, 0])


def test_polyphonic_rate_is_a_family_at_all_steps() -> None:
    # Eight quarters. The piano holds 2 + 1 + 1 of them, twice what a second piano adds in unison; the drums eight.
    score = music([(0, 2, 60), (1, 1, 64), (6, 1, 60)], [(0, 1, 60)], drums=[(0, 8, 36)])
    assert pitch.polyphonic_rate(score) == pytest.approx((4 + 8) / (8 * 2))
    score.tracks[1].program = 33  # a bass: a family of its own, with one quarter
    assert pitch.polyphonic_rate(score) == pytest.approx((4 + 1 + 8) / (8 * 3))


def test_pitches_and_their_entropy() -> None:
    # C4 twice, E4, C5: 1/2 1 + 1/4 2 + 1/4 2 = 1.5 bits; C 3/4, E 1/4: 2 - 3/4 log2(3) = 0.811278.
    score = music([(0, 1, 60), (1, 1, 64), (2, 1, 60)], [(0, 1, 72)], drums=[(0, 1, 36)])
    assert pitch.pitch_entropy(score) == pytest.approx(1.5)
    assert pitch.pitch_class_entropy(score) == pytest.approx(0.811278, abs=1e-6)
    assert (pitch.pitches_used(score), pitch.pitch_classes_used(score), pitch.pitch_range(score)) == (3, 2, 12)
    assert pitch.pitch_class_entropy(music([(i, 1, 60 + i) for i in range(12)])) == pytest.approx(math.log2(12))
    assert pitch.pitch_class_histogram(music([(0, 1, 127)])).tolist() == [0] * 7 + [1] + [0] * 4


def test_pitch_class_entropy_of_bars() -> None:
    # Bars: C C; C E; silent; four others: 0, 1 and 2 bits, the silent one left out.
    keys = [[60, 72], [60, 64], [], [61, 62, 63, 65]]
    score = music([(4 * bar + i, 1, key) for bar, row in enumerate(keys) for i, key in enumerate(row)])
    assert pitch.pitch_class_entropy_of_bars(score) == pytest.approx((0 + 1 + 2) / 3)
    # Two bars each: C 3, E 1; C, E; four others.
    assert pitch.pitch_class_entropy_of_bars(score, bars=2) == pytest.approx((0.811278 + 1 + 2) / 3, abs=1e-6)
    # All four: 3/8 log2(8/3) + 5/8 3 = 0.530639 + 1.875; windows longer than the piece are the piece.
    assert pitch.pitch_class_entropy_of_bars(score, bars=4) == pytest.approx(2.405639, abs=1e-6)
    assert pitch.pitch_class_entropy_of_bars(score, bars=9) == pytest.approx(2.405639, abs=1e-6)


def test_notes_in_the_written_key() -> None:
    # Under two sharps F# is written without an accidental and F is not; without any it is the other way round.
    score = music([(0, 1, 66), (1, 1, 66), (4, 1, 65), (5, 1, 66), (6, 1, 67)], drums=[(0, 1, 37)])
    assert math.isnan(pitch.in_written_scale_rate(score))
    score.key_signatures.append(KeySignature(2 * TPQ, 2, 1))  # called B minor; it holds from the start
    assert pitch.in_written_scale_rate(score) == pytest.approx(4 / 5)
    score.key_signatures.append(KeySignature(4 * TPQ, 0, 0))
    assert pitch.in_written_scale_rate(score) == pytest.approx((1 + 1 + 1 + 0 + 1) / 5)
    flats = music([(0, 1, 70), (1, 1, 71)])  # one flat: B flat, not B
    flats.key_signatures.append(KeySignature(0, -1, 0))
    assert pitch.in_written_scale_rate(flats) == pytest.approx(1 / 2)


def test_average_pitch_interval_follows_the_top_line_of_each_track() -> None:
    # Tops 64, 67, 65: 3 and 2; the other track falls by 12.
    score = music([(0, 1, 64), (0, 1, 60), (1, 1, 67), (2, 1, 65)], [(0, 1, 48), (2, 1, 36)], drums=[(0, 1, 36)])
    assert pitch.average_pitch_interval(score) == pytest.approx((3 + 2 + 12) / 3)
    assert math.isnan(pitch.average_pitch_interval(music([(0, 1, 60), (0, 1, 64)], [(1, 1, 60)])))


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


def test_groove_consistency_as_muspy_counts() -> None:
    # Two bars that strike the beat alike: 1. MusPy 0.5.0 adds a third, silent: (0 + 1) / (2 48) differ.
    score = music([(0, 4, 60), (4, 4, 60)])
    assert rhythm.groove_consistency(score) == 1
    assert rhythm.groove_consistency_muspy(score) == pytest.approx(1 - 1 / 96)
    assert math.isnan(rhythm.groove_consistency_muspy(music([(0, 3, 60)])))


def test_a_bar_of_another_length_between_is_no_neighbour() -> None:
    # 4/4, 1/4, 1/4: an onset of bar 1 lies four quarters before one of bar 3, which is no bar it can be compared with.
    score = music([(0, 1, 60), (1.5, 0.5, 60), (4, 1, 60), (5.5, 0.5, 60)])
    score.time_signatures.append(TimeSignature(4 * TPQ, 1, 4))
    assert rhythm.groove_consistency(score) == pytest.approx(1 - 2 / 12)


def test_groove_similarity_is_over_all_pairs() -> None:
    # Bars 1 and 3 strike beats 1 and 2, bar 2 beat 1 alone: of three pairs two differ at one step of 48.
    notes = [(0, 1, 60), (1, 1, 60), (4, 1, 60), (8, 1, 60), (9, 1, 60)]
    assert rhythm.groove_similarity(music(notes)) == pytest.approx(1 - 2 / (3 * 48))
    # A bar of 3/4 behind them is a pair with none; two of them are one pair more, differing at one step of 36.
    score = music([*notes, (12, 1, 60), (13, 1, 60), (15, 3, 60)])
    score.time_signatures.append(TimeSignature(12 * TPQ, 3, 4))
    assert rhythm.groove_similarity(score) == pytest.approx(1 - (2 / 48 + 1 / 36) / 4)
    assert math.isnan(rhythm.groove_similarity(music(notes[:2])))


def test_groove_similarity_equals_the_pairs_one_by_one() -> None:
    rng = np.random.default_rng(5)
    struck = rng.random((9, 48)) < 0.2
    struck[4] = False
    score = music([(bar * 4 + step / 12, 1 / 12, 60) for bar, step in zip(*np.nonzero(struck), strict=True)])
    pairs = [(a != b).mean() for a, b in combinations(struck, 2)]
    assert rhythm.groove_similarity(score) == pytest.approx(1 - np.mean(pairs), abs=1e-12)


def test_average_inter_onset_interval() -> None:
    # A chord of three at 0, then notes at 0.5 and 1 s: two intervals; mgeval has four, two of them of 0 s.
    score = music([(0, 1, 60), (0, 1, 64), (1, 1, 60)], [(0, 1, 67)], drums=[(2, 1, 36)])
    assert rhythm.average_inter_onset_interval(score) == pytest.approx(1 / 2)
    assert rhythm.average_inter_onset_interval_mgeval(score) == pytest.approx(1 / 4)
    score.tempos.append(Tempo(TPQ, 60))  # the second quarter lasts a second
    assert rhythm.average_inter_onset_interval(score) == pytest.approx(1.5 / 2)
    chord = music([(0, 1, 60), (0, 1, 64)])
    assert math.isnan(rhythm.average_inter_onset_interval(chord))
    assert rhythm.average_inter_onset_interval_mgeval(chord) == 0


def test_lengths_drums_and_velocities() -> None:
    score = music([(0, 1, 60), (2, 0.5, 60)], drums=[(0, 0.1, 36), (0.25, 0.1, 36), (1 / 3, 0.1, 36), (2.5, 0.1, 36)])
    assert rhythm.mean_note_length(score) == pytest.approx(0.75)
    assert rhythm.drums_on_sixteenths(score) == pytest.approx(3 / 4)
    score.tracks[0].notes[0].velocity = 40
    # 40 and five times 80: mean 440/6, deviation sqrt((1 (100/3)^2 + 5 (20/3)^2) / 6) = 14.907.
    assert rhythm.mean_velocity(score) == pytest.approx(440 / 6)
    assert rhythm.velocity_range(score) == 40
    assert rhythm.velocity_deviation(score) == pytest.approx(14.907, abs=1e-3)


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
    # A note doubled in unison is one note.
    assert repetition.bar_repetition(music([(0, 1, 60), (4, 1, 60), (4, 1, 60)])) == pytest.approx(1 / 2)
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
    assert repetition.longest_same_pitch_run(music([*hammer, (3, 0.25, 48)])) == 13
    assert repetition.longest_same_pitch_run(music([(0, 1, 60)], [(1, 1, 60)], drums=hammer)) == 1
    assert repetition.longest_same_pitch_run(music([(0, 1, 60), (0, 1, 64)])) == 0
    # A hammered octave is one when whole strikes are compared; a pitch doubled in unison is the same single pitch.
    octaves = hammer + [(onset, length, key + 12) for onset, length, key in hammer]
    assert repetition.longest_same_pitch_run(music(octaves)) == 0
    assert repetition.longest_same_strike_run(music(octaves, TWINKLE)) == 20
    assert repetition.longest_same_strike_run(music([*octaves, (5, 0.25, 64)])) == 10
    assert repetition.longest_same_pitch_run(music(hammer + hammer)) == 20


NOT_A_NUMBER_FOR_ONE_NOTE = {
    "in-scale-rate", "average-pitch-interval", "average-inter-onset-interval", "average-inter-onset-interval:mgeval",
    "groove-consistency", "groove-consistency:muspy-0.5.0", "groove-similarity", "drums-on-sixteenths",
}  # fmt: skip
ONE_FOR_ONE_NOTE = {
    "notes-a-bar", "notes-a-bar-a-track", "notes-a-quarter", "pitch-classes-a-bar", "pitches-used",
    "pitch-classes-used", "scale-consistency", "polyphony", "polyphonic-rate", "qualified-note-rate",
    "mean-note-length", "longest-same-pitch-run", "longest-same-strike-run",
}  # fmt: skip


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.id)
def test_one_note_and_less(metric: Metric) -> None:
    # A quarter of middle C at velocity 80, 120 quarters a minute.
    special = {"notes-a-second": 2.0, "mean-pitch": 60.0, "mean-velocity": 80.0}
    expected = math.nan if metric.id in NOT_A_NUMBER_FOR_ONE_NOTE else float(metric.id in ONE_FOR_ONE_NOTE)
    value = metric.function(on_grid(music([(0, 1, 60)])))
    assert value == pytest.approx(special.get(metric.id, expected), nan_ok=True)
    assert isinstance(value, float)
    for without_notes in (SILENT, Score(TPQ), music([], [])):
        assert math.isnan(metric.function(on_grid(without_notes)))
    of_pitches = "pitched" in metric.undefined or metric.id == "average-pitch-interval"
    assert math.isnan(metric.function(on_grid(DRUMS_ONLY))) == of_pitches


def test_a_note_of_no_length_at_the_very_start_has_a_bar() -> None:
    grid = on_grid(music([(0, 0, 60)]))
    assert (grid.bars, grid.end.tolist()) == (1, [1])
    assert math.isnan(bars.notes_a_second(grid))
    assert bars.empty_bar_rate(grid) == 0


def test_every_row_is_told_apart_and_styles_are_no_variants() -> None:
    assert len({metric.id for metric in METRICS}) == len({metric.name for metric in METRICS}) == len(METRICS)
    assert not any(metric.style and metric.variant for metric in METRICS)


def test_stretches_that_intervals_cover() -> None:
    # 0-2 and 1-5 overlap, 5-6 touches, 8-9 stands alone and holds 8-8.5 within.
    start, stop = joined(np.array([8, 1, 0, 5, 8]), np.array([9, 5, 2, 6, 8]))
    assert (start.tolist(), stop.tolist()) == ([0, 8], [6, 9])
    assert joined(np.zeros(0, int), np.zeros(0, int)).shape == (2, 0)


_steps = st.integers(0, 300)
_note = st.tuples(
    st.one_of(_steps, st.sampled_from([0, 24, 48, 96, 120])),
    st.integers(0, 60),
    st.integers(20, 100),
    st.integers(1, 127),
)
_track = st.tuples(st.sampled_from([0, 0, 4, 33, 128]), st.lists(_note, max_size=12))
_meters = st.lists(st.tuples(st.sampled_from([0, 48, 120, 130]), st.sampled_from([(4, 4), (3, 4), (6, 8)])), max_size=2)


@st.composite
def scores(draw: st.DrawFn) -> Score:
    """Up to four tracks, empty ones and drums among them, on 24 ticks a quarter; notes of no length, changes of meter,
    key and tempo, music that starts late."""
    late = draw(st.sampled_from([0, 0, 500]))
    score = Score(24)
    for tick, meter in draw(_meters):
        score.time_signatures.append(TimeSignature(tick, *meter))
    for tick, sharps in draw(st.lists(st.tuples(_steps, st.integers(-7, 7)), max_size=2)):
        score.key_signatures.append(KeySignature(tick, sharps, 0))
    for tick, qpm in draw(st.lists(st.tuples(_steps, st.integers(30, 240)), max_size=2)):
        score.tempos.append(Tempo(tick, qpm))
    for program, notes in draw(st.lists(_track, max_size=4)):
        track = Track(program=program % 128, is_drum=program == 128)
        for onset, length, key, velocity in notes:
            track.notes.append(Note(late + onset, length, key, velocity))
        score.tracks.append(track)
    return score


def values(score: Score) -> dict[str, float]:
    grid = on_grid(score)
    return {metric.id: metric.function(grid) for metric in METRICS}


@settings(max_examples=150, deadline=None)
@given(scores())
def test_values_lie_in_their_range_and_the_score_stays(score: Score) -> None:
    before = score.copy()
    found = values(score)
    assert score == before
    for metric in METRICS:
        value = found[metric.id]
        assert math.isnan(value) or metric.low - 1e-9 <= value <= metric.high + 1e-9, metric.id
    # Only a chosen few are nan once there are pitched notes.
    if any(track.notes and not track.is_drum for track in score.tracks):
        missing = {metric for metric, value in found.items() if math.isnan(value)}
        assert missing <= {*NOT_A_NUMBER_FOR_ONE_NOTE, "notes-a-second", "empty-bar-rate:muspy-0.5.0"}


@settings(max_examples=60, deadline=None)
@given(scores(), st.sampled_from([12, 1, -5]))
def test_transposing_moves_the_mean_pitch_alone(score: Score, semitones: int) -> None:
    moved = score.copy()
    for track in moved.tracks:
        if not track.is_drum:
            track.shift_pitch(semitones, inplace=True)
    before, after = values(score), values(moved)
    before["mean-pitch"] += semitones
    if semitones % 12:
        before.pop("in-scale-rate"), after.pop("in-scale-rate")
    assert after == pytest.approx(before, abs=1e-9, nan_ok=True)


@settings(max_examples=60, deadline=None)
@given(scores(), st.randoms(use_true_random=False))
def test_the_order_of_tracks_and_notes_does_not_matter(score: Score, random: object) -> None:
    shuffled = score.copy()
    shuffled.tracks = type(score.tracks)()
    tracks = list(score.tracks)
    random.shuffle(tracks)  # type: ignore[attr-defined]
    for track in tracks:
        notes = list(track.notes)
        random.shuffle(notes)  # type: ignore[attr-defined]
        other = Track(program=track.program, is_drum=track.is_drum)
        for note in notes:
            other.notes.append(note)
        shuffled.tracks.append(other)
    assert values(shuffled) == pytest.approx(values(score), abs=1e-9, nan_ok=True)


@settings(max_examples=60, deadline=None)
@given(scores())
def test_polyphony_equals_what_a_piano_roll_shows(score: Score) -> None:
    grid = on_grid(score)
    roll = np.zeros((17, grid.steps, 128), bool)
    for program, key, onset, end in zip(grid.instrument, grid.pitch, grid.onset, grid.end, strict=True):
        roll[program // 8, onset:end, key] = True
    at_once = roll[:16].any(axis=0).sum(axis=1)  # (steps,)
    if at_once.any():
        assert pitch.polyphony(grid) == pytest.approx(at_once[at_once > 0].mean(), abs=1e-12)
        assert bars.rest_rate(grid) == pytest.approx((at_once == 0).mean(), abs=1e-12)
        for pitches in (2, 3, 5):
            assert pitch.polyphony_rate(grid, pitches) == pytest.approx((at_once >= pitches).mean(), abs=1e-12)
    if len(grid):
        playing = roll.any(axis=(1, 2))
        assert pitch.polyphonic_rate(grid) == pytest.approx(roll[playing].sum(axis=2).mean(), abs=1e-12)
        beats = np.append(roll.any(axis=(0, 2)), np.zeros(-grid.steps % 12, bool)).reshape(-1, 12)
        assert bars.empty_beat_rate(grid) == pytest.approx(1 - beats.any(axis=1).mean(), abs=1e-12)


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
