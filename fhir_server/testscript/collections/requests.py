"""Which requests a CapabilityStatement offers, in an order in which each of them works.

https://hl7.org/fhir/R4/capabilitystatement.html, https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

import json
from collections.abc import Collection as Some
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_JSON = "application/fhir+json"
_JSON_PATCH = "application/json-patch+json"
#: A value of each type of search parameter that every server understands, whether it finds something or not.
_VALUES = {
    "number": "1", "date": "ge2020-01-01", "string": "a", "token": "true", "reference": "Patient/example",
    "composite": "2020$2020", "quantity": "1", "uri": "http://example.org/a", "special": "48.8|2.3|5|km",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """One request. ``{{name}}`` in path, query and body stands for a variable.

    ``query`` has the parameters that are sent, ``choices`` those that may be sent instead, one at a time; ``keeps``
    names the variable that takes the id in the answer; ``statuses`` are the right ones.
    """

    name: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    choices: tuple[tuple[str, str], ...] = ()
    content_type: str = ""
    body: str = ""
    keeps: str = ""
    statuses: tuple[int, ...] = (200,)


@dataclass(frozen=True, slots=True)
class Folder:
    """The requests about one type, or about the server."""

    name: str
    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class Collection:
    """All of them; ``is_secured``: the server wants a bearer token."""

    name: str
    base: str
    folders: tuple[Folder, ...]
    is_secured: bool


def collection(
    statement: Mapping[str, Any], base: str, samples: Mapping[str, Mapping[str, Any]], types: Some[str] = ()
) -> Collection:
    """Return the requests that a statement offers.

    Args:
        statement: the CapabilityStatement.
        base: the base URL of the server.
        samples: a resource for each type that is to be written; references to ``Patient/{{patientId}}`` are those to
            the Patient that the collection makes. A type without sample is only searched.
        types: the types that one wants; all of the statement if empty.

    Raises ValueError when the statement has no REST server, or not one of the types.
    """
    rest = next((one for one in statement.get("rest", ()) if one.get("mode") == "server"), None)
    if rest is None:
        raise ValueError("the CapabilityStatement describes no REST server.")
    rows = [row for row in rest.get("resource", ()) if not types or row["type"] in types]
    if missing := set(types) - {row["type"] for row in rows}:
        raise ValueError(f"the CapabilityStatement has no {', '.join(sorted(missing))}.")
    # The Patient comes first, because others refer to it, and goes last.
    rows.sort(key=lambda row: (row["type"] != "Patient", row["type"]))
    written = [row for row in rows if row["type"] in samples and "create" in _codes(row)]
    has_patient = any(row["type"] == "Patient" for row in written)
    patch = _JSON_PATCH in statement.get("patchFormat", ())
    folders = [Folder("Server", tuple(_of_server(rest)))]
    for row in rows:
        sample = samples[row["type"]] if row in written else None
        made = (
            (*_of_sample(row, sample, patch), *_of_type(row, has_patient))
            if sample
            else _of_type(row, has_patient)
        )
        folders.append(Folder(row["type"], tuple(made)))
    leave = tuple(_delete(row) for row in reversed(written) if "delete" in _codes(row))
    folders.append(Folder("Clean up", leave))
    software = statement.get("software", {}).get("name", "FHIR server")
    secured = bool(rest.get("security", {}).get("service"))
    return Collection(f"{software}: {base}", base, tuple(f for f in folders if f.requests), secured)


def variable(type_: str) -> str:
    """Return the name of the variable with the id of the resource of a type that the collection made."""
    return f"{type_[0].lower()}{type_[1:]}Id"


def _codes(row: Mapping[str, Any]) -> set[str]:
    return {one["code"] for one in row.get("interaction", ())}


def _of_server(rest: Mapping[str, Any]) -> Iterator[Request]:
    offered = _codes(rest)
    yield Request("What it can do", "GET", "metadata")
    entry = {"request": {"method": "GET", "url": "Patient?_count=1"}}
    for kind in ("batch", "transaction"):
        if kind in offered:
            bundle = {"resourceType": "Bundle", "type": kind, "entry": [entry]}
            yield Request(f"A {kind}", "POST", "", content_type=_JSON, body=_text(bundle))
    if "history-system" in offered:
        yield Request("What changed last", "GET", "_history", (("_count", "10"),))
    if "search-system" in offered:
        yield Request("Search in two types", "GET", "", (("_type", "Patient,Observation"), ("_count", "10")))


def _of_sample(row: Mapping[str, Any], sample: Mapping[str, Any], patch: bool) -> Iterator[Request]:
    """Yield what can be done with a resource, from its creation on."""
    type_, offered = row["type"], _codes(row)
    name = variable(type_)
    one = f"{type_}/{{{{{name}}}}}"
    body = _text({"resourceType": type_} | dict(sample))
    yield Request("Create", "POST", type_, content_type=_JSON, body=body, keeps=name, statuses=(201,))
    if "read" in offered:
        yield Request("Read", "GET", one)
    if "update" in offered:
        changed = _text({"resourceType": type_, "id": f"{{{{{name}}}}}"} | dict(sample))
        yield Request("Update", "PUT", one, content_type=_JSON, body=changed)
    if "patch" in offered and patch:
        change = _text([{"op": "add", "path": "/language", "value": "fr"}])
        yield Request("Patch", "PATCH", one, content_type=_JSON_PATCH, body=change)
    if "vread" in offered:
        yield Request("Read the first version", "GET", f"{one}/_history/1")
    if "history-instance" in offered:
        yield Request("History of the resource", "GET", f"{one}/_history")
    if any(operation["name"] == "validate" for operation in row.get("operation", ())):
        yield Request("Validate without storing", "POST", f"{type_}/$validate", content_type=_JSON, body=body)


def _of_type(row: Mapping[str, Any], has_patient: bool) -> Iterator[Request]:
    type_, offered = row["type"], _codes(row)
    if "search-type" in offered:
        parameters = row.get("searchParam", ())
        choices = tuple((one["name"], _value(one, has_patient)) for one in parameters)
        yield Request("Search", "GET", type_, (("_count", "10"),), choices)
    if "history-type" in offered:
        yield Request("History of the type", "GET", f"{type_}/_history", (("_count", "10"),))


def _delete(row: Mapping[str, Any]) -> Request:
    type_ = row["type"]
    return Request(f"Delete the {type_}", "DELETE", f"{type_}/{{{{{variable(type_)}}}}}", statuses=(200, 204))


def _value(parameter: Mapping[str, Any], has_patient: bool) -> str:
    if has_patient and parameter["name"] in ("patient", "subject") and parameter["type"] == "reference":
        return "Patient/{{patientId}}"
    return _VALUES[parameter["type"]]


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
