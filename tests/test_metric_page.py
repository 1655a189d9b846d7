"""docs/metrics.md: its tables are what the metrics say of themselves, its examples run, its disagreements are shown."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from symusic import Note, Score, Track

from conftest import little_song
from orchestrion.metrics.bars import empty_beat_rate
from orchestrion.metrics.musegan import qualified_notes
from orchestrion.metrics.pitch import average_pitch_interval, pitch_range, pitches_used
from orchestrion.metrics.structure import segment_fitness
from orchestrion.metrics.suite import FEATURES, METRICS, SET_MEASURES
from orchestrion.metrics.yang_lerch import pitch_class_shares, pitch_class_time_shares
from orchestrion.music.files import write_midi

TESTS = Path(__file__).parent
BENCH = TESTS.parent / "bench"
if not BENCH.exists():  # an installed package has no bench
    pytest.skip("no bench folder", allow_module_level=True)
sys.path.insert(0, str(BENCH))

import metric_page  # noqa: E402

PAGE = metric_page.PAGE.read_text("utf-8")
DISAGREEMENTS = PAGE[PAGE.index("## Where libraries disagree") : PAGE.index("## All metrics")]
ROWS = [
    line.strip("| ").split(" | ")
    for line in DISAGREEMENTS.splitlines()
    if line.startswith("| ") and not line.startswith(("| metric |", "| :--"))
]


def test_the_tables_are_what_the_metrics_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["metric_page.py", "--check"])
    metric_page.main()
    stale = tmp_path / "metrics.md"
    stale.write_text(PAGE.replace("empty-bar-rate/1", "empty-bar-rate/0"), "utf-8")
    monkeypatch.setattr(metric_page, "PAGE", stale)
    with pytest.raises(SystemExit, match=r"run `python bench/metric_page\.py`"):
        metric_page.main()
    monkeypatch.setattr(sys, "argv", ["metric_page.py"])
    metric_page.main()
    assert metric_page.filled(stale.read_text("utf-8")) == stale.read_text("utf-8")


def test_every_definition_stands_once_and_every_line_has_seven_cells() -> None:
    generated = PAGE[PAGE.index(metric_page.OPENING) :]
    for row in (*METRICS, *FEATURES, *SET_MEASURES):
        assert generated.count(f"`{row.definition}`") == 1, row.id
    lines = [line for line in generated.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {8}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}: {row[1]}")
def test_every_disagreement_is_shown_by_a_test(row: list[str]) -> None:
    assert len(row) == 6
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", row[5])
    assert named
    for file, test in named:
        parsed = ast.parse((TESTS / file).read_text("utf-8"))
        assert test in {node.name for node in parsed.body if isinstance(node, ast.FunctionDef)}, f"{file}::{test}"


def test_the_example_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_midi(little_song(0), "song.mid")
    for folder in ("ours", "theirs"):
        Path(folder).mkdir()
        for seed in range(6):
            write_midi(little_song(seed + 6 * (folder == "ours")), f"{folder}/{seed}.mid")
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 1
    exec(compile(blocks[0], "docs/metrics.md", "exec"), {})
    assert re.fullmatch(
        r"[\d.]+ semitones, [\d.]+ to [\d.]+ \(6 pieces\)\noverlap 0\.\d\d; of two halves of theirs 0\.\d\d\n",
        capsys.readouterr().out,
    )


# The examples of the page that no test of a metric holds. Notes: onset and length in steps of 24 a quarter, pitch.


def music(*tracks: list[tuple[int, int, int]], drums: bool = False, velocities: tuple[int, ...] = (80, 80)) -> Score:
    """The first track is the drums, if `drums` says so; velocities are those of each track's notes in turn."""
    score = Score(24)
    for index, notes in enumerate(tracks):
        track = Track("", 0, drums and index == 0)
        for place, (onset, length, pitch) in enumerate(notes):
            track.notes.append(Note(onset, length, pitch, velocities[place % 2]))
        score.tracks.append(track)
    return score


def test_a_beat_that_has_begun_counts() -> None:
    assert empty_beat_rate(music([(0, 50, 60)])) == 0
    assert empty_beat_rate(music([(0, 24, 60), (48, 2, 60)])) == pytest.approx(1 / 3)


def test_notes_of_one_step_are_not_qualified() -> None:
    assert qualified_notes(music([(0, 1, 60), (12, 1, 64)]), "piano") == 0


def test_every_track_has_pitches() -> None:
    assert pitches_used(music([(0, 24, 60)], [(0, 24, 64)])) == 2
    assert pitch_range(music([(0, 24, 36)], [(0, 24, 60), (24, 24, 64)], drums=True)) == 4


def test_loudness_is_no_duration() -> None:
    score = music([(0, 24, 60), (24, 24, 62)], velocities=(127, 1))
    for shares in (pitch_class_time_shares(score), pitch_class_shares(score)):
        assert (shares[0], shares[2]) == (0.5, 0.5)


def test_the_top_line_does_not_depend_on_the_order_of_a_chord() -> None:
    chord, last = [(0, 24, 60), (0, 24, 64)], (24, 24, 67)
    assert average_pitch_interval(music([*chord, last])) == average_pitch_interval(music([*chord[::-1], last])) == 3


def test_a_path_begins_in_its_first_column() -> None:
    # The segment's own diagonal, 1 + 1, is all there is: 0.9 in the second column cannot be reached.
    similarity = np.full((4, 4), -2.0)
    np.fill_diagonal(similarity, 1.0)
    similarity[1, 3] = similarity[3, 1] = 0.9
    assert segment_fitness(similarity, np.array([2]))[0] == 0
