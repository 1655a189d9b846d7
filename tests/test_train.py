"""The training loop: what it keeps, that it goes on after any stop, and that processes share its work."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from conftest import little_song
from orchestrion.data.build import build
from orchestrion.data.store import Corpus
from orchestrion.models import checkpoint
from orchestrion.models.base import Batch, Recipe, System, Training
from orchestrion.models.layers.sharding import clip_gradients
from orchestrion.models.registry import recipe, system_class
from orchestrion.music.files import write_midi
from orchestrion.training.trainer import Processes, Progress, TrainingError, rate_factor, train

#: A run in a process of its own: corpus, run folder and training as JSON; tells each step as a line.
PROCESS = """
import dataclasses, json, sys
from pathlib import Path
import torch
from orchestrion.data.store import open_corpus
from orchestrion.models.registry import recipe
from orchestrion.training.trainer import train

torch.set_num_threads(1)
chosen = recipe("composer", "tiny")
changes = json.loads(sys.argv[3])
config = dataclasses.replace(chosen.config, dropout=changes.pop("dropout", 0.0))
chosen = dataclasses.replace(chosen, config=config, training=dataclasses.replace(chosen.training, **changes))
train("composer", chosen, open_corpus(sys.argv[1]), Path(sys.argv[2]), told=lambda now: print(now.step, flush=True))
"""
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
SHARED = {"steps": 8, "accumulate": 2, "validate_every": 4, "validation_batches": 3, "save_every": 3,
          "precision": "float32"}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As many threads as the other processes have, on which the last bit of a sum depends."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("script") / "run.py"
    path.write_text(PROCESS)
    return path


def tiny(config: dict[str, Any] | None = None, **training: Any) -> Recipe:
    chosen = recipe("composer", "tiny")
    return Recipe(
        dataclasses.replace(chosen.config, **(config or {})), dataclasses.replace(chosen.training, **training)
    )


def history(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]


def kept(out: Path) -> dict[str, bytes]:
    files = [path for path in sorted(out.rglob("*")) if path.is_file() and "tensorboard" not in path.parts]
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


# ---- what a run leaves


def left_behind(threads: set[threading.Thread]) -> list[str]:
    """Threads that were started since and go on; TensorBoard's queue, which takes its time to end, apart."""
    return [one.name for one in threading.enumerate() if one not in threads and one.name != "QueueFeederThread"]


def test_a_run_keeps_its_curve_its_log_and_two_checkpoints(corpus: Corpus, tmp_path: Path) -> None:
    told: list[Progress] = []
    threads = set(threading.enumerate())
    train("composer", tiny(steps=7, validate_every=3, save_every=2), corpus, tmp_path / "run", told=told.append)
    out = tmp_path / "run"
    names = {"run.json", "history.jsonl", "loss.png", "tensorboard", "checkpoints"}
    assert {path.name for path in out.iterdir()} == names
    assert {path.name for path in (out / "checkpoints").iterdir()} == {"7", "best"}
    rows = history(out)
    assert [row["step"] for row in rows] == list(range(1, 8))
    assert [row["step"] for row in rows if "validation/nats_per_note" in row] == [3, 6, 7]
    assert rows[-1]["train/adam"] < rows[0]["train/adam"]
    figures = {row["step"]: row["validation/nats_per_note"] for row in rows if "validation/nats_per_note" in row}
    best = checkpoint.load(out / "checkpoints" / "best")[2]
    assert best["step"] == min(figures, key=figures.__getitem__)
    assert best["validation"]["nats_per_note"] == best["best"] == min(figures.values())
    assert (out / "loss.png").read_bytes().startswith(b"\x89PNG")
    (events,) = (out / "tensorboard").iterdir()
    assert all(name in events.read_bytes() for name in (b"train/adam", b"validation/nats_per_note"))
    run = json.loads((out / "run.json").read_text())
    assert (run["system"], run["seed"], run["training"]["steps"]) == ("composer", 0, 7)
    assert [(now.step, now.steps) for now in told] == [(row["step"], 7) for row in rows]
    assert [now.losses["adam"] for now in told] == [row["train/adam"] for row in rows]
    assert all(now.seconds > 0 for now in told)
    assert told[0].seconds_left > 0 == told[-1].seconds_left
    assert not left_behind(threads)


def test_the_best_is_chosen_anew_from_a_step_on(corpus: Corpus, tmp_path: Path) -> None:
    # a rate that is far too high makes each figure worse than the one before
    wild = tiny(steps=4, validate_every=1, save_every=1, warm_up_steps=1, best_from=3)
    chosen = dataclasses.replace(wild, config=dataclasses.replace(wild.config, rate=0.5))
    train("composer", chosen, corpus, tmp_path)
    figures = [row["validation/nats_per_note"] for row in history(tmp_path)]
    best = checkpoint.load(tmp_path / "checkpoints" / "best")[2]
    assert min(figures) < figures[3] == best["best"]
    assert best["step"] == 4


# ---- going on


def test_a_killed_run_ends_as_if_nothing_had_been(corpus: Corpus, script: Path, tmp_path: Path) -> None:
    training = {"steps": 24, "validate_every": 4, "save_every": 3}
    chosen = tiny({"dropout": 0.2}, **training)
    train("composer", chosen, corpus, tmp_path / "whole")
    arguments = [sys.executable, str(script), str(corpus.path), str(tmp_path / "killed"),
                 json.dumps({"dropout": 0.2, **training})]  # fmt: skip
    moment = random.Random()
    last_step, delay = moment.randint(1, 22), moment.uniform(0, 0.08)
    print(f"killed {delay:.4f} s after step {last_step}")  # shown where the test fails
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        assert process.stdout
        for line in process.stdout:
            if int(line) == last_step:
                break
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
    resumed: list[int] = []
    train("composer", chosen, corpus, tmp_path / "killed", told=lambda now: resumed.append(now.step))
    assert kept(tmp_path / "killed") == kept(tmp_path / "whole")
    assert resumed == list(range(25 - len(resumed), 25))
    assert len(resumed) <= 24 - last_step + 3


class StoppedError(Exception):
    pass


def stop_at(step: int) -> Any:
    def told(now: Progress) -> None:
        if now.step == step:
            raise StoppedError

    return told


def test_a_stop_in_the_middle_of_a_write_is_no_loss(corpus: Corpus, tmp_path: Path) -> None:
    """What a kill leaves: a folder half written, another half deleted, rows of steps that are to be taken again."""
    chosen, out = tiny({"dropout": 0.2}, steps=8, validate_every=4, save_every=3), tmp_path / "run"
    train("composer", chosen, corpus, tmp_path / "whole")
    threads = set(threading.enumerate())
    with pytest.raises(StoppedError):
        train("composer", chosen, corpus, out, told=stop_at(5))
    assert not left_behind(threads), "the thread that draws batches ends with the run"
    checkpoints = out / "checkpoints"
    shutil.copytree(checkpoints / "3", checkpoints / ".6.new.4711")
    (checkpoints / ".6.new.4711" / "state.json").unlink()
    os.rename(checkpoints / "best", checkpoints / ".best.old.4711")
    (checkpoints / "2").mkdir()
    with (out / "history.jsonl").open("a") as rows:
        rows.write('{"step": 4, "train/adam": 1.0}\n')
    train("composer", chosen, corpus, out)
    assert kept(out) == kept(tmp_path / "whole")


def test_a_finished_run_may_be_given_more_steps(corpus: Corpus, tmp_path: Path) -> None:
    """While the rate has not begun to fall, stopping early and giving more steps is one longer run."""
    flat = {"decay_share": 0.0, "validate_every": 100, "save_every": 100}
    train("composer", tiny(steps=4, **flat), corpus, tmp_path / "grown")
    done: list[int] = []
    train("composer", tiny(steps=4, **flat), corpus, tmp_path / "grown", told=lambda now: done.append(now.step))
    assert done == []
    train("composer", tiny(steps=7, **flat), corpus, tmp_path / "grown", told=lambda now: done.append(now.step))
    assert done == [5, 6, 7]
    train("composer", tiny(steps=7, **flat), corpus, tmp_path / "whole")
    for file in ("run.json", "checkpoints/7/model.safetensors", "checkpoints/7/state.safetensors"):
        assert (tmp_path / "grown" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_a_folder_holds_one_run(corpus: Corpus, tmp_path: Path) -> None:
    out, chosen = tmp_path / "run", tiny(steps=1)
    train("composer", chosen, corpus, out)
    for other, named in (
        (tiny(steps=1, clip_norm=0.5, warm_up_steps=3), "clip_norm, warm_up_steps"),
        (tiny({"width": 16}, steps=1), "config"),
    ):
        with pytest.raises(TrainingError, match=f"another {named};"):
            train("composer", other, corpus, out)
    with pytest.raises(TrainingError, match="another seed;"):
        train("composer", chosen, corpus, out, seed=1)
    there = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps({**there, "corpus": "0"}))
    with pytest.raises(TrainingError, match="another corpus;"):
        train("composer", chosen, corpus, out)


# ---- steps


def test_the_rate_rises_stays_and_falls_to_nothing() -> None:
    training = Training(steps=100, warm_up_steps=10, decay_share=0.4)
    factors = [rate_factor(training, step) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[4] == pytest.approx(0.5)
    assert factors[9:61] == [1.0] * 52
    assert factors[80] == pytest.approx(0.5)
    assert factors[99] == pytest.approx(1 / 40)
    assert factors[:10] == sorted(factors[:10])
    assert rate_factor(Training(steps=5, warm_up_steps=0, decay_share=0.0), 4) == 1.0


def test_the_rate_of_each_step_is_used(corpus: Corpus, tmp_path: Path) -> None:
    train("composer", tiny(steps=4, warm_up_steps=8, decay_share=0.0, save_every=4), corpus, tmp_path)
    groups = checkpoint.load(tmp_path / "checkpoints" / "4", optimizers=True)[1]["adam"].param_groups
    assert [group["lr"] for group in groups] == pytest.approx([group["full_rate"] * 4 / 8 for group in groups])
    config = recipe("composer", "tiny").config
    assert {group["full_rate"] for group in groups} == {config.matrix_rate, config.rate}


def test_gradients_are_scaled_down_to_the_norm_together() -> None:
    parameters = [nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(1))]
    for limit, factor in ((1.0, 1 / 13), (20.0, 1.0)):
        parameters[0].grad, parameters[1].grad = torch.full((2, 2), 1.5), torch.tensor([0.0, 4.0, 12.0])
        clip_gradients(parameters, limit)  # norms 3, 12.6: together 13
        assert torch.allclose(parameters[0].grad, torch.tensor(1.5 * factor), rtol=1e-5)
        assert torch.allclose(parameters[1].grad, torch.tensor([0.0, 4.0, 12.0]) * factor, rtol=1e-5)
    assert parameters[2].grad is None


def test_clipping_is_a_choice(corpus: Corpus, tmp_path: Path) -> None:
    """AdamW hardly sees the size of a gradient, but how steps compare: the weights must differ."""
    for clip_norm in (0.0, 0.01):
        train("composer", tiny(steps=3, clip_norm=clip_norm), corpus, tmp_path / str(clip_norm))
    weights = [(tmp_path / limit / "checkpoints/3/model.safetensors").read_bytes() for limit in ("0.0", "0.01")]
    assert weights[0] != weights[1]


def test_accumulated_batches_are_one_step(corpus: Corpus, tmp_path: Path) -> None:
    """The loss told is their mean, and the batches are those of the seeds (seed, step, number)."""
    train("composer", tiny(steps=1, accumulate=3, precision="float32"), corpus, tmp_path, seed=5)
    torch.manual_seed(5)
    system = system_class("composer")(recipe("composer", "tiny").config)
    losses = []
    for number in range(3):
        batch = system.batch(corpus, "train", np.random.default_rng((5, 0, number)))
        ((_, loss),) = system.losses(batch, 0)
        losses.append(float(loss.detach()))
    assert history(tmp_path)[0]["train/adam"] == pytest.approx(np.mean(losses), abs=1e-5)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["critic", "generator"], "MuseGAN steps 'critic' for one batch and 'generator' for another"),
        (["critic", ""], "MuseGAN steps 'critic' for one batch and no further optimizer for another"),
        (["", "generator"], "MuseGAN steps no further optimizer for one batch and 'generator' for another"),
    ],
)
def test_batches_that_step_different_optimizers_are_refused(
    names: list[str], words: str, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, turns = system_class("muse_gan"), iter(names)

    def losses(self: System, batch: Batch, step: int) -> Iterator[tuple[str, torch.Tensor]]:
        name = next(turns)
        yield "critic", sum(weight.sum() for weight in self.critic.parameters())
        if name:
            yield name, sum(weight.sum() for weight in getattr(self, name).parameters())

    monkeypatch.setattr(kind, "losses", losses)
    chosen = recipe("muse_gan", "tiny")
    chosen = Recipe(chosen.config, dataclasses.replace(chosen.training, accumulate=2))
    with pytest.raises(RuntimeError, match=words):
        train("muse_gan", chosen, corpus, tmp_path / "run")


def test_gradients_are_a_mean_over_batches() -> None:
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([6.0, -3.0])
    Processes().sum_gradients(torch.optim.SGD([weight]), 3)
    assert torch.equal(weight.grad, torch.tensor([2.0, -1.0]))


def test_precision_is_a_choice_where_the_machine_has_one(corpus: Corpus, tmp_path: Path) -> None:
    for precision in ("bf16", "float32"):
        train("composer", tiny(steps=3, precision=precision), corpus, tmp_path / precision)
    coarse, exact = (history(tmp_path / precision) for precision in ("bf16", "float32"))
    able = bool(torch.cpu._is_avx512_bf16_supported()) or torch.cuda.is_available()
    assert ([row["train/adam"] for row in coarse] != [row["train/adam"] for row in exact]) == able
    assert coarse[-1]["train/adam"] == pytest.approx(exact[-1]["train/adam"], abs=0.3)
    system, optimizers, _ = checkpoint.load(tmp_path / "bf16" / "checkpoints" / "3", optimizers=True)
    assert {p.dtype for p in system.parameters()} == {torch.float32}
    assert {v.dtype for s in optimizers["adam"].state.values() for v in s.values()} == {torch.float32}


# ---- what cannot be trained


def test_a_corpus_needs_music_to_validate_on(tmp_path: Path) -> None:
    (tmp_path / "songs").mkdir()
    write_midi(little_song(0), tmp_path / "songs" / "a.mid")
    (tmp_path / "songs" / "metadata.csv").write_text("path,split\na.mid,train\n")
    alone = build([tmp_path / "songs"], tmp_path / "corpus")
    with pytest.raises(TrainingError, match=r"no piece in its valid split; give it more music"):
        train("composer", tiny(), alone, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.filterwarnings("ignore:.*encountered in")
def test_a_loss_that_leaves_all_numbers_ends_the_run(corpus: Corpus, tmp_path: Path) -> None:
    lost = r"the loss of adam is (nan|inf) at step \d+; there is no checkpoint yet; start anew with a lower rate"
    with pytest.raises(TrainingError, match=lost):
        train("composer", tiny({"rate": 1e25, "matrix_rate": 1e25}, steps=5, clip_norm=0), corpus, tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.filterwarnings("ignore:.*encountered in")
def test_good_checkpoints_outlive_what_came_of_them(corpus: Corpus, tmp_path: Path) -> None:
    """The second step is taken at a rate beyond all sense."""
    rise = {"steps": 5, "save_every": 1, "validate_every": 1, "clip_norm": 0, "fall_every": 1, "fall_to": 1e30}
    with pytest.raises(TrainingError, match="at step 3; the checkpoint of step 2 is kept, and the best"):
        train("composer", tiny(**rise), corpus, tmp_path)
    system, _, notes = checkpoint.load(tmp_path / "checkpoints" / "best")
    assert notes["step"] == 1
    assert all(parameter.isfinite().all() for parameter in system.parameters())
    assert (tmp_path / "checkpoints" / "2").exists()


def test_the_rate_falls_stair_by_stair_where_asked() -> None:
    training = Training(steps=100, warm_up_steps=0, decay_share=0.0, fall_every=25, fall_to=0.5)
    assert [rate_factor(training, step) for step in (0, 24, 25, 49, 50, 99)] == [1.0, 1.0, 0.5, 0.5, 0.25, 0.125]


# ---- several processes


def run_two(script: Path, corpus: Corpus, out: Path, training: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port),
               str(script), str(corpus.path), str(out), json.dumps(training)]  # fmt: skip
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)


def assert_same_losses(one: Path, two: Path) -> None:
    for row, other in zip(history(one), history(two), strict=True):
        assert row.keys() == other.keys()
        assert list(row.values()) == pytest.approx(list(other.values()), abs=1e-5, rel=0)


@pytest.fixture(scope="module")
def alone(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone")
    train("composer", tiny(**SHARED), corpus, out)
    return out


def test_two_processes_give_the_losses_of_one(corpus: Corpus, script: Path, alone: Path, tmp_path: Path) -> None:
    done = run_two(script, corpus, tmp_path / "two", SHARED)
    assert done.returncode == 0, done.stderr
    assert [int(line) for line in done.stdout.split()] == list(range(1, 9)), "the first process alone tells"
    assert_same_losses(alone, tmp_path / "two")


def test_two_processes_with_half_of_the_weights_each_give_the_losses_of_one(
    corpus: Corpus, script: Path, alone: Path, tmp_path: Path
) -> None:
    """Begun by one process with all weights, and gone on with by two that hold a part each."""
    out = tmp_path / "parts"
    with pytest.raises(StoppedError):
        train("composer", tiny(**SHARED), corpus, out, told=stop_at(4))
    done = run_two(script, corpus, out, {**SHARED, "shard": True})
    assert done.returncode == 0, done.stderr
    assert [int(line) for line in done.stdout.split()] == [4, 5, 6, 7, 8]
    assert_same_losses(alone, out)
    for file in ("model.safetensors", "state.safetensors"):
        one, parts = (load_file(folder / "checkpoints" / "8" / file) for folder in (alone, out))
        assert one.keys() == parts.keys()
        for key, value in one.items():
            torch.testing.assert_close(parts[key], value, atol=1e-4, rtol=1e-4)


def test_batches_must_be_shared_evenly(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainingError, match=r"2 processes cannot share 3 batches a step evenly; .* a multiple of 2"):
        train("composer", tiny(accumulate=3), corpus, tmp_path / "run")
    assert not (tmp_path / "run").exists()
