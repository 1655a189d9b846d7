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
    {"core"},
    {"music"},
    {"representations", "metrics", "rendering", "text"},
    {"planning"},
    {"data"},
    {"models.layers", "models.sampling"},
    {"models.base"},
    {"models.token_model", "models.pianoroll_gan"},
    {"models.zoo"},
    {"models.registry", "models.catalogue"},
    {"models.checkpoint"},
    {"models.loading"},
    {"training"},
    {"generation"},
    {"evaluation"},
    {"listening"},
    {"cli", "__main__"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
FILES = [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]


def room_of(name: str) -> str | None:
    """The room of a module, by its dotted name within the package; None for a name of the package itself."""
    parts = name.split(".")
    for room in (".".join(parts[:2]), parts[0]):
        if room in FLOOR:
            return room
    return None


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
    own = room_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for name in imported_modules(path):
        room = room_of(name.removeprefix("orchestrion."))
        if room is None:  # a name of the package itself, such as its version
            continue
        assert own is not None, f"{path.name} is on no floor and imports {name}"
        assert FLOOR[room] <= FLOOR[own], f"{path.name} reaches up to {name}"
        if own == "models.zoo":
            assert room != own, f"{path.name} imports another model: {name}"
            assert FLOOR[room] < FLOOR[own], f"{path.name} reaches sideways to {name}"


def test_every_file_has_a_floor() -> None:
    without = {"models.__init__"}  # which says what the room is, and imports nothing
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in FILES}
    assert {name for name in names if room_of(name) is None} <= without


def test_the_package_root_holds_nothing_else() -> None:
    assert {path.name for path in ROOT.iterdir() if path.is_file()} == {"__init__.py", "__main__.py", "py.typed"}


@pytest.mark.parametrize(
    "module", ["music.theory", "music.files", "music.analysis", "metrics.suite", "text.controls",
               "representations.cells", "data.store", "data.build", "data.phrases", "cli", "models.catalogue",
               "evaluation.measuring", "evaluation.page", "listening.store"],
)  # fmt: skip
def test_light_floors_need_no_torch(module: str) -> None:
    code = f"import sys, orchestrion.{module}; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
