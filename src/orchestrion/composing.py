"""A sentence, or music with a hole in it, becomes music: the main job, as functions.

    piece = compose("a calm piano waltz in D minor, 16 bars", seed=7)[0]
    piece.write("waltz")

Composing, continuing and filling are one operation on the grid of cells: some cells are given, the rest is composed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import symusic
import torch
from symusic import Score

import orchestrion
from orchestrion import checkpoint
from orchestrion.checking import Gate, Verdict, candidates, check_own_tries
from orchestrion.errors import UserError
from orchestrion.given import Given, bound, composed_part, followed, joined, key_around
from orchestrion.measured import check_controls
from orchestrion.metrics.copying import PHRASE_MOVES, CopyIndex
from orchestrion.representations.cells import CellsError, instrument_order
from orchestrion.score.bars import bars as bars_of
from orchestrion.score.bars import tempo as tempo_of
from orchestrion.score.edit import slice_bars
from orchestrion.score.extent import length_seconds
from orchestrion.score.files import write_midi, write_musicxml
from orchestrion.system import Request, Sampling, System
from orchestrion.text.controls import (
    Controls,
    ControlsError,
    NotUnderstood,
    Reading,
    merge,
    read_controls,
)
from orchestrion.text.encoder import SentenceEncoder
from orchestrion.text.leaning import read_leaning
from orchestrion.text.reading import MAX_BARS, value_text
from orchestrion.text.weighing import TYPICAL_TEMPO
from orchestrion.theory import Key, Meter, instrument_name
from orchestrion.writing import replace_file

WEIGHTS = Path(__file__).parent / "weights"
BUNDLED = WEIGHTS / "composer"
MODEL_VARIABLE = "ORCHESTRION_MODEL"
FORMATS = ("mid", "wav", "png", "json", "musicxml")
DEFAULT_FORMATS = ("mid", "wav", "png", "json")
DEFAULT_BARS = 16
MAX_COUNT = 64
MAX_TRIES = 10  # at one piece, where copies are rejected

Progress = Callable[[int, int], None]
_NOTHING = vars(Controls())  # asked for


class ComposeError(UserError):
    """A wish that cannot be met; the message is one line for the user."""


@dataclass(frozen=True)
class Model:
    """A system ready to play, with what names it in a record."""

    system: System
    name: str
    notes: dict[str, Any]
    sha256: str

    @property
    def has_bars(self) -> bool:
        """Whether the model writes bars; the others write in real time."""
        return "bars" in self.system.holds

    @property
    def named(self) -> dict[str, Any]:
        """What names it in a record."""
        return {"system": self.name, "sha256": self.sha256, "step": self.notes.get("step")}


@dataclass(frozen=True)
class Composition:
    """A finished piece and the record of how it came about."""

    score: Score
    record: dict[str, Any]
    title: str

    def write(self, base: str | Path, formats: Sequence[str] = DEFAULT_FORMATS) -> list[Path]:
        """Write base.mid, base.wav, base.png, base.json, base.musicxml as asked; each appears whole or not at all.

        Raises ComposeError for a format that is not in FORMATS, before anything is written.
        """
        unknown = [kind for kind in formats if kind not in FORMATS]
        if unknown:
            raise ComposeError(f"{unknown[0]!r} is not a format; choose from {', '.join(FORMATS)}")
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
            else:
                replace_file(path, json.dumps(self.record, indent=1, ensure_ascii=False) + "\n")
            written.append(path)
        return written


def load(model: str | Path | None = None) -> Model:
    """The system of a run folder or checkpoint folder, or the bundled one of that name; where none is named, of the one
    that the environment variable ORCHESTRION_MODEL names, else the bundled composer.

    Raises checkpoint.CheckpointError."""
    folder = Path(model or os.environ.get(MODEL_VARIABLE) or BUNDLED)
    if not folder.exists() and (WEIGHTS / folder).is_dir():
        folder = WEIGHTS / folder
    best = folder / "checkpoints" / "best"
    folder = best if best.exists() else folder
    system, _, notes = checkpoint.load(folder)
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    return Model(system.eval(), notes["system"], notes, digest)


def bundled(system: str) -> Path:
    """The weights of a system that come with the package. Raises ComposeError where there are none."""
    there = sorted(folder.name for folder in WEIGHTS.iterdir() if (folder / "config.json").exists())
    if system not in there:
        raise ComposeError(f"no weights of {system!r} come with the package, only of {', '.join(there)}; name a run of"
                           " your own as the model")  # fmt: skip
    return WEIGHTS / system


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
    temperature: float | None = None,
    top_p: float | None = None,
    model: Model | None = None,
    encoder: SentenceEncoder | None = None,
    reject: int | None = None,
    against: CopyIndex | None = None,
    seconds: float | None = None,
    check: Model | None = None,
    tries: int | None = None,
    best_of: int | None = None,
    progress: Progress | None = None,
) -> list[Composition]:
    """Compose `count` pieces from a sentence; options beat its words.

    seconds: a length in place of bars, for a model that writes in real time, as it then says.
    like: music to open with; what follows goes on from it, and instruments that it lacks play along.
    temperature, top_p: as the system is best drawn from, where they are not named.
    reject: a piece of which a phrase of more notes than this lies in a piece of `against` is composed again, from a
    further random stream of the same seed, at most MAX_TRIES times in all; what is given does not count.
    check: a critic; a piece that it gives 0.5 or less is composed again, at most `tries` times (checking.TRIES), from
    further random streams of the same seed, and then the best is kept and the record says that it is not accepted.
    best_of: of so many candidates of each piece the one of the highest odds instead. Without a critic `tries` says how
    often a system composes again what its own discriminator refuses, 0 for never; a critic takes the place of that.
    Raises CheckError, UnheardError, ComposeError, EncoderError, CellsError or CheckpointError, each with one line.
    """
    reading = merge(read_controls(sentence), bars=bars, tempo=tempo, key=key, meter=meter, instruments=instruments)
    wish = _Wish(reading, count, seed, temperature, top_p, model or load(), encoder, reject, against, seconds, progress,
                 check, tries, best_of)  # fmt: skip
    if like is None:
        return _from_nothing(wish)
    if not wish.model.has_bars:
        raise ComposeError(f"{wish.model.name} cannot open with bars of music given; continue the whole of it instead")
    total = reading.controls.bars or min(2 * len(bars_of(like)), MAX_BARS)
    if total < 2:
        raise ComposeError("1 bar cannot both open with the music given and go on; ask for at least 2")
    opened = slice_bars(like, 1, min(len(bars_of(like)), total // 2))
    if not opened.note_num():
        raise ComposeError(f"bars 1 to {total // 2} of the music given are silent; ask for more bars or cut them off")
    given = Given.of(opened)
    opening = len(given.cells.meters)
    new = [program for program in reading.controls.instruments if program not in given.cells.instruments]
    stays = sorted(set(given.cells.instruments) - set(reading.controls.instruments), key=instrument_order)
    if reading.controls.instruments and stays:
        asked_alone = NotUnderstood(value_text(reading.controls.instruments),
                                    f"not alone: {value_text(tuple(stays))} of the music given play on")  # fmt: skip
        wish = replace(wish, reading=replace(reading, not_understood=(*reading.not_understood, asked_alone)))
    given = given.extended(total - opening, new)
    hole = np.zeros((total, len(given.cells.instruments)), bool)
    hole[opening:] = True
    hole[:, [source is None for source in given.sources]] = True
    return _around(wish, given, hole, f"opens with {opening} bars of the music given")


def continue_score(score: Score, bars: int, sentence: str = "", **options: Any) -> list[Composition]:
    """The music given, note for note, and `bars` more; of a model that writes in real time, as long as these bars would
    last, or `seconds` where they are named. Options as for `compose`, where they make sense."""
    if not 1 <= bars <= MAX_BARS:
        raise ComposeError(f"{bars} bars cannot be added; ask for 1 to {MAX_BARS}")
    wish = _Wish.of(sentence, **options)
    if not wish.model.has_bars:
        return _behind(wish, score, bars)
    wish = replace(wish, reading=merge(wish.reading, bars=bars))
    given = Given.of(score)
    old = len(given.cells.meters)
    given = given.extended(bars, ())
    hole = np.zeros((old + bars, len(given.cells.instruments)), bool)
    hole[old:] = True
    return _around(wish, given, hole, f"continues {old} bars by {bars}")


def fill(
    score: Score,
    bars: tuple[int, int] | None = None,
    tracks: Sequence[int] = (),
    sentence: str = "",
    *,
    add: Sequence[int] = (),
    **options: Any,
) -> list[Composition]:
    """The music given with the cells of these bars (from 1, both ends included; None for all) and tracks composed anew.

    tracks: indices into score.tracks; add: instruments of new tracks beside them. Where neither is named, all tracks
    that have notes. All else stays note for note.
    """
    wish = _Wish.of(sentence, **options)
    if not {"hole", "tracks"} & wish.model.system.holds:
        raise ComposeError(f"{wish.model.name} writes from beginning to end and cannot fill bars; the composer can")
    given = Given.of(score).extended(0, add)
    total = len(given.cells.meters)
    first, last = bars or (1, total)
    if not 1 <= first <= last <= total:
        raise ComposeError(f"there are no bars {first}-{last}; the music has bars 1-{total}")
    chosen = [place for place, source in enumerate(given.sources)
              if source is None or source in tracks or not (tracks or add)]  # fmt: skip
    if len(chosen) < len(set(tracks)) + len(add) or not chosen:
        raise ComposeError("a track to fill has no notes; name tracks that play somewhere in the music")
    hole = np.zeros((total, len(given.cells.instruments)), bool)
    hole[first - 1 : last, chosen] = True
    names = ", ".join(instrument_name(given.cells.instruments[place]) for place in chosen)
    return _around(wish, given, hole, f"fills bars {first}-{last} of {names}", keeps_bars=True)


# ---- from wishes to a request


@dataclass(frozen=True)
class _Take:
    """What the model made, and in which try; where copies are rejected, the notes of the longest phrase that it shares
    with a training piece, and with which; where a critic checks, its odds and, once it is chosen, those of all."""

    score: Score
    tries: int
    notes: int = 0
    of: str | None = None
    odds: float = 0.0
    verdict: Verdict | None = None


@dataclass(frozen=True)
class _Wish:
    reading: Reading
    count: int = 1
    seed: int = 0
    temperature: float | None = None
    top_p: float | None = None
    model: Model = field(default_factory=load)
    encoder: SentenceEncoder | None = None
    reject: int | None = None
    against: CopyIndex | None = None
    seconds: float | None = None
    progress: Progress | None = None
    check: Model | None = None
    tries: int | None = None
    best_of: int | None = None
    rejected: Counter[str] = field(default_factory=Counter)  # of what the system itself made again, by reason

    @classmethod
    def of(cls, sentence: str, **options: Any) -> _Wish:
        controls = {name: options.pop(name, None) for name in ("bars", "key")}
        return cls(merge(read_controls(sentence), **controls), **{k: v for k, v in options.items() if v is not None})

    @property
    def sampling(self) -> Sampling:
        """As asked for, else as the system is best drawn from."""
        return self.model.system.sampling.but(self.temperature, self.top_p)

    def generate(self, request: Request, whole: Callable[[Score], Score] = lambda score: score) -> list[_Take]:
        """whole: what the system makes -> what is handed out, which a critic hears."""
        if not 1 <= self.count <= MAX_COUNT:
            raise ComposeError(f"{self.count} pieces cannot be composed at once; ask for 1 to {MAX_COUNT}")
        sampling, gate = self.sampling, self.gate
        if self.seconds is not None and self.model.has_bars:
            raise ComposeError(f"{self.model.name} writes bars and knows no seconds; ask for a number of bars")
        if self.seed < 0:
            raise ComposeError(f"seed {self.seed} is below 0; ask for a whole number from 0")
        if (self.reject is None) != (self.against is None):
            raise ComposeError("to reject copies takes both a length (reject) and an index of what they would be of "
                               "(against)")  # fmt: skip
        if self.reject is not None and self.reject <= PHRASE_MOVES:
            raise ComposeError(f"phrases of {self.reject} notes cannot be rejected, as a phrase has at least "
                               f"{PHRASE_MOVES + 1}; ask for {PHRASE_MOVES + 1} or more")  # fmt: skip
        with _one_thread():
            leaning, _ = read_leaning(self.reading.sentence)
            request = replace(request, sentence=self._embedding(self.model), leaning=leaning,
                              temperature=sampling.temperature, top_p=sampling.top_p, progress=self.progress,
                              tries=0 if gate else self.tries,
                              rejected=lambda reason: self.rejected.update([reason]))  # fmt: skip
            told = self._told(request.sentence)

            def draw(places: list[int], turn: int) -> list[_Take]:
                rng = np.random.default_rng(self.seed if turn == 1 else (self.seed, turn))
                scores = self.model.system.generate(replace(request, count=len(places)), rng)
                return [self._take(score, request, turn, whole, told) for score in scores]

            return [self._chosen(takes, place) for place, takes in enumerate(candidates(self.count, draw, self._wants))]

    @cached_property
    def gate(self) -> Gate | None:
        """Raises CheckError or ComposeError for what cannot be checked."""
        if self.check is not None:
            return Gate.of(self.check.system, self.check.named, self.tries, self.best_of)
        if self.best_of is not None:
            raise ComposeError("the best of several is chosen by a critic; name one to check by")
        check_own_tries(self.model.system, self.model.name, self.tries)
        return None

    def _copied(self, take: _Take) -> bool:
        return take.notes > (inf if self.reject is None else self.reject)

    def _wants(self, takes: list[_Take]) -> bool:
        """Whether to compose another of a piece: copies are thrown away, and a critic may ask for more."""
        own = [take.odds for take in takes if not self._copied(take)]
        if len(takes) - len(own) >= MAX_TRIES:
            return False
        return not own if self.gate is None else self.gate.wants(own)

    def _chosen(self, takes: list[_Take], place: int) -> _Take:
        own = [take for take in takes if not self._copied(take)]
        if not own:
            raise ComposeError(f"each of {MAX_TRIES} tries at piece {place + 1} shares a phrase of more than "
                               f"{self.reject} notes with a training piece, the last one {takes[-1].notes} with "
                               f"{takes[-1].of}; allow more notes, or ask with another seed")  # fmt: skip
        if self.gate is None:
            return own[0]
        verdict = Verdict(tuple(take.odds for take in own))
        return replace(own[verdict.index], verdict=verdict)

    def held(self, asked: Controls) -> tuple[_Wish, Controls]:
        """Of what is asked what the model can hold; what was said and it cannot is told as not understood."""
        lost = {name for name in vars(asked) if name not in self.model.system.holds}
        said = [NotUnderstood(value_text(value), f"{self.model.name} plays as it learned and holds no {name}")
                for name, value in vars(self.reading.controls).items() if value and name in lost]  # fmt: skip
        reading = replace(self.reading, not_understood=(*self.reading.not_understood, *said))
        return replace(self, reading=reading), replace(asked, **{name: _NOTHING[name] for name in lost})

    def _take(
        self, score: Score, request: Request, tries: int, whole: Callable[[Score], Score], told: np.ndarray | None
    ) -> _Take:
        """told: the sentence as the critic reads it."""
        take = _Take(score, tries)
        if self.against is not None:
            part = score if request.hole is None else composed_part(score, request.hole)
            copy = self.against.longest(part, PHRASE_MOVES)
            take = replace(take, notes=copy.notes, of=copy.piece_id) if copy else take
        if self.gate is not None and not self._copied(take):
            key = request.key if request.strict_key else None
            take = replace(take, odds=self.gate.odds_of(whole(score), told, key))
        return take

    def _embedding(self, model: Model) -> np.ndarray | None:
        """The sentence by the encoder that the model was trained with; None for a model that reads no words."""
        if not self.reading.sentence.strip() or not hasattr(model.system.config, "sentence_width"):
            return None
        encoder = self.encoder or SentenceEncoder.load(model.notes.get("encoder"))
        return encoder.encode([self.reading.sentence])[0]

    def _told(self, sentence: np.ndarray | None) -> np.ndarray | None:
        """The sentence as the critic reads it; `sentence`: as the model does."""
        if self.check is None:
            return None
        same = self.check.notes.get("encoder") == self.model.notes.get("encoder")
        return sentence if same and sentence is not None else self._embedding(self.check)

    def composition(
        self,
        request: Request,
        what: str,
        take: _Take,
        asked: Controls,
        index: int,
        keyed: Score | None = None,
        given_sha256: str | None = None,
    ) -> Composition:
        """The piece with its record; `keyed`: the part of it that is to be in the key, where that is not all."""
        reading, score = self.reading, take.score
        checks = check_controls(score, replace(asked, key=None), closes=False)
        checks += check_controls(keyed or score, Controls(key=asked.key), closes=request.given is None)
        record = {
            "sentence": reading.sentence,
            "request": {"operation": what, "piece": index + 1, "pieces": self.count,
                        "seed": self.seed, **asdict(self.sampling),
                        "given_sha256": given_sha256},
            "understood": [vars(words) for words in (*reading.understood, *read_leaning(reading.sentence)[1])],
            "not_understood": [vars(words) for words in reading.not_understood],
            "left_to_the_embedding": list(reading.left_to_embedding),
            "plan": {"bars": len(bars_of(score)), "tempo": asked.tempo, "key": request.key.name,
                     "key_enforced": request.strict_key, "meter": asked.meter.name if asked.meter else None,
                     "instruments": [instrument_name(program) for program in asked.instruments]},
            "controls": [vars(check) for check in checks],
            "all_hold": all(check.holds for check in checks),
            "copying": {"reject": self.reject, "against": self.against.source, "tries": take.tries,
                        "longest_phrase_notes": take.notes, "of": take.of} if self.against else None,
            "rejected": dict(self.rejected),
            "check": {**self.gate.record, **take.verdict.record} if self.gate and take.verdict else None,
            "model": self.model.named,
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
        tempo=controls.tempo or TYPICAL_TEMPO,
        key=key if strict else None,
        meter=controls.meter or Meter(4, 4),
        instruments=controls.instruments or wish.reading.suggested_instruments,
    )
    assert asked.bars
    assert asked.tempo
    assert asked.meter
    request = Request(bars=asked.bars, tempo=asked.tempo, meter=asked.meter, instruments=asked.instruments, key=key,
                      strict_key=strict, seconds=wish.seconds)  # fmt: skip
    wish, asked = wish.held(asked)
    takes = wish.generate(request)
    return [wish.composition(request, "composes", take, asked, index) for index, take in enumerate(takes)]


def _key(controls: Controls, seed: int) -> tuple[Key, bool]:
    """The key to compose in and whether it was asked for. The seed decides what is open."""
    if controls.key is not None:
        return controls.key, True
    rng = np.random.default_rng((seed, 0x6B6579))
    mode = controls.mode or ("major" if rng.random() < 0.6 else "minor")
    tonics = (0, 7, 2, 5, 9, 4, 10) if mode == "major" else (9, 4, 2, 11, 7, 0)
    return Key(int(rng.choice(tonics)), mode), controls.mode is not None


# ---- given music


def _around(wish: _Wish, given: Given, hole: np.ndarray, what: str, keeps_bars: bool = False) -> list[Composition]:
    """Compose the hole and put it into the music given, of which not a note changes."""
    wish = replace(wish, reading=bound(wish.reading, given.cells, keeps_bars))
    key, strict = key_around(wish.reading, given.score)
    request = Request(key=key, strict_key=strict, given=given.cells, hole=hole)
    composed = wish.generate(request, lambda score: joined(given, hole, score))
    meters, tempi = set(given.cells.meters), {tempo.qpm for tempo in given.score.tempos}
    asked = Controls(
        bars=len(hole),
        tempo=given.cells.tempo if len(tempi) <= 1 else None,
        key=key if strict else None,
        meter=meters.pop() if len(meters) == 1 else None,
        instruments=given.cells.instruments,
    )
    wish, asked = wish.held(asked)
    digest = hashlib.sha256(given.score.dumps_midi()).hexdigest()
    pieces = []
    for index, take in enumerate(composed):
        whole = replace(take, score=joined(given, hole, take.score))
        part = composed_part(take.score, hole)
        pieces.append(wish.composition(request, what, whole, asked, index, part, digest))
    return pieces


def _behind(wish: _Wish, score: Score, bars: int) -> list[Composition]:
    """Go on from the music given in real time, by `bars` of its last meter and tempo or the seconds asked for."""
    last, pace = bars_of(score)[-1], tempo_of(score)
    added = bars * last.meter.quarters * 60 / pace if wish.seconds is None else wish.seconds
    request = Request(bars=bars, meter=last.meter, tempo=pace, primer=score, seconds=length_seconds(score) + added)
    wish, asked = wish.held(wish.reading.controls)
    what = f"continues {length_seconds(score):.1f} seconds by {added:.1f}"
    digest = hashlib.sha256(score.dumps_midi()).hexdigest()
    return [
        wish.composition(request, what, replace(take, score=followed(score, take.score)), asked, index,
                         given_sha256=digest)
        for index, take in enumerate(wish.generate(request, lambda composed: followed(score, composed)))
    ]  # fmt: skip


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
