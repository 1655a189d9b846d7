"""APE-GAN: a sentence in place of noise, and a discriminator that checks what goes out (Su, Fang, Li and Steven 2021).

Faithful: the embedding of the sentence by a BERT goes into the generator where noise would; a temporal generator
makes of it a vector a bar and a bar generator the notes (formulas 2 and 3), of the layers of MuseGAN that the paper
builds on; a convolutional discriminator gives the odds that music is real; of these formula 1 is learned, in the form
that does not saturate; music that it gives 0.5 or less is thrown away and composed again (formulas 6 and 7). Recipe
`paper` is that and nothing more: one sentence makes one phrase, and nothing ties the two, as the discriminator hears
music alone.
Reads the paper's claim that music "that deviates too much from the input text will be discriminated": a discriminator
that hears no text cannot tell, so ours is told the sentence (a projection, Miyato and Koyama 2018) and learns from
real music with sentences that are not true of it as well (Reed et al. 2016); `condition` leaves out either, or
shuffles.
Added in `small`: a reader, learned by itself, turns the embedding into the odds of meanings, as the embedding holds
opposites near to each other; noise beside it, so that a sentence makes many pieces; gates by bar and track, and the
mean of the generator's weights; a penalty on slopes; pairs without a sentence, so that it composes without words too.
For its last steps the generator rests: two thresholds a track move to where it plays as much as real music does, in
notes as long, and the discriminator learns on from what will go out, and then stands as the gate, which leaves aside
how full a phrase is.
All music is learned in C and moved to the key asked for. Behind the first phrase of a piece others follow, with the
same sentence and the same of the noise that does not depend on bars.
Not printed, and chosen: all sizes, the data of sentences (`data.captions.pairs`), rates and steps.
Uses of Request: count, bars, tempo, sentence, key (its tonic), tries.

Legend: B phrases, K tracks, M players, T bars, S steps of a phrase, P pitches, D width of an embedding, W of what was
meant, Z noise of one kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from symusic import Score
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from orchestrion.data.captions.pairs import Pairs, pair_table, to_c
from orchestrion.data.captions.templates import MEANINGS
from orchestrion.data.labeled import JudgedCorpus
from orchestrion.data.phrases import Selection
from orchestrion.data.store import Corpus
from orchestrion.models.base import Batch, Recipe, RecipeError, Request, RequestError, System, Training
from orchestrion.models.layers.adversarial import Gates, average_of, follow_, frozen, penalty_behind, straight_through
from orchestrion.models.layers.bar_layers import Growth, Temporal, cells_in_order, growing_layers
from orchestrion.models.layers.hysteresis import Thresholds
from orchestrion.models.layers.meaning_classifier import SHRUNK, Reader
from orchestrion.models.layers.note_count import Fullness
from orchestrion.models.layers.phrase_critic import Convolution, PhraseCritic, layers_fault
from orchestrion.models.pianoroll_gan import checked, compose_phrases, normal_noise, phrase_figures, phrases_of, said_of
from orchestrion.music.analysis import estimate_key
from orchestrion.music.theory import Key
from orchestrion.representations.phrases import PhraseGrid
from orchestrion.text.encoder import SentenceEncoder

CONDITIONS = ("matching", "projection", "shuffled", "none")
MEASURED = 128  # phrases of a validation batch
JUDGED = 4  # real phrases to a judged one, where people judged some
AT_ONCE = 16  # phrases drawn in one call: what they need lies in the cache of a core
TRIES = 64  # at a phrase that the discriminator refuses, where a request names no number
_NEW = 0.01  # weight of a batch in the shares of tonics


@dataclass(frozen=True)
class ApeGanConfig:
    """Grid and piece_tracks: as for MuseGAN. sentence_width: D of the encoder.

    reads: what was meant is read out of the embedding; else it enters as it is. noise: Z of each kind: of the piece,
    of its course over bars and, where `players`, of each track; 0 for none. players: a bar generator a track, else
    one for all. gates: the generator also draws which tracks rest in which bars. condition: one of CONDITIONS: what
    the discriminator is told: the sentence, and to refuse real music with one that is not true of it ("matching"),
    the sentence alone ("projection"), a wrong one ("shuffled"), nothing ("none"). Layers, penalty, critic_steps,
    average: as for MuseGAN. rests: steps after which the generator rests, 0 for never, and `rests_for` how many: the
    discriminator learns on from what goes out. settles: from then on what sounds is drawn by two thresholds a track,
    which follow real music, and odds leave aside how full a phrase is; see nn.thresholds and nn.fullness.

    Raises RecipeError for numbers that make no network, UserError for those that make no grid.
    """

    tracks: str = "five"
    bars: int = 4
    steps_a_bar: int = 48
    lowest: int = 24
    pitches: int = 84
    piece_tracks: int = 5
    sentence_width: int = 384
    reads: bool = True
    noise: int = 32
    players: bool = True
    gates: bool = True
    condition: str = "matching"
    temporal_filters: int = 64
    bar_layers: tuple[Growth, ...] = ((96, 2, 1), (64, 2, 1), (48, 2, 1), (32, 2, 1), (32, 1, 7), (0, 3, 12))
    critic_filters: int = 64
    critic_layers: tuple[Convolution, ...] = ((64, 2, 2), (64, 2, 2), (128, 4, 2))
    phrase_filters: tuple[int, int] = (128, 128)
    critic_width: int = 256
    penalty: float = 10.0
    critic_steps: int = 5
    phrases: int = 32
    rate: float = 3e-3
    critic_rate: float = 2e-3
    reader_rate: float = 1e-3
    average: float = 0.995
    rests: int = 0
    rests_for: int = 400
    settles: bool = False

    def __post_init__(self) -> None:
        if self.condition not in CONDITIONS:
            raise RecipeError(f"there is no condition {self.condition!r}; choose {', '.join(CONDITIONS)}")
        if self.bars < 3:
            raise RecipeError(f"the discriminator reads phrases of at least 3 bars, not {self.bars}")
        if fault := layers_fault(self.steps_a_bar, self.pitches, self.bar_layers, self.critic_layers):
            raise RecipeError(fault)
        if not 0 <= self.average < 1:
            raise RecipeError(f"average {self.average} must be a share from 0 to less than 1")
        if min(self.phrases, self.critic_steps, self.sentence_width) < 1 or self.noise < 0:
            raise RecipeError("phrases, critic_steps and sentence_width must be at least 1, and noise 0")
        if self.gates and not self.noise:
            raise RecipeError("gates are drawn from noise; set gates to false where there is none")
        if self.settles and not self.rests:
            raise RecipeError("a generator settles once it rests; set settles to false where it never does")

    @property
    def grid(self) -> PhraseGrid:
        return PhraseGrid(self.tracks, self.bars, self.steps_a_bar, self.lowest, self.pitches)

    @property
    def words(self) -> int:
        """Width of what generator and discriminator read of a sentence."""
        return len(MEANINGS) + 1 if self.reads else self.sentence_width


_SMALL = ApeGanConfig(rests=2600, settles=True)
#: The rate falls while the generator rests, and the discriminator that then knows it best is kept.
_SMALL_TRAINING = Training(steps=3000, warm_up_steps=0, decay_share=400 / 3000, best_from=2999, clip_norm=0.0,
                           validate_every=100, validation_batches=4, save_every=100)  # fmt: skip
_PRINTED_TRAINING = replace(_SMALL_TRAINING, decay_share=0.0, best_from=0)
_PAPER = ApeGanConfig(
    steps_a_bar=96, reads=False, noise=0, players=False, gates=False, condition="none", temporal_filters=1024,
    bar_layers=((512, 2, 1), (512, 2, 1), (256, 2, 1), (256, 2, 1), (128, 2, 1), (128, 3, 1), (64, 1, 7), (0, 1, 12)),
    critic_filters=128, critic_layers=((128, 2, 2), (128, 2, 2), (256, 4, 2), (512, 3, 2)), phrase_filters=(512, 128),
    critic_width=1024, penalty=0.0, critic_steps=1, phrases=64, rate=2e-4, critic_rate=2e-4, average=0.0,
)  # fmt: skip
_AS_PRINTED = replace(_SMALL, reads=False, noise=0, players=False, gates=False, condition="none", penalty=0.0,
                      critic_steps=1, average=0.0, rests=0, settles=False, rate=1e-3, critic_rate=1e-3)  # fmt: skip
RECIPES = {
    "tiny": Recipe(
        ApeGanConfig(steps_a_bar=16, pitches=60, piece_tracks=1, noise=8, temporal_filters=16,
                     critic_filters=8, phrase_filters=(16, 16), critic_layers=((16, 4, 4), (16, 4, 4)), critic_width=32,
                     bar_layers=((24, 4, 1), (16, 4, 1), (8, 1, 5), (0, 1, 12)), critic_steps=4, phrases=8, rate=1e-2,
                     critic_rate=1e-2, penalty=1.0, average=0.0),
        Training(steps=20, warm_up_steps=2, decay_share=0.0, clip_norm=0.0, precision="float32", validate_every=10,
                 validation_batches=1, save_every=5),
    ),
    "small": Recipe(_SMALL, _SMALL_TRAINING),
    "small-projection": Recipe(replace(_SMALL, condition="projection"), _SMALL_TRAINING),
    "small-shuffled": Recipe(replace(_SMALL, condition="shuffled"), _SMALL_TRAINING),
    "small-none": Recipe(replace(_SMALL, condition="none"), _SMALL_TRAINING),
    "small-printed": Recipe(_AS_PRINTED, _PRINTED_TRAINING),
    "small-seventeen": Recipe(replace(_SMALL, tracks="seventeen", piece_tracks=1), _SMALL_TRAINING),
    "paper": Recipe(
        _PAPER, replace(_PRINTED_TRAINING, steps=20_000, validate_every=500, save_every=500)
    ),
    "paper-matching": Recipe(
        replace(_PAPER, noise=64, gates=True, players=True, condition="matching", penalty=10.0,
                critic_steps=5, average=0.995, rests=5200, rests_for=800, settles=True),
        replace(_SMALL_TRAINING, steps=6000, decay_share=800 / 6000, best_from=5999, validate_every=200,
                save_every=200),
    ),
}  # fmt: skip


class ApeGan(System):
    config: ApeGanConfig
    tonics: Tensor
    learned: Tensor
    holds: ClassVar[frozenset[str]] = frozenset({"bars", "tempo"})

    def __init__(self, config: ApeGanConfig) -> None:
        super().__init__()
        self.config, self.grid = config, config.grid
        self.reader = Reader(config.sentence_width, len(MEANINGS)) if config.reads else None
        self.generator, self.discriminator = Generator(config), Discriminator(config)
        self.averaged = average_of(self.generator) if config.average else None
        held = torch.tensor([name != "drums" for name in self.grid.track_set.names])
        self.thresholds = Thresholds(held) if config.settles else None
        self.fullness = Fullness() if config.settles else None
        self.register_buffer("tonics", torch.full((12,), 1 / 12))  # shares of the phrases that it learned from
        self.register_buffer("learned", torch.zeros((), dtype=torch.int64))  # steps

    # ---- learning

    def optimizers(self) -> dict[str, Optimizer]:
        config, betas = self.config, (0.5, 0.9)
        by_name: dict[str, Optimizer] = {
            "discriminator": Adam(self.discriminator.parameters(), lr=config.critic_rate, betas=betas),
            "generator": Adam(self.generator.parameters(), lr=config.rate, betas=betas),
        }
        if self.reader is not None:
            by_name["reader"] = AdamW(self.reader.parameters(), lr=config.reader_rate, weight_decay=SHRUNK)
        return by_name

    def pairs(self, corpus: Corpus, split: str) -> Pairs:
        """What it learns from. Raises CorpusError where it cannot be made, RecipeError for another encoder's width."""
        encoder = _encoder(corpus.encoder)
        if encoder.width != self.config.sentence_width:
            raise RecipeError(f"the encoder {encoder.name} makes {encoder.width} numbers of a sentence; set"
                              f" sentence_width={encoder.width}")  # fmt: skip
        return pair_table(corpus, split, self.grid, encoder, selection=Selection(piece_tracks=self.config.piece_tracks))

    def batch(self, corpus: Corpus, split: str, rng: np.random.Generator) -> Batch:
        """phrases (B, K, S, P) bool, sentences and denied (B, D), meanings and tonics (B,): see `Pairs.draw`; to learn
        from a JudgedCorpus, `judged` and `judged_real` as well: see `Judged.draw`."""
        count = self.config.phrases * self.config.critic_steps if split == "train" else MEASURED
        plain = corpus.plain if isinstance(corpus, JudgedCorpus) else corpus
        drawn = self.pairs(plain, split).draw(rng, count)
        if isinstance(corpus, JudgedCorpus) and split == "train":
            drawn |= corpus.judged.draw(rng, self._judged_at_once * self.config.critic_steps)
        return {name: torch.from_numpy(values) for name, values in drawn.items()}

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        denied = batch["denied"]
        if self.reader is not None:
            meant = torch.cat([batch["meanings"], batch["denied_meanings"]])
            yield "reader", self.reader.loss(torch.cat([batch["sentences"], denied]), meant)
        with torch.no_grad():
            words, others = self._said(batch), self.words(denied)
        size, rests = self.config.phrases, self.rests(step)
        for number, (phrases, said, wrong) in enumerate(
            zip(batch["phrases"].split(size), words.split(size), others.split(size), strict=True)
        ):
            with torch.no_grad():
                made = self._made(said, rests)
            loss = self.discriminator_loss(phrases.float(), made, said, wrong)
            if "judged" in batch:
                part = slice(number * self._judged_at_once, (number + 1) * self._judged_at_once)
                loss = loss + self.judged_loss(batch["judged"][part].float(), batch["judged_real"][part].float())
            yield "discriminator", loss
        if rests:
            return
        said = words[-size:]
        with frozen(self.discriminator):
            loss = F.softplus(-self.discriminator(self.drawn(said, self._noise(len(said))), said)).mean()
        yield "generator", loss

    @torch.no_grad()
    def after_step(self, step: int, batches: Sequence[Batch]) -> None:
        taken, rests = self._taken(step), self.rests(step)
        if self.averaged is not None and not rests:
            follow_(self.averaged, self.generator, self.config.average)
        for batch in batches:
            self.tonics.lerp_(torch.bincount(batch["tonics"], minlength=12) / len(batch["tonics"]), _NEW)
            if taken >= self.config.rests:
                self._settle(batch, rests)
        self.learned.fill_(taken + 1)

    def _settle(self, batch: Batch, rests: bool) -> None:
        """Let thresholds and fullness follow phrases made anew, beside the real ones of a batch."""
        if self.thresholds is None or self.fullness is None:
            return
        size = self.config.phrases
        for real, said in zip(batch["phrases"].split(size), self._said(batch).split(size), strict=True):
            made = self._made(said, rests)
            self.thresholds.follow_(made > 0.5, real)
            self.fullness.follow_(made > 0.5, self.discriminator(made, said))

    def rests(self, step: int) -> bool:
        """Whether the discriminator learns alone; in rounds after people were asked, both learn again."""
        begins = self.config.rests
        return 0 < begins <= self._taken(step) < begins + self.config.rests_for

    def _taken(self, step: int) -> int:
        """Steps of training so far, with those of the weights that this training began with."""
        return max(step, int(self.learned))

    def _said(self, batch: Batch) -> Tensor:
        """(B, W), what generator and discriminator read of a batch."""
        sentences = batch["sentences"]
        return self.words(sentences.roll(1, 0) if self.config.condition == "shuffled" else sentences)

    def _made(self, words: Tensor, rests: bool) -> Tensor:
        """Cells 0 or 1 (B, K, S, P) for the discriminator to refuse: while the generator rests, of what goes out."""
        return self.drawn(words, self._noise(len(words)), self.drawing if rests else None)

    def discriminator_loss(self, real: Tensor, made: Tensor, words: Tensor, others: Tensor) -> Tensor:
        """Real and made phrases (B, K, S, P), what was said and what is not true (B, W) -> formula 1, its sign turned,
        and the penalty. What is refused is made or, as often, real with a sentence that is not true."""
        critic = self.discriminator
        first = critic.body.first(real), critic.body.first(made)
        found = critic.found(first[0])
        loss, fake = F.softplus(-critic.logits(found, words)).mean(), F.softplus(critic.marks(first[1], words)).mean()
        if self.config.condition == "matching":
            fake = (fake + F.softplus(critic.logits(found, others)).mean()) / 2
        if not self.config.penalty:
            return loss + fake
        products, (read, other) = critic.body.first_products, (one.detach() for one in first)
        return (
            loss
            + fake
            + penalty_behind(lambda between: critic.marks(between, words), products, read, other, self.config.penalty)
        )

    def judged_loss(self, phrases: Tensor, real: Tensor) -> Tensor:
        """Phrases (J, K, S, P) and whether people called them real (J,) -> the cross entropy of what the discriminator
        says of them, without a sentence: people heard none."""
        marks = self.discriminator(phrases, phrases.new_zeros(len(phrases), self.config.words))
        return F.binary_cross_entropy_with_logits(marks, real)

    @property
    def _judged_at_once(self) -> int:
        """Judged phrases at a step of the discriminator."""
        return max(1, self.config.phrases // JUDGED)

    def measure(self, batch: Batch) -> dict[str, tuple[float, float]]:
        real, words = batch["phrases"], self.words(batch["sentences"])
        made = self.drawn(words, self._noise(len(real)), self.drawing)
        figures = phrase_figures(real, made > 0.5, self.grid.bars)
        of_made, of_real = self.marks(made, words), self.marks(real.float(), words)
        for name, marks in (("accepted", of_made), ("recognised", of_real)):
            figures[name] = float((marks > 0).sum()), float(len(real))
        figures["critic_gap"] = float((of_real - of_made).sum()), float(len(real))
        if self.reader is not None:
            spoken = batch["sentences"].any(1)
            right = self.reader.odds(batch["sentences"]).argmax(1) == batch["meanings"]
            figures["read"] = float((right & spoken).sum()), float(spoken.sum())
        return figures

    def remarks(self, figures: Mapping[str, float]) -> list[str]:
        return said_of(figures)

    def words(self, sentences: Tensor) -> Tensor:
        """Embeddings (B, D), of length 1 or 0 for no sentence -> what generator and discriminator read (B, W)."""
        if self.reader is None:
            return sentences * self.config.sentence_width**0.5  # numbers of about 1, as those of noise
        return self.reader(sentences) * (len(MEANINGS) ** 0.5 * sentences.any(1, keepdim=True))

    def marks(self, phrases: Tensor, words: Tensor) -> Tensor:
        """Phrases (B, K, S, P) of cells 0 or 1 -> (B,), the logits of `odds`."""
        marks: Tensor = self.discriminator(phrases, words)
        return marks if self.fullness is None else marks - self.fullness(phrases > 0.5)

    def drawn(self, words: Tensor, noise: Tensor, generator: nn.Module | None = None) -> Tensor:
        """-> cells 0 or 1 (B, K, S, P), by another generator than the one that learns, where it is named."""
        logits = (generator or self.generator)(words, noise).float()
        sounds = self.sounding(logits).float()
        return straight_through(torch.sigmoid(logits), sounds) if torch.is_grad_enabled() else sounds

    def sounding(self, logits: Tensor) -> Tensor:
        """Logits (B, K, S, P) -> which cells sound, bool."""
        return logits > 0 if self.thresholds is None else self.thresholds(logits)

    def _noise(self, count: int) -> Tensor:
        return torch.randn(count, self.generator.noise, device=next(self.parameters()).device)

    # ---- music

    @property
    def drawing(self) -> nn.Module:
        """The generator that music is made by."""
        return self.generator if self.averaged is None else self.averaged

    @torch.inference_mode()
    def generate(self, request: Request, rng: np.random.Generator) -> list[Score]:
        self.eval()
        still: dict[int, np.ndarray] = {}
        draw = checked(
            lambda rngs: self.draw(rngs, request.sentence, still),
            lambda phrases: self.odds(phrases, request.sentence),
            TRIES if request.tries is None else request.tries,
            request.rejected,
        )
        scores = compose_phrases(draw, self.grid, request, rng)
        odds = self.tonics.double().cpu().numpy()
        for score in scores:
            named = request.sentence is not None or request.strict_key
            transpose(score, request.key.tonic if named else int(rng.choice(12, p=odds / odds.sum())))
        return scores

    def draw(
        self,
        rngs: Sequence[np.random.Generator],
        sentence: np.ndarray | None,
        still: dict[int, np.ndarray] | None = None,
    ) -> np.ndarray:
        """A phrase in C for each random stream, (B, K, S, P) bool, of a sentence (D,). still: by id of a stream, the
        noise of its piece, which is drawn with its first phrase."""
        device, phrases = next(self.parameters()).device, []
        for start in range(0, len(rngs), AT_ONCE):
            own = rngs[start : start + AT_ONCE]
            noise = normal_noise(own, self.generator.noise)
            if still is not None:
                for row, stream in enumerate(own):
                    kept = still.setdefault(id(stream), noise[row, : self.config.noise].numpy().copy())
                    noise[row, : self.config.noise] = torch.from_numpy(kept)
            words = self.words(self._embedding(sentence).expand(len(own), -1))
            phrases.append(self.sounding(self.drawing(words, noise.to(device))).cpu().numpy())
        return np.concatenate(phrases)

    @torch.inference_mode()
    def odds(self, phrases: np.ndarray, sentence: np.ndarray | None) -> np.ndarray:
        """(B,) what the discriminator gives phrases in C (B, K, S, P) bool for being real and, where it is told the
        sentence (D,), for being what it asks for: p of formulas 6 and 7. How full they are is left aside, once the
        generator rests."""
        device, odds = next(self.parameters()).device, []
        for part in torch.from_numpy(phrases).split(AT_ONCE):
            words = self.words(self._embedding(sentence).expand(len(part), -1))
            odds.append(torch.sigmoid(self.marks(part.to(device).float(), words)).cpu().numpy())
        return np.concatenate(odds)

    @torch.inference_mode()
    def found(self, phrases: np.ndarray) -> np.ndarray:
        """(B, C) what the discriminator reads its mark off in phrases in C (B, K, S, P) bool."""
        device, critic = next(self.parameters()).device, self.discriminator
        parts = torch.from_numpy(phrases).split(AT_ONCE)
        return np.concatenate(
            [critic.found(critic.body.first(part.to(device).float())).cpu().numpy() for part in parts]
        )

    def odds_of(self, score: Score, sentence: np.ndarray | None = None, key: Key | None = None) -> float:
        """The mean of `odds` over the phrases of a piece, moved to C; see system.JudgingSystem."""
        phrases = phrases_of(score, self.grid, to_c(estimate_key(score)[0] if key is None else key))
        self.eval()
        return float(self.odds(phrases, sentence).mean())

    def _embedding(self, sentence: np.ndarray | None) -> Tensor:
        width = self.config.sentence_width
        told = np.zeros(width, np.float32) if sentence is None else sentence.astype(np.float32)
        if told.shape != (width,):
            raise RequestError(f"the sentence has {told.size} numbers, and this model was trained with an encoder that"
                               f" makes {width}; name that encoder")  # fmt: skip
        return torch.from_numpy(told).to(next(self.parameters()).device)


def transpose(score: Score, tonic: int) -> None:
    """Music in C moved to a tonic, a tritone at most and by the way that `to_c` came, in place; drums stay."""
    for track in score.tracks:
        if not track.is_drum:
            track.shift_pitch(-to_c(Key(tonic, "major")), inplace=True)


class Generator(nn.Module):
    """What was said (B, W) and noise -> logits (B, K, S, P). noise: (B, `noise`): that of the piece, that of its course
    over bars, and both of each player's own."""

    def __init__(self, config: ApeGanConfig) -> None:
        super().__init__()
        tracks = config.grid.shape[0]
        self.players, self.each = (tracks, 1) if config.players else (1, tracks)
        self.bars, self.own = config.bars, config.noise if config.players else 0
        width = config.words + config.noise
        self.together = Temporal(1, width, config.temporal_filters, config.bars)
        self.apart = Temporal(self.players, self.own, config.temporal_filters, config.bars) if self.own else None
        self.noise = 2 * config.noise + 2 * self.own * self.players
        self.kept = config.noise
        self.layers = growing_layers(self.players, 2 * width + 2 * self.own, config.bar_layers, self.each)
        self.last, self.cells = config.bar_layers[-1], (config.bars * config.steps_a_bar, config.pitches)
        self.gates = Gates(self.noise + config.words, 4 * config.noise, tracks * config.bars) if config.gates else None

    def forward(self, words: Tensor, noise: Tensor) -> Tensor:
        x = self.latent(words, noise)
        for layer in self.layers:
            x = layer(x)
        logits = cells_in_order(x, len(words), self.last, self.cells)
        if self.gates is None:
            return logits
        gates = self.gates(torch.cat([words, noise], 1)).view(len(words), -1, self.bars)
        return logits + gates.repeat_interleave(self.cells[0] // self.bars, dim=2).unsqueeze(3)

    def latent(self, words: Tensor, noise: Tensor) -> Tensor:
        """-> what each player reads of each bar, (M, B * T, C)."""
        still, moving = noise[:, : self.kept], noise[:, self.kept : 2 * self.kept]
        still, by_bar = torch.cat([words, still], 1), self.together(torch.cat([words, moving], 1).unsqueeze(0))
        parts = [by_bar, still.view(1, len(words), 1, -1).expand_as(by_bar)]
        if self.apart is not None:
            own = noise[:, 2 * self.kept :].view(len(words), self.players, 2, self.own)
            calm, course = own.permute(2, 1, 0, 3)
            by_bar = self.apart(course)
            parts += [by_bar, calm.unsqueeze(2).expand_as(by_bar)]
        return torch.cat([part.expand(self.players, -1, -1, -1) for part in parts], dim=-1).flatten(1, 2)


class Discriminator(nn.Module):
    """Phrases (B, K, S, P) of cells from 0 to 1, and what was said (B, W) -> logits (B,) of their being real."""

    def __init__(self, config: ApeGanConfig) -> None:
        super().__init__()
        self.body = PhraseCritic(
            config.grid.shape[0], bars=config.bars, steps_a_bar=config.steps_a_bar, growths=config.bar_layers,
            filters=config.critic_filters, layers=config.critic_layers, phrase_filters=config.phrase_filters,
            width=config.critic_width,
        )  # fmt: skip
        self.scale = config.critic_width**-0.5
        self.projected = None if config.condition == "none" else nn.Linear(config.words, config.critic_width)

    def forward(self, phrases: Tensor, words: Tensor) -> Tensor:
        return self.marks(self.body.first(phrases), words)

    def marks(self, read: Tensor, words: Tensor) -> Tensor:
        """What the first layer made, (1, B, R, F) -> (B,)."""
        return self.logits(self.found(read), words)

    def found(self, read: Tensor) -> Tensor:
        return self.body.found(read)[0]

    def logits(self, found: Tensor, words: Tensor) -> Tensor:
        """What is found in phrases (B, C) -> (B,): how real they are, and how well they go with what was said."""
        marks = self.body.over_bars[-1](found.unsqueeze(0)).view(-1).float()
        if self.projected is None:
            return marks
        return marks + (found * self.projected(words)).float().sum(1) * self.scale


_ENCODERS: dict[str | None, SentenceEncoder] = {}


def _encoder(name: str | None) -> SentenceEncoder:
    """Loaded once, as batches are drawn a thousand times."""
    if name not in _ENCODERS:
        _ENCODERS[name] = SentenceEncoder.load(name)
    return _ENCODERS[name]
