"""Phrases with sentences that are true of them: what is said, what is heard, and what is kept of both."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from symusic import Note, Score, Tempo, TimeSignature, Track
from torch import nn

from orchestrion.data.build import build
from orchestrion.data.captions import templates as sayings
from orchestrion.data.captions.pairs import WORDLESS, Pairs, heard_in, pair_table, shifted, to_c
from orchestrion.data.captions.phrases import CLAUSES, FEELINGS, MOODS, QUALITIES, USES
from orchestrion.data.captions.templates import MEANINGS, OPPOSITES, sentences, split_of, stem, things
from orchestrion.data.phrases import Selection
from orchestrion.data.store import Corpus, CorpusError, Piece, open_corpus
from orchestrion.music.files import write_midi
from orchestrion.music.theory import Key
from orchestrion.representations.phrases import PhraseGrid
from orchestrion.text.encoder import SentenceEncoder

GRID = PhraseGrid("five", 4, 16, 24, 84)
PIANO, BASS, DRUM_TRACK = 1, 3, 0
ALL = Selection(piece_tracks=1)
GROUPS = Path(__file__).resolve().parents[1] / "bench" / "sentence_groups.json"
#: What carries no meaning: pronouns, articles and the like, and time and place.
FUNCTION_WORDS = re.compile(
    "a|an|the|i|he|she|it|we|they|us|me|my|her|his|its|our|their|you|is|are|am|was|be|and|or|of|on|in|at|from|for|over"
    "|under|into|to|with|let|made|up|all|along|near|away|afternoon|floor|feel|s"
)
HELD_OUT, NEVER_LEARNED = "sentences held out", "words never learned"


def letters(width: int = 12, name: str = "letters") -> SentenceEncoder:
    """A sentence encoder of tiny size: a table of letters that nobody trained."""
    torch.manual_seed(0)
    return SentenceEncoder(name, width, lambda text: [ord(letter) % 64 for letter in text], nn.Embedding(64, width))


# ---- what is said


def says(form: str, sentence: str) -> bool:
    return re.search(rf"(?<![\w]){re.escape(form)}(?![\w])", sentence.lower()) is not None


def words_of(sentence: str) -> set[str]:
    return set(re.findall(r"[a-z]+", sentence.lower()))


@cache
def told(meaning: str, split: str) -> tuple[str, ...]:
    return tuple(sentences(meaning, split, 60, np.random.default_rng(3)))


@cache
def held_out_words() -> dict[str, set[str]]:
    """Words of all that shows a meaning, by split; what every sentence may hold is in none but the training's."""
    every = {word for meaning in MEANINGS for thing in things(meaning) for word in words_of(thing)}
    return {split: {word for word in every if split_of(word) == split} for split in ("train", "valid", "test")}


@pytest.mark.parametrize("meaning", MEANINGS)
def test_no_training_sentence_holds_a_word_that_is_held_out_and_the_others_do(meaning: str) -> None:
    words = held_out_words()
    train = told(meaning, "train")
    assert len(set(train)) == len(train) == 60 or meaning in sayings.GENRES
    for sentence in train:
        assert not words_of(sentence) & (words["valid"] | words["test"]), sentence
    for split in ("valid", "test"):
        for sentence in told(meaning, split):
            assert words_of(sentence) & words[split], sentence
    if things(meaning):
        assert len(told(meaning, "test")) == len(told(meaning, "valid")) == 60


def test_about_an_eighth_of_what_is_said_is_held_out() -> None:
    every = [split_of(thing) for meaning in MEANINGS for thing in things(meaning)]
    assert len(every) > 20_000
    for split in ("valid", "test"):
        assert 0.04 < every.count(split) / len(every) < 0.16


def test_things_are_said_once_and_of_one_meaning() -> None:
    every = [thing.lower() for meaning in MEANINGS for thing in things(meaning)]
    assert len(set(every)) == len(every)
    assert not [thing for thing in every if not thing or thing != thing.strip()]
    assert not things("rock")


@pytest.mark.parametrize(
    "forms",
    ["laugh laughs laughed laughing", "cry cries cried crying", "run runs running", "dance dances danced dancing",
     "happy happily", "hymn hymns"],
)  # fmt: skip
def test_forms_of_a_word_have_one_stem_and_one_split(forms: str) -> None:
    assert len({stem(form) for form in forms.split()}) == 1
    assert len({split_of(f"she {form} there") for form in forms.split()}) == 1


def test_a_word_of_the_test_outweighs_all_others() -> None:
    assert split_of("write me some music in a low register") == "train"
    assert split_of("she laughs") == split_of("He cries in the low register") == "test"
    words = {split: min(words) for split, words in held_out_words().items()}
    assert split_of(words["valid"]) == split_of(f"{words['train']} {words['valid']}") == "valid"
    assert split_of(f"{words['valid']} {words['test']}") == "test"


@pytest.mark.parametrize("meaning", OPPOSITES)
def test_sentences_say_nothing_of_the_opposite(meaning: str) -> None:
    other = OPPOSITES[meaning]
    words = {*MOODS.get(other, ()), *QUALITIES.get(other, ()), *CLAUSES.get(other, ())}
    words |= {form for forms in FEELINGS.get(other, ()) for form in forms} | set(USES.get(other, ()))
    own = {*things(meaning), *MOODS.get(meaning, ())}
    assert not (words | set(things(other))) & own, "said of both"
    for split in ("train", "valid", "test"):
        for sentence in told(meaning, split):
            # a thing may hold a word in another sense: "a warm bath"
            outside = sentence
            for thing in sorted(things(meaning), key=len, reverse=True):
                if outside.endswith(thing):
                    outside = outside.removesuffix(thing)
                    break
            assert not [word for word in words if says(word.lower(), outside)], sentence


def test_sentences_are_their_seed() -> None:
    one, again, other = (sentences("calm", "train", 20, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one == again != other
    with pytest.raises(ValueError, match="no sentences of 'bored'"):
        sentences("bored", "train", 1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="'all'"):
        sentences("calm", "all", 1, np.random.default_rng(0))


@pytest.mark.skipif(not GROUPS.exists(), reason="an installed package has no bench")
def test_sentences_of_the_bench_hold_words_that_no_training_sentence_has() -> None:
    sets = json.loads(GROUPS.read_text("utf-8"))
    assert list(sets) == [HELD_OUT, NEVER_LEARNED]
    for groups in sets.values():
        every = [sentence for group in groups.values() for sentence in group]
        assert len(groups) == 6
        assert len(every) >= 60
        assert len(set(every)) == len(every)
    # what is written down for training, in whichever way it is framed
    written = [thing for meaning in MEANINGS for thing in things(meaning) if split_of(thing) == "train"]
    written += [word for meaning in sayings.EMOTIONS for word in (*MOODS[meaning], *USES[meaning])
                if split_of(word) == "train"]  # fmt: skip
    written += [form for meaning in sayings.EMOTIONS for forms in FEELINGS[meaning] for form in forms
                if split_of(form) == "train"]  # fmt: skip
    written += [
        sentence for meaning in MEANINGS for sentence in sentences(meaning, "train", 200, np.random.default_rng(0))
    ]
    heard = {word for text in written for word in re.findall(r"[a-z]+", text.lower())}
    for sentence in (sentence for group in sets[NEVER_LEARNED].values() for sentence in group):
        words = {word for word in re.findall(r"[a-z]+", sentence.lower()) if not FUNCTION_WORDS.fullmatch(word)}
        assert words, sentence
        assert not words & heard, f"{sentence}: {words & heard}"
    plain = {re.sub(r"^(a|an|the|some|my) ", "", text.lower()) for text in written}
    for sentence in (sentence for group in sets[HELD_OUT].values() for sentence in group):
        assert re.sub(r"^(a|an|the|some|my) ", "", sentence.lower().rstrip("!")) not in plain


# ---- what is heard


def phrase(track: int = PIANO, *, pitch: int, every: int, length: int, chord: int = 1) -> np.ndarray:
    """A chord of so many notes every so many of 16 steps a bar, now at a pitch and now a second higher."""
    cells = np.zeros(GRID.shape, bool)
    for number, step in enumerate(range(0, 64, every)):
        for voice in range(chord):
            cells[track, step : step + length, pitch + 2 * (number % 2) + 4 * voice - GRID.lowest] = True
    return cells


HIGH_AND_BUSY = phrase(pitch=76, every=2, length=1, chord=3)  # 24 eighth notes a bar
LOW_AND_SPARSE = phrase(pitch=40, every=8, length=8)  # 2 half notes a bar
EVEN = phrase(pitch=60, every=4, length=4, chord=3)  # 12 quarter notes a bar


@pytest.fixture(scope="module")
def piece(corpus: Corpus) -> Piece:
    return replace(corpus.pieces()[0], key="", key_confidence=0.0, facts={})


def heard(cells: np.ndarray, piece: Piece, **changes: Any) -> tuple[set[str], set[str]]:
    if "key" in changes:
        changes = {"key_confidence": 0.9, **changes}
    true, denied = heard_in(cells, replace(piece, **changes), GRID)
    assert len(true) == len(denied) == len(MEANINGS)
    assert not (np.array(true) & np.array(denied)).any()
    return tuple({name for name, is_so in zip(MEANINGS, side, strict=True) if is_so} for side in (true, denied))  # type: ignore[return-value]


GENRES = set(sayings.GENRES)


def test_what_is_heard_in_phrases_made_by_hand(piece: Piece) -> None:
    assert heard(LOW_AND_SPARSE, piece, key="A minor") == (
        {"sad", "low", "sparse", "minor"}, {"happy", "tense", "calm", "high", "busy", "major"},
    )  # fmt: skip
    assert heard(LOW_AND_SPARSE, piece, key="G major")[0] == {"calm", "low", "sparse", "major"}
    assert heard(HIGH_AND_BUSY, piece, key="G major") == (
        {"happy", "high", "busy", "major"}, {"tense", "sad", "calm", "low", "sparse", "minor"},
    )  # fmt: skip
    assert heard(HIGH_AND_BUSY, piece, key="A minor")[0] == {"tense", "high", "busy", "minor"}
    # of what lies between nothing is said, and what lies at either end is not true of it
    assert heard(EVEN, piece) == (set(), {"low", "high", "sparse", "busy"})


def test_a_key_that_is_not_sure_tells_no_mode_and_a_mood_that_speaks_against_the_notes_is_denied(piece: Piece) -> None:
    unsure = heard(LOW_AND_SPARSE, piece, key="A minor", key_confidence=0.5)
    assert unsure == heard(LOW_AND_SPARSE, piece)
    assert unsure == ({"low", "sparse"}, {"happy", "tense", "high", "busy"}), "what is at rest is not aroused"
    assert heard(EVEN, piece, key="A minor") == ({"minor"}, {"happy", "calm", "major", "low", "high", "sparse", "busy"})


def test_labels_beat_guesses_and_genres_are_told(piece: Piece) -> None:
    true, denied = heard(LOW_AND_SPARSE, piece, key="A minor", facts={"emotion": "happy", "genre": ["jazz"]})
    assert true == {"happy", "low", "sparse", "minor", "jazz"}
    assert denied == {"tense", "sad", "calm", "high", "busy", "major"} | GENRES - {"jazz"}
    assert heard(EVEN, piece, facts={"mood": ["melancholic"]})[0] == {"sad"}
    assert heard(EVEN, piece, facts={"genre": ["polka"]})[1] >= GENRES


def test_drums_alone_have_neither_many_notes_nor_few_and_no_mood_but_one_that_is_told(piece: Piece) -> None:
    drums = phrase(DRUM_TRACK, pitch=36, every=1, length=1)
    assert heard(drums, piece) == (set(), set())
    assert heard(drums, piece, facts={"mood": ["energetic"]}) == (set(), {"sad", "calm"}), "happy or tense, who knows"


def test_a_register_is_of_neither_bass_nor_drums(piece: Piece) -> None:
    below = EVEN | phrase(BASS, pitch=30, every=16, length=16) | phrase(DRUM_TRACK, pitch=36, every=1, length=1)
    assert not heard(below, piece)[0] & {"low", "high"}
    alone = phrase(BASS, pitch=30, every=4, length=4)
    true, denied = heard(alone, piece)
    assert not (true | denied) & {"low", "high"}


# ---- to C and back


@pytest.mark.parametrize("mode", ["major", "minor"])
def test_every_key_goes_to_c_by_a_tritone_at_most_and_back(mode: str) -> None:
    song = EVEN | phrase(DRUM_TRACK, pitch=36, every=4, length=1)
    for tonic in range(12):
        up = to_c(Key(tonic, mode))
        assert (tonic + up) % 12 == 0
        assert -6 <= up <= 5
        moved = shifted(song[None], np.array([up]), GRID)
        assert np.array_equal(moved[0, DRUM_TRACK], song[DRUM_TRACK]), "drums stay"
        lanes = np.flatnonzero(song[PIANO].any(0)), np.flatnonzero(moved[0, PIANO].any(0))
        assert np.array_equal(lanes[0] + up, lanes[1])
        assert np.array_equal(shifted(moved, np.array([-up]), GRID)[0], song)


def test_each_phrase_is_shifted_by_its_own_and_what_leaves_the_range_is_cut_off() -> None:
    top = phrase(pitch=GRID.lowest + GRID.pitches - 3, every=4, length=4)  # two pitches, the highest and two below
    rolls = np.stack([top, EVEN, top])
    kept = rolls.copy()
    moved = shifted(rolls, np.array([1, -2, 0]), GRID)
    assert np.array_equal(rolls, kept)
    assert np.array_equal(moved[2], top)
    assert np.array_equal(moved[1, PIANO, :, :-2], EVEN[PIANO, :, 2:])
    assert moved[0].sum() == top.sum() // 2
    assert moved[0, PIANO, :, -2].sum() == top.sum() // 2


# ---- pairs


def song(seed: int, low: bool) -> Score:
    """Eight bars: low, sparse and minor, or high, busy and major, in a key of its own."""
    rng = np.random.default_rng(seed)
    score, track = Score(480), Track("piano", 0)
    score.tempos.append(Tempo(0, 100))
    score.time_signatures.append(TimeSignature(0, 4, 4))
    tonic, every = int(rng.integers(12)), 960 if low else 240
    degrees = [0, 3, 7, 0] if low else [0, 4, 7, 12]
    for tick in range(0, 8 * 1920, every):
        for voice in range(2 if low else 3):
            degree = degrees[(tick // every + voice + int(rng.integers(2))) % 4]
            track.notes.append(Note(tick, every if low else 120, (36 if low else 76) + tonic % 6 + degree, 80))
    score.tracks.append(track)
    return score


def corpus_of(folder: Path, seeds: range) -> Corpus:
    root = folder / "songs"
    root.mkdir()
    rows = ["path,split"]
    for seed in seeds:
        write_midi(song(seed, low=seed % 2 == 0), root / f"{seed:02}.mid")
        rows.append(f"{seed:02}.mid,{'valid' if seed - seeds.start >= 8 else 'train'}")
    (root / "metadata.csv").write_text("\n".join(rows) + "\n")
    return build([root], folder / "corpus")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return corpus_of(tmp_path_factory.mktemp("low-and-high"), range(10))


@pytest.fixture
def own(built: Corpus, tmp_path: Path) -> Corpus:
    """A copy to write to."""
    shutil.copytree(built.path, tmp_path / "copy", ignore=shutil.ignore_patterns("pairs-*"))
    return open_corpus(tmp_path / "copy")


@pytest.fixture(scope="module")
def pairs(built: Corpus) -> Pairs:
    return pair_table(built, "train", GRID, letters(), selection=ALL)


def test_every_sentence_drawn_is_true_and_every_one_denied_is_not(pairs: Pairs) -> None:
    drawn = pairs.draw(np.random.default_rng(0), 600)
    assert {name: (values.shape, values.dtype.name) for name, values in drawn.items()} == {
        "phrases": ((600, *GRID.shape), "bool"),
        "sentences": ((600, 12), "float32"),
        "denied": ((600, 12), "float32"),
        "meanings": ((600,), "int64"),
        "denied_meanings": ((600,), "int64"),
        "tonics": ((600,), "int64"),
    }
    said = {row.astype(np.float32).tobytes(): pairs.meanings[place] for place, row in enumerate(pairs.embeddings)}
    at = shifted(pairs.phrases.at(pairs.firsts), pairs.shifts, GRID)
    places = {cells.tobytes(): place for place, cells in enumerate(at)}
    assert len(said) == len(pairs.sentences)
    assert len(places) == len(at)
    seen = set()
    for cells, sentence, denied, meaning, other, tonic in zip(*drawn.values(), strict=True):
        place = places[cells.tobytes()]
        assert tonic == -pairs.shifts[place] % 12
        if meaning == len(MEANINGS):
            assert not sentence.any()
        else:
            assert said[sentence.tobytes()] == meaning
            assert pairs.true[place, meaning]
            seen.add(MEANINGS[meaning])
        against = said[denied.tobytes()]
        assert against == other
        assert pairs.denied[place, against]
        assert not pairs.true[place, against]
    assert {"low", "high", "sparse", "busy", "major", "minor"} <= seen


def test_a_share_has_no_sentence_and_moods_and_registers_come_more_often(pairs: Pairs) -> None:
    meanings = pairs.draw(np.random.default_rng(1), 4000)["meanings"]
    assert (meanings == len(MEANINGS)).mean() == pytest.approx(WORDLESS, abs=0.03)
    counts = {name: int((meanings == MEANINGS.index(name)).sum()) for name in ("low", "high", "sparse", "busy")}
    assert counts["low"] == pytest.approx(counts["high"], rel=0.2)
    assert counts["low"] == pytest.approx(3 * counts["sparse"], rel=0.3)
    assert counts["busy"] == pytest.approx(counts["sparse"], rel=0.3)


def test_a_batch_is_its_seed(pairs: Pairs) -> None:
    one, again, other = (pairs.draw(np.random.default_rng(seed), 32) for seed in (5, 5, 6))
    assert all(np.array_equal(one[name], again[name]) for name in one)
    assert not np.array_equal(one["phrases"], other["phrases"])


def test_sentences_are_those_of_the_split(built: Corpus, pairs: Pairs) -> None:
    words = held_out_words()
    for sentence in pairs.sentences:
        assert not words_of(sentence) & (words["valid"] | words["test"]), sentence
    for number in range(len(MEANINGS)):  # four to a phrase at most
        assert (pairs.meanings == number).sum() <= 4 * pairs.true[:, number].sum()
    valid = pair_table(built, "valid", GRID, letters(), selection=ALL)
    assert valid.sentences
    assert not set(valid.sentences) & set(pairs.sentences)


# ---- kept


def files(corpus: Corpus) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in corpus.path.glob("pairs-*")}


def test_what_is_kept_is_read_again_and_is_whole(own: Corpus) -> None:
    first = pair_table(own, "train", GRID, letters(), selection=ALL)
    kept = files(own)
    assert sorted(name.rpartition(".")[2] for name in kept) == ["json", "npz"], "nothing unfinished is left"
    assert pair_table(own, "train", GRID, letters(), selection=ALL) is first
    fresh = pair_table(open_corpus(own.path), "train", GRID, letters(), selection=ALL)
    assert files(own) == kept
    assert fresh.sentences == first.sentences
    for path in own.path.glob("pairs-*"):
        path.unlink()
    again = pair_table(own, "train", GRID, letters(), selection=ALL)
    assert again.sentences == first.sentences, "made anew it is the same"
    assert np.array_equal(again.embeddings, first.embeddings)


def test_it_is_made_anew_for_another_encoder_and_another_corpus(own: Corpus, tmp_path: Path) -> None:
    first = pair_table(own, "train", GRID, letters(), selection=ALL)
    other = pair_table(own, "train", GRID, letters(7, "seven"), selection=ALL)
    assert other.embeddings.shape == (len(first.sentences), 7)
    assert pair_table(own, "train", GRID, letters(), selection=ALL).embeddings.shape[1] == 12
    (tmp_path / "other").mkdir()
    another = corpus_of(tmp_path / "other", range(20, 30))
    for name, data in files(own).items():
        (another.path / name).write_bytes(data)
    theirs = pair_table(another, "train", GRID, letters(), selection=ALL)
    assert len(theirs.firsts) == len(theirs.phrases)
    assert not np.array_equal(theirs.phrases.at(theirs.firsts), first.phrases.at(first.firsts))
    assert json.loads(next(another.path.glob("pairs-*.json")).read_text())["fingerprint"] != own.info()["fingerprint"]


@pytest.mark.parametrize("damage", [b"", b"no archive", None])
def test_what_is_damaged_is_made_anew(own: Corpus, damage: bytes | None) -> None:
    first = pair_table(own, "train", GRID, letters(), selection=ALL)
    (arrays,) = own.path.glob("pairs-*.npz")
    whole = arrays.read_bytes()
    arrays.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    told = arrays.with_suffix(".json")
    told.write_text(told.read_text() + "\n")  # so that it is read again
    again = pair_table(own, "train", GRID, letters(), selection=ALL)
    assert again is not first
    assert np.array_equal(again.embeddings, first.embeddings)


def test_nothing_is_left_where_it_was_stopped(own: Corpus) -> None:
    class Stop(Exception):
        pass

    def stops(text: str) -> list[int]:
        raise Stop

    broken = SentenceEncoder("letters", 12, stops, nn.Embedding(64, 12))
    with pytest.raises(Stop):
        pair_table(own, "train", GRID, broken, selection=ALL)
    assert files(own) == {}
    assert pair_table(own, "train", GRID, letters(), selection=ALL).sentences


def test_a_corpus_of_which_nothing_can_be_said_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "songs"
    root.mkdir()
    rows = ["path,split"]
    for seed in range(3):  # even, of the middle, and in no key
        score, track = Score(480), Track("piano", 0)
        score.time_signatures.append(TimeSignature(0, 4, 4))
        for tick in range(0, 8 * 1920, 480):
            for voice in range(3):
                track.notes.append(Note(tick, 480, 57 + (tick // 480 * 4 + voice * 5 + seed) % 12, 80))
        score.tracks.append(track)
        write_midi(score, root / f"{seed}.mid")
        rows.append(f"{seed}.mid,train")
    (root / "metadata.csv").write_text("\n".join(rows) + "\n")
    corpus = build([root], tmp_path / "corpus")
    with pytest.raises(CorpusError, match="nothing can be said"):
        pair_table(corpus, "train", GRID, letters(), selection=ALL)
