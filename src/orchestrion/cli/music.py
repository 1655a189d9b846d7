"""`orchestrion compose`, `continue` and `fill`."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from orchestrion.cli import show
from orchestrion.cli.filters import BestOf, Check, Tries, critic_of, tell_checks
from orchestrion.core.errors import UserError
from orchestrion.generation import second_process
from orchestrion.music.theory import Key, Meter
from orchestrion.text import controls
from orchestrion.text.reading import NotUnderstood, Understood

if TYPE_CHECKING:
    from orchestrion.generation.compose import Composition
    from orchestrion.planning.plan import Plan

FORMATS = ("mid", "wav", "png", "json", "musicxml")
DEFAULT_FORMATS = "mid,wav,png,json"
SHORT = 80  # characters of a cell in a table
NEW_BARS = 8  # that `continue` adds where nothing says how many

Value = TypeVar("Value")


def _read(parse: Callable[[str], Value]) -> Callable[[str], Value]:
    """An option's parser, whose complaint becomes one of the command line."""

    def parsed(text: str) -> Value:
        try:
            return parse(text)
        except UserError as error:
            raise typer.BadParameter(str(error)) from None

    return parsed


def bar_range(text: str) -> tuple[int, int]:
    """Read "5-8" or "5"."""
    match = re.fullmatch(r"\s*([0-9]{1,6})\s*(?:[-–]\s*([0-9]{1,6})\s*)?", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a range of bars; write 5-8")
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise typer.BadParameter(f"{text!r} runs backwards; write {last}-{first}")
    return first, last


def _formats(text: str) -> list[str]:
    """Read "mid,wav"."""
    formats = list(dict.fromkeys(item.strip().lower().removeprefix(".") for item in text.split(",") if item.strip()))
    unknown = [item for item in formats if item not in FORMATS]
    if unknown or not formats:
        raise typer.BadParameter(f"{', '.join(unknown) or 'nothing'} cannot be written; choose of {', '.join(FORMATS)}")
    return formats


Sentence = Annotated[str, typer.Argument(help='What to play: "a calm piano waltz in D minor, 16 bars".')]
File = Annotated[Path, typer.Argument(help="MIDI or MusicXML.")]
Bars = Annotated[
    int | None, typer.Option(parser=_read(controls.parse_bars), metavar="BARS", help="1 to 256; `continue` adds them.")
]
Tempo = Annotated[
    float | None,
    typer.Option(parser=_read(controls.parse_tempo), metavar="BPM", help="Quarter notes a minute, or andante."),
]
MeterOption = Annotated[
    Meter | None, typer.Option(parser=_read(controls.parse_meter), metavar="METER", help="4/4, 3/4, 6/8, 12/8, 5/4 ...")
]
Instruments = Annotated[
    Any, typer.Option(parser=_read(controls.parse_instruments), metavar="LIST", help='"piano, bass, drums".')
]
KeyOption = Annotated[Key | None, typer.Option(parser=_read(controls.parse_key), metavar="KEY", help='"F# minor".')]
ChordsOption = Annotated[
    str | None, typer.Option(metavar="CHORDS", help='One a bar, again and again: "Am F C G", "ii V I", "C | Am F | G".')
]
FormOption = Annotated[
    Any, typer.Option(parser=_read(controls.parse_form), metavar="FORM", help='"intro 4, verse 8, chorus 8" or "AABA".')
]
FeelOption = Annotated[Any, typer.Option(parser=_read(controls.parse_feel), metavar="FEEL", help="straight or swing.")]
Candidates = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Compose so many of each piece and keep the best; else 8.")
]
Seed = Annotated[int | None, typer.Option(min=0, help="The same line with the same seed gives the same music.")]
Temperature = Annotated[
    float | None, typer.Option(help="0 to 3: less is plainer, more is wilder; else as suits the system, about 1.")
]
TopP = Annotated[
    float | None, typer.Option(help="Draw from the likeliest choices that make up this share; else as suits it.")
]
Count = Annotated[int, typer.Option("--n", help="How many pieces, composed together.")]
FormatsOption = Annotated[Any, typer.Option(parser=_formats, metavar="LIST", help=f"Of {', '.join(FORMATS)}.")]
ModelOption = Annotated[
    Path | None,
    typer.Option("--model", help="A run, a checkpoint or the name of bundled weights; else composer."),
]
SystemOption = Annotated[
    str | None, typer.Option("--system", metavar="NAME", help="The weights of this system that come with the package.")
]
Seconds = Annotated[
    float | None, typer.Option(min=0.5, help="A length in place of bars, for systems that write in real time.")
]


def compose(
    sentence: Sentence = "",
    out: Annotated[str, typer.Option(help="What the names of the files begin with.")] = "piece",
    bars: Bars = None,
    tempo: Tempo = None,
    key: KeyOption = None,
    meter: MeterOption = None,
    instruments: Instruments = None,
    chords: ChordsOption = None,
    form: FormOption = None,
    feel: FeelOption = None,
    plan: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Compose by this plan, as `orchestrion plan` writes it.")
    ] = None,
    candidates: Candidates = None,
    takes: Annotated[int, typer.Option(min=0, max=3, help="Write so many of the next best candidates too.")] = 0,
    like: Annotated[Path | None, typer.Option(help="Music to open with and go on from.")] = None,
    seed: Seed = None,
    count: Count = 1,
    temperature: Temperature = None,
    top_p: TopP = None,
    formats: FormatsOption = DEFAULT_FORMATS,
    model: ModelOption = None,
    system: SystemOption = None,
    seconds: Seconds = None,
    reject: Annotated[
        int | None, typer.Option(metavar="NOTES", help="Compose again what copies a phrase of more notes.")
    ] = None,
    against: Annotated[Path | None, typer.Option(metavar="CORPUS", help="Whose pieces --reject looks for.")] = None,
    check: Check = None,
    tries: Tries = None,
    best_of: BestOf = None,
) -> None:
    """Compose music from a sentence, or by a plan. An option beats the words."""
    if (reject is None) != (against is None):
        missing = "--against CORPUS, the corpus whose pieces" if against is None else "--reject NOTES, above which they"
        raise typer.BadParameter(f"to leave out copies, add {missing} count as copied")
    if candidates != 1 and not (model or system or like):
        second_process.start("composer")  # it takes as long to be ready as what is imported here
    from orchestrion.cli.corpus import opened_index
    from orchestrion.data.store import open_corpus
    from orchestrion.music.files import read

    given = None if like is None else read(like)
    by = None if plan is None else _plan_alone(plan, sentence, bars, tempo, key, meter, instruments, chords, form, feel)
    index = None if against is None else opened_index(open_corpus(against))
    critic = critic_of(check, best_of)

    def made(**options: Any) -> list[Composition]:
        from orchestrion.generation import compose as composing

        return composing.compose(
            sentence,
            bars=bars,
            tempo=tempo,
            key=key,
            meter=meter,
            instruments=instruments or (),
            chords=None if chords is None else controls.parse_chords(chords, key),
            form=form,
            feel=feel,
            plan=by,
            candidates=candidates,
            like=given,
            seconds=seconds,
            reject=reject,
            against=index,
            check=critic,
            tries=tries,
            best_of=best_of,
            **options,
        )

    _make(made, out, formats, _chosen(model, system), seed, count, temperature, top_p, takes, spare=plan)


def _plan_alone(path: Path, sentence: str, *options: Any) -> Plan:
    """The plan of a file. Raises typer.BadParameter where words or options would contradict it."""
    from orchestrion.planning.files import read_plan

    if sentence or any(option not in (None, ()) for option in options):
        raise typer.BadParameter("the plan says it all; change it there, or leave out --plan", param_hint="'--plan'")
    return read_plan(path)


def continue_(
    file: File,
    sentence: Sentence = "",
    out: Annotated[str | None, typer.Option(help="Default: FILE's name and -continued, here.")] = None,
    bars: Bars = None,
    key: KeyOption = None,
    chords: ChordsOption = None,
    seed: Seed = None,
    count: Count = 1,
    temperature: Temperature = None,
    top_p: TopP = None,
    formats: FormatsOption = DEFAULT_FORMATS,
    model: ModelOption = None,
    system: SystemOption = None,
    seconds: Seconds = None,
) -> None:
    """Go on from given music, which stays note for note."""
    from orchestrion.music.files import read

    score = read(file)
    added = bars or controls.read_controls(sentence).controls.bars or NEW_BARS

    def made(**options: Any) -> list[Composition]:
        from orchestrion.generation import compose as composing

        progression = None if chords is None else controls.parse_chords(chords, key)
        return composing.continue_score(score, added, sentence, key=key, chords=progression, seconds=seconds, **options)

    _make(made, out or f"{file.stem}-continued", formats, _chosen(model, system), seed, count, temperature, top_p)


def fill(
    file: File,
    bars: Annotated[
        Any, typer.Option(parser=bar_range, metavar="FIRST-LAST", help="Bars to compose anew, from 1. Default: all.")
    ] = None,
    sentence: Sentence = "",
    tracks: Annotated[str, typer.Option(metavar="LIST", help='Names, instruments or numbers: "bass, 3".')] = "",
    add: Annotated[
        Any, typer.Option(parser=_read(controls.parse_instruments), metavar="LIST", help='New tracks: "drums, bass".')
    ] = None,
    out: Annotated[str | None, typer.Option(help="Default: FILE's name and -filled, here.")] = None,
    key: KeyOption = None,
    chords: ChordsOption = None,
    seed: Seed = None,
    count: Count = 1,
    temperature: Temperature = None,
    top_p: TopP = None,
    formats: FormatsOption = DEFAULT_FORMATS,
    model: ModelOption = None,
    system: SystemOption = None,
) -> None:
    """Compose some bars of some tracks anew; everything else stays note for note."""
    from orchestrion.music.files import read

    if not (bars or tracks or add):
        raise typer.BadParameter("everything would be composed anew; name --bars, --tracks or new tracks to --add")
    score = read(file)

    def made(**options: Any) -> list[Composition]:
        from orchestrion.generation import compose as composing
        from orchestrion.generation.infill import tracks_named

        chosen = tracks_named(score, [name for name in tracks.split(",") if name.strip()])
        progression = None if chords is None else controls.parse_chords(chords, key)
        return composing.fill(score, bars, chosen, sentence, add=add or (), key=key, chords=progression, **options)

    _make(made, out or f"{file.stem}-filled", formats, _chosen(model, system), seed, count, temperature, top_p)


def _make(
    made: Callable[..., list[Composition]],
    out: str,
    formats: list[str],
    model: Path | None,
    seed: int | None,
    count: int,
    temperature: float | None,
    top_p: float | None,
    takes: int = 0,
    spare: Path | None = None,
) -> None:
    """Compose, write and tell what came of it; `takes` of the next best candidates as MIDI. spare: the file of a plan,
    which no record overwrites."""
    base = _base(out)
    chosen = seed_or_chance(seed)
    from orchestrion.models.loading import load

    loaded = load(model)
    with show.progress("composing", "bars" if loaded.has_bars else "seconds") as told:
        pieces = made(seed=chosen, count=count, temperature=temperature, top_p=top_p, model=loaded, progress=told)
    bases = [base] if count == 1 else [base.with_name(f"{base.name}-{number}") for number in range(1, count + 1)]
    with show.progress("writing", "pieces") as told:
        written = []
        for number, (piece, own_base) in enumerate(zip(pieces, bases, strict=True)):
            told(number, count)
            written.append(piece.write(own_base, formats, spare=spare) + piece.write_takes(own_base, takes))
    if seed is None:
        show.line(f"seed {chosen}, drawn by chance; with --seed {chosen} the same line makes the same music")
    _tell(pieces)
    for paths in written:
        show.line("wrote " + "  ".join(map(str, paths)), "green")


def seed_or_chance(seed: int | None) -> int:
    """The seed named, else one drawn by chance."""
    return secrets.randbelow(2**31) if seed is None else seed


def _chosen(model: Path | None, system: str | None) -> Path | None:
    """What names the weights to compose with."""
    if system is None:
        return model
    if model is not None:
        raise typer.BadParameter("--model and --system name the weights twice; leave one of them out")
    from orchestrion.models.loading import bundled

    return bundled(system)


def _base(out: str) -> Path:
    """What file names begin with, in a folder that is there then. A known suffix is taken off."""
    path = Path(out)
    if not path.name or out.endswith(("/", "\\")) or path.name == "..":
        raise typer.BadParameter(
            f"{out!r} is a folder; add what the names of the files begin with", param_hint="'--out'"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise typer.BadParameter(f"{path.parent} is a file, not a folder", param_hint="'--out'") from None
    return path.with_suffix("") if path.suffix[1:] in FORMATS else path


def _tell(pieces: list[Composition]) -> None:
    """What was understood, what was not, and whether each control holds."""
    record = pieces[0].record
    if pieces[0].plan is not None:
        from orchestrion.planning.text import plan_lines

        for text in plan_lines(pieces[0].plan):
            show.line(text)
        show.line("")
    tell_words([Understood(**said) for said in record["understood"]],
               [NotUnderstood(**said) for said in record["not_understood"]])  # fmt: skip
    if pieces[0].plan is not None and record["sentence"].strip() and not record["understood"]:
        show.line("no word of the sentence names something known; the planner alone decided what it means", "yellow")
    if record["left_to_the_embedding"]:
        show.line(f"left to the network's feeling for words: {', '.join(record['left_to_the_embedding'])}")
    show.line("")
    checks = [
        (check["control"], _short(check["asked"]), _short(check["measured"]), "holds" if check["holds"] else "FAILS")
        for piece in pieces
        for check in piece.record["controls"]
        if piece is pieces[0] or not check["holds"]
    ]
    show.table(("control", "plan", "measured", ""), checks, ["red" if row[-1] == "FAILS" else "" for row in checks])
    if kept := {name: share for name, share in record["plan"].get("kept", {}).items() if share is not None}:
        show.line("kept of the plan: " + ", ".join(f"{name} {share:.0%}" for name, share in kept.items()))
    for number, copying in enumerate((piece.record["copying"] for piece in pieces), 1):
        if copying:
            notes, tries = copying["longest_phrase_notes"], copying["tries"]
            shared = f"a phrase of {notes} notes with {copying['of']}" if notes else "no phrase"
            show.line(f"piece {number} shares {shared}; {tries} {'try' if tries == 1 else 'tries'}")
    for reason, times in record["rejected"].items():
        show.line(f"drawn again {times:,} times: {reason}", "yellow")
    tell_checks([piece.record["check"] for piece in pieces])


def tell_words(understood: Sequence[Understood], not_understood: Sequence[NotUnderstood]) -> None:
    """What words were taken for, and which could not be."""
    words = [(said.words, said.control, _short(said.value), _standing(said.strength, said.overruled_by))
             for said in understood]  # fmt: skip
    show.table(("words", "control", "value", ""), words, ["dim" if "not used" in row[-1] else "" for row in words])
    for refused in not_understood:
        show.line(f"not understood: {refused.words!r}: {refused.reason}", "yellow")


def _standing(strength: str, overruled_by: str) -> str:
    if overruled_by:
        return f"not used: {overruled_by}"
    return "" if strength == "option" else strength


def _short(text: str) -> str:
    """Enough of a long list of instruments; the record has it all."""
    return text if len(text) <= SHORT else f"{text[: SHORT - 3]}..."
