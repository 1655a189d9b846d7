"""What critics and generators of piano rolls are made of: penalty on the gradient, losses, binary neurons, norms.

Legend: B phrases, ... whatever a phrase is, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Critic = Callable[[Tensor], Tensor]  # (B, ...) -> (B,)

NORMS = ("batch", "layer", "instance", "none")


def gradient_penalty(critic: Critic, real: Tensor, made: Tensor, weight: float = 10.0) -> Tensor:
    """Mean of weight (|slope| - 1)^2 of the critic at points drawn evenly between real and made phrases, (B, ...) each
    (Gulrajani et al. 2017). In float32, as squares of slopes in bf16 are too coarse."""
    share = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device)
    with torch.autocast(real.device.type, enabled=False):
        between = (share * real.detach().float() + (1 - share) * made.detach().float()).requires_grad_()
        (slopes,) = torch.autograd.grad(critic(between).float().sum(), between, create_graph=True)
        return weight * (slopes.flatten(1).norm(dim=1) - 1).square().mean()


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


def binary_neurons(odds: Tensor, stochastic: bool = False) -> Tensor:
    """Probabilities -> 0 or 1, at 0.5 or by chance; the gradient passes as if nothing had been done, straight-through
    (Bengio et al. 2013; Dong and Yang 2018)."""
    threshold = torch.rand_like(odds) if stochastic else 0.5
    return odds + ((odds > threshold).to(odds.dtype) - odds).detach()


def norm(kind: str, channels: int, axes: int) -> nn.Module:
    """A normalisation of (B, C, ...) with so many axes behind the channels, by name. "batch" couples the phrases of a
    batch, which a penalty on the slope at each phrase by itself does not allow for; "layer" (over all channels) and
    "instance" (each by itself) do not; "none" does nothing."""
    if kind == "batch":
        return (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[axes - 1](channels)
    return {"layer": nn.GroupNorm(1, channels), "instance": nn.GroupNorm(channels, channels), "none": nn.Identity()}[
        kind
    ]
