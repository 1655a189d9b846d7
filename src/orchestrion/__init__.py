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
    from orchestrion.generation.by_plan import plan
    from orchestrion.models import Model, load
    from orchestrion.planning.estimate import estimate_plan as analyze
    from orchestrion.planning.files import read_plan
    from orchestrion.planning.plan import Plan
    from orchestrion.score.files import read, write_midi

__version__ = "0.1.0"

#: Public names and the modules they live in, where they may have another name; each is imported when it is first used,
#: as torch takes a second.
_PUBLIC = {
    "Composition": "composing",
    "Model": "models",
    "Plan": "planning.plan",
    "analyze": "planning.estimate:estimate_plan",
    "compose": "composing",
    "continue_score": "composing",
    "fill": "composing",
    "load": "models",
    "open_corpus": "corpus.store",
    "plan": "generation.by_plan",
    "read": "score.files",
    "read_plan": "planning.files",
    "write_midi": "score.files",
}
__all__ = [
    "Composition",
    "Model",
    "Plan",
    "analyze",
    "compose",
    "continue_score",
    "fill",
    "load",
    "open_corpus",
    "plan",
    "read",
    "read_plan",
    "write_midi",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'orchestrion' has no attribute {name!r}")
    module, _, own = _PUBLIC[name].partition(":")
    return getattr(import_module(f"orchestrion.{module}"), own or name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
