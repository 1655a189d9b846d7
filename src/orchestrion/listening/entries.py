"""What a store holds, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Item:
    """What is judged. `path` says where its file lies, `source` which set it is of; `meta` holds what JSON can."""

    id: str
    path: str
    source: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A row of the log. `time` is the server's, ISO 8601 in UTC; `seconds` what the labeler took, None if unknown."""

    item: str
    labeler: str
    answer: str
    time: str
    seconds: float | None
    key: str
    question: str = ""


@dataclass(frozen=True)
class Verdict:
    """What people said of an item: how many each answer has, without skips; `answer` is the one with most votes, None
    where `tied` names several."""

    item: str
    votes: Mapping[str, int]
    answer: str | None
    tied: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """`given` of `wanted` answers stand, those of all people without skips; `own` are one labeler's, skips included,
    and `last` is his last. `leased`: how often an item is held just now."""

    given: int
    wanted: int
    items: int
    own: int
    leased: int
    last: Entry | None
