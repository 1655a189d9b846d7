"""What the README shows is what happens: its lines run, its example runs, its tables are true."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from conftest import little_song
from orchestrion.cli import app, main
from orchestrion.models import checkpoint
from orchestrion.models.catalogue import listed_systems
from orchestrion.models.loading import MODEL_VARIABLE
from orchestrion.models.registry import recipe, system_class
from orchestrion.music.files import read, write_midi
from orchestrion.text.controls import read_controls

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
#: The pages of the guide. Their lines run after one another, those of training first: they make what others compare.
PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text("utf-8")
         for name in ("training", "composing", "comparing", "listening", "models")}  # fmt: skip
TEXT = "\n".join([PAGES["training"], README, *(text for name, text in PAGES.items() if name != "training")])
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
LINES = list(dict.fromkeys(
    line[line.index("orchestrion ") :]
    for line in [*re.findall(r"^    (orchestrion .*)$", TEXT, re.MULTILINE),
                 *(line for kind, block in BLOCKS if not kind for line in block.splitlines())]
    if re.search(r"(^|/)orchestrion ", line)
))  # fmt: skip
#: Added to lines that would take minutes as they stand.
SHORTER = {
    "train composer/small": "--steps 1 --set batch_rows=192 --set context_rows=192 --set validation_batches=1",
    "train performance_rnn/small": "--steps 1 --set window=64 --set width=16 --set validation_batches=1",
    "evaluate my-midi": "--quick",
    "evaluate composer": "--quick --n 4",
}
#: What waits for people, or takes music of five players; `test_active`, `test_label_server` and others run it.
WAITING = {"active", "label", "listen"}


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tiny model in place of the bundled one, and with the MIDI files that the README speaks of."""
    checkpoint.save(tmp_path / "tiny", "composer", system_class("composer")(recipe("composer", "tiny").config), step=0)
    monkeypatch.setenv(MODEL_VARIABLE, str(tmp_path / "tiny"))
    monkeypatch.chdir(tmp_path)
    Path("my-midi").mkdir()
    for seed in range(60):
        write_midi(little_song(seed, bars=4), f"my-midi/{seed}.mid")
    write_midi(little_song(60, bars=4), "my-midi/tune.mid")
    Path("sentences.txt").write_text("a waltz, 2 bars\na march, 2 bars\n")
    return tmp_path


def table(page: str, heading: str) -> list[list[str]]:
    """The rows of the first table of a page below a heading."""
    lines = PAGES[page][PAGES[page].index(f"# {heading}") :].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|---"))
    rows = []
    for line in lines[first + 1 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def ran(line: str) -> object:
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(line)[1:])
    return ended.value.code


def understood(line: str) -> None:
    """The command line takes it as it stands, without running it."""
    name, *options = shlex.split(line)[1:]
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    command.make_context(name, options)


def test_every_line_runs(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert {shlex.split(line)[1] for line in LINES} == {
        "compose", "plan", "analyze", "continue", "fill", "generate", "corpus", "train", "evaluate", *WAITING
    }  # fmt: skip
    for line in LINES:
        if shlex.split(line)[1] in WAITING:
            understood(line)
            continue
        shorter = SHORTER.get(" ".join(shlex.split(line)[1:3]), "")
        assert ran(f"{line} {shorter}") == 0, (line, capsys.readouterr().err)
    for name in ("waltz.wav", "waltz-continued.mid", "waltz-filled.png", "duet.json", "my-run/loss.png", "piece.mid",
                 "report/report.html", "composed/pieces/001-001.mid"):  # fmt: skip
        assert (room / name).stat().st_size > 0


def test_the_example_runs(room: Path) -> None:
    (example,) = (block for kind, block in BLOCKS if kind == "python")
    assert len([line for line in example.splitlines() if line.strip()]) <= 10
    exec(compile(example, "README.md", "exec"), {})
    assert read("filled.mid").note_num() > 0


@pytest.mark.parametrize(("words", "control", "value"), table("composing", "What you can say"))
def test_words_are_taken_as_the_table_says(words: str, control: str, value: str) -> None:
    reading = read_controls(words.strip('"'))
    assert (control, value) in {(said.control, said.value) for said in reading.understood if not said.overruled_by}


def test_the_table_of_systems_is_the_list_of_systems() -> None:
    listed = [[system.name, system.summary, ", ".join(system.recipes)] for system in listed_systems()]
    assert table("models", "Models") == listed


def test_options_named_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    helps = ""
    commands = "compose, plan, analyze, continue, fill, train, evaluate, corpus build, active, label, listen"
    for command in commands.split(", "):
        assert ran(f"orchestrion {command} --help") == 0
        helps += capsys.readouterr().out
    for option in set(re.findall(r"`(--[a-z-]+)", TEXT)) - {"--no-deps"}:
        assert re.search(rf"{option}\b", helps), option


def test_nothing_names_a_host_of_packages() -> None:
    assert not re.search(r"://|index-url|pypi\b|\.org|\.io", TEXT, re.IGNORECASE)
