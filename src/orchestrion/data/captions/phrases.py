"""The words of captions: for each thing that can be known of a piece, ways in which people say it.

Words are our own. What two keys share no word of can be told apart by them: a slow piece is never called anything that
stands under "fast". Values are parted by commas.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from orchestrion.music.theory import DRUMS

Words = Mapping[str, tuple[str, ...]]


def _words(table: Mapping[str, str]) -> Words:
    return MappingProxyType({key: tuple(word.strip() for word in text.split(",")) for key, text in table.items()})


#: Adjectives by what was measured.
QUALITIES = _words({
    "very slow": "very slow, extremely slow, really slow, slow, largo, crawling",
    "slow": "slow, unhurried, slow-moving, slow-paced, adagio, leisurely, downtempo",
    "medium": "mid-tempo, medium-tempo, moderate, moderately paced, medium-paced",
    "fast": "fast, quick, up-tempo, uptempo, fast-paced, rapid, swift, allegro, brisk",
    "very fast": "very fast, extremely fast, breakneck, presto, really fast, fast, racing",
    "sparse": "sparse, minimal, minimalist, uncluttered, simple, bare, spacious",
    "busy": "busy, dense, intricate, note-filled, bustling, elaborate",
    "low": "low, deep, low-pitched",
    "high": "high, high-pitched",
    "soft": "soft, softly played, quiet, hushed, delicate",
    "loud": "loud, forceful, strong, heavy-handed",
    "short notes": "staccato, detached, clipped, choppy",
    "long notes": "sustained, legato, drawn-out",
    "swing": "swinging, swung, shuffling",
    "single line": "monophonic, single-line, one-voice",
    "chords": "chordal, full-sounding",
    "major": "major-key, major-mode",  # alone they read as keys: a minor waltz
    "minor": "minor-key, minor-mode",
})  # fmt: skip

#: What is said after the noun, by what was measured.
CLAUSES = _words({
    "very slow": "at a very slow tempo, taken very slowly, at a slow pace",
    "slow": "at a slow tempo, taken slowly, with a slow pulse, at a slow pace",
    "medium": "at a medium tempo, at a moderate tempo, at a moderate pace",
    "fast": "at a fast tempo, with a quick pulse, at a fast pace, at high speed",
    "very fast": "at a very fast tempo, at top speed, at a furious speed",
    "sparse": "with few notes, with lots of space, with room to breathe",
    "busy": "with many notes, full of notes, with a lot going on",
    "low": "in a low register, low down",
    "high": "in a high register, high up",
    "short notes": "with short notes, in short strokes",
    "long notes": "with long notes, with long held notes",
    "swing": "with swing, with a swing feel, with swung eighths, with a shuffle feel",
    "single line": "one note at a time, in a single line",
    "chords": "in full chords, with thick chords",
    "major": "in a major key, in major",
    "minor": "in a minor key, in minor",
    "3/4": "in 3/4, in 3/4 time, in waltz time, in three-four, with three beats to the bar",
    "4/4": "in 4/4, in 4/4 time, in four-four, with four beats to the bar",
    "2/4": "in 2/4, in 2/4 time, in two-four",
    "6/8": "in 6/8, in 6/8 time, in six-eight",
})  # fmt: skip

#: Adjectives by emotion.
MOODS = _words({
    "happy": "happy, cheerful, joyful, sunny, bright, merry, glad, playful, light-hearted, carefree, optimistic, warm, "
    "uplifting, jolly, smiling, positive, feel-good, delighted, good-humoured, festive, joyous",
    "energetic": "energetic, driving, lively, powerful, vigorous, punchy, exciting, full-on, electrifying, spirited",
    "tense": "tense, dramatic, restless, agitated, dark, stormy, fierce, anxious, aggressive, ominous, angry, urgent, "
    "menacing, suspenseful, threatening, nervous, turbulent, furious, dangerous, edgy",
    "sad": "sad, melancholic, sorrowful, mournful, gloomy, lonely, heartbroken, wistful, tearful, tragic, grieving, "
    "downcast, bleak, aching, sombre, unhappy, plaintive, regretful, desolate, blue",
    "calm": "calm, peaceful, relaxed, relaxing, gentle, serene, tranquil, soothing, mellow, dreamy, restful, tender, "
    "chilled, laid-back, contented, cosy, floating, untroubled, easygoing",
})  # fmt: skip

#: What labels of moods mean; others are said as they are.
MOOD_LABELS = MappingProxyType({
    "happy": "happy", "fun": "happy", "party": "happy", "joyful": "happy", "cheerful": "happy", "sad": "sad",
    "melancholy": "sad", "melancholic": "sad", "calm": "calm", "mellow": "calm", "relaxed": "calm", "peaceful": "calm",
    "tense": "tense", "angry": "tense", "dark": "tense", "energetic": "energetic",
})  # fmt: skip

#: What somebody does or feels, after "I", "she" and "we": (I ..., he or she ..., we ...).
FEELINGS: Mapping[str, tuple[tuple[str, str, str], ...]] = MappingProxyType({
    "happy": (
        ("am happy", "is happy", "are happy"), ("feel good", "feels good", "feel good"), ("laugh", "laughs", "laugh"),
        ("am smiling", "is smiling", "are smiling"), ("love this day", "loves this day", "love this day"),
        ("feel great today", "feels great today", "feel great today"),
        ("am in love", "is in love", "are in love"),
        ("sing in the sun", "sings in the sun", "sing in the sun"),
        ("have won", "has won", "have won"),
        ("cannot stop grinning", "cannot stop grinning", "cannot stop grinning"),
        ("am full of joy", "is full of joy", "are full of joy"),
        ("dance with joy", "dances with joy", "dance with joy"),
    ),
    "energetic": (
        ("am excited", "is excited", "are excited"), ("feel alive", "feels alive", "feel alive"),
        ("am full of energy", "is full of energy", "are full of energy"),
        ("want to dance", "wants to dance", "want to dance"),
        ("run through the streets", "runs through the streets", "run through the streets"),
        ("jump up and down", "jumps up and down", "jump up and down"),
    ),
    "tense": (
        ("am angry", "is angry", "are angry"), ("am scared", "is scared", "are scared"),
        ("scream", "screams", "scream"),
        ("feel nervous", "feels nervous", "feel nervous"), ("am furious", "is furious", "are furious"),
        ("run for my life", "runs for dear life", "run for our lives"), ("shout", "shouts", "shout"),
        ("am under pressure", "is under pressure", "are under pressure"), ("panic", "panics", "panic"),
        ("hear footsteps behind me", "hears footsteps in the dark", "hear footsteps behind us"),
        ("slam the door", "slams the door", "slam the door"), ("feel trapped", "feels trapped", "feel trapped"),
    ),
    "sad": (
        ("am sad", "is sad", "are sad"), ("cry", "cries", "cry"), ("feel bad", "feels bad", "feel bad"),
        ("miss you", "misses you", "miss you"), ("am heartbroken", "is heartbroken", "are heartbroken"),
        ("feel so alone", "feels so alone", "feel so alone"), ("weep", "weeps", "weep"),
        ("lost a friend", "lost a friend", "lost a friend"), ("feel down", "feels down", "feel down"),
        ("stand in the rain", "stands in the rain", "stand in the rain"), ("mourn", "mourns", "mourn"),
        ("said goodbye for ever", "said goodbye for ever", "said goodbye for ever"),
    ),
    "calm": (
        ("am calm", "is calm", "are calm"), ("feel at peace", "feels at peace", "feel at peace"),
        ("rest", "rests", "rest"), ("am half asleep", "is half asleep", "are half asleep"),
        ("lie in the grass", "lies in the grass", "lie in the grass"), ("feel safe", "feels safe", "feel safe"),
        ("watch the clouds", "watches the clouds", "watch the clouds"),
        ("feel relaxed", "feels relaxed", "feel relaxed"),
        ("sit by the lake", "sits by the lake", "sit by the lake"), ("breathe out", "breathes out", "breathe out"),
        ("drink tea at home", "drinks tea at home", "drink tea at home"), ("daydream", "daydreams", "daydream"),
    ),
})  # fmt: skip
SUBJECTS = (("I", 0), ("she", 1), ("he", 1), ("we", 2), ("they", 2), ("my friend", 1), ("the child", 1), ("today I", 0))

#: What music is for, by emotion or genre.
USES = _words({
    "happy": "for a birthday party, for a picnic in the sun, for a holiday video, for a children's film, "
    "for a wedding dance, for an advert, for a cartoon, to cheer me up, for a summer morning, for a comedy scene",
    "energetic": "for a workout, for running, for a road trip, for a sports video, for cleaning the house, for a party",
    "tense": "for a video game boss fight, for a chase scene, for a thriller, for a battle, for a horror film, "
    "for a storm at sea, for a villain, for an escape scene, for a haunted house, for a heist",
    "sad": "for a farewell scene, for a rainy day, for a funeral, for the end of a love story, for a break-up, "
    "for a lonely night, for a sad film, to cry to, for a memorial, for a grey November afternoon",
    "calm": "for studying, for falling asleep, for yoga, for reading, for a quiet evening, for a spa, "
    "as background music, for meditation, for a cosy cafe, for a bedtime story",
    "cinematic": "for a film scene, for a trailer, as a film score, for a documentary",
    "video game": "for a video game, for a game level, as game music",
    "dance": "for the dance floor, for a club, to dance to",
    "classical": "for a concert hall, for a recital",
    "jazz": "for a jazz club, for a smoky cellar",
    "rock": "for a rock band, for a concert",
    "new age": "for meditation, for a spa, as background music",
    "chorale": "for a church service, for a church choir",
})  # fmt: skip

#: Nouns for a piece of music: "" for any, else by genre, style or role.
NOUNS = _words({
    "": "piece, tune, track, piece of music, composition, song, music, instrumental, number, bit of music, theme",
    "rock": "rock song, rock track, rock tune, rock number, rock, rock music",
    "pop": "pop song, pop tune, pop track, pop, pop music, pop number",
    "classical": "classical piece, classical music, classical work, classical composition",
    "jazz": "jazz tune, jazz piece, jazz number, jazz",
    "country": "country song, country tune, country, country music",
    "hip hop": "hip hop track, hip-hop beat, rap beat, hip hop, rap track",
    "soul": "soul song, soul tune, soul, soul music, R&B song",
    "r&b": "R&B song, R&B track, rhythm and blues tune, R&B",
    "cinematic": "cinematic piece, film score, soundtrack, film music, cinematic cue",
    "soundtrack": "soundtrack, film music, film theme",
    "new age": "new age piece, new-age track, new age music",
    "video game": "video game tune, game music, video game track, game theme",
    "chorale": "chorale, hymn, choral piece, four-part chorale",
    "main melody": "melody, main melody, tune, lead line, theme",
    "sub melody": "counter-melody, secondary melody, countermelody",
    "accompaniment": "accompaniment, backing part, accompanying part, backing",
    "riff": "riff, repeating riff, looping figure, hook",
    "pad": "pad, chord pad, background pad, held chords",
    "bass": "bass line, bass part, bassline",
    "drum beat": "drum beat, drum groove, drum pattern, beat, drum part, drum track",
    "drum fill": "drum fill, drum break, drum solo, fill",
})  # fmt: skip

#: Instruments as people call them; others by their General MIDI name.
INSTRUMENTS = MappingProxyType({
    **dict.fromkeys((0, 1), ("piano", "grand piano", "acoustic piano", "piano", "keyboard")),
    2: ("electric grand piano", "piano"), 3: ("honky-tonk piano", "saloon piano", "piano"),
    **dict.fromkeys((4, 5), ("electric piano", "e-piano", "rhodes")), 7: ("clavinet", "clav"), 8: ("celesta",),
    11: ("vibraphone", "vibes"), 14: ("tubular bells", "bells"),
    **dict.fromkeys((16, 17, 18), ("organ", "hammond organ")),
    19: ("church organ", "pipe organ", "organ"), 20: ("reed organ", "harmonium"), 21: ("accordion",),
    24: ("nylon guitar", "classical guitar", "guitar", "acoustic guitar"),
    25: ("acoustic guitar", "steel guitar", "guitar", "steel-string guitar"), 26: ("jazz guitar", "guitar"),
    27: ("electric guitar", "clean guitar", "guitar"), 28: ("muted guitar", "palm-muted guitar", "guitar"),
    29: ("overdriven guitar", "electric guitar", "rock guitar", "guitar"),
    30: ("distorted guitar", "distortion guitar", "electric guitar", "heavy guitar"),
    32: ("acoustic bass", "upright bass", "bass"), 33: ("bass guitar", "electric bass", "bass"),
    34: ("picked bass", "bass guitar", "bass"), 35: ("fretless bass", "bass"),
    **dict.fromkeys((36, 37), ("slap bass", "slapped bass", "bass")),
    **dict.fromkeys((38, 39), ("synth bass", "bass", "bass synth")), 43: ("double bass", "contrabass"),
    44: ("tremolo strings", "strings"), 45: ("pizzicato strings", "plucked strings"), 46: ("harp",),
    **dict.fromkeys((48, 49), ("strings", "string section", "string ensemble")),
    **dict.fromkeys((50, 51), ("synth strings", "strings")), 52: ("choir", "voices"), 53: ("voice", "vocal oohs"),
    54: ("synth voice",), 60: ("french horn", "horn"), 61: ("brass", "brass section", "horn section"),
    **dict.fromkeys((62, 63), ("synth brass", "brass")), 64: ("soprano sax", "saxophone"),
    65: ("alto sax", "saxophone", "sax"),
    66: ("tenor sax", "saxophone", "sax"), 67: ("baritone sax", "saxophone"), 75: ("pan flute",),
    **dict.fromkeys((80, 81, 84, 86), ("synth lead", "synth", "synthesizer")), 87: ("synth lead", "synth"),
    **dict.fromkeys((88, 89, 90, 94, 95), ("synth pad", "synth", "pad")), 91: ("choir pad", "synth pad"),
    110: ("fiddle", "violin"), DRUMS: ("drums", "drum kit", "drums", "percussion"),
})  # fmt: skip

REQUESTS = (
    "write me", "write", "compose", "please compose", "make", "make me", "I want", "I'd like", "I need", "give me",
    "can you write", "could you compose", "please play", "play", "create", "generate", "let me hear", "how about",
    "show me", "I would love to hear", "looking for", "please make", "we need", "can I have", "I am looking for",
)  # fmt: skip
