"""MuseGAN's measures against answers worked out by hand and against plain loops over dense piano rolls."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symusic import Note, Score, TimeSignature, Track

from conftest import little_song
from orchestrion.metrics import musegan, musegan_variants
from orchestrion.metrics.families import FAMILIES, PAIRS, PITCHED, beats_of, family_of, fine_grid, runs_of
from orchestrion.metrics.grid import on_grid
from orchestrion.metrics.musegan import (
    drum_pattern,
    empty_bars,
    polyphonic_rate,
    qualified_notes,
    tonal_distance,
    tonal_distances,
    used_pitch_classes,
)
from orchestrion.metrics.musegan_variants import (
    as_converted,
    drum_pattern_v1,
    polyphonic_rate_pypianoroll,
    qualified_notes_v1,
    tonal_distance_v1,
)

TPQ = 480
STEP = TPQ // 24
BAR = 96  # steps of 4/4
PROGRAMS = {"bass": 33, "guitar": 25, "piano": 0, "strings": 48}
ROWS = musegan.METRICS + musegan_variants.METRICS
Notes = Sequence[tuple[int, int, int]]  # onset and length in steps, pitch


def band(meter: tuple[int, int] = (4, 4), **families: Notes) -> Score:
    score = Score(TPQ)
    score.time_signatures.append(TimeSignature(0, *meter))
    for family, notes in families.items():
        track = Track(family, PROGRAMS.get(family, 0), family == "drums")
        for onset, length, pitch in notes:
            track.notes.append(Note(onset * STEP, length * STEP, pitch, 80))
        score.tracks.append(track)
    return score


def test_families_are_those_of_the_paper() -> None:
    by_name = {"piano": [0, 7], "guitar": [24, 31], "bass": [32, 39], "drums": [128]}
    by_name["strings"] = [8, 16, 23, 40, 48, 56, 73, 96, 127]  # everything else
    for family, instruments in by_name.items():
        assert [FAMILIES[index] for index in family_of(np.array(instruments))] == [family] * len(instruments)


def test_empty_bars_of_a_family_by_hand() -> None:
    # four bars; the bass sounds in the first and, by a note held over the bar line, in the second and third
    score = band(bass=[(0, 24, 40), (190, 4, 41)], piano=[(0, 4 * BAR, 60)], guitar=[])
    assert empty_bars(score, "bass") == 0.25
    assert empty_bars(score, "piano") == 0.0
    assert empty_bars(score, "guitar") == 1.0  # there is a guitar, and it rests
    assert math.isnan(empty_bars(score, "drums"))  # there are none
    overall = next(row for row in musegan.METRICS if row.id == "musegan-empty-bars")
    assert overall.function(on_grid(score)) == pytest.approx((0.25 + 0 + 1) / 3)


def test_three_octaves_of_c_are_one_class_and_a_cluster_is_seven() -> None:
    three_cs = band(piano=[(0, 24, 48), (0, 24, 60), (0, 24, 72)])
    assert used_pitch_classes(three_cs, "piano") == 1
    assert used_pitch_classes(three_cs, "piano", chroma="musegan-v1") == 3  # 24 // 7, 36 // 7, 48 // 7 = 3, 5, 6
    assert used_pitch_classes(three_cs, "piano", chroma="pypianoroll-1.0.4") == 3  # 4, 6, 7
    cluster = band(piano=[(0, 24, pitch) for pitch in range(59, 66)])
    assert used_pitch_classes(cluster, "piano") == 7
    assert used_pitch_classes(cluster, "piano", chroma="musegan-v1") == 1  # 35 // 7 = 41 // 7 = 5
    assert used_pitch_classes(cluster, "piano", chroma="pypianoroll-1.0.4") == 2  # 5 and 6
    highest = band(piano=[(0, 24, 120)])
    assert used_pitch_classes(highest, "piano", chroma="pypianoroll-1.0.4") == 12  # counts for every class
    assert math.isnan(used_pitch_classes(highest, "piano", chroma="musegan-v1"))  # beyond its 84 pitches


def test_used_pitch_classes_are_a_mean_over_bars_that_sound() -> None:
    # bar 1: C E G and, an octave up, a second piano's C; bar 2 rests; bar 3: D
    score = band(piano=[(0, 24, 60), (24, 24, 64), (48, 24, 67), (2 * BAR, 24, 62)])
    score.tracks.append(Track("second piano", 3))
    score.tracks[1].notes.append(Note(0, 480, 72, 80))
    assert used_pitch_classes(score, "piano") == (3 + 1) / 2
    assert math.isnan(used_pitch_classes(score, "bass"))


def test_qualified_notes_count_whole_notes_of_three_steps() -> None:
    score = band(piano=[(0, 1, 60), (24, 2, 60), (48, 3, 60), (94, 4, 60)])
    assert qualified_notes(score, "piano") == 2 / 4
    assert qualified_notes(score, "piano", shortest_steps=2) == 3 / 4
    # v1 cuts the last one at the bar line: (2, 3 and 2 steps of 4) in bar 1, 2 steps in bar 2
    assert qualified_notes_v1(score, "piano") == (3 / 4 + 1) / 2
    # two touching notes of one step are one of two steps in a roll
    assert qualified_notes(band(piano=[(0, 1, 60), (1, 1, 60)]), "piano") == 0
    assert qualified_notes_v1(band(piano=[(0, 1, 60), (1, 1, 60)]), "piano") == 1


def test_the_converter_of_the_paper_squeezes_beats_and_shortens_notes() -> None:
    # steps 0-6, 6-12, 18-30 become 0-3, 3-6, 9-27, each less one step; of a drum nothing changes
    score = band(piano=[(0, 6, 60), (6, 6, 60), (18, 12, 60)], drums=[(18, 3, 38)])
    converted = as_converted(fine_grid(score))
    assert converted.onset.tolist() == [0, 3, 9, 18]
    assert converted.end.tolist() == [2, 5, 26, 21]
    # sixteenths as triplets, 4 steps each, become 2 - 1 = 1 step: no longer qualified
    triplets = band(piano=[(step, 4, 60 + step) for step in range(0, 24, 4)])
    assert qualified_notes(triplets, "piano") == qualified_notes_v1(triplets, "piano") == 1
    # 20-24 reaches the next beat at 24, from step 10: 14 - 1 steps
    assert qualified_notes_v1(triplets, "piano", converted=True) == 1 / 6


def test_polyphonic_rate_counts_two_pitches_or_more() -> None:
    # bar 1: 24 steps of two pitches, 24 of three; bar 2 rests; bar 3: the same pitch twice over, which is one
    score = band(piano=[(0, 48, 60), (0, 48, 64), (24, 24, 67), (192, 96, 60), (192, 96, 60)])
    assert polyphonic_rate(score, "piano") == 48 / 192
    assert polyphonic_rate(score, "piano", pitches=3) == 24 / 192
    assert polyphonic_rate_pypianoroll(score, "piano") == 24 / 288  # over all steps, more than two


def test_drum_patterns_by_hand() -> None:
    score = band(drums=[(0, 1, 36), (12, 1, 36), (18, 1, 38), (25, 1, 42), (50, 1, 42), (96 + 24, 1, 36)])
    assert drum_pattern(score, 12) == 3 / 6  # 0, 12 and the 24 of bar 2
    assert drum_pattern(score, 6) == 4 / 6  # and 18
    # v1, bar 1, unshifted: 1 + 1 + 1 + .3 (25 is beside 24) + 0 (50 is two off 48); bar 2: 1
    assert drum_pattern_v1(score) == pytest.approx((3.3 / 5 + 1) / 2)
    # all a third of a beat late: no pattern for us, a perfect one for v1, which shifts
    late = band(drums=[(step, 1, 42) for step in range(2, 96, 6)])
    assert drum_pattern(late, 6) == 0
    assert drum_pattern_v1(late) == 1
    # in a roll, a drum struck in two steps running is struck once
    assert drum_pattern_v1(band(drums=[(0, 1, 42), (1, 1, 42)])) == 1
    assert math.isnan(drum_pattern(band(piano=[(0, 24, 60)]), 6))


def test_tonal_distance_by_hand() -> None:
    # a tritone is opposite on the two circles of radius 1 (2 and 2) and the same on the third: sqrt(4 + 4)
    tritone = band(bass=[(0, 24, 36)], piano=[(0, 24, 66)])
    assert tonal_distance(tritone, "bass", "piano") == pytest.approx(math.sqrt(8))
    # a fifth: 30, 90 and 120 degrees apart; chords 2 sin 15, 2 sin 45 and sin 60
    fifth = band(bass=[(0, 24, 36)], piano=[(0, 24, 67)])
    expected = math.hypot(2 * math.sin(math.pi / 12), math.sqrt(2), math.sqrt(3) / 2)
    assert tonal_distance(fifth, "piano", "bass") == pytest.approx(expected)
    assert tonal_distance(band(bass=[(0, 24, 36)], piano=[(0, 24, 72)]), "bass", "piano") == 0


def test_tonal_distance_is_over_the_beats_in_which_both_sound() -> None:
    # beat 1: C and C; beat 2: C and F sharp; beat 3: the bass alone; beat 4: the piano alone
    score = band(bass=[(0, 72, 36)], piano=[(0, 24, 60), (24, 24, 66), (72, 24, 60)])
    assert tonal_distances(score, "bass", "piano") == pytest.approx([0, math.sqrt(8)])
    assert tonal_distance(score, "bass", "piano") == pytest.approx(math.sqrt(8) / 2)
    assert math.isnan(tonal_distance_v1(score, "bass", "piano"))  # 0 / 0 in beat 3 loses the bar
    assert math.isnan(tonal_distance(score, "bass", "guitar"))
    # v1 sees C2 and C4 apart, as bands 1 and 5: the place of C sharp and that of F, four apart
    full = band(bass=[(0, 96, 36)], piano=[(0, 96, 60)])
    four = math.hypot(2 * math.sin(math.pi / 3), 0, math.sin(math.pi / 3))  # 120, 0 and 120 degrees
    assert tonal_distance(full, "bass", "piano") == 0
    assert tonal_distance_v1(full, "bass", "piano") == pytest.approx(four)


def test_a_pitch_weighs_as_long_as_it_sounds_in_the_beat() -> None:
    # C for 12 of 24 steps and F sharp for 12 lie in the middle of both circles: sqrt(1 + 1) from C
    score = band(bass=[(0, 24, 36)], piano=[(0, 12, 60), (12, 12, 66)])
    assert tonal_distance(score, "bass", "piano") == pytest.approx(math.sqrt(2))


def test_bars_are_the_real_ones() -> None:
    # in 3/4 two bars of 72 steps; read as 96 steps, the first would hold both notes
    waltz = band((3, 4), piano=[(0, 24, 60), (72, 24, 62)], drums=[(72, 1, 36)])
    assert used_pitch_classes(waltz, "piano") == 1
    assert polyphonic_rate(waltz, "piano") == 0
    assert drum_pattern(waltz, 12) == 1
    assert beats_of(fine_grid(waltz))[0].tolist() == [0, 24, 48, 72, 96, 120, 144]
    short = band((7, 8), piano=[(0, 4, 60)])  # the last beat of a bar of 7/8 is an eighth
    assert beats_of(fine_grid(short))[0].tolist() == [0, 24, 48, 72, 84]


# Plain loops over dense rolls, bar by bar, as the definitions are written.


def roll_of(score: Score, family: str, *, onsets: bool = False) -> np.ndarray:
    """(T, 128) bool, T whole bars of 96 steps; of drums' onsets one cell a hit."""
    fine = fine_grid(score)
    roll = np.zeros((int(fine.edges[-1]), 128), bool)
    for index in np.flatnonzero(family_of(fine.instrument) == FAMILIES.index(family)):
        end = fine.onset[index] + 1 if onsets else fine.end[index]
        roll[fine.onset[index] : end, fine.pitch[index]] = True
    return roll


def mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def bars_of(roll: np.ndarray) -> list[np.ndarray]:
    return [bar for bar in roll.reshape(-1, BAR, roll.shape[1]) if bar.any()]


def runs_in(bar: np.ndarray) -> list[int]:
    lengths = []
    for column in np.pad(bar.astype(int), ((1, 1), (0, 0))).T:
        change = np.diff(column)
        lengths += list(np.flatnonzero(change < 0) - np.flatnonzero(change > 0))
    return lengths


def place_of(weight: np.ndarray) -> np.ndarray:
    angles = [(1, 7 / 6), (1, 3 / 2), (0.5, 2 / 3)]
    return sum(
        share * np.array([r * f(k * a * math.pi) for r, a in angles for f in (math.sin, math.cos)])
        for k, share in enumerate(weight / weight.sum())
    )


def folded(roll: np.ndarray, chroma: str) -> np.ndarray:
    if chroma == "musegan-v1":
        return roll[:, 24:108].reshape(len(roll), 12, -1).sum(axis=2)
    return np.stack([roll[:, k::12].sum(axis=1) for k in range(12)], axis=1)


def distances(one: np.ndarray, other: np.ndarray) -> list[float]:
    result = []
    for beat in range(0, len(one), 24):
        a, b = one[beat : beat + 24].sum(axis=0), other[beat : beat + 24].sum(axis=0)
        both = a.any() and b.any()
        result.append(float(np.linalg.norm(place_of(a) - place_of(b))) if both else math.nan)
    return result


def full_band(seed: int) -> Score:
    """Five families of notes at random, two guitars, three bars and a bit."""
    rng = np.random.default_rng(seed)
    families = {
        family: [
            (int(rng.integers(0, 300)), int(rng.choice([1, 2, 3, 6, 24, 100])), int(pitch))
            for pitch in rng.integers(20, 110, rng.integers(1, 40))
        ]
        for family in FAMILIES
    }
    score = band(**families)
    second = Track("second guitar", 30)
    second.notes.extend(score.tracks[2].notes[:3])
    score.tracks.append(second)
    return score


@pytest.mark.parametrize("seed", range(8))
def test_plain_loops_over_dense_rolls_agree(seed: int) -> None:
    score = full_band(seed)
    rolls = {family: roll_of(score, family) for family in FAMILIES}
    for family, roll in rolls.items():
        silent = [not bar.any() for bar in roll.reshape(-1, BAR, 128)]
        assert empty_bars(score, family) == pytest.approx(sum(silent) / len(silent))
    for family in PITCHED:
        bars = bars_of(rolls[family])
        for chroma in ("pitch-class", "musegan-v1"):
            classes = [int(folded(bar, chroma).any(axis=0).sum()) for bar in bars]
            expected = mean([float(count) for count in classes if count])
            assert used_pitch_classes(score, family, chroma=chroma) == pytest.approx(expected, nan_ok=True)
        assert polyphonic_rate(score, family) == pytest.approx(
            mean([float((bar.sum(axis=1) >= 2).mean()) for bar in bars])
        )
        cropped = [runs_in(bar) for bar in bars_of(rolls[family][:, 24:108])]
        expected = mean([sum(length >= 2 for length in runs) / len(runs) for runs in cropped])
        assert qualified_notes_v1(score, family) == pytest.approx(expected, nan_ok=True)
    for family, other in PAIRS:
        for chroma, measure in (("pitch-class", tonal_distance), ("musegan-v1", tonal_distance_v1)):
            found = distances(folded(rolls[family], chroma), folded(rolls[other], chroma))
            bar_means = [sum(found[beat : beat + 4]) / 4 for beat in range(0, len(found), 4)]
            expected = mean(found if chroma == "pitch-class" else bar_means)
            assert measure(score, family, other) == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("seed", range(8))
def test_plain_loops_over_drum_rolls_agree(seed: int) -> None:
    score = full_band(seed)
    scores = []
    for bar in bars_of(roll_of(score, "drums", onsets=True)[:, 24:108]):
        struck = np.diff(bar.astype(int), axis=0, prepend=0).clip(0).sum(axis=1)
        worth = np.tile([1, 0.3, 0, 0, 0, 0.3], 16)
        scores.append(max(float((np.roll(worth, shift) * struck).sum()) for shift in range(6)) / struck.sum())
    assert drum_pattern_v1(score) == pytest.approx(mean(scores), nan_ok=True)


MIXED = little_song(1, meter=(3, 4))
MIXED.time_signatures.append(TimeSignature(3 * 1440, 6, 8))
MIXED.time_signatures.append(TimeSignature(5 * 1440 + 100, 4, 4))
EMPTY_TRACKS = little_song(2)
for at in (0, 2):
    EMPTY_TRACKS.tracks.insert(at, Track("silent", 24))
LATE = band(piano=[(10 * BAR, 24, 60)], bass=[(10 * BAR, 24, 36)])
EDGES = {
    "nothing": Score(TPQ),
    "tracks without notes": band(piano=[], drums=[]),
    "one note": band(piano=[(0, 24, 60)]),
    "drums only": band(drums=[(0, 1, 36), (100, 1, 38)]),
    "no length": band(piano=[(0, 0, 60), (95, 0, 62)], bass=[(0, 0, 36)], drums=[(0, 0, 36)]),
    "mixed meters": MIXED,
    "empty tracks": EMPTY_TRACKS,
    "late": LATE,
    "extreme pitches": band(piano=[(0, 24, 0), (0, 24, 127)], bass=[(0, 24, 0)], drums=[(0, 1, 0), (0, 1, 127)]),
    "shorter than a bar": band(piano=[(3, 2, 60)], guitar=[(3, 2, 60)]),
}


@pytest.mark.parametrize("name", EDGES)
def test_every_row_survives_every_kind_of_music(name: str) -> None:
    grid = on_grid(EDGES[name])
    for row in ROWS:
        value = row.function(grid)
        assert isinstance(value, float)
        assert math.isnan(value) or row.low <= value <= row.high, (row.id, value)
    if name in ("nothing", "tracks without notes"):
        assert all(math.isnan(row.function(grid)) for row in ROWS)


def test_an_onset_that_rounds_onto_the_end_stays_in_the_last_bar() -> None:
    score = Score(TPQ)
    track = Track("piano", 0)
    track.notes.append(Note(1919, 1, 60, 80))
    score.tracks.append(track)
    fine = fine_grid(score)
    assert (fine.onset[0], fine.end[0], fine.edges[-1]) == (95, 96, 96)
    assert empty_bars(score, "piano") == 0
    assert used_pitch_classes(score, "piano") == 1


def test_rows_are_described_and_named_apart() -> None:
    assert len({row.id for row in ROWS}) == len(ROWS) == 30 + 27
    assert not any(row.variant for row in musegan.METRICS)
    assert all(row.variant for row in musegan_variants.METRICS)
    assert all(row.id.split(":")[0] in {other.id for other in musegan.METRICS} for row in ROWS)
    for row in ROWS:
        assert "{" not in row.name + row.sentence + row.formula + row.undefined
        assert row.sentence.endswith(".")


def moved(score: Score, semitones: int, families: Sequence[str] = PITCHED) -> Score:
    result = score.copy()
    for track in result.tracks:
        if not track.is_drum and FAMILIES[family_of(np.array([track.program]))[0]] in families:
            track.shift_pitch(semitones, inplace=True)
    return result


def figures(score: Score, rows: Sequence[object] = musegan.METRICS) -> dict[str, float]:
    grid = on_grid(score)
    return {row.id: row.function(grid) for row in rows}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([-12, 12]), st.integers(-5, 5))
def test_octaves_and_transposition_change_nothing(seed: int, octave: int, semitones: int) -> None:
    song = little_song(seed % 50)
    expected = figures(song)
    assert figures(moved(song, octave, ["bass"])) == pytest.approx(expected, nan_ok=True)
    assert figures(moved(song, semitones)) == pytest.approx(expected, nan_ok=True, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(6)), st.integers(0, 1000))
def test_the_order_of_tracks_does_not_matter_and_nothing_is_touched(order: list[int], seed: int) -> None:
    score = full_band(seed)
    other = score.copy()
    other.tracks = type(score.tracks)([score.tracks[index] for index in order])
    before = score.dumps_midi()
    assert figures(other, ROWS) == pytest.approx(figures(score, ROWS), nan_ok=True)
    assert score.dumps_midi() == before


def test_runs_join_what_overlaps_or_touches() -> None:
    score = band(piano=[(0, 10, 60), (5, 2, 60), (10, 5, 60), (16, 1, 60), (3, 20, 61)])
    runs = runs_of(fine_grid(score))
    assert list(zip(runs.pitch.tolist(), runs.start.tolist(), runs.end.tolist(), strict=True)) == [
        (60, 0, 15),
        (60, 16, 17),
        (61, 3, 23),
    ]
