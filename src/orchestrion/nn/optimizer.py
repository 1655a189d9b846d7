"""Muon for the matrices of a network and AdamW for the rest, as one optimizer.

Muon (Jordan et al. 2024) replaces the momentum of a matrix by the nearest orthogonal matrix, found with five
Newton-Schulz steps; it reaches a loss in fewer steps than AdamW, which counts where a laptop trains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from orchestrion.nn.sharding import part_of, whole

_QUINTIC = (3.4445, -4.7750, 2.0315)  # coefficients that pull singular values of 0..1 towards 1 fastest


def orthogonalize(matrices: Tensor, steps: int = 5) -> Tensor:
    """(..., rows, columns) -> the same shape, singular values near 1."""
    a, b, c = _QUINTIC
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class MuonAdamW(Optimizer):
    """Parameters in `matrices` take Muon's steps, all others AdamW's.

    matrices: pairs of parameter and how many square-ish blocks its rows hold (3 for joint queries, keys and values).
    """

    def __init__(
        self,
        matrices: Iterable[tuple[nn.Parameter, int]],
        others: Iterable[nn.Parameter],
        *,
        matrix_rate: float = 0.02,
        rate: float = 3e-3,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.98),
        weight_decay: float = 0.01,
    ) -> None:
        matrices = list(matrices)
        groups: list[dict[str, Any]] = [
            {"params": [p for p, n in matrices if n == blocks], "blocks": blocks, "lr": matrix_rate}
            for blocks in sorted({n for _, n in matrices})
        ]
        groups.append({"params": list(others), "blocks": 0, "lr": rate})
        super().__init__(groups, {"momentum": momentum, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            update = self._muon if group["blocks"] else self._adamw
            for parameter in group["params"]:
                if parameter.grad is not None:
                    update(parameter, parameter.grad, group)

    def _muon(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum: Tensor = state["momentum"]
        momentum.lerp_(gradient, 1 - group["momentum"])
        ahead = whole(gradient.lerp(momentum, group["momentum"]))
        blocks = orthogonalize(ahead.view(group["blocks"], -1, ahead.shape[-1]))
        scale = max(1.0, blocks.shape[-2] / blocks.shape[-1]) ** 0.5
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(part_of(blocks.reshape(parameter.shape), parameter), alpha=-group["lr"] * scale)

    def _adamw(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["count"] = torch.zeros(())
            state["mean"] = torch.zeros_like(parameter)
            state["square"] = torch.zeros_like(parameter)
        state["count"] += 1
        count = float(state["count"])
        first, second = group["betas"]
        state["mean"].lerp_(gradient, 1 - first)
        state["square"].lerp_(gradient.square(), 1 - second)
        mean = state["mean"] / (1 - first**count)
        root = (state["square"] / (1 - second**count)).sqrt_().add_(1e-8)
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.addcdiv_(mean, root, value=-group["lr"])
