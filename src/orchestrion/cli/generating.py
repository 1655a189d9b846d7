"""`orchestrion generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrion.cli import show
from orchestrion.cli.filters import BestOf, Check, Tries, critic_of, tell_acceptance
from orchestrion.cli.music import Temperature, TopP


def generate(
    model: Annotated[str, typer.Argument(metavar="RUN", help="A run, a checkpoint or the name of bundled weights.")],
    out: Annotated[Path, typer.Option(help="Folder for the pieces: new, or empty.")],
    count: Annotated[int, typer.Option("--n", min=1, help="How many pieces.")] = 16,
    bars: Annotated[int, typer.Option(min=1, max=256, help="Of each piece.")] = 16,
    seconds: Annotated[
        float | None, typer.Option(min=0.5, help="In place of bars, for systems that write in real time.")
    ] = None,
    tempo: Annotated[float, typer.Option(min=10, max=400, help="Quarter notes a minute.")] = 120.0,
    seed: Annotated[int, typer.Option(min=0, help="The same line with the same seed gives the same pieces.")] = 0,
    temperature: Temperature = None,
    top_p: TopP = None,
    check: Check = None,
    tries: Tries = None,
    best_of: BestOf = None,
) -> None:
    """Make many pieces with a trained system, without words, as MIDI files."""
    from orchestrion.generation import batch as generating
    from orchestrion.generation.filters import Gate
    from orchestrion.models.loading import load

    loaded, critic = load(model), critic_of(check, best_of)
    gate = None if critic is None else Gate.of(critic.system, critic.named, tries, best_of)
    asked = generating.Asked(count, bars, seconds, tempo, seed, temperature, top_p, None if gate else tries)
    with show.progress("generating", "pieces") as told:
        rejected, verdicts = generating.write_pieces(loaded, asked, out, gate=gate, progress=told)
    for reason, times in rejected.most_common():
        show.line(f"drawn again {times:,} times: {reason}", "yellow")
    if gate:
        tell_acceptance(gate.named["system"], verdicts)
    show.line(f"wrote {count:,} pieces to {out}", "green")
