"""The beats of a performance that was played without a grid, and the performance moved onto one.

Beats are found by dynamic programming over onset strength, after D. Ellis, "Beat Tracking by Dynamic Programming",
Journal of New Music Research 36(1), 2007. What differs: the tempo is a state of the search, so that it may drift (a
change from beat to beat is penalised, not a distance from one tempo of the whole piece), and onset strength comes from
notes, not from sound. Shapes: N notes, T frames, P beat periods.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from symusic import ControlChange, Score, Tempo, TimeSignature

from orchestrion.music import ScoreError
from orchestrion.music.analysis import note_columns
from orchestrion.music.edit import notes_of
from orchestrion.music.extent import seconds_at

TICKS_PER_QUARTER = 480
BEATS_PER_BAR = 4
FRAMES_PER_SECOND = 50
SHORTEST_BEAT_SECONDS, LONGEST_BEAT_SECONDS, PERIODS = 0.25, 1.5, 48
USUAL_BEAT_SECONDS = 0.55
TOGETHER_SECONDS = 0.03  # onsets closer than this are one chord
MIN_ONSETS = 8

# Chosen by random search on 40 performances of ASAP, 40 clips of EMOPIA and synthetic ones; half or twice costs little.
DRIFT_PENALTY = 20.0  # times the squared change of log period from beat to beat
PIECE_TEMPO_PENALTY = 1.0  # times the squared octaves from the tempo of the whole piece
USUAL_TEMPO_PENALTY = 0.3  # times the squared octaves from USUAL_BEAT_SECONDS
IDLE_PENALTY = 0.6  # for each beat, so that beats without onsets cost


@dataclass(frozen=True)
class Onsets:
    """Chords in order of time: when (seconds), how strongly each marks a beat, and how strongly its bass alone does."""

    seconds: np.ndarray
    strength: np.ndarray
    bass: np.ndarray


def align_performance(score: Score) -> Score:
    """The Score at 480 ticks a quarter note with its beats on the quarter notes, in 4/4 from a downbeat, and one tempo,
    the median one. All its events move along piecewise linearly between beats; nothing is quantised.

    Meter is taken to be 4/4, and the beat may be found at half or double the pace that a listener would choose.
    Raises ScoreError where fewer than MIN_ONSETS chords sound.
    """
    notes = note_columns(score)
    start = seconds_at(score, notes["time"])
    end = seconds_at(score, notes["time"] + notes["duration"])
    onsets = find_onsets(start, end, notes["pitch"], notes["velocity"])
    beats = track_beats(onsets)
    phase = downbeat_phase(beats, start, notes["pitch"], onsets)

    quarters = np.arange(len(beats), dtype=float) + (BEATS_PER_BAR - phase) % BEATS_PER_BAR
    first = float(_at(start.min(), beats, quarters))
    quarters -= BEATS_PER_BAR * np.floor((first + 0.125) / BEATS_PER_BAR)  # an early first note is no upbeat

    def moved(ticks: Any) -> np.ndarray:
        mapped = _at(seconds_at(score, np.asarray(ticks, float)), beats, quarters)
        return np.maximum(0, np.rint(mapped * TICKS_PER_QUARTER)).astype(np.int32)

    result = score.copy()
    result.ticks_per_quarter = TICKS_PER_QUARTER
    for track in result.tracks:
        columns = track.notes.numpy()
        begin, stop = moved(columns["time"]), moved(columns["time"].astype(np.int64) + columns["duration"])
        track.notes = notes_of({**columns, "time": begin, "duration": np.maximum(1, stop - begin)})
        controls = track.controls.numpy()
        track.controls = ControlChange.from_numpy(
            moved(controls["time"]), controls["number"], controls["value"], ttype="tick"
        )
        for pedal in track.pedals:
            begin, stop = moved([pedal.time, pedal.time + pedal.duration])
            pedal.time, pedal.duration = int(begin), int(stop - begin)
    for events in [
        result.key_signatures,
        result.markers,
        *(e for t in result.tracks for e in (t.pitch_bends, t.lyrics)),
    ]:
        for event in events:
            event.time = int(moved([event.time])[0])
    result.time_signatures.clear()
    result.time_signatures.append(TimeSignature(0, BEATS_PER_BAR, 4))
    result.tempos.clear()
    result.tempos.append(Tempo(0, qpm=round(60 / float(np.median(np.diff(beats))), 2)))
    return result


def find_onsets(start: np.ndarray, end: np.ndarray, pitch: np.ndarray, velocity: np.ndarray) -> Onsets:
    """Notes (times in seconds, each (N,)) as chords. Loud, full, long, low ones and those before a pause weigh more."""
    order = np.argsort(start, kind="stable")
    start, end, pitch, velocity = start[order], end[order], pitch[order], velocity[order]
    chord = np.cumsum(np.diff(start, prepend=start[:1]) > TOGETHER_SECONDS)
    count = int(chord[-1]) + 1 if len(chord) else 0
    if count < MIN_ONSETS:
        raise ScoreError(f"it has {count} onsets; at least {MIN_ONSETS} are needed to find a beat")
    seconds = np.bincount(chord, start) / np.bincount(chord)
    loudness = np.sqrt(np.bincount(chord, velocity / 64))
    lowest, longest = np.full(count, 127.0), np.zeros(count)
    np.minimum.at(lowest, chord, pitch)
    np.maximum.at(longest, chord, np.clip(end - start, 0, 1))
    pause = np.diff(seconds, append=seconds[-1] + 1).clip(0, 1)
    bass = 1 / (1 + np.exp((lowest - 52) / 6))
    return Onsets(seconds, 0.5 * loudness + bass + longest + 0.5 * pause, bass)


def track_beats(onsets: Onsets) -> np.ndarray:
    """Beat times in seconds, increasing, from near the first onset to near the last."""
    origin = onsets.seconds[0] - 0.5
    envelope = _envelope(onsets, origin)
    periods = np.geomspace(SHORTEST_BEAT_SECONDS, LONGEST_BEAT_SECONDS, PERIODS) * FRAMES_PER_SECOND
    periods = np.unique(np.rint(periods).astype(np.int64))  # (P,) frames
    log_period = np.log(periods)
    seconds = periods / FRAMES_PER_SECOND
    drift = -DRIFT_PENALTY * (log_period[:, None] - log_period) ** 2  # (P, P): new, old
    likely = -PIECE_TEMPO_PENALTY * np.log2(seconds / _main_period_seconds(envelope)) ** 2
    likely -= USUAL_TEMPO_PENALTY * np.log2(seconds / USUAL_BEAT_SECONDS) ** 2
    weight = (seconds / 0.5) ** 0.6  # a long beat counts for nearly as much as the short ones that would fill it

    best = np.full((len(envelope), len(periods)), -np.inf)  # (T, P)
    came_from = np.full(best.shape, -1, np.int16)
    head = int(LONGEST_BEAT_SECONDS * FRAMES_PER_SECOND)
    best[:head] = envelope[:head, None]  # the first beat may fall anywhere here
    states = np.arange(len(periods))
    for frame in range(int(periods[0]), len(envelope)):
        reach = periods <= frame
        before = best[frame - np.where(reach, periods, frame)] + drift
        old = before.argmax(axis=1)
        value = before[states, old] + weight * (envelope[frame] - IDLE_PENALTY + likely)
        better = reach & (value > best[frame])
        best[frame, better], came_from[frame, better] = value[better], old[better]

    tail = max(0, len(envelope) - head)
    frame, state = (int(i) for i in np.unravel_index(best[tail:].argmax(), best[tail:].shape))
    frame += tail
    frames = [frame]
    while (old_state := int(came_from[frame, state])) >= 0:
        frame, state = frame - int(periods[state]), old_state
        frames.append(frame)
    beats = origin + np.array(frames[::-1]) / FRAMES_PER_SECOND
    if len(beats) < 2:
        raise ScoreError("it is too short to find a beat")
    return _on_onsets(beats, onsets)


def downbeat_phase(beats: np.ndarray, start: np.ndarray, pitch: np.ndarray, onsets: Onsets) -> int:
    """Which of the first BEATS_PER_BAR beats opens a bar: there the bass enters, chords are strong, harmony changes."""
    chord = np.searchsorted((beats[1:] + beats[:-1]) / 2, onsets.seconds)
    near = np.abs(beats[chord] - onsets.seconds) < 0.07
    strong, low = np.zeros(len(beats)), np.zeros(len(beats))
    np.maximum.at(strong, chord[near], onsets.strength[near])
    np.maximum.at(low, chord[near], onsets.bass[near])
    heard = np.zeros((len(beats) + 1, 12))  # pitch classes from each beat on; row 0 is what comes before the first
    np.add.at(heard, (np.searchsorted(beats, start + 0.05), pitch % 12), 1.0)
    heard /= np.linalg.norm(heard, axis=1, keepdims=True).clip(1e-9)
    change = 1 - (heard[1:] * heard[:-1]).sum(axis=1)
    evidence = sum((feature - feature.mean()) / max(feature.std(), 1e-9) for feature in (strong, low, change))
    phases = range(min(BEATS_PER_BAR, len(beats)))
    return max(phases, key=lambda phase: float(np.mean(evidence[phase::BEATS_PER_BAR])))


def _envelope(onsets: Onsets, origin: float) -> np.ndarray:
    """(T,) onset strength, smoothed over some 30 ms, loud peaks held down, with a standard deviation of 1."""
    place = (onsets.seconds - origin) * FRAMES_PER_SECOND
    frame, part = place.astype(np.int64), place % 1
    frames = int(place[-1] + 0.5 * FRAMES_PER_SECOND) + 2
    impulses = np.bincount(frame, onsets.strength * (1 - part), frames)
    impulses += np.bincount(frame + 1, onsets.strength * part, frames)
    bell = np.exp(-0.5 * (np.arange(-6, 7) / (0.03 * FRAMES_PER_SECOND)) ** 2)
    envelope = np.convolve(impulses, bell, "same")
    envelope = np.minimum(envelope, 1.5 * np.percentile(envelope[envelope > 0.1], 95))
    return np.asarray(envelope / envelope.std())


def _main_period_seconds(envelope: np.ndarray) -> float:
    """The beat period of the whole piece: the strongest lag of the autocorrelation, its multiples counted along,
    under a log-normal preference for USUAL_BEAT_SECONDS."""
    centred = envelope - envelope.mean()
    spectrum = np.fft.rfft(centred, 2 * len(centred))
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[: len(centred)]
    correlation /= len(centred) - np.arange(len(centred)) + FRAMES_PER_SECOND
    lags = np.arange(int(0.2 * FRAMES_PER_SECOND), int(1.6 * FRAMES_PER_SECOND))
    shares = ((1, 1.0), (2, 0.5), (3, 0.25), (4, 0.25))
    summed = sum(share * np.interp(lags * times, np.arange(len(centred)), correlation) for times, share in shares)
    usual = np.exp(-0.5 * (np.log2(lags / FRAMES_PER_SECOND / USUAL_BEAT_SECONDS) / 0.9) ** 2)
    return float(lags[np.argmax(np.maximum(summed, 0) * usual)]) / FRAMES_PER_SECOND


def _on_onsets(beats: np.ndarray, onsets: Onsets) -> np.ndarray:
    """Beats moved from their frame to the chord they stand for, where there is one within two frames."""
    after = np.searchsorted(onsets.seconds, beats).clip(1, len(onsets.seconds) - 1)
    left, right = onsets.seconds[after - 1], onsets.seconds[after]
    nearest = np.where(beats - left < right - beats, left, right)
    return np.where(np.abs(nearest - beats) <= 2 / FRAMES_PER_SECOND, nearest, beats)


def _at(seconds: Any, beats: np.ndarray, quarters: np.ndarray) -> np.ndarray:
    """Quarter notes at times in seconds; before the first and after the last beat the median tempo goes on."""
    period = float(np.median(np.diff(beats)))
    inside = np.interp(seconds, beats, quarters)
    early, late = np.minimum(0, seconds - beats[0]), np.maximum(0, seconds - beats[-1])
    return np.asarray(inside + (early + late) / period)
