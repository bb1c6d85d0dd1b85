"""The $operations in the OpenAPI document, from the rows that the router finds them by.

What they take and give stands in their OperationDefinitions. https://hl7.org/fhir/R4/operations.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from fhir_server.interactions.exchange import Operation

_NDJSON = "application/fhir+ndjson"
_TYPE = {
    "name": "type",
    "in": "path",
    "required": True,
    "description": "Any resource type",
    "schema": {"type": "string", "pattern": "^[A-Z][A-Za-z]+$"},
}
Describe = Callable[..., dict[str, Any]]
"""Makes the description of one method: ``describe(code, tag, answer, path=..., takes_body=...)``."""


def paths(
    operations: Iterable[Operation], prefix: str, describe: Describe, ids: tuple[Mapping[str, Any], ...]
) -> dict[str, dict[str, Any]]:
    """Return the path items of operations below ``prefix``; ``ids`` are the parameters of logical id and version id."""
    found: dict[str, dict[str, Any]] = {}
    for operation in operations:
        for type_, path, parameters in _places(operation, *ids):
            item = found.setdefault(f"{prefix}/{path}{operation.name}", {})
            for method in sorted(operation.methods):
                tag = type_ or "system"
                described = describe(
                    operation.name.removeprefix("$"),
                    _level(tag, path),
                    "Parameters, or what its definition says",
                    path=parameters,
                    takes_body=method == "POST",
                )
                described["operationId"] += f"-{method.lower()}"
                described["tags"] = [tag]
                described["description"] = f"OperationDefinition {operation.definition}"
                if method == "POST":
                    described["requestBody"] |= {"required": operation.streams}
                if method == "POST" and operation.streams:
                    described["requestBody"]["content"] = {_NDJSON: {"schema": {"type": "string"}}}
                item[method.lower()] = described
    return found


def _level(tag: str, path: str) -> str:
    """Return the part of an operationId that tells its level: each is there once in a document."""
    if path.endswith("{vid}/"):
        return f"{tag}-version"
    return f"{tag}-instance" if path.endswith("{id}/") else tag


def _places(
    operation: Operation, id_: Mapping[str, Any], vid: Mapping[str, Any]
) -> Iterator[tuple[str, str, tuple[Mapping[str, Any], ...]]]:
    """Yield (type, path before the name, its parameters) of each place that an operation can be called at."""
    if "system" in operation.levels:
        yield "", "", ()
    for type_ in sorted(operation.types) or ["{type}"]:
        named = (_TYPE,) if not operation.types else ()
        tag = type_ if operation.types else "any-type"
        if "type" in operation.levels:
            yield tag, f"{type_}/", named
        if "instance" in operation.levels:
            yield tag, f"{type_}/{{id}}/", (*named, id_)
        if operation.versions:
            yield tag, f"{type_}/{{id}}/_history/{{vid}}/", (*named, id_, vid)
