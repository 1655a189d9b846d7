"""The blocks that systems share: attention over rotated positions, its cache, and the optimizer."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import numpy as np
import pytest
import torch
import torch.distributed as distributed
from torch import Tensor, nn

from orchestrion.models.layers.attention import Attention, Block, Cache, rotate, rotation
from orchestrion.models.layers.optimizer import MuonAdamW, orthogonalize
from orchestrion.models.layers.sharding import clip_gradients, is_part, part_of, shard, whole

WIDTH, HEADS, STEPS = 32, 2, 12
WAVELENGTHS = torch.stack([  # two axes; each pair turns by one of them
    torch.tensor([6.3, 20.0, 80.0, *[torch.inf] * 5]),
    torch.tensor([*[torch.inf] * 3, 12.0, 24.0, 48.0, 96.0, 192.0]),
])  # fmt: skip


def randomized(network: nn.Module, seed: int = 0) -> nn.Module:
    """Weights that are nowhere zero, as the layers that write to the residual stream start at zero."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) / WIDTH**0.5
    return network.eval()


def positions(batch: int, seed: int = 1) -> Tensor:
    """(batch, STEPS, 2): places in order, and times that rise unevenly."""
    times = torch.from_numpy(np.random.default_rng(seed).integers(0, 9, (batch, STEPS)).cumsum(1))
    return torch.stack([torch.arange(STEPS).expand(batch, -1), times], dim=-1)


def inputs(batch: int = 2, seed: int = 2) -> Tensor:
    return torch.randn(batch, STEPS, WIDTH, generator=torch.Generator().manual_seed(seed))


def test_rotation_keeps_lengths_and_turns_by_the_distance_alone() -> None:
    x = torch.randn(1, 2, 1, 16, generator=torch.Generator().manual_seed(3))
    here, there = torch.tensor([[[4, 10], [7, 31]]]), torch.tensor([[[104, 58], [107, 79]]])
    turned, turned_on = (rotate(x, *rotation(at, WAVELENGTHS))[0, :, 0] for at in (here, there))
    torch.testing.assert_close(turned.norm(dim=-1), x[0, :, 0].norm(dim=-1))
    torch.testing.assert_close(turned[0] @ turned[1], turned_on[0] @ turned_on[1], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(turned, turned_on, atol=1e-2)
    torch.testing.assert_close(rotate(x, *rotation(torch.zeros(1, 2, 2), WAVELENGTHS)), x)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_shift_of_all_positions_changes_no_attention(axis: int) -> None:
    attention = randomized(Attention(WIDTH, HEADS))
    x, places = inputs(), positions(2)
    shifted, moved_one = places.clone(), places.clone()
    shifted[..., axis] += 17
    moved_one[:, 3, axis] += 17
    expected = attention(x, rotation(places, WAVELENGTHS))
    torch.testing.assert_close(attention(x, rotation(shifted, WAVELENGTHS)), expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(attention(x, rotation(moved_one, WAVELENGTHS)), expected, atol=1e-3)


def test_a_block_does_not_see_what_comes_later() -> None:
    block = randomized(Block(WIDTH, HEADS, 0.0))
    x, turn = inputs(), rotation(positions(2), WAVELENGTHS)
    changed = x.clone()
    changed[:, 7:] += 1
    before, after = block(x, turn), block(changed, turn)
    torch.testing.assert_close(after[:, :7], before[:, :7], atol=1e-6, rtol=0)
    assert not torch.allclose(after[:, 7:], before[:, 7:], atol=1e-2)


@pytest.mark.parametrize("sizes", [[12], [1] * 12, [5, 1, 4, 2]])
def test_reading_by_pieces_from_the_cache_equals_reading_at_once(sizes: list[int]) -> None:
    block = randomized(Block(WIDTH, HEADS, 0.0))
    x, places = inputs(), positions(2)
    expected = block(x, rotation(places, WAVELENGTHS))
    cache = Cache.empty(2, HEADS, STEPS + 3, WIDTH // HEADS, x)
    got, held = [], 0
    for size in sizes:
        turn = rotation(places[:, held : held + size], WAVELENGTHS)
        got.append(block(x[:, held : held + size], turn, cache, torch.tensor([held, held])))
        held += size
    torch.testing.assert_close(torch.cat(got, dim=1), expected, atol=1e-5, rtol=1e-5)


def test_sequences_of_different_lengths_step_together() -> None:
    block = randomized(Block(WIDTH, HEADS, 0.0))
    x, places = inputs(3), positions(3)
    expected = block(x, rotation(places, WAVELENGTHS))
    lengths = torch.tensor([2, 7, 0])
    cache = Cache.empty(3, HEADS, STEPS, WIDTH // HEADS, x)
    cache.keys += 9.0  # what an earlier use left in places not yet read
    cache.values += 9.0
    for index, length in enumerate(lengths):
        own = Cache(cache.keys[index : index + 1], cache.values[index : index + 1])
        turn = rotation(places[index : index + 1, :length], WAVELENGTHS)
        block(x[index : index + 1, :length], turn, own, torch.tensor([0]))
    for step in range(5):
        at = lengths + step
        rows = torch.arange(3)
        turn = rotation(places[rows, at].unsqueeze(1), WAVELENGTHS)
        got = block(x[rows, at].unsqueeze(1), turn, cache, at)
        torch.testing.assert_close(got[:, 0], expected[rows, at], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", [(24, 24), (8, 40), (40, 8), (3, 16, 16)])
def test_orthogonalize_brings_singular_values_near_one(shape: tuple[int, ...]) -> None:
    matrices = torch.randn(*shape, generator=torch.Generator().manual_seed(0)) * 1e-3
    got = orthogonalize(matrices)
    values = torch.linalg.svdvals(got)
    large = torch.linalg.svdvals(matrices) > 0.05 * torch.linalg.svdvals(matrices).amax(-1, keepdim=True)
    assert got.shape == matrices.shape
    assert values[large].min() > 0.5
    assert values.max() < 1.3
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    assert (got * (left @ right)).sum() > 0.8 * got.norm() * (left @ right).norm()  # the nearest one, not any


def test_blocks_of_a_matrix_are_orthogonalized_apart() -> None:
    gradient = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    moves = []
    for blocks in (1, 3):
        weight = nn.Parameter(torch.zeros(12, 4))
        weight.grad = gradient.clone()
        MuonAdamW([(weight, blocks)], [], matrix_rate=1.0).step()
        moves.append(weight.detach())
    for start in range(0, 12, 4):
        values = torch.linalg.svdvals(moves[1][start : start + 4])
        assert 0.5 < values.min() <= values.max() < 1.3
    assert not torch.allclose(moves[0], moves[1], atol=0.1)


def test_the_optimizer_minimises_a_quadratic() -> None:
    generator = torch.Generator().manual_seed(0)
    goal, goal_bias = torch.randn(6, 6, generator=generator), torch.randn(6, generator=generator)
    weight, bias = nn.Parameter(torch.zeros(6, 6)), nn.Parameter(torch.zeros(6))
    optimizer = MuonAdamW([(weight, 1)], [bias], matrix_rate=0.1, rate=0.1, weight_decay=0.0)
    losses = []
    for step in range(150):
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * (1 - step / 150)
        loss = (weight - goal).square().sum() + (bias - goal_bias).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 1e-3 * losses[0]


def test_its_other_part_is_adamw() -> None:
    start = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    options = {"betas": (0.9, 0.98), "weight_decay": 0.1}
    optimizers = MuonAdamW([], [ours], rate=3e-2, **options), torch.optim.AdamW([theirs], lr=3e-2, **options)
    for step in range(30):
        gradient = torch.randn(5, 7, generator=torch.Generator().manual_seed(step)) * 10.0 ** (step % 3 - 1)
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()
    assert (ours - start).abs().max() > 0.1
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


def test_what_has_no_gradient_stays() -> None:
    matrix, bias = nn.Parameter(torch.ones(3, 3)), nn.Parameter(torch.ones(3))
    optimizer = MuonAdamW([(matrix, 1)], [bias])
    optimizer.step()
    assert torch.equal(matrix, torch.ones(3, 3))
    assert torch.equal(bias, torch.ones(3))
    assert not optimizer.state


class Stack(nn.Module):
    """Blocks between single layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(WIDTH, WIDTH)
        self.blocks = nn.ModuleList(Block(WIDTH, HEADS, 0.0) for _ in range(2))
        self.last = nn.Linear(WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        x, turn = self.first(x), rotation(positions(len(x)), WAVELENGTHS)
        for block in self.blocks:
            x = block(x, turn)
        return self.last(x)

    def optimizer(self) -> MuonAdamW:
        matrices = [p for p in self.blocks.parameters() if p.ndim == 2]
        others = [p for p in self.parameters() if not any(p is matrix for matrix in matrices)]
        return MuonAdamW([(matrix, 1) for matrix in matrices], others)


@pytest.fixture
def one_process() -> Iterator[None]:
    """A group of this process alone, which goes all the ways of several."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("one_process")
def test_split_networks_learn_as_whole_ones() -> None:
    plain = randomized(Stack())
    split = deepcopy(plain)
    shard(split)
    assert {name.split(".")[0] for name, p in split.named_parameters() if is_part(p)} == {"blocks"}
    assert all(is_part(p) for p in split.blocks.parameters())
    networks = [plain, split]
    optimizers = [network.optimizer() for network in networks]
    for step in range(3):
        x = inputs(seed=step)
        for network, optimizer in zip(networks, optimizers, strict=True):
            optimizer.zero_grad()
            network(x).square().mean().backward()
            clip_gradients(list(network.parameters()), 0.1)
            optimizer.step()
    for (name, one), other in zip(plain.named_parameters(), split.parameters(), strict=True):
        torch.testing.assert_close(whole(other), one, atol=1e-5, rtol=1e-4, msg=name)
        assert one.grad is not None
        torch.testing.assert_close(whole(other.grad), one.grad, atol=1e-5, rtol=1e-4)
        assert torch.equal(whole(part_of(one.detach(), other)), one)
