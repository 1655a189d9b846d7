"""`--check`, `--tries` and `--best-of`, and how what came of them is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrion.cli import show

if TYPE_CHECKING:
    from orchestrion.generation.filters import Verdict
    from orchestrion.models.loading import Model

Check = Annotated[
    str | None,
    typer.Option(
        metavar="CRITIC", help="Compose again what the discriminator of this run, checkpoint or name refuses."
    ),
]
Tries = Annotated[
    int | None,
    typer.Option(min=0, metavar="N", help="How often to compose again what CRITIC refuses (16), else the system's own"
                 " discriminator; 0 for never."),
]  # fmt: skip
BestOf = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Of N candidates a piece, the one that CRITIC likes best.")
]


def critic_of(check: str | None, best_of: int | None) -> Model | None:
    """The critic that is named. Raises BadParameter for a choice without one, CheckpointError for none."""
    if check is None:
        if best_of is not None:
            raise typer.BadParameter("the best of several is chosen by a critic; add --check CRITIC")
        return None
    from orchestrion.models.loading import load

    return load(check)


def tell_checks(checks: Sequence[dict[str, Any] | None]) -> None:
    """What a critic says of each piece, by the records of their checks; nothing where there was none."""
    made = [check for check in checks if check is not None]
    if not made:
        return
    from orchestrion.generation.filters import Verdict

    for number, check in enumerate(made, 1):
        of = f"{check['tries']} candidates" if check["tries"] > 1 else "one candidate"
        said = "accepted, of" if check["accepted"] else "NOT ACCEPTED, the best of"
        show.line(f"piece {number}: p {check['p']:.3f}, {said} {of}", "" if check["accepted"] else "yellow")
    tell_acceptance(made[0]["critic"]["system"], [Verdict(tuple(check["odds"])) for check in made])


def tell_acceptance(critic: str, verdicts: Sequence[Verdict]) -> None:
    """How many of the candidates and of the pieces a critic calls real."""
    from orchestrion.generation.filters import acceptance

    accepted, heard = acceptance(verdicts)
    passed = sum(verdict.accepted for verdict in verdicts)
    show.line(f"{critic} accepts {accepted:,} of {heard:,} candidates ({accepted / heard:.0%}) and {passed:,} of"
              f" {len(verdicts):,} pieces")  # fmt: skip
