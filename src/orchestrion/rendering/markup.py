"""Pieces of HTML that the parts of the page share. What is called a text is escaped; what is called HTML is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from math import isnan

from orchestrion.metrics.sets import Interval
from orchestrion.metrics.suite import DESCRIBED
from orchestrion.rendering.numerals import NONE, bounds, mean

_WORDS = '<td class="words">'


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """caption: a text, for who cannot see it. heads: HTML, the first one of the column of `row_head`s. rows: cells."""
    columns = [all(len(row) > i and row[i].startswith(_WORDS) for row in rows) for i in range(len(heads))]
    kinds = [' class="words"' if rows and of_words else "" for of_words in columns]
    top = "".join(f"<th scope=col{kind}>{head}</th>" for kind, head in zip(kinds, heads, strict=True))
    body = "".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    return scrolling(
        f"<table><caption>{escape(caption)}</caption><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>",
        caption,
    )


def row_head(text: str, small: str = "") -> str:
    """The name of a row, two texts."""
    return f"<th scope=row>{escape(text)}{f'<small>{escape(small)}</small>' if small else ''}</th>"


def explained(definition: str, warning: str = "") -> str:
    """The name of a row, which opens to all that is said about the definition."""
    row = DESCRIBED.get(definition)
    noted = f"<small class=note>{escape(warning)}</small>" if warning else ""
    if row is None:
        return f"<th scope=row><code>{escape(definition)}</code>{noted}</th>"
    variant = row.id.partition(":")[2]  # its name is often that of the definition that it departs from
    return (
        f'<th scope=row><details class="about"><summary title="{escape(row.sentence)}">{escape(titled(row.name))}'
        f"</summary><p>{escape(row.sentence)}</p><dl><dt>formula</dt><dd>{escape(row.formula)}</dd><dt>source</dt>"
        f"<dd>{escape(row.source)}</dd><dt>unit</dt><dd>{escape(row.unit)}</dd>"
        f"<dt>definition</dt><dd><code>{escape(definition)}</code></dd></dl></details>"
        f"<small>{escape(row.unit)}{escape(variant and f' · {variant}')}</small>{noted}</th>"
    )


def cell(interval: Interval | None, *, before: str = "", floor: str = "", missing: str = "") -> str:
    """A mean above its interval, with HTML before it and the text of a floor beneath; or a dash with the reason."""
    if interval is None or isnan(interval.mean):
        return f"<td>{NONE}{f'<small>{escape(missing)}</small>' if missing else ''}</td>"
    beneath = f"<small>{escape(floor)}</small>" if floor else ""
    return f"<td>{before}{mean(interval)}<small>{bounds(interval)}</small>{beneath}</td>"


def value(said: str) -> str:
    """A cell of one number as text."""
    return f"<td>{escape(said)}</td>"


def words(text: str) -> str:
    """A cell of words."""
    return f"{_WORDS}{escape(text)}</td>"


def drawn(svg: str) -> str:
    """A cell of a small plot, HTML."""
    return f'<td class="plot">{svg}</td>'


def reason(missing: str, columns: int) -> str:
    """A cell as wide as `columns` that says why there is no figure."""
    return f'<td class="reason" colspan="{columns}">{NONE} {escape(missing)}</td>'


def no_figure(missing: str) -> str:
    """A line that says why there is no figure."""
    return f'<p class="reason">{NONE} {escape(missing)}</p>'


def scrolling(content: str, label: str) -> str:
    """HTML that scrolls by itself where it is wider than the page, with the keyboard too."""
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(label)}">{content}</div>'


def folded(title: str, content: str) -> str:
    """HTML behind a text to click on; empty for empty content."""
    return f'<details class="fold"><summary>{escape(title)}</summary>{content}</details>' if content else ""


def framed(svg: str, caption: str) -> str:
    """A plot with its caption, both HTML."""
    return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>"


def swatch(kind: str, said: str = "") -> str:
    """What a colour means: "generated", "reference" or "inter"."""
    return f'<span class="key {kind}">{escape(said or kind)}</span>'


def items(texts: Iterable[str]) -> str:
    return "".join(f"<li>{escape(text)}</li>" for text in texts)


def titled(text: str) -> str:
    """With a capital, whatever follows."""
    return text[:1].upper() + text[1:]


def clipped(text: str, letters: int) -> str:
    return text if len(text) <= letters else text[: letters - 1].rstrip() + "…"
