"""What a caller asks for, and what is handed out: from words and options to takes, and each with its record."""

from __future__ import annotations

import json
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
from orchestrion.core.errors import UserError
from orchestrion.core.files import replace_file
from orchestrion.generation.constraints import check_controls
from orchestrion.generation.filters import Gate, Verdict, candidates, check_own_tries
from orchestrion.generation.infill import composed_part
from orchestrion.metrics.copying import PHRASE_MOVES, CopyIndex
from orchestrion.models.base import Request, Sampling
from orchestrion.models.loading import Model, load
from orchestrion.music.bars import bars as bars_of
from orchestrion.music.files import write_midi, write_musicxml
from orchestrion.music.theory import instrument_name
from orchestrion.planning.plan import Plan
from orchestrion.planning.text import chord_labels, section_labels
from orchestrion.text.controls import Controls, NotUnderstood, Reading, merge, read_controls
from orchestrion.text.encoder import SentenceEncoder
from orchestrion.text.leaning import Leaning, leaning_of
from orchestrion.text.reading import value_text

FORMATS = ("mid", "wav", "png", "json", "musicxml")
DEFAULT_FORMATS = ("mid", "wav", "png", "json")
MAX_COUNT = 64
MAX_TRIES = 10  # at one piece, where copies are rejected

Progress = Callable[[int, int], None]
_NOTHING = vars(Controls())  # asked for


class ComposeError(UserError):
    """A wish that cannot be met; the message is one line for the user."""


@dataclass(frozen=True)
class Composition:
    """A finished piece and the record of how it came about; the plan it was composed by, if there was one, and the
    next best candidates."""

    score: Score
    record: dict[str, Any]
    title: str
    plan: Plan | None = None
    takes: tuple[Score, ...] = ()

    def write(
        self, base: str | Path, formats: Sequence[str] = DEFAULT_FORMATS, *, spare: Path | None = None
    ) -> list[Path]:
        """Write base.mid, base.wav, base.png, base.json, base.musicxml as asked; each appears whole or not at all.

        spare: a file that stays, such as the plan composed by: a record of its name is called base-record.json.
        Raises ComposeError for a format that is not in FORMATS, before anything is written.
        """
        unknown = [kind for kind in formats if kind not in FORMATS]
        if unknown:
            raise ComposeError(f"{unknown[0]!r} is not a format; choose from {', '.join(FORMATS)}")
        written = []
        for kind in formats:
            path = Path(f"{base}.{kind}")
            if spare is not None and kind == "json" and path.resolve() == spare.resolve():
                path = Path(f"{base}-record.json")
            if kind == "mid":
                write_midi(self.score, path)
            elif kind == "wav":
                from orchestrion.rendering.audio import write_wav

                write_wav(self.score, path)
            elif kind == "png":
                from orchestrion.rendering.piano_roll import write_picture

                labels = {} if self.plan is None else {"sections": section_labels(self.plan),
                                                       "chords": chord_labels(self.plan)}  # fmt: skip
                write_picture(self.score, path, title=self.title, **labels)
            elif kind == "musicxml":
                write_musicxml(self.score, path)
            else:
                replace_file(path, json.dumps(self.record, indent=1, ensure_ascii=False) + "\n")
            written.append(path)
        return written

    def write_takes(self, base: str | Path, count: int) -> list[Path]:
        """Write as many of the next best candidates as base-take-2.mid, base-take-3.mid and so on."""
        paths = [Path(f"{base}-take-{number}.mid") for number in range(2, 2 + min(count, len(self.takes)))]
        for score, path in zip(self.takes, paths, strict=False):
            write_midi(score, path)
        return paths


@dataclass(frozen=True)
class Take:
    """What the model made, and in which try; where copies are rejected, the notes of the longest phrase that it shares
    with a training piece, and with which; where a critic checks, its odds and, once it is chosen, those of all."""

    score: Score
    tries: int
    notes: int = 0
    of: str | None = None
    odds: float = 0.0
    verdict: Verdict | None = None


@dataclass(frozen=True)
class Wish:
    """Options as for `generation.compose.compose`; reading: of the sentence and of what beats its words."""

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
    piece: int = 0  # of several that are composed one by one: each has a random stream of its own
    choose: Callable[[Request, np.random.Generator], Score] | None = None  # makes one piece in place of the system

    @classmethod
    def of(cls, sentence: str, **options: Any) -> Wish:
        controls = {name: options.pop(name, None) for name in ("bars", "key", "chords")}
        return cls(merge(read_controls(sentence), **controls), **{k: v for k, v in options.items() if v is not None})

    @property
    def sampling(self) -> Sampling:
        """As asked for, else as the system is best drawn from."""
        return self.model.system.sampling.but(self.temperature, self.top_p)

    def generate(self, request: Request, whole: Callable[[Score], Score] = lambda score: score) -> list[Take]:
        """whole: what the system makes -> what is handed out, which a critic hears."""
        self.check_numbers()
        sampling, gate = self.sampling, self.gate
        with one_thread():
            leaning = leaning_of(self.reading)[0] if self.choose is None else Leaning()  # there it moved the plan
            request = replace(request, sentence=self._embedding(self.model), leaning=leaning,
                              temperature=sampling.temperature, top_p=sampling.top_p, progress=self.progress,
                              tries=0 if gate else self.tries,
                              rejected=lambda reason: self.rejected.update([reason]))  # fmt: skip
            told = self._told(request.sentence)

            def draw(places: list[int], turn: int) -> list[Take]:
                stream = (self.seed, turn, self.piece) if self.piece else (self.seed, turn)
                rng = np.random.default_rng(self.seed if turn == 1 and not self.piece else stream)
                if self.choose is not None:
                    scores = [self.choose(request, rng)]
                else:
                    scores = self.model.system.generate(replace(request, count=len(places)), rng)
                return [self._take(score, request, turn, whole, told) for score in scores]

            return [self._chosen(takes, place) for place, takes in enumerate(candidates(self.count, draw, self._wants))]

    def check_numbers(self) -> None:
        """Raises ComposeError, RequestError or CheckError for numbers and options that make no sense."""
        if not 1 <= self.count <= MAX_COUNT:
            raise ComposeError(f"{self.count} pieces cannot be composed at once; ask for 1 to {MAX_COUNT}")
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
        _ = self.sampling, self.gate  # raise what is wrong with them

    @cached_property
    def gate(self) -> Gate | None:
        """Raises CheckError or ComposeError for what cannot be checked."""
        if self.check is not None:
            return Gate.of(self.check.system, self.check.named, self.tries, self.best_of)
        if self.best_of is not None:
            raise ComposeError("the best of several is chosen by a critic; name one to check by")
        check_own_tries(self.model.system, self.model.name, self.tries)
        return None

    def _copied(self, take: Take) -> bool:
        return take.notes > (inf if self.reject is None else self.reject)

    def _wants(self, takes: list[Take]) -> bool:
        """Whether to compose another of a piece: copies are thrown away, and a critic may ask for more."""
        own = [take.odds for take in takes if not self._copied(take)]
        if len(takes) - len(own) >= MAX_TRIES:
            return False
        return not own if self.gate is None else self.gate.wants(own)

    def _chosen(self, takes: list[Take], place: int) -> Take:
        own = [take for take in takes if not self._copied(take)]
        if not own:
            raise ComposeError(f"each of {MAX_TRIES} tries at piece {place + 1} shares a phrase of more than "
                               f"{self.reject} notes with a training piece, the last one {takes[-1].notes} with "
                               f"{takes[-1].of}; allow more notes, or ask with another seed")  # fmt: skip
        if self.gate is None:
            return own[0]
        verdict = Verdict(tuple(take.odds for take in own))
        return replace(own[verdict.index], verdict=verdict)

    def held(self, asked: Controls) -> tuple[Wish, Controls]:
        """Of what is asked what the model can hold; what was said and it cannot is told as not understood."""
        lost = {name for name in vars(asked) if name not in self.model.system.holds}
        said = [NotUnderstood(value_text(value), f"{self.model.name} plays as it learned and holds no {name}")
                for name, value in vars(self.reading.controls).items() if value and name in lost]  # fmt: skip
        reading = replace(self.reading, not_understood=(*self.reading.not_understood, *said))
        return replace(self, reading=reading), replace(asked, **{name: _NOTHING[name] for name in lost})

    def _take(
        self, score: Score, request: Request, tries: int, whole: Callable[[Score], Score], told: np.ndarray | None
    ) -> Take:
        """told: the sentence as the critic reads it."""
        take = Take(score, tries)
        if self.against is not None:
            part = score if request.hole is None else composed_part(score, request.hole)
            copy = self.against.longest(part, PHRASE_MOVES)
            take = replace(take, notes=copy.notes, of=copy.piece_id) if copy else take
        if self.gate is not None and not self._copied(take):
            key = request.key if request.strict_key else None
            take = replace(take, odds=self.gate.odds_of(whole(score), told, key))
        return take

    def _embedding(self, model: Model) -> np.ndarray | None:
        """The sentence by the encoder that the model was trained with; None for a model that reads no words, or reads
        them through its plan."""
        if model.reads_plans or not self.reading.sentence.strip() or not hasattr(model.system.config, "sentence_width"):
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
        take: Take,
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
            "understood": [vars(words) for words in (*reading.understood, *leaning_of(reading)[1])],
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


@contextmanager
def one_thread() -> Iterator[None]:
    """Steps this small are fastest on one thread, and their result then depends on nothing else that runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
