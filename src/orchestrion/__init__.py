"""Orchestrion: words, a melody or a folder of MIDI in; multi-track music out.

    from orchestrion import compose

    compose("a calm piano waltz in D minor, 16 bars", seed=7)[0].write("waltz")

Names are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrion.data.store import open_corpus
    from orchestrion.generation.by_plan import plan
    from orchestrion.generation.compose import Composition, compose, continue_score, fill
    from orchestrion.models.loading import Model, load
    from orchestrion.music.files import read, write_midi
    from orchestrion.planning.estimate import estimate_plan as analyze
    from orchestrion.planning.files import read_plan
    from orchestrion.planning.plan import Plan

__version__ = "0.1.0"

#: Public names and the modules they live in, where they may have another name; each is imported when it is first used,
#: as torch takes a second.
_PUBLIC = {
    "Composition": "generation.compose",
    "Model": "models.loading",
    "Plan": "planning.plan",
    "analyze": "planning.estimate:estimate_plan",
    "compose": "generation.compose",
    "continue_score": "generation.compose",
    "fill": "generation.compose",
    "load": "models.loading",
    "open_corpus": "data.store",
    "plan": "generation.by_plan",
    "read": "music.files",
    "read_plan": "planning.files",
    "write_midi": "music.files",
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
