"""Spans that slide over a sequence, so that a system that sees a limited past predicts each of its steps once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """Steps start .. end are read, and those from `first` on are predicted; ends exclusive."""

    start: int
    first: int
    end: int


def spans(length: int, context: int) -> list[Span]:
    """Spans of at most `context` steps, at least 1, that predict each of `length` steps exactly once: after at least
    context // 2 steps in sight, or all that came before."""
    found, first = [], 0
    while first < length:
        start = max(first - context // 2, 0)
        found.append(Span(start, first, min(start + context, length)))
        first = found[-1].end
    return found
