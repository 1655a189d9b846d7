"""Copies are thrown away and composed again: from Python and from the command line."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from symusic import Score

from conftest import little_song
from orchestrion import Model, compose, continue_score
from orchestrion.cli import main
from orchestrion.data.build import build
from orchestrion.data.store import Corpus
from orchestrion.generation import wishes
from orchestrion.generation.compose import ComposeError
from orchestrion.metrics.copying import PHRASE_MOVES, CopyIndex
from orchestrion.models import checkpoint
from orchestrion.models.loading import MODEL_VARIABLE
from orchestrion.models.registry import recipe, system_class
from orchestrion.music.files import read, write_midi

WORDS = "a piano piece in C major, 6 bars"


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    return Model(system_class("composer")(recipe("composer", "tiny").config).eval(), "composer", {}, "untrained")


def index_of(*scores: Score) -> CopyIndex:
    return CopyIndex.build(((f"piece {number}", score) for number, score in enumerate(scores)), "a corpus")


def test_a_copy_is_composed_again_and_the_others_stay(model: Model) -> None:
    plain = compose(WORDS, count=3, seed=5, model=model)
    assert plain[0].record["copying"] is None
    known = index_of(plain[1].score)
    found = compose(WORDS, count=3, seed=5, model=model, reject=10, against=known)
    assert [piece.score.dumps_midi() == old.score.dumps_midi() for piece, old in zip(found, plain, strict=True)] == [
        True, False, True,
    ]  # fmt: skip
    assert [piece.record["copying"]["tries"] for piece in found] == [1, 2, 1]
    assert all(piece.record["all_hold"] for piece in found)
    for piece in found:
        told = piece.record["copying"]
        longest = known.longest(piece.score, PHRASE_MOVES)
        assert (told["reject"], told["against"]) == (10, "a corpus")
        assert told["longest_phrase_notes"] == (longest.notes if longest else 0) <= 10
        assert told["of"] == (longest.piece_id if longest else None)
    again = compose(WORDS, count=3, seed=5, model=model, reject=10, against=known)
    assert [piece.record for piece in again] == [piece.record for piece in found]
    assert [piece.score.dumps_midi() for piece in again] == [piece.score.dumps_midi() for piece in found]


def test_it_gives_up_after_so_many_tries(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wishes, "MAX_TRIES", 4)
    known: list[Score] = []
    for tries in range(1, 5):
        piece = compose(WORDS, seed=6, model=model, reject=10, against=index_of(*known))[0]
        assert piece.record["copying"]["tries"] == tries
        known.append(piece.score)
    with pytest.raises(ComposeError, match=r"each of 4 tries at piece 1 .* with piece 3; allow more notes"):
        compose(WORDS, seed=6, model=model, reject=10, against=index_of(*known))


def test_what_is_given_is_no_copy(model: Model) -> None:
    song = little_song(3, bars=6)
    piece = continue_score(song, 2, seed=1, model=model, reject=10, against=index_of(song))[0]
    assert piece.record["copying"]["tries"] == 1
    longest = index_of(song).longest(piece.score, PHRASE_MOVES)
    assert longest is not None
    assert longest.notes > 10


def test_wishes_that_make_no_sense(model: Model) -> None:
    with pytest.raises(ComposeError, match="takes both"):
        compose(WORDS, model=model, reject=24)
    with pytest.raises(ComposeError, match="takes both"):
        compose(WORDS, model=model, against=index_of())
    with pytest.raises(ComposeError, match="at least 7"):
        compose(WORDS, model=model, reject=6, against=index_of())


def ran(line: str) -> object:
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(line))
    return ended.value.code


def test_from_the_command_line(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoint.save(tmp_path / "tiny", "composer", system_class("composer")(recipe("composer", "tiny").config), step=0)
    monkeypatch.setenv(MODEL_VARIABLE, str(tmp_path / "tiny"))
    assert ran('compose "6 bars of piano" --seed 1 --formats mid --out music/first') == 0
    for seed in range(3):  # so that it is not alone in its corpus
        write_midi(little_song(seed), tmp_path / "music" / f"{seed}.mid")
    names = ["first.mid", "0.mid", "1.mid", "2.mid"]
    (tmp_path / "music" / "metadata.csv").write_text("path,split\n" + "".join(f"{name},train\n" for name in names))
    build(["music"], "own")
    capsys.readouterr()
    assert ran("corpus index own") == 0
    assert "4 training pieces, " in capsys.readouterr().out
    assert Path("own/copies-train.npz").exists()
    assert ran('compose "6 bars of piano" --seed 1 --formats mid,json --out again --reject 10 --against own') == 0
    told = json.loads(Path("again.json").read_text())["copying"]
    assert told["tries"] > 1
    assert told["longest_phrase_notes"] <= 10
    assert f"{told['tries']} tries" in capsys.readouterr().out
    assert read("again.mid").dumps_midi() != read("music/first.mid").dumps_midi()

    assert ran('compose "3 bars" --reject 24') == 2
    assert "add --against CORPUS" in capsys.readouterr().err
    assert ran('compose "3 bars" --against own') == 2
    assert "add --reject NOTES" in capsys.readouterr().err
    assert ran('compose "3 bars" --reject 24 --against music') == 1
    assert "is not a corpus" in capsys.readouterr().err
    assert ran('compose "3 bars" --reject 3 --against own') == 1
    assert "at least 7" in capsys.readouterr().err
    shutil.rmtree("own")
    (tmp_path / "music" / "metadata.csv").write_text("path,split\n" + "".join(f"{name},valid\n" for name in names))
    build(["music"], "own")
    assert ran('compose "3 bars" --reject 24 --against own') == 1
    assert "no piece in its train split" in capsys.readouterr().err
