"""The suites of ``conformance/``: tables in YAML, one file a subject, that become TestScript resources.

A test is a row: its name, the sentence of the specification that it proves (``proves``: ids of
``conformance/requirements``), the page that says so, and its steps. https://hl7.org/fhir/R4/testscript.html
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import msgspec
import yaml

from fhir_server.datatypes.json_format import decode
from fhir_server.testscript import example_tables, type_searches
from fhir_server.testscript.needs import NEEDS, statement
from fhir_server.testscript.script import Script
from fhir_server.testscript.search_tables import tests_of

#: The root of the specification that pages are relative to.
SPECIFICATION = "https://hl7.org/fhir/R4/"
URL = "urn:fhir-space-server:TestScript:"
_OPERATORS = frozenset(
    (
        "equals",
        "notEquals",
        "in",
        "notIn",
        "greaterThan",
        "lessThan",
        "empty",
        "notEmpty",
        "contains",
        "notContains",
    )
)
#: Short names of assertions and the element that each stands for.
_ASSERTS = {
    "status": "responseCode", "type": "contentType", "is": "resource", "minimum": "minimumId",
    "links": "navigationLinks", "profile": "validateProfileId",
}  # fmt: skip
_SYSTEM = "http://terminology.hl7.org/CodeSystem/testscript-operation-codes"
#: Operations that this code system has; others stand in a system of ours, their definition is the server's affair.
_KNOWN = frozenset({
    "closure", "document", "everything", "expand", "lastn", "lookup", "meta", "meta-add", "meta-delete", "stats",
    "subsumes", "translate", "validate", "validate-code",
})  # fmt: skip
_OWN_SYSTEM = "urn:fhir-space-server:operation"
#: Short names of the parts of an operation.
_PARTS = {"target": "targetId", "from": "sourceId", "as": "responseId", "content": "contentType"}
#: Interactions that are about one type.
_CODES = (
    "read", "vread", "create", "update", "updateCreate", "patch", "delete", "deleteCondSingle",
    "deleteCondMultiple", "history", "search", "batch", "transaction", "capabilities",
)  # fmt: skip


class TableError(ValueError):
    """A table of tests can't be understood."""


def suites(folder: Path) -> dict[str, list[Path]]:
    """Return the tables of each suite, by the name of its folder."""
    found: dict[str, list[Path]] = {}
    for file in sorted((folder / "suites").glob("*/*.yaml")):
        found.setdefault(file.parent.name, []).append(file)
    return found


def scripts(file: Path) -> Iterator[Script]:
    """Yield the TestScripts of a table: one for each test; raises TableError when it can't be understood."""
    table = yaml.safe_load(file.read_text())
    for test in [
        *table.get("tests", []),
        *tests_of(table),
        *example_tables.tests_of(table),
        *type_searches.tests_of(table),
    ]:
        try:
            yield script(table, test, file)
        except (KeyError, TypeError, ValueError) as reason:
            raise TableError(
                f'{file}: the test "{test.get("name")}" can\'t be understood: {reason!r}'
            ) from reason


def script(table: dict[str, Any], test: dict[str, Any], file: Path) -> Script:
    """Return the TestScript of one test of a table."""
    return Script(_resource(table, test, file), f"{file.parent.name}/{file.name}", file.parent)


def _resource(table: dict[str, Any], test: dict[str, Any], file: Path) -> dict[str, Any]:
    name = f"{file.parent.name}-{file.stem}-{test['name']}"
    page = urljoin(SPECIFICATION, str(test.get("page", table.get("page"))))
    own = {**table.get("fixtures", {}), **test.get("fixtures", {})}
    used = str([table.get("setup"), *(test.get(part) for part in ("setup", "steps", "teardown"))])
    fixtures = {id_: content for id_, content in own.items() if id_ in used}
    variables = [
        {"name": n, **({"defaultValue": v} if isinstance(v, str) else v)}
        for n, v in {**table.get("variables", {}), **test.get("variables", {})}.items()
    ]
    writer = _Steps(" ".join(_listed(test.get("proves", []))), page)
    setup = [writer.action(step) for step in [*table.get("setup", []), *test.get("setup", [])]]
    teardown = [a for a in (writer.action(s) for s in test.get("teardown", [])) if "operation" in a]
    actions = [writer.action(step) for step in test["steps"]]
    resource: dict[str, Any] = {
        "resourceType": "TestScript", "id": name[-64:].lstrip("-"), "url": URL + name, "name": name.replace("-", "_"),
        "title": test["says"], "status": "active", "description": f"{test['says']} See {page}",
    }  # fmt: skip
    needed = [*table.get("needs", []), *test.get("needs", [])]
    resource["metadata"] = {"capability": [{
        "required": True, "validated": bool(needed), "link": [page],
        "capabilities": f"#{NEEDS}" if needed else "http://hl7.org/fhir/CapabilityStatement/base",
        **({"description": f"The server has {', '.join(needed)}"} if needed else {}),
    }]}  # fmt: skip
    contained = [_contained(id_, content) for id_, content in fixtures.items()]
    resource["contained"] = [*contained, *([statement(needed)] if needed else [])]
    if contained:
        resource["fixture"] = [
            {"id": i, "autocreate": False, "autodelete": True, "resource": {"reference": f"#c-{i}"}}
            for i in fixtures
        ]
    profiles = {**table.get("profiles", {}), **test.get("profiles", {})}
    resource["profile"] = [{"id": i, "reference": url} for i, url in profiles.items() if i in used]
    resource["variable"] = [v for v in variables if "${" + v["name"] in used + str(fixtures) + str(variables)]
    resource["setup"] = {"action": setup}
    resource["test"] = [{"name": test["name"], "description": f"{test['says']} {page}", "action": actions}]
    resource["teardown"] = {"action": teardown}
    filled = {
        n: v
        for n, v in resource.items()
        if v and not (isinstance(v, dict) and n in {"setup", "teardown"} and not v["action"])
    }
    return _as_decoded(filled)


def _listed(value: str | list[str]) -> list[str]:
    return value.split() if isinstance(value, str) else value


def _as_decoded(resource: dict[str, Any]) -> dict[str, Any]:
    """Return the resource as it would be read from a file, so that its digest is that of the file."""
    return decode(msgspec.json.encode(resource))


def _contained(id_: str, content: Any) -> dict[str, Any]:
    """Return a fixture as a contained resource; ``{content: type, text: ...}`` is any content, as a Binary."""
    if "text" in content and "resourceType" not in content:
        data = base64.b64encode(content["text"].encode()).decode()
        return {"resourceType": "Binary", "id": f"c-{id_}", "contentType": content["content"], "data": data}
    return {**copy.deepcopy(content), "id": f"c-{id_}"}


class _Steps:
    """Writes the steps of a test as actions; assertions bear the requirement that they prove and its page."""

    def __init__(self, proves: str, page: str) -> None:
        self._proves = proves
        self._page = page

    def action(self, step: dict[str, Any]) -> dict[str, Any]:
        name, content = next(iter(step.items()))
        if name in _CODES or name.startswith("$") or name == "request":
            return {"operation": self._operation(name, content, {n: v for n, v in step.items() if n != name})}
        return {"assert": self._assertion(step)}

    def _operation(self, code: str, content: Any, more: dict[str, Any]) -> dict[str, Any]:
        """Return an operation: ``read: Patient/x``, ``search: Patient?name=x``, ``create: fixture``, ..."""
        if not isinstance(content, str):
            raise TableError(f"{code} wants a text")
        operation: dict[str, Any] = {"encodeRequestUrl": True}
        if code != "request":
            name = code.removeprefix("$")
            is_own = code.startswith("$") and name not in _KNOWN
            operation["type"] = {"system": _OWN_SYSTEM if is_own else _SYSTEM, "code": name}
        if code == "request":
            method, _, url = content.partition(" ")
            operation |= {"method": method.lower(), "url": url or "/"}
        elif content:
            kind, mark, rest = _split(content)
            if kind[:1].isupper():
                operation["resource"] = kind
                if mark:
                    operation["params"] = mark + rest
            elif mark:
                operation["params"] = mark + rest if not kind else content
            else:
                operation["sourceId"] = kind
        for name, value in more.items():
            if name == "headers":
                operation["requestHeader"] = [{"field": f, "value": v} for f, v in value.items()]
            elif name in {
                "accept",
                "method",
                "params",
                "resource",
                "origin",
                "destination",
                "encodeRequestUrl",
                *_PARTS,
            }:
                operation[_PARTS.get(name, name)] = value
            else:
                raise TableError(f"an operation has no {name}")
        return operation

    def _assertion(self, step: dict[str, Any]) -> dict[str, Any]:
        """Return an assertion: ``status: 201``, ``header: ETag``, ``true: <FHIRPath>``, ``expression: ...``."""
        assertion: dict[str, Any] = {"description": f"{_said(step)} ({self._page})", "warningOnly": False}
        if self._proves:
            assertion["label"] = self._proves
        for name, value in step.items():
            if name == "true":
                assertion |= {"expression": value, "operator": "eval"}
            elif name == "status":
                assertion["responseCode"] = str(value)
                if "," in str(value):
                    assertion["operator"] = "in"
            elif name == "header":
                assertion["headerField"] = value
                assertion.setdefault("operator", "notEmpty")
            elif name in _OPERATORS:
                assertion["operator"] = name
                if name not in {"empty", "notEmpty"}:
                    assertion["value"] = str(value)
            elif name == "warning":
                assertion["warningOnly"] = value
            elif name == "of":
                assertion["sourceId"] = value
            else:
                assertion[_ASSERTS.get(name, name)] = value
        return assertion


def _split(content: str) -> tuple[str, str, str]:
    """Return type or fixture, the first of "/" and "?", and the rest."""
    for position, sign in enumerate(content):
        if sign in "/?":
            return content[:position], sign, content[position + 1 :]
    return content, "", ""


def _said(step: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in step.items())
