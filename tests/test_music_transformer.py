"""The Music Transformer: what it sees of positions, what its windows are, and that its inputs say what they claim."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from orchestrion.data.tokens import PADDING, TOKEN, Tokens
from orchestrion.models.base import RecipeError, Request
from orchestrion.models.layers.intervals import INTERVALS, by_interval, interval_classes
from orchestrion.models.layers.key_inputs import KeyInputs, follow
from orchestrion.models.layers.voice_inputs import LONGEST_HELD, held
from orchestrion.models.zoo.music_transformer import (
    RANGES,
    RECIPES,
    MusicTransformer,
    MusicTransformerConfig,
    drawn_windows,
)
from orchestrion.representations.chorale import BAR, REST, VOICES, Chorale
from orchestrion.representations.performance import MAX_SHIFT, NOTE_OFF, SHIFT, VELOCITY, Performance
from orchestrion.representations.timed import timed

TINY = RECIPES["tiny"].config
CHORALE = replace(TINY, notation="chorale-16", context=128, windows=6)
VARIANTS = {
    "absolute": replace(TINY, positions="absolute"),
    "relative": TINY,
    "relative, axes": replace(TINY, axes=("pitch", "time")),
    "local": replace(TINY, pattern="local", block=16),
    "chorale, relative, axes": replace(CHORALE, axes=("pitch", "time")),
    "keys": replace(TINY, positions="rotary", outright=True),
    "keys, relative": replace(TINY, outright=True),
    "chorale, voices": replace(CHORALE, positions="rotary", outright=True),
}
START = REST + 1


@pytest.fixture(params=VARIANTS)
def system(request: pytest.FixtureRequest) -> MusicTransformer:
    """With weights that are nowhere zero, as they are at the start of training."""
    torch.manual_seed(0)
    made = MusicTransformer(VARIANTS[request.param]).eval()
    for parameter in made.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return made


def some_tokens(system: MusicTransformer, count: int = 2, length: int = 60) -> torch.Tensor:
    tokens = torch.randint(40, 80, (count, length), generator=torch.Generator().manual_seed(1))
    tokens[:, 9::7] = min(system.notation.size - 1, 270)  # shifts, or rests
    tokens[:, 0] = system.notation.size
    return tokens


@torch.no_grad()
def test_stepping_is_reading_whatever_the_positions(system: MusicTransformer) -> None:
    tokens, state, found, at = some_tokens(system), None, [], 0
    known, _ = system(tokens)
    for size in (1, 7, 1, 30, 1, 20):
        logits, state = system(tokens[:, at : at + size], state)
        found.append(logits)
        at += size
    torch.testing.assert_close(torch.cat(found, 1), known, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_past_does_not_see_the_future_and_is_seen(system: MusicTransformer) -> None:
    tokens = some_tokens(system)
    known, _ = system(tokens)
    other = tokens.clone()
    other[:, 30] += 1
    changed, _ = system(other)
    torch.testing.assert_close(changed[:, :30], known[:, :30], atol=1e-6, rtol=0)
    assert not torch.allclose(changed[:, 30], known[:, 30], atol=1e-3)
    assert not torch.allclose(changed[:, 31], known[:, 31], atol=1e-3)


@torch.no_grad()
def test_the_logits_of_motions_move_with_the_music() -> None:
    references = list(torch.randint(50, 70, (3, 1, 4), generator=torch.Generator().manual_seed(2)))
    motions = torch.randn(1, 4, 3 * INTERVALS)
    here, moved = by_interval(motions, references), by_interval(motions, [each + 5 for each in references])
    torch.testing.assert_close(moved[..., 5:REST], here[..., : REST - 5])
    assert not torch.allclose(moved[..., :REST], here[..., :REST])


def test_intervals_by_hand() -> None:
    pitches, references = torch.tensor([60, 61, 59, 127, 0, REST, 60]), torch.tensor([60, 60, 60, 60, 60, 60, START])
    same = (INTERVALS - 2) // 2
    expected = [same, same + 1, same - 1, INTERVALS - 2, 0, INTERVALS - 1, INTERVALS - 1]
    assert interval_classes(pitches, references).tolist() == expected


def test_held_notes_are_counted_by_voice_up_to_a_bound() -> None:
    steps = torch.arange(LONGEST_HELD + 6)
    voices = [torch.full_like(steps, 70), 60 + steps % 2, torch.full_like(steps, START),
              torch.where(steps < len(steps) - 3, 40, 41)]  # fmt: skip
    tokens = torch.stack(voices, dim=1).flatten().unsqueeze(0)
    bass, tenor, alto, soprano = (int(steps_held[0, -1]) for steps_held in held(tokens, 4))
    assert (soprano, alto, tenor, bass) == (LONGEST_HELD, 1, 0, 3)


def test_what_is_known_of_the_keyboard_is_what_happened() -> None:
    events = [VELOCITY + 9, 60, 64, SHIFT + 19, NOTE_OFF + 60, SHIFT + 79, 60, 67, VELOCITY + 20, 72]
    seen, behind = follow(torch.tensor([events]), KeyInputs(8).begin(1))
    held, struck = seen.keys[0, :, :, 4], seen.keys[0, :, :, 7]  # down at all; struck, fading in 1.6 s
    down_at = [{k for k in range(128) if held[t, k]} for t in range(len(events))]
    assert down_at == [set(), {60}, {60, 64}, {60, 64}, {64}, {64}, {60, 64}, *[{60, 64, 67}] * 2, {60, 64, 67, 72}]
    ages = {60: 0.0, 64: 1.0, 67: 0.0, 72: 0.0}
    assert struck[-1, sorted(ages)].tolist() == pytest.approx([np.exp(-age / 1.6) for age in ages.values()])
    assert seen.keys[0, -1, 64, 2].item() == pytest.approx(np.exp(-1.0 / 0.8)), "held for a second"
    assert not seen.keys[0, :, 50].any(), "never struck"
    assert [int(last[0, -1]) for last in seen.lasts] == [72, 67, 60, 64]
    assert [int(last[0, 1]) for last in seen.lasts] == [60, 128, 128, 128]
    assert seen.loudness[0, [0, 7, 8, 9]].tolist() == [9, 9, 20, 20]
    assert int(behind.elapsed[0]) == 1000


@torch.no_grad()
def test_what_a_key_does_decides_its_own_logits() -> None:
    torch.manual_seed(0)
    inputs = KeyInputs(8)
    torch.nn.init.normal_(inputs.by_key.weight)
    seen, _ = follow(torch.tensor([[60, SHIFT + 9]]), inputs.begin(1))
    logits = inputs.logits(torch.ones(1, 2, 8), seen)[0, -1]
    assert logits[[60, NOTE_OFF + 60]].all()
    others = [pitch for pitch in range(NOTE_OFF) if pitch != 60]
    assert not logits[others].any()
    assert not logits[[NOTE_OFF + pitch for pitch in others]].any()


# ---- windows


def chorale_table(bars: int = 10, pieces: int = 3) -> Tokens:
    rng = np.random.default_rng(0)
    lows = np.array([low for low, _ in RANGES])
    tokens = (lows + rng.integers(3, 9, (pieces * bars * BAR, VOICES))).reshape(-1)
    tokens[::97] = REST
    starts = np.arange(pieces + 1) * bars * BAR * VOICES
    return Tokens(tokens.astype(TOKEN), starts, tuple("abc"), {})


def test_windows_of_chorales_begin_with_bars_of_one_piece() -> None:
    table = chorale_table()
    rows = np.concatenate(
        [drawn_windows(table, np.random.default_rng(seed), CHORALE, moved=False) for seed in range(8)]
    )
    tokens, bar = np.asarray(table.tokens).astype(np.int64), BAR * VOICES
    begun = set()
    for row in rows:
        (at,) = [start for start in range(0, len(tokens), bar) if np.array_equal(tokens[start : start + 128], row[1:])]
        begun.add(at % table.starts[1])
        assert row[0] == (START if at in table.starts else tokens[at - 1])
        assert at // table.starts[1] == (at + 127) // table.starts[1]
    assert 0 in begun
    assert len(begun) > 3


def test_a_short_chorale_is_padded() -> None:
    table = chorale_table(bars=1)
    rows = drawn_windows(table, np.random.default_rng(0), CHORALE, moved=True)
    assert (rows[:, 0] == START).all()
    assert (rows[:, 1:65] != PADDING).all()
    assert (rows[:, 65:] == PADDING).all()


def test_transposing_moves_all_voices_alike_and_within_their_ranges() -> None:
    table, config = chorale_table(), replace(CHORALE, transpose=6.0, windows=40)
    plain = drawn_windows(table, np.random.default_rng(3), config, moved=False)
    shifts = set()
    for before, after in zip(plain, drawn_windows(table, np.random.default_rng(3), config, moved=True), strict=True):
        pitched = before < REST
        (shift,) = set((after - before)[pitched].tolist())
        assert np.array_equal(before[~pitched], after[~pitched])
        for voice, (low, high) in enumerate(RANGES):
            own = after[1 + voice :: VOICES]
            assert low <= own.min() <= own[own < REST].max() <= high
        shifts.add(shift)
    assert len(shifts) > 3


def test_performances_are_transposed_and_stretched_and_stay_legal() -> None:
    notation, rng = Performance(), np.random.default_rng(0)
    writer, written = notation.writer(), []
    for _ in range(4000):
        written.append(int(rng.choice(np.flatnonzero(writer.legal()))))
        writer.write(written[-1])
    table = Tokens(np.array(written, TOKEN), np.array([0, len(written)]), ("a",), {})
    config = replace(TINY, context=2048, windows=8, transpose=3.0, stretch=0.05)
    plain = drawn_windows(table, np.random.default_rng(1), config, moved=False)
    moved = drawn_windows(table, np.random.default_rng(1), config, moved=True)
    assert (plain[:, 0] == notation.size).all()
    assert not np.array_equal(plain, moved)
    for before, after in zip(plain[:, 1:], moved[:, 1:], strict=True):
        keys, shifts = before < SHIFT, (before >= SHIFT) & (before < VELOCITY)
        assert len(np.unique((after - before)[keys])) == 1, "all pitches by the same interval"
        assert np.array_equal(before[keys] < NOTE_OFF, after[keys] < NOTE_OFF)
        assert np.array_equal(before[~keys & ~shifts], after[~keys & ~shifts])
        full = before == SHIFT + MAX_SHIFT - 1
        assert (after[full] == before[full]).all()
        partial = shifts & ~full
        assert ((after[partial] >= SHIFT) & (after[partial] < VELOCITY)).all()
        long = partial & (before > SHIFT + 20)
        pace = (after[long] - SHIFT + 1).sum() / (before[long] - SHIFT + 1).sum()
        assert 0.93 < pace < 1.07


# ---- music and mistakes


@torch.no_grad()
def test_a_chorale_of_any_length_is_four_voices_to_the_end() -> None:
    torch.manual_seed(0)
    system = MusicTransformer(replace(CHORALE, positions="rotary", outright=True, context=64)).eval()
    scores = system.generate(Request(count=2, seconds=9.0, top_p=0.9), np.random.default_rng(0))
    for score in scores:
        notes = Chorale().encode(timed(score))
        assert len(notes) == 9.0 * Chorale().steps_per_second * VOICES


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"notation": "tabs"}, "notation"),
        ({"positions": "none"}, "positions"),
        ({"axes": ("colour",)}, "axes"),
        ({"width": 30, "heads": 4}, "width 30"),
        ({"context": 6}, "context 6"),
        ({"optimizer": "luck"}, "optimizer"),
    ],
)
def test_numbers_that_make_no_network_are_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        replace(MusicTransformerConfig(), **change)  # type: ignore[arg-type]
