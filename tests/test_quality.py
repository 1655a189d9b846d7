"""Cleanliness and near duplicates, on small real corpora."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from symusic import Note, Score, Tempo, TimeSignature, Track

from orchestrion.data.datasets.emopia import Emopia
from orchestrion.data.quality import WEIGHTS, cleanest, near_duplicates, shingles
from orchestrion.data.store import Corpus, Piece
from orchestrion.data.windows import dataset_weights
from orchestrion.music.analysis import estimate_key
from orchestrion.representations.cells import encode

QUARTER = 480
SCALE = np.array([0, 2, 4, 5, 7, 9, 11, 12])


class Held(Corpus):
    """A corpus whose notes are in memory."""

    def __init__(self, notes: np.ndarray) -> None:
        super().__init__(Path("held"), {})
        self.__dict__["notes"] = notes


Line = list[tuple[float, int, int]]  # (quarter, pitch, velocity)


def tune(bars: int, seed: int = 0, up: int = 0) -> Line:
    """Eighths in a major key, with velocities as a player has them."""
    rng = np.random.default_rng(seed)
    pitches, velocities = 60 + up + rng.choice(SCALE, 8 * bars), rng.integers(50, 110, 8 * bars)
    return [(index / 2, int(pitch), int(v)) for index, (pitch, v) in enumerate(zip(pitches, velocities, strict=True))]


def piece(
    *lines: Line, id_: str = "a", dataset: str = "band", split: str = "train", program: int = 0, qpm: float = 100.0,
    drums: bool = False,
) -> Piece:  # fmt: skip
    score = Score(QUARTER)
    score.tempos, score.time_signatures = [Tempo(0, qpm=qpm)], [TimeSignature(0, 4, 4)]
    for line in lines:
        track = Track("", program, drums)
        track.notes.extend(Note(round(at * QUARTER), QUARTER // 2, pitch, velocity) for at, pitch, velocity in line)
        score.tracks.append(track)
    cells = encode(score)
    return Piece(
        id=id_, dataset=dataset, group=id_, split=split, path="", source="", licence="", sha256="", key="C major",
        key_confidence=0.0 if drums else estimate_key(score)[1], tempo=cells.tempo, instruments=cells.instruments,
        meter_runs=(("4/4", len(cells.meters)),), bars=len(cells.meters), notes=len(cells.notes), seconds=1.0, facts={},
        captions=(), first_note=0, timed_notes=0, first_timed=0, corpus=Held(cells.notes),
    )  # fmt: skip


CLEAN = piece(tune(16), tune(16, 1, -12))
FLAWED = {
    "flat": piece([(at, pitch, 80) for at, pitch, _ in tune(16)], tune(16, 1, -12)),
    "stuck": piece([(at, 60 if at < 32 else pitch, v) for at, pitch, v in tune(16)], tune(16, 1, -12)),
    "alone": piece(tune(16)),
    "short": piece(tune(6), tune(6, 1, -12)),
    "empty": piece(*([(at, p, v) for at, p, v in tune(16, seed) if at % 16 < 4 or at > 60] for seed in (0, 1))),
    "crowded": piece([(at / 8, p, v) for at, p, v in tune(128)], tune(16, 1, -12)),
    "outside": piece(tune(16, up=-30), tune(16, 1, -12), program=40),
    "keyless": piece([(at, 48 + int(at * 14) % 23, v) for at, _, v in tune(16)], tune(16, 1, 1)),
}


@pytest.mark.parametrize("flaw", FLAWED)
def test_every_flaw_costs(flaw: str) -> None:
    assert set(FLAWED) == set(WEIGHTS)
    assert 0 <= cleanest(FLAWED[flaw]) < cleanest(CLEAN) <= 1


def test_a_soloist_is_only_alone_in_a_band() -> None:
    assert cleanest(piece(tune(16), dataset="asap")) > cleanest(piece(tune(16), dataset="band"))


def test_drums_alone_are_not_blamed_for_pitch() -> None:
    assert cleanest(piece([(at / 2, 36, 80) for at in range(128)], dataset="groove", drums=True)) == pytest.approx(1)


def test_another_key_and_tempo_is_the_same_music() -> None:
    pieces = [piece(tune(16), id_="one"), piece(tune(16, 5), id_="two"), piece(tune(16, up=3), id_="three", qpm=70.0)]
    assert near_duplicates(pieces) == {"three": "one"}
    assert np.array_equal(shingles(pieces[0]), shingles(pieces[2]))


def test_most_of_it_is_enough_and_half_of_it_is_not() -> None:
    def with_new(bars: int) -> Line:
        return [old if old[0] < 4 * (16 - bars) else new for old, new in zip(tune(16), tune(16, 7), strict=True)]

    first = piece(tune(16), id_="first")
    assert near_duplicates([first, piece(with_new(3), id_="most")]) == {"most": "first"}
    assert near_duplicates([first, piece(with_new(8), id_="half")]) == {}


def test_splits_do_not_know_each_other_and_no_twin_is_a_duplicate() -> None:
    copies = [piece(tune(16, up=up), id_=str(up)) for up in range(4)]
    assert near_duplicates(copies) == {"1": "0", "2": "0", "3": "0"}
    assert near_duplicates([copies[0], piece(tune(16), id_="held out", split="test")]) == {}


def test_pieces_too_short_or_silent_for_a_shingle_are_nobodys() -> None:
    short = [piece(tune(3), id_=str(n)) for n in range(2)]
    held = [piece([(0, 60, 80), (20, 60, 80)], id_=f"held {n}") for n in range(2)]
    assert near_duplicates([*short, *held]) == {}
    assert near_duplicates([]) == {}


def test_datasets_are_drawn_by_notes_and_their_own_weight() -> None:
    names = ("emopia", "maestro", "of somebody")
    groups, weights = dataset_weights([piece(tune(16), id_=name, dataset=name) for name in names])
    assert [group[0].dataset for group in groups] == list(names)
    assert weights == pytest.approx(np.array([Emopia.draw_weight, 1, 1]) / (2 + Emopia.draw_weight))
