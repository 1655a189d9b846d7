"""`orchestrion label`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestrion.cli import show
from orchestrion.core.errors import UserError


def label(
    source: Annotated[Path, typer.Argument(help="A folder of MIDI files, or a run that asks its oracle.")],
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE_OR_URL",
            help="Where answers lie: a file of SQLite, by default beside the music, or "
            "postgresql://USER@HOST/DATABASE.",
        ),
    ] = None,
    per_item: Annotated[int, typer.Option(min=1, help="Different people who judge each piece.")] = 1,
    budget: Annotated[int | None, typer.Option(min=1, help="Answers in all; skips do not count.")] = None,
    name: Annotated[str, typer.Option(help="Your name; the page asks for it otherwise.")] = "",
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for other machines too.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8765,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open the browser.")] = False,
    export: Annotated[Path | None, typer.Option(help="Write all answers as CSV, and leave.")] = None,
    import_: Annotated[Path | None, typer.Option("--import", help="Add the answers of a CSV, and leave.")] = None,
) -> None:
    """Hear pieces in the browser and say of each whether it is real or fake, good or poor."""
    from orchestrion.listening.answers_csv import export_csv, import_csv
    from orchestrion.listening.sources import items_of, labels_of
    from orchestrion.listening.store import ANSWERS, Store

    if export is not None and import_ is not None:
        raise UserError("--export and --import do not go together; run one after the other")
    items = items_of(source)
    with Store(labels or labels_of(source), per_item=per_item, budget=budget) as store:
        store.offer(items)
        if import_ is not None:
            new, rows = import_csv(store, import_, ANSWERS)
            show.line(f"{new:,} of {rows:,} answers of {import_} were new; {store.progress().given:,} stand", "green")
            return
        if export is not None:
            show.line(f"wrote {export_csv(store, export):,} rows to {export}", "green")
            return
        from orchestrion.listening.label_server import Oracle
        from orchestrion.listening.serving import is_loopback, query_of, serve

        progress = store.progress()
        show.line(
            f"{len(items):,} pieces; {progress.given:,} of {progress.wanted:,} answers are here, in {store.place}"
        )
        app = Oracle(store).app(loopback=is_loopback(host))
        serve(app, host, port, open_browser=not no_open, tell=_now, query=query_of(name=name))
        progress = store.progress()
        show.line(f"{progress.given:,} of {progress.wanted:,} answers are in {store.place}", "green")


def _now(text: str) -> None:
    """At once, also into a pipe: the server's address is wanted while it runs."""
    show.line(text)
    sys.stdout.flush()
