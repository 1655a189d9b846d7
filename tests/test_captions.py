from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symusic import Note, Score, Tempo, TimeSignature, Track

from orchestrion.data.captions.grammar import Speaker
from orchestrion.data.captions.phrases import INSTRUMENTS, MOODS, NOUNS, QUALITIES
from orchestrion.data.captions.sentences import captions, facts_of, level
from orchestrion.music.analysis import swings
from orchestrion.music.theory import DRUMS, PITCH_CLASS_NAMES, PROGRAM_NAMES, Key, instrument_name

QUICK = {"fast", "quick", "quickly", "brisk", "rapid", "swift", "presto", "allegro", "uptempo", "up-tempo", "breakneck"}
SLOW = {"slow", "slowly", "unhurried", "adagio", "largo", "downtempo", "leisurely", "slow-moving", "slow-paced"}
NAMES = [instrument_name(program) for program in range(129)]
KEYS = [f"{tonic} {mode}" for tonic in PITCH_CLASS_NAMES for mode in ("major", "minor")]


def words(caption: str) -> set[str]:
    return set(re.findall(r"[\w'&#/-]+", caption.lower()))


def said(facts: Mapping[str, Any], n: int = 40, seed: int = 0) -> list[str]:
    return captions(facts, np.random.default_rng(seed), n)


def make_score(
    pitches: list[int], qpm: float = 120, program: int = 0, length: int = 480, apart: int = 480, velocity: int = 80
) -> Score:
    score = Score(480)
    score.tempos, score.time_signatures = [Tempo(0, qpm=qpm)], [TimeSignature(0, 4, 4)]
    track = Track("", 0 if program == DRUMS else program, program == DRUMS)
    track.notes.extend(Note(apart * at, length, pitch, velocity) for at, pitch in enumerate(pitches))
    score.tracks.append(track)
    return score


MINOR = [57, 60, 64, 57, 59, 60, 62, 64, 68, 69, 64, 60, 57, 56, 57, 57] * 4
MAJOR = [60, 64, 67, 60, 62, 64, 65, 67, 71, 72, 67, 64, 60, 59, 60, 60] * 4

plain_facts = st.fixed_dictionaries(
    {"tempo": st.floats(30, 240), "meter": st.sampled_from(["4/4", "3/4", "2/4", "6/8", "5/4"])},
    optional={
        "pace": st.sampled_from(["very slow", "slow", "medium", "fast", "very fast"]),
        "instruments": st.lists(st.sampled_from(NAMES), min_size=1, max_size=9, unique=True),
        "key": st.sampled_from(KEYS),
        "density": st.sampled_from(["sparse", "busy"]),
        "loudness": st.sampled_from(["soft", "loud"]),
        "register": st.sampled_from(["low", "high"]),
        "texture": st.sampled_from(["single line", "chords"]),
        "feel": st.just("swing"),
        "genre": st.lists(st.sampled_from(["rock", "jazz", "motown", "classical", "new age"]), min_size=1, unique=True),
        "emotion": st.sampled_from(["happy", "sad", "tense", "calm"]),
        "mood": st.lists(st.sampled_from(["sad", "fun", "majestic"]), min_size=1),
        "guessed mood": st.sampled_from(["happy", "sad", "tense", "calm"]),
        "composer": st.sampled_from(["Bach", "Chopin"]),
        "style": st.sampled_from(["chorale", "fugue", "étude"]),
        "role": st.sampled_from(["bass", "drum beat", "main melody"]),
    },
)


@settings(max_examples=150, deadline=None)
@given(plain_facts, st.integers(0, 2**32))
def test_captions_are_true_of_the_facts(facts: dict[str, Any], seed: int) -> None:
    made = captions(facts, np.random.default_rng(seed), 12)
    assert len(made) == 12
    for caption in made:
        assert caption == caption.strip()
        assert "  " not in caption
        assert not re.search(r"\b(an? an?|some an?|with with|in in|None|for for)\b", caption)
        spoken = words(caption)
        pace = facts.get("pace", "")
        if "fast" not in pace:
            assert not spoken & QUICK
        if "slow" not in pace:
            assert not spoken & SLOW
        mode = facts.get("key", " ").split()
        for other in {"major", "minor"} - set(mode):
            assert not re.search(rf"\b{other}\b|\b{other}-", caption)
        if numbers := re.findall(r"(\d+) (?:bpm|beats per minute)", caption):
            assert all(abs(float(number) - facts["tempo"]) <= 2.51 for number in numbers)
        for meter in re.findall(r"\d+/\d+", caption):
            assert meter == facts["meter"]
        if "waltz" in spoken:
            assert facts["meter"] == "3/4"
        for name in ("Bach", "Chopin"):
            assert name not in caption or facts.get("composer") == name


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6, unique=True), st.integers(0, 2**32))
def test_only_instruments_that_play_are_named(names: list[str], seed: int) -> None:
    telling = {"piano", "violin", "flute", "drums", "trumpet", "cello", "harp", "choir", "organ", "banjo"}
    programs = {**{name: program for program, name in enumerate(PROGRAM_NAMES)}, "drums": DRUMS}
    playing = {word for name in names for alias in INSTRUMENTS.get(programs[name], (name,)) for word in alias.split()}
    for caption in captions({"instruments": names}, np.random.default_rng(seed), 10):
        assert words(caption) & telling <= playing
    speaker = Speaker({"instruments": names}, np.random.default_rng(seed))
    for phrase in (speaker.played_by() for _ in range(10)):
        if phrase.startswith(("for ", "on ", "played by ")):  # which speak of all who play
            assert all(player in phrase for player in speaker.players)
    assert not (speaker.alone and len(names) > 1 and len(speaker.players) > 1)


@pytest.mark.parametrize("emotion", ["happy", "sad", "tense", "calm"])
def test_a_labelled_emotion_is_never_contradicted(emotion: str) -> None:
    made = said({"emotion": emotion, "guessed mood": "happy" if emotion != "happy" else "sad", "tempo": 100.0}, 300)
    others = {word for kind, adjectives in MOODS.items() if kind != emotion for word in adjectives}
    for caption in made:
        assert not words(caption) & (others - set(MOODS[emotion]))
    assert any(re.match(r"(?i)(today )?(I|she|he|we|they|my friend|the child) ", caption) for caption in made)


def test_fewer_than_half_of_the_captions_speak_of_a_mood_that_was_guessed() -> None:
    facts = {"tempo": 150.0, "pace": "fast", "key": "C major", "instruments": ["acoustic grand piano"]}
    plain = set(said(facts, 400))
    guessed = captions(facts | {"guessed mood": "happy"}, np.random.default_rng(1), 1000)
    mood = sum(bool(words(caption) & set(MOODS["happy"])) for caption in guessed)
    assert 100 < mood < 500
    assert not any(words(caption) & set(MOODS["happy"]) for caption in plain)


def test_captions_differ_and_repeat_with_the_same_generator() -> None:
    facts = {
        "tempo": 96.0, "pace": "medium", "key": "D minor", "meter": "3/4", "genre": ["jazz"], "guessed mood": "sad",
        "instruments": ["acoustic grand piano", "acoustic bass", "drums"],
    }  # fmt: skip
    made = said(facts, 1000)
    assert made == said(facts, 1000)
    assert made != said(facts, 1000, seed=1)
    assert len(set(made)) > 900
    assert len(set().union(*map(words, made))) > 150
    assert min(len(caption.split()) for caption in made) <= 2
    assert max(len(caption.split()) for caption in made) >= 20


def test_the_owner_of_a_file_can_say_it_in_his_words() -> None:
    assert "smoke over the harbour" in said({"caption": "smoke over the harbour", "genre": ["jazz"]})


def test_nothing_known_is_still_called_music() -> None:
    made = said({}, 5)
    assert len(made) == 5
    assert all(any(noun in caption.lower() for noun in (*NOUNS[""], "something", "anything")) for caption in made)


def test_facts_are_measured() -> None:
    facts = facts_of(make_score(MINOR, qpm=60, program=42, length=960, apart=960, velocity=40), {"genre": ["pop"]})
    assert facts["instruments"] == ["cello"]
    assert facts["pace"] == "slow"
    assert Key.parse(facts["key"]) == Key(9, "minor")
    assert facts["density"] == "sparse"
    assert facts["loudness"] == "soft"
    assert facts["articulation"] == "long notes"
    assert facts["texture"] == "single line"
    assert facts["guessed mood"] == "sad"
    assert facts["genre"] == ["pop"]
    assert json.loads(json.dumps(facts)) == facts


def test_a_slow_minor_piece_is_never_called_fast_or_major() -> None:
    for caption in said(facts_of(make_score(MINOR, qpm=60), {}), 300):
        assert not words(caption) & QUICK
        assert "major" not in caption


def test_fast_major_notes_are_guessed_happy_and_a_label_wins() -> None:
    score = make_score(MAJOR, qpm=150, length=120, apart=120)
    assert facts_of(score, {})["guessed mood"] == "happy"
    facts = facts_of(score, {"key": "A minor", "emotion": "sad"})
    assert (facts["key"], facts["emotion"]) == ("A minor", "sad")


def test_drums_have_no_key_and_no_register() -> None:
    facts = facts_of(make_score([36, 42, 38, 42] * 8, program=DRUMS), {})
    assert facts["instruments"] == ["drums"]
    assert not {"key", "register", "loudness", "texture"} & facts.keys()
    assert all("in C" not in caption for caption in said(facts))


def test_a_shuffle_swings_and_straight_eighths_do_not() -> None:
    beats = 480 * np.arange(40)
    assert swings(480, np.concatenate([beats, beats + 320]))
    assert not swings(480, np.concatenate([beats, beats + 240]))
    assert not swings(480, np.concatenate([beats, beats + 160, beats + 320]))


def test_levels_meet_at_their_limits() -> None:
    assert [level(value, "low", 1, "", 2, "high") for value in (0.9, 1, 1.9, 2, 3)] == ["low", "", "", "high", "high"]


def test_words_of_opposite_qualities_differ() -> None:
    opposites = [("slow", "fast"), ("very slow", "very fast"), ("sparse", "busy"), ("low", "high"), ("soft", "loud"),
                 ("short notes", "long notes"), ("major", "minor"), ("slow", "medium"), ("fast", "medium")]  # fmt: skip
    for one, other in opposites:
        assert not set(QUALITIES[one]) & set(QUALITIES[other])
    for one in MOODS:
        for other in set(MOODS) - {one}:
            assert not set(MOODS[one]) & set(MOODS[other])
