"""OpenScore and Mutopia in made-up folders of the same layout."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from symusic import Note, Score, Tempo, TextMeta, TimeSignature, Track

from orchestrion.data.captions.sentences import facts_of
from orchestrion.data.datasets import recognise
from orchestrion.data.datasets.emopia import Emopia
from orchestrion.data.datasets.mutopia import Mutopia, listed, with_players
from orchestrion.data.datasets.openscore import OpenScoreLieder, OpenScoreQuartets
from orchestrion.music import ScoreError
from orchestrion.music.bars import bars, instrument
from orchestrion.representations.cells import encode

QUARTER = 384
LIEDER = {"composer": "Le_Beau,_Luise", "instrument": "voice and piano", "licence": "CC0-1.0"}
TYPESET = {"composer": "BachJS", "instrument": "", "style": "", "licence": "public domain", "maintainer": "A. Person"}


def part(name: str, program: int, pitches: list[int], lyrics: bool = False, drums: bool = False) -> Track:
    track = Track(name, program, drums)
    track.notes.extend(Note(QUARTER * beat, QUARTER, pitch, 80) for beat, pitch in enumerate(pitches))
    if lyrics:
        track.lyrics.append(TextMeta(0, "la"))
    return track


def write(
    root: Path, row: dict[str, str], tracks: list[Track], meters: list[tuple[int, int, int]], qpm: float = 90.0
) -> None:
    """Add a file, and its row, to a folder; meters are (tick, numerator, denominator)."""
    root.mkdir(parents=True, exist_ok=True)
    number = len(list(root.glob("*.mid")))
    score = Score(QUARTER)
    score.tempos = [Tempo(0, qpm=qpm)]
    score.time_signatures = [TimeSignature(*meter) for meter in meters]
    score.tracks.extend(tracks)
    score.dump_midi(root / f"{number:05d}.mid")
    row = {"file": f"{number:05d}.mid", **row}
    with (root / "index.csv").open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if not number:
            writer.writeheader()
        writer.writerow(row)


def song(root: Path, tracks: list[Track], path: str, meters: list[tuple[int, int, int]] | None = None) -> None:
    write(root, {**LIEDER, "source_path": f"scores/Le_Beau/{path}/lc1.mxl"}, tracks, meters or [(0, 4, 4)])


def test_a_song_is_a_voice_and_one_pianist(tmp_path: Path) -> None:
    voice = [part("Oboe", 68, [72, 74, 76, 77]), part("Oboe", 0, [], lyrics=True)]
    hands = [part("Piano 1", 0, [60, 62, 64, 65]), part("Piano 2", 0, [48, 50, 52, 53])]
    aside = [part("Voice\n(v.2)", 68, [72] * 4), part("Piano\nfor practice only 1", 0, [60] * 4)]
    song(tmp_path, [*voice, *hands, *aside], "_/A_Title", [(0, 1, 4), (QUARTER, 3, 4)])
    dataset = recognise(tmp_path)
    assert isinstance(dataset, OpenScoreLieder)
    (item,) = dataset.items(tmp_path)
    score = dataset.load(tmp_path, item)
    assert [(instrument(track), len(track.notes)) for track in score.tracks] == [(53, 4), (0, 8)]
    assert [bar.length for bar in bars(score)] == [QUARTER, 3 * QUARTER]
    assert [meter.name for meter in encode(score).meters] == ["1/4", "3/4"]
    assert item.facts["composer"] == "Le Beau"
    assert "Title" not in str((item.id, item.path, item.group, item.facts))


def test_four_singers_are_a_choir_and_a_flute_without_words_is_a_flute(tmp_path: Path) -> None:
    song(tmp_path, [part(name, 52, [60] * 4) for name in ("Soprano", "Alto", "Tenor", "Bass")], "_/a")
    song(tmp_path, [part("Flute", 73, [74] * 4), part("Chant", 68, [60] * 4), part("Guitarre", 24, [50] * 4)], "_/b")
    dataset = OpenScoreLieder()
    choir, trio = (dataset.load(tmp_path, item) for item in dataset.items(tmp_path))
    assert [instrument(track) for track in choir.tracks] == [52] * 4
    assert [instrument(track) for track in trio.tracks] == [73, 53, 24]


def test_songs_of_a_cycle_and_copies_of_a_song_are_groups(tmp_path: Path) -> None:
    for path in ("Cycle/one", "Cycle/two", "_/three", "_/three", "_/four"):
        song(tmp_path, [part("Voice", 68, [60] * 4)], path)
    one, two, three, again, four = (item.group for item in OpenScoreLieder().items(tmp_path))
    assert one == two
    assert three == again
    assert len({one, three, four}) == 3


@pytest.mark.parametrize(("qpm", "told"), [(120.0, False), (90.0, True)])
def test_a_tempo_that_no_one_wrote_is_not_told(tmp_path: Path, qpm: float, told: bool) -> None:
    row = {**LIEDER, "source_path": "scores/x/_/y/lc1.mxl"}
    write(tmp_path, row, [part("Voice", 68, [60] * 8)], [(0, 4, 4)], qpm)
    dataset = OpenScoreLieder()
    (item,) = dataset.items(tmp_path)
    facts = facts_of(dataset.load(tmp_path, item), item.facts)
    assert ("tempo" in facts) == told
    assert told or "pace" not in facts


def test_a_quartet_is_four_strings_on_any_channel(tmp_path: Path) -> None:
    names = ("Violin 1", "Violin 2", "Viola", "Violoncello")
    tracks = [part(name, 0, [60 - step] * 4, drums=not step) for step, name in enumerate(names)]
    row = {"composer": "Haydn,_J", "instrument": "string quartet", "source_path": "scores/Haydn/Op/sq1.mxl"}
    write(tmp_path, row, tracks, [(0, 4, 4)])
    dataset = recognise(tmp_path)
    assert isinstance(dataset, OpenScoreQuartets)
    (item,) = dataset.items(tmp_path)
    assert encode(dataset.load(tmp_path, item)).instruments == (40, 40, 41, 42)


def test_bars_that_no_grid_holds_are_cut_or_stretched(tmp_path: Path) -> None:
    odd = 3 * QUARTER // 8  # a bar of 3/32
    meters = [(0, 22, 4), (22 * QUARTER, 3, 32), (22 * QUARTER + odd, 2, 2)]
    track = part("Voice", 68, list(range(50, 72)))
    start = 22 * QUARTER + odd
    track.notes.extend(Note(start + QUARTER * beat, QUARTER, 60 + beat, 80) for beat in range(4))
    song(tmp_path, [track], "_/a", meters)
    dataset = OpenScoreLieder()
    score = dataset.load(tmp_path, dataset.items(tmp_path)[0])
    cells = encode(score)
    assert [meter.name for meter in cells.meters] == ["4/4"] * 5 + ["2/4", "1/8", "2/2"]
    assert len(cells.notes) == 26
    last = score.tracks[0].notes.numpy()["time"][-4:]
    assert last.tolist() == [22 * QUARTER + QUARTER // 2 + QUARTER * beat for beat in range(4)]


@pytest.mark.parametrize("meter", [(2, 2), (3, 8), (9, 8), (12, 8), (17, 16)])
def test_meters_load_as_written(tmp_path: Path, meter: tuple[int, int]) -> None:
    song(tmp_path, [part("Voice", 68, [60] * 12)], "_/a", [(0, *meter)])
    dataset = OpenScoreLieder()
    cells = encode(dataset.load(tmp_path, dataset.items(tmp_path)[0]))
    assert cells.meters[0].name == f"{meter[0]}/{meter[1]}"


def test_mutopia_tells_terms_composer_and_style_of_each_file(tmp_path: Path) -> None:
    path = "ftp/BachJS/BWV1/x/x.ly"
    write(tmp_path, {**TYPESET, "style": "Baroque", "source_path": path}, [part("P1", 0, [60] * 4)], [(0, 4, 4)])
    terms = {"licence": "CC BY: Creative Commons Attribution 4.0", "composer": "Anonymous", "style": "Hymn"}
    write(tmp_path, {**TYPESET, **terms, "source_path": path}, [part("P1", 0, [60] * 4)], [(0, 4, 4)])
    dataset = recognise(tmp_path)
    assert isinstance(dataset, Mutopia)
    first, second = dataset.items(tmp_path)
    assert first.facts["composer"] == "Bach"
    assert first.facts["genre"] == ["classical", "baroque"]
    assert first.facts["licence"] == "public domain"
    assert "source" not in first.facts
    assert second.facts["licence"] == "CC BY 4.0"
    assert "A. Person" in str(second.facts["source"])
    assert "composer" not in second.facts
    assert second.facts["style"] == "hymn"
    assert first.group == second.group


LOW, HIGH = [40, 43, 45, 47], [74, 76, 77, 79]


@pytest.mark.parametrize(
    ("told", "tracks", "programs"),
    [
        ("Piano", [("up 1", 0, HIGH), ("up 2", 0, LOW)], [0]),
        ("Harpsichord, Piano", [("one 1", 0, HIGH), ("one 2", 0, LOW)], [6]),
        ("Organ", [("P2 1", 19, HIGH), ("P2 2", 19, LOW), ("Pedal", 19, LOW)], [19]),
        ("Voice and Piano", [("P1", 0, HIGH), ("PianoForte  1", 0, HIGH), ("PianoForte  2", 0, LOW)], [53, 0]),
        ("Voice (SATB)", [("Soprano", 73, HIGH), ("Alto", 73, HIGH), ("P3", 42, LOW)], [52, 52, 52]),
        ("Violin & Clavier", [("Violino.", 40, HIGH), ("Cembalo. 1", 0, HIGH), ("Cembalo. 2", 0, LOW)], [40, 6]),
        ("2 Guitars", [("P1", 0, HIGH), ("P2", 0, LOW)], [24, 24]),
        ("Flute, Cello", [("P1", 0, HIGH), ("P2", 0, LOW)], [73, 42]),
        ("Voice (Bass), Piano", [("Bass", 0, LOW), ("up 1", 0, HIGH), ("up 2", 0, LOW)], [53, 0]),
        ("Double Bass, Chamber Orchestra", [("P1", 0, HIGH)], [0]),
        ("Brass Ensemble", [("Sopran", 0, HIGH)], [61]),
        ("", [("P1", 17, HIGH)], [17]),
    ],
)
def test_players_come_from_the_index_and_the_names(
    told: str, tracks: list[tuple[str, int, list[int]]], programs: list[int]
) -> None:
    given = [part(name, program, pitches) for name, program, pitches in tracks]
    merged = with_players(given, told)
    assert [instrument(track) for track in merged] == programs
    assert sum(len(track.notes) for track in merged) == 4 * len(tracks)
    assert all((np.diff(track.notes.numpy()["time"]) >= 0).all() for track in merged)


def test_words_inside_of_others_are_no_players() -> None:
    assert listed("harpsichord, clavichord") == [6]
    assert listed("violoncello") == [42]
    assert listed("2 violins, viola, cello, double bass") == [40, 41, 42, 43]


def test_an_index_of_something_else_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("file,what\na.mid,b\n", "utf-8")
    assert recognise(tmp_path).name == "folder"
    (tmp_path / "index.csv").write_bytes(b"\xff\xfe\x00")
    assert recognise(tmp_path).name == "folder"


def test_a_damaged_file_is_named_when_it_is_loaded(tmp_path: Path) -> None:
    song(tmp_path, [part("Voice", 68, [60] * 4)], "_/a")
    (tmp_path / "00000.mid").write_bytes(b"no music")
    dataset = OpenScoreLieder()
    (item,) = dataset.items(tmp_path)
    with pytest.raises(ScoreError, match=r"00000\.mid"):
        dataset.load(tmp_path, item)


def test_a_guessed_grid_is_drawn_less_often() -> None:
    assert Emopia.draw_weight < OpenScoreLieder.draw_weight == 1
