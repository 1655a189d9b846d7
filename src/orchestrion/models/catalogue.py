"""What systems there are, read from their files without running them: a list costs no import of torch."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

from orchestrion.models import zoo as systems


@dataclass(frozen=True)
class Listed:
    """A system by name, the first line of its docstring, and the names of its recipes."""

    name: str
    summary: str
    recipes: tuple[str, ...]


def listed_systems() -> list[Listed]:
    """Every file of the folder `models/zoo/`, by name."""
    folders = [Path(folder) for folder in systems.__path__]
    files = [path for folder in folders for path in folder.glob("*.py") if path.stem != "__init__"]
    return sorted((_listed(path) for path in files), key=lambda listed: listed.name)


def _listed(path: Path) -> Listed:
    tree = ast.parse(path.read_text("utf-8"))
    summary = (ast.get_docstring(tree) or "").partition("\n")[0]
    recipes = [
        key.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
        if any(isinstance(target, ast.Name) and target.id == "RECIPES" for target in node.targets)
        for key in node.value.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    ]
    return Listed(path.stem, summary, tuple(recipes))
