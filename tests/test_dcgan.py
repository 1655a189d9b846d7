"""DCGAN: its layers, and the hybrid of an LSTM with 1-d convolutions, at the widths of its recipes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from orchestrion.data.store import Corpus
from orchestrion.models.base import RecipeError
from orchestrion.models.zoo.dcgan import DCGAN, NETWORKS, RECIPES, DCGANConfig, even_like, signs


def system(config: DCGANConfig) -> DCGAN:
    torch.manual_seed(0)
    return DCGAN(config)


def parameters(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def little(network: str) -> DCGAN:
    return system(DCGANConfig(network, width=8, phrases=4))


def shapes(network: nn.Module, x: Tensor, kind: type[nn.Module] | tuple[type[nn.Module], ...]) -> list[tuple[int, ...]]:
    """Of what the layers of this kind give."""
    found = []
    for layer in network.children():
        x = layer(x)
        if isinstance(layer, kind):
            found.append(tuple(x.shape[1:]))
    return found


@torch.no_grad()
def test_the_picture_doubles_up_to_64_by_72() -> None:
    one = little("convolution").eval()
    made = shapes(one.generator, torch.rand(2, 100), (nn.Unflatten, nn.ConvTranspose2d))
    assert made == [(64, 4, 9), (32, 8, 9), (16, 16, 18), (8, 32, 36), (17, 64, 72)]
    told = shapes(one.discriminator, torch.rand(2, 17, 64, 72), nn.Conv2d)
    assert told == [(8, 32, 36), (16, 16, 18), (32, 8, 9), (64, 4, 9)]


def test_the_widths_are_those_of_dcgan() -> None:
    one = system(RECIPES["paper"].config)
    layers = [layer for layer in one.generator if isinstance(layer, nn.ConvTranspose2d)]
    assert [(layer.in_channels, layer.out_channels) for layer in layers] == [
        (1024, 512), (512, 256), (256, 128), (128, 17)
    ]  # fmt: skip
    assert (parameters(one.generator), parameters(one.discriminator)) == (12_675_729, 8_990_081)


@torch.no_grad()
def test_the_hybrid_is_an_lstm_over_sixteen_steps() -> None:
    one = little("hybrid").eval()
    seen: list[tuple[int, ...]] = []
    for network in (one.generator, one.discriminator):
        lstm = network.lstm
        assert isinstance(lstm, nn.LSTM)
        lstm.register_forward_hook(lambda layer, inputs, outputs: seen.append(tuple(inputs[0].shape)))
    phrases = one(torch.rand(3, 100))
    assert phrases.shape == (3, 17, 64, 72)
    assert one.discriminator(phrases).shape == (3,)
    assert seen == [(3, 16, 8)] * 2


@torch.no_grad()
@pytest.mark.parametrize("name", ["small", "small-hybrid", "paper-hybrid"])
def test_at_first_few_cells_are_on_and_phrases_differ(name: str) -> None:
    one = system(replace(RECIPES[name].config, phrases=2)).eval()
    noise = even_like(torch.zeros(4, 100))
    assert -1 <= noise.min() < -0.9 < 0.9 < noise.max() <= 1
    on = one(noise) > 0
    assert 1e-4 < on.float().mean() < 0.05
    assert len({phrase.numpy().tobytes() for phrase in on}) == 4


@pytest.mark.parametrize("network", NETWORKS)
def test_each_loss_reaches_all_of_its_network_and_none_of_the_other(network: str, corpus: Corpus) -> None:
    one = little(network).train()
    batch = one.batch(corpus, "train", np.random.default_rng(0))
    assert set(signs(batch["phrases"]).unique().tolist()) == {-1.0, 1.0}
    networks = {"discriminator": one.discriminator, "generator": one.generator}
    for name, loss in one.losses(batch, 0):
        one.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for other, part in networks.items():
            assert all((weight.grad is not None) == (other == name) for weight in part.parameters())
    kept = {key: value.clone() for key, value in one.discriminator.state_dict().items()}
    steps = one.losses(batch, 0)
    next(steps)
    noted = {key: value.clone() for key, value in one.discriminator.state_dict().items()}
    next(steps)
    assert all(torch.equal(value, noted[key]) for key, value in one.discriminator.state_dict().items())
    assert any(not torch.equal(value, kept[key]) for key, value in noted.items()), "batch norms take note of their own"


@pytest.mark.parametrize("wrong", [{"network": "recurrent"}, {"norm": "weight"}, {"tracks": "six"}, {"phrases": 1},
                                   {"threshold": 0.0}])  # fmt: skip
def test_numbers_that_make_no_network_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(RecipeError):
        replace(DCGANConfig(), **wrong)
