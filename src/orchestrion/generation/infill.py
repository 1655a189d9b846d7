"""Music that is given: as cells, with more bars and tracks, joined with what was composed around it; and what of a
sentence it leaves open.

Shapes: M bars, K tracks of the cells; a hole is (M, K) bool, True where to compose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from symusic import Score, Track

from orchestrion.core.errors import UserError
from orchestrion.music.analysis import estimate_key
from orchestrion.music.bars import bars as bars_of
from orchestrion.music.bars import instrument
from orchestrion.music.edit import notes_of, replace_cells
from orchestrion.music.extent import last_end, length_seconds, ticks_at
from orchestrion.music.pedal import apply_sustain
from orchestrion.music.theory import DRUMS, PROGRAM_NAMES, Key, family, instrument_name
from orchestrion.representations.cells import TRACK, Cells, encode_tracks, instrument_order
from orchestrion.representations.timed import timed
from orchestrion.text.controls import NotUnderstood, Reading, Understood, parse_instruments
from orchestrion.text.reading import value_text

HALF_STEP_SECONDS = 0.005  # of a notation in real time, to whose grid the end of what is given was rounded


class GivenError(UserError):
    """A track that the music given does not have."""


@dataclass(frozen=True)
class Given:
    """Music as cells, the Score it is from, and which track of it each cell track is (None: a new one)."""

    score: Score
    cells: Cells
    sources: tuple[int | None, ...]

    @classmethod
    def of(cls, score: Score) -> Given:
        cells, sources = encode_tracks(apply_sustain(score))
        return cls(score, cells, sources)

    def extended(self, bars: int, instruments: Sequence[int]) -> Given:
        """With bars added in the last meter, and tracks added in the order of instruments."""
        programs = [*self.cells.instruments, *instruments]
        sources = [*self.sources, *([None] * len(instruments))]
        order = sorted(range(len(programs)), key=lambda place: instrument_order(programs[place]))
        place = np.argsort(order)
        notes = self.cells.notes.copy()
        notes[:, TRACK] = place[notes[:, TRACK]]
        meters = self.cells.meters + (self.cells.meters[-1],) * bars
        cells = Cells(notes, tuple(programs[old] for old in order), meters, self.cells.tempo)
        return Given(self.score, cells, tuple(sources[old] for old in order))


def tracks_named(score: Score, names: Sequence[str]) -> tuple[int, ...]:
    """Indices of the tracks with these numbers (from 1), names, instruments or, where none plays that, relatives of the
    instrument. Raises GivenError where one is not there, ControlsError for a name that is no instrument either."""
    found: list[int] = []
    for name in (name.strip() for name in names):
        if name.isdecimal():
            if not 1 <= int(name) <= len(score.tracks):
                raise GivenError(f"there is no track {name}; the music has tracks 1 to {len(score.tracks)}")
            found.append(int(name) - 1)
            continue
        here = [i for i, track in enumerate(score.tracks) if track.name.strip().lower() == name.lower()]
        found += here or _tracks_playing(score, name)
    return tuple(dict.fromkeys(found))


def _tracks_playing(score: Score, name: str) -> list[int]:
    wanted = parse_instruments(name)
    playing = [instrument(track) for track in score.tracks]
    here = [i for i, program in enumerate(playing) if program in wanted]
    here = here or [i for i, program in enumerate(playing) if family(program) in map(family, wanted)]
    if not here:
        there = ", ".join(dict.fromkeys(map(instrument_name, playing)))
        raise GivenError(f"no track plays {name!r}; the tracks play {there}")
    return here


def composed_part(composed: Score, hole: np.ndarray) -> Score:
    """What was composed alone, without the notes given."""
    result = composed.copy()
    starts = np.array([bar.start for bar in bars_of(composed)])
    for track, composed_bars in zip(result.tracks, hole.T, strict=True):
        columns = track.notes.numpy()
        here = composed_bars[np.searchsorted(starts, columns["time"], side="right") - 1]
        track.notes = notes_of({name: column[here] for name, column in columns.items()})
    return result


def joined(given: Given, hole: np.ndarray, composed: Score) -> Score:
    """The music given with the notes of `composed` in the cells of the hole, each track's taken as one run of bars."""
    result = given.score.copy()
    for place, source in enumerate(given.sources):
        composed_bars = np.flatnonzero(hole[:, place])
        if not len(composed_bars):
            continue
        if source is None:
            program = given.cells.instruments[place]
            drums = program == DRUMS
            result.tracks.append(Track(instrument_name(program), 0 if drums else program, drums))
            source = len(result.tracks) - 1
        span = int(composed_bars[0]) + 1, int(composed_bars[-1]) + 1
        result = replace_cells(result, composed, span, {source: place})
    return result


def followed(score: Score, composed: Score) -> Score:
    """The music given, note for note, and behind its end what `composed` has there in real time, each instrument on the
    first track that has it, else on a new one."""
    result, end = score.copy(), length_seconds(score)
    notes = timed(composed)
    seconds = np.stack([notes["onset"], notes["onset"] + notes["length"]]) / 1000
    later = seconds[0] > end - HALF_STEP_SECONDS
    for program in np.unique(notes["instrument"][later]):
        own = later & (notes["instrument"] == program)
        time, stop = np.rint(ticks_at(score, seconds[:, own])).astype(np.int64)
        time = np.maximum(time, last_end(score))
        columns = {"time": time, "duration": np.maximum(stop - time, 1), "pitch": notes["pitch"][own],
                   "velocity": notes["velocity"][own]}  # fmt: skip
        tracks = [track for track in result.tracks if instrument(track) == program]
        if not tracks:
            result.tracks.append(Track(instrument_name(int(program)), int(program) % DRUMS, bool(program == DRUMS)))
            tracks = [result.tracks[-1]]
        tracks[0].notes.extend(notes_of(columns))
    return result


def bound(reading: Reading, given: Cells, keeps_bars: bool) -> Reading:
    """The reading where the music given decides: words for something else are not understood, and told why."""
    families = {family(program) for program in given.instruments}
    meters = dict.fromkeys(meter.name for meter in given.meters)
    holds = {
        "tempo": value_text(given.tempo),
        "meter": ", ".join(meters),
        "instruments": value_text(tuple(dict.fromkeys(given.instruments))),
    }
    if keeps_bars:
        holds["bars"] = str(len(given.meters))

    def fits(words: Understood) -> bool:
        if words.control == "instruments":
            return {family(program) for program in _programs(words.value)} <= families
        if words.control == "without":
            return not {family(program) for program in _programs(words.value)} & families
        return words.value == holds.get(words.control, words.value)

    understood, refused = [], list(reading.not_understood)
    for words in reading.understood:
        if words.overruled_by or fits(words):
            understood.append(words)
        elif words.strength == "suggested":
            understood.append(replace(words, overruled_by="the music given"))
        else:
            kept = holds.get(words.control) or holds["instruments"]
            control = "instruments" if words.control == "without" else words.control
            said = f"{words.words} {words.value}" if words.strength == "option" else words.words
            refused.append(NotUnderstood(said, f"the music given keeps its {control}: {kept}"))
    return replace(reading, understood=tuple(understood), not_understood=tuple(refused))


def _programs(names: str) -> list[int]:
    """The instruments behind the text that `value_text` makes of them."""
    known = [*PROGRAM_NAMES, instrument_name(DRUMS)]
    return [known.index(name) for name in names.split(", ") if name]


def key_around(reading: Reading, given: Score) -> tuple[Key, bool]:
    """The key to compose in and whether it was asked for: a mode alone is on the tonic of the music given."""
    if reading.controls.key is not None:
        return reading.controls.key, True
    key = estimate_key(given)[0]
    modes = [words.value for words in reading.understood
             if words.control == "mode" and words.strength != "suggested" and not words.overruled_by]  # fmt: skip
    return (Key(key.tonic, modes[0]), True) if modes else (key, False)
