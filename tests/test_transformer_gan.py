"""Transformer-GAN: events and their gradients, its phases, what padding does not change, and features by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from orchestrion.data.store import Corpus
from orchestrion.models.base import RecipeError, Request
from orchestrion.models.zoo.transformer_gan import (
    ESTIMATORS,
    NOTATION,
    RECIPES,
    TransformerGAN,
    TransformerGANConfig,
    event_features,
    one_hot,
)
from orchestrion.music.extent import length_seconds
from orchestrion.representations.performance import NOTE_OFF, NOTE_ON, SHIFT, VELOCITY

TINY: TransformerGANConfig = RECIPES["tiny"].config


def system(config: TransformerGANConfig = TINY) -> TransformerGAN:
    """With weights that are nowhere zero, as they are at the start of training."""
    torch.manual_seed(0)
    made = TransformerGAN(config)
    for weight in made.parameters():
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.1)
    return made


def some_noise(count: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(count, TINY.events, TINY.noise, generator=torch.Generator().manual_seed(seed))


# ---- networks


@torch.no_grad()
def test_noise_becomes_events_and_each_looks_back_only() -> None:
    one = system().eval()
    noise = some_noise()
    logits = one.generator(noise)
    assert logits.shape == (3, 48, 388)
    other = torch.cat([noise[:, :20], some_noise(seed=1)[:, 20:]], dim=1)
    changed = one.generator(other)
    torch.testing.assert_close(changed[:, :20], logits[:, :20], atol=1e-5, rtol=0)
    assert not torch.allclose(changed[:, 20:], logits[:, 20:], atol=1e-2)
    assert not torch.allclose(logits[0], logits[1], atol=1e-2)


def test_the_paper_has_the_numbers_of_the_paper() -> None:
    one = system(RECIPES["paper"].config)
    first = one.generator[0][0]
    assert (first.in_features, first.out_features) == (50, 64), "D x Z where the embedding was"
    assert len(one.generator[1].layers) == 4
    assert one.generator[1].layers[0].attention.heads == 8
    assert one.discriminator.mark.in_features == 388
    assert one.encoder is None


@torch.no_grad()
def test_padding_does_not_change_a_mark() -> None:
    one = system().eval()
    tokens = torch.randint(0, 388, (4, 48), generator=torch.Generator().manual_seed(0))
    padded = torch.where(torch.arange(48) < 30, tokens, -1)
    torch.testing.assert_close(one.discriminator(one_hot(padded)), one.discriminator(one_hot(tokens[:, :30])))
    assert not torch.allclose(one.discriminator(one_hot(tokens)), one.discriminator(one_hot(padded)))


# ---- events and gradients


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_discriminator_sees_whole_events_and_the_generator_a_gradient(estimator: str) -> None:
    one = system(replace(TINY, estimator=estimator))
    logits = one.generator(some_noise())
    events = one.written(logits)
    torch.testing.assert_close(events.sort(-1).values[..., -2:], torch.tensor([0.0, 1.0]).expand(3, 48, 2))
    one.discriminator(events).sum().backward()  # type: ignore[no-untyped-call]
    for weight in one.generator.parameters():
        assert weight.grad is not None
        assert weight.grad.any()
    assert not F.one_hot(logits.argmax(-1), 388).float().requires_grad, "as printed no gradient passes"


def test_straight_through_takes_the_likeliest_and_gumbel_draws() -> None:
    logits = some_noise(2)[..., :1] * torch.zeros(388)
    logits[..., 7] = 3.0
    likeliest = system(replace(TINY, estimator="straight-through")).written(logits).argmax(-1)
    assert (likeliest == 7).all()
    torch.manual_seed(0)
    drawn = system().written(logits.expand(2, 48, 388)).argmax(-1)
    odds = np.exp(3) / (np.exp(3) + 387)
    assert float((drawn == 7).float().mean()) == pytest.approx(odds, abs=0.08)


# ---- phases


def stepped(one: TransformerGAN, corpus: Corpus, step: int = 0) -> list[str]:
    """Which losses a step has; each is taken."""
    optimizers, names = one.optimizers(), []
    batch = one.batch(corpus, "train", np.random.default_rng(step))
    for name, loss in one.losses(batch, step):
        optimizers[name].zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizers[name].step()
        names.append(name)
    one.after_step(step, [batch])
    return names


def test_the_likelihood_phase_comes_first_and_is_kept_in_checkpoints(corpus: Corpus) -> None:
    one = system(replace(TINY, likelihood_steps=2)).train()
    kept = {key: value.clone() for key, value in one.state_dict().items()}
    assert stepped(one, corpus) == ["discriminator", "generator"]
    moved = {key.partition(".")[0] for key, value in one.state_dict().items() if not torch.equal(value, kept[key])}
    assert moved == {"generator", "encoder", "discriminator", "steps_taken"}
    other = system(one.config).train()
    other.load_state_dict(one.state_dict())
    for again, step in ((one, 1), (other, 0)):  # gone on with, and begun with in a run that counts anew
        assert stepped(again, corpus, step) == ["discriminator", "generator"]
        kept = {key: value.clone() for key, value in again.state_dict().items()}
        assert stepped(again, corpus, step + 1) == ["discriminator", "generator"]
        moved = {
            key.partition(".")[0] for key, value in again.state_dict().items() if not torch.equal(value, kept[key])
        }
        assert moved == {"generator", "discriminator", "steps_taken"}


def test_batches_side_by_side_count_one_step(corpus: Corpus) -> None:
    one = system(replace(TINY, likelihood_steps=5)).train()
    batches = [one.batch(corpus, "train", np.random.default_rng(number)) for number in range(3)]
    for batch in batches:
        assert [name for name, _ in one.losses(batch, 0)] == ["discriminator", "generator"]
    assert int(one.steps_taken) == 0
    one.after_step(0, batches)
    assert int(one.steps_taken) == 1


def test_the_bound_falls_and_is_above_nothing(corpus: Corpus) -> None:
    one = system(replace(TINY, generator_rate=5e-3)).train()
    batch = one.batch(corpus, "train", np.random.default_rng(0))

    def nats() -> float:
        torch.manual_seed(1)
        with torch.no_grad():
            total, count = one.window_nats(batch["tokens"])
        assert count == (batch["tokens"] >= 0).sum()
        return float(total / count)

    before = nats()
    assert before > np.log(388) - 0.5
    optimizer = one.optimizers()["generator"]
    for _ in range(30):
        total, count = one.window_nats(batch["tokens"])
        optimizer.zero_grad()
        (total / count).backward()
        optimizer.step()
    assert 0 < nats() < 0.8 * before


# ---- music


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_pieces_are_longer_than_one_output(estimator: str) -> None:
    one = system(replace(TINY, estimator=estimator)).eval()

    def made(count: int = 2, **options: float) -> list[bytes]:
        request = Request(count=count, seconds=8.0, **options)  # type: ignore[arg-type]
        scores = one.generate(request, np.random.default_rng(3))
        assert all(length_seconds(score) == pytest.approx(8.0, abs=0.01) for score in scores)
        return [score.dumps_midi() for score in scores]

    first = made()
    assert len(set(first)) == 2
    assert (made(temperature=0.5) == first) == (estimator == "straight-through"), "all chance is in the noise"
    assert len(set(made(temperature=0.0))) == 2, "each piece has noise of its own"


# ---- figures


def test_features_by_hand() -> None:
    on, off, shift, velocity = (lambda number, first=first: first + number for first in
                                (NOTE_ON, NOTE_OFF, SHIFT - 1, VELOCITY))  # fmt: skip
    window = [velocity(9), on(60), on(64), shift(1), on(64), off(60), shift(100), off(60)]
    features = event_features(np.array([window, [on(60), *[-1] * 7]]))
    groups, classes, pairs, struck = np.split(features, [37, 49, 65], axis=1)
    assert np.flatnonzero(groups[0]).tolist() == [5, 16, 22, 28, 31]
    assert groups[0][[5, 16, 22, 28, 31]] == pytest.approx(np.array([3, 2, 1, 1, 1]) / 8)
    assert classes[0, [0, 4]] == pytest.approx([1 / 3, 2 / 3])
    assert np.flatnonzero(pairs[0]).tolist() == [0, 1, 2, 6, 8, 9, 12]
    assert pairs[0].sum() == pytest.approx(1)
    assert struck[0] == pytest.approx([1 / 3, 1 / 2]), "64 is struck again as it sounds; 60 ends once"
    assert (groups[1].sum(), classes[1].sum(), pairs[1].sum(), struck[1].tolist()) == (1, 1, 0, [0, 0])


def test_collapse_is_measured_and_said(corpus: Corpus) -> None:
    one = system(replace(TINY, estimator="straight-through")).eval()
    batch = one.batch(corpus, "valid", np.random.default_rng(0))
    same = {**batch, "noise": batch["noise"][:1].expand_as(batch["noise"])}
    with torch.no_grad():
        figures = {name: total / count for name, (total, count) in one.measure(same).items()}
    assert next(iter(figures)) == "event_distance"
    assert figures["spread"] == pytest.approx(0, abs=1e-6)
    assert figures["distinct"] == 1 / TINY.windows
    said = one.remarks(figures)
    assert any("has collapsed" in line for line in said)
    assert any("repeats itself" in line for line in said)
    assert one.remarks({**figures, "spread": 0.9, "distinct": 1.0, "critic_gap": 0.5}) == []


@pytest.mark.parametrize(
    "wrong", [{"estimator": "argmax"}, {"width": 33}, {"events": 1}, {"softness": 0.0}, {"likelihood_steps": -1}]
)
def test_numbers_that_make_no_network_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(RecipeError):
        replace(TINY, **wrong)


def test_groups_of_events_cover_all_and_stand_in_their_order() -> None:
    groups = event_features(np.arange(NOTATION.size)[:, None])[:, :37].argmax(axis=1)
    assert sorted(set(groups.tolist())) == list(range(37))
    assert (np.diff(groups) >= 0).all()
