"""The parts of the page that are music: self-similarity, and pieces to look at and to hear."""

from __future__ import annotations

import json
from html import escape

import numpy as np

from orchestrion.evaluation.report import Report, Shown
from orchestrion.music.theory import instrument_name
from orchestrion.rendering import plots
from orchestrion.rendering.markup import framed, scrolling, swatch
from orchestrion.rendering.numerals import number
from orchestrion.rendering.player import playable, track_colours

MOST_NOTES_SHOWN = 3000  # of a piece, so that the page stays small


def similarity(report: Report) -> str:
    shown = [piece for piece in report.shown if piece.similarity is not None and len(piece.similarity)]
    if not shown:
        return ""
    figures = "".join(
        framed(
            plots.similarity(piece.similarity, f"self-similarity of {piece.piece}", kind=_kind(piece)),
            f"{swatch(_kind(piece))} {escape(piece.piece)}",
        )
        for piece in shown
        if piece.similarity is not None
    )
    return (
        "<p>Every bar against every bar: full colour where two are alike, none where they share nothing. Stripes "
        "beside the diagonal are passages that return, blocks passages that stay the same; a diagonal alone is music "
        f'that never looks back.</p><div class="small-multiples">{figures}</div>'
    )


def pieces(report: Report) -> str:
    if not report.shown:
        return ""
    return (
        "<p>Each colour is a track, drums below; the stronger, the louder. The sound is a plain synthesiser: it plays "
        "the notes, not the instruments. A click on the roll plays from there.</p>"
        + "".join(_piece(piece) for piece in report.shown)
    )


def _piece(piece: Shown) -> str:
    order = np.argsort(piece.notes[:, 0], kind="stable")
    notes = piece.notes[order][:MOST_NOTES_SHOWN]
    cut = f"; the first {number(len(notes), 0)} of {number(len(order), 0)} notes" if len(order) > len(notes) else ""
    edges = np.asarray(piece.bar_seconds, float)
    if cut:
        edges = edges[edges <= (notes[:, 0] + notes[:, 1]).max()]
    label = f"piano roll of {piece.piece}, {_kind(piece)}: {len(notes)} notes in {len(piece.instruments)} tracks"
    playing = ""
    if len(notes):
        numbers = json.dumps(playable(notes, piece.instruments), separators=(",", ":"))
        playing = (
            f'<button type="button" class="play" hidden aria-label="Play {escape(piece.piece)}">Play</button>'
            '<output class="time" hidden></output>'
            f'<script type="application/json">{numbers}</script>'
        )
    roll = plots.piano_roll(notes, piece.instruments, edges, label)
    tracks = zip(piece.instruments, track_colours(piece.instruments), strict=True)
    keys = "".join(f'<li style="--c:{colour}">{escape(instrument_name(program))}</li>' for program, colour in tracks)
    return (
        f'<figure class="piece"><figcaption><span class="badge {_kind(piece)}">{_kind(piece)}</span> '
        f"<b>{escape(piece.piece)}</b> <span class=why>{escape(piece.why)}{cut}</span>"
        f"<span class=player>{playing}</span></figcaption>"
        f"{scrolling(roll, f'Piano roll of {piece.piece}')}<ul class=tracks>{keys}</ul></figure>"
    )


def _kind(piece: Shown) -> str:
    return "reference" if piece.side == "reference" else "generated"
