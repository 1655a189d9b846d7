"""A critic hears what any system composes: what it refuses is composed again, or the best of several is handed out."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from symusic import Note, Score, Track
from torch import nn

from conftest import little_song
from orchestrion import Model, compose, continue_score
from orchestrion.cli import main
from orchestrion.generation.batch import Asked, generate, generate_checked, write_pieces
from orchestrion.generation.compose import ComposeError, Composition
from orchestrion.generation.filters import TRIES, CheckError, Gate, Verdict, acceptance, candidates
from orchestrion.metrics.copying import CopyIndex
from orchestrion.models import checkpoint
from orchestrion.models import loading as models
from orchestrion.models.base import JudgingSystem, System, UnheardError
from orchestrion.models.checkpoint import CheckpointError
from orchestrion.models.loading import bundled, load
from orchestrion.models.pianoroll_gan import REAL
from orchestrion.models.registry import recipe, system_class
from orchestrion.models.zoo.ape_gan import RECIPES, ApeGan
from orchestrion.music.files import read
from orchestrion.music.theory import Key
from orchestrion.text.encoder import SentenceEncoder

WORDS = "a piano piece in C major, 4 bars"
LONGER = "a busy piano piece in C major, 12 bars"  # with phrases long enough to be copies


@cache
def encoder() -> SentenceEncoder:
    return SentenceEncoder.load()


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    return Model(system_class("composer")(recipe("composer", "tiny").config).eval(), "composer", {}, "untrained")


def critic_with(bias: float) -> Model:
    """An untrained one, whose marks differ widely, moved by so much."""
    torch.manual_seed(0)
    system = ApeGan(replace(RECIPES["tiny"].config, gates=False)).eval()
    last = system.discriminator.body.over_bars[-1]
    with torch.no_grad():
        last.weight.mul_(40)  # type: ignore[operator]
        last.bias.fill_(bias)  # type: ignore[operator]
    nn.init.constant_(system.generator.layers[-1].bias, -0.7)  # type: ignore[arg-type]
    return Model(system, "ape_gan", {}, "the critic")


def near(value: Any) -> Any:
    """Odds but for the rounding of another number of threads: composing runs on one."""
    return pytest.approx(value, abs=1e-6)


def odds(critic: Model, scores: list[Score], sentence: str = "", key: Key | None = None) -> list[float]:
    assert isinstance(critic.system, JudgingSystem)
    told = None if not sentence else encoder().encode([sentence])[0]
    return [critic.system.odds_of(score, told, key) for score in scores]


def logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


@pytest.fixture(scope="module")
def picky(model: Model) -> Model:
    """It calls some pieces of the composer real and others not: the second best of eight lies at a half."""
    critic = critic_with(0.0)
    pieces = [piece.score for piece in compose(WORDS, count=8, seed=5, model=model, encoder=encoder())]
    marks = sorted(logit(p) for p in odds(critic, pieces, WORDS, Key(0, "major")))
    assert marks[-1] - marks[0] > 0.1
    return critic_with(-(marks[-2] + marks[-3]) / 2)


def midi(pieces: list[Composition]) -> list[bytes]:
    return [piece.score.dumps_midi() for piece in pieces]


# ---- the policy


def gate(tries: int = TRIES, best_of: int | None = None) -> Gate:
    system = critic_with(0.0).system
    assert isinstance(system, JudgingSystem)
    return Gate(system, {"system": "ape_gan"}, tries, best_of)


def drawn(gate: Gate, *odds: list[float]) -> tuple[list[list[float]], list[list[int]]]:
    """The odds of each piece's candidates, of those that would come, and the places asked for, round by round."""
    rounds: list[list[int]] = []

    def draw(places: list[int], turn: int) -> list[float]:
        rounds.append(places)
        assert turn == len(rounds)
        return [odds[place][turn - 1] for place in places]

    return candidates(len(odds), draw, gate.wants), rounds


def test_what_is_refused_is_composed_again_and_the_others_stay() -> None:
    found, rounds = drawn(gate(), [0.6], [REAL, 0.2, 0.51], [0.1, 0.7])
    assert found == [[0.6], [0.5, 0.2, 0.51], [0.1, 0.7]], "0.5 itself is refused"
    assert rounds == [[0, 1, 2], [1, 2], [1]]
    assert acceptance([Verdict(tuple(each)) for each in found]) == (3, 6)


def test_after_the_bound_the_best_is_kept_and_not_accepted() -> None:
    found, rounds = drawn(gate(tries=2), [0.1, 0.3, 0.2, 0.9], [0.9])
    assert found == [[0.1, 0.3, 0.2], [0.9]]
    verdict = Verdict(tuple(found[0]))
    assert (verdict.p, verdict.index, verdict.accepted) == (0.3, 1, False)
    assert verdict.record == {"p": 0.3, "tries": 3, "accepted": False, "odds": [0.1, 0.3, 0.2]}
    assert drawn(gate(tries=0), [0.1, 0.9])[0] == [[0.1]], "judged, and never composed again"
    assert len(rounds) == 3


def test_the_best_of_several_is_chosen_of_them_all() -> None:
    found, _ = drawn(gate(best_of=3), [0.9, 0.2, 0.95], [0.1, 0.3, 0.2])
    assert found == [[0.9, 0.2, 0.95], [0.1, 0.3, 0.2]]
    assert [Verdict(tuple(each)).index for each in found] == [2, 1]
    assert drawn(gate(best_of=1), [0.2])[0] == [[0.2]]


def test_what_judges_nothing_and_numbers_that_make_no_sense_are_refused(model: Model) -> None:
    named = {"system": "composer"}
    critic = critic_with(0.0)
    assert not isinstance(model.system, JudgingSystem)
    for system, tries, best_of, words in (
        (model.system, None, None, "composer judges no music; name .* ape_gan"),
        (critic.system, 3, 3, "either"),
        (critic.system, -1, None, "0 times or more"),
        (critic.system, None, 0, "1 candidate or more"),
    ):
        with pytest.raises(CheckError, match=words) as raised:
            Gate.of(system, named, tries, best_of)
        assert "\n" not in str(raised.value)
    assert Gate.of(critic.system, named, None, None).tries == TRIES == 16


# ---- composing


def test_a_piece_is_composed_until_the_critic_calls_it_real(model: Model, picky: Model) -> None:
    plain = compose(WORDS, count=6, seed=5, model=model, encoder=encoder())
    assert {str(piece.record["check"]) for piece in plain} == {"None"}
    first = odds(picky, [piece.score for piece in plain], WORDS, Key(0, "major"))
    assert 0 < sum(p > REAL for p in first) < 6
    pieces = compose(WORDS, count=6, seed=5, model=model, encoder=encoder(), check=picky, tries=40)
    for piece, old, p in zip(pieces, plain, first, strict=True):
        check = piece.record["check"]
        assert check["critic"] == {"system": "ape_gan", "sha256": "the critic", "step": None}
        assert check["odds"][0] == pytest.approx(p)
        assert check["p"] == max(check["odds"]) == near(odds(picky, [piece.score], WORDS, Key(0, "major"))[0])
        assert check["tries"] == len(check["odds"])
        assert check["accepted"] == (check["p"] > REAL)
        assert check["at_most_again"] == 40
        assert (piece.score.dumps_midi() == old.score.dumps_midi()) == (p > REAL)
        assert piece.record["all_hold"]
        assert check["tries"] == 41 or check["accepted"]
    assert sum(piece.record["check"]["accepted"] for piece in pieces) > sum(p > REAL for p in first)
    again = compose(WORDS, count=6, seed=5, model=model, encoder=encoder(), check=picky, tries=40)
    assert midi(again) == midi(pieces)
    assert [piece.record for piece in again] == [piece.record for piece in pieces]


def test_what_no_try_makes_real_is_handed_out_as_not_accepted(model: Model) -> None:
    never = critic_with(-500.0)
    plain = compose(WORDS, seed=1, model=model, encoder=encoder())
    (piece,) = compose(WORDS, seed=1, model=model, encoder=encoder(), check=never, tries=3)
    check = piece.record["check"]
    assert not check["accepted"]
    assert (check["tries"], len(check["odds"]), check["p"]) == (4, 4, max(check["odds"]))
    (judged,) = compose(WORDS, seed=1, model=model, encoder=encoder(), check=never, tries=0)
    assert midi([judged]) == midi(plain)
    assert judged.record["check"]["tries"] == 1


def test_the_best_of_several_is_handed_out(model: Model, picky: Model) -> None:
    pieces = compose(WORDS, count=2, seed=5, model=model, encoder=encoder(), check=picky, best_of=4)
    for piece in pieces:
        check = piece.record["check"]
        assert (check["best_of"], check["tries"]) == (4, 4)
        assert len(set(check["odds"])) == 4
        assert near(odds(picky, [piece.score], WORDS, Key(0, "major"))[0]) == check["p"] == max(check["odds"])
    assert midi(compose(WORDS, count=2, seed=5, model=model, encoder=encoder(), check=picky, best_of=4)) == midi(pieces)


def test_copies_are_no_candidates(model: Model) -> None:
    always = critic_with(500.0)
    plain = compose(LONGER, count=3, seed=5, model=model, encoder=encoder())
    known = CopyIndex.build([("copied", plain[1].score)], "a corpus")
    pieces = compose(LONGER, count=3, seed=5, model=model, encoder=encoder(), check=always, reject=10, against=known)
    assert [one == other for one, other in zip(midi(pieces), midi(plain), strict=True)] == [True, False, True]
    assert [piece.record["copying"]["tries"] for piece in pieces] == [1, 2, 1]
    assert [piece.record["check"]["tries"] for piece in pieces] == [1, 1, 1], "a copy was not heard"


def test_a_critic_hears_the_whole_piece_that_goes_on_from_music(model: Model) -> None:
    critic, song = critic_with(0.0), little_song(3, bars=4)
    (piece,) = continue_score(song, 4, seed=1, model=model, encoder=encoder(), check=critic, tries=0)
    key = Key.parse(piece.record["plan"]["key"]) if piece.record["plan"]["key_enforced"] else None
    assert piece.record["check"]["odds"] == near(odds(critic, [piece.score], "", key))


def test_music_that_the_critic_cannot_hear(model: Model) -> None:
    critic = critic_with(0.0)
    with pytest.raises(UnheardError, match="not one of 3 in 3/4; ask for 4/4"):
        compose("a waltz for piano, 4 bars", model=model, encoder=encoder(), check=critic)
    with pytest.raises(UnheardError, match="phrases of 4 bars"):
        compose("piano, 3 bars", model=model, encoder=encoder(), check=critic)


def test_wishes_that_make_no_sense(model: Model) -> None:
    critic = critic_with(0.0)
    asks: list[tuple[Callable[[], object], type[Exception], str]] = [
        (lambda: compose("x", model=model, encoder=encoder(), check=model), CheckError, "composer judges no music"),
        (lambda: compose("x", model=model, encoder=encoder(), check=critic, tries=2, best_of=2), CheckError, "either"),
        (lambda: compose("x", model=model, encoder=encoder(), check=critic, tries=-1), CheckError, "0 times or more"),
        (lambda: compose("x", model=model, encoder=encoder(), best_of=3), ComposeError, "name one to check by"),
        (lambda: compose("x", model=model, encoder=encoder(), tries=3), CheckError, "composer has no discriminator"),
        (lambda: compose("x", model=critic, encoder=encoder(), tries=-2), CheckError, "again -2 times"),
        (lambda: list(generate(model, Asked(1, tries=3))), CheckError, "composer has no discriminator"),
    ]
    for ask, kind, words in asks:
        with pytest.raises(kind, match=words):
            ask()


def test_a_system_with_a_discriminator_of_its_own_checks_by_that_unless_another_is_named() -> None:
    own = critic_with(-500.0)
    (plain,) = compose("she laughs", bars=4, seed=2, model=own, encoder=encoder(), tries=0)
    assert plain.record["rejected"] == {}
    (gated,) = compose("she laughs", bars=4, seed=2, model=own, encoder=encoder(), tries=5)
    assert gated.record["rejected"] == {"judged to be made": 5}
    assert gated.record["check"] is None
    (other,) = compose("she laughs", bars=4, seed=2, model=own, encoder=encoder(), check=critic_with(500.0))
    assert other.record["rejected"] == {}, "its own has nothing to say then"
    assert other.record["check"]["accepted"]
    assert midi([other]) == midi([plain])


# ---- many pieces


def test_many_pieces_pass_the_gate_too(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrion.generation.batch.AT_ONCE", 3)
    asked = Asked(5, bars=4, seed=3)
    critic = critic_with(0.0)
    plain = list(generate(model, asked))
    marks = sorted(logit(p) for p in odds(critic, plain))
    half = critic_with(-(marks[2] + marks[1]) / 2)
    gate = Gate.of(half.system, half.named, 30, None)
    pieces = list(generate_checked(model, asked, gate))
    again = list(generate_checked(model, asked, gate))
    assert [piece.score.dumps_midi() for piece in pieces] == [piece.score.dumps_midi() for piece in again]
    for piece, old in zip(pieces, plain, strict=True):
        assert piece.verdict is not None
        assert piece.verdict.p == near(odds(half, [piece.score])[0])
        real = odds(half, [old])[0] > REAL
        assert (piece.score.dumps_midi() == old.dumps_midi()) == real
        assert piece.verdict.accepted
    _, verdicts = write_pieces(model, asked, tmp_path / "out", gate=gate)
    record = json.loads((tmp_path / "out" / "generated.json").read_text())
    check = record["check"]
    assert check["critic"] == half.named
    assert list(check["pieces"]) == [f"{number:03}.mid" for number in range(1, 6)]
    assert [told["p"] for told in check["pieces"].values()] == near(
        [piece.verdict.p for piece in pieces if piece.verdict]
    )
    assert (check["accepted"], check["candidates"]) == acceptance(verdicts)
    assert check["candidates"] > 5


def test_generating_with_no_critic_is_as_it_was(model: Model, tmp_path: Path) -> None:
    rejected, verdicts = write_pieces(model, Asked(1, bars=4), tmp_path / "out")
    assert (rejected, verdicts) == (Counter(), [])
    assert json.loads((tmp_path / "out" / "generated.json").read_text())["check"] is None


# ---- the command line


@pytest.fixture
def ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model: Model, picky: Model
) -> Callable[[str], tuple[object, str, str]]:
    monkeypatch.chdir(tmp_path)
    saved: list[tuple[str, str, System]] = [
        ("tiny", "composer", model.system), ("critic", "ape_gan", picky.system),
        ("never", "ape_gan", critic_with(-500.0).system),
    ]  # fmt: skip
    for folder, name, system in saved:
        checkpoint.save(tmp_path / folder, name, system, step=7)
    monkeypatch.setenv(models.MODEL_VARIABLE, str(tmp_path / "tiny"))

    def run(line: str) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(shlex.split(line))
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    return run


def test_from_the_command_line(ran: Callable[[str], tuple[object, str, str]]) -> None:
    line = f'compose "{WORDS}" --seed 5 --n 2 --formats mid,json'
    code, out, _ = ran(f"{line} --check critic --tries 30 --out one")
    assert code == 0
    checks = [json.loads(Path(f"one-{number}.json").read_text())["check"] for number in (1, 2)]
    assert {check["critic"]["step"] for check in checks} == {7}
    assert {len(check["critic"]["sha256"]) for check in checks} == {64}
    accepted, heard = acceptance([Verdict(tuple(check["odds"])) for check in checks])
    passed = sum(check["accepted"] for check in checks)
    assert f"ape_gan accepts {accepted} of {heard} candidates ({accepted / heard:.0%}) and {passed} of 2 pieces" in out
    assert f"piece 1: p {checks[0]['p']:.3f}, accepted, of" in out
    assert ran(f"{line} --check critic --tries 30 --out two")[0] == 0
    assert read("two-2.mid").dumps_midi() == read("one-2.mid").dumps_midi()

    code, out, _ = ran(f"{line} --check never --tries 1 --out three")
    assert code == 0
    assert "piece 2: p 0.000, NOT ACCEPTED, the best of 2 candidates" in out
    assert "ape_gan accepts 0 of 4 candidates (0%) and 0 of 2 pieces" in out
    assert ran(f"{line} --check critic --best-of 3 --out four")[0] == 0
    assert json.loads(Path("four-1.json").read_text())["check"]["best_of"] == 3

    code, out, _ = ran("generate tiny --n 2 --bars 4 --out many --check critic --tries 2")
    assert code == 0
    assert "of 2 pieces" in out
    assert len(json.loads(Path("many/generated.json").read_text())["check"]["pieces"]) == 2
    assert ran("generate critic --n 1 --bars 4 --out own --tries 0")[0] == 0
    assert json.loads(Path("own/generated.json").read_text())["asked"]["tries"] == 0


def test_mistakes_at_the_command_line(ran: Callable[[str], tuple[object, str, str]]) -> None:
    for line, code, words in (
        ('compose "x" --best-of 3', 2, "add --check CRITIC"),
        ("generate tiny --out new --best-of 3", 2, "add --check CRITIC"),
        ('compose "x" --check tiny', 1, "composer judges no music"),
        ('compose "x" --check nowhere', 1, "nowhere is not a checkpoint"),
        ('compose "x" --tries 3', 1, "no discriminator"),
        ('compose "x" --check critic --tries -1', 2, "--tries"),
        ('compose "x" --check critic --tries 3 --best-of 3', 1, "either"),
        ('compose "a waltz" --check critic', 1, "ask for 4/4"),
        ("generate tiny --bars 2 --out new --check critic", 1, "phrases of 4 bars"),
        ('compose "x" --system kazoo', 1, "no weights of 'kazoo'"),
        ('compose "x" --system composer --model tiny', 2, "leave one of them out"),
        ("continue one.mid --system kazoo", 1, "one.mid"),
    ):
        result, _, err = ran(line)
        assert (result, words in err) == (code, True), (line, err)
        assert err.count("\n") == 1
    assert not Path("new").exists()
    assert not list(Path.cwd().glob("piece*"))


# ---- the weights that come with the package


def test_a_system_names_its_weights_that_are_bundled(ran: Callable[[str], tuple[object, str, str]]) -> None:
    there = sorted(folder.name for folder in models.WEIGHTS.iterdir() if folder.is_dir())
    for name in there:
        assert load(bundled(name)).name == name, "a folder is named as its system"
    with pytest.raises(CheckpointError, match="only of ") as raised:
        bundled("muse_gan")
    assert all(name in str(raised.value) for name in there)
    for odd in ("", "..", "composer/..", "/"):
        with pytest.raises(CheckpointError, match="come with the package"):
            bundled(odd)
    code, _, err = ran('compose "piano, 1 bar" --seed 1 --system composer --formats json --out it')
    assert (code, err) == (0, "")
    told = json.loads(Path("it.json").read_text())["model"]
    assert told == load("composer").named, "not what the environment names"


def test_a_critic_hears_what_lies_on_its_tracks_alone() -> None:
    critic = critic_with(0.0)
    song = little_song(1, bars=4)
    before = odds(critic, [song], "", Key(0, "major"))
    song.tracks.append(Track("high", 0))
    song.tracks[-1].notes.extend([Note(480 * beat, 240, 125, 80) for beat in range(16)])
    assert odds(critic, [song], "", Key(0, "major")) == before, "above its pitches"
