"""Notations of tokens: by hand, there and back, and whatever is written under their masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import little_song
from orchestrion.music.files import read, write_midi
from orchestrion.music.theory import DRUMS
from orchestrion.representations.chorale import REST, Chorale, tokens_of_voices, voices_of_tokens
from orchestrion.representations.melody import NO_EVENT, NOTE_OFF, SILENCE, Melody, MelodyEvents
from orchestrion.representations.notation import CLOSING_SECONDS, Notation, NotationError
from orchestrion.representations.performance import Performance, stuck_notes_a_minute
from orchestrion.representations.timed import TIMED, by_onset, score_of, timed

NOTATIONS = [Performance(), Performance(longest_seconds=None), Performance(longest_seconds=0.01), Melody(), Melody(3),
             MelodyEvents(), Chorale(), Chorale(tempo=93.7)]  # fmt: skip
GRID_STEPS = {"performance": 100, "melody-8": 8, "melody-3": 3, "melody-events-8": 8, "chorale-16": 16 / 3,
              "chorale-16-93.7": 4 * 93.7 / 60}  # fmt: skip


def notes(*rows: tuple[int, ...]) -> np.ndarray:
    """(onset, length, pitch[, velocity[, instrument]]) in ms -> TIMED."""
    return by_onset(np.array([tuple(row) + (82, 0)[len(row) - 3 :] for row in rows], TIMED))


def on(pitch: int) -> int:
    return pitch


def off(pitch: int) -> int:
    return 128 + pitch


def shift(milliseconds: int) -> int:
    return 255 + milliseconds // 10


def loud(level: int) -> int:
    return 356 + level


# ---- performance events


def test_a_performance_by_hand() -> None:
    music = notes((1500, 500, 60, 82), (1500, 2010, 64, 82), (2000, 10, 60, 126))
    expected = [shift(1000), shift(500), loud(20), on(60), on(64), shift(500), off(60), loud(31), on(60), shift(10),
                off(60), shift(1000), shift(500), off(64)]  # fmt: skip
    assert Performance().encode(music).tolist() == expected
    assert np.array_equal(Performance().decode(expected), music)
    assert (Performance().size, Performance().name) == (388, "performance")


def test_a_whole_second_has_no_rest_and_one_velocity_is_said_once() -> None:
    expected = [loud(20), on(60), shift(1000), shift(1000), off(60), on(62), shift(10), off(62)]
    assert Performance().encode(notes((0, 2000, 60), (2000, 10, 62))).tolist() == expected


@st.composite
def performances(draw: st.DrawFn) -> np.ndarray:
    """Music on the grid of 10 ms and the middles of velocity bins, pitches struck again while others sound."""
    rows = []
    for pitch in draw(st.lists(st.integers(0, 127), min_size=1, max_size=6, unique=True)):
        time = 0
        for gap, length, level in draw(
            st.lists(st.tuples(st.integers(0, 300), st.integers(1, 400), st.integers(0, 31)), min_size=1, max_size=8)
        ):
            rows.append(((time + gap) * 10, length * 10, pitch, 4 * level + 2, 0))
            time += gap + length
    return notes(*rows)


@given(performances())
@settings(max_examples=80, deadline=None)
def test_performances_on_the_grid_come_back(music: np.ndarray) -> None:
    assert np.array_equal(Performance().decode(Performance().encode(music)), music)


def test_a_note_on_ends_the_pitch_that_sounds_and_of_equal_onsets_one_stays() -> None:
    music = notes((0, 1000, 60, 10), (400, 100, 60, 82), (700, 300, 72, 42), (700, 90, 72, 50))
    expected = notes((0, 400, 60, 10), (400, 100, 60, 82), (700, 300, 72, 50))
    for order in ([0, 1, 2, 3], [0, 1, 3, 2]):
        tokens = Performance().encode(music[order])
        assert np.array_equal(Performance().decode(tokens), expected)
        assert np.array_equal(Performance().encode(expected), tokens), "no end is left over"


def test_times_are_rounded_each_by_itself() -> None:
    music = notes(*((37 * k, 33, 40 + k % 7) for k in range(20_000)))
    back = Performance().decode(Performance().encode(music))
    assert np.abs(back["onset"].astype(int) - music["onset"]).max() <= 5
    ends = back["onset"] + back["length"].astype(int), music["onset"] + music["length"].astype(int)
    assert np.abs(ends[0] - ends[1]).max() <= 5


def test_all_pitched_instruments_are_one_piano_and_drums_are_left_out() -> None:
    music = notes((0, 100, 60, 82, 40), (0, 100, 38, 82, DRUMS), (100, 100, 48, 82, 33))
    back = Performance().decode(Performance().encode(music))
    assert back["pitch"].tolist() == [60, 48]
    assert set(back["instrument"].tolist()) == {0}


@given(st.lists(st.integers(-5, 500), max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_tokens_decode(tokens: list[int]) -> None:
    for notation in NOTATIONS:
        music = notation.decode(np.array(tokens, np.int64))
        assert (music["length"] > 0).all()
        assert (np.diff(music["onset"].astype(int)) >= 0).all()


def test_what_makes_no_note_is_passed_over_and_an_open_note_lasts_to_the_end() -> None:
    tokens = [off(50), loud(20), on(60), off(60), on(62), shift(500), loud(0), shift(10)]
    assert np.array_equal(Performance().decode(tokens), notes((0, 510, 62)))


# ---- melodies


def test_a_melody_is_the_highest_note_of_each_step() -> None:
    music = notes((0, 1000, 48), (250, 250, 60), (1500, 60, 70), (0, 2000, 90, 82, DRUMS))
    tokens = Melody().encode(music)
    assert tokens.tolist() == [48, 48, 60, 60, 48, 48, 48, 48, 128, 128, 128, 128, 70]
    expected = notes((0, 250, 48, 80), (250, 250, 60, 80), (500, 500, 48, 80), (1500, 125, 70, 80))
    assert np.array_equal(Melody().decode(tokens), expected)
    assert (Melody().size, Melody().name, SILENCE) == (129, "melody-8", 128)


def test_melody_events_tell_a_repeated_note_from_a_held_one() -> None:
    music = notes((125, 250, 60), (375, 125, 60), (375, 500, 55), (750, 1000, 65), (750, 200, 65))
    tokens = MelodyEvents().encode(music)
    assert tokens.tolist() == [NO_EVENT, 60, NO_EVENT, 60, NOTE_OFF, NO_EVENT, 65, *[NO_EVENT] * 7]
    expected = notes((125, 250, 60, 80), (375, 125, 60, 80), (750, 1000, 65, 80))
    assert np.array_equal(MelodyEvents().decode(tokens), expected)
    held = Melody().decode(Melody().encode(expected))
    assert held["length"].tolist() == [375, 1000], "in classes they are one"


# ---- chorales


def test_voices_and_tokens_are_the_same_thing() -> None:
    voices = np.array([[72, 67, 60, -1], [72, 74, 60, 48]])
    tokens = tokens_of_voices(voices)
    assert tokens.tolist() == [72, 67, 60, REST, 72, 74, 60, 48]
    assert np.array_equal(voices_of_tokens(tokens), voices)
    assert np.array_equal(voices_of_tokens(tokens[:-1]), voices[:1])
    for wrong in (voices[:, :3], voices + 60, voices[0]):
        with pytest.raises(ValueError, match="voices must be"):
            tokens_of_voices(wrong)


def test_a_chorale_is_read_from_high_to_low() -> None:
    sixteenth = 187.5
    played = [(0, 2, 60), (0, 1, 72), (1, 2, 55), (0, 2, 72), (0, 1, 48), (1, 2, 50),
              (2, 3, 60), (2, 3, 62), (2, 3, 64), (2, 3, 65), (2, 3, 40), (4, 5, 70)]  # fmt: skip
    music = notes(*((int(1000 + a * sixteenth), int((b - a) * sixteenth), pitch, 80, 52) for a, b, pitch in played))
    voices = voices_of_tokens(Chorale().encode(music))
    assert voices.tolist() == [[72, 72, 60, 48], [72, 60, 55, 50], [65, 64, 62, 40], [-1] * 4, [70, -1, -1, -1]]
    again = voices_of_tokens(Chorale().encode(Chorale().decode(tokens_of_voices(voices))))
    assert np.array_equal(again, voices)


# ---- what every notation keeps


@pytest.mark.parametrize("notation", NOTATIONS, ids=repr)
def test_what_was_written_reads_and_writes_the_same_for_ever(notation: Notation) -> None:
    music = timed(little_song(3, bars=6))
    tokens = notation.encode(music)
    assert tokens.dtype == np.int16
    assert ((tokens >= 0) & (tokens < notation.size)).all()
    held = notation.decode(tokens)
    assert held.dtype == TIMED
    assert np.array_equal(notation.encode(held), tokens)
    writer = notation.writer()
    for token in tokens:
        writer.write(token)
    end = (held["onset"].astype(int) + held["length"]).max() / 1000
    assert writer.seconds == pytest.approx(end, abs=1e-3)
    assert not writer.done


@pytest.mark.parametrize("notation", NOTATIONS, ids=repr)
def test_music_without_pitched_notes_is_refused_in_one_line(notation: Notation) -> None:
    for music in (np.zeros(0, TIMED), notes((0, 100, 38, 80, DRUMS))):
        with pytest.raises(NotationError, match="no pitched instrument") as raised:
            notation.encode(music)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("make", [lambda: Performance(longest_seconds=0), lambda: Performance(float("nan")),
                                  lambda: Melody(0), lambda: MelodyEvents(5000), lambda: Chorale(tempo=0)])  # fmt: skip
def test_numbers_that_make_no_notation(make: Callable[[], Notation]) -> None:
    with pytest.raises(NotationError, match="ask for"):
        make()


# ---- writing under masks

#: What a model might lean to: the logarithm of how much likelier the last token is than the first.
LEANINGS = {"evenly": 0.0, "low tokens": -9.0, "high tokens": 9.0}


def walk(notation: Notation, seconds: float, seed: int, leaning: float) -> tuple[list[int], np.ndarray]:
    """Tokens drawn from what is legal until nothing more is, and the notes they are."""
    rng, writer, tokens = np.random.default_rng(seed), notation.writer(seconds), []
    favour = rng.random(notation.size) ** rng.integers(1, 30)  # some tokens much more often
    favour *= np.exp(leaning * np.linspace(0, 1, notation.size))
    while not writer.done:
        weights = favour * writer.legal() + 1e-12 * writer.legal()
        tokens.append(int(rng.choice(notation.size, p=weights / weights.sum())))
        writer.write(tokens[-1])
        assert writer.seconds <= max(seconds, 1 / GRID_STEPS[notation.name]) + 0.5 / GRID_STEPS[notation.name]
    assert not writer.legal().any()
    return tokens, notation.decode(np.array(tokens))


@pytest.mark.parametrize("notation", NOTATIONS, ids=repr)
@given(st.integers(0, 2**32), st.sampled_from([0.004, 0.3, 1.0, 3.21]), st.sampled_from(list(LEANINGS)))
@settings(max_examples=25, deadline=None)
def test_whatever_is_legal_is_music_of_that_length(notation: Notation, seed: int, seconds: float, lean: str) -> None:
    tokens, music = walk(notation, seconds, seed, LEANINGS[lean])
    steps = GRID_STEPS[notation.name]
    end = (music["onset"].astype(int) + music["length"]).max() / 1000
    assert end == pytest.approx(max(1, round(seconds * steps)) / steps, abs=1.1e-3), "the last note ends there"
    if isinstance(notation, Chorale):
        rolls = [np.sort(voices_of_tokens(t), axis=1)[:, ::-1] for t in (tokens, notation.encode(music))]
        assert np.array_equal(rolls[0][(rolls[0] >= 0).any(1).argmax() :], rolls[1])
    else:
        assert notation.encode(music).tolist() == tokens, "no other sequence is this music: nothing is repaired"
    if isinstance(notation, Performance) and notation.longest_seconds:
        assert music["length"].max() <= notation.longest_seconds * 1000
    starts, ends = music["onset"].astype(int), music["onset"].astype(int) + music["length"]
    for time in range(max(0, round((end - CLOSING_SECONDS) * 1000)) + 1, int(end * 1000), 7):
        late = 1000 / steps + 1  # the closing may begin at the next step
        assert time < (end - CLOSING_SECONDS) * 1000 + late or ((starts <= time) & (ends > time)).any()


def test_a_walk_is_a_file_that_reads_the_same(tmp_path: Path) -> None:
    for notation in NOTATIONS:
        music = walk(notation, 3.0, 1, 0.0)[1]
        if isinstance(notation, Chorale):
            continue  # voices on one pitch are notes at once, which no file tells apart
        write_midi(score_of(music), tmp_path / "piece.mid")
        assert np.array_equal(timed(read(tmp_path / "piece.mid")), music)


def test_notes_that_are_never_ended_and_their_cure() -> None:
    """A writer that never ends a note by itself, as Luo's networks forgot to."""

    def music(longest: float | None) -> np.ndarray:
        notation = Performance(longest)
        rng, writer, tokens = np.random.default_rng(0), notation.writer(60.0), []
        while not writer.done:
            legal = writer.legal()
            forgetful = legal.copy()
            forgetful[128:256] = False
            tokens.append(int(rng.choice(np.flatnonzero(forgetful if forgetful.any() else legal))))
            writer.write(tokens[-1])
        return notation.decode(np.array(tokens))

    stuck = music(None)
    assert stuck_notes_a_minute(stuck) > 50
    cured = music(10.0)
    assert stuck_notes_a_minute(cured) == 0
    assert cured["length"].max() == 10_000
    assert len(cured) > len(stuck)


def test_stuck_notes_by_hand() -> None:
    music = notes((0, 10_000, 60), (0, 10_010, 61), (100, 29_900, 62))
    assert stuck_notes_a_minute(music) == 2 / 0.5
    assert stuck_notes_a_minute(music, bound_seconds=20) == 1 / 0.5
    assert stuck_notes_a_minute(music[:0]) == 0


def test_a_primer_may_hold_what_is_never_composed() -> None:
    music = notes((0, 25_000, 60), (0, 1000, 64), (29_800, 10, 60))
    writer = Performance(longest_seconds=2.0).writer(30.0)
    for token in Performance().encode(music):
        writer.write(token)
    assert writer.seconds == 29.81
    assert not writer.legal()[256:356].any(), "no silence to the end"


@pytest.mark.parametrize(("before", "token"), [
    ([], on(60)), ([], off(60)), ([loud(3)], loud(4)), ([loud(3)], shift(10)), ([loud(3), on(60)], on(60)),
    ([loud(3), on(60)], off(60)), ([loud(3), on(60)], on(59)), ([loud(3), on(60)], loud(3)),
    ([loud(3), on(60), shift(10)], shift(10)), ([], shift(1000) + 40), ([], 388), ([], -1),
    ([loud(3), on(60), on(62), shift(10), off(62)], off(60)), ([loud(3), on(60), shift(10), on(62)], off(60)),
    ([shift(1000), shift(1000)], shift(10)),
])  # fmt: skip
def test_a_writer_refuses_what_is_not_legal(before: list[int], token: int) -> None:
    writer = Performance().writer(2.0)
    for earlier in before:
        writer.write(earlier)
    assert not (0 <= token < 388) or not writer.legal()[token]
    with pytest.raises(ValueError, match="may not come here"):
        writer.write(token)


def test_a_melody_writer_refuses_to_end_silence_and_to_go_on() -> None:
    writer = MelodyEvents().writer(0.25)
    assert np.flatnonzero(writer.legal()).tolist() == list(range(128)), "it closes at once"
    with pytest.raises(ValueError, match="no note sounds"):
        writer.write(NOTE_OFF)
    for token in (60, NO_EVENT):
        writer.write(token)
    assert writer.done
    with pytest.raises(ValueError, match="may not come here"):
        writer.write(60)
