"""Piano-roll archives written by pypianoroll itself and, in the layout of the Lakh Pianoroll Dataset, by hand."""

from __future__ import annotations

import io
import json
import tracemalloc
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from symusic import Score

from conftest import little_song
from orchestrion.metrics.grid import on_grid
from orchestrion.music import ScoreError
from orchestrion.music.bars import bars
from orchestrion.music.files import LIMITS, Limits, read
from orchestrion.music.piano_roll_files import BINARY_VELOCITY, parse_piano_rolls

with warnings.catch_warnings(action="ignore"):  # of its own dependencies
    import pypianoroll

Cells = dict[tuple[int, int], int]  # (step, pitch): value


def dense(cells: Cells, steps: int = 96, dtype: type = np.uint8) -> np.ndarray:
    roll = np.zeros((steps, 128), dtype)
    for (step, pitch), value in cells.items():
        roll[step, pitch] = value
    return roll


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def compressed_columns(roll: np.ndarray) -> dict[str, np.ndarray]:
    pitch, step = np.nonzero(roll.T)
    starts = np.searchsorted(pitch, np.arange(129))
    return {
        "data": roll[step, pitch],
        "indices": step.astype(np.int32),
        "indptr": starts.astype(np.int32),
        "shape": np.array(roll.shape),
    }


def lakh(*rolls: np.ndarray, info: dict[str, Any] | None = None, **arrays: np.ndarray | bytes) -> bytes:
    """An archive as pypianoroll 0.x wrote them: beat_resolution, and one value a step in tempo and downbeat."""
    names = {str(k): {"name": f"track {k}", "program": 8 * k, "is_drum": k == 0} for k in range(len(rolls))}
    about = {"beat_resolution": 24, "name": "song", **names, **(info or {})}
    parts = {
        f"pianoroll_{k}_csc_{part}": value
        for k, roll in enumerate(rolls)
        for part, value in compressed_columns(roll).items()
    }
    members = {f"{k}.npy": v if isinstance(v, bytes) else npy(v) for k, v in {**parts, **arrays}.items()}
    members["info.json"] = json.dumps({key: value for key, value in about.items() if value != "gone"}).encode()
    return zipped(members)


def zipped(members: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive without dates, so that the bytes are the same every time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, packing)
    return buffer.getvalue()


def parsed(data: bytes) -> Score:
    return parse_piano_rolls(data, LIMITS.file_bytes, LIMITS.tracks)


def notes_in(score: Score, track: int = 0) -> list[tuple[int, int, int, int]]:
    return [(note.time, note.duration, note.pitch, note.velocity) for note in score.tracks[track].notes]


def put(folder: Path, data: bytes, name: str = "a.npz") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def reason(path: Path, limits: Limits = LIMITS) -> str:
    with pytest.raises(ScoreError) as caught:
        read(path, limits)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"cannot read {path}: ")
    return message.removeprefix(f"cannot read {path}: ")


def survives(path: Path) -> bool:
    """Whether reading gives a Score that holds notes or one line of reason, and nothing else."""
    try:
        return read(path).note_num() > 0
    except ScoreError as error:
        return "\n" not in str(error)


DRUMS = dense({(0, 36): 90, (24, 38): 80, (25, 38): 70})
PIANO = dense({(step, 60): 64 for step in range(24)} | {(step, 64): 50 + step for step in range(12, 20)})


def test_a_file_of_the_lakh_pianoroll_dataset(tmp_path: Path) -> None:
    tempo = np.repeat([120.0, 90.004, 90.0], [24, 24, 48])
    downbeat = np.zeros(96, bool)
    downbeat[0] = True
    score = read(put(tmp_path, lakh(DRUMS, PIANO, np.zeros((0, 128), bool), tempo=tempo, downbeat=downbeat)))
    assert score.tpq == 24
    assert [(track.name, track.program, track.is_drum) for track in score.tracks] == [
        ("track 0", 0, True), ("track 1", 8, False), ("track 2", 16, False),
    ]  # fmt: skip
    assert notes_in(score, 0) == [(0, 1, 36, 90), (24, 2, 38, 80)]
    assert notes_in(score, 1) == [(0, 24, 60, 64), (12, 8, 64, 62)]  # a run with the velocity of its first cell
    assert notes_in(score, 2) == []
    assert [(mark.time, round(mark.qpm, 2)) for mark in score.tempos] == [(0, 120), (24, 90)]
    assert [(bar.start, bar.meter.name) for bar in bars(score)] == [(0, "4/4")]


@pytest.mark.parametrize("compressed", [True, False])
def test_a_file_written_by_pypianoroll(tmp_path: Path, compressed: bool) -> None:
    multitrack = pypianoroll.Multitrack(
        name="waltz",
        resolution=12,
        tempo=np.full((96, 1), 90.0),
        downbeat=(np.arange(96) % 36 == 0)[:, None],
        tracks=[
            pypianoroll.StandardTrack(name="kit", program=0, is_drum=True, pianoroll=DRUMS),
            pypianoroll.BinaryTrack(name="Klavier", program=3, is_drum=False, pianoroll=PIANO > 0),
            pypianoroll.Track(name=None, program=40, is_drum=False, pianoroll=2 * PIANO.astype(int)),
        ],
    )
    multitrack.save(tmp_path / "waltz.npz", compressed=compressed)
    score = read(tmp_path / "waltz.npz")
    assert score.tpq == 12
    assert [(track.name, track.program, track.is_drum) for track in score.tracks] == [
        ("kit", 0, True), ("Klavier", 3, False), ("", 40, False),
    ]  # fmt: skip
    assert notes_in(score, 1) == [(0, 24, 60, BINARY_VELOCITY), (12, 8, 64, BINARY_VELOCITY)]
    assert notes_in(score, 2) == [(0, 24, 60, 127), (12, 8, 64, 124)]  # 128 and 124: as loud as MIDI allows
    assert [bar.meter.name for bar in bars(score)] == ["3/4"]
    assert [mark.qpm for mark in score.tempos] == [pytest.approx(90)]


@pytest.mark.parametrize("seed", range(3))
def test_what_pypianoroll_makes_of_midi_holds_the_same_notes(tmp_path: Path, seed: int) -> None:
    song = little_song(seed)
    song.dump_midi(tmp_path / "song.mid")
    pypianoroll.read(str(tmp_path / "song.mid"), resolution=24).save(tmp_path / "song.npz")
    original, rolls = on_grid(song, steps_per_quarter=24), on_grid(read(tmp_path / "song.npz"), steps_per_quarter=24)
    for program, is_drum in {(track.program, track.is_drum) for track in song.tracks}:
        instrument = 128 if is_drum else program
        a, b = original.instrument == instrument, rolls.instrument == instrument
        assert sorted(zip(original.onset[a], original.pitch[a], strict=True)) == sorted(
            zip(rolls.onset[b], rolls.pitch[b], strict=True)
        )
    assert rolls.bars == original.bars


@pytest.mark.parametrize(
    ("downbeats", "expected"),
    [
        ([0], [(0, 4)]),
        ([], [(0, 4)]),
        ([0, 96, 192], [(0, 4)]),
        ([0, 72, 144, 216], [(0, 3)]),
        ([24, 120, 216], [(0, 1), (24, 4)]),  # an upbeat of a quarter
        ([192, 288], [(0, 4)]),  # music that starts late
        ([0, 96, 168], [(0, 4)]),  # not equally long
        ([0, 84, 168], [(0, 4)]),  # no whole quarters
    ],
)
def test_equal_downbeats_are_the_bars(downbeats: Sequence[int], expected: list[tuple[int, int]]) -> None:
    marks = np.isin(np.arange(300), downbeats)
    score = parsed(lakh(dense({(299, 60): 1}, 300), downbeat=marks))
    assert [(sign.time, sign.numerator) for sign in score.time_signatures] == expected
    assert all(sign.denominator == 4 for sign in score.time_signatures)


def test_cells_in_any_order_and_stored_zeros() -> None:
    columns = {
        "pianoroll_0_csc_data": np.array([9, 0, 7, 5], np.uint8),
        "pianoroll_0_csc_indices": np.array([5, 2, 3, 4]),
        "pianoroll_0_csc_indptr": np.repeat([0, 4], [61, 68]),
        "pianoroll_0_csc_shape": np.array([96, 128]),
    }
    about = {"0": {"name": "x", "program": 0, "is_drum": False}}
    assert notes_in(parsed(lakh(info=about, **columns))) == [(3, 3, 60, 7)]


def test_a_note_ends_with_its_pitch() -> None:
    # the last step of one pitch and the first of the next are no run
    score = parsed(lakh(dense({(95, 60): 80, (0, 61): 90})))
    assert notes_in(score) == [(0, 1, 61, 90), (95, 1, 60, 80)]


def test_a_header_of_python_2() -> None:
    header = b"{'descr': '|b1', 'fortran_order': False, 'shape': (96L,), }"
    header += b" " * (117 - len(header)) + b"\n"
    old = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(i % 48 == 0 for i in range(96))
    assert [sign.numerator for sign in parsed(lakh(DRUMS, downbeat=old)).time_signatures] == [2]


NOT_WHOLE = np.full(129, 7)
BAD: dict[str, tuple[bytes, str]] = {
    "no archive": (b"PK nothing of the kind", "archive of piano rolls is damaged"),
    "cut short": (lakh(DRUMS, PIANO)[:-200], "archive of piano rolls is damaged"),
    "its directory elsewhere": (lakh(DRUMS)[:-3] + b"\x01\0\0", "archive of piano rolls is damaged"),
    "no info": (lakh(DRUMS).replace(b"info.json", b"mist.json"), "no info.json"),
    "no tracks": (lakh(), "names no tracks"),
    "no notes": (lakh(dense({})), "no notes"),
    "no resolution": (lakh(DRUMS, info={"beat_resolution": "gone"}), "resolution is 'None'"),
    "resolution 0": (lakh(DRUMS, info={"beat_resolution": 0}), "resolution is '0'"),
    "resolution of a float": (lakh(DRUMS, info={"beat_resolution": 24.5}), "resolution is '24.5'"),
    "program 200": (lakh(DRUMS, info={"0": {"program": 200, "is_drum": False}}), "what plays track 0"),
    "no program": (lakh(DRUMS, info={"0": {}}), "what plays track 0"),
    "no roll": (lakh(DRUMS, info={"1": {"program": 0, "is_drum": False}}), "no array pianoroll_1_csc_shape"),
    "88 keys": (lakh(np.ones((96, 88), bool)), "no roll of steps by 128 pitches"),
    "columns do not fit": (lakh(DRUMS, pianoroll_0_csc_indptr=NOT_WHOLE), "do not fit together"),
    "a step beyond": (lakh(DRUMS, pianoroll_0_csc_indices=np.array([0, 24, 96])), "do not fit together"),
    "a step before": (lakh(DRUMS, pianoroll_0_csc_indices=np.array([0, -1, 5])), "do not fit together"),
    "steps of floats": (lakh(DRUMS, pianoroll_0_csc_indices=np.array([0.0, 24, 25])), "do not fit together"),
    "negative cells": (lakh(DRUMS, pianoroll_0_csc_data=np.array([1, -1, 1])), "no velocities"),
    "nan": (lakh(DRUMS, pianoroll_0_csc_data=np.array([1, np.nan, 1])), "no velocities"),
    "pickled": (lakh(DRUMS, tempo=np.array([None, {}], object)), "does not hold plain numbers"),
    "text": (lakh(DRUMS, tempo=np.array(["fast"])), "does not hold plain numbers"),
    "no array": (lakh(DRUMS, tempo=b"allegro"), "not in numpy's format"),
    "an array cut short": (lakh(DRUMS, tempo=npy(np.ones(96))[:-1]), "cut short"),
    "tempo 0": (lakh(DRUMS, tempo=np.zeros(96)), "a tempo outside of 1 to 60000"),
    "tempo nan": (lakh(DRUMS, tempo=np.full(96, np.nan)), "a tempo outside of 1 to 60000"),
    "too many tempos": (lakh(DRUMS, tempo=np.arange(200_001) % 2 + 100), "tempo changes 200001 times"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, name: str) -> None:
    data, expected = BAD[name]
    with warnings.catch_warnings(action="ignore"):
        path = put(tmp_path, data)
    assert expected in reason(path)


@pytest.mark.parametrize("info", [b"[1, 2]", b"not json", b"\xff\xfe", b"[" * 100_000, b" " * (2**20 + 1)])
def test_info_that_cannot_be_read(tmp_path: Path, info: bytes) -> None:
    assert "info.json" in reason(put(tmp_path, zipped({"info.json": info})))


def test_limits(tmp_path: Path) -> None:
    path = put(tmp_path, lakh(DRUMS, PIANO, PIANO))
    assert "more than the 2 tracks" in reason(path, Limits(tracks=2))
    assert "more than the 3 allowed" in reason(path, Limits(notes=3))
    assert "lasts 4 quarter notes, more than the 3 allowed" in reason(
        put(tmp_path, lakh(dense({(95, 60): 1}))), Limits(quarters=3)
    )
    assert "larger than" in reason(path, Limits(file_bytes=100))


@pytest.mark.parametrize("claimed", ["(1000000000, 128)", "(99999999999,)"])
def test_a_header_that_claims_gigabytes_fills_no_memory(tmp_path: Path, claimed: str) -> None:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {claimed}, }}\n".encode()
    bomb = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    assert "unpacks to more than is allowed" in reason(put(tmp_path, lakh(DRUMS, tempo=bomb)))


def test_a_small_archive_that_unpacks_to_much_fills_no_memory(tmp_path: Path) -> None:
    # thirty tracks of a million cells, 150 MB that lie in half a megabyte
    starts = np.where(np.arange(129) > 60, 10**6, 0)
    cells = {"data": np.ones(10**6, bool), "indices": np.zeros(10**6, np.int32)}
    parts = {**cells, "indptr": starts, "shape": np.array([10**6, 128])}
    about = {str(k): {"program": 0, "is_drum": False} for k in range(30)}
    data = lakh(info=about, **{f"pianoroll_{k}_csc_{part}": v for k in range(30) for part, v in parts.items()})
    path = put(tmp_path, data)
    del data, parts, cells
    tracemalloc.start()
    assert "unpacks to more than is allowed" in reason(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size < 2**20
    assert peak < 10 * LIMITS.file_bytes


def test_no_more_is_unpacked_than_an_array_needs() -> None:
    # what lies behind the array in its member is never read
    padded = npy(np.full(96, 90.0)) + bytes(10**6)
    assert parse_piano_rolls(lakh(DRUMS, tempo=padded), 10_000, 4).tempos[0].qpm == pytest.approx(90)


WHOLE = lakh(DRUMS, PIANO, tempo=np.full(96, 100.0), downbeat=np.arange(96) == 0)
with zipfile.ZipFile(io.BytesIO(WHOLE)) as _archive:
    STORED = zipped({name: _archive.read(name) for name in _archive.namelist()}, zipfile.ZIP_STORED)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([WHOLE, STORED]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6),
    st.integers(0, 40),
)
def test_damaged_bytes_give_a_score_or_a_line(
    tmp_path: Path, data: bytes, changes: list[tuple[float, int]], cut: int
) -> None:
    damaged = bytearray(data)
    for place, value in changes:
        damaged[int(place * len(damaged))] = value
    assert survives(put(tmp_path, bytes(damaged[: len(damaged) - cut] if cut < 20 else damaged)))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(
        ["tempo", "downbeat", *(f"pianoroll_0_csc_{part}" for part in ("data", "indices", "indptr", "shape"))]
    ),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=3)), min_size=1, max_size=3),
)
def test_damaged_arrays_in_a_whole_archive_give_a_score_or_a_line(
    tmp_path: Path, name: str, changes: list[tuple[float, bytes]]
) -> None:
    # the checksums of the archive hold, so that the damage reaches the arrays
    with zipfile.ZipFile(io.BytesIO(WHOLE)) as archive:
        damaged = bytearray(archive.read(f"{name}.npy"))
    for place, value in changes:
        start = int(place * len(damaged))
        damaged[start : start + len(value)] = value
    assert survives(put(tmp_path, lakh(DRUMS, PIANO, **{name: bytes(damaged)})))
