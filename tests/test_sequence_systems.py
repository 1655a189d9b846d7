"""What the older sequence systems do that the contract does not ask: the formulas and figures of their papers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from orchestrion.data.store import Corpus
from orchestrion.data.tokens import PADDING, token_table
from orchestrion.models.base import RecipeError
from orchestrion.models.zoo import attention_rnn, lookback_rnn
from orchestrion.models.zoo.attention_grid import AttentionGrid, AttentionGridConfig
from orchestrion.models.zoo.attention_rnn import AttentionRNN, AttentionRNNConfig
from orchestrion.models.zoo.dilated_convolution import DilatedConvolution, DilatedConvolutionConfig, GatedLayer
from orchestrion.models.zoo.lookback_rnn import BAR, LookbackRNN, LookbackRNNConfig
from orchestrion.models.zoo.performance_rnn import PerformanceRNN, PerformanceRNNConfig, stretched, transposed
from orchestrion.representations.melody import NO_EVENT, NOTE_OFF, MelodyEvents
from orchestrion.representations.performance import SHIFT, STEP_MS, VELOCITY, Performance
from orchestrion.representations.timed import TIMED, by_onset

PERFORMANCE, MELODY = Performance(), MelodyEvents()


def some(size: int, *shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, size, shape))


@pytest.mark.parametrize(
    "config",
    [
        lambda: AttentionGridConfig(stacks=0),
        lambda: AttentionGridConfig(width=33),
        lambda: AttentionRNNConfig(reach=0),
        lambda: DilatedConvolutionConfig(notation="roll"),
        lambda: DilatedConvolutionConfig(kernel=1),
        lambda: LookbackRNNConfig(bars=0),
        lambda: PerformanceRNNConfig(transpose=-1),
    ],
)
def test_numbers_that_make_no_network_are_refused_in_one_line(config: Any) -> None:
    with pytest.raises(RecipeError) as raised:
        config()
    assert "\n" not in str(raised.value)


# ---- attention grid


@pytest.fixture
def grid() -> AttentionGrid:
    torch.manual_seed(0)
    config = AttentionGridConfig(stacks=2, heads=3, width=16, feed_forward=32, dropout=0.0)
    return AttentionGrid(config).eval()


def test_each_head_projects_to_the_full_width(grid: AttentionGrid) -> None:
    queries, keys, values = grid.stacks[0].parted(torch.randn(2, 7, 16))
    assert queries.shape == keys.shape == values.shape == (2, 3, 7, 16)
    assert grid.stacks[0].attention.outward.weight.shape == (16, 3 * 16)
    for linear in (grid.stacks[1].attention.queries, grid.first_linear):  # Xavier uniform
        bound = (6 / sum(linear.weight.shape)) ** 0.5
        assert 0.9 * bound < linear.weight.abs().max() <= bound


@torch.no_grad()
def test_the_view_of_figure_5_11_would_let_a_step_see_later_ones(grid: AttentionGrid) -> None:
    attention, x = grid.stacks[0].attention, torch.randn(1, 8, 16)
    changed = x.clone()
    changed[:, 5:] += 1

    def printed(x: Tensor) -> Tensor:
        projected = (linear(x).view(1, 3, 8, 16) for linear in (attention.queries, attention.keys, attention.values))
        mixed = F.scaled_dot_product_attention(*projected, is_causal=True)
        return attention.outward(mixed.transpose(1, 2).contiguous().view(1, 8, 48))

    def parted(x: Tensor) -> Tensor:
        return attention(*attention.parted(x), None)

    assert not torch.allclose(printed(changed)[:, 0], printed(x)[:, 0], atol=1e-3), "the first sees the sixth"
    assert torch.equal(parted(changed)[:, :5], parted(x)[:, :5])


@torch.no_grad()
def test_scores_are_the_weights_that_the_network_uses(grid: AttentionGrid) -> None:
    tokens = some(388, 2, 9)
    first, second = grid.scores(tokens)
    assert first.shape == second.shape == (2, 3, 9, 9)
    for weights in (first, second):
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 9))
        assert not weights.triu(1).any()
    assert grid.scores(tokens, masked=False)[0].triu(1).any()
    stack, (x, _, _) = grid.stacks[0], grid._opening(tokens, None)
    queries, keys, values = stack.parted(x)
    mixed = stack.attention.outward((first @ values).transpose(1, 2).flatten(2))
    torch.testing.assert_close(mixed, stack.attention(queries, keys, values, None))
    nothing = grid._opening(torch.full((1, 9), -1), None)[0]
    torch.testing.assert_close(nothing[0], grid._positions(torch.arange(9)))


# ---- dilated convolution


@torch.no_grad()
def test_a_gated_layer_is_formula_4_7() -> None:
    config = DilatedConvolutionConfig(channels=3, skip_channels=5, kernel=2, dropout=0.0)
    layer, x = GatedLayer(config, dilation=4), torch.randn(1, 3, 11)
    through, skip, past = layer(x, torch.zeros(1, 3, 4))
    weight, bias = layer.filter_gate.weight, layer.filter_gate.bias
    for step in range(11):
        before = x[0, :, step - 4] if step >= 4 else torch.zeros(3)
        summed = weight[:, :, 0] @ before + weight[:, :, 1] @ x[0, :, step] + bias
        y = summed[:3].tanh() * summed[3:].sigmoid()
        expected = x[0, :, step] + layer.residual.weight[:, :, 0] @ y + layer.residual.bias
        torch.testing.assert_close(through[0, :, step], expected)
        torch.testing.assert_close(skip[0, :, step], layer.skip.weight[:, :, 0] @ y + layer.skip.bias)
    assert torch.equal(past, x[:, :, -4:])


@torch.no_grad()
@pytest.mark.parametrize(("layers", "rounds", "kernel", "reach"), [(3, 1, 2, 8), (3, 2, 2, 15), (2, 1, 3, 7)])
def test_a_prediction_reaches_as_far_back_as_told(layers: int, rounds: int, kernel: int, reach: int) -> None:
    config = DilatedConvolutionConfig(
        notation="melody-8", channels=8, skip_channels=8, layers=layers, rounds=rounds, kernel=kernel
    )
    assert config.reach == reach
    system, tokens = DilatedConvolution(config).eval(), some(129, 1, 20)

    def moved(back: int) -> bool:
        other = tokens.clone()
        other[0, -back] = (other[0, -back] + 1) % 129
        return not torch.equal(system(other)[0][:, -1], system(tokens)[0][:, -1])

    assert moved(reach)
    assert not moved(reach + 1)


# ---- Lookback RNN


@pytest.fixture
def lookback() -> LookbackRNN:
    torch.manual_seed(0)
    return LookbackRNN(LookbackRNNConfig(width=8, layers=1, dropout=0.0)).eval()


def read_inputs(system: LookbackRNN, tokens: Tensor) -> dict[str, Tensor]:
    """What the LSTM is given for (B, T) tokens, by part."""
    seen: list[Tensor] = []
    hook = system.lstm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    system(tokens)
    hook.remove()
    last, two, one, repeats, clock = seen[0].split([131, 130, 130, 2, 5], dim=-1)
    return {"last": last.argmax(-1), "two": two.argmax(-1), "one": one.argmax(-1), "repeats": repeats, "clock": clock}


@torch.no_grad()
def test_the_input_of_lookback_is_as_the_report_prints_it(lookback: LookbackRNN) -> None:
    music = some(130, 1, 3 * BAR)
    music[0, 2 * BAR + 3] = music[0, 3]
    music[0, 2 * BAR + 5] = music[0, BAR + 5]
    read = F.pad(music, (1, 0), value=MELODY.size)  # so that place i predicts music[i]
    found = read_inputs(lookback, read)
    assert found["clock"][0, :4].tolist() == [[-1, -1, -1, -1, 1], [-1, -1, -1, 1, -1], [-1, -1, -1, 1, 1],
                                              [-1, -1, 1, -1, -1]]  # fmt: skip
    assert torch.equal(found["clock"][0, :BAR], found["clock"][0, 2 * BAR : 3 * BAR])
    assert found["last"][0].tolist() == read[0].tolist()
    for place in range(3 * BAR):
        one = music[0, place - BAR] if place >= BAR else NO_EVENT
        two = music[0, place - 2 * BAR] if place >= 2 * BAR else NO_EVENT
        assert (found["one"][0, place], found["two"][0, place]) == (one, two)
        last = place - 1
        repeats = [last - back >= 0 and bool(music[0, last] == music[0, last - back]) for back in (2 * BAR, BAR)]
        assert found["repeats"][0, place].tolist() == repeats
    assert found["repeats"][0, 2 * BAR + 4, 0]
    assert found["repeats"][0, 2 * BAR + 6, 1]


@torch.no_grad()
def test_a_token_of_lookback_is_as_likely_as_its_labels_together(lookback: LookbackRNN) -> None:
    tokens = some(130, 2, 3 * BAR)
    known, (labels, repeated, _) = lookback(tokens)[0].exp(), lookback._read(tokens, None)
    torch.testing.assert_close(known.sum(-1), torch.ones(2, 3 * BAR))
    for piece, step in ((0, 5), (1, 2 * BAR + 3)):
        expected = labels[piece, step, :130].exp()
        for number in range(2):
            expected[repeated[piece, step, number]] += labels[piece, step, 130 + number].exp()
        torch.testing.assert_close(known[piece, step], expected)


@torch.no_grad()
def test_lookback_learns_to_say_that_something_repeats(lookback: LookbackRNN) -> None:
    music = some(128, 1, 3 * BAR)
    music[0, 2 * BAR + 3] = music[0, 3]  # as two bars ago
    music[0, 2 * BAR + 5] = music[0, BAR + 5]  # as one bar ago
    music[0, 2 * BAR + 7] = music[0, BAR + 7] = music[0, 7]  # both: two bars ago goes first
    music[0, 1] = NO_EVENT  # as the nothing before the beginning
    wanted = music.clone()
    wanted[0, [2 * BAR + 3, 2 * BAR + 7, 1]], wanted[0, [BAR + 7, 2 * BAR + 5]] = 130, 131
    batch = {"tokens": F.pad(music, (1, 0), value=MELODY.size)}
    (name, loss), *rest = lookback.losses(batch, 0)
    labels, _, _ = lookback._read(batch["tokens"][:, :-1], None)
    torch.testing.assert_close(loss, F.nll_loss(labels.flatten(0, 1), wanted.flatten()))
    assert (name, rest) == ("adam", [])
    nats, count = lookback.measure(batch)["nats_per_token"]
    assert nats / count < float(loss), "what can be said in several ways costs less than one of them"


def test_windows_of_lookback_begin_at_bars(corpus: Corpus) -> None:
    table, rng = token_table(corpus, "train", lookback_rnn.NOTATION), np.random.default_rng(0)
    drawn = lookback_rnn._windows_at_bars(table, rng, 200, 2)
    pieces = [table.piece(index) for index in range(len(table.pieces))]
    bars = {tuple(piece[at : at + 2 * BAR]) for piece in pieces for at in range(0, len(piece), BAR)}
    found = {tuple(window[window != PADDING]) for window in drawn}
    assert found <= bars
    whole = {bar for bar in bars if len(bar) == 2 * BAR}
    assert whole <= found, "all of them are drawn"


# ---- Attention RNN


@torch.no_grad()
def test_attention_rnn_is_formulas_4_1_to_4_3() -> None:
    torch.manual_seed(0)
    config = AttentionRNNConfig(width=6, layers=1, reach=3, dropout=0.0)
    first, tokens = AttentionRNN(config).first, some(130, 1, 8)
    outputs, look = first(tokens, first.begin(1))
    h, c, found = torch.zeros(1, 6), torch.zeros(1, 6), torch.zeros(1, 6)
    for step in range(8):
        h, c = first.lstm(torch.cat([first.inward(tokens[:, step]), found], dim=1), (h, c))
        past = outputs[0, max(step - 3, 0) : step]
        found = torch.zeros(1, 6)
        if len(past):
            u = torch.stack([first.score.weight[0] @ (first.key.weight @ h_i + first.query.weight @ c[0]).tanh()
                             for h_i in past])  # fmt: skip
            found = (u.softmax(0) @ past)[None]
        torch.testing.assert_close(outputs[:, step], first.outward(torch.cat([h, found], dim=1)))
    torch.testing.assert_close(look.found, found)
    assert attention_rnn.RECIPES["paper"].config.reach == 40


# ---- Performance RNN


def played(seed: int, count: int = 120) -> np.ndarray:
    rng = np.random.default_rng(seed)
    notes = np.zeros(count, TIMED)
    notes["onset"] = np.sort(rng.integers(0, 30_000, count) // STEP_MS * STEP_MS)
    notes["length"] = rng.integers(3, 300, count) * STEP_MS
    notes["pitch"], notes["velocity"] = rng.permutation(count) % 88 + 21, 4 * rng.integers(1, 31, count) + 2
    return PERFORMANCE.decode(PERFORMANCE.encode(by_onset(notes)))


@pytest.mark.parametrize("factor", [0.95, 0.975, 1.0, 1.05])
def test_stretching_moves_every_note_to_its_own_time(factor: float) -> None:
    notes = played(1)
    tokens = PERFORMANCE.encode(notes)
    longer = stretched(tokens, factor)
    heard = PERFORMANCE.decode(longer)
    assert np.array_equal(PERFORMANCE.encode(heard), longer)
    assert np.array_equal(heard[["pitch", "velocity"]], notes[["pitch", "velocity"]])
    for name in ("onset", "length"):
        before, after = notes[name].astype(float) * factor, heard[name]
        assert np.abs(before - after).max() <= 2 * STEP_MS, "nothing drifts"
    if factor == 1:
        assert np.array_equal(longer, tokens)


def test_stretching_keeps_apart_what_was_apart() -> None:
    tokens = np.array([VELOCITY + 8, 60, SHIFT, 128 + 60, SHIFT + 99, SHIFT + 49, VELOCITY + 9, 62, SHIFT + 9, 190])
    shorter = stretched(tokens, 0.5)
    assert shorter.tolist() == [VELOCITY + 8, 60, SHIFT, 188, SHIFT + 74, VELOCITY + 9, 62, SHIFT + 3, 190]
    assert stretched(tokens[[4, 5]], 1.0).tolist() == [], "a gap that leads nowhere"


def test_transposing_moves_keys_alone_and_never_out_of_range() -> None:
    tokens = PERFORMANCE.encode(played(2))
    up = transposed(tokens, 3)
    moved = PERFORMANCE.decode(up)
    assert np.array_equal(moved["pitch"], PERFORMANCE.decode(tokens)["pitch"] + 3)
    assert np.array_equal(up[up >= SHIFT], tokens[tokens >= SHIFT])
    assert np.array_equal(transposed(np.array([2, 130]), -3), [2, 130])


def test_training_windows_are_varied_and_validation_is_as_it_is(corpus: Corpus) -> None:
    plain = PerformanceRNNConfig(width=8, layers=1, window=60, windows=12, transpose=0, stretch=False)
    varied = PerformanceRNNConfig(width=8, layers=1, window=60, windows=12)

    def drawn(config: PerformanceRNNConfig, split: str) -> np.ndarray:
        return PerformanceRNN(config).batch(corpus, split, np.random.default_rng(3))["tokens"].numpy()

    train = drawn(varied, "train")
    assert train.shape == (12, 61)
    assert (train[:, 0] == PERFORMANCE.size).all()
    assert (train[:, 1:] < PERFORMANCE.size).all()
    assert np.array_equal(drawn(varied, "valid"), drawn(plain, "valid"))
    kinds = {tuple(np.unique(row[(row >= 0) & (row < 128)])) for row in train}
    table = token_table(corpus, "train", PERFORMANCE)
    known = {int(token) for token in table.tokens if token < NOTE_OFF}
    assert {pitch for kind in kinds for pitch in kind} - known, "pitches that no piece has"
