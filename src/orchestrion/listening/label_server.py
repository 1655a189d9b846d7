"""The oracle's page: hands out pieces to people in their browsers and keeps what they say."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from math import isnan
from threading import Lock
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orchestrion.listening import StudioError
from orchestrion.listening.entries import Item
from orchestrion.listening.pieces import piece
from orchestrion.listening.queries import SKIP
from orchestrion.listening.serving import application, page, page_files
from orchestrion.listening.store import ANSWERS, Store
from orchestrion.metrics.agreement import krippendorff_alpha
from orchestrion.music import ScoreError

AHEAD = 2  # items that a tab holds: the one that is heard and the one after it
PIECES_KEPT = 256
AGREEMENT_SECONDS = 30.0  # that the agreement shown may be old


class Oracle:
    """The requests of the page. Each is answered when what it asks for is on the disk."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._piece = lru_cache(PIECES_KEPT)(self._read)
        self._measured, self._agreement, self._lock = -AGREEMENT_SECONDS, {"alpha": None, "items": 0}, Lock()

    def app(self, *, loopback: bool = True) -> Starlette:
        return application(
            [
                Route("/", page("label.html", store=self.store.id)),
                *page_files("studio.css", "roll.js", "unsent.js", "judging.js", "label.js"),
                Route("/api/next", self.next),
                Route("/api/items/{id}", self.item),
                Route("/api/agreement", self.agreement),
                Route("/api/answers", posted(self.answer), methods=["POST"]),
                Route("/api/undo", posted(self.undo), methods=["POST"]),
                Route("/api/leave", posted(self.leave), methods=["POST"]),
            ],
            loopback=loopback,
        )

    def next(self, request: Request) -> Response:
        """What a tab of a labeler holds now and how far all are; where it holds nothing, `state` says why."""
        labeler, tab = request.query_params.get("labeler", ""), request.query_params.get("tab", "")
        handed = self.store.hand_out(labeler, tab, AHEAD)
        progress = self.store.progress(labeler)
        if handed:
            state = "open"
        elif progress.given >= progress.wanted:
            state = "budget" if progress.given < progress.items * self.store.per_item else "done"
        else:
            state = "busy" if progress.leased else "yours"
        last = progress.last and self.store.item(progress.last.item)
        found = [_told(item) for item in handed]
        told = asdict(progress) | {"last": None, "budget": self.store.budget, "per_item": self.store.per_item}
        if last and progress.last:
            told["last"] = _told(last) | {"key": progress.last.key, "answer": progress.last.answer}
        return JSONResponse({"items": found, "state": state, "progress": told})

    def item(self, request: Request) -> Response:
        """The notes of a known item."""
        try:
            text = self._piece(request.path_params["id"])
        except (ScoreError, OSError) as error:
            raise HTTPException(422, f"this piece cannot be played: {error}") from error
        return Response(text, media_type="application/json", headers={"cache-control": "private, max-age=3600"})

    def agreement(self, _: Request) -> Response:
        """Krippendorff's alpha (nominal) over the items that several people have judged, null where undefined."""
        with self._lock:
            if time.monotonic() - self._measured >= AGREEMENT_SECONDS:
                self._agreement = agreement(self.store)
                self._measured = time.monotonic()
            return JSONResponse(self._agreement)

    def answer(self, said: dict[str, Any]) -> dict[str, Any]:
        if said.get("answer") not in ANSWERS:
            raise StudioError(f"{said.get('answer')!r} is no answer here; there are {', '.join(ANSWERS)}")
        texts = (text(said, name) for name in ("item", "labeler", "answer", "key"))
        return {"new": self.store.answer(*texts, seconds=seconds(said))}

    def undo(self, said: dict[str, Any]) -> dict[str, Any]:
        return {"new": self.store.undo(text(said, "key"), text(said, "labeler"), text(said, "tab"))}

    def leave(self, said: dict[str, Any]) -> dict[str, Any]:
        self.store.release(text(said, "labeler"), text(said, "tab"))
        return {}

    def _read(self, id: str) -> str:
        known = self.store.item(id)
        if known is None:
            raise HTTPException(404, "there is no such piece")
        return json.dumps(piece(known.path), separators=(",", ":"))


def agreement(store: Store) -> dict[str, Any]:
    """{"alpha", None where undefined; "items" that several people have judged}. Skips are no judgements."""
    judged = [entry for entry in store.settled("") if entry.answer != SKIP]
    judges: dict[str, dict[str, str]] = {}
    for entry in judged:
        judges.setdefault(entry.item, {})[entry.labeler] = entry.answer
    several = [by for by in judges.values() if len(by) > 1]
    labelers = sorted({labeler for by in several for labeler in by})
    alpha = krippendorff_alpha([[by.get(labeler) for by in several] for labeler in labelers]) if several else None
    return {"alpha": None if alpha is None or isnan(alpha) else alpha, "items": len(several)}


def _told(item: Item) -> dict[str, Any]:
    """What the page may know of an item: neither its file nor what the critic thinks of it, which would sway."""
    return {"id": item.id, "sentence": str(item.meta.get("sentence") or "")}


def posted(act: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Request], Any]:
    """An endpoint that gives the JSON object of a request to `act`, on a thread, and answers with what it returns."""

    async def endpoint(request: Request) -> Response:
        try:
            said = json.loads(await request.body())
        except (ValueError, RecursionError) as error:
            raise StudioError("expected JSON") from error
        if not isinstance(said, dict):
            raise StudioError("expected a JSON object")
        return JSONResponse(await run_in_threadpool(act, said))

    return endpoint


def text(said: dict[str, Any], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str):
        raise StudioError(f"expected {name} as text")
    return value


def seconds(said: dict[str, Any]) -> float | None:
    value = said.get("seconds")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise StudioError("expected seconds as a number")
    return value
