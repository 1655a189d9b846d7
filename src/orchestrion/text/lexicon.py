"""The words that are read by rule, as frozen tables: instruments, ensembles, tempo words, dances, moods. Styles are in
`text.styles`.

Phrases are lower case; a space in one also stands for a hyphen or for nothing ("e piano", "e-piano", "epiano"). Values
are General MIDI programs, theory.DRUMS, quarter notes a minute, or names of meters and modes.
"""

from __future__ import annotations

from types import MappingProxyType

from orchestrion.music.theory import DRUMS, PROGRAM_NAMES

_D = DRUMS

#: Everyday names beside the 128 of General MIDI.
_SYNONYMS = {
    0: "piano, grand piano, acoustic piano, grand, concert piano, fortepiano, pianoforte, upright piano, "
    "keyboard, klavier",
    1: "bright piano",
    2: "electric grand",
    3: "honky tonk, honkytonk piano, saloon piano, tack piano, honkytonk",
    4: "electric piano, e piano, epiano, rhodes, rhodes piano, fender rhodes, wurlitzer, wurlitzer piano, wurli",
    5: "fm piano, dx7, fm electric piano",
    6: "cembalo, spinet",
    7: "clavi, clav",
    8: "celeste",
    9: "glock, glockenspiels",
    10: "musical box, toy piano",
    11: "vibes, vibraphones",
    12: "marimbas",
    14: "tubular bell, chimes, church bell, bell, bells, carillon",
    15: "hammered dulcimer, santur",
    16: "organ, hammond, hammond organ, electric organ, jazz organ, b3",
    19: "pipe organ, cathedral organ",
    20: "harmonium",
    21: "squeezebox",
    22: "mouth organ, blues harp",
    23: "bandoneon, concertina",
    24: "nylon string guitar, classical guitar, spanish guitar, flamenco guitar, acoustic nylon guitar",
    25: "guitar, acoustic guitar, steel string guitar, folk guitar, western guitar, 12 string guitar, "
    "twelve string guitar, acoustic steel guitar, strummed guitar",
    26: "jazz electric guitar, hollow body guitar",
    27: "electric guitar, clean guitar, rhythm guitar, e guitar",
    28: "muted guitar, palm muted guitar",
    29: "overdrive guitar, lead guitar, rock guitar, crunchy guitar, blues guitar",
    30: "distorted guitar, distorted electric guitar, metal guitar, heavy guitar, fuzz guitar, "
    "distortion electric guitar",
    31: "guitar harmonic",
    32: "upright bass, double bass guitar, walking bass, stand up bass, jazz bass, string bass",
    33: "bass, electric bass, bass guitar, finger bass, fingered bass, bassline, bass line, e bass, "
    "electric bass guitar",
    34: "pick bass, picked bass, rock bass",
    35: "fretless",
    36: "slap bass, slapped bass, funk bass",
    38: "synth bass, synthesizer bass, bass synth, acid bass, sub bass, 303",
    40: "violin solo",
    42: "violoncello, celli",
    43: "double bass, bass viol, contrabassi, doublebass",
    44: "tremolo string",
    45: "pizzicato, pizzicato string, plucked strings",
    46: "harp, concert harp, celtic harp",
    47: "timpano, kettledrum, kettle drum",
    48: "strings, string section, string ensemble, string orchestra, orchestral strings, legato strings",
    49: "slow strings",
    50: "synth string, synthesizer strings, string machine, synth strings",
    52: "choir, choral voices, chorus voices, mixed choir, choir aah, aahs, chorale choir, vocal ensemble",
    53: "voice, vocal, soprano voice, oohs, voice ooh, human voice",
    54: "synth choir, vocoder",
    55: "orchestral hit, orch hit",
    56: "cornet, flugelhorn",
    57: "trombones",
    58: "euphonium, sousaphone",
    59: "harmon mute trumpet",
    60: "horn, french horn",
    61: "brass, brass ensemble, horn section, brasses",
    62: "synth brass, synthesizer brass",
    64: "soprano saxophone",
    65: "alto saxophone",
    66: "tenor saxophone, sax, saxophone",
    67: "baritone saxophone, bari sax, bari saxophone",
    69: "cor anglais",
    71: "bass clarinet",
    72: "piccolo flute",
    73: "transverse flute, concert flute",
    74: "blockflute, soprano recorder, alto recorder",
    75: "panpipe, panflute, pan pipe",
    76: "bottle blow",
    78: "tin whistle, penny whistle, irish whistle",
    80: "square wave lead, square wave, pulse lead, square synth",
    81: "synth, synthesizer, synthesiser, synth lead, lead synth, synthesizer lead, saw lead, saw synth, sawtooth, "
    "sawtooth wave, saw wave, keytar, analog synth, analogue synth",
    82: "calliope",
    88: "new age",
    89: "pad, synth pad, pad synth, ambient pad, soft pad, synthesizer pad",
    90: "polysynth, poly synth",
    94: "halo synth",
    105: "banjos",
    108: "thumb piano, mbira",
    109: "bagpipes, pipes of scotland",
    110: "country violin",
    111: "shehnai, shenai",
    112: "tinkle bells, hand bell, sleigh bell, jingle bell",
    113: "agogo bell, cowbell",
    114: "steelpan, steel pan, steel drum",
    115: "wood block, woodblocks",
    116: "taiko, taiko drums",
    117: "tom, toms",
    118: "syn drum, simmons drum",
    119: "reversed cymbal",
    _D: "drum, drums, drum kit, drumkit, drum set, drumset, percussion, beat, drum beat, drumbeat, "
    "drum machine, drum track, "
    "808, 808 drums, drummer, acoustic drums, electronic drums, jazz drums, rock drums, breakbeat, snare, snare drum, "
    "hi hat, kick drum, bass drum, brushed drums, brushes, congas, conga, bongos, bongo, percussion section, "
    "bass drums",
}
#: phrase -> one program.
INSTRUMENTS = MappingProxyType(
    {name: program for program, name in enumerate(PROGRAM_NAMES)}
    | {phrase.strip(): program for program, phrases in _SYNONYMS.items() for phrase in phrases.split(",")}
)

#: Names that are everyday words as well: read as an instrument only beside one of PATCH_WORDS, and in option lists.
EVERYDAY = frozenset(PROGRAM_NAMES[p] for p in (*range(96, 104), *range(120, 128))) | {
    "bass and lead", "new age", "grand", "tom", "808", "303", "fretless", "clav", "bell", "square wave", "sawtooth",
}  # fmt: skip
PATCH_WORDS = ("patch", "program", "preset", "sound effect", "fx", "synth effect", "instrument")

#: Read in option lists only: too common in sentences.
SHORT_NAMES = MappingProxyType({"lead": 81, "keys": 0, "synths": 81, "kit": _D, "contra": 43, "fx": 103, "ep": 4})

#: Words whose exclusion ("no guitar") means every program of the kind.
KINDS = MappingProxyType({
    "piano": range(0, 6), "organ": range(16, 21), "guitar": range(24, 32), "bass": (*range(32, 40), 43),
    "strings": range(40, 52), "choir": (52, 53, 54, 91), "voice": (52, 53, 54, 85, 91),
    "vocal": (52, 53, 54, 85, 91),
    "brass": range(56, 64), "sax": range(64, 68), "saxophone": range(64, 68),
    "synth": (*range(80, 104), 38, 39, 50, 51),
    "percussion": (_D, 47, *range(112, 120)), "drum": (_D,), "drums": (_D,), "flute": (72, 73, 75),
    "pad": range(88, 96),
})  # fmt: skip

#: Groups of players; one entry a track.
ENSEMBLES = MappingProxyType({
    "string quartet": (40, 40, 41, 42), "string trio": (40, 41, 42), "string quintet": (40, 40, 41, 42, 42),
    "string sextet": (40, 40, 41, 41, 42, 42), "string duo": (40, 42), "string duet": (40, 42),
    "string octet": (40, 40, 40, 40, 41, 41, 42, 42),
    "piano trio": (0, 40, 42), "piano quartet": (0, 40, 41, 42), "piano quintet": (0, 40, 40, 41, 42),
    "brass trio": (56, 60, 57), "brass quartet": (56, 56, 60, 57), "brass quintet": (56, 56, 60, 57, 58),
    "brass band": (56, 56, 60, 57, 58, _D), "marching band": (56, 57, 58, 71, 72, _D),
    "wind trio": (68, 71, 70), "wind quartet": (73, 68, 71, 70), "wind quintet": (73, 68, 71, 60, 70),
    "woodwind trio": (68, 71, 70), "woodwind quartet": (73, 68, 71, 70), "woodwind quintet": (73, 68, 71, 60, 70),
    "woodwinds": (73, 68, 71, 70), "woodwind": (73, 68, 71, 70),
    "wind ensemble": (73, 68, 71, 70, 60), "wind band": (73, 71, 65, 56, 57, 58, _D),
    "sax quartet": (64, 65, 66, 67), "saxophone quartet": (64, 65, 66, 67),
    "jazz trio": (0, 32, _D), "jazz quartet": (66, 0, 32, _D), "jazz quintet": (56, 66, 0, 32, _D),
    "jazz combo": (66, 0, 32, _D), "jazz band": (56, 66, 57, 0, 32, _D), "big band": (65, 66, 56, 57, 0, 32, _D),
    "swing band": (65, 66, 56, 57, 0, 32, _D), "organ trio": (16, 26, _D), "power trio": (29, 33, _D),
    "rock band": (29, 27, 34, _D), "rock trio": (29, 33, _D), "metal band": (30, 30, 34, _D),
    "punk band": (30, 34, _D), "pop band": (0, 27, 33, _D), "funk band": (27, 7, 36, 61, _D),
    "blues band": (29, 22, 0, 33, _D), "country band": (25, 110, 105, 33, _D), "folk band": (25, 110, 73, 32),
    "bluegrass band": (105, 110, 25, 32), "reggae band": (28, 16, 33, _D), "full band": (0, 27, 33, _D),
    "band": (0, 27, 33, _D), "combo": (0, 32, _D), "rhythm section": (0, 33, _D), "garage band": (29, 33, _D),
    "string band": (110, 105, 25, 32), "mariachi band": (56, 40, 24, 32), "klezmer band": (71, 40, 21, 32),
    "orchestra": (73, 68, 71, 60, 56, 47, 48, 43), "symphony orchestra": (73, 68, 71, 70, 60, 56, 57, 47, 48, 43),
    "chamber orchestra": (73, 68, 60, 40, 41, 42, 43), "full orchestra": (73, 68, 71, 70, 60, 56, 57, 47, 48, 43),
    "symphonic orchestra": (73, 68, 71, 70, 60, 56, 57, 47, 48, 43), "chamber ensemble": (73, 71, 40, 42, 0),
    "satb choir": (52, 52, 52, 52), "four part choir": (52, 52, 52, 52), "satb": (52, 52, 52, 52),
    "barbershop quartet": (53, 53, 53, 53), "vocal quartet": (53, 53, 53, 53), "a cappella": (52,),
    "a capella": (52,), "acapella": (52,),
})  # fmt: skip
GROUP_SIZES = MappingProxyType(
    {"duo": 2, "duet": 2, "trio": 3, "quartet": 4, "quintet": 5, "sextet": 6, "septet": 7, "octet": 8}
)

#: Instruments that General MIDI lacks -> the nearest that it has.
ABSENT = MappingProxyType({
    "zither": "koto or dulcimer", "glass harmonica": "celesta or halo pad", "glass armonica": "celesta or halo pad",
    "theremin": "voice oohs or sawtooth lead", "ukulele": "nylon guitar", "mandolin": "banjo or nylon guitar",
    "lute": "nylon guitar", "theorbo": "nylon guitar", "hurdy gurdy": "bagpipe", "didgeridoo": "bagpipe",
    "balalaika": "banjo", "bouzouki": "banjo or steel guitar", "oud": "nylon guitar", "erhu": "fiddle",
    "pipa": "koto", "guzheng": "koto", "viola da gamba": "cello", "viol": "viola", "gamba": "cello",
    "kazoo": "harmonica", "crumhorn": "bassoon", "krummhorn": "bassoon", "sackbut": "trombone", "cornett": "trumpet",
    "serpent horn": "tuba", "ondes martenot": "voice oohs", "tabla": "drums", "djembe": "drums", "cajon": "drums",
    "gamelan": "vibraphone", "handpan": "steel drums", "hang drum": "steel drums", "mellotron": "string ensemble 1",
    "autoharp": "orchestral harp", "lyre": "orchestral harp", "kora": "orchestral harp", "duduk": "oboe",
    "bansuri": "flute", "ney": "flute", "alphorn": "french horn", "alpenhorn": "french horn", "bugle": "trumpet",
    "singing bowl": "tubular bells", "gong": "tubular bells", "waterphone": "echoes", "stylophone": "square lead",
    "turntable": "drums", "vuvuzela": "brass section", "contrabassoon": "bassoon", "nyckelharpa": "fiddle",
    "psaltery": "dulcimer", "cimbalom": "dulcimer", "jaw harp": "banjo",
    "jew's harp": "banjo", "musical saw": "voice oohs", "washboard": "drums",
})  # fmt: skip

#: phrase -> quarter notes a minute.
TEMPO_WORDS = MappingProxyType({
    "larghissimo": 30, "largo": 50, "lento": 54, "larghetto": 62, "adagio": 68, "adagietto": 74,
    "andante": 88, "andantino": 94, "moderato": 108, "allegretto": 116, "allegro moderato": 118, "allegro": 132,
    "molto allegro": 144, "allegro vivace": 148, "allegro assai": 144, "vivace": 152, "vivo": 148,
    "vivacissimo": 170, "presto": 176, "prestissimo": 196,
    "extremely slow": 44, "very slow": 52, "very slowly": 52, "really slow": 52, "super slow": 46, "so slow": 52,
    "slow": 66, "slowly": 66, "slow paced": 66, "slow tempo": 66, "downtempo": 80, "down tempo": 80, "unhurried": 80,
    "low tempo": 66, "moderately slow": 84, "rather slow": 78, "quite slow": 72, "somewhat slow": 78, "fairly slow": 78,
    "not too slow": 92, "not so slow": 92, "walking pace": 88, "walking tempo": 88,
    "moderate": 104, "moderately paced": 104, "moderate tempo": 104, "medium tempo": 104, "mid tempo": 104,
    "midtempo": 104, "medium paced": 104, "medium fast": 120, "medium slow": 84, "medium pace": 104,
    "moderate pace": 104, "not too fast": 112, "not so fast": 112, "moderately fast": 120, "rather fast": 128,
    "quite fast": 136, "fairly fast": 128, "fast": 140, "fast paced": 140, "fast tempo": 140, "high tempo": 140,
    "quick": 136, "quickly": 136, "speedy": 150, "rapid": 152, "rapidly": 152, "brisk": 128, "briskly": 128,
    "swift": 140, "lively": 128, "upbeat": 124, "up beat": 124, "up tempo": 140, "uptempo": 140,
    "very fast": 172, "really fast": 172, "super fast": 184, "extremely fast": 190, "very quick": 168, "so fast": 172,
    "breakneck": 190, "hurried": 150, "at full speed": 180, "leisurely": 80, "double time": 160, "half time": 70,
})  # fmt: skip

#: dance or form -> meter that it implies.
DANCES = MappingProxyType({
    "waltz": "3/4", "waltzes": "3/4", "valse": "3/4", "jazz waltz": "3/4", "minuet": "3/4", "menuet": "3/4",
    "mazurka": "3/4", "ländler": "3/4", "landler": "3/4", "sarabande": "3/4", "polonaise": "3/4", "courante": "3/4",
    "chaconne": "3/4", "passacaglia": "3/4", "bolero": "3/4", "march": "4/4", "marching": "4/4", "gavotte": "4/4",
    "allemande": "4/4", "reel": "4/4", "hornpipe": "4/4", "foxtrot": "4/4", "tango": "4/4", "bossa nova": "4/4",
    "bourrée": "4/4", "bourree": "4/4", "strathspey": "4/4", "cha cha": "4/4", "polka": "2/4", "galop": "2/4",
    "samba": "2/4", "rag": "2/4", "ragtime": "2/4", "two step": "2/4", "habanera": "2/4", "czardas": "2/4",
    "slip jig": "9/8", "double jig": "6/8", "jig": "6/8", "gigue": "6/8", "irish jig": "6/8",
    "tarantella": "6/8", "siciliana": "6/8", "siciliano": "6/8",
    "barcarolle": "6/8", "barcarole": "6/8", "triple time": "3/4", "triple meter": "3/4", "triple metre": "3/4",
    "duple time": "2/4", "duple meter": "2/4", "common time": "4/4", "cut time": "2/2", "alla breve": "2/2",
    "four on the floor": "4/4", "twelve eight blues": "12/8", "compound triple time": "9/8",
})  # fmt: skip

_MINOR_MOODS = (
    "sad, sadness, melancholic, melancholy, dark, tragic, mournful, gloomy, sorrowful, sorrow, grief, lament, "
    "lamenting, "
    "somber, sombre, bleak, ominous, sinister, scary, spooky, eerie, haunting, haunted, creepy, angry, anger, lonely, "
    "loneliness, depressing, depressed, despair, desperate, mysterious, mystery, brooding, menacing, tense, "
    "suspenseful, "
    "heartbroken, heartbreak, funereal, moody, wistful, anguished, painful, horror, evil, gothic, bitter, "
    "doom, weeping, crying"
)
_MAJOR_MOODS = (
    "happy, happiness, cheerful, joyful, joyous, joy, merry, bright, sunny, playful, optimistic, hopeful, triumphant, "
    "victorious, celebratory, festive, jolly, cheery, light hearted, lighthearted, carefree, uplifting, heroic, glad, "
    "majestic, whimsical, jubilant, delighted, radiant, positive, fun, funny, proud, heartwarming"
)
_SLOW_MOODS = {
    "calm": 72, "calming": 72, "relaxing": 72, "relaxed": 76, "peaceful": 70, "serene": 68, "tranquil": 66,
    "soothing": 70, "gentle": 76, "gently": 76, "dreamy": 72, "meditative": 60, "meditation": 60, "contemplative": 66,
    "reflective": 68, "sleepy": 60, "lullaby": 68, "solemn": 62, "tender": 72, "romantic": 76, "intimate": 72,
    "chill": 84, "mellow": 80, "laid back": 84, "quiet": 72, "ballad": 72, "ambient": 70, "stately": 72, "pensive": 68,
    "nostalgic": 78, "floating": 68, "hymn": 80, "elegy": 60, "nocturne": 66, "berceuse": 66, "requiem": 60,
}  # fmt: skip
_FAST_MOODS = {
    "energetic": 138, "energy": 132, "exciting": 138, "excited": 138, "driving": 136, "frantic": 168, "frenetic": 168,
    "furious": 168, "intense": 136, "aggressive": 148, "wild": 152, "dance": 122, "dancing": 122, "danceable": 122,
    "party": 124, "bouncy": 124, "vigorous": 136, "hyper": 160, "restless": 132, "chase": 156, "running": 140,
    "racing": 156, "agitated": 140, "fiery": 144, "powerful": 120, "thrilling": 140, "urgent": 144, "epic": 110,
}  # fmt: skip
_BOTH_MOODS = {
    "funeral": ("minor", 56), "dirge": ("minor", 54), "fanfare": ("major", 116), "blue mood": ("minor", 70),
}  # fmt: skip
#: mood -> (mode or None, quarter notes a minute or None).
MOODS: MappingProxyType[str, tuple[str | None, int | None]] = MappingProxyType({
    **{mood.strip(): ("minor", None) for mood in _MINOR_MOODS.split(",")},
    **{mood.strip(): ("major", None) for mood in _MAJOR_MOODS.split(",")},
    **{mood: (None, tempo) for mood, tempo in (_SLOW_MOODS | _FAST_MOODS).items()},
    **_BOTH_MOODS,
})  # fmt: skip

#: mood -> one of happy, tense, sad, calm: the quarters of pleasant or not and stirred or not. Words that name a mood.
MOOD_WORDS = MappingProxyType({
    word.strip(): mood
    for mood, words in {
        "happy": "happy, happiness, cheerful, cheery, joyful, joyous, joy, merry, sunny, playful, optimistic, hopeful, "
        "triumphant, triumph, victorious, victory, celebratory, festive, jolly, carefree, uplifting, heroic, glad, "
        "whimsical, jubilant, delighted, radiant, positive, fun, funny, proud, light hearted, lighthearted, bright, "
        "exciting, excited, energetic, bouncy, bubbly, lively, upbeat, up beat, euphoric, ecstatic, exuberant, elated, "
        "celebration, feel good, feelgood, exhilarating, cute, silly, goofy, perky, peppy, spirited, thrilling, "
        "groovy, majestic, glorious, adventurous, vibrant, zesty, sparkling, rousing, inspiring, summery",
        "tense": "tense, tension, dark, angry, anger, ominous, sinister, scary, spooky, eerie, creepy, menacing, "
        "suspenseful, suspense, horror, evil, gothic, aggressive, furious, fury, rage, raging, frantic, frenetic, "
        "agitated, fierce, threatening, threat, dramatic, intense, nervous, anxious, anxiety, urgent, dread, dreadful, "
        "fear, fearful, frightening, terrifying, terror, violent, brutal, hostile, chaotic, chaos, disturbing, "
        "unsettling, uneasy, restless, haunted, demonic, dystopian, war, panic, paranoid, villainous, villain, "
        "relentless, foreboding, stormy, warlike, danger, dangerous, savage, hectic, defiant",
        "sad": "sad, sadness, melancholic, melancholy, wistful, tragic, tragedy, mournful, mourning, gloomy, "
        "sorrowful, sorrow, grief, grieving, lament, lamenting, somber, sombre, bleak, lonely, loneliness, lonesome, "
        "depressing, depressed, despair, despairing, desperate, heartbroken, heartbreak, heartbreaking, funereal, "
        "moody, anguished, painful, bitter, weeping, crying, tearful, tears, doleful, dolorous, plaintive, forlorn, "
        "bittersweet, blue mood, regretful, regret, longing, yearning, downcast, unhappy, miserable, nostalgic, "
        "brooding, elegiac, haunting, rainy, emotional, farewell, goodbye, loss, woeful, aching",
        "calm": "calm, calming, peaceful, peace, dreamy, dreamlike, serene, serenity, tranquil, tranquility, soothing, "
        "gentle, gently, relaxing, relaxed, meditative, contemplative, reflective, sleepy, tender, intimate, chill, "
        "chilled, mellow, laid back, quiet, floating, ethereal, pensive, romantic, soft, softly, warm, cozy, "
        "cosy, restful, hushed, delicate, easygoing, easy going, leisurely, unhurried, placid, pastoral, lazy, "
        "sweet, lovely, graceful, airy, spacious, zen, hypnotic, solemn, stately",
    }.items()
    for word in words.split(",")
})  # fmt: skip
#: Things that have a mood, which gives way to a word for one: a sad lullaby is sad.
MOOD_THINGS = MappingProxyType({
    word.strip(): mood
    for mood, words in {
        "happy": "party, dance, dancing, danceable, birthday, wedding, parade, fanfare, polka, jig, reel, carnival, "
        "circus, samba, children's song, nursery rhyme, christmas, superhero",
        "tense": "battle, boss battle, boss fight, fight, chase, thriller, action, trailer, doom, monster, nightmare, "
        "metal, death metal, storm, war scene, combat, duel, zombie, heist, attack",
        "sad": "funeral, dirge, elegy, requiem, funeral march, breakup, break up, grave, widow",
        "calm": "lullaby, meditation, sleep, ambient, nocturne, berceuse, spa, ballad, hymn, dream, dreams, sunset, "
        "bedtime, yoga, relaxation, pastorale",
    }.items()
    for word in words.split(",")
})  # fmt: skip

NUMBERS = MappingProxyType({
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50,
    "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90, "dozen": 12, "couple": 2,
})  # fmt: skip
SCALES_THAT_ARE_NO_KEY = (
    "dorian", "phrygian", "lydian", "mixolydian", "locrian", "pentatonic", "whole tone", "octatonic", "atonal",
    "chromatic", "twelve tone", "12 tone", "microtonal", "hijaz", "raga",
)  # fmt: skip


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: After "a minor" these nouns show that "a" is the article and "minor" the mode.
MODE_NOUNS = _words("""
    key keys mode modes mood scale tonality tone feel feeling sound vibe way waltz melody tune song piece ballad march
    chord chords harmony harmonies polka jig theme groove riff lullaby nocturne prelude etude sonata minuet progression
    blues chorale hymn dance track loop arpeggio sonority flavour flavor colour color atmosphere tango fugue
""")
#: Function words, and words of the trade that say nothing by themselves.
STOP_WORDS = _words("""
    a an the of in on at for with and or but to from by as is be it its this that these those my me i you your we our
    us some any please make write compose create give want play music piece song tune track part parts melody
    something like would should could can have has very really so too not no without then than into over under about
    time meter metre key tempo bar bars measure measures solo style styled using use featuring plus also just bit kind
    only alone lone unaccompanied
    sort one two long short was were are if do does let who which what instruments instrument section
""")
