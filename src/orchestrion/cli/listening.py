"""`orchestrion listen`."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrion.cli import show
from orchestrion.core.errors import UserError

if TYPE_CHECKING:
    from orchestrion.listening.store import Store
    from orchestrion.listening.test_plan import ListeningTest, Trial

DEFAULT_ANSWERS = "listening.sqlite"
ALIKE = 0.8  # of the longest piece's time: a shorter one is noticed


def listen(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="DIR...", help="Folders of MIDI to compare; their names are the sets'."),
    ] = None,
    real: Annotated[Path | None, typer.Option(help="The folder of people's music, one of those or one more.")] = None,
    questions: Annotated[
        str | None,
        typer.Option(
            metavar="WHAT",
            help="Of real (human or machine), rating (good, average, poor; inspiring) and preference (two pieces), "
            "with commas. Default: all that can be asked; real needs --real.",
        ),
    ] = None,
    listeners: Annotated[int, typer.Option(min=1, help="Places in the test.")] = 20,
    items: Annotated[int, typer.Option(min=1, help="Pieces of each set that a listener judges one by one.")] = 5,
    pairs: Annotated[int, typer.Option(min=1, help="Comparisons of each two sets by a listener; even is best.")] = 4,
    seconds: Annotated[float, typer.Option(min=1, max=600, help="Of each piece that are played.")] = 30.0,
    seed: Annotated[int, typer.Option(min=0, help="The same folders and seed give every listener the same plan.")] = 0,
    answers: Annotated[
        str, typer.Option(metavar="PLACE", help="A file of SQLite, or the URL of a PostgreSQL database.")
    ] = DEFAULT_ANSWERS,
    results: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write what --answers holds so far as a page and as JSON, and leave; needs no folders."
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to serve on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8766,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open the browser.")] = False,
) -> None:
    """Hold a blind listening test in the browser: human or machine, rating, preference. The answers stay here."""
    from orchestrion.listening.store import Store
    from orchestrion.listening.test_plan import open_test, plan

    if results is not None and "://" not in answers and not Path(answers).exists():
        raise UserError(f"there are no answers in {answers}; hold the test first, or name their place with --answers")
    if results is not None:
        with Store(answers) as store:
            _report(store, results)
        return
    test = _test(folders or [], real, questions, listeners, items, pairs, seconds, seed)
    trials = plan(test)
    with Store(answers) as store:
        open_test(store, test, trials)
        _serve(store, test, trials, host, port, no_open)


def _test(
    folders: list[Path], real: Path | None, questions: str | None, listeners: int, items: int, pairs: int,
    seconds: float, seed: int,
) -> ListeningTest:  # fmt: skip
    from orchestrion.listening.test_plan import ASKED, ListeningTest, music_set

    places = {folder.resolve(): folder for folder in [*folders, *([real] if real else [])]}
    human = real and real.resolve()
    sets = sorted((music_set(folder, human=place == human) for place, folder in places.items()),
                  key=lambda music: (not music.human, music.name))  # fmt: skip
    asked = questions.split(",") if questions else [name for name in ASKED if name != "real" or real]
    return ListeningTest(tuple(sets), tuple(name.strip() for name in asked), listeners, items, pairs, seconds, seed)


def _serve(store: Store, test: ListeningTest, trials: list[list[Trial]], host: str, port: int, no_open: bool) -> None:
    from orchestrion.listening.listen_server import Listening
    from orchestrion.listening.serving import is_loopback, serve

    server = Listening(store, test, trials)
    with show.progress("reading", "pieces") as told:
        shortest, longest = server.read_all(told)
    if shortest < ALIKE * longest:
        show.line(f"pieces are heard for {shortest:.1f} to {longest:.1f} seconds; where one set is shorter, that tells "
                  f"it: --seconds {max(1, int(shortest))} makes all alike", "yellow")  # fmt: skip
    each = len(trials[0])
    show.line(f"{len(test.sets)} sets, {len(trials)} listeners, {each} times to listen each; answers in {store.place}")
    with suppress(KeyboardInterrupt):
        serve(server.app(loopback=is_loopback(host)), host, port, open_browser=not no_open, tell=_now)
    show.line(f"{len(store.settled()):,} answers in {store.place}; the same line goes on with the test, and with "
              "--results DIR it writes what was found", "green")  # fmt: skip


def _report(store: Store, folder: Path) -> None:
    from orchestrion.listening.results import results
    from orchestrion.listening.results_page import ranking_rows, result_lines, share_rows, write_results

    found = results(store)
    written = write_results(found, folder)
    show.table(("set", "answer", "count", "share [Wilson]", "exact", "by listener"), share_rows(found))
    show.table(("set", "log strength", f"preferred to {found.reference}"), ranking_rows(found))
    for line in result_lines(found):
        show.line(line)
    show.line("wrote " + "  ".join(map(str, written)), "green")


def _now(text: str) -> None:
    """At once, also into a pipe: the server's address is wanted while it runs."""
    show.line(text)
    sys.stdout.flush()
