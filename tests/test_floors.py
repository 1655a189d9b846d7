"""The plan of the house: imports only go down, systems do not know each other, and the light floors need no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import orchestrion

ROOT = Path(orchestrion.__file__).parent
FLOORS = [
    {"theory", "chords", "errors", "writing", "workers"},
    {"score"},
    {"representations", "metrics", "render", "text"},
    {"planning"},
    {"corpus", "nn", "sampling"},
    {"system"},
    {"autoregression", "adversarial"},
    {"systems"},
    {"registry", "catalogue"},
    {"checkpoint"},
    {"measured", "given", "checking", "runs", "processes"},
    {"train", "models", "wishes", "generation", "composing"},
    {"evaluation", "generating", "studio"},
    {"active"},
    {"cli", "__main__"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
FILES = [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]


def imported_modules(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.startswith("orchestrion.")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_only_go_down(path: Path) -> None:
    own = path.relative_to(ROOT).with_suffix("").parts
    for name in imported_modules(path):
        parts = name.split(".")[1:]
        if parts[0] not in FLOOR:  # a name of the package itself, such as its version
            continue
        assert FLOOR[parts[0]] <= FLOOR[own[0]], f"{path.name} reaches up to {name}"
        if own[0] == "systems" and parts[0] == "systems":
            pytest.fail(f"{path.name} imports another system: {name}")
        if parts[0] != own[0]:
            assert FLOOR[parts[0]] < FLOOR[own[0]] or own[0] != "systems", f"{path.name} reaches sideways to {name}"


def test_every_room_has_a_floor() -> None:
    rooms = {path.relative_to(ROOT).with_suffix("").parts[0] for path in FILES}
    assert rooms <= set(FLOOR)


@pytest.mark.parametrize(
    "module", ["theory", "score.files", "score.analysis", "metrics.suite", "text.controls",
               "representations.cells", "corpus.store", "corpus.build", "corpus.phrases", "cli", "catalogue",
               "evaluation.measuring", "evaluation.page", "studio.store"],
)  # fmt: skip
def test_light_floors_need_no_torch(module: str) -> None:
    code = f"import sys, orchestrion.{module}; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
