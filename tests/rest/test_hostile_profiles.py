"""Profiles that try to keep the server busy: bounded time, a clear issue, and the server answers on.

https://hl7.org/fhir/R4/security.html#input-validation
"""

from __future__ import annotations

import time
import uuid
from typing import Any

import httpx
import pytest

BASE = "http://hl7.org/fhir/StructureDefinition/"
#: Seconds for one create: ten times what a quiet machine needs.
SECONDS = 20

CODINGS = [{"system": "urn:s", "code": f"c{n}", "display": "a" * 30} for n in range(2000)]
TEXT = "a" * 40 + "!"

#: The constraint, and the issue of a resource that must keep it: its code and a part of its text, or None.
CONSTRAINTS: dict[str, tuple[str, tuple[str, str] | None]] = {
    "evil pattern": ("code.text.matches('^(a+)+$')", ("invariant", "must keep the rule")),
    "evil pattern in a loop": ("code.coding.all(display.matches('^(a|aa)+$'))", None),
    "the resource for each item": ("code.coding.select(%resource.descendants()).count() > 1", ("too-costly", "too many steps")),
    "endless repetition": ("code.coding.repeat(%resource.code.coding).repeat($this).exists()", ("too-costly", "too many steps")),
    "many comparisons": (" and ".join(["(code.coding | code.coding).exists()"] * 50), ("too-costly", "too many steps")),
    "deep nesting": ("(" * 1000 + "true" + ")" * 1000, None),
    "too long": (" and ".join(["true"] * 10_000), None),
    "a string that grows": ("code.text" + ".replace('a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')" * 9 + ".exists()", None),
}  # fmt: skip


def profile(url: str, expression: str) -> dict[str, Any]:
    constraint = {"key": "h-1", "severity": "error", "human": "must keep the rule", "expression": expression}
    return {
        "resourceType": "StructureDefinition",
        "url": url,
        "name": "Hostile",
        "status": "active",
        "kind": "resource",
        "abstract": False,
        "type": "Observation",
        "baseDefinition": BASE + "Observation",
        "derivation": "constraint",
        "differential": {
            "element": [{"id": "Observation", "path": "Observation", "constraint": [constraint]}]
        },
    }


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_a_hostile_constraint(fhir: httpx.Client, name: str) -> None:
    expression, expected = CONSTRAINTS[name]
    url = f"https://example.org/{uuid.uuid4()}"
    stored = fhir.post("StructureDefinition", json=profile(url, expression))
    if stored.status_code != 201:
        assert stored.json()["issue"][0]["diagnostics"]
        return
    observation = {
        "resourceType": "Observation",
        "meta": {"profile": [url]},
        "status": "final",
        "code": {"text": TEXT, "coding": CODINGS},
    }
    started = time.monotonic()
    answer = fhir.post("Observation", json=observation, headers={"Prefer": "return=OperationOutcome"})
    assert time.monotonic() - started < SECONDS
    assert fhir.get("metadata").status_code == 200
    if expected is not None:
        assert answer.status_code in {400, 422}
        code, words = expected
        assert [i["code"] for i in answer.json()["issue"]] == [code]
        assert words in answer.json()["issue"][0]["diagnostics"]
    elif name != "a string that grows":
        assert answer.status_code == 201 or answer.json()["issue"][0]["diagnostics"], answer.text


@pytest.mark.parametrize(
    ("name", "element"),
    [
        ("1 MB narrative", {"text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{"a" * 1_048_000}</div>'}}),
        ("100,000 codings", {"code": {"coding": [{"system": "urn:s", "code": str(n)} for n in range(100_000)]}}),
    ],
)  # fmt: skip
def test_large_resources(fhir: httpx.Client, name: str, element: dict[str, Any]) -> None:
    observation = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **element}
    started = time.monotonic()
    answer = fhir.post("Observation", json=observation)
    assert time.monotonic() - started < SECONDS
    if name == "1 MB narrative":
        assert answer.status_code == 201
    else:
        assert answer.status_code == 400
        assert "at most 10000 coding" in answer.json()["issue"][0]["diagnostics"]
