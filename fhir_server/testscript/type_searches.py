"""A test for each search parameter of each resource type, made of R4's SearchParameters.

Two resources are stored that differ in the element that the parameter is about, and a third one without it. What must be
found follows from the type of the parameter alone (https://hl7.org/fhir/R4/search.html#ptypes), never from a server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fhir_server.testscript.instances import URL, Instances
from fhir_server.testscript.search_tables import bundle, found
from fhir_server.testscript.search_values import Find, pair

_BRANCH = re.compile(r"(?P<path>[A-Z]\w*(?:\.\w+(?:\(.*?\))?)*)")
_AS = re.compile(r"^\(?(?P<path>[A-Z][\w.]*)(?: as |\.as\()(?P<type>\w+)\)+$")
_WHERE = re.compile(r"^where\((?P<name>\w+)='(?P<value>[\w-]+)'\)$")
_IS = re.compile(r"^where\(resolve\(\) is (?P<type>\w+)\)$")


@dataclass
class Branch:
    """One way that an expression leads: names with what must stand beside them, a type, and the target of a reference."""

    path: list[tuple[str, dict[str, str]]]
    kind: str = ""
    target: str = ""


def tests_of(table: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the tests of a table's ``types`` (names, or ``all``); ``more`` holds what invariants want of a type."""
    if "types" not in table:
        return []
    instances = Instances(table.get("more", {}))
    wanted = instances.types.resource_types if table["types"] == "all" else table["types"]
    left_out = set(table.get("without", []))
    return [
        test for type_ in wanted if type_ not in left_out for test in _of_type(type_, instances, left_out)
    ]


def _of_type(type_: str, instances: Instances, left_out: set[str]) -> Iterator[dict[str, Any]]:
    for parameter in instances.parameters:
        if type_ in parameter.get("base", []) and f"{type_}.{parameter['code']}" not in left_out:
            for number, branch in enumerate(branches(parameter.get("expression", ""), type_)):
                if test := _test(type_, parameter, branch, instances, number):
                    yield test


def branches(expression: str, type_: str) -> list[Branch]:
    """Return the ways of an expression that lead through one type and can be followed without evaluating it."""
    parts = (part.strip() for part in expression.split("|"))
    return [it for part in parts if part.lstrip("(").startswith(f"{type_}.") and (it := _branch(part))]


def _branch(part: str) -> Branch | None:
    if match := _AS.match(part):
        return Branch([(name, {}) for name in match["path"].split(".")[1:]], match["type"])
    branch = Branch([])
    for step in re.split(r"\.(?![^(]*\))", part)[1:]:
        if match := _IS.match(step):
            branch.target = match["type"]
        elif (match := _WHERE.match(step)) and branch.path:
            branch.path[-1][1][match["name"]] = match["value"]
        elif re.fullmatch(r"\w+", step):
            branch.path.append((step, {}))
        else:
            return None
    return branch if branch.path else None


def _test(
    type_: str, parameter: dict[str, Any], branch: Branch, instances: Instances, number: int
) -> dict[str, Any] | None:
    code, rows = parameter["code"], {}
    try:
        owner, element, owner_type = instances.place(instances.minimal(type_), branch.path, type_)
    except (KeyError, AssertionError):
        return None
    keys = {kind: key for key, kind in element.json_keys().items()}
    kind = branch.kind or next(iter(keys))
    if kind not in keys or (branch.kind == "" and len(keys) > 1 and not (set(keys) - {"Reference"})):
        return None
    path = f"{owner_type}.{element.name}"
    values = pair(
        parameter["type"],
        kind,
        instances.concepts(path),
        branch.target or instances.target(element),
        branch.path[-1][1],
    )
    if values is None:
        return None
    for name, value in (("a", values.a), ("b", values.b)):
        resource = instances.minimal(type_)
        owner, _, _ = instances.place(resource, branch.path, type_)
        for key in keys.values():
            owner.pop(key, None)
        owner[keys[kind]] = [value] if element.is_list else value
        rows[name] = resource
    finds = [*values.finds, Find(":missing", "false", "a b")]
    without = instances.minimal(type_)
    first = instances.types.type(type_).elements[branch.path[0][0]]  # type: ignore[union-attr]
    others = {b.path[0][0] for b in branches(parameter["expression"], type_)}
    held = {
        e.name for e in instances.types.type(type_).elements.values() if set(e.json_keys()) & set(without)
    }  # type: ignore[union-attr]
    if not first.minimum and not others & held:
        rows["without"] = without
        finds += [
            Find(":missing", "true", "without"),
            *(Find(f.modifier, f.value, "b without") for f in values.finds if f.modifier == ":not"),
        ]
        finds = [f for f in finds if not (f.modifier == ":not" and f.matches == "b")]
    short = f"{type_}-{code}{f'-{number + 1}' if number else ''}"
    run = "urn:fhir-space-server:conformance:run"
    steps = [
        step
        for find in finds
        for step in found(
            f"{type_}?{code}{find.modifier}={find.value}&_tag={run}|${{UUID}}", find.matches.split()
        )
    ]
    return {
        "name": short,
        "says": f"{code} of {type_} ({parameter['type']}, {path} as {kind}) finds what has the value, and nothing else.",
        "page": f"{type_.lower()}.html#search", "needs": [f"{type_}.create", f"{type_}?{code}"],
        "proves": f"search-type-{parameter['type']}",
        **bundle(rows), "steps": steps,
    }  # fmt: skip


__all__ = ["URL", "branches", "tests_of"]
