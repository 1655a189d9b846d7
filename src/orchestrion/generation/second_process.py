"""A second process that composes a share of the candidates. Threads of one process cannot: the steps are so small that
Python itself, which one thread at a time may run, takes most of their time.

The process is `python -m orchestrion.generation.second_process`. It reads jobs and writes answers, both pickled, over
its standard streams; it is started once and ends with the process that started it. Where it cannot help, the caller
composes its share, and the music is the same.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import numpy as np
    from symusic import Score

    from orchestrion.models.base import Request, System
    from orchestrion.models.loading import Model

#: What a share comes to: pieces and the mean nats a note of each.
Share = tuple[list["Score"], list[float]]


@dataclass(frozen=True)
class Job:
    """What the second process is to compose. request: without callbacks; sha256: of the weights, in case their folder
    has changed since."""

    number: int
    folder: Path
    sha256: str
    request: Request
    rng: np.random.Generator


class SecondProcess:
    """Started at once; takes one job at a time. model: the name of weights to read before the first job."""

    def __init__(self, model: str | None = None) -> None:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "orchestrion.generation.second_process", *([model] if model else [])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
        )  # fmt: skip
        self.number, self.bars, self.begun = 0, 0, False
        self._answer: Share | None = None
        self._told = Event()
        Thread(target=self._listen, daemon=True).start()

    def begin(self, model: Model, request: Request, rng: np.random.Generator) -> None:
        """Hand out a share."""
        assert model.folder is not None
        self.number += 1
        self.bars, self.begun, self._answer = 0, False, None
        self._told.clear()
        plain = replace(request, progress=None, rejected=None, likelihood=None)
        job = pickle.dumps(Job(self.number, model.folder, model.sha256, plain, rng))
        Thread(target=self._send, args=(job,), daemon=True).start()  # it may be long until the process reads

    def _send(self, job: bytes) -> None:
        assert self.process.stdin is not None
        with suppress(OSError, ValueError):  # the process or its stream has ended, which `_listen` sees as well
            self.process.stdin.write(job)
            self.process.stdin.flush()

    def answer(self) -> Share | None:
        """What the process made of its share, once it is ready; None where it has not begun, or failed."""
        if not self.begun:
            return None
        self._told.wait()
        return self._answer

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            with suppress(OSError):  # of what was not sent any more
                stream.close()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        while True:
            try:
                number, kind, value = pickle.load(self.process.stdout)
            except Exception:  # the process or its stream has ended
                self._told.set()
                return
            if number != self.number:
                continue  # of a job that was given up
            self.begun = True
            if kind == "bars":
                self.bars = value
            elif kind == "answer":
                self._answer = value
                self._told.set()


_lock = Lock()
_process: SecondProcess | None = None


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def start(model: str | None = None) -> SecondProcess | None:
    """The second process, started where there is none; None where there is but one core, or it cannot be started.
    model: the name of weights that it reads at once."""
    global _process
    if cores() < 2:
        return None
    if _process is not None and _process.process.poll() is not None:
        stop()
    if _process is None:
        try:
            _process = SecondProcess(model)
        except OSError:
            return None
    return _process


def stop() -> None:
    """End the second process, if there is one."""
    global _process
    if _process is not None:
        _process.end()
        _process = None


atexit.register(stop)


class Shared:
    """A share that is composed by the second process, if that can be had: `with Shared(...) as share`, then
    `share.answer()`. An error or Ctrl-C in the block ends the process."""

    def __init__(self, model: Model, request: Request, rng: np.random.Generator) -> None:
        self.model, self.request, self.rng = model, request, rng
        self.process: SecondProcess | None = None

    def __enter__(self) -> Shared:
        if self.model.folder is not None and _lock.acquire(blocking=False):
            self.process = start()
            if self.process is None:
                _lock.release()
            else:
                self.process.begin(self.model, self.request, self.rng)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.process is not None:
            self._leave(broken=kind is not None)

    def _leave(self, *, broken: bool) -> None:
        if broken:
            stop()
        self.process = None
        _lock.release()

    @property
    def bars(self) -> int | None:
        """Bars that the slowest piece of the share has; None where nobody works on it."""
        return self.process.bars if self.process is not None else None

    def answer(self) -> Share | None:
        """The share, or None where the caller has to compose it."""
        return self.process.answer() if self.process is not None else None


# ---- in the second process


def serve(jobs: BinaryIO, answers: BinaryIO, named: str | None = None) -> None:
    """Compose what is asked for until no more is. named: weights to read before."""
    from orchestrion.models.loading import load

    kept: Model | None = None
    if named:
        with suppress(Exception):  # whoever asks for a piece is told
            kept = load(named)

    said: tuple[Any, ...] = ()

    def tell(*message: Any) -> None:
        nonlocal said
        if message != said:
            pickle.dump(message, answers)
            answers.flush()
            said = message

    while True:
        try:
            job: Job = pickle.load(jobs)
        except EOFError:
            return
        tell(job.number, "bars", 0)
        try:
            if kept is None or kept.sha256 != job.sha256:
                kept = load(job.folder)
                if kept.sha256 != job.sha256:
                    raise ValueError("other weights lie in the folder now")
            answer = composed(kept.system, job.request, job.rng, partial(tell, job.number, "bars"))
        except OSError:
            raise  # nobody listens any more
        except Exception:
            tell(job.number, "answer", None)  # the caller composes it, and meets the error where it can be told
        else:
            tell(job.number, "answer", answer)


def composed(system: System, request: Request, rng: np.random.Generator, told: Callable[[int], None]) -> Share:
    """The pieces of a request and the mean nats a note of each; told: called with the bars that all have."""
    nats = [0.0] * request.count
    whole = replace(request, progress=lambda done, total: told(done), likelihood=nats.__setitem__)
    return system.generate(whole, rng), nats


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one decides
    import torch

    torch.set_num_threads(1)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not get among the answers
    serve(sys.stdin.buffer, answers, *sys.argv[1:2])


if __name__ == "__main__":
    from orchestrion.generation import second_process

    second_process.main()  # by its own name, so that what is pickled is known by it
