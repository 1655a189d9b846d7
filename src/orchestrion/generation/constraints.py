"""Whether a finished piece holds what was asked of it, read from its notes and signs alone."""

from __future__ import annotations

from dataclasses import dataclass

from symusic import Score

from orchestrion.music.bars import bars, instrument, tempo
from orchestrion.music.theory import DRUMS, Key, instrument_name
from orchestrion.text.reading import Controls, value_text


@dataclass(frozen=True)
class Check:
    """One control: what was asked, what the music has, and whether they agree."""

    control: str
    asked: str
    measured: str
    holds: bool


def check_controls(score: Score, asked: Controls, *, closes: bool) -> list[Check]:
    """A check for each control that is not None or empty.

    Bars are counted to the end of the last note; tempo must hold to 0.01 quarter notes a minute everywhere; instruments
    are those of the tracks that have notes; the key holds where every note of the pitched tracks belongs to it and,
    if the piece `closes`, those that start in its last bar to its tonic triad.
    """
    checks = []
    layout = bars(score)
    if asked.bars is not None:
        checks.append(Check("bars", str(asked.bars), str(len(layout)), len(layout) == asked.bars))
    if asked.tempo is not None:
        tempi = sorted({round(mark.qpm, 2) for mark in score.tempos} or {tempo(score)})
        agrees = all(abs(qpm - asked.tempo) < 0.01 for qpm in tempi)
        checks.append(Check("tempo", value_text(asked.tempo), ", ".join(map(value_text, tempi)), agrees))
    if asked.meter is not None:
        names = sorted({bar.meter.name for bar in layout})
        checks.append(Check("meter", asked.meter.name, ", ".join(names), names == [asked.meter.name]))
    if asked.instruments:
        playing = [instrument(track) for track in score.tracks if len(track.notes)]
        checks.append(Check("instruments", value_text(asked.instruments), ", ".join(map(instrument_name, playing)),
                            sorted(playing) == sorted(asked.instruments)))  # fmt: skip
    if asked.key is not None:
        checks.append(_check_key(score, asked.key, layout[-1].start if layout and closes else None))
    return checks


def _check_key(score: Score, key: Key, closing_tick: int | None) -> Check:
    outside = total = 0
    for track in score.tracks:
        if instrument(track) == DRUMS:
            continue
        for note in track.notes:
            legal = key.triad if closing_tick is not None and note.time >= closing_tick else key.pitch_classes
            total += 1
            outside += note.pitch % 12 not in legal
    measured = f"{total - outside} of {total} pitched notes in {key.name}"
    return Check("key", key.name, measured, outside == 0)
