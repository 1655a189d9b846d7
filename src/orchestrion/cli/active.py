"""`orchestrion active`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrion.cli import show
from orchestrion.core.errors import UserError

if TYPE_CHECKING:
    from orchestrion.listening.active.learning import Learned


def active(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run of a system with a discriminator: ape_gan.")],
    data: Annotated[Path, typer.Option(metavar="CORPUS", help="What it learns from.")],
    model: Annotated[
        str | None, typer.Option(help="Begin RUN from this checkpoint or these bundled weights; where there is no RUN.")
    ] = None,
    budget: Annotated[int, typer.Option(min=1, help="Phrases to ask about, at most.")] = 20,
    strategy: Annotated[str, typer.Option(help="band, entropy, margin, diverse or random.")] = "band",
    low: Annotated[float, typer.Option(help="The band: odds between which it is unsure.")] = 0.475,
    high: Annotated[float, typer.Option()] = 0.525,
    fill: Annotated[bool, typer.Option("--fill", help="Where too few lie in the band, ask about the nearest.")] = False,
    pool: Annotated[int, typer.Option(min=2, help="Phrases to choose from.")] = 512,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    learn: Annotated[
        bool, typer.Option("--learn", help="Learn from the labels, into --out, instead of asking.")
    ] = False,
    out: Annotated[Path | None, typer.Option(metavar="RUN2", help="Folder of the run that learned from them.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="To train on for.")] = 200,
    labels: Annotated[
        str | None, typer.Option(metavar="FILE_OR_URL", help="Where answers lie, if `orchestrion label` was told so.")
    ] = None,
) -> None:
    """Ask people about the phrases that a discriminator is unsure of; with --learn, train on with what they said."""
    from orchestrion.data.store import open_corpus
    from orchestrion.listening.active import acquisition as asking
    from orchestrion.listening.active.query_strategy import Policy

    if learn != (out is not None):
        raise UserError("--learn needs --out RUN2, the run to learn into" if learn else "--out goes with --learn")
    policy = Policy(strategy, low, high, fill)
    corpus = open_corpus(data)
    if model is not None:
        asking.start(run, model)
    if learn and out is not None:
        from orchestrion.listening.active.learning import learn as learned_from

        with show.progress("learning", "steps") as told:
            learned = learned_from(
                run, corpus, out, steps=steps, labels=labels, policy=policy, size=pool, seed=seed,
                told=lambda step: told(step.step - step.steps + steps, steps),
            )  # fmt: skip
        _tell(learned, run, out)
        show.line(f'play it: orchestrion compose "..." --model {out}')
        show.line(f"ask on: orchestrion active {out} --data {data}")
        return
    asked = asking.ask(run, corpus, budget=budget, policy=policy, size=pool, seed=seed)
    show.line(
        f"round {asked.number}: of {asked.pool:,} phrases {asked.unsure:,} have odds between {low:g} and {high:g}"
    )
    if not asked.ids:
        show.line("so nothing is asked; --fill asks about the nearest, --strategy about others", "yellow")
        return
    if strategy == "band" and len(asked.ids) < budget and not fill:
        show.line(f"those are fewer than {budget}; --fill adds the nearest outside", "yellow")
    show.line(
        f"{len(asked.ids)} phrases to hear, {asked.made} made and {len(asked.ids) - asked.made} of the corpus, with"
        f" odds from {min(asked.odds):.3f} to {max(asked.odds):.3f}, lie in {run / 'oracle'}", "green",
    )  # fmt: skip
    show.line(f"hear them: orchestrion label {run}")
    show.line(f"then learn: orchestrion active {run} --data {data} --learn --out RUN2")


def _tell(learned: Learned, run: Path, out: Path) -> None:
    """What was learned from, what was left out, and what changed."""
    answers = learned.answers
    real = sum(answers.real.values())
    show.line(f"{run}: {real} phrases are called real or good, {len(answers.real) - real} fake or poor")
    for what, ids in (("tied and left out", answers.tied), ("skipped by all who heard them", answers.skipped)):
        if ids:
            show.line(f"{len(ids)} {what}: {', '.join(ids)}", "yellow")
    if answers.strangers:
        show.line(f"{answers.strangers} answers are of phrases that {run} does not hold, and left out", "yellow")
    show.line(
        f"{out} learned for {learned.steps:,} steps from {learned.labels} labels; {learned.held_out} were held out"
    )
    rows = [(name, *("-" if value is None else f"{value:.3f}" for value in both))
            for name, both in learned.figures.items()]  # fmt: skip
    show.table(("", "before", "after"), rows)
