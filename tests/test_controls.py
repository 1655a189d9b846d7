"""What sentences and options are read as."""

from __future__ import annotations

import string
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrion.music.theory import DRUMS, PROGRAM_NAMES, Key, Meter
from orchestrion.text import lexicon
from orchestrion.text.controls import (
    Controls,
    ControlsError,
    merge,
    parse_bars,
    parse_chords,
    parse_feel,
    parse_form,
    parse_instruments,
    parse_key,
    parse_meter,
    parse_tempo,
    read_controls,
)
from orchestrion.text.styles import STYLES, TAGS


def named(key: str = "", meter: str = "", **others: Any) -> Controls:
    return Controls(key=Key.parse(key) if key else None, meter=Meter.parse(meter) if meter else None, **others)


TABLE = [
    # the main job's sentence
    ("a calm piano waltz in D minor, 16 bars", named("D minor", "3/4", bars=16, tempo=72, instruments=(0,))),
    # bars
    ("sixteen bars for string quartet", named(bars=16, instruments=(40, 40, 41, 42))),
    ("a 32-bar tune", named(bars=32)),
    ("thirty-two measures", named(bars=32)),
    ("a hundred and twenty bars", named(bars=120)),
    ("bars: 24", named(bars=24)),
    ("at 90 bars", named(bars=90)),
    ("30 seconds at 120 bpm", named(bars=15, tempo=120, meter="4/4")),
    ("two minutes of waltz at 90", named(bars=60, tempo=90, meter="3/4")),
    ("a minute and a half at 80 bpm", named(bars=30, tempo=80, meter="4/4")),
    ("1:30 at 80 bpm", named(bars=30, tempo=80, meter="4/4")),
    # tempo
    ("120 bpm", named(tempo=120)),
    ("90bpm", named(tempo=90)),
    ("140 beats per minute", named(tempo=140)),
    ("at 92.5 bpm", named(tempo=92.5)),
    ("tempo 90", named(tempo=90)),
    ("quarter note = 100", named(tempo=100)),
    ("♩=72", named(tempo=72)),
    ("slow", named(tempo=66)),
    ("very slow and sad", named(tempo=52, mode="minor")),
    ("not too fast", named(tempo=112)),
    ("Presto!", named(tempo=176)),
    ("up-beat tune", named(tempo=124)),
    ("adagio at 60 bpm", named(tempo=60)),
    ("calm but 160 bpm", named(tempo=160)),
    # meter
    ("in 3/4 time", named(meter="3/4")),
    ("6/8", named(meter="6/8")),
    ("in six eight", named(meter="6/8")),
    ("three four time", named(meter="3/4")),
    ("in three.", named(meter="3/4")),
    ("a march", named(meter="4/4", tempo=116)),
    ("an Irish jig", named(meter="6/8", tempo=116)),
    ("polka for accordion", named(meter="2/4", tempo=116, instruments=(21,))),
    ("waltz in 4/4", named(meter="4/4")),
    ("common time", named(meter="4/4")),
    # key and mode
    ("in D-minor", named("D minor")),
    ("in F# major", named("F# major")),
    ("something in E flat major", named("Eb major")),
    ("in bb minor", named("Bb minor")),
    ("in C", named("C major")),
    ("in F sharp", named("F# major")),
    ("F#m ballad", named("F# minor", tempo=72)),
    ("in Am", named("A minor")),
    ("key: C# minor", named("C# minor")),
    ("in the key of e", named("E major")),
    ("in a minor", named("A minor")),
    ("in a minor, with piano", named("A minor", instruments=(0,))),
    ("A minor, slow", named("A minor", tempo=66)),
    ("in A minor with strings", named("A minor", instruments=(48,))),
    ("an A minor waltz", named("A minor", "3/4")),
    ("piece in A for flute", named("A major", instruments=(73,))),
    ("in a minor mood", named(mode="minor")),
    ("in a minor key", named(mode="minor")),
    ("A minor waltz", named(meter="3/4", mode="minor")),
    ("in minor", named(mode="minor")),
    ("happy tune in minor", named(mode="minor")),
    ("a cheerful tune", named(mode="major")),
    ("sad but in C major", named("C major")),
    ("a major disaster", named()),
    ("Am I blue", named()),
    ("in a dark forest", named(mode="minor")),
    # instruments
    ("drums and bass, 120 bpm", named(tempo=120, instruments=(DRUMS, 33))),
    ("drums, bass and lead guitar", named(instruments=(DRUMS, 33, 29))),
    ("two violins and a cello", named(instruments=(40, 40, 42))),
    ("a pair of flutes", named(instruments=(73, 73))),
    ("two slow piano pieces", named(tempo=66, instruments=(0,))),
    ("piano, then piano again", named(instruments=(0,))),
    ("guitar duo", named(instruments=(25, 25))),
    ("flute and piano duo", named(instruments=(73, 0))),
    ("solo piano", named(instruments=(0,))),
    ("a Rhodes e-piano with upright bass", named(instruments=(4, 32))),
    ("distorted guitars", named(instruments=(30,))),
    ("12-string guitar", named(instruments=(25,))),
    ("jazz trio with sax", named(instruments=(0, 32, DRUMS, 66))),
    ("piano trio", named(instruments=(0, 40, 42))),
    ("brass quintet", named(instruments=(56, 56, 60, 57, 58))),
    ("wind quintet", named(instruments=(73, 68, 71, 60, 70))),
    ("string quartet without viola", named(instruments=(40, 40, 42))),
    ("orchestra without brass", named(instruments=(73, 68, 71, 47, 48, 43))),
    ("piano without drums or bass", named(instruments=(0,))),
    ("without guitars or drums, piano only", named(instruments=(0,))),
    ("flute without drums, bass, and guitar", named(instruments=(73,))),
    ("no drums, but bass and piano", named(instruments=(33, 0))),
    ("piano, no drums and no bass", named(instruments=(0,))),
    ("piano, no drums and bass", named(instruments=(0,))),
    ("fugue in three voices for organ", named(tempo=92, instruments=(16,))),
    ("a song about rain", named()),
    ("the ghost of a haunted house by the country road", named(mode="minor")),
    ("with a rain patch", named(instruments=(96,))),
    ("with a steady beat", named(instruments=(DRUMS,))),
    ("", named()),
]


@pytest.mark.parametrize(("sentence", "expected"), TABLE)
def test_sentence_sets_exactly_these_controls(sentence: str, expected: Controls) -> None:
    reading = read_controls(sentence)
    assert reading.controls == expected
    assert not reading.not_understood


REFUSED = [
    ("in H sharp", "in H sharp", "no key of H"),
    ("in X minor", "in X minor", "no key of X"),
    ("in D dorian", "in D dorian", "major or minor"),
    ("0 bars", "0 bars", "1 to 256"),
    ("10,000 bars", "10,000 bars", "1 to 256"),
    ("-5 bars", "-5 bars", "1 to 256"),
    ("2.5 bars", "2.5 bars", "whole number"),
    ("8-16 bars", "8-16 bars", "range"),
    ("less than 10 bars", "less than 10 bars", "range"),
    ("500 bpm", "500 bpm", "20 to 320"),
    ("120-140 bpm", "120-140 bpm", "range"),
    ("in 7/8", "in 7/8", "meters that can be composed"),
    ("in 7/13", "in 7/13", "meters that can be composed"),
    ("an hour, or 90 minutes, at 60 bpm", "90 minutes", "at most 256"),
    ("16 bars in 30 seconds", "30 seconds", "fixes the length"),
    ("100 violins", "100 violins", "1 to 32"),
    ("for zither and glass harmonica", "glass harmonica", "nearest: celesta"),
    ("for two ukuleles", "ukuleles", "nearest: nylon guitar"),
    ("for piano and wobbleboard", "wobbleboard", "no instrument"),
    ("for pinao", "pinao", "did you mean piano"),
    ("for trumpt and saxaphone", "saxaphone", "did you mean saxophone"),
    ("slow and fast", "fast", "contradicts 'slow'"),
    ("not sad", "not sad", "only instruments can be ruled out"),
    ("not in C major", "not in C major", "only instruments can be ruled out"),
]


@pytest.mark.parametrize(("sentence", "words", "reason"), REFUSED)
def test_impossible_wish_is_named_with_its_reason(sentence: str, words: str, reason: str) -> None:
    refused = {entry.words: entry.reason for entry in read_controls(sentence).not_understood}
    assert reason in refused[words]


@pytest.mark.parametrize(
    "sentence",
    [
        "in D minor, then in C major",
        "in C major and in minor",
        "3/4 and 4/4",
        "8 bars, no, 16 bars",
        "90 bpm or rather 120 bpm",
        "drums without drums",
        "string quartet without strings",
        "x" * 3000,
    ],
)
def test_outright_contradiction_is_one_line(sentence: str) -> None:
    with pytest.raises(ControlsError) as error:
        read_controls(sentence)
    assert "\n" not in str(error.value)


def test_record_tells_strength_and_what_won() -> None:
    understood = {u.words: u for u in read_controls("a sad, slow waltz in 4/4 at 100 bpm in C major").understood}
    assert (understood["sad"].strength, understood["sad"].overruled_by) == ("suggested", "in C major")
    assert (understood["slow"].value, understood["slow"].overruled_by) == ("66", "at 100 bpm")
    assert (understood["waltz"].strength, understood["waltz"].overruled_by) == ("implied", "in 4/4")
    assert (understood["in 4/4"].strength, understood["in 4/4"].overruled_by) == ("named", "")


@pytest.mark.parametrize(
    ("sentence", "suggested"),
    [
        ("something nice", (0,)),
        ("no piano", (24,)),
        ("a rock song", (29, 27, 34, DRUMS)),
        ("rock without drums", (29, 27, 34)),
        ("metal without guitar", (34, DRUMS)),
        ("chiptune", (80, 81, 38, DRUMS)),
        ("drum and bass", (81, 38, DRUMS)),
    ],
)
def test_style_suggests_instruments(sentence: str, suggested: tuple[int, ...]) -> None:
    reading = read_controls(sentence)
    assert reading.suggested_instruments == suggested
    assert reading.controls.instruments == ()


def test_other_words_are_left_to_the_embedding() -> None:
    assert read_controls("a velvet piano piece about the old harbour").left_to_embedding == ("velvet", "old", "harbour")


@pytest.mark.parametrize("program", range(128))
def test_every_general_midi_name_is_understood(program: int) -> None:
    name = PROGRAM_NAMES[program]
    assert parse_instruments(name) == (program,)
    reading = read_controls(f"a piece for {name}" + " patch" * (name in lexicon.EVERYDAY))
    assert reading.controls.instruments == (program,)


@pytest.mark.parametrize("name", [*lexicon.INSTRUMENTS, *lexicon.ENSEMBLES])
def test_every_name_of_the_lexicon_is_an_option(name: str) -> None:
    expected = lexicon.ENSEMBLES.get(name) or (lexicon.INSTRUMENTS[name],)
    assert parse_instruments(name.title()) == expected


def or_message(read: Callable[[str], Any], text: str) -> Any:
    """What is read, or the message of the ControlsError; any other error fails the test."""
    try:
        return read(text)
    except ControlsError as error:
        return str(error)


TABLES = (
    *(lexicon.INSTRUMENTS, lexicon.ENSEMBLES, lexicon.TEMPO_WORDS, lexicon.DANCES, lexicon.MOODS, STYLES),
    *(lexicon.NUMBERS, lexicon.ABSENT),
)
GLUE = (
    "bars", "bpm", "in", "a", "A", "H", "minor", "C#", "3/4", "without", "no", "not", "two", "of", "for",
    "and", ",", ".", "minutes", "seconds", "at", "120", "duo", "hundred", "to", "-", "Am", "F", "IV", "vi", "|", "H7",
    "verse", "chorus", "intro", "solo", "8", "AABA", "form", "each", "then", "faster", "crescendo", "building", "only",
    "with", "horns", "swing feel", "modulates", "quiet", "twice", "twelve-bar blues"
)  # fmt: skip
vocabulary = st.sampled_from([*GLUE, *(phrase for table in TABLES for phrase in table)])


@given(st.one_of(st.text(), st.text(string.printable), st.lists(vocabulary, max_size=14).map(" ".join)))
def test_any_text_is_read_or_refused_in_one_line(sentence: str) -> None:
    reading = or_message(read_controls, sentence)
    if isinstance(reading, str):
        assert "\n" not in reading
        return
    controls = reading.controls
    assert controls.bars is None or 1 <= controls.bars <= 256
    assert controls.tempo is None or 20 <= controls.tempo <= 320
    assert len(controls.instruments) <= 32
    assert reading.suggested_instruments
    assert controls.key is None or controls.mode is None
    assert set(reading.band) <= set(controls.instruments)
    assert reading.feel in ("", "swing", "straight")
    assert reading.mood in ("", "happy", "tense", "sad", "calm")
    assert reading.style in ("", *TAGS)
    if reading.form is not None:
        fitted = reading.form.fitted(controls.bars)
        assert fitted.bars == (controls.bars or fitted.bars)
        assert fitted.bars is not None
        assert fitted.bars <= 256


@given(st.text())
def test_any_option_is_read_or_refused(text: str) -> None:
    for parse in (
        parse_instruments,
        parse_bars,
        parse_tempo,
        parse_key,
        parse_meter,
        parse_form,
        parse_chords,
        parse_feel,
    ):
        message = or_message(parse, text)
        assert not isinstance(message, str) or "\n" not in message


def test_option_lists() -> None:
    assert parse_instruments("piano, bass, drums") == (0, 33, DRUMS)
    assert parse_instruments("String Quartet, 2 flutes, lead, 24") == (40, 40, 41, 42, 73, 73, 81, 24)
    assert (parse_bars(" 16 "), parse_tempo("120 bpm"), parse_tempo("andante")) == (16, 120, 88)
    assert (parse_meter("6/8"), parse_key("f# minor")) == (Meter(6, 8), Key(6, "minor"))


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_instruments, "piano, vioiln", "'vioiln' is not a known instrument; did you mean violin"),
        (parse_instruments, "", "0 instruments"),
        (parse_instruments, "99 pianos", "99 instruments"),
        (parse_instruments, "128", "'128' is not a known instrument"),
        (parse_bars, "10000", "1 to 256"),
        (parse_bars, "four", "1 to 256"),
        (parse_tempo, "5", "20 to 320"),
        (parse_tempo, "nan", "20 to 320"),
        (parse_meter, "7/8", "4/4, 3/4, 2/4, 6/8"),
        (parse_key, "H", "is not a key"),
    ],
)
def test_bad_option_says_what_was_expected(parse: Any, text: str, message: str) -> None:
    with pytest.raises(ControlsError, match=message):
        parse(text)


def test_option_beats_words_and_says_so() -> None:
    reading = read_controls("a sad slow piano waltz in C major, 16 bars")
    merged = merge(reading, bars=8, key=Key(2, "minor"), instruments=(40,))
    assert merged.controls == named("D minor", "3/4", bars=8, tempo=66, instruments=(40,))
    record = {(u.words, u.control): u for u in merged.understood}
    assert record["16 bars", "bars"].overruled_by == "--bars"
    assert record["in C major", "key"].overruled_by == "--key"
    assert record["piano", "instruments"].overruled_by == "--instruments"
    assert record["waltz", "meter"].overruled_by == ""
    assert (record["--bars", "bars"].value, record["--bars", "bars"].strength) == ("8", "option")
    assert merge(reading) == reading


def test_length_in_seconds_survives_a_new_tempo() -> None:
    reading = read_controls("30 seconds at 120 bpm")
    assert merge(reading, tempo=60.0).controls.bars == 8
    assert merge(reading, meter=Meter(2, 4)).controls.bars == 30
    with pytest.raises(ControlsError, match="at most 256"):
        merge(read_controls("20 minutes at 20 bpm"), tempo=320.0)


def test_import_needs_no_torch() -> None:
    code = "import sys, orchestrion.text.controls; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
