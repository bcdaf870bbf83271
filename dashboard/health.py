"""The dashboard's own /healthz, /livez and /metrics, as every other role answers them on its metrics port."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from core.database import ping
from core.errors import FlawlineError
from core.health_server import TEXT
from core.prometheus import PrometheusMetrics
from dashboard.stores import Stores

_FRESH = {"Cache-Control": "no-store"}
_WHO = "dashboard"


def health_routes(stores: Stores) -> list[Route]:
    """Whether the pages can show the books, whether the server answers at all, and its figures."""
    metrics = PrometheusMetrics(role=_WHO)

    def healthz(_: Request) -> Response:
        try:
            ping(stores.database)
        except FlawlineError as problem:
            return JSONResponse({"status": "waiting", "why": str(problem), "who": _WHO}, 503, headers=_FRESH)
        return JSONResponse({"status": "ok", "why": "", "who": _WHO}, headers=_FRESH)

    def livez(_: Request) -> Response:
        return JSONResponse({"status": "ok", "why": "", "who": _WHO}, headers=_FRESH)

    def figures(_: Request) -> Response:
        return Response(metrics.exposition(), media_type=TEXT, headers=_FRESH)

    return [Route("/healthz", healthz), Route("/livez", livez), Route("/metrics", figures)]
