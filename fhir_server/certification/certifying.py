"""One run: a proxy on a port, the judge behind it, until somebody says that it is enough."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import uvicorn
import yaml

from fhir_server.certification.identifiers import Identifier
from fhir_server.certification.judge import Judge
from fhir_server.certification.proxy import Proxy
from fhir_server.certification.references import References
from fhir_server.certification.report import report, statements
from fhir_server.certification.roles import Role
from fhir_server.certification.rules import read_rules
from fhir_server.certification.session import Session
from fhir_server.certification.traffic import Reader
from fhir_server.datatypes.xml_format import XmlFormat
from fhir_server.definitions import Definitions
from fhir_server.search import Registry
from fhir_server.testscript.requirements import Requirement
from fhir_server.testscript.results import Run
from fhir_server.validation import Validator


@dataclass(frozen=True)
class Terms:
    """What is judged: the client's name, its roles, and whether references are looked up on the server.

    ``idle_s`` ends the run so many seconds after the last request, 0 never. ``renames`` is None to find out whether
    the server's own name must be replaced in what it says, so that its links lead through the proxy.
    """

    client: str
    roles: Sequence[Role] = ()
    looks_up: bool = True
    idle_s: float = 0.0
    renames: bool | None = None
    folder: Path = field(default_factory=Path)


class Certification:
    """A run before one server; raises httpx.HTTPError when the server can't be reached."""

    def __init__(self, base: str, definitions: Definitions, validator: Validator, terms: Terms) -> None:
        """Read the server's CapabilityStatement; ``validator`` imposes what the roles impose."""
        self.base = base.rstrip("/")
        self._terms = terms
        #: FHIR requests that were judged.
        self.requests = 0
        self._rules = read_rules(terms.folder)
        types = definitions.types
        path = urlsplit(self.base).path
        self.session = Session(
            self.base,
            Reader(path, types.resource_types, XmlFormat(types)),
            definitions,
            validator,
            Registry(definitions),
            read_identifiers(terms.folder),
            advertised(self.base),
        )

    def run(self, listener: socket.socket) -> Run:
        """Serve on a socket until a signal comes or the client is idle; return what was found."""
        return asyncio.run(self._run(listener))

    def statements(self) -> list[Requirement]:
        """Return the rules, for the report."""
        return statements(self._rules)

    async def _run(self, listener: socket.socket) -> Run:
        host, port = listener.getsockname()[:2]
        own = f"http://{host}:{port}"
        started, began = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
        renames = not is_loopback(self.base) if self._terms.renames is None else self._terms.renames
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(limits=limits, follow_redirects=False) as client:
            names = (own + urlsplit(self.base).path,)
            lookup = References(self.base, names, client) if self._terms.looks_up else None
            judge = Judge(self.session, self._terms.roles, lookup)
            proxy = Proxy(self.base, client, judge.take, own if renames else "")
            working = asyncio.create_task(judge.work())
            await self._serve(proxy, listener)
            await judge.idle()
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working
        self.requests = judge.ledger.requests
        seconds = round(time.monotonic() - began, 3)
        return report(judge, self._rules, self._terms.client, started, seconds)

    async def _serve(self, proxy: Proxy, listener: socket.socket) -> None:
        config = uvicorn.Config(
            proxy, log_config=None, access_log=False, lifespan="off", ws="none", server_header=False,
            date_header=False, proxy_headers=False, timeout_graceful_shutdown=10,
        )  # fmt: skip
        server = _Server(config)
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM)
        for number in numbers:
            loop.add_signal_handler(number, server.stop)
        watching = asyncio.create_task(self._watch(proxy, server))
        try:
            await server.serve(sockets=[listener])
        finally:
            watching.cancel()
            for number in numbers:
                loop.remove_signal_handler(number)

    async def _watch(self, proxy: Proxy, server: _Server) -> None:
        """Stop the server when the client has been idle long enough; waiting for its first request doesn't count."""
        if not self._terms.idle_s:
            return
        first = proxy.last
        while True:
            await asyncio.sleep(0.1)
            is_begun = proxy.last != first
            if is_begun and not proxy.open and time.monotonic() - proxy.last >= self._terms.idle_s:
                server.stop()
                return


class _Server(uvicorn.Server):
    """A server whose signals are handled outside."""

    def stop(self) -> None:
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def advertised(base: str) -> dict[str, frozenset[str]]:
    """Return the search parameters by type that a server's CapabilityStatement names; raises httpx.HTTPError."""
    answer = httpx.get(f"{base}/metadata", headers={"Accept": "application/fhir+json"}, timeout=30)
    try:
        return dict(_parameters(answer.json()))
    except ValueError:
        return {}


def _parameters(statement: Any) -> Iterator[tuple[str, frozenset[str]]]:
    rest = statement.get("rest") if isinstance(statement, Mapping) else None
    for one in rest if isinstance(rest, list) else ():
        for resource in one.get("resource", ()):
            yield resource["type"], frozenset(p["name"] for p in resource.get("searchParam", ()))


def read_identifiers(folder: Path) -> list[Identifier]:
    """Return the national identifiers that ``identifiers.yaml`` of a folder describes."""
    rows = yaml.safe_load((folder / "identifiers.yaml").read_text(encoding="utf-8"))
    return [Identifier(**{**row, "systems": tuple(row.get("systems", ()))}) for row in rows]


def is_loopback(base: str) -> bool:
    """Tell whether a server is on this machine."""
    host = urlsplit(base).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
