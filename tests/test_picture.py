"""Pictures are checked by their bytes and by the colours found in them."""

import math
import struct
from pathlib import Path

import numpy as np
import pytest
from symusic import Note, Score, TimeSignature, Track

from orchestrion.data.store import Corpus
from orchestrion.models.base import Recipe, Training
from orchestrion.models.registry import recipe
from orchestrion.rendering import RenderError
from orchestrion.rendering.piano_roll import COLOURS, DOTS_PER_INCH, WIDTH, write_loss_curve, write_picture
from orchestrion.training.trainer import train


def score_of(*instruments: tuple[int, bool], bars: int = 2) -> Score:
    """One quarter note a track a bar of 4/4, full velocity, each track on a pitch of its own."""
    score = Score(480)
    for number, (program, is_drum) in enumerate(instruments):
        track = Track("", program, is_drum)
        for bar in range(bars):
            track.notes.append(Note(1920 * bar, 480, 36 + number, 127))
        score.tracks.append(track)
    return score


def pixels(path: Path) -> np.ndarray:
    """(height, width, 3) uint8."""
    from matplotlib.image import imread

    return np.rint(imread(path)[:, :, :3] * 255).astype(np.uint8)


def count(image: np.ndarray, colour: str) -> int:
    return int((image == np.frombuffer(bytes.fromhex(colour[1:]), np.uint8)).all(axis=-1).sum())


def test_same_score_same_bytes_without_dates(tmp_path: Path) -> None:
    score = score_of((0, False), (40, False), (0, True))
    write_picture(score, tmp_path / "a.png", title="a waltz")
    write_picture(score.copy(), tmp_path / "b.png", title="a waltz")
    data = (tmp_path / "a.png").read_bytes()
    assert data == (tmp_path / "b.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert b"tEXt" not in data
    assert b"tIME" not in data
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.png", "b.png"]
    write_picture(score, tmp_path / "b.png", title="a march")
    assert data != (tmp_path / "b.png").read_bytes()


def test_every_track_has_its_colour_in_the_roll_and_in_the_legend(tmp_path: Path) -> None:
    write_picture(score_of(*[(program, False) for program in range(len(COLOURS))]), tmp_path / "a.png")
    image = pixels(tmp_path / "a.png")
    legend = image[:, int((WIDTH - 2.3) * DOTS_PER_INCH) :]
    roll = image[:, : int((WIDTH - 2.3) * DOTS_PER_INCH)]
    assert len(set(COLOURS)) == len(COLOURS) >= 17
    for colour in COLOURS:
        assert count(legend, colour) > 50
        assert count(roll, colour) > 50


def test_quieter_notes_are_paler(tmp_path: Path) -> None:
    loud, quiet = score_of((0, False)), score_of((0, False))
    for note in quiet.tracks[0].notes:
        note.velocity = 20
    write_picture(loud, tmp_path / "loud.png")
    write_picture(quiet, tmp_path / "quiet.png")
    loud_roll, quiet_roll = (pixels(tmp_path / f"{name}.png")[:, :1200] for name in ("loud", "quiet"))
    assert count(loud_roll, COLOURS[0]) > 1000
    assert count(quiet_roll, COLOURS[0]) == 0
    assert not np.array_equal(quiet_roll, loud_roll)


@pytest.mark.parametrize(
    "instruments",
    [[(0, True)], [(program, False) for program in range(45)] + [(0, True)] * 6, [(0, False)]],
    ids=["drums alone", "fifty-one tracks", "one track"],
)
def test_any_number_of_tracks(tmp_path: Path, instruments: list[tuple[int, bool]]) -> None:
    write_picture(score_of(*instruments), tmp_path / "a.png")
    assert len(np.unique(pixels(tmp_path / "a.png").reshape(-1, 3), axis=0)) > 10


def test_odd_meters_and_a_note_held_over_rows(tmp_path: Path) -> None:
    score = Score(480)
    score.time_signatures.extend([TimeSignature(0, 7, 8), TimeSignature(1680 * 3, 5, 4), TimeSignature(12000, 3, 16)])
    track = Track("", 0, False)
    track.notes.append(Note(0, 480 * 60, 60, 100))
    track.notes.append(Note(481, 0, 127, 1))
    track.notes.append(Note(960, 13, 0, 127))
    score.tracks.append(track)
    write_picture(score, tmp_path / "a.png")
    image = pixels(tmp_path / "a.png")
    held = image[:, 400] == image[:, 410]
    assert held.all(axis=-1).any()


def test_long_pieces_wrap_and_stay_bounded(tmp_path: Path) -> None:
    def size(bars: int) -> tuple[int, int]:
        write_picture(score_of((0, False), bars=bars), tmp_path / "a.png")
        width, height = struct.unpack(">II", (tmp_path / "a.png").read_bytes()[16:24])
        return width, height

    one_row, two_rows, many = size(16), size(32), size(2000)
    assert one_row[0] == two_rows[0] == many[0] == int(WIDTH * DOTS_PER_INCH)
    assert two_rows[1] > 1.3 * one_row[1]
    assert many[1] < 6000


@pytest.mark.parametrize("title", ["", "$\\frac{1", "日本 🎵 \x00\n\tline", "word " * 200, "x" * 500], ids=range(5))
def test_any_title_is_drawn_as_it_stands(tmp_path: Path, title: str) -> None:
    write_picture(score_of((0, False)), tmp_path / "a.png", title=title)
    assert (pixels(tmp_path / "a.png")[:60].min() < 100) == bool(title)


def test_a_score_without_notes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="no notes"):
        write_picture(Score(480), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_loss_curve(tmp_path: Path) -> None:
    history = [{"step": step, "train/adam": 5 / (1 + step / 100)} for step in range(300)]
    for row in history[99::100]:
        row["validation/nats"] = row["train/adam"] + 0.5
        row["validation/other"] = 900.0  # drawn, it would press the rest flat
    history[7]["train/adam"] = math.nan
    write_loss_curve(history, tmp_path / "a.png")
    write_loss_curve(history, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    image = pixels(tmp_path / "a.png")
    assert count(image, COLOURS[0]) > 1000  # the training loss: more than its line in the legend
    assert count(image, COLOURS[4]) > 500  # validation
    write_loss_curve([{**row, "train/critic": 1.0} for row in history], tmp_path / "two.png")
    assert count(pixels(tmp_path / "two.png"), COLOURS[1]) > 1000
    write_loss_curve(history[:1], tmp_path / "one.png")
    assert count(pixels(tmp_path / "one.png"), COLOURS[4]) == 0
    with pytest.raises(RenderError, match="no rows"):
        write_loss_curve([], tmp_path / "none.png")


def test_the_curve_of_a_real_run_shows_its_losses(corpus: Corpus, tmp_path: Path) -> None:
    brief = Recipe(recipe("composer", "tiny").config, Training(steps=4, validate_every=2, validation_batches=1))
    train("composer", brief, corpus, tmp_path / "run")
    image = pixels(tmp_path / "run" / "loss.png")
    assert count(image, COLOURS[0]) > 1000
    assert count(image, COLOURS[4]) > 500
