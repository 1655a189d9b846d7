"""WGAN-GP with self-attention: its layers as printed, its penalty, its norms, and what the threshold does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from orchestrion.data.store import Corpus
from orchestrion.models.base import RecipeError, Request
from orchestrion.models.layers.adversarial import NORMS, frozen, gradient_penalty, wasserstein_loss
from orchestrion.models.layers.self_attention import SelfAttention
from orchestrion.models.zoo.wgan_gp_attention import (
    RECIPES,
    WganGpAttention,
    WganGpAttentionConfig,
    pairs_of,
    phrases_of,
    sounding_cells,
)
from orchestrion.training.trainer import rate_factor

PAPER = WganGpAttentionConfig()
LITTLE = replace(PAPER, noise=8, width=16, phrases=4)


def system(config: WganGpAttentionConfig) -> WganGpAttention:
    torch.manual_seed(0)
    made = WganGpAttention(config)
    with torch.no_grad():
        for layer in made.modules():
            if isinstance(layer, SelfAttention):
                layer.gamma.fill_(0.7)
    return made


def some_phrases(count: int = 6, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Real ones, sparse, and made ones, as pairs of steps."""
    generator = torch.Generator().manual_seed(seed)
    real = torch.rand(count, 17, 64, 72, generator=generator) < 0.01
    return pairs_of(real).float(), pairs_of(torch.rand(count, 17, 64, 72, generator=generator))


def parameters(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


# ---- layers as printed


def as_printed(network: nn.Sequential, x: Tensor) -> Iterator[Tensor]:
    """(B, C, T, 1) through layers of one axis as through those of two, with kernels (2, 1) and strides of 2."""
    for layer in network:
        if isinstance(layer, nn.Sequential) and isinstance(layer[0], nn.ConvTranspose1d):
            x = F.conv_transpose2d(x, layer[0].weight.unsqueeze(3), layer[0].bias, stride=2)
            x = layer[1:](x.squeeze(3)).unsqueeze(3)
        elif isinstance(layer, nn.Conv1d):
            x = F.conv2d(x, layer.weight.unsqueeze(3), layer.bias, stride=2)
        else:
            x = layer(x.squeeze(3)).unsqueeze(3)
        yield x


@torch.no_grad()
def test_the_generator_is_six_transposed_convolutions() -> None:
    generator = system(PAPER).eval().generator
    noise = torch.randn(3, 128)
    states = list(as_printed(generator.layers, noise[:, :, None, None]))
    assert [tuple(state.shape[1:]) for state in states] == [(64, 2**n, 1) for n in (1, 2, 3, 4, 4, 5)]
    assert isinstance(generator.layers[4], SelfAttention)
    assert (generator.last.kernel_size, generator.last.stride) == ((2, 72), (2, 2))
    printed = torch.sigmoid(generator.last(states[-1]))
    assert printed.shape == (3, 17, 64, 72)
    torch.testing.assert_close(phrases_of(generator(noise), 17), printed)
    convolutions = 128 * 64 * 2 + 64 + 4 * (64 * 64 * 2 + 64) + 64 * 17 * 2 * 72 + 17
    attention = 2 * (64 * 8 + 8) + 64 * 64 + 64 + 1
    assert parameters(generator) == convolutions + 5 * (2 * 64 + 1) + attention == 212_007


@torch.no_grad()
@pytest.mark.parametrize(("behind", "places"), [(2, 16), (3, 8)])
def test_the_critic_is_five_convolutions_of_which_two_steps_are_left(behind: int, places: int) -> None:
    critic = system(replace(PAPER, critic_attention=behind)).eval().critic
    _, made = some_phrases(3)
    first = critic.first(phrases_of(made, 17))
    assert first.shape == (3, 16, 32, 1)
    states = list(as_printed(critic.layers, first))
    attended = [state for layer, state in zip(critic.layers, states, strict=True) if isinstance(layer, SelfAttention)]
    assert [state.shape[2] for state in attended] == [places]
    assert states[-1].shape == (3, 16, 2, 1)
    torch.testing.assert_close(critic(made), critic.mark(states[-1].flatten(1)).squeeze(1))
    convolutions = 17 * 16 * 2 * 72 + 16 + 4 * (16 * 16 * 2 + 16)
    attention = 2 * (16 * 2 + 2) + 16 * 16 + 16 + 1
    assert parameters(critic) == convolutions + 5 * (2 * 16 + 1) + attention + 33 == 41_835


def test_pairs_of_steps_are_the_phrases_in_another_order() -> None:
    phrases = torch.rand(2, 5, 64, 72)
    pairs = pairs_of(phrases)
    assert pairs.shape == (2, 32, 5 * 2 * 72)
    assert torch.equal(pairs[1, 3].view(5, 2, 72), phrases[1, :, 6:8])
    assert torch.equal(phrases_of(pairs, 5), phrases)


def test_rates_fall_every_25_of_100_epochs() -> None:
    training = RECIPES["paper"].training
    epochs = [rate_factor(training, epoch * training.steps // 100) for epoch in (0, 24, 25, 50, 75, 99)]
    assert epochs == pytest.approx([1, 1, 0.75, 0.75**2, 0.75**3, 0.75**3])


@pytest.mark.parametrize(
    "wrong", [{"tracks": "six"}, {"critic_norm": "weight"}, {"critic_attention": 1}, {"phrases": 1}, {"threshold": 1.0}]
)
def test_numbers_that_make_no_network_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(RecipeError):
        replace(PAPER, **wrong)


# ---- self-attention


@torch.no_grad()
def test_self_attention_adds_what_is_found_at_all_places() -> None:
    torch.manual_seed(0)
    attention, x = SelfAttention(16), torch.randn(2, 16, 4, 3)
    assert torch.equal(attention(x), x), "at first nothing is added"
    attention.gamma.fill_(2.0)
    places = x.flatten(2)
    queries, keys, values = (layer(places) for layer in (attention.queries, attention.keys, attention.values))
    found = torch.zeros(2, 16, 12)
    for picture in range(2):
        for place in range(12):
            weights = torch.stack([queries[picture, :, place] @ keys[picture, :, other] for other in range(12)])
            found[picture, :, place] = values[picture] @ weights.softmax(0)
    torch.testing.assert_close(attention(x), x + 2 * found.view_as(x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(attention.weights(x).sum(-1), torch.ones(2, 12))


# ---- learning


@pytest.mark.parametrize("kind", ["layer", "none"])
def test_the_penalty_is_the_published_one(kind: str) -> None:
    one = system(replace(LITTLE, critic_norm=kind, dropout=0.3))
    real, made = some_phrases()
    torch.manual_seed(5)
    loss = one.critic_loss(real, made)
    gradients = torch.autograd.grad(loss, list(one.critic.parameters()))
    torch.manual_seed(5)
    marks = one.critic(real), one.critic(made)
    published = wasserstein_loss(*marks) + gradient_penalty(one.critic, real, made, 10.0)
    torch.testing.assert_close(loss, published, rtol=1e-4, atol=1e-4)
    for own, other in zip(gradients, torch.autograd.grad(published, list(one.critic.parameters())), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-2, atol=1e-3 * max(1.0, float(other.abs().max())))


@pytest.mark.parametrize("kind", NORMS)
def test_only_batch_norm_couples_the_phrases_of_a_critic(kind: str) -> None:
    critic = system(replace(LITTLE, critic_norm=kind, dropout=0.0)).critic.train()
    real, made = some_phrases()
    beside = torch.cat([real[:1], made[1:]])
    assert torch.allclose(critic(real)[0], critic(beside)[0], rtol=1e-4) == (kind != "batch")


def test_a_step_of_the_generator_leaves_the_critic_alone(corpus: Corpus) -> None:
    one = system(replace(LITTLE, critic_steps=2)).train()
    losses = list(one.losses(one.batch(corpus, "train", np.random.default_rng(0)), 0))
    assert [name for name, _ in losses] == ["critic", "critic", "generator"]
    kept = {key: value.clone() for key, value in one.critic.state_dict().items()}
    one.zero_grad()
    losses[-1][1].backward()  # type: ignore[no-untyped-call]
    assert all(weight.grad is None for weight in one.critic.parameters())
    assert all(weight.grad is not None for weight in one.generator.parameters())
    with frozen(one.critic):
        one.critic(some_phrases()[1])
    assert all(torch.equal(value, kept[key]) for key, value in one.critic.state_dict().items())
    assert all(weight.requires_grad for weight in one.critic.parameters())
    one.critic(some_phrases()[1])
    assert not all(torch.equal(value, kept[key]) for key, value in one.critic.state_dict().items()), "norms take note"


# ---- music


def test_more_sounds_below_a_lower_threshold() -> None:
    one = system(replace(LITTLE, threshold=0.3)).eval()
    rngs = [np.random.default_rng(seed) for seed in range(3)]
    drawn = {}
    for threshold in (0.3, 0.5, 0.7):
        one.threshold.fill_(threshold)
        drawn[threshold] = one._draw([np.random.default_rng(seed) for seed in range(3)])
    assert drawn[0.3].sum() > drawn[0.5].sum() > drawn[0.7].sum()
    assert not (drawn[0.7] & ~drawn[0.3]).any(), "what sounds at a higher threshold sounds at a lower one"
    one.threshold.fill_(0.3)
    assert np.array_equal(one._draw(rngs[:1])[0], drawn[0.3][0]), "whatever else is in the batch"


def test_an_untrained_generator_is_neither_silent_nor_full() -> None:
    one = system(replace(PAPER, threshold=0.5)).eval()
    cells = one._draw([np.random.default_rng(seed) for seed in range(4)])
    assert 1e-4 < cells.mean() < 0.1
    (score,) = one.generate(Request(count=1, bars=4), np.random.default_rng(0))
    assert score.note_num()


def test_the_threshold_moves_to_where_as_many_notes_sound_at_once(corpus: Corpus) -> None:
    """Of a generator that stays as it is; with the drawing one in evaluation, as it draws music."""
    one = system(replace(LITTLE, threshold=0.5, threshold_rate=0.2, phrases=16)).train()
    batch = one.batch(corpus, "train", np.random.default_rng(0))

    def notes_at_once(phrases: torch.Tensor) -> float:
        cells, tracks = sounding_cells(phrases)
        return float(cells / tracks / phrases.shape[2])

    def excess() -> float:
        made = one.eval()._sounding(one.drawing(torch.randn(128, LITTLE.noise)))
        one.train()
        return notes_at_once(made) - notes_at_once(batch["phrases"])

    kept = {key: value.clone() for key, value in one.state_dict().items() if key != "threshold"}
    with torch.no_grad():
        before = excess()
        for step in range(60):
            one.after_step(step, [batch])
        assert abs(excess()) < min(0.2, abs(before) / 3)
    assert all(torch.equal(value, kept[key]) for key, value in one.state_dict().items() if key != "threshold")
    assert system(replace(LITTLE, threshold=0.25)).threshold == 0.25, "without a rate it stays where it is put"


def test_the_threshold_moves_once_a_step_by_the_mean_over_its_batches(corpus: Corpus) -> None:
    one = system(replace(LITTLE, threshold=0.5, threshold_rate=0.2)).train()
    batches = [one.batch(corpus, "train", np.random.default_rng(seed)) for seed in range(2)]

    def moved(*chosen: int) -> float:
        torch.manual_seed(1)
        for _ in range(chosen[0]):
            torch.randn_like(batches[0]["noise"])  # what the batches before draw
        one.threshold.fill_(0.5)
        one.after_step(0, [batches[number] for number in chosen])
        return float(one.threshold.logit())

    assert abs(moved(0) - moved(1)) > 0.1
    assert moved(0, 1) == pytest.approx((moved(0) + moved(1)) / 2, abs=1e-4)
