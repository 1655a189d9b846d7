"""Pairs of a phrase and a sentence that is true of it, kept in the folder of a corpus: `pairs-GRID-SPLIT.npz`, `.json`.

What can be said of a phrase is measured in the phrase itself, and taken from the labels of its piece. Its pitches are
shifted so that the tonic is C: a key is then no difference that words would have to explain.

Legend: N phrases, M sentences, Q meanings, D dimensions of an embedding, K tracks, S steps of a phrase, P pitches.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

import orchestrion
from orchestrion.core.files import replace_file
from orchestrion.data.cache import Progress, kept_table
from orchestrion.data.captions.embed import Encoder
from orchestrion.data.captions.phrases import MOOD_LABELS
from orchestrion.data.captions.templates import (
    DENSITIES,
    EMOTIONS,
    GENRES,
    MEANINGS,
    MODES,
    OPPOSITES,
    REGISTERS,
    fingerprint,
    sentences,
    things,
)
from orchestrion.data.phrases import Phrases, Selection, phrase_table
from orchestrion.data.store import Corpus, CorpusError, Piece
from orchestrion.music.theory import Key
from orchestrion.representations.phrases import PhraseGrid

MOST_PHRASES = 40_000  # of a split
MOST_SENTENCES, MOST_THINGS = 600, 6000  # of a meaning; of one that has things to learn from
WORDLESS = 0.4  # of the pairs have no sentence, and phrases as they come
SURE_KEY = 0.6  # confidence of a key, from which on its mode is told
SPARSE, BUSY = 8.0, 16.0  # notes a bar of one player, up to which and from which on
LONG, SHORT = 0.6, 0.3  # quarter notes that half of the notes last: few long ones are at rest, many short ones aroused
LOW, HIGH = 55.0, 71.0  # mean MIDI pitch of what is neither bass nor drums
FEWEST = 0.002  # share of the phrases that a meaning must be true of to be spoken of, and one phrase at least
_CROWD = 0.7  # a band plays more notes than a soloist, and fewer than as many soloists
_EMPHASIS = 3  # times as often as of notes, modes and genres it is spoken of moods and registers
_A_PHRASE = 4  # sentences of a meaning to a phrase of which it is true, so that few phrases are soon paired
_FEWER = 40  # times fewer sentences of what no word is held out of
_VERSION = 7
#: Moods that no one labelled: by mode, and by whether the music is aroused (Russell 1980). Of EMOPIA's clips, which
#: people heard as one of four, `captions.guessed_mood` is right of two thirds by the same signs.
GUESSES = {("major", "aroused"): "happy", ("minor", "aroused"): "tense", ("minor", "at rest"): "sad",
           ("major", "at rest"): "calm"}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Pairs:
    """Made by `pair_table`. firsts: (N,) the bars with which phrases begin; shifts: (N,) semitones up to C; true and
    denied: (N, Q) bool, what can and what cannot be said of them. sentences: M, with embeddings (M, D) float16 and
    their meanings (M,), numbers of MEANINGS."""

    phrases: Phrases
    firsts: np.ndarray
    shifts: np.ndarray
    true: np.ndarray
    denied: np.ndarray
    sentences: tuple[str, ...]
    embeddings: np.ndarray
    meanings: np.ndarray

    def draw(self, rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
        """phrases (count, K, S, P) bool; sentences (count, D) float32, 0 for none; denied (count, D), a sentence each
        that is not true of the phrase; meanings and denied_meanings (count,) int64, Q for none; tonics (count,) as they
        were. Each mood and register comes as often as any other, whatever is frequent in the music."""
        wordless = (rng.random(count) < WORDLESS) | (len(self._spoken) == 0)
        meaning = rng.choice(self._spoken, size=count, p=self._odds) if len(self._spoken) else np.zeros(count, np.int64)
        index = np.where(wordless, rng.integers(len(self.firsts), size=count), 0)
        for place in np.flatnonzero(~wordless):
            able = self._of[meaning[place]]
            index[place] = able[rng.integers(len(able))]
        against = np.array([self._denied_of(int(one), rng) for one in index])
        said = self._said(np.where(wordless, -1, meaning), rng)
        rolls = shifted(self.phrases.at(self.firsts[index]), self.shifts[index], self.phrases.grid)
        return {
            "phrases": rolls,
            "sentences": said,
            "denied": self._said(against, rng),
            "meanings": np.where(wordless, len(MEANINGS), meaning),
            "denied_meanings": np.where(against < 0, len(MEANINGS), against),
            "tonics": -self.shifts[index] % 12,
        }

    def _said(self, meanings: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(B,) meanings -> (B, D) float32, the embedding of any sentence of each; 0 for a meaning below 0."""
        said = np.zeros((len(meanings), self.embeddings.shape[1]), np.float32)
        for place in np.flatnonzero(meanings >= 0):
            rows = self._rows[meanings[place]]
            said[place] = self.embeddings[rows[rng.integers(len(rows))]]
        return said

    def _denied_of(self, index: int, rng: np.random.Generator) -> int:
        """A meaning that is not true of a phrase; of one of which nothing is denied, any that is not known of it; -1
        where there is none."""
        able = self._spoken[self.denied[index, self._spoken]]
        if not len(able):
            able = self._spoken[~self.true[index, self._spoken]]
        return int(able[rng.integers(len(able))]) if len(able) else -1

    @cached_property
    def _of(self) -> list[np.ndarray]:
        return [np.flatnonzero(column) for column in self.true.T]

    @cached_property
    def _rows(self) -> list[np.ndarray]:
        return [np.flatnonzero(self.meanings == meaning) for meaning in range(len(MEANINGS))]

    @cached_property
    def _spoken(self) -> np.ndarray:
        spoken = [
            m for m in range(len(MEANINGS)) if len(self._of[m]) > FEWEST * len(self.firsts) and len(self._rows[m])
        ]
        return np.array(spoken, np.int64)

    @cached_property
    def _odds(self) -> np.ndarray:
        weights = [_EMPHASIS if MEANINGS[m] in (*EMOTIONS, *REGISTERS) else 1 for m in self._spoken]
        return np.array(weights) / sum(weights)


def shifted(phrases: np.ndarray, semitones: np.ndarray, grid: PhraseGrid) -> np.ndarray:
    """(B, K, S, P) bool with the pitches of each phrase (B,) up by so many semitones, drums as they are; what leaves
    the range is cut off."""
    moved = phrases.copy()
    pitched = [track for track, name in enumerate(grid.track_set.names) if name != "drums"]
    for steps in np.unique(semitones[semitones != 0]):
        rows = np.flatnonzero(semitones == steps)
        for track in pitched:
            part = np.zeros_like(phrases[rows, track])
            if steps > 0:
                part[..., steps:] = phrases[rows, track][..., :-steps]
            else:
                part[..., :steps] = phrases[rows, track][..., -steps:]
            moved[rows, track] = part
    return moved


def to_c(key: Key) -> int:
    """Semitones up, -6 to 5, from the tonic to C."""
    return (-key.tonic + 6) % 12 - 6


def heard_in(phrase: np.ndarray, piece: Piece, grid: PhraseGrid) -> tuple[list[bool], list[bool]]:
    """What is true of a phrase (K, S, P) bool of a piece, and what is not, for each of MEANINGS; neither where nobody
    knows. Moods are those of labels, else GUESSES."""
    key = Key.parse(piece.key) if piece.key and piece.key_confidence >= SURE_KEY else None
    mode = key.mode if key else ""
    notes, length = _notes(phrase, grid)
    pitch = _mean_pitch(phrase, grid)
    density = "" if not notes else "sparse" if notes < SPARSE else "busy" if notes > BUSY else "even"
    arousal = {("sparse", True): "at rest", ("busy", False): "aroused"}.get((density, length >= LONG), "")
    arousal = "" if arousal == "aroused" and length > SHORT else arousal
    register = "" if np.isnan(pitch) else "low" if pitch < LOW else "high" if pitch > HIGH else "middle"
    label = piece.facts.get("emotion") or next(iter(piece.facts.get("mood", ())), "")
    mood = MOOD_LABELS.get(label, "") or GUESSES.get((mode, arousal), "")
    genres = set(piece.facts.get("genre", ()))
    true = {mood, register, density, mode, *genres}
    denied = {OPPOSITES[one] for one in true if one in OPPOSITES}
    if mood:
        denied |= {"sad", "calm"} if mood == "energetic" else set(EMOTIONS) - {mood}
    else:  # what a mood would be guessed from speaks against it
        against = {"sparse": "aroused", "busy": "at rest"}.get(density, "")
        denied |= {emotion for (other, how), emotion in GUESSES.items() if mode not in ("", other) or how == against}
    denied |= set(REGISTERS) - {register} if register else set()
    denied |= set(DENSITIES) - {density} if density else set()
    denied |= set(MODES) - {mode} if mode else set()
    denied |= set(GENRES) - genres if genres else set()
    return [one in true for one in MEANINGS], [one in denied - true for one in MEANINGS]


def _notes(phrase: np.ndarray, grid: PhraseGrid) -> tuple[float, float]:
    """Pitched notes a bar of one player, and how many quarter notes half of them last; 0 and 0 without any."""
    lanes = phrase[[name != "drums" for name in grid.track_set.names]].swapaxes(1, 2)  # (K, P, S)
    edges = np.diff(lanes.astype(np.int8), prepend=0, append=0)
    length = np.nonzero(edges == -1)[2] - np.nonzero(edges == 1)[2]  # both in the order of tracks, pitches and time
    players = int(lanes.any((1, 2)).sum())
    if not players:
        return 0.0, 0.0
    return len(length) / grid.bars / players**_CROWD, float(np.median(length)) * 4 / grid.steps_a_bar


def _mean_pitch(phrase: np.ndarray, grid: PhraseGrid) -> float:
    upper = phrase[[name not in ("drums", "bass") for name in grid.track_set.names]].sum((0, 1))
    return float(upper @ (grid.lowest + np.arange(grid.pitches)) / upper.sum()) if upper.any() else np.nan


def pair_table(
    corpus: Corpus,
    split: str,
    grid: PhraseGrid,
    encoder: Encoder,
    *,
    selection: Selection,
    progress: Progress = lambda done, total: None,
) -> Pairs:
    """The pairs of one split: read where they were kept, else made and kept, whole or not at all, in a minute or two.

    Phrases are at most MOST_PHRASES that do not overlap; sentences those of `sayings.sentences` of the split. Raises
    CorpusError where there is nothing to say of any phrase, or no phrase.
    """
    phrases = phrase_table(corpus, split, grid, selection=selection)
    path = corpus.path / f"pairs-{grid.name}-{selection.piece_tracks}-{split}.json"
    made_of = {
        "fingerprint": corpus.info()["fingerprint"], "encoder": encoder.name, "version": orchestrion.__version__,
        "pairs": _VERSION, "things": fingerprint(),
    }  # fmt: skip

    def opened(path: Path, written_ns: int) -> tuple[Mapping[str, Any], Pairs]:
        return _opened(path, written_ns, phrases)

    pairs = kept_table(path, made_of, opened, lambda: _write(phrases, corpus, split, encoder, path, made_of, progress))
    if split == "train" and not len(pairs._spoken):
        raise CorpusError(f"{corpus.path}: nothing can be said of any phrase of its {split} split; give it more music")
    return pairs


@lru_cache(maxsize=8)
def _opened(path: Path, written_ns: int, phrases: Phrases) -> tuple[Mapping[str, Any], Pairs]:
    told = json.loads(path.read_text("utf-8"))
    try:
        with path.with_suffix(".npz").open("rb") as file, np.load(file) as kept:
            arrays = dict(kept)
    except (BadZipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path.stem}.npz is damaged") from error
    pairs = Pairs(phrases, sentences=tuple(told["sentences"]), **arrays)
    if len(pairs.embeddings) != len(pairs.sentences) or pairs.true.shape[1] != len(MEANINGS):
        raise ValueError(f"{path} tells of other pairs")
    return told, pairs


def _write(
    phrases: Phrases, corpus: Corpus, split: str, encoder: Encoder, path: Path, made_of: Mapping[str, Any],
    progress: Progress,
) -> None:  # fmt: skip
    rng = np.random.default_rng(len(phrases))
    chosen = np.sort(rng.permutation(len(phrases))[:MOST_PHRASES])
    pieces = {piece.id: piece for piece in corpus.pieces(split)}
    heard, shifts = [], []
    for done, index in enumerate(chosen):
        piece = pieces[phrases.origin(int(index))[0]]
        heard.append(heard_in(phrases.phrase(int(index)), piece, phrases.grid))
        shifts.append(to_c(Key.parse(piece.key)) if piece.key else 0)
        if done % 100 == 0:
            progress(done, 2 * len(chosen))
    said = []
    for number, meaning in enumerate(MEANINGS):
        most = MOST_THINGS if split == "train" and things(meaning) else MOST_SENTENCES
        count = min(most, _A_PHRASE * sum(true[number] for true, _ in heard))
        told = sentences(meaning, split, count, rng) or sentences(meaning, "train", count // _FEWER, rng)
        said += [(one, number) for one in told]
    texts = [one for one, _ in said]
    step = 256
    parts = [np.zeros((0, encoder.width), np.float16)]
    for first in range(0, len(texts), step):
        progress(len(chosen) + first * len(chosen) // max(len(texts), 1), 2 * len(chosen))
        parts.append(encoder.encode(texts[first : first + step]).astype(np.float16))
    true, denied = (np.array([one[side] for one in heard], bool).reshape(len(heard), len(MEANINGS)) for side in (0, 1))
    data = io.BytesIO()
    np.savez(
        data, firsts=phrases.apart[chosen], shifts=np.array(shifts, np.int64), true=true, denied=denied,
        embeddings=np.concatenate(parts), meanings=np.array([number for _, number in said], np.int64),
    )  # fmt: skip
    replace_file(path.with_suffix(".npz"), data.getvalue())
    replace_file(path, json.dumps({**made_of, "sentences": texts}) + "\n")
    progress(2 * len(chosen), 2 * len(chosen))
