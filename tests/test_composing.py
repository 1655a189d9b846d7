"""Composing, continuing and filling from Python, with an untrained composer of tiny size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from symusic import ControlChange, Note, Score, Tempo, Track

from conftest import little_song
from orchestrion import Composition, Model, compose, continue_score, fill, load
from orchestrion.core.errors import UserError
from orchestrion.generation.compose import ComposeError
from orchestrion.generation.infill import GivenError, tracks_named
from orchestrion.models.base import RequestError
from orchestrion.models.registry import recipe, system_class
from orchestrion.music.bars import bars, instrument
from orchestrion.music.extent import length_seconds
from orchestrion.music.files import read
from orchestrion.music.theory import DRUMS, Key, Meter
from orchestrion.representations.timed import timed
from orchestrion.text.controls import ControlsError


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    return Model(system_class("composer")(recipe("composer", "tiny").config).eval(), "composer", {}, "untrained")


def rows(track: Track) -> list[tuple[int, int, int, int]]:
    return [(note.time, note.duration, note.pitch, note.velocity) for note in track.notes]


def busy_song() -> Score:
    """At 96 ticks a quarter: eleven tracks, drums, pedal and a change of tempo, off the grid."""
    score = Score(96)
    score.tempos.extend([Tempo(0, 90), Tempo(700, 100)])
    rng = np.random.default_rng(0)
    for program in range(11):
        track = Track(f"part {program}", program * 7, is_drum=program == 10)
        for time in np.sort(rng.choice(96 * 16, 12, replace=False)):
            track.notes.append(Note(int(time), int(rng.integers(5, 90)), int(rng.integers(40, 80)), 77))
        track.controls.extend([ControlChange(0, 64, 127), ControlChange(500, 64, 0)])
        score.tracks.append(track)
    return score


@pytest.mark.parametrize("seed", range(3))
def test_words_and_options_hold(model: Model, seed: int) -> None:
    words = "a calm waltz for flute and two violins in D minor, 5 bars, 95 bpm"
    pieces = compose(words, meter=Meter(6, 8), count=3, seed=seed, model=model)
    assert len({str(rows(piece.score.tracks[0])) for piece in pieces}) == 3
    for piece in pieces:
        held = {check["control"]: (check["measured"], check["holds"]) for check in piece.record["controls"]}
        assert all(holds for _, holds in held.values())
        assert held["bars"][0] == "5"
        assert held["tempo"][0] == "95"
        assert held["meter"][0] == "6/8"  # the option beats the waltz
        assert sorted(instrument(track) for track in piece.score.tracks) == [40, 40, 73]
        pitches = {note.pitch % 12 for track in piece.score.tracks for note in track.notes}
        assert pitches <= Key.parse("D minor").pitch_classes


def test_the_same_seed_gives_the_same_piece(model: Model) -> None:
    one, again = (compose("something for piano", bars=4, seed=3, model=model)[0] for _ in range(2))
    assert one.record == again.record
    assert rows(one.score.tracks[0]) == rows(again.score.tracks[0])


@pytest.mark.parametrize("song", [little_song(4, bars=5), little_song(5, bars=3, meter=(3, 4)), busy_song()])
def test_continuing_keeps_every_note_and_adds_bars(model: Model, song: Score) -> None:
    before = len(bars(song))
    piece = continue_score(song, 3, seed=1, model=model)[0]
    assert len(bars(piece.score)) == before + 3
    end = bars(song)[-1].end
    for old, new in zip(song.tracks, piece.score.tracks, strict=True):
        assert [row for row in rows(new) if row[0] < end] == sorted(rows(old))
        assert [(c.time, c.value) for c in new.controls] == [(c.time, c.value) for c in old.controls]
    assert [(tempo.time, tempo.qpm) for tempo in piece.score.tempos] == [(t.time, t.qpm) for t in song.tempos]
    assert len(piece.record["request"]["given_sha256"]) == 64


@pytest.mark.parametrize("song", [little_song(6, bars=6), busy_song()])
def test_filling_changes_the_named_cells_alone(model: Model, song: Score) -> None:
    first, last = 2, 3
    layout = bars(song)
    start, end = layout[first - 1].start, layout[last - 1].end
    piece = fill(song, (first, last), [1], seed=1, model=model)[0]
    for index, (old, new) in enumerate(zip(song.tracks, piece.score.tracks, strict=True)):
        kept = [row for row in rows(old) if index != 1 or not start <= row[0] < end]
        assert [row for row in rows(new) if index != 1 or not start <= row[0] < end] == sorted(kept)
    assert rows(piece.score.tracks[1]) != rows(song.tracks[1])


def test_like_opens_with_the_music_given_and_adds_who_is_named(model: Model) -> None:
    song = little_song(7, bars=4)
    piece = compose("with a flute, 7 bars", like=song, seed=2, model=model)[0]
    assert piece.record["all_hold"]
    opening = bars(song)[2].end
    assert [row for row in rows(piece.score.tracks[1]) if row[0] < opening] == [
        row for row in rows(song.tracks[1]) if row[0] < opening
    ]
    flute = next(track for track in piece.score.tracks if instrument(track) == 73)
    assert len(flute.notes) > 0


def test_what_given_music_rules_out_is_named(model: Model) -> None:
    piece = continue_score(little_song(8), 2, "at 77 bpm", seed=0, model=model)[0]
    assert any("77" in refused["words"] for refused in piece.record["not_understood"])


@pytest.mark.parametrize(
    ("ask", "kind", "words"),
    [
        (lambda model: compose("x", count=0, model=model), ComposeError, "1 to 64"),
        (lambda model: compose("x", temperature=9, model=model), RequestError, "0 to 3"),
        (lambda model: compose("in C major and in D minor", model=model), ControlsError, "major"),
        (lambda model: continue_score(little_song(1), 0, model=model), ComposeError, "at least|1 to"),
        (lambda model: fill(little_song(1, bars=4), (3, 9), model=model), ComposeError, "bars 1-4"),
        (lambda model: tracks_named(little_song(1), ["kazoo"]), ControlsError, "kazoo"),
        (lambda model: tracks_named(little_song(1), ["flute"]), GivenError, "tracks play"),
        (lambda model: tracks_named(little_song(1), ["4"]), GivenError, "tracks 1 to 3"),
    ],
)
def test_wishes_that_cannot_be_met(model: Model, ask: object, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        ask(model)  # type: ignore[operator]


def test_tracks_are_found_by_number_name_instrument_or_relative() -> None:
    song = little_song(1)
    assert tracks_named(song, ["2"]) == (1,)
    assert tracks_named(song, ["drums", "Piano"]) == (2, 0)
    assert tracks_named(song, ["slap bass"]) == (1,)


def test_a_piece_is_written_whole_and_read_back(model: Model, tmp_path: Path) -> None:
    piece: Composition = compose("drums and piano", bars=2, seed=0, model=model)[0]
    paths = piece.write(tmp_path / "piece", ("mid", "json"))
    assert [path.name for path in paths] == ["piece.mid", "piece.json"]
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    back = read(paths[0])
    assert sorted(instrument(track) for track in back.tracks) == [0, DRUMS]
    assert json.loads(paths[1].read_text()) == json.loads(json.dumps(piece.record))
    with pytest.raises(ComposeError, match="mp3"):
        piece.write(tmp_path / "other", ("mid", "mp3"))
    assert len(list(tmp_path.iterdir())) == 2


# ---- systems that write in real time


@pytest.fixture(scope="module")
def pianist() -> Model:
    """An untrained system of performance events, which holds seconds and nothing else."""
    torch.manual_seed(0)
    system = system_class("performance_rnn")(recipe("performance_rnn", "tiny").config)
    return Model(system.eval(), "performance_rnn", {}, "untrained")


def test_a_system_in_real_time_lasts_as_long_as_asked_and_says_what_it_cannot_hold(pianist: Model) -> None:
    (piece,) = compose("a waltz in D minor for string quartet", seconds=5, seed=1, model=pianist)
    assert length_seconds(piece.score) == pytest.approx(5, abs=0.01)
    told = {words["words"]: words["reason"] for words in piece.record["not_understood"]}
    assert told["D minor"] == "performance_rnn plays as it learned and holds no key"
    assert told["violin, violin, viola, cello"].endswith("holds no instruments")
    assert piece.record["controls"] == []
    with pytest.raises(ComposeError, match="cannot fill bars"):
        fill(little_song(0), (1, 2), model=pianist)


def test_it_goes_on_behind_what_is_given_and_changes_no_note_of_it(pianist: Model) -> None:
    song = little_song(3, bars=4)
    before = {track.name: rows(track) for track in song.tracks}
    (piece,) = continue_score(song, 2, seed=1, model=pianist)
    end = length_seconds(song)
    bar_seconds = end / 4
    assert length_seconds(piece.score) == pytest.approx(end + 2 * bar_seconds, abs=0.02)
    for track in piece.score.tracks:
        given = before.get(track.name, [])
        assert rows(track)[: len(given)] == given
    later = [note for track in piece.score.tracks for note in track.notes if note.time >= song.end()]
    assert later
    assert piece.score.note_num() == song.note_num() + len(later)
    assert (piece.record["understood"], piece.record["not_understood"]) == ([], [])
    drums = Score(480)
    drums.tracks.append(next(track.copy() for track in song.tracks if track.is_drum))
    with pytest.raises(UserError):
        continue_score(drums, 2, seed=1, model=pianist)


def test_the_bundled_pianist_goes_on_like_a_pianist() -> None:
    """Few keys down at a time, none for ever, and nothing of what was given is changed."""
    song = little_song(5, bars=4)
    end = length_seconds(song)
    pieces = continue_score(song, 1, seed=3, count=3, seconds=10, model=load("music_transformer"))
    assert len({piece.score.dumps_midi() for piece in pieces}) == 3
    for piece in pieces:
        assert piece.record["model"]["system"] == "music_transformer"
        assert piece.record["request"]["temperature"] == 0.95
        notes = timed(piece.score)
        new = notes[notes["onset"] >= 1000 * end - 1]
        assert len(new) >= 10
        assert ((new["pitch"] >= 21) & (new["pitch"] <= 108)).all(), "a piano's keys"
        down = [int(((new["onset"] <= at) & (new["onset"] + new["length"] > at)).sum())
                for at in range(int(1000 * end), int(1000 * end) + 10_000, 250)]  # fmt: skip
        assert max(down) <= 30


def test_the_composer_counts_bars(model: Model) -> None:
    with pytest.raises(ComposeError, match="knows no seconds"):
        compose("a waltz", seconds=5, model=model)
