"""What the past of a performance says of the event to come, said outright: ours. Which keys are down and for how long
decides most note-offs, and what was struck lately most note-ons; attention alone takes millions of events to learn it.

Legend: B sequences, T new tokens, V tokens of the notation, D width, P pitches, K things known of each key.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from orchestrion.models.layers.intervals import INTERVALS, PITCHES, by_interval
from orchestrion.representations.performance import NOTE_OFF, SHIFT, SIZE, STEP_MS, VELOCITY, VELOCITY_BINS

LASTS = 4  # pitches struck last that are named
#: Seconds in which what is known of a key fades to 1/e: of those that are down, and of all since they were struck.
_DOWN_SECONDS, _STRUCK_SECONDS = (0.05, 0.2, 0.8, 3.2, float("inf")), (0.1, 0.4, 1.6, 6.4)
_KNOWN = len(_DOWN_SECONDS) + len(_STRUCK_SECONDS)
_NEVER = -(10**9)  # ms
_MIDDLE_BIN = VELOCITY_BINS // 2  # before any loudness is said


@dataclass(frozen=True)
class Keys:
    """Where the keyboard stands: the time (B,) ms; when each key was struck (B, P) ms, _NEVER if not; whether it is
    down (B, P); the pitches struck last (B, LASTS), the newest last, PITCHES for none; the velocity bin (B,)."""

    elapsed: Tensor
    struck: Tensor
    down: Tensor
    lasts: Tensor
    loudness: Tensor


@dataclass(frozen=True)
class Seen:
    """Behind each new token: of keys (B, T, P, K); the pitches struck last, the newest first, (B, T) each; and the
    velocity bin (B, T)."""

    keys: Tensor
    lasts: list[Tensor]
    loudness: Tensor


class KeyInputs(nn.Module):
    """The event's embedding, with what is known of all keys added. And logits: of note-ons and note-offs by what is
    known of their key, of note-ons by the interval from the pitches struck last, of velocities by their difference
    from the last."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.events = nn.Embedding(SIZE + 1, width)
        self.scale = width**0.5
        self.keys = nn.Linear(PITCHES * _KNOWN, width, bias=False)
        self.by_key = nn.Linear(width, 2 * _KNOWN)
        self.motions = nn.Linear(width, LASTS * INTERVALS)
        self.changes = nn.Linear(width, 2 * VELOCITY_BINS - 1)
        nn.init.normal_(self.events.weight, std=width**-0.5)
        nn.init.normal_(self.keys.weight, std=0.02)
        for outward in (self.by_key, self.motions, self.changes):
            nn.init.zeros_(outward.weight)
            nn.init.zeros_(outward.bias)

    def begin(self, count: int) -> Keys:
        """Nothing is read."""
        none = torch.zeros(count, dtype=torch.int64, device=self.events.weight.device)
        return Keys(none, none.new_full((count, PITCHES), _NEVER), none.new_zeros(count, PITCHES, dtype=torch.bool),
                    none.new_full((count, LASTS), PITCHES), none + _MIDDLE_BIN)  # fmt: skip

    def forward(self, tokens: Tensor, places: Tensor, keys: Keys) -> tuple[Tensor, Seen, Keys]:
        """Tokens (B, T) and where the keyboard stood before them -> (B, T, D), what `logits` needs, and where it stands
        now. The places make no difference."""
        seen, keys = follow(tokens, keys)
        return self.events(tokens) * self.scale + self.keys(seen.keys.flatten(2)), seen, keys

    def logits(self, x: Tensor, seen: Seen) -> Tensor:
        """(B, T, D) -> (B, T, V)."""
        known = self.by_key(x).unflatten(-1, (2, _KNOWN))
        on, off = (known @ seen.keys.to(known.dtype).mT).unbind(2)  # (B, T, P) each
        difference = torch.arange(VELOCITY_BINS, device=x.device) - seen.loudness.unsqueeze(-1) + VELOCITY_BINS - 1
        louder = self.changes(x).gather(-1, difference)
        shifts = on.new_zeros(*on.shape[:2], VELOCITY - SHIFT)
        return torch.cat([on + by_interval(self.motions(x), seen.lasts), off, shifts, louder], dim=-1)


def elapsed_ms(tokens: Tensor, before: Tensor) -> Tensor:
    """(B, T) events and the time before them (B,) -> the time behind each, (B, T), int64."""
    shifting = (tokens >= SHIFT) & (tokens < VELOCITY)
    return before.unsqueeze(-1) + torch.where(shifting, (tokens - SHIFT + 1) * STEP_MS, 0).cumsum(1)


@torch.no_grad()
def follow(tokens: Tensor, keys: Keys) -> tuple[Seen, Keys]:
    """What is known behind each of the events (B, T), and where the keyboard stands behind the last."""
    steps, pitches = tokens.shape[1], torch.arange(PITCHES, device=tokens.device)
    order = torch.arange(1, steps + 1, device=tokens.device)
    elapsed = elapsed_ms(tokens, keys.elapsed)
    striking, of_key = tokens < NOTE_OFF, (tokens < SHIFT).unsqueeze(-1) & ((tokens % PITCHES).unsqueeze(-1) == pitches)
    # the last event of a key is the one of the highest number, odd where it goes down
    numbers = torch.where(of_key, (2 * order + striking).unsqueeze(-1), 0)
    down = torch.cat([keys.down.long().unsqueeze(1), numbers], dim=1).cummax(1).values[:, 1:] % 2 == 1
    times = torch.where(of_key & striking.unsqueeze(-1), elapsed.unsqueeze(-1), _NEVER)
    struck = torch.cat([keys.struck.unsqueeze(1), times], dim=1).cummax(1).values[:, 1:]
    age = (elapsed.unsqueeze(-1) - struck) / 1000  # seconds
    known = [torch.exp(age / -fading) * down for fading in _DOWN_SECONDS]
    known += [torch.exp(age / -fading) for fading in _STRUCK_SECONDS]

    count = striking.cumsum(1)
    row = torch.cat([keys.lasts, tokens.new_full((len(tokens), steps + 1), PITCHES)], dim=1)
    row = row.scatter(1, torch.where(striking, count + (LASTS - 1), LASTS + steps), tokens)
    lasts = [row.gather(1, count + (LASTS - 1 - lag)) for lag in range(LASTS)]

    saying = (tokens >= VELOCITY) & (tokens < SIZE)
    said = torch.cat([keys.loudness.unsqueeze(1), tokens - VELOCITY], dim=1)
    loudness = said.gather(1, torch.where(saying, order, 0).cummax(1).values)
    behind = Keys(elapsed[:, -1], struck[:, -1], down[:, -1], torch.stack(lasts[::-1], 1)[..., -1], loudness[:, -1])
    return Seen(torch.stack(known, dim=-1), lasts, loudness), behind
