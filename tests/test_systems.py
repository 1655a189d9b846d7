"""The contract of a system, run on every file in `models/zoo/` with its `tiny` recipe. A new system adds its tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from symusic import Score
from torch import nn

from conftest import little_song, repeated
from orchestrion.core.errors import UserError
from orchestrion.data.build import build
from orchestrion.data.store import Corpus
from orchestrion.generation.constraints import check_controls
from orchestrion.models import checkpoint
from orchestrion.models.base import Batch, LikelihoodSystem, PieceNats, Recipe, Request, System, Training
from orchestrion.models.layers.bar_layers import Norm
from orchestrion.models.registry import config_class, recipe, system_class, system_module, system_names
from orchestrion.music.extent import length_seconds
from orchestrion.music.files import read, write_midi
from orchestrion.music.theory import DRUMS, Key, Meter
from orchestrion.representations.cells import encode
from orchestrion.representations.timed import timed
from orchestrion.text.controls import Controls
from orchestrion.training.trainer import train
from stepping import STEPPING, Stepping, changed_from

NAMES = system_names()
OVERFIT_STEPS = 80
#: What the first validation figure must fall to on four pieces, as a share of its start: of a likelihood in nats, and
#: of whatever else a system measures.
LIKELIHOOD_SHARE, OTHER_SHARE = 0.1, 0.9
#: Buffers of norms that a forward pass in training moves, whoever asks for it; nothing else may move while losses run.
RUNNING: dict[type[nn.Module], tuple[str, ...]] = {
    nn.BatchNorm1d: ("running_mean", "running_var", "num_batches_tracked"),
    nn.BatchNorm2d: ("running_mean", "running_var", "num_batches_tracked"),
    Norm: ("mean", "variance"),
}
LENGTH_TOLERANCE = 0.1  # seconds: half a step of the coarsest grid in real time


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Four pieces to learn by heart, and one beside."""
    root = tmp_path_factory.mktemp("four")
    rows = ["path,split"]
    for seed in range(5):
        write_midi(little_song(seed), root / f"{seed}.mid")
        rows.append(f"{seed}.mid,{'train' if seed < 4 else 'valid'}")
    (root / "metadata.csv").write_text("\n".join(rows) + "\n")
    return build([root], tmp_path_factory.mktemp("built") / "corpus")


def tiny(name: str, **training: Any) -> Recipe:
    chosen = recipe(name, "tiny")
    return dataclasses.replace(chosen, training=dataclasses.replace(chosen.training, **training))


def fresh(name: str, seed: int = 0) -> System:
    torch.manual_seed(seed)
    return system_class(name)(recipe(name, "tiny").config)


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def learned(name: str, four: Corpus, tmp_path_factory: pytest.TempPathFactory) -> System:
    """The system after a while with the four pieces."""
    out = tmp_path_factory.mktemp(name) / "run"
    often = {"validate_every": OVERFIT_STEPS, "save_every": OVERFIT_STEPS}
    train(name, tiny(name, steps=OVERFIT_STEPS, precision="float32", **often), four, out)
    return checkpoint.load(out / "checkpoints" / str(OVERFIT_STEPS))[0].eval()


@pytest.fixture(scope="module")
def stepping(name: str) -> Stepping:
    assert name in STEPPING, f"say in tests/stepping.py how {name} steps, or None where it does not"
    how = STEPPING[name]
    if how is None:
        pytest.skip(f"{name} does not read in sequence")
    return how


# ---- the file


def test_the_file_holds_what_the_registry_reads(name: str) -> None:
    recipes = system_module(name).RECIPES
    assert {"tiny", "small"} <= recipes.keys(), "one for tests, one for a laptop"
    for chosen in recipes.values():
        assert type(chosen.config) is config_class(name)
        assert isinstance(chosen.training, Training)
        assert type(chosen.config).__dataclass_params__.frozen
    assert (system_module(name).__doc__ or "").strip().splitlines()[0].strip()
    kind = system_class(name)
    assert kind.__bases__ == (System,), "a system is final and shares by calling functions"


def test_every_trained_weight_belongs_to_one_optimizer(name: str) -> None:
    system = fresh(name)
    owned = [id(p) for optimizer in system.optimizers().values() for g in optimizer.param_groups for p in g["params"]]
    assert sorted(owned) == sorted(id(p) for p in system.parameters() if p.requires_grad)


# ---- learning


def test_a_batch_is_its_seed(name: str, four: Corpus) -> None:
    system = fresh(name)
    first, again, other = (system.batch(four, "train", np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert all(equal(first[key], again[key]) for key in first)
    assert not all(equal(first[key], other[key]) for key in first)


def equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and torch.equal(torch.nan_to_num(a), torch.nan_to_num(b))


def test_each_loss_moves_only_what_its_optimizer_owns(name: str, four: Corpus) -> None:
    system = fresh(name).train()
    optimizers = system.optimizers()
    moved: set[str] = set()
    torch.manual_seed(0)
    for optimizer_name, loss in system.losses(system.batch(four, "train", np.random.default_rng(0)), 0):
        assert loss.ndim == 0
        before = {key: p.detach().clone() for key, p in system.named_parameters()}
        optimizers[optimizer_name].zero_grad()
        loss.backward()
        optimizers[optimizer_name].step()
        owned = {id(p) for group in optimizers[optimizer_name].param_groups for p in group["params"]}
        for key, parameter in system.named_parameters():
            assert parameter.isfinite().all()
            if not torch.equal(parameter, before[key]):
                assert id(parameter) in owned, f"{optimizer_name} moved {key}"
                moved.add(optimizer_name)
    assert moved == set(optimizers), "every optimizer is stepped and moves something"


@pytest.mark.parametrize("step", [0, 1_000_000])
def test_running_the_losses_changes_nothing(name: str, step: int, four: Corpus) -> None:
    system = fresh(name).train()
    running = {f"{path}.{key}" for path, layer in system.named_modules() for key in RUNNING.get(type(layer), ())}
    before = {key: value.clone() for key, value in system.state_dict().items()}
    for _ in system.losses(system.batch(four, "train", np.random.default_rng(0)), step):
        pass
    after = system.state_dict()
    assert after.keys() == before.keys()
    assert [key for key in before.keys() - running if not torch.equal(after[key], before[key])] == []


@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_after_step_comes_once_a_step_when_all_losses_have_ended(
    name: str, accumulate: int, four: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = system_class(name)
    losses, after_step = kind.losses, kind.after_step
    told: list[tuple[str, int]] = []

    def ending(self: System, batch: Batch, step: int) -> Iterator[tuple[str, torch.Tensor]]:
        yield from losses(self, batch, step)
        told.append(("losses", step))

    def called(self: System, step: int, batches: Sequence[Batch]) -> None:
        told.append(("after_step", step))
        assert len(batches) == accumulate
        after_step(self, step, batches)

    monkeypatch.setattr(kind, "losses", ending)
    monkeypatch.setattr(kind, "after_step", called)
    train(name, tiny(name, steps=2, accumulate=accumulate, validate_every=2, save_every=2), four, tmp_path)
    assert told == [entry for step in range(2) for entry in [("losses", step)] * accumulate + [("after_step", step)]]


def figure(system: System, corpus: Corpus) -> tuple[str, float]:
    """The first validation figure over some batches of the pieces to learn."""
    total, name = np.zeros(2), ""
    with torch.no_grad():
        for seed in range(6):
            measured = system.eval().measure(system.batch(corpus, "train", np.random.default_rng(seed)))
            name = next(iter(measured))
            total += measured[name]
    return name, float(total[0] / total[1])


def test_it_overfits_four_pieces(name: str, learned: System, four: Corpus) -> None:
    (measure, before), (_, after) = figure(fresh(name), four), figure(learned, four)
    share = LIKELIHOOD_SHARE if measure.startswith("nats") else OTHER_SHARE
    assert np.isfinite(before)
    assert after < share * before


class StoppedError(Exception):
    pass


def run_files(out: Path) -> dict[str, bytes]:
    """All that a run keeps, but for the log of times of TensorBoard."""
    files = [path for path in sorted(out.rglob("*")) if path.is_file() and "tensorboard" not in path.parts]
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def test_two_runs_are_the_same_and_so_is_one_that_was_stopped(name: str, corpus: Corpus, tmp_path: Path) -> None:
    chosen = tiny(name, steps=8, validate_every=4, save_every=3)

    def stop(progress: Any) -> None:
        if progress.step == 5:
            raise StoppedError

    train(name, chosen, corpus, tmp_path / "whole", seed=3)
    train(name, chosen, corpus, tmp_path / "again", seed=3)
    with pytest.raises(StoppedError):
        train(name, chosen, corpus, tmp_path / "stopped", seed=3, told=stop)
    assert (tmp_path / "stopped" / "checkpoints" / "3").exists()
    train(name, chosen, corpus, tmp_path / "stopped", seed=3)
    train(name, chosen, corpus, tmp_path / "other", seed=4)
    whole = run_files(tmp_path / "whole")
    assert {"history.jsonl", "checkpoints/8/model.safetensors", "checkpoints/best/model.safetensors"} <= whole.keys()
    assert run_files(tmp_path / "again") == whole
    assert run_files(tmp_path / "stopped") == whole
    key = "checkpoints/8/model.safetensors"
    assert run_files(tmp_path / "other")[key] != whole[key]


# ---- reading in sequence


def a_batch(system: System, corpus: Corpus) -> Any:
    return system.batch(corpus, "train", np.random.default_rng(7))


@torch.no_grad()
def test_the_past_never_sees_the_future(learned: System, stepping: Stepping, four: Corpus) -> None:
    batch = a_batch(learned, four)
    known = stepping.read(learned, batch)
    steps = batch[stepping.sequence].shape[1]
    assert known.shape[:2] == batch[stepping.sequence].shape[:2]
    for step in (1, steps // 3, steps - 4):
        other = stepping.read(learned, changed_from(batch, stepping.sequence, step))
        torch.testing.assert_close(other[:, :step], known[:, :step], atol=1e-6, rtol=0)
        assert not torch.allclose(other[:, step:], known[:, step:], atol=1e-2)
    later = stepping.read(learned, {**batch, stepping.sequence: batch[stepping.sequence].roll(1, 1)})
    assert not torch.allclose(later[:, -1], known[:, -1], atol=1e-3), "the future knows the past"


@torch.no_grad()
def test_stepping_equals_reading(learned: System, stepping: Stepping, four: Corpus) -> None:
    batch, rng = a_batch(learned, four), np.random.default_rng(0)
    known, sequence = stepping.read(learned, batch), batch[stepping.sequence]
    count, steps = sequence.shape[:2]
    at, scale = int(rng.integers(0, 4)), known.abs().max().clamp(min=1)  # rounding grows with the largest number
    state = stepping.begin(learned, batch, np.full(count, at))
    while at < steps:
        size = min(int(rng.choice([1, 2, 9, 30])), steps - at)
        got, state = stepping.step(learned, sequence[:, at : at + size], state)
        torch.testing.assert_close(got / scale, known[:, at : at + size] / scale, atol=1e-5, rtol=1e-5)
        at += size


@torch.no_grad()
def test_sequences_of_different_lengths_step_together(learned: System, stepping: Stepping, four: Corpus) -> None:
    batch, rng = a_batch(learned, four), np.random.default_rng(1)
    known, sequence = stepping.read(learned, batch), batch[stepping.sequence]
    count, steps = sequence.shape[:2]
    assert count > 1
    lengths = rng.permutation(np.linspace(0, steps - 12, count).astype(np.int64))
    state = stepping.begin(learned, batch, lengths.copy())
    rows = torch.arange(count)
    for _ in range(12):
        got, state = stepping.step(learned, sequence[rows, lengths].unsqueeze(1), state)
        torch.testing.assert_close(got[:, 0], known[rows, lengths], atol=1e-5, rtol=1e-5)
        lengths += 1


# ---- likelihood


def test_a_likelihood_is_of_whole_pieces(name: str, learned: System) -> None:
    if not isinstance(learned, LikelihoodSystem):
        pytest.skip(f"{name} gives no likelihood")
    assert learned.likelihood_terms.strip()

    def nats(system: System, score: Score) -> PieceNats:
        assert isinstance(system, LikelihoodSystem)
        before = score.dumps_midi()
        found = system.piece_nats(score)
        assert score.dumps_midi() == before
        assert found == system.piece_nats(score)
        assert all(value >= 0 for value in found.nats.values())
        assert 0 < found.notes <= min(score.note_num(), found.tokens)
        return found

    def cost(system: System, score: Score) -> float:
        return sum(nats(system, score).nats.values())

    known = little_song(0)
    long = repeated(known, 15)
    assert cost(learned, known) < 0.5 * cost(fresh(name).eval(), known)
    assert cost(learned, known) < cost(learned, little_song(50)), "what was learned is likelier than what was not"
    notes = nats(learned, known).notes
    if "bars" in learned.holds:
        assert nats(learned, long).notes == 15 * notes, "every note, however long the piece is"
    else:  # on a grid in real time notes meet where the song begins again, and are rounded differently each time
        assert nats(learned, long).notes == pytest.approx(15 * notes, rel=0.2)
    changed = long.copy()
    changed.tracks[0].notes[-1].pitch += 1
    assert cost(learned, changed) != cost(learned, long), "up to the last"
    with pytest.raises(UserError):
        learned.piece_nats(Score(480))


# ---- making music

REQUESTS = {
    "plain": Request(count=1, bars=4, instruments=(0,)),
    "waltz": Request(count=3, bars=5, meter=Meter(3, 4), tempo=92.0, instruments=(32, 0, 40), key=Key(2, "minor"),
                     strict_key=True, sentence=np.full(384, 384**-0.5, np.float32), top_p=0.9),
    "band": Request(count=2, bars=3, meter=Meter(6, 8), tempo=171.5, instruments=(DRUMS, 33, 25, 25),
                    key=Key(6, "major"), strict_key=True, temperature=1.3),
}  # fmt: skip


@pytest.fixture(params=REQUESTS)
def request_(request: pytest.FixtureRequest) -> Iterator[Request]:
    return REQUESTS[request.param]


def assert_legal(score: Score, folder: Path, *, on_beats: bool) -> None:
    """A file that reads the same: as cells, or in real time where the music is not written on beats."""
    for track in score.tracks:
        notes = track.notes.numpy()
        assert (notes["duration"] > 0).all()
        assert (notes["time"] >= 0).all()
        assert ((notes["velocity"] >= 1) & (notes["velocity"] <= 127)).all()
        assert ((notes["pitch"] >= 0) & (notes["pitch"] <= 127)).all()
    assert score.note_num()
    write_midi(score, folder / "piece.mid")
    read_back = read(folder / "piece.mid")
    if on_beats:
        cells, again = encode(score), encode(read_back)
        assert len(cells.notes) == sum(len(track.notes) for track in score.tracks)
        assert np.array_equal(cells.notes, again.notes)
        assert (cells.instruments, cells.meters) == (again.instruments, again.meters)
    else:
        assert np.array_equal(timed(score), timed(read_back))


def midi(scores: list[Score]) -> list[bytes]:
    return [score.dumps_midi() for score in scores]


def assert_lasts(score: Score, seconds: float) -> None:
    assert length_seconds(score) == pytest.approx(seconds, abs=LENGTH_TOLERANCE)


def test_what_it_makes_is_legal_and_holds_what_was_asked(learned: System, request_: Request, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    scores = learned.generate(dataclasses.replace(request_, progress=lambda *bars: told.append(bars)),
                              np.random.default_rng(5))  # fmt: skip
    assert len(scores) == request_.count
    assert told[-1] == (request_.bars, request_.bars)
    assert told == sorted(told)
    asked = {"bars": request_.bars, "tempo": request_.tempo, "meter": request_.meter,
             "instruments": request_.instruments, "key": request_.key if request_.strict_key else None}  # fmt: skip
    held = Controls(**{name: value for name, value in asked.items() if name in learned.holds})
    for score in scores:
        assert_legal(score, tmp_path, on_beats="bars" in learned.holds)
        assert [check for check in check_controls(score, held, closes=True) if not check.holds] == []
        if "seconds" in learned.holds:
            assert_lasts(score, request_.bars * request_.meter.quarters * 60 / request_.tempo)
    assert len(set(midi(scores))) == request_.count, "the pieces of a batch differ"


def test_what_a_system_holds_has_a_name(learned: System) -> None:
    assert learned.holds <= {"bars", "tempo", "meter", "instruments", "key", "hole", "seconds", "tracks"}
    assert {"bars", "seconds"} & learned.holds, "a piece has the length that was asked for"


def holding(learned: System, what: str) -> System:
    if what not in learned.holds:
        pytest.skip(f"it does not hold {what}")
    return learned


def test_it_lasts_as_many_seconds_as_asked(learned: System, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    request = Request(count=2, seconds=11.5, progress=lambda *seconds: told.append(seconds))
    for score in holding(learned, "seconds").generate(request, np.random.default_rng(3)):
        assert_legal(score, tmp_path, on_beats=False)
        assert_lasts(score, 11.5)
    assert told[-1] == (12, 12)


def test_it_goes_on_from_a_primer(learned: System, tmp_path: Path) -> None:
    """What it begins with is one whatever follows, and sounds at the primer's onsets; other primers begin otherwise."""
    primer, other = little_song(11), little_song(12)
    lasts = max(length_seconds(primer), length_seconds(other))
    request = Request(count=3, seconds=lasts + 5, primer=primer)
    scores = holding(learned, "seconds").generate(request, np.random.default_rng(0))

    def opening(score: Score) -> list[tuple[int, int]]:
        notes = timed(score)
        return notes[["onset", "pitch"]][notes["onset"] < length_seconds(primer) * 1000 - 500].tolist()

    onsets = timed(primer)["onset"].astype(int)
    for score in scores:
        assert_legal(score, tmp_path, on_beats=False)
        assert_lasts(score, request.length_seconds)
        assert opening(score) == opening(scores[0])
        begins = np.array([onset for onset, _ in opening(score)])
        assert len(begins) >= 8
        assert (np.abs(begins[:, None] - onsets).min(1) <= 1000 * LENGTH_TOLERANCE).all()
    assert len(set(midi(scores))) == 3
    last = learned.generate(dataclasses.replace(request, primer=other), np.random.default_rng(0))[0]
    assert opening(last) != opening(scores[0])


@pytest.mark.parametrize("primer", [Score(480), little_song(0, bars=90)], ids=["empty", "too long"])
def test_a_primer_that_makes_no_sense_is_refused_in_one_line(learned: System, primer: Score) -> None:
    with pytest.raises(UserError) as raised:
        holding(learned, "seconds").generate(Request(seconds=20, primer=primer), np.random.default_rng(0))
    assert "\n" not in str(raised.value)


def test_the_same_rng_gives_the_same_pieces(learned: System) -> None:
    first, again, other = (midi(learned.generate(REQUESTS["waltz"], np.random.default_rng(s))) for s in (1, 1, 2))
    assert first == again
    assert not set(first) & set(other)


def test_it_saves_loads_and_plays_the_same_music(name: str, learned: System, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "saved", name, learned)
    loaded = checkpoint.load(tmp_path / "saved")[0].eval()
    assert loaded.config == learned.config
    played = [midi(system.generate(REQUESTS["band"], np.random.default_rng(9))) for system in (learned, loaded)]
    assert played[0] == played[1]
    assert played[0] != midi(fresh(name).eval().generate(REQUESTS["band"], np.random.default_rng(9)))


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(("bars", "tracks"), [(slice(1, 3), [2]), (slice(4, 6), [0, 1, 2]), (slice(0, 6), [1])])
def test_given_cells_stay_and_the_hole_is_filled(
    learned: System, count: int, bars: slice, tracks: list[int], tmp_path: Path
) -> None:
    given = encode(little_song(11, bars=6, meter=(3, 4)))
    hole = np.zeros((6, 3), bool)
    hole[bars, tracks] = True
    holding(learned, "hole")
    request = Request(count=count, given=given, hole=hole, key=Key(0, "major"))
    scores = learned.generate(request, np.random.default_rng(count))
    assert len(scores) == count
    kept = ~hole[given.notes[:, 0], given.notes[:, 1]]
    for score in scores:
        assert_legal(score, tmp_path, on_beats=True)
        made = encode(score)
        assert (made.instruments, made.meters) == (given.instruments, given.meters)
        inside = hole[made.notes[:, 0], made.notes[:, 1]]
        assert np.array_equal(made.notes[~inside], given.notes[kept])
        assert inside.any()
    assert len(set(midi(scores))) == count
