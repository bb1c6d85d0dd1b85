"""What a script asks of a server before it runs: ``metadata.capability.validated``, beside its CapabilityStatement.

https://hl7.org/fhir/R4/testscript-definitions.html#TestScript.metadata.capability
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Statement = Mapping[str, Any]

#: Members of ``rest.resource`` that are one code, and those that are lists of texts.
_CODES = (
    "versioning", "readHistory", "updateCreate", "conditionalCreate", "conditionalRead", "conditionalUpdate",
    "conditionalDelete",
)  # fmt: skip
_LISTS = ("supportedProfile", "searchInclude", "searchRevInclude")


def lacking(wanted: Statement, offered: Statement) -> list[str]:
    """Return what one CapabilityStatement asks for and another one doesn't claim, in words; empty when it has all."""
    found = [f"{name} {it}" for name in ("format", "patchFormat") for it in _not_in(wanted, offered, name)]
    for wish in wanted.get("rest", []):
        rows = [rest for rest in offered.get("rest", []) if rest.get("mode") == wish.get("mode", "server")]
        found += _of_rest(wish, rows[0] if rows else {})
    return found


def _of_rest(wanted: Statement, offered: Statement) -> Iterator[str]:
    services = _services(offered)
    yield from (f"security {code}" for code in sorted(_services(wanted) - services))
    yield from _interactions(wanted, offered, "the system")
    types = {row.get("type"): row for row in offered.get("resource", [])}
    for row in wanted.get("resource", []):
        type_ = row.get("type", "")
        if type_ not in types:
            yield f"the resource type {type_}"
        else:
            yield from _of_type(row, types[type_], type_)


def _of_type(wanted: Statement, offered: Statement, type_: str) -> Iterator[str]:
    yield from _interactions(wanted, offered, type_)
    named = {row.get("name") for row in offered.get("searchParam", [])}
    for row in wanted.get("searchParam", []):
        if row.get("name") not in named:
            yield f"the search parameter {row.get('name')} of {type_}"
    for name in _LISTS:
        yield from (f"{name} {it} of {type_}" for it in _not_in(wanted, offered, name))
    for name in _CODES:
        if name in wanted and offered.get(name) != wanted[name]:
            yield f"{name} {wanted[name]} of {type_}"


def _interactions(wanted: Statement, offered: Statement, whose: str) -> Iterator[str]:
    codes = {row.get("code") for row in offered.get("interaction", [])}
    for row in wanted.get("interaction", []):
        if row.get("code") not in codes:
            yield f"the interaction {row.get('code')} of {whose}"
    operations = {_operation(row) for row in offered.get("operation", [])}
    for row in wanted.get("operation", []):
        if _operation(row) not in operations:
            yield f"the operation ${_operation(row)} of {whose}"


def _operation(row: Statement) -> str:
    """Return the name of an operation; some servers write it with the dollar sign."""
    return str(row.get("name", "")).removeprefix("$")


def _services(rest: Statement) -> set[str]:
    concepts: Iterable[Statement] = rest.get("security", {}).get("service", [])
    return {coding.get("code", "") for concept in concepts for coding in concept.get("coding", [])}


def _not_in(wanted: Statement, offered: Statement, name: str) -> list[str]:
    return [it for it in wanted.get(name, []) if it not in offered.get(name, [])]
