"""Phrases for systems that learn from a critic: drawn to learn from, measured, and put together into pieces.

Legend: B phrases, K tracks, S steps of a phrase, P pitches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from symusic import Score
from torch import Tensor

from orchestrion.data.phrases import ALL_THAT_PLAY, Selection, phrase_table
from orchestrion.data.store import Corpus
from orchestrion.metrics.phrases import energy_distance, phrase_features
from orchestrion.models.base import Request, RequestError, UnheardError
from orchestrion.music.bars import bars
from orchestrion.representations.phrases import PhraseGrid, empty, flooded

#: One phrase for each of some random streams, (B, K, S, P) bool.
Draw = Callable[[Sequence[np.random.Generator]], np.ndarray]

#: Phrases (B, K, S, P) bool -> the odds (B,) that they are real.
Check = Callable[[np.ndarray], np.ndarray]

MAX_TRIES = 32
REAL = 0.5  # odds above which a phrase is real (Su et al. 2021, formulas 6 and 7)
_FEW_DISTINCT, _DEAD_GAP = 0.5, 1e-4


def phrase_batch(
    corpus: Corpus,
    split: str,
    rng: np.random.Generator,
    grid: PhraseGrid,
    count: int,
    selection: Selection = ALL_THAT_PLAY,
) -> dict[str, Tensor]:
    """{"phrases": (count, K, S, P) bool}. The same rng gives the same batch. Raises CorpusError."""
    return {"phrases": torch.from_numpy(phrase_table(corpus, split, grid, selection=selection).draw(rng, count))}


def phrase_figures(real: Tensor, made: Tensor, bars: int) -> dict[str, tuple[float, float]]:
    """Validation figures of phrases (B, K, S, P) bool: how far the made ones lie from the real ones, and the share of
    the made ones that differ from all before them."""
    one, other = (phrases.cpu().numpy() for phrases in (real, made))
    distance = energy_distance(phrase_features(one, bars), phrase_features(other, bars))
    distinct = len(np.unique(np.packbits(other.reshape(len(other), -1), axis=1), axis=0))
    return {"phrase_distance": (distance, 1.0), "distinct": (float(distinct), float(len(other)))}


def said_of(figures: Mapping[str, float]) -> list[str]:
    """What has gone wrong by the validation figures, a line each: outputs that hardly differ, and a critic that no
    longer tells anything apart ("critic_gap", its mark of real phrases less that of made ones)."""
    said = []
    if figures.get("distinct", 1.0) < _FEW_DISTINCT:
        said.append(f"the generator repeats itself: {figures['distinct']:.0%} of its phrases differ from one another")
    if abs(figures.get("critic_gap", 1.0)) < _DEAD_GAP:
        said.append("the critic is dead: its marks of real and of made phrases are the same")
    return said


def compose_phrases(draw: Draw, grid: PhraseGrid, request: Request, rng: np.random.Generator) -> list[Score]:
    """`request.count` pieces of `request.bars` bars of 4/4 at `request.tempo`, phrase by phrase, each piece from a
    random stream of its own.

    A phrase that is silent or flooded is drawn again, and so is one that would end the piece with a silent bar;
    `request.rejected` is told why. Raises RequestError for what cannot be made so, and after MAX_TRIES at one phrase.
    """
    check_phrases(request)
    needed = -(-request.bars // grid.bars)
    last_bar = (request.bars - 1) % grid.bars * grid.steps_a_bar
    rngs = rng.spawn(request.count)
    rolls = np.zeros((request.count, needed, *grid.shape), bool)
    for place in range(needed):
        sounds = slice(last_bar, last_bar + grid.steps_a_bar) if place == needed - 1 else None
        rolls[:, place] = accepted_phrases(draw, grid, rngs, request.rejected, sounds=sounds)
        if request.progress:
            request.progress(min(request.bars, (place + 1) * grid.bars), request.bars)
    steps = request.bars * grid.steps_a_bar
    return [grid.decode(_cut(roll, steps), tempo=request.tempo) for roll in rolls]


def accepted_phrases(
    draw: Draw,
    grid: PhraseGrid,
    rngs: Sequence[np.random.Generator],
    rejected: Callable[[str], None] | None = None,
    *,
    sounds: slice | None = None,
) -> np.ndarray:
    """A phrase for each random stream, (B, K, S, P) bool, drawn again where it is silent or flooded, or silent in the
    steps `sounds`; `rejected` is told why. Raises RequestError after MAX_TRIES at one phrase."""
    waiting, phrases = np.arange(len(rngs)), np.zeros((len(rngs), *grid.shape), bool)
    for _ in range(MAX_TRIES):
        drawn = draw([rngs[int(index)] for index in waiting])
        faults = {"silent": empty(drawn), "flooded": flooded(drawn)}
        if sounds is not None:
            faults["silent at the end"] = empty(drawn[:, :, sounds])
        faulty = np.any(list(faults.values()), axis=0)
        phrases[waiting[~faulty]] = drawn[~faulty]
        if rejected:
            for index in np.flatnonzero(faulty):
                rejected(next(reason for reason, found in faults.items() if found[index]))
        waiting = waiting[faulty]
        if not len(waiting):
            return phrases
    reason = next(reason for reason, found in faults.items() if found[faulty].any())
    raise RequestError(f"{MAX_TRIES} phrases in a row were {reason}; train the system longer, or take another"
                       " checkpoint or seed")  # fmt: skip


def checked(draw: Draw, check: Check, tries: int, rejected: Callable[[str], None] | None = None) -> Draw:
    """Draws a phrase again that the check does not call real, at most `tries` times, and then keeps the likeliest;
    `rejected` is told of each that is thrown away. With 0 tries nothing is checked."""
    if not tries:
        return draw

    def drawn(rngs: Sequence[np.random.Generator]) -> np.ndarray:
        phrases = draw(rngs)
        best, waiting = check(phrases), np.arange(len(rngs))
        for _ in range(tries):
            waiting = waiting[best[waiting] <= REAL]
            if not len(waiting):
                break
            others = draw([rngs[int(index)] for index in waiting])
            odds = check(others)
            better = odds > best[waiting]
            phrases[waiting[better]], best[waiting[better]] = others[better], odds[better]
            if rejected:
                for _ in waiting:
                    rejected("judged to be made")
        return phrases

    return drawn


def phrases_of(score: Score, grid: PhraseGrid, up: int = 0) -> np.ndarray:
    """A piece as a critic hears it, (C, K, S, P) bool, by an octave or less of semitones higher but for its drums:
    phrases one after another and, where bars are left over, one more that ends with the last bar, so that none is half
    empty.

    Raises UnheardError for bars of other than four quarter notes, fewer of them than a phrase has, and music of which
    nothing lies on the grid."""
    layout = bars(score)
    other = next((bar for bar in layout if bar.length != 4 * score.tpq), None)
    if other is not None:
        raise UnheardError(f"the critic hears bars of four quarter notes, and not one of {other.length / score.tpq:g}"
                           f" in {other.meter.name}; ask for 4/4, or take another critic")  # fmt: skip
    if len(layout) < grid.bars:
        raise UnheardError(f"the critic hears phrases of {grid.bars} bars, and the music has {len(layout)}; ask for"
                           f" {grid.bars} or more, or take another critic")  # fmt: skip
    wide = replace(grid, lowest=0, pitches=128)  # what lies out of range may come into it
    every = np.pad(wide.encode(score), ((0, 0), (0, 0), (0, 0), (12, 12)))
    lowest = [12 + grid.lowest - (0 if name == "drums" else up) for name in grid.track_set.names]
    tracks = [every[:, track, :, first : first + grid.pitches] for track, first in enumerate(lowest)]
    roll = np.stack([track.reshape(-1, grid.pitches) for track in tracks])  # (K, all steps, P)
    roll = np.pad(roll, ((0, 0), (0, max(0, len(layout) * grid.steps_a_bar - roll.shape[1])), (0, 0)))
    firsts = [*range(0, len(layout) - grid.bars, grid.bars), len(layout) - grid.bars]
    cut = np.stack([roll[:, first * grid.steps_a_bar :][:, : grid.shape[1]] for first in firsts])
    if not cut.any():
        raise UnheardError("the critic hears nothing: no note of the music lies on its tracks and within"
                           f" its pitches, {grid.lowest} to {grid.lowest + grid.pitches - 1}")  # fmt: skip
    return cut


def normal_noise(rngs: Sequence[np.random.Generator], *shape: int) -> Tensor:
    """(B, *shape) float32, what each phrase is made of from a stream of its own."""
    return torch.from_numpy(np.stack([rng.standard_normal(shape, np.float32) for rng in rngs]))


def check_phrases(request: Request) -> None:
    """Raises RequestError for what no system can make that draws whole phrases."""
    if request.given is not None or request.primer is not None:
        raise RequestError("this system draws whole phrases and neither goes on from music nor fills it; compose with"
                           " it, or use a system that continues or fills")  # fmt: skip
    if request.seconds is not None:
        raise RequestError("this system writes bars and knows no seconds; ask for a number of bars")
    if request.count < 1 or request.bars < 1:
        raise RequestError(f"{request.count} pieces of {request.bars} bars cannot be made; ask for 1 or more")


def _cut(phrases: np.ndarray, steps: int) -> np.ndarray:
    """(C, K, S, P) -> the same with nothing behind so many steps in all."""
    kept = phrases.copy()
    whole, rest = divmod(steps, phrases.shape[2])
    if rest:
        kept[whole, :, rest:] = False
    return kept
