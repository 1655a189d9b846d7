"""The contract that every way of making music fulfils, and what one is asked for.

Each file in `models/zoo/` defines one final subclass of System and its `RECIPES`, among them `tiny`. `losses` is a
generator that the training loop drives: it steps the named optimizer before it resumes. What else changes in a step
changes in `after_step`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from symusic import Score
from torch import Tensor, nn
from torch.optim import Optimizer

from orchestrion.core.errors import UserError
from orchestrion.data.store import Corpus
from orchestrion.music.theory import Key, Meter
from orchestrion.planning.arrays import CellPlan
from orchestrion.representations.cells import Cells
from orchestrion.text.leaning import Leaning

Batch = Mapping[str, Tensor]
_COMMON_TIME, _C_MAJOR, _AS_LEARNED = Meter(4, 4), Key(0, "major"), Leaning()


class RecipeError(UserError):
    """Numbers of a config or of its training that make no sense; the message says which and what would."""


class RequestError(UserError):
    """What a system cannot make; the message says why and what it could."""


class UnheardError(UserError):
    """Music that a system cannot judge; the message says why and what it could."""


@dataclass(frozen=True)
class Request:
    """What to make. A system uses what it can and says in its docstring what that is.

    count: pieces to make as one batch.
    bars, meter, tempo (quarter notes a minute), instruments: hold exactly where `System.holds` names them; to a system
        without bars they say how long a piece is.
    seconds: how long a piece is, in place of bars, for systems that hold it.
    primer: music that a piece of a system that holds seconds begins with, within its length, and goes on from.
    key: the key that shapes the music; enforced where `strict_key`.
    sentence: (384,) float32 unit vector, or None for no words.
    leaning: how words lean the music where nothing is fixed.
    given, hole: cells that are there already, and (bars, tracks) bool, True where to compose; None for nothing given.
        Their meters and instruments then replace those above.
    temperature, top_p: sampling; 1 and 1 draw from the model as it is.
    plan: what is planned of each cell, for a system that reads plans; None for nothing.
    likelihood: called with (number of the piece, mean nats a note of what was drawn), by systems that know it.
    tries: how often a system with a discriminator composes again what that does not call real; 0 for never, None for as
        often as the system does by itself.
    progress: called with (bars done, bars in all) of the slowest piece; with seconds in place of bars, of those.
    rejected: called with a reason whenever something was made that is no music, and is made again.
    """

    count: int = 1
    bars: int = 16
    meter: Meter = _COMMON_TIME
    tempo: float = 120.0
    instruments: tuple[int, ...] = (0,)
    key: Key = _C_MAJOR
    strict_key: bool = False
    sentence: np.ndarray | None = None
    leaning: Leaning = _AS_LEARNED
    given: Cells | None = None
    hole: np.ndarray | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    progress: Callable[[int, int], None] | None = None
    rejected: Callable[[str], None] | None = None
    seconds: float | None = None
    primer: Score | None = None
    tries: int | None = None
    plan: CellPlan | None = None
    likelihood: Callable[[int, float], None] | None = None

    @property
    def length_seconds(self) -> float:
        """How long a piece is: as asked, or its bars in time."""
        return self.bars * self.meter.quarters * 60 / self.tempo if self.seconds is None else self.seconds


@dataclass(frozen=True)
class Training:
    """How a recipe is trained; the numbers that are the loop's and not the system's.

    accumulate: batches whose gradients make one step, over all processes together.
    The rate warms up over `warm_up_steps`, stays, and falls linearly to 0 over the last `decay_share` of the steps;
    where `fall_every` is set, it falls to `fall_to` of itself after so many steps, again and again.
    best_from: steps after which the best checkpoint is chosen anew, whatever was best before.
    clip_norm: gradients are scaled down to this norm; 0 leaves them.
    precision: "bf16" where the machine computes in it (elsewhere float32), or "float32".
    shard: on several processes, split the weights of the networks over them instead of holding all on each.
    """

    steps: int
    accumulate: int = 1
    warm_up_steps: int = 100
    decay_share: float = 0.4
    fall_every: int = 0
    fall_to: float = 0.75
    best_from: int = 0
    clip_norm: float = 1.0
    precision: str = "bf16"
    validate_every: int = 200
    validation_batches: int = 8
    save_every: int = 50
    shard: bool = False

    def __post_init__(self) -> None:
        if self.precision not in ("bf16", "float32"):
            raise RecipeError(f"there is no precision {self.precision!r}; choose bf16 or float32")


@dataclass(frozen=True)
class Recipe:
    """A system's config and how to train it: what `RECIPES` of a system file holds by name."""

    config: Any
    training: Training


@dataclass(frozen=True)
class Sampling:
    """How choices are drawn where a request says nothing: see Request. Below 1, a temperature keeps music from drifting
    to where it was never learned; `top_p` keeps single mistakes out, but also all that is rare, such as the first key
    let go. Raises RequestError for numbers that make no sense."""

    temperature: float = 1.0
    top_p: float = 0.95

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 3:
            raise RequestError(
                f"temperature {self.temperature} is outside 0 to 3; 1 is as learned, less is plainer, 0 the likeliest"
            )
        if not 0 < self.top_p <= 1:
            raise RequestError(f"top-p {self.top_p} is no share; ask for more than 0 and at most 1")

    def but(self, temperature: float | None, top_p: float | None) -> Sampling:
        """The same with what is not None."""
        return Sampling(self.temperature if temperature is None else temperature,
                        self.top_p if top_p is None else top_p)  # fmt: skip


class System(nn.Module, ABC):
    """One published way to make music. Subclasses are final and take their config as the only argument."""

    config: Any
    #: What of a request holds exactly in what the system makes: fields of Request ("bars", "tempo", "meter",
    #: "instruments", "key", "hole"), or "seconds" where a piece lasts as long as asked, in real time. "tracks": some of
    #: its recipes fill holes that are tracks, played to the one given; what they cannot fill they refuse in a line.
    holds: ClassVar[frozenset[str]] = frozenset({"bars", "tempo", "meter", "instruments", "key", "hole"})

    sampling: ClassVar[Sampling] = Sampling()

    @abstractmethod
    def optimizers(self) -> dict[str, Optimizer]:
        """Each optimizer by the name under which `losses` yields. Every trained weight belongs to exactly one."""

    @abstractmethod
    def batch(self, corpus: Corpus, split: str, rng: np.random.Generator) -> Batch:
        """Draw one batch of the split; the same rng gives the same batch."""

    @abstractmethod
    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield (optimizer name, scalar loss) in the order in which the paper's algorithm steps, the same names for all
        batches of a step. Changes no state but the running statistics of batch norms. step: training steps taken so
        far, 0 at the first."""

    def after_step(self, step: int, batches: Sequence[Batch]) -> None:
        """Change what no optimizer changes: averages of weights, thresholds, statistics, schedules. Called once a
        training step, after all its optimizers have stepped. step: as `losses` got it; batches: of this process."""

    @abstractmethod
    def measure(self, batch: Batch) -> dict[str, tuple[float, float]]:
        """Validation figures of one batch, each as (sum, count), so that batches add up. Called without gradients."""

    def remarks(self, figures: Mapping[str, float]) -> list[str]:
        """What validation figures say has gone wrong with the training, a line each."""
        return []

    @abstractmethod
    def generate(self, request: Request, rng: np.random.Generator) -> list[Score]:
        """`request.count` pieces. The same rng and thread count give the same pieces."""


@dataclass(frozen=True)
class PieceNats:
    """What a whole piece costs a system: -ln of the probability that it gives to the piece.

    nats: by part, such as the fields of a note; their sum is the cost. tokens: decisions predicted, each the choice of
    one value, marks that end something among them; padding and what stands given are none. notes: those predicted,
    fewer than the Score has where the representation cannot hold them all.
    """

    nats: Mapping[str, float]
    tokens: int
    notes: int


@runtime_checkable
class LikelihoodSystem(Protocol):
    """A System that knows how likely music is: one that predicts it token by token. Others have no such method."""

    @property
    def likelihood_terms(self) -> str:
        """What a token is, what stands given and how much past is in sight: figures compare on the same terms only."""

    def piece_nats(self, score: Score, sentence: np.ndarray | None = None) -> PieceNats:
        """The whole piece in evaluation mode, each of its notes predicted exactly once, by sliding context where it is
        long. sentence: as in Request. Raises UserError for music that the system cannot hold."""


@runtime_checkable
class JudgingSystem(Protocol):
    """A System whose discriminator says how likely music is to be real and, where it was taught sentences, to be what
    one asks for. Others have no such method."""

    def odds_of(self, score: Score, sentence: np.ndarray | None = None, key: Key | None = None) -> float:
        """The mean, 0 to 1, of the odds that it gives to the parts of a piece; above 0.5 the piece is called real.
        sentence: as in Request, by the encoder that the system was trained with; key: of the piece, else estimated.
        Raises UnheardError for music that the system cannot hear, RequestError for another encoder's sentence."""
