"""Tables of examples: files of ``examples/`` become tests of validation, good ones and bad ones.

A row names a folder of examples and the types that it is about. What stands in ``expected.json`` was written
from the profiles and from R4: the place of the defect and the kind of rule that it breaks.
https://hl7.org/fhir/R4/resource-operation-validate.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fhir_server.definitions.content import content_folder

#: The requirement that an issue is about, by the beginning of its rule; else by its code.
_RULES = {
    "cardinality": "validation-cardinality", "slice": "validation-slicing", "binding": "validation-binding",
    "pattern": "validation-pattern", "reference": "validation-reference", "choice": "validation-choice",
    "unknown": "validation-unknown", "primitive": "validation-primitive",
}  # fmt: skip
_CODES = {
    "required": "validation-cardinality", "value": "validation-primitive", "structure": "validation-structure",
    "code-invalid": "validation-binding", "invariant": "validation-invariant",
}  # fmt: skip
_GRAVE = "severity = 'error' or severity = 'fatal'"


def tests_of(table: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the tests of a table's ``examples``: rows of ``folder``, ``types`` and ``by``, validate or create."""
    return [test for row in table.get("examples", []) for test in _tests(row)]


def _tests(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    examples = content_folder("examples")
    folder = examples / row["folder"]
    known = examples / row["folder"].partition("/")[0] / "expected.json"
    expected = json.loads(known.read_text()) if known.exists() else {}
    for file in sorted(folder.rglob("*.json")):
        if file.name == "expected.json":
            continue
        text = file.read_text()
        type_ = text.partition('"resourceType": "')[2].partition('"')[0]
        if type_ in row["types"]:
            rule = expected.get(str(file.relative_to(known.parent)), {})
            yield _test(row["verdict"], type_, file, text, rule)


def _test(verdict: str, type_: str, file: Path, text: str, rule: dict[str, str]) -> dict[str, Any]:
    profile = text.partition('"profile": [')[2].partition('"')[2].partition('"')[0]
    told = (
        f"{rule['rule'].partition('@')[0]} ({rule['expression']})" if "rule" in rule else rule.get("why", "")
    )
    is_stored = verdict == "refused"
    return {
        "name": f"{type_}-{file.stem}" if is_stored else f"{verdict}-{file.stem}",
        "says": _SAID[verdict].format(type_, file.stem, told),
        "page": f"{type_.lower()}.html" if is_stored else profile,
        "proves": _requirement(verdict, rule),
        "needs": [f"{type_}.create"] if is_stored else [f"{type_}/$validate", f"{type_} profile {profile}"],
        "fixtures": {"example": {"content": "application/fhir+json", "text": text}},
        "steps": [
            {"create" if is_stored else "$validate": type_, "from": "example"},
            *_JUDGED[verdict](rule),
        ],
    }


def _requirement(verdict: str, rule: dict[str, str]) -> str:
    if verdict == "good":
        return "validation-good"
    kind = rule.get("rule", "").replace("-", "@").partition("@")[0]
    return _RULES.get(kind, _CODES[rule["code"]])


_SAID = {
    "good": "The {} {} keeps to its profile: no issue is an error.",
    "warn": "The {} {} keeps to its profile, but for what it should do: a warning says so. {}",
    "bad": "The {} {} breaks its profile: {}",
    "refused": "The {} {} is no valid resource, so it isn't stored: {}",
}


def _good(_: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {"status": 200},
        {"is": "OperationOutcome"},
        {"true": f"OperationOutcome.issue.where({_GRAVE}).empty()"},
    ]


def _warned(rule: dict[str, str]) -> list[dict[str, Any]]:
    return [
        *_good(rule),
        {"true": f"OperationOutcome.issue.where(severity = 'warning' and {_at(rule)}).exists()"},
    ]


def _bad(rule: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {"status": 200},
        {"is": "OperationOutcome"},
        {"true": f"OperationOutcome.issue.where(({_GRAVE}) and {_at(rule)}).exists()"},
    ]


def _refused(_: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {"status": "400,422"},
        {"is": "OperationOutcome"},
        {"true": f"OperationOutcome.issue.where({_GRAVE}).exists()"},
    ]


def _at(rule: dict[str, str]) -> str:
    """Return the condition that an issue is about the place of the defect, or one around or in it."""
    place = rule["expression"].partition(".value.ofType(")[0]
    place = place if place.count(".") else place.partition("[")[0]
    return f"expression.where(startsWith('{place}') or '{place}'.startsWith($this)).exists()"


_JUDGED = {"good": _good, "warn": _warned, "bad": _bad, "refused": _refused}
