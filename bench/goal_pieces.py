"""Pieces for the goals of the composer: those that it composes from sets of sentences into a folder, and held-out music
beside them, each with what is known of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from mood_classifier import SENTENCES
from plan_goals import CHORD_SENTENCES, FORM_SENTENCES, sought_plan
from symusic import Score

from orchestrion.data.store import Piece
from orchestrion.evaluation.music_sets import Item, Side, open_side
from orchestrion.generation.compose import compose
from orchestrion.generation.wishes import Composition
from orchestrion.models.loading import Model
from orchestrion.music.analysis import estimate_key
from orchestrion.music.theory import Key
from orchestrion.planning.files import plan_from_json
from orchestrion.planning.plan import Plan
from orchestrion.text.controls import read_controls
from orchestrion.text.encoder import SentenceEncoder

STYLE_SENTENCES = tuple(Path(__file__).with_name("sentences.txt").read_text("utf-8").split("\n")[:-1])
PIANO_SENTENCES = (
    "solo piano", "a piano piece", "a piano piece in 3/4", "a piano piece in F major", "music for piano in A minor",
    "a piano solo, 100 bpm", "piano music in G major", "a piece for solo piano in D minor",
)  # fmt: skip
#: Sentences of each set, and which share of the pieces asked for it has.
SETS: Mapping[str, tuple[tuple[str, ...], float]] = {
    "style": (STYLE_SENTENCES, 1.0),
    "chords": (CHORD_SENTENCES, 0.5),
    "form": (FORM_SENTENCES, 0.25),
    "mood": (tuple(sentence for four in zip(*SENTENCES.values(), strict=True) for sentence in four), 1.0),
    "piano": (PIANO_SENTENCES, 0.2),
}
STRIDE = 7  # between the sentences of a set, so that a few pieces are of all kinds
FEWEST = 4  # pieces of a set


# ---- composing


@dataclass(frozen=True, eq=False)
class Maker:
    """How a piece is made of a sentence. plain: by what is asked alone; wordless: without the words. planner: None for
    the rules of plain plans, where the package has none."""

    model: Model
    planner: Model | None
    seed: int
    candidates: int
    plain: bool
    wordless: bool

    @property
    def told(self) -> str:
        """What must be the same for pieces to be of one set."""
        planner = self.planner.sha256 if self.planner else None
        return (f"{self.model.sha256} planner {planner} seed {self.seed}, candidates {self.candidates}, "
                f"plain {self.plain}, wordless {self.wordless}\n")  # fmt: skip

    @cached_property
    def encoder(self) -> SentenceEncoder | None:
        return None if self.model.reads_plans else SentenceEncoder.load(self.model.notes.get("encoder"))

    def make(self, sentence: str, place: int, number: int) -> Composition:
        """Piece `number` of the sentence at `place` of its set, the same whatever else is composed."""
        seed = self.seed * 1_000_003 + place * 1009 + number
        reading = read_controls(sentence)
        sought = sought_plan(reading, seed)
        options: dict[str, Any] = {"encoder": self.encoder}
        if self.wordless:
            asked = reading.controls
            options |= {"bars": asked.bars, "tempo": asked.tempo, "key": asked.key, "meter": asked.meter,
                        "instruments": asked.instruments or reading.suggested_instruments,
                        "chords": reading.progression, "form": reading.form, "feel": reading.feel}  # fmt: skip
        if self.model.reads_plans:
            options |= {"candidates": self.candidates, "plan": sought if self.plain else None, "planner": self.planner}
        piece = compose("" if self.wordless else sentence, seed=seed, model=self.model, **options)[0]
        return replace(piece, record=piece.record | {"sentence": sentence, "sought": sought.to_json()})


def compose_set(
    name: str, folder: Path, maker: Maker, pieces: int, told: Callable[[int, int], None] = lambda done, total: None
) -> None:
    """Compose the pieces of a set into a folder; what is there is left. Ends the program where others made it."""
    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / ".made"
    if marker.exists() and marker.read_text("utf-8") != maker.told:
        sys.exit(f"{folder} holds what another model, seed or ablation made; name another --composed")
    marker.write_text(maker.told, "utf-8")
    jobs = jobs_of(name, pieces)
    for done, (place, number) in enumerate(jobs):
        base = base_of(folder, place, number)
        if not base.with_suffix(".json").exists():  # written last
            maker.make(SETS[name][0][place], place, number).write(base, ("mid", "json"))
        told(done + 1, len(jobs))


def jobs_of(name: str, pieces: int) -> list[tuple[int, int]]:
    """(place of the sentence, number of its piece) of a set where `pieces` are asked for."""
    sentences, share = SETS[name]
    count = max(FEWEST, round(pieces * share))
    return [((index * STRIDE) % len(sentences), index // len(sentences)) for index in range(count)]


def base_of(folder: Path, place: int, number: int) -> Path:
    return folder / f"{place + 1:03}-{number + 1:03}"


# ---- pieces to measure


@dataclass(frozen=True, eq=False)
class Sample:
    """A piece with what is known of it. key: the one asked for or of the source; record: of a composed one."""

    score: Score
    group: str
    key: Key | None = None
    styles: frozenset[str] = frozenset()
    record: Mapping[str, Any] | None = None

    @property
    def sentence(self) -> str:
        return str(self.record["sentence"]) if self.record else ""

    @property
    def sought(self) -> Plan | None:
        return plan_from_json(self.record["sought"]) if self.record and "sought" in self.record else None

    @property
    def plan(self) -> Plan | None:
        """The one that it was composed by."""
        whole = self.record.get("plan", {}).get("whole") if self.record else None
        return plan_from_json(whole) if whole else None

    @property
    def tonic(self) -> int:
        key = self.key or estimate_key(self.score)[0]
        return key.tonic


def composed_sample(item: Item) -> Sample:
    """A composed piece; its key is that of its plan."""
    assert isinstance(item.music, Path)
    told = json.loads(item.music.with_suffix(".json").read_text("utf-8"))
    plan = told["plan"].get("whole", told["plan"])
    style = read_controls(told["sentence"]).style or ""
    return Sample(item.score(), item.group, Key.parse(plan["key"]), frozenset({style}), told)


def real_sample(item: Item) -> Sample:
    """A held-out excerpt; its key is that of the whole piece."""
    piece = source_of(item)
    genres = piece.facts.get("genre") or []
    styles = frozenset([genres] if isinstance(genres, str) else genres)
    return Sample(item.score(), item.group, Key.parse(piece.key) if piece.key else None, styles)


def source_of(item: Item) -> Piece:
    """The piece of a corpus that an item is of."""
    assert isinstance(item.music, Piece)
    return item.music


def held_out(
    corpus: Path, lengths: Sequence[int], seed: int, most: int, keep: Callable[[Piece], bool] = lambda piece: True
) -> Side:
    """Excerpts of validation and test pieces in random order, one of each that is long enough for the length that it is
    dealt: at most `most`."""
    items = [item for item in open_side(corpus, "all").items
             if source_of(item).split != "train" and keep(source_of(item))]  # fmt: skip
    rng = np.random.default_rng((seed, 0x72656C))
    chosen: list[Item] = []
    for index in rng.permutation(len(items)).tolist():
        length = int(lengths[len(chosen) % len(lengths)])
        if source_of(items[index]).bars >= length and len(chosen) < most:
            chosen.append(replace(items[index], excerpt_bars=length, seed=seed))
    return Side(f"{corpus.name}, held out", "corpus", tuple(chosen))
