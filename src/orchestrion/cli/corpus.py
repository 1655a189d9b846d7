"""`orchestrion corpus build`, `info`, `embed`, `index`, `pack` and `unpack`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrion.cli import show

if TYPE_CHECKING:
    from orchestrion.data.store import Corpus
    from orchestrion.metrics.copying import CopyIndex

GOES_ON = "stopped; the same line goes on from here"

app = typer.Typer(help="Make and inspect corpora: folders of music, ready to train on.", no_args_is_help=False)

EncoderOption = Annotated[
    str | None,
    typer.Option(help="A sentence encoder of Hugging Face, by name or folder, instead of the installed one."),
]


@app.command()
def build(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders of MIDI, or known datasets.")],
    out: Annotated[Path, typer.Option(help="Folder of the corpus.")],
    workers: Annotated[int, typer.Option(min=1, help="Processes that read files.")] = os.cpu_count() or 1,
    genre: Annotated[str | None, typer.Option(help="Read only what its source files under this genre.")] = None,
    share: Annotated[float, typer.Option(min=0, max=1, help="Read only this share of them; 0.1 is a tenth.")] = 1,
    pieces: Annotated[int | None, typer.Option(min=1, help="Read at most so many of them.")] = None,
    pianoroll: Annotated[
        bool, typer.Option("--pianoroll", help="Only 4/4 with the first beat at zero, as the Lakh Pianoroll Dataset.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of splits, captions and the pieces chosen.")] = 0,
    cache: Annotated[Path | None, typer.Option(help="Where archives are unpacked.")] = None,
    embed: Annotated[bool, typer.Option(help="Embed the captions too.")] = True,
    encoder: EncoderOption = None,
) -> None:
    """Read folders of music into a corpus. A run that was stopped goes on with the same line."""
    from orchestrion.data import build as building

    filters = building.Filters(seed=seed, genre=genre, share=share, pieces=pieces, pianoroll=pianoroll)
    try:
        with show.progress("reading", "files") as told:
            corpus = building.build(directories, out, cache=cache, filters=filters, workers=workers, progress=told)
        if embed:
            _embed(out, encoder)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(GOES_ON) from None
    _describe(corpus)


@app.command()
def info(corpus: Annotated[Path, typer.Argument(help="Folder of the corpus.")]) -> None:
    """Show counts, hours, licences and why files were left out."""
    from orchestrion.data.store import open_corpus

    _describe(open_corpus(corpus))


@app.command()
def embed(corpus: Annotated[Path, typer.Argument(help="Folder of the corpus.")], encoder: EncoderOption = None) -> None:
    """Embed the captions of a corpus, so that the words of a sentence can be learned."""
    try:
        _embed(corpus, encoder)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(GOES_ON) from None


@app.command()
def index(corpus: Annotated[Path, typer.Argument(help="Folder of the corpus.")]) -> None:
    """Index the training pieces of a corpus, so that copies of them are found. Whatever needs the index makes it."""
    from orchestrion.data.store import open_corpus

    found = opened_index(open_corpus(corpus))
    show.line(f"{len(found.ids):,} training pieces, {len(found.moves) - len(found.starts):,} moves indexed")


@app.command()
def pack(
    corpus: Annotated[Path, typer.Argument(help="Folder of the corpus.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The packed file, or a folder for it.")],
    max_mib: Annotated[float, typer.Option(min=0.001, help="The most that it may take.")] = 60,
    dataset_shares: Annotated[
        str, typer.Option(metavar="NAME=SHARE,...", help="Take only the cleanest share of some datasets: band=0.5.")
    ] = "",
    workers: Annotated[int, typer.Option(min=1, help="Processes that pack.")] = os.cpu_count() or 1,
) -> None:
    """Put what training the composer needs of a corpus into one small file, to carry to another machine. What does not
    fit is left out: plans, then near duplicates and the least clean pieces."""
    from orchestrion.data.packed import pack as write_packed
    from orchestrion.data.store import open_corpus

    shares = _shares(dataset_shares)
    opened, limit = open_corpus(corpus), int(max_mib * 2**20)
    with show.progress("packing", "pieces") as told:
        packed = write_packed(opened, out, max_bytes=limit, shares=shares, workers=workers, progress=told)
    plans = "with their plans" if packed.plans else "without plans, which unpacking estimates again"
    show.line(
        f"{packed.path}: {packed.bytes / 2**20:.1f} MiB, {packed.pieces:,} pieces, {packed.notes:,} notes, {plans}"
    )
    if packed.left_out:
        show.table(("left out", "reason"), [(count, reason) for reason, count in packed.left_out.items()])


@app.command()
def unpack(
    packed: Annotated[Path, typer.Argument(metavar="FILE", help="A packed corpus.")],
    out: Annotated[Path, typer.Option(help="Folder of the corpus, a new one.")],
    workers: Annotated[int, typer.Option(min=1, help="Processes that unpack.")] = os.cpu_count() or 1,
) -> None:
    """Make a corpus of a packed file: notes and plans, without captions and without music in real time."""
    from orchestrion.data.packed import unpack as read_packed

    with show.progress("unpacking", "pieces") as told:
        corpus = read_packed(packed, out, workers=workers, progress=told)
    _describe(corpus)


def _shares(text: str) -> dict[str, float]:
    """ "band=0.5,commu=1" as shares by name. Raises typer.BadParameter."""
    try:
        return {name: float(share) for name, _, share in (part.partition("=") for part in text.split(",") if part)}
    except ValueError:
        raise typer.BadParameter(
            f"{text!r}: expected NAME=SHARE,..., such as band=0.5", param_hint="'--dataset-shares'"
        ) from None


def opened_index(corpus: Corpus) -> CopyIndex:
    """The index of the training pieces, with progress where it has to be made."""
    from orchestrion.data.copies import copy_index

    with show.progress("indexing", "pieces") as told:
        return copy_index(corpus, progress=told)


def _embed(corpus: Path, name: str | None) -> None:
    from orchestrion.data.captions.embed import embed as embed_captions
    from orchestrion.data.store import open_corpus

    opened = open_corpus(corpus)
    from orchestrion.text.encoder import SentenceEncoder

    encoder = SentenceEncoder.load(name)
    with show.progress("embedding", "captions") as told:
        embed_captions(corpus, encoder, told)
    show.line(f"{len(opened.captions):,} captions embedded by {encoder.name}")


def _describe(corpus: Corpus) -> None:
    from orchestrion.data.store import SPLITS

    info = corpus.info()
    rows = [
        (name, counts["pieces"], counts["notes"], counts["hours"],
         *(counts["splits"].get(split, {"pieces": 0})["pieces"] for split in SPLITS))
        for name, counts in [*info["datasets"].items(), ("all", info)]
    ]  # fmt: skip
    show.table(("dataset", "pieces", "notes", "hours", *SPLITS), rows)
    encoder = f"embedded by {corpus.encoder}" if corpus.encoder else "not embedded"
    show.line("")
    show.line(f"{info['captions']:,} captions, {encoder}; fingerprint {info['fingerprint'][:16]}")
    show.line("")
    show.table(("pieces", "licence"), [(count, terms) for terms, count in info["licences"].items()])
    if info["skipped"]:
        show.line("")
        show.table(("left out", "reason"), [(count, reason) for reason, count in info["skipped"].items()])
        show.line(f"each file left out stands in {corpus.path / 'skipped.jsonl'}")
