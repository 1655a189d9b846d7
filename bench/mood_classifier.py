"""Which mood does music have? A judge that learned from labelled music, for moods that a composer was asked for.

    python bench/mood_classifier.py --corpus CORPUS

prints how often it is right about held-out music. It learns from EMOPIA's clips, which people heard as happy, tense,
sad or calm (the quadrants of valence and arousal, Russell 1980), and from excerpts of songs of the band set whose
moods agree on one of them. Two logistic regressions on measures of style, mode, speed, register and loudness tell
pleasant from unpleasant and stirred from still; what they say together is the quadrant. The band set has no tense
songs, which is why there are two of them and not one of four classes, and why music of one player and of several has
a judge each, scaled by its own kind: what tells the sources apart shall not tell the moods. No composer knows them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from symusic import Score

from orchestrion.data.plans import MOOD_OF
from orchestrion.data.store import Corpus, Piece, open_corpus
from orchestrion.evaluation.music_sets import Item
from orchestrion.metrics.sets import mean_interval
from orchestrion.metrics.suite import METRICS, measure
from orchestrion.metrics.two_sample import logistic_regression
from orchestrion.music import ScoreError
from orchestrion.music.analysis import estimate_key, note_columns, pitch_class_weights
from orchestrion.music.bars import instrument, tempo
from orchestrion.music.theory import DRUMS
from orchestrion.planning.harmony import chord_codes, triad_numbers
from orchestrion.planning.plan import MOODS
from orchestrion.representations.cells import encode

#: Sentences whose words for the mood stand in no caption of a training corpus and in none of `data.things`.
SENTENCES: dict[str, tuple[str, ...]] = {
    "happy": (
        "giddy music for two", "something chirpy to wake up to", "a mirthful tune", "jovial company round the table",
        "a sprightly piece", "jubilation in the whole street", "we are overjoyed, and you can hear it",
        "hooray, we made it", "pure elation", "prancing along, chuckling all the way",
    ),
    "tense": (
        "seething music", "a vengeful piece", "feverish and getting worse", "something murderous in the next room",
        "manic music that cannot sit still", "twitchy, with one eye on the door",
        "besieged, and they are coming over the wall", "a ruthless pursuit", "a vicious piece of music",
        "ambushed in the pass",
    ),
    "sad": (
        "a crestfallen tune", "heartsick since you left", "the bereaved, one year later",
        "sobbing behind a shut door", "forsaken by everyone", "lovesick and rejected", "pining for what is gone",
        "a dismal piece", "weary and defeated", "abandoned at the station",
    ),
    "calm": (
        "unruffled music", "drowsy, the book falls shut", "a balmy evening", "slumbering under a tree",
        "unwinding after work", "an easeful tune", "pillowy music", "wafting over the water", "downtime, feet up",
        "hushful hours at home",
    ),
}  # fmt: skip
MOOD_ASKED = {sentence: mood for mood, sentences in SENTENCES.items() for sentence in sentences}
PLEASANT, STIRRED = ("happy", "calm"), ("happy", "tense")
EXCERPT_BARS, EXCERPTS = 16, 3  # of a song of the band set
RIDGES = (1.0, 3.0, 10.0, 30.0, 100.0)
FOLDS = 5
FARTHEST = 3.0  # deviations
_STYLE = tuple(metric for metric in METRICS if metric.style and not metric.variant)


@dataclass(frozen=True, eq=False)
class Heard:
    """Music as the judge sees it: features (D,), nan where there is none, and whether several play."""

    features: np.ndarray
    together: bool


@dataclass(frozen=True, eq=False)
class Labelled:
    """heard (N,), the mood of each, the song that it is from and its dataset."""

    heard: tuple[Heard, ...]
    moods: tuple[str, ...]
    groups: tuple[str, ...]
    datasets: tuple[str, ...]


def hear(score: Score) -> Heard:
    """Measures of style, and what moods are known to hang on: mode, speed, loudness, register."""
    measured = measure(score)
    style = [_unbounded(measured.values[metric.id], metric.low, metric.high) for metric in _STYLE]
    playing = [instrument(track) for track in score.tracks if len(track.notes)]
    features = np.array([*style, *_mode(score), *_speed(score, measured.seconds), *_touch(score)], float)
    return Heard(features, len(playing) > 1 or DRUMS in playing)


def _unbounded(value: float, low: float, high: float) -> float:
    """Counts and times grow by factors, so they enter as logarithms."""
    return float(np.log1p(value)) if low >= 0 and high == np.inf else value


def _mode(score: Score) -> list[float]:
    """How sure the mode is (below 0 for minor), how long each degree sounds, and the shares of triads."""
    key, confidence = estimate_key(score)
    degrees = np.roll(pitch_class_weights(score), -key.tonic)
    triads = triad_numbers(chord_codes(encode(score))[0])
    qualities = [float(np.mean(triads[triads >= 0] // 12 == quality)) if (triads >= 0).any() else 0.0
                 for quality in range(3)]  # fmt: skip
    sign = 1.0 if key.mode == "major" else -1.0
    return [sign * confidence, sign, *np.sqrt(degrees / max(degrees.sum(), 1e-9)), *qualities]


def _speed(score: Score, seconds: float) -> list[float]:
    """Logarithms of tempo, of notes and of onsets a second, and of how long notes last."""
    notes = note_columns(score)
    onsets = len(np.unique(notes["time"]))
    lasting = float(np.mean(notes["duration"])) / score.tpq * 60 / tempo(score) if len(notes["time"]) else 0.0
    span = max(seconds, 1.0)
    return [float(np.log(tempo(score))), np.log1p(len(notes["time"]) / span), np.log1p(onsets / span),
            float(np.log(max(lasting, 0.02)))]  # fmt: skip


def _touch(score: Score) -> list[float]:
    """Loudness and register: means, spreads and extremes."""
    notes, pitched = note_columns(score), note_columns(score, drums=False)
    if not len(notes["velocity"]):
        return [np.nan] * 8
    pitch = pitched["pitch"] if len(pitched["pitch"]) else np.array([60])
    return [float(notes["velocity"].mean()), float(notes["velocity"].std()), float(notes["velocity"].max()),
            float(pitch.mean()), float(pitch.std()), float(np.quantile(pitch, 0.1)), float(np.quantile(pitch, 0.9)),
            float(np.mean(pitch < 48))]  # fmt: skip


# ---- labelled music


def mood_of(piece: Piece) -> str:
    """The one quadrant that the labels of a piece agree on, else ""."""
    emotion = piece.facts.get("emotion")
    found = {str(emotion)} if emotion else {MOOD_OF.get(word, "") for word in piece.facts.get("mood", ())}
    return found.pop() if len(found) == 1 else ""


def labelled(
    corpus: Corpus, splits: Sequence[str], told: Callable[[int, int], None] = lambda done, total: None
) -> Labelled:
    """What people labelled of some splits: clips as they are, excerpts of longer pieces."""
    rows: list[tuple[Heard, str, str, str]] = []
    pieces = [piece for split in splits for piece in corpus.pieces(split) if mood_of(piece) in MOODS]
    for done, piece in enumerate(pieces):
        whole = "emotion" in piece.facts
        for number in range(1 if whole else EXCERPTS):
            item = Item(f"{piece.id} {number}", piece.group, piece, excerpt_bars=None if whole else EXCERPT_BARS)
            try:
                score = item.score()
                heard = hear(score) if score.note_num() else None
            except ScoreError:
                heard = None
            if heard is not None:
                rows.append((heard, mood_of(piece), f"{piece.dataset}/{piece.group}", piece.dataset))
        told(done + 1, len(pieces))
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    return Labelled(*columns)


# ---- learning


@dataclass(frozen=True, eq=False)
class Scaling:
    """median, mean and deviation (D,) of the features of one kind of music."""

    median: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> Scaling:
        """features: (N, D). Columns that are nan everywhere or never vary become 0."""
        known = ~np.isnan(features).all(axis=0)
        median = np.where(known, np.nanmedian(np.where(known, features, 0.0), axis=0), 0.0)
        filled = np.where(np.isnan(features), median, features)
        return cls(median, filled.mean(axis=0), filled.std(axis=0))

    def __call__(self, features: np.ndarray) -> np.ndarray:
        filled = np.where(np.isnan(features), self.median, features)
        varied = self.deviation > 1e-9
        standard = (filled - self.mean) / np.where(varied, self.deviation, 1.0)
        return np.clip(np.where(varied, standard, 0.0), -FARTHEST, FARTHEST)


@dataclass(frozen=True, eq=False)
class Judge:
    """Of music of one kind, one player or several: how it is scaled, and the weights (D + 1,), intercept first."""

    scaling: Scaling
    valence: np.ndarray
    arousal: np.ndarray

    def mood(self, heard: Heard) -> str:
        x = np.concatenate([[1.0], self.scaling(heard.features)])
        side = int(x @ self.valence > 0), int(x @ self.arousal > 0)
        return {(1, 1): "happy", (0, 1): "tense", (0, 0): "sad", (1, 0): "calm"}[side]


@dataclass(frozen=True, eq=False)
class MoodClassifier:
    """One judge of music of one player, and one of music of several."""

    alone: Judge
    together: Judge

    def mood(self, heard: Heard) -> str:
        return (self.together if heard.together else self.alone).mood(heard)


def learned(music: Labelled, together: bool, ridge: float) -> Judge:
    """A judge of one kind: of soloists from soloists, of several players from all, as no tense song of theirs is
    labelled. Each kind is scaled by itself; each quadrant weighs alike."""
    if not together and not all(heard.together for heard in music.heard):
        music = part(music, np.array([not heard.together for heard in music.heard]))
    features = np.stack([heard.features for heard in music.heard])
    kind = np.array([heard.together for heard in music.heard])
    scalings = [Scaling.of(features[kind == side] if (kind == side).sum() > 1 else features) for side in (False, True)]
    x = np.where(kind[:, None], scalings[1](features), scalings[0](features))
    moods = np.array(music.moods)
    names, place, count = np.unique(moods, return_inverse=True, return_counts=True)
    weight = len(moods) / (len(names) * count[place])
    valence, arousal = (logistic_regression(x, np.isin(moods, side), weight, ridge) for side in (PLEASANT, STIRRED))
    return Judge(scalings[together], valence, arousal)


def part(music: Labelled, chosen: np.ndarray) -> Labelled:
    """The rows where `chosen` (N,) bool is true."""
    fields = (music.heard, music.moods, music.groups, music.datasets)
    return Labelled(*(tuple(v for v, own in zip(values, chosen, strict=True) if own) for values in fields))


def right(judge: Judge | MoodClassifier, music: Labelled) -> np.ndarray:
    """(N,) 1 where the judge says what the label says."""
    found = [judge.mood(heard) for heard in music.heard]
    return np.array([float(one == other) for one, other in zip(found, music.moods, strict=True)])


def best_ridge(music: Labelled, together: bool, rng: np.random.Generator) -> float:
    """The ridge with the best accuracy for one kind of music, over folds that part no song."""
    names = {name: index for index, name in enumerate(dict.fromkeys(music.groups))}
    fold = rng.integers(0, FOLDS, len(names))[[names[group] for group in music.groups]]
    own = np.array([heard.together == together for heard in music.heard])
    turns = [(part(music, fold != turn), part(music, (fold == turn) & own)) for turn in range(FOLDS)]
    turns = [(others, judged) for others, judged in turns if others.heard and judged.heard]

    def accuracy(ridge: float) -> float:
        return float(np.concatenate([right(learned(others, together, ridge), own) for others, own in turns]).mean())

    return max(RIDGES, key=accuracy) if turns else RIDGES[0]


def trained(
    corpus: Corpus, seed: int, told: Callable[[int, int], None] = lambda done, total: None
) -> tuple[MoodClassifier, dict[str, Any]]:
    """The judge and how often it is right about held-out music, by dataset, with what it learned from."""
    rng = np.random.default_rng((seed, 0x6D6F6F64))
    known, held = labelled(corpus, ["train"], told), labelled(corpus, ["valid", "test"], told)
    ridges = [best_ridge(known, side, rng) for side in (False, True)]
    classifier = MoodClassifier(
        *(learned(known, side, ridge) for side, ridge in zip((False, True), ridges, strict=True))
    )
    figures: dict[str, Any] = {"ridges": ridges, "learned from": len(known.heard), "held out": len(held.heard)}
    for dataset in dict.fromkeys(held.datasets):
        figures |= _accuracy(
            classifier, part(held, np.array([name == dataset for name in held.datasets])), dataset, rng
        )
    return classifier, figures


def _accuracy(classifier: MoodClassifier, music: Labelled, name: str, rng: np.random.Generator) -> dict[str, Any]:
    """Of the quadrant and of either half of it."""
    said = [classifier.mood(heard) for heard in music.heard]
    halves = {
        what: float(np.mean([(one in side) == (other in side) for one, other in zip(said, music.moods, strict=True)]))
        for what, side in (("pleasant or not", PLEASANT), ("stirred or not", STIRRED))
    }
    whole = asdict(mean_interval(right(classifier, music), rng, groups=music.groups))
    return {f"accuracy, {name}": whole} | {f"{what}, {name}": value for what, value in halves.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    _, figures = trained(open_corpus(options.corpus), options.seed)
    for name, value in figures.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
