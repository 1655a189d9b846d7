"""What a sentence was read to ask for: the controls it names, the words behind each, and the words not understood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrion.music.theory import Key, Meter, instrument_name
from orchestrion.text.errors import ControlsError as ControlsError
from orchestrion.text.form import MAX_BARS as MAX_BARS
from orchestrion.text.form import Dynamic, Form

if TYPE_CHECKING:  # needs numpy, which the command line's help does without
    from orchestrion.music.chords import Progression

MIN_BARS = 1
MIN_TEMPO, MAX_TEMPO = 20, 320  # quarter notes a minute
MAX_INSTRUMENTS = 32
MAX_CHARACTERS = 2000  # of a sentence


@dataclass(frozen=True)
class Controls:
    """What is to hold in the music; None and () where nothing was asked.

    bars: 1..256.  tempo: quarter notes a minute, 20..320.  mode: "major" or "minor", only where no key is asked.
    instruments: programs 0..127 or theory.DRUMS, one a track, in the order in which they were named.
    """

    bars: int | None = None
    tempo: float | None = None
    key: Key | None = None
    mode: str | None = None
    meter: Meter | None = None
    instruments: tuple[int, ...] = ()


@dataclass(frozen=True)
class Understood:
    """Words and what they were taken to mean.

    control: a field of Controls; "chords", "form", "feel", "dynamics", "style", "mood" or "ending" for those of
        Reading; "band" for the players that come with a style; "without" for an instrument that is not wanted.
    strength: "named" (said outright), "implied" (a waltz is in 3/4), "suggested" (sad music is in minor; used only
        where nothing stronger speaks) or "option" (given beside the sentence).
    overruled_by: the words that won instead; "" where these words hold.
    """

    words: str
    control: str
    value: str
    strength: str = "named"
    overruled_by: str = ""


@dataclass(frozen=True)
class NotUnderstood:
    """Words that ask for something that cannot be given, and why."""

    words: str
    reason: str


@dataclass(frozen=True)
class Reading:
    """A sentence as read by rule.

    suggested_instruments: what to play where `controls.instruments` is empty; never empty, holds nothing unwanted.
    seconds: a length that was asked for in time; `controls.bars` follows from it.
    left_to_embedding: content words that no rule reads.
    band: those of `controls.instruments` who were not named but belong to the band of the style that was.
    solo: one player alone was asked for.
    progression: the chords asked for; `Progression.in_key` gives them in a key, by half bars.
    form: the sections asked for, with the lengths that were said; `Form.fitted` decides the others.
    feel: "swing", "straight" or "".  dynamics: how loudness moves, see `form.loudness_offsets`.
    style: one of styles.TAGS or "".  mood: "happy", "tense", "sad", "calm" or "".
    ending: an ending, an outro or a coda was asked for.
    """

    sentence: str
    controls: Controls
    understood: tuple[Understood, ...] = ()
    not_understood: tuple[NotUnderstood, ...] = ()
    suggested_instruments: tuple[int, ...] = (0,)
    seconds: float | None = None
    left_to_embedding: tuple[str, ...] = ()
    band: tuple[int, ...] = ()
    solo: bool = False
    progression: Progression | None = None
    form: Form | None = None
    feel: str = ""
    dynamics: tuple[Dynamic, ...] = ()
    style: str = ""
    mood: str = ""
    ending: bool = False


def value_text(value: Any) -> str:
    """A control's value as a person writes it: "3/4", "D minor", "66", "piano, drums"."""
    match value:
        case Key() | Meter():
            return value.name
        case tuple():
            return ", ".join(map(instrument_name, value))
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
    return str(value)


def bars_lasting(seconds: float, tempo: float, meter: Meter) -> int:
    """The whole number of bars, at least one, that comes nearest to a length in seconds."""
    return max(1, round(seconds * tempo / 60 / meter.quarters))
