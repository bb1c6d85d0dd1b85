"""The OpenAPI document of the FHIR API, generated from the CapabilityStatement so that it can't disagree with it.

Resources are described as JSON objects with their resourceType, or as XML; ``StructureDefinition/[type]/$json-schema``
has the schema of their content.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fhir_server.interactions.exchange import Operation
from fhir_server.rest import openapi_operations

FHIR_JSON = "application/fhir+json"
FHIR_XML = "application/fhir+xml"
JSON_PATCH = "application/json-patch+json"
XML_PATCH = "application/xml-patch+xml"

_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": r"^[A-Za-z0-9\-.]{1,64}$"},
}
_VID = {"name": "vid", "in": "path", "required": True, "schema": {"type": "string"}}
_COMMON: dict[str, dict[str, Any]] = {
    "_count": {"schema": {"type": "integer", "minimum": 0}, "description": "Most matches in a page"},
    "_sort": {"schema": {"type": "string"}, "description": "Comma list of parameters, - for descending"},
    "_total": {"schema": {"type": "string", "enum": ["none", "estimate", "accurate"]}},
    "_since": {
        "schema": {"type": "string", "format": "date-time"},
        "description": "Only versions since then",
    },
    "_at": {
        "schema": {"type": "string"},
        "description": "Only versions that were current at some time in this period",
    },
    "_history_sort": {
        "name": "_sort",
        "schema": {"type": "string", "enum": ["_lastUpdated", "-_lastUpdated"]},
        "description": "Oldest or newest version first",
    },
}
_OF_SEARCH = ("_count", "_sort", "_total")
_OF_HISTORY = ("_count", "_since", "_at", "_history_sort")


def openapi(
    statement: Mapping[str, Any],
    prefix: str,
    base: Mapping[str, Any],
    operations: Iterable[Operation] = (),
) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document: ``base`` (the pages FastAPI knows), every advertised interaction and operation.

    ``prefix`` is the path of the FHIR base.
    """
    [rest] = statement["rest"]
    paths: dict[str, dict[str, Any]] = dict(base.get("paths", {}))
    parameters = {name: {"name": name, "in": "query", **row} for name, row in _COMMON.items()}
    paths[f"{prefix}/metadata"] = {"get": _operation("capabilities", "capabilities", "CapabilityStatement")}
    for interaction in rest["interaction"]:
        if interaction["code"] == "history-system":
            paths[f"{prefix}/_history"] = {
                "get": _operation("history-system", "history", "Bundle", query=_refs(_OF_HISTORY))
            }
    for resource in rest["resource"]:
        type_ = resource["type"]
        for row in resource["searchParam"]:
            parameters[f"{type_}.{row['name']}"] = {
                "name": row["name"],
                "in": "query",
                "schema": {"type": "string"},
                "description": f"{row['type']}: {row['definition']}",
            }
        for interaction in resource["interaction"]:
            path, method, operation = _BY_CODE[interaction["code"]](resource)
            paths.setdefault(f"{prefix}/{path}", {})[method] = operation
    paths |= openapi_operations.paths(operations, prefix, _operation, (_ID, _VID))
    components = {
        **base.get("components", {}),
        "parameters": parameters,
        "responses": {"outcome": _answer("OperationOutcome")},
        "schemas": {
            **base.get("components", {}).get("schemas", {}),
            "Resource": _RESOURCE,
            "ResourceXml": _XML,
        },
    }
    return {**base, "paths": paths, "components": components}


_RESOURCE = {
    "type": "object",
    "required": ["resourceType"],
    "properties": {"resourceType": {"type": "string"}, "id": {"type": "string"}},
    "additionalProperties": True,
}


_XML = {
    "type": "string",
    "contentMediaType": FHIR_XML,
    "description": "An element of the namespace http://hl7.org/fhir with the name of the resource type",
}


def _answer(title: str) -> dict[str, Any]:
    return {
        "description": title,
        "content": _resource(),
    }


def _resource() -> dict[str, Any]:
    """Return the two formats of a resource; the schema of XML says only that it is an element."""
    return {
        FHIR_JSON: {"schema": {"$ref": "#/components/schemas/Resource"}},
        FHIR_XML: {"schema": {"$ref": "#/components/schemas/ResourceXml"}},
    }


def _operation(
    code: str,
    tag: str,
    answer: str,
    *,
    status: str = "200",
    path: tuple[Mapping[str, Any], ...] = (),
    query: list[dict[str, str]] | None = None,
    takes_body: bool = False,
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{code}-{tag}",
        "tags": [tag],
        "summary": code,
        "parameters": [*path, *(query or [])],
        "responses": {status: _answer(answer), "default": {"$ref": "#/components/responses/outcome"}},
    }
    if takes_body:
        operation["requestBody"] = {
            "required": True,
            "content": _resource(),
        }
    return operation


def _refs(names: tuple[str, ...]) -> list[dict[str, str]]:
    return [{"$ref": f"#/components/parameters/{name}"} for name in names]


Row = tuple[str, str, dict[str, Any]]


def _search_type(resource: Mapping[str, Any]) -> Row:
    type_ = resource["type"]
    own = tuple(f"{type_}.{row['name']}" for row in resource["searchParam"])
    return type_, "get", _operation("search-type", type_, "Bundle", query=_refs(own + _OF_SEARCH))


def _create(resource: Mapping[str, Any]) -> Row:
    type_ = resource["type"]
    return type_, "post", _operation("create", type_, type_, status="201", takes_body=True)


def _read(resource: Mapping[str, Any]) -> Row:
    type_ = resource["type"]
    return f"{type_}/{{id}}", "get", _operation("read", type_, type_, path=(_ID,))


def _update(resource: Mapping[str, Any]) -> Row:
    type_ = resource["type"]
    return f"{type_}/{{id}}", "put", _operation("update", type_, type_, path=(_ID,), takes_body=True)


def _patch(resource: Mapping[str, Any]) -> Row:
    type_ = resource["type"]
    operation = _operation("patch", type_, type_, path=(_ID,), takes_body=True)
    operation["requestBody"]["content"][JSON_PATCH] = {
        "schema": {"type": "array", "items": {"type": "object"}}
    }
    operation["requestBody"]["content"][XML_PATCH] = {
        "schema": {"type": "string", "contentMediaType": XML_PATCH}
    }
    return f"{type_}/{{id}}", "patch", operation


def _delete(resource: Mapping[str, Any]) -> Row:
    type_ = resource["type"]
    operation = _operation("delete", type_, "", path=(_ID,))
    operation["responses"] = {"204": {"description": "Deleted"}, "default": operation["responses"]["default"]}
    return f"{type_}/{{id}}", "delete", operation


def _vread(resource: Mapping[str, Any]) -> Row:
    type_ = resource["type"]
    return f"{type_}/{{id}}/_history/{{vid}}", "get", _operation("vread", type_, type_, path=(_ID, _VID))


def _history_instance(resource: Mapping[str, Any]) -> Row:
    type_ = resource["type"]
    operation = _operation("history-instance", type_, "Bundle", path=(_ID,), query=_refs(_OF_HISTORY))
    return f"{type_}/{{id}}/_history", "get", operation


def _history_type(resource: Mapping[str, Any]) -> Row:
    type_ = resource["type"]
    return f"{type_}/_history", "get", _operation("history-type", type_, "Bundle", query=_refs(_OF_HISTORY))


_BY_CODE: dict[str, Callable[[Mapping[str, Any]], Row]] = {
    "read": _read,
    "vread": _vread,
    "update": _update,
    "patch": _patch,
    "delete": _delete,
    "history-instance": _history_instance,
    "history-type": _history_type,
    "create": _create,
    "search-type": _search_type,
}
