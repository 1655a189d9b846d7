"""Chords and progressions as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrion.music.chords import (
    PROGRESSIONS,
    QUALITY_NAMES,
    Chord,
    parse_chord,
    parse_progression,
    roman_chord,
    spread,
)
from orchestrion.music.theory import Key


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("C", "C"), ("Cm", "Cm"), ("Cmin", "Cm"), ("C-", "Cm"), ("Cmaj7", "Cmaj7"), ("CM7", "Cmaj7"), ("CΔ", "Cmaj7"),
        ("C7", "C7"), ("C9", "C7"), ("C6", "C"), ("Cm6", "Cm"), ("Cm7b5", "Cm7b5"), ("Cø", "Cm7b5"), ("Cdim", "Cdim"),
        ("C°", "Cdim"), ("Cdim7", "Cdim"), ("Caug", "Caug"), ("C+", "Caug"), ("Csus4", "Csus4"), ("Csus2", "Csus4"),
        ("C7sus4", "Csus4"), ("Cadd9", "C"), ("C/E", "C/E"), ("Am/G", "Am/G"), ("C♯m", "C#m"), ("B♭", "Bb"),
        ("am", "Am"), ("f#m7", "F#m7"), ("Cm(maj7)", "Cm"), ("C-7", "Cm7"), ("G7#9", "G7"), ("C6/9", "C"), ("D5", "D"),
    ],
)  # fmt: skip
def test_chord_is_read(text: str, name: str) -> None:
    assert parse_chord(text).name == name


@pytest.mark.parametrize("text", ["H7", "Xb", "a", "b", "", "Gfoo", "Cm/H", "C7x", "major", "I"])
def test_what_is_no_chord_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is not a chord; write a letter A to G"):
        parse_chord(text)


@given(st.integers(0, 11), st.sampled_from(QUALITY_NAMES), st.none() | st.integers(0, 11))
def test_name_of_every_chord_reads_back(root: int, quality: str, bass: int | None) -> None:
    chord = Chord(root, quality, bass)
    assert parse_chord(chord.name) == chord


def names(chords: tuple[Chord | None, ...]) -> str:
    return " ".join("N.C." if chord is None else chord.name for chord in chords)


@pytest.mark.parametrize(
    ("numeral", "key", "name"),
    [
        ("ii", "C major", "Dm"), ("V7", "G major", "D7"), ("bVII", "C major", "Bb"), ("vii°", "C major", "Bdim"),
        ("vii°", "A minor", "Abdim"), ("VI", "A minor", "F"), ("VII", "A minor", "G"), ("bVII", "A minor", "G"),
        ("V7/ii", "C major", "A7"), ("iiø7", "A minor", "Bm7b5"), ("IVmaj7", "F major", "Bbmaj7"),
        ("♭III", "C major", "Eb"),
    ],
)  # fmt: skip
def test_numeral_in_a_key(numeral: str, key: str, name: str) -> None:
    assert roman_chord(numeral, Key.parse(key)).name == name


@pytest.mark.parametrize("numeral", ["VIII", "IIII", "C", "", "X"])
def test_what_is_no_numeral_is_named(numeral: str) -> None:
    with pytest.raises(ValueError, match="is not a numeral"):
        roman_chord(numeral, Key(0, "major"))


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("Am F C G", None, "Am F C G"),
        ("Am, F, C, G", None, "Am F C G"),
        ("Am-F-C-G", None, "Am F C G"),
        ("Am – F – C", None, "Am F C"),
        ("C- F N.C. %", None, "Cm F N.C. N.C."),
        ("I-V-vi-IV", "G major", "G D Em C"),
        ("ii–V–I", "Bb major", "Cm F Bb"),
        ("I V vi IV", "A minor", "Am E F Dm"),  # written in major, taken over to the degrees of minor
        ("i VI III VII", "C major", "C Am Em Bdim"),
        ("i VI III VII", "A minor", "Am F C G"),
        ("Andalusian cadence", "E minor", "Em D C B"),
        ("pachelbel", "D major", "D A Bm F#m G D G A"),
        ("doo-wop", "C major", "C Am F G"),
        ("12-bar blues", "E major", "E E E E A A E E B A E E"),
    ],
)
def test_progression_of_a_chord_a_bar(text: str, key: str | None, expected: str) -> None:
    progression = parse_progression(text, Key.parse(key) if key else None)
    assert names(progression.chords) == expected
    assert progression.half_bars_each == 2
    assert progression.in_key(Key.parse(key or "C major"))[::2] == progression.chords
    assert progression.bars == len(progression.chords)


def test_bars_hold_one_chord_or_two() -> None:
    progression = parse_progression("| Am F | C | G Em |")
    assert (names(progression.chords), progression.half_bars_each) == ("Am F C C G Em", 1)
    assert (progression.bars, str(progression)) == (3, "Am F | C | G Em")
    assert parse_progression("| Am F C G |").bars == 4
    with pytest.raises(ValueError, match="bar 2 has 3 chords"):
        parse_progression("Am | F C G")


def test_numerals_wait_for_a_key() -> None:
    progression = parse_progression("ii V | I")
    assert progression.roman
    assert names(progression.in_key(Key.parse("D major"))) == "Em A D D"
    assert names(progression.in_key(Key.parse("F major"))) == "Gm C F F"
    assert (progression.mode, parse_progression("i iv V").mode, parse_progression("IV V").mode) == (
        "major",
        "minor",
        None,
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [("Am H7 Xb G", "chord 2, 'H7'"), ("I V VIII", "chord 3, 'VIII'"), ("I V C", "chord 3, 'C'"), ("", "no chord")],
)
def test_broken_progression_names_the_place(text: str, place: str) -> None:
    with pytest.raises(ValueError, match=place):
        parse_progression(text)


@pytest.mark.parametrize("name", PROGRESSIONS)
def test_every_named_progression_stands_in_every_key(name: str) -> None:
    for mode in ("major", "minor"):
        chords = parse_progression(name).in_key(Key(2, mode))
        assert len(chords) == 2 * parse_progression(name).bars
    assert parse_progression("twelve bar blues").bars == 12
    assert parse_progression("rhythm changes").bars == 8


@pytest.mark.parametrize(
    ("text", "key"),
    [("Am F C G", "A minor"), ("C G Am F", "C major"), ("Dm G C", "C major"), ("Em C G D", "E minor"),
     ("Dm7 G7 Cmaj7", "C major"), ("Am Dm E7 Am", "A minor"), ("D A Bm G", "D major")],
)  # fmt: skip
def test_likely_key(text: str, key: str) -> None:
    assert parse_progression(text).likely_key() == Key.parse(key)
    assert parse_progression(text).likely_key("minor").mode == "minor"


@given(st.integers(1, 9), st.integers(1, 40))
def test_spread_repeats_until_the_bars_are_full(count: int, bars: int) -> None:
    row = tuple(Chord(place) for place in range(count))
    full = spread(row, bars)
    assert len(full) == 2 * bars
    assert all(full[place] == row[place % count] for place in range(2 * bars))


def test_nothing_cannot_be_spread() -> None:
    with pytest.raises(ValueError, match="no chords"):
        spread((), 4)


@given(
    st.one_of(st.text(), st.lists(st.sampled_from(["Am", "IV", "|", "-", "H", "%", "N.C.", "b", "ø"])).map(" ".join))
)
def test_any_text_is_a_progression_or_a_line(text: str) -> None:
    try:
        progression = parse_progression(text)
    except ValueError:
        return
    for key in (Key(0, "major"), Key(9, "minor")):
        assert len(progression.in_key(key)) == len(progression.chords) * progression.half_bars_each
