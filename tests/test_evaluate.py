"""`orchestrion evaluate` as people type it: every kind of side, every bad input, and what the report then says."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from symusic import Note, Score, Track

from conftest import little_song
from orchestrion.cli import main, show
from orchestrion.data.store import Corpus
from orchestrion.evaluation.composed import composed_side, read_sentences
from orchestrion.evaluation.evaluate import Wishes, evaluate, evaluate_places
from orchestrion.evaluation.measuring import measure_item, measure_side
from orchestrion.evaluation.music_sets import EvaluationError, Item, Side, open_side
from orchestrion.evaluation.report import as_json
from orchestrion.generation.compose import compose
from orchestrion.metrics.suite import FEATURES, METRICS, SET_MEASURES
from orchestrion.models import checkpoint
from orchestrion.models.loading import load
from orchestrion.models.registry import recipe, system_class
from orchestrion.music.bars import bars
from orchestrion.music.files import write_midi


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve songs of four bars."""
    folder = tmp_path_factory.mktemp("music") / "songs"
    folder.mkdir()
    for seed in range(12):
        write_midi(little_song(seed), folder / f"{seed:02}.mid")
    return folder


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten songs of eight bars, in other keys, a level of folders down."""
    folder = tmp_path_factory.mktemp("music") / "others"
    (folder / "deep").mkdir(parents=True)
    for seed in range(100, 110):
        write_midi(little_song(seed, bars=8), folder / "deep" / f"{seed}.mid")
    return folder


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    checkpoint.save(folder, "composer", system_class("composer")(recipe("composer", "tiny").config), step=0)
    return folder


def run(line: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(line))
    said = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, said.out, said.err


def told(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text())


# ---- the command


def test_two_folders_are_compared(
    songs: Path, others: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(f"evaluate {songs} --reference {others} --out {tmp_path / 'report'} --workers 1", capsys)
    assert code == 0, err
    assert "12 pieces of songs" in out
    report = told(tmp_path / "report")
    assert (report["generated"]["pieces"], report["reference"]["pieces"]) == (12, 10)
    assert report["reference"]["median_bars"] == 4, "twice as long: cut to the lengths of the other side"
    assert {figure["definition"] for figure in report["figures"]} == {metric.definition for metric in METRICS}
    density = next(figure for figure in report["figures"] if figure["definition"].startswith("notes-a-bar/"))
    # Four beats of two drum strokes, one bass note and four piano notes, of which equal pitches are one.
    assert 20 < density["generated"]["mean"] <= 28
    assert density["generated"]["low"] <= density["generated"]["mean"] <= density["generated"]["high"]
    assert density["generated"]["pieces"] == 12
    assert len(report["comparisons"]) > len(FEATURES)
    assert [test["by"] for test in report["two_sample"]] == ["features", "rolls"]
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "00.mid" in page, "typical pieces are shown"
    assert report["versions"]["orchestrion"]


def test_the_same_line_says_the_same(songs: Path, others: Path) -> None:
    wishes = Wishes(quick=True)
    sides = open_side(songs), open_side(others)
    reversed_ = Side(sides[0].label, "folder", sides[0].items[::-1])
    one, two = (as_json(evaluate(own, sides[1], wishes, show.progress)) for own in (sides[0], sides[0]))
    assert json.dumps(one) == json.dumps(two)
    # The order of files changes which resamples are drawn, and no figure.
    other_way = as_json(evaluate(reversed_, sides[1], wishes, show.progress))
    for here, there in zip(one["figures"], other_way["figures"], strict=True):
        assert here["generated"]["mean"] == pytest.approx(there["generated"]["mean"], nan_ok=True)
    for here, there in zip(one["comparisons"], other_way["comparisons"], strict=True):
        assert here["kl"]["mean"] == pytest.approx(there["kl"]["mean"])


def test_a_set_beside_itself_differs_in_nothing(songs: Path) -> None:
    report = evaluate(open_side(songs), open_side(songs), Wishes(quick=True), show.progress)
    for figure in report.figures:
        if figure.generated.pieces:
            assert figure.difference is not None
            assert figure.difference.mean == pytest.approx(0, abs=1e-12)
    for comparison in report.comparisons:
        if not comparison.missing:
            assert comparison.kl.mean == 0, comparison.definition
            assert comparison.oa.mean == pytest.approx(1)


def test_one_set_alone_is_measured(songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(f"evaluate {songs} --out {tmp_path / 'alone'}", capsys)
    assert code == 0, err
    assert "no --reference" in out
    report = told(tmp_path / "alone")
    assert report["reference"] is None
    assert report["figures"][0]["difference"] is None


def test_every_metric_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("evaluate --list", capsys)
    assert code == 0
    for row in (*METRICS, *FEATURES, *SET_MEASURES):
        assert row.id in out
        assert row.sentence.endswith(".")
        assert row.source
        assert row.formula
    ids = [row.id for row in (*METRICS, *FEATURES, *SET_MEASURES)]
    assert len(ids) == len(set(ids))


def test_a_corpus_is_a_side_by_its_held_out_pieces(
    songs: Path, corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = f"evaluate {songs} --reference {corpus.path} --training {corpus.path} --out {tmp_path / 'r'} --quick"
    code, _, err = run(line, capsys)
    assert code == 0, err
    report = told(tmp_path / "r")
    assert report["reference"]["label"].endswith("split valid")
    assert report["reference"]["pieces"] == len(corpus.pieces("valid"))
    copies = report["copying"]
    # The songs with seeds 0 to 8 lie in the training split too: all of them is a copy.
    assert copies["novelty_generated"]["mean"] < 0.5
    assert copies["worst"][0]["of"]
    assert copies["training"].endswith("split train")
    code, _, err = run(f"evaluate {songs} --reference {corpus.path} --split nonsense --out {tmp_path / 's'}", capsys)
    assert code == 1
    assert "there is no split 'nonsense'" in err


def test_piano_rolls_are_a_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pypianoroll

    folder = tmp_path / "rolls"
    folder.mkdir()
    for number in range(5):
        roll = np.zeros((96, 128), np.uint8)
        roll[:48, 60 + number] = 100
        track = pypianoroll.StandardTrack("piano", 0, False, roll)
        pypianoroll.Multitrack("piece", 24, tracks=[track]).save(folder / f"{number}.npz")
    code, _, err = run(f"evaluate {folder} --out {tmp_path / 'r'}", capsys)
    assert code == 0, err
    figures = {figure["definition"]: figure for figure in told(tmp_path / "r")["figures"]}
    assert figures["mean-pitch/1"]["generated"]["mean"] == pytest.approx(62)


def test_a_model_composes_what_is_measured(tiny_model: Path, corpus: Corpus, tmp_path: Path) -> None:
    lines = tmp_path / "sentences.txt"
    lines.write_text("a waltz, 2 bars\n\na loud march, 2 bars\na waltz, 2 bars\n")
    wishes = Wishes(sentences=lines, count=5, seed=1, likelihood_pieces=2, workers=1)
    report = evaluate_places(tiny_model, corpus.path, tmp_path / "out", wishes, show.progress)
    assert report.generated.kind == "model"
    assert report.generated.pieces == 5
    assert {kept.control for kept in report.controls} >= {"bars", "meter"}
    assert all(kept.kept.mean == 1 for kept in report.controls)
    assert report.sentences is not None
    assert report.sentences.sentences == ["a waltz, 2 bars", "a loud march, 2 bars"]
    assert report.sentences.pieces == [3, 2]
    assert [row.pieces for row in report.likelihood] == [2]
    files = sorted(path.name for path in (tmp_path / "out" / "pieces").glob("*.mid"))
    assert len(files) == 5
    # A model may be the other side as well.
    beside = evaluate_places(corpus.path, tiny_model, tmp_path / "out2", Wishes(count=4, quick=True), show.progress)
    assert beside.reference is not None
    assert (beside.reference.kind, beside.reference.pieces) == ("model", 4)
    assert len(list((tmp_path / "out2" / "reference").glob("*.mid"))) == 4
    # Again: what lies there is not composed again; another seed may not mix with it.
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "pieces").glob("*.mid")}
    model = load(tiny_model)
    composed_side(model, tmp_path / "out" / "pieces", read_sentences(lines), pieces=5, seed=1)
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    with pytest.raises(EvaluationError, match="another model, number, seed"):
        composed_side(model, tmp_path / "out" / "pieces", read_sentences(lines), pieces=5, seed=2)


# ---- bad input


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("evaluate nowhere --out r", "there is no nowhere"),
        ("evaluate empty --out r", "empty is empty; files that end in"),
        ("evaluate words --out r", "holds 1 files, but none of music"),
        ("evaluate broken --out r", "none of the 2 pieces of broken can be read"),
        ("evaluate good --split test --out r", "name one with --reference"),
        ("evaluate good --reference broken --split test --out r", "has no splits; leave --split out"),
        ("evaluate good --reference nowhere --out r", "there is no nowhere"),
        ("evaluate good --sentences words/a.txt --out r", "composes nothing from --sentences"),
        ("evaluate good --out words/a.txt", "is a file, not a folder"),
        ("evaluate good --lengths long --out r", "'long' is none of auto, match, whole"),
    ],
)
def test_mistakes_are_one_clear_line(
    line: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "words", "broken", "good"):
        (tmp_path / name).mkdir()
    (tmp_path / "words" / "a.txt").write_text("not music")
    (tmp_path / "broken" / "a.mid").write_bytes(b"MThd and nothing more")
    (tmp_path / "broken" / "b.mid").write_bytes(b"")
    write_midi(little_song(0), tmp_path / "good" / "a.mid")
    code, _, err = run(line, capsys)
    assert code in (1, 2)
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "r").exists()


def test_one_broken_file_is_named_and_the_rest_measured(songs: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.mid").write_bytes((songs / "00.mid").read_bytes()[:60])
    write_midi(little_song(1), tmp_path / "whole.mid")
    (tmp_path / "notes.txt").write_text("x")
    table = measure_side(open_side(tmp_path))
    assert [row.item.name for row in table.rows] == ["whole.mid"]
    assert [skip.name for skip in table.skipped] == ["broken.mid"]
    assert "cannot read" in table.info.skipped[0][1]
    assert "1 files ending in .txt are no music and were left" in table.info.remarks


def odd_score(kind: str) -> Score:
    score = Score(480)
    drums, piano = Track("drums", 0, True), Track("piano", 0)
    if kind == "drums only":
        for tick in range(0, 3840, 480):
            drums.notes.append(Note(tick, 60, 36, 100))
    elif kind == "one note":
        piano.notes.append(Note(0, 480, 60, 100))
    elif kind == "no length":
        for tick in range(0, 3840, 480):
            piano.notes.append(Note(tick, 0, 60 + tick // 480, 100))
    score.tracks.extend([drums, piano])
    return score


@pytest.mark.parametrize("kind", ["drums only", "one note", "no length"])
def test_odd_music_has_figures_or_reasons(kind: str, tmp_path: Path, songs: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    for number in range(3):
        write_midi(odd_score(kind), folder / f"{number}.mid")
    report = evaluate(open_side(folder), open_side(songs), Wishes(quick=True, workers=1), show.progress)
    assert report.generated.pieces == 3
    for figure in report.figures:
        assert np.isfinite(figure.generated.mean) or figure.missing, figure.definition
    assert all(comparison.missing for comparison in report.comparisons), "three pieces are too few for distances"
    if kind == "drums only":
        missing = {figure.definition: figure.missing for figure in report.figures}
        assert "no pitched notes" in missing["mean-pitch/1"]
    if kind == "no length":
        assert any("24 notes of no length" in remark for remark in report.generated.remarks)


# ---- sides


def test_excerpts_are_as_long_as_asked_and_the_same_each_time(others: Path) -> None:
    side = open_side(others).excerpts(np.array([3, 5]), seed=2)
    lengths = [len(bars(item.score())) for item in side.items]
    assert sorted(set(lengths)) == [3, 5]
    assert lengths == [len(bars(item.score())) for item in side.items]
    assert side.items[0].score().dumps_midi() == side.items[0].score().dumps_midi()
    longer = open_side(others).excerpts(np.array([99]), seed=2)
    assert [len(bars(item.score())) for item in longer.items] == [8] * 10


def test_what_was_asked_is_checked_on_the_notes_alone(tiny_model: Path, tmp_path: Path) -> None:
    (piece,) = compose("a waltz for piano and cello in D minor, 2 bars", seed=1, model=load(tiny_model))
    piece.write(tmp_path / "waltz", ("mid", "json"))
    (item,) = open_side(tmp_path).items
    assert item.sentence == "a waltz for piano and cello in D minor, 2 bars"
    row = measure_item(item)
    assert [check.control for check in row.checks] == ["bars", "tempo", "meter", "instruments", "key"]
    assert all(check.holds for check in row.checks)
    record = json.loads((tmp_path / "waltz.json").read_text())
    for control in record["controls"]:
        if control["control"] == "bars":
            control["asked"] = "7"
    (tmp_path / "waltz.json").write_text(json.dumps(record))
    row = measure_item(open_side(tmp_path).items[0])
    assert [check.control for check in row.checks if not check.holds] == ["bars"]
    (tmp_path / "waltz.json").write_text('{"controls": [{"control": "key", "asked": "H sharp"}]}')
    assert any("cannot be read" in remark for remark in open_side(tmp_path).remarks)


def test_workers_measure_as_one_process_does(songs: Path) -> None:
    items = tuple(
        Item(f"{copy}/{item.name}", item.group, item.music) for copy in range(6) for item in open_side(songs).items
    )
    side = Side("copies", "folder", items)
    assert len(items) > 64
    one, two = measure_side(side), measure_side(side, workers=2)
    assert [row.item.name for row in one.rows] == [row.item.name for row in two.rows]
    for here, there in zip(one.rows, two.rows, strict=True):
        assert here.measured.values == pytest.approx(there.measured.values, nan_ok=True, abs=0)
        assert np.array_equal(here.image, there.image)
