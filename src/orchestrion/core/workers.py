"""Processes that share work out: started afresh, deaf to Ctrl-C, and gone when their parent is."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from threading import Thread


@contextmanager
def pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of new processes. Work that has not begun is dropped when an error or Ctrl-C leaves the block."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_follow_parent) as executor:
        try:
            yield executor
        except BaseException:
            executor.shutdown(cancel_futures=True)
            raise


def _follow_parent() -> None:
    """Make a worker leave Ctrl-C to the parent, and end when the parent was killed instead of waiting for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wait() -> None:
        if parent := parent_process():
            parent.join()
            os._exit(1)

    Thread(target=wait, daemon=True).start()
