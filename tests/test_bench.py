"""The scripts that write results: what they record, print and measure, on a tiny corpus."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from symusic import Note, Score, Tempo, Track

from orchestrion.data.merge import write_corpus
from orchestrion.data.store import SPLITS, Corpus, open_corpus
from orchestrion.music.bars import bars
from orchestrion.music.files import write_midi
from orchestrion.representations.cells import BAR, DURATION, POSITION, TRACK, encode
from orchestrion.representations.phrases import roll
from orchestrion.representations.timed import timed

BENCH = Path(__file__).resolve().parents[1] / "bench"
if not BENCH.exists():  # an installed package has no bench
    pytest.skip("no bench folder", allow_module_level=True)
sys.path.insert(0, str(BENCH))

import music_report  # noqa: E402
import tables  # noqa: E402
from pieces import Piece, excerpt, excerpts  # noqa: E402
from record import record  # noqa: E402
from word_effects import divergences  # noqa: E402


def tune(seed: int, *, length: int = 8, low: int = 50) -> Score:
    rng = np.random.default_rng(seed)
    score = Score(480)
    score.tempos.append(Tempo(0, 120.0))
    for program in (0, 32):
        track = Track("", program, False)
        for beat in range(4 * length):
            track.notes.append(Note(480 * beat, 480, low + int(rng.integers(0, 30)), 80))
        score.tracks.append(track)
    return score


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    def rows() -> Any:
        for seed in range(12):
            cells, in_time = encode(tune(seed)), timed(tune(seed))
            split = SPLITS[0 if seed < 8 else 1 if seed < 10 else 2]
            yield {
                "id": f"piece {seed}", "dataset": "toy", "group": f"group {seed}", "split": split, "source": "toy",
                "path": f"{seed}.mid", "licence": "CC0-1.0", "sha256": "0" * 64, "key": "C major",
                "key_confidence": 1.0, "tempo": 120.0, "instruments": list(cells.instruments), "seconds": 16.0,
                "meter_runs": [["4/4", len(cells.meters)]], "bars": len(cells.meters), "notes": len(cells.notes),
                "timed_notes": len(in_time),
                "facts": {}, "captions": ["toy"], "content": str(seed),
            }, cells.notes, in_time, roll(tune(seed))  # fmt: skip

    (tmp_path / "corpus").mkdir()
    write_corpus(tmp_path / "corpus", rows(), {})
    return open_corpus(tmp_path / "corpus")


def compose(folder: Path, *, shift: int) -> Path:
    """Eight pieces of four sentences; the first is a copy of training piece 0, in another key."""
    folder.mkdir()
    for number in range(8):
        energetic = number % 4 < 2
        score = tune(0, length=6, low=53) if number == 0 else tune(100 + number, length=6, low=50 + shift * energetic)
        write_midi(score, folder / f"{number}.mid")
        told = {
            "sentence": f"{'an energetic' if energetic else 'a calm'} piece of kind {number % 4}",
            "controls": [{"control": "key", "holds": True}, {"control": "tempo", "holds": number != 3}],
        }
        (folder / f"{number}.json").write_text(json.dumps(told), "utf-8")
    return folder


def test_the_report_finds_copies_and_what_words_change(corpus: Corpus, tmp_path: Path) -> None:
    composed, shuffled = compose(tmp_path / "composed", shift=20), compose(tmp_path / "shuffled", shift=0)
    line = ["--corpus", str(corpus.path), "--composed", str(composed), "--shuffled", str(shuffled),
            "--out", str(tmp_path / "music.json")]  # fmt: skip
    music_report.main(line)
    first = json.loads((tmp_path / "music.json").read_text("utf-8"))
    figures = first["figures"]
    assert figures["pieces"] == {"composed": 8, "shuffled": 8, "held out": 8}
    measured = figures["measures"]
    assert measured["composed"]["longest copy, notes: greatest"] == 24
    assert measured["held out"]["longest copy, notes: greatest"] < 8
    assert measured["composed"]["empty-bar rate"] == {"mean": 0.0, "low": 0.0, "high": 0.0, "pieces": 8}
    assert measured["composed"]["notes a bar"]["mean"] == measured["held out"]["notes a bar"]["mean"] == 8
    assert figures["controls"]["composed"] == {"key": 1.0, "tempo": 7 / 8, "all of them": 7 / 8}
    effect = figures["words"]["composed"]["calm / energetic: mean pitch"]
    assert effect["difference"]["low"] > 10
    assert figures["words"]["shuffled"]["calm / energetic: mean pitch"]["difference"]["low"] < 5
    apart = {kind: rows["pitch"] for kind, rows in figures["divergence"].items()}
    assert apart["composed"]["gap"] > apart["shuffled"]["gap"] + 0.05
    assert str(tmp_path) not in json.dumps(first)
    page = tables.page([first])
    assert "| empty-bar rate | 0.000 [0.000, 0.000] |" in page

    music_report.main(line)  # the index is read now; same seed, same figures
    assert json.loads((tmp_path / "music.json").read_text("utf-8"))["figures"] == figures


def test_the_gap_between_sentences_stands_out_from_chance_only_where_there_is_one() -> None:
    def gap(lows: tuple[int, int, int]) -> dict[str, float]:
        pieces = [Piece(tune(10 * kind + n, low=low), f"{kind}") for kind, low in enumerate(lows) for n in range(4)]
        return divergences(pieces, np.random.default_rng(0))["pitch"]

    apart, alike = gap((30, 50, 70)), gap((50, 50, 50))
    assert apart["gap"] > 2 * apart["gap by chance"]
    assert alike["gap"] < alike["gap by chance"]
    assert apart["gap"] == pytest.approx(apart["different sentences"] - apart["one sentence"])


def test_excerpts_are_as_long_as_asked_and_cut_what_sounds_on(corpus: Corpus) -> None:
    rng = np.random.default_rng(0)
    parts = excerpts(corpus, [2, 3, 8, 2, 2], rng)
    assert [len(bars(part.score)) for part in parts] == [2, 3, 8, 2, 2]
    assert sorted({part.group for part in parts}) == ["group 10", "group 11", "group 8", "group 9"]
    with pytest.raises(SystemExit, match="9 bars"):
        excerpts(corpus, [9], rng)

    score = tune(0, length=2)
    score.tracks[0].notes.append(Note(480 * 3, 480 * 4, 90, 80))  # from the last beat of bar 1 into bar 2
    cells = encode(score)
    first, second = excerpt(cells, 0, 1), excerpt(cells, 1, 1)
    assert (first.notes[:, POSITION] + first.notes[:, DURATION]).max() == 48
    assert len(first.notes) + len(second.notes) == len(cells.notes)
    assert set(second.notes[:, BAR]) == {0}
    assert np.array_equal(cells.notes[:, [BAR, TRACK]], encode(score).notes[:, [BAR, TRACK]])  # left as it was


def test_record_says_how_and_leaves_out_where(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    command = f"python bench/speed.py --corpus {tmp_path}/corpus --out={tmp_path}/x.json --n 3"
    figures = {"rate": np.float32(2.5), "none": math.nan, "by": {"a": [1, math.inf]}}
    path = record("speed", figures, command=command, seed=7, data="12 files", folder=folder)
    assert [entry.name for entry in folder.iterdir()] == ["speed.json"]
    result = json.loads(path.read_text("utf-8"))
    assert result["figures"] == {"rate": 2.5, "none": None, "by": {"a": [1, None]}}
    assert result["command"] == "python bench/speed.py --corpus corpus --out=x.json --n 3"
    assert str(tmp_path) not in path.read_text("utf-8")
    assert result["machine"]["cores"] >= 1
    assert result["versions"]["symusic"]
    assert (result["seed"], result["data"]) == (7, "12 files")


def test_tables_of_a_result(tmp_path: Path) -> None:
    rows = [["small", {"mean": 412.26, "low": 400.0, "high": 0.03125}], ["a|b", None], ["big", 12345]]
    spec = {"title": "Speed", "columns": ["size", "notes a second"], "rows": rows, "note": "One thread."}
    path = record("b", {"x": 1}, command="python b.py", seed=None, data={"files": 3}, tables=[spec], folder=tmp_path)
    plain = record("a", {"rate": 1.5, "deep": {"n": 2}}, command="python a.py", seed=1, data="d", folder=tmp_path)
    page = tables.page([json.loads(p.read_text("utf-8")) for p in (path, plain)])
    assert page.index("## a\n") < page.index("## Speed\n")
    assert "| small | 412.3 [400, 0.031] |" in page
    assert "| a\\|b | – |" in page
    assert "| big | 12,345 |" in page
    assert "| deep: n | 2 |" in page
    assert "One thread." in page
    assert "no seed" in page


def test_a_record_keeps_no_folder_of_the_machine(tmp_path: Path) -> None:
    command = "python bench/systems.py --run naive/small=/a/runs/naive-0@/b/band --work=/c/work /d/file.json --n 3"
    path = record("told", {"x": 1}, command=command, seed=0, data="none", folder=tmp_path)
    told = json.loads(path.read_text())["command"]
    assert told == "python bench/systems.py --run naive/small=naive-0@band --work=work file.json --n 3"
