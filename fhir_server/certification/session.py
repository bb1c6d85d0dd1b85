"""What is known of a client so far: what it was told, and what it must not do because of it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_server.certification.identifiers import Identifier
from fhir_server.certification.traffic import Call, Reader, Traffic, target_of
from fhir_server.definitions import Definitions
from fhir_server.outcome import FhirError
from fhir_server.search import Registry, decode_pairs
from fhir_server.validation import Validator

#: Statuses that refuse a request for what it says: the same one again is refused again.
REFUSED = frozenset({400, 404, 405, 406, 410, 415, 422})


@dataclass(frozen=True, slots=True)
class Wait:
    """A client was asked at ``since`` to come back after ``until`` (monotonic seconds)."""

    since: float
    until: float
    status: int
    asked: str


@dataclass
class Session:
    """One run: the engines, what the server says that it can do, and what has happened until now.

    ``advertised`` are the search parameters by type that the server's CapabilityStatement names.
    """

    base: str
    reader: Reader
    definitions: Definitions
    validator: Validator
    registry: Registry
    identifiers: Sequence[Identifier] = ()
    advertised: Mapping[str, frozenset[str]] = field(default_factory=dict)
    #: Page links that the server gave, as (path, sorted pairs), with their relation.
    links: dict[tuple[str, tuple[tuple[str, str], ...]], str] = field(default_factory=dict)
    #: Parameters that stand in links and that no client asked for: the server's own.
    link_words: set[str] = field(default_factory=set)
    #: The version of each resource that the client was shown last.
    versions: dict[tuple[str, str], str] = field(default_factory=dict)
    #: If-Match of updates that were refused because of a conflict, until the resource is read again.
    conflicts: dict[tuple[str, str], str] = field(default_factory=dict)
    waits: dict[str, Wait] = field(default_factory=dict)
    #: Tokens that the server refused.
    refused_tokens: set[str] = field(default_factory=set)
    repeats: Counter[str] = field(default_factory=Counter)
    secrets: set[str] = field(default_factory=set)

    def note(self, traffic: Traffic, calls: Sequence[Call]) -> None:
        """Remember what this exchange tells the client; it comes after the judgement."""
        if not calls:
            return
        whole = calls[0]
        answer = self.reader.resource(traffic.answer, traffic.answer_headers)
        if whole.token:
            self.secrets.add(whole.token)
            if traffic.status == 401:
                self.refused_tokens.add(whole.token)
        if traffic.status in REFUSED:
            self.repeats[fingerprint(traffic)] += 1
        self._waits(traffic)
        for call in calls:
            self._conflict(call)
        if answer is not None:
            self._links(traffic, answer)
            self._seen(answer)
        if traffic.method in {"PUT", "POST", "PATCH"} and 200 <= traffic.status < 300:
            self._stored(traffic.answer_headers)

    def _waits(self, traffic: Traffic) -> None:
        key = f"{traffic.method} {traffic.target}"
        if traffic.status not in {429, 503}:
            self.waits.pop(key, None)
            return
        text = traffic.answer_headers.get("retry-after", "")
        seconds = float(text) if text.isdecimal() else 0.0
        self.waits[key] = Wait(traffic.ended, traffic.ended + seconds, traffic.status, text)

    def _conflict(self, call: Call) -> None:
        key = (call.type, call.id)
        if call.interaction in {"update", "patch"} and call.id and call.status in {409, 412}:
            self.conflicts[key] = call.headers.get("if-match", "")
        elif call.interaction in {"read", "vread", "history-instance"} and call.status < 300:
            self.conflicts.pop(key, None)

    def _links(self, traffic: Traffic, answer: Mapping[str, Any]) -> None:
        links = answer.get("link")
        if answer.get("resourceType") != "Bundle" or not isinstance(links, list):
            return
        asked = {name for name, _ in pairs_of(traffic.target)}
        for link in links:
            url = link.get("url") if isinstance(link, dict) else None
            if not isinstance(url, str):
                continue
            relation = str(link.get("relation", ""))
            self.links.setdefault(normal(target_of(url)), relation)
            if relation in {"next", "previous", "prev", "last"}:
                words = {name for name, _ in pairs_of(target_of(url))}
                self.link_words |= words - asked - _PLAIN

    def _seen(self, answer: Mapping[str, Any]) -> None:
        """Remember the versions that an answer shows; a history shows older ones, too, and the newest first."""
        entries = answer.get("entry") if answer.get("resourceType") == "Bundle" else None
        shown = (
            [e.get("resource") for e in entries if isinstance(e, dict)]
            if isinstance(entries, list)
            else [answer]
        )
        done = set()
        for resource in shown:
            if not isinstance(resource, dict) or not isinstance(resource.get("meta"), dict):
                continue
            key = (str(resource.get("resourceType")), str(resource.get("id")))
            version = resource["meta"].get("versionId")
            if isinstance(version, str) and key not in done:
                done.add(key)
                self.versions[key] = version
                self.conflicts.pop(key, None)

    def _stored(self, headers: Mapping[str, str]) -> None:
        parts = target_of(headers.get("location", "")).strip("/").split("/")
        if len(parts) >= 4 and parts[-2] == "_history":
            self.versions[parts[-4], parts[-3]] = parts[-1]


_PLAIN = frozenset({"_count", "_format", "_pretty", "_summary", "_elements", "_sort", "_total", "_include"})


def fingerprint(traffic: Traffic) -> str:
    """Return what makes a request the same as another one."""
    return f"{traffic.method} {traffic.target} {hashlib.sha256(traffic.body).hexdigest()}"


def pairs_of(target: str) -> list[tuple[str, str]]:
    """Return the decoded pairs of a query; what can't be decoded gives none."""
    try:
        return decode_pairs(target.partition("?")[2], longest=1_000_000)
    except FhirError:
        return []


def normal(target: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return a target so that two ways of writing the same are equal."""
    return target.partition("?")[0], tuple(sorted(pairs_of(target)))
