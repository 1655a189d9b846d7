import numpy as np
import pytest
from symusic import ControlChange, Note, Score, Tempo, Track

from orchestrion.music import ScoreError
from orchestrion.music.bars import bars, tempo
from orchestrion.music.beats import align_performance

CHORDS = ((48, 55, 64), (45, 52, 60), (41, 48, 57), (43, 50, 59))


def performance(
    seed: int, drift: float, jitter_seconds: float = 0.012, bars_: int = 24, qpm: float = 100
) -> tuple[Score, np.ndarray]:
    """A pianist's left-hand chords and a melody in 4/4, the tempo swaying by `drift`, at a dummy tempo of 120; and
    where every note belongs, in quarter notes."""
    rng = np.random.default_rng(seed)
    rows = []  # quarter, length in quarters, pitch, velocity
    for bar in range(bars_):
        chord = CHORDS[bar % 4]
        rows += [(4 * bar, 1.0, chord[0] - 12, 90)]
        rows += [(4 * bar + beat, 1.0, pitch, 60) for beat in (1, 2, 3) for pitch in chord]
        for beat in range(4):
            steps = [0.0] if rng.random() < 0.4 else [0.0, 0.5] if rng.random() < 0.7 else [0.25, 0.5, 0.75]
            rows += [(4 * bar + beat + s, 0.4, int(72 + rng.integers(0, 12)), 75) for s in steps]
    rows.sort()
    quarters = np.array([row[0] for row in rows], float)
    grid = np.arange(0, 4 * bars_ + 4, 0.05)
    speed = qpm / 60 * (1 + drift * np.sin(2 * np.pi * grid / 48))
    clock = np.concatenate([[0], np.cumsum(0.05 / speed)[:-1]])
    seconds = 1.3 + np.interp(quarters, grid, clock) + rng.normal(0, jitter_seconds, len(rows))
    score, track = Score(384), Track("piano")
    score.tempos.append(Tempo(0, qpm=120))
    for at, (_, length, pitch, velocity) in zip(seconds, rows, strict=True):
        track.notes.append(Note(int(at * 768), int(length * 60 / qpm * 768), pitch, velocity))
    track.controls.append(ControlChange(int(seconds[40] * 768), 64, 127))
    score.tracks.append(track)
    return score, quarters


@pytest.mark.parametrize(("seed", "drift"), [(0, 0.0), (1, 0.0), (2, 0.1), (3, 0.1), (4, 0.2), (5, 0.2)])
def test_a_performance_with_jitter_and_drifting_tempo_lands_on_the_grid(seed: int, drift: float) -> None:
    score, quarters = performance(seed, drift)
    before = score.copy()
    aligned = align_performance(score)
    assert score == before
    assert aligned.tpq == 480
    got = np.array([note.time for note in aligned.tracks[0].notes]) / 480
    error = got - quarters
    assert np.median(error) == pytest.approx(0, abs=0.03)  # and so the bars begin where they should
    assert np.mean(np.abs(error) < 0.15) > 0.95
    assert tempo(aligned) == pytest.approx(100, rel=0.06)
    assert {bar.meter.name for bar in bars(aligned)} == {"4/4"}
    assert [n.pitch for n in aligned.tracks[0].notes] == [n.pitch for n in score.tracks[0].notes]
    assert aligned.tracks[0].controls[0].time == pytest.approx(aligned.tracks[0].notes[40].time, abs=30)


def test_far_more_onsets_lie_on_sixteenths_than_on_the_dummy_grid() -> None:
    score, _ = performance(7, 0.15, qpm=87)

    def share(piece: Score) -> float:
        steps = np.array([n.time for n in piece.tracks[0].notes]) / piece.tpq * 4
        return float(np.mean(np.abs(steps - np.rint(steps)) < 0.15))

    assert share(align_performance(score)) > 0.85 > 0.5 > share(score)


def test_an_upbeat_stands_before_the_first_downbeat() -> None:
    score, quarters = performance(1, 0.0)
    late = score.copy()
    for note, quarter in zip(score.tracks[0].notes, quarters, strict=True):
        if quarter < 3:  # only the last beat of the first bar is left
            late.tracks[0].notes.remove(note)
    got = [note.time / 480 for note in align_performance(late).tracks[0].notes]
    assert got[0] == pytest.approx(3, abs=0.6)
    assert np.allclose(got, quarters[quarters >= 3], atol=0.3)


def test_the_same_performance_gives_the_same_score() -> None:
    score, _ = performance(9, 0.1)
    assert align_performance(score).dumps_midi() == align_performance(score).dumps_midi()


def test_too_few_onsets_are_a_score_error() -> None:
    score = Score(480)
    with pytest.raises(ScoreError, match="0 onsets"):
        align_performance(score)
    score.tracks.append(Track("piano"))
    score.tracks[0].notes.extend([Note(0, 100, pitch, 80) for pitch in range(60, 80)])
    with pytest.raises(ScoreError, match="1 onsets"):
        align_performance(score)
