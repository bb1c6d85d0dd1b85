"""Compares an answer with the expected one of the terminology suite, in which ``$...$`` words stand for kinds of values."""

from __future__ import annotations

import re
from typing import Any

PROPERTY = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ValueSet.expansion.property"
VALUE = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ValueSet.expansion.contains.property"
#: ``location``, which is deprecated, says what ``expression`` says; the files disagree on whether it is there.
_IGNORED = {"location"}
_CONTROL = {"$optional$", "$optional", "$optional-properties$", "$count-arrays$"}


def as_r5(value: Any) -> Any:
    """Return an R4 answer in the form of the suite: properties of expansions as elements."""
    if isinstance(value, list):
        return [as_r5(one) for one in value]
    if not isinstance(value, dict):
        return value
    made = {name: as_r5(one) for name, one in value.items()}
    rest, found = [], []
    for row in made.get("extension", []):
        if row.get("url") in (PROPERTY, VALUE):
            one: dict[str, Any] = {}
            for part in row["extension"]:
                [(name, given)] = [(k, v) for k, v in part.items() if k != "url"]
                one[name if part["url"] == "value" else part["url"]] = given
            found.append(one)
        else:
            rest.append(row)
    if found:
        made["property"] = found
        made.pop("extension")
        if rest:
            made["extension"] = rest
    return made


def differences(expected: Any, actual: Any, path: str = "") -> list[str]:
    """Return where an answer differs; empty when it is as expected."""
    if isinstance(expected, dict):
        return _of_objects(expected, actual, path)
    if isinstance(expected, list):
        return _of_arrays(expected, actual, path)
    if isinstance(expected, str) and isinstance(actual, str):
        return [] if _is_text(expected, actual) else [f"{path}: expected {expected!r}, found {actual!r}"]
    return [] if expected == actual else [f"{path}: expected {expected!r}, found {actual!r}"]


def _is_text(expected: str, actual: str) -> bool:
    if expected.startswith("$choice:"):
        return actual in expected[8:-1].split("|")
    if expected.startswith("$fragments:"):
        return all(part in actual for part in expected[11:-1].split("|"))
    if expected.startswith("$external:"):
        return bool(actual)
    if "$" in expected and expected != "$$":
        pattern = re.escape(expected)
        pattern = re.sub(r"\\\$(id|uuid|instant|version|string|url|date|semver)\\\$", ".+", pattern)
        return re.fullmatch(pattern, actual) is not None
    return expected == actual


def _of_objects(expected: dict[str, Any], actual: Any, path: str) -> list[str]:
    if not isinstance(actual, dict):
        return [f"{path}: expected an object, found {actual!r}"]
    optional = set(expected.get("$optional-properties$", ()))
    counted = set(expected.get("$count-arrays$", ()))
    found: list[str] = []
    for name, value in expected.items():
        if name in _CONTROL | _IGNORED:
            continue
        if name not in actual:
            if name not in optional and not _all_optional(value) and value != "$$":
                found.append(f"{path}.{name}: missing")
        elif name in counted:
            if len(value) != len(actual[name]):
                found.append(f"{path}.{name}: expected {len(value)}, found {len(actual[name])}")
        else:
            found += differences(value, actual[name], f"{path}.{name}")
    return found + [
        f"{path}.{n}: not expected" for n in actual if n not in expected and n not in optional | _IGNORED
    ]


def _all_optional(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(v, dict) and ("$optional$" in v or "$optional" in v) for v in value
    )


def _of_arrays(expected: list[Any], actual: Any, path: str) -> list[str]:
    if not isinstance(actual, list):
        return [f"{path}: expected an array, found {actual!r}"]
    left = list(actual)
    found: list[str] = []
    waiting = []
    for value in expected:
        match = next((one for one in left if not differences(value, one)), None)
        if match is not None:
            left.remove(match)
        elif not (isinstance(value, dict) and ("$optional$" in value or "$optional" in value)):
            waiting.append(value)
    for value in waiting:
        scored = [(len(differences(value, one)), index) for index, one in enumerate(left)]
        if not scored:
            found.append(f"{path}: missing {_short(value)}")
            continue
        nearest = left.pop(min(scored)[1])
        found += differences(value, nearest, f"{path}[{_name(value)}]")
    return found + [f"{path}: not expected {_short(one)}" for one in left]


def _name(value: Any) -> str:
    return str(value.get("name", value.get("code", ""))) if isinstance(value, dict) else ""


def _short(value: Any) -> str:
    return repr(value)[:300]
