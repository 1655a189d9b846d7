"""Music and a corpus at tiny size, made by the real writers and builders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from symusic import Note, Score, Tempo, TimeSignature, Track

from orchestrion.data.build import build
from orchestrion.data.store import Corpus
from orchestrion.music.files import write_midi

settings.register_profile("any machine", deadline=None)  # a busy one takes longer, and nothing is wrong
settings.load_profile("any machine")


def little_song(seed: int, bars: int = 4, meter: tuple[int, int] = (4, 4)) -> Score:
    """Drums, bass and piano in a key and rhythm that the seed decides."""
    rng = np.random.default_rng(seed)
    score = Score(480)
    score.tempos.append(Tempo(0, float(rng.integers(60, 180))))
    score.time_signatures.append(TimeSignature(0, *meter))
    bar_ticks = 1920 * meter[0] // meter[1]
    scale = (np.array([0, 2, 4, 5, 7, 9, 11]) + rng.integers(12)) % 12
    drums, bass, piano = Track("drums", 0, True), Track("bass", 33), Track("piano", 0)
    for bar in range(bars):
        for tick in range(0, bar_ticks, 240):
            onset = bar * bar_ticks + tick
            drums.notes.append(Note(onset, 120, 42, 68))
            if tick % 480 == 0:
                bass.notes.append(Note(onset, 480, 36 + int(rng.choice(scale)), 84))
            for pitch in sorted({60 + int(p) for p in rng.choice(scale, 2)}):
                piano.notes.append(Note(onset, 240, pitch, 76))
    score.tracks.extend([piano, bass, drums])
    return score


def repeated(score: Score, times: int) -> Score:
    """The notes played so many times, one after another."""
    result, length = score.copy(), score.end()
    for track, once in zip(result.tracks, score.tracks, strict=True):
        for start in range(length, times * length, length):
            track.notes.extend([Note(start + n.time, n.duration, n.pitch, n.velocity) for n in once.notes])
    return result


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Twelve little songs, of which some are for validation."""
    root = tmp_path_factory.mktemp("songs")
    rows = ["path,split"]
    for seed in range(12):
        name = f"{seed:02}.mid"
        write_midi(little_song(seed, bars=4 + seed % 3, meter=((4, 4), (3, 4))[seed % 2]), root / name)
        rows.append(f"{name},{'valid' if seed >= 9 else 'train'}")
    (root / "metadata.csv").write_text("\n".join(rows) + "\n")
    return build([root], tmp_path_factory.mktemp("built") / "corpus")


@pytest.fixture
def song_file(tmp_path: Path) -> Path:
    path = tmp_path / "song.mid"
    write_midi(little_song(1, bars=8), path)
    return path
