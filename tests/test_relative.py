"""Relative attention: every fast form against the formula as it stands, in double precision, and reading with a cache.

Legend: B batch, T steps, H heads, W width of a head, M distances.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from orchestrion.models.layers.relative import QUERIES_AT_ONCE, RelativeAttention, RelativeState, attention_weights
from orchestrion.models.layers.skewing import Axis, _checkpointed, chunked, naive, skewed, spans
from orchestrion.models.layers.sparse import Pattern, PatternError
from orchestrion.rendering import RenderError
from orchestrion.rendering.attention_picture import write_attention

BATCH, HEADS, HEAD_WIDTH, DISTANCES = 2, 3, 4, 20
Form = Callable[[Tensor, Tensor, Tensor, Tensor, Sequence[Axis]], Tensor]


def inputs(steps: int, *, axes: int = 0, kind: torch.dtype = torch.float64) -> tuple[list[Tensor], list[Axis]]:
    """Queries, keys, values, the table of distances and those of the axes, all to be learned; and the axes."""
    generator = torch.Generator().manual_seed(steps)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(kind).requires_grad_()

    learned = [normal(BATCH, HEADS, steps, HEAD_WIDTH) for _ in range(3)] + [normal(HEADS, DISTANCES, HEAD_WIDTH)]
    places = [torch.randint(0, 12, (BATCH, steps), generator=generator) for _ in range(axes)]
    further = [Axis(normal(HEADS, 5 + 2 * number, HEAD_WIDTH), each, each) for number, each in enumerate(places)]
    return learned + [axis.table for axis in further], further


def compare(form: Form, oracle: Form, learned: list[Tensor], axes: list[Axis]) -> None:
    """Values to 1e-9, gradients of all that is learned to 1e-7."""
    weights = torch.randn(learned[0].shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    results = []
    for each in (form, oracle):
        mixed = each(*learned[:4], axes)
        results.append((mixed, torch.autograd.grad((mixed * weights).sum(), learned)))
    torch.testing.assert_close(results[0][0], results[1][0], atol=1e-9, rtol=0)
    for gradient, expected in zip(results[0][1], results[1][1], strict=True):
        torch.testing.assert_close(gradient, expected, atol=1e-7, rtol=0)


@pytest.mark.parametrize("axes", [0, 2])
@pytest.mark.parametrize("steps", [1, 2, 8, 21, 50])  # of chunks of 8: less, one, not a multiple, beyond the table
def test_skewed_and_chunked_are_the_naive_form(steps: int, axes: int) -> None:
    learned, further = inputs(steps, axes=axes)
    compare(skewed, naive, learned, further)
    compare(lambda q, k, v, table, more: chunked(q, k, v, table, more, chunk=8), naive, learned, further)
    compare(chunked, naive, learned, further)


def test_the_naive_form_is_the_sum_written_out() -> None:
    (queries, keys, values, table, pitches), (axis,) = inputs(5, axes=1)
    mixed = naive(queries, keys, values, table, [axis])
    for step in range(5):
        logits = torch.stack([
            queries[1, 2, step] @ (
                keys[1, 2, key] + table[2, step - key]
                + pitches[2, int((axis.queries[1, step] - axis.queries[1, key]).clamp(-2, 2)) + 2]
            )
            for key in range(step + 1)
        ])  # fmt: skip
        expected = (logits / HEAD_WIDTH**0.5).softmax(0) @ values[1, 2, : step + 1]
        torch.testing.assert_close(mixed[1, 2, step], expected)


def test_last_queries_of_more_keys() -> None:
    learned, _ = inputs(30)
    whole = naive(*learned)
    torch.testing.assert_close(skewed(learned[0][:, :, -7:], *learned[1:]), whole[:, :, -7:])
    torch.testing.assert_close(naive(learned[0][:, :, -7:], *learned[1:]), whole[:, :, -7:])


def test_the_form_for_accelerators_is_the_naive_form() -> None:
    learned, further = inputs(21, axes=1)

    def form(queries: Tensor, keys: Tensor, values: Tensor, table: Tensor, axes: Sequence[Axis]) -> Tensor:
        queries = queries * HEAD_WIDTH**-0.5
        parts = [_checkpointed(queries, keys, values, table, axes, span) for span in spans(21, 8)]
        return torch.cat(parts, dim=2)

    compare(form, naive, learned, further)


@pytest.mark.parametrize("axes", [0, 1])
@pytest.mark.parametrize("steps", [1, 6, 24, 41])
@pytest.mark.parametrize(
    "pattern",
    [
        Pattern("full"), Pattern("local", 6), Pattern("local", 64), Pattern("strided", 6), Pattern("strided", 1),
        Pattern("strided", 64), Pattern("fixed", 6, 2), Pattern("fixed", 6, 6), Pattern("fixed", 64, 8),
    ],
    ids=lambda pattern: f"{pattern.name} {pattern.block} {pattern.columns}",
)  # fmt: skip
def test_patterns_are_the_naive_form_under_their_mask(pattern: Pattern, steps: int, axes: int) -> None:
    learned, further = inputs(steps, axes=axes)
    places = torch.arange(steps)
    seen = pattern.seen(places, places)
    compare(pattern.attend, lambda q, k, v, table, more: naive(q, k, v, table, more, seen), learned, further)


def test_local_attention_in_chunks_smaller_than_a_block() -> None:
    learned, further = inputs(41, axes=1)
    places = torch.arange(41)
    seen = Pattern("local", 10).seen(places, places)
    compare(
        lambda q, k, v, table, more: chunked(q, k, v, table, more, block=10, chunk=4),
        lambda q, k, v, table, more: naive(q, k, v, table, more, seen), learned, further,
    )  # fmt: skip


def test_masks_of_the_patterns() -> None:
    places = torch.arange(9)
    rows = {
        Pattern("full"): range(9),
        Pattern("local", 3): range(3, 9),
        Pattern("strided", 3): (2, 5, 6, 7, 8),
        Pattern("fixed", 3, 1): (2, 5, 6, 7, 8),
        Pattern("fixed", 3, 2): (1, 2, 4, 5, 6, 7, 8),
    }
    for pattern, seen in rows.items():
        assert pattern.seen(places, places)[8].nonzero().flatten().tolist() == list(seen)
        assert not pattern.seen(places, places).triu(1).any()
    assert Pattern("strided", 3).seen(places, places)[7].nonzero().flatten().tolist() == [1, 4, 5, 6, 7]
    assert Pattern("fixed", 3, 1).seen(places, places)[7].nonzero().flatten().tolist() == [2, 5, 6, 7]


def test_bf16_is_close() -> None:
    learned, further = inputs(150, axes=1, kind=torch.bfloat16)
    exact = [each.detach().double().requires_grad_() for each in learned]
    upward = [Axis(exact[4], further[0].queries, further[0].keys)]
    mixed, expected = chunked(*learned[:4], further), naive(*exact[:4], upward)
    assert mixed.dtype == torch.bfloat16
    assert (mixed - expected).abs().max() < 0.06
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gradients = torch.autograd.grad((mixed * weights).sum(), learned)
    for gradient, wanted in zip(gradients, torch.autograd.grad((expected * weights).sum(), exact), strict=True):
        assert (gradient - wanted).norm() < 0.02 * wanted.norm()


def layer(pattern: str = "full", seed: int = 0, **settings: float) -> RelativeAttention:
    """Weights that are nowhere zero."""
    torch.manual_seed(seed)
    axes = {"pitch": 3, "time": 2}
    attention = RelativeAttention(12, HEADS, DISTANCES, pattern=pattern, block=6, columns=2, axes=axes, **settings)
    torch.nn.init.normal_(attention.outward.weight)
    return attention.double()


def sequence(steps: int, seed: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(BATCH, steps, 12, generator=generator, dtype=torch.float64)
    times = torch.randint(0, 2, (BATCH, steps), generator=generator).cumsum(1)
    return x, {"pitch": torch.randint(0, 9, (BATCH, steps), generator=generator), "time": times}


def part(axes: dict[str, Tensor], steps: slice, rows: slice = slice(None)) -> dict[str, Tensor]:
    return {name: places[rows, steps] for name, places in axes.items()}


@pytest.mark.parametrize("pattern", ["full", "local", "strided", "fixed"])
@pytest.mark.parametrize("pieces", [(1,) * 29, (10, 1, 1, 17), (28, 1)])
def test_reading_with_the_cache_is_reading_at_once(pattern: str, pieces: tuple[int, ...]) -> None:
    attention, (x, axes) = layer(pattern), sequence(29)
    whole, _ = attention(x, axes=axes)
    state, first, read = None, 0, []
    for count in pieces:
        steps = slice(first, first + count)
        out, state = attention(x[:, steps], state, part(axes, steps))
        read.append(out)
        first += count
    torch.testing.assert_close(torch.cat(read, dim=1), whole)
    assert state is not None
    assert state.lengths.tolist() == [29, 29]


@pytest.mark.parametrize("pattern", ["full", "fixed"])
def test_one_sequence_steps_as_it_is_read(pattern: str) -> None:
    attention, (x, axes) = layer(pattern), sequence(13)
    one = slice(0, 1)
    whole, _ = attention(x[one], axes=part(axes, slice(None), one))
    state = None
    for step in range(13):
        now = slice(step, step + 1)
        out, state = attention(x[one, now], state, part(axes, now, one))
        torch.testing.assert_close(out, whole[:, now])


def test_many_steps_behind_a_cache() -> None:
    steps = QUERIES_AT_ONCE + 40
    attention, (x, axes) = layer(), sequence(steps)
    whole, _ = attention(x, axes=axes)
    _, state = attention(x[:, :3], axes=part(axes, slice(3)))
    out, _ = attention(x[:, 3:], state, part(axes, slice(3, None)))
    torch.testing.assert_close(out, whole[:, 3:])


@pytest.mark.parametrize("pattern", ["full", "strided"])
def test_sequences_of_different_lengths_go_on_together(pattern: str) -> None:
    attention, (x, axes) = layer(pattern), sequence(25)
    whole, _ = attention(x, axes=axes)
    lengths = torch.tensor([4, 19])
    _, state = attention(x, axes=axes)
    state = RelativeState(state.with_room(40).cache, lengths, state.with_room(40).places)  # what is behind is stale
    for step in range(6):
        at = lengths + step
        now = x[torch.arange(2), at][:, None]
        out, state = attention(
            now, state, {name: places[torch.arange(2), at][:, None] for name, places in axes.items()}
        )
        torch.testing.assert_close(out[:, 0], whole[torch.arange(2), at])
    assert state.lengths.tolist() == [10, 25]


@pytest.mark.parametrize("pattern", ["full", "local", "strided", "fixed"])
def test_no_step_sees_what_comes_after(pattern: str) -> None:
    attention, (x, axes) = layer(pattern), sequence(20)
    whole, _ = attention(x, axes=axes)
    for step in (1, 7, 19):
        x_after, after = x.clone(), {name: places.clone() for name, places in axes.items()}
        x_after[:, step:] += 1
        for places in after.values():
            places[:, step:] = 0
        changed, _ = attention(x_after, axes=after)
        assert torch.equal(changed[:, :step], whole[:, :step])
        assert not torch.allclose(changed[:, step], whole[:, step])


@pytest.mark.parametrize("pattern", ["full", "local", "strided", "fixed"])
def test_attention_weights_are_those_that_are_used(pattern: str) -> None:
    attention, (x, axes) = layer(pattern), sequence(17)
    weights = attention_weights(attention, x, axes)
    assert weights.shape == (BATCH, HEADS, 17, 17)
    torch.testing.assert_close(weights.sum(-1), torch.ones(BATCH, HEADS, 17, dtype=torch.float64))
    values = attention.heads_of(x)[2]
    expected = attention.outward((weights @ values).transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention(x, axes=axes)[0], expected)


def test_every_table_learns() -> None:
    attention, (x, axes) = layer(), sequence(8)
    attention(x, axes=axes)[0].square().sum().backward()
    slopes = {name: weight.grad for name, weight in attention.named_parameters()}
    assert set(slopes) == {"inward.weight", "outward.weight", "distances", "axes.pitch", "axes.time"}
    assert all(slope is not None and slope.abs().sum() > 0 for slope in slopes.values())


def test_dropout_falls_on_the_result_and_only_in_training() -> None:
    attention, (x, axes) = layer(dropout=0.5), sequence(9)
    torch.manual_seed(2)
    dropped = attention(x, axes=axes)[0]
    kept = attention.eval()(x, axes=axes)[0]
    zero = dropped == 0
    assert 0.3 < zero.double().mean() < 0.7
    torch.testing.assert_close(dropped[~zero], 2 * kept[~zero])


def test_autocast_gives_bf16_and_learns_in_float32() -> None:
    attention = RelativeAttention(32, 2, 16)
    torch.nn.init.normal_(attention.outward.weight, std=32**-0.5)
    x = torch.randn(1, 40, 32, generator=torch.Generator().manual_seed(0))
    expected = attention(x)[0]
    with torch.autocast("cpu", torch.bfloat16):
        out, state = attention(x)
    assert out.dtype == state.cache.keys.dtype == torch.bfloat16
    assert (out - expected).abs().max() < 0.05
    out.float().square().sum().backward()
    assert attention.distances.grad is not None
    assert attention.distances.grad.dtype == torch.float32
    assert attention.distances.grad.abs().sum() > 0


def test_what_cannot_be_is_said_in_a_line() -> None:
    x, axes = sequence(3)
    for act in (
        lambda: RelativeAttention(10, 3, 4), lambda: RelativeAttention(12, 3, 0),
        lambda: RelativeAttention(12, 3, 4, pattern="sparse"), lambda: Pattern("local", 0),
        lambda: Pattern("fixed", 4, 5), lambda: layer()(x), lambda: layer()(x, axes={"pitch": axes["pitch"]}),
    ):  # fmt: skip
        with pytest.raises(PatternError, match=r"^[^\n]+: (give|choose) [^\n]+$"):
            act()


def test_a_picture_is_bright_where_the_weight_is(tmp_path: Path) -> None:
    from matplotlib.image import imread

    weights = np.zeros((2, 4, 4))
    weights[0, 3, 0] = weights[1, 1, 1] = 0.5
    write_attention(weights, tmp_path / "a.png", ["on 50", "shift", "off 50", "on 52"])
    image = imread(tmp_path / "a.png")[:, :, :3]
    bright = np.argwhere((image.min(axis=-1) < 0.8) & (image[:, :, 0] > 0.95) & (image[:, :, 2] < 0.8))
    assert len(bright) == pytest.approx(2 * 90 * 90, rel=0.05)  # a cell is a quarter of three inches
    middle = np.median(bright[:, 1])
    low, high = bright[bright[:, 1] < middle], bright[bright[:, 1] > middle]
    assert low[:, 0].min() > high[:, 0].max() + 80  # the fourth row lies two rows below the second
    write_attention(weights, tmp_path / "b.png", ["on 50", "shift", "off 50", "on 52"])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    write_attention(weights[0], tmp_path / "c.png")
    assert (tmp_path / "c.png").stat().st_size < (tmp_path / "a.png").stat().st_size


@pytest.mark.parametrize("weights", [np.zeros((2, 3)), np.zeros(3), np.zeros((0, 0)), np.full((2, 2), np.nan)])
def test_weights_that_cannot_be_drawn(weights: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="give"):
        write_attention(weights, tmp_path / "a.png")
    with pytest.raises(RenderError, match="labels"):
        write_attention(np.zeros((2, 2)), tmp_path / "a.png", ["one"])
    assert not list(tmp_path.iterdir())
