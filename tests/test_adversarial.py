"""The parts of critics and generators, against what can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from orchestrion.data.store import Corpus
from orchestrion.models.layers.adversarial import (
    NORMS,
    Gates,
    average_of,
    binary_neurons,
    discriminator_loss,
    follow_,
    generator_loss,
    gradient_penalty,
    norm,
    wasserstein_loss,
)
from orchestrion.models.registry import recipe, system_class


def test_the_penalty_of_a_linear_critic_is_its_slope_alone() -> None:
    weights = torch.tensor([3.0, 4.0]).requires_grad_()
    real, made = torch.randn(6, 2), torch.randn(6, 2)
    penalty = gradient_penalty(lambda phrases: phrases @ weights, real, made, weight=10.0)
    assert penalty.item() == pytest.approx(10 * (5 - 1) ** 2)
    penalty.backward()  # type: ignore[no-untyped-call]
    assert weights.grad is not None
    torch.testing.assert_close(weights.grad, 2 * 10 * 4 * torch.tensor([3.0, 4.0]) / 5)


def test_the_penalty_is_taken_between_real_and_made() -> None:
    seen: list[torch.Tensor] = []

    def critic(phrases: torch.Tensor) -> torch.Tensor:
        seen.append(phrases.detach())
        return phrases.square().sum(1)

    torch.manual_seed(0)
    gradient_penalty(critic, torch.ones(500, 2), torch.zeros(500, 2))
    (points,) = seen
    assert torch.equal(points[:, 0], points[:, 1]), "one share a phrase"
    assert 0 <= points.min() < 0.05 < 0.95 < points.max() <= 1


def test_losses_by_hand() -> None:
    real, made = torch.tensor([2.0, 0.0]), torch.tensor([-1.0, 3.0])
    assert wasserstein_loss(real, made).item() == pytest.approx(1.0 - 1.0)
    nothing = torch.zeros(2)
    assert discriminator_loss(nothing, nothing).item() == pytest.approx(2 * torch.log(torch.tensor(2.0)).item())
    assert generator_loss(nothing).item() == pytest.approx(torch.log(torch.tensor(2.0)).item())
    sure = torch.full((2,), 30.0)
    assert discriminator_loss(sure, -sure).item() < 1e-6 < discriminator_loss(sure, -sure, real_label=0.9).item()


@pytest.mark.parametrize("stochastic", [False, True])
def test_binary_neurons_are_binary_and_let_gradients_through(stochastic: bool) -> None:
    torch.manual_seed(0)
    odds = torch.full((4000,), 0.7, requires_grad=True)
    fired = binary_neurons(odds, stochastic)
    assert set(fired.unique().tolist()) == ({0.0, 1.0} if stochastic else {1.0})
    assert fired.mean().item() == pytest.approx(0.7 if stochastic else 1.0, abs=0.03)
    (fired * torch.arange(4000)).sum().backward()  # type: ignore[no-untyped-call]
    assert odds.grad is not None
    torch.testing.assert_close(odds.grad, torch.arange(4000.0))


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_only_batch_norm_couples_phrases(kind: str, axes: int) -> None:
    torch.manual_seed(0)
    layer, phrases = norm(kind, 4, axes).train(), torch.randn(5, 4, *[3] * axes)
    other = phrases.clone()
    other[1:] += torch.randn_like(other[1:])
    coupled = not torch.allclose(layer(phrases)[0], layer(other)[0])
    assert coupled == (kind == "batch")


def test_the_mean_of_weights_follows_and_learns_nothing() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    average = average_of(network)
    assert not any(weight.requires_grad for weight in average.parameters())
    before = {name: value.clone() for name, value in average.state_dict().items()}
    with torch.no_grad():
        network[0].weight.add_(8.0)
    network(torch.randn(16, 3) + 5)
    follow_(average, network, 0.75)
    after, learned = average.state_dict(), network.state_dict()
    assert torch.equal(after["0.weight"], before["0.weight"] + 2)
    torch.testing.assert_close(after["1.running_mean"], 0.25 * learned["1.running_mean"])
    assert after["1.num_batches_tracked"] == 1


def test_gates_shut_and_never_open_further() -> None:
    torch.manual_seed(0)
    gates = Gates(100, 64, 5)
    shut = gates(torch.randn(4000, 100))
    assert shut.shape == (4000, 5)
    assert shut.max() < 0
    assert 0.5 < (shut > -1).float().mean() < 0.95, "most are open"
    assert 0.01 < (shut < -4).float().mean() < 0.2, "some are shut"
    shut.sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in gates.parameters())


@pytest.mark.parametrize(
    ("name", "changes", "kept"),
    [
        ("cnn_lstm_gan", {}, 0.5),
        ("cnn_lstm_gan", {"generator_steps": 2}, 0.25),
        ("muse_gan", {}, 0.5),
        ("wgan_gp_attention", {}, 0.5),
    ],
)
def test_music_is_made_by_the_mean_of_weights(name: str, changes: dict[str, int], kept: float, corpus: Corpus) -> None:
    torch.manual_seed(0)
    system: Any = system_class(name)(replace(recipe(name, "tiny").config, average=0.5, phrases=4, **changes))
    optimizers = system.optimizers()
    owned = {id(weight) for one in optimizers.values() for group in one.param_groups for weight in group["params"]}
    assert not owned & {id(weight) for weight in system.averaged.parameters()}
    began = [weight.clone() for weight in system.generator.parameters()]
    batch = system.batch(corpus, "train", np.random.default_rng(0))
    for which, loss in system.losses(batch, 0):
        optimizers[which].zero_grad()
        loss.backward()
        optimizers[which].step()
    assert all(torch.equal(mean, first) for mean, first in zip(system.averaged.parameters(), began, strict=True))
    system.after_step(0, [batch])
    for mean, first, last in zip(system.averaged.parameters(), began, system.generator.parameters(), strict=True):
        torch.testing.assert_close(mean, kept * first + (1 - kept) * last)
    batch = system.eval().batch(corpus, "train", np.random.default_rng(1))
    with torch.no_grad():
        torch.manual_seed(1)
        measured = system.measure(batch)
        for weight in system.generator.parameters():
            weight.zero_()
        torch.manual_seed(1)
        again = system.measure(batch)
    assert measured == again, "the generator that learns makes nothing"
