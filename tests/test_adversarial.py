"""The parts of critics and generators, against what can be worked out by hand."""

from __future__ import annotations

import pytest
import torch

from orchestrion.nn.adversarial import (
    NORMS,
    binary_neurons,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    norm,
    wasserstein_loss,
)


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
