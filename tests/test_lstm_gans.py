"""The GANs of one piano track: layers as printed, phases, what the discriminator sees, tracks."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam

from orchestrion.data.store import Corpus
from orchestrion.models import checkpoint
from orchestrion.models.base import Recipe, RecipeError, Request, System
from orchestrion.models.layers.adversarial import draw_bars_, gradient_penalty, held
from orchestrion.models.layers.lstm_discriminator import LSTMCritic, set_memory_
from orchestrion.models.registry import recipe, system_class
from orchestrion.models.zoo.bilstm_gan import BiLSTMGAN, BiLSTMGANConfig, Generator
from orchestrion.models.zoo.cnn_lstm_gan import AT_ONCE, CNNLSTMGAN
from orchestrion.training.trainer import train

NAMES = ("naive_gan", "bilstm_gan", "cnn_lstm_gan")
#: The paper's figures 4 and 5, layers without parameters left out.
PRINTED_GENERATOR = {"first": 1_052_672, "second": 4_198_400, "third": 6_295_552, "dense": 1_049_600, "norm": 4_096,
                     "outward": 102_500}  # fmt: skip
PRINTED_DISCRIMINATOR = {"first": 1_052_672, "second": 4_198_400, "dense.0": 524_800, "dense.2": 131_328,
                         "dense.4": 257}  # fmt: skip


def tiny(name: str, **config: Any) -> Recipe:
    chosen = recipe(name, "tiny")
    return dataclasses.replace(chosen, config=dataclasses.replace(chosen.config, **config))


def fresh(name: str, **config: Any) -> System:
    torch.manual_seed(0)
    return system_class(name)(tiny(name, **config).config)


def a_batch(system: System, corpus: Corpus) -> dict[str, Tensor]:
    return dict(system.batch(corpus, "train", np.random.default_rng(0)))


# ---- as printed


def keras_count(layer: nn.Module) -> int:
    """Parameters as Keras counts them: an LSTM has one bias a gate where PyTorch adds up two, and the running mean and
    variance of a batch norm count too."""
    count = sum(weights.numel() for name, weights in layer.named_parameters() if "bias_hh" not in name)
    if isinstance(layer, nn.BatchNorm1d):
        assert layer.running_mean is not None
        count += 2 * layer.running_mean.numel()
    return count


def keras_counts(network: nn.Module, names: Sequence[str]) -> dict[str, int]:
    return {name: keras_count(network.get_submodule(name)) for name in names}


def test_the_layers_of_the_bilstm_gan_have_the_parameters_printed() -> None:
    with torch.device("meta"):
        generator = Generator(noise=100, lstm=512, dropout=0.3, dense=1024, cells=100)
        discriminator = LSTMCritic(inputs=1, lstm=512, dense=(512, 256))
    assert keras_counts(generator, list(PRINTED_GENERATOR)) == PRINTED_GENERATOR
    assert keras_counts(discriminator, list(PRINTED_DISCRIMINATOR)) == PRINTED_DISCRIMINATOR
    for network, printed in ((generator, PRINTED_GENERATOR), (discriminator, PRINTED_DISCRIMINATOR)):
        second_biases = sum(w.numel() for name, w in network.named_parameters() if "bias_hh" in name)
        running = 2 * 1024 if network is generator else 0
        assert sum(w.numel() for w in network.parameters()) == sum(printed.values()) + second_biases - running


def test_the_paper_recipe_differs_where_a_phrase_comes_in_and_goes_out_alone() -> None:
    with torch.device("meta"):
        system = BiLSTMGAN(recipe("bilstm_gan", "paper").config)
    cells, keys = 192 * 84, 84
    assert keras_counts(system.generator, list(PRINTED_GENERATOR)) == {
        **PRINTED_GENERATOR, "outward": 1025 * cells
    }  # fmt: skip
    assert keras_counts(system.discriminator, list(PRINTED_DISCRIMINATOR)) == {
        **PRINTED_DISCRIMINATOR, "first": 2048 * (keys + 512 + 1)
    }  # fmt: skip
    made: Tensor = system.generator(torch.empty(3, 100, device="meta"))
    assert made.shape == (3, cells)


def test_shapes_run_through_the_layers_as_printed() -> None:
    torch.manual_seed(0)
    generator, seen = Generator(noise=100, lstm=8, dropout=0.3, dense=16, cells=100), dict[str, tuple[int, ...]]()

    def note(name: str) -> Any:
        def hook(module: nn.Module, given: Any, result: Any) -> None:
            seen[name] = tuple((result[0] if isinstance(result, tuple) else result).shape)

        return hook

    for name in (*PRINTED_GENERATOR, "steps"):
        generator.get_submodule(name).register_forward_hook(note(name))
    generator(torch.randn(3, 100))
    assert seen == {"steps": (3, 100, 1), "first": (3, 100, 8), "second": (3, 100, 16), "third": (3, 100, 16),
                    "dense": (3, 16), "norm": (3, 16), "outward": (3, 100)}  # fmt: skip


def test_both_directions_of_a_bilstm_count_with_what_they_end_with() -> None:
    torch.manual_seed(0)
    discriminator, heard = LSTMCritic(inputs=3, lstm=4, dense=(5,)), torch.randn(2, 7, 3)
    states, _ = discriminator.second(discriminator.first(heard)[0])
    ends = torch.cat([states[:, -1, :4], states[:, 0, 4:]], 1)
    torch.testing.assert_close(discriminator(heard), discriminator.dense(ends))


def test_reading_by_cells_is_reading_whole() -> None:
    torch.manual_seed(0)
    critic, heard = LSTMCritic(inputs=3, lstm=4, dense=(5,), memory=7), torch.randn(2, 7, 3)
    for bias in (bias for layer in (critic.first, critic.second) for w in layer.all_weights for bias in w[2:]):
        nn.init.normal_(bias)
    torch.testing.assert_close(critic.by_cells(heard), critic(heard))
    gradient_penalty(critic.by_cells, heard, torch.randn(2, 7, 3)).backward()
    moved = {name for name, weights in critic.named_parameters() if weights.grad is not None and weights.grad.any()}
    assert {"first.weight_ih_l0", "second.weight_hh_l0_reverse", "dense.0.weight"} <= moved


def test_what_lies_in_the_middle_is_judged_where_gates_let_it_last() -> None:
    """As an LSTM begins in Keras, next to nothing of the middle of a phrase is left where both directions end."""

    def share(memory: int) -> float:
        torch.manual_seed(0)
        critic, heard = LSTMCritic(inputs=12, lstm=32, dense=(16,), memory=memory), torch.rand(8, 192, 12) < 0.1
        (slopes,) = torch.autograd.grad(critic(given := heard.float().requires_grad_()).sum(), given)
        by_step = slopes.norm(dim=(0, 2))
        return float(by_step[64:128].mean() / by_step.mean())

    assert share(0) < 0.01
    assert share(192) > 0.1


def test_a_memory_is_of_as_many_steps_as_asked() -> None:
    lstm = nn.LSTM(2, 100, bidirectional=True)
    set_memory_(lstm, 0)
    for _, _, bias, other in lstm.all_weights:
        assert bias[100:200].eq(1).all()
        assert not other.any()
    set_memory_(lstm, 50)
    for _, _, bias, other in lstm.all_weights:
        steps = 1 + bias[100:200].exp()
        assert 1.5 < steps.min() < 5 < 40 < steps.max() < 52
        assert torch.equal(bias[:100], -bias[100:200])
        assert not other.any()


def test_logits_held_are_alike_over_as_many_steps_and_as_spread() -> None:
    torch.manual_seed(0)
    logits = torch.randn(8, 2, 96, 5)
    assert torch.equal(held(logits, 1), logits)
    summed = held(logits, 12)
    assert summed.shape == logits.shape
    assert summed.std().item() == pytest.approx(1, rel=0.1)
    torch.testing.assert_close(summed[:, :, 50], logits[:, :, 44:56].sum(2) / 12**0.5)


def test_cells_have_in_common_their_bar_and_their_pitch_in_it() -> None:
    torch.manual_seed(0)
    weights = torch.empty(2 * 48 * 5, 400)
    draw_bars_(weights, (2, 48, 5), 4, 0.1)
    assert weights.std().item() == pytest.approx(0.1, rel=0.1)
    cells = weights.view(2, 4, 12, 5, 400)

    def alike(one: Tensor, other: Tensor) -> float:
        return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])

    assert alike(cells[:, :, 1:], cells[:, :, :-1]) == pytest.approx(0.7, abs=0.05)
    assert alike(cells[..., 1:, :], cells[..., :-1, :]) == pytest.approx(0.3, abs=0.05)
    assert alike(cells[:, 1:], cells[:, :-1]) == pytest.approx(0, abs=0.05)


def test_the_picture_of_the_cnn_lstm_gan_is_doubled_twice() -> None:
    with torch.device("meta"):
        generator = CNNLSTMGAN(recipe("cnn_lstm_gan", "paper").config).generator
        picture = generator.picture(generator.dense(torch.empty(2, 100)))
    sizes = [tuple(picture.shape[1:])]
    for layer in generator.units:
        picture = layer(picture)
        if isinstance(layer, nn.Upsample | nn.ConvTranspose2d):
            sizes.append(tuple(picture.shape[1:]))
    assert sizes == [(128, 48, 21), (128, 96, 42), (128, 96, 42), (128, 192, 84), (64, 192, 84), (1, 192, 84)]
    kinds = [type(layer).__name__ for layer in generator.units]
    assert kinds == ["Upsample", "ConvTranspose2d", "BatchNorm2d", "LeakyReLU", "Upsample", "ConvTranspose2d",
                     "LeakyReLU", "ConvTranspose2d"]  # fmt: skip


def test_the_paper_recipes_train_as_the_paper_says() -> None:
    for name, kind in (("bilstm_gan", SGD), ("cnn_lstm_gan", Adam)):
        chosen = recipe(name, "paper")
        with torch.device("meta"):
            optimizers = system_class(name)(chosen.config).optimizers()
        assert [(type(o), o.param_groups[0]["lr"]) for o in optimizers.values()] == [(kind, 0.01), (kind, 0.01)]
        assert (chosen.config.discriminator_steps, chosen.config.generator_steps) == (1, 10)
        assert chosen.training.fall_every == 10_238 // chosen.config.phrases + 1
        assert chosen.training.fall_to < 1
        assert chosen.config.grid.shape == (1, 192, 84)


# ---- learning


@pytest.mark.parametrize("penalty", [0.0, 10.0])
@pytest.mark.parametrize("name", NAMES)
def test_updates_come_in_the_ratio_asked_for(name: str, penalty: float, corpus: Corpus) -> None:
    steps = {} if name == "naive_gan" else {"generator_steps": 2}
    system = fresh(name, discriminator_steps=3, phrases=4, penalty=penalty, **steps)
    batch = a_batch(system, corpus)
    assert len(batch["phrases"]) == len(batch["noise"]) == 12
    named = [optimizer for optimizer, _ in system.losses(batch, 0)]
    assert named == ["discriminator"] * 3 + ["generator"] * (1 if name == "naive_gan" else 2)


@pytest.mark.parametrize("name", NAMES)
def test_at_first_some_cells_are_on_in_most_phrases(name: str) -> None:
    for seed in range(4):
        torch.manual_seed(seed)
        system: Any = system_class(name)(recipe(name, "tiny").config).train()
        on = system(torch.randn(64, 16)).flatten(1) > 0.5
        assert 0.0005 < on.float().mean() < 0.1
        assert on.any(1).float().mean() > 0.3


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_what_the_discriminator_sees_and_what_its_marks_teach(name: str, binary: bool, corpus: Corpus) -> None:
    system: Any = fresh(name, binary=binary, discriminator_steps=1, penalty=0.0).train()
    seen: list[Tensor] = []
    system.discriminator.register_forward_pre_hook(lambda module, given: seen.append(given[0].detach()))
    losses = dict(system.losses(a_batch(system, corpus), 0))
    told, fooled = seen
    assert len(told) == 2 * len(fooled)
    assert bool(((fooled == 0) | (fooled == 1)).all()) == binary
    assert ((told[: len(fooled)] == 0) | (told[: len(fooled)] == 1)).all(), "the real ones come first"
    losses["generator"].backward()
    taught = {key: p.grad for key, p in system.named_parameters()}
    assert all(grad is None for key, grad in taught.items() if key.startswith("discriminator"))
    assert all(grad.isfinite().all() and grad.any() for key, grad in taught.items() if key.startswith("generator"))


def test_a_generator_is_pretrained_before_it_meets_its_discriminator(corpus: Corpus) -> None:
    system: Any = fresh("bilstm_gan", pretraining=2, discriminator_steps=1, phrases=4).train()
    optimizers, batch = system.optimizers(), a_batch(system, corpus)

    def step(number: int) -> tuple[list[str], set[str]]:
        before = {key: p.detach().clone() for key, p in system.named_parameters()}
        names = []
        for name, loss in system.losses(batch, number):
            names.append(name)
            optimizers[name].zero_grad()
            loss.backward()
            optimizers[name].step()
        system.after_step(number, [batch])
        moved = {key.split(".")[0] for key, p in system.named_parameters() if not torch.equal(p, before[key])}
        return names, moved

    assert [step(number) for number in range(2)] == [(["generator"], {"generator", "encoder"})] * 2
    assert step(2) == (["discriminator", "generator"], {"discriminator", "generator"})
    assert system.pretrained == 2
    assert step(0)[0] == ["discriminator", "generator"], "a run that begins with its weights does not pretrain again"


def test_pretraining_lets_noise_tell_phrases(corpus: Corpus) -> None:
    system: Any = fresh("bilstm_gan", pretraining=60, rate=4e-3).train()
    optimizer, batch = system.optimizers()["generator"], a_batch(system, corpus)
    nats = []
    for step in range(60):
        ((_, loss),) = system.losses(batch, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        nats.append(loss.item())
    density = batch["phrases"].float().mean(0)
    apart = nn.functional.binary_cross_entropy(density.expand(len(batch["phrases"]), -1, -1, -1),
                                               batch["phrases"].float())  # fmt: skip
    assert nats[-1] < 0.5 * nats[0]
    assert nats[-1] < 4 * float(apart)


class StoppedError(Exception):
    pass


def test_a_run_stopped_while_pretraining_goes_on_where_it_was(corpus: Corpus, tmp_path: Path) -> None:
    chosen = tiny("bilstm_gan", pretraining=3, phrases=4)
    training = dataclasses.replace(chosen.training, steps=5, validate_every=5, save_every=2)
    chosen = dataclasses.replace(chosen, training=training)

    def stop(progress: Any) -> None:
        if progress.step == 3:
            raise StoppedError

    train("bilstm_gan", chosen, corpus, tmp_path / "whole")
    with pytest.raises(StoppedError):
        train("bilstm_gan", chosen, corpus, tmp_path / "stopped", told=stop)
    train("bilstm_gan", chosen, corpus, tmp_path / "stopped")
    whole, stopped = (checkpoint.load(tmp_path / run / "checkpoints" / "5")[0] for run in ("whole", "stopped"))
    assert whole.pretrained == 3
    assert all(torch.equal(weights, stopped.state_dict()[key]) for key, weights in whole.state_dict().items())


# ---- music


@pytest.mark.parametrize("name", NAMES)
def test_five_tracks_come_from_one_noise(name: str, corpus: Corpus) -> None:
    system: Any = fresh(name, tracks="five", phrases=4, discriminator_steps=1).eval()
    batch = a_batch(system, corpus)
    assert batch["phrases"].shape == (4, 5, 32, 36)
    with torch.no_grad():
        assert system(batch["noise"]).shape == (4, 5, 32, 36)
        figures = system.measure(batch)
    assert list(figures) == ["phrase_distance", "distinct", "critic_gap"]
    (piece,) = system.generate(Request(bars=2), np.random.default_rng(0))
    assert [track.name for track in piece.tracks] == ["drums", "piano", "guitar", "bass", "strings"]


def test_many_phrases_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    system: Any = fresh("cnn_lstm_gan").eval()
    drawn = list[int]()

    def ones(noise: Tensor) -> Tensor:
        drawn.append(len(noise))
        return torch.ones(len(noise), *system.config.grid.shape)

    monkeypatch.setattr(system.generator, "forward", ones)
    with torch.inference_mode():
        phrases = system._drawn(np.random.default_rng(0).spawn(2 * AT_ONCE + 3))
    assert drawn == [AT_ONCE, AT_ONCE, 3]
    assert phrases.shape == (2 * AT_ONCE + 3, *system.config.grid.shape)


@pytest.mark.parametrize(
    ("name", "numbers", "message"),
    [
        ("naive_gan", {"phrases": 1}, "phrases 2"),
        ("naive_gan", {"generator": (64, 0)}, "at least 1"),
        ("bilstm_gan", {"optimizer": "rmsprop"}, "choose sgd or adam"),
        ("bilstm_gan", {"pretraining": -1}, "cannot be negative"),
        ("bilstm_gan", {"at_once": 7}, "cannot be heard 7 at once"),
        ("cnn_lstm_gan", {"at_once": 7}, "cannot be heard 7 at once"),
        ("cnn_lstm_gan", {"pitches": 34}, "multiples of 4"),
        ("cnn_lstm_gan", {"kernel": 4}, "choose an odd one"),
        ("cnn_lstm_gan", {"generator_steps": 0}, "at least 1"),
    ],
)
def test_numbers_that_make_no_network_are_refused(name: str, numbers: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        tiny(name, **numbers)


def test_a_config_names_its_grid() -> None:
    assert BiLSTMGANConfig().grid.name == "piano-4x48x84-24"
