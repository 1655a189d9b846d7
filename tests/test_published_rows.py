"""The script that recomputes published rows: its readings against the library's and by hand, and the page's figures."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from symusic import Note, Score, Tempo, Track

ROOT = Path(__file__).resolve().parents[1]
if not (ROOT / "bench").exists():  # an installed package has no bench
    pytest.skip("no bench folder", allow_module_level=True)
sys.path.insert(0, str(ROOT / "bench"))

import published_rows  # noqa: E402
import tables  # noqa: E402
from piano_excerpts import Performance, halves, melody, melody_score, shuffle, step_transitions, transitions  # noqa: E402
from song_readings import CODE, CONVERTED, DEFINITION, MEASURES, as_converted, notes_at_once, rounded_down  # noqa: E402

from orchestrion.metrics import musegan, musegan_variants  # noqa: E402
from orchestrion.metrics.families import FAMILIES, PAIRS, PITCHED, fine_grid  # noqa: E402
from orchestrion.metrics.pitch import polyphonic_rate  # noqa: E402
from orchestrion.music.files import write_midi  # noqa: E402

QUARTER = 480


def band(seed: int, *, bars: int = 30, programs: tuple[int, ...] = (0, 25, 33, 48)) -> Score:
    """Four bars in five hold notes of random pitch and length in each track, drums in all."""
    rng = np.random.default_rng(seed)
    score = Score(QUARTER)
    for program in programs:
        track = Track("", program, False)
        for bar in range(bars):
            for beat in range(4 * (rng.random() < 0.8)):
                start = QUARTER * (4 * bar + beat) + int(rng.integers(0, 240))
                track.notes.append(Note(start, int(rng.integers(20, 700)), int(rng.integers(30, 90)), 80))
        score.tracks.append(track)
    drums = Track("", 0, True)
    drums.notes.extend(Note(QUARTER * beat // 2, 60, 36, 80) for beat in range(8 * bars))
    score.tracks.append(drums)
    return score


def value(measure: str, reading: str, score: Score) -> np.ndarray:
    total, count = MEASURES[measure].readings[reading](fine_grid(score)).T
    return total / count


def test_readings_are_the_metrics_of_the_library() -> None:
    score = band(0)
    expected = {
        ("EB", DEFINITION): [musegan.empty_bars(score, family) for family in FAMILIES],
        ("UPC", DEFINITION): [musegan.used_pitch_classes(score, family) for family in PITCHED],
        ("UPC", CODE): [musegan.used_pitch_classes(score, family, chroma="musegan-v1") for family in PITCHED],
        ("QN", DEFINITION): [musegan.qualified_notes(score, family) for family in PITCHED],
        ("QN", CODE): [musegan_variants.qualified_notes_v1(score, family) for family in PITCHED],
        ("DP", DEFINITION): [musegan.drum_pattern(score, 6)],
        ("DP", CODE): [musegan_variants.drum_pattern_v1(score)],
        ("TD", DEFINITION): [musegan.tonal_distance(score, *pair) for pair in PAIRS],
        ("TD", CODE): [musegan_variants.tonal_distance_v1(score, *pair) for pair in PAIRS],
    }
    for (measure, reading), figures in expected.items():
        assert value(measure, reading, score) == pytest.approx(figures), (measure, reading)


def test_a_part_that_never_plays_has_no_empty_bars_but_an_empty_roll() -> None:
    fine = fine_grid(band(1, bars=5, programs=(33,)))
    readings = MEASURES["EB"].readings
    piano = FAMILIES.index("piano")
    assert readings[DEFINITION](fine)[piano].tolist() == [0, 0]
    assert readings["rolls"](fine)[piano].tolist() == [5, 5]


def test_the_converter_squeezes_beats_and_rounds_down() -> None:
    # A sixteenth on the second half of the beat: 240..360 ticks of 480 are steps 12..18 of 24. The converter multiplies
    # by 12: 6..9, less the last step 6..8, so 2 steps. A drum stroke a tick before the beat falls in step 23.
    score = Score(QUARTER)
    piano, drums = Track("", 0, False), Track("", 0, True)
    piano.notes.append(Note(240, 120, 60, 80))
    drums.notes.append(Note(479, 60, 36, 80))
    score.tracks.extend([piano, drums])
    fine = fine_grid(score)
    assert (fine.onset.tolist(), fine.end.tolist()) == ([12, 24], [18, 27])
    assert (rounded_down(fine).onset.tolist(), rounded_down(fine).end.tolist()) == ([12, 23], [18, 26])
    assert (as_converted(fine).onset.tolist(), as_converted(fine).end.tolist()) == ([6, 23], [8, 24])
    # Two steps qualify for the code and, being fewer than three, not for the text.
    piano_column = PITCHED.index("piano")
    assert MEASURES["QN"].readings[CONVERTED](fine)[piano_column].tolist() == [1, 1]
    assert MEASURES["QN"].readings["converted, three"](fine)[piano_column].tolist() == [0, 1]


def test_notes_at_once_by_hand() -> None:
    # Two pianos hold C and E for 24 of 48 steps, the bass a note for 48: 24 * 2 + 48 = 96 cells of 2 families.
    score = Score(QUARTER)
    for program, pitch, quarters in ((0, 60, 1), (1, 64, 1), (33, 40, 2)):
        track = Track("", program, False)
        track.notes.append(Note(0, quarters * QUARTER, pitch, 80))
        score.tracks.append(track)
    a_track, struck, of_17, sounding, together = notes_at_once(fine_grid(score))
    assert (a_track.tolist(), struck.tolist(), of_17.tolist()) == ([96, 96], [96, 96], [96, 17 * 48])
    assert (sounding.tolist(), together.tolist()) == ([96, 24 + 48], [96, 48])
    total, steps = notes_at_once(fine_grid(band(2)))[0]
    assert total / steps == pytest.approx(polyphonic_rate(fine_grid(band(2))))


def test_means_over_songs_and_over_all() -> None:
    # One song has 1 of 2 bars empty, one 3 of 4, one has no such part: (1/2 + 3/4) / 2 and 4/6.
    tally = np.array([[[1.0, 2.0]], [[3.0, 4.0]], [[0.0, 0.0]]])
    assert published_rows.mean(tally, "songs") == pytest.approx([0.625])
    assert published_rows.mean(tally, "all") == pytest.approx([4 / 6])
    assert np.isnan(published_rows.mean(tally[2:], "songs")).all()
    assert np.isnan(published_rows.mean(tally[2:], "all")).all()


def test_a_melody_is_the_highest_note_at_each_eighth_of_a_second() -> None:
    # C5 for half a second over G4 for a whole one, then silence: 72 72 72 72 67 67 67 67 - -.
    seconds, pitch = np.array([[0.0, 0.0], [0.5, 1.0]]), np.array([72, 67])
    line = melody(seconds, pitch, 10)
    assert line.tolist() == [72] * 4 + [67] * 4 + [-1] * 2
    steps = step_transitions(line)
    assert (steps[0, 0], steps[0, 7], steps[7, 7], steps.sum()) == (3, 1, 3, 7)
    notes = melody_score(line).tracks[0].notes.numpy()
    assert (notes["pitch"].tolist(), notes["duration"].tolist()) == ([72, 67], [480, 480])
    by_step, by_note, mgeval = transitions(line)
    assert by_note[0, 7] == mgeval[0, 7] == 1
    assert by_note.sum() == mgeval.sum() == 1
    assert by_step.sum() == 7
    assert sorted(shuffle(line, np.random.default_rng(0))) == sorted(line)


def test_halves_share_no_work() -> None:
    none = np.zeros((2, 0))
    found = [Performance(f"work {n % 5}", "", none, none[0]) for n in range(20)]
    one, other = halves(found, 6, np.random.default_rng(0))
    assert len(one) == len(other) == 6
    assert not {p.work for p in one} & {p.work for p in other}


def test_the_script_runs_from_files_to_a_page(tmp_path: Path) -> None:
    rows = ["id,genre_folder,lpd_cleansed_msd_ids,lastfm_tags,tagtraum_genre"]
    for number in range(4):
        write_midi(band(number), tmp_path / f"{number}.mid")
        rows.append(f"{number}.mid,rock,{'TR' if number < 3 else ''},{'rock|fun' if number < 2 else ''},")
    (tmp_path / "3.mid").write_bytes(b"no music")
    (tmp_path / "band.csv").write_text("\n".join(rows), "utf-8")
    pieces = ["canonical_composer,canonical_title,midi_filename"]
    for number in range(8):
        score, rng = Score(QUARTER), np.random.default_rng(number)
        score.tempos.append(Tempo(0, 120.0))
        track = Track("", 0, False)
        track.notes.extend(Note(QUARTER * beat, 600, int(rng.integers(40, 80)), 80) for beat in range(130))
        score.tracks.append(track)
        write_midi(score, tmp_path / f"piano {number}.mid")
        pieces.append(f"{'Bach' if number % 2 else 'Chopin'},work {number},piano {number}.mid")
    (tmp_path / "maestro-v3.0.0.csv").write_text("\n".join(pieces), "utf-8")
    published_rows.main(["--band", str(tmp_path), "--band-csv", str(tmp_path / "band.csv"), "--maestro", str(tmp_path),
                         "--songs", "3", "--poly", "3", "--mono", "3", "--out", str(tmp_path)])  # fmt: skip
    result = json.loads((tmp_path / "published_rows.json").read_text("utf-8"))
    assert result["figures"]["pieces"]["LPD rock"] == 2
    assert result["figures"]["pieces"]["left out"] <= 1
    assert {spec["title"] for spec in result["tables"]} == {
        spec["title"] for spec in json.loads((tables.RESULTS / "published_rows.json").read_text("utf-8"))["tables"]
    }
    title = result["tables"][0]["title"]
    page = tables.filled(f"words\n<!-- table: {title} -->\nold\n<!-- /table -->\nwords\n", [result])
    assert "old" not in page
    assert page.startswith(f"words\n<!-- table: {title} -->\n**{title}**\n")
    assert tables.filled(page, [result]) == page


def test_the_words_quote_what_the_tables_hold() -> None:
    page = tables.PAGES["published_rows"].read_text("utf-8")
    result = json.loads((tables.RESULTS / "published_rows.json").read_text("utf-8"))
    assert set(re.findall(r"<!-- table: (.+?) -->", page)) == {"origin", *(spec["title"] for spec in result["tables"])}
    assert tables.filled(page, [result]) == page
    words = re.sub(r"<!-- table: .+? -->\n.*?<!-- /table -->", "", page, flags=re.DOTALL)
    held = set(re.findall(r"\d+\.\d+", tables.page([result])))
    rounded = {f"{float(figure):.{digits}f}" for figure in held for digits in (1, 2, 3)}
    elsewhere = {"1.0", "0.3", "5.1", "4.13"}  # a version, a weight in the code, a table, MuseGAN's own model
    assert set(re.findall(r"\d+\.\d+", words)) - held - rounded - elsewhere == set()
