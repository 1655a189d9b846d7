"""What critics and generators of piano rolls are made of: penalty on the gradient, losses, binary neurons, norms.

Legend: B phrases, ... whatever a phrase is, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Critic = Callable[[Tensor], Tensor]  # (B, ...) -> (B,)

_OPEN, _WIDE = 3.0, 3.0  # of gates at first: where their middle is, and how far they spread
_OF_CELL, _OF_PITCH, _OF_BAR = 0.3, 0.4, 0.3  # shares of the variance of cells at first

NORMS = ("batch", "layer", "instance", "none")


def gradient_penalty(critic: Critic, real: Tensor, made: Tensor, weight: float = 10.0) -> Tensor:
    """Mean of weight (|slope| - 1)^2 of the critic at points drawn evenly between real and made phrases, (B, ...) each
    (Gulrajani et al. 2017). In float32, as squares of slopes in bf16 are too coarse."""
    share = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device)
    with torch.autocast(real.device.type, enabled=False):
        between = (share * real.detach().float() + (1 - share) * made.detach().float()).requires_grad_()
        (slopes,) = torch.autograd.grad(critic(between).float().sum(), between, create_graph=True)
        return weight * (slopes.flatten(1).norm(dim=1) - 1).square().mean()


def penalty_behind(
    marks: Critic, products: Callable[[], Tensor], real: Tensor, made: Tensor, weight: float = 10.0
) -> Tensor:
    """`gradient_penalty` at a share of its cost, for a critic whose first layer is linear and whose kernels do not
    overlap: what that layer makes of points between phrases lies between what it makes of the phrases, and what it does
    to the length of slopes the products of its weights with each other say.

    real, made: (..., R, F), what the first layer made of phrases; detached, that layer learns of the penalty by its
    products alone; marks: what the others make of it; products:
    () -> (..., F, F), the first layer's weights with each other, summed over its inputs."""
    share = torch.rand(*real.shape[:-2], 1, 1, device=real.device)
    with torch.autocast(real.device.type, enabled=False):
        between = torch.lerp(made.float(), real.float(), share)
        if not between.requires_grad:
            between.requires_grad_()
        (slopes,) = torch.autograd.grad(marks(between).sum(), between, create_graph=True)
        squares = (slopes @ products() * slopes).sum((-2, -1))
        return weight * (squares.clamp(min=1e-12).sqrt() - 1).square().mean()


def wasserstein_loss(real: Tensor, made: Tensor) -> Tensor:
    """What a critic lowers, from its marks (B,): those of made phrases over those of real ones."""
    return made.mean() - real.mean()


def discriminator_loss(real: Tensor, made: Tensor, real_label: float = 1.0) -> Tensor:
    """Cross-entropy of logits (B,); real_label below 1 smooths one side (Salimans et al. 2016)."""
    told = F.binary_cross_entropy_with_logits(real, torch.full_like(real, real_label))
    return told + F.binary_cross_entropy_with_logits(made, torch.zeros_like(made))


def generator_loss(made: Tensor) -> Tensor:
    """What a generator lowers so that a discriminator's logits (B,) call its phrases real: the form that does not
    saturate (Goodfellow et al. 2014)."""
    return F.binary_cross_entropy_with_logits(made, torch.ones_like(made))


def loss_of_critic(marks: Critic, real: Tensor, made: Tensor, penalty: float, smooth: Critic | None = None) -> Tensor:
    """What lowers it as a discriminator, without a penalty, else as a critic with one: phrases (B, ...) of either side,
    read at once. smooth: the same marks, by what second derivatives can be taken of."""
    of_real, of_made = marks(torch.cat([real, made])).float().chunk(2)
    if not penalty:
        return discriminator_loss(of_real, of_made)
    return wasserstein_loss(of_real, of_made) + gradient_penalty(smooth or marks, real, made, penalty)


def loss_by_critic(marks: Tensor, penalty: float) -> Tensor:
    """What a generator lowers, from the marks (B,) of its phrases by what `loss_of_critic` is of."""
    return -marks.float().mean() if penalty else generator_loss(marks.float())


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """What is read within, such as a critic by a generator's loss, lets gradients through and gives the network's
    weights none; its batch norms take no note of what passes. Leave it before the loss is yielded."""
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    kinds = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
    norms = [layer for layer in network.modules() if isinstance(layer, kinds)]
    noting = [layer for layer in norms if layer.track_running_stats and layer.training]
    for layer in noting:
        layer.track_running_stats = False
    for weight in weights:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for layer in noting:
            layer.track_running_stats = True
        for weight in weights:
            weight.requires_grad_(True)


class Gates(nn.Module):
    """Noise (B, Z) -> (B, parts) below 0, to add to the logits of all cells of each part of a phrase, such as a track
    or a bar: whole ones rest in music, and cells that are drawn one by one are never silent together. At first most
    gates are open and some in a hundred shut."""

    def __init__(self, noise: int, width: int, parts: int) -> None:
        super().__init__()
        self.inward, self.outward = nn.Linear(noise, width), nn.Linear(width, parts)
        for layer, inputs in ((self.inward, noise), (self.outward, width)):
            nn.init.normal_(layer.weight, std=(2 / inputs) ** 0.5)
            nn.init.zeros_(layer.bias)

    def forward(self, noise: Tensor) -> Tensor:
        return -F.softplus(-(_OPEN + _WIDE * self.outward(F.relu(self.inward(noise))).float()))


def average_of(network: nn.Module) -> nn.Module:
    """A copy of a network that nothing is learned by, to `follow_` it."""
    return deepcopy(network).requires_grad_(False)


@torch.no_grad()
def follow_(average: nn.Module, network: nn.Module, kept: float) -> None:
    """Keep such a share of the weights and running figures of a copy, and take the rest from the network. A generator
    circles around what its critic asks for, and the mean of where it was draws better (Yazıcı et al. 2019)."""
    for mine, theirs in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mine.is_floating_point():
            mine.lerp_(theirs, 1 - kept)
        else:
            mine.copy_(theirs)


def binary_neurons(odds: Tensor, stochastic: bool = False) -> Tensor:
    """Probabilities -> 0 or 1, at 0.5 or by chance; the gradient passes as if nothing had been done, straight-through
    (Bengio et al. 2013; Dong and Yang 2018)."""
    threshold = torch.rand_like(odds) if stochastic else 0.5
    return straight_through(odds, (odds > threshold).to(odds.dtype))


def straight_through(odds: Tensor, sounds: Tensor) -> Tensor:
    """What sounds, 0 or 1, however that was found from probabilities, with their gradient."""
    return odds + (sounds - odds).detach()


@torch.no_grad()
def draw_bars_(weights: Tensor, shape: tuple[int, int, int], bars: int, deviation: float, steps: int = 1) -> None:
    """Weights (C S P, D) of a layer whose outputs are cells (C, S, P), drawn with this deviation so that cells have in
    common what bar they are in, and what pitch in that bar: pitches stay a while, and some bars are empty. steps: those
    that `held` sums up behind."""
    channels, length, pitches = shape
    drawn = [
        torch.randn(channels, *size, weights.shape[1], device=weights.device) * share**0.5
        for share, size in (
            (_OF_CELL, (bars, length // bars, pitches)),
            (_OF_PITCH / steps, (bars, 1, pitches)),
            (_OF_BAR / steps, (bars, 1, 1)),
        )
    ]
    weights.copy_((drawn[0] + drawn[1] + drawn[2]).view(weights.shape) * deviation)


def held(logits: Tensor, steps: int) -> Tensor:
    """Logits of cells (B, K, S, P), each the sum of so many neighbours in time of its pitch, at the spread they had:
    cells drawn apart make phrases of thousands of short notes, and rolls are full of long ones."""
    if steps == 1:
        return logits
    lanes = logits.transpose(2, 3).flatten(0, 2).unsqueeze(1)  # (B K P, 1, S)
    sums = F.avg_pool1d(lanes, steps, 1, steps // 2, count_include_pad=False)[..., : logits.shape[2]] * steps**0.5
    return sums.view(*logits.shape[:2], logits.shape[3], -1).transpose(2, 3)


def norm(kind: str, channels: int, axes: int) -> nn.Module:
    """A normalisation of (B, C, ...) with so many axes behind the channels, by name. "batch" couples the phrases of a
    batch, which a penalty on the slope at each phrase by itself does not allow for; "layer" (over all channels) and
    "instance" (each by itself) do not; "none" does nothing."""
    if kind == "batch":
        return (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[axes - 1](channels)
    return {"layer": nn.GroupNorm(1, channels), "instance": nn.GroupNorm(channels, channels), "none": nn.Identity()}[
        kind
    ]
