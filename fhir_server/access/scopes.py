"""SMART scopes, versions 1 and 2: what a token lets a client do to which types.

A scope that does not keep the grammar grants nothing, and is no error: clients send scopes of other servers too.
https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl

#: Longer scope strings grant nothing at all.
MAX_LENGTH = 16_384
#: Levels of access, as a scope begins: of one patient, of the user, of a backend service.
LEVELS = ("patient", "user", "system")
#: The letters: create, read, update, delete, search.
LETTERS = "cruds"
_SCOPE = re.compile(
    r"(?P<level>patient|user|system)/(?P<type>\*|[A-Z][A-Za-z]+)\."
    r"(?:(?P<v1>read|write|\*)|(?P<v2>(?=[cruds])c?r?u?d?s?)(?:\?(?P<query>[^?#\s]+))?)"
).fullmatch
_V1 = {"read": "rs", "write": "cud", "*": "cruds"}
#: What can't restrict a scope: it would need other resources, or says how results look.
_NO_CONDITION = re.compile(
    r"_(include|revinclude|has|filter|sort|count|total|summary|elements|contained).*|.*[.:].*"
)


@dataclass(frozen=True, slots=True)
class Scope:
    """One resource scope: ``letters`` in the order ``cruds``; ``conditions`` are search parameters that must match."""

    level: str
    type: str
    letters: str
    conditions: tuple[tuple[str, str], ...] = ()

    def covers(self, type_: str, letter: str) -> bool:
        """Tell whether the scope speaks of a type and a letter (its conditions still have to match)."""
        return letter in self.letters and self.type in ("*", type_)


@dataclass(frozen=True, slots=True)
class Scopes:
    """The resource scopes of a token, and its other ones (``openid``, ``launch/patient``, ``offline_access``...)."""

    resources: tuple[Scope, ...]
    others: frozenset[str] = frozenset()

    def covering(self, type_: str, letter: str, levels: Collection[str] = LEVELS) -> tuple[Scope, ...]:
        """Return the scopes for a type and a letter; their grants are joined by OR. Empty: forbidden."""
        found = tuple(s for s in self.resources if s.level in levels and s.covers(type_, letter))
        # a scope without conditions makes the narrower ones of the same level pointless
        whole = {scope.level for scope in found if not scope.conditions}
        return tuple(scope for scope in found if not scope.conditions or scope.level not in whole)


def parse(text: str, types: Collection[str]) -> Scopes:
    """Return the scopes in a token's ``scope``; ``types`` are the resource types that exist.

    Never fails: what is malformed, names an unknown type or can't be enforced grants nothing.
    """
    if len(text) > MAX_LENGTH:
        return Scopes(())
    words = dict.fromkeys(text.split(" "))
    found = [scope for word in words if (scope := _scope(word, types)) is not None]
    others = frozenset(word for word in words if word and "." not in word and not word.startswith(_PREFIXES))
    return Scopes(tuple(found), others)


def described(scopes: Iterable[Scope]) -> list[str]:
    """Return the scopes in version 2's text, as a token would name them."""
    return [
        f"{s.level}/{s.type}.{s.letters}"
        + ("?" + "&".join(f"{n}={v}" for n, v in s.conditions) if s.conditions else "")
        for s in scopes
    ]


_PREFIXES = tuple(f"{level}/" for level in LEVELS)


def _scope(word: str, types: Collection[str]) -> Scope | None:
    match = _SCOPE(word)
    if match is None or (match["type"] != "*" and match["type"] not in types):
        return None
    letters = _V1[match["v1"]] if match["v1"] else match["v2"]
    if match["query"] is None:
        return Scope(match["level"], match["type"], letters)
    try:
        conditions = parse_qsl(match["query"], keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        return None
    if match["type"] == "*" or any(not value or _NO_CONDITION.fullmatch(name) for name, value in conditions):
        return None
    return Scope(match["level"], match["type"], letters, tuple(conditions))
