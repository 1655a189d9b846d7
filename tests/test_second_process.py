"""Half of the candidates in a second process: the same music, also where that process is slow, broken or gone."""

from __future__ import annotations

import io
import os
import pickle
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from orchestrion.generation import second_process
from orchestrion.generation.compose import compose
from orchestrion.generation.second_process import Job, Shared, serve
from orchestrion.models import checkpoint
from orchestrion.models.base import Request
from orchestrion.models.loading import Model, load
from orchestrion.models.zoo.composer import RECIPES, Composer
from orchestrion.music.theory import Key, Meter
from orchestrion.planning.plan import Levels, Part, Plan, Section

PLAN = Plan(((Meter(4, 4), 2),), 100.0, Key(0, "major"), (Section("A", 2),), (Part(0, "chords", (Levels(),)),))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model") / "best"
    checkpoint.save(folder, "composer", Composer(RECIPES["tiny"].config))
    return load(folder)


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    second_process.stop()
    monkeypatch.setattr(second_process, "cores", lambda: 2)
    yield
    second_process.stop()


REQUEST = Request(count=2, bars=2, instruments=(0,))


def share(model: Model, seed: int = 1) -> second_process.Share | None:
    """What the second process makes, if it takes less than a minute to begin."""
    with Shared(model, REQUEST, np.random.default_rng(seed)) as shared:
        for _ in range(600):
            if shared.process is None or shared.process.begun:
                break
            time.sleep(0.1)
        return shared.answer()


def notes(made: second_process.Share | None) -> list[bytes]:
    assert made is not None
    return [score.dumps_midi() for score in made[0]]


def here(model: Model, seed: int = 1) -> second_process.Share:
    return second_process.composed(model.system, REQUEST, np.random.default_rng(seed), lambda bars: None)


def test_it_makes_what_the_caller_would(model: Model, two_cores: None) -> None:
    first, again, other = share(model), share(model), share(model, seed=2)
    assert notes(first) == notes(again) == notes(here(model))
    assert notes(other) == notes(here(model, seed=2)) != notes(first)
    assert first is not None
    assert first[1] == pytest.approx(here(model)[1])


def test_a_piece_is_the_same_on_one_core(model: Model, two_cores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    share(model)  # so that it has begun

    def piece() -> list[bytes]:
        made = compose(plan=PLAN, model=model, seed=3, candidates=4)[0]
        return [score.dumps_midi() for score in (made.score, *made.takes)]

    with_two = piece()
    monkeypatch.setattr(second_process, "cores", lambda: 1)
    second_process.stop()
    assert piece() == with_two
    assert second_process._process is None


def test_one_that_has_not_begun_is_not_waited_for(model: Model, two_cores: None) -> None:
    with Shared(model, REQUEST, np.random.default_rng(1)) as shared:
        assert shared.process is not None
        os.kill(shared.process.process.pid, signal.SIGSTOP)
        assert shared.answer() is None
        assert shared.bars == 0


def test_one_that_was_killed_is_started_again(model: Model, two_cores: None) -> None:
    share(model)
    running = second_process._process
    assert running is not None
    os.kill(running.process.pid, signal.SIGKILL)
    running.process.wait()
    assert notes(share(model)) == notes(here(model))
    assert second_process._process is not running


def test_one_at_a_time(model: Model, two_cores: None) -> None:
    rng = np.random.default_rng(1)
    with Shared(model, REQUEST, rng) as first, Shared(model, REQUEST, rng) as second:
        assert first.process is not None
        assert second.process is None
        assert second.answer() is None


def test_a_stop_in_the_middle_ends_it(model: Model, two_cores: None) -> None:
    with pytest.raises(KeyboardInterrupt), Shared(model, REQUEST, np.random.default_rng(1)):
        raise KeyboardInterrupt
    assert second_process._process is None
    assert notes(share(model)) == notes(here(model))


def test_a_model_that_lies_in_no_folder_stays_here(model: Model, two_cores: None) -> None:
    with Shared(Model(model.system, "composer", {}, "0" * 64), REQUEST, np.random.default_rng(1)) as shared:
        assert shared.process is None


def told(model: Model, *jobs: Job) -> list[tuple[int, str, object]]:
    """What `serve` answers, here in this process."""
    answers = io.BytesIO()
    serve(io.BytesIO(b"".join(map(pickle.dumps, jobs))), answers)
    answers.seek(0)
    found = []
    while answers.tell() < len(answers.getvalue()):
        found.append(pickle.load(answers))
    return found


def test_weights_that_changed_are_not_played(model: Model) -> None:
    assert model.folder is not None
    rng = np.random.default_rng(1)
    found = told(model, Job(1, model.folder, "0" * 64, REQUEST, rng), Job(2, model.folder, model.sha256, REQUEST, rng),
                 Job(3, Path("nowhere"), "1" * 64, REQUEST, rng))  # fmt: skip
    answers = {number: value for number, kind, value in found if kind == "answer"}
    assert answers[1] is answers[3] is None
    assert notes(answers[2]) == notes(here(model))  # type: ignore[arg-type]
    assert [value for number, kind, value in found if (number, kind) == (2, "bars")] == [0, 1, 2]
