"""Stepping note by note gives what reading at once gives; eight bits change it little; batches do not mix pieces."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from conftest import little_song
from orchestrion.models.base import Request
from orchestrion.models.layers.attention import Cache
from orchestrion.models.layers.stepping import int8_is_fast, product
from orchestrion.models.zoo.composer import PREFIX_ROWS, RECIPES, Composer, Reading, Stepper, _Session
from orchestrion.music.theory import DRUMS
from orchestrion.representations.cells import Cells, encode
from orchestrion.representations.steps import FIELD_SIZES, FIELDS, rows_and_targets
from orchestrion.representations.writer import CellWriter

needs_int8 = pytest.mark.skipif(not int8_is_fast(), reason="this processor has no kernel for eight bits")


@pytest.fixture(scope="module")
def composer() -> Composer:
    torch.manual_seed(0)
    system = Composer(RECIPES["tiny"].config).eval().requires_grad_(False)
    for parameter in system.parameters():  # layers that add to their input start at zero, and then nothing would show
        if parameter.ndim == 2:
            nn.init.normal_(parameter, std=0.3)
    return system


def read_and_step(composer: Composer, first: list[int], **options: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """States of ten rows of pieces with `first` rows before them: read at once, and stepped after a reading."""
    config, steps = composer.config, 10
    tables = []
    for seed, rows in enumerate(first):
        cells = encode(little_song(seed, bars=8))
        hole = np.ones((len(cells.meters), len(cells.instruments)), bool)
        tables.append(rows_and_targets(cells, ~hole, hole, 0)[0][: rows + steps])
    prefix = torch.randn(1, PREFIX_ROWS, config.width, generator=torch.Generator().manual_seed(1))
    whole = [composer(torch.from_numpy(table)[None], prefix)[0, -steps:] for table in tables]
    caches = [
        Cache.empty(len(first), config.heads, 300, config.width // config.heads, prefix) for _ in range(config.layers)
    ]
    condition = composer.join(prefix.flatten(1)).expand(len(first), -1)
    reading = Reading(caches, np.zeros(len(first), np.int64), condition)
    for index, (table, rows) in enumerate(zip(tables, first, strict=True)):
        own = [Cache(cache.keys[index : index + 1], cache.values[index : index + 1]) for cache in caches]
        one = Reading(own, np.zeros(1, np.int64), condition[index : index + 1])
        composer(torch.from_numpy(table[:rows])[None], prefix, one)
        reading.lengths[index] = one.lengths[0]
    step = Stepper(composer, **options)
    stepped = [
        step(np.stack([table[rows + n] for table, rows in zip(tables, first, strict=True)]), reading)
        for n in range(steps)
    ]
    return torch.stack(whole), torch.stack(stepped, dim=1)


@pytest.mark.parametrize("first", [[30], [30, 30], [5, 40, 21]])
def test_stepping_equals_reading(composer: Composer, first: list[int]) -> None:
    whole, stepped = read_and_step(composer, first, int8=False)
    torch.testing.assert_close(stepped, whole, atol=2e-5, rtol=1e-4)


@needs_int8
def test_eight_bits_are_near(composer: Composer) -> None:
    whole, stepped = read_and_step(composer, [5, 40, 21], int8=True)
    assert (stepped - whole).square().mean() < 2e-3 * whole.square().mean()


@needs_int8
@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("bias", [False, True])
def test_a_product_in_eight_bits_errs_by_less_than_one_percent(rows: int, bias: bool) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(256, 96, bias=bias).requires_grad_(False)
    x = torch.randn(rows, 256)
    exact, rounded = linear(x), product(linear, int8=True)(x)
    assert rounded.dtype == torch.float32
    assert (rounded - exact).square().mean() < 1e-4 * exact.square().mean()


def test_fields_of_a_step_are_those_of_the_network(composer: Composer) -> None:
    torch.manual_seed(0)
    states = torch.randn(3, composer.config.width)
    step = Stepper(composer, int8=False)
    values = [np.random.default_rng(field).integers(0, size, 3) for field, size in enumerate(FIELD_SIZES)]
    hidden = composer.inner(states).chunk(len(FIELDS), dim=-1)
    for field in range(len(FIELDS)):
        before = values[:field]
        expected = composer.field_logits(hidden[field], field, [torch.from_numpy(value) for value in before])
        np.testing.assert_allclose(
            step.field_logits(hidden[field].numpy(), field, before), expected, rtol=1e-4, atol=1e-5
        )


def test_a_piece_is_the_same_alone_and_beside_others(composer: Composer) -> None:
    """Pieces that are done leave the batch; the context is read anew on the way, at each piece's own time."""
    request = Request(bars=64, instruments=(0, 33, DRUMS), temperature=0.9)
    nothing = Cells(np.zeros((0, 6), np.int16), request.instruments, (request.meter,) * request.bars, request.tempo)

    def written(count: int) -> list[list[list[int]]]:
        hole = np.ones((request.bars, len(request.instruments)), bool)
        writers = [CellWriter(nothing, hole, key=None, shift=0) for _ in range(count)]
        rngs = np.random.default_rng(5).spawn(count)
        with torch.inference_mode():
            session = _Session(composer, Stepper(composer, int8=False), writers, request, rngs)
            while session.step():
                pass
        return [writer.cells().notes.tolist() for writer in writers]

    together = written(3)
    assert len({len(piece) for piece in together}) > 1
    assert min(map(len, together)) > composer.config.context_rows
    assert together[0] == written(1)[0]
