"""Generators of bars as products of matrices: noise of a piece -> a vector a bar -> cells of several players' tracks.

A transposed convolution whose kernel is its stride overlaps nowhere, and time grows before pitch, so that features of a
place become places that already lie in order, but for the cells of the last layer (after Dong et al. 2018).

Legend: B phrases, M players (generators side by side), T bars, S steps of a phrase, P pitches, R places, C and F
features.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAK = 0.2
_MOMENTUM, _LEAST = 0.1, 1e-5
_OWN = 0.03  # what the steps that a layer makes of one differ by at first
_RARE = -2.0  # logit of an untrained generator's cells, with a spread of about 1

#: (filters, steps, pitches): of a transposed convolution whose kernel is its stride.
Growth = tuple[int, int, int]


class Norm(nn.Module):
    """Batch norm over places, of the features of each player."""

    mean: Tensor
    variance: Tensor

    def __init__(self, players: int, features: int) -> None:
        super().__init__()
        shape = players, 1, features
        self.scale, self.shift = nn.Parameter(torch.ones(shape)), nn.Parameter(torch.zeros(shape))
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("variance", torch.ones(shape))

    def forward(self, x: Tensor) -> Tensor:
        """(M, R, F) -> (M, R, F)."""
        x = x.float()
        if not self.training:
            scale, shift = self.folded()
            return torch.addcmul(shift, x, scale)
        mean = x.mean(dim=1, keepdim=True)
        variance = ((x * x).mean(dim=1, keepdim=True) - mean * mean).clamp(min=0)  # several times as fast as var_mean
        self.mean.lerp_(mean.detach(), _MOMENTUM)
        self.variance.lerp_(variance.detach(), _MOMENTUM)
        scale = self.scale * torch.rsqrt(variance + _LEAST)
        return torch.addcmul(self.shift - mean * scale, x, scale)

    def folded(self) -> tuple[Tensor, Tensor]:
        """What the running figures make of it: scale and shift (M, 1, F)."""
        scale = self.scale * torch.rsqrt(self.variance + _LEAST)
        return scale, self.shift - self.mean * scale


class Layer(nn.Module):
    """(M, R, C) -> (M, R * cells, F) by matrices of each player's own: a transposed convolution to so many cells a
    place or, where places were gathered before, a convolution. With batch norm or a bias; leak: of the ReLU behind it,
    None for no ReLU."""

    def __init__(
        self, players: int, inputs: int, features: int, cells: int = 1, *, norm: bool, leak: float | None
    ) -> None:
        super().__init__()
        self.inputs, self.features, self.cells, self.leak = inputs, features, cells, leak
        self.weight = nn.Parameter(torch.randn(players, inputs, cells * features) * (2 / inputs) ** 0.5)
        self.norm = Norm(players, features) if norm else None
        self.bias = None if norm else nn.Parameter(torch.zeros(players, 1, features))

    def forward(self, x: Tensor) -> Tensor:
        if self.norm is None:
            assert self.bias is not None
            return self._rectified(self._grown(torch.baddbmm(self.bias.repeat(1, 1, self.cells), x, self.weight)))
        if self.training:
            return self._rectified(self.norm(self._grown(torch.bmm(x, self.weight))))
        scale, shift = (one.repeat(1, 1, self.cells) for one in self.norm.folded())
        return self._rectified(self._grown(torch.baddbmm(shift, x, self.weight * scale)))

    def _grown(self, x: Tensor) -> Tensor:
        return x.view(len(x), -1, self.features)

    def _rectified(self, x: Tensor) -> Tensor:
        if self.leak is None:
            return x
        if torch.is_grad_enabled():
            return F.leaky_relu(x, self.leak) if self.leak else F.relu(x)
        return F.leaky_relu_(x, self.leak) if self.leak else F.relu_(x)


class Temporal(nn.Module):
    """Noise of a piece -> a vector a bar: (M, B, C) -> (M, B, T, C), by transposed convolutions over two bars and over
    all."""

    def __init__(self, players: int, width: int, filters: int, bars: int) -> None:
        super().__init__()
        self.bars = bars
        self.first = Layer(players, width, filters, 2, norm=True, leak=0.0)
        self.weight = nn.Parameter(torch.randn(players, filters, (bars - 1) * width) * (2 / filters) ** 0.5)
        self.norm = Norm(players, width)

    def forward(self, noise: Tensor) -> Tensor:
        players, count, width = noise.shape
        spread = torch.bmm(self.first(noise), self.weight).view(players, count, 2, self.bars - 1, width)
        early, late = spread.unbind(2)  # what comes of either half begins a bar after the other
        by_bar = F.pad(early, (0, 0, 0, 1)) + F.pad(late, (0, 0, 1, 0))
        return F.relu(self.norm(by_bar.flatten(1, 2))).view(players, count, self.bars, width)


def growing_layers(
    players: int, inputs: int, growths: Sequence[Growth], tracks_each: int, beside: int = 0
) -> nn.ModuleList:
    """The layers of a generator of bars. tracks_each: what each player's last layer makes, whose filters do not count.
    beside: features that each layer but the first is given next to those of the layer before. At first cells are rarely
    on, as those of music are, and the steps that a layer makes of one are nearly alike, as notes are held."""
    width = [inputs] + [filters + beside for filters, _, _ in growths[:-1]]
    layers = [
        Layer(players, inward, filters, steps * pitches, norm=True, leak=0.0)
        for inward, (filters, steps, pitches) in zip(width, growths[:-1], strict=False)
    ]
    _, steps, pitches = growths[-1]
    last = Layer(players, width[-1], tracks_each, steps * pitches, norm=False, leak=None)
    assert last.bias is not None
    nn.init.constant_(last.bias, _RARE)
    with torch.no_grad():
        last.weight.mul_(0.5**0.5)  # no ReLU follows
        for layer, (_, steps, _) in zip([*layers, last], growths, strict=True):
            drawn = layer.weight.view(*layer.weight.shape[:2], steps, -1)
            drawn.lerp_(drawn[:, :, :1].clone(), 1 - _OWN)
    return nn.ModuleList([*layers, last])


def cells_in_order(x: Tensor, count: int, growth: Growth, shape: tuple[int, int]) -> Tensor:
    """What the last layer made, (M, R, F) of `count` phrases -> (B, M * F, S, P); shape: S and P."""
    _, steps, pitches = growth
    players, (long, high) = len(x), shape
    x = x.view(players, count, long // steps, high // pitches, steps, pitches, -1)
    return x.permute(1, 0, 6, 2, 4, 3, 5).reshape(count, -1, long, high)


def gathered(x: Tensor, steps: int, pitches: int) -> Tensor:
    """(..., K, S, P) -> (..., R, K * steps * pitches): cells of all tracks in groups of so many, in the order of time
    and then of pitch."""
    x = x.unflatten(-1, (-1, pitches)).unflatten(-3, (-1, steps))  # (..., K, time, steps, pitch, pitches)
    return x.movedim((-4, -2), (-5, -4)).flatten(-3).flatten(-3, -2)
