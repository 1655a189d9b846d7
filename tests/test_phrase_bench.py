"""The scripts that measure adversarial systems: trained runs beside held-out phrases, by figures worked out by hand."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from symusic import Score

from conftest import little_song
from orchestrion.core.errors import UserError
from orchestrion.data.build import build
from orchestrion.data.store import Corpus
from orchestrion.models.registry import recipe
from orchestrion.music.files import write_midi
from orchestrion.representations.phrases import PhraseGrid
from orchestrion.training.trainer import train

BENCH = Path(__file__).resolve().parents[1] / "bench"
if not BENCH.exists():  # an installed package has no bench
    pytest.skip("no bench folder", allow_module_level=True)
sys.path.insert(0, str(BENCH))

import gate  # noqa: E402
import phrase_systems  # noqa: E402
import systems as systems_bench  # noqa: E402
import tables  # noqa: E402
from phrase_sides import open_runs, real_rolls  # noqa: E402

SYSTEMS = ("muse_gan", "wgan_gp_attention")


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Six songs to learn from, two for validation, twelve held out."""
    root = tmp_path_factory.mktemp("songs")
    rows = ["path,split"]
    for seed in range(20):
        write_midi(little_song(seed, bars=8), root / f"{seed}.mid")
        rows.append(f"{seed}.mid,{'train' if seed < 6 else 'valid' if seed < 8 else 'test'}")
    (root / "metadata.csv").write_text("\n".join(rows) + "\n")
    return build([root], tmp_path_factory.mktemp("built") / "songs")


@pytest.fixture(scope="module")
def runs(songs: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name in SYSTEMS:
        tiny = recipe(name, "tiny")
        for seed in (0, 1) if name == "muse_gan" else (0,):
            brief = replace(tiny, training=replace(tiny.training, steps=40, validate_every=40, save_every=40))
            train(name, brief, songs, folder / f"{name}-tiny-{seed}", seed=seed)
    (folder / "notes").mkdir()  # no run
    return folder


def test_runs_are_found_with_what_they_learned_from(runs: Path, songs: Corpus, tmp_path: Path) -> None:
    found = open_runs(runs, [songs.path])
    assert [(run.name, run.seed) for run in found] == [
        ("muse_gan/tiny", 0), ("muse_gan/tiny", 1), ("wgan_gp_attention/tiny", 0)
    ]  # fmt: skip
    rolls, pieces = real_rolls(found[0], 99, np.random.default_rng(0))
    assert rolls.shape == (24, 5, 64, 60)
    table = {roll.tobytes() for song in range(8, 20)
             for roll in found[0].system.grid.encode(little_song(song, bars=8))}  # fmt: skip
    assert {roll.tobytes() for roll in rolls} <= table, "of songs held out"
    assert sorted(pieces) == sorted(2 * [piece.id for piece in songs.pieces("test")])
    (tmp_path / "music").mkdir()
    write_midi(little_song(0, bars=8), tmp_path / "music" / "one.mid")
    other = build([tmp_path / "music"], tmp_path / "other")
    with pytest.raises(UserError, match="trained on none of the corpora"):
        open_runs(runs, [other.path])


def test_a_heap_is_measured_as_by_hand() -> None:
    grid = PhraseGrid("five", 2, 16, 24, 60)
    roll = np.zeros((1, *grid.shape), bool)
    roll[0, 1, 0:8, [36, 40]] = True  # two piano notes, half a bar each
    roll[0, 1, 8:9, 36] = True  # a sixteenth, which touches
    roll[0, 0, [0, 4], 12] = True
    heap = phrase_systems.measured(roll, grid, seed=3)
    rng = np.random.default_rng(0)
    piano = phrase_systems.FAMILIES.index("piano")
    assert phrase_systems.figure(heap, "EB", piano, rng)["mean"] == 50
    assert phrase_systems.figure(heap, "EB", phrase_systems.FAMILIES.index("bass"), rng)["mean"] == 100
    assert phrase_systems.figure(heap, "UPC", phrase_systems.PITCHED.index("piano"), rng)["mean"] == 2
    assert phrase_systems.figure(heap, "DP", 0, rng)["mean"] == 100
    assert heap.chromas.tolist() == [[(1 << 0) | (1 << 4), 0]]
    both = phrase_systems.joined([heap, heap])
    assert len(both) == 2
    assert len(set(both.prints)) == 1
    assert both.tallies["EB"]["rolls"].shape == (2, 5, 2)


def test_the_tables_hold_systems_and_their_data(runs: Path, songs: Corpus, tmp_path: Path) -> None:
    line = ["--runs", str(runs), "--corpus", str(songs.path), "--phrases", "12", "--out", str(tmp_path)]
    phrase_systems.main(line)
    result = json.loads((tmp_path / "phrase_systems.json").read_text())
    titles = {table["title"]: table for table in result["tables"]}
    assert {"MuseGAN's table", "Modes lost", "Thresholds"} <= titles.keys()
    band = {row[0]: row for row in titles["MuseGAN's table"]["rows"]}
    (held_out,) = (row for name, row in band.items() if name.startswith("held out"))
    columns = titles["MuseGAN's table"]["columns"]
    assert held_out[columns.index("EB, piano")] == 0
    assert held_out[columns.index("EB, guitar")] == 100, "nobody plays one"
    assert "muse_gan/tiny, 2 seeds" in band
    assert len(result["figures"]["by track, with intervals"]["muse_gan/tiny, 2 seeds"]) == 5 + 4 + 4 + 1 + 6
    for table in result["tables"]:
        assert tables.table(table)
        assert {len(row) for row in table["rows"]} == {len(table["columns"])}


def test_every_system_stands_beside_held_out_music(
    runs: Path, songs: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systems_bench, "SAMPLES", tmp_path / "samples")
    line = ["--run", f"muse_gan/tiny={runs / 'muse_gan-tiny-0'}@{songs.path}", "--pieces", "12", "--work",
            str(tmp_path / "work"), "--out", str(tmp_path)]  # fmt: skip
    systems_bench.main(line)
    result = json.loads((tmp_path / "systems.json").read_text())
    ((name, what, parameters, *_),) = result["tables"][0]["rows"]
    assert (name, what) == ("`muse_gan/tiny`", "bars of several tracks from shared and private noise, or around a track"
                            " given (Dong et al. 2018).")  # fmt: skip
    assert parameters > 0
    told: dict[str, Any] = {
        test["by"]: test["accuracy"]["mean"] for test in result["figures"][name[1:-1]]["two_sample"]
    }
    assert 0.5 < told["features"] <= 1
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == ["muse_gan-tiny.mid", "muse_gan-tiny.png"]
    made = {path: path.read_bytes() for path in (tmp_path / "work").rglob("*.mid")}
    assert len(made) == 24
    systems_bench.main(line)
    assert {path: path.read_bytes() for path in (tmp_path / "work").rglob("*.mid")} == made
    with pytest.raises(UserError, match="is a muse_gan and not dcgan"):
        systems_bench.main(["--run", f"dcgan/tiny={runs / 'muse_gan-tiny-0'}@{songs.path}", "--work", str(tmp_path)])


def test_excerpts_are_as_long_as_asked() -> None:
    song, rng = little_song(0, bars=8), np.random.default_rng(0)
    for length, bars in ((3, 3), (6.0, 3), (20, 8)):
        part: Score = systems_bench.excerpt(song, length, rng)
        assert part.end() == bars * 1920


def test_what_is_refused_is_heard_beside_what_passes_with_as_many_notes() -> None:
    rolls = np.zeros((4, 2, 8, 12), bool)
    rolls[1, 0, 2:5, 3] = True  # a note held
    rolls[2, 0, ::2, 3] = True  # four of them
    rolls[3, :, :, 4] = True  # one in each track
    assert gate.notes(rolls).tolist() == [0, 1, 4, 2]
    found = gate.as_full(np.array([4, 4, 0]), np.array([1, 9, 5, 4, 0]))
    assert found.tolist() == [3, 2, 4], "the nearest, none of them twice"
