"""A web page on this machine: what its files are served with, and the server's life from Ctrl-C to Ctrl-C."""

from __future__ import annotations

import socket
import threading
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.resources import files
from ipaddress import ip_address
from urllib.parse import quote

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrion.listening import StudioError
from orchestrion.listening.store import DatabaseError
from orchestrion.rendering.player import player_script

KINDS = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}
LARGEST_BODY = 16_384  # bytes of what a page sends
#: The page loads nothing from elsewhere, and is shown inside no other one.
HEADERS = [
    (b"content-security-policy", b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
     b"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]  # fmt: skip


class Fenced:
    """ASGI middleware: our headers on every answer, and no request that another site's page could have sent.

    What changes something must come as JSON, which a browser sends to a foreign server only after asking it, and we
    never agree.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        headers = {name: value for name, value in scope["headers"]}
        if scope["method"] == "POST":
            kind = headers.get(b"content-type", b"").split(b";")[0].strip()
            length = headers.get(b"content-length", b"")
            if kind != b"application/json" or not length.isdigit() or int(length) > LARGEST_BODY:
                refused = JSONResponse({"error": "expected a little JSON"}, 415)
                await refused(scope, receive, send_with_headers)
                return
        await self.app(scope, receive, send_with_headers)


def application(routes: Sequence[BaseRoute], *, loopback: bool = True) -> Starlette:
    """The app of a page. loopback: it is asked by the names of this machine alone, so that no foreign name that leads
    here can reach it."""
    names = ["127.0.0.1", "localhost", "[::1]", "::1"] if loopback else ["*"]
    return Starlette(
        routes=list(routes),
        middleware=[Middleware(Fenced), Middleware(TrustedHostMiddleware, allowed_hosts=names)],
        exception_handlers={StudioError: _refuse, HTTPException: _fail},
    )


def page_files(*names: str) -> list[Route]:
    """Routes of files of `studio/page`, by name, and of the player. They are read once."""
    here = files("orchestrion.listening") / "page"
    texts = {name: (here / name).read_text("utf-8") for name in names} | {"player.js": player_script()}
    return [Route(f"/{name}", _file(text, KINDS[name[name.rindex(".") :]])) for name, text in texts.items()]


def page(name: str, **replaced: str) -> Callable[[Request], Response]:
    """An HTML file of `studio/page`; `{{name}}` in it becomes the text given, which must need no escaping."""
    text = (files("orchestrion.listening") / "page" / name).read_text("utf-8")
    for key, value in replaced.items():
        text = text.replace("{{" + key + "}}", value)
    return _file(text, "text/html")


def _file(text: str, kind: str) -> Callable[[Request], Response]:
    def endpoint(_: Request) -> Response:
        return Response(text, media_type=kind, headers={"cache-control": "no-cache"})

    return endpoint


def _refuse(_: Request, error: Exception) -> Response:
    """503 says that the page should send it again, 400 that it need not."""
    return JSONResponse({"error": str(error)}, 503 if isinstance(error, DatabaseError) else 400)


def _fail(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code)


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def serve(
    app: ASGIApp, host: str, port: int, *, open_browser: bool, tell: Callable[[str], None], query: str = ""
) -> None:
    """Serve until Ctrl-C or a signal to end; requests that are being answered are finished.

    `tell` gets the page's address, and a warning where other machines reach it. port: 0 for any that is free.
    Raises StudioError where the address cannot be taken.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        taken = socket.create_server((host, port), family=family, backlog=256)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StudioError(f"cannot listen on {host}, port {port}: {reason}; choose another with --port") from error
    # Or the second part of an answer waits 40 ms for the client's acknowledgement of the first; connections inherit it.
    taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    at, local = taken.getsockname()[1], is_loopback(host)
    name = "localhost" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    address = f"http://{name}:{at}/{query and '?' + query}"
    if not local:
        tell("other machines can reach this page, and anybody who does can answer; there is no password")
    tell(f"{address}   (Ctrl-C ends)")
    if open_browser:
        threading.Timer(0.5, webbrowser.open, [address]).start()
    settings = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=5, ws="none"
    )
    with taken, suppress(KeyboardInterrupt):  # uvicorn has ended in order, and then passes the signal on
        uvicorn.Server(settings).run(sockets=[taken])


def query_of(**values: str) -> str:
    return "&".join(f"{key}={quote(value)}" for key, value in values.items() if value)
