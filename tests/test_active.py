"""Active learning: what is chosen, what is asked, and what is learned from the answers."""

from __future__ import annotations

import dataclasses
import json
import pickle
import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch

from orchestrion.cli import main
from orchestrion.data.labeled import Judged, JudgedCorpus
from orchestrion.data.store import Corpus, CorpusError
from orchestrion.listening.active import ActiveError
from orchestrion.listening.active.acquisition import ask, judge, newest, pool_of, start
from orchestrion.listening.active.items import Asked, asked_in
from orchestrion.listening.active.learning import answers_in, learn
from orchestrion.listening.active.query_strategy import Policy, chosen
from orchestrion.listening.sources import items_of, labels_of
from orchestrion.listening.store import Store
from orchestrion.models import checkpoint
from orchestrion.models.registry import recipe
from orchestrion.music.files import read
from orchestrion.training.run_folder import TrainingError
from orchestrion.training.trainer import train

EVERYTHING = Policy("margin", low=0.1, high=0.9)
POOL = 48
STEPS = 12


@pytest.fixture(scope="module")
def trained(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps, whose odds all lie near 1/2."""
    out = tmp_path_factory.mktemp("trained") / "run"
    tiny = recipe("ape_gan", "tiny")
    train(
        "ape_gan", dataclasses.replace(tiny, training=dataclasses.replace(tiny.training, steps=2)), corpus, out, seed=1
    )
    return out


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def asked_of(run: Path) -> Asked:
    return asked_in(run, recipe("ape_gan", "tiny").config.grid)


def answer(run: Path, answers: dict[str, list[str]]) -> None:
    """Item -> what each of some people says of it."""
    with Store(labels_of(run)) as store:
        store.offer(items_of(run))
        for item, said in answers.items():
            for person, word in enumerate(said):
                store.answer(item, f"person {person}", word, f"{item}-{person}-{word}")


def tell_the_truth(run: Path) -> None:
    asked = asked_of(run)
    pairs = zip(asked.ids, asked.made, strict=True)
    answer(run, {id: ["fake" if made else "real"] for id, made in pairs})


def mean_odds(run: Path, phrases: np.ndarray) -> float:
    return float(checkpoint.load(newest(run))[0].eval().odds(phrases, None).mean())


# ---- choosing

ODDS = np.array([0.9, 0.52, 0.1, 0.49, 0.4, 0.501])


def test_the_band_asks_for_the_uncertain_alone_and_the_nearest_first() -> None:
    rng, found = np.random.default_rng(0), np.ones((6, 2))
    assert chosen(ODDS, found, 10, Policy(), rng).tolist() == [5, 3, 1]
    assert chosen(ODDS, found, 2, Policy(), rng).tolist() == [5, 3]
    assert chosen(ODDS, found, 5, Policy(fill=True), rng).tolist() == [5, 3, 1, 4, 0]
    assert chosen(ODDS, found, 9, Policy(low=0.05, high=0.45), rng).tolist() == [4, 2]
    assert chosen(ODDS, found, 3, Policy(low=0.05, high=0.45, fill=True), rng).tolist() == [4, 2, 5]
    assert Policy().unsure(np.array([0.475, 0.476, 0.525])).tolist() == [False, True, False]


def test_entropy_and_margin_order_alike_and_random_does_not() -> None:
    rng, odds = np.random.default_rng(1), np.random.default_rng(0).random(200)
    orders = [chosen(odds, odds[:, None], 200, Policy(name), rng).tolist() for name in ("entropy", "margin")]
    assert orders[0] == orders[1]
    assert np.all(np.diff(np.abs(odds[orders[0]] - 0.5)) >= 0)
    drawn = [chosen(odds, odds[:, None], 20, Policy("random"), np.random.default_rng(s)).tolist() for s in (3, 3, 4)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) == 20


def test_diverse_takes_one_of_each_kind_where_margin_takes_the_same_kind() -> None:
    odds = np.concatenate([np.full(20, 0.49), np.full(20, 0.4), np.full(20, 0.6), np.full(5, 0.999)])
    found = np.eye(4)[np.repeat([0, 1, 2, 3], [20, 20, 20, 5])]
    kinds = {
        int(found[place].argmax()) for place in chosen(odds, found, 3, Policy("diverse"), np.random.default_rng(0))
    }
    assert kinds == {0, 1, 2}  # of the last the discriminator is sure
    assert {int(found[place].argmax()) for place in chosen(odds, found, 3, EVERYTHING, np.random.default_rng(0))} == {0}
    alike = chosen(np.full(4, 0.5), np.zeros((4, 3)), 9, Policy("diverse"), np.random.default_rng(0))
    assert sorted(alike) == [0, 1, 2, 3]


def test_what_makes_no_policy_is_refused() -> None:
    with pytest.raises(ActiveError, match="choose band, entropy"):
        Policy("coin")
    with pytest.raises(ActiveError, match="is no band"):
        Policy(low=0.6, high=0.4)


# ---- asking


def test_a_round_lies_where_the_page_finds_it(run: Path, corpus: Corpus) -> None:
    told = ask(run, corpus, budget=6, policy=EVERYTHING, size=POOL)
    assert (told.number, len(told.ids)) == (1, 6)
    assert 0 < told.unsure <= told.pool <= POOL
    system = checkpoint.load(newest(run))[0].eval()
    asked = asked_of(run)
    assert asked.ids == told.ids == tuple(item.id for item in items_of(run))
    odds = system.odds(asked.phrases, None)
    for item, row, phrase, p in zip(items_of(run), asked.rows, asked.phrases, odds, strict=True):
        assert item.id == sha256(Path(item.path).read_bytes()).hexdigest()[:16]
        assert np.array_equal(system.grid.encode(read(item.path))[0], phrase)
        assert row["p"] == pytest.approx(float(p), abs=1e-4)
        assert (row["sentence"], row["round"]) == (None, 1)
    assert np.all(np.diff(np.abs(odds - 0.5)) >= 0)
    assert int(asked.made.sum()) == told.made
    assert not list((run / "oracle").rglob(".*")), "nothing half written"


def test_no_phrase_is_asked_about_twice(run: Path, corpus: Corpus) -> None:
    for _ in range(4):
        ask(run, corpus, budget=15, policy=EVERYTHING, size=30)
    asked = asked_of(run)
    assert asked.rounds == 4
    assert len(set(asked.ids)) == len(asked.ids) > 15
    assert len(np.unique(np.packbits(asked.phrases.reshape(len(asked.ids), -1), axis=1), axis=0)) == len(asked.ids)


def test_the_same_seed_asks_the_same(run: Path, corpus: Corpus, tmp_path: Path) -> None:
    other, third = (shutil.copytree(run, tmp_path / name) for name in ("other", "third"))
    first = ask(run, corpus, budget=5, policy=Policy("diverse"), size=POOL, seed=1)
    assert ask(other, corpus, budget=5, policy=Policy("diverse"), size=POOL, seed=1) == first
    assert ask(third, corpus, budget=5, policy=Policy("diverse"), size=POOL, seed=2).ids != first.ids


def test_a_band_with_nothing_in_it_asks_nothing(run: Path, corpus: Corpus) -> None:
    told = ask(run, corpus, budget=5, policy=Policy(low=0.98, high=0.99), size=POOL)
    assert (told.unsure, told.ids) == (0, ())
    assert not (run / "oracle").exists()


def test_the_pool_is_half_real_and_half_made(run: Path, corpus: Corpus) -> None:
    system, _, notes = checkpoint.load(newest(run))
    pool = pool_of(judge(system.eval(), notes["system"]), corpus, POOL, np.random.default_rng(0))
    real, made = pool.phrases[~pool.made], pool.phrases[pool.made]
    assert 0 < len(real) <= POOL // 2
    assert 0 < len(made) <= POOL // 2
    drawn = system.pairs(corpus, "train").draw(np.random.default_rng(0), 400)["phrases"]
    known = {phrase.tobytes() for phrase in drawn}
    assert sum(phrase.tobytes() in known for phrase in real) > 0.9 * len(real)
    assert not any(phrase.tobytes() in known for phrase in made)


def test_what_cannot_ask_says_so(run: Path, corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(ActiveError, match="is no run with a checkpoint"):
        ask(tmp_path / "none", corpus)
    other = recipe("muse_gan", "tiny")
    train("muse_gan", dataclasses.replace(other, training=dataclasses.replace(other.training, steps=1)), corpus,
          tmp_path / "muse")  # fmt: skip
    with pytest.raises(ActiveError, match="muse_gan has no discriminator that gives the odds"):
        ask(tmp_path / "muse", corpus)
    ask(run, corpus, budget=2, policy=EVERYTHING, size=POOL)
    (run / "oracle" / "phrases.npz").write_bytes(b"PK")
    with pytest.raises(ActiveError, match="are damaged or do not fit"):
        ask(run, corpus)


# ---- learning


def test_answers_are_counted_by_majority_and_ties_are_named(run: Path, corpus: Corpus) -> None:
    ids = ask(run, corpus, budget=6, policy=EVERYTHING, size=POOL).ids
    said = [["real"], ["good", "poor", "real"], ["fake", "good"], ["skip"], ["poor"], []]
    answer(run, dict(zip(ids, said, strict=True)))
    answers = answers_in(run, asked_of(run))
    assert answers.real == {ids[0]: True, ids[1]: True, ids[4]: False}
    assert (answers.tied, answers.skipped, answers.strangers) == ((ids[2],), (ids[3],), 0)


def test_it_learns_what_people_say_and_goes_on_from_there(run: Path, corpus: Corpus, tmp_path: Path) -> None:
    ask(run, corpus, budget=POOL, policy=EVERYTHING, size=POOL)  # one in five of so many is held out, surely some
    other = Path(shutil.copytree(run, tmp_path / "other"))
    asked = asked_of(run)
    answer(run, {id: ["good"] for id in asked.ids})
    answer(other, {id: ["poor"] for id in asked.ids})
    out, whole = tmp_path / "out", tmp_path / "whole"
    learned = learn(run, corpus, whole, steps=STEPS, size=POOL)
    learn(other, corpus, tmp_path / "refused", steps=STEPS, size=POOL)
    assert mean_odds(whole, asked.phrases) > mean_odds(tmp_path / "refused", asked.phrases) + 0.1
    assert learned.labels + learned.held_out == len(asked.ids)
    assert learned.held_out > 0
    right = learned.figures["labels learned from, right"][1]
    assert right is not None
    learned_from = [int(id, 16) % 5 != 0 for id in asked.ids]
    odds = checkpoint.load(newest(whole))[0].eval().odds(asked.phrases[learned_from], None)
    assert right == pytest.approx(float((odds > 0.5).mean()))
    assert learned.figures["validation: phrase_distance"][0] != learned.figures["validation: phrase_distance"][1]
    record = json.loads((whole / "learned.json").read_text())
    assert (record["from"], record["from_step"], record["labels"]) == ("run", 2, learned.labels)
    assert json.loads((whole / "run.json").read_text())["corpus"] != corpus.info()["fingerprint"]
    steps = [json.loads(line)["step"] for line in (whole / "history.jsonl").read_text().splitlines()]
    assert steps == list(range(1, STEPS + 3))
    played = [checkpoint.load(whole / "checkpoints" / name)[2]["step"] for name in ("best", str(STEPS + 2))]
    assert played == [STEPS + 2] * 2, "it plays as it ends"

    def stop(progress: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn(run, corpus, out, steps=STEPS, size=POOL, told=stop)
    assert learn(run, corpus, out, steps=STEPS, size=POOL).figures == learned.figures, "stopped and gone on with"
    one, other = (folder / "checkpoints" / str(STEPS + 2) / "model.safetensors" for folder in (out, whole))
    assert one.read_bytes() == other.read_bytes()

    said_of = next(id for id in asked.ids if int(id, 16) % 5)
    answer(run, {said_of: ["skip", "poor", "poor"]})
    with pytest.raises(TrainingError, match="another corpus"):
        learn(run, corpus, out, steps=STEPS, size=POOL)

    again = ask(whole, corpus, budget=10, policy=EVERYTHING, size=POOL)
    assert not set(again.ids) & set(asked_of(run).ids)
    tell_the_truth(whole)
    further = learn(whole, corpus, tmp_path / "further", steps=2, size=POOL)
    assert further.labels + further.held_out == len(asked_of(run).ids) + len(again.ids), "earlier labels stay"


def test_weights_alone_can_be_asked_about_and_taught(run: Path, corpus: Corpus, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    start(begun, str(run / "checkpoints" / "2"))
    with pytest.raises(ActiveError, match="leave out --model"):
        start(begun, str(run))
    ask(begun, corpus, budget=12, policy=EVERYTHING, size=POOL)
    tell_the_truth(begun)
    learn(begun, corpus, tmp_path / "out", steps=1, size=POOL)
    assert checkpoint.load(tmp_path / "out" / "checkpoints" / "3", optimizers=True)[2]["step"] == 3


def test_what_cannot_be_learned_from_says_so(run: Path, corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(ActiveError, match="has asked nothing yet"):
        learn(run, corpus, tmp_path / "out")
    ids = ask(run, corpus, budget=POOL, policy=EVERYTHING, size=POOL).ids
    with pytest.raises(ActiveError, match="no labels yet of the"):
        learn(run, corpus, tmp_path / "out")
    answer(run, {ids[0]: ["skip"]})
    with pytest.raises(ActiveError, match=r"nobody has said yet .*0 tied, 1 skipped"):
        learn(run, corpus, tmp_path / "out")
    with pytest.raises(ActiveError, match="name another --out"):
        learn(run, corpus, run)
    held = next(id for id in ids if int(id, 16) % 5 == 0)
    answer(run, {held: ["skip", "real"]})
    with pytest.raises(ActiveError, match="are all held out"):
        learn(run, corpus, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_judged_phrases_are_drawn_evenly_and_make_another_corpus(corpus: Corpus, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    judged = Judged(tuple("abcd"), rng.random((4, 2, 8, 5)) > 0.5, np.array([True, False, False, False]))
    drawn = judged.draw(rng, 400)
    assert 150 < int(drawn["judged_real"].sum()) < 250
    assert all(np.array_equal(phrase, judged.phrases[0]) for phrase in drawn["judged"][drawn["judged_real"]])
    judged.write(tmp_path / "judged.npz")
    kept = Judged.read(tmp_path / "judged.npz")
    assert (kept.ids, kept.fingerprint) == (judged.ids, judged.fingerprint)
    assert kept.fingerprint != dataclasses.replace(judged, real=~judged.real).fingerprint
    later = Judged(("d", "e"), judged.phrases[:2], np.array([True, True]))
    both = judged.joined(later)
    assert (both.ids, both.real.tolist()) == (tuple("abcde"), [True, False, False, True, True])
    together = JudgedCorpus(corpus, judged)
    assert together.info()["fingerprint"] != corpus.info()["fingerprint"]
    assert together.pieces("train") == corpus.pieces("train")
    assert pickle.loads(pickle.dumps(together)).info() == together.info()
    (tmp_path / "judged.npz").write_bytes((tmp_path / "judged.npz").read_bytes()[:40])
    with pytest.raises(CorpusError, match="is damaged"):
        Judged.read(tmp_path / "judged.npz")


def test_judged_phrases_reach_the_discriminator_alone(run: Path, corpus: Corpus) -> None:
    system = checkpoint.load(newest(run))[0].train()
    rng = np.random.default_rng(0)
    plain = system.batch(corpus, "train", np.random.default_rng(1))
    phrases = plain["phrases"][:6].numpy()
    with_judged = JudgedCorpus(corpus, Judged(tuple("abcdef"), phrases, rng.random(6) > 0.5))
    batch = system.batch(with_judged, "train", np.random.default_rng(1))
    assert all(torch.equal(batch[name], plain[name]) for name in plain)
    assert "judged" not in system.batch(with_judged, "valid", np.random.default_rng(1))

    def losses(batch: dict[str, torch.Tensor]) -> list[tuple[str, float]]:
        torch.manual_seed(0)
        return [(name, float(loss.detach())) for name, loss in system.losses(batch, 2)]

    alone, together = losses(plain), losses(batch)
    assert [name for name, _ in alone] == [name for name, _ in together]
    for (name, one), (_, other) in zip(alone, together, strict=True):
        assert other > one if name == "discriminator" else other == one


# ---- the command


def test_the_command_asks_and_learns(
    run: Path, corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*line: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(["active", str(run), "--data", str(corpus.path), "--pool", str(POOL), *line])
        return int(end.value.code or 0), *capsys.readouterr()

    code, text, _ = said("--budget", "8", "--strategy", "margin")
    assert code == 0
    assert "8 phrases to hear" in text
    assert f"orchestrion label {run}" in text
    assert "--fill asks about the nearest" in said("--low", "0.98", "--high", "0.99")[1]
    assert said("--learn")[2] == "error: --learn needs --out RUN2, the run to learn into\n"
    assert "there are no labels yet" in said("--learn", "--out", str(tmp_path / "out"))[2]
    tell_the_truth(run)
    code, text, _ = said("--learn", "--out", str(tmp_path / "out"), "--steps", "1")
    assert code == 0
    for part in ("before", "after", "labels held out, right", "own music accepted", "uncertain in one pool"):
        assert part in text
