"""Phrases as piano rolls, and those of a corpus."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from symusic import Note, Score, TimeSignature, Track

from conftest import little_song
from orchestrion.core.errors import UserError
from orchestrion.data.build import build
from orchestrion.data.phrases import Phrases, Selection, phrase_table
from orchestrion.data.store import Corpus, CorpusError
from orchestrion.metrics.families import FAMILIES, family_of
from orchestrion.metrics.grid import on_grid
from orchestrion.music.files import read, write_midi
from orchestrion.music.theory import DRUMS, INSTRUMENTS, family
from orchestrion.representations.phrases import ROLL, TRACK_SETS, PhraseGrid, empty, flooded

with warnings.catch_warnings(action="ignore"):  # of its own dependencies
    import pypianoroll

GRIDS = [PhraseGrid(), PhraseGrid("seventeen", 4, 16, 24, 72), PhraseGrid("five", 2, 12, 0, 128)]
Notes = list[tuple[float, float, int]]  # onset and length in steps of 1 / 24 quarter note, pitch


def score_of(notes: dict[int, Notes], meter: tuple[int, int] = (4, 4)) -> Score:
    """A track an instrument, 20 ticks a step."""
    score = Score(480)
    score.time_signatures.append(TimeSignature(0, *meter))
    for number, own in notes.items():
        track = Track("", 0 if number == DRUMS else number, number == DRUMS)
        track.notes.extend(Note(round(20 * onset), round(20 * length), pitch, 90) for onset, length, pitch in own)
        score.tracks.append(track)
    return score


def sounding(phrase: np.ndarray, track: int, pitch: int) -> list[int]:
    """The steps at which a pitch of a track sounds on a grid from C1."""
    return np.flatnonzero(phrase[track, :, pitch - 24]).tolist()


def random_phrases(grid: PhraseGrid, count: int, seed: int) -> np.ndarray:
    """As encoded ones are: a fine grid holds no run of drum cells."""
    phrases = np.random.default_rng(seed).random((count, *grid.shape)) < 0.3
    if grid.steps_a_bar > 32:
        phrases[:, 0, 1::2] = False
    return phrases


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: grid.name)
def test_phrases_come_back_from_their_score(grid: PhraseGrid) -> None:
    for count in (1, 3):
        phrases = random_phrases(grid, count, seed=count)
        phrases[-1, -1, -1, 0] = True  # no silence at the end
        assert np.array_equal(grid.encode(grid.decode(phrases)), phrases)
    assert np.array_equal(grid.encode(grid.decode(phrases[0]))[0], phrases[0])


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: grid.name)
def test_music_on_the_grid_comes_back(grid: PhraseGrid) -> None:
    step = 96 // grid.steps_a_bar
    rng = np.random.default_rng(0)
    music: dict[int, Notes] = {}
    for number in grid.track_set.instruments:
        music[number] = []
        for pitch in rng.choice(np.arange(40, 80), 5, replace=False):
            edges = np.sort(rng.choice(np.arange(grid.bars * grid.steps_a_bar), 10, replace=False)) * step
            lengths = np.full(5, min(6, step)) if number == DRUMS else edges[1::2] - edges[::2]
            music[number] += [(on, max(length, 1), int(pitch)) for on, length in zip(edges[::2], lengths, strict=True)]
    back = grid.decode(grid.encode(score_of(music)))
    for track, (number, notes) in zip(back.tracks, music.items(), strict=True):
        apart = {(on, pitch) for on, _, pitch in notes}
        found = {(note.time // 20, note.duration // 20, note.pitch) for note in track.notes}
        assert {(on, pitch) for on, _, pitch in found} == apart
        if number != DRUMS:
            assert found == set(notes)


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: grid.name)
def test_any_music_lies_in_rolls_as_each_note_says(grid: PhraseGrid) -> None:
    rng = np.random.default_rng(1)
    music: dict[int, Notes] = {
        number: [(rng.uniform(0, 96 * 9), rng.uniform(0, 200), int(rng.integers(128))) for _ in range(5)]
        for number in (*range(0, 128, 3), DRUMS)
    }  # few and far apart, so that no pitch of an instrument is struck again
    phrases = grid.encode(score_of(music))
    rolls = np.concatenate(list(phrases), axis=1)
    expected = np.zeros_like(rolls)
    for number, notes in music.items():
        for onset, length, pitch in notes:
            ticks = round(20 * onset), round(20 * onset) + round(20 * length)
            fine = [np.floor(tick / 20 + 0.5) for tick in ticks]
            fine[1] = max(fine[1], fine[0] + 1)
            start, end = (int(np.floor(step * grid.steps_a_bar / 96 + 0.5)) for step in fine)
            if 0 <= pitch - grid.lowest < grid.pitches:
                until = start + 1 if number == DRUMS else max(end, start + 1)
                expected[grid.track_set.of[number], start:until, pitch - grid.lowest] = True
    assert len(phrases) > 1
    assert np.array_equal(rolls, expected)


def test_a_strike_is_told_from_a_held_note_as_lakh_has_it() -> None:
    repeated: Notes = [(0, 6, 60), (6, 6, 60), (12, 1, 60), (13, 1, 60), (24, 12, 60)]
    score = score_of({0: repeated, DRUMS: [(0, 24, 38), (6, 1, 38), (7, 6, 38)]})
    fine, coarse = (PhraseGrid(steps_a_bar=steps).encode(score)[0] for steps in (96, 16))
    assert sounding(fine, 1, 60) == [*range(5), *range(6, 11), 12, 13, *range(24, 36)]
    assert sounding(fine, 0, 38) == [0, 6, 7]
    assert sounding(coarse, 1, 60) == [0, 1, 2, 4, 5]
    assert sounding(coarse, 0, 38) == [0, 1]
    strokes = [PhraseGrid(steps_a_bar=steps).decode(x).tracks[0].notes for steps, x in ((96, fine), (16, coarse))]
    assert [[(note.time, note.duration) for note in notes] for notes in strokes] == [
        [(0, 120), (120, 120)], [(0, 120), (120, 120)],
    ]  # fmt: skip
    held = score_of({24: [(0, 60, 50), (12, 12, 50), (48, 24, 50)]})
    assert sounding(PhraseGrid().encode(held)[0], 2, 50) == [*range(47), *range(48, 72)]


def test_rolls_are_those_of_pypianoroll(tmp_path: Path) -> None:
    for seed in range(4):
        song = little_song(seed)
        song.dump_midi(tmp_path / "song.mid")
        (phrase,) = PhraseGrid().encode(song)
        expected = np.zeros_like(phrase)
        for track in pypianoroll.read(str(tmp_path / "song.mid"), resolution=24).tracks:
            number = TRACK_SETS["five"].of[DRUMS if track.is_drum else track.program]
            cells = track.pianoroll[:384, 24:108] > 0
            expected[number, : len(cells)] |= cells
        began, expected_began = (x & ~np.roll(x, 1, axis=1) for x in (phrase, expected))
        assert np.array_equal(began, expected_began)
        assert (phrase != expected).mean() < 0.002  # it rounds ends down


def test_tracks_share_all_instruments_out() -> None:
    five, seventeen = TRACK_SETS["five"], TRACK_SETS["seventeen"]
    numbers = np.arange(INSTRUMENTS)
    assert [five.names[track] for track in five.of] == [FAMILIES[place] for place in family_of(numbers)]
    assert [seventeen.names[track] for track in seventeen.of].count("drums") == 1
    assert all(len({seventeen.of[n] for n in numbers if family(n) == one}) == 1 for one in range(17))
    for tracks in (five, seventeen):
        assert [tracks.of[number] for number in tracks.instruments] == list(range(len(tracks.names)))


def test_the_piano_may_stand_alone(own: Corpus) -> None:
    alone, band = (PhraseGrid(tracks, 4, 16, 24, 72) for tracks in ("piano", "five"))
    score = score_of({DRUMS: [(0, 6, 38)], 5: [(0, 24, 60)], 24: [(0, 96, 50)], 48: [(12, 96, 70)]})
    assert np.array_equal(alone.encode(score)[:, 0], band.encode(score)[:, 1])
    phrases, (track,) = alone.encode(score), alone.decode(alone.encode(score)).tracks
    assert phrases.shape == (1, 1, 64, 72)
    assert (track.name, track.program, track.is_drum, len(track.notes)) == ("piano", 0, False, 1)
    table, whole = (phrase_table(own, "train", grid) for grid in (alone, band))
    assert len(table) == len(whole)
    assert all(np.array_equal(one[0], other[1]) for one, other in zip(table, whole, strict=True))


def test_a_decoded_phrase_is_playable(tmp_path: Path) -> None:
    grid = PhraseGrid()
    phrase = np.zeros(grid.shape, bool)
    phrase[1, 0:24, 36] = phrase[1, 30:32, 40] = phrase[3, 90:110, 12] = phrase[0, 48:50, 14] = True
    score = grid.decode(np.stack([phrase, phrase]), tempo=90, shortest_steps=3)
    write_midi(score, tmp_path / "phrase.mid")
    back = read(tmp_path / "phrase.mid")
    assert [(mark.time, round(mark.qpm, 2)) for mark in back.tempos] == [(0, 90)]
    bar = 1920
    assert {(track.program, track.is_drum): [(n.time, n.duration, n.pitch, n.velocity) for n in track.notes]
            for track in back.tracks if track.notes} == {
        (0, True): [(960, 120, 38, 80), (960 + 4 * bar, 120, 38, 80)],
        (0, False): [(0, 480, 60, 80), (4 * bar, 480, 60, 80)],
        (33, False): [(1800, 400, 36, 80), (1800 + 4 * bar, 400, 36, 80)],
    }  # fmt: skip
    assert [track.name for track in score.tracks] == list(TRACK_SETS["five"].names)
    joined = np.zeros((2, *grid.shape), bool)
    joined[0, 1, 380:, 0] = joined[1, 1, :10, 0] = True
    assert [(n.time, n.duration) for n in grid.decode(joined).tracks[1].notes] == [(380 * 20, 14 * 20)]


def test_a_phrase_that_is_no_music_is_known() -> None:
    grid = PhraseGrid(steps_a_bar=16, pitches=72)
    phrases = np.zeros((4, *grid.shape), bool)
    phrases[1] = True
    phrases[2, 3] = True
    phrases[3, 3, 0, 0] = True
    assert empty(phrases).tolist() == [True, False, False, False]
    assert flooded(phrases).tolist() == [False, True, True, False]
    assert flooded(phrases, share=1 / (64 * 72)).tolist() == [False, True, True, True]
    assert grid.decode(phrases[0]).note_num() == 0
    assert not grid.encode(Score(480)).any()


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"tracks": "four"}, "choose five or seventeen"),
        ({"steps_a_bar": 20}, "96 divides by"),
        ({"steps_a_bar": 192}, "96 divides by"),
        ({"bars": 0}, "1 to 64"),
        ({"lowest": 60}, "0 to 127"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(numbers: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        PhraseGrid(**numbers)


GRID = PhraseGrid("five", 4, 16, 24, 72)


@pytest.fixture
def own(tmp_path: Path) -> Corpus:
    """Pieces of 5, 9, 3 and 6 bars for training, one of 4 bars of 3/4, one that changes meter, and one of 8 to test."""
    music = tmp_path / "music"
    music.mkdir()
    scores = [little_song(seed, bars) for seed, bars in enumerate((5, 9, 3, 6))] + [little_song(4, 4, (3, 4))]
    changing = little_song(5, 12)
    changing.time_signatures.extend([TimeSignature(1920 * 5, 3, 4), TimeSignature(1920 * 5 + 3 * 1440, 4, 4)])
    rows = ["path,split"]
    for number, score in enumerate([*scores, changing, little_song(6, 8)]):
        write_midi(score, music / f"{number}.mid")
        rows.append(f"{number}.mid,{'test' if number == 6 else 'train'}")
    (music / "metadata.csv").write_text("\n".join(rows))
    return build([music], tmp_path / "corpus")


def cut(corpus: Corpus, path: str, bar: int, first_step: int | None = None) -> np.ndarray:
    """One phrase of a piece, by way of a Score that begins there."""
    (piece,) = (piece for piece in corpus.pieces() if piece.path == path)
    start = 96 * bar if first_step is None else first_step
    notes: dict[int, Notes] = {}
    for onset, length, pitch, number in piece.roll().tolist():
        end = min(onset + length, start + 96 * GRID.bars)
        begin = max(onset, start)
        if begin < end and not (number == DRUMS and onset < start):
            notes.setdefault(number, []).append((begin - start, end - begin, pitch))
    return np.asarray(GRID.encode(score_of(notes))[0])


def test_a_corpus_keeps_its_notes_on_steps(own: Corpus) -> None:
    for piece in own.pieces():
        fine = on_grid(read(own.path.parent / "music" / piece.path), steps_per_quarter=24)
        notes = piece.roll()
        assert (notes.dtype, len(notes), notes.flags.writeable) == (ROLL, len(fine), False)
        rows = zip(fine.onset, fine.end - fine.onset, fine.pitch, fine.instrument, strict=True)
        assert sorted(notes.tolist()) == sorted(tuple(map(int, row)) for row in rows)
        assert np.all(np.diff(notes["onset"].astype(int)) >= 0)


def test_a_table_enumerates_phrases_that_do_not_overlap(own: Corpus) -> None:
    table = phrase_table(own, "train", GRID)
    origins = [table.origin(index) for index in range(len(table))]
    assert origins[:5] == [
        ("folder/0.mid", 0), ("folder/1.mid", 0), ("folder/1.mid", 4), ("folder/3.mid", 0), ("folder/5.mid", 0),
    ]  # fmt: skip
    assert table.skipped == {"no 4 bars of four quarter notes in a row": 2}
    for index, (name, bar) in enumerate(origins[:5]):
        assert np.array_equal(table.phrase(index), cut(own, name.removeprefix("folder/"), bar))
    assert len(list(table)) == len(table) == 6
    assert origins[5] == ("folder/5.mid", 8)  # after three bars of 3/4
    assert np.array_equal(table.phrase(5), cut(own, "5.mid", 8, first_step=5 * 96 + 3 * 72))
    fine = phrase_table(own, "train", PhraseGrid())
    assert np.array_equal(fine.phrase(2), PhraseGrid().encode(read(own.path.parent / "music" / "1.mid"))[1])
    assert len(phrase_table(own, "test", GRID)) == 2


def test_what_is_drawn_begins_at_any_bar_line(own: Corpus) -> None:
    table = phrase_table(own, "train", GRID)
    drawn = table.draw(np.random.default_rng(5), 2_000)
    assert (drawn.shape, drawn.dtype) == ((2_000, *GRID.shape), bool)
    assert np.array_equal(drawn, table.draw(np.random.default_rng(5), 2_000))
    places = [
        (f"{piece}.mid", bar, None) for piece, bars in ((0, 5), (1, 9), (3, 6), (5, 5)) for bar in range(bars - 3)
    ]
    places += [("5.mid", bar, 5 * 96 + 3 * 72 + (bar - 8) * 96) for bar in (8, 9)]
    expected = {cut(own, path, bar, step).tobytes() for path, bar, step in places}
    assert len(expected) == len(places) == len(table.firsts)
    counts = dict.fromkeys(expected, 0)
    for phrase in drawn:
        counts[phrase.tobytes()] += 1
    assert np.array(list(counts.values())) / 2_000 == pytest.approx(np.full(len(places), 1 / len(places)), abs=0.025)


def test_phrases_are_selected_by_who_plays(tmp_path: Path) -> None:
    music = tmp_path / "music"
    music.mkdir()
    write_midi(little_song(0, 8), music / "band.mid")
    alone = [(24.0 * beat, 12.0, 60) for beat in range(16)] + [(96.0 * bar, 90.0, 64) for bar in range(4, 8)]
    write_midi(score_of({0: alone}), music / "piano.mid")
    (music / "metadata.csv").write_text("path,split\nband.mid,train\npiano.mid,train\n")
    corpus = build([music], tmp_path / "corpus")

    def origins(**wanted: int) -> tuple[list[tuple[str, int]], int, dict[str, int]]:
        table = phrase_table(corpus, "train", GRID, selection=Selection(**wanted))
        return [table.origin(index) for index in range(len(table))], table.sparse, dict(table.skipped)

    band = [("folder/band.mid", 0), ("folder/band.mid", 4)]
    assert origins() == ([*band, ("folder/piano.mid", 0)], 2, {})  # from bars 3 and 4 on there are 7 and 4 notes
    assert origins(notes=4) == ([*band, ("folder/piano.mid", 0), ("folder/piano.mid", 4)], 0, {})
    assert origins(tracks=3) == (band, 5, {})
    assert origins(piece_tracks=3) == (band, 0, {"fewer than 3 tracks with 10 notes": 1})
    assert len(list(corpus.path.glob("phrases-*.json"))) == 1
    with pytest.raises(
        CorpusError, match=r"no phrase of 4 bars .*\(fewer than 4 tracks with 10 notes\); .* ask for less"
    ):
        origins(piece_tracks=4)
    with pytest.raises(UserError, match="numbers from 1"):
        Selection(notes=0)


def test_music_without_a_phrase_is_refused_with_the_reason(tmp_path: Path) -> None:
    music = tmp_path / "music"
    music.mkdir()
    write_midi(little_song(0, 8, (3, 4)), music / "waltz.mid")
    (music / "metadata.csv").write_text("path,split\nwaltz.mid,train\n")
    corpus = build([music], tmp_path / "corpus")
    with pytest.raises(
        CorpusError, match=r"its train split has no phrase .*\(no 4 bars of four quarter notes in a row\)"
    ):
        phrase_table(corpus, "train", GRID)
    with pytest.raises(CorpusError, match=r"its valid split has no phrase .*it has no piece"):
        phrase_table(corpus, "valid", GRID)


def test_a_table_is_cut_once_and_again_when_it_no_longer_fits(own: Corpus) -> None:
    told: list[tuple[int, int]] = []

    def table() -> Phrases:
        told.clear()
        return phrase_table(own, "train", GRID, progress=lambda *now: told.append(now))

    first = table()
    assert told == [(done, 6) for done in range(7)]
    assert table() is first
    assert told == []
    path = own.path / f"phrases-{GRID.name}-train.json"
    summary = json.loads(path.read_text())
    for damage in (summary | {"fingerprint": "another"}, summary | {"version": "0"}, summary | {"bars": 4}, {}):
        path.write_text(json.dumps(damage))
        os.utime(path, ns=(0, 0))
        assert np.array_equal(table().firsts, first.firsts)
        assert told
    for name in (path.with_suffix(".npy").name, f"{path.stem}-bars.npy"):
        (own.path / name).write_bytes(b"half")
        os.utime(path, ns=(0, 0))
        assert np.array_equal(table().phrase(0), first.phrase(0))
        assert told


def test_cutting_that_is_stopped_leaves_no_table(own: Corpus) -> None:
    before = sorted(own.path.iterdir())

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        phrase_table(own, "train", GRID, progress=stop)
    assert sorted(own.path.iterdir()) == before
