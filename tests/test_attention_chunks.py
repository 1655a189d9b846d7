"""Attention and the network of a block as they are learned on a CPU, against PyTorch's own gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from orchestrion.models.layers import attention
from orchestrion.models.layers.attention import chunked_causal_attention, rotate, squared_relu_network

HEADS, HEAD_WIDTH, WIDTH = 3, 8, 24


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def turns(batch: int, steps: int) -> tuple[Tensor, Tensor]:
    angles = drawn(batch, steps, 1, HEAD_WIDTH // 2, seed=1).mul(9).repeat(1, 1, 1, 2)
    return angles.cos(), angles.sin()


def plain_attention(inward: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    by_step = inward.unflatten(-1, (3 * HEADS, HEAD_WIDTH))
    turned = rotate(by_step[:, :, : 2 * HEADS], *turn).to(inward.dtype)
    queries, keys, values = torch.cat([turned, by_step[:, :, 2 * HEADS :]], dim=2).transpose(1, 2).chunk(3, dim=1)
    mixed = F.scaled_dot_product_attention(queries, keys, values, is_causal=True)
    return mixed.transpose(1, 2).flatten(2)


@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
@pytest.mark.parametrize("steps", [1, 5, 128, 300])
def test_attention_in_chunks_equals_the_fused_kernel(steps: int, kind: torch.dtype, tolerance: float) -> None:
    turn, gradient = turns(2, steps), drawn(2, steps, WIDTH, seed=2).to(kind)
    inward = drawn(2, steps, 3 * WIDTH, seed=3).to(kind).requires_grad_()
    expected, got = plain_attention(inward, turn), chunked_causal_attention(inward, turn, HEADS)
    assert got.dtype == kind
    torch.testing.assert_close(got, expected, atol=tolerance, rtol=tolerance)
    (expected_slope,), (slope,) = (torch.autograd.grad(one, inward, gradient) for one in (expected, got))
    torch.testing.assert_close(slope, expected_slope, atol=tolerance, rtol=tolerance)


def test_its_gradients_are_those_of_differences() -> None:
    inward = drawn(2, 5, 3 * WIDTH, seed=4).double().requires_grad_()
    cosines, sines = turns(2, 5)
    turn = cosines.double(), sines.double()
    assert torch.autograd.gradcheck(lambda x: chunked_causal_attention(x, turn, HEADS), inward)


def test_one_turn_serves_all_sequences() -> None:
    inward, turn = drawn(2, 7, 3 * WIDTH, seed=5), turns(1, 7)
    torch.testing.assert_close(chunked_causal_attention(inward, turn, HEADS), plain_attention(inward, turn))


@pytest.mark.parametrize(("kind", "taken"), [(torch.float32, True), (torch.bfloat16, True), (torch.float64, False)])
def test_both_precisions_are_learned_in_chunks(kind: torch.dtype, taken: bool) -> None:
    inward = drawn(2, 7, 3 * WIDTH, seed=6).to(kind).requires_grad_()
    name = type(attention.causal_attention(inward, turns(2, 7), HEADS).grad_fn).__name__
    assert (name == "_CausalAttentionBackward") is taken


@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("rows", [1, 300])
def test_the_network_in_chunks_equals_the_plain_one(rows: int, kind: torch.dtype, tolerance: float) -> None:
    x = drawn(2, rows, WIDTH, seed=7).requires_grad_()
    widen, narrow = (drawn(*shape, seed=8).div(8).requires_grad_() for shape in ((96, WIDTH), (WIDTH, 96)))
    weights = (x, widen, narrow)
    with torch.autocast("cpu", torch.bfloat16, enabled=kind == torch.bfloat16):
        expected = F.linear(F.relu(F.linear(x, widen)).square(), narrow)
        got = squared_relu_network(x, widen, narrow)
    assert got.dtype == expected.dtype == kind
    pairs = [(got, expected)]
    gradient = drawn(2, rows, WIDTH, seed=9).to(kind)
    pairs += zip(*(torch.autograd.grad(one, weights, gradient) for one in (got, expected)), strict=True)
    for one, other in pairs:
        assert one.dtype == other.dtype
        off = float((one - other).detach().abs().max())
        assert off < tolerance * max(1, float(other.detach().abs().max()))
