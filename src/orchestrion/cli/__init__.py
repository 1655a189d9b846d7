"""The command `orchestrion`: parses, calls, prints. Torch is imported by the commands that need it, when they run."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer

import orchestrion
from orchestrion.cli import (
    active,
    corpus,
    evaluation,
    generating,
    labelling,
    listening,
    music,
    planning,
    show,
    training,
)
from orchestrion.cli import models as systems
from orchestrion.core.errors import UserError

INTERRUPTED = 130

app = typer.Typer(add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
app.command("compose")(music.compose)
app.command("continue")(music.continue_)
app.command("fill")(music.fill)
app.command("plan")(planning.plan)
app.command("analyze")(planning.analyze)
app.command("generate")(generating.generate)
app.command("train")(training.train)
app.command("evaluate")(evaluation.evaluate)
app.command("active")(active.active)
app.command("label")(labelling.label)
app.command("listen")(listening.listen)
app.command("systems")(systems.systems)
app.add_typer(corpus.app, name="corpus")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"orchestrion {orchestrion.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """A sentence becomes multi-track music: MIDI, sound and picture."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command line and exit: 0, 1 for a failure, 2 for a line that cannot be read, 130 for Ctrl-C.

    What the user can put right is one line on stderr; a bug of ours keeps its traceback.
    """
    for stream in (sys.stdout, sys.stderr):  # a file's name may hold bytes that no encoding writes
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        command = typer.main.get_command(app)
        with command.make_context("orchestrion", list(sys.argv[1:] if arguments is None else arguments)) as context:
            command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as end:
        sys.exit(end.exit_code)
    except typer.TyperException as error:
        _stop(error.format_message(), error.exit_code)
    except UserError as error:
        _stop(str(error), 1)
    except KeyboardInterrupt as stopped:
        print(f"\n{str(stopped) or 'stopped; no file was left half written'}", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of a pipe has left
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.strerror is None:
            raise
        _stop(f"cannot use {error.filename or 'the output'}: {error.strerror}", 1)
    sys.exit(0)


def _stop(message: str, code: int) -> None:
    if os.environ.get("RANK", "0") == "0":  # of the processes that torchrun started, one speaks
        print(f"error: {show.printable(' '.join(message.split()))}", file=sys.stderr)
    sys.exit(code)
