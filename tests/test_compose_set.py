"""The set of pieces that the music report measures: every sentence, its controls, and whose embedding it got."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import little_song
from orchestrion.models import checkpoint
from orchestrion.models.zoo.composer import RECIPES, Composer
from orchestrion.text.controls import read_controls

BENCH = Path(__file__).resolve().parents[1] / "bench"
if not BENCH.exists():  # an installed package has no bench
    pytest.skip("no bench folder", allow_module_level=True)
sys.path.insert(0, str(BENCH))

import compose_set  # noqa: E402
from pieces import Piece, composed_pieces  # noqa: E402
from word_effects import word_effects  # noqa: E402

SENTENCES = compose_set.SENTENCES.read_text("utf-8").splitlines()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model") / "best"
    checkpoint.save(folder, "composer", Composer(RECIPES["tiny"].config))
    return folder


def test_forty_sentences_are_understood_and_each_gets_the_embedding_of_another() -> None:
    assert len(SENTENCES) == len(set(SENTENCES)) == 40
    assert not any(read_controls(sentence).not_understood for sentence in SENTENCES)
    other = compose_set.partners(SENTENCES)
    assert set(other.values()) == set(SENTENCES)
    assert not any(one == their for one, their in other.items())


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_set_tells_what_was_asked_and_what_the_network_got(model: Path, tmp_path: Path, shuffle: bool) -> None:
    asked = ["a calm tune for piano, 2 bars", "an energetic tune for flute, 3 bars"]
    file, out = tmp_path / "sentences.txt", tmp_path / "out"
    file.write_text("\n".join(asked) + "\n", "utf-8")
    line = ["--out", str(out), "--model", str(model), "--sentences", str(file), "--pieces", "2"]
    compose_set.main([*line, "--shuffle"] if shuffle else line)
    told = [json.loads(path.read_text("utf-8")) for path in sorted(out.glob("*.json"))]
    assert [row["sentence"] for row in told] == [asked[0], asked[0], asked[1], asked[1]]
    got = reversed(asked) if shuffle else asked
    assert [row["embedding_of"] for row in told[::2]] == list(got)
    pieces = composed_pieces(out)
    assert [piece.sentence for piece in pieces] == [row["sentence"] for row in told]
    assert all(holds for piece in pieces for _, holds in piece.controls)


def test_every_pair_of_opposite_words_is_said() -> None:
    pieces = [Piece(little_song(index, bars=2), sentence, sentence) for index, sentence in enumerate(SENTENCES)]
    effects = word_effects(pieces, np.random.default_rng(0))
    pairs = {name.split(":")[0]: effect["pieces"] for name, effect in effects.items()}
    assert set(pairs) == {"calm / energetic", "sad / happy", "sparse / busy", "low / high"}
    assert min(count for counts in pairs.values() for count in counts) >= 3
