"""Editing by bars and tracks. Bars count from 1 and ranges include both ends; tracks count from 0 as in a Score.

Every function returns a new Score and leaves its arguments as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from symusic import Note, Score, Track

from orchestrion.music import ScoreError
from orchestrion.music.bars import Bar, bars, bars_through


def slice_bars(score: Score, first: int, last: int) -> Score:
    """Bars `first` to `last` as a piece of their own that starts at tick 0.

    Notes belong to the bar of their onset and end with the slice at the latest. Tempo, meter, key, controllers and
    pitch bend in force where the slice starts are set at its start. Raises ScoreError for bars that are not there.
    """
    layout = _bar_range(score, first, last)
    start, end = layout[0].start, layout[-1].end
    result = score.copy()
    for events in (result.tempos, result.time_signatures, result.key_signatures):
        _cut(events, start, end, carried=lambda event: 0)
    _cut(result.markers, start, end)
    for track in result.tracks:
        columns = track.notes.numpy()
        here = (columns["time"] >= start) & (columns["time"] < end)
        columns = {name: column[here] for name, column in columns.items()}
        columns["duration"] = np.minimum(columns["duration"], end - columns["time"])
        columns["time"] = columns["time"] - start
        track.notes = notes_of(columns)
        _cut(track.controls, start, end, carried=lambda control: control.number)
        _cut(track.pitch_bends, start, end, carried=lambda bend: 0)
        _cut(track.pedals, start, end)
        _cut(track.lyrics, start, end)
    return result


def select_tracks(score: Score, tracks: Iterable[int]) -> Score:
    """The named tracks alone, in the order named. Raises ScoreError for a track that is not there."""
    chosen = [_track(score, index).copy() for index in tracks]
    result = score.copy()
    result.tracks.clear()
    result.tracks.extend(chosen)
    return result


def replace_cells(original: Score, composed: Score, bar_range: tuple[int, int], tracks: Mapping[int, int]) -> Score:
    """`original` with the notes that start in these bars of these tracks replaced by those that `composed` has there.

    `tracks` maps a track of `original` to the track of `composed` that replaces it. All else stays as it is. Onsets are
    carried over relative to their bar and rounded to the nearest tick of `original`. Kept notes are never touched: a
    new note ends where a kept note of its pitch starts, and is left out where one is sounding already. Bars beyond the
    end of `original` go on in its last meter.
    Raises ScoreError for tracks that are not there, or where a bar differs in meter and length.
    """
    first, last = bar_range
    if not 1 <= first <= last:
        raise ScoreError(f"there are no bars {first} to {last}; bars count from 1")
    wanted = bars_through(original, last)[first - 1 : last]
    given = bars(composed)[bar_range[0] - 1 : bar_range[1]]  # may be fewer: nothing was composed in the last bars
    for number, (old, made) in enumerate(zip(wanted, given, strict=False), bar_range[0]):
        same_length = abs(old.length / original.tpq - made.length / composed.tpq) < 1 / original.tpq
        if old.meter != made.meter and not same_length:  # a bar cut short may be given in a meter that fits it
            raise ScoreError(
                f"bar {number} lasts {old.length / original.tpq:g} quarter notes, but what was composed there lasts"
                f" {made.length / composed.tpq:g}"
            )
    result = original.copy()
    for index, source in tracks.items():
        track = _track(result, index)
        columns = track.notes.numpy()
        inside = (columns["time"] >= wanted[0].start) & (columns["time"] < wanted[-1].end)
        kept = {name: column[~inside] for name, column in columns.items()}
        new = _carried(_track(composed, source).notes.numpy(), given, wanted, original.tpq, composed.tpq)
        new = _without_collisions(new, kept)
        columns = {name: np.concatenate([kept[name], new[name]]) for name in kept}
        order = np.argsort(columns["time"], kind="stable")
        track.notes = notes_of({name: column[order] for name, column in columns.items()})
    return result


def notes_of(columns: Mapping[str, np.ndarray]) -> Any:
    """The symusic notes with these columns: time, duration (ticks), pitch, velocity."""
    times = (np.ascontiguousarray(columns[name], np.int32) for name in ("time", "duration"))
    return Note.from_numpy(
        *times, *(np.ascontiguousarray(columns[name], np.int8) for name in ("pitch", "velocity")), ttype="tick"
    )


def _bar_range(score: Score, first: int, last: int) -> list[Bar]:
    layout = bars(score)
    if not 1 <= first <= last <= len(layout):
        raise ScoreError(f"there are no bars {first} to {last}; the piece has bars 1 to {len(layout)}")
    return layout[first - 1 : last]


def _track(score: Score, index: int) -> Track:
    if not 0 <= index < len(score.tracks):
        raise ScoreError(f"there is no track {index}; the piece has tracks 0 to {len(score.tracks) - 1}")
    return score.tracks[index]


def _cut(events: Any, start: int, end: int, carried: Any = None) -> None:
    """Keep the events in [start, end), moved to tick 0; and, where `carried` gives events a kind, the last before."""
    before, inside = {}, []
    for event in sorted(events, key=lambda event: event.time):
        if start <= event.time < end:
            inside.append(_at_tick(event, event.time - start))
        elif event.time < start and carried is not None:
            before[carried(event)] = event
    standing = []
    if carried is not None:
        replaced = {carried(event) for event in inside if event.time == 0}
        standing = [_at_tick(event, 0) for kind, event in before.items() if kind not in replaced]
    events.clear()
    events.extend(standing + inside)


def _at_tick(event: Any, tick: int) -> Any:
    moved = event.copy()
    moved.time = tick
    return moved


def _carried(
    columns: Mapping[str, np.ndarray], given: list[Bar], wanted: list[Bar], tpq: int, composed_tpq: int
) -> dict[str, np.ndarray]:
    """The notes that start in the bars `given` (at `composed_tpq`), moved to the bars `wanted` (at `tpq`)."""
    onset = columns["time"].astype(np.int64)
    number = np.searchsorted([bar.start for bar in given], onset, side="right") - 1
    inside = (number >= 0) & (onset < (given[-1].end if given else 0))
    onset, number = onset[inside], number[inside]
    duration = columns["duration"][inside].astype(np.int64)
    from_bar = onset - np.array([bar.start for bar in given], np.int64)[number]
    to_bar = np.array([bar.start for bar in wanted], np.int64)[number]
    start = to_bar + _scaled(from_bar, tpq, composed_tpq)
    end = np.maximum(to_bar + _scaled(from_bar + duration, tpq, composed_tpq), start + np.minimum(duration, 1))
    fits = start < np.array([bar.end for bar in wanted], np.int64)[number]  # a bar cut short holds less
    moved = {"time": start, "duration": end - start}
    moved |= {name: columns[name][inside] for name in ("pitch", "velocity")}
    return {name: column[fits] for name, column in moved.items()}


def _scaled(ticks: np.ndarray, tpq: int, composed_tpq: int) -> np.ndarray:
    """Ticks at `composed_tpq` as ticks at `tpq`: exact where they divide, else the nearest. In whole numbers."""
    return (2 * ticks * tpq + composed_tpq) // (2 * composed_tpq)


def _without_collisions(new: dict[str, np.ndarray], kept: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Trim each new note to the next kept onset of its pitch; leave out those that start while a kept one sounds."""
    duration, free = new["duration"].copy(), np.ones(len(new["time"]), bool)
    for pitch in np.unique(new["pitch"]):
        mine, theirs = np.flatnonzero(new["pitch"] == pitch), kept["pitch"] == pitch
        onsets = kept["time"][theirs].astype(np.int64)
        ends = onsets + kept["duration"][theirs]
        order = np.argsort(onsets, kind="stable")
        onsets, ends = onsets[order], np.maximum.accumulate(ends[order])
        after = np.searchsorted(onsets, new["time"][mine], side="left")
        following = np.append(onsets, np.iinfo(np.int64).max)[after]
        duration[mine] = np.minimum(duration[mine], following - new["time"][mine])
        free[mine] = np.concatenate([[np.iinfo(np.int64).min], ends])[after] <= new["time"][mine]
    columns = {**new, "duration": duration}
    return {name: column[free] for name, column in columns.items()}
