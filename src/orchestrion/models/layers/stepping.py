"""`Block` for one new row of each sequence, with little around the products: what composing note by note runs on.

A step reads every weight once for few rows, so the weights are better small: whole numbers of eight bits with one scale
a row (absmax quantisation, Dettmers et al. 2022), multiplied with activations that stay floating point. Between the
products lie small arrays, for which a call of numpy costs less than one of PyTorch, and its product of a matrix with a
vector reads the cache faster than PyTorch's attention does.

Legend: B sequences, H heads, D width, I and O inputs and outputs of a product, S rows in the cache, R rotated pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from orchestrion.models.layers.attention import Block, Cache

Product = Callable[[Tensor], Tensor]


def int8_is_fast() -> bool:
    """Whether this processor has a kernel for `product(..., int8=True)`; without one it is slower than float32."""
    return hasattr(torch, "_weight_int8pack_mm") and torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")


def bf16_is_fast() -> bool:
    """Whether this processor multiplies in bf16."""
    return bool(torch.cpu._is_avx512_bf16_supported())


def product(linear: nn.Linear, *, int8: bool, rounded: bool = False) -> Product:
    """The layer as a function (B, I) -> (B, O) of float32, its weights in eight bits where asked. Takes bfloat16 as
    well where they are; rounded: gives bfloat16 there, which its kernel computes, and float32 elsewhere."""
    weight, bias = linear.weight.detach(), None if linear.bias is None else linear.bias.detach()
    if not int8:
        return lambda x: F.linear(x, weight, bias)
    scales = (weight.abs().amax(1).clamp(min=1e-8) / 127).bfloat16()  # (O,)
    whole = (weight / scales.float().unsqueeze(1)).round().clamp(-127, 127).to(torch.int8)
    if bias is not None:
        return lambda x: torch._weight_int8pack_mm(x.bfloat16(), whole, scales) + bias
    if rounded:
        return lambda x: torch._weight_int8pack_mm(x.bfloat16(), whole, scales)
    return lambda x: torch._weight_int8pack_mm(x.bfloat16(), whole, scales).float()


class BlockStep:
    """What `block` gives for one more row a sequence; a row of the result depends on that sequence alone."""

    def __init__(self, block: Block, *, int8: bool) -> None:
        self.heads = block.attention.heads
        self.attention_norm, self.network_norm = block.attention_norm.weight, block.network_norm.weight
        self.inward = product(block.attention.inward, int8=int8)
        self.outward = product(block.attention.outward, int8=int8)
        self.widen = product(block.widen, int8=int8, rounded=True)
        self.narrow = product(block.narrow, int8=int8)

    def __call__(
        self, x: Tensor, turn: tuple[np.ndarray, np.ndarray], cache: Cache, place: tuple[Any, ...], size: int,
        seen: np.ndarray | None,
    ) -> Tensor:  # fmt: skip
        """(B, D) -> (B, D), adding the row to the cache.

        turn: of `turns`; place: where the new row lies in the cache; size: rows to look at; seen: (B, 1, S), 0 or -inf,
        None for all.
        """
        shape = x.shape[1:]
        inward = self.inward(torch.layer_norm(x, shape, self.attention_norm)).numpy()
        mixed = self._mixed(inward.reshape(len(x), 3 * self.heads, -1), turn, cache, place, size, seen)
        x = x + self.outward(torch.from_numpy(mixed))
        wide = self.widen(torch.layer_norm(x, shape, self.network_norm)).relu_()
        return x + self.narrow(wide.mul_(wide))

    def _mixed(
        self, inward: np.ndarray, turn: tuple[np.ndarray, np.ndarray], cache: Cache, place: tuple[Any, ...], size: int,
        seen: np.ndarray | None,
    ) -> np.ndarray:  # fmt: skip
        """Queries, keys and values before their turn, (B, 3H, D / H) -> (B, D)."""
        heads, (cosines, sines) = self.heads, turn
        pairs, keys, values = sines.shape[-1], cache.keys.numpy(), cache.values.numpy()
        straight = inward[:, : 2 * heads]
        turned = straight * cosines
        turned[..., :pairs] -= straight[..., pairs:] * sines
        turned[..., pairs:] += straight[..., :pairs] * sines
        keys[place] = turned[:, heads:]
        values[place] = inward[:, 2 * heads :]
        queries = turned[:, :heads] * np.float32((2 * pairs) ** -0.5)
        weights = np.matmul(keys[:, :, :size], queries[..., None])[..., 0]  # (B, H, S)
        if seen is not None:
            weights += seen
        weights -= weights.max(-1, keepdims=True)
        np.exp(weights, out=weights)
        mixed = np.matmul(weights[:, :, None], values[:, :, :size])[:, :, 0]
        mixed /= weights.sum(-1, keepdims=True)
        result: np.ndarray = mixed.reshape(len(mixed), -1)
        return result


def turns(angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angles (B, R) -> cosines (B, 1, 2R) and sines (B, 1, R), as `BlockStep` takes them."""
    cosines, sines = np.cos(angles)[:, None], np.sin(angles)[:, None]
    return np.concatenate([cosines, cosines], axis=-1), sines
