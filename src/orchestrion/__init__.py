"""Orchestrion: words, a melody or a folder of MIDI in; multi-track music out.

    from orchestrion import compose

    compose("a calm piano waltz in D minor, 16 bars", seed=7)[0].write("waltz")

Names are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrion.composing import Composition, compose, continue_score, fill
    from orchestrion.corpus.store import open_corpus
    from orchestrion.models import Model, load
    from orchestrion.score.files import read, write_midi

__version__ = "0.1.0"

#: Public names and the modules they live in; each is imported when it is first used, as torch takes a second.
_PUBLIC = {
    "Composition": "composing",
    "Model": "models",
    "compose": "composing",
    "continue_score": "composing",
    "fill": "composing",
    "load": "models",
    "open_corpus": "corpus.store",
    "read": "score.files",
    "write_midi": "score.files",
}
__all__ = ["Composition", "Model", "compose", "continue_score", "fill", "load", "open_corpus", "read", "write_midi"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'orchestrion' has no attribute {name!r}")
    return getattr(import_module(f"orchestrion.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
