"""What a table's ``needs`` ask of a server, as the CapabilityStatement that R4's TestScript refers to.

``Patient.patch`` and ``.transaction`` are interactions, ``Patient?name`` a search parameter, ``CodeSystem/$lookup`` and
``/$closure`` operations, ``security SMART-on-FHIR`` a security service, ``Consent profile URL`` a supported profile.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

NEEDS = "c-needs"
_SERVICE = "http://terminology.hl7.org/CodeSystem/restful-security-service"
_NEED = re.compile(r"(?P<type>[A-Z]\w*)?(?P<sign>\.|\?|/\$| profile )(?P<name>\S+)")


def statement(needs: Iterable[str]) -> dict[str, Any]:
    """Return the statement that has just what is needed; raises ValueError for a need that can't be understood."""
    rest: dict[str, Any] = {"mode": "server"}
    types: dict[str, dict[str, Any]] = {}
    for need in needs:
        word, _, service = need.partition(" ")
        if word == "security":
            coding = {"system": _SERVICE, "code": service}
            rest["security"] = {"service": [{"coding": [coding]}]}
            continue
        match = _NEED.fullmatch(need)
        if match is None:
            raise ValueError(f"{need} is no need")
        type_ = match["type"]
        row = types.setdefault(type_, {"type": type_}) if type_ else rest
        _add(row, match["sign"].strip(), match["name"])
    if types:
        rest["resource"] = list(types.values())
    return {
        "resourceType": "CapabilityStatement", "id": NEEDS, "status": "active", "date": "2026-01-01",
        "kind": "requirements", "description": "What the script needs", "fhirVersion": "4.0.1",
        "format": ["json"], "rest": [rest],
    }  # fmt: skip


def _add(row: dict[str, Any], sign: str, name: str) -> None:
    if sign == ".":
        row.setdefault("interaction", []).append({"code": name})
    elif sign == "?":
        # the type of a parameter is mandatory here, and not what is compared
        row.setdefault("searchParam", []).append({"name": name, "type": "special"})
    elif sign == "profile":
        row.setdefault("supportedProfile", []).append(name)
    else:
        definition = f"urn:fhir-space-server:OperationDefinition:{name}"
        row.setdefault("operation", []).append({"name": name, "definition": definition})
