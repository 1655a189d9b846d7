"""The critic of phrases of several tracks: pitches are gathered first, then the steps of a bar, then bars (Dong et al.
2018), as products of matrices.

Legend: B phrases, K tracks, M critics side by side, S steps of a phrase, P pitches, R places, C and F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from orchestrion.models.layers.bar_layers import LEAK, Growth, Layer, gathered

#: (filters, kernel, stride) of a convolution over time.
Convolution = tuple[int, int, int]


def steps_left(steps: int, layers: Sequence[Convolution]) -> int:
    """What convolutions over time leave of so many steps; below 1 where they take more than there are."""
    for _, kernel, stride in layers:
        steps = (steps - kernel) // stride + 1
    return steps


def layers_fault(steps_a_bar: int, pitches: int, growths: Sequence[Growth], layers: Sequence[Convolution]) -> str:
    """What keeps a generator of these `growths` and a critic of these `layers` from bars of so many steps and pitches;
    "" where nothing does."""
    grown = [prod(growth[axis] for growth in growths) for axis in (1, 2)]
    if grown != [steps_a_bar, pitches]:
        return f"bar_layers make {grown[0]} steps of {grown[1]} pitches, but the grid has {steps_a_bar} of {pitches}"
    growing = [high > 1 for _, _, high in growths]
    if growing != sorted(growing) or any(long > 1 < high for _, long, high in growths[:-1]):
        return "bar_layers must make steps before pitches, but for the last of them"
    if steps_left(steps_a_bar // growths[-1][1], layers) < 1:
        return f"critic_layers need more than the {steps_a_bar} steps of a bar"
    return ""


class PhraseCritic(nn.Module):
    """Tracks (B, K, S, P) and, where one is, the track given (B, S, P) -> marks (B, M): of each track by itself, where
    `jamming`, else of all at once.

    tracks: those it marks; beside: tracks given next to each of them. bars of steps_a_bar. growths: the layers of the
    generator, whose kernels over pitch are mirrored, with `filters`, and the first of which gathers the steps of the
    last of those too. layers: over the steps of a bar; then two over bars of `phrase_filters`, and one of `width`.
    """

    def __init__(
        self, tracks: int, *, jamming: bool = False, beside: int = 0, bars: int, steps_a_bar: int,
        growths: Sequence[Growth], filters: int, layers: Sequence[Convolution], phrase_filters: tuple[int, int],
        width: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.jamming, self.bars, self.steps_a_bar, self.convolutions = jamming, bars, steps_a_bar, tuple(layers)
        players, self.own = (tracks, 1) if jamming else (1, tracks)
        #: the mirrored kernels of pitch: what the first layer gathers, and the one behind it
        first, *others = [pitches for _, _, pitches in reversed(growths) if pitches > 1]
        self.gathers = growths[-1][1], first
        self.heard = self.own + beside
        self.opening = Layer(players, prod(self.gathers) * self.heard, filters, norm=False, leak=None)
        self.over_pitch = nn.ModuleList(
            Layer(players, kernel * filters, filters, norm=False, leak=LEAK) for kernel in others
        )
        self.over_steps, inward = nn.ModuleList(), filters
        for outward, kernel, _ in layers:
            self.over_steps.append(Layer(players, kernel * inward, outward, norm=False, leak=LEAK))
            inward = outward
        early, late = phrase_filters
        left = steps_left(steps_a_bar // self.gathers[0], layers)
        self.over_bars = nn.ModuleList([
            Layer(players, 2 * inward * left, early, norm=False, leak=LEAK),
            Layer(players, (bars - 1) * early, late, norm=False, leak=LEAK),
            Layer(players, late, width, norm=False, leak=LEAK),
            Layer(players, width, 1, norm=False, leak=None),
        ])  # fmt: skip

    def forward(self, phrases: Tensor, given: Tensor | None = None) -> Tensor:
        return self.marks(self.first(phrases, given))

    def first(self, phrases: Tensor, given: Tensor | None = None) -> Tensor:
        """-> what the first layer makes of them, without its ReLU: (M, B, R, F)."""
        if self.jamming:
            x = phrases.transpose(0, 1).unsqueeze(2)  # (M, B, 1, S, P)
            if given is not None:
                x = torch.cat([x, given[None, :, None].expand(len(x), -1, -1, -1, -1)], dim=2)
        else:
            x = (phrases if given is None else torch.cat([phrases, given[:, None]], dim=1)).unsqueeze(0)
        return self.opening(gathered(x, *self.gathers).flatten(1, 2)).unflatten(1, (len(phrases), -1))

    def first_products(self) -> Tensor:
        """(M, 1, F, F): products of the first layer's weights, summed over all cells that are not given."""
        own = self.opening.weight.unflatten(1, (self.heard, -1))[:, : self.own].flatten(1, 2)
        return (own.mT @ own).unsqueeze(1)

    def marks(self, read: Tensor) -> Tensor:
        """(M, B, R, F) -> (B, M)."""
        found = self.found(read)
        return self.over_bars[-1](found).squeeze(-1).T

    def found(self, read: Tensor) -> Tensor:
        """(M, B, R, F) -> what the mark is read off, (M, B, width)."""
        players, count = read.shape[:2]
        x = F.leaky_relu(read, LEAK).flatten(1, 2)
        for layer in self.over_pitch:
            x = layer(x.reshape(players, -1, cast(Layer, layer).inputs))
        x = x.reshape(players, count * self.bars, self.steps_a_bar // self.gathers[0], -1)
        for layer, (_, kernel, stride) in zip(self.over_steps, self.convolutions, strict=True):
            x = windows(x, kernel, stride)
            x = layer(x.flatten(1, 2)).unflatten(1, x.shape[1:3])
        early, late, wide, _ = self.over_bars
        x = windows(x.reshape(players, count, self.bars, -1), 2, 1)
        x = early(x.flatten(1, 2)).reshape(players, count, -1)
        return cast(Tensor, wide(late(x)))


def windows(x: Tensor, size: int, stride: int) -> Tensor:
    """(M, N, S, C) -> (M, N, places, size * C): what a convolution over the third axis reads at each of its places."""
    places = (x.shape[2] - size) // stride + 1
    if size == stride:
        return x[:, :, : places * size].reshape(*x.shape[:2], places, -1)
    return torch.cat([x[:, :, start : start + (places - 1) * stride + 1 : stride] for start in range(size)], dim=-1)
