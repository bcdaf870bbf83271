"""Our own routes beside the pages: pictures, heat, the live document, health. Read-only, for this machine's viewers."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from core.blobs.keys import FIXTURE, Kind, check_key
from core.errors import BlobMissing, FlawlineError, StoreUnavailable
from core.messages import FrameId
from core.verdicts import Limits
from dashboard.drawing.lists import held_part
from dashboard.health import health_routes
from dashboard.heat import overlay_png
from dashboard.live import Live, utc_now
from dashboard.queries import frames, models
from dashboard.queries.frames import Frame
from dashboard.stores import Stores

SHOWN = frozenset({Kind.FRAME, Kind.SAMPLE, Kind.RING, Kind.THUMB, Kind.GOLDEN, Kind.INBOX})  # never models or raw heat
_ASSETS = {"inter.woff2": "font/woff2"}
_SIGNATURES = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"BM", "image/bmp"))
_KEEP = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
_FRESH = {"Cache-Control": "no-store"}
_LONGEST_NUMBER = re.compile(r"[0-9]{1,19}")
Endpoint = Callable[[Request], Response]


def routes(stores: Stores, live: Live) -> list[Route]:
    """All routes of ours. They are plain functions, so the server runs them in its threads."""
    return [
        Route("/api/line.json", _line(live)),
        Route("/api/books.json", _books(live)),
        Route("/api/img/{key:path}", _image(stores)),
        Route("/api/heat/{camera}/{session}/{seq}.png", _heat(stores)),
        Route("/api/part/{camera}/{session}/{seq}.json", _part(stores)),
        Route("/api/asset/{name}", _asset),
        *health_routes(stores),
    ]


def _line(live: Live) -> Endpoint:
    def line(request: Request) -> Response:
        if request.query_params.get("only") == "top":
            return JSONResponse({"slots": live.top()}, headers=_FRESH)
        today = request.query_params.get("period") == "today"
        return JSONResponse(live.page(today=today).document(), headers=_FRESH)

    return line


def _books(live: Live) -> Endpoint:
    def books(request: Request) -> Response:
        today = request.query_params.get("period") == "today"
        try:
            html = live.books(camera=request.query_params.get("camera", ""), today=today)
        except FlawlineError as problem:
            return _refused(503, str(problem))
        return JSONResponse({"html": html}, headers=_FRESH)

    return books


def _image(stores: Stores) -> Endpoint:
    def image(request: Request) -> Response:
        key = request.path_params["key"]
        try:
            kind = check_key(key).partition("/")[0]
        except ValueError:
            return _refused(400, "no key of a picture")
        if kind not in SHOWN and not (kind == Kind.MODEL and key.endswith(FIXTURE)):
            return _refused(404, "no picture")
        try:
            data = stores.picture(key)
        except BlobMissing:
            return _refused(404, "no picture")
        except StoreUnavailable as problem:
            return _refused(503, str(problem))
        media = next((media for start, media in _SIGNATURES if data.startswith(start)), None)
        return _refused(404, "no picture") if media is None else Response(data, media_type=media, headers=_KEEP)

    return image


def _heat(stores: Stores) -> Endpoint:
    def heat(request: Request) -> Response:
        found = _frame(stores, request)
        if isinstance(found, Response):
            return found
        if found.heat is None or found.t_lo is None or found.heat_min is None or found.heat_max is None:
            return _refused(404, "no heat map")
        try:
            encoded = stores.blobs.get(found.heat)
            png = overlay_png(encoded, (found.heat_min, found.heat_max), Limits(found.t_lo, found.t_hi))
        except (BlobMissing, ValueError):
            return _refused(404, "no heat map")
        except StoreUnavailable as problem:
            return _refused(503, str(problem))
        return Response(png, media_type="image/png", headers=_KEEP)

    return heat


def _part(stores: Stores) -> Endpoint:
    def part(request: Request) -> Response:
        found = _frame(stores, request)
        if isinstance(found, Response):
            return found
        return JSONResponse({"html": held_part(found, utc_now())}, headers=_FRESH)

    return part


def _frame(stores: Stores, request: Request) -> Frame | Response:
    path = request.path_params
    if not (_LONGEST_NUMBER.fullmatch(path["session"]) and _LONGEST_NUMBER.fullmatch(path["seq"])):
        return _refused(400, "no identity of a frame")
    identity = FrameId(path["camera"], int(path["session"]), int(path["seq"]))
    if max(identity.session, identity.seq) >= 1 << 63:
        return _refused(400, "no identity of a frame")
    try:
        with stores.reading() as connection:
            found = frames.one(connection, identity)
            low = None if found is None else models.floor(connection, found.model_id)
    except FlawlineError as problem:
        return _refused(503, str(problem))
    return _refused(404, "no such frame") if found is None else replace(found, floor=low)


def _asset(request: Request) -> Response:
    media = _ASSETS.get(request.path_params["name"])
    if media is None:
        return _refused(404, "no such file")
    data = (Path(__file__).parent / "assets" / request.path_params["name"]).read_bytes()
    return Response(data, media_type=media, headers=_KEEP)


def _refused(status: int, why: str) -> Response:
    return JSONResponse({"error": why}, status, headers=_FRESH)
