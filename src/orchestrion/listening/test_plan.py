"""A blind listening test as a plan: who hears which pieces in which order, and what is asked.

The plan is a function of the pieces, the settings and the seed alone, and a listener's does not depend on how many
there are, so that a test goes on where it was left and takes in more listeners. What is balanced, exactly:

- each listener hears as many pieces of every set, and every pair of sets as often;
- over as many listeners as there are sets, each set is as often at every place of the order; so are pairs of sets;
- of the two pieces of a pair each set's comes first as often: over two listeners, and for one where `pairs` is even;
- every piece of a set is drawn once before any is drawn again.

The order is random besides, and without blocks: what was heard does not tell what comes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import combinations
from pathlib import Path

import numpy as np

from orchestrion.listening import StudioError
from orchestrion.listening.store import Item, Store, item_of
from orchestrion.music.files import MIDI_SUFFIXES

#: What can be asked for, and the questions that this puts to a listener, in their order: what somebody thinks of a
#: piece comes before what he thinks it is, which would colour it.
ASKED = {"rating": ("rating", "inspiring"), "real": ("real",), "preference": ("preference",)}
#: The answers to each question, as the store keeps them.
ANSWERS: Mapping[str, tuple[str, ...]] = {
    "rating": ("good", "average", "poor"),
    "inspiring": ("yes", "no"),
    "real": ("human", "machine"),
    "preference": ("first", "second", "same"),
}
TEST = "test"  # the item that holds what the test is


class ListeningError(StudioError):
    """A listening test that cannot be held; the message says in one line why, and what to do."""


@dataclass(frozen=True)
class MusicSet:
    """Pieces of one origin, by the name of their folder. human: they are people's music."""

    name: str
    pieces: tuple[Item, ...]
    human: bool = False


@dataclass(frozen=True)
class Trial:
    """What is heard at once and asked about: one piece, or two, by their ids. `item` is what answers are kept under."""

    item: str
    pieces: tuple[str, ...]
    questions: tuple[str, ...]


@dataclass(frozen=True)
class ListeningTest:
    """A test of two sets or more. asked: of "rating", "real", "preference". listeners: places in it. items: pieces of
    each set that a listener judges one by one; pairs: comparisons of each two sets. seconds: how much of a piece is
    heard at most, so that its length does not tell where it is from. Raises ListeningError."""

    sets: tuple[MusicSet, ...]
    asked: tuple[str, ...] = ("rating", "real", "preference")
    listeners: int = 20
    items: int = 5
    pairs: int = 4
    seconds: float = 30.0
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [name for name in self.asked if name not in ASKED]
        if unknown or not self.asked:
            raise ListeningError(f"{', '.join(unknown) or 'nothing'} cannot be asked; there are {', '.join(ASKED)}")
        if len(self.sets) < 2:
            raise ListeningError("a listening test compares two folders or more; name another one")
        names = Counter(music.name for music in self.sets)
        if len(names) < len(self.sets):
            raise ListeningError(f"two folders are called {names.most_common(1)[0][0]}; rename one, results go by name")
        if "real" in self.asked and not any(music.human for music in self.sets):
            raise ListeningError("nobody can tell human from machine where no set is human: name one with --real DIR")
        for music in self.sets:
            if len(music.pieces) < self._most:
                raise ListeningError(
                    f"{music.name} has {len(music.pieces)} pieces and a listener hears {self._most}: "
                    f"add pieces, or ask for fewer with --items and --pairs"
                )
        owners: dict[str, Item] = {}
        for music in self.sets:
            for piece in music.pieces:
                if piece.id in owners:
                    raise ListeningError(f"{owners[piece.id].path} and {piece.path} are the same piece; remove one")
                owners[piece.id] = piece

    @property
    def questions(self) -> tuple[str, ...]:
        """Of one piece, in their order."""
        return tuple(question for name in ("rating", "real") if name in self.asked for question in ASKED[name])

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of all that decides the plan, but for the number of listeners."""
        pieces = [[music.name, music.human, sorted(piece.id for piece in music.pieces)] for music in self.sets]
        settings = [sorted(self.asked), self.items, self.pairs, self.seconds, self.seed]
        return sha256(json.dumps([pieces, settings]).encode()).hexdigest()[:16]

    @property
    def _most(self) -> int:
        return max(self.items if self.questions else 0, self.pairs if "preference" in self.asked else 0, 1)


def music_set(folder: str | Path, *, human: bool = False) -> MusicSet:
    """The MIDI files of a folder and those below it, by name. Raises ListeningError where there is none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ListeningError(f"{folder} is no folder; name folders of MIDI files")
    name = folder.resolve().name
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in MIDI_SUFFIXES and path.is_file())
    if not files:
        raise ListeningError(f"{folder} holds no MIDI files ({', '.join(MIDI_SUFFIXES)})")
    return MusicSet(name, tuple(item_of(path, name) for path in files), human)


def plan(test: ListeningTest) -> list[list[Trial]]:
    """The trials of every listener: pieces one by one first, then pairs."""
    sets, couples = range(len(test.sets)), list(combinations(range(len(test.sets)), 2))
    decks = {(part, one): _Deck(test.sets[one], (test.seed, number, one))
             for number, part in enumerate(["piece", *couples])
             for one in sets if part == "piece" or one in part}  # fmt: skip
    trials: list[list[Trial]] = []
    for listener in range(test.listeners):
        heard: Counter[str] = Counter()
        mine: list[Trial] = []
        if test.questions:
            for one in _order(len(sets), test.items, listener, (test.seed, 1000)):
                piece = decks["piece", one].draw(listener, heard)
                mine.append(Trial(piece, (piece,), test.questions))
        if "preference" in test.asked:
            turned = [_turned(test.pairs, listener, (test.seed, 2000, couple)) for couple in range(len(couples))]
            for couple in _order(len(couples), test.pairs, listener, (test.seed, 3000)):
                pair = [decks[couples[couple], one].draw(listener, heard) for one in couples[couple]]
                first, second = reversed(pair) if turned[couple].pop() else pair
                mine.append(Trial(pair_id(first, second), (first, second), ASKED["preference"]))
        trials.append(mine)
    return trials


def pair_id(first: str, second: str) -> str:
    """The item under which answers about these two, heard in this order, are kept."""
    return sha256(f"{first} {second}".encode()).hexdigest()[:16]


class _Deck:
    """The pieces of a set, drawn until all were drawn, and then anew."""

    def __init__(self, music: MusicSet, seed: Sequence[int]) -> None:
        self._pieces = sorted(piece.id for piece in music.pieces)
        self._rng = np.random.default_rng(list(seed))
        self._left: list[str] = []
        self._listener, self._mine = -1, Counter[str]()

    def draw(self, listener: int, heard: Counter[str]) -> str:
        """The next piece that this listener did not draw here, nor `heard`, if that can be; it is noted in `heard`."""
        if listener != self._listener:
            self._listener, self._mine = listener, Counter()
        if not self._left:
            self._left = [self._pieces[place] for place in self._rng.permutation(len(self._pieces))]
        piece = min(self._left, key=lambda one: (self._mine[one], heard[one]))
        self._left.remove(piece)
        self._mine[piece] += 1
        heard[piece] += 1
        return piece


def _order(kinds: int, times: int, listener: int, seed: Sequence[int]) -> list[int]:
    """Each of `kinds` so many times, in random order; `kinds` listeners share an order with the kinds changed round, so
    that each kind stands once at every place."""
    group, turn = divmod(listener, kinds)
    rng = np.random.default_rng([*seed, group])
    order, names = rng.permutation(np.repeat(np.arange(kinds), times)), rng.permutation(kinds)
    return [int(names[(kind + turn) % kinds]) for kind in order]


def _turned(times: int, listener: int, seed: Sequence[int]) -> list[int]:
    """Whether each of the comparisons of two sets is heard the other way round; the next listener has the opposite."""
    rng = np.random.default_rng([*seed, listener // 2])
    flags = (np.arange(times) + rng.integers(2)) % 2
    return [int(flag) ^ listener % 2 for flag in rng.permutation(flags)]


# In the store -------------------------------------------------------------------------------------------------------


def open_test(store: Store, test: ListeningTest, trials: Sequence[Sequence[Trial]]) -> None:
    """Put the test into the store, or find that it is there. Raises ListeningError where the store holds another."""
    known = store.item(TEST)
    if known is not None and known.meta["fingerprint"] != test.fingerprint:
        raise ListeningError(
            f"the answers in {store.place} belong to another test (other pieces, questions or seed); "
            "name another place with --answers"
        )
    if known is not None and known.meta["listeners"] > test.listeners:
        raise ListeningError(
            f"the test in {store.place} has places for {known.meta['listeners']} listeners already; "
            "give --listeners at least as many"
        )
    about = {
        "fingerprint": test.fingerprint, "listeners": test.listeners, "asked": list(test.asked), "items": test.items,
        "pairs": test.pairs, "seconds": test.seconds, "seed": test.seed,
        "sets": {music.name: music.human for music in test.sets},
    }  # fmt: skip
    pairs = {
        trial.item: Item(trial.item, "", "", {"first": trial.pieces[0], "second": trial.pieces[1]})
        for mine in trials
        for trial in mine
        if len(trial.pieces) == 2
    }
    store.offer([Item(TEST, "", "", about), *(piece for music in test.sets for piece in music.pieces), *pairs.values()])


def take_place(store: Store, name: str, listeners: int) -> int:
    """The number of this listener, 0 .. listeners − 1; the same name has the same place again.

    Raises ListeningError when all are taken, StudioError for a name that cannot be kept.
    """
    number = store.enter(name, name)
    if number >= listeners:
        raise ListeningError(f"all {listeners} places of this test are taken; thank you all the same")
    return number
