import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symusic import ControlChange, KeySignature, Note, Score, Tempo, TimeSignature, Track

from orchestrion.music import ScoreError
from orchestrion.music.bars import bars, tempo
from orchestrion.music.edit import replace_cells, select_tracks, slice_bars
from orchestrion.music.pedal import apply_sustain

Row = tuple[int, int, int, int]  # time, duration, pitch, velocity


def piece(*tracks: list[Row], tpq: int = 480, signatures: tuple = ()) -> Score:
    score = Score(tpq)
    for number, rows in enumerate(tracks):
        track = Track(f"track {number}", number)
        track.notes.extend([Note(*row) for row in rows])
        score.tracks.append(track)
    score.time_signatures.extend([TimeSignature(*signature) for signature in signatures])
    return score


def rows(track: Track) -> list[Row]:
    return [(n.time, n.duration, n.pitch, n.velocity) for n in track.notes]


def scale(bars_: int, pitch: int = 60, bar_ticks: int = 1920) -> list[Row]:
    """Four notes a bar, one a quarter of it."""
    step = bar_ticks // 4
    return [(step * index, step, pitch + index % 12, 80) for index in range(4 * bars_)]


def test_a_slice_starts_at_zero_and_carries_what_is_in_force() -> None:
    score = piece(scale(8), signatures=((0, 4, 4), (7680, 2, 4)))
    score.tempos.extend([Tempo(0, qpm=60), Tempo(3840, qpm=90), Tempo(8000, qpm=70)])
    score.key_signatures.append(KeySignature(0, 2, 0))
    score.tracks[0].controls.extend([ControlChange(0, 7, 100), ControlChange(10, 64, 127), ControlChange(5800, 64, 0)])
    before = score.copy()
    part = slice_bars(score, 4, 6)
    assert score == before
    assert rows(part.tracks[0]) == [(t - 5760, d, p, v) for t, d, p, v in scale(8) if 5760 <= t < 9600]
    assert [(bar.start, bar.meter.name) for bar in bars(part)] == [(0, "4/4"), (1920, "2/4"), (2880, "2/4")]
    assert [(t.time, round(t.qpm)) for t in part.tempos] == [(0, 90), (2240, 70)]
    assert [(k.time, k.key) for k in part.key_signatures] == [(0, 2)]
    controls = sorted((c.time, c.number, c.value) for c in part.tracks[0].controls)
    assert controls == [(0, 7, 100), (0, 64, 127), (40, 64, 0)]


def test_notes_of_a_slice_belong_to_the_bar_of_their_onset_and_end_with_it() -> None:
    score = piece([(1900, 400, 60, 80), (1920, 5000, 64, 80), (3840, 480, 67, 80)])
    assert rows(slice_bars(score, 2, 2).tracks[0]) == [(0, 1920, 64, 80)]


def test_all_slices_together_are_the_piece() -> None:
    score = piece(scale(6), [(t + 7, 100, 40, 50) for t in range(0, 11520, 333)], signatures=((0, 3, 4), (2000, 4, 4)))
    layout = bars(score)
    for track in range(2):
        joined = []
        for number, bar in enumerate(layout, 1):
            found = rows(slice_bars(score, number, number).tracks[track])
            joined += [(t + bar.start, p, v) for t, _, p, v in found]
        assert joined == [(t, p, v) for t, _, p, v in rows(score.tracks[track])]


@pytest.mark.parametrize("span", [(0, 1), (2, 1), (3, 5), (-1, 2)])
def test_bars_that_are_not_there_are_a_score_error(span: tuple[int, int]) -> None:
    score = piece(scale(4))
    with pytest.raises(ScoreError, match="bars 1 to 4"):
        slice_bars(score, *span)


@pytest.mark.parametrize("span", [(0, 1), (2, 1), (-1, 2)])
def test_cells_before_the_first_bar_cannot_be_replaced(span: tuple[int, int]) -> None:
    with pytest.raises(ScoreError, match="count from 1"):
        replace_cells(piece(scale(4)), piece(scale(4)), span, {0: 0})


def test_replacing_beyond_the_end_adds_bars() -> None:
    original, composed = piece(scale(2)), piece(scale(4))
    result = replace_cells(original, composed, (3, 4), {0: 0})
    assert rows(result.tracks[0]) == rows(composed.tracks[0])


def test_select_tracks_keeps_the_named_ones_in_order() -> None:
    score = piece(scale(1), scale(2), scale(3))
    assert [track.name for track in select_tracks(score, [2, 0]).tracks] == ["track 2", "track 0"]
    assert len(score.tracks) == 3
    with pytest.raises(ScoreError, match="no track 3"):
        select_tracks(score, [3])


def test_replaced_cells_hold_what_was_composed_and_all_else_stays() -> None:
    original = piece(scale(6, 60), scale(6, 30))
    original.tempos.append(Tempo(0, qpm=77))
    original.tracks[0].controls.append(ControlChange(100, 64, 127))
    composed = piece(scale(6, 90, 384), [(t, 50, 100, 9) for t in range(0, 2304, 64)], tpq=96)
    before = original.copy()
    result = replace_cells(original, composed, (3, 4), {0: 1})
    assert original == before
    assert result.tracks[1] == original.tracks[1]
    assert result.tempos == original.tempos
    assert result.tracks[0].controls == original.tracks[0].controls
    inside = [row for row in rows(result.tracks[0]) if 3840 <= row[0] < 7680]
    assert inside == [(t * 5, 250, 100, 9) for t in range(768, 1536, 64)]
    outside = [row for row in rows(result.tracks[0]) if not 3840 <= row[0] < 7680]
    assert outside == [row for row in scale(6, 60) if not 3840 <= row[0] < 7680]
    assert tempo(result) == 77


def test_bars_cut_short_are_matched_by_number_not_by_time() -> None:
    original = piece(scale(4), signatures=((0, 4, 4), (480, 3, 4)))  # a pickup of one quarter
    composed = piece([(1920 + 480, 240, 72, 80), (480, 240, 73, 80)], signatures=((0, 4, 4), (1920, 3, 4)))
    result = replace_cells(original, composed, (1, 2), {0: 0})
    # bar 2 begins at 480 in one and at 1920 in the other; the second quarter of bar 1 does not exist in the original
    assert rows(result.tracks[0])[0] == (480 + 480, 240, 72, 80)
    assert all(row[0] >= 1920 for row in rows(result.tracks[0])[1:])


def test_meters_that_differ_are_a_score_error() -> None:
    with pytest.raises(ScoreError, match=r"bar 1 lasts 4 quarter notes, but .* 3"):
        replace_cells(piece(scale(2)), piece(scale(2), signatures=((0, 3, 4),)), (1, 2), {0: 0})


def test_new_notes_give_way_to_kept_ones_of_their_pitch() -> None:
    kept = [(1800, 300, 60, 80), (1800, 1000, 61, 80), (3840, 480, 62, 80)]
    composed = [(1920, 480, 60, 1), (2400, 100, 60, 1), (3360, 1920, 62, 1), (3360, 1920, 63, 1)]
    result = replace_cells(piece(kept), piece(composed), (2, 2), {0: 0})
    assert rows(result.tracks[0]) == [*kept[:2], (2400, 100, 60, 1), (3360, 480, 62, 1), (3360, 1920, 63, 1), kept[2]]


notes = st.lists(
    st.tuples(st.integers(0, 7600), st.integers(1, 2000), st.integers(60, 63), st.integers(1, 127)), min_size=1
)


@settings(max_examples=60, deadline=None)
@given(notes, notes, st.integers(1, 4), st.integers(1, 4), st.sampled_from([24, 96, 220, 480]))
def test_kept_notes_survive_any_replacement(old: list[Row], new: list[Row], a: int, b: int, tpq: int) -> None:
    first, last = min(a, b), max(a, b)
    old = [*old, (7600, 80, 10, 1)]  # four bars
    composed = piece(new, [(7600, 80, 10, 1)]).resample(tpq)
    result = replace_cells(piece(old), composed, (first, last), {0: 0})
    start, end = 1920 * (first - 1), 1920 * last
    kept = [row for row in old if not start <= row[0] < end]
    assert sorted(row for row in rows(result.tracks[0]) if not start <= row[0] < end) == sorted(kept)
    for time, duration, pitch, _ in rows(result.tracks[0]):
        if start <= time < end:
            for other, length, same, _ in kept:
                assert same != pitch or other >= time + duration or other + length <= time


def test_replacing_with_itself_changes_nothing_but_order() -> None:
    original = piece(scale(4), scale(4, 30))
    assert replace_cells(original, original, (2, 3), {0: 0, 1: 1}) == original


def test_sustain_lengthens_to_the_release_or_the_next_onset_of_the_pitch() -> None:
    score = piece([(0, 100, 60, 80), (50, 100, 64, 80), (300, 50, 60, 80), (900, 50, 60, 80)])
    pedal = ((20, 64), (600, 63), (910, 127))
    score.tracks[0].controls.extend([ControlChange(time, 64, value) for time, value in pedal])
    score.tracks[0].controls.append(ControlChange(0, 7, 90))
    result = apply_sustain(score)
    assert rows(result.tracks[0]) == [(0, 300, 60, 80), (50, 550, 64, 80), (300, 300, 60, 80), (900, 50, 60, 80)]
    assert [c.number for c in result.tracks[0].controls] == [7]
    assert len(score.tracks[0].controls) == 4
    assert apply_sustain(result) == result


def test_sustain_edges_and_drums() -> None:
    score = piece([(0, 100, 60, 80), (100, 100, 61, 80), (250, 50, 62, 80), (260, 500, 63, 80)])
    score.tracks[0].controls.extend(
        [ControlChange(time, 64, value) for time, value in ((100, 127), (200, 0), (280, 127))]
    )
    # pressed as the first ends and released as the second ends: neither is held; the last pedal is never released
    assert [row[1] for row in rows(apply_sustain(score).tracks[0])] == [100, 100, 510, 500]
    score.tracks[0].is_drum = True
    assert apply_sustain(score) == score


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 60), st.integers(60, 62), st.just(80)), min_size=1),
    st.lists(st.tuples(st.integers(0, 400), st.sampled_from([0, 127])), unique_by=lambda event: event[0]),
)
def test_sustain_against_a_plain_reading(notes: list[Row], pedal: list[tuple[int, int]]) -> None:
    score = piece(notes)
    score.tracks[0].controls.extend([ControlChange(time, 64, value) for time, value in sorted(pedal)])
    stop = max(time + duration for time, duration, *_ in notes)
    wanted = []
    for time, duration, pitch, _ in notes:
        end = time + duration
        down = [value >= 64 for at, value in sorted(pedal) if at < end]
        released_now = (end, 0) in pedal
        if down and down[-1] and not released_now:
            release = min([at for at, value in pedal if at > end and value < 64], default=max(stop, end))
            again = min([t for t, _, p, _ in notes if p == pitch and t > time], default=10**9)
            same = sum((t, p) == (time, pitch) for t, _, p, _ in notes)
            end = max(end, min(release, again)) if same == 1 else None
        wanted.append((time, pitch, end))
    got = [(t, p, t + d) for t, d, p, _ in rows(apply_sustain(score).tracks[0])]
    assert all(want[:2] == have[:2] for want, have in zip(wanted, got, strict=True))
    assert all(want[2] in (None, have[2]) for want, have in zip(wanted, got, strict=True))
    assert np.all([have[2] >= t + d for (t, d, *_), have in zip(notes, got, strict=True)])
