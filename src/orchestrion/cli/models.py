"""`orchestrion systems`."""

from __future__ import annotations

from orchestrion.cli import show


def systems() -> None:
    """List the ways to make music that can be trained, with their recipes."""
    from orchestrion.models.catalogue import listed_systems

    rows = [(system.name, system.summary, ", ".join(system.recipes)) for system in listed_systems()]
    show.table(("system", "what it is", "recipes"), rows)
