"""Keys, scales, meters and General MIDI names: the words that every other floor speaks. Needs numpy at most.

Units: pitch is the MIDI note number (60 = middle C); pitch class is pitch % 12 (0 = C); tempo is quarter notes
a minute.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

PITCH_CLASS_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTALS = {"": 0, "#": 1, "♯": 1, "sharp": 1, "b": -1, "♭": -1, "flat": -1}
_KEY = re.compile(
    r"\s*(?P<letter>[a-gA-G])[\s-]*(?P<accidental>#|♯|♭|b(?![a-z])|sharp|flat)?[\s-]*"
    r"(?P<mode>major|maj|minor|min|m|M)?\s*"
)

#: Pitch classes relative to the tonic. Minor holds the natural scale and the raised sixth and seventh of the melodic
#: and harmonic forms, as tonal music in minor uses all three.
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 9, 10, 11)}
TRIADS = {"major": (0, 4, 7), "minor": (0, 3, 7)}


@dataclass(frozen=True)
class Key:
    """A major or minor key: `tonic` is a pitch class 0..11, `mode` is "major" or "minor"."""

    tonic: int
    mode: str

    def __post_init__(self) -> None:
        if self.mode not in SCALES or not 0 <= self.tonic < 12:
            raise ValueError(f"no such key: tonic {self.tonic}, mode {self.mode!r}")

    @classmethod
    def parse(cls, text: str) -> Key:
        """Read "D minor", "f# major", "Bb", "Am", "C sharp minor". A bare letter is major, a lower-case m is minor.

        Raises ValueError that names what was expected.
        """
        match = _KEY.fullmatch(text)
        if match is None:
            raise ValueError(
                f"{text!r} is not a key; write a letter A to G, # or b if needed, and major or minor: 'F# minor'"
            )
        accidental = _ACCIDENTALS[match["accidental"] or ""]
        mode = match["mode"] or "major"
        minor = mode in ("minor", "min", "m")
        return cls((_LETTERS[match["letter"].upper()] + accidental) % 12, "minor" if minor else "major")

    @property
    def name(self) -> str:
        return f"{PITCH_CLASS_NAMES[self.tonic]} {self.mode}"

    @property
    def pitch_classes(self) -> frozenset[int]:
        """The pitch classes that belong to the key (seven in major, nine in minor: see SCALES)."""
        return frozenset((self.tonic + step) % 12 for step in SCALES[self.mode])

    @property
    def triad(self) -> frozenset[int]:
        """The pitch classes of the tonic chord."""
        return frozenset((self.tonic + step) % 12 for step in TRIADS[self.mode])


@dataclass(frozen=True)
class Meter:
    """A time signature."""

    numerator: int
    denominator: int

    def __post_init__(self) -> None:
        if not 1 <= self.numerator <= 64 or self.denominator not in (1, 2, 4, 8, 16, 32, 64):
            raise ValueError(f"no such meter: {self.numerator}/{self.denominator}")

    @classmethod
    def parse(cls, text: str) -> Meter:
        """Read "3/4". Raises ValueError that names what was expected."""
        match = re.fullmatch(r"\s*(\d{1,2})\s*/\s*(\d{1,2})\s*", text)
        if match is None:
            raise ValueError(f"{text!r} is not a meter; write it as 3/4")
        return cls(int(match[1]), int(match[2]))

    @property
    def name(self) -> str:
        return f"{self.numerator}/{self.denominator}"

    @cached_property
    def quarters(self) -> float:
        """Length of a bar in quarter notes."""
        return 4 * self.numerator / self.denominator


COMMON_METERS = (Meter(4, 4), Meter(3, 4), Meter(2, 4), Meter(6, 8))
#: What may be asked for; networks count COMMON_METERS.
COMPOSABLE_METERS = (*COMMON_METERS, Meter(2, 2), Meter(3, 8), Meter(9, 8), Meter(12, 8), Meter(5, 4))

#: An instrument is a General MIDI program 0..127, or DRUMS for a percussion track (channel 10).
DRUMS = 128
INSTRUMENTS = 129

PROGRAM_NAMES = (
    "acoustic grand piano", "bright acoustic piano", "electric grand piano", "honky-tonk piano",
    "electric piano 1", "electric piano 2", "harpsichord", "clavinet",
    "celesta", "glockenspiel", "music box", "vibraphone", "marimba", "xylophone", "tubular bells", "dulcimer",
    "drawbar organ", "percussive organ", "rock organ", "church organ", "reed organ", "accordion", "harmonica",
    "tango accordion",
    "nylon guitar", "steel guitar", "jazz guitar", "clean electric guitar", "muted electric guitar",
    "overdriven guitar", "distortion guitar", "guitar harmonics",
    "acoustic bass", "fingered electric bass", "picked electric bass", "fretless bass", "slap bass 1",
    "slap bass 2", "synth bass 1", "synth bass 2",
    "violin", "viola", "cello", "contrabass", "tremolo strings", "pizzicato strings", "orchestral harp", "timpani",
    "string ensemble 1", "string ensemble 2", "synth strings 1", "synth strings 2", "choir aahs", "voice oohs",
    "synth voice", "orchestra hit",
    "trumpet", "trombone", "tuba", "muted trumpet", "french horn", "brass section", "synth brass 1", "synth brass 2",
    "soprano sax", "alto sax", "tenor sax", "baritone sax", "oboe", "english horn", "bassoon", "clarinet",
    "piccolo", "flute", "recorder", "pan flute", "blown bottle", "shakuhachi", "whistle", "ocarina",
    "square lead", "sawtooth lead", "calliope lead", "chiff lead", "charang lead", "voice lead", "fifths lead",
    "bass and lead",
    "new age pad", "warm pad", "polysynth pad", "choir pad", "bowed pad", "metallic pad", "halo pad", "sweep pad",
    "rain", "soundtrack", "crystal", "atmosphere", "brightness", "goblins", "echoes", "sci-fi",
    "sitar", "banjo", "shamisen", "koto", "kalimba", "bagpipe", "fiddle", "shanai",
    "tinkle bell", "agogo", "steel drums", "woodblock", "taiko drum", "melodic tom", "synth drum", "reverse cymbal",
    "guitar fret noise", "breath noise", "seashore", "bird tweet", "telephone ring", "helicopter", "applause",
    "gunshot",
)  # fmt: skip
FAMILY_NAMES = (
    "piano", "chromatic percussion", "organ", "guitar", "bass", "strings", "ensemble", "brass", "reed", "pipe",
    "synth lead", "synth pad", "synth effects", "ethnic", "percussive", "sound effects", "drums",
)  # fmt: skip


def family(instrument: int) -> int:
    """Index into FAMILY_NAMES: the sixteen General MIDI families of eight programs, and drums."""
    return instrument // 8


def instrument_name(instrument: int) -> str:
    """The General MIDI name of a program 0..127, "drums" for DRUMS."""
    return "drums" if instrument == DRUMS else PROGRAM_NAMES[instrument]


#: Lowest and highest sounding pitch that an instrument's written music commonly uses, by program; see `pitch_range`.
_RANGES = {
    **{p: (24, 96) for p in range(0, 8)}, **{p: (48, 108) for p in range(8, 16)}, 13: (60, 108), 15: (45, 96),
    **{p: (36, 96) for p in range(16, 24)}, **{p: (38, 88) for p in range(24, 32)},
    **{p: (24, 57) for p in range(32, 40)},
    40: (55, 103), 41: (48, 91), 42: (36, 81), 43: (24, 67), 44: (36, 96), 45: (36, 96), 46: (24, 103), 47: (36, 60),
    **{p: (36, 96) for p in range(48, 56)},
    56: (52, 87), 57: (36, 77), 58: (24, 65), 59: (52, 87), 60: (36, 82), 61: (36, 87), 62: (36, 87), 63: (36, 87),
    64: (54, 91), 65: (47, 86), 66: (42, 80), 67: (36, 74), 68: (58, 93), 69: (52, 84), 70: (34, 77), 71: (50, 94),
    72: (74, 108), 73: (60, 98), 74: (60, 98), 75: (55, 96), 76: (55, 96), 77: (55, 96), 78: (60, 103), 79: (60, 96),
}  # fmt: skip


def pitch_range(instrument: int) -> tuple[int, int]:
    """(lowest, highest) pitch that is common for the instrument; 27..87 for drums, 24..103 where unnamed."""
    return (27, 87) if instrument == DRUMS else _RANGES.get(instrument, (24, 103))
