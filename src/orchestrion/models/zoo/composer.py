"""Composer: a sentence and a grid of cells in, the missing cells out (ours).

One outer step a note; its position, pitch, length and velocity are written by a small inner decoder one after another.
It joins what the papers found: a sentence embedding before the generator (APE-GAN), relative positions (Music
Transformer; here rotary, in steps of the sequence and in musical time), tracks and bars as the unit (MuseGAN).
What is asked outright holds through the masks of `representations.writer`. Uses every field of Request.

Legend: B sequences, T rows, D width, M width of the inner decoder, V values of a field.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from symusic import Score
from torch import Tensor, nn
from torch.optim import Optimizer

from orchestrion.data.plans import PlanTable, plan_table
from orchestrion.data.store import Corpus
from orchestrion.data.window_batches import (
    TEMPO_CLASSES,
    ensemble_shares,
    mode_number,
    similar_windows,
    tempo_class,
    window_arrays,
)
from orchestrion.data.windows import Window, WindowDraw
from orchestrion.models.base import Batch, PieceNats, Recipe, RecipeError, Request, System, Training
from orchestrion.models.layers.attention import Block, Cache, rotation
from orchestrion.models.layers.optimizer import MuonAdamW
from orchestrion.models.layers.plan_inputs import PlanInputs
from orchestrion.models.layers.stepping import BlockStep, bf16_is_fast, int8_is_fast, product, turns
from orchestrion.models.sampling import draw, nats_of
from orchestrion.music.analysis import estimate_key
from orchestrion.music.pedal import apply_sustain
from orchestrion.music.theory import FAMILY_NAMES, INSTRUMENTS, Key
from orchestrion.planning import arrays
from orchestrion.representations import steps
from orchestrion.representations.cells import STEPS_PER_QUARTER, Cells, decode, encode
from orchestrion.representations.sliding import Span, spans
from orchestrion.representations.steps import END, FIELD_SIZES, FIELDS, rows_and_targets, shift_to_common_key
from orchestrion.representations.writer import MAX_CELL_NOTES, CellWriter
from orchestrion.text.leaning import Leaning

END_WEIGHT = 0.4  # nats that a full leaning to density takes from the end of a cell
LENGTH_WEIGHT = 0.7  # and from each doubling of a length
CHORD_EMPHASIS = 1.6  # on what chords add to the choice of a pitch in composing: found again in 61 % in place of 49
PREFIX_ROWS = 3  # two made from the sentence, one from the controls
_MUSICAL_WAVELENGTHS = (6, 12, 24, 36, 48, 72, 96, 192, 384, 1536)  # steps: an eighth note to thirty-two bars


@dataclass(frozen=True)
class ComposerConfig:
    """width and layers of the outer network; `context_rows` is what it reads at once; `batch_rows` is rows a batch;
    `sentence_width` is that of the encoder's embeddings. reads_plan: at each cell the plan is read as well, of which
    each field is left out of `plan_dropout` of the windows in training, and all of it out of `no_plan`. near_bars: up
    to where bars are counted from either end of a piece. Raises RecipeError for numbers that make no network."""

    width: int = 256
    layers: int = 6
    heads: int = 4
    inner_width: int = 256
    dropout: float = 0.0
    context_rows: int = 768
    batch_rows: int = 8192
    sentence_dropout: float = 0.15
    matrix_rate: float = 0.02
    rate: float = 3e-3
    sentence_width: int = 384
    reads_plan: bool = False
    plan_dropout: float = 0.25
    no_plan: float = 0.1
    near_bars: int = steps.NEAR_BARS

    def __post_init__(self) -> None:
        if min(self.heads, self.layers, self.inner_width, self.sentence_width) < 1 or self.width % (2 * self.heads):
            raise RecipeError(f"width {self.width} must be a multiple of twice the heads, {self.heads}, of at least 1")
        if min(self.context_rows, self.batch_rows) < 2 * MAX_CELL_NOTES:
            raise RecipeError(f"context_rows and batch_rows must be at least {2 * MAX_CELL_NOTES}, two full cells")


_PLANNED: dict[str, Any] = {"reads_plan": True, "near_bars": 8}
RECIPES = {
    "tiny": Recipe(
        ComposerConfig(width=32, layers=2, heads=2, inner_width=32, context_rows=256, batch_rows=512, **_PLANNED),
        Training(steps=20, warm_up_steps=2, validate_every=10, validation_batches=1, save_every=5),
    ),
    "small": Recipe(ComposerConfig(**_PLANNED), Training(steps=15000, warm_up_steps=200, decay_share=0.2)),
    "medium": Recipe(
        ComposerConfig(width=512, layers=8, heads=8, inner_width=512, context_rows=1024, batch_rows=65536, dropout=0.05,
                       matrix_rate=0.015, rate=2e-3, **_PLANNED),
        Training(steps=2000, warm_up_steps=150, validate_every=100, validation_batches=4, save_every=100),
    ),
    "large": Recipe(
        ComposerConfig(width=512, layers=12, heads=8, inner_width=512, context_rows=2048, batch_rows=65536,
                       dropout=0.1, matrix_rate=0.01, rate=1.5e-3, **_PLANNED),
        Training(steps=12000, warm_up_steps=300),
    ),
}  # fmt: skip


@dataclass
class Reading:
    """What the network has read so far: a cache a layer, rows held (B,), and the condition of each sequence."""

    caches: list[Cache]
    lengths: np.ndarray
    condition: Tensor  # (B, D), added to every row


class Composer(System):
    config: ComposerConfig
    holds = frozenset({"bars", "tempo", "meter", "instruments", "key", "hole"})
    wavelengths: Tensor

    def __init__(self, config: ComposerConfig) -> None:
        super().__init__()
        self.config = config
        width, inner = config.width, config.inner_width
        self.tables = nn.ModuleList(nn.Embedding(size, width) for size in steps.SIZES)
        self.families = nn.Embedding(len(FAMILY_NAMES), width)
        self.sentence = nn.Linear(config.sentence_width, 2 * width)
        self.no_sentence = nn.Parameter(torch.zeros(config.sentence_width))
        self.tempo = nn.Embedding(TEMPO_CLASSES, width)
        self.mode = nn.Embedding(2, width)
        self.ensemble = nn.Linear(INSTRUMENTS, width, bias=False)
        self.join = nn.Linear(PREFIX_ROWS * width, width)
        self.blocks = nn.ModuleList(Block(width, config.heads, config.dropout) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width, bias=False)
        self.inner = nn.Linear(width, len(FIELDS) * inner)
        self.inner_tables = nn.ModuleList(
            nn.Embedding(FIELD_SIZES[before], inner) for later in range(len(FIELDS)) for before in range(later)
        )
        self.heads = nn.ModuleList(nn.Linear(inner, size) for size in FIELD_SIZES)
        for table in [m for m in self.modules() if isinstance(m, nn.Embedding)]:
            nn.init.normal_(table.weight, std=0.3 / len(steps.SIZES) ** 0.5)
        self.plan = PlanInputs(width, inner) if config.reads_plan else None
        self.register_buffer("wavelengths", self._wavelengths(), persistent=False)

    def _wavelengths(self) -> Tensor:
        """(2, R): row 0 turns by place in the sequence, row 1 by musical time; a pair turns by one of them."""
        pairs = self.config.width // self.config.heads // 2
        musical = torch.tensor(_MUSICAL_WAVELENGTHS[: pairs * 5 // 8], dtype=torch.float32)
        ordinal = 2 * torch.pi * torch.logspace(0, 3, pairs - len(musical))
        never = torch.tensor(torch.inf)
        return torch.stack([
            torch.cat([ordinal, never.expand(len(musical))]),
            torch.cat([never.expand(len(ordinal)), musical]),
        ])  # fmt: skip

    # ---- the networks

    def condition(
        self, sentence: Tensor, tempo: Tensor, mode: Tensor, ensemble: Tensor, header: Tensor | None = None
    ) -> Tensor:
        """Unit vectors (B, sentence_width), NaN for no words; (B,), (B,), (B, 129) and the header of the plan (B, H) ->
        prefix (B, PREFIX_ROWS, D)."""
        sentence = torch.where(sentence.isnan(), self.no_sentence, sentence * self.config.sentence_width**0.5)
        words = self.sentence(sentence).unflatten(-1, (2, self.config.width))
        controls = self.tempo(tempo) + self.mode(mode) + self.ensemble(ensemble)
        if self.plan is not None and header is not None:
            controls = controls + self.plan.of_header(header)
        return torch.cat([words, controls.unsqueeze(1)], dim=1)

    def embed(self, rows: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, D)."""
        x = self.families(rows[..., steps.INSTRUMENT] // 8)
        for column, table in enumerate(self.tables):
            x = x + table(rows[..., column])
        return x

    def forward(
        self, rows: Tensor, prefix: Tensor | None = None, reading: Reading | None = None, plan: Tensor | None = None
    ) -> Tensor:
        """Rows (B, T, C) -> states (B, T, D), from which the next note of each row is written. plan: what is added to
        the rows (B, T, D), of `PlanInputs.of_rows`.

        A first reading takes the prefix (B, PREFIX_ROWS, D) before its rows. With `reading`, goes on from what that
        holds, and adds to it; the result is the same.
        """
        if reading is None:
            assert prefix is not None
            return self._run(rows, prefix, self.join(prefix.flatten(1)), None, plan)
        states = self._run(rows, prefix, reading.condition, reading, plan)
        reading.lengths += rows.shape[1] + (PREFIX_ROWS if prefix is not None else 0)
        return states

    def _run(
        self, rows: Tensor, prefix: Tensor | None, condition: Tensor, reading: Reading | None, plan: Tensor | None
    ) -> Tensor:
        x = self.embed(rows) + condition.unsqueeze(1)
        if plan is not None:
            x = x + plan
        time = rows[..., steps.TIME]
        if prefix is not None:
            x = torch.cat([prefix, x], dim=1)
            time = F.pad(time, (PREFIX_ROWS, 0))
        ordinal = torch.arange(x.shape[1], device=x.device)
        lengths = None
        if reading is not None:
            lengths = torch.from_numpy(reading.lengths)
            ordinal = ordinal + lengths[:, None]
        turn = rotation(torch.stack([ordinal.expand_as(time), time], dim=-1), self.wavelengths)
        for layer, block in enumerate(self.blocks):
            x = block(x, turn, None if reading is None else reading.caches[layer], lengths)
        if prefix is not None:
            x = x[:, PREFIX_ROWS:]
        return self.norm(x)

    def field_logits(self, hidden: Tensor, field: int, values: list[Tensor]) -> Tensor:
        """Logits (..., V) of one field, given its part of `inner(states)` (of the pitch with what the plan adds to it)
        and the values of the fields before it."""
        first_table = field * (field - 1) // 2
        for before, value in enumerate(values):
            hidden = hidden + self.inner_tables[first_table + before](value)
        return self.heads[field](F.relu(hidden).square())

    # ---- learning

    def optimizers(self) -> dict[str, Optimizer]:
        matrices = [(p, 3 if "inward" in name else 1) for name, p in self.blocks.named_parameters() if p.ndim == 2]
        chosen = {id(p) for p, _ in matrices}
        others = [p for p in self.parameters() if id(p) not in chosen]
        config = self.config
        return {"adam": MuonAdamW(matrices, others, matrix_rate=config.matrix_rate, rate=config.rate)}

    def batch(self, corpus: Corpus, split: str, rng: np.random.Generator) -> Batch:
        plans = plan_table(corpus) if self.config.reads_plan else None
        windows = similar_windows(_draws(corpus, split, plans), rng, self.config)
        width, made = self.config.sentence_width, corpus.embeddings
        if made is not None and made.shape[1] != width:
            raise RecipeError(f"the corpus has embeddings of width {made.shape[1]}; set sentence_width to that")
        return window_batch(windows, corpus, rng, self.config, learning=split == "train")

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        nats, rows = self._nats(batch)
        yield "adam", nats.sum() / rows

    def measure(self, batch: Batch) -> dict[str, tuple[float, float]]:
        nats, _ = self._nats(batch)
        notes = float((batch["targets"][..., 1] >= 0).sum())
        return {"nats_per_note": (float(nats.sum()), notes)} | {
            f"{name}_nats_per_note": (float(value), notes) for name, value in zip(FIELDS, nats, strict=True)
        }

    def _nats(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Nats of each field (4,), summed over all that is to learn, and the number of rows that learn."""
        prefix = self.condition(
            batch["sentence"], batch["tempo"], batch["mode"], batch["ensemble"], batch.get("header")
        )
        learned = batch["targets"][..., 0] >= 0
        targets = batch["targets"][learned]
        sounding = targets[:, 1] >= 0
        plan = None
        if self.plan is not None:
            half = batch["half"].gather(1, batch["cell"])  # (B, T), the step at which the second half of the bar begins
            plan = self.plan.of_rows(batch["features"], batch["cell"], batch["rows"][..., steps.AT] > half)
        hidden = list(self.inner(self(batch["rows"], prefix, plan=plan)[learned]).chunk(len(FIELDS), dim=-1))
        if self.plan is not None:
            where, at = learned.nonzero(as_tuple=True)[0], batch["cell"][learned]
            told = self.plan.of_pitch(batch["features"][where, at], targets[:, 0] >= half[learned])
            hidden[1] = hidden[1] + told
        nats = []
        for field in range(len(FIELDS)):
            kept = slice(None) if field == 0 else sounding
            values = [targets[kept, before].clamp(min=0) for before in range(field)]
            logits = self.field_logits(hidden[field][kept], field, values)
            nats.append(F.cross_entropy(logits.float(), targets[kept, field], ignore_index=-1, reduction="sum"))
        return torch.stack(nats), learned.sum()

    # ---- likelihood

    @property
    def likelihood_terms(self) -> str:
        seen = self.config.context_rows
        return (
            "A token is a field of a note (position, pitch, duration, velocity; drums have no duration) or the end of a"
            " cell, a bar of a track, on twelve steps a quarter note; bars, meters, tempo, key and instruments are"
            f" given; each row is predicted after {seen // 2} to {seen} rows (notes and cells) or all there are."
        )

    @torch.inference_mode()
    def piece_nats(self, score: Score, sentence: np.ndarray | None = None) -> PieceNats:
        sounding, config = apply_sustain(score), self.config
        cells, key = encode(sounding), estimate_key(sounding)[0]
        everything = np.ones((len(cells.meters), len(cells.instruments)), bool)
        rows, targets = rows_and_targets(
            cells, ~everything, everything, shift_to_common_key(key), near=config.near_bars
        )
        windows = spans(len(rows), config.context_rows)
        conditions = _conditions(cells, key, sentence, config)
        if config.reads_plan:  # whole pieces are read without a plan
            order = arrays.unplanned(cells.meters, len(cells.instruments)).reshape(1, everything.size, -1)
            conditions["features"] = torch.from_numpy(order)
            conditions["half"] = torch.from_numpy(np.repeat(arrays.half_steps(cells), len(cells.instruments)))[None]
            conditions["header"] = torch.zeros(1, len(arrays.HEADER), dtype=torch.int64)
        at_once = max(1, config.batch_rows // config.context_rows)
        nats = np.zeros(len(FIELDS))
        for index in range(0, len(windows), at_once):
            batch = _span_batch(windows[index : index + at_once], rows, targets)
            batch |= {name: value.expand(len(batch["rows"]), *value.shape[1:]) for name, value in conditions.items()}
            nats += self._nats({name: value.to(self.no_sentence.device) for name, value in batch.items()})[0].tolist()
        parts = dict(zip(FIELDS, nats.tolist(), strict=True))
        return PieceNats(parts, int((targets >= 0).sum()), len(cells.notes))

    # ---- composing

    @torch.inference_mode()
    def generate(self, request: Request, rng: np.random.Generator) -> list[Score]:
        given, hole = _grid(request)
        shift = shift_to_common_key(request.key)
        key = request.key if request.strict_key else None
        plan = _cell_plan(self, request, given)
        writers = [
            CellWriter(given, hole, key=key, shift=shift, near=self.config.near_bars, plays=plan.plays,
                       copies=plan.copies, source=plan.source, swing=plan.swing)
            for _ in range(request.count)
        ]  # fmt: skip
        session = _Session(self, Stepper(self), writers, request, rng.spawn(request.count))
        while session.step():
            if request.progress:
                request.progress(min(writer.bar for writer in writers), len(hole))
        if request.likelihood:
            for number, mean in enumerate(session.nats / np.maximum(session.notes, 1)):
                request.likelihood(number, float(mean))
        if request.progress:
            request.progress(len(hole), len(hole))
        return [decode(writer.cells()) for writer in writers]


def _grid(request: Request) -> tuple[Cells, np.ndarray]:
    if request.given is not None:
        hole = request.hole
        if hole is None or hole.shape != (len(request.given.meters), len(request.given.instruments)) or not hole.any():
            raise ValueError("given cells need a hole of their shape with at least one cell to compose")
        return request.given, hole
    nothing = Cells(np.zeros((0, 6), np.int16), request.instruments, (request.meter,) * request.bars, request.tempo)
    return nothing, np.ones((request.bars, len(request.instruments)), bool)


def _cell_plan(composer: Composer, request: Request, given: Cells) -> arrays.CellPlan:
    if request.plan is None or composer.plan is None:
        return arrays.CellPlan.open(given.meters, len(given.instruments))
    return request.plan


class PlanRows:
    """What a composer adds to rows and to pitches by the plan of a piece, worked out once for all of its cells."""

    def __init__(self, inputs: PlanInputs, plan: arrays.CellPlan, cells: Cells) -> None:
        features = torch.from_numpy(plan.features)  # (M, K, F)
        chords = features[..., [arrays.CHORD, arrays.SECOND_CHORD]]
        basses = features[..., [arrays.BASS, arrays.SECOND_BASS]]
        self.openings = inputs.of_cells(features).unsqueeze(2) + inputs.place_chord(chords)  # (M, K, 2, D)
        pitches: Tensor = CHORD_EMPHASIS * (inputs.pitch_chord(chords) + inputs.pitch_bass(basses))
        self.pitches = pitches.numpy()  # (M, K, 2, M)
        self.half = arrays.half_steps(cells)

    def of(self, places: list[tuple[int, int]], positions: np.ndarray) -> tuple[list[int], list[int], list[int]]:
        """Indices of the halves of the cells (bar, track) in which the positions lie."""
        bars, tracks = [bar for bar, _ in places], [track for _, track in places]
        return bars, tracks, [int(at >= self.half[bar]) for bar, at in zip(bars, positions, strict=True)]

    def of_rows(self, rows: np.ndarray, cells: np.ndarray) -> Tensor:
        """Rows (T, C) and the (bar, track) of each, (T, 2) -> (1, T, D)."""
        second = rows[:, steps.AT] > self.half[cells[:, 0]]
        return self.openings[cells[:, 0], cells[:, 1], second.astype(np.int64)].unsqueeze(0)


class Stepper:
    """The composer for one more row of each sequence: what `forward` with a reading gives, and the fields of a note.

    int8: hold the large matrices in eight bits; None where the processor is fast with it.
    """

    def __init__(self, composer: Composer, *, int8: bool | None = None) -> None:
        small = int8_is_fast() if int8 is None else int8
        tables = [cast(nn.Embedding, table).weight for table in composer.tables]
        tables[steps.INSTRUMENT] = tables[steps.INSTRUMENT] + composer.families.weight[torch.arange(INSTRUMENTS) // 8]
        self.table = torch.cat(tables)
        self.table_starts = np.cumsum([0, *steps.SIZES[:-1]])
        self.frequencies = (2 * torch.pi / composer.wavelengths).numpy()
        self.blocks = [BlockStep(cast(Block, block), int8=small) for block in composer.blocks]
        self.norm = composer.norm.weight
        self.inner = product(composer.inner, int8=small)
        inner = [cast(nn.Embedding, table).weight for table in composer.inner_tables]
        firsts = [field * (field - 1) // 2 for field in range(len(FIELDS))]
        self.befores = [[table.numpy() for table in inner[first : first + field]] for field, first in enumerate(firsts)]
        heads = [cast(nn.Linear, head) for head in composer.heads]
        self.heads = [(head.weight.T.contiguous().numpy(), head.bias.numpy()) for head in heads]

    def __call__(self, rows: np.ndarray, reading: Reading, plan: Tensor | None = None) -> Tensor:
        """(B, C) -> states (B, D); adds the rows to the reading. plan: what is added to the rows (B, D)."""
        batch, lengths = len(rows), reading.lengths
        x = F.embedding_bag(torch.from_numpy(rows[:, : steps.TIME] + self.table_starts), self.table, mode="sum")
        x += reading.condition
        if plan is not None:
            x += plan
        positions = np.stack([lengths, rows[:, steps.TIME]], axis=1).astype(np.float32)
        turn = turns((positions[..., None] * self.frequencies).sum(1))
        size, seen = int(lengths.max()) + 1, None
        place: tuple[Any, ...] = slice(None), slice(None), int(lengths[0])
        if lengths.min() + 1 < size:
            seen = np.where(np.arange(size) <= lengths[:, None], np.float32(0), np.float32(-np.inf))[:, None]
            place = np.arange(batch), slice(None), lengths
        for block, cache in zip(self.blocks, reading.caches, strict=True):
            x = block(x, turn, cache, place, size, seen)
        reading.lengths = lengths + 1
        return torch.layer_norm(x, x.shape[1:], self.norm)

    def fields(self, states: Tensor) -> list[np.ndarray]:
        """(B, D) -> of each field its part of `Composer.inner`, (B, M)."""
        return list(np.split(self.inner(states).numpy(), len(FIELDS), axis=1))

    def field_logits(self, hidden: np.ndarray, field: int, values: list[np.ndarray]) -> np.ndarray:
        """As `Composer.field_logits`, (B, V)."""
        for table, value in zip(self.befores[field], values, strict=True):
            hidden = hidden + table[value]
        active = np.maximum(hidden, 0)
        active *= active
        weight, bias = self.heads[field]
        logits: np.ndarray = active @ weight
        logits += bias
        return logits


class _Session:
    """A batch of pieces being written, each with its writer, its random stream and its place in the caches."""

    def __init__(
        self, composer: Composer, stepper: Stepper, writers: list[CellWriter], request: Request,
        rngs: list[np.random.Generator],
    ) -> None:  # fmt: skip
        self.composer, self.stepper, self.request = composer, stepper, request
        self.writers, self.rngs = list(writers), rngs  # of the pieces that are not done
        self.nats, self.notes = np.zeros(len(writers)), np.zeros(len(writers))  # of all pieces, by what was drawn
        self.numbers = np.arange(len(writers))  # of the pieces that are not done among all
        config = composer.config
        given, _ = _grid(request)
        self.lean = _lean(request.leaning)
        conditions = _conditions(given, request.key, request.sentence, config)
        plan = _cell_plan(composer, request, given)
        self.plan = None if composer.plan is None else PlanRows(composer.plan, plan, given)
        self.prefix = composer.condition(
            **conditions, header=torch.from_numpy(plan.header)[None]
        )  # (1, PREFIX_ROWS, D)
        count, like = len(writers), self.prefix
        self.full = config.context_rows + PREFIX_ROWS  # a cell that begins below is written to its end
        size = self.full + MAX_CELL_NOTES + 1
        caches = [
            Cache.empty(count, config.heads, size, config.width // config.heads, like) for _ in range(config.layers)
        ]
        condition = composer.join(self.prefix.flatten(1)).expand(count, -1)
        self.reading = Reading(caches, np.zeros(count, np.int64), condition)
        self.first_bars = [0] * count
        for index in range(count):
            self._read_context(index)
        self._step_rows([writer.opening(first) for writer, first in zip(writers, self.first_bars, strict=True)])

    def _read_context(self, index: int) -> None:
        """Fill the cache of one sequence anew, with what surrounds the cell it writes."""
        first, rows, cells = self.writers[index].context(self.composer.config.context_rows * 3 // 8)
        own = [Cache(c.keys[index : index + 1], c.values[index : index + 1]) for c in self.reading.caches]
        reading = Reading(own, np.zeros(1, np.int64), self.reading.condition[index : index + 1])
        self.writers[index].settled_rows(first)  # they stand among the rows just taken
        self._read(rows, cells, self.prefix, reading)
        self.reading.lengths[index] = reading.lengths[0]
        self.first_bars[index] = first

    def _read(self, rows: np.ndarray, cells: np.ndarray, prefix: Tensor | None, reading: Reading) -> None:
        """Read rows (T, C) of one sequence, of the cells (bar, track) (T, 2), into its cache."""
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16_is_fast()):  # as in training, and twice as fast
            plan = None if self.plan is None else self.plan.of_rows(rows, cells)
            self.composer(torch.from_numpy(rows)[None], prefix, reading, plan)

    def _read_more(self, index: int, rows: np.ndarray, cells: np.ndarray) -> None:
        """Add rows of cells that were settled to the cache of one sequence."""
        own = [Cache(c.keys[index : index + 1], c.values[index : index + 1]) for c in self.reading.caches]
        one = Reading(own, self.reading.lengths[index : index + 1].copy(), self.reading.condition[index : index + 1])
        self._read(rows, cells, None, one)
        self.reading.lengths[index] = one.lengths[0]

    def _step_rows(self, rows: list[np.ndarray]) -> None:
        stacked = np.stack(rows)
        plan = None
        if self.plan is not None:
            places = [writer.place for writer in self.writers]
            plan = self.plan.openings[self.plan.of(places, stacked[:, steps.AT] - 1)]
        states = self.stepper(stacked, self.reading, plan)
        self.hidden = self.stepper.fields(states)

    def step(self) -> bool:
        """Write one note, or end one cell, in every piece that is not done; False once all are."""
        writers = self.writers
        if not writers:
            return False
        uniforms = np.array([rng.random(len(FIELDS)) for rng in self.rngs])
        values = [self._draw(0, [], np.stack([writer.positions() for writer in writers]), uniforms)]
        sounding = values[0] != END
        if sounding.any():
            values[0] = np.where(sounding, values[0], 0)
            if self.plan is not None:
                told = self.plan.pitches[self.plan.of([writer.place for writer in writers], values[0])]
                self.hidden[1] = self.hidden[1] + told
            for masks in (CellWriter.pitches, CellWriter.durations):
                legal = np.stack([masks(writer, int(p)) for writer, p in zip(writers, values[0], strict=True)])
                legal[~sounding] = True
                values.append(self._draw(len(values), values, legal, uniforms, sounding))
            anything = np.ones((len(writers), FIELD_SIZES[3]), bool)
            values.append(self._draw(3, values, anything, uniforms, sounding))
            self.notes[self.numbers[sounding]] += 1
        self._advance(sounding, values)
        return True

    def _draw(
        self, field: int, values: list[np.ndarray], legal: np.ndarray, uniforms: np.ndarray,
        sounding: np.ndarray | None = None,
    ) -> np.ndarray:  # fmt: skip
        logits = self.stepper.field_logits(self.hidden[field], field, values) + self.lean[field]
        request = self.request
        drawn = draw(logits, legal, uniforms[:, field], temperature=request.temperature, top_p=request.top_p)
        if request.likelihood:
            nats = nats_of(drawn, logits, legal)
            self.nats[self.numbers] += nats if sounding is None else np.where(sounding, nats, 0)
        return drawn

    def _advance(self, sounding: np.ndarray, values: list[np.ndarray]) -> None:
        rows, busy = [], []
        for index, writer in enumerate(self.writers):
            if sounding[index]:
                position, code, length, level = (int(value[index]) for value in values)
                rows.append(writer.write(position, code, length, level, self.first_bars[index]))
                busy.append(index)
                continue
            writer.close()
            if writer.done:
                continue
            settled, cells = writer.settled_rows(self.first_bars[index])
            if self.reading.lengths[index] + len(settled) >= self.full:
                self._read_context(index)
            elif len(settled):
                self._read_more(index, settled, cells)
            rows.append(writer.opening(self.first_bars[index]))
            busy.append(index)
        if len(busy) < len(self.writers):
            self._keep(busy)
        if rows:
            self._step_rows(rows)

    def _keep(self, busy: list[int]) -> None:
        """Go on with these sequences alone."""
        self.writers, self.rngs = [self.writers[i] for i in busy], [self.rngs[i] for i in busy]
        self.first_bars = [self.first_bars[i] for i in busy]
        self.numbers = self.numbers[busy]
        old = self.reading
        caches = [Cache(cache.keys[busy], cache.values[busy]) for cache in old.caches]
        self.reading = Reading(caches, old.lengths[busy], old.condition[busy])


def _lean(leaning: Leaning) -> list[np.ndarray]:
    """What is added to the logits of each field: to the end of a cell, to pitches by the octave (not of drums), to
    lengths by their doublings, to velocities by four levels."""
    lean = [np.zeros(size, np.float32) for size in FIELD_SIZES]
    lean[0][END] = -END_WEIGHT * leaning.density
    lean[1][:128] = leaning.register * (np.arange(128) - 60) / 12
    lean[2][:] = -LENGTH_WEIGHT * leaning.density * np.log2((1 + np.arange(FIELD_SIZES[2])) / STEPS_PER_QUARTER)
    lean[3][:] = leaning.loudness * (np.arange(FIELD_SIZES[3]) - 8) / 4
    return lean


def _conditions(cells: Cells, key: Key, sentence: np.ndarray | None, config: ComposerConfig) -> dict[str, Tensor]:
    """What `Composer.condition` takes, for one piece."""
    words = np.full(config.sentence_width, np.nan) if sentence is None else sentence
    return {
        "sentence": torch.as_tensor(words, dtype=torch.float32)[None],
        "tempo": torch.tensor([tempo_class(cells.tempo)]),
        "mode": torch.tensor([mode_number(key)]),
        "ensemble": torch.from_numpy(ensemble_shares(cells.instruments))[None],
    }


@lru_cache(maxsize=4)
def _draws(corpus: Corpus, split: str, plans: PlanTable | None) -> WindowDraw:
    return WindowDraw(corpus, split, plans)


def _span_batch(windows: list[Span], rows: np.ndarray, targets: np.ndarray) -> dict[str, Tensor]:
    """Spans of one piece's rows as tensors. As in training, musical time is 0 where the first bar of each begins."""
    shape = len(windows), max(window.end - window.start for window in windows)
    opens = np.cumsum(rows[:, steps.KIND] == steps.OPENING) - 1
    cell = np.zeros(shape, np.int64)
    batch_rows = np.zeros((*shape, steps.COLUMNS), np.int64)
    batch_targets = np.full((*shape, len(FIELDS)), -1, np.int64)
    for own_rows, own_targets, window in zip(batch_rows, batch_targets, windows, strict=True):
        size, seen = window.end - window.start, window.first - window.start
        own_rows[:size] = rows[window.start : window.end]
        own_rows[:size, steps.TIME] -= own_rows[0, steps.TIME] - max(own_rows[0, steps.AT] - 1, 0)
        own_targets[seen:size] = targets[window.first : window.end]
    for own_cell, window in zip(cell, windows, strict=True):
        own_cell[: window.end - window.start] = opens[window.start : window.end]
    return {name: torch.from_numpy(value) for name, value in
            (("rows", batch_rows), ("targets", batch_targets), ("cell", cell))}  # fmt: skip


def window_batch(
    windows: list[Window], corpus: Corpus, rng: np.random.Generator, config: ComposerConfig, *, learning: bool
) -> dict[str, Tensor]:
    """`window_arrays` as tensors."""
    arrays_of = window_arrays(windows, corpus, rng, config, learning=learning)
    return {name: torch.from_numpy(values) for name, values in arrays_of.items()}
