"""The registry of systems is the folder `models/zoo/`."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from orchestrion.core.errors import UserError
from orchestrion.models import zoo as systems
from orchestrion.models.base import Recipe, System


class UnknownSystemError(UserError):
    """A system or recipe that does not exist."""


def system_names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(systems.__path__))


def system_module(name: str) -> ModuleType:
    """The file of a system. Raises UnknownSystemError."""
    if name not in system_names():
        raise UnknownSystemError(f"there is no system {name!r}; there are {', '.join(system_names())}")
    return importlib.import_module(f"orchestrion.models.zoo.{name}")


def recipe(name: str, recipe_name: str) -> Recipe:
    """The recipe of a system, such as "small" of "composer". Raises UnknownSystemError."""
    module = system_module(name)
    if recipe_name not in module.RECIPES:
        raise UnknownSystemError(f"{name} has no recipe {recipe_name!r}; it has {', '.join(module.RECIPES)}")
    return module.RECIPES[recipe_name]


def system_class(name: str) -> type[System]:
    """The one subclass of System that a system file defines. Raises UnknownSystemError."""
    module = system_module(name)
    (kind,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, System) and value.__module__ == module.__name__
    )
    return kind


def config_class(name: str) -> type:
    """The class of a system's configs. Raises UnknownSystemError."""
    return type(next(iter(system_module(name).RECIPES.values())).config)
