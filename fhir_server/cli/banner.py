"""What ``fhir-server serve`` says when it is ready."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from fhir_server.cli.client import Client
from fhir_server.cli.tls import own_context
from fhir_server.definitions.content import examples_that_pass
from fhir_server.settings import Settings

#: Seconds until a server that does not answer is given up; start-up itself takes 1 to 3.
READY_S = 120.0
_POLL_S = 0.05


def announce(settings: Settings, database: str) -> None:
    """Wait until the server answers, then print the banner to standard output."""
    asyncio.run(_announce(settings, database))


async def _announce(settings: Settings, database: str) -> None:
    certificate = settings.http.tls_cert
    client = Client(local_base(settings), tls=own_context(certificate) if certificate else None)
    try:
        statement = await _metadata(client)
        if statement is not None:
            print("\n".join(banner(settings, database, statement)), flush=True)
    finally:
        await client.close()


def local_base(settings: Settings) -> str:
    """Return the base URL under which this machine reaches the server."""
    host = settings.http.host
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (compared, not bound)
    scheme = "http" if settings.http.tls_cert is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.http.port}{settings.http.base_path}"


async def _metadata(client: Client) -> dict[str, Any] | None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        try:
            answer = await client.request("GET", "metadata", headers={"Accept": "application/fhir+json"})
        except (OSError, TimeoutError):
            await asyncio.sleep(_POLL_S)
            continue
        if answer.status == 200:
            statement: dict[str, Any] = json.loads(answer.body)
            return statement
        await asyncio.sleep(_POLL_S)
    print(f"fhir-server: no answer from the server after {READY_S:.0f} s", file=sys.stderr)
    return None


def _who_may(settings: Settings) -> str:
    if not settings.auth.is_on:
        return (
            "OPEN: whoever reaches this address can read and write. Use synthetic data only.   Ctrl-C stops"
        )
    if settings.auth.dev_server:
        return "DEVELOPMENT SIGN-IN: anybody can sign in as anybody. Use synthetic data only.   Ctrl-C stops"
    return "Callers sign in with access tokens.   Ctrl-C stops"


def banner(settings: Settings, database: str, statement: dict[str, Any]) -> list[str]:
    """Return the banner's lines; ``statement`` is the server's CapabilityStatement."""
    base = settings.http.base_url or local_base(settings)
    origin = local_base(settings).removesuffix(settings.http.base_path)
    holdings = f"{len(statement['rest'][0]['resource'])} types"
    if settings.examples.load:
        holdings += f", {sum(1 for _ in examples_that_pass())} examples loaded"
    return [
        f"MongoDB   {database}",
        f"FHIR R4   {base}   {holdings}",
        f"Health    {origin}/health/ready   Metrics {origin}/metrics   OpenAPI {origin}/openapi.json",
        f'Try       curl "{base}/Patient?_count=3"',
        _who_may(settings),
    ]
