"""Muon for the matrices of a network and AdamW for the rest, as one optimizer.

Muon (Jordan et al. 2024) replaces the momentum of a matrix by the nearest orthogonal matrix, found with four
Newton-Schulz steps; it reaches a loss in fewer steps than AdamW, which counts where a laptop trains.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from orchestrion.models.layers.sharding import part_of, whole

#: Odd quintics a x + b x^3 + c x^5, applied one after the other (Polar Express: Amsel et al. 2025). Each is the one
#: nearest to 1 on the range to which those before it bring singular values 0.004..1; all but the last are stretched by
#: a hundredth, for values that rounding pushes out of that range. Together they bring 0.004..1 to 0.87..1.13; the five
#: equal steps of Jordan et al. bring it to 0.68..1.20.
_QUINTICS = (
    (8.2584, -23.8740, 17.3386),
    (3.9418, -2.8814, 0.5375),
    (3.3098, -2.4361, 0.4887),
    (2.3315, -1.7027, 0.4257),
)
_SAFETY = 1.02  # the norm is rounded too, and beyond 1 the first quintic rises steeply


def orthogonalize(matrices: Tensor) -> Tensor:
    """(..., rows, columns) -> the same shape, singular values near 1."""
    tall = matrices.shape[-2] > matrices.shape[-1]
    turned = matrices.mT if tall else matrices
    x = turned.reshape(-1, *turned.shape[-2:])
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    gram = torch.bmm(x, x.mT)
    # the fourth root of the sum of fourth powers of the singular values: a closer bound on the largest
    size = _SAFETY * gram.float().norm(dim=(-2, -1), keepdim=True).sqrt() + 1e-7
    x, gram = x / size, gram / size.square()
    for index, (a, b, c) in enumerate(_QUINTICS):
        if index:
            gram = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    x = x.view(turned.shape).to(matrices.dtype)
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
        alike: dict[tuple[Any, ...], list[tuple[nn.Parameter, Tensor, dict[str, Any]]]] = defaultdict(list)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                if not group["blocks"]:
                    self._adamw(parameter, parameter.grad, group)
                    continue
                blocks = self._ahead(parameter, parameter.grad, group)
                flat = blocks.mT if blocks.shape[-2] > blocks.shape[-1] else blocks
                alike[flat.shape[1:], flat.dtype, flat.device].append((parameter, flat, group))
        for moves in alike.values():  # products of many equal matrices at once are faster
            found = orthogonalize(torch.cat([flat for _, flat, _ in moves])).split([len(flat) for _, flat, _ in moves])
            for (parameter, _, group), flat in zip(moves, found, strict=True):
                self._move(parameter, flat, group)

    def _ahead(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        """The momentum as it will be after one more such gradient, (blocks, rows, columns)."""
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum: Tensor = state["momentum"]
        momentum.lerp_(gradient, 1 - group["momentum"])
        ahead = whole(gradient.lerp(momentum, group["momentum"]))
        return ahead.view(group["blocks"], -1, ahead.shape[-1])

    def _move(self, parameter: Tensor, flat: Tensor, group: dict[str, Any]) -> None:
        """Take a step along orthogonal blocks that may have been turned to lie flat."""
        rows, columns = parameter.shape[0] // group["blocks"], parameter.shape[1]
        blocks = flat.mT if rows > columns else flat
        scale = max(1.0, rows / columns) ** 0.5
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
