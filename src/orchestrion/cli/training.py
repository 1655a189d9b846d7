"""`orchestrion train`."""

from __future__ import annotations

import ast
import dataclasses
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrion.cli import show

if TYPE_CHECKING:
    from orchestrion.data.store import Corpus
    from orchestrion.models.base import Recipe
    from orchestrion.training.trainer import Progress


def train(
    recipe: Annotated[str, typer.Argument(metavar="SYSTEM/RECIPE", help="See `orchestrion systems`.")],
    data: Annotated[Path, typer.Option(metavar="MUSIC", help="Any folder of music, or a corpus made of it.")],
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder of the run; one that is there goes on.")],
    seed: Annotated[int, typer.Option(min=0)] = 0,
    steps: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's own.")] = None,
    start_from: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Begin with the weights of a run, a checkpoint or bundled weights."),
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change a field of the recipe; repeatable.")
    ] = None,
) -> None:
    """Train a system on music, or go on with a run. A folder of music is first made into a corpus, which is kept as
    RUN.corpus. Processes are started by torchrun."""
    from orchestrion.data.store import open_corpus

    raw = data.is_dir() and not (data / "corpus.json").exists()
    corpus = None if raw else open_corpus(data)
    from orchestrion.models.registry import recipe as recipe_of
    from orchestrion.training import trainer as training

    system, _, recipe_name = recipe.partition("/")
    wanted = changed(recipe_of(system, recipe_name), [*(changes or []), *([f"steps={steps}"] if steps else [])])
    if corpus is None:
        corpus = _built(data, out, words="sentence_width" in _fields(wanted.config))
    start = None
    if start_from is not None:
        from orchestrion.models.loading import folder_of

        start = folder_of(start_from)
    speaks = os.environ.get("RANK", "0") == "0"
    last = None

    def told(progress: Progress) -> None:
        nonlocal last
        last = progress
        show_step(progress)

    try:
        with _steps(wanted.training.steps) as show_step:
            training.train(system, wanted, corpus, out, seed=seed, start=start, told=told)
    except KeyboardInterrupt:
        where = f"at step {last.step}" if last else "before the first step"
        raise KeyboardInterrupt(f"stopped {where}; the same line goes on from the last checkpoint") from None
    if speaks:
        show.line(f"{out} is trained: {wanted.training.steps:,} steps; its curve is {out / 'loss.png'}", "green")
        show.line(f'play it: orchestrion compose "..." --model {out}')


def _built(music: Path, out: Path, *, words: bool) -> Corpus:
    """The corpus beside the run, made of a folder of music where it is not there yet; embedded if words are learned."""
    place = out.with_name(f"{out.name}.corpus")
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise typer.BadParameter(
            f"{music} is music, which several processes cannot make a corpus of at once;"
            f" `orchestrion corpus build {music} --out {place}` does, then give that",
            param_hint="'--data'",
        )
    from orchestrion.data.build import build_once
    from orchestrion.data.store import SPLITS, open_corpus

    try:
        with show.progress("reading", "files") as told:
            corpus = build_once([music], place, workers=os.cpu_count() or 1, progress=told)
        counts = [f"{len(corpus.pieces(split))} {split}" for split in SPLITS]
        show.line(f"{music} is read into the corpus {place}: {corpus.info()['notes']:,} notes, {', '.join(counts)}")
        if words:
            from orchestrion.data.captions.embed import embed
            from orchestrion.text.encoder import EncoderError, SentenceEncoder

            try:
                encoder = SentenceEncoder.load()
            except EncoderError as error:
                show.line(f"it will not learn words: {error}", "yellow")
            else:
                with show.progress("embedding", "captions") as told:
                    embed(place, encoder, told)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped; the same line goes on from here") from None
    return open_corpus(place)


def changed(recipe: Recipe, changes: list[str]) -> Recipe:
    """The recipe with "name=value" laid over the fields of its config and training, each in the type it has.

    Raises typer.BadParameter that names the valid ones."""
    for change in changes:
        name, equals, text = change.partition("=")
        owner = next((part for part in ("training", "config") if name in _fields(getattr(recipe, part))), None)
        if owner is None or not equals:
            known = ", ".join(sorted({**_fields(recipe.config), **_fields(recipe.training)}))
            raise typer.BadParameter(f"{change!r} is not one of NAME=VALUE; names are {known}", param_hint="'--set'")
        part = getattr(recipe, owner)
        value = _value(change, text, getattr(part, name))
        recipe = dataclasses.replace(recipe, **{owner: dataclasses.replace(part, **{name: value})})
    return recipe


def _fields(part: Any) -> dict[str, Any]:
    return {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}


def _value(change: str, text: str, before: Any) -> Any:
    """The text as a value of the type of what it replaces."""
    if isinstance(before, str):
        return text
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = None
    if isinstance(before, float) and type(value) is int:
        value = float(value)
    least = {int: 1, float: 0}.get(type(before))
    if type(value) is not type(before) or (least is not None and not least <= value < float("inf")):
        kind = {int: "a whole number from 1", float: "a number from 0"}.get(type(before), f"one like {before!r}")
        raise typer.BadParameter(f"{change!r}: expected {kind}", param_hint="'--set'")
    return value


@contextmanager
def _steps(steps: int) -> Iterator[Callable[[Progress], None]]:
    """Shows each step: a moving bar on a terminal, elsewhere a line every few seconds and at each validation."""
    first: list[int] = []

    def speed(progress: Progress) -> float:
        first.append(progress.step)
        return (progress.step - first[0] + 1) / max(progress.seconds, 1e-9)

    def figures(values: dict[str, float]) -> str:
        return "  ".join(f"{name} {value:.4g}" for name, value in list(values.items())[:2])

    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as MovingBar

        columns = (MofNCompleteColumn(), BarColumn(), TextColumn("{task.fields[told]}"), TimeRemainingColumn())
        with MovingBar(*columns, console=Console(stderr=True)) as bar:
            task, validation = bar.add_task("", total=steps, told=""), ""

            def move(progress: Progress) -> None:
                nonlocal validation
                if progress.validation:
                    validation = "valid: " + figures(dict(list(progress.validation.items())[:1]))
                for remark in progress.remarks:
                    bar.console.print(f"step {progress.step}: {remark}", style="yellow")
                told = f"{figures(progress.losses)}  {validation}  {speed(progress):.2f} steps/s"
                bar.update(task, completed=progress.step, told=told)

            yield move
        return
    shown = monotonic()

    def print_step(progress: Progress) -> None:
        nonlocal shown
        rate = speed(progress)
        if progress.validation or monotonic() - shown > show.QUIET_SECONDS:
            shown = monotonic()
            left = (progress.steps - progress.step) / rate
            print(f"step {progress.step} of {progress.steps}  {figures(progress.losses)}  "
                  f"{figures(progress.validation)}  {rate:.2f} steps/s  {left:.0f} s left", flush=True)  # fmt: skip
        for remark in progress.remarks:
            print(f"step {progress.step}: {remark}", flush=True)

    yield print_step
