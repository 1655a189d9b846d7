from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from symusic import Note, Score, Tempo, TimeSignature, Track

from orchestrion.music import ScoreError
from orchestrion.music.bars import Bar, bars, instrument, tempo
from orchestrion.music.theory import DRUMS, Meter


def piece(end: int, tpq: int = 480, start: int = 0, signatures: tuple = (), tempos: tuple = ()) -> Score:
    score = Score(tpq)
    track = Track("piano")
    track.notes.append(Note(start, end - start, 60, 80))
    score.tracks.append(track)
    score.time_signatures.extend([TimeSignature(*signature) for signature in signatures])
    score.tempos.extend([Tempo(time, qpm=qpm) for time, qpm in tempos])
    return score


def test_four_four_where_nothing_is_written_and_as_far_as_the_last_note_sounds() -> None:
    four = Meter(4, 4)
    assert bars(piece(1920)) == [Bar(0, 1920, four)]
    assert bars(piece(1921)) == [Bar(0, 1920, four), Bar(1920, 1920, four)]
    assert bars(Score(480)) == []


def test_a_change_of_meter_cuts_the_bar_it_falls_into() -> None:
    layout = bars(piece(6000, signatures=((2400, 3, 4), (3840, 6, 8), (9600, 2, 4))))
    assert [(bar.start, bar.length, bar.meter.name) for bar in layout] == [
        (0, 1920, "4/4"),
        (1920, 480, "4/4"),
        (2400, 1440, "3/4"),
        (3840, 1440, "6/8"),
        (5280, 1440, "6/8"),
    ]


def test_a_repeated_signature_changes_nothing_and_the_last_at_one_tick_counts() -> None:
    assert bars(piece(3840, signatures=((0, 4, 4), (500, 4, 4)))) == bars(piece(3840))
    assert bars(piece(2880, signatures=((0, 4, 4), (0, 3, 4)))) == [
        Bar(0, 1440, Meter(3, 4)),
        Bar(1440, 1440, Meter(3, 4)),
    ]


@pytest.mark.parametrize("signature", [(0, 0, 4), (0, 97, 4), (0, 4, 0), (0, 4, 3)])
def test_an_impossible_meter_is_a_score_error(signature: tuple[int, int, int]) -> None:
    with pytest.raises(ScoreError, match=f"{signature[1]}/{signature[2]}"):
        bars(piece(1000, signatures=(signature,)))


def test_bars_of_no_length_and_bars_without_end_are_score_errors() -> None:
    with pytest.raises(ScoreError, match="shorter than one tick"):
        bars(piece(10, tpq=1, signatures=((0, 1, 64),)))
    with pytest.raises(ScoreError, match="more than 100000 bars"):
        bars(piece(2**30, tpq=1))


@given(
    st.integers(1, 1000),
    st.integers(1, 5000),
    st.lists(st.tuples(st.integers(0, 6000), st.integers(1, 12), st.sampled_from([2, 4, 8, 16])), max_size=5),
)
def test_bars_follow_each_other_without_gap_from_zero_to_the_end(tpq: int, end: int, signatures: list) -> None:
    longest_denominator = max([4] + [denominator for *_, denominator in signatures])
    if 4 * tpq < longest_denominator:  # a bar could be shorter than a tick
        return
    layout = bars(piece(end, tpq=tpq, signatures=tuple(signatures)))
    assert layout[0].start == 0
    assert layout[-1].start < end <= layout[-1].end
    for bar, following in pairwise(layout):
        assert bar.end == following.start
        assert bar.length > 0
    changes = {time: Meter(*meter) for time, *meter in sorted(signatures, key=lambda signature: signature[0])}
    for time, meter in changes.items():  # no bar runs across a change, and the meter holds from there
        for bar in layout:
            if bar.start <= time < min(end, bar.end):
                assert bar.meter == meter
                assert bar.start == time or changes.get(bar.start, meter) == meter


def test_tempo_is_the_one_that_holds_for_most_of_the_music() -> None:
    assert tempo(piece(1000)) == 120
    assert tempo(Score(480)) == 120
    assert tempo(piece(9000, tempos=((0, 97.3),))) == 97.3
    assert tempo(piece(9000, tempos=((0, 60), (1000, 90), (8000, 40)))) == 90
    assert tempo(piece(9000, tempos=((8000, 90), (0, 60)))) == 60
    # what stands before the first note or after the last does not count
    assert tempo(piece(9000, start=6000, tempos=((0, 60), (6000, 90), (9000, 200)))) == 90


def test_instrument_is_the_program_or_drums() -> None:
    assert instrument(Track("a", 40)) == 40
    assert instrument(Track("a", 40, True)) == DRUMS
