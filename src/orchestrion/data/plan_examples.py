"""Examples for a planner: plans of pieces of a corpus as rows of tokens, with what is asked and a sentence for each.

Shapes: T rows, F features of a place, S sections, P parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np

from orchestrion.data.captions.templates import DENSITIES, EMOTIONS, REGISTERS, sentences
from orchestrion.data.datasets import SINGLE_PARTS
from orchestrion.data.plans import PlanTable, plan_table
from orchestrion.data.store import Corpus, CorpusError, Piece
from orchestrion.data.windows import ONE_PIANIST, by_one_player, dataset_weights
from orchestrion.music.chords import transposed_basses, transposed_codes
from orchestrion.music.theory import DRUMS, Key, Meter
from orchestrion.planning import tokens
from orchestrion.planning.arrays import METERS, PlanArrays
from orchestrion.planning.asked import LONGEST, MAX_PARTS
from orchestrion.planning.levels import OPEN
from orchestrion.planning.plan import MAX_BARS, MOODS
from orchestrion.planning.tokens import FEATURES, FIRST, Outline, PlanReader
from orchestrion.representations.steps import shift_to_common_key

ONE_METER = 0.9  # share of the bars that one meter must have
ASKED, NOTHING_ASKED = 0.4, 0.15  # share of the examples in which each field is asked, and in which none is
FEWER_PARTS = 0.3  # of the examples whose parts are asked: some of the piece's
A_THING = 0.25  # of the sentences where one fits: what shows a mood, a register or a density
SAID_OF_EACH = 2500  # sentences of each meaning
ONLY_EMBEDDING = 0.1  # of the sentences: as one row
EXCERPT_SECTIONS, EXCERPT_BARS = 6, (8, 48)
OF_SINGLE_PARTS = 0.1  # as often as others are pieces of datasets of single parts drawn
NOWHERE = (0,) * len(FEATURES)  # the features of a token that stands in no plan


@dataclass(frozen=True, eq=False)
class Example:
    """rows: (T, 1 + F); targets: (T,), -1 where nothing is predicted; bars of the plan; sentence, "" for none."""

    rows: np.ndarray
    targets: np.ndarray
    bars: int
    sentence: str
    only_embedding: bool = False


def rows_of(outline: Outline, asked: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """(T, 1 + F) rows of what is asked and of a plan, and (T,) the token that follows each, -1 among what is asked."""
    reader, last = PlanReader(), tokens.START
    rows: list[tuple[int, ...]] = [(token, *NOWHERE) for token in asked]
    plan = tokens.tokens_of(outline)
    for token in plan:
        rows.append((last, *reader.features()))
        reader.push(token)
        last = token
    return np.array(rows), np.array([-1] * len(asked) + plan)


class ExampleDraw:
    """Draws examples of one split of a corpus; `rng` decides everything."""

    def __init__(self, corpus: Corpus, split: str) -> None:
        self.corpus, self.split, self.plans = corpus, split, plan_table(corpus)
        self._groups, weights = dataset_weights([piece for piece in corpus.pieces(split) if piece.bars > 0])
        factors = [OF_SINGLE_PARTS if group[0].dataset in SINGLE_PARTS else 1.0 for group in self._groups]
        self._weights = weights * factors / (weights * factors).sum()

    def __call__(
        self, rng: np.random.Generator, *, whole: float, most_rows: int, sentence_dropout: float
    ) -> Example:  # fmt: skip
        """whole: share of whole pieces; most_rows: of an example; sentence_dropout: share without a sentence. Raises
        CorpusError where no piece of the corpus makes a plan."""
        for _ in range(1000):
            example = self.of(self.piece(rng), rng, whole, most_rows, sentence_dropout)
            if example is not None:
                return example
        raise CorpusError("no piece of the corpus makes a plan; it needs pieces of one common meter")

    def piece(self, rng: np.random.Generator) -> Piece:
        group = self._groups[rng.choice(len(self._groups), p=self._weights)]
        return group[rng.integers(len(group))]

    def of(
        self, piece: Piece, rng: np.random.Generator, whole: float, most_rows: int, sentence_dropout: float
    ) -> Example | None:  # fmt: skip
        """An example of one piece: whole, or some sections; None where it has no one meter."""
        plan, instruments = self.plans.of(piece), piece.instruments
        if len(instruments) > 1 and set(instruments) == {0} and rng.random() < ONE_PIANIST:
            cells, plan = by_one_player(piece.cells(), plan)
            instruments = cells.instruments
        first, end = span_of(plan, rng, whole)
        asks = rng.random(9) < (0 if rng.random() < NOTHING_ASKED else ASKED)
        fewer = bool(asks[7] and len(instruments) > 1 and rng.random() < FEWER_PARTS)
        outline = piece_outline(piece, plan, instruments, self.plans, (first, end), rng, fewer)
        if outline is None:
            return None
        rows, targets = rows_of(outline, _asked_of(outline, asks, rng))
        if len(rows) > most_rows:
            return None if end - first <= 1 else self.of(piece, rng, 0.0, most_rows, sentence_dropout)
        sentence = "" if rng.random() < sentence_dropout else self._sentence(piece, outline, rng, fewer)
        return Example(rows, targets, sum(outline.lengths), sentence, bool(rng.random() < ONLY_EMBEDDING))

    def _sentence(self, piece: Piece, outline: Outline, rng: np.random.Generator, fewer: bool) -> str:
        """One of the piece's captions, or what is said of its mood, register or density; only these where some of the
        instruments were left out."""
        mood = MOODS[outline.header[1] - 1] if outline.header[1] else ""
        facts = (mood, piece.facts.get("register"), piece.facts.get("density"))
        fitting = [fact for fact in facts if fact in (*EMOTIONS, *REGISTERS, *DENSITIES)]
        if fitting and (fewer or rng.random() < A_THING):
            said = _said(fitting[rng.integers(len(fitting))], self.split)
            if said:
                return said[rng.integers(len(said))]
        if fewer or not piece.captions:
            return ""
        return self.corpus.captions[piece.captions[rng.integers(len(piece.captions))]]


@lru_cache(maxsize=64)
def _said(meaning: str, split: str) -> tuple[str, ...]:
    count = SAID_OF_EACH if split == "train" else SAID_OF_EACH // 10
    return tuple(sentences(meaning, split, count, np.random.default_rng(0)))


def span_of(plan: PlanArrays, rng: np.random.Generator, whole: float) -> tuple[int, int]:
    """The first section of an example and the one behind its last; whole: how often it is all of the piece."""
    count = len(plan.section_levels)
    if len(plan.section) <= MAX_BARS and rng.random() < whole:
        return 0, count
    lengths = np.bincount(plan.section, minlength=count)
    wanted = int(rng.integers(1, EXCERPT_SECTIONS + 1))
    first = 0 if rng.random() < 0.3 else int(rng.integers(max(count - wanted, 0) + 1))
    end = min(first + wanted, count)
    while end < count and lengths[first:end].sum() < EXCERPT_BARS[0]:
        end += 1
    while end > first + 1 and lengths[first:end].sum() > EXCERPT_BARS[1]:
        end -= 1
    return first, end


def piece_outline(
    piece: Piece, plan: PlanArrays, instruments: tuple[int, ...], plans: PlanTable, span: tuple[int, int],
    rng: np.random.Generator, fewer: bool = False,
) -> Outline | None:  # fmt: skip
    """The plan of some sections of a piece, lettered from A; None where they have no one meter, a section that is too
    long, or nobody who plays. fewer: some of the parts are left out."""
    first, end = span
    bars = np.flatnonzero((plan.section >= first) & (plan.section < end))
    lengths = np.bincount(plan.section[bars] - first, minlength=end - first)
    meter = _main_meter(piece, bars)
    tracks = _tracks(plan, instruments, span, rng, fewer)
    if meter is None or not len(tracks) or lengths.max() > LONGEST or len(bars) > MAX_BARS:
        return None
    starts = bars[0] + np.concatenate([[0], lengths.cumsum()[:-1]])
    named = plan.letter[starts].tolist()
    order = list(dict.fromkeys(named))
    if len(order) > tokens.LETTERS:
        return None
    key = Key.parse(piece.key) if piece.key else Key(0, "major")
    shift = shift_to_common_key(key)
    codes, basses = plan.chords[bars].ravel(), plan.basses[bars].ravel()
    chords = tokens.CHORD_VALUES[transposed_codes(codes, shift), transposed_basses(basses, shift)]
    styles, mood, feel = plans.header(piece)
    header = [
        int(styles[rng.integers(2)]), mood, feel, tokens.MODES.index(key.mode), tokens.tempo_value(piece.tempo),
        METERS.index(meter), tokens.bars_value(len(bars)),
    ]  # fmt: skip
    own = [instruments[track] for track in tracks]
    levels = [[_cell(row, own[i] == DRUMS) for i, row in enumerate(section)]
              for section in plan.section_levels[first:end][:, tracks].tolist()]  # fmt: skip
    return Outline(
        header, own, plan.roles[tracks].astype(int).tolist(), [order.index(one) for one in named], lengths.tolist(),
        [_variation(plan, named, starts, lengths, tracks, index) for index in range(len(named))], chords.tolist(),
        levels,
    )  # fmt: skip


def _cell(row: list[int], drums: bool) -> tokens.Cell:
    if row[0] == OPEN:
        return None
    return tuple(None if drums and i not in tokens.DRUM_LEVELS else max(value, 0) for i, value in enumerate(row))


def _main_meter(piece: Piece, bars: np.ndarray) -> Meter | None:
    edges = list(accumulate((count for _, count in piece.meter_runs), initial=0))
    found: dict[str, int] = {}
    for (name, _), start, stop in zip(piece.meter_runs, edges, edges[1:], strict=False):
        inside = min(stop, bars[-1] + 1) - max(start, bars[0])
        found[name] = found.get(name, 0) + max(int(inside), 0)
    name = max(found, key=lambda one: found[one])
    meter = Meter.parse(name)
    return meter if meter in METERS and found[name] >= ONE_METER * len(bars) else None


def _tracks(
    plan: PlanArrays, instruments: tuple[int, ...], span: tuple[int, int], rng: np.random.Generator, fewer: bool
) -> np.ndarray:
    """Tracks that play in these sections, those that play most where there are too many."""
    plays = (plan.section_levels[span[0] : span[1], :, 0] != OPEN).sum(0)
    tracks = np.flatnonzero(plays)
    if len(tracks) > MAX_PARTS:
        tracks = np.sort(tracks[np.argsort(-plays[tracks], kind="stable")[:MAX_PARTS]])
    if fewer and len(tracks) > 1:
        tracks = np.sort(rng.permutation(tracks)[: rng.integers(1, len(tracks))])
    return tracks[: len(instruments)]


def _variation(
    plan: PlanArrays, named: list[int], starts: np.ndarray, lengths: np.ndarray, tracks: np.ndarray, index: int
) -> int:
    """The class of the share of sounding cells whose levels differ from those in the first section with the letter."""
    source = named.index(named[index])
    if source == index:
        return 0
    common = min(lengths[source], lengths[index])
    own, other = (plan.levels[starts[i] : starts[i] + common][:, tracks] for i in (index, source))
    sounding = (own[..., 0] != OPEN) | (other[..., 0] != OPEN)
    differ = (own != other).any(-1) & sounding
    beyond = int((plan.levels[starts[index] + common : starts[index] + lengths[index]][:, tracks, 0] != OPEN).sum())
    share = (differ.sum() + beyond) / max(sounding.sum() + beyond, 1)
    return int(np.searchsorted((0.05, 0.35, 0.7), share, side="right"))


def _asked_of(outline: Outline, asks: np.ndarray, rng: np.random.Generator) -> list[int]:
    """What is asked of a plan: header, parts and form, as `asked_tokens` would say it."""
    told = []
    for name, value, asked in zip(tokens.HEADER_SLOTS, outline.header, asks, strict=False):
        if asked and not (value == 0 and name in ("style", "mood", "feel")):
            told.append(FIRST[name] + value)
    if asks[7]:
        told += [FIRST["instrument"] + instrument for instrument in outline.instruments]
        told.append(FIRST["instrument"] + tokens.END_OF_PARTS)
    if asks[8]:
        lengths = rng.random() < 0.6
        for letter, bars in zip(outline.letters, outline.lengths, strict=True):
            told.append(FIRST["letter"] + letter)
            if lengths:
                told.append(FIRST["lasts"] + bars - 1)
    return told
