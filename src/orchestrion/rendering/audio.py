"""A Score as sound: FluidSynth plays it through a General MIDI sound font, offline and without an audio device.

The library is the one inside the pygame-ce wheel, or else the system's; the sound font is TimGM6mb from the pretty_midi
wheel unless ORCHESTRION_SOUNDFONT or the caller names another (.sf2 or .sf3).
"""

from __future__ import annotations

import ctypes
import ctypes.util
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib import metadata, util
from pathlib import Path

import numpy as np
from symusic import Score, Track

from orchestrion.core.files import replace_file
from orchestrion.music.extent import seconds_at
from orchestrion.rendering import RenderError

SOUNDFONT_VARIABLE = "ORCHESTRION_SOUNDFONT"
PEAK = 10 ** (-1 / 20)  # −1 dBFS
SILENCE = 10 ** (-66 / 20)  # of the peak; what the trimmed tail stays below
TAIL_SECONDS = 1.5  # how long the last notes may ring
FADE_SECONDS = 0.25  # of that tail, so that a pedal still held does not end in a click
MAX_SECONDS = 3600.0
MAX_TRACKS = 256  # channels that FluidSynth can have
SAMPLE_RATES = (8000, 96000)

# Kinds of event, in the order in which those of one tick are played: a note that ends makes room for its repetition,
# and what shapes the sound is set before the note that it shapes.
_OFF, _CONTROL, _BEND, _ON = range(4)
_PEDAL = 64  # sustain
_DRUM_BANK = 128  # where a sound font keeps its kits; the type of a channel alone does not lead there
_MODE_MESSAGES = 120  # from here on controls silence or regroup channels, and ours are not those of the file

_INT, _POINTER, _TEXT, _DOUBLE = ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_double
_SIGNATURES = {
    "fluid_set_log_function": (_POINTER, (_INT, _POINTER, _POINTER)),
    "new_fluid_settings": (_POINTER, ()),
    "delete_fluid_settings": (None, (_POINTER,)),
    "fluid_settings_setint": (_INT, (_POINTER, _TEXT, _INT)),
    "fluid_settings_setnum": (_INT, (_POINTER, _TEXT, _DOUBLE)),
    "fluid_settings_setstr": (_INT, (_POINTER, _TEXT, _TEXT)),
    "new_fluid_synth": (_POINTER, (_POINTER,)),
    "delete_fluid_synth": (None, (_POINTER,)),
    "fluid_synth_sfload": (_INT, (_POINTER, _TEXT, _INT)),
    "fluid_synth_set_channel_type": (_INT, (_POINTER, _INT, _INT)),
    "fluid_synth_bank_select": (_INT, (_POINTER, _INT, _INT)),
    "fluid_synth_program_change": (_INT, (_POINTER, _INT, _INT)),
    "fluid_synth_cc": (_INT, (_POINTER, _INT, _INT, _INT)),
    "fluid_synth_pitch_bend": (_INT, (_POINTER, _INT, _INT)),
    "fluid_synth_noteon": (_INT, (_POINTER, _INT, _INT, _INT)),
    "fluid_synth_noteoff": (_INT, (_POINTER, _INT, _INT)),
    "fluid_synth_write_float": (_INT, (_POINTER, _INT, _POINTER, _INT, _INT, _POINTER, _INT, _INT)),
}


def write_wav(
    score: Score,
    path: str | os.PathLike[str],
    *,
    sample_rate: int = 44100,
    soundfont: str | os.PathLike[str] | None = None,
) -> None:
    """Write a 16-bit stereo WAV, whole or not at all; the same Score gives the same bytes on one machine.

    Raises what `synthesize` raises, and ScoreError where the file cannot be written.
    """
    import soundfile

    audio = synthesize(score, sample_rate=sample_rate, soundfont=soundfont)
    wav = io.BytesIO()
    soundfile.write(wav, audio.T, sample_rate, "PCM_16", format="WAV")
    replace_file(path, wav.getvalue())


def synthesize(
    score: Score, *, sample_rate: int = 44100, soundfont: str | os.PathLike[str] | None = None
) -> np.ndarray:
    """The sound of a Score in ticks: (2, samples) float32, left and right, its peak at −1 dBFS.

    Every track has a channel of its own. Tempo changes, controls below 120 (volume, pan, sustain, expression) and pitch
    bends are played; events fall within 64 samples of their time. The last notes ring for at most TAIL_SECONDS. Notes
    that the sound font has no sound for leave silence.
    Raises RenderError: no notes, more than MAX_TRACKS tracks or MAX_SECONDS, a sample rate outside SAMPLE_RATES, no
    usable sound font, or no FluidSynth.
    """
    tracks = [track for track in score.tracks if track.notes]
    if not tracks:
        raise RenderError("the music has no notes, so there is nothing to hear")
    if len(tracks) > MAX_TRACKS:
        raise RenderError(f"the music has {len(tracks)} tracks, at most {MAX_TRACKS} can be played; leave some out")
    if not SAMPLE_RATES[0] <= sample_rate <= SAMPLE_RATES[1]:
        raise RenderError(f"the sample rate is {sample_rate} Hz, expected {SAMPLE_RATES[0]} to {SAMPLE_RATES[1]}")

    events = np.concatenate([_events(track, channel) for channel, track in enumerate(tracks)])
    events = events[np.lexsort((events[:, 1], events[:, 0]))]  # by tick, then kind; otherwise as they stand
    events = events[: np.flatnonzero(events[:, 1] == _OFF)[-1] + 1]  # nothing counts after the last note
    seconds = seconds_at(score, events[:, 0])
    if seconds[-1] > MAX_SECONDS:
        minutes, most = round(seconds[-1] / 60), round(MAX_SECONDS / 60)
        raise RenderError(f"the music lasts {minutes} minutes, at most {most} can be played; play a part of it")
    events[:, 0] = np.rint(seconds * sample_rate)

    end = int(events[-1, 0])
    audio = np.zeros((end + round(TAIL_SECONDS * sample_rate), 2), dtype=np.float32)
    with _synthesizer(tracks, sample_rate, _soundfont(soundfont)) as synth:
        _play(synth, events, audio)
    fade = round(FADE_SECONDS * sample_rate)
    audio[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)[:, None]
    peak = max(float(audio.max()), -float(audio.min()))
    loud = np.flatnonzero(np.abs(audio[end:]).max(axis=1) > SILENCE * peak)
    audio = audio[: end + (loud[-1] + 1 if loud.size else 0)]
    if peak > 1e-6:  # below lies what FluidSynth's reverb adds to silence
        audio *= PEAK / peak
    return audio.T


def _events(track: Track, channel: int) -> np.ndarray:
    """(E, 5) int64: tick, kind, channel and the event's one or two values."""
    notes, controls, bends = track.notes.numpy(), track.controls.numpy(), track.pitch_bends.numpy()
    start = notes["time"].astype(np.int64)
    end = start + np.maximum(notes["duration"], 1)
    heard = controls["number"] < _MODE_MESSAGES
    columns = [
        (start, _ON, notes["pitch"], notes["velocity"]),
        (end, _OFF, notes["pitch"], 0),
        (controls["time"][heard], _CONTROL, controls["number"][heard], controls["value"][heard]),
        (bends["time"], _BEND, bends["value"].astype(np.int64) + 8192, 0),
    ]
    if not np.any(controls["number"] == _PEDAL):  # a Score read from a file holds its pedalling twice
        pedals = track.pedals.numpy()
        columns += [
            (pedals["time"] + pedals["duration"], _CONTROL, _PEDAL, 0),
            (pedals["time"], _CONTROL, _PEDAL, 127),
        ]
    blocks = []
    for ticks, kind, first, second in columns:
        block = np.empty((len(ticks), 5), dtype=np.int64)
        block[:, 0], block[:, 1], block[:, 2], block[:, 3], block[:, 4] = ticks, kind, channel, first, second
        blocks.append(block)
    return np.concatenate(blocks)


@contextmanager
def _synthesizer(tracks: Sequence[Track], sample_rate: int, soundfont: Path) -> Iterator[int]:
    """A FluidSynth with one channel a track, each set to its instrument. Raises RenderError."""
    fluid = _fluidsynth()
    settings = fluid.new_fluid_settings()
    synth = None
    try:
        fluid.fluid_settings_setnum(settings, b"synth.sample-rate", sample_rate)
        fluid.fluid_settings_setint(settings, b"synth.midi-channels", -(-len(tracks) // 16) * 16)
        fluid.fluid_settings_setstr(settings, b"synth.midi-bank-select", b"gm")  # General MIDI alone: no other banks
        fluid.fluid_settings_setint(settings, b"synth.polyphony", 512)
        fluid.fluid_settings_setint(settings, b"synth.dynamic-sample-loading", 1)  # reads only the instruments in use
        fluid.fluid_settings_setint(settings, b"synth.lock-memory", 0)
        fluid.fluid_settings_setint(settings, b"synth.threadsafe-api", 0)
        synth = fluid.new_fluid_synth(settings)
        if not synth or fluid.fluid_synth_sfload(synth, os.fsencode(soundfont), 1) < 0:
            raise RenderError(f"{soundfont} is not a sound font that FluidSynth can read; expected .sf2 or .sf3")
        for channel, track in enumerate(tracks):
            fluid.fluid_synth_set_channel_type(synth, channel, int(track.is_drum))
            fluid.fluid_synth_bank_select(synth, channel, _DRUM_BANK if track.is_drum else 0)
            fluid.fluid_synth_program_change(synth, channel, track.program)
        yield synth
    finally:
        if synth:
            fluid.delete_fluid_synth(synth)
        fluid.delete_fluid_settings(settings)


def _play(synth: int, events: np.ndarray, audio: np.ndarray) -> None:
    """Fill audio (samples, 2) with what the synthesizer plays of the events, whose column 0 is in samples."""
    fluid = _fluidsynth()
    at = 0

    def sound_until(sample: int) -> None:
        nonlocal at
        buffer = audio.ctypes.data
        fluid.fluid_synth_write_float(synth, sample - at, buffer, 2 * at, 2, buffer, 2 * at + 1, 2)
        at = sample

    for sample, kind, channel, first, second in events.tolist():
        if sample > at:
            sound_until(sample)
        if kind == _ON:
            fluid.fluid_synth_noteon(synth, channel, first, second)
        elif kind == _OFF:
            fluid.fluid_synth_noteoff(synth, channel, first)
        elif kind == _CONTROL:
            fluid.fluid_synth_cc(synth, channel, first, second)
        else:
            fluid.fluid_synth_pitch_bend(synth, channel, first)
    sound_until(len(audio))


def _soundfont(named: str | os.PathLike[str] | None) -> Path:
    """The sound font to play: the one named, the one in the environment, or TimGM6mb. Raises RenderError."""
    chosen = named or os.environ.get(SOUNDFONT_VARIABLE)
    if chosen:
        path = Path(chosen)
        if not path.is_file():
            raise RenderError(f"there is no sound font {path}; name a .sf2 or .sf3 file, or unset {SOUNDFONT_VARIABLE}")
        return path
    spec = util.find_spec("pretty_midi")  # finds the folder without importing it
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).with_name("TimGM6mb.sf2")
        if path.is_file():
            return path
    raise RenderError(f"there is no sound font; pip install pretty_midi, or set {SOUNDFONT_VARIABLE} to a .sf2 file")


@cache
def _fluidsynth() -> ctypes.CDLL:
    """The FluidSynth library, version 2, silent. Raises RenderError."""
    for path in _library_paths():
        with suppress(OSError, AttributeError):  # not loadable here, or another library's version
            library = ctypes.CDLL(path)
            for name, (result, arguments) in _SIGNATURES.items():
                function = getattr(library, name)
                function.restype, function.argtypes = result, arguments
            for level in range(5):
                library.fluid_set_log_function(level, None, None)
            return library
    raise RenderError("there is no FluidSynth library; pip install pygame-ce, or install your system's fluidsynth")


def _library_paths() -> Iterator[str]:
    with suppress(metadata.PackageNotFoundError):
        for file in metadata.files("pygame-ce") or ():
            if file.name.startswith("libfluidsynth"):
                yield str(file.locate())
    for name in ("fluidsynth", "libfluidsynth-3", "libfluidsynth"):
        found = ctypes.util.find_library(name)
        if found:
            yield found
