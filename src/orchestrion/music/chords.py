"""Chords as values, and as the numbers by which networks and corpora know them. Needs no other room.

A chord code is a number below CHORD_CODES: 0 nothing known, 1 no chord (N.C.), from 2 on 12 * quality + root. A bass
code is 0 where nothing is known, else 1 + the pitch class of the lowest note. Pitch classes: 0 = C .. 11 = B.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from orchestrion.music.theory import PITCH_CLASS_NAMES, Key

#: Symbol of each quality and its tones in semitones above the root, in the order of the codes.
QUALITIES: dict[str, tuple[int, ...]] = {
    "": (0, 4, 7), "m": (0, 3, 7), "dim": (0, 3, 6), "aug": (0, 4, 8), "7": (0, 4, 7, 10), "maj7": (0, 4, 7, 11),
    "m7": (0, 3, 7, 10), "m7b5": (0, 3, 6, 10), "sus4": (0, 5, 7),
}  # fmt: skip
QUALITY_NAMES = tuple(QUALITIES)
#: The triad behind each quality, as an index into QUALITY_NAMES: sevenths without their seventh.
TRIAD_OF = np.array([QUALITY_NAMES.index(q) for q in ("", "m", "dim", "aug", "", "", "m", "dim", "sus4")])

UNKNOWN, NO_CHORD, FIRST_CHORD = 0, 1, 2
CHORD_CODES = FIRST_CHORD + 12 * len(QUALITIES)
BASS_CODES = 13


@dataclass(frozen=True)
class Chord:
    """root: pitch class 0..11; quality: a symbol of QUALITIES; bass: pitch class of the lowest note, None for the root.
    Raises ValueError for anything else."""

    root: int
    quality: str = ""
    bass: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.root < 12 or self.quality not in QUALITIES or not (self.bass is None or 0 <= self.bass < 12):
            raise ValueError(f"no such chord: root {self.root}, quality {self.quality!r}, bass {self.bass}")
        if self.bass == self.root:
            object.__setattr__(self, "bass", None)

    @property
    def name(self) -> str:
        """ "Am", "Bbmaj7", "C/E"."""
        slash = "" if self.bass is None else f"/{PITCH_CLASS_NAMES[self.bass]}"
        return f"{PITCH_CLASS_NAMES[self.root]}{self.quality}{slash}"

    @property
    def pitch_classes(self) -> frozenset[int]:
        """Of its tones, without a bass that is none of them."""
        return frozenset((self.root + tone) % 12 for tone in QUALITIES[self.quality])

    @property
    def code(self) -> int:
        return FIRST_CHORD + 12 * QUALITY_NAMES.index(self.quality) + self.root

    @property
    def bass_code(self) -> int:
        return 1 + (self.root if self.bass is None else self.bass)

    def transposed(self, semitones: int) -> Chord:
        bass = None if self.bass is None else (self.bass + semitones) % 12
        return replace(self, root=(self.root + semitones) % 12, bass=bass)


def chord_of(code: int, bass_code: int = 0) -> Chord | None:
    """The chord of a code; None for NO_CHORD. Raises ValueError for UNKNOWN and for numbers that are no code."""
    if code == NO_CHORD:
        return None
    if not FIRST_CHORD <= code < CHORD_CODES:
        raise ValueError(f"{code} is not the code of a chord")
    quality, root = divmod(code - FIRST_CHORD, 12)
    return Chord(root, QUALITY_NAMES[quality], bass_code - 1 if bass_code else None)


def transposed_codes(codes: np.ndarray, semitones: int) -> np.ndarray:
    """Chord codes, of any shape, moved by semitones; UNKNOWN and NO_CHORD stay."""
    codes = np.asarray(codes, np.int64)
    number = codes - FIRST_CHORD
    moved = FIRST_CHORD + number // 12 * 12 + (number + semitones) % 12
    return np.where(codes >= FIRST_CHORD, moved, codes)


def transposed_basses(codes: np.ndarray, semitones: int) -> np.ndarray:
    """Bass codes, of any shape, moved by semitones; 0 stays."""
    codes = np.asarray(codes, np.int64)
    return np.where(codes > 0, 1 + (codes - 1 + semitones) % 12, 0)


# ---- reading chords and progressions


_MAJOR, _MINOR = r"(?:major|maj|Maj|MAJ|ma|M|j)", r"(?:minor|min|Min|mi|m|-)"
_ALTERED = r"(?:alt|[#b+-](?:5|9|11|13)|add(?:9|11|13))*"
#: What may follow the root, as a pattern, and the quality that it is taken as; the first that fits holds.
_SUFFIXES = tuple(
    (re.compile(pattern), quality)
    for pattern, quality in (
        (rf"(?:{_MAJOR}?(?:6|69|6/9|add9|add2|add11|2)?|5)", ""),
        (r"(?:7|9|11|13)?sus(?:2|4|24|2sus4)?(?:add9)?", "sus4"),
        (r"(?:aug|\+)(?:7|9)?|(?:7|9|maj7|M7)?(?:#5|\+5|\+)", "aug"),
        (r"(?:dim|o)7?", "dim"),
        (rf"{_MINOR}7(?:b5|-5)", "m7b5"),
        (rf"{_MINOR}(?:6|69|6/9|add9|add2|add11|{_MAJOR}(?:7|9))?", "m"),
        (rf"{_MINOR}(?:7|9|11|13){_ALTERED}", "m7"),
        (rf"{_MAJOR}(?:7|9|11|13){_ALTERED}", "maj7"),
        (rf"(?:dom)?(?:7|9|11|13){_ALTERED}|alt", "7"),
    )
)
_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SIGNS = {"": 0, "#": 1, "b": -1}
_CHORD = re.compile(r"(?P<letter>[A-Ga-g])(?P<sign>[#b]?)(?P<suffix>.*?)(?:/(?P<bass>[A-G])(?P<bass_sign>[#b]?))?")
_NUMERAL = re.compile(
    r"(?P<sign>[#b]?)(?P<degree>VII|VI|IV|V|III|II|I|vii|vi|iv|v|iii|ii|i)(?![IVXivx])(?P<suffix>[^/]*?)(?:/(?P<of>.+))?"
)
_NO_CHORD_WORDS = ("NC", "N.C.", "N.C", "NC.")
_DEGREES = ("I", "II", "III", "IV", "V", "VI", "VII")
_SCALE_DEGREES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
#: Triad and seventh chord on each degree; in minor with the dominant of the harmonic scale.
_ON_DEGREES = {
    "major": (("", "m", "m", "", "", "m", "dim"), ("maj7", "m7", "m7", "maj7", "7", "m7", "m7b5")),
    "minor": (("m", "dim", "", "m", "", "", ""), ("m7", "m7b5", "maj7", "m7", "7", "maj7", "7")),
}
#: A chord or numeral in a text, and what may stand between two of them. A hyphen before a letter parts two chords.
SYMBOL = re.compile(r"N\.C\.?|(?:[^\s\x01\x02|,;:.!?–—→>%-]|%)(?:[^\s\x01\x02|,;:.!?–—→>-]|-(?![A-Za-z#♯♭]))*")
BETWEEN = re.compile(r"[\s|,–—→>-]*")
#: Progressions that have a name, two bars parted by "|" only where a bar holds two chords.
PROGRESSIONS: dict[str, str] = {
    name: numerals
    for names, numerals in {
        "twelve bar blues, 12 bar blues, blues progression, blues changes": "I I I I IV IV I I V IV I I",
        "axis progression, axis of awesome, axis, four chords, four chord song, four chord progression, "
        "four chord loop": "I V vi IV",
        "pachelbel, pachelbel progression, pachelbel canon, pachelbel's canon, pachelbels canon, canon progression, "
        "canon chords, canon": "I V vi iii IV I IV V",
        "andalusian cadence, andalusian": "i VII VI V",
        "doo wop progression, doo wop changes, doo wop chords, doo wop, 50s progression, fifties progression, "
        "50s chords": "I vi IV V",
        "circle of fifths, circle of fifths progression, circle progression": "I IV vii° iii vi ii V I",
        "rhythm changes": "I vi | ii V | I vi | ii V | I I7 | IV iv | I V | I",
        "royal road, royal road progression": "IV V iii vi",
    }.items()
    for name in names.split(", ")
}


def _plain(symbol: str) -> str:
    """A symbol with the signs of print written in letters: "C♯ø7" becomes "C#m7b5"."""
    symbol = symbol.replace("♯", "#").replace("♭", "b").replace("−", "-").translate({ord("("): None, ord(")"): None})
    symbol = re.sub("[ØøΦ]7?", "m7b5", symbol)
    symbol = re.sub("[Δ△∆](?=[0-9])", "maj", symbol)
    return re.sub("[Δ△∆]", "maj7", symbol).replace("°", "dim").replace("º", "dim")


def _quality(suffix: str) -> str | None:
    return next((quality for pattern, quality in _SUFFIXES if pattern.fullmatch(suffix)), None)


def parse_chord(text: str) -> Chord:
    """Read "Am", "F#m7b5", "B♭maj7", "C/E", "CΔ", "Eø", "G7sus4".

    What QUALITIES lack is taken as the nearest that it has: ninths and more as sevenths, added notes (C6, Cadd9) as the
    triad, dim7 as dim, sus2 as sus4. A small letter is a root only where what follows makes it a chord ("am7").
    Raises ValueError that names what was expected.
    """
    match = _CHORD.fullmatch(_plain(text.strip()))
    quality = _quality(match["suffix"]) if match else None
    if match is None or quality is None or (match["letter"].islower() and not match["sign"] + match["suffix"]):
        raise ValueError(f"{text.strip()!r} is not a chord; write a letter A to G, # or b, and a kind: Am, F#7, Bbmaj7")
    bass = (_LETTERS[match["bass"]] + _SIGNS[match["bass_sign"]]) % 12 if match["bass"] else None
    return Chord((_LETTERS[match["letter"].upper()] + _SIGNS[match["sign"]]) % 12, quality, bass)


@dataclass(frozen=True)
class _Numeral:
    """sign: "", "#" or "b"; degree: 0..6; minor: written small; quality: of QUALITIES; of: what it leads to."""

    sign: str
    degree: int
    minor: bool
    quality: str
    of: str | None


def _numeral(text: str) -> _Numeral:
    match = _NUMERAL.fullmatch(_plain(text.strip()))
    quality = None
    if match is not None:
        small, suffix = match["degree"].islower(), match["suffix"]
        bare = small and not re.match("dim|o|m|min|-|sus|aug|[+]", suffix)
        quality = _quality("m" + suffix if bare else suffix)
    if match is None or quality is None:
        raise ValueError(f"{text.strip()!r} is not a numeral; write I to VII, small for minor: ii, V7, bVII, vii°")
    return _Numeral(match["sign"], _DEGREES.index(match["degree"].upper()), small, quality, match["of"])


def roman_chord(numeral: str, key: Key) -> Chord:
    """Read "ii", "V7", "bVII", "vii°", "V7/ii" in a key.

    Large numerals are major, small ones minor. Without a sign a numeral is a degree of the key's own scale (natural
    minor; vii° is on the raised seventh), with a flat of the major scale. Raises ValueError.
    """
    read = _numeral(numeral)
    if read.of is not None:
        goal = roman_chord(read.of, key)
        return Chord((goal.root + _SCALE_DEGREES["major"][read.degree]) % 12, read.quality)
    scale = _SCALE_DEGREES["major" if read.sign == "b" else key.mode]
    leading = read.degree == 6 and read.sign == "" and read.quality in ("dim", "m7b5") and key.mode == "minor"
    return Chord((key.tonic + scale[read.degree] + _SIGNS[read.sign] + leading) % 12, read.quality)


def _carried(numeral: str, key: Key) -> Chord:
    """A numeral written for the other mode, as the chord on the same degree of this key."""
    read = _numeral(numeral)
    if read.sign or read.of or read.quality == "sus4":
        return roman_chord(numeral, key)
    quality = _ON_DEGREES[key.mode]["7" in read.quality][read.degree]
    return Chord((key.tonic + _SCALE_DEGREES[key.mode][read.degree]) % 12, quality)


@dataclass(frozen=True)
class Progression:
    """A row of chords. symbols: as written; chords: what they are, None for no chord (N.C.), one each.

    roman: written in numerals, which stand for other chords in another key: `chords` are then those in the key in which
    it was read, and `in_key` gives those in any. half_bars_each: how long each lasts; 2 is a bar.
    """

    symbols: tuple[str, ...]
    chords: tuple[Chord | None, ...]
    roman: bool
    half_bars_each: int = 2

    @property
    def bars(self) -> int:
        return -(-len(self.chords) * self.half_bars_each // 2)

    @property
    def mode(self) -> str | None:
        """The mode in which numerals are written: that of their I or i, else of the others; None where none tells."""
        read = [_numeral(symbol) for symbol in self.symbols if self.roman and symbol not in _NO_CHORD_WORDS]
        plain = [numeral for numeral in read if not numeral.sign and numeral.of is None]
        for numeral in sorted(plain, key=lambda n: n.degree != 0):
            if numeral.degree in (0, 1, 2, 5) and not (numeral.degree == 1 and "dim" in numeral.quality):
                return "minor" if numeral.minor == (numeral.degree == 0) else "major"
        return None

    def in_key(self, key: Key) -> tuple[Chord | None, ...]:
        """One chord a half bar. Chords by name stay; numerals written in the other mode (I V vi IV in A minor) become
        the chords of the key on the same degrees."""
        chords = self.chords
        if self.roman:
            read = _carried if self.mode not in (None, key.mode) else roman_chord
            chords = tuple(None if symbol in _NO_CHORD_WORDS else read(symbol, key) for symbol in self.symbols)
        return tuple(chord for chord in chords for _ in range(self.half_bars_each))

    def likely_key(self, mode: str | None = None) -> Key:
        """The key, of a mode if one is given, that holds most of the chords' notes; of several that whose tonic chord
        comes first, or last. For numerals C, in the mode in which they are written."""
        if self.roman or not any(self.chords):
            return Key(0, mode or self.mode or "major")
        chords = [chord for chord in self.chords if chord is not None]
        modes = (mode,) if mode else ("major", "minor")
        return max((Key(tonic, mode) for mode in modes for tonic in range(12)), key=lambda key: _fit(key, chords))

    def __str__(self) -> str:
        """ "Am F C G", or "Am F | C | G" where bars hold two."""
        if self.half_bars_each == 2:
            return " ".join(self.symbols)
        pairs = zip(self.symbols[::2], self.symbols[1::2], strict=True)
        return " | ".join(first if first == second else f"{first} {second}" for first, second in pairs)


def _fit(key: Key, chords: Sequence[Chord]) -> tuple[int, ...]:
    scale = {(key.tonic + step) % 12 for step in _SCALE_DEGREES[key.mode]}
    inside = sum(len(chord.pitch_classes & scale) - len(chord.pitch_classes - scale) for chord in chords)
    dominants = sum(chord.root == (key.tonic + 7) % 12 and chord.quality in ("", "7") for chord in chords)
    minor = key.mode == "minor"
    tonic = [chord.root == key.tonic and (QUALITY_NAMES[TRIAD_OF[QUALITY_NAMES.index(chord.quality)]] == "m") == minor
             for chord in chords]  # fmt: skip
    raised = minor * dominants  # the third of the dominant, which the natural scale lacks
    return (inside + 2 * raised + 2 * tonic[0] + tonic[-1], tonic[0], dominants, -key.tonic)


def is_numeral(symbol: str) -> bool:
    """Whether a symbol is spelled like a chord numeral, right or wrong: "IV", "bVII7", "VIII"."""
    return re.match(r"[#b♯♭]?(?:[IVX]+|[ivx]+)(?![A-Za-ln-z])", symbol) is not None


def named_progression(name: str) -> str | None:
    """The numerals of a progression that has a name; None for others."""
    return PROGRESSIONS.get(" ".join(re.sub(r"[-–_]", " ", name.lower().replace("’", "'")).split()))


def parse_progression(text: str, key: Key | None = None) -> Progression:
    """Read "Am F C G", "ii–V–I", "| Am F | C G |" or a name such as "twelve-bar blues".

    A chord lasts a bar, or half of one where bars are parted by "|" and hold two; "%" says the last again. Numerals
    become chords of the key, of C where none is given. Raises ValueError that names the place and what was expected.
    """
    text = named_progression(text) or text
    bars = [SYMBOL.findall(bar) for bar in text.strip().strip("|").split("|")]
    bars = [bar for bar in bars if bar]
    if not bars:
        raise ValueError("there is no chord; write some, such as Am F C G, or I V vi IV")
    parted = len(bars) > 1
    for number, bar in enumerate(bars, start=1):
        if parted and len(bar) > 2:
            raise ValueError(f"bar {number} has {len(bar)} chords; a bar takes one or two")
    symbols: list[str] = []
    for symbol in (symbol for bar in bars for symbol in bar):
        symbols.append(symbols[-1] if symbol == "%" and symbols else symbol)
    roman = is_numeral(next((symbol for symbol in symbols if symbol not in _NO_CHORD_WORDS), ""))
    for number, symbol in enumerate(symbols, start=1):
        try:
            _numeral(symbol) if roman and symbol not in _NO_CHORD_WORDS else _read(symbol)
        except ValueError as error:
            raise ValueError(f"chord {number}, {error}") from None
    half_bars_each = 1 if any(len(bar) == 2 for bar in bars) and parted else 2
    if half_bars_each == 1:
        left = iter(symbols)
        halves = [[next(left) for _ in bar] * (3 - len(bar)) for bar in bars]
        symbols = [symbol for bar in halves for symbol in bar]
    if roman:
        written = Progression(tuple(symbols), (None,) * len(symbols), True, half_bars_each)
        home = key or Key(0, written.mode or "major")
        return replace(written, chords=written.in_key(home)[::half_bars_each])
    return Progression(tuple(symbols), tuple(map(_read, symbols)), False, half_bars_each)


def _read(symbol: str) -> Chord | None:
    return None if symbol in _NO_CHORD_WORDS else parse_chord(symbol)


def spread(chords: Iterable[Chord | None], bars: int) -> tuple[Chord | None, ...]:
    """(2 * bars,) chords by half bars, from the beginning again and again until the bars are full."""
    row = tuple(chords)
    if not row:
        raise ValueError("there are no chords to spread")
    return (row * (2 * bars // len(row) + 1))[: 2 * bars]
