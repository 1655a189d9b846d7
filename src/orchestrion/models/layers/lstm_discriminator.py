"""LSTMs that tell real phrases from made ones step by step, as discriminator or as critic (Liu and Huo).

Legend: B phrases, T steps, I inputs a step, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

_SLOPE = 0.2  # of leaky ReLUs below zero
_HEARD = 0.5  # deviation at first of weights from a cell: of a step few are on


class LSTMCritic(nn.Module):
    """What is heard, (B, T, I) -> marks (B,): an LSTM, a bi-LSTM of which both directions count with what they end
    with, and dense layers of the widths `dense`, each with a leaky ReLU, and of 1."""

    def __init__(self, inputs: int, lstm: int, dense: tuple[int, ...], *, at_once: int = 1, memory: int = 0) -> None:
        """at_once: steps of a phrase that make one of these. memory: see `set_memory_`."""
        super().__init__()
        self.first = nn.LSTM(inputs, lstm, batch_first=True)
        nn.init.normal_(self.first.all_weights[0][0], std=_HEARD * at_once**-0.5)
        self.second = nn.LSTM(lstm, lstm, batch_first=True, bidirectional=True)
        for layer in (self.first, self.second):
            set_memory_(layer, memory)
        layers: list[nn.Module] = []
        for wide, width in pairwise((2 * lstm, *dense)):
            layers += [nn.Linear(wide, width), nn.LeakyReLU(_SLOPE)]
        self.dense = nn.Sequential(*layers, nn.Linear(dense[-1], 1), nn.Flatten(0))

    def forward(self, heard: Tensor) -> Tensor:
        marks: Tensor = self.dense(ends(self.second, self.first(heard)[0]))
        return marks.float()

    def by_cells(self, heard: Tensor) -> Tensor:
        """The same, so that gradients of gradients can be taken, which the kernels of whole LSTMs do not give."""
        states = _read(heard, self.first.all_weights[0])
        forth, back = self.second.all_weights
        last = [_read(states, forth)[:, -1], _read(states.flip(1), back)[:, -1]]
        marks: Tensor = self.dense(torch.cat(last, 1))
        return marks.float()


def heard(phrases: Tensor, at_once: int) -> Tensor:
    """(B, K, S, P) -> (B, T, I), so many steps of a phrase make one of the LSTMs."""
    return phrases.transpose(1, 2).flatten(2).unflatten(1, (-1, at_once)).flatten(2)


def ends(lstm: nn.LSTM, x: Tensor) -> Tensor:
    """(B, T, I) -> (B, 2 D), what both directions of a bi-LSTM end with."""
    _, (last, _) = lstm(x)
    return torch.cat([last[0], last[1]], 1)


@torch.no_grad()
def set_memory_(lstm: nn.LSTM, steps: int) -> None:
    """Biases at first with which what was heard lasts for 1 to so many steps (Tallec and Ollivier 2018); with 0 steps 1
    at the forget gate, as in Keras. All others are 0."""
    width = lstm.hidden_size
    for _, _, bias, other in lstm.all_weights:
        bias.zero_()
        other.zero_()
        bias[width : 2 * width] = 1.0 if steps < 2 else (1 + (steps - 1) * torch.rand(width)).log()
        if steps > 1:
            bias[:width] = -bias[width : 2 * width]


def _read(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """(B, T, I) -> (B, T, D), step by step."""
    into, within, bias, other = weights
    read = x @ into.T + bias
    state = memory = x.new_zeros(len(x), within.shape[1])
    states = []
    for step in read.unbind(1):
        enters, stays, value, leaves = (step + state @ within.T + other).chunk(4, 1)
        memory = torch.sigmoid(stays) * memory + torch.sigmoid(enters) * torch.tanh(value)
        state = torch.sigmoid(leaves) * torch.tanh(memory)
        states.append(state)
    return torch.stack(states, 1)
