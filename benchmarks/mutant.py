"""What mutants are made of: one defect, values that can't be right, and how places in a resource are named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

#: Where a value stands: the steps from the resource on.
Way = tuple[str | int, ...]
#: What isn't a value of each primitive type.
BAD_SYNTAX: dict[str, Any] = {
    "date": "2023-13-01", "dateTime": "2023-01-01T10:00:00", "instant": "2023-01-01", "time": "24:00:00",
    "code": "a  b", "id": "a_b", "uri": "a b", "url": "a b", "canonical": "a b", "oid": "1.2", "uuid": "1",
    "base64Binary": "a&b", "integer": 2**31, "positiveInt": 0, "unsignedInt": -1, "string": "\x01", "markdown": " ",
    "boolean": "true", "decimal": "1", "xhtml": '<div xmlns="http://www.w3.org/1999/xhtml"><script>x</script></div>',
}  # fmt: skip
#: A value of types that elements are often limited from.
SAMPLES: dict[str, Any] = {
    "string": "x", "boolean": True, "dateTime": "2020", "Period": {"start": "2020"}, "Quantity": {"value": 1},
    "CodeableConcept": {"text": "x"}, "Reference": {"display": "x"}, "integer": 1, "code": "x", "uri": "http://a.b",
    "Identifier": {"value": "x"}, "HumanName": {"text": "x"}, "ContactPoint": {"value": "x", "system": "phone"},
    "Address": {"text": "x"}, "Coding": {"display": "x"}, "Attachment": {"title": "x"}, "decimal": 1,
    "Extension": {"url": "http://example.org/x", "valueCode": "x"}, "date": "2020",
    "Annotation": {"text": "x"}, "positiveInt": 1, "Age": {"value": 1, "unit": "a"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mutant:
    """A resource with one defect: its kind, and where it must be reported (one of ``exact``, or below ``place``)."""

    kind: str
    place: str
    exact: frozenset[str]
    resource: dict[str, Any] = field(repr=False)

    def is_reported_at(self, expression: str) -> bool:
        """Tell whether an issue's expression is a right place for the defect."""
        path = plain(expression)
        return (
            path in self.exact or path == self.place or path.startswith((self.place + ".", self.place + "["))
        )


def plain(expression: str) -> str:
    """Return a FHIRPath with the JSON names of choices."""
    head, *rest = expression.split(".ofType(")
    for part in rest:
        name, _, tail = part.partition(")")
        head += name[:1].upper() + name[1:] + tail
    return head


def shown(type_: str, way: Way) -> str:
    text = type_
    for step in way:
        text += f"[{step}]" if isinstance(step, int) else f".{step.removeprefix('_')}"
    return text


def at(resource: Any, way: Way) -> Any:
    for step in way:
        resource = resource[step]
    return resource


def facet(definition: dict[str, Any], prefix: str) -> Any:
    return next((v for k, v in definition.items() if k.startswith(prefix) and k[len(prefix)].isupper()), None)


def fits(value: Any, pattern: Any) -> bool:
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(k in value and fits(value[k], p) for k, p in pattern.items())
    if isinstance(pattern, list):
        return isinstance(value, list) and all(any(fits(v, p) for v in value) for p in pattern)
    return bool(value == pattern)


def below(value: Any, path: str) -> list[Any]:
    """Return the values at a path of names below a value."""
    found = [value]
    for name in path.split(".") if path else ():
        inner = [v[name] for v in found if isinstance(v, dict) and name in v]
        found = [x for v in inner for x in (v if isinstance(v, list) else [v])]
    return found


def others(value: Any, expected: Any) -> Iterator[tuple[str, Any]]:
    """Yield values that aren't the fixed one and don't fit the pattern."""
    if isinstance(expected, str) and isinstance(value, str):
        yield "another", value + "x"
    elif isinstance(expected, dict) and isinstance(value, dict):
        for name in expected:
            rest = {k: v for k, v in value.items() if k != name}
            if rest:
                yield f"without {name} of the", rest


def claimed(resource: dict[str, Any]) -> list[str]:
    """Return the profiles that a resource claims, and its base type."""
    return [*resource.get("meta", {}).get("profile", ()), resource["resourceType"]]
