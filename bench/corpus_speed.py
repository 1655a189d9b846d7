"""How many files a second go from MIDI to training arrays: this corpus builder, pretty_midi and MidiTok.

    python bench/corpus_speed.py FOLDER [--files 500] [--seed 0]

Needs `pip install pretty_midi miditok`. Each contender has a process of its own and reads the same files in the same
order, block by block in turn, so that whatever else the machine does meets all alike. What each does with a file:

- cells: parse, sustain pedal, grid of cells (what `orchestrion corpus build` stores);
- corpus: all that the corpus builder does: also key, captions, provenance, checksum;
- pretty_midi: parse, and a note table with bar, track, position, pitch, duration and velocity;
- pretty_midi_parse: parse alone;
- miditok: parse, and the ids of its REMI+ tokens.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shlex
import sys
import time
import warnings
from collections.abc import Callable, Sized
from importlib.metadata import version
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from record import record

BLOCK_FILES = 25
Convert = Callable[[Path], Sized]


def cells() -> Convert:
    from orchestrion.music.files import read
    from orchestrion.music.pedal import apply_sustain
    from orchestrion.representations.cells import encode

    return lambda path: encode(apply_sustain(read(path))).notes


def corpus() -> Convert:
    from orchestrion.data.convert import Filters, convert
    from orchestrion.data.dataset import Item
    from orchestrion.data.datasets.folder import Folder

    return lambda path: convert(Folder(), path.parent, Item(path.name, path.name, path.name, None, {}), Filters())[1]


def pretty_midi() -> Convert:
    import pretty_midi

    def table(path: Path) -> np.ndarray:
        midi = pretty_midi.PrettyMIDI(str(path))
        steps = 12 / midi.resolution
        rows = [
            (midi.time_to_tick(note.start), track, note.pitch, midi.time_to_tick(note.end), note.velocity)
            for track, instrument in enumerate(midi.instruments)
            for note in instrument.notes
        ]
        start, track, pitch, end, velocity = np.array(rows).T
        start, end = np.round(start * steps), np.round(end * steps)
        lines = np.round([midi.time_to_tick(second) * steps for second in midi.get_downbeats()])
        bar = np.searchsorted(lines, start, side="right") - 1
        return np.stack([bar, track, start - lines[bar], pitch, end - start, velocity // 8], axis=1).astype(np.int16)

    return table


def pretty_midi_parse() -> Convert:
    import pretty_midi

    return lambda path: pretty_midi.PrettyMIDI(str(path)).instruments


def miditok() -> Convert:
    import miditok

    tokenizer = miditok.REMI(
        miditok.TokenizerConfig(use_programs=True, use_tempos=True, use_time_signatures=True, beat_res={(0, 16): 12})
    )

    return lambda path: np.asarray(tokenizer(path).ids, np.int32)


CONTENDERS: dict[str, Callable[[], Convert]] = {
    "cells": cells, "corpus": corpus, "pretty_midi": pretty_midi, "pretty_midi_parse": pretty_midi_parse,
    "miditok": miditok,
}  # fmt: skip


def serve(name: str, pipe: Connection) -> None:
    """Answer each list of paths with (seconds, files read, notes or tokens made)."""
    warnings.simplefilter("ignore")
    convert = CONTENDERS[name]()
    while (paths := pipe.recv()) is not None:
        start, done, made = time.perf_counter(), 0, 0
        for path in paths:
            try:
                made += len(convert(path))
                done += 1
            except Exception as error:  # a file that one library cannot read must not end the comparison
                print(f"{name}: {path.name}: {error}", file=sys.stderr)
        pipe.send((time.perf_counter() - start, done, made))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    paths = sorted(options.folder.rglob("*.mid"))
    random.Random(options.seed).shuffle(paths)
    paths = paths[: options.files]

    context, pipes, processes = get_context("spawn"), {}, []
    for name in CONTENDERS:
        pipes[name], theirs = context.Pipe()
        processes.append(context.Process(target=serve, args=(name, theirs), daemon=True))
        processes[-1].start()
    seconds, done = dict.fromkeys(CONTENDERS, 0.0), dict.fromkeys(CONTENDERS, 0)
    for pipe in pipes.values():  # what is imported or built at the first file is no part of the comparison
        pipe.send(paths[:1])
        pipe.recv()
    for first in range(0, len(paths), BLOCK_FILES):
        for name, pipe in pipes.items():
            pipe.send(paths[first : first + BLOCK_FILES])
            took, read, _ = pipe.recv()
            seconds[name] += took
            done[name] += read
    for pipe in pipes.values():
        pipe.send(None)
    rates = {name: done[name] / seconds[name] for name in CONTENDERS}
    figures = {f"{name}_files_per_second": round(rate, 1) for name, rate in rates.items()}
    figures |= {f"{name}_files_read": count for name, count in done.items()}
    for ours in ("cells", "corpus"):
        for other in ("pretty_midi", "pretty_midi_parse", "miditok"):
            figures[f"{ours}_over_{other}"] = round(rates[ours] / rates[other], 2)
    table = {
        "title": "MIDI files to training arrays",
        "columns": ["", "files a second", "files read"],
        "rows": [[name, round(rates[name], 1), done[name]] for name in CONTENDERS],
    }
    digest = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in paths)).hexdigest()
    data = {"files": len(paths), "folder": options.folder.name, "sha256": digest}
    data |= {package: version(package) for package in ("pretty_midi", "miditok")}
    command = shlex.join(["python", *sys.argv])
    record("corpus_speed", figures, command=command, seed=options.seed, data=data, tables=[table])


if __name__ == "__main__":
    main()
