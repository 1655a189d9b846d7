"""What people say, by what it asks of a few bars: sentences to pair with phrases, and words held out of them.

A meaning is one thing that can be heard in a phrase: a mood (as quadrants of valence and arousal, Russell 1980), a
register, many or few notes, a mode, a genre. Its sentences say nothing else of the music. Every eighth of the things
that are said belongs to validation and every eighth to the test: a training sentence has none of their words.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

import numpy as np

from orchestrion.corpus.phrasing import Speaker
from orchestrion.corpus.wording import CLAUSES, FEELINGS, MOODS, NOUNS, QUALITIES, REQUESTS, USES

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

#: What shows a meaning without naming it.
IMAGES: Mapping[str, tuple[str, ...]] = {
    "happy": (
        "children play in the garden", "a puppy chases its ball", "we got married today",
        "it is the first day of spring", "the whole village celebrates", "my best friend is coming home",
        "everyone claps and cheers", "a carousel at the fair", "ice cream on the beach", "the team scored again",
        "good news at last", "a birthday cake with candles", "clowns in the circus",
        "hand in hand through the flowers", "the school holidays begin", "a kite in the summer wind",
        "our baby took her first steps", "confetti falls on the bride", "what a wonderful morning",
        "a parade through the town", "we toast to success", "the joke made everybody roar", "balloons and paper hats",
        "we skip down the lane",
    ),
    "tense": (
        "wolves follow us through the forest", "the bomb is ticking", "someone is in the house",
        "an army marches to war", "the ship is sinking", "sirens wail in the night", "the volcano erupts",
        "a knife in the dark", "they are hunting me", "the bridge is about to break", "thunder and lightning",
        "the enemy is at the gates", "a car chase through the city", "the monster wakes up", "flames all around us",
        "no way out of the maze", "a fight in the street", "the last seconds of the countdown",
        "riots and broken glass", "a shark circles the boat", "the plane loses height", "an avalanche comes down",
        "I will have my revenge", "hurry, they are coming",
    ),
    "sad": (
        "an empty chair at the table", "he never came back", "the last leaf of autumn falls",
        "a grave under the willow", "she left me this morning", "tears on a letter", "an old man sits alone",
        "our dog died", "a house without children", "I have nobody to talk to", "the ship sails without me",
        "snow on a battlefield", "faded photographs of my mother", "we will not meet again", "a broken promise",
        "nothing is left of our village", "the widow at the window", "it is over between us",
        "a lost child calls for its father", "my heart is heavy", "rain on a tombstone", "all hope is gone",
        "the empty swing", "everyone forgot about me",
    ),
    "calm": (
        "a boat drifts on a still lake", "snow falls without a sound", "the baby is asleep",
        "evening sun over the fields", "a cat dozes on the sofa", "waves come and go", "candles in a quiet room",
        "a walk through the meadow at dusk", "clouds pass slowly", "warm light in the kitchen",
        "a hammock between two trees", "mist over the valley", "a deep breath in the mountains",
        "the garden after the rain", "moonlight on the water", "a long hot bath", "nothing to do all Sunday",
        "an old monastery in the hills", "grandmother knits by the fire", "soft grass under the feet",
        "stars over the desert", "a slow river in the sun", "the house is silent now", "leaves float down the stream",
    ),
    "low": (
        "a giant walks under the earth", "a whale at the bottom of the sea", "a cave deep in the mountain",
        "an elephant in the mud", "a bear growls", "the cellar of an old castle", "heavy machines in a mine",
        "a submarine in the deep", "the roots of an oak", "a dragon snores in its den", "rocks roll in the abyss",
        "an old man with a bass voice", "a tuba and a double bass", "the engine room of a ship",
        "trolls below the bridge", "the ground shakes", "a hippopotamus in the river", "the crypt below the church",
        "a tunnel under the city", "oxen pull the plough", "the deepest bells of the tower", "a bull in the barn",
        "magma below the crust", "an ogre stomps by",
    ),
    "high": (
        "a lark in the sky", "tiny bells", "a fairy on a leaf", "a mouse on tiptoe", "icicles tinkle",
        "a flute on the hilltop", "crickets and little birds", "a music box", "glass beads fall on the floor",
        "the top of the mountain", "a hummingbird at a flower", "a child's treble voice", "sparkling stars",
        "a piccolo and a celesta", "butterflies in the air", "a feather floats upwards", "silver wind chimes",
        "a kite far above the clouds", "angels sing up there", "elves dance on the petals",
        "raindrops on a crystal glass", "a swallow under the roof", "the squeak of a little toy", "dust of diamonds",
    ),
}  # fmt: skip
_SHARES = 8
_OF_THE_PAPER = ("am happy", "happy", "feel good", "laugh", "cry")  # its own sentences are for the test
_LIKE = (
    "music like this: ",
    "a piece that sounds like this: ",
    "write music for this: ",
    "a tune for this scene: ",
    "",
)


def split_of(said: str) -> str:
    """Which split a thing that is said belongs to: train, valid or test."""
    if said in _OF_THE_PAPER:
        return "test"
    return {0: "valid", 1: "test"}.get(zlib.crc32(said.encode()) % _SHARES, "train")


def sentences(meaning: str, split: str, count: int, rng: np.random.Generator) -> list[str]:
    """At most `count` different sentences of a meaning: of the training split none that holds a word of the others, of
    the others none without one of theirs. Raises ValueError for a meaning or a split that is not there."""
    if meaning not in MEANINGS or split not in ("train", "valid", "test"):
        raise ValueError(f"there are no sentences of {meaning!r} for {split!r}")
    made: dict[str, None] = {}
    source = _sayings(meaning, rng)
    for _ in range(30 * count):
        sentence = next(source)
        if _heard(sentence) == split:
            made[sentence] = None
        if len(made) == count:
            break
    return list(made)


def _heard(sentence: str) -> str:
    """The split of a sentence, by what it says; a thing of the test outweighs one of validation."""
    plain = sentence.lower()
    for split in ("test", "valid"):
        if _held_out(split).search(plain):
            return split
    return "train"


@cache
def _held_out(split: str) -> re.Pattern[str]:
    said = [form.lower() for forms in _said() if split_of(forms[0]) == split for form in forms]
    return re.compile(r"\b(?:" + "|".join(map(re.escape, sorted(said, key=len, reverse=True))) + r")\b")


def _said() -> Iterator[tuple[str, ...]]:
    """Everything that can carry a meaning, in its forms; genres and notes have too few names to hold any out."""
    for meaning in EMOTIONS:
        yield from ((word,) for word in (*MOODS[meaning], *USES[meaning]))
        yield from FEELINGS[meaning]
    yield from ((image,) for images in IMAGES.values() for image in images)


def _sayings(meaning: str, rng: np.random.Generator) -> Iterator[str]:
    """Sentences without end."""

    def pick(options: Sequence[str]) -> str:
        return options[int(rng.integers(len(options)))]

    while True:
        if rng.random() < (0.35 if meaning in IMAGES else 0.0):
            image = pick(IMAGES[meaning])
            yield pick(_LIKE) + image if rng.random() < 0.7 else f"{pick(REQUESTS)} music: {image}"
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
