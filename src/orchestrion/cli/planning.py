"""`orchestrion plan` and `analyze`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrion.cli import show
from orchestrion.cli.music import (
    Bars,
    ChordsOption,
    FeelOption,
    File,
    FormOption,
    Instruments,
    KeyOption,
    MeterOption,
    Seed,
    Sentence,
    Tempo,
    bar_range,
    seed_or_chance,
    tell_words,
)
from orchestrion.text import controls


def plan(
    sentence: Sentence = "",
    out: Annotated[Path | None, typer.Option(metavar="JSON", help="Write the plan here, to edit it.")] = None,
    bars: Bars = None,
    tempo: Tempo = None,
    key: KeyOption = None,
    meter: MeterOption = None,
    instruments: Instruments = None,
    chords: ChordsOption = None,
    form: FormOption = None,
    feel: FeelOption = None,
    seed: Seed = None,
) -> None:
    """Plan a piece before a note is written: form, chords, parts and levels. `compose --plan` plays it."""
    chosen = seed_or_chance(seed)
    reading = controls.merge(
        controls.read_controls(sentence), bars=bars, tempo=tempo, key=key, meter=meter, instruments=instruments or (),
        chords=None if chords is None else controls.parse_chords(chords, key), form=form, feel=feel,
    )  # fmt: skip
    from orchestrion.generation.by_plan import planned
    from orchestrion.planning.text import plan_lines

    made = planned(reading, chosen)
    if seed is None:
        show.line(f"seed {chosen}, drawn by chance; with --seed {chosen} the same line makes the same plan")
    tell_words(reading.understood, reading.not_understood)
    show.line("")
    for line in plan_lines(made):
        show.line(line)
    if out is not None:
        made.write(out)
        show.line(f"wrote {out}; play it: orchestrion compose --plan {out}", "green")


def analyze(
    file: File,
    out: Annotated[Path | None, typer.Option(metavar="JSON", help="Write the plan here, to edit it.")] = None,
    bars: Annotated[
        Any, typer.Option(parser=bar_range, metavar="FIRST-LAST", help="Only these bars, from 1. Default: all.")
    ] = None,
) -> None:
    """Estimate the plan of given music: form, chords, and what each part does in each section."""
    from orchestrion.music.edit import slice_bars
    from orchestrion.music.files import read
    from orchestrion.planning.estimate import estimate_plan
    from orchestrion.planning.text import plan_lines

    score = read(file)
    plan = estimate_plan(score if bars is None else slice_bars(score, *bars))
    for line in plan_lines(plan):
        show.line(line)
    if out is not None:
        plan.write(out)
        show.line(f"wrote {out}", "green")
