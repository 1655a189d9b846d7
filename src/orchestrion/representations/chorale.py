"""Chorales as the Music Transformer reads them (Huang et al. 2018, after Coconet): a grid of four voices, serialised.

Legend: T steps, N = 4 T tokens, V = 129. A step is a sixteenth note; each has four tokens: soprano, alto, tenor, bass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orchestrion.representations.melody import MAX_STEPS_PER_SECOND, held_notes, on_grid, pitched
from orchestrion.representations.notation import GridWriter, Notation, NotationError
from orchestrion.representations.timed import by_onset

VOICES = 4
BAR = 16  # steps
REST = 128
_CHOIR = 52  # General MIDI choir aahs


def tokens_of_voices(voices: np.ndarray) -> np.ndarray:
    """Pitches (T, 4) of soprano, alto, tenor and bass, below 0 for silence -> (4T,) int16 tokens. Raises ValueError for
    another shape or pitches above 127."""
    voices = np.asarray(voices)
    if voices.ndim != 2 or voices.shape[1] != VOICES or (voices > 127).any():
        raise ValueError(f"voices must be (T, {VOICES}) of pitches up to 127; these are {voices.shape}")
    return np.where(voices < 0, REST, voices).astype(np.int16).reshape(-1)


def voices_of_tokens(tokens: np.ndarray) -> np.ndarray:
    """(4T,) tokens -> (T, 4) int16 pitches, -1 for silence; a step that is not whole is left out."""
    tokens = np.asarray(tokens, np.int64)
    voices = tokens[: len(tokens) // VOICES * VOICES].reshape(-1, VOICES)
    return np.where((voices >= 0) & (voices < REST), voices, -1).astype(np.int16)


@dataclass(frozen=True)
class Chorale(Notation):
    """128 pitches and a rest, the pitch that sounds: four tokens a step, from high to low, on sixteenths at `tempo`
    quarter notes a minute.

    `encode` reads notes without their tracks, so the voices of a step are its pitches from high to low: where voices
    cross they change places (`tokens_of_voices` keeps them apart). Of more than four pitches the three highest and
    the lowest stay; of fewer the lower voices rest. A repeated note cannot be told from a held one, velocities are
    not kept, and silence before the first note and after the last is left out.
    """

    tempo: float = 80.0
    steps_per_quarter: int = 4

    def __post_init__(self) -> None:
        if not 1 <= self.steps_per_second <= MAX_STEPS_PER_SECOND:
            raise NotationError(f"{self.steps_per_quarter} steps a quarter note at tempo {self.tempo:g} make no grid; "
                                f"ask for 1 to {MAX_STEPS_PER_SECOND} steps a second")  # fmt: skip

    @property
    def name(self) -> str:
        grid = f"chorale-{4 * self.steps_per_quarter}"
        return grid if self.tempo == 80 else f"{grid}-{self.tempo:g}"

    @property
    def size(self) -> int:
        return REST + 1

    @property
    def steps_per_second(self) -> float:
        return self.steps_per_quarter * self.tempo / 60

    def encode(self, notes: np.ndarray) -> np.ndarray:
        """Raises NotationError where no pitched instrument plays."""
        notes = pitched(notes)
        starts, ends = on_grid(notes, self.steps_per_second)
        first = starts.min()
        roll = np.zeros((ends.max() - first + 1, 128), np.int32)
        down = 127 - notes["pitch"].astype(np.int64)
        np.add.at(roll, (starts - first, down), 1)
        np.subtract.at(roll, (ends - first, down), 1)
        counts = roll[:-1].cumsum(0)  # how many voices are on each pitch, the highest first
        steps, places = np.nonzero(counts)
        often = counts[steps, places]
        steps, pitches = np.repeat(steps, often), np.repeat(127 - places, often)
        firsts = np.searchsorted(steps, np.arange(len(counts)))
        rank = np.arange(len(steps)) - firsts[steps]
        lowest = np.append(steps[1:], -1) != steps
        kept = (rank < VOICES - 1) | lowest
        voices = np.full((len(counts), VOICES), -1)
        voices[steps[kept], np.minimum(rank, VOICES - 1)[kept]] = pitches[kept]
        return tokens_of_voices(voices)

    def decode(self, tokens: np.ndarray) -> np.ndarray:
        """Runs of a pitch in a voice become notes of a choir with velocity 80; a step that is not whole is left out."""
        voices = voices_of_tokens(tokens)
        return by_onset(np.concatenate([held_notes(voice, self.steps_per_second, _CHOIR) for voice in voices.T]))

    def writer(self, seconds: float | None = None) -> GridWriter:
        return GridWriter(self.size, (REST,), self.steps_per_second, seconds, VOICES)
