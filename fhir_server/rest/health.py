"""Liveness, readiness and metrics for whoever operates the server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import ip_address, ip_network

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from fhir_server.rest.metrics import Metrics


def health_routes(
    is_ready: Callable[[], Awaitable[bool]],
    issuers: Callable[[], dict[str, str]],
    metrics: Metrics,
    metrics_for: str,
) -> APIRouter:
    """Return the routes /health/live, /health/ready and /metrics.

    ``issuers`` tells of each authorization server whether its tokens can be judged. One that can't be makes nothing
    but its own tokens fail, so the server is ready all the same. ``metrics_for`` names the networks (comma list) that
    may read metrics.
    """
    networks = [ip_network(name.strip()) for name in metrics_for.split(",") if name.strip()]
    router = APIRouter(tags=["operations"])

    @router.get("/health/live", summary="The process answers")
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @router.get("/health/ready", summary="The database answers too", responses={503: {}})
    async def ready() -> JSONResponse:
        if await is_ready():
            return JSONResponse({"status": "ready", **({"issuers": found} if (found := issuers()) else {})})
        return JSONResponse({"status": "database unreachable"}, status_code=503, headers={"Retry-After": "2"})

    @router.get("/metrics", summary="Metrics in Prometheus' text format")
    async def exposition(request: Request) -> Response:
        address = ip_address(request.client.host) if request.client else None
        if not any(address in network for network in networks):
            raise HTTPException(404)
        body, media_type = metrics.exposition()
        return Response(body, media_type=media_type)

    return router
