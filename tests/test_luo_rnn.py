"""Luo's recurrent networks: the stack against the report's figure and itself, the cure of stuck notes, odd requests."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from orchestrion.core.errors import UserError
from orchestrion.models.base import RecipeError, Request
from orchestrion.models.layers.recurrent import RecurrentStack, SelfAttention, clipped_adam
from orchestrion.models.zoo import luo_rnn, luo_roll_rnn
from orchestrion.models.zoo.luo_rnn import LuoRNN, LuoRNNConfig
from orchestrion.models.zoo.luo_roll_rnn import LuoRollRNN, LuoRollRNNConfig
from orchestrion.representations.frames import Frames
from orchestrion.representations.performance import stuck_notes_a_minute
from orchestrion.representations.timed import timed

EVENTS = LuoRNNConfig(notation="performance", width=16, context=8)


def nothing(width: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return torch.zeros(2, 0, width), torch.zeros(2, 0, width), torch.zeros(2, 0, dtype=torch.bool)


def test_the_last_step_of_a_window_is_figure_5_4() -> None:
    torch.manual_seed(0)
    attention, x = SelfAttention(6, reach=9), 3 * torch.randn(2, 9, 6)
    q, k, v = attention.query(x), attention.key(x), attention.value(x)
    printed = torch.matmul(F.softmax(torch.matmul(q, k.transpose(1, 2)), -1), v)
    found = attention(x, *nothing(6))[0]
    torch.testing.assert_close(found[:, -1], printed[:, -1])
    assert not torch.allclose(found[:, 0], printed[:, 0], atol=1e-2), "the first step does not see the others"


def test_attention_forgets_what_is_out_of_reach() -> None:
    torch.manual_seed(0)
    attention, x = SelfAttention(6, reach=4), torch.randn(2, 12, 6)
    other = x.clone()
    other[:, 3] += 5
    with torch.no_grad():
        before, after = (attention(each, *nothing(6))[0] for each in (x, other))
    apart = (before - after).abs().amax((0, 2))
    assert (apart[3:7] > 1e-3).all()
    assert (apart[7:] < 1e-6).all()
    assert (apart[:3] == 0).all()


@pytest.mark.parametrize("reach", [0, 5, 64])
@pytest.mark.parametrize("residual", [False, True])
@torch.no_grad()
def test_the_stack_reads_in_parts_as_in_whole(reach: int, residual: bool) -> None:
    torch.manual_seed(0)
    stack, x = RecurrentStack(7, 12, reach=reach, residual=residual, between=0.5, end=0.4).eval(), torch.randn(3, 40, 7)
    whole, _ = stack(x)
    memory, parts, at = stack.begin(3), [], 0
    for size in (1, 2, 9, 1, 20, 7):
        part, memory = stack(x[:, at : at + size], memory)
        parts.append(part)
        at += size
        assert memory.seen.shape[1] == (min(at, reach - 1) if reach else 0), "no more is kept than is seen again"
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-6, rtol=1e-5)


def test_dropout_is_behind_each_lstm() -> None:
    torch.manual_seed(0)
    stack, x = RecurrentStack(7, 400, reach=0, residual=False, between=0.0, end=0.4), torch.randn(2, 30, 7)
    assert float((stack(x)[0] == 0).float().mean()) == pytest.approx(0.4, abs=0.02)
    between = RecurrentStack(7, 400, reach=0, residual=False, between=0.5, end=0.0)
    assert not torch.equal(between(x)[0], between(x)[0])
    assert torch.equal(between.eval()(x)[0], between(x)[0])


def test_gradients_are_clipped_element_by_element() -> None:
    parameter = torch.nn.Parameter(torch.zeros(3))
    adam = clipped_adam([parameter], 0.1, 3.0)
    parameter.grad = torch.tensor([-50.0, 2.0, 4.0])
    adam.step()
    assert parameter.grad.tolist() == [-3.0, 2.0, 3.0]


def test_every_variant_and_size_of_the_report_has_a_recipe() -> None:
    variants = {"basic": (False, False, 0), "attention": (True, False, 0), "attention-residual": (True, True, 0),
                "attention-residual-embedding": (True, True, 50), "embedding": (False, False, 50)}  # fmt: skip
    for variant, (attention, residual, embedding) in variants.items():
        for system, prefixes in ((luo_rnn, ("", "poly-")), (luo_roll_rnn, ("",))):
            for name in [f"{prefix}{size}-{variant}" for prefix in prefixes for size in ("small", "paper")]:
                config = system.RECIPES[name].config
                assert (config.attention, config.residual, config.embedding) == (attention, residual, embedding)
                assert (config.clip, config.context) == (3.0, 128)
                if "paper" in name:
                    assert config.rate == 1e-3
                    poly = name.startswith("poly") or system is luo_roll_rnn
                    assert config.width == 256
                    assert (config.between, config.end) == ((0.2, 0.2) if poly else (0.5, 0.4))


def test_notes_that_never_end_are_ended() -> None:
    """A network that strikes and never releases: as published its notes go on to the end; the writer ends them."""

    def stuck(longest: float) -> float:
        torch.manual_seed(0)
        system = LuoRNN(dataclasses.replace(EVENTS, longest_note_seconds=longest)).eval()
        torch.nn.init.zeros_(system.classes.weight)
        system.classes.bias.data[:] = -30.0
        system.classes.bias.data[40:60] = 0.0  # note on
        system.classes.bias.data[300:356] = 1.0  # time goes on
        system.classes.bias.data[356:] = -10.0
        (score,) = system.generate(Request(seconds=30.0), np.random.default_rng(0))
        notes = timed(score)
        assert len(notes) > 5
        if longest:
            assert notes["length"].max() <= longest * 1000
        return stuck_notes_a_minute(notes, bound_seconds=10.0)

    assert stuck(0.0) >= 5
    assert stuck(10.0) == 0


def test_a_roll_holds_its_length_with_a_silent_network_and_the_likeliest_is_a_threshold() -> None:
    torch.manual_seed(0)
    system = LuoRollRNN(LuoRollRNNConfig(width=8, context=8)).eval()
    torch.nn.init.zeros_(system.keys.weight)
    system.keys.bias.data[:] = -40.0
    (silent,) = system.generate(Request(seconds=3.0), np.random.default_rng(0))
    assert silent.note_num() == 1
    assert silent.end() == 3000
    system.keys.bias.data[[3, 50]] = 0.01
    (loud,) = system.generate(Request(seconds=3.0, temperature=0.0), np.random.default_rng(0))
    roll = Frames(8.0).encode(timed(loud))
    assert np.array_equal(roll, np.isin(np.arange(88), [3, 50])[None].repeat(24, 0))


def test_nats_of_a_roll_are_those_of_all_its_keys() -> None:
    torch.manual_seed(0)
    system = LuoRollRNN(LuoRollRNNConfig(width=8, context=8)).eval()
    torch.nn.init.zeros_(system.keys.weight)
    torch.nn.init.zeros_(system.keys.bias)
    (score,) = system.generate(Request(seconds=2.0), np.random.default_rng(0))
    nats = system.piece_nats(score)
    assert nats.tokens == 16 * 88
    assert sum(nats.nats.values()) == pytest.approx(16 * 88 * np.log(2), rel=1e-6)


@pytest.mark.parametrize("system", [LuoRNN(EVENTS), LuoRollRNN(LuoRollRNNConfig(width=8, context=8))])
@pytest.mark.parametrize("request_", [Request(seconds=0.0), Request(seconds=float("nan")),
                                      Request(seconds=2.0, temperature=-1.0)])  # fmt: skip
def test_what_cannot_be_made_is_refused_in_one_line(system: LuoRNN | LuoRollRNN, request_: Request) -> None:
    with pytest.raises(UserError) as raised:
        system.generate(request_, np.random.default_rng(0))
    assert "\n" not in str(raised.value)


def test_numbers_that_make_no_network_are_refused() -> None:
    with pytest.raises(RecipeError, match="set attention"):
        LuoRNNConfig(residual=True)
    with pytest.raises(RecipeError, match="melody-8 or performance"):
        LuoRNNConfig(notation="chords")
    with pytest.raises(RecipeError, match="at least 1"):
        LuoRollRNNConfig(width=0)
