"""Notes in real time, to the millisecond: what is written to corpora beside the cells, for music without a beat."""

from __future__ import annotations

import numpy as np
from symusic import Score, Tempo, Track

from orchestrion.music.bars import instrument
from orchestrion.music.edit import notes_of
from orchestrion.music.extent import seconds_at
from orchestrion.music.theory import DRUMS

#: One note: milliseconds from the beginning, milliseconds it lasts (at least 1), MIDI pitch and velocity, General MIDI
#: program or theory.DRUMS.
TIMED = np.dtype([("onset", "<u4"), ("length", "<u4"), ("pitch", "u1"), ("velocity", "u1"), ("instrument", "u1")])
TICKS_PER_QUARTER, QUARTERS_A_MINUTE = 500, 120.0  # so that a tick is a millisecond


def timed(score: Score) -> np.ndarray:
    """(N,) TIMED, the notes of all tracks by onset, then pitch, then instrument. Onset and end are rounded each by
    itself, so nothing drifts; keys count as they are pressed, whatever the pedal does."""
    parts = [np.zeros(0, TIMED)]
    for track in score.tracks:
        notes = track.notes.numpy()
        start = notes["time"].astype(np.int64)
        edges = np.rint(seconds_at(score, np.stack([start, start + notes["duration"]])) * 1000).astype(np.int64)
        part = np.zeros(len(start), TIMED)
        part["onset"], part["length"] = edges[0], np.maximum(edges[1] - edges[0], 1)
        part["pitch"], part["velocity"] = notes["pitch"], np.maximum(notes["velocity"], 1)
        part["instrument"] = instrument(track)
        parts.append(part)
    return by_onset(np.concatenate(parts))


def by_onset(notes: np.ndarray) -> np.ndarray:
    """TIMED notes in order of onset, pitch and instrument."""
    return notes[np.lexsort((notes["instrument"], notes["pitch"], notes["onset"]))]


def score_of(notes: np.ndarray) -> Score:
    """TIMED notes (N,) as a Score of one track an instrument, drums last; a tick is a millisecond."""
    score = Score(TICKS_PER_QUARTER)
    score.tempos.append(Tempo(0, QUARTERS_A_MINUTE))
    for number in np.unique(notes["instrument"]):
        own = notes[notes["instrument"] == number]
        track = Track("", 0 if number == DRUMS else int(number), bool(number == DRUMS))
        track.notes = notes_of(
            {"time": own["onset"], "duration": own["length"], "pitch": own["pitch"], "velocity": own["velocity"]}
        )
        score.tracks.append(track)
    return score
