"""Numbers as they are printed: a dash where there is none, a true minus, as many digits as the interval deserves."""

from __future__ import annotations

from math import floor, isfinite, isinf, isnan, log10

from orchestrion.metrics.sets import Interval

NONE = "–"


def number(value: float, decimals: int | None = None) -> str:
    """Three significant digits, or as many decimals as given; "–" for nan, "∞" for infinity. Thousands stand apart by a
    narrow space that does not break."""
    if isnan(value):
        return NONE
    if isinf(value):
        return "∞" if value > 0 else "−∞"
    if decimals is None:
        decimals = _decimals(value)
    rounded = round(value, decimals) + 0.0  # no minus zero
    if rounded == 0 and value != 0:  # too small for its decimals: say how small
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa} × 10^{int(exponent)}".replace("-", "−")
    return f"{rounded:,.{decimals}f}".replace("-", "−").replace(",", "\u202f")


def bounds(interval: Interval) -> str:
    """The interval alone, "[0.21, 0.34]", with the decimals of `mean`; empty where there is no figure."""
    if isnan(interval.mean):
        return ""
    decimals = _shared_decimals(interval)
    return f"[{_plain(interval.low, decimals)}, {_plain(interval.high, decimals)}]"


def mean(interval: Interval) -> str:
    """The mean alone, with a decimal more than the width of the interval asks for at least."""
    return NONE if isnan(interval.mean) else _plain(interval.mean, _shared_decimals(interval))


def with_bounds(interval: Interval) -> str:
    """ "0.28 [0.21, 0.34]"."""
    return f"{mean(interval)} {bounds(interval)}".rstrip()


def percent(interval: Interval) -> str:
    """A share as "83 % [79, 87]"."""
    if isnan(interval.mean):
        return NONE
    return f"{number(100 * interval.mean, 0)} % [{number(100 * interval.low, 0)}, {number(100 * interval.high, 0)}]"


def signed(value: float) -> str:
    """With its sign, as differences are written: "+1.25", "−0.31"."""
    return number(value, 2) if value <= 0 or isnan(value) else f"+{number(value, 2)}"


def duration(hours: float) -> str:
    """In the unit that gives it two digits or more: "95 seconds", "35 minutes", "3.65 hours"."""
    if hours >= 2:
        return f"{number(hours)} hours"
    return f"{number(60 * hours, 0)} minutes" if hours * 60 >= 2 else f"{number(3600 * hours, 0)} seconds"


def _plain(value: float, decimals: int) -> str:
    return number(round(value, decimals), decimals) if isfinite(value) else number(value)


def _decimals(value: float) -> int:
    return min(6, max(0, 2 - floor(log10(abs(value))))) if value else 0


def _shared_decimals(interval: Interval) -> int:
    values = [abs(v) for v in (interval.mean, interval.low, interval.high) if isfinite(v)]
    width = interval.high - interval.low
    by_width = 1 - floor(log10(width)) if isfinite(width) and width > 0 else 0
    return min(6, max(_decimals(max(values, default=0.0)), by_width))
