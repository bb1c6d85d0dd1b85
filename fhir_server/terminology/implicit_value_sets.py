"""Value sets that no resource holds: their URL says what is in them.

https://hl7.org/fhir/R4/snomedct.html#implicit, https://hl7.org/fhir/R4/loinc.html#implicit
"""

from __future__ import annotations

import re
from typing import Any

SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
_SNOMED_URL = re.compile(rf"{re.escape(SNOMED)}(/\d+(?:/version/\d{{8}})?)?\?fhir_vs(?:=(.*))?").fullmatch
_LOINC_URL = re.compile(rf"{re.escape(LOINC)}/vs(?:/(LL|LG|LP)([0-9-]+))?").fullmatch


def implicit(url: str) -> dict[str, Any] | None:
    """Return the ValueSet that a URL means by itself, or None.

    SNOMED CT: all, ``isa/[code]``, ``refset`` and ``refset/[code]``; LOINC: all, answer lists (LL), groups (LG)
    and parts (LP).
    """
    found = _SNOMED_URL(url)
    if found is not None:
        return _snomed(url, found[1] or "", found[2] or "")
    found = _LOINC_URL(url)
    if found is not None:
        name, number = found[1], found[2]
        code = f"{name}{number}"
        if name is None:
            return _value_set(url, {"system": LOINC})
        if name == "LP":
            return _value_set(url, {"system": LOINC, "filter": [_filter("concept", "is-a", code)]})
        return _value_set(
            url, {"system": LOINC, "filter": [_filter({"LL": "LIST", "LG": "GROUP"}[name], "=", code)]}
        )
    return None


def _snomed(url: str, edition: str, what: str) -> dict[str, Any] | None:
    include: dict[str, Any] = {"system": SNOMED}
    if "version" in edition:
        include["version"] = SNOMED + edition
    kind, _, code = what.partition("/")
    if kind == "isa" and code.isdigit():
        include["filter"] = [_filter("concept", "is-a", code)]
    elif kind == "refset" and code.isdigit():
        include["filter"] = [_filter("refset", "=", code)]
    elif kind == "refset" and not code:
        include["filter"] = [_filter("concept", "descendent-of", "900000000000455006")]
    elif what:
        return None
    return _value_set(url, include)


def of_system(url: str, system: str) -> dict[str, Any]:
    """Return the ValueSet of all codes of a system, which ``CodeSystem.valueSet`` names."""
    return _value_set(url, {"system": system})


def _filter(property_: str, op: str, value: str) -> dict[str, str]:
    return {"property": property_, "op": op, "value": value}


def _value_set(url: str, include: dict[str, Any]) -> dict[str, Any]:
    return {
        "resourceType": "ValueSet",
        "url": url,
        "status": "active",
        "compose": {"include": [include]},
    }
