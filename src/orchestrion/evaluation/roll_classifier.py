"""A small network that learns to tell generated from real music by looking at piano rolls; see `metrics.two_sample`.

It reads `two_sample.roll_image`: four convolutions over pitch and time, the mean over what they find, one score. It is
small so that it trains in a minute on one core; a larger one, or more pieces, may see more. So 50 % says that this
judge cannot tell, not that nobody could.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from orchestrion.metrics.two_sample import IMAGE_STEPS_A_BAR, Told, Trial, correct

CHANNELS = (16, 24, 32, 48)
EPOCHS, PATIENCE = 60, 15
BATCHES, BATCH_PIECES = 8, (8, 32)  # an epoch; at least and at most in one
RATE, WEIGHT_DECAY, DROPOUT = 3e-3, 1e-2, 0.3
VALIDATION_SHARE = 0.15  # of what a fold learns from: it decides when to stop
SHIFT_SEMITONES = 3  # at most, up or down, drawn anew for each piece in each epoch


class RollClassifier(nn.Module):
    """(B, 3, 64, steps) float rolls -> (B,) scores, above 0 for generated. Groups are normalised and not batches, whose
    statistics would be noise in sets of a few dozen pieces."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third, last = CHANNELS
        self.layers = nn.Sequential(
            nn.Conv2d(3, first, (8, 4), stride=(4, 2), padding=(2, 1)), nn.GroupNorm(8, first), nn.ReLU(),
            nn.Conv2d(first, second, (3, 4), stride=(2, 2), padding=1), nn.GroupNorm(8, second), nn.ReLU(),
            nn.Conv2d(second, third, 3, stride=(2, 2), padding=1), nn.GroupNorm(8, third), nn.ReLU(),
            nn.Conv2d(third, last, 3, padding=1), nn.GroupNorm(8, last), nn.ReLU(),
        )  # fmt: skip
        self.score = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(2 * last, 1))

    def forward(self, rolls: Tensor) -> Tensor:
        found = self.layers(rolls).flatten(2)  # (B, channels, places)
        return self.score(torch.cat([found.mean(dim=2), found.amax(dim=2)], dim=1)).squeeze(1)


def tell_rolls_apart(
    a: np.ndarray,
    b: np.ndarray,
    trial: Trial,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Told:
    """Tell rolls (n, 3, 64, steps) of generated from (m, 3, 64, steps) of reference pieces, uint8.

    Each fold is judged by a network that learned from the others; when it stops is decided by part of those. The same
    seed gives the same answer on one machine. progress: called with (epochs done, epochs at most).
    """
    rolls = torch.from_numpy(np.concatenate([a, b])[trial.chosen])
    generated = torch.from_numpy(trial.generated.astype(np.float32))
    score = np.zeros(len(trial.chosen))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            for fold, (learned, judged) in enumerate(trial.turns()):
                torch.manual_seed(seed * trial.folds + fold)
                rng = np.random.default_rng((seed, fold))
                told = partial(_told, progress, fold, trial.folds)
                network = _trained(rolls, generated, _divided(learned, trial.groups, rng), rng, told)
                with torch.no_grad():
                    score[judged] = network(rolls[torch.from_numpy(judged)].float()).numpy()
    finally:
        torch.set_num_threads(threads)
    progress(trial.folds * EPOCHS, trial.folds * EPOCHS)
    return Told(trial, correct(score, trial.generated))


def _told(progress: Callable[[int, int], None], fold: int, folds: int, epoch: int) -> None:
    progress(fold * EPOCHS + epoch, folds * EPOCHS)


def _divided(learned: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Pieces to learn from and pieces that say when to stop, as indices; no group in both."""
    names = rng.permutation(np.unique(groups[learned]))
    held = np.isin(groups, names[: max(1, round(VALIDATION_SHARE * len(names)))])
    return np.flatnonzero(learned & ~held), np.flatnonzero(learned & held)


def _trained(
    rolls: Tensor,
    generated: Tensor,
    divided: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
    told: Callable[[int], None],
) -> RollClassifier:
    """The network of the epoch that was best on the pieces kept aside."""
    pieces, aside = divided
    size = int(np.clip(len(pieces) // BATCHES, *BATCH_PIECES))
    network = RollClassifier()
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=WEIGHT_DECAY)
    best, best_epoch, weights = np.inf, 0, network.state_dict()
    for epoch in range(EPOCHS):
        told(epoch)
        if epoch - best_epoch > PATIENCE:
            break
        network.train()
        for batch in np.array_split(rng.permutation(pieces), max(1, len(pieces) // size)):
            loss = functional.binary_cross_entropy_with_logits(network(_varied(rolls[batch], rng)), generated[batch])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        network.eval()
        with torch.no_grad():
            reached = float(
                functional.binary_cross_entropy_with_logits(network(rolls[aside].float()), generated[aside])
            )
        if reached < best:
            best, best_epoch = reached, epoch
            weights = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(weights)
    return network.eval()


def _varied(rolls: Tensor, rng: np.random.Generator) -> Tensor:
    """Each piece some semitones up or down and turned round by whole bars, as so few are else learned by heart."""
    bars = rolls.shape[-1] // IMAGE_STEPS_A_BAR
    result = []
    for roll, semitones, bar in zip(rolls, rng.integers(-SHIFT_SEMITONES, SHIFT_SEMITONES + 1, len(rolls)),
                                    rng.integers(0, bars, len(rolls)), strict=True):  # fmt: skip
        pitched = torch.roll(roll[:2], int(semitones), dims=1)
        result.append(torch.roll(torch.cat([pitched, roll[2:]]), int(bar) * IMAGE_STEPS_A_BAR, dims=2))
    return torch.stack(result).float()
