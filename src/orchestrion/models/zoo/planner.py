"""Planner: a sentence and any fields of a plan in, whole plans out (ours).

A small decoder-only transformer over the tokens of `planning.tokens`, behind the states of the sentence's words and the
fields that are asked. Each token is read together with what the next one is and where it stands (section, place, part,
what stands there in the first section with its letter and in the one before). A plan before the notes, after Text2Score
and MuseCoco (Lu et al. 2023), from the form down to the parts, after Whole-Song Hierarchical Generation (Wang et al.
2024); the sentence is left out at times, so that it can be amplified (Ho and Salimans 2022).

`Planner.plan` is what composing calls. `generate` makes a plan heard: block chords, a plain beat. It uses bars, meter,
tempo, instruments, key, strict_key, sentence and temperature of a Request.

Legend: B sequences, T rows, W rows of words, D width, V tokens, F features of a place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np
import torch
import torch.nn.functional as F
from symusic import Score
from torch import Tensor, nn
from torch.optim import Optimizer

from orchestrion.data.plan_examples import NOWHERE, Example, ExampleDraw
from orchestrion.data.store import Corpus
from orchestrion.models.base import Batch, Recipe, RecipeError, Request, System, Training
from orchestrion.models.layers.attention import Block, Cache, rotation
from orchestrion.models.layers.optimizer import MuonAdamW
from orchestrion.models.layers.stepping import BlockStep, Product, turns
from orchestrion.planning import tokens
from orchestrion.planning.asked import Asked
from orchestrion.planning.plan import LEVEL_NAMES, Plan
from orchestrion.planning.plan_writer import PlanWriter, asked_header
from orchestrion.planning.sketch import sketch
from orchestrion.planning.tokens import FEATURES, FIRST, KIND_OF, KINDS, NAMES
from orchestrion.text.token_states import ROWS, states_of

#: How much a token counts in learning: words decide little but the header and the form, which are few tokens.
WEIGHTS = {"header": 4.0, "form": 2.0, "chords": 1.0, "levels": 1.0}
#: How often each tonic is drawn where no key is asked, from C up: the fewer signs, the more often.
_TONICS = {"major": (5, 1, 4, 2, 2, 4, 0.5, 5, 1, 3, 2, 0.5), "minor": (3, 1, 4, 1, 4, 2, 1, 3, 0.5, 5, 1, 3)}


@dataclass(frozen=True)
class PlannerConfig:
    """width, layers and heads of the network; batch_rows is rows a batch, most_rows of one example; pool: examples
    drawn for a batch, of which some of like length are taken; whole: share of whole pieces, the others are excerpts.
    Raises RecipeError for numbers that make no network."""

    width: int = 128
    layers: int = 4
    heads: int = 4
    dropout: float = 0.0
    batch_rows: int = 4096
    most_rows: int = 768
    pool: int = 28
    whole: float = 0.3
    sentence_dropout: float = 0.15
    sentence_width: int = 384
    matrix_rate: float = 0.02
    rate: float = 3e-3

    def __post_init__(self) -> None:
        if min(self.heads, self.layers, self.sentence_width) < 1 or self.width % (2 * self.heads):
            raise RecipeError(f"width {self.width} must be a multiple of twice the heads, {self.heads}, of at least 1")
        if self.most_rows < 256 or self.batch_rows < self.most_rows or self.pool < 1:
            raise RecipeError("most_rows must be at least 256, batch_rows at least that, and pool at least 1")


RECIPES = {
    "tiny": Recipe(
        PlannerConfig(width=64, layers=2, heads=2, batch_rows=1024, pool=12, whole=1.0),
        Training(steps=20, warm_up_steps=2, validate_every=10, validation_batches=1, save_every=5),
    ),
    "small": Recipe(
        PlannerConfig(),
        Training(steps=900, warm_up_steps=60, decay_share=0.6, validate_every=300, validation_batches=8,
                 save_every=100, precision="float32"),
    ),
}  # fmt: skip


@dataclass
class Reading:
    """What the network has read so far: a cache a layer, rows held (B,), and what the sentence adds to each row."""

    caches: list[Cache]
    lengths: Tensor
    said: Tensor | float = 0.0  # (B, 1, D), added to every row behind the prefix


class Planner(System):
    config: PlannerConfig
    holds = frozenset({"bars", "tempo", "meter", "instruments", "key"})
    wavelengths: Tensor
    starts: Tensor
    slots: Tensor
    weights: Tensor

    def __init__(self, config: PlannerConfig) -> None:
        super().__init__()
        self.config = config
        width, sizes = config.width, (tokens.SIZE, *FEATURES.values())
        self.table = nn.Embedding(sum(sizes), width)
        nn.init.normal_(self.table.weight, std=0.3 / len(sizes) ** 0.5)
        self.words = nn.Linear(config.sentence_width, width)
        self.word_places = nn.Parameter(torch.zeros(ROWS, width))
        self.no_word = nn.Parameter(torch.zeros(width))
        self.said = nn.Linear(width, width)  # what the sentence as a whole adds to every row
        nn.init.zeros_(self.said.weight)
        self.blocks = nn.ModuleList(Block(width, config.heads, config.dropout) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width, bias=False)
        self.head = nn.Linear(width, tokens.SIZE)
        pairs = width // config.heads // 2
        still = pairs // 4  # pairs that do not turn
        turning = 2 * torch.pi * torch.logspace(0, 2.8, pairs - still)
        lengths = torch.cat([turning, torch.full((still,), torch.inf)])[None]
        self.register_buffer("wavelengths", lengths, persistent=False)
        self.register_buffer("starts", torch.tensor([0, *accumulate(sizes)][:-1]), persistent=False)
        self.register_buffer("slots", _slot_masks(), persistent=False)
        weights = torch.tensor([WEIGHTS[KIND_OF[name]] for name in NAMES])
        self.register_buffer("weights", weights, persistent=False)

    # ---- the network

    def prefix(self, words: Tensor) -> Tensor:
        """Rows of words (B, W, sentence_width), NaN where there is none -> (B, W, D)."""
        none = words[..., :1].isnan()
        rows = self.words(words.nan_to_num() * self.config.sentence_width**0.5)
        return torch.where(none, self.no_word, rows) + self.word_places

    def embed(self, rows: Tensor) -> Tensor:
        """Tokens with the features of what follows (..., 1 + F) -> (..., D)."""
        flat = (rows + self.starts).flatten(0, -2)
        return F.embedding_bag(flat, self.table.weight, mode="sum").view(*rows.shape[:-1], -1)

    def forward(self, rows: Tensor, prefix: Tensor | None = None, reading: Reading | None = None) -> Tensor:
        """Rows (B, T, 1 + F) -> states (B, T, D). A first reading takes the prefix (B, W, D); with `reading`, what is
        read is added to it, and the result is the same."""
        x = self.embed(rows)
        if prefix is not None:
            said = self.said(prefix[:, :1])
            x = torch.cat([prefix, x + said], dim=1)
            if reading is not None:
                reading.said = said
        elif reading is not None:
            x = x + reading.said
        places = torch.arange(x.shape[1], device=x.device)[None]
        if reading is not None:
            places = places + reading.lengths[:, None]
        turn = rotation(places.unsqueeze(-1), self.wavelengths)
        for index, block in enumerate(self.blocks):
            x = block(x, turn, *(() if reading is None else (reading.caches[index], reading.lengths)))
        if reading is not None:
            reading.lengths = reading.lengths + x.shape[1]
        return self.norm(x[:, 0 if prefix is None else prefix.shape[1] :])

    def begin(self, count: int, size: int) -> Reading:
        """Nothing read, with room for `size` rows."""
        config, like = self.config, self.head.weight
        caches = [Cache.empty(count, config.heads, size, config.width // config.heads, like)
                  for _ in range(config.layers)]  # fmt: skip
        return Reading(caches, torch.zeros(count, dtype=torch.int64, device=like.device))

    # ---- learning

    def optimizers(self) -> dict[str, Optimizer]:
        matrices = [(p, 3 if "inward" in name else 1) for name, p in self.blocks.named_parameters() if p.ndim == 2]
        chosen = {id(p) for p, _ in matrices}
        others = [p for p in self.parameters() if id(p) not in chosen]
        return {"muon": MuonAdamW(matrices, others, matrix_rate=self.config.matrix_rate, rate=self.config.rate)}

    def batch(self, corpus: Corpus, split: str, rng: np.random.Generator) -> Batch:
        """Examples of like length, each with its sentence."""
        draws, config = _draws(corpus, split), self.config
        drawn = [draws(rng, whole=config.whole, most_rows=config.most_rows, sentence_dropout=config.sentence_dropout)
                 for _ in range(config.pool)]  # fmt: skip
        drawn.sort(key=lambda example: len(example.rows))
        first = int(rng.integers(len(drawn)))
        while first and len(drawn[-1].rows) * (len(drawn) - first) < config.batch_rows // 2:
            first -= 1
        count = 1
        while first + count < len(drawn) and len(drawn[first + count].rows) * (count + 1) <= config.batch_rows:
            count += 1
        return batch_of(drawn[first : first + count])

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        nats, slots = self.token_nats(batch)
        weights = self.weights[slots]
        yield "muon", (nats * weights).sum() / weights.sum()

    def measure(self, batch: Batch) -> dict[str, tuple[float, float]]:
        nats, slots = self.token_nats(batch)
        bars = float(batch["bars"].sum())
        kinds = torch.tensor([KINDS.index(KIND_OF[name]) for name in NAMES], device=slots.device)[slots]
        by_kind = torch.zeros(len(KINDS), device=nats.device).index_add_(0, kinds, nats.detach())
        figures = {f"{kind}_nats_per_bar": (value, bars) for kind, value in zip(KINDS, by_kind.tolist(), strict=True)}
        return {"nats_per_bar": (float(nats.detach().sum()), bars), **figures}

    def token_nats(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(N,) nats of all tokens to predict, row by row, and (N,) their slots, indices of NAMES."""
        states = self(batch["rows"], self.prefix(batch["words"]))
        learned = batch["targets"] >= 0
        slots = batch["rows"][..., 1][learned] - 1
        logits = self.head(states[learned]).float().masked_fill(~self.slots[slots], -torch.inf)
        return F.cross_entropy(logits, batch["targets"][learned], reduction="none"), slots

    # ---- planning

    @torch.inference_mode()
    def plan(
        self, asked: Asked, sentence_states: np.ndarray | None, rng: np.random.Generator, *, guidance: float = 2.0,
        temperature: float = 0.9, min_p: float = 0.04, count: int = 1,
    ) -> list[Plan]:  # fmt: skip
        """`count` plans in which all that is asked holds; each on its own random stream.

        sentence_states: (W, sentence_width) of `text.token_states`, None for no words. guidance: how much the words are
        amplified; 1 takes them as they are. min_p: tokens less likely than this share of the likeliest are left out.
        temperature 0 takes the likeliest.
        """
        rngs = rng.spawn(count)
        tonics = [_tonic(asked.asked_mode, own) for own in rngs]
        writers = [PlanWriter(asked, tonic) for tonic in tonics]
        guided = sentence_states is not None and guidance != 1
        told = [sentence_states] * count + [None] * (count if guided else 0)
        session = _Session(self, _words(told, self.config.sentence_width), asked)
        while not all(writer.done for writer in writers):
            rows = [writer.features() for writer in writers] * (1 + guided)
            legal = np.stack([_any() if writer.done else writer.legal() for writer in writers])
            free = legal.sum(1) > 1
            logits = session.step(rows, read=bool(free.any()))
            chosen = legal.argmax(1)
            if logits is not None:
                if guided:
                    with_words, without = (_log_softmax(part, legal) for part in np.split(logits, 2))
                    logits = np.where(legal, without + guidance * (with_words - without), -np.inf)
                for index in np.flatnonzero(free):
                    chosen[index] = _drawn(logits[index], legal[index], rngs[index], temperature, min_p)
            for writer, token in zip(writers, chosen.tolist(), strict=True):
                if not writer.done:
                    writer.push(token)
            session.take(chosen.tolist() * (1 + guided))
        return [writer.plan() for writer in writers]

    @torch.inference_mode()
    def generate(self, request: Request, rng: np.random.Generator) -> list[Score]:
        asked = Asked(bars=request.bars, meter=request.meter, tempo=request.tempo, instruments=request.instruments,
                      key=request.key, strict_key=request.strict_key)  # fmt: skip
        states = None if request.sentence is None else request.sentence[None]
        plans = self.plan(asked, states, rng, temperature=0.9 * request.temperature, count=request.count)
        if request.progress:
            request.progress(request.bars, request.bars)
        return [sketch(plan, own) for plan, own in zip(plans, rng.spawn(request.count), strict=True)]


class _Session:
    """Plans that are being written: steps with a cache, one row a sequence at a time."""

    def __init__(self, planner: Planner, words: Tensor, asked: Asked) -> None:
        count = len(words)
        prefix = planner.prefix(words)
        before = [(token, *NOWHERE) for token in asked_tokens(asked)]
        self.size = prefix.shape[1] + len(before) + 256
        reading = planner.begin(count, self.size)
        if before:
            planner(torch.tensor([before] * count), prefix, reading)
        else:
            _read_prefix(planner, prefix, reading)
        self.planner, self.caches, self.place = planner, reading.caches, int(reading.lengths[0])
        self.said = planner.said(prefix[:, 0])  # (B, D)
        self.blocks = [_step(block) for block in planner.blocks]  # type: ignore[arg-type]
        self.head = _product(planner.head)
        self.last = [tokens.START] * count
        self.frequencies = (2 * torch.pi / planner.wavelengths).numpy()
        self.starts = planner.starts.numpy()

    def take(self, chosen: Sequence[int]) -> None:
        self.last = list(chosen)

    def step(self, features: Sequence[tuple[int, ...]], read: bool) -> np.ndarray | None:
        """Read the last tokens with the features of the next (B, F) -> logits of these (B, V), None unless `read`."""
        planner = self.planner
        if self.place == self.size:
            self._grow()
        rows = np.array([(token, *own) for token, own in zip(self.last, features, strict=True)]) + self.starts
        x = F.embedding_bag(torch.from_numpy(rows), planner.table.weight, mode="sum") + self.said
        turn = turns(self.place * self.frequencies)
        place = slice(None), slice(None), self.place
        for block, cache in zip(self.blocks, self.caches, strict=True):
            x = block(x, turn, cache, place, self.place + 1, None)
        self.place += 1
        return self.head(planner.norm(x)).numpy() if read else None

    def _grow(self) -> None:
        for cache in self.caches:
            cache.keys, cache.values = (F.pad(part, (0, 0, 0, self.size)) for part in (cache.keys, cache.values))
        self.size *= 2


def _step(block: Block) -> BlockStep:
    """Matrices so narrow are fastest when they lie as they are multiplied."""
    step = BlockStep(block, int8=False)
    step.inward, step.outward = _product(block.attention.inward), _product(block.attention.outward)
    step.widen, step.narrow = _product(block.widen), _product(block.narrow)
    return step


def _product(linear: nn.Linear) -> Product:
    weight = linear.weight.detach().T.contiguous()
    bias = None if linear.bias is None else linear.bias.detach()
    return lambda x: x @ weight if bias is None else torch.addmm(bias, x, weight)


_COMES_AGAIN = np.zeros(tokens.SIZE, bool)
for _name, _value in (("chord", tokens.HELD), ("chord", tokens.SAME_HARMONY),
                      (LEVEL_NAMES[0], tokens.SAME_LEVELS), (LEVEL_NAMES[0], tokens.SILENT)):  # fmt: skip
    _COMES_AGAIN[FIRST[_name] + _value] = True


def _read_prefix(planner: Planner, prefix: Tensor, reading: Reading) -> None:
    empty = torch.zeros(len(prefix), 0, 1 + len(FEATURES), dtype=torch.int64)
    planner(empty, prefix, reading)


def _any() -> np.ndarray:
    mask = np.zeros(tokens.SIZE, bool)
    mask[tokens.PADDING] = True
    return mask


def _log_softmax(logits: np.ndarray, legal: np.ndarray) -> np.ndarray:
    masked = np.where(legal, logits, -np.inf)
    shifted = masked - masked.max(1, keepdims=True)
    with np.errstate(divide="ignore"):
        found: np.ndarray = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return np.where(legal, found, 0.0)


def _drawn(logits: np.ndarray, legal: np.ndarray, rng: np.random.Generator, temperature: float, min_p: float) -> int:
    """One legal token. Whether something comes again or is new is drawn as it is likely; among what is new, temperature
    and min_p sharpen: many chords are possible, and together they must not lose against the one that is held."""
    scores = np.where(legal, logits, -np.inf).astype(np.float64)
    best = scores.max()
    if temperature <= 0:
        return int(scores.argmax())
    odds = np.exp(scores - best)
    again = odds * _COMES_AGAIN
    new = np.where(odds >= min_p * (odds - again).max(), odds - again, 0) ** (1 / temperature)
    new *= (odds - again).sum() / max(new.sum(), 1e-30)
    weights = (again + new).cumsum()
    return int(np.searchsorted(weights, rng.random() * weights[-1], side="right"))


def _tonic(mode: str | None, rng: np.random.Generator) -> int:
    """A tonic for a key that is not asked; one of major where the mode is planned."""
    weights = np.array(_TONICS[mode or "major"])
    return int(rng.choice(12, p=weights / weights.sum()))


@lru_cache(maxsize=1)
def _slot_masks() -> Tensor:
    """(slots, V) bool, the tokens of each."""
    masks = torch.zeros(len(NAMES), tokens.SIZE, dtype=torch.bool)
    for index, (name, size) in enumerate(tokens.SLOTS.items()):
        masks[index, FIRST[name] : FIRST[name] + size] = True
    return masks


def _words(told: Sequence[np.ndarray | None], width: int) -> Tensor:
    """Of each sentence its rows -> (B, ROWS, width), NaN where there is none."""
    words = np.full((len(told), ROWS, width), np.nan, np.float32)
    for row, states in zip(words, told, strict=True):
        if states is not None:
            row[: len(states)] = states
    return torch.from_numpy(words)


def asked_tokens(asked: Asked) -> list[int]:
    """What is asked as the tokens that stand before a plan."""
    told = [FIRST[name] + value for name, value in asked_header(asked, asked.asked_mode).items()]
    told += [FIRST["instrument"] + instrument for instrument in asked.instruments]
    if asked.instruments and not asked.more_parts:
        told.append(FIRST["instrument"] + tokens.END_OF_PARTS)
    letters = list(dict.fromkeys(section.letter for section in asked.form))
    for section in asked.form:
        told.append(FIRST["letter"] + letters.index(section.letter))
        if section.bars is not None:
            told.append(FIRST["lasts"] + min(section.bars, tokens.LONGEST_SECTION) - 1)
    return told


def batch_of(examples: Sequence[Example], width: int = 384) -> dict[str, Tensor]:
    """rows (B, T, 1 + F), targets (B, T), words (B, W, width), bars (B,)."""
    longest = max(len(example.rows) for example in examples)
    rows = np.zeros((len(examples), longest, 1 + len(FEATURES)), np.int64)
    targets = np.full((len(examples), longest), -1)
    for index, example in enumerate(examples):
        rows[index, : len(example.rows)] = example.rows
        targets[index, : len(example.rows)] = example.targets
    said = [example.sentence for example in examples if example.sentence]
    found = dict(zip(said, states_of(said), strict=True)) if said else {}
    told = [found[e.sentence][: 1 if e.only_embedding else None] if e.sentence else None for e in examples]
    return {
        "rows": torch.from_numpy(rows), "targets": torch.from_numpy(targets), "words": _words(told, width),
        "bars": torch.tensor([example.bars for example in examples]),
    }  # fmt: skip


@lru_cache(maxsize=8)
def _draws(corpus: Corpus, split: str) -> ExampleDraw:
    return ExampleDraw(corpus, split)
