"""Folders of music -> a corpus on disk, and back."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from symusic import ControlChange, Note, Score, Tempo, TimeSignature, Track

from orchestrion.cli import main
from orchestrion.data import build as building
from orchestrion.data.build import Filters, build, build_once, chosen, hashed_split
from orchestrion.data.captions.embed import embed
from orchestrion.data.dataset import Item
from orchestrion.data.datasets.folder import Folder
from orchestrion.data.phrases import phrase_table
from orchestrion.data.store import Corpus, CorpusError, open_corpus
from orchestrion.music.files import write_midi
from orchestrion.representations import cells
from orchestrion.representations.phrases import PhraseGrid
from orchestrion.representations.timed import TIMED, score_of, timed


def tune(seed: int, *, bars: int = 4, tracks: int = 2) -> Score:
    rng = np.random.default_rng(seed)
    score = Score(480)
    score.tempos.append(Tempo(0, 120.0))
    for program in range(tracks):
        track = Track("", program % 128, False)
        for beat in range(4 * bars):
            track.notes.append(Note(480 * beat, 480, int(rng.integers(50, 80)), 80))
        score.tracks.append(track)
    return score


@pytest.fixture
def music(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    for index in range(9):
        (folder / f"album{index % 3}").mkdir(parents=True, exist_ok=True)
        write_midi(tune(index), folder / f"album{index % 3}" / f"{index}.mid")
    return folder


def contents(corpus: Corpus) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(corpus.path.iterdir())}


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "CHUNK_ITEMS", 2)


@pytest.mark.usefixtures("small_chunks")
def test_the_bytes_do_not_depend_on_the_number_of_workers(music: Path, tmp_path: Path) -> None:
    one = build([music], tmp_path / "one", workers=1)
    two = build([music], tmp_path / "two", workers=2)
    assert contents(one) == contents(two)
    assert one.info()["pieces"] == 9


def test_a_piece_comes_back_as_it_was(music: Path, tmp_path: Path) -> None:
    corpus = build([music], tmp_path / "corpus")
    by_path = {piece.path: piece for piece in corpus.pieces()}
    for index in range(9):
        piece = by_path[f"album{index % 3}/{index}.mid"]
        expected = cells.encode(tune(index))
        assert np.array_equal(piece.cells().notes, expected.notes)
        assert (piece.cells().instruments, piece.cells().meters) == (expected.instruments, expected.meters)
        assert np.array_equal(cells.encode(piece.score()).notes, expected.notes)
        assert (piece.bars, piece.notes, piece.seconds, piece.tempo) == (4, 32, 8.0, 120.0)
        assert len(piece.captions) == 6
        assert all(corpus.captions[line] for line in piece.captions)
    assert corpus.info()["notes"] == len(corpus.notes) == 9 * 32
    assert corpus.info()["hours"] == pytest.approx(9 * 8 / 3600, abs=1e-3)


def played(seed: int) -> Score:
    """A performance: no note on a beat, the tempo changes, equal pitches overlap, and a pedal is down for a while."""
    rng = np.random.default_rng(seed)
    score = Score(384)
    score.tempos.extend([Tempo(0, 120.0), Tempo(1000, 97.0)])
    track = Track("", 0, False)
    for _ in range(200):
        start, length, pitch = int(rng.integers(8000)), int(rng.integers(1, 900)), int(rng.integers(40, 90))
        track.notes.append(Note(start, length, pitch, int(rng.integers(1, 128))))
    track.controls.extend([ControlChange(2000, 64, 100), ControlChange(5200, 64, 0)])
    score.tracks.append(track)
    return score


def test_timed_notes_are_what_sounded_to_the_millisecond(tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    for seed in range(3):
        write_midi(played(seed), tmp_path / "music" / f"{seed}.mid")
    corpus = build([tmp_path / "music"], tmp_path / "corpus")
    for seed, piece in enumerate(corpus.pieces()):
        (track,) = played(seed).tracks
        written = track.notes.numpy()

        def milliseconds(ticks: np.ndarray) -> np.ndarray:
            return np.where(ticks < 1000, ticks * 500 / 384, 1000 * 500 / 384 + (ticks - 1000) * 60_000 / 97 / 384)

        notes = np.array(piece.timed())
        assert np.array_equal(np.sort(notes["pitch"]), np.sort(written["pitch"]))
        assert np.abs(np.sort(milliseconds(written["time"].astype(float))) - notes["onset"]).max() < 0.52
        released = milliseconds(np.array([5200.0]))[0]
        held = notes[(notes["onset"] > 3500) & (notes["onset"] < released - 2500)]
        ends = held["onset"].astype(int) + held["length"]
        again = [(notes["onset"][(notes["pitch"] == n["pitch"]) & (notes["onset"] > n["onset"])]) for n in held]
        until = [min([*later, released]) for later in again]
        assert len(held) > 10
        assert all(end >= bound - 1 for end, bound in zip(ends, until, strict=True))
        assert np.array_equal(timed(score_of(notes)), notes)
        assert not piece.timed().flags.writeable
    assert corpus.info()["timed_notes"] == len(corpus.timed) == 600 > corpus.info()["notes"]
    assert corpus.timed.dtype == TIMED


def test_a_corpus_of_format_1_is_read_but_for_timed_notes(music: Path, tmp_path: Path) -> None:
    corpus = build([music], tmp_path / "corpus")
    summary = json.loads((corpus.path / "corpus.json").read_text())
    del summary["files"]["timed.npy"]
    (corpus.path / "timed.npy").unlink()
    rows = [json.loads(line) for line in (corpus.path / "pieces.jsonl").read_text().splitlines()]
    text = "".join(json.dumps({k: v for k, v in row.items() if "timed" not in k}) + "\n" for row in rows)
    (corpus.path / "pieces.jsonl").write_text(text)
    summary["files"]["pieces.jsonl"]["bytes"] = len(text)
    (corpus.path / "corpus.json").write_text(json.dumps(summary | {"format": 1}))
    old = open_corpus(corpus.path)
    assert [len(piece.cells().notes) for piece in old.pieces()] == [32] * 9
    with pytest.raises(CorpusError, match="build the corpus again"):
        old.pieces()[0].timed()


def test_a_corpus_of_format_2_is_read_but_for_rolls(music: Path, tmp_path: Path) -> None:
    corpus = build([music], tmp_path / "corpus")
    summary = json.loads((corpus.path / "corpus.json").read_text())
    del summary["files"]["rolls.npy"]
    (corpus.path / "rolls.npy").unlink()
    (corpus.path / "corpus.json").write_text(json.dumps(summary | {"format": 2}))
    piece = open_corpus(corpus.path).pieces()[0]
    assert len(piece.timed()) == len(piece.cells().notes) == 32
    for ask in (piece.roll, lambda: phrase_table(piece.corpus, "train", PhraseGrid())):
        with pytest.raises(CorpusError, match=r"no piano rolls.*`orchestrion corpus build MUSIC") as raised:
            ask()
        assert "\n" not in str(raised.value)


def test_a_piano_roll_corpus_is_in_common_time_from_zero(music: Path, tmp_path: Path) -> None:
    for seed, (name, signatures) in enumerate({
        "waltz": [TimeSignature(0, 3, 4)],
        "changing": [TimeSignature(0, 4, 4), TimeSignature(1920 * 2, 2, 4)],
        "late": [TimeSignature(480, 4, 4)],
        "twice": [TimeSignature(0, 4, 4), TimeSignature(1920, 4, 4)],
    }.items(), start=20):  # fmt: skip
        score = tune(seed)
        score.time_signatures.extend(signatures)
        write_midi(score, music / f"{name}.mid")
    corpus = build([music], tmp_path / "corpus", filters=Filters(pianoroll=True))
    rows = [json.loads(line) for line in (corpus.path / "skipped.jsonl").read_text().splitlines()]
    assert {row["path"]: (row["reason"], row["detail"]) for row in rows} == {
        "waltz.mid": ("not in 4/4", "it has bars of 3/4"),
        "changing.mid": ("not in 4/4", "it has bars of 2/4"),
        "late.mid": ("first beat not at zero", "its first time signature stands at 1 quarters"),
    }
    assert len(corpus.pieces()) == 10  # the nine without a time signature as well
    assert corpus.info()["settings"]["pianoroll"] is True
    assert len(build([music], tmp_path / "all").pieces()) == 13


def test_a_part_of_the_music_is_chosen_by_genre_share_and_number(music: Path, tmp_path: Path) -> None:
    rows = [f"album{i % 3}/{i}.mid,album{i % 3},{('Rock|pop', 'rock', 'jazz')[i % 3]}" for i in range(9)]
    (music / "metadata.csv").write_text("\n".join(["path,group,genre", *rows]))

    def paths(**wanted: Any) -> list[str]:
        return [piece.path for piece in build([music], tmp_path / "corpus", filters=Filters(**wanted)).pieces()]

    assert paths(genre="rock") == [f"album{i % 3}/{i}.mid" for i in (0, 3, 6, 1, 4, 7)]
    assert paths(genre="Jazz") == [f"album2/{i}.mid" for i in (2, 5, 8)]
    chosen = paths(pieces=4)
    assert len({Path(path).parent for path in chosen}) == 2  # one album whole before another begins
    assert (len(chosen), chosen) == (4, sorted(chosen))
    assert set(paths(pieces=3)) < set(chosen) < set(paths(share=0.6))
    assert len(paths(share=0.6)) == 5
    assert len({tuple(paths(pieces=2, seed=seed)) for seed in range(5)}) > 1
    with pytest.raises(CorpusError, match="no piece is filed under 'polka'; the genres named most are rock, pop, jazz"):
        paths(genre="polka")


def test_the_command_makes_a_corpus_of_a_part(
    music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (music / "metadata.csv").write_text("path,genre\nalbum0/0.mid,rock\nalbum1/1.mid,rock\nalbum1/4.mid,rock\n")

    def run(options: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(f"corpus build music --out corpus --no-embed {options}".split())
        return (int(end.value.code or 0), *capsys.readouterr())

    code, out, err = run("--pianoroll --genre rock --pieces 2")
    assert code == 0, err
    assert [piece.facts["genre"] for piece in open_corpus("corpus").pieces()] == [["rock"], ["rock"]]
    code, out, err = run("--genre polka")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "the genres named most are rock" in err


def test_a_choice_says_nothing_of_the_split(tmp_path: Path) -> None:
    items = [Item(f"folder/{n}", f"{n}.mid", f"{n}", None, {}) for n in range(4_000)]
    ((_, _, kept),) = chosen([(Folder(), tmp_path, items)], Filters(share=0.25))
    drawn = [hashed_split("folder", item.group, seed=0) for item in kept]
    assert len(kept) == 1_000
    assert [drawn.count(split) / 1_000 for split in ("train", "valid", "test")] == pytest.approx(
        [0.94, 0.03, 0.03], abs=0.02
    )


@pytest.mark.parametrize("count", [2, 3, 5])
def test_any_two_pieces_are_enough_to_train_and_validate(tmp_path: Path, count: int) -> None:
    for seed in range(12):
        folder, out = tmp_path / f"music{seed}", tmp_path / f"corpus{seed}"
        folder.mkdir()
        for index in range(count):
            write_midi(tune(index, bars=2, tracks=1), folder / f"{index} of {seed}.mid")
        (folder / "broken.mid").write_bytes(b"no music")
        write_midi(tune(0, bars=2, tracks=1), folder / "twin.mid")
        corpus = build([folder], out)
        splits = {piece.path: piece.split for piece in corpus.pieces()}
        assert len(splits) == count
        assert {"train", "valid"} <= set(splits.values())
        hashed = {path: hashed_split("folder", path, seed=0) for path in splits}
        moved = sum(splits[path] != hashed[path] for path in splits)
        assert moved <= 2
        if {"train", "valid"} <= set(hashed.values()):
            assert moved == 0


def test_a_split_that_the_owner_gave_is_never_changed(music: Path, tmp_path: Path) -> None:
    rows = [f"album{index % 3}/{index}.mid,train" for index in range(9)]
    (music / "metadata.csv").write_text("\n".join(["path,split", *rows]))
    assert {piece.split for piece in build([music], tmp_path / "corpus").pieces()} == {"train"}
    (music / "metadata.csv").write_text("\n".join(["path,split", *rows[:-1]]))
    (valid,) = build([music], tmp_path / "corpus").pieces("valid")
    assert valid.path == "album2/8.mid"


def test_building_once_reads_again_only_what_changed(music: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def told(done: int, total: int) -> None:
        seen.append((done, total))

    first = build_once([music], tmp_path / "corpus", progress=told)
    assert seen[-1] == (9, 9)
    seen.clear()
    assert build_once([music], tmp_path / "corpus", progress=told).info() == first.info()
    assert seen == []
    write_midi(tune(99, bars=5), music / "album0" / "0.mid")
    assert build_once([music], tmp_path / "corpus").info()["fingerprint"] != first.info()["fingerprint"]


def test_training_takes_a_folder_it_has_never_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("music").mkdir()
    for seed in range(2):
        write_midi(tune(seed), f"music/{seed}.mid")
    line = "train composer/tiny --data music --out runs/one --set width=16 --set heads=1"

    def run(arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(arguments.split())
        return (int(end.value.code or 0), *capsys.readouterr())

    code, out, err = run(f"{line} --steps 1")
    assert code == 0, err
    assert "runs/one.corpus: 64 notes, 1 train, 1 valid, 0 test" in out
    built = (tmp_path / "runs/one.corpus/corpus.json").stat().st_mtime_ns
    code, out, err = run(f"{line} --steps 2")
    assert code == 0, err
    assert "step 2 of 2" in out
    assert (tmp_path / "runs/one.corpus/corpus.json").stat().st_mtime_ns == built

    code, _, err = run("train composer/tinny --data music --out runs/two")
    assert code == 1
    assert not Path("runs/two.corpus").exists()
    Path("empty").mkdir()
    assert "no music in empty" in run("train composer/tiny --data empty --out runs/two")[2]
    Path("music/1.mid").unlink()
    assert "no piece in its valid split" in run("train composer/tiny --data music --out runs/two")[2]
    monkeypatch.setenv("WORLD_SIZE", "2")
    code, _, err = run("train composer/tiny --data music --out runs/three")
    assert code == 2
    assert "orchestrion corpus build music --out runs/three.corpus" in " ".join(err.split())


class Killed(BaseException):
    pass


@pytest.mark.usefixtures("small_chunks")
def test_a_killed_build_goes_on_and_gives_the_same_bytes(music: Path, tmp_path: Path) -> None:
    whole = contents(build([music], tmp_path / "whole"))

    def kill(done: int, total: int) -> None:
        if done >= 4:
            raise Killed

    out = tmp_path / "corpus"
    with pytest.raises(Killed):
        build([music], out, progress=kill)
    with pytest.raises(CorpusError, match="not a corpus"):
        open_corpus(out)
    seen: list[tuple[int, int]] = []
    corpus = build([music], out, progress=lambda done, total: seen.append((done, total)))
    assert seen[0] == (4, 9)
    assert seen[-1] == (9, 9)
    assert contents(corpus) == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "music", "whole"]


@pytest.mark.usefixtures("small_chunks")
def test_a_changed_file_is_read_again(music: Path, tmp_path: Path) -> None:
    def kill(done: int, total: int) -> None:
        if done == total:
            raise Killed

    with pytest.raises(Killed):
        build([music], tmp_path / "corpus", progress=kill)
    write_midi(tune(99, bars=5), music / "album0" / "0.mid")
    seen: list[int] = []
    corpus = build([music], tmp_path / "corpus", progress=lambda done, total: seen.append(done))
    assert seen[0] == 7
    assert {piece.bars for piece in corpus.pieces()} == {4, 5}


def test_what_is_left_out_is_listed_with_its_reason(music: Path, tmp_path: Path) -> None:
    strange = music / "strange"
    strange.mkdir()
    (strange / "broken.mid").write_bytes(b"MThd\x00\x00\x00\x06\x00\x01\x00\x01\x01\xe0MTrk garbage")
    write_midi(tune(3), strange / "twin.mid")
    write_midi(tune(50, bars=1), strange / "short.mid")
    write_midi(tune(51, bars=9), strange / "long.mid")
    write_midi(tune(52, tracks=40), strange / "many.mid")
    corpus = build([music], tmp_path / "corpus", filters=Filters(max_bars=8))
    rows = [json.loads(line) for line in (corpus.path / "skipped.jsonl").read_text().splitlines()]
    reasons = {Path(row["path"]).stem: (row["reason"], row["detail"]) for row in rows}
    assert {name: reason for name, (reason, _) in reasons.items()} == {
        "broken": "unreadable",
        "twin": "duplicate",
        "short": "too short",
        "long": "too long",
        "many": "too many tracks",
    }
    assert "same notes as" in reasons["twin"][1]
    assert str(tmp_path) not in (corpus.path / "skipped.jsonl").read_text()
    assert corpus.info()["skipped"] == {reason: 1 for reason, _ in reasons.values()}
    assert len(corpus.pieces()) == 9


def test_a_duplicate_may_differ_in_silence_before_but_not_in_notes(music: Path, tmp_path: Path) -> None:
    write_midi(tune(0).shift_time(4 * 480), music / "later.mid")
    write_midi(tune(0).shift_pitch(1), music / "higher.mid")
    corpus = build([music], tmp_path / "corpus")
    paths = {piece.path for piece in corpus.pieces()}
    assert "higher.mid" in paths
    assert len(paths) == 10


def test_a_group_lies_in_one_split_and_given_splits_win(music: Path, tmp_path: Path) -> None:
    paths = [f"album{index % 3}/{index}.mid" for index in range(9)]
    given = {paths[0]: "test", paths[1]: "valid"}
    lines = [f"{path},{Path(path).parent},{given.get(path, '')}" for path in paths]
    (music / "metadata.csv").write_text("\n".join(["path,group,split", *lines]))
    corpus = build([music], tmp_path / "corpus")
    splits = {index: {p.split for p in corpus.pieces() if p.group == f"album{index}"} for index in range(3)}
    assert (splits[0], splits[1], len(splits[2])) == ({"test"}, {"valid"}, 1)
    assert [piece.path for piece in corpus.pieces("test")] == sorted(
        path for path in paths if "album0" in path or ("album2" in path and splits[2] == {"test"})
    )


def test_a_hashed_split_has_the_stated_shares_and_follows_the_seed() -> None:
    names = [f"song {number}" for number in range(20_000)]
    drawn = [hashed_split("folder", name, seed=0) for name in names]
    shares = [drawn.count(split) / len(names) for split in ("train", "valid", "test")]
    assert shares == pytest.approx([0.94, 0.03, 0.03], abs=0.006)
    assert drawn != [hashed_split("folder", name, seed=1) for name in names]


def test_embedding_goes_on_after_a_kill_and_keeps_the_order(
    music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrion.data.captions.embed.BLOCK_CAPTIONS", 4)
    corpus = build([music], tmp_path / "corpus")
    assert corpus.embeddings is None

    class Lengths:
        width = 2
        calls = 0

        def __init__(self, name: str, kill_at: int) -> None:
            self.name, self.kill_at = name, kill_at

        def encode(self, sentences: Sequence[str]) -> np.ndarray:
            self.calls += 1
            if self.calls == self.kill_at:
                raise Killed
            return np.array([[len(sentence), len(self.name)] for sentence in sentences], np.float32)

    with pytest.raises(Killed):
        embed(corpus.path, Lengths("one", kill_at=3))
    assert open_corpus(corpus.path).embeddings is None
    blocks = -(-len(corpus.captions) // 4)
    for name, calls in (("one", blocks - 2), ("one", 0), ("other", blocks)):
        encoder = Lengths(name, kill_at=-1)
        embed(corpus.path, encoder)
        opened = open_corpus(corpus.path)
        assert encoder.calls == calls
        assert opened.encoder == name
        assert opened.embeddings is not None
        assert opened.embeddings.dtype == np.float16
        assert opened.embeddings.tolist() == [[len(caption), len(name)] for caption in opened.captions]


def test_opening_names_what_is_wrong(music: Path, tmp_path: Path) -> None:
    corpus = build([music], tmp_path / "corpus")
    with pytest.raises(CorpusError, match=r"no corpus\.json"):
        open_corpus(music)
    with pytest.raises(CorpusError, match="the splits are train, valid, test"):
        corpus.pieces("validation")
    with pytest.raises(CorpusError, match="not a corpus; name another folder"):
        build([music], music)
    with pytest.raises(CorpusError, match="not a folder"):
        build([music / "nowhere"], tmp_path / "other")

    (corpus.path / "notes.npy").write_bytes(b"half")
    with pytest.raises(CorpusError, match=r"notes\.npy has 4 bytes"):
        open_corpus(corpus.path)
    summary = json.loads((corpus.path / "corpus.json").read_text())
    (corpus.path / "corpus.json").write_text(json.dumps(summary | {"format": 99}))
    with pytest.raises(CorpusError, match="update orchestrion"):
        open_corpus(corpus.path)
    (corpus.path / "corpus.json").write_text("{")
    with pytest.raises(CorpusError, match="damaged"):
        open_corpus(corpus.path)


def test_a_corpus_may_be_empty(tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    with pytest.raises(CorpusError, match="no music"):
        build([tmp_path / "music"], tmp_path / "corpus")
    write_midi(tune(0, bars=1), tmp_path / "music" / "short.mid")
    corpus = build([tmp_path / "music"], tmp_path / "corpus")
    assert corpus.pieces() == ()
    assert corpus.notes.shape == (0, 6)
    assert corpus.info()["skipped"] == {"too short": 1}


def test_a_corpus_is_sent_to_a_process_by_its_path(music: Path, tmp_path: Path) -> None:
    corpus = build([music], tmp_path / "corpus")
    piece = corpus.pieces()[3]
    piece.cells()
    sent = pickle.dumps(piece)
    assert len(sent) < 5_000
    assert np.array_equal(pickle.loads(sent).cells().notes, piece.cells().notes)


def test_building_again_replaces_the_corpus(music: Path, tmp_path: Path) -> None:
    first = contents(build([music], tmp_path / "corpus"))
    shutil.rmtree(music / "album0")
    again = build([music], tmp_path / "corpus")
    assert again.info()["pieces"] == 6
    assert contents(again)["notes.npy"] != first["notes.npy"]


def test_building_and_reading_need_no_torch(music: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from orchestrion.data.build import build; from orchestrion.data.store import open_corpus\n"
        "build([sys.argv[1]], sys.argv[2]); open_corpus(sys.argv[2]).pieces()[0].score()\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(music), str(tmp_path / "corpus")], check=True)
