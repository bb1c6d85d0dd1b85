"""The rows of a node's function: properties of JSON with the handlers of their values, each made when first needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fhir_server.definitions import TypeInfo
from fhir_server.messages import alternatives, say
from fhir_server.validation.handlers import prohibited
from fhir_server.validation.node_writer import Rows, Segments
from fhir_server.validation.protocols import Handler
from fhir_server.validation.report import Findings, Run
from fhir_server.validation.schema import ElementSchema, NodeSchema


def lazy(rows: Rows, key: str, bit: int, build: Callable[[], Handler]) -> Callable[[], None]:
    """Put a handler into ``rows`` that replaces itself when first used; return what replaces it at once."""

    def fill() -> None:
        if rows[key][1] is handler:
            rows[key] = (bit, build())

    def handler(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
        fill()
        return rows[key][1](value, parent, run)

    rows[key] = (bit, handler)
    return fill


def forbidden(
    schema: NodeSchema, info: TypeInfo | None, rows: Rows, segments: Segments, bits: Mapping[str, int]
) -> None:
    """Add rows for the types of choices that a profile takes away from the type ``info``."""
    for element in schema.elements:
        model = info.elements.get(element.name) if info is not None else None
        keys = (
            [k for k in model.json_keys() if k not in rows] if model is not None and model.is_choice else []
        )
        if not keys:
            continue
        row = (bits[element.name], _wrong_type(element))
        for key in keys:
            for name in (key, f"_{key}"):
                segments[name] = (f".{element.name}", element.path)
                rows[name] = row


def always_right(*_: object) -> None:
    """Accept resourceType: it was looked at when the function was chosen."""


def _wrong_type(element: ElementSchema) -> Handler:
    if element.is_prohibited:
        return prohibited
    names = alternatives(t.code for t in element.types)

    def handler(_value: Any, _parent: dict[str, Any], run: Run) -> Findings | None:
        text = say("{name}[x] must be a {names}.", name=element.name, names=names)
        return run.error("structure", text, "choice-type@")

    return handler
