"""Does a resource hold at least what a minimum says? https://hl7.org/fhir/R4/testscript-definitions.html#TestScript.setup.action.assert.minimumId."""

from __future__ import annotations

from typing import Any

#: What a server may set by itself, so that a minimum can't ask for it.
_SERVER_SET = frozenset({"id", "meta", "text"})


def missing(minimum: Any, actual: Any, path: str) -> str:
    """Return the path of the first part of ``minimum`` that ``actual`` doesn't hold, "" when it holds all.

    Objects hold their members; lists hold each item somewhere, in the same order.
    """
    if isinstance(minimum, dict):
        if not isinstance(actual, dict):
            return path
        for name, part in minimum.items():
            if name not in actual:
                return f"{path}.{name}"
            if found := missing(part, actual[name], f"{path}.{name}"):
                return found
        return ""
    if isinstance(minimum, list):
        return _missing_items(minimum, actual, path)
    same = minimum == actual and isinstance(minimum, bool) == isinstance(actual, bool)
    return "" if same else path


def _missing_items(minimum: list[Any], actual: Any, path: str) -> str:
    if not isinstance(actual, list):
        return path
    rest = iter(actual)
    for number, item in enumerate(minimum):
        place = f"{path}[{number}]"
        if not any(not missing(item, candidate, place) for candidate in rest):
            return place
    return ""


def missing_part(minimum: dict[str, Any], actual: dict[str, Any]) -> str:
    """Return the path of what a resource lacks of a minimum, but for id, meta and narrative."""
    wanted = {name: value for name, value in minimum.items() if name not in _SERVER_SET}
    return missing(wanted, actual, str(minimum.get("resourceType", "")))
