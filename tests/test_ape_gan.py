"""APE-GAN: a sentence in place of noise, told to the discriminator too."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from conftest import little_song
from orchestrion.core.errors import UserError
from orchestrion.data.captions.pairs import to_c
from orchestrion.data.captions.templates import MEANINGS
from orchestrion.data.store import Corpus
from orchestrion.models import checkpoint
from orchestrion.models.base import Recipe, Request
from orchestrion.models.layers.adversarial import gradient_penalty, penalty_behind
from orchestrion.models.layers.phrase_critic import PhraseCritic
from orchestrion.models.zoo.ape_gan import CONDITIONS, RECIPES, ApeGan, transpose
from orchestrion.models.zoo.muse_gan import RECIPES as MUSE_GAN_RECIPES
from orchestrion.music.analysis import estimate_key
from orchestrion.music.bars import bars
from orchestrion.music.theory import Key
from orchestrion.training.trainer import train
from small_ape_gan import TINY, columns, fresh, said, size, sounding

#: The paper's form, but in size.
PRINTED: dict[str, Any] = {
    "reads": False, "noise": 0, "players": False, "gates": False, "condition": "none", "penalty": 0.0,
    "critic_steps": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def band() -> ApeGan:
    return sounding(fresh())


# ---- as printed


@torch.no_grad()
def test_as_printed_a_sentence_makes_one_phrase_without_noise() -> None:
    system = sounding(fresh(**PRINTED))
    assert system.generator.noise == 0
    assert system.reader is None
    rngs = np.random.default_rng(0).spawn(3)
    phrases = system.draw(rngs, said(1))
    assert phrases.shape == (3, *system.grid.shape)
    assert phrases.any()
    assert len({phrase.tobytes() for phrase in phrases}) == 1
    assert not np.array_equal(system.draw(rngs[:1], said(2)), phrases[:1])


def test_the_recipe_of_the_paper_is_that_and_the_layers_are_muse_gans() -> None:
    paper, muse = RECIPES["paper"].config, MUSE_GAN_RECIPES["paper"].config
    assert {name: getattr(paper, name) for name in PRINTED} == PRINTED
    assert paper.average == 0
    for name in ("bar_layers", "critic_filters", "critic_layers", "phrase_filters", "critic_width", "temporal_filters",
                 "steps_a_bar", "pitches", "tracks", "bars", "phrases"):  # fmt: skip
        assert getattr(paper, name) == getattr(muse, name), name
    with torch.device("meta"):
        system = ApeGan(paper)
    temporal = 384 * 2 * 1024 + 2 * 1024 + 1024 * 3 * 384 + 2 * 384  # a vector a bar as wide as the sentence
    bar, inward = 0, 2 * 384  # by the sentence and by the vector of the bar
    for outward, steps, pitches in paper.bar_layers[:-1]:
        bar, inward = bar + inward * outward * steps * pitches + 2 * outward, outward
    assert size(system.generator) == temporal + bar + 64 * 5 * 12 + 5
    assert isinstance(system.discriminator.body, PhraseCritic)
    assert set(system.optimizers()) == {"discriminator", "generator"}


def test_formula_one_is_what_the_printed_form_learns() -> None:
    system = fresh(**PRINTED)
    real, made = (torch.rand(4, *system.grid.shape) < share for share in (0.1, 0.3))
    words = torch.randn(4, 384)
    marks = [torch.sigmoid(system.discriminator(phrases.float(), words)) for phrases in (real, made)]
    by_hand = -(torch.log(marks[0]).mean() + torch.log(1 - marks[1]).mean())
    torch.testing.assert_close(system.discriminator_loss(real.float(), made.float(), words, words), by_hand)


# ---- what the discriminator is told


@torch.no_grad()
@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_discriminator_is_told_the_sentence_unless_nothing_is(condition: str) -> None:
    system = fresh(condition=condition)
    phrases = (torch.rand(3, *system.grid.shape) < 0.1).numpy()
    one, other, none = (system.odds(phrases, sentence) for sentence in (said(1), said(2), None))
    assert one.shape == (3,)
    assert ((one > 0) & (one < 1)).all()
    if condition == "none":
        assert np.array_equal(one, other)
        assert np.array_equal(one, none)
        assert system.discriminator.projected is None
    else:
        assert (one != other).all()
        assert (one != none).all()


@pytest.mark.parametrize("penalty", [0.0, 1.0])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_losses_of_each_condition_by_hand(condition: str, penalty: float) -> None:
    system = fresh(condition=condition, penalty=penalty)
    critic = system.discriminator
    real, made = ((torch.rand(6, *system.grid.shape) < share).float() for share in (0.1, 0.3))
    words, others = torch.randn(2, 6, system.config.words)
    torch.manual_seed(1)
    loss = system.discriminator_loss(real, made, words, others)
    gradients = torch.autograd.grad(loss, list(critic.parameters()), allow_unused=True)
    refused = F.softplus(critic(made, words)).mean()
    if condition == "matching":
        refused = (refused + F.softplus(critic(real, others)).mean()) / 2
    expected = F.softplus(-critic(real, words)).mean() + refused
    if penalty:
        torch.manual_seed(1)
        expected = expected + gradient_penalty(lambda phrases: critic(phrases, words), real, made, penalty)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
    wanted = torch.autograd.grad(expected, list(critic.parameters()), allow_unused=True)
    for one, other in zip(gradients, wanted, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    if not penalty:  # which is taken at other points each time
        same = torch.equal(loss, system.discriminator_loss(real, made, words, words))
        assert same == (condition != "matching"), "a sentence that is not true is heard where it is to be refused"


def test_a_penalty_behind_the_first_layer_is_that_of_its_slope() -> None:
    weight, rest = torch.randn(3, 4), torch.randn(3)  # a linear critic: its slope is the same everywhere
    real, made = torch.randn(2, 5, 1, 4)
    first = real @ weight.T, made @ weight.T
    penalty = penalty_behind(lambda read: (read @ rest).sum(1), lambda: weight @ weight.T, *first, 10.0)
    assert penalty.item() == pytest.approx(10 * (float((rest @ weight).norm()) - 1) ** 2, rel=1e-4)


def heard_words(system: ApeGan, batch: dict[str, Tensor]) -> Tensor:
    """The words that the generator reads of a batch in training, and nothing learned."""
    told: list[Tensor] = []
    hook = system.generator.register_forward_pre_hook(lambda _, inputs: told.append(inputs[0].detach()))
    for _ in system.losses(batch, 0):
        pass
    hook.remove()
    return torch.cat(told[:-1])  # the last one is drawn to learn by


def test_shuffled_sentences_are_told_to_phrases_of_others(corpus: Corpus) -> None:
    batch = dict(fresh().batch(corpus, "train", np.random.default_rng(0)))
    told = {}
    for condition in ("matching", "shuffled"):
        system = fresh(condition=condition, reads=False, noise=0, players=False, gates=False)
        told[condition] = heard_words(system, batch)
    assert torch.equal(told["shuffled"], told["matching"].roll(1, 0))
    assert not torch.equal(told["shuffled"], told["matching"])


def test_a_step_reads_then_discriminates_several_times_then_generates(corpus: Corpus) -> None:
    system = fresh().train()
    batch = system.batch(corpus, "train", np.random.default_rng(0))
    assert {name: tuple(values.shape) for name, values in batch.items()} == {
        "phrases": (32, *system.grid.shape), "sentences": (32, 384), "denied": (32, 384), "meanings": (32,),
            "denied_meanings": (32,),
        "tonics": (32,),
    }  # fmt: skip
    names = []
    for name, loss in system.losses(batch, 0):
        names.append(name)
        system.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        assert [part for part in ("reader", "discriminator", "generator")
                if any(weight.grad is not None for weight in getattr(system, part).parameters())] == [name]  # fmt: skip
    assert names == ["reader", *["discriminator"] * 4, "generator"]
    assert all(weight.grad is not None and weight.grad.any() for weight in system.generator.layers.parameters())
    assert torch.equal(system.tonics, torch.full((12,), 1 / 12))
    system.after_step(0, [batch])
    assert system.tonics.sum().item() == pytest.approx(1)
    counts = torch.bincount(batch["tonics"], minlength=12)
    assert system.tonics[counts > 0].min() > 1 / 12 > system.tonics[counts == 0].max()


def test_the_generator_rests_while_the_discriminator_learns_on_from_what_goes_out(corpus: Corpus) -> None:
    system = fresh(rests=2, rests_for=2, average=0.5).train()
    optimizers = system.optimizers()
    weights: list[dict[str, list[torch.Tensor]]] = []
    for step in range(5):
        assert system.rests(step) == (step in (2, 3))
        batch = system.batch(corpus, "train", np.random.default_rng(step))
        for name, loss in system.losses(batch, step):
            assert name != "generator" or step not in (2, 3)
            optimizers[name].zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizers[name].step()
        system.after_step(step, [batch])
        parts = {"generator": system.generator, "averaged": system.averaged, "discriminator": system.discriminator}
        weights.append({name: [one.detach().clone() for one in part.parameters()] for name, part in parts.items()})

    def moved(name: str, before: int) -> bool:
        pairs = zip(weights[before][name], weights[before + 1][name], strict=True)
        return not all(torch.equal(one, other) for one, other in pairs)

    names = ("generator", "averaged", "discriminator")
    for step in (0, 3):  # before, and in a round that comes after
        assert [moved(name, step) for name in names] == [True] * 3
    for step in (1, 2):
        assert [moved(name, step) for name in names] == [False, False, True]


def rested(out: Path) -> list[bool]:
    """Of each step of a run, whether the generator rested."""
    rows = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    return ["train/generator" not in row for row in rows]


@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_the_generator_rests_at_the_same_steps_however_many_batches_make_one(
    accumulate: int, corpus: Corpus, tmp_path: Path
) -> None:
    tiny = RECIPES["tiny"]
    chosen = Recipe(
        replace(TINY, rests=3, rests_for=2, settles=True, critic_steps=2, average=0.5),
        replace(tiny.training, steps=6, accumulate=accumulate, validate_every=6, save_every=6),
    )
    train("ape_gan", chosen, corpus, tmp_path)
    assert rested(tmp_path) == [False, False, False, True, True, False]
    system = checkpoint.load(tmp_path / "checkpoints" / "6")[0]
    assert isinstance(system, ApeGan)
    assert system.learned == 6
    assert system.thresholds is not None
    assert system.thresholds.moves == 3 * 2 * accumulate


def test_a_run_that_begins_with_weights_goes_on_counting_their_steps(corpus: Corpus, tmp_path: Path) -> None:
    """So that a rest is gone on with, and is not begun again by weights that have it behind them."""
    tiny = RECIPES["tiny"]
    config = replace(TINY, rests=2, rests_for=2, critic_steps=1)

    def run(name: str, steps: int, start: str | None) -> list[bool]:
        training = replace(tiny.training, steps=steps, validate_every=steps, save_every=steps)
        before = None if start is None else tmp_path / start / "checkpoints" / "best"
        train("ape_gan", Recipe(config, training), corpus, tmp_path / name, start=before)
        return rested(tmp_path / name)

    assert run("first", 3, None) == [False, False, True]
    assert run("second", 4, "first") == [True, False, False, False]
    assert run("third", 4, "second") == [False] * 4
    assert int(checkpoint.load(tmp_path / "third" / "checkpoints" / "4")[0].learned) == 11


def test_once_the_generator_rests_it_settles_and_music_is_drawn_by_thresholds(corpus: Corpus) -> None:
    system = sounding(fresh(rests=1, settles=True, average=0.5)).train()
    assert system.thresholds is not None
    for step in range(3):
        batch = system.batch(corpus, "train", np.random.default_rng(step))
        before = {key: value.clone() for key, value in system.state_dict().items() if ".norm." not in key}
        for _ in system.losses(batch, step):
            pass
        assert all(torch.equal(value, before[key]) for key, value in system.state_dict().items() if key in before)
        system.after_step(step, [batch])
        assert system.thresholds.moves == step * TINY.critic_steps
        assert system.fullness is not None
        assert system.fullness.curve.any() == (step > 0)
    assert system.thresholds.low[0] == 0  # the drums'
    assert system.thresholds.low[1:].any()
    other = fresh(rests=1, settles=True, average=0.5)
    other.load_state_dict(system.eval().state_dict())
    rngs = np.random.default_rng(0).spawn(3)
    noise = torch.from_numpy(np.stack([rng.standard_normal(system.generator.noise, np.float32) for rng in rngs]))
    logits = system.drawing(system.words(torch.zeros(3, 384)), noise)
    drawn = other.draw(np.random.default_rng(0).spawn(3), None)
    assert np.array_equal(drawn, system.thresholds(logits).numpy())
    assert not np.array_equal(drawn, (logits > 0).numpy())


def test_the_reader_reads_no_sentence_as_nothing(band: ApeGan) -> None:
    sentences = torch.from_numpy(np.stack([said(1), said(2), np.zeros(384, np.float32)]))
    words = band.words(sentences)
    assert words.shape == (3, TINY.words) == (3, len(MEANINGS) + 1)
    assert words[0].ne(words[1]).all()
    assert not words[2].any()
    assert band.reader is not None
    torch.testing.assert_close(band.reader(sentences).sum(1), torch.ones(3))
    assert torch.equal(band.reader(sentences).argmax(1), band.reader.odds(sentences).argmax(1))


def test_figures_of_validation_are_shares(corpus: Corpus, band: ApeGan) -> None:
    with torch.no_grad():
        figures = band.measure(band.batch(corpus, "train", np.random.default_rng(0)))
    assert next(iter(figures)) == "phrase_distance"
    for name in ("distinct", "accepted", "recognised", "read"):
        total, count = figures[name]
        assert 0 <= total <= count


# ---- noise


@torch.no_grad()
def test_phrases_of_a_piece_share_the_noise_that_stays_and_no_other(band: ApeGan) -> None:
    told: list[Tensor] = []
    hook = band.generator.register_forward_pre_hook(lambda _, inputs: told.append(inputs[1]))
    rngs, still = np.random.default_rng(0).spawn(2), dict[int, np.ndarray]()
    for _ in range(2):
        band.draw(rngs, said(1), still)
    band.draw(rngs, said(1))
    hook.remove()
    first, second, other = told
    kept = TINY.noise
    assert torch.equal(first[:, :kept], second[:, :kept])
    assert first[:, kept:].ne(second[:, kept:]).all()
    assert first[:, :kept].ne(other[:, :kept]).all(), "of another piece"
    assert first[0, :kept].ne(first[1, :kept]).all()


@torch.no_grad()
def test_a_phrase_is_its_stream_and_its_sentence_whatever_is_drawn_beside(band: ApeGan) -> None:
    many = band.draw(np.random.default_rng(0).spawn(20), said(1))
    assert len({phrase.tobytes() for phrase in many}) == 20
    assert np.array_equal(many[17:18], band.draw(np.random.default_rng(0).spawn(20)[17:18], said(1)))
    assert not np.array_equal(many, band.draw(np.random.default_rng(0).spawn(20), said(2)))


@torch.no_grad()
def test_tracks_have_noise_of_their_own_and_the_sentence_is_heard_by_all(band: ApeGan) -> None:
    generator, words = band.generator, torch.zeros(1, TINY.words)
    generator.gates = None  # it is drawn from all noise
    noise = torch.randn(1, generator.noise)

    def moved(place: int | None) -> list[bool]:
        other, said_then = noise.clone(), words.clone()
        if place is None:
            said_then += 1
        else:
            other[:, place] += 3
        return (generator(words, noise) != generator(said_then, other)).flatten(2).any(dim=2)[0].tolist()

    system = fresh()
    try:
        width = TINY.noise
        assert moved(None) == moved(0) == moved(width) == [True] * 5
        own = [moved(2 * width + 2 * width * track + width) for track in range(5)]
        assert own == np.eye(5, dtype=bool).tolist()
    finally:
        generator.gates = system.generator.gates


# ---- pieces


def test_the_same_sentence_and_seed_make_the_same_piece_and_another_sentence_another(band: ApeGan) -> None:
    request = Request(bars=8, sentence=said(1), tries=0)
    (one,), (again,) = (band.generate(request, np.random.default_rng(4)) for _ in range(2))
    assert one.dumps_midi() == again.dumps_midi()
    others = [
        band.generate(replace(request, sentence=said(2)), np.random.default_rng(4))[0],
        band.generate(request, np.random.default_rng(5))[0],
        band.generate(replace(request, sentence=None), np.random.default_rng(4))[0],
    ]
    assert len({score.dumps_midi() for score in (one, *others)}) == 4
    for score in (one, *others):
        assert len(bars(score)) == 8


@pytest.mark.parametrize("tonic", [0, 2, 6, 11])
def test_music_is_moved_to_the_key_named_and_drums_are_not(band: ApeGan, tonic: int) -> None:
    in_c, moved = (
        band.generate(Request(bars=4, sentence=said(1), key=Key(key, "minor"), tries=0), np.random.default_rng(0))[0]
        for key in (0, tonic)
    )
    up = -to_c(Key(tonic, "minor"))
    assert -6 <= up <= 6
    for track, other in zip(in_c.tracks, moved.tracks, strict=True):
        by = 0 if track.is_drum else up
        assert [(note.time, note.pitch + by) for note in track.notes] == [(n.time, n.pitch) for n in other.notes]
    strict = Request(bars=4, key=Key(tonic, "minor"), strict_key=True, tries=0)
    plain = replace(strict, key=Key(0, "minor"))
    one, other = (band.generate(request, np.random.default_rng(0))[0] for request in (plain, strict))
    assert columns(one)[1] != columns(other)[1] or tonic == 0


def test_without_words_keys_come_as_they_were_learned(band: ApeGan) -> None:
    system = sounding(fresh())
    with torch.no_grad():
        system.tonics.zero_()
        system.tonics[7] = 5
    (learned,) = system.generate(Request(bars=4, tries=0), np.random.default_rng(3))
    (named,) = system.generate(Request(bars=4, key=Key(7, "major"), strict_key=True, tries=0), np.random.default_rng(3))
    assert learned.dumps_midi() == named.dumps_midi()


def test_the_way_to_c_and_the_way_back_are_one() -> None:
    for tonic in range(12):
        song = little_song(2)
        before = columns(song)
        transpose(song, tonic)
        assert (estimate_key(little_song(2))[0].tonic + tonic) % 12 == estimate_key(song)[0].tonic
        for track in song.tracks:
            if not track.is_drum:
                track.shift_pitch(to_c(Key(tonic, "major")), inplace=True)
        assert columns(song) == before, "a tritone too"


# ---- sizes


@torch.no_grad()
def test_seventeen_tracks_play() -> None:
    system = sounding(fresh(tracks="seventeen"))
    (score,) = system.generate(Request(bars=4, sentence=said(1), tries=0), np.random.default_rng(0))
    assert len(score.tracks) == 17
    assert sum(len(track.notes) > 0 for track in score.tracks) > 8
    assert 0 < system.odds_of(score, said(1)) < 1
    with torch.device("meta"):
        small = ApeGan(RECIPES["small-seventeen"].config)
    assert small.generator.players == 17


def test_every_recipe_builds() -> None:
    for name, recipe in RECIPES.items():
        with torch.device("meta"):
            system = ApeGan(recipe.config)
        assert (system.averaged is None) == (recipe.config.average == 0), name
        assert recipe.config.condition in CONDITIONS


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"condition": "kazoo"}, "no condition 'kazoo'"),
        ({"bars": 2}, "at least 3 bars"),
        ({"pitches": 61}, "16 steps of 60 pitches"),
        ({"bar_layers": ((24, 4, 1), (8, 1, 5), (16, 4, 1), (0, 1, 12))}, "steps before pitches"),
        ({"critic_layers": ((16, 4, 4), (16, 5, 4))}, "critic_layers"),
        ({"average": 1.0}, "average"),
        ({"critic_steps": 0}, "at least 1"),
        ({"noise": -1}, "at least 1"),
        ({"noise": 0}, "gates"),
        ({"settles": True}, "settles"),
        ({"tracks": "trio"}, "no tracks 'trio'"),
    ],
)
def test_numbers_that_make_no_network_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words) as raised:
        fresh(**changes)
    assert "\n" not in str(raised.value)
