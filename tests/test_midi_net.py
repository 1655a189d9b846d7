"""MidiNet: melodies and chords read from rolls by hand, its layers as published, conditions that reach them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from orchestrion.core.errors import UserError
from orchestrion.data.store import Corpus
from orchestrion.models.base import Request
from orchestrion.models.layers.adversarial import discriminator_loss
from orchestrion.models.zoo.midi_net import CHORDS, NO_CHORD, RECIPES, MidiNet, chords_of, folded, highest, one_hot
from orchestrion.music.bars import bars

TINY = RECIPES["tiny"].config


def fresh(seed: int = 0, **changes: Any) -> MidiNet:
    torch.manual_seed(seed)
    return MidiNet(dataclasses.replace(TINY, **changes))


# ---- melodies and chords


def cells(*pitches: int, lowest: int = 0, length: int = 4) -> np.ndarray:
    found = np.zeros(128 - lowest, np.int64)
    for pitch in pitches:
        found[pitch - lowest] += length
    return found


def test_chords_by_hand() -> None:
    assert chords_of(cells(60, 64, 67), 0) == 0  # C major
    assert chords_of(cells(60, 63, 67), 0) == 12  # C minor
    assert chords_of(cells(57, 60, 64), 0) == 21  # A minor
    assert chords_of(cells(43, 59, 62, 65), 0) == 7  # G7 is G
    assert chords_of(cells(36, 64), 0) == 0  # C and E: the root counts more
    assert chords_of(cells(), 0) == NO_CHORD
    assert chords_of(cells(61, 65, 68, lowest=25), 25) == 1
    assert chords_of(cells(60, 64, 67) + cells(61, length=1), 0) == 0
    by_hand = np.stack([[cells(62, 66, 69), cells(60, 64, 67)], [cells(), cells(59, 62, 66)]])
    assert chords_of(by_hand, 0).tolist() == [[2, 0], [NO_CHORD, 23]]


def test_chords_move_with_the_music() -> None:
    rng = np.random.default_rng(0)
    some = rng.integers(0, 5, (50, 36)) * (rng.random((50, 36)) < 0.2)
    chords = chords_of(some, 0)
    moved = chords_of(np.roll(some, 2, axis=1), 0)  # wraps within three octaves
    sounding = chords != NO_CHORD
    assert np.array_equal(moved == NO_CHORD, ~sounding)
    assert ((moved - chords)[sounding] % 12 == 2).mean() > 0.9, "but for ties"


def test_a_chord_is_thirteen_numbers() -> None:
    found = one_hot(torch.tensor([0, 14, NO_CHORD]))
    assert found.shape == (3, 13)
    assert found[0].tolist() == [1.0] + [0.0] * 12
    assert found[1].nonzero().flatten().tolist() == [2, 12]
    assert not found[2].any()


def test_a_melody_is_the_highest_pitch_and_folds_into_two_octaves() -> None:
    lines = np.zeros((1, 3, 128), bool)
    lines[0, 0, [40, 52, 55]] = True
    lines[0, 2, [97]] = True
    assert np.argwhere(highest(lines)[0]).tolist() == [[0, 55], [2, 97]]
    assert np.argwhere(folded(lines, 0)[0]).tolist() == [[0, 79], [2, 73]]
    assert np.argwhere(folded(lines[..., 30:90], 30)[0]).tolist() == [[0, 49]]


def test_a_batch_is_bars_and_those_before_with_their_chords(corpus: Corpus) -> None:
    batch = fresh(transposes=False).batch(corpus, "train", np.random.default_rng(0))
    pairs = batch["pairs"]
    assert pairs.shape == (48, 2, 16, 128)
    assert pairs.dtype == torch.bool
    assert int(pairs.sum(-1).max()) == 1
    assert batch["chords"].shape == (48, 2)
    moved = fresh().batch(corpus, "train", np.random.default_rng(0))
    shifts = set()
    for plain, other, chord, chord_moved in zip(pairs, moved["pairs"], batch["chords"], moved["chords"], strict=True):
        (shift,) = [by for by in range(-6, 6) if torch.equal(plain.roll(by, -1), other)]
        shifts.add(shift)
        assert set(((chord_moved - chord) % 12).tolist()) == {shift % 12}
    assert len(shifts) > 5
    lines = fresh(folds=True).batch(corpus, "train", np.random.default_rng(0))["pairs"].any(dim=(0, 1, 2))
    assert 60 <= int(lines.nonzero().min()) <= int(lines.nonzero().max()) <= 83


# ---- networks


def inputs(network: nn.Module) -> list[tuple[int, int]]:
    found = []
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            found.append((layer.in_features, layer.out_features))
        elif isinstance(layer, nn.Conv1d | nn.ConvTranspose1d):
            found.append((layer.in_channels, layer.out_channels))
    return found


def test_layers_are_the_published_ones() -> None:
    system = MidiNet(RECIPES["paper"].config)
    generator, discriminator = system.generator, system.discriminator
    assert inputs(generator.linear) == [(113, 1024), (1037, 256)]
    assert inputs(generator.conditioner) == [(128, 16), (16, 16), (16, 16), (16, 16)]
    assert [*inputs(generator.growth), *inputs(generator.last)] == [(157, 128)] * 4
    assert inputs(discriminator.layers) == [(141, 14), (27, 77)]
    assert [*inputs(discriminator.wide), *inputs(discriminator.mark)] == [(244, 1024), (1037, 1)]
    norms = [layer for layer in discriminator.modules() if isinstance(layer, nn.BatchNorm1d)]
    assert [norm.num_features for norm in norms] == [77, 1024], "none behind the first layer"


@pytest.mark.parametrize(("name", "kernels", "steps"), [("luo", [1, 4, 16], 64), ("luo-fine", [1, 24, 16], 384)])
def test_luos_networks_read_and_write_piano_rolls(name: str, kernels: list[int], steps: int) -> None:
    torch.manual_seed(0)
    system = MidiNet(RECIPES[name].config)
    layers = [layer for layer in system.discriminator.modules() if isinstance(layer, nn.Conv1d)]
    assert [(layer.kernel_size[0], layer.stride[0]) for layer in layers] == [(kernel, kernel) for kernel in kernels]
    assert layers[0].in_channels == 88
    assert system.config.left == 1
    before = torch.rand(3, steps, 88) < 0.05
    batch = {"pairs": torch.stack([before, before.roll(1, 0)], 1), "chords": torch.zeros(3, 2, dtype=torch.int64),
             "first": torch.tensor([True, False, False])}  # fmt: skip
    names = []
    for owner, loss in system.losses(batch, 0):
        names.append(owner)
        loss.backward()  # type: ignore[no-untyped-call]
    assert names == ["discriminator", "generator", "generator"]
    assert all(weight.grad is not None for weight in system.parameters())


def test_the_steps_that_a_layer_makes_of_one_begin_nearly_alike() -> None:
    for layer in (layer for layer in fresh().generator.growth.modules() if isinstance(layer, nn.ConvTranspose1d)):
        apart = (layer.weight - layer.weight[..., :1]).square().mean()
        assert 0 < apart < 0.5 * layer.weight.var()


def test_noise_chord_and_the_bar_before_are_heard() -> None:
    system = fresh().eval()
    noise, chord = torch.randn(2, 16), one_hot(torch.tensor([0, 17]))
    before = torch.rand(2, 16, 128) < 0.05
    with torch.no_grad():
        known = system.generator(noise, chord, before.float())
        assert known.shape == (2, 16, 128)
        for other in ((-noise, chord, before), (noise, chord.roll(1, 0), before), (noise, chord, ~before)):
            assert not torch.allclose(system.generator(other[0], other[1], other[2].float()), known)
        assert not torch.allclose(
            system.discriminator(known, chord)[0], system.discriminator(known, chord.roll(1, 0))[0]
        )


def test_labels_are_smoothed_on_one_side_and_features_matched(corpus: Corpus) -> None:
    system = fresh(mean_weight=0.0, feature_weight=0.0, generator_steps=1).train()
    batch = system.batch(corpus, "train", np.random.default_rng(0))
    real, chord = batch["pairs"][:, 1].float(), one_hot(batch["chords"][:, 1])
    before = batch["pairs"][:, 0].float() * ~batch["first"][:, None, None]
    torch.manual_seed(5)
    (_, told), (_, plain) = system.losses(batch, 0)
    torch.manual_seed(5)
    with torch.no_grad():
        made = system.generator(torch.randn(48, 16), chord, before).sigmoid()
        marks = system.discriminator(real, chord)[0], system.discriminator(made, chord)[0]
        assert told.item() == pytest.approx(discriminator_loss(*marks, real_label=0.9).item(), rel=1e-5)
        made = system.generator(torch.randn(48, 16), chord, before).sigmoid()
        gap = (real.mean(0) - made.mean(0)).square().sum()
    other = fresh(mean_weight=0.5, feature_weight=0.0, generator_steps=1).train()
    torch.manual_seed(5)
    (_, _), (_, matched) = other.losses(batch, 0)
    assert matched.item() == pytest.approx(plain.item() + 0.5 * gap.item(), rel=1e-4)


def test_the_generators_losses_leave_no_trace_in_the_discriminator(corpus: Corpus) -> None:
    system = fresh().train()
    losses = system.losses(system.batch(corpus, "train", np.random.default_rng(0)), 0)
    next(losses)
    before = {key: value.clone() for key, value in system.discriminator.state_dict().items()}
    system.zero_grad()
    for _, loss in losses:
        loss.backward()  # type: ignore[no-untyped-call]
    assert all(weight.grad is None for weight in system.discriminator.parameters())
    assert all(torch.equal(value, before[key]) for key, value in system.discriminator.state_dict().items())


# ---- music


def test_chords_follow_one_another_as_in_training(corpus: Corpus) -> None:
    system = fresh().train()
    assert set(system.progressions(np.random.default_rng(0).random((200, 4))).ravel()) == set(range(24))
    batch = system.batch(corpus, "train", np.random.default_rng(0))
    list(system.losses(batch, 0))
    assert not system.followed.any()
    system.after_step(0, [batch])
    pairs = batch["chords"].tolist()
    assert int(system.followed.sum()) == 2 * len(pairs)
    assert system.followed[CHORDS].tolist() == np.bincount([early for early, _ in pairs], minlength=CHORDS).tolist()
    assert system.followed[pairs[0][0], pairs[0][1]] >= 1
    system.followed.zero_()
    for early, late in ((CHORDS, 21), (21, 5), (5, 0), (0, 7), (7, 21)):
        system.followed[early, late] = 1_000_000
    found = system.progressions(np.random.default_rng(1).random((3, 9)))
    assert found.tolist() == [[21, 5, 0, 7] * 2 + [21]] * 3


@torch.no_grad()
def test_each_bar_is_made_from_the_one_before() -> None:
    system = fresh().eval()
    noise, chords = torch.randn(2, 3, 16), torch.tensor([[0, 5, 7], [21, 14, 12]])
    made = system.chain(noise, chords)
    assert made.shape == (2, 3, 16, 128)
    assert int(made.sum(-1).max()) == 1, "one note at a time"
    before = torch.zeros(2, 16, 128)
    for place in range(3):
        logits = system.generator(noise[:, place], one_hot(chords[:, place]), before)
        before = made[:, place].float()
        sounding = before.bool().any(-1)
        assert torch.equal(before.argmax(-1)[sounding], logits.argmax(-1)[sounding])
        assert torch.equal(sounding, logits.sigmoid().sum(-1) > 0.5)


def test_pieces_longer_than_a_phrase() -> None:
    told: list[tuple[int, int]] = []
    request = Request(count=2, bars=67, progress=lambda *done: told.append(done))
    pieces = fresh().generate(request, np.random.default_rng(0))
    assert [len(bars(piece)) for piece in pieces] == [67, 67]
    assert told == [(64, 67), (67, 67)]
    assert [track.name for track in pieces[0].tracks if len(track.notes)] == ["piano"]


@pytest.mark.parametrize(
    "changes",
    [
        {"places": 3},
        {"bars": 33, "places": 66},
        {"tracks": "kazoo"},
        {"linear": (64, 33)},
        {"linear": ()},
        {"discriminator_layers": ((14, 17, 2),)},
        {"segments": 1},
        {"generator_steps": 0},
    ],
)
def test_numbers_that_make_no_network_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UserError) as raised:
        dataclasses.replace(TINY, **changes)
    assert "\n" not in str(raised.value)
