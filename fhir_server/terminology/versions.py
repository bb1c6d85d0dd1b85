"""Versions of canonical resources: which one is meant, and what a request says about them.

https://hl7.org/fhir/R4/references.html#canonical, https://hl7.org/fhir/R4/valueset-operation-expand.html
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fhir_server.definitions.core import version_order


def is_match(actual: str, wanted: str) -> bool:
    """Tell whether a version is the wanted one, in which ``x`` and ``*`` stand for any part."""
    if actual == wanted:
        return True
    pattern = wanted.split(".")
    if not any(part in {"x", "X", "*"} for part in pattern):
        return False
    parts = actual.split(".")
    return len(parts) >= len(pattern) and all(
        p in {"x", "X", "*"} or p == a for p, a in zip(pattern, parts, strict=False)
    )


def chosen(available: Iterable[str], wanted: str) -> str | None:
    """Return the highest version that is meant; all are when ``wanted`` is ""."""
    fitting = [version for version in available if not wanted or is_match(version, wanted)]
    return max(fitting, key=version_order, default=None)


@dataclass(frozen=True, slots=True)
class VersionRules:
    """What a request says: versions by the URL of a code system, and of value sets that are imported."""

    system: dict[str, str] = field(default_factory=dict)
    check: dict[str, str] = field(default_factory=dict)
    force: dict[str, str] = field(default_factory=dict)
    value_set: dict[str, str] = field(default_factory=dict)

    def of_include(self, url: str, version: str) -> str:
        """Return the version to use of a system that a value set includes in a version ("": any)."""
        return self.force.get(url) or version or self.system.get(url, "")
