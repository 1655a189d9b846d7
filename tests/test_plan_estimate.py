"""The plan of given music, as a value, as text, as a record and in the picture; and `orchestrion analyze`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from symusic import Note, Score, TimeSignature, Track
from typer.testing import CliRunner

from conftest import little_song, repeated
from orchestrion.cli import planning
from orchestrion.core.errors import UserError
from orchestrion.music.analysis import swings
from orchestrion.music.chords import Chord
from orchestrion.music.files import write_midi
from orchestrion.music.theory import DRUMS, Key, Meter
from orchestrion.planning.estimate import estimate_plan
from orchestrion.planning.files import plan_from_json, read_plan
from orchestrion.planning.plan import Levels, Part, Plan, PlanError, Section
from orchestrion.planning.text import chord_labels, plan_lines, plan_record, section_labels
from orchestrion.rendering.piano_roll import write_picture
from orchestrion.representations.cells import encode


def song(bars: int = 8) -> Score:
    """Piano chords C | Am | F | G over a bass, with drums from bar 5 on."""
    score = Score(480)
    score.time_signatures.append(TimeSignature(0, 4, 4))
    drums, bass, piano = Track("", 0, True), Track("", 33), Track("", 0)
    for bar in range(bars):
        root = (48, 45, 41, 43)[bar % 4]
        third = root + (3 if bar % 4 == 1 else 4)
        bass.notes.append(Note(1920 * bar, 1920, root - 12, 80))
        for beat in range(4):
            for pitch in (root + 12, third + 12, root + 19):
                piano.notes.append(Note(1920 * bar + 480 * beat, 480, pitch, 100))
            if bar >= 4:
                drums.notes.append(Note(1920 * bar + 480 * beat, 120, 36, 127))
    score.tracks.extend([piano, bass, drums])
    return score


def plan_of_two() -> Plan:
    return Plan(
        meters=((Meter(4, 4), 4), (Meter(3, 4), 2)), tempo=99.5, key=Key(9, "minor"),
        sections=(Section("A", 2, "verse"), Section("B", 2, "cho\x1brus"), Section("A", 2, "verse", 0.25)),
        parts=(Part(DRUMS, "drums", (None, Levels(density=7, loudness=0), None)),
               Part(0, "", (Levels(), Levels(density=3, register=2, loudness=5), Levels(loudness=1)))),
        chords=(Chord(9, "m"),) * 4 + (Chord(5), Chord(7, "7"), None, None) + (Chord(9, "m"),) * 4,
        feel="swing", mood="sad", origins={"density": "asked"},
    )  # fmt: skip


def test_the_plan_of_a_song() -> None:
    plan = estimate_plan(song())
    assert plan.meters == ((Meter(4, 4), 8),)
    assert (plan.tempo, plan.key, plan.feel) == (120.0, Key(0, "major"), "straight")
    assert [chord and chord.name for chord in plan.chords] == [c for c in ("C", "Am", "F", "G") * 2 for _ in range(2)]
    assert [part.instrument for part in plan.parts] == [DRUMS, 33, 0]
    assert [part.role for part in plan.parts] == ["drums", "bass", "chords"]
    assert set(plan.origins.values()) == {"given"}
    assert sum(section.bars for section in plan.sections) == 8
    assert all(section.name == "" for section in plan.sections)
    assert plan.parts[0].levels[0] is None
    assert plan.parts[0].levels[-1] is not None
    assert plan.parts[0].levels[-1].register is None
    assert plan_from_json(plan.to_json()) == plan


@pytest.mark.parametrize("seed", range(4))
def test_any_music_has_a_plan(seed: int) -> None:
    score = repeated(little_song(seed, 5, ((4, 4), (6, 8), (7, 8), (1, 4))[seed]), 4)
    plan = estimate_plan(score)
    assert plan.bar_meters == encode(score).meters
    assert plan_from_json(plan.to_json()) == plan
    assert plan_lines(plan)


def test_meters_are_runs_and_odd_tempi_the_nearest() -> None:
    score = song()
    score.time_signatures.append(TimeSignature(1920 * 4, 2, 4))
    for tempo, planned in ((400, 320), (7, 20)):
        score.tempos.clear()
        score.tempos.append(type(little_song(0).tempos[0])(0, tempo))
        plan = estimate_plan(score)
        assert plan.meters == ((Meter(4, 4), 4), (Meter(2, 4), 8))
        assert plan.tempo == planned


def test_swing_is_heard() -> None:
    score = song()
    for beat in range(32):
        score.tracks[0].notes.append(Note(480 * beat + 320, 100, 72, 90))
    assert estimate_plan(score).feel == "swing"
    beats = 480 * np.arange(32)
    assert swings(480, np.concatenate([beats, beats + 320]))
    assert not swings(480, np.concatenate([beats, beats + 240]))
    score = song()
    score.time_signatures.clear()
    score.time_signatures.append(TimeSignature(0, 6, 8))
    assert estimate_plan(score).feel == ""


def test_a_long_piece_without_repetition_keeps_to_the_alphabet() -> None:
    rng = np.random.default_rng(0)
    score = Score(480)
    track = Track("", 0)
    for onset in range(0, 1920 * 256, 240):
        track.notes.append(Note(onset, 240, int(rng.integers(40, 90)), 90))
    score.tracks.append(track)
    plan = estimate_plan(score)
    assert plan.bars == 256
    assert {section.letter for section in plan.sections} <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert len(plan.sections) > 26
    assert plan.sections[-1].variation == 1
    assert plan_from_json(plan.to_json()) == plan
    score.tracks[0].notes.append(Note(1920 * 256 - 10, 10, 60, 90))  # it rounds up to bar 257
    assert estimate_plan(score).bars == 256
    score.tracks[0].notes.append(Note(1920 * 256, 240, 60, 90))
    with pytest.raises(PlanError, match="the music has 257 bars, a plan at most 256; choose some of them"):
        estimate_plan(score)


def test_lines_of_a_plan() -> None:
    assert plan_lines(plan_of_two()) == [
        "6 bars  4/4 3/4  99.5 quarter notes a minute  A minor  swing  sad",
        "",
        "A  verse    1-2                  | Am | % |",
        "B  cho rus  3-4                  | F G7 | N.C. |",
        "A  verse    5-6  again, 25% new  | Am | % |",
        "",
        "part                         A  B  A",
        "drums                 drums  ·  █▁ ·",
        "acoustic grand piano         ?? ▄▆ ?▂",
        "density and loudness of each part in each section, ▁ low to █ high; · silent, ? open",
    ]


def test_lines_of_an_open_plan() -> None:
    open_plan = Plan(((Meter(3, 4), 1),), 60, Key(0, "major"), (Section("A", 1),), (Part(0, "", (Levels(),)),))
    assert plan_lines(open_plan)[:3] == ["1 bar  3/4  60 quarter notes a minute  C major", "", "A  1"]


def test_the_record_holds_what_is_asked_planned_and_measured() -> None:
    plan = plan_of_two()
    record = json.loads(json.dumps(plan_record(plan), allow_nan=False))
    assert record["sections"][2] == {
        "letter": "A", "name": "verse", "bars": [5, 6], "takes up section": 1, "variation": 0.25,
    }  # fmt: skip
    assert record["chords"] == ["Am", "Am", "F G7", "N.C.", "Am", "Am"]
    piano = record["parts"][1]["sections"]
    assert piano[1] == {"plays": True, "asked": {"density": 3}, "planned": {"register": 2, "loudness": 5}}
    assert record["parts"][0]["sections"][0] == {"plays": False}
    assert "kept" not in record

    score = song()
    estimated = estimate_plan(score)
    record = json.loads(json.dumps(plan_record(estimated, encode(score)), allow_nan=False))
    assert record["kept"]["levels within one step"] == 1
    assert record["kept"]["chords found"] == 1
    for part in record["parts"]:
        for section in part["sections"]:
            assert section["measured"] == section.get("given")


def test_the_picture_names_sections_and_chords(tmp_path: Path) -> None:
    score, plan = song(24), estimate_plan(song(24))
    assert chord_labels(plan)[:4] == [(0.0, "C"), (1.0, "Am"), (2.0, "F"), (3.0, "G")]
    assert section_labels(plan_of_two()) == [(0.0, "A  verse"), (2.0, "B  cho\x1brus"), (4.0, "A  verse")]
    write_picture(score, tmp_path / "plain.png")
    write_picture(score, tmp_path / "none.png", sections=[], chords=[])
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "none.png").read_bytes()
    labels = {"sections": section_labels(plan), "chords": chord_labels(plan)}
    write_picture(score, tmp_path / "named.png", **labels)
    write_picture(score, tmp_path / "again.png", **labels)
    named = (tmp_path / "named.png").read_bytes()
    assert named == (tmp_path / "again.png").read_bytes()
    assert named[16:24] != (tmp_path / "plain.png").read_bytes()[16:24]  # it is higher
    crowded = [(half / 2, "F#m7b5/C") for half in range(-2, 99)]
    write_picture(score, tmp_path / "crowded.png", chords=crowded, sections=[(0, "$\\frac{"), (3.5, "x" * 99)])


app = typer.Typer(pretty_exceptions_enable=False)
app.command()(planning.analyze)


def test_analyze_prints_and_writes_the_plan(tmp_path: Path) -> None:
    write_midi(song(), tmp_path / "song.mid")
    out = tmp_path / "theme.json"
    result = CliRunner().invoke(app, [str(tmp_path / "song.mid"), "--out", str(out)])
    assert result.exit_code == 0, result.output
    plan = read_plan(out)
    assert plan == estimate_plan(song())
    assert result.output.splitlines() == [*plan_lines(plan), f"wrote {out}"]
    result = CliRunner().invoke(app, [str(tmp_path / "song.mid"), "--bars", "5-6"])
    assert result.output.startswith("2 bars  4/4")


def test_analyze_tells_mistakes_in_a_line(tmp_path: Path) -> None:
    write_midi(song(), tmp_path / "song.mid")
    (tmp_path / "text.mid").write_text("no music")
    write_midi(song(260), tmp_path / "long.mid")
    for line, told in (
        (["none.mid"], "there is no such file"),
        (["text.mid"], "it is not a MIDI file"),
        (["long.mid"], "the music has 260 bars, a plan at most 256; choose some of them, such as --bars 1-256"),
        (["song.mid", "--bars", "7-12"], "8"),
        (["song.mid", "--out", str(tmp_path / "no" / "theme.json")], "cannot write"),
    ):
        result = CliRunner().invoke(app, [str(tmp_path / line[0]), *line[1:]])
        assert isinstance(result.exception, UserError), result.output
        assert told in str(result.exception)
        assert "\n" not in str(result.exception)
    assert CliRunner().invoke(app, [str(tmp_path / "song.mid"), "--bars", "x"]).exit_code == 2


@pytest.mark.parametrize("module", ["planning.files", "planning.estimate", "planning.text", "cli.planning"])
def test_plans_need_neither_torch_nor_matplotlib(module: str) -> None:
    code = f"import sys, orchestrion.{module}; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
