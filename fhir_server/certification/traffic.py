"""What passes the proxy: a request with its answer, as bytes; and what a client asks for with it, as calls.

A batch or transaction is a call of its own, and each of its entries another one; so is each line of an NDJSON body.
https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import unquote, urlsplit

from fhir_server.datatypes.json_format import decode
from fhir_server.datatypes.xml_format import XmlFormat
from fhir_server.outcome import FhirError

#: Most entries of a Bundle, and most lines of NDJSON, that are looked at one by one.
MOST_ENTRIES = 2000


@dataclass(frozen=True, slots=True)
class Traffic:
    """A request and its answer; header names are in lower case, ``at`` is a monotonic time, ``wall`` the date, in s.

    ``target`` is path and query as they were sent. A body that was too long to be kept is empty and cut. ``status``
    is 0 when the server gave no answer.
    """

    number: int
    at: float
    wall: float
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""
    is_cut: bool = False
    status: int = 0
    answer_headers: Mapping[str, str] = field(default_factory=dict)
    answer: bytes = b""
    seconds: float = 0.0

    @property
    def ended(self) -> float:
        """When the answer was complete."""
        return self.at + self.seconds


@dataclass(frozen=True)
class Call:
    """One interaction that a client asks for; of an entry ``entry`` is its number, else -1.

    ``path`` are the segments behind the base, percent-decoded; ``interaction`` is its R4 code, "" for none.
    ``problem`` says why the body can't be read.
    """

    traffic: Traffic
    method: str
    path: tuple[str, ...]
    query: str
    headers: Mapping[str, str]
    interaction: str
    status: int
    resource: Mapping[str, Any] | None = None
    problem: str = ""
    entry: int = -1

    @property
    def type(self) -> str:
        """The resource type that the path names, of a compartment search its member's, "" for none."""
        place = 2 if self.interaction == "search-compartment" and len(self.path) > 2 else 0
        found = self.path[place] if len(self.path) > place else ""
        return "" if found[:1] in "_$" else found

    @property
    def id(self) -> str:
        """The logical id in the path, "" for none."""
        return self.path[1] if len(self.path) > 1 and self.path[1][:1] not in "_$" else ""

    @property
    def where(self) -> str:
        """What the report calls it: the number of the request, and of the entry."""
        return f"request {self.traffic.number}" + (f", entry {self.entry}" if self.entry >= 0 else "")

    @property
    def form(self) -> str:
        """The criteria in the body of a POST to _search."""
        is_form = self.path[-1:] == ("_search",) and self.entry < 0
        return self.traffic.body.decode("utf-8", "replace") if is_form else ""

    @cached_property
    def token(self) -> str:
        """The bearer token that was sent, "" for none."""
        scheme, _, token = self.traffic.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""


def interaction_of(method: str, path: tuple[str, ...], types: Collection[str]) -> str:
    """Return the R4 code of an interaction, ``operation`` for a $operation, "" for an address that R4 doesn't have."""
    method = "GET" if method == "HEAD" else method
    shape = tuple("T" if n == 0 and part in types else "i" if part[:1] not in "_$" else part
                  for n, part in enumerate(path))  # fmt: skip
    if path[-1:] and path[-1].startswith("$"):
        return "operation" if shape[:-1] in {(), ("T",), ("T", "i"), ("T", "i", "_history", "i")} else ""
    if method == "GET" and path == ("metadata",):
        return "capabilities"
    if shape == ("T", "i", "i"):
        return "search-compartment" if method == "GET" and (path[2] in types or path[2] == "*") else ""
    if shape == ("T", "i", "i", "_search"):
        return "search-compartment" if method == "POST" else ""
    return _INTERACTIONS.get((method, shape), "")


_INTERACTIONS = {
    ("POST", ()): "batch",
    ("GET", ()): "search-system",
    ("POST", ("_search",)): "search-system",
    ("GET", ("_history",)): "history-system",
    ("GET", ("T",)): "search-type",
    ("POST", ("T", "_search")): "search-type",
    ("POST", ("T",)): "create",
    ("GET", ("T", "_history")): "history-type",
    ("GET", ("T", "i")): "read",
    ("GET", ("T", "i", "_history")): "history-instance",
    ("GET", ("T", "i", "_history", "i")): "vread",
    ("PUT", ("T", "i")): "update",
    ("PUT", ("T",)): "update",
    ("PATCH", ("T", "i")): "patch",
    ("PATCH", ("T",)): "patch",
    ("DELETE", ("T", "i")): "delete",
    ("DELETE", ("T",)): "delete",
}


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads traffic below the path of a FHIR base."""

    base_path: str
    types: Collection[str]
    xml: XmlFormat

    def calls(self, traffic: Traffic) -> list[Call]:
        """Return what the client asks for; empty when the request isn't below the base."""
        path, _, query = traffic.target.partition("?")
        if path != self.base_path and not path.startswith(self.base_path + "/"):
            return []
        parts = _segments(path[len(self.base_path) :])
        resource, problem = self._body(traffic, parts)
        interaction = interaction_of(traffic.method, parts, self.types)
        if interaction == "batch" and resource is not None and resource.get("type") == "transaction":
            interaction = "transaction"
        call = Call(
            traffic, traffic.method, parts, query, traffic.headers, interaction, traffic.status, resource, problem
        )  # fmt: skip
        return [call, *self._entries(call), *self._lines(call)]

    def resource(self, body: bytes, headers: Mapping[str, str]) -> Mapping[str, Any] | None:
        """Return the resource in a body; None when there is none that can be read."""
        try:
            return self._decoded(unpacked(body, headers), headers.get("content-type", ""))
        except (FhirError, ValueError):
            return None

    def _decoded(self, body: bytes, content_type: str) -> Mapping[str, Any] | None:
        if not body or "ndjson" in content_type:
            return None
        if "xml" in content_type:
            return self.xml.decode(body)
        return decode(body) if "json" in content_type or body.lstrip()[:1] == b"{" else None

    def _body(self, traffic: Traffic, path: tuple[str, ...]) -> tuple[Mapping[str, Any] | None, str]:
        content_type = traffic.headers.get("content-type", "")
        holds_none = path[-1:] == ("_search",) or traffic.method not in {"POST", "PUT"} or traffic.is_cut
        if holds_none or (path[:1] == ("Binary",) and "fhir" not in content_type):
            return None, ""
        try:
            return self._decoded(unpacked(traffic.body, traffic.headers), content_type), ""
        except FhirError as refused:
            return None, refused.issues[0].diagnostics
        except ValueError as reason:
            return None, str(reason)

    def _entries(self, call: Call) -> Iterator[Call]:
        """Yield the calls that the entries of a batch or transaction are."""
        if call.interaction not in {"batch", "transaction"} or call.resource is None:
            return
        answer = self.resource(call.traffic.answer, call.traffic.answer_headers) or {}
        answered = _dicts(answer.get("entry"))
        for number, entry in enumerate(_dicts(call.resource.get("entry"))[:MOST_ENTRIES]):
            request = entry.get("request")
            if not isinstance(request, dict):
                continue  # the body's own rules say so
            method, url = str(request.get("method", "")), str(request.get("url", ""))
            address, _, query = url.partition("?")
            path = _segments(address)
            headers = {n: str(request[name]) for name, n in _ENTRY_HEADERS.items() if name in request}
            said = answered[number].get("response", {}).get("status", "") if number < len(answered) else ""
            status = int(said[:3]) if said[:3].isdecimal() else call.status
            resource = entry.get("resource") if isinstance(entry.get("resource"), dict) else None
            interaction = interaction_of(method, path, self.types)
            yield Call(
                call.traffic, method, path, query, headers, interaction, status, resource, entry=number
            )

    def _lines(self, call: Call) -> Iterator[Call]:
        """Yield a call for each resource in a body of NDJSON, as if each were created."""
        if "ndjson" not in call.headers.get("content-type", "") or call.traffic.is_cut:
            return
        for number, line in enumerate(call.traffic.body.splitlines()[:MOST_ENTRIES]):
            try:
                resource: Mapping[str, Any] | None = decode(line)
                problem = ""
            except FhirError as refused:
                resource, problem = None, refused.issues[0].diagnostics
            yield Call(
                call.traffic, "POST", call.path, "", {}, "line", call.status, resource, problem, number
            )


_ENTRY_HEADERS = {"ifMatch": "if-match", "ifNoneExist": "if-none-exist", "ifNoneMatch": "if-none-match"}


def _dicts(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _segments(path: str) -> tuple[str, ...]:
    inside = path.removeprefix("/")
    return tuple(unquote(part) for part in inside.split("/")) if inside else ()


def unpacked(body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return a body without its content encoding; raises ValueError for one that can't be undone here."""
    coding = headers.get("content-encoding", "identity").lower()
    try:
        if coding in {"gzip", "x-gzip"}:
            return gzip.decompress(body)
        if coding == "deflate":
            return zlib.decompress(body)
    except (OSError, EOFError, zlib.error):
        raise ValueError(f"The body is not what its Content-Encoding says ({coding}).") from None
    if coding != "identity":
        raise ValueError(f"The Content-Encoding {coding} can't be read here.")
    return body


def target_of(url: str) -> str:
    """Return path and query of an absolute or relative URL."""
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")
