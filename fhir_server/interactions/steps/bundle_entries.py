"""From the body of a batch or transaction to its entries.

https://hl7.org/fhir/R4/bundle.html, https://hl7.org/fhir/R4/http.html#transaction. The resources are decoded one by
one, so that a large Bundle leaves the event loop to others in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import unquote

import msgspec

from fhir_server.datatypes.json_format import decode
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.outcome import FhirError, Issue, error

#: Entries are asked and answered in JSON.
FHIR_JSON = "application/fhir+json"
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH")
#: Entries are handled in slices of this size; then other requests have their turn.
SLICE = 20
#: Smaller bodies are decoded at once.
_WHOLE = 256 * 1024
_RESOURCE = b'{"resourceType":"Basic"}'


@dataclass(slots=True)
class Entry:
    """One entry: its request as an interaction would get it, and its resource.

    ``path`` and ``query`` are those of ``request.url`` below the base, ``headers`` those that stand for ifMatch,
    ifNoneMatch, ifModifiedSince and ifNoneExist.
    """

    number: int
    method: str
    path: tuple[str, ...]
    query: str
    full_url: str
    resource: dict[str, Any] | None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How issues name the entry."""
        return f"Bundle.entry[{self.number}]"

    @property
    def writes(self) -> bool:
        """Tell whether the entry changes a resource."""
        return self.method not in ("GET", "HEAD") and self.path[-1:] != ("_search",)


class Problems:
    """The issues of all entries; ``raise_any`` ends the interaction with all of them."""

    def __init__(self) -> None:
        self._issues: list[Issue] = []
        self._statuses: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._issues)

    def add(self, place: str, problem: FhirError) -> None:
        """Note what is wrong with an entry; expressions of its resource are moved to the place of the resource."""
        self._statuses.add(problem.status)
        self._issues += (placed(issue, place) for issue in problem.issues)

    def raise_any(self) -> None:
        """Raise FhirError when there are issues: with their status when it is the same for all, else with 400."""
        if self._issues:
            status = self._statuses.pop() if len(self._statuses) == 1 else 400
            raise FhirError(*self._issues, status=status if 400 <= status < 500 else 400)


def placed(issue: Issue, place: str) -> Issue:
    """Return the issue with its expression below ``Bundle.entry[n]``."""
    expression = issue.expression
    if expression.startswith("Bundle."):
        pass
    elif expression:
        _, dot, rest = expression.partition(".")
        expression = f"{place}.resource{dot}{rest}"
    else:
        expression = place
    return Issue(issue.severity, issue.code, issue.diagnostics, expression, issue.rule)


async def decoded(body: bytes) -> dict[str, Any]:
    """Return the Bundle; raise FhirError 400 for everything that is not well-formed."""
    if len(body) < _WHOLE:
        return decode(body)
    try:
        raw = [
            bytes(entry.resource)
            for entry in msgspec.json.decode(body, type=_Bundle).entry
            if bytes(entry.resource)[:1] == b"{"
        ]
    except msgspec.MsgspecError:
        return decode(body)  # which says what is wrong
    envelope = _without(body, raw)
    bundle = decode(envelope)
    resources = iter(raw)
    problems = Problems()
    for number, entry in enumerate(bundle.get("entry", ())):
        if isinstance(entry.get("resource"), dict):
            try:
                entry["resource"] = decode(next(resources))
            except FhirError as problem:
                problems.add(f"Bundle.entry[{number}]", problem)
        if number % SLICE == 0:
            await asyncio.sleep(0)
    problems.raise_any()
    return bundle


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw()


class _Bundle(msgspec.Struct):
    entry: list[_Entry] = []


def _without(body: bytes, resources: Iterable[bytes]) -> bytes:
    """Return the Bundle with a small resource in the place of each: the envelope is then judged as any body is."""
    parts: list[bytes] = []
    start = 0
    for resource in resources:
        found = body.index(resource, start)
        parts += (body[start:found], _RESOURCE)
        start = found + len(resource)
    return b"".join([*parts, body[start:]])


def bundle_type(server: Server, bundle: dict[str, Any]) -> str:
    """Return batch or transaction; raise FhirError for another resource, another type, or too many entries."""
    if bundle.get("resourceType") != "Bundle":
        raise error(
            "structure", "The base address takes a Bundle of type batch or transaction.", expression=""
        )
    type_ = bundle.get("type")
    if type_ not in ("batch", "transaction"):
        raise error(
            "value",
            "The base address takes a batch or transaction; to store a Bundle as such, POST it to Bundle.",
            expression="Bundle.type",
        )
    entries = bundle.get("entry", ())
    most = server.policy.max_bundle_entries
    if isinstance(entries, list) and len(entries) > most:
        raise error(
            "too-long",
            f"The Bundle has {len(entries)} entries; at most {most} are taken. Send several.",
            expression="Bundle.entry",
        )
    return str(type_)


def check_envelope(server: Server, bundle: dict[str, Any]) -> None:
    """Raise FhirError with every issue of the Bundle itself; its resources are judged one by one."""
    entries = bundle.get("entry")
    if isinstance(entries, list):
        check_identities(entries)
        bundle = {**bundle, "entry": [_without_resource(entry) for entry in entries]}
    issues = server.validator.validate(bundle, lenient=True)
    if any(issue.severity in ("error", "fatal") for issue in issues):
        raise FhirError(*issues, status=400)


def _without_resource(entry: Any) -> Any:
    if not isinstance(entry, dict) or not isinstance(entry.get("resource"), dict):
        return entry
    return {key: value for key, value in entry.items() if key != "resource"}


def check_identities(entries: list[Any]) -> None:
    """Raise FhirError 400 that names the entries without request, and those whose fullUrls are the same."""
    problems = Problems()
    known: dict[str, int] = {}
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            continue
        place = f"Bundle.entry[{number}]"
        if "request" not in entry:
            text = "Each entry of a batch or transaction needs a request with method and url."
            problems.add(place, error("required", text, expression=place))
        url = entry.get("fullUrl")
        if isinstance(url, str) and known.setdefault(url, number) != number:
            text = f"The fullUrl is that of entry {known[url]} too: each entry needs its own."
            problems.add(place, error("duplicate", text, expression=f"{place}.fullUrl", status=400))
    problems.raise_any()


def read_entry(number: int, entry: Mapping[str, Any], base: str) -> Entry:
    """Return an entry of a valid envelope; raise FhirError 400 with one issue when its request makes no sense."""
    place = f"Bundle.entry[{number}]"
    request = entry["request"]
    method = request["method"]
    path, query = _address(request["url"], base, place)
    made = Entry(number, method, path, query, entry.get("fullUrl", ""), entry.get("resource"))
    made.headers = _headers(request, method, place)
    if not path and method not in ("GET", "HEAD"):
        raise error(
            "value", "request.url is empty: name a type or a resource.", expression=f"{place}.request.url"
        )
    needs = method in ("POST", "PUT", "PATCH") and made.writes and not path[-1].startswith("$")
    if needs and made.resource is None:
        raise error("required", f"A {method} needs a resource.", expression=place)
    return made


def _address(url: str, base: str, place: str) -> tuple[tuple[str, ...], str]:
    """Return path and query of a request.url: relative to the base, or below it."""
    text = url.removeprefix(f"{base}/") if base else url
    if "://" in text.partition("?")[0]:
        raise error(
            "value",
            "request.url is relative to this server's base, for example Patient/123.",
            expression=f"{place}.request.url",
        )
    path, _, query = text.removeprefix("/").partition("?")
    path = path.rstrip("/")
    return tuple(unquote(part) for part in path.split("/")) if path else (), query


_OF_METHOD = {
    "ifMatch": ("PUT", "PATCH", "DELETE"),
    "ifNoneMatch": ("GET", "HEAD", "PUT"),
    "ifModifiedSince": ("GET", "HEAD"),
    "ifNoneExist": ("POST",),
}
_HEADERS = {
    "ifMatch": "if-match",
    "ifNoneMatch": "if-none-match",
    "ifModifiedSince": "if-modified-since",
    "ifNoneExist": "if-none-exist",
}


def _headers(request: Mapping[str, Any], method: str, place: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, methods in _OF_METHOD.items():
        value = request.get(name)
        if value is None:
            continue
        if method not in methods:
            raise error(
                "not-supported",
                f"{name} goes with {' and '.join(methods)}, not with {method}.",
                expression=f"{place}.request.{name}",
            )
        if name == "ifModifiedSince":
            value = format_datetime(datetime.fromisoformat(value).astimezone(UTC), usegmt=True)
        found[_HEADERS[name]] = value
    return found


def as_request(entry: Entry, request: FhirRequest, body: bytes = b"") -> FhirRequest:
    """Return the entry as the request of a single interaction of the same caller."""
    headers = {"accept": FHIR_JSON, "content-type": FHIR_JSON, **entry.headers}
    if "prefer" in request.headers:
        headers["prefer"] = request.headers["prefer"]
    return FhirRequest(
        entry.method, entry.path, entry.query, headers, body, request.base, access=request.access
    )
