"""The values of primitive elements: JSON type, lexical form, range.

https://hl7.org/fhir/R4/datatypes.html#primitive
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fhir_server.datatypes import xhtml
from fhir_server.datatypes.primitives import MAX_STRING, PRIMITIVES, Primitive, is_string
from fhir_server.validation.protocols import Handler
from fhir_server.validation.report import Findings, Run
from fhir_server.validation.rules.system import URIS, uri_problem

#: Element.id "may be any string value that does not contain spaces".
ELEMENT_ID = Primitive(
    "element-id",
    lambda value: is_string(value) and re.search(r"\s", value) is None,
    "a string",
    "an id without spaces",
)


@dataclass(frozen=True, slots=True)
class Scalar:
    """The test of one primitive value, and what to say (issue code, text, rule) when it fails."""

    accepts: Callable[[Any], bool]
    problem: Callable[[Any], tuple[str, str, str]]


def scalar(type_code: str) -> Scalar:
    """Return the test of a primitive type."""
    primitive = ELEMENT_ID if type_code == "element-id" else PRIMITIVES[type_code]

    def problem(value: Any) -> tuple[str, str, str]:
        code, text = primitive.problem(value)
        return code, text, ("type@" if code == "structure" else "primitive@")

    return Scalar(primitive.accepts, problem)


def single(test: Scalar, type_code: str = "") -> Handler:
    """Return the handler of a primitive element that isn't repeated.

    Given ``type_code``, the one for unbound strings and URIs may be a faster form of ``test``.
    """
    if type_code in {"string", "markdown"}:
        return _single_string(test)
    if type_code in _right:
        return _single_word(test, _right[type_code], type_code)
    accepts = test.accepts

    def handler(value: Any, _: dict[str, Any], run: Run) -> Findings | None:
        if accepts(value):
            return None
        return run.error(*test.problem(value))

    return handler


def _single_string(test: Scalar) -> Handler:
    accepts = test.accepts

    def handler(value: Any, _: dict[str, Any], run: Run) -> Findings | None:
        if (
            type(value) is str
            and 0 < len(value) <= MAX_STRING
            and value.isprintable()
            and not value.isspace()
        ) or accepts(value):
            return None
        return run.error(*test.problem(value))

    return handler


#: Texts that were right, by type: the same few URIs and codes come again and again.
_right: dict[str, set[str]] = {name: set() for name in (*URIS, "code")}
#: How many are remembered before all are forgotten, and how long they may be.
_REMEMBERED = 4096
_REMEMBERED_LENGTH = 100


def _single_word(test: Scalar, right: set[str], type_code: str) -> Handler:
    """Return a handler that remembers in ``right`` what it accepted."""
    accepts = test.accepts

    def handler(value: Any, _: dict[str, Any], run: Run) -> Findings | None:
        if type(value) is str and value in right:
            return None
        if not accepts(value):
            return run.error(*test.problem(value))
        doubt = uri_problem(type_code, value) if type_code in URIS else ""
        if doubt:
            return run.judged("value", doubt, "primitive@")
        if len(value) <= _REMEMBERED_LENGTH:
            if len(right) >= _REMEMBERED:
                right.clear()
            right.add(value)
        return None

    return handler


def element_id(value: Any, holder: dict[str, Any], run: Run) -> Findings | None:
    """Check Element.id, which must be the only one of its kind in the resource."""
    if not ELEMENT_ID.accepts(value):
        return run.error(*scalar("element-id").problem(value))
    # A profile may look at the same element more than once.
    if run.element_ids.setdefault(value, id(holder)) != id(holder):
        text = "The id of an element must be unique within the resource: choose another one."
        return run.error("value", text, "element-id@")
    return None


def narrative(value: Any, _: dict[str, Any], run: Run) -> Findings | None:
    """Check Narrative.div (txt-1, txt-2), its structure, and that its links have targets."""
    found = xhtml.examined(value)
    if found.problem is None:
        if found.doubt:
            return run.judged("invalid", found.doubt, "narrative")
        missing = [n for n in found.links if n not in found.names]
        if missing and not _ids(run.root).issuperset(missing):
            text = "The narrative links to an id that nothing in the resource has: mend it, or leave it out."
            return run.judged("invalid", text, "narrative-link")
        return None
    rule, text = found.problem
    if rule == "xhtml":
        return run.error("structure", text, "xhtml@")
    return run.error("invariant", text, rule)


def _ids(root: Any) -> set[str]:
    """Return the ids of all elements and contained resources, and of what narratives name."""
    found: set[str] = set()
    waiting = [root]
    while waiting:
        value = waiting.pop()
        if type(value) is dict:
            if type(value.get("id")) is str:
                found.add(value["id"])
            if type(value.get("div")) is str:
                found |= xhtml.examined(value["div"]).names
            waiting += value.values()
        elif type(value) is list:
            waiting += value
    return found


#: Handlers of the primitive types that need more than a test of the value.
SPECIAL: dict[str, Handler] = {"xhtml": narrative, "element-id": element_id}
