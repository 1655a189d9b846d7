"""Likelihood: every note of a piece counted once, and figures that can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from math import exp, log
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from symusic import Note, Score, Tempo, Track

from conftest import little_song
from orchestrion.data.build import build
from orchestrion.data.store import Corpus
from orchestrion.data.windows import Window
from orchestrion.evaluation.likelihood import likelihood_of
from orchestrion.evaluation.music_sets import EvaluationError, open_side
from orchestrion.metrics.likelihood import SET_MEASURES, likelihood_figures
from orchestrion.metrics.sets import ratio_interval
from orchestrion.models.base import LikelihoodSystem, System
from orchestrion.models.zoo.composer import RECIPES, Composer, window_batch
from orchestrion.models.zoo.music_transformer import RECIPES as TRANSFORMERS
from orchestrion.models.zoo.music_transformer import MusicTransformer
from orchestrion.music.files import write_midi
from orchestrion.representations.cells import CellsError, encode
from orchestrion.representations.sliding import spans
from orchestrion.representations.steps import FIELD_SIZES, FIELDS
from orchestrion.representations.timed import timed

CONTEXT = RECIPES["tiny"].config.context_rows


def composer(*, batch_rows: int = 512, spread: float = 0.2) -> Composer:
    """One whose answers depend on all that it reads; with spread 0 all values of a field are equally likely."""
    torch.manual_seed(0)
    made = Composer(replace(RECIPES["tiny"].config, batch_rows=batch_rows)).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(parameter + spread * torch.randn_like(parameter) if spread else torch.zeros(()))
    return made


def cost(made: Composer, score: Score) -> float:
    return sum(made.piece_nats(score).nats.values())


# ---- sliding


@given(st.integers(0, 400), st.integers(1, 64))
def test_spans_predict_each_step_once_with_half_the_context_behind_it(length: int, context: int) -> None:
    found = spans(length, context)
    assert [step for span in found for step in range(span.first, span.end)] == list(range(length))
    for span in found:
        assert 0 <= span.start <= span.first < span.end <= span.start + context
        assert span.first - span.start == min(context // 2, span.first)


def test_spans_by_hand() -> None:
    # 8 in sight: steps 0..7 first; then 4 more each time, behind 4 that were predicted before.
    assert [(span.start, span.first, span.end) for span in spans(14, 8)] == [(0, 0, 8), (4, 8, 12), (8, 12, 14)]


# ---- the composer


def test_a_piece_in_one_window_costs_what_measure_says_of_that_window(corpus: Corpus) -> None:
    made = composer()
    piece = next(piece for piece in corpus.pieces() if piece.notes + 3 * piece.bars <= CONTEXT)
    tracks = len(piece.instruments)
    window = Window(piece, piece.cells(), np.ones((piece.bars, tracks), bool), np.arange(piece.bars), np.arange(tracks))
    unread = replace(made.config, sentence_dropout=1.0, no_plan=1.0, plan_dropout=1.0)
    batch = window_batch([window], corpus, np.random.default_rng(0), unread, learning=True)
    with torch.no_grad():
        measured = made.measure(batch)
    found = made.piece_nats(piece.score())
    assert (sum(found.nats.values()), found.notes) == pytest.approx(measured["nats_per_note"], rel=1e-5)
    for field in FIELDS:
        assert found.nats[field] == pytest.approx(measured[f"{field}_nats_per_note"][0], rel=1e-5)


def test_every_note_and_every_end_of_a_long_piece_is_counted_once() -> None:
    score = little_song(0, bars=40)
    cells = encode(score)
    drums = int((cells.notes[:, 1] == 0).sum())
    notes, ends = len(cells.notes), 40 * 3
    assert notes + ends > 3 * CONTEXT
    found = composer(spread=0).piece_nats(score)
    # All values are equally likely: a decision costs the logarithm of how many there are.
    position, pitch, duration, velocity = (log(size) for size in FIELD_SIZES)
    assert found.nats == pytest.approx({
        "position": (notes + ends) * position, "pitch": notes * pitch, "duration": (notes - drums) * duration,
        "velocity": notes * velocity,
    }, rel=1e-6)  # fmt: skip
    assert (found.notes, found.tokens) == (notes, 4 * notes - drums + ends)


@pytest.mark.parametrize("bars", [1, 9, 25])
def test_batching_and_padding_change_nothing(bars: int) -> None:
    one, many = (composer(batch_rows=rows).piece_nats(little_song(3, bars=bars)) for rows in (CONTEXT, 4096))
    assert one.nats == pytest.approx(many.nats, rel=1e-6)
    assert (one.tokens, one.notes) == (many.tokens, many.notes)


def test_words_change_the_likelihood_and_the_score_stays() -> None:
    made, score = composer(), little_song(2)
    before, silent = score.dumps_midi(), cost(made, score)
    said = made.piece_nats(score, np.full(384, 384**-0.5, np.float32))
    assert sum(said.nats.values()) != pytest.approx(silent, rel=1e-6)
    assert score.dumps_midi() == before


@pytest.mark.parametrize("drums", [False, True])
def test_one_note(drums: bool) -> None:
    score = Score(480)
    score.tracks.append(Track("", 0, drums))
    score.tracks[0].notes.append(Note(4000, 0, 60, 80))  # late, and of zero length
    found = composer().piece_nats(score)
    # Bars 1 and 2 are empty and end; the third has the note and ends.
    assert (found.notes, found.tokens) == (1, 3 + (3 if drums else 4))


def test_music_that_cannot_be_held_is_refused() -> None:
    with pytest.raises(CellsError):
        composer().piece_nats(Score(480))


# ---- figures


def test_a_ratio_is_of_sums() -> None:
    rng = np.random.default_rng(0)
    found = ratio_interval([2, 6, np.nan, 5], [4, 2, 3, 0], rng)
    assert (found.mean, found.pieces) == (8 / 6, 2)  # (2 + 6) / (4 + 2), not the mean of 0.5 and 3
    assert (found.low, found.high) == (0.5, 3.0)  # of two pieces either may be drawn twice
    together = ratio_interval([2, 6], [4, 2], rng, groups=["song", "song"])
    assert (together.low, together.high) == (8 / 6, 8 / 6)
    assert np.isnan(ratio_interval([], [], rng).mean)
    assert np.isnan(ratio_interval([1.0], [0.0], rng).mean)


def test_figures_by_hand() -> None:
    # Two pieces: 10 and 20 nats, 5 and 5 tokens, 2 and 4 notes, 4 and 8 quarters, 2 and 4 seconds.
    found = likelihood_figures(*np.array([[10.0, 20], [5, 5], [2, 4], [4, 8], [2, 4]]), np.random.default_rng(0))
    assert {name: interval.mean for name, interval in found.items()} == pytest.approx({
        "nats-per-token": 3.0, "nats-per-note": 5.0, "nats-per-beat": 2.5, "bits-per-second": 5 / log(2),
        "perplexity": exp(3),
    })  # fmt: skip
    assert (found["perplexity"].low, found["perplexity"].high) == pytest.approx((exp(2), exp(4)))
    assert found.keys() == {row.id for row in SET_MEASURES} | {"perplexity"}


def two_notes(tempo: float) -> Score:
    score = Score(480)
    score.tempos.append(Tempo(0, tempo))
    score.tracks.append(Track("", 0))
    score.tracks[0].notes.extend([Note(0, 480, 60, 80), Note(480, 480, 62, 80), Note(480, 480, 62, 90)])
    return score


def test_likelihood_of_a_folder(tmp_path: Path) -> None:
    write_midi(two_notes(60.0), tmp_path / "a.mid")
    write_midi(two_notes(120.0), tmp_path / "b.mid")
    (tmp_path / "c.mid").write_bytes(b"MThd no music")
    told: list[tuple[int, int]] = []
    made, items = composer(spread=0), open_side(tmp_path).items
    found = likelihood_of(made, "even", items, np.random.default_rng(0), lambda *done: told.append(done))
    # A note struck twice at once is held once: two of three notes a piece, each of four fields, and one end of a cell;
    # two quarters a piece, which last 2 s and 1 s.
    position, pitch, duration, velocity = (log(size) for size in FIELD_SIZES)
    nats = 3 * position + 2 * (pitch + duration + velocity)
    assert (found.pieces, found.notes, found.left_out_notes, found.tokens) == (2, 4, 2, 18)
    assert found.nats_per_token.mean == pytest.approx(nats / 9)
    assert found.nats_per_note.mean == pytest.approx(nats / 2)
    assert found.nats_per_beat.mean == pytest.approx(nats / 2)
    assert found.bits_per_second.mean == pytest.approx(2 * nats / log(2) / 3)
    assert found.perplexity.mean == pytest.approx(exp(nats / 9))
    assert found.parts["pitch"] == pytest.approx(pitch)
    assert [name for name, _ in found.skipped] == ["c.mid"]
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert "256" in found.context
    nothing = likelihood_of(made, "even", items[2:], np.random.default_rng(0))
    assert nothing.missing
    assert nothing.pieces == 0
    assert np.isnan(nothing.nats_per_note.mean)


def test_a_system_in_real_time_reads_performances_and_not_the_grid(tmp_path: Path) -> None:
    """Onsets that no grid holds: what is read has to cost what the file itself does."""
    score, rng = Score(480), np.random.default_rng(4)
    score.tempos.append(Tempo(0, 120.0))
    score.tracks.append(Track("", 0))
    for index, onset in enumerate(np.sort(rng.choice(20_000, 200, replace=False)).tolist()):
        score.tracks[0].notes.append(Note(onset, 101, 60 + index % 12, 80))
    (tmp_path / "music").mkdir()
    write_midi(score, tmp_path / "music" / "a.mid")
    corpus = build([tmp_path / "music"], tmp_path / "corpus")
    torch.manual_seed(0)
    system = MusicTransformer(TRANSFORMERS["tiny"].config).eval()
    torch.nn.init.normal_(system.classes.weight)
    sides = [open_side(tmp_path / "music"), open_side(corpus.path, "all")]
    by_file, by_corpus = (likelihood_of(system, "mt", side.items, np.random.default_rng(0)) for side in sides)
    assert by_corpus.tokens == by_file.tokens > 0
    assert by_corpus.nats_per_token.mean == pytest.approx(by_file.nats_per_token.mean)
    assert not np.array_equal(timed(sides[1].items[0].score()), timed(sides[1].items[0].performance()))


def test_a_system_without_likelihood_says_so() -> None:
    class Silent(System):
        optimizers = batch = losses = measure = generate = None  # type: ignore[assignment]

    assert not isinstance(Silent(), LikelihoodSystem)
    with pytest.raises(EvaluationError, match="silent gives no likelihood"):
        likelihood_of(Silent(), "silent", (), np.random.default_rng(0))
