"""What is known of a piece -> sentences that somebody could have asked for it with, every one true of the piece.

Facts are labels of a dataset and measurements of the notes. A caption picks some of them and one of several frames:
a few words, a request, a description, a use, a feeling. Moods that no one labelled are guessed from mode, tempo and
density, after the plane of valence and arousal (Russell 1980), and then fewer than half of the captions speak of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from symusic import Score

from orchestrion.data.captions.grammar import Speaker
from orchestrion.data.dataset import Facts
from orchestrion.music.analysis import estimate_key, mean_polyphony, notes_per_quarter, swings
from orchestrion.music.bars import bars, instrument, tempo
from orchestrion.music.theory import DRUMS, Key, instrument_name

MENTIONED_SHARE = 0.02  # of the notes that an instrument plays to be spoken of
KEY_CONFIDENCE = 0.6  # of estimate_key, below which no key is told
LIVELY, QUIET = 7.0, 4.0  # notes a second of one player, from which on and below which a mood is guessed


def facts_of(score: Score, item_facts: Facts) -> dict[str, Any]:
    """Labels of the dataset with what the notes say: plain values that JSON can hold.

    Measured: instruments (names, by how much they play), tempo in quarter notes a minute, pace, meter, key where it is
    sure, density, register, loudness, articulation, texture, feel, and a guessed mood. Labels win over measurements.
    """
    tracks = [(instrument(track), track.notes.numpy()) for track in score.tracks if track.notes]
    counts: Counter[int] = Counter()
    for played, notes in tracks:
        counts[played] += len(notes["time"])
    enough = MENTIONED_SHARE * counts.total()
    qpm = tempo(score)
    found: dict[str, Any] = {
        "instruments": [instrument_name(played) for played, count in counts.most_common() if count >= enough],
        "tempo": qpm,
        "pace": level(qpm, "very slow", 58, "slow", 84, "", 90, "medium", 118, "", 126, "fast", 166, "very fast"),
        "meter": Counter(bar.meter.name for bar in bars(score)).most_common(1)[0][0],
    }
    pitched = [notes for played, notes in tracks if played != DRUMS]
    # A band has more notes than a soloist, and a drummer more than either.
    crowd = notes_per_quarter(score) / max(1, len(tracks)) ** 0.7 / (1 if pitched else 2)
    found["density"] = level(crowd, "sparse", 1.2, "", 4.0, "busy")
    if pitched:
        pitch, length, velocity = (np.concatenate([n[k] for n in pitched]) for k in ("pitch", "duration", "velocity"))
        quarters = float(np.median(length)) / score.tpq
        found["register"] = level(float(pitch.mean()), "low", 52, "", 70, "high")
        found["articulation"] = level(quarters, "short notes", 0.24, "", 1.9, "long notes")
        found["loudness"] = level(float(velocity.mean()), "soft", 50, "", 105, "loud")
        key, confidence = estimate_key(score)
        if confidence >= KEY_CONFIDENCE:
            found["key"] = key.name
        if len(pitched) == 1:
            found["texture"] = level(mean_polyphony(score), "single line", 1.1, "", 3.5, "chords")
    if swings(score.tpq, np.concatenate([notes["time"] for _, notes in tracks])):
        found["feel"] = "swing"
    facts = {name: value for name, value in {**found, **item_facts}.items() if value}
    if "key" in facts and (guess := guessed_mood(Key.parse(facts["key"]), found["pace"], crowd * qpm / 60)):
        facts["guessed mood"] = guess
    return facts


def level(value: float, first: str, *steps: float | str) -> str:
    """The word of the stretch in which the value lies: word, limit, word, limit, word and so on upwards."""
    limits, words = np.array(steps[::2], dtype=float), (first, *steps[1::2])
    return str(words[int(np.searchsorted(limits, value, side="right"))])


def guessed_mood(key: Key, pace: str, notes_per_second: float) -> str:
    """The quadrant of valence, from the mode, and arousal, from the notes a second of one player; "" between them.

    Of EMOPIA's clips, which people heard as one of four, 40 % get a guess, and 66 % of those are right (measured on
    400; chance is 25 %). Notes a second tell high arousal from low better than the tempo, and do not depend on whether
    beats were taken at half their length.
    """
    minor = key.mode == "minor"
    if notes_per_second >= LIVELY and "slow" not in pace:
        return "tense" if minor else "happy"
    if notes_per_second < QUIET and "fast" not in pace:
        return "sad" if minor else "calm"
    return ""


def captions(facts: Mapping[str, Any], rng: np.random.Generator, n: int) -> list[str]:
    """n captions of a piece with these facts, different from one another as far as the facts allow."""
    made: dict[str, None] = {}
    for _ in range(8 * n):
        if len(made) == n:
            break
        made[Speaker(facts, rng).caption()] = None
    return (list(made) * n)[:n]
