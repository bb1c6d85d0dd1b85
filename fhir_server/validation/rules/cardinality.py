"""Single values, arrays and nulls: the shape of an element in JSON, and how often it occurs.

https://hl7.org/fhir/R4/json.html#primitive, https://hl7.org/fhir/R4/conformance-rules.html#cardinality
"""

from __future__ import annotations

from typing import Any

from fhir_server.messages import say
from fhir_server.validation.protocols import Handler
from fhir_server.validation.report import Findings, Run
from fhir_server.validation.rules.primitive import Scalar
from fhir_server.validation.schema import ElementSchema

#: Elements that an array may have, and those of the arrays that hold whole registries.
LIST_LIMIT = 10_000
LONG_LIST_LIMIT = 1_000_000
LONG_LISTS = frozenset(
    {
        "Bundle.entry",
        "CodeSystem.concept",
        "ConceptMap.group.element",
        "Group.member",
        "ImplementationGuide.manifest.page",
        "ImplementationGuide.manifest.resource",
        "List.entry",
        "ValueSet.compose.include.concept",
        "ValueSet.expansion.contains",
    }
)

_ELE_1 = "An element must have a value or children other than an id: give it one or leave it out."


def _misshapen(values: Any, element: ElementSchema, limit: int, run: Run) -> Findings:
    """Return what is wrong with an array as such: it is none, is empty, or has too many or too few items."""
    name = element.name
    if type(values) is not list:
        text = say("The value must be an array: put it in [ ] ({name} may repeat).", name=name)
        return run.error("structure", text, "type@")
    count = len(values)
    if not count:
        text = "The array must not be empty: leave the element out instead."
        return run.error("structure", text, "cardinality@")
    if count > limit:
        text = say("There must be at most {limit} {name}, not {count}.", limit=limit, name=name, count=count)
        return run.error("structure", text, "cardinality@")
    least = element.minimum
    text = say("There must be at least {minimum} {name}, not {count}.", minimum=least, name=name, count=count)
    return run.error("required", text, "cardinality@")


def limit_of(element: ElementSchema) -> int:
    """Return how many items an array of this element may have."""
    return element.maximum or (LONG_LIST_LIMIT if element.path in LONG_LISTS else LIST_LIMIT)


def indexed(findings: Findings, index: int) -> Findings:
    """Return the findings after they were moved below an item of an array."""
    for finding in findings:
        finding.path = f"[{index}]{finding.path}"
    return findings


def list_of(item: Handler, element: ElementSchema) -> Handler:
    """Return the handler of a repeated element whose items are objects."""
    limit = limit_of(element)
    least = element.minimum or 1

    def handler(values: Any, parent: dict[str, Any], run: Run) -> Findings | None:
        if type(values) is not list or not least <= len(values) <= limit:
            return _misshapen(values, element, limit, run)
        found: Findings | None = None
        for index, value in enumerate(values):
            problem = item(value, parent, run)
            if problem is not None:
                found = [*(found or ()), *indexed(problem, index)]
                if run.left < 0:
                    break
        return found

    return handler


def list_of_scalars(test: Scalar, element: ElementSchema) -> Handler:
    """Return the handler of a repeated primitive; null stands for a value that only has extensions."""
    accepts = test.accepts
    limit = limit_of(element)
    least = element.minimum or 1
    sibling = f"_{element.name}"

    def handler(values: Any, parent: dict[str, Any], run: Run) -> Findings | None:
        if type(values) is not list or not least <= len(values) <= limit:
            return _misshapen(values, element, limit, run)
        found: Findings | None = None
        for index, value in enumerate(values):
            if accepts(value):
                continue
            if value is None:
                if _item(parent.get(sibling), index) is not None:
                    continue
                problem = run.error(
                    "structure",
                    say(
                        "null only holds the place of a value with extensions: give {sibling} an object there,"
                        " or leave the null out.",
                        sibling=sibling,
                    ),
                    "type@",
                )
            else:
                problem = run.error(*test.problem(value))
            found = [*(found or ()), *indexed(problem, index)]
            if run.left < 0:
                break
        return found

    return handler


def list_of_values(item: Handler, element: ElementSchema) -> Handler:
    """Return the handler of a repeated primitive whose values each need a handler of their own."""
    limit = limit_of(element)
    least = element.minimum or 1
    sibling = f"_{element.name}"

    def handler(values: Any, parent: dict[str, Any], run: Run) -> Findings | None:
        if type(values) is not list or not least <= len(values) <= limit:
            return _misshapen(values, element, limit, run)
        found: Findings = []
        for index, value in enumerate(values):
            if value is None and _item(parent.get(sibling), index) is not None:
                continue
            problem = item(value, parent, run)
            if problem is not None:
                found += indexed(problem, index)
                if run.left < 0:
                    break
        return found or None

    return handler


def _item(values: Any, index: int) -> Any:
    return values[index] if type(values) is list and index < len(values) else None


def sibling_of_single(element_type: Handler, key: str) -> Handler:
    """Return the handler of ``_key``, the id and extensions of a primitive that isn't repeated."""

    def handler(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
        found = element_type(value, parent, run)
        if found is None and "extension" not in value and key not in parent:
            return run.error("invariant", _ELE_1, "ele-1")
        return found

    return handler


def sibling_of_list(element_type: Handler, element: ElementSchema) -> Handler:
    """Return the handler of ``_key``, the ids and extensions of a repeated primitive, aligned by index."""
    limit = limit_of(element)
    key = element.name

    def handler(values: Any, parent: dict[str, Any], run: Run) -> Findings | None:
        if type(values) is not list or not 0 < len(values) <= limit:
            return _misshapen(values, element, limit, run)
        partner = parent.get(key)
        found: Findings = []
        for index, value in enumerate(values):
            has_value = _item(partner, index) is not None
            if value is None:
                # A null in both arrays is reported for the values.
                if has_value or (type(partner) is list and index < len(partner)):
                    continue
                problem: Findings | None = run.error(
                    "structure",
                    say("An item must not be null in both {key} and _{key}: leave it out.", key=key),
                    "type@",
                )
            else:
                problem = element_type(value, parent, run)
                if problem is None and not has_value and "extension" not in value:
                    problem = run.error("invariant", _ELE_1, "ele-1")
            if problem is not None:
                found += indexed(problem, index)
                if run.left < 0:
                    break
        if type(partner) is list and len(partner) != len(values):
            found += run.warning(
                "structure",
                say(
                    "{key} and _{key} differ in length: the shorter one was read as if null followed.",
                    key=key,
                ),
                "type@",
            )
        return found or None

    return handler
