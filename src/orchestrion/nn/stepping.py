"""`Block` for one new row of each sequence, with little around the products: what composing note by note runs on.

A step reads every weight once for few rows, so the weights are better small: whole numbers of eight bits with one scale
a row (absmax quantisation, Dettmers et al. 2022), multiplied with activations that stay floating point.

Legend: B sequences, H heads, D width, I and O inputs and outputs of a product, S rows in the cache, R rotated pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from orchestrion.nn.attention import Block, Cache

Product = Callable[[Tensor], Tensor]


def int8_is_fast() -> bool:
    """Whether this processor has a kernel for `product(..., int8=True)`; without one it is slower than float32."""
    return hasattr(torch, "_weight_int8pack_mm") and torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")


def bf16_is_fast() -> bool:
    """Whether this processor multiplies in bf16."""
    return bool(torch.cpu._is_avx512_bf16_supported())


def product(linear: nn.Linear, *, int8: bool) -> Product:
    """The layer as a function (B, I) -> (B, O) of float32, its weights in eight bits where asked."""
    weight, bias = linear.weight.detach(), None if linear.bias is None else linear.bias.detach()
    if not int8:
        return lambda x: F.linear(x, weight, bias)
    scales = (weight.abs().amax(1).clamp(min=1e-8) / 127).bfloat16()  # (O,)
    whole = (weight / scales.float().unsqueeze(1)).round().clamp(-127, 127).to(torch.int8)
    if bias is None:
        return lambda x: torch._weight_int8pack_mm(x.bfloat16(), whole, scales).float()
    return lambda x: torch._weight_int8pack_mm(x.bfloat16(), whole, scales) + bias


class BlockStep:
    """What `block` gives for one more row a sequence; a row of the result depends on that sequence alone."""

    def __init__(self, block: Block, *, int8: bool) -> None:
        self.heads = block.attention.heads
        self.attention_norm, self.network_norm = block.attention_norm.weight, block.network_norm.weight
        self.inward = product(block.attention.inward, int8=int8)
        self.outward = product(block.attention.outward, int8=int8)
        self.widen, self.narrow = product(block.widen, int8=int8), product(block.narrow, int8=int8)

    def __call__(
        self, x: Tensor, turn: tuple[Tensor, Tensor], cache: Cache, place: tuple[Any, ...], size: int,
        seen: Tensor | None,
    ) -> Tensor:  # fmt: skip
        """(B, D) -> (B, D), adding the row to the cache.

        turn: cosines and sines (B, 1, 2R), the sines of the first half with their sign changed.
        place: where the new row lies in the cache; size: rows to look at; seen: (B, 1, 1, S), 0 or -inf, None for all.
        """
        heads, shape = self.heads, x.shape[1:]
        inward = self.inward(torch.layer_norm(x, shape, self.attention_norm)).view(len(x), 3 * heads, -1)
        queries_keys = inward[:, : 2 * heads]
        first, second = queries_keys.chunk(2, dim=-1)
        turned = torch.addcmul(queries_keys * turn[0], torch.cat([second, first], dim=-1), turn[1])
        cache.keys[place] = turned[:, heads:]
        cache.values[place] = inward[:, 2 * heads :]
        mixed = F.scaled_dot_product_attention(
            turned[:, :heads].unsqueeze(2), cache.keys[:, :, :size], cache.values[:, :, :size], attn_mask=seen
        )
        x = x + self.outward(mixed.view(len(x), -1))
        wide = self.widen(torch.layer_norm(x, shape, self.network_norm)).relu_()
        return x + self.narrow(wide.mul_(wide))
