"""Twelve pieces of twelve styles, the first results of one seed: a sheet of their piano rolls to look at, some counts.

    python bench/twelve_styles.py [--model composer] [--before WEIGHTS] [--seed 1] [--sheet docs/twelve-styles.png]

WEIGHTS: an earlier composer's folder, whose pieces of the same sentences are counted beside. Pieces go to --out.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from record import record

from orchestrion.generation.compose import compose
from orchestrion.models.loading import Model, load
from orchestrion.music.files import read
from orchestrion.representations.cells import BAR, TRACK, VELOCITY, Cells, encode

SENTENCES = (
    "a calm piano waltz in D minor, 16 bars",
    "fast rock in E minor with drums, bass, distorted guitar, 16 bars",
    "a melancholy bossa nova, verse and chorus, with nylon guitar, flute, bass and drums",
    "jazz trio with piano, bass, drums, swing, 16 bars",
    "a string quartet in G major, 16 bars",
    "pop ballad with piano, strings, bass and drums, 16 bars",
    "funky groove with horns, 16 bars",
    "a triumphant film theme, 16 bars",
    "Irish jig for fiddle and guitar, 16 bars",
    "solo piano nocturne, 16 bars",
    "lo-fi hip hop, 16 bars",
    "a march for brass band, 16 bars",
)
LATE_BARS = 2  # a track that rests for the first so many bars is silent at the beginning


def counted(cells: Cells) -> dict[str, int]:
    """Notes, tracks, tracks of one velocity, and tracks that are silent for the first LATE_BARS bars."""
    tracks = [cells.notes[cells.notes[:, TRACK] == track] for track in range(len(cells.instruments))]
    return {
        "notes": len(cells.notes),
        "tracks": len(tracks),
        "of one velocity": sum(len(np.unique(notes[:, VELOCITY])) == 1 for notes in tracks),
        "silent at first": sum(int(notes[:, BAR].min()) >= LATE_BARS for notes in tracks),
    }


def composed(model: Model, seed: int, out: Path) -> dict[str, dict[str, int]]:
    """The twelve pieces, written to a folder as MIDI, picture and record; the counts of each by its sentence."""
    out.mkdir(parents=True, exist_ok=True)
    found = {}
    for number, sentence in enumerate(SENTENCES):
        base = out / f"{number:02}"
        compose(sentence, seed=seed, model=model)[0].write(base, ("mid", "png", "json"))
        found[sentence] = counted(encode(read(base.with_suffix(".mid"))))
    return found


def totals(counts: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    several = [own for own in counts.values() if own["tracks"] > 1]
    return {
        "notes": sum(own["notes"] for own in counts.values()),
        "tracks": sum(own["tracks"] for own in counts.values()),
        "tracks of one velocity": sum(own["of one velocity"] for own in counts.values()),
        "pieces of several tracks": len(several),
        "of these with a track silent at first": sum(own["silent at first"] > 0 for own in several),
    }


def write_sheet(folder: Path, path: Path) -> None:
    """All pictures of a folder on one sheet of two columns, in few colours."""
    import matplotlib.pyplot as plt
    from PIL import Image

    figure, places = plt.subplots(6, 2, figsize=(22, 33))
    for number, place in enumerate(places.ravel()):
        place.imshow(plt.imread(folder / f"{number:02}.png"))
        place.axis("off")
    figure.subplots_adjust(0, 0, 1, 1, 0.02, 0.02)
    figure.savefig(path, dpi=50)
    Image.open(path).convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="composer")
    parser.add_argument("--before", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="where the pieces go; else nowhere to stay")
    parser.add_argument("--sheet", type=Path, help="where the sheet goes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as spare:
        folder = options.out or Path(spare) / "now"
        models = {"now": load(options.model)} | ({"before": load(options.before)} if options.before else {})
        figures = {name: composed(model, options.seed, folder if name == "now" else Path(spare) / name)
                   for name, model in models.items()}  # fmt: skip
        if options.sheet:
            write_sheet(folder, options.sheet)
    sums = {name: totals(counts) for name, counts in figures.items()}
    columns = ["of twelve pieces", *sums]
    rows = [[measure, *(sums[name][measure] for name in sums)] for measure in sums["now"]]
    record("twelve_styles", {"pieces": figures, "totals": sums}, command=shlex.join(["python", *sys.argv]),
           seed=options.seed, data={name: model.sha256 for name, model in models.items()},
           tables=[{"title": "Twelve styles, the first results of one seed", "columns": columns, "rows": rows,
                    "note": f"Silent at first: for the first {LATE_BARS} bars. Now: the weights that come with the "
                    "package. Before: the composer of the first round, which read no plans."}])  # fmt: skip


if __name__ == "__main__":
    main()
