"""What a sentence says of the plan of a piece: chords, form, feel, dynamics, meter, style, mood, and who plays."""

from __future__ import annotations

import pytest

from orchestrion.music.theory import COMMON_METERS, COMPOSABLE_METERS, DRUMS, Key, Meter
from orchestrion.text import lexicon
from orchestrion.text.controls import (
    ControlsError,
    merge,
    parse_chords,
    parse_feel,
    parse_form,
    parse_meter,
    read_controls,
)
from orchestrion.text.form import Dynamic, loudness_offsets, shared
from orchestrion.text.styles import ENSEMBLE_STYLES, STYLES, TAGS, Style

D = DRUMS


def refused(sentence: str) -> dict[str, str]:
    return {entry.words: entry.reason for entry in read_controls(sentence).not_understood}


# ---- chords


@pytest.mark.parametrize(
    ("sentence", "chords"),
    [
        ("Am F C G", "Am F C G"),
        ("a loop over Am F C G, 16 bars", "Am F C G"),
        ("C, G, Am, F pop", "C G Am F"),
        ("song in Am - F - C - G", "Am F C G"),
        ("| Am F | C G | with piano", "Am F | C G"),
        ("Am | F | C | G", "Am F C G"),
        ("chords: A D E", "A D E"),
        ("A D E", "A D E"),
        ("A Dm G loop", "Dm G"),
        ("Dm, Am and E7", "Dm Am E7"),
        ("a jazz tune on ii–V–I in Bb", "ii V I"),
        ("I V vi IV", "I V vi IV"),
        ("I-V-vi-IV in G", "I V vi IV"),
        ("in A minor, i VI III VII", "i VI III VII"),
        ("in G, C7 Dm", "C7 Dm"),
        ("in C major, F# B", "F# B"),
        ("twelve-bar blues", "I I I I IV IV I I V IV I I"),
        ("a 12 bar blues in E", "I I I I IV IV I I V IV I I"),
        ("the andalusian cadence for guitar", "i VII VI V"),
    ],
)
def test_progression_is_read(sentence: str, chords: str) -> None:
    reading = read_controls(sentence)
    assert str(reading.progression) == chords
    assert ("chords", chords) in {(said.control, said.value) for said in reading.understood}
    assert not reading.not_understood


@pytest.mark.parametrize(
    "sentence",
    [
        "A dance in C", "Am I blue", "I am sad", "in E", "D minor", "IV drip", "I V", "a G major chord",
        "in A, D and E",
        "between C and D", "A B A C", "AABA", "F#m ballad", "B-flat major", "the A-Team", "Vitamin B 12, C major",
        "Louis XIV", "play D.C. al fine", "I was in a C minor mood", "Go Do it", "in D minor with drums",
    ],
)  # fmt: skip
def test_letters_that_are_no_progression(sentence: str) -> None:
    reading = read_controls(sentence)
    assert reading.progression is None
    assert not reading.not_understood


def test_broken_progression_is_named_with_its_symbol() -> None:
    assert "'H7' is not a chord" in refused("Am H7 Xb G")["Am H7 Xb G"]
    assert "'Xb'" in refused("a waltz on Am H7 Xb G")["Am H7 Xb G"]
    assert "'VIII'" in refused("I V VIII IV")["I V VIII IV"]
    assert "holds" in refused("verse: Am F C G, chorus: F G C")["F G C"]


def test_key_and_bars_beside_chords() -> None:
    assert read_controls("in C major, F# B").controls.key == Key(0, "major")
    assert read_controls("song in Am - F - C - G").controls.key is None
    assert read_controls("i iv v").controls.mode == "minor"
    assert read_controls("twelve-bar blues").controls.bars == 12
    assert read_controls("a 12 bar blues, 24 bars").controls.bars == 24
    reading = read_controls("a 12-bar blues for one minute at 120 bpm")
    assert (reading.controls.bars, reading.seconds, reading.style) == (30, 60, "blues")


# ---- form


@pytest.mark.parametrize(
    ("sentence", "form", "bars"),
    [
        ("AABA", "AABA", None),
        ("a 32-bar AABA tune", "AABA", 32),
        ("ABAC form", "ABAC", None),
        ("A B A C", "ABAC", None),
        ("a piece in AB form", "AB", None),
        ("AABA, 8 bars each", "A 8, A 8, B 8, A 8", 32),
        ("rondo for piano", "ABACA", None),
        ("theme and variations for harpsichord", "theme, variation 1, variation 2, variation 3", None),
        ("verse 8 bars, chorus 8 bars", "verse 8, chorus 8", 16),
        ("verse and chorus", "verse, chorus", None),
        ("verse and chorus, 16 bars", "verse, chorus", 16),
        ("verse and chorus twice, with piano", "verse, chorus, verse, chorus", None),
        ("intro 4, verse 8, chorus 8, 90 bpm", "intro 4, verse 8, chorus 8", 20),
        ("a 4-bar intro, an 8-bar verse and a chorus of 16 bars", "intro 4, verse 8, chorus 16", 28),
        ("rock with an intro and an ending", "intro, A, outro", None),
        ("an AABA tune with an intro and a coda", "intro, A, A, B, A, outro", None),
        ("verse-chorus-verse-refrain pop song", "verse, chorus, verse, chorus", None),
        ("rock song: intro, verse, guitar solo, chorus", "intro, verse, solo, chorus", None),
        ("quiet verse and loud chorus", "verse, chorus", None),
    ],
)
def test_form_is_read(sentence: str, form: str, bars: int | None) -> None:
    reading = read_controls(sentence)
    assert (str(reading.form), reading.controls.bars) == (form, bars)
    assert ("form", form) in {(said.control, said.value) for said in reading.understood}
    assert not reading.not_understood


@pytest.mark.parametrize(
    "sentence",
    ["a chorus of angels", "bridge over the river", "like ABBA", "ABBA-style pop", "a solo for flute", "a song in A",
     "the ending of a film", "AAA batteries", "a drop of rain"],
)  # fmt: skip
def test_words_that_are_no_form(sentence: str) -> None:
    assert read_controls(sentence).form is None


def test_ending() -> None:
    assert read_controls("rock with an intro and an ending").ending
    assert read_controls("a waltz with a proper ending").ending
    assert not read_controls("a waltz, 8 bars").ending


def test_same_name_is_same_letter() -> None:
    assert parse_form("intro 4, verse 8, chorus 8, verse 8, refrain 8, outro 4").letters == "IABABO"
    assert parse_form("verse, pre-chorus, chorus, middle eight, solo, coda").letters == "APBCSO"
    assert parse_form("theme and variations").letters == "AAAA"
    assert parse_form("groove 4, riff 4, groove 4").letters == "EFE"
    assert parse_form("verse 1, chorus, verse 2, chorus").letters == "ABAB"


@pytest.mark.parametrize(
    ("form", "bars", "lengths"),
    [
        ("AABA", None, [8, 8, 8, 8]),
        ("intro, verse, chorus, outro", None, [4, 8, 8, 4]),
        ("AABA", 32, [8, 8, 8, 8]),
        ("AABA", 20, [5, 5, 5, 5]),
        ("AABA", 30, [8, 8, 8, 6]),
        ("ABC", 20, [8, 8, 4]),
        ("intro, verse, chorus, outro", 24, [4, 8, 8, 4]),
        ("intro 4, verse 8, chorus", 32, [4, 8, 20]),
        ("verse 8, chorus 8", 16, [8, 8]),
        ("A" + "AB" * 20, None, None),
    ],
)
def test_lengths_are_decided(form: str, bars: int | None, lengths: list[int] | None) -> None:
    fitted = parse_form(form).fitted(bars)
    assert lengths is None or [section.bars for section in fitted.sections] == lengths
    assert fitted.bars is not None
    assert fitted.bars == (bars or fitted.bars) <= 256


def test_shares_are_whole_and_all() -> None:
    for weights in ([2], [2, 2, 2], [1, 2, 2, 1], [1, 2, 2, 2, 1]):
        for bars in range(len(weights), 100):
            lengths = shared(bars, weights)
            assert sum(lengths) == bars
            assert min(lengths) >= 1


@pytest.mark.parametrize(
    ("form", "bars", "message"),
    [
        ("verse 8, chorus 32", 32, "the form has 40 bars, 32 were asked"),
        ("AABA", 3, "4 sections and needs at least 4 bars"),
        ("verse 8, chorus", 8, "at least 9 bars"),
    ],
)
def test_bars_that_do_not_fit_a_form(form: str, bars: int, message: str) -> None:
    with pytest.raises(ControlsError, match=message):
        parse_form(form).fitted(bars)
    with pytest.raises(ControlsError, match=message):
        merge(read_controls(""), form=parse_form(form), bars=bars)


@pytest.mark.parametrize(
    ("text", "message"),
    [("AXB", "begin with A"), ("", "section 1"), ("verse 8, , chorus", "section 2"), ("verse 0", "1 to 256 bars"),
     ("verse 200, chorus 200", "400 bars or more"), ("verse 8 x65", "at most 64")],
)  # fmt: skip
def test_bad_form_says_where(text: str, message: str) -> None:
    with pytest.raises(ControlsError, match=message):
        parse_form(text)


def test_sentence_whose_bars_contradict_its_form() -> None:
    with pytest.raises(ControlsError, match="the form has 16 bars, 24 were asked"):
        read_controls("verse 8 bars, chorus 8 bars, 24 bars")
    assert "one form" in refused("AABA or rondo")["rondo"]


# ---- feel and dynamics


@pytest.mark.parametrize(
    ("sentence", "feel"),
    [
        ("swing", "swing"), ("swung funk", "swing"), ("rock with a swing feel", "swing"), ("blues shuffle", "swing"),
        ("a jazz tune", "swing"), ("straight eighths jazz", "straight"), ("no swing jazz", "straight"),
        ("bossa nova", "straight"), ("jazz trio", "swing"), ("straight to the heart", ""), ("a waltz", ""),
    ],
)  # fmt: skip
def test_feel(sentence: str, feel: str) -> None:
    assert read_controls(sentence).feel == feel


@pytest.mark.parametrize(
    ("sentence", "dynamics"),
    [
        ("with a long crescendo", [Dynamic("rising")]),
        ("it builds up slowly", [Dynamic("rising")]),
        ("ambient, building", [Dynamic("rising")]),
        ("building to a big climax", [Dynamic("rising")]),
        ("gets louder and louder", [Dynamic("rising")]),
        ("starts soft and ends loud", [Dynamic("rising")]),
        ("starts quiet", [Dynamic("quiet", "start")]),
        ("diminuendo", [Dynamic("falling")]),
        ("gets quieter", [Dynamic("falling")]),
        ("gets quieter at the end", [Dynamic("falling", "end")]),
        ("fading out", [Dynamic("falling", "end")]),
        ("quiet verse and loud chorus", [Dynamic("quiet", "verse"), Dynamic("loud", "chorus")]),
        ("loud in the chorus", [Dynamic("loud", "chorus")]),
        ("in the verse soft, in the chorus loud", [Dynamic("quiet", "verse"), Dynamic("loud", "chorus")]),
        ("a crescendo in the chorus", [Dynamic("rising", "chorus")]),
        ("crescendo, then diminuendo", [Dynamic("rising"), Dynamic("falling")]),
        ("the building on fire", []),
        ("a tall building", []),
        ("a loud song", []),
    ],
)
def test_dynamics(sentence: str, dynamics: list[Dynamic]) -> None:
    reading = read_controls(sentence)
    assert list(reading.dynamics) == dynamics
    assert [said.value for said in reading.understood if said.control == "dynamics"] == list(map(str, dynamics))
    assert reading.controls.tempo is None or "ambient" in sentence


def test_offsets_of_loudness() -> None:
    assert loudness_offsets([Dynamic("rising")], "ABC") == (-1, 0, 1)
    assert loudness_offsets([Dynamic("rising"), Dynamic("falling")], "ABCDE") == (-1, 0, 1, 0, -1)
    assert loudness_offsets([Dynamic("quiet", "verse"), Dynamic("loud", "chorus")], ["verse", "chorus"]) == (-1, 1)
    assert loudness_offsets([Dynamic("falling", "end")], "ABC") == (0, 0, -1)
    assert loudness_offsets([Dynamic("rising")], "A") == (0,)
    assert loudness_offsets([], "AB") == (0, 0)


# ---- meters, and changes that cannot be had


@pytest.mark.parametrize(
    ("sentence", "meter"),
    [
        ("in 5/4", "5/4"), ("in five.", "5/4"), ("cut time", "2/2"), ("alla breve", "2/2"), ("2/2", "2/2"),
        ("in 3/8", "3/8"), ("nine-eight", "9/8"), ("a slip jig", "9/8"), ("in 12/8", "12/8"), ("twelve-eight", "12/8"),
        ("slow blues", "12/8"), ("a waltz", "3/4"), ("bossa nova in 5/4", "5/4"),
    ],
)  # fmt: skip
def test_meter(sentence: str, meter: str) -> None:
    assert read_controls(sentence).controls.meter == Meter.parse(meter)
    assert parse_meter(meter) == Meter.parse(meter)


def test_networks_know_four_of_the_nine_meters() -> None:
    assert COMPOSABLE_METERS[: len(COMMON_METERS)] == COMMON_METERS
    assert len(set(COMPOSABLE_METERS)) == 9


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("modulates to D major in the chorus", "modulates to D major in the chorus"),
        ("in C, key change up a whole step in the last chorus", "key change up a whole step in the last chorus"),
        ("in A minor, chorus in C major", "chorus in C major"),
        ("verse in A minor, chorus in C major", "chorus in C major"),
        ("slow, then faster", "then faster"),
        ("slows down at the end", "slows down at the end"),
        ("an accelerando", "accelerando"),
        ("speeds up", "speeds up"),
        ("faster in the chorus", "faster in the chorus"),
        ("with a slow intro", "a slow intro"),
    ],
)
def test_change_within_a_piece_is_one_line(sentence: str, words: str) -> None:
    assert list(refused(sentence)) == [words]


def test_key_and_tempo_beside_a_change_hold() -> None:
    assert read_controls("in C, modulates to D major in the chorus").controls.key == Key(0, "major")
    assert read_controls("verse in A minor, chorus in C major").controls.key == Key(9, "minor")
    assert read_controls("slow, then faster").controls.tempo == 66
    assert read_controls("a slow verse-chorus song").controls.tempo == 66


# ---- who plays


@pytest.mark.parametrize(
    ("sentence", "plays"),
    [
        ("funky groove with horns", (27, 7, 36, D, 61)),
        ("jazz with sax", (0, 32, D, 66)),
        ("a folk song with accordion", (25, 73, 21)),
        ("jazz with electric piano", (4, 32, D)),
        ("lo-fi hip hop with piano", (0, 33, D)),
        ("guitar rock", (29, 27, 34, D)),
        ("rock with two guitars", (29, 27, 34, D)),
        ("rock without guitars, with piano", (34, D, 0)),
        ("swing with alto sax", (65, 0, 32, D)),
        ("a country song with violin", (25, 40, 33, D)),
        ("a tango with strings", (23, 0, 40, 43, 48)),
        ("jazz with solo trumpet", (0, 32, D, 56)),
        ("rock song with a string quartet", (29, 27, 34, D, 40, 40, 41, 42)),
        ("a rock song with a guitar solo", (29, 27, 34, D)),
        # all who play
        ("jazz trio with piano, bass, drums", (0, 32, D)),
        ("jazz trio with sax", (0, 32, D, 66)),
        ("funk band with horns", (27, 7, 36, 61, D)),
        ("orchestra with violin", (73, 68, 71, 60, 56, 47, 48, 43, 40)),
        ("a jazz piece for piano and bass", (0, 32)),
        ("rock for two guitars", (29, 27)),
        ("a jazz waltz for string quartet", (40, 40, 41, 42)),
        ("fast rock in E minor with drums, bass, distorted guitar", (D, 34, 30)),
        ("a melancholy bossa nova, verse and chorus, with nylon guitar, flute, bass and drums", (24, 73, 32, D)),
        ("jazz with sax, bass and drums", (66, 32, D)),
        ("bass and drums only, funk", (36, D)),
        ("a waltz with strings", (48,)),
        ("a piece for piano and horns", (0, 60)),
    ],
)
def test_line_up(sentence: str, plays: tuple[int, ...]) -> None:
    reading = read_controls(sentence)
    assert reading.controls.instruments == plays
    assert not reading.solo
    assert not reading.not_understood


@pytest.mark.parametrize(
    ("sentence", "player"),
    [
        ("for solo horn", 60), ("horn only", 60), ("just piano", 0), ("unaccompanied flute", 73), ("solo piano", 0),
        ("piano solo", 0), ("a calm piano waltz", 0), ("piano ballad", 0), ("jazz piano", 0),
        ("pop with piano only", 0),
        ("rock with just a guitar", 29), ("lo-fi beat, piano only", 0), ("cello, in D minor", 42),
        ("baroque fugue for organ", 16), ("a sad violin piece", 40),
        ("a prelude for guitar", 25),
    ],
)  # fmt: skip
def test_solo(sentence: str, player: int) -> None:
    reading = read_controls(sentence)
    assert reading.controls.instruments == (player,)
    assert reading.solo
    assert reading.band == ()


def test_beat_behind_a_style_is_no_player() -> None:
    reading = read_controls("a hip-hop beat")
    assert (reading.controls.instruments, reading.suggested_instruments) == ((), (4, 33, D))


def test_band_that_was_added_is_told() -> None:
    reading = read_controls("funky groove with horns")
    (said,) = (entry for entry in reading.understood if entry.control == "band")
    assert (said.words, said.strength, said.overruled_by) == ("funky", "suggested", "")
    assert said.value == "clean electric guitar, clavinet, slap bass 1, drums"
    assert reading.band == (27, 7, 36, D)
    (said,) = (entry for entry in read_controls("rock for flute").understood if entry.control == "band")
    assert said.overruled_by == "the instruments named"


# ---- styles and moods


@pytest.mark.parametrize("name", STYLES)
def test_every_style_is_typical_of_something(name: str) -> None:
    style: Style = STYLES[name]
    assert style.band
    assert all(0 <= program <= DRUMS for program in style.band)
    assert 20 <= style.tempo <= 320
    assert style.tag in ("", *TAGS)
    assert style.feel in ("", "swing", "straight")
    assert not style.meter or Meter.parse(style.meter) in COMPOSABLE_METERS
    assert 0 <= style.density <= 7
    reading = read_controls(f"some {name}")
    assert reading.suggested_instruments == style.band or reading.controls.instruments
    assert reading.controls.tempo is not None
    assert reading.style == style.tag or not style.tag


def test_tags() -> None:
    assert {tag for tag, _ in ENSEMBLE_STYLES.values()} <= set(TAGS)
    tags = {
        "bossa nova": "latin", "a waltz": "", "triumphant film theme": "soundtrack", "boss battle": "video game",
        "klezmer": "folk", "big band": "jazz", "string quartet": "classical", "synthwave": "electronic",
        "hymn": "chorale", "swing": "jazz", "a string quartet in the style of a tango": "latin",
    }  # fmt: skip
    assert {sentence: read_controls(sentence).style for sentence in tags} == tags


@pytest.mark.parametrize(
    ("sentence", "mood"),
    [
        ("melancholy", "sad"), ("wistful", "sad"), ("triumphant film theme", "happy"), ("playful", "happy"),
        ("joyful", "happy"), ("dark", "tense"), ("angry", "tense"), ("ominous", "tense"), ("battle music", "tense"),
        ("peaceful", "calm"), ("lullaby", "calm"), ("dreamy", "calm"), ("a sad lullaby", "sad"),
        ("lullaby, joyful", "happy"),
        ("a waltz", ""), ("not sad", ""), ("in D minor", ""),
    ],
)  # fmt: skip
def test_mood(sentence: str, mood: str) -> None:
    assert read_controls(sentence).mood == mood


def test_moods_are_four() -> None:
    assert set(lexicon.MOOD_WORDS.values()) == set(lexicon.MOOD_THINGS.values()) == {"happy", "tense", "sad", "calm"}


@pytest.mark.parametrize(
    ("sentence", "control", "value"),
    [
        ("a funky groove with horns", "style", "funk"),
        ("a swung tune", "feel", "swing"),
        ("something wistful", "mood", "sad"),
        ("a waltz that builds up", "dynamics", "rising"),
        ("a waltz with a proper ending", "ending", "yes"),
        ("twelve-bar blues", "bars", "12"),
    ],
)
def test_what_was_understood_is_told(sentence: str, control: str, value: str) -> None:
    assert (control, value) in {(said.control, said.value) for said in read_controls(sentence).understood}


# ---- options


def test_option_beats_the_words() -> None:
    reading = merge(
        read_controls("swung, Am F C G, verse 8 bars, chorus 8 bars"),
        chords=parse_chords("ii V I"), form=parse_form("AABA"), feel="straight",
    )  # fmt: skip
    assert (str(reading.progression), str(reading.form), reading.feel) == ("ii V I", "AABA", "straight")
    assert reading.controls.bars is None
    beaten = {(said.control, said.overruled_by) for said in reading.understood if said.overruled_by}
    assert beaten == {("chords", "--chords"), ("form", "--form"), ("bars", "--form"), ("feel", "--feel")}
    given = {said.control: said.value for said in reading.understood if said.strength == "option"}
    assert given == {"chords": "ii V I", "form": "AABA", "feel": "straight"}


def test_bars_and_form_as_options() -> None:
    words = read_controls("verse 8 bars, chorus 8 bars")
    assert str(merge(words, bars=32).form) == "verse, chorus"
    assert str(merge(words, bars=16).form) == "verse 8, chorus 8"
    assert merge(read_controls("12 bars"), form=parse_form("verse 8, chorus 8")).controls.bars == 16
    assert merge(read_controls("12 bars"), form=parse_form("AABA")).controls.bars == 12
    reading = merge(read_controls("funky groove with horns"), instruments=(0,))
    assert (reading.controls.instruments, reading.band, reading.solo) == ((0,), (), True)


def test_bad_options() -> None:
    with pytest.raises(ControlsError, match="chord 2, 'H7'"):
        parse_chords("Am H7 G")
    with pytest.raises(ControlsError, match="swing or straight"):
        parse_feel("wobbly")
    assert (parse_feel("Shuffle"), parse_feel("straight")) == ("swing", "straight")
    assert parse_chords("I V", Key(7, "major")).chords == parse_chords("G D").chords
