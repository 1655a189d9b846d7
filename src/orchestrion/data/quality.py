"""How cleanly pieces are written, and which of them are the same music again; from their note tables alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from orchestrion.data.store import SPLITS, Piece
from orchestrion.music.theory import DRUMS, INSTRUMENTS, pitch_range
from orchestrion.representations.cells import BAR, PITCH, POSITION, TRACK, VELOCITY

BANDS = ("band", "lpd")  # datasets of which a piece is played by several
STUCK_RUN, LONGEST_RUN = 16, 128  # notes of one pitch in a row: from here on stuck, and as bad as it gets
SHORTEST_BARS = 8
EMPTY = (0.3, 0.6)  # shares of bars without a note: from which on it is a flaw, and as bad as it gets
CROWDED = 40  # notes of one track in one bar, beyond which it is crowded
OUTSIDE = 0.25  # share of notes outside of what the instrument commonly plays, that is as bad as it gets
WEIGHTS = {
    "flat": 0.2, "stuck": 0.2, "alone": 0.1, "short": 0.1, "empty": 0.1, "crowded": 0.1, "outside": 0.1, "keyless": 0.1,
}  # fmt: skip

SHINGLE_BARS, SHINGLE_NOTES = 4, 8  # bars of one, and the fewest notes that tell it from others
SHARED = 0.6  # of the shingles of a piece that an earlier one holds as well, beyond which it is a near duplicate
COMMON = 64  # pieces with a shingle, beyond which it is everybody's and not counted

_LOW, _HIGH = np.array([pitch_range(instrument) for instrument in range(INSTRUMENTS)]).T


def cleanest(piece: Piece) -> float:
    """How cleanly a piece is written, 0..1, higher is cleaner: 1 - sum of `WEIGHTS` times flaws; each is 0..1.

    flat: share of the pitched notes in tracks of a single velocity. stuck: share of the pitched notes in runs of one
    pitch of STUCK_RUN or more in a row in a track, or the longest run / LONGEST_RUN where that is more. alone: 1 where
    a dataset of bands holds a single track. short: 1 below SHORTEST_BARS. empty: share of bars without a note, counted
    from 0.3 to 0.6. crowded: share of the notes in bars of a track with more than CROWDED notes. outside: share of
    pitched notes outside of `music.theory.pitch_range`, up to a quarter. keyless: 1 - confidence in the key, 0 for
    drums alone.
    """
    flaws = _flaws(piece)
    return 1.0 - sum(weight * flaws[name] for name, weight in WEIGHTS.items())


def _flaws(piece: Piece) -> dict[str, float]:
    rows = np.asarray(_notes(piece))
    rows = rows[np.argsort(rows[:, TRACK], kind="stable")]  # each track by time
    instruments = np.array(piece.instruments)[rows[:, TRACK]]
    is_pitched = instruments != DRUMS
    pitched, played_by = rows[is_pitched], instruments[is_pitched]
    sounding = np.count_nonzero(np.bincount(rows[:, BAR], minlength=piece.bars))
    empty = (1 - sounding / piece.bars - EMPTY[0]) / (EMPTY[1] - EMPTY[0])
    per_cell = np.bincount(rows[:, TRACK].astype(np.int64) * piece.bars + rows[:, BAR])
    flaws = {
        "flat": 0.0, "stuck": 0.0, "outside": 0.0, "keyless": 0.0,
        "alone": float(piece.dataset in BANDS and len(piece.instruments) == 1),
        "short": float(piece.bars < SHORTEST_BARS),
        "empty": float(np.clip(empty, 0, 1)),
        "crowded": float(per_cell[per_cell > CROWDED].sum() / len(rows)),
    }  # fmt: skip
    if not len(pitched):
        return flaws
    track, pitch, velocity = pitched[:, TRACK], pitched[:, PITCH], pitched[:, VELOCITY]
    starts = np.flatnonzero(np.diff(track, prepend=-1))
    sizes = np.diff(np.append(starts, len(track)))
    one_velocity = np.maximum.reduceat(velocity, starts) == np.minimum.reduceat(velocity, starts)
    changes = np.flatnonzero((np.diff(pitch, prepend=-1) != 0) | (np.diff(track, prepend=-1) != 0))
    runs = np.diff(np.append(changes, len(pitch)))
    flaws["flat"] = float(sizes[one_velocity].sum() / len(track))
    longest = runs.max() / LONGEST_RUN if runs.max() >= STUCK_RUN else 0.0
    flaws["stuck"] = float(min(1.0, max(longest, runs[runs >= STUCK_RUN].sum() / len(pitch))))
    outside = ((pitch < _LOW[played_by]) | (pitch > _HIGH[played_by])).mean()
    flaws["outside"] = float(min(1.0, outside / OUTSIDE))
    flaws["keyless"] = float(1 - np.clip(piece.key_confidence, 0, 1))
    return flaws


def near_duplicates(pieces: Sequence[Piece]) -> dict[str, str]:
    """id -> id of an earlier piece of the same split that holds most of its music, in any key and at any tempo; no
    piece that is told to be one is itself a near duplicate.

    A bar is what its pitched notes (drums, where it has no others) make of onset and interval above the lowest; four in
    a row with the steps of the lowest notes between them are a shingle, as in Broder 1997. A piece is a near duplicate
    where more than SHARED of its different shingles, of at least SHINGLE_NOTES notes and not in more than COMMON
    pieces, are in the earlier one. The same music at half or double note values is not found.
    """
    found: dict[str, str] = {}
    for split in SPLITS:
        found |= _near_duplicates([piece for piece in pieces if piece.split == split])
    return found


def _near_duplicates(pieces: Sequence[Piece]) -> dict[str, str]:
    own = [shingles(piece) for piece in pieces]
    sizes = np.array([len(found) for found in own], dtype=np.int64)
    if not sizes.sum():
        return {}
    hashes, owners = np.concatenate(own), np.repeat(np.arange(len(pieces)), sizes)
    order = np.argsort(hashes, kind="stable")  # so that owners of one shingle stand in order
    hashes, owners = hashes[order], owners[order]
    starts = np.flatnonzero(np.append(True, hashes[1:] != hashes[:-1]))
    told = np.repeat(np.diff(np.append(starts, len(hashes))), np.diff(np.append(starts, len(hashes)))) <= COMMON
    hashes, owners = hashes[told], owners[told]
    sizes = np.bincount(owners, minlength=len(pieces))
    pairs, counts = np.empty(0, np.int64), np.empty(0, np.int64)  # later * P + earlier; shingles that both have
    for lag in range(1, COMMON):
        same = np.flatnonzero(hashes[lag:] == hashes[:-lag])
        if not len(same):
            break
        new, shared = np.unique(owners[same + lag] * len(pieces) + owners[same], return_counts=True)
        pairs, place = np.unique(np.concatenate([pairs, new]), return_inverse=True)
        counts = np.bincount(place, np.concatenate([counts, shared])).astype(np.int64)
    found: dict[str, str] = {}
    later, earlier = np.divmod(pairs, len(pieces))
    enough = counts > SHARED * sizes[later]
    for one, other in zip(later[enough].tolist(), earlier[enough].tolist(), strict=True):
        if pieces[one].id not in found and pieces[other].id not in found:
            found[pieces[one].id] = pieces[other].id
    return found


def shingles(piece: Piece) -> np.ndarray:
    """(S,) uint64: the different shingles of a piece, sorted; see `near_duplicates`."""
    rows = np.asarray(_notes(piece))
    is_drums = (np.array(piece.instruments) == DRUMS)[rows[:, TRACK]]
    rows = rows if is_drums.all() else rows[~is_drums]
    count = piece.bars - SHINGLE_BARS + 1
    if count < 1:
        return np.empty(0, np.uint64)
    bar, pitch = rows[:, BAR].astype(np.int64), rows[:, PITCH].astype(np.int64)
    starts = np.flatnonzero(np.diff(bar, prepend=-1))
    lowest = np.zeros(piece.bars, np.int64)
    lowest[bar[starts]] = np.minimum.reduceat(pitch, starts)
    sums = np.zeros(piece.bars, np.uint64)
    sums[bar[starts]] = np.add.reduceat(_mixed(rows[:, POSITION] * 128 + pitch - lowest[bar] + 1), starts)
    notes = np.bincount(bar, minlength=piece.bars)
    lowest[notes == 0] = -1000
    steps = _mixed(np.diff(lowest) + 4096)
    result, size = np.zeros(count, np.uint64), np.zeros(count, np.int64)
    for offset in range(SHINGLE_BARS):
        result = _mixed(result + sums[offset : offset + count])
        if offset:
            result = _mixed(result ^ steps[offset - 1 : offset - 1 + count])
        size += notes[offset : offset + count]
    return np.unique(result[size >= SHINGLE_NOTES])


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """A hash of each, uint64: the finish of SplitMix64, Steele and others 2014."""
    mixed = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _notes(piece: Piece) -> np.ndarray:
    return piece.corpus.notes[piece.first_note : piece.first_note + piece.notes]
