"""MuseGAN: its layers are the convolutions that are printed, its players hear what their model lets them hear, and a
track that is given stays as it is and is heard."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from symusic import Note, Score, Track
from torch import Tensor, nn

from conftest import little_song
from orchestrion.core.errors import UserError
from orchestrion.data.store import Corpus
from orchestrion.generation.compose import compose, continue_score, fill
from orchestrion.models.base import RecipeError, Request, RequestError
from orchestrion.models.layers.adversarial import gradient_penalty, wasserstein_loss
from orchestrion.models.layers.bar_layers import Layer, Norm, Temporal, gathered
from orchestrion.models.layers.phrase_critic import windows
from orchestrion.models.loading import Model
from orchestrion.models.zoo.muse_gan import MODELS, NEURONS, RECIPES, MuseGAN, critic_of
from orchestrion.music.theory import DRUMS
from orchestrion.representations.cells import encode

TINY = RECIPES["tiny"].config
#: The last layer makes steps too.
LATE: dict[str, Any] = {"bar_layers": ((24, 4, 1), (8, 1, 5), (0, 4, 12)), "critic_layers": ((16, 4, 4),)}


def fresh(seed: int = 0, **changes: Any) -> MuseGAN:
    torch.manual_seed(seed)
    return MuseGAN(dataclasses.replace(TINY, **changes)).eval()


def size(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


# ---- layers


def test_a_product_of_matrices_is_a_transposed_convolution_whose_kernel_is_its_stride() -> None:
    layer = Layer(1, 5, 7, 3, norm=False, leak=None)
    x = torch.randn(2, 5, 4)  # (B, C, T)
    kernel = layer.weight[0].view(5, 3, 7).permute(0, 2, 1)  # (C, F, cells)
    torch.testing.assert_close(
        layer(x.transpose(1, 2).reshape(1, 8, 5)).view(2, 12, 7).transpose(1, 2),
        F.conv_transpose1d(x, kernel, stride=3),
    )


def test_places_gathered_are_a_convolution() -> None:
    layer, x = Layer(1, 4 * 5, 7, norm=False, leak=None), torch.randn(2, 5, 11)
    gathered = windows(x.transpose(1, 2)[None], 4, 2)  # (1, B, places, 4 * C)
    made = layer(gathered.flatten(1, 2)).view(2, -1, 7).transpose(1, 2)
    torch.testing.assert_close(made, F.conv1d(x, layer.weight[0].view(4, 5, 7).permute(2, 1, 0), stride=2))
    assert torch.equal(windows(x.transpose(1, 2)[None], 2, 2)[0, :, 1], x[:, :, 2:4].transpose(1, 2).flatten(1))


def test_cells_gathered_are_a_convolution_over_time_and_pitch() -> None:
    layer, x = Layer(1, 2 * 3 * 4, 7, norm=False, leak=None), torch.randn(5, 2, 6, 8)  # (B, K, S, P)
    made = layer(gathered(x, 3, 4).flatten(0, 1)[None]).view(5, 2, 2, 7).permute(0, 3, 1, 2)
    torch.testing.assert_close(made, F.conv2d(x, layer.weight[0].T.reshape(7, 2, 3, 4), stride=(3, 4)))


@torch.no_grad()
def test_a_last_layer_makes_steps_and_pitches_of_each_place() -> None:
    generator = fresh(**LATE).generator
    seen: list[Tensor] = []
    generator.layers[-1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    made = generator(torch.randn(2, generator.noise))
    layer, (x,) = cast(Layer, generator.layers[-1]), seen
    assert layer.bias is not None
    for track in range(5):
        kernel = layer.weight[track].view(8, 1, 4, 12)
        rows = x[track].view(2, 16, 5, 8).permute(0, 3, 1, 2)  # (B, C, time, pitch)
        grown = F.conv_transpose2d(rows, kernel, stride=(4, 12)) + layer.bias[track]
        torch.testing.assert_close(made[:, track], grown[:, 0])
    steps = made.view(2, 5, 16, 4, 60)
    apart = (steps - steps[:, :, :, :1]).square().mean()
    assert 0 < apart < 0.02 * made.var(), "they are nearly alike at first"


def test_norm_is_batch_norm_of_each_player_and_folds_into_the_weights() -> None:
    norm, x = Norm(3, 4), torch.randn(3, 50, 4) * 3 + 1
    with torch.no_grad():
        norm.scale.uniform_(0.5, 2)
        norm.shift.normal_()
    own = [nn.BatchNorm1d(4) for _ in range(3)]
    for player, layer in enumerate(own):
        layer.weight.data, layer.bias.data = norm.scale[player, 0].data, norm.shift[player, 0].data
    expected = torch.stack([layer(part) for layer, part in zip(own, x, strict=True)])
    torch.testing.assert_close(norm.train()(x), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(norm.mean[:, 0], torch.stack([layer.running_mean for layer in own]))  # type: ignore[misc]
    layer = Layer(3, 6, 4, 2, norm=True, leak=0.2)
    layer.norm = norm
    norm.variance.uniform_(0.5, 2)
    rows = torch.randn(3, 9, 6)
    plain = F.leaky_relu(norm.eval()(torch.bmm(rows, layer.weight).view(3, 18, 4)), 0.2)
    torch.testing.assert_close(layer.eval()(rows), plain)


@pytest.mark.parametrize("bars", [3, 4, 8])
def test_a_temporal_generator_is_two_transposed_convolutions(bars: int) -> None:
    temporal, noise = Temporal(1, 6, 10, bars).eval(), torch.randn(1, 2, 6)
    kernel = temporal.weight[0].view(10, bars - 1, 6).permute(0, 2, 1)
    opened = temporal.first(noise).view(2, 2, 10).transpose(1, 2)
    expected = F.relu(F.conv_transpose1d(opened, kernel) / (1 + 1e-5) ** 0.5)
    torch.testing.assert_close(temporal(noise)[0].transpose(1, 2), expected)


def test_sizes() -> None:
    small = MuseGAN(RECIPES["small"].config)
    assert 300_000 < size(small.generator) < 330_000
    with torch.device("meta"):
        paper = MuseGAN(RECIPES["paper"].config)
    kernels = [(128, 512, 2), (512, 512, 2), (512, 256, 2), (256, 256, 2), (256, 128, 2), (128, 128, 3), (128, 64, 7)]
    bar = sum(inward * outward * cells + 2 * outward for inward, outward, cells in kernels) + 64 * 12 + 1
    temporal = 32 * 2 * 1024 + 2 * 1024 + 1024 * 3 * 32 + 2 * 32
    assert size(paper.generator) == 5 * bar + 6 * temporal
    assert paper.generator.noise == 2 * 32 * 6
    features = 5 * 512  # of a bar of 96 steps
    critic = [(12 * 5, 128), (7 * 128, 128), (2 * 128, 128), (2 * 128, 128), (4 * 128, 256), (3 * 256, 512),
              (2 * features, 512), (3 * 512, 128), (128, 1024), (1024, 1)]  # fmt: skip
    assert size(paper.critic) == sum(inward * outward + outward for inward, outward in critic)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "trio"},
        {"neurons": "spiking"},
        {"condition": "kazoo"},
        {"tracks": "piano", "condition": "piano"},
        {"bars": 2},
        {"pitches": 61},
        {"bar_layers": ((24, 4, 1), (8, 1, 5), (16, 4, 1), (0, 1, 12))},
        {"bar_layers": ((24, 4, 1), (8, 4, 5), (0, 1, 12))},
        {"noise": 15},
        {"critic_layers": ((16, 4, 4), (16, 5, 4))},
        {"critic_steps": 0},
    ],
)
def test_numbers_that_make_no_network_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RecipeError) as raised:
        dataclasses.replace(TINY, **changes)
    assert "\n" not in str(raised.value)


# ---- models


def moved(system: MuseGAN, noise: Tensor, place: int) -> list[bool]:
    """Which tracks another number of noise changes."""
    other = noise.clone()
    other[:, place] += 3
    return (system.generator(noise) != system.generator(other)).flatten(2).any(dim=2)[0].tolist()


@torch.no_grad()
def test_players_hear_the_noise_of_their_model() -> None:
    every = [True] * 5
    for model in MODELS:
        system = fresh(model=model)
        noise, width = torch.randn(1, system.generator.noise), system.generator.width
        private = 0 if model == "jamming" else 2 * width
        if model != "jamming":
            assert [moved(system, noise, place) for place in (0, width)] == [every, every]
        if model != "composer":
            own = [moved(system, noise, private + 2 * width * track + width) for track in range(5)]
            assert own == np.eye(5, dtype=bool).tolist()
        assert system.generator.noise == private + (0 if model == "composer" else 10 * width)


@torch.no_grad()
def test_noise_of_the_bars_differs_by_bar_and_the_other_does_not() -> None:
    generator = fresh().generator
    latent = generator.latent(torch.randn(3, generator.noise)).view(5, 3, 4, 4, -1)  # (M, B, T, vectors, N)
    same = [bool((latent[:, :, :1, vector] == latent[:, :, :, vector]).all()) for vector in range(4)]
    assert same == [False, True, False, True]
    assert torch.equal(latent[0, ..., :2, :], latent[4, ..., :2, :]), "what all tracks share"


@torch.no_grad()
def test_critics_of_a_jamming_band_hear_their_own_track() -> None:
    phrases = (torch.rand(2, 5, 64, 60) < 0.1).float()
    other = phrases.clone()
    other[:, 3] = 1 - other[:, 3]
    for model in MODELS:
        critic = fresh(model=model).critic
        changed = (critic(phrases) != critic(other)).tolist()
        assert changed == ([[False, False, False, True, False]] * 2 if model == "jamming" else [[True]] * 2)


@pytest.mark.parametrize("late", [{}, LATE])
@pytest.mark.parametrize("condition", ["", "guitar"])
@pytest.mark.parametrize("model", MODELS)
def test_the_critics_loss_has_the_penalty_of_the_field_at_a_share_of_its_cost(
    model: str, condition: str, late: dict[str, Any]
) -> None:
    system = fresh(model=model, condition=condition, **late)
    critic, tracks = system.critic, len(system.config.made)
    real, made = ((torch.rand(6, tracks, 64, 60) < share).float() for share in (0.1, 0.3))
    given = (torch.rand(6, 64, 60) < 0.1).float() if condition else None
    torch.manual_seed(1)
    loss = system.critic_loss(real, made, given)
    gradients = torch.autograd.grad(loss, list(critic.parameters()))
    torch.manual_seed(1)
    if model == "jamming":  # one phrase for each of its critics

        def by_track(rows: Tensor) -> Tensor:
            return critic(rows.unflatten(0, (tracks, -1)).transpose(0, 1), given).T.flatten()

        real_rows, made_rows = (one.transpose(0, 1).flatten(0, 1) for one in (real, made))
        penalty = gradient_penalty(by_track, real_rows, made_rows)
    else:
        penalty = gradient_penalty(lambda phrases: critic(phrases, given).squeeze(1), real, made)
    expected = wasserstein_loss(critic(real, given), critic(made, given)) + penalty
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
    wanted = torch.autograd.grad(expected, list(critic.parameters()), allow_unused=True)
    for one, other in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(one, torch.zeros_like(one) if other is None else other, rtol=1e-3, atol=1e-4)


# ---- neurons and learning


@pytest.mark.parametrize("neurons", NEURONS)
def test_neurons_are_binary_or_not_and_gradients_reach_the_generator(neurons: str) -> None:
    system = fresh(neurons=neurons).train()
    made = system.drawn(torch.randn(4, system.generator.noise), None)
    values = set(made.unique().tolist())
    assert values == {0.0, 1.0} if neurons != "none" else len(values) > 100 and -1 <= min(values) < 0 < max(values) <= 1
    (-system.critic(made).mean()).backward()  # type: ignore[no-untyped-call]
    assert all(weight.grad is not None and weight.grad.any() for weight in system.generator.layers.parameters())
    with torch.no_grad():
        noise = torch.randn(4, system.generator.noise)
        again = [system.drawn(noise, None) for _ in range(2)]
    assert torch.equal(*again) == (neurons != "stochastic")
    assert (set(again[0].unique().tolist()) == {0.0, 1.0}) == (neurons != "none")


@pytest.mark.parametrize("model", MODELS)
def test_a_step_is_several_of_the_critic_and_one_of_the_generator(model: str, corpus: Corpus) -> None:
    system = fresh(model=model, condition="piano").train()
    batch = system.batch(corpus, "train", np.random.default_rng(0))
    assert batch["phrases"].shape == (16, 5, 64, 60)
    names = []
    for name, loss in system.losses(batch, 0):
        names.append(name)
        system.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        of = {part: any(weight.grad is not None for weight in module.parameters())
              for part, module in (("critic", system.critic), ("generator", system.generator))}  # fmt: skip
        assert of == {"critic": name == "critic", "generator": name == "generator"}
    assert names == ["critic", "critic", "generator"]
    assert all(weight.grad is not None and weight.grad.any() for weight in system.generator.encoder.parameters())


@pytest.mark.parametrize("late", [{}, LATE])
@torch.no_grad()
def test_the_track_given_is_heard_by_both_networks_and_kept(late: dict[str, Any]) -> None:
    system = fresh(condition="guitar", model="hybrid", **late)
    phrases = torch.rand(3, 5, 64, 60) < 0.1
    real, given = system._parted(phrases)
    assert given is not None
    assert torch.equal(system._whole(real, given), phrases)
    noise, silence = torch.randn(3, system.generator.noise), torch.zeros_like(given)
    by_track = (system.generator(noise, given) != system.generator(noise, silence)).flatten(2).any(dim=2)
    assert by_track.shape == (3, 4)
    assert by_track.all()
    assert (system.critic(real.float(), given) != system.critic(real.float(), silence)).all()
    cut = given.clone()
    cut[:, 48:] = 0  # a bar is played to what is given in it
    changed = (system.generator(noise, given) != system.generator(noise, cut)).transpose(1, 2).flatten(2).any(dim=2)
    assert not changed[:, :48].any()
    assert changed[:, 48:].any()


@pytest.mark.parametrize("neurons", NEURONS)
def test_a_phrase_is_its_random_streams_whatever_is_drawn_beside(neurons: str) -> None:
    system = fresh(neurons=neurons)
    with torch.inference_mode():
        many = system.draw(np.random.default_rng(0).spawn(20))
        one = system.draw(np.random.default_rng(0).spawn(20)[17:18])
    assert many.shape == (20, 5, 64, 60)
    assert np.array_equal(many[17:18], one)
    assert len({phrase.tobytes() for phrase in many}) == 20


# ---- accompanying


@pytest.fixture(scope="module")
def band() -> Model:
    """Plays to the piano, untrained, and not as rarely as that."""
    system = fresh(condition="piano")
    nn.init.constant_(system.generator.layers[-1].bias, -0.7)  # type: ignore[arg-type]
    return Model(system, "muse_gan", {}, "0" * 64)


@pytest.fixture
def song() -> Score:
    return little_song(3, bars=6)  # piano, bass, drums


def notes(score: Score, track: int) -> list[tuple[int, int, int]]:
    return [(note.time, note.duration, note.pitch) for note in score.tracks[track].notes]


def test_whole_tracks_are_played_to_the_one_given(band: Model, song: Score) -> None:
    piece = fill(song, tracks=[1, 2], seed=1, model=band)[0]
    assert notes(piece.score, 0) == notes(song, 0), "the piano is as it was"
    assert notes(piece.score, 1) != notes(song, 1)
    assert notes(piece.score, 2) != notes(song, 2)
    assert fill(song, (1, 6), [1, 2], seed=1, model=band)[0].score.dumps_midi() == piece.score.dumps_midi()
    other = fill(song, (1, 6), [1, 2], seed=2, model=band)[0]
    assert notes(other.score, 1) + notes(other.score, 2) != notes(piece.score, 1) + notes(piece.score, 2)
    louder = song.copy()
    louder.tracks[0].notes.extend([Note(480 * beat, 480, 79, 90) for beat in range(24)])
    heard = fill(louder, (1, 6), [1, 2], seed=1, model=band)[0]
    assert notes(heard.score, 1) + notes(heard.score, 2) != notes(piece.score, 1) + notes(piece.score, 2)


def test_some_bars_are_played_and_the_others_stay(band: Model, song: Score) -> None:
    piece = fill(song, (2, 3), [1, 2], seed=1, model=band)[0]
    for track in (1, 2):
        kept = [note for note in notes(song, track) if not 1920 <= note[0] < 3 * 1920]
        assert [note for note in notes(piece.score, track) if not 1920 <= note[0] < 3 * 1920] == kept
    assert notes(piece.score, 2) != notes(song, 2)


def test_tracks_are_added_to_a_piano_alone(band: Model, song: Score) -> None:
    del song.tracks[1:]
    pieces = fill(song, (1, 6), add=(DRUMS, 33, 48), seed=4, count=2, model=band)
    for piece in pieces:
        assert notes(piece.score, 0) == notes(song, 0)
        programs = [DRUMS if track.is_drum else track.program for track in piece.score.tracks]
        assert sorted(programs) == [0, 33, 48, DRUMS]
        assert all(track.end() <= 6 * 1920 for track in piece.score.tracks)
        assert sum(len(track.notes) for track in piece.score.tracks[1:])
        told = {said["reason"] for said in piece.record["not_understood"]}
        assert not told, "nothing was asked for that it holds not"
    assert pieces[0].score.dumps_midi() != pieces[1].score.dumps_midi()
    keyed = fill(song, (1, 6), sentence="in D minor", add=(DRUMS,), seed=4, model=band)[0]
    assert any("holds no key" in said["reason"] for said in keyed.record["not_understood"])
    assert "key" not in {check["control"] for check in keyed.record["controls"]}


def with_track(score: Score, program: int) -> Score:
    score.tracks.append(Track("more", program, False))
    score.tracks[-1].notes.append(Note(0, 480, 60, 80))
    return score


REFUSED: dict[str, tuple[Any, str]] = {
    "the track given": (lambda model: fill(little_song(0), (1, 4), [0, 1], model=model), "cannot compose it"),
    "everything": (lambda model: fill(little_song(0), (1, 4), model=model), "cannot compose it"),
    "more bars": (lambda model: continue_score(little_song(0), 4, model=model), "cannot compose it"),
    "a waltz": (lambda model: fill(little_song(0, meter=(3, 4)), (1, 4), [1], model=model), "4/4"),
    "no piano": (lambda model: fill(with_track(Score(480), 40), (1, 1), add=(33,), model=model), "has none"),
    "two string parts": (lambda model: fill(little_song(0), (1, 4), add=(40, 73), model=model), "violin, flute"),
    "nothing given": (lambda model: compose("a march", model=model), "give it music"),
}


@pytest.mark.parametrize(("ask", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_it_cannot_fill_is_refused_in_one_line(band: Model, ask: Any, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as raised:
        ask(band)
    assert "\n" not in str(raised.value)


def test_a_ragged_hole_and_a_band_that_hears_nothing_are_refused(band: Model) -> None:
    given = encode(little_song(0, bars=4))
    hole = np.zeros((4, 3), bool)
    hole[:, 0] = hole[1:3, 1] = True
    with pytest.raises(RequestError, match="same bars"):
        band.system.generate(Request(given=given, hole=hole), np.random.default_rng(0))
    with pytest.raises(RequestError, match="small-piano"):
        fill(little_song(0), (1, 4), [1], model=Model(fresh(), "muse_gan", {}, "0" * 64))


def test_a_bar_is_reached_by_every_part_of_the_critic() -> None:
    critic = critic_of(TINY)
    phrases = torch.rand(1, 5, 64, 60, requires_grad=True)
    critic(phrases).sum().backward()  # type: ignore[no-untyped-call]
    assert phrases.grad is not None
    assert phrases.grad.view(5, 4, 16, 60).any(dim=3).all()
