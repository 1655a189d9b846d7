"""What people say, by what it asks of a few bars: sentences to pair with phrases, and words held out of them.

A meaning is one thing that can be heard in a phrase: a mood (as quadrants of valence and arousal, Russell 1980), a
register, many or few notes, a mode, a genre. Its sentences say nothing else of the music. What shows a mood or a
register without naming it lies in `things`, a line each. Words that carry a meaning belong to a split: every
twenty-fourth to validation and every twenty-fourth to the test, in all their forms; a training sentence has none of
them.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib import resources

import numpy as np

from orchestrion.data.captions.grammar import Speaker
from orchestrion.data.captions.phrases import CLAUSES, NOUNS, QUALITIES, REQUESTS, SUBJECTS

EMOTIONS, REGISTERS = ("happy", "tense", "sad", "calm"), ("low", "high")
DENSITIES, MODES = ("sparse", "busy"), ("major", "minor")
GENRES = ("rock", "pop", "classical", "jazz", "country", "hip hop", "soul", "video game")
MEANINGS = (*EMOTIONS, *REGISTERS, *DENSITIES, *MODES, *GENRES)
#: Meanings that no phrase has together.
OPPOSITES: Mapping[str, str] = {
    one: other
    for pair in (("happy", "sad"), ("calm", "tense"), REGISTERS, DENSITIES, MODES)
    for one, other in (pair, pair[::-1])
}
_SHARES = 24
_OF_THE_PAPER = ("happy", "good", "laugh", "cry")  # its own sentences are for the test
_LIKE = (
    "music like this: ",
    "a piece that sounds like this: ",
    "write music for this: ",
    "a tune for this scene: ",
    "",
)
#: Words that carry no meaning.
_PLAIN = frozenset(
    re.findall(
        r"[a-z]+",
        "a an the i me my mine you your he him his she her it its we us our they them their who whom whose which what"
        " this that these those some any each every both one two three no not nor or and but if so as than then there"
        " here be am is are was were been being do does did done has have had can could will would shall should may"
        " might must at by for from in into of off on onto out over to toward under up upon with within without about"
        " above across after again all along among around away back before behind below beneath beside between beyond"
        " down during just like more most much near never now only other own past same since still such through too"
        " until very when where while why how yet let make makes made get gets got go goes went come comes came feel"
        " feels felt something someone thing things music song s t m ll re ve d",
    )
)
_ENDINGS = ("ings", "ing", "edly", "ed", "es", "s", "ly")


@cache
def things(meaning: str) -> tuple[str, ...]:
    """What shows a meaning without naming it, of every split; nothing for one that is only named."""
    if meaning not in (*EMOTIONS, *REGISTERS):
        return ()
    file = resources.files("orchestrion.data.captions") / "things" / f"{meaning}.txt"
    return tuple(file.read_text("utf-8").splitlines())


@cache
def fingerprint() -> str:
    """Of all things, so that what was made of others is made anew."""
    return sha256("\n".join("\n".join(things(meaning)) for meaning in MEANINGS).encode()).hexdigest()


def split_of(sentence: str) -> str:
    """Which split it belongs to, train, valid or test, by the words in it; one of the test outweighs one of
    validation."""
    splits = {_split_of(stem(word)) for word in re.findall(r"[a-z]+", sentence.lower()) if word not in _said_by_all()}
    return next((split for split in ("test", "valid") if split in splits), "train")


def stem(word: str) -> str:
    """A word without its ending: what its forms share, roughly."""
    ending = next((one for one in _ENDINGS if word.endswith(one) and len(word) - len(one) > 2), "")
    bare = word.removesuffix(ending).rstrip("yie") or word
    return bare[:-1] if len(bare) > 3 and bare[-1] == bare[-2] else bare


def sentences(meaning: str, split: str, count: int, rng: np.random.Generator) -> list[str]:
    """At most `count` different sentences of a meaning: of the training split none that holds a word of the others, of
    the others none without one of theirs. Raises ValueError for a meaning or a split that is not there."""
    if meaning not in MEANINGS or split not in ("train", "valid", "test"):
        raise ValueError(f"there are no sentences of {meaning!r} for {split!r}")
    own = _things_of(meaning, split)
    made = dict.fromkeys(own[index] for index in rng.permutation(len(own))[:count])
    source = _sayings(meaning, own, rng)
    for _ in range(30 * count):
        if len(made) >= count:
            break
        sentence = next(source)
        if split_of(sentence) == split:
            made[sentence] = None
    return list(made)


@cache
def _things_of(meaning: str, split: str) -> tuple[str, ...]:
    return tuple(thing for thing in things(meaning) if split_of(thing) == split)


@cache
def _split_of(stem_of_word: str) -> str:
    if stem_of_word in {stem(word) for word in _OF_THE_PAPER}:
        return "test"
    return {0: "valid", 1: "test"}.get(zlib.crc32(stem_of_word.encode()) % _SHARES, "train")


@cache
def _said_by_all() -> frozenset[str]:
    """Words that are not held out: plain ones, those that every sentence is framed by, and those of notes, modes and
    genres, which have too few names."""
    tables = (words for table in (NOUNS, QUALITIES, CLAUSES) for words in table.values())
    frames = [*REQUESTS, *_LIKE, *(subject for subject, _ in SUBJECTS), *(text for words in tables for text in words)]
    return _PLAIN | {word for text in frames for word in re.findall(r"[a-z]+", text.lower())}


def _sayings(meaning: str, own: Sequence[str], rng: np.random.Generator) -> Iterator[str]:
    """Sentences without end, of whichever split; things are of those named."""

    def pick(options: Sequence[str]) -> str:
        return options[int(rng.integers(len(options)))]

    while True:
        if rng.random() < (0.5 if own else 0.0):
            thing = pick(own)
            yield pick(_LIKE) + thing if rng.random() < 0.7 else f"{pick(REQUESTS)} music: {thing}"
        elif meaning in EMOTIONS:
            speaker = Speaker({"emotion": meaning, "instruments": []}, rng)
            text = speaker.caption()
            if speaker.emotion and not {"mood", "use"} <= set(speaker.left):
                yield text
        else:
            nouns = NOUNS.get(meaning, NOUNS[""])
            before = pick(QUALITIES[meaning]) if meaning in QUALITIES else ""
            if meaning in CLAUSES and rng.random() < 0.5:
                text = f"{pick(nouns)} {pick(CLAUSES[meaning])}"
            else:
                text = f"{before} {pick(nouns)}".strip()
            yield text if rng.random() < 0.4 else f"{pick(REQUESTS)} {'' if rng.random() < 0.5 else 'some '}{text}"
