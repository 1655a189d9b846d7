"""The tiny APE-GAN of the tests, untrained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from symusic import Score
from torch import nn

from orchestrion.models.zoo.ape_gan import RECIPES, ApeGan

TINY = RECIPES["tiny"].config


def fresh(seed: int = 0, **changes: Any) -> ApeGan:
    torch.manual_seed(seed)
    return ApeGan(replace(TINY, **changes)).eval()


def sounding(system: ApeGan, bias: float = -0.7) -> ApeGan:
    """Untrained, and not as rarely as that."""
    nn.init.constant_(system.generator.layers[-1].bias, bias)  # type: ignore[arg-type]
    return system


def said(seed: int, width: int = 384) -> np.ndarray:
    vector = np.random.default_rng(seed).standard_normal(width).astype(np.float32)
    return vector / np.linalg.norm(vector)


def size(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def columns(score: Score) -> list[list[tuple[int, int, int]]]:
    return [[(note.time, note.duration, note.pitch) for note in track.notes] for track in score.tracks]
