"""Muon's orthogonal matrices: how near singular values come to 1, in which precision, and matrices taken together."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from orchestrion.models.layers.optimizer import MuonAdamW, orthogonalize


def with_values(values: Tensor, seed: int = 0) -> Tensor:
    """A square matrix of these singular values."""
    generator = torch.Generator().manual_seed(seed)
    left, right = (torch.linalg.qr(torch.randn(len(values), len(values), generator=generator)).Q for _ in range(2))
    return left * values @ right


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e4])
@pytest.mark.parametrize(("bf16", "low", "high"), [(False, 0.85, 1.15), (True, 0.8, 1.2)])
def test_singular_values_from_a_hundredth_on_come_near_one(size: float, bf16: bool, low: float, high: float) -> None:
    matrix = with_values(torch.logspace(0, -2, 64)) * size
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        got = orthogonalize(matrix)
    assert got.dtype == matrix.dtype
    values = torch.linalg.svdvals(got)
    assert low < values.min() <= values.max() < high


@pytest.mark.parametrize("bf16", [False, True])
def test_a_matrix_of_one_direction_does_not_run_away(bf16: bool) -> None:
    matrix = torch.outer(torch.randn(48, generator=torch.Generator().manual_seed(1)), torch.ones(32))
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        values = torch.linalg.svdvals(orthogonalize(matrix))
    assert 0.8 < values[0] < 1.2
    assert values[1:].max() < 0.2


def test_nothing_stays_nothing() -> None:
    assert torch.equal(orthogonalize(torch.zeros(2, 8, 4)), torch.zeros(2, 8, 4))


def test_matrices_step_together_as_they_step_alone() -> None:
    generator = torch.Generator().manual_seed(2)
    shapes = [((24, 8), 3), ((8, 8), 1), ((32, 8), 1), ((8, 32), 1), ((8, 8), 1)]
    starts, gradients = ([torch.randn(shape, generator=generator) for shape, _ in shapes] for _ in range(2))

    def stepped(chosen: list[int]) -> list[Tensor]:
        weights = [nn.Parameter(starts[index].clone()) for index in chosen]
        optimizer = MuonAdamW([(w, shapes[i][1]) for w, i in zip(weights, chosen, strict=True)], [])
        for weight, index in zip(weights, chosen, strict=True):
            weight.grad = gradients[index].clone()
        optimizer.step()
        assert all(list(optimizer.state[weight]) == ["momentum"] for weight in weights)
        return [weight.detach() for weight in weights]

    together = stepped(list(range(len(shapes))))
    for index, weight in enumerate(together):
        torch.testing.assert_close(weight, stepped([index])[0], atol=1e-5, rtol=1e-5)
