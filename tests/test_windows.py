"""Windows to train on: what they are cut from, what they recall, and the plan that goes with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import little_song
from orchestrion.data.build import build
from orchestrion.data.plans import plan_table
from orchestrion.data.store import Corpus
from orchestrion.data.windows import WindowDraw, by_one_player, cut
from orchestrion.models import checkpoint
from orchestrion.models.zoo.composer import RECIPES, Composer, window_batch
from orchestrion.music.files import write_midi
from orchestrion.planning import arrays
from orchestrion.planning.levels import OPEN, cell_levels, section_levels
from orchestrion.representations.cells import BAR, TRACK, Cells, decode, encode
from orchestrion.representations.steps import (  # fmt: skip
    AT,
    BARS_BEFORE,
    BARS_LEFT,
    KIND,
    NEAR_BARS,
    OPENING,
    TIME,
    counted,
    rows_and_targets,
)


def test_plans_are_kept_and_belong_to_their_pieces(corpus: Corpus) -> None:
    table = plan_table(corpus)
    assert plan_table(corpus) is table
    for piece in corpus.pieces():
        plan, cells = table.of(piece), piece.cells()
        np.testing.assert_array_equal(plan.levels, cell_levels(cells))
        assert plan.chords.shape == (piece.bars, 2)
        assert plan.section_levels.shape[1:] == (len(piece.instruments), 6)
        assert (plan.place + plan.left >= 0).all()


def test_workers_make_the_same_plans(corpus: Corpus) -> None:
    one = plan_table(corpus)
    (corpus.path / "plans.json").unlink()
    two = plan_table(corpus, workers=2)
    for name, values in one.arrays.items():
        np.testing.assert_array_equal(values, two.arrays[name])


@pytest.fixture(scope="module")
def returning(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Songs of eight bars that are played three times."""
    root = tmp_path_factory.mktemp("returning")
    for seed in range(4):
        song = encode(little_song(seed, bars=8))
        notes = np.concatenate([song.notes + np.array([8 * time, 0, 0, 0, 0, 0], np.int16) for time in range(3)])
        write_midi(decode(Cells(notes, song.instruments, song.meters[:8] * 3, song.tempo)), root / f"{seed}.mid")
    return build([root], tmp_path_factory.mktemp("built") / "corpus")


def test_a_window_holds_the_notes_of_its_bars_and_tracks(returning: Corpus) -> None:
    table, rng = plan_table(returning), np.random.default_rng(0)
    draw, recalled = WindowDraw(returning, "train", table), 0
    for _ in range(300):
        window = draw(rng, 150)
        assert window.size <= 150
        assert window.hole.any()
        assert (np.diff(window.bars) > 0).all()
        notes = window.piece.cells().notes
        if window.all_tracks and len(window.tracks) == len(window.piece.instruments):
            kept = notes[np.isin(notes[:, BAR], window.bars) & np.isin(notes[:, TRACK], window.tracks)]
            assert len(kept) == len(window.cells.notes)
        gaps = np.flatnonzero(np.diff(window.bars) > 1)
        if len(gaps):  # bars that are recalled are given
            assert not window.hole[: gaps[-1] + 1].any()
            assert window.plan is not None
            recalled += 1
    assert recalled


def test_the_rows_of_a_window_tell_where_its_bars_lie(corpus: Corpus) -> None:
    piece = max(corpus.pieces(), key=lambda piece: piece.bars)
    window = cut(piece, np.random.default_rng(3), 200)
    assert window is not None
    hole = window.hole
    rows, _ = rows_and_targets(
        window.cells, ~hole, hole, 0, bar_numbers=window.bars, bar_times=48 * window.bars, total_bars=piece.bars, near=3
    )
    opens = rows[rows[:, KIND] == OPENING]
    assert set(opens[:, TIME]) == set((48 * (window.bars - window.bars[0])).tolist())
    assert set(opens[:, BARS_BEFORE]) == set(counted(window.bars, 3).tolist())
    assert set(opens[:, BARS_LEFT]) == set(counted(piece.bars - 1 - window.bars, 3).tolist())
    assert (opens[:, AT] == 0).all()


def test_bars_are_counted_from_either_end_up_to_a_number() -> None:
    assert counted(np.array([0, 2, 3, 30]), 3).tolist() == [0, 2, NEAR_BARS - 1, NEAR_BARS - 1]
    assert counted(np.arange(30)).tolist() == [*range(NEAR_BARS - 1), *[NEAR_BARS - 1] * (30 - NEAR_BARS + 1)]


def test_one_pianist_plays_what_several_did() -> None:
    song = encode(little_song(1, bars=8))
    notes = song.notes[song.notes[:, TRACK] > 0].copy()
    notes[:, TRACK] -= 1
    several = Cells(notes, (0, 0), song.meters, song.tempo)
    plan = arrays.analyzed(several)
    one, own = by_one_player(several, plan)
    assert one.instruments == (0,)
    assert {tuple(note) for note in one.notes[:, [0, 2, 3]].tolist()} == {
        tuple(note) for note in notes[:, [0, 2, 3]].tolist()
    }
    assert own.levels.shape == (8, 1, 6)
    assert len(own.section_levels) == len(plan.section_levels)


def test_the_level_of_a_section_is_the_median_of_the_cells_that_play() -> None:
    levels = np.full((4, 2, 6), OPEN, np.int8)
    levels[:3, 0] = [[1] * 6, [5] * 6, [7] * 6]
    sections = section_levels(levels, np.array([0, 3]))
    assert sections[0, 0].tolist() == [5] * 6
    assert (sections[0, 1] == OPEN).all()
    assert (sections[1] == OPEN).all()


def test_what_is_left_open_is_left_open_in_groups(corpus: Corpus) -> None:
    piece = corpus.pieces()[0]
    plan, cells = plan_table(corpus).of(piece), piece.cells()
    known = arrays.features(plan, cells, np.arange(piece.bars), np.arange(len(piece.instruments)), 0)
    for name, size in arrays.FEATURES.items():
        assert known[..., arrays.COLUMN[name]].max() < size
    nothing = arrays.left_open(known, np.random.default_rng(0), 1.0)
    assert not nothing[..., [column for group in arrays.GROUPS for column in group]].any()
    assert nothing[..., arrays.COLUMN["meter"]].any()
    np.testing.assert_array_equal(arrays.left_open(known, np.random.default_rng(0), 0.0), known)


def test_a_batch_of_plans_has_one_feature_row_a_cell(corpus: Corpus) -> None:
    config = replace(RECIPES["tiny"].config, plan_dropout=0.0, no_plan=0.0)
    draw, rng = WindowDraw(corpus, "train", plan_table(corpus)), np.random.default_rng(1)
    batch = window_batch([draw(rng, 200) for _ in range(4)], corpus, rng, config, learning=True)
    for rows, cell, features in zip(batch["rows"], batch["cell"], batch["features"], strict=True):
        opens = int((rows[:, KIND] == OPENING).sum())
        assert int(cell.max()) == opens - 1
        assert bool((features[:opens, arrays.COLUMN["meter"]] > 0).all())


def test_a_run_begins_with_the_weights_of_another(tmp_path: Path) -> None:
    torch.manual_seed(1)
    plain = Composer(replace(RECIPES["tiny"].config, reads_plan=False))
    checkpoint.save(tmp_path / "plain", "composer", plain)
    planned = Composer(RECIPES["tiny"].config)
    checkpoint.begin_with(planned, "composer", tmp_path / "plain")
    assert torch.equal(planned.inner.weight, plain.inner.weight)
    assert planned.plan is not None
    assert not planned.plan.cells.weight.any()  # says nothing yet
    wider = Composer(replace(RECIPES["tiny"].config, width=48, heads=2))
    with pytest.raises(checkpoint.CheckpointError, match="other sizes"):
        checkpoint.begin_with(wider, "composer", tmp_path / "plain")
    with pytest.raises(checkpoint.CheckpointError, match="of the system composer"):
        checkpoint.begin_with(planned, "muse_gan", tmp_path / "plain")
    with pytest.raises(checkpoint.CheckpointError, match="not a checkpoint"):
        checkpoint.begin_with(planned, "composer", tmp_path / "nowhere")
