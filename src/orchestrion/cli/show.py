"""How results look: tables, colours and moving bars on a terminal; elsewhere plain lines, no control characters."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic

QUIET_SECONDS = 10.0  # between two plain lines of progress

Told = Callable[[int, int], None]


def line(text: str, style: str = "") -> None:
    """One line; `style` is a colour of rich, for terminals."""
    text = printable(text)
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.text import Text

        Console().print(Text(text, style))
    else:
        print(text)


def table(headings: Sequence[str], rows: Sequence[Sequence[object]], styles: Sequence[str] = ()) -> None:
    """Rows under headings; columns of numbers stand to the right. `styles`: one a row."""
    if not rows:
        return
    cells = [[printable(f"{cell:,}" if isinstance(cell, int) else str(cell)) for cell in row] for row in rows]
    right = [all(isinstance(row[column], int | float) for row in rows) for column in range(len(headings))]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        shown = Table(box=None, header_style="bold", pad_edge=False)
        for heading, number in zip(headings, right, strict=True):
            shown.add_column(heading, justify="right" if number else "left")
        for index, row in enumerate(cells):
            shown.add_row(*map(Text, row), style=styles[index] if styles else None)
        Console().print(shown)
        return
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    for row in (list(headings), *cells):
        aligned = [
            text.rjust(width) if number else text.ljust(width)
            for text, width, number in zip(row, widths, right, strict=True)
        ]
        print("  ".join(aligned).rstrip())


def printable(text: str) -> str:
    """The text without line breaks and control characters, which a file's own words may hold."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


@contextmanager
def progress(what: str, unit: str) -> Iterator[Told]:
    """A function to be told (done, total); on stderr, so that results can be piped."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit),
                   TimeRemainingColumn())  # fmt: skip
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    last = monotonic()

    def told(done: int, total: int) -> None:
        nonlocal last
        if monotonic() - last > QUIET_SECONDS:
            last = monotonic()
            print(f"{what}: {done} of {total} {unit}", file=sys.stderr, flush=True)

    yield told
