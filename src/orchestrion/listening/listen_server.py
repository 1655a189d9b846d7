"""The page of a blind listening test: which pieces somebody hears, and what he answers.

No name of a set, a folder or a file is in anything that is served; pieces go by their ids.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orchestrion.listening import StudioError
from orchestrion.listening.excerpts import excerpt
from orchestrion.listening.label_server import posted, seconds, text
from orchestrion.listening.serving import application, page, page_files
from orchestrion.listening.store import Store
from orchestrion.listening.test_plan import ANSWERS, ListeningTest, Trial, take_place

LEAST_SECONDS = 5.0  # of a piece that are heard before it can be judged
FILES = ("studio.css", "listen.css", "unsent.js", "judging.js", "loudness.js", "listen.js")
PIECES_KEPT = 512


class Listening:
    """The requests of the page of a test that `open_test` put into the store. trials: its plan. An answer is
    acknowledged when it is on the disk."""

    def __init__(
        self, store: Store, test: ListeningTest, trials: Sequence[Sequence[Trial]], *,
        least_seconds: float = LEAST_SECONDS,
    ) -> None:  # fmt: skip
        self.store, self.test, self.trials, self.least_seconds = store, test, trials, least_seconds
        self._paths = {piece.id: piece.path for music in test.sets for piece in music.pieces}
        self._numbers: dict[str, int] = {}  # of listeners, who keep theirs
        self._piece = lru_cache(PIECES_KEPT)(self._read)

    def app(self, *, loopback: bool = True) -> Starlette:
        return application(
            [
                Route("/", page("listen.html", store=self.store.id)),
                *page_files(*FILES),
                Route("/api/begin", posted(self.begin), methods=["POST"]),
                Route("/api/answers", posted(self.answer), methods=["POST"]),
                Route("/api/undo", posted(self.undo), methods=["POST"]),
                Route("/api/pieces/{id}", self.piece),
            ],
            loopback=loopback,
        )

    def read_all(self, told: Callable[[int, int], None]) -> tuple[float, float]:
        """Read every piece that is to be heard, so that none fails a listener; the seconds for which the shortest and
        the longest are heard. Raises ScoreError."""
        heard = sorted({piece for mine in self.trials for trial in mine for piece in trial.pieces})
        lengths = []
        for number, piece in enumerate(heard, 1):
            lengths.append(float(json.loads(self._piece(piece))["seconds"]))
            told(number, len(heard))
        return min(lengths), max(lengths)

    def begin(self, said: dict[str, Any]) -> dict[str, Any]:
        """Where a listener stands: his trials in their order, and his answers so far in theirs."""
        labeler = text(said, "labeler")
        trials = {trial.item: trial for trial in self.trials[self._number(labeler)]}
        answers = [
            {"item": entry.item, "question": entry.question, "answer": entry.answer, "key": entry.key}
            for entry in self.store.settled()
            if entry.labeler == labeler and entry.item in trials and entry.question in trials[entry.item].questions
        ]
        asked = [{"item": item, "pieces": trial.pieces, "questions": trial.questions} for item, trial in trials.items()]
        return {"trials": asked, "answers": answers, "least_seconds": self.least_seconds}

    def answer(self, said: dict[str, Any]) -> dict[str, Any]:
        item, labeler, answer, key, question = (
            text(said, name) for name in ("item", "labeler", "answer", "key", "question")
        )
        trials = self.trials[self._number(labeler)]
        if not any(trial.item == item and question in trial.questions for trial in trials):
            raise StudioError("this was not asked")
        if answer not in ANSWERS[question]:
            raise StudioError(f"{answer!r} is no answer to this; there are {', '.join(ANSWERS[question])}")
        return {"new": self.store.answer(item, labeler, answer, key, seconds=seconds(said), question=question)}

    def undo(self, said: dict[str, Any]) -> dict[str, Any]:
        return {"new": self.store.undo(text(said, "key"), text(said, "labeler"))}

    def piece(self, request: Request) -> Response:
        """The notes of a piece of the test."""
        id = request.path_params["id"]
        if id not in self._paths:
            raise HTTPException(404, "there is no such piece")
        return Response(
            self._piece(id), media_type="application/json", headers={"cache-control": "private, max-age=3600"}
        )

    def _number(self, labeler: str) -> int:
        if labeler not in self._numbers:
            self._numbers[labeler] = take_place(self.store, labeler, len(self.trials))
        return self._numbers[labeler]

    def _read(self, id: str) -> str:
        return json.dumps(excerpt(self._paths[id], self.test.seconds), separators=(",", ":"))
