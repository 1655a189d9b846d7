"""A sentence, or music with a hole in it, becomes music: the main job, as functions.

    piece = compose("a calm piano waltz in D minor, 16 bars", seed=7)[0]
    piece.write("waltz")

Composing, continuing and filling are one operation on the grid of cells: some cells are given, the rest is composed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import symusic
import torch
from symusic import Score, Track

import orchestrion
from orchestrion import checkpoint
from orchestrion.measured import Check, check_controls
from orchestrion.representations.cells import Cells, CellsError, encode_tracks, instrument_order
from orchestrion.score.analysis import estimate_key
from orchestrion.score.bars import bars as bars_of
from orchestrion.score.edit import replace_cells, slice_bars
from orchestrion.score.files import replace_file, write_midi, write_musicxml
from orchestrion.score.pedal import apply_sustain
from orchestrion.system import Request, System
from orchestrion.text.controls import Controls, ControlsError, Reading, merge, read_controls
from orchestrion.text.encoder import SentenceEncoder
from orchestrion.theory import DRUMS, Key, Meter, instrument_name

BUNDLED = Path(__file__).parent / "weights" / "composer"
FORMATS = ("mid", "wav", "png", "json", "musicxml")
DEFAULT_FORMATS = ("mid", "wav", "png", "json")
DEFAULT_BARS = 16
DEFAULT_TEMPO = 110.0  # quarter notes a minute, where neither words nor mood say one
MAX_COUNT = 64

Progress = Callable[[int, int], None]


class ComposeError(ValueError):
    """A wish that cannot be met; the message is one line for the user."""


@dataclass(frozen=True)
class Model:
    """A system ready to play, with what names it in a record."""

    system: System
    name: str
    notes: dict[str, Any]
    sha256: str


@dataclass(frozen=True)
class Composition:
    """A finished piece and the record of how it came about."""

    score: Score
    record: dict[str, Any]
    title: str

    def write(self, base: str | Path, formats: Sequence[str] = DEFAULT_FORMATS) -> list[Path]:
        """Write base.mid, base.wav, base.png, base.json, base.musicxml as asked; each appears whole or not at all."""
        written = []
        for kind in formats:
            path = Path(f"{base}.{kind}")
            if kind == "mid":
                write_midi(self.score, path)
            elif kind == "wav":
                from orchestrion.render.audio import write_wav

                write_wav(self.score, path)
            elif kind == "png":
                from orchestrion.render.picture import write_picture

                write_picture(self.score, path, title=self.title)
            elif kind == "musicxml":
                write_musicxml(self.score, path)
            elif kind == "json":
                replace_file(path, (json.dumps(self.record, indent=1, ensure_ascii=False) + "\n").encode())
            else:
                raise ComposeError(f"{kind!r} is not a format; choose from {', '.join(FORMATS)}")
            written.append(path)
        return written


def load(model: str | Path | None = None) -> Model:
    """The bundled composer, or the system of a run folder or checkpoint folder. Raises checkpoint.CheckpointError."""
    folder = Path(model) if model is not None else BUNDLED
    for best in (folder / "checkpoints" / "best",):
        folder = best if best.exists() else folder
    system, _, notes = checkpoint.load(folder)
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    return Model(system.eval(), notes["system"], notes, digest)


def compose(
    sentence: str = "",
    *,
    bars: int | None = None,
    tempo: float | None = None,
    key: Key | None = None,
    meter: Meter | None = None,
    instruments: tuple[int, ...] = (),
    like: Score | None = None,
    count: int = 1,
    seed: int = 0,
    temperature: float = 1.0,
    top_p: float = 0.95,
    model: Model | None = None,
    encoder: SentenceEncoder | None = None,
    progress: Progress | None = None,
) -> list[Composition]:
    """Compose `count` pieces from a sentence; options beat its words.

    like: music to open with; what follows goes on from it, and instruments that it lacks play along.
    Raises ControlsError, ComposeError, EncoderError, CellsError or CheckpointError, each with one line.
    """
    reading = merge(read_controls(sentence), bars=bars, tempo=tempo, key=key, meter=meter, instruments=instruments)
    wish = _Wish(reading, count, seed, temperature, top_p, model, encoder, progress)
    if like is None:
        return _from_nothing(wish)
    total = reading.controls.bars or min(2 * len(bars_of(like)), 256)
    opening = min(len(bars_of(like)), max(1, total // 2))
    opened = slice_bars(like, 1, opening)
    new = [p for p in reading.controls.instruments if p not in _Given.of(opened).cells.instruments]
    given = _Given.of(opened).extended(total - opening, new)
    hole = np.zeros((total, len(given.cells.instruments)), bool)
    hole[opening:] = True
    hole[:, [source is None for source in given.sources]] = True
    return _around(wish, given, hole, f"opens with {opening} bars of the music given")


def continue_score(score: Score, bars: int, sentence: str = "", **options: Any) -> list[Composition]:
    """The music given, note for note, and `bars` more. Options as for `compose`, where they make sense."""
    if bars < 1:
        raise ComposeError(f"{bars} bars cannot be added; ask for at least 1")
    wish = _Wish.of(sentence, **options)
    given = _Given.of(score)
    old = len(given.cells.meters)
    given = given.extended(bars, ())
    hole = np.zeros((old + bars, len(given.cells.instruments)), bool)
    hole[old:] = True
    return _around(wish, given, hole, f"continues {old} bars by {bars}")


def fill(
    score: Score, bars: tuple[int, int], tracks: Sequence[int] = (), sentence: str = "", **options: Any
) -> list[Composition]:
    """The music given with the cells of these bars (from 1, both ends included) and tracks composed anew.

    tracks: indices into score.tracks; all that have notes where none are named. All else stays note for note.
    """
    wish = _Wish.of(sentence, **options)
    given = _Given.of(score)
    total = len(given.cells.meters)
    if not 1 <= bars[0] <= bars[1] <= total:
        raise ComposeError(f"there are no bars {bars[0]}-{bars[1]}; the music has bars 1-{total}")
    chosen = [place for place, source in enumerate(given.sources) if not tracks or source in tracks]
    if len(chosen) < len(set(tracks)) or not chosen:
        raise ComposeError("a track to fill has no notes; name tracks that play somewhere in the music")
    hole = np.zeros((total, len(given.cells.instruments)), bool)
    hole[bars[0] - 1 : bars[1], chosen] = True
    names = ", ".join(instrument_name(given.cells.instruments[place]) for place in chosen)
    return _around(wish, given, hole, f"fills bars {bars[0]}-{bars[1]} of {names}")


def tracks_named(score: Score, names: Sequence[str], programs: Sequence[int]) -> tuple[int, ...]:
    """Indices of the tracks with one of the names or instruments. Raises ComposeError where one is not there."""
    from orchestrion.score.bars import instrument

    found: list[int] = []
    for name, program in zip(names, programs, strict=True):
        family_of = program // 8
        here = [i for i, t in enumerate(score.tracks) if t.name.strip().lower() == name.strip().lower()]
        here = here or [i for i, t in enumerate(score.tracks) if instrument(t) == program]
        here = here or [i for i, t in enumerate(score.tracks) if instrument(t) // 8 == family_of]
        if not here:
            there = ", ".join(sorted({instrument_name(instrument(track)) for track in score.tracks}))
            raise ComposeError(f"no track plays {name!r}; the tracks play {there}")
        found += here
    return tuple(dict.fromkeys(found))


# ---- from wishes to a request


@dataclass(frozen=True)
class _Wish:
    reading: Reading
    count: int = 1
    seed: int = 0
    temperature: float = 1.0
    top_p: float = 0.95
    model: Model | None = None
    encoder: SentenceEncoder | None = None
    progress: Progress | None = None

    @classmethod
    def of(cls, sentence: str, **options: Any) -> _Wish:
        key = options.pop("key", None)
        return cls(merge(read_controls(sentence), key=key), **options)

    def generate(self, request: Request) -> tuple[Model, list[Score]]:
        if not 1 <= self.count <= MAX_COUNT:
            raise ComposeError(f"{self.count} pieces cannot be composed at once; ask for 1 to {MAX_COUNT}")
        if not 0 <= self.temperature <= 3:
            raise ComposeError(f"temperature {self.temperature} is outside 0 to 3; 1 is as learned, less is plainer")
        embedding = None
        if self.reading.sentence.strip():
            encoder = self.encoder or SentenceEncoder.load()
            embedding = encoder.encode([self.reading.sentence])[0]
        model = self.model or load()
        request = replace(request, count=self.count, sentence=embedding, temperature=self.temperature,
                          top_p=self.top_p, progress=self.progress)  # fmt: skip
        with _one_thread():
            return model, model.system.generate(request, np.random.default_rng(self.seed))

    def compositions(self, request: Request, what: str, model: Model, scores: list[Score], asked: Controls
                     ) -> list[Composition]:  # fmt: skip
        return [self._composition(request, what, model, score, asked, index) for index, score in enumerate(scores)]

    def _composition(
        self, request: Request, what: str, model: Model, score: Score, asked: Controls, index: int
    ) -> Composition:
        reading = self.reading
        checks: list[Check] = check_controls(score, asked, closes=request.given is None)
        record = {
            "request": {"sentence": reading.sentence, "operation": what, "piece": index + 1, "pieces": self.count,
                        "seed": self.seed, "temperature": self.temperature, "top_p": self.top_p},
            "understood": [vars(words) for words in reading.understood],
            "not_understood": [vars(words) for words in reading.not_understood],
            "left_to_the_embedding": list(reading.left_to_embedding),
            "plan": {"bars": len(bars_of(score)), "tempo": asked.tempo, "key": request.key.name,
                     "key_enforced": request.strict_key, "meter": asked.meter.name if asked.meter else None,
                     "instruments": [instrument_name(program) for program in asked.instruments]},
            "controls": [vars(check) for check in checks],
            "all_hold": all(check.holds for check in checks),
            "model": {"system": model.name, "sha256": model.sha256, "step": model.notes.get("step")},
            "versions": versions(),
        }  # fmt: skip
        return Composition(score, record, reading.sentence or what)


def versions() -> dict[str, str]:
    """What must be the same for the same line to give the same bytes."""
    return {"orchestrion": orchestrion.__version__, "torch": str(torch.__version__), "numpy": np.__version__,
            "symusic": symusic.__version__}  # fmt: skip


def _from_nothing(wish: _Wish) -> list[Composition]:
    controls = wish.reading.controls
    key, strict = _key(controls, wish.seed)
    asked = Controls(
        bars=controls.bars or DEFAULT_BARS,
        tempo=controls.tempo or DEFAULT_TEMPO,
        key=key if strict else None,
        meter=controls.meter or Meter(4, 4),
        instruments=controls.instruments or wish.reading.suggested_instruments,
    )
    assert asked.bars
    assert asked.tempo
    assert asked.meter
    request = Request(bars=asked.bars, tempo=asked.tempo, meter=asked.meter, instruments=asked.instruments, key=key,
                      strict_key=strict)  # fmt: skip
    model, scores = wish.generate(request)
    return wish.compositions(request, "composes", model, scores, asked)


def _key(controls: Controls, seed: int) -> tuple[Key, bool]:
    """The key to compose in and whether it was asked for. The seed decides what is open."""
    if controls.key is not None:
        return controls.key, True
    rng = np.random.default_rng((seed, 0x6B6579))
    mode = controls.mode or ("major" if rng.random() < 0.6 else "minor")
    tonics = (0, 7, 2, 5, 9, 4, 10) if mode == "major" else (9, 4, 2, 11, 7, 0)
    return Key(int(rng.choice(tonics)), mode), controls.mode is not None


# ---- given music


@dataclass(frozen=True)
class _Given:
    """Music as cells, the Score it is from, and which track of it each cell track is (None: a new one)."""

    score: Score
    cells: Cells
    sources: tuple[int | None, ...]

    @classmethod
    def of(cls, score: Score) -> _Given:
        cells, sources = encode_tracks(apply_sustain(score))
        return cls(score, cells, sources)

    def extended(self, bars: int, instruments: Sequence[int]) -> _Given:
        """With bars added in the last meter, and tracks added in the order of instruments."""
        programs = [*self.cells.instruments, *instruments]
        sources = [*self.sources, *([None] * len(instruments))]
        order = sorted(range(len(programs)), key=lambda place: instrument_order(programs[place]))
        place = np.argsort(order)
        notes = self.cells.notes.copy()
        notes[:, 1] = place[notes[:, 1]]
        meters = self.cells.meters + (self.cells.meters[-1],) * bars
        cells = Cells(notes, tuple(programs[old] for old in order), meters, self.cells.tempo)
        return _Given(self.score, cells, tuple(sources[old] for old in order))


def _around(wish: _Wish, given: _Given, hole: np.ndarray, what: str) -> list[Composition]:
    """Compose the hole and put it into the music given, of which not a note changes."""
    controls = wish.reading.controls
    key = controls.key or estimate_key(given.score)[0]
    request = Request(key=key, strict_key=controls.key is not None, given=given.cells, hole=hole)
    model, composed = wish.generate(request)
    scores = [_joined(given, hole, score) for score in composed]
    asked = Controls(bars=len(hole), tempo=given.cells.tempo)
    return wish.compositions(request, what, model, scores, asked)


def _joined(given: _Given, hole: np.ndarray, composed: Score) -> Score:
    result = given.score.copy()
    for place, source in enumerate(given.sources):
        composed_bars = np.flatnonzero(hole[:, place])
        if not len(composed_bars):
            continue
        if source is None:
            program = given.cells.instruments[place]
            drums = program == DRUMS
            result.tracks.append(Track(instrument_name(program), 0 if drums else program, drums))
            source = len(result.tracks) - 1
        span = int(composed_bars[0]) + 1, int(composed_bars[-1]) + 1
        result = replace_cells(result, composed, span, {source: place})
    return result


@contextmanager
def _one_thread() -> Iterator[None]:
    """Steps this small are fastest on one thread, and their result then depends on nothing else that runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


__all__ = [
    "CellsError",
    "ComposeError",
    "Composition",
    "ControlsError",
    "Model",
    "compose",
    "continue_score",
    "fill",
    "load",
]
