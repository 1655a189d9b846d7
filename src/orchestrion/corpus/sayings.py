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
        "we skip down the lane", "a joyous feast", "the winners hug each other", "fireworks over the harbour",
        "my sister had twins", "we danced all night", "a surprise party", "the sun comes out",
        "they kiss on the balcony", "I got the job", "we are the champions", "the band plays at the fair",
        "an amusing story", "a hilarious joke", "what fun", "good times with friends", "happily ever after",
        "smiles everywhere", "pancakes for breakfast", "I love you and you love me", "a delightful surprise",
        "children on a swing", "splash in the pool", "cotton candy and popcorn", "the bells ring for the wedding",
        "my wish came true", "laughing babies", "a big family dinner", "a lucky day", "the puppies wag their tails",
        "tickled by my brother", "grandma dances in the kitchen", "they won the cup", "a sunny picnic with lemonade",
        "playtime", "everybody is cheerful", "the clown slips on a banana", "a cheeky little monkey",
        "thrilled to see you again", "gratitude and love", "on top of the world", "high five", "school is out",
        "the circus is in town", "a love letter", "welcome home", "a winning goal in the last minute",
        "dancing in the streets", "Christmas morning with presents", "what a lovely party", "we are so glad",
        "such a pleasure", "she is radiant", "he whistles on his way to work", "a comic scene", "euphoria",
        "exhilarated", "tipsy and silly", "sparkling wine for everyone", "merriment", "delight", "glee club",
        "a festival of colours", "we cheer for the bride", "a merry christmas song", "jumping for joy",
        "the lottery winner", "my heart leaps", "a warm welcome", "he jokes with his friends", "playful otters",
        "the proud father of a newborn", "a dream come true", "celebration", "carnival", "hugs and kisses",
        "triumph of the heroes", "a rainbow over the meadow", "a cheerful greeting", "our first dance",
        "holiday feeling", "a playful dog in the snow", "a lively fair with candy", "the kids roar with laughter",
        "excited for tomorrow", "joyful tears at the reunion", "she skips and sings", "optimism", "a funny cartoon",
        "dancing skeletons in a comedy", "sunshine",
    ),
    "tense": (
        "wolves follow us through the forest", "the bomb is ticking", "someone is in the house",
        "an army marches to war", "the ship is sinking", "sirens wail in the night", "the volcano erupts",
        "a knife in the dark", "they are hunting me", "the bridge is about to break", "thunder and lightning",
        "the enemy is at the gates", "a car chase through the city", "the monster wakes up", "flames all around us",
        "no way out of the maze", "a fight in the street", "the last seconds of the countdown",
        "riots and broken glass", "a shark circles the boat", "the plane loses height", "an avalanche comes down",
        "I will have my revenge", "hurry, they are coming", "a murder in the fog", "the killer raises his axe",
        "I hate you", "they shoot at us", "the tank rolls in", "a rabid dog", "he loses his temper",
        "screaming passengers", "poison in the cup", "the prison break", "an angry mob with torches", "a nightmare",
        "the devil is here", "someone breathes behind the curtain", "explosives in the cellar", "the earthquake",
        "a deadly trap", "the fuse burns", "a sword fight", "gunfire in the alley", "the storm tears the roof off",
        "panic on the stairs", "the brakes fail", "a burning house", "hounds on our heels", "the final battle",
        "don't look back, run", "I am trapped under the ice", "the lights go out and something moves",
        "a vampire in the crypt", "horror", "brutal", "ferocious", "wrath", "danger", "war", "a threat", "alarm",
        "emergency", "a savage beast", "the assassin waits", "crash", "a sinister plot", "paranoia", "stress",
        "it will explode", "our enemies close in", "the witch curses us", "demons", "hatred", "combat",
        "a boxing match", "a raging fire", "kidnapped", "mutiny on board", "the executioner", "a scream in the dark",
        "a race against time", "torture", "lightning hits the mast", "the beast is loose", "a tornado", "bullets fly",
        "the beast attacks", "he is furious with his boss", "an enemy submarine", "a scary movie", "a fierce argument",
        "revenge", "they break down the door", "a bloody fight", "sharks", "an angry bull charges",
        "the bandits chase the train", "the dragon burns the city", "anger boils over", "my heart races with fear",
        "run, they saw us", "the ghost screams", "a curse", "barbarians at the wall", "cannons and swords",
        "a wild riot", "an ambulance races through the night", "spiders all over me", "falling from a cliff",
        "a hostage", "threatening shadows", "dread",
    ),
    "sad": (
        "an empty chair at the table", "he never came back", "the last leaf of autumn falls",
        "a grave under the willow", "she left me this morning", "tears on a letter", "an old man sits alone",
        "our dog died", "a house without children", "I have nobody to talk to", "the ship sails without me",
        "snow on a battlefield", "faded photographs of my mother", "we will not meet again", "a broken promise",
        "nothing is left of our village", "the widow at the window", "it is over between us",
        "a lost child calls for its father", "my heart is heavy", "rain on a tombstone", "all hope is gone",
        "the empty swing", "everyone forgot about me", "mourners in black", "she lost her baby",
        "the war took my brother", "a farewell at the station", "nobody came to my birthday", "the orphanage",
        "I weep every night", "a wilted rose", "he died too young", "our love is dead", "homesick and poor",
        "I am so sorry", "a requiem", "the last goodbye", "grief", "unhappiness", "agony", "loss", "regret",
        "a ruined life", "she will never walk again", "my best friend moved away", "lonely in a big city",
        "grey skies and cold tea", "the doctor shakes his head", "he hangs his head", "ashes", "sorrow", "tears",
        "sobbing on the stairs", "divorce", "a sick child", "the old dog waits at the grave", "I failed again",
        "poverty", "the house burned down and all is lost", "a refugee far from home", "nostalgia for better days",
        "a dying swan", "bitter disappointment", "the light in her eyes is gone", "I feel empty",
        "the funeral procession", "the letter that never came", "melancholy", "blues", "unrequited love", "too late",
        "a prisoner without hope", "she was betrayed", "a wounded bird", "broken-hearted", "alone at Christmas",
        "the village after the flood", "I cannot go on", "it hurts so much", "farewell, my love",
        "a cripple begs in the snow", "the end", "misery", "a lonely ghost", "remember the dead", "a sad old clown",
        "mother is ill", "a sorrowful goodbye", "his wife is dead", "burying my father",
        "she is heartbroken and weeps", "an unhappy marriage", "lost love", "gloom", "the saddest day of my life",
        "death of a friend", "a cold and lonely winter", "he never told her", "a tear runs down his cheek", "exile",
        "I wish you were here", "left behind", "an empty cradle", "the cemetery in November", "a broken family",
        "regrets of an old man", "pain and suffering", "it ended in tears", "cancer", "our last summer",
        "the beggar died in the cold", "wounds that never heal", "a melancholy waltz of ghosts",
    ),
    "calm": (
        "a boat drifts on a still lake", "snow falls without a sound", "the baby is asleep",
        "evening sun over the fields", "a cat dozes on the sofa", "waves come and go", "candles in a quiet room",
        "a walk through the meadow at dusk", "clouds pass slowly", "warm light in the kitchen",
        "a hammock between two trees", "mist over the valley", "a deep breath in the mountains",
        "the garden after the rain", "moonlight on the water", "a long hot bath", "nothing to do all Sunday",
        "an old monastery in the hills", "grandmother knits by the fire", "soft grass under the feet",
        "stars over the desert", "a slow river in the sun", "the house is silent now", "leaves float down the stream",
        "peace", "silence", "tranquillity", "a quiet morning", "a gentle rain on the window", "sleep, little one",
        "the sea is smooth", "a zen garden", "breathing slowly", "I close my eyes", "tea with honey", "a monk prays",
        "a snowy field at night", "a sleepy village", "soft pillows", "the fire crackles", "incense and candles",
        "swans glide on the pond", "the wind in the pines", "yoga by the sea", "a rocking chair",
        "resting in the shade", "rain and a good book", "dew on the grass", "lavender fields", "sunset on the beach",
        "a picnic blanket under an oak", "the cows graze", "a warm bath", "serenity", "contemplation", "a lazy Sunday",
        "weightless in space", "slow clouds over green hills", "goodnight", "sweet dreams", "a sheltered bay",
        "the morning mist", "watching fish in a pond", "a bench in the park", "a cradle", "quiet snow",
        "a country church on a weekday", "nothing happens and that is fine", "comfort", "rest", "harmony",
        "cosy blankets", "a slow walk home", "the tide goes out", "fireflies in the garden", "a long exhale",
        "a kind old gardener", "drifting off", "a spring in the forest", "whispering leaves", "the moon over the bay",
        "still water", "a sleepy bear cub", "hibernation", "a peaceful countryside", "shepherds and sheep on a hill",
        "evening light", "sunrise over the bay", "summer night with stars", "a slow sunset", "the wind rests",
        "sleeping cats", "a hot chocolate by the fire", "meditation by the river", "calm waters",
        "the monks in the garden", "reading in bed", "snow on the pines", "a gentle stream",
        "an empty beach in the evening", "relax on the balcony", "a friendly old village", "clear sky",
        "taking it easy", "a soft bed", "a nap in the grass", "a quiet prayer", "soft moonlight",
        "a bubble bath with candles", "a leisurely cup of tea", "the sheep graze in the valley", "gentle hands",
        "a lazy river", "faraway islands",
    ),
    "low": (
        "a giant walks under the earth", "a whale at the bottom of the sea", "a cave deep in the mountain",
        "an elephant in the mud", "a bear growls", "the cellar of an old castle", "heavy machines in a mine",
        "a submarine in the deep", "the roots of an oak", "a dragon snores in its den", "rocks roll in the abyss",
        "an old man with a bass voice", "a tuba and a double bass", "the engine room of a ship",
        "trolls below the bridge", "the ground shakes", "a hippopotamus in the river", "the crypt below the church",
        "a tunnel under the city", "oxen pull the plough", "the deepest bells of the tower", "a bull in the barn",
        "magma below the crust", "an ogre stomps by", "a giant", "a mammal of the deep sea", "an ox", "a buffalo herd",
        "a bear in its cave", "a heavy stone door", "the bottom of the well", "deep under the ground", "a mine shaft",
        "a bass singer", "a double bass", "a tuba", "a cello in the cellar", "a deep voice", "a big drum and a bass",
        "the belly of the whale", "an elephant", "an old oak", "a truck", "a steam engine", "a foghorn",
        "thunder far away", "a growling lion", "a dinosaur", "heavy footsteps", "a hulking troll", "mud and clay",
        "a swamp", "a dark cave", "the catacombs", "the underworld", "a volcano rumbles", "an earthquake deep below",
        "iron and lead", "a huge machine", "a slow tractor", "a whale sings", "a crocodile", "a fat king",
        "a lumbering beast", "a deep sigh", "a tomb", "the lowest string", "the left end of the piano",
        "a bass guitar", "a grunting pig", "a sea monster", "big and heavy", "massive", "immense weight", "ponderous",
        "a boulder rolls", "the furnace", "gravel", "a sumo wrestler", "a hippo", "a gong in the depths",
        "the keel of a ship", "at the foot of the mountain", "an anchor sinks", "a bear hibernates deep in a cave",
        "a heavy bass", "the sound of the deep", "deep bass drum", "an enormous beast", "a heavyweight boxer",
        "underground", "the subway below the city", "a buried treasure", "roots and soil", "a coal mine",
        "the hold of a freighter", "an elephant herd", "a rumbling stomach", "big bears", "a big slow animal",
        "a monster under the bed", "deep water", "a giant squid", "a giant tortoise", "trucks and diggers",
        "a construction site", "an excavator", "a large bell in the tower", "a great stone", "the bull",
        "cows low in the barn", "a steamship", "a locomotive", "lions roar", "a trombone", "a bass clarinet",
        "the big pipes of the organ", "gorges and ravines", "the depths of the earth", "a crater", "lava",
        "a dark well", "a fat old toad", "the king of the trolls", "stone giants", "gravity",
        "a thick fog and a deep horn", "a cave bear", "a sleeping giant", "a moose",
        "a mighty river deep in the canyon", "an iron anvil", "the bottom",
    ),
    "high": (
        "a lark in the sky", "tiny bells", "a fairy on a leaf", "a mouse on tiptoe", "icicles tinkle",
        "a flute on the hilltop", "crickets and little birds", "a music box", "glass beads fall on the floor",
        "the top of the mountain", "a hummingbird at a flower", "a child's treble voice", "sparkling stars",
        "a piccolo and a celesta", "butterflies in the air", "a feather floats upwards", "silver wind chimes",
        "a kite far above the clouds", "angels sing up there", "elves dance on the petals",
        "raindrops on a crystal glass", "a swallow under the roof", "the squeak of a little toy", "dust of diamonds",
        "a bird", "a small bird sings", "birds in the morning", "a wren", "a tit on a branch", "a mosquito", "a bee",
        "a tiny insect", "a ladybird", "a mouse", "a little kitten mews", "a soprano", "a flute", "a piccolo",
        "a violin high up", "a small bell", "bells on a sleigh", "jingling keys", "a glass harp", "crystal",
        "diamonds", "stars", "the moon and the stars", "a snowflake", "a feather", "a leaf in the wind",
        "a balloon flies away", "a kite", "the peak", "the roof of the world", "the attic", "above the clouds",
        "an angel", "a fairy", "an elf", "pixie dust", "a butterfly", "a sparrow", "a skylark", "a seagull",
        "a rocket to the moon", "a treble voice", "a little girl sings", "a boys' choir", "thin air", "light as air",
        "a tinkling chandelier", "a xylophone for children", "a toy piano", "the right end of the piano",
        "the highest string", "a squeaky door", "a kettle whistles", "a cricket", "a frog chorus of tiny frogs",
        "ice crystals", "sparkle", "twinkling lights", "a magic wand", "raindrops on a window", "needles of pine",
        "a hummingbird", "a bat squeaks", "birds", "small birds chatter in the trees", "a singing bird",
        "a finch at the window", "swallows", "a cuckoo", "a tern over the cliffs", "a cage of budgerigars",
        "insects in the grass", "grasshoppers", "a wasp", "gnats dance in the light", "a firefly",
        "a squirrel in the treetop", "a chick", "little bells on a cat", "a tiny music box ballerina",
        "sopranino recorder", "a girl with a recorder", "a violin plays very high", "a child sings high",
        "a balloon in the sky", "paper planes", "parachutes", "an aeroplane above the clouds", "a glider",
        "cloud tops", "the highest mountain", "the top of the tower", "a weathercock on the steeple", "treetops",
        "up in the air", "dandelion seeds", "glass", "a thin wire", "needles and pins", "champagne glasses", "icicles",
        "frost on the window", "snow crystals", "jewels", "gold dust", "silk", "a tiny ballerina on her toes",
        "a fairy godmother", "little elves", "a star", "shooting stars", "the Milky Way", "a kettle sings",
        "a squeaking wheel", "a shrieking gull", "crystal chimes", "small and light", "tiny", "weightless", "ticklish",
        "tingling",
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
    made = dict.fromkeys(image for image in IMAGES.get(meaning, ())[:count] if _heard(image) == split)
    source = _sayings(meaning, rng)
    for _ in range(30 * count):
        if len(made) >= count:
            break
        sentence = next(source)
        if _heard(sentence) == split:
            made[sentence] = None
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
        if rng.random() < (0.5 if meaning in IMAGES else 0.0):
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
