"""What a step of the composer is made of, and how far it is from the speed of the machine's memory."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sessions import ENSEMBLES, session

from orchestrion.models.layers.stepping import int8_is_fast
from orchestrion.models.sampling import draw
from orchestrion.models.zoo.composer import Composer
from orchestrion.representations.steps import FIELD_SIZES, FIELDS

ROWS = 512  # in the cache


def _milliseconds(act: Callable[[], Any], times: int = 100) -> float:
    """The best of five means."""
    means = []
    for _ in range(5):
        start = perf_counter()
        for _ in range(times):
            act()
        means.append(1000 * (perf_counter() - start) / times)
    return min(means)


def parts_of_a_step(composer: Composer) -> dict[str, float]:
    """Milliseconds of one step of one piece with ROWS rows in the cache, each part run by itself; and what of it is
    the reading of weights at the speed at which the machine reads memory."""
    piece = session(composer, ENSEMBLES["band of four"], bars=64)
    while piece.reading.lengths[0] < ROWS:
        piece.step()
    writer, stepper, config = piece.writers[0], piece.stepper, composer.config
    row, x = writer.opening(0)[None], torch.randn(1, config.width)
    wide, heads = torch.randn(1, 4 * config.width), config.heads
    query = torch.randn(1, heads, 1, config.width // heads)

    def products() -> None:
        for block in stepper.blocks:
            block.inward(x), block.outward(x), block.widen(x), block.narrow(wide)
        stepper.inner(x)

    def attention() -> None:
        for cache in piece.reading.caches:
            F.scaled_dot_product_attention(query, cache.keys[:, :, :ROWS], cache.values[:, :, :ROWS])

    def network() -> None:
        stepper.inner(stepper(row, piece.reading))
        piece.reading.lengths -= 1

    zeros = [np.zeros(1, np.int64) for _ in FIELDS]
    logits = [stepper.field_logits(piece.hidden[field], field, zeros[:field]) for field in range(len(FIELDS))]
    half = np.full(1, 0.5)
    everything = [np.ones((1, size), bool) for size in FIELD_SIZES]
    parts = {
        "products with the large matrices": _milliseconds(products),
        "attention to the cache": _milliseconds(attention),
        "logits of the four fields": _milliseconds(
            lambda: [stepper.field_logits(piece.hidden[field], field, zeros[:field]) for field in range(len(FIELDS))]
        ),
        "drawing from them": _milliseconds(
            lambda: [draw(one, legal, half, top_p=0.95) for one, legal in zip(logits, everything, strict=True)]
        ),
        "masks": _milliseconds(lambda: (writer.positions(), writer.pitches(90), writer.durations(90))),
    }
    whole = _milliseconds(network)
    large = parts["products with the large matrices"] + parts["attention to the cache"]
    parts["small tensor operations"] = whole - large
    read = np.ones(2**26, np.float32)  # 256 MB
    speed = read.nbytes / (_milliseconds(lambda: torch.from_numpy(read).sum(), 1) / 1000)
    weights = sum(p.numel() for p in composer.blocks.parameters() if p.ndim == 2) + composer.inner.weight.numel()
    weight_bytes = weights * (1 if int8_is_fast() else 4) + 4 * sum(p.numel() for p in composer.heads.parameters())
    start, steps = perf_counter(), 0
    while steps < 200 and piece.step():
        steps += 1
    step = 1000 * (perf_counter() - start) / steps
    return {f"milliseconds: {name}": value for name, value in parts.items()} | {
        f"milliseconds: a step, mean of {steps} in composing": step,
        "megabytes of weights read a step": weight_bytes / 1e6,
        "gigabytes of memory read a second": speed / 1e9,
        "milliseconds to read the weights at that speed": 1000 * weight_bytes / speed,
        "share of a step": 1000 * weight_bytes / speed / step,
    }
