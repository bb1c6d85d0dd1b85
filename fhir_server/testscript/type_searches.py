"""A test for each search parameter of each resource type, made of R4's SearchParameters.

Two resources are stored that differ in the element that the parameter is about, and a third one without it. What must
be found follows from the type of the parameter alone, never from a server. https://hl7.org/fhir/R4/search.html#ptypes
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.testscript.instances import Instances
from fhir_server.testscript.search_tables import bundle, found, with_tag
from fhir_server.testscript.search_values import Find, pair

_AS = re.compile(r"^\(?(?P<path>[A-Z][\w.]*)(?: as |\.as\()(?P<type>\w+)\)+$")
_WHERE = re.compile(r"^where\((?P<name>\w+)='(?P<value>[\w-]+)'\)$")
_IS = re.compile(r"^where\(resolve\(\) is (?P<type>\w+)\)$")


@dataclass
class Branch:
    """One way of an expression: names with what must stand beside them, a type, and the target of a reference."""

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
    told: set[str] = set()  # R4 defines Condition.subject twice
    for parameter in instances.parameters:
        name = f"{type_}.{parameter['code']}"
        if type_ in parameter.get("base", []) and name not in left_out | told:
            told.add(name)
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
    """Return the test of one branch; None where its element can't be made, or has nothing to compare."""
    code = parameter["code"]
    try:
        _, element, owner_type = instances.place(instances.minimal(type_), branch.path, type_)
    except KeyError:
        return None
    keys = {kind: key for key, kind in element.json_keys().items()}
    kind = branch.kind or next(iter(keys))
    if kind not in keys:
        return None
    path = f"{owner_type}.{element.name}"
    target = branch.target or instances.target(element)
    values = pair(parameter["type"], kind, instances.concepts(path), target, branch.path[-1][1])
    if values is None:
        return None
    rows = {
        name: instances.changed(type_, branch.path, keys[kind], value)
        for name, value in (("a", values.a), ("b", values.b))
    }
    finds = [*values.finds, Find(":missing", "false", "a b")]
    names = {it.path[0][0] for it in branches(parameter["expression"], type_)}
    if not names & instances.held(type_):
        rows["without"] = instances.minimal(type_)
        finds = [_beside(find) for find in finds] + [Find(":missing", "true", "without")]
    steps = [
        step
        for it in finds
        for step in found(with_tag(f"{type_}?{code}{it.modifier}={it.value}"), it.matches.split())
    ]
    return {
        "name": f"{type_}-{code}{f'-{number + 1}' if number else ''}",
        "says": f"{code} of {type_} ({parameter['type']}, {path} as {kind}) finds what has the value, nothing else.",
        "page": f"{type_.lower()}.html#search",
        "needs": [f"{type_}.create", f"{type_}?{code}"],
        "proves": f"search-type-{parameter['type']}",
        **bundle(rows),
        "steps": steps,
    }


def _beside(find: Find) -> Find:
    """Return a query with what it must find where a resource without the element is there, too."""
    return replace(find, matches=f"{find.matches} without") if find.modifier == ":not" else find
