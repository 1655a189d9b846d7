"""The grammar of captions: from facts of a piece and the words for them to one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from orchestrion.data.captions.phrases import (
    CLAUSES,
    FEELINGS,
    INSTRUMENTS,
    MOOD_LABELS,
    MOODS,
    NOUNS,
    QUALITIES,
    REQUESTS,
    SUBJECTS,
    USES,
)
from orchestrion.music.theory import DRUMS, PROGRAM_NAMES, Key

LABELLED, GUESSED = 0.65, 0.4  # of captions in which a mood may be spoken of, by who found it

#: Kinds of things to say, and how likely each is next to the others.
WEIGHTS = {
    "mood": 6, "pace": 4, "players": 4, "key": 4, "composer": 3, "use": 1.5, "meter": 1, "density": 1.5, "feel": 2,
    "loudness": 0.7, "articulation": 0.7, "texture": 0.7, "register": 0.7,
}  # fmt: skip
UNCOUNTED = {"rock", "pop", "jazz", "country", "hip hop", "soul", "R&B", "backing", "held chords"}
GROUPS = {"drums", *PROGRAM_NAMES[44:56], *PROGRAM_NAMES[61:64], *PROGRAM_NAMES[88:104]}  # no one plays them alone
_PROGRAMS = {**{name: program for program, name in enumerate(PROGRAM_NAMES)}, "drums": DRUMS}


class Speaker:
    """Says one caption of a piece. Facts are those of `captions.facts_of`; one that is missing is not spoken of.

    `left` are the kinds of things that may still be said: none is said twice.
    """

    def __init__(self, facts: Mapping[str, Any], rng: np.random.Generator) -> None:
        self.facts, self.rng = facts, rng
        moods = [facts["emotion"]] if "emotion" in facts else list(facts.get("mood", ()))
        guess = [facts["guessed mood"]] if "guessed mood" in facts and not moods else []
        self.mood = self.pick(moods or guess or [""]) if self.chance(LABELLED if moods else GUESSED) else ""
        self.emotion = MOOD_LABELS.get(self.mood, "")
        aliases = (INSTRUMENTS.get(_PROGRAMS[name], (name,)) for name in facts.get("instruments", ()))
        self.players = list(dict.fromkeys(self.pick(names) for names in aliases))
        self.alone = len(self.players) == 1 and not set(facts["instruments"]) & GROUPS
        self.uses = [
            use
            for kind in (self.emotion, facts.get("style", ""), *facts.get("genre", ()))
            for use in USES.get(kind, ())
        ]
        known = {**facts, "mood": self.mood, "players": self.players, "use": self.uses}
        known["pace"] = facts.get("pace") or facts.get("tempo")
        self.left = [kind for kind in WEIGHTS if known.get(kind)]

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def pick(self, options: Sequence[str]) -> str:
        return options[int(self.rng.integers(len(options)))]

    def caption(self) -> str:
        if "caption" in self.facts and self.chance(0.5):
            return str(self.facts["caption"])
        frames = [(self.short, 7), (self.tags, 18), (self.noun_phrase, 26), (self.request, 26), (self.something, 6),
                  (self.description, 12)]  # fmt: skip
        if self.emotion:
            frames += [(self.feeling, 16)]
        if self.uses:
            frames += [(self.purpose, 6)]
        weights = np.array([weight for _, weight in frames], dtype=float)
        text = frames[int(self.rng.choice(len(frames), p=weights / weights.sum()))][0]()
        if self.chance(0.25):
            text = text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
        return text

    # Frames

    def short(self) -> str:
        if len(self.players) == 1 and self.chance(0.5):
            self.left.remove("players")
            return " ".join([*self.details(2, adjectives=True)[0], self.players[0]])
        return " ".join([*self.details(2, adjectives=True)[0], self.noun()])

    def tags(self) -> str:
        before, after = self.details(4)
        said = [*before, *(words.removeprefix("with ").removeprefix("featuring ") for words in after)]
        if not said or self.chance(0.5):
            said.append(self.noun())
        between = self.pick((", ", ", ", " / ", "; ", " - "))
        return between.join(said[i] for i in self.rng.permutation(len(said)))

    def request(self) -> str:
        return f"{self.pick(REQUESTS)} {self.noun_phrase(article=True)}{self.pick(('', '', '', ', please'))}"

    def something(self) -> str:
        before, _ = self.details(2, adjectives=True)
        _, after = self.details(2, adjectives=False)
        start = self.pick(("something", "something", "play me something", "I want something", "anything"))
        return " ".join([start, listed(before), *after]).replace("  ", " ").strip()

    def purpose(self) -> str:
        self.left.remove("use")
        before, after = self.details(2)
        noun = self.pick(("music", "music", "background music", self.noun()))
        return " ".join([*before, noun, *after, self.pick(self.uses)])

    def feeling(self) -> str:
        self.left.remove("mood")
        forms = FEELINGS[self.emotion]
        subject, form = SUBJECTS[int(self.rng.integers(len(SUBJECTS)))]
        said = f"{subject} {forms[int(self.rng.integers(len(forms)))][form]}"
        if self.chance(0.3):
            return said
        wish = (self.request, self.something, self.noun_phrase)[int(self.rng.integers(3))]
        return f"{said}{self.pick((', ', '. ', ': ', ', so '))}{wish()}"

    def description(self) -> str:
        sentences = [self.noun_phrase(article=True, most=1)]
        before, after = self.details(4)
        if before:
            sentences.append(f"{self.pick(('it is', 'the music is', 'it should be', 'it sounds'))} {listed(before)}")
        sentences += [f"{self.pick(('make it', 'I want it', 'it should be'))} {words}" for words in after]
        return ". ".join(sentence[0].upper() + sentence[1:] for sentence in sentences) + "."

    def noun_phrase(self, article: bool | None = None, most: int = 4) -> str:
        """A noun with what comes before and after it; with an article, or by chance."""
        noun = self.noun()
        only = self.players[0] if len(self.players) == 1 and "players" in self.left else ""
        if only and not only.endswith("s") and only not in noun and self.chance(0.5):  # a piano piece, no voices piece
            self.left.remove("players")
            noun = f"{self.pick(('', '', 'solo ')) if self.alone else ''}{only} {noun}"
        elif "composer" in self.left and self.chance(0.4):
            self.left.remove("composer")
            noun = f"{self.facts['composer']} {noun}"
        before, after = self.details(most)
        text = " ".join([*before, noun, *after])
        if not (self.chance(0.7) if article is None else article):
            return text
        if noun in UNCOUNTED or (noun.endswith("music") and "of music" not in noun):
            return f"{self.pick(('', 'some ', 'some '))}{text}"
        vowel = text.startswith((*"aeiouéAEIO", "R&B")) and not text.startswith("one")
        return f"{'an' if vowel else 'a'} {text}"

    # What is said

    def details(self, most: int, adjectives: bool | None = None) -> tuple[list[str], list[str]]:
        """(adjectives, phrases for after the noun) of 0 to `most` kinds not said yet; of one sort if asked."""
        before: list[str] = []
        after: list[str] = []
        for _ in range(int(self.rng.integers(most > 2, most + 1))):
            kinds = [k for k in self.left if adjectives is None or (self.adjective(k) if adjectives else self.ends(k))]
            if not kinds:
                break
            weights = np.array([WEIGHTS[kind] for kind in kinds])
            kind = kinds[int(self.rng.choice(len(kinds), p=weights / weights.sum()))]
            self.left.remove(kind)
            word, ends = self.adjective(kind), self.ends(kind)
            if adjectives is not False and word and (adjectives or not ends or self.chance(0.5)):
                before.append(word)
            else:
                after.append(self.pick(ends))
        return before, after

    def adjective(self, kind: str) -> str:
        """One word for before the noun, "" where there is none of the kind."""
        if kind == "mood":
            return self.pick(MOODS.get(self.emotion, (self.mood,)))
        said = self.key.mode if kind == "key" else str(self.facts.get(kind))
        return self.pick(QUALITIES[said]) if said in QUALITIES else ""

    def ends(self, kind: str) -> Sequence[str]:
        """Phrases of one kind for after the noun; none where there are none."""
        if kind == "mood":
            return ()
        if kind == "players":
            return [self.played_by()]
        if kind == "use":
            return self.uses
        if kind == "composer":
            return [f"{like} {self.facts['composer']}" for like in ("in the style of", "like", "in the manner of")]
        if kind == "meter":
            return CLAUSES.get(self.facts["meter"], (f"in {self.facts['meter']}",))
        if kind == "key":
            named = [f"in {self.key_name()}", f"in the key of {self.key_name()}", f"in {self.key_name()}"]
            return [*named, self.pick(CLAUSES[self.key.mode])]
        said = list(CLAUSES.get(self.facts.get(kind, ""), ()))
        if kind == "pace" and "tempo" in self.facts:
            exact, about = f"{self.facts['tempo']:.0f}", 5 * round(self.facts["tempo"] / 5)
            said += [f"at {exact} bpm", f"{exact} bpm", f"at {exact} beats per minute", f"around {about} bpm"]
        return said

    def noun(self) -> str:
        """What the piece can be called."""
        said = [n for k in self.facts.get("genre", ()) for n in NOUNS.get(k, (f"{k} tune", f"{k} track", f"{k} music"))]
        for kind in (self.facts[k] for k in ("style", "role") if k in self.facts):
            said += NOUNS.get(kind, (kind, kind, f"{kind} piece"))
        drums = self.facts.get("instruments") == ["drums"]
        if drums and "role" not in self.facts:
            said += NOUNS["drum beat"]
        if self.facts.get("meter") == "3/4" and "style" not in self.facts and not drums:
            said += ["waltz"]
        return self.pick(said if said and self.chance(0.75) else NOUNS[""])

    def played_by(self) -> str:
        """One to four of the instruments, and what tells whether they are all."""
        count = min(len(self.players), 1 + int(self.rng.integers(4)))
        chosen = sorted(self.rng.permutation(len(self.players))[:count])
        whole = ("for", "on", "played by", "with") if count == len(self.players) else ("with", "featuring", "including")
        return f"{self.pick(whole)} {listed([self.players[i] for i in chosen])}"

    @property
    def key(self) -> Key:
        return Key.parse(str(self.facts["key"]))

    def key_name(self) -> str:
        """The key in one of the ways in which it is written: D minor, d minor, Dm; Bb major, B flat major."""
        name = self.key.name
        tonic, mode = name.split()
        spelled = f"{tonic[0]} {'flat' if 'b' in tonic else 'sharp'} {mode}" if len(tonic) > 1 else name
        return self.pick((name, name, name[0].lower() + name[1:], spelled, tonic + "m" if mode == "minor" else name))


def listed(words: Sequence[str]) -> str:
    """a, b and c"""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""
